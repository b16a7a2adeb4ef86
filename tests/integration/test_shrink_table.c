// SPDX-License-Identifier: MIT
/* The table of shrunk bugs in tests/README.md: for each known bug, what is left of the first run
 * that shows it. `test_shrink_table --print` prints it, `test_shrink_table all` compares all of it,
 * without arguments a handful of rows.
 *
 * What is asked of each: at most three requests, but for the bugs of which it is said here why they
 * need more; at most three switches more than in any run of the small workload that a search by
 * delays comes to; and the trace that is left can be replayed, event by event. */
#include "tests/integration/page.h"
#include "tests/integration/shipped.h"

#include "engine/qcow2/known_bugs.h"
#include "injector/fault_point.h"
#include "tests/run_suite.h"
#include "workloads/cli/shrink.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ROW_BYTES = 256,
	CELL_BYTES = 64,
	REQUESTS_MAX = 3,
	SWITCHES_ABOVE_MAX = 3,
	DELAY_RUNS = 2000,
};

/* Bugs that need more requests than others. */
static const struct {
	const char *bug;
	uint64_t requests;
	const char *why;
} larger[] = {
	{ "zombie", 5,
	  "a parent and its child, a write that links them, a discard, a read behind it" },
	{ "lazy-no-barrier", 4, "the dirty bit is set, and flushed, before anything that counts" },
	{ "fair-rwlock", 4, "a parent, a child, a child's child, and a flush that is in a hurry" },
	{ "reuse-while-written", 4,
	  "a write in place, a discard, a flush that lets go of the cluster, its next owner" },
};

static const char *const handful[] = { "no-restore",  "late-child",  "lost-kick",
				       "l1-no-flush", "first-match", "repair-clean-first" };

static uint64_t requests_allowed(const char *bug)
{
	for (size_t i = 0; i < sizeof(larger) / sizeof(larger[0]); i++)
		if (strcmp(bug, larger[i].bug) == 0)
			return larger[i].requests;
	return REQUESTS_MAX;
}

static bool is_in_handful(const char *bug)
{
	for (size_t i = 0; i < sizeof(handful) / sizeof(handful[0]); i++)
		if (strcmp(bug, handful[i]) == 0)
			return true;
	return false;
}

/* The schedule that shows the bug's rule first. Gives. */
static char *first_schedule(const struct known_bug *bug)
{
	const struct bug_search search = { .bug = bug,
					   .models = shipped_models(),
					   .with_faults = true,
					   .points = SCHED_POINTS_ALL };
	struct explore_result result;
	char *schedule = NULL;
	shipped_search_bug(&search, &result);
	for (size_t i = 0; i < result.violation_count && !schedule; i++)
		if (strcmp(rule_name(result.violations[i].verdict.rule), bug->rule) == 0)
			schedule = strdup(result.violations[i].schedule);
	ck_assert_msg(schedule, "%s is not found", bug->name);
	explore_result_release(&result);
	return schedule;
}

/* Its trace, the rule's finding first. */
static void record(struct again *again, const struct known_bug *bug)
{
	struct workload workload;
	struct settings settings;
	struct why why = { "" };
	const struct options options = { .policy = "cancel",
					 .crash = "prefix,torn,reorder",
					 .bugs = { bug->name },
					 .bug_count = 1 };
	char *schedule = first_schedule(bug);
	ck_assert_int_eq(workload_load(&workload, bug->workload, &why), STATUS_OK);
	ck_assert_int_eq(settings_resolve(&settings, &workload, &options, &why), STATUS_OK);
	enum status status = again_run_schedule(again, &workload, &settings, schedule, &why);
	ck_assert_msg(status == STATUS_OK, "%s: %s", bug->name, why.text);
	size_t at = 0;
	struct trace_finding *findings = again->trace.findings;
	while (at < again->trace.finding_count && strcmp(findings[at].rule, bug->rule) != 0)
		at++;
	ck_assert_uint_lt(at, again->trace.finding_count);
	struct trace_finding first = findings[0];
	findings[0] = findings[at];
	findings[at] = first;
	free(schedule);
	settings_release(&settings);
	workload_release(&workload);
}

