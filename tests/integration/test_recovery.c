// SPDX-License-Identifier: MIT
/* Rule repair-converges over the shipped workloads with lazy refcounts.
 *
 * The states to repair are those that the judge lists: here that list is held against the one of
 * every single interleaving, and each place against the state that it claims to lead to. Then all
 * of them are repaired, with crashes in between; and a sample, as files, beside `qemu-img check -r
 * all`. */
#include "tests/integration/shell.h"
#include "tests/integration/shipped.h"
#include "tests/integration/subject.h"

#include "injector/fault_point.h"
#include "tests/run_suite.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const lazy[] = { "lazy-dirty-first", "lazy-discard", "lazy-snapshot",
				    "lazy-write-fails" };

enum {
	LAZY = sizeof(lazy) / sizeof(lazy[0]),
	POLICIES = 3,
	SAMPLED = 12, /* of each workload and policy, given to qemu-img */
	SAMPLED_SLOW = 4,
};

static const struct explore_options both_models = { .models = CRASH_PREFIX | CRASH_TORN };

static struct world_options world_of(int index, enum sched_points points)
{
	return (struct world_options){ .policy = shipped_policies[index % POLICIES],
				       .points = points,
				       .stamps = true };
}

START_TEST(every_dirty_crash_state_is_repaired_and_so_are_crashes_of_the_repair)
{
	const struct world_options options = world_of(_i, SCHED_POINTS_ALL);
	struct explore_sets sets = { 0 };
	struct recovery_counts counts;
	struct explore_result result;
	struct shipped shipped;
	shipped_open(&shipped, lazy[_i / POLICIES], &options);
	shipped_explore_and_recover(&shipped, &both_models, &result, &counts, &sets);
	printf("%s, %s: %" PRIu64 " dirty states, %" PRIu64 " of %" PRIu64
	       " states of their repairs, %" PRIu64 " final images\n",
	       lazy[_i / POLICIES], qcow2_policy_name(options.policy), counts.first, counts.second,
	       counts.states, counts.finals);
	ck_assert(result.complete);
	ck_assert_msg(result.violation_count == 0, "%s: %s",
		      rule_name(result.violations[0].verdict.rule),
		      result.violations[0].verdict.message);
	ck_assert_uint_gt(counts.first, 0);
	ck_assert_uint_eq(counts.first, sets.dirty.count);
	ck_assert_uint_gt(counts.second, 0);
	ck_assert_uint_eq(counts.repairs, counts.first + counts.second);
	explore_sets_release(&sets);
	explore_result_release(&result);
	shipped_close(&shipped);
}
END_TEST

