// SPDX-License-Identifier: MIT
/* The table of shrunk bugs in tests/README.md: for each known bug, what is left of the first run
 * that shows it. `test_shrink_table --print` prints it, `test_shrink_table all` compares all of it,
 * without arguments a handful of rows.
 *
 * What is asked of each: at most three requests, or four if three are too few, which
 * test_fewest_requests.c shows; at most three switches more than the fewest that there can be, none
 * if that is decided, and then no search by delays may come to fewer; and the trace that is left
 * can be replayed, event by event. */
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

/* Bugs for which three requests are too few: a parent, its child, a discard, a read; a parent, its
 * child, a child's child, a flush; a write in place, a discard, a flush, the next owner. */
static const char *const larger[] = { "zombie", "fair-rwlock", "reuse-while-written" };

static const char *const handful[] = { "no-restore",  "late-child",  "lost-kick",
				       "l1-no-flush", "first-match", "repair-clean-first" };

static bool is_larger(const char *bug)
{
	for (size_t i = 0; i < sizeof(larger) / sizeof(larger[0]); i++)
		if (strcmp(bug, larger[i]) == 0)
			return true;
	return false;
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

/* A row: what every build finds out, and what those do that can tell states apart. */
struct row {
	char head[ROW_BYTES];
	char tail[ROW_BYTES];
	bool has_tail; /* it is what other builds find, too */
};

static void print_critical(char *cell, const struct shrink *shrink)
{
	const struct critical *critical = &shrink->critical;
	if (!shrink->has_critical)
		snprintf(cell, CELL_BYTES, "in repair");
	else if (!critical->is_decided)
		snprintf(cell, CELL_BYTES, "at the latest %zu of %zu", critical->step,
			 critical->step_count);
	else if (critical->step == 0)
		snprintf(cell, CELL_BYTES, "every run");
	else
		snprintf(cell, CELL_BYTES, "%zu of %zu", critical->step, critical->step_count);
}

static void fill_row(struct row *row, const struct known_bug *bug, const struct shrink *shrink)
{
	const struct shrink_case *best = &shrink->best;
	char fewest[CELL_BYTES] = "in repair |", critical[CELL_BYTES];
	if (shrink->rule != RULE_REPAIR_CONVERGES)
		snprintf(fewest, sizeof(fewest), "%" PRIu64 " | %" PRIu64, shrink->fewest.switches,
			 best->run.switches - shrink->fewest.switches);
	print_critical(critical, shrink);
	snprintf(row->head, ROW_BYTES,
		 "| `%s` | %" PRIu64 " → %" PRIu64 "%s | %" PRIu64 " → %" PRIu64 " | %" PRIu64
		 " → %" PRIu64 " | ",
		 bug->name, shrink->size_before.requests, best->size.requests,
		 is_larger(bug->name) ? ", three are too few" : "", shrink->size_before.bytes,
		 best->size.bytes, shrink->size_before.options, best->size.options);
	snprintf(row->tail, ROW_BYTES, "%" PRIu64 " → %" PRIu64 " | %s | %s → %s | %s |\n",
		 shrink->run_before.switches, best->run.switches, fewest,
		 shrink_model_name(&shrink->run_before), shrink_model_name(&best->run), critical);
	row->has_tail = world_state_is_known() || !shrink->has_critical;
}

/* Whatever is known of it: no run has fewer switches, or not many fewer. */
static void check_switches(const struct known_bug *bug, const struct shrink *shrink)
{
	uint64_t switches = shrink->best.run.switches;
	if (shrink->rule == RULE_REPAIR_CONVERGES)
		return;
	uint64_t by_delays = fewest_switches(shrink);
	if (!world_state_is_known()) {
		ck_assert_uint_le(switches, by_delays + SWITCHES_ABOVE_MAX);
		return;
	}
	ck_assert_msg(shrink->fewest.is_decided, "%s: the fewest switches are not decided",
		      bug->name);
	ck_assert_uint_eq(switches, shrink->fewest.switches);
	ck_assert_uint_le(switches, by_delays);
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
	ck_assert_uint_le(best->size.requests, REQUESTS_MAX + is_larger(bug->name));
	check_switches(bug, &shrink);
	assert_replays(&shrink);
	fill_row(row, bug, &shrink);
	shrink_release(&shrink);
	again_release(&again);
	known_bugs_disable();
}

static const char table_head[] =
	"| bug | requests | bytes | options | switches | fewest | above | crash | critical step |\n"
	"| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";

/* Asked to print instead of to compare; asked for all of it. */
static bool prints, wants_all;

static void compare_row(const struct row *row, const char *page)
{
	const char *at = strstr(page, row->head);
	ck_assert_msg(at, "tests/README.md has no row '%s%s'", row->head, row->tail);
	at += strlen(row->head);
	ck_assert_msg(!row->has_tail || strncmp(at, row->tail, strlen(row->tail)) == 0,
		      "tests/README.md: '%.40s...', but it is %s%s", at, row->head, row->tail);
}

START_TEST(each_known_bug_becomes_small)
{
	const struct known_bug *bug = known_bug_at((size_t)_i);
	struct row row;
	if (!wants_all && !is_in_handful(bug->name))
		return;
	make_row(&row, bug);
	printf("%s%s", row.head, row.tail);
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