static uint64_t switches_until(const struct event_log *log, const struct verdict *verdict)
{
	uint64_t switches = 0;
	for (size_t i = 0; i < verdict->event; i++)
		switches += log->events[i].kind == EVENT_SWITCH;
	return switches - 1;
}

/* The fewest switches in any of the first runs of a search by delays that break the rule. */
static uint64_t fewest_switches(const struct shrink *shrink)
{
	const struct shrink_case *best = &shrink->best;
	struct world *world = NULL;
	struct judge *judge = NULL;
	struct judge_report report;
	struct choice choice;
	struct why why;
	size_t file_count = 0;
	uint64_t fewest = UINT64_MAX;
	struct strategy *strategy = strategy_delay_new(0);
	const struct judge_options judging = { .models = best->settings.models };
	settings_enable_bugs(&best->settings);
	ck_assert_int_eq(world_new(&world, &best->workload, &best->settings.world, &why),
			 STATUS_OK);
	const struct trace_file *files = world_files(world, &file_count);
	ck_assert_int_eq(judge_new(&judge, files, file_count, &judging, &why), STATUS_OK);
	choice_init(&choice, strategy, NULL);
	for (size_t run = 0; run < DELAY_RUNS && choice_begin(&choice); run++) {
		enum run_end end = world_run(world, &choice);
		judge_run(judge, world_log(world), 0, &report);
		for (size_t i = 0; i < report.verdict_count; i++) {
			const struct verdict *verdict = &report.verdicts[i];
			if (verdict->rule != shrink->rule || verdict->severity != shrink->severity)
				continue;
			uint64_t switches = switches_until(world_log(world), verdict);
			fewest = switches < fewest ? switches : fewest;
		}
		choice_end(&choice, end, 0);
	}
	choice_release(&choice);
	strategy_free(strategy);
	judge_free(judge);
	world_free(world);
	return fewest;
}

/* Run the trace that is left as `cowtip replay` does. */
static void assert_replays(const struct shrink *shrink)
{
	static const struct options none = { 0 };
	const struct trace *trace = &shrink->best.again.trace;
	struct workload workload;
	struct settings settings;
	struct again again;
	struct why why = { "" };
	struct strategy *strategy = strategy_replay_new(&trace->schedule);
	ck_assert_int_eq(
		workload_parse(&workload, "trace", trace->workload, strlen(trace->workload), &why),
		STATUS_OK);
	ck_assert_int_eq(settings_from_trace(&settings, trace, &none, &why), STATUS_OK);
	ck_assert_int_eq(again_run(&again, &workload, &settings, strategy, &why), STATUS_OK);
	ck_assert_ptr_null(again.complaint);
	ck_assert_uint_eq(event_log_difference(&again.trace.log, &trace->log), SIZE_MAX);
	bool is_there = false;
	for (size_t i = 0; i < again.trace.finding_count; i++)
		is_there |= again_same_finding(&again.trace.findings[i], &trace->findings[0]);
	ck_assert(is_there);
	again_release(&again);
	settings_release(&settings);
	workload_release(&workload);
	strategy_free(strategy);
}

/* A row: what every build finds out, and the critical step. */
struct row {
	char head[ROW_BYTES];
	char critical[CELL_BYTES];
	bool has_critical; /* it is what other builds find, too */
};