/* The dirty states of every interleaving, each judged by itself. */
static void list_by_brute_force(struct shipped *shipped, struct explore_sets *sets)
{
	struct explore_result result;
	struct strategy *strategy = strategy_dfs_new(false);
	struct explore_options options = both_models;
	struct why why = { "" };
	options.count_distinct = options.list_dirty = true;
	options.sets = sets;
	enum status status = explore(shipped->world, strategy, &options, &result, &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
	ck_assert(result.complete);
	explore_result_release(&result);
	strategy_free(strategy);
}

START_TEST(the_judge_lists_the_dirty_states_of_every_interleaving)
{
	const struct world_options options = world_of(_i, SCHED_POINTS_IO);
	struct explore_sets classes = { 0 }, runs = { 0 };
	struct explore_options listing = both_models;
	struct explore_result result;
	struct shipped shipped;
	listing.count_distinct = listing.list_dirty = true;
	listing.sets = &classes;
	shipped_open(&shipped, lazy[_i / POLICIES], &options);
	shipped_explore(&shipped, &listing, &result);
	list_by_brute_force(&shipped, &runs);
	ck_assert_uint_gt(runs.dirty.count, 0);
	ck_assert_uint_eq(classes.dirty.count, runs.dirty.count);
	for (size_t i = 0; i < runs.dirty.count; i++)
		ck_assert(dirty_states_has(&classes.dirty, runs.dirty.items[i].state.fingerprint));
	explore_sets_release(&classes);
	explore_sets_release(&runs);
	explore_result_release(&result);
	shipped_close(&shipped);
}
END_TEST

static void explore_dirty(struct shipped *shipped, struct explore_sets *sets)
{
	struct explore_options listing = both_models;
	struct explore_result result;
	listing.count_distinct = listing.list_dirty = true;
	listing.sets = sets;
	shipped_explore(shipped, &listing, &result);
	ck_assert_uint_gt(sets->dirty.count, 0);
	dirty_states_sort(&sets->dirty);
	explore_result_release(&result);
}

static void replay(struct shipped *shipped, const struct dirty_state *place)
{
	struct schedule schedule;
	schedule_init(&schedule);
	ck_assert_int_eq(schedule_parse(&schedule, place->schedule, NULL), STATUS_OK);
	shipped_replay(shipped, &schedule);
	schedule_release(&schedule);
}

/* Do two states of the last run leave the same image? */
static bool same_image(struct shipped *shipped, const struct judge_dirty *a,
		       const struct judge_dirty *b)
{
	size_t count = 0;
	struct crashed one, other;
	const struct trace_file *files = world_files(shipped->world, &count);
	const struct event_log *log = world_log(shipped->world);
	ck_assert(crashed_from_run(&one, log, files[0].initial, a));
	ck_assert(crashed_from_run(&other, log, files[0].initial, b));
	bool same = content_equal(one.image, other.image, NULL);
	crashed_release(&one);
	crashed_release(&other);
	return same;
}

/* Is `place` among the dirty states of the run that its schedule gives? There it may come first at
 * another point, because a torn write can leave what the whole one leaves. */
static bool is_passed(struct shipped *shipped, const struct dirty_state *place)
{
	size_t count = 0;
	bool found = false;
	struct judge *judge = NULL;
	struct judge_report report;
	const struct trace_file *files = world_files(shipped->world, &count);
	const struct judge_options options = { .models = CRASH_PREFIX | CRASH_TORN,
					       .count_distinct = true,
					       .list_dirty = true };
	replay(shipped, place);
	ck_assert_int_eq(judge_new(&judge, files, count, &options, NULL), STATUS_OK);
	judge_run(judge, world_log(shipped->world), 0, &report);
	for (size_t i = 0; i < report.dirty_count && !found; i++)
		found = report.dirty[i].fingerprint == place->state.fingerprint &&
			same_image(shipped, &report.dirty[i], &place->state);
	judge_free(judge);
	return found;
}

START_TEST(each_place_leads_to_its_state)
{
	const struct world_options options = world_of(_i, SCHED_POINTS_ALL);
	struct explore_sets sets = { 0 };
	struct shipped shipped;
	shipped_open(&shipped, lazy[_i / POLICIES], &options);
	explore_dirty(&shipped, &sets);
	for (size_t i = 0; i < sets.dirty.count; i++)
		ck_assert_msg(is_passed(&shipped, &sets.dirty.items[i]), "%s, operation %" PRIu64,
			      sets.dirty.items[i].schedule, sets.dirty.items[i].state.operation);
	explore_sets_release(&sets);
	shipped_close(&shipped);
}
END_TEST

static void must(int status, const char *what)
{
	ck_assert_msg(status == 0, "%s: exit status %d: %s", what, status, shell_output());
}

static void store(const struct content *content, const char *path)
{
	struct why why = { "" };
	ck_assert_msg(content_store(content, path, &why) == STATUS_OK, "%s", why.text);
}

/* One crash state, repaired by the engine and by qemu-img. */
static void compare_repairs(struct shipped *shipped, const struct dirty_state *place)
{
	size_t count = 0;
	struct crashed crashed;
	const struct trace_file *files = world_files(shipped->world, &count);
	replay(shipped, place);
	ck_assert(crashed_from_run(&crashed, world_log(shipped->world), files[0].initial,
				   &place->state));
	for (size_t i = 1; i < count; i++)
		store(files[i].initial, files[i].path);
	store(crashed.image, "mine.qcow2");
	store(crashed.image, "twin.qcow2");
	crashed_release(&crashed);
	ck_assert_str_eq(subject_run("mine.qcow2", QCOW2_EAGER, NULL, 0), "");
	must(shell("qemu-img check mine.qcow2"), place->schedule);
	must(shell("qemu-img check -r all twin.qcow2"), place->schedule);
	must(shell("qemu-img compare mine.qcow2 twin.qcow2"), place->schedule);
}

START_TEST(a_sample_is_repaired_as_qemu_img_repairs_it)
{
	const struct world_options options = world_of(_i, SCHED_POINTS_ALL);
	struct explore_sets sets = { 0 };
	struct shipped shipped;
	if (!shell_has_qemu()) {
		puts("skipped: qemu-img (package qemu-utils) is not installed");
		return;
	}
	shell_enter_folder();
	shipped_open(&shipped, lazy[_i / POLICIES], &options);
	explore_dirty(&shipped, &sets);
	size_t wanted = shipped_is_slow_build() ? SAMPLED_SLOW : SAMPLED;
	size_t step = sets.dirty.count > wanted ? sets.dirty.count / wanted : 1;
	size_t compared = 0;
	for (size_t i = 0; i < sets.dirty.count; i += step, compared++)
		compare_repairs(&shipped, &sets.dirty.items[i]);
	printf("%s, %s: %zu of %zu dirty states beside qemu-img\n", lazy[_i / POLICIES],
	       qcow2_policy_name(options.policy), compared, sets.dirty.count);
	explore_sets_release(&sets);
	shipped_close(&shipped);
	shell_leave_folder();
}
END_TEST

int main(void)
{
	fault_point_init();
	Suite *suite = suite_create("recovery");
	TCase *tests = tcase_create("recovery");
	tcase_set_timeout(tests, 300);
	tcase_add_loop_test(tests,
			    every_dirty_crash_state_is_repaired_and_so_are_crashes_of_the_repair, 0,
			    LAZY * POLICIES);
	tcase_add_loop_test(tests, the_judge_lists_the_dirty_states_of_every_interleaving, 0,
			    LAZY * POLICIES);
	tcase_add_loop_test(tests, each_place_leads_to_its_state, 0, LAZY * POLICIES);
	tcase_add_loop_test(tests, a_sample_is_repaired_as_qemu_img_repairs_it, 0, LAZY * POLICIES);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