static void fill_row(struct row *row, const struct known_bug *bug, const struct shrink *shrink,
		     uint64_t fewest)
{
	const struct shrink_case *best = &shrink->best;
	const struct critical *critical = &shrink->critical;
	char number[CELL_BYTES] = "in repair";
	if (fewest != UINT64_MAX)
		snprintf(number, sizeof(number), "%" PRIu64, fewest);
	snprintf(row->head, ROW_BYTES,
		 "| `%s` | %" PRIu64 " → %" PRIu64 " | %" PRIu64 " → %" PRIu64 " | %" PRIu64
		 " → %" PRIu64 " | %" PRIu64 " → %" PRIu64 " | %s | %s → %s | ",
		 bug->name, shrink->size_before.requests, best->size.requests,
		 shrink->size_before.bytes, best->size.bytes, shrink->size_before.options,
		 best->size.options, shrink->run_before.switches, best->run.switches, number,
		 shrink_model_name(&shrink->run_before), shrink_model_name(&best->run));
	row->has_critical = world_state_is_known() || !shrink->has_critical;
	if (!shrink->has_critical)
		snprintf(row->critical, CELL_BYTES, "in repair");
	else if (!critical->is_decided)
		snprintf(row->critical, CELL_BYTES, "at the latest %zu of %zu", critical->step,
			 critical->step_count);
	else if (critical->step == 0)
		snprintf(row->critical, CELL_BYTES, "every run");
	else
		snprintf(row->critical, CELL_BYTES, "%zu of %zu", critical->step,
			 critical->step_count);
}

static void make_row(struct row *row, const struct known_bug *bug)
{
	static const struct options none = { 0 };
	struct again again;
	struct why why = { "" };
	record(&again, bug);
	struct shrink shrink = { .trace = &again.trace, .options = &none };
	enum status status = shrink_all(&shrink, &why);
	ck_assert_msg(status == STATUS_OK, "%s: %s", bug->name, why.text);
	ck_assert_ptr_null(shrink.budget.why_ended);
	const struct shrink_case *best = &shrink.best;
	ck_assert_int_le(shrink_compare(&best->size, &shrink.size_before), 0);
	ck_assert_uint_le(best->size.requests, requests_allowed(bug->name));
	uint64_t fewest = UINT64_MAX;
	if (shrink.rule != RULE_REPAIR_CONVERGES) {
		fewest = fewest_switches(&shrink);
		fewest = best->run.switches < fewest ? best->run.switches : fewest;
		ck_assert_uint_le(best->run.switches, fewest + SWITCHES_ABOVE_MAX);
	}
	assert_replays(&shrink);
	fill_row(row, bug, &shrink, fewest);
	shrink_release(&shrink);
	again_release(&again);
	known_bugs_disable();
}

static const char table_head[] =
	"| bug | requests | bytes | options | switches | fewest | crash | critical step |\n"
	"| --- | --- | --- | --- | --- | --- | --- | --- |\n";

/* Asked to print instead of to compare; asked for all of it. */
static bool prints, wants_all;

static void compare_row(const struct row *row, const char *page)
{
	const char *at = strstr(page, row->head);
	ck_assert_msg(at, "tests/README.md has no row '%s%s |'", row->head, row->critical);
	if (!row->has_critical)
		return;
	at += strlen(row->head);
	ck_assert_msg(strncmp(at, row->critical, strlen(row->critical)) == 0 &&
			      strncmp(at + strlen(row->critical), " |\n", 3) == 0,
		      "tests/README.md: '%.20s...', but the critical step is %s%s", at, row->head,
		      row->critical);
}

START_TEST(each_known_bug_becomes_small)
{
	const struct known_bug *bug = known_bug_at((size_t)_i);
	struct row row;
	if (!wants_all && !is_in_handful(bug->name))
		return;
	make_row(&row, bug);
	printf("%s%s |\n", row.head, row.critical);
	fflush(stdout);
	if (prints)
		return;
	char *page = page_read(TESTS_README);
	ck_assert_msg(strstr(page, table_head), "tests/README.md has no table with this head:\n%s",
		      table_head);
	compare_row(&row, page);
	free(page);
}
END_TEST

int main(int argc, char **argv)
{
	prints = argc == 2 && strcmp(argv[1], "--print") == 0;
	wants_all = prints || (argc == 2 && strcmp(argv[1], "all") == 0);
	if (prints)
		fputs(table_head, stdout);
	fflush(stdout);
	fault_point_init();
	Suite *suite = suite_create("shrink_table");
	TCase *tests = tcase_create("shrink_table");
	tcase_set_timeout(tests, 300);
	tcase_add_loop_test(tests, each_known_bug_becomes_small, 0, (int)known_bug_count());
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
