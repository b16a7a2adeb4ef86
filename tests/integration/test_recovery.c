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
	const int world = _i % (LAZY * POLICIES);
	const struct world_options options = world_of(world, SCHED_POINTS_ALL);
	const bool reorders = _i != world;
	struct explore_options bounds = both_models;
	struct explore_sets sets = { 0 };
	struct recovery_counts counts;
	struct explore_result result;
	struct shipped shipped;
	if (reorders)
		bounds.models |= CRASH_REORDER;
	shipped_open(&shipped, lazy[world / POLICIES], &options);
	shipped_explore_and_recover(&shipped, &bounds, &result, &counts, &sets);
	printf("%s, %s: %" PRIu64 " dirty states, %" PRIu64 " by reordering, %" PRIu64
	       " of %" PRIu64 " states of their repairs, %" PRIu64 " final images\n",
	       lazy[world / POLICIES], qcow2_policy_name(options.policy), counts.first,
	       counts.reordered, counts.second, counts.states, counts.finals);
	ck_assert(result.complete);
	ck_assert_msg(result.violation_count == 0, "%s: %s",
		      rule_name(result.violations[0].verdict.rule),
		      result.violations[0].verdict.message);
	ck_assert_uint_gt(counts.first, 0);
	ck_assert_uint_eq(counts.first, sets.dirty.count);
	ck_assert(reorders == (counts.reordered > 0));
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

/* ---- repairs that fail ---- */

enum { FAILURES_MAX = 256, FAILED_STATES = 4 };

/* Images that a repair leaves in which one call fails, each once. */
struct failures {
	struct content *images[FAILURES_MAX]; /* owned */
	size_t count;
	size_t refused; /* runs in which the image could not be opened */
};

static void add_failure(struct failures *failures, struct content *image)
{
	for (size_t i = 0; i < failures->count; i++) {
		if (!content_equal(failures->images[i], image, NULL))
			continue;
		content_free(image);
		return;
	}
	ck_assert_uint_lt(failures->count, FAILURES_MAX);
	failures->images[failures->count++] = image;
}

/* A world whose runs open and close `image` (takes) in the place of that of `shipped`, which has no
 * world any more, and no commands. */
static struct world *opening_world(struct shipped *shipped, struct content *image, uint32_t faults)
{
	struct world *world = NULL;
	struct why why = { "" };
	const struct world_options options = { .policy = QCOW2_EAGER,
					       .faults_max = faults,
					       .stamps = true };
	enum status status = world_new(&world, &shipped->workload, &options, &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
	world_set_image(world, image);
	return world;
}

static void fail_everywhere(struct shipped *shipped, struct content *image,
			    struct failures *failures)
{
	struct strategy *strategy = strategy_dfs_new(true);
	struct world *world = opening_world(shipped, image, 1);
	struct choice choice;
	choice_init(&choice, strategy, NULL);
	while (choice_begin(&choice)) {
		enum run_end end = world_run(world, &choice);
		choice_end(&choice, end, 0);
		ck_assert_int_eq(end, RUN_FINISHED);
		failures->refused += world_open_failure(world)[0] != 0;
		add_failure(failures, world_image(world));
	}
	choice_release(&choice);
	strategy_free(strategy);
	world_free(world);
}

static void check_repaired(struct shipped *shipped, struct content *image)
{
	size_t count = 0;
	struct event_log nothing;
	struct judge *judge = NULL;
	struct judge_report report;
	struct schedule none;
	struct world *world = opening_world(shipped, image, 0);
	struct shipped opened = { .workload = shipped->workload, .world = world };
	const struct judge_options options = { .models = CRASH_PREFIX };
	struct trace_file after[2];
	event_log_init(&nothing);
	schedule_init(&none);
	ck_assert_int_eq(shipped_replay(&opened, &none), RUN_FINISHED);
	ck_assert_str_eq(world_open_failure(world), "");
	const struct trace_file *files = world_files(world, &count);
	ck_assert_uint_le(count, 2);
	for (size_t i = 0; i < count; i++)
		after[i] = files[i];
	after[0].initial = world_image(world);
	ck_assert_int_eq(judge_new(&judge, after, count, &options, NULL), STATUS_OK);
	judge_run(judge, &nothing, 0, &report);
	ck_assert_msg(report.verdict_count == 0, "%s", report.verdicts[0].message);
	ck_assert_uint_eq(report.leaked, 0);
	ck_assert_uint_eq(report.copied_missing, 0);
	judge_free(judge);
	content_free(after[0].initial);
	world_free(world);
}

START_TEST(a_repair_in_which_a_call_fails_is_made_up_for_by_the_next)
{
	const struct world_options options = world_of(_i, SCHED_POINTS_IO);
	struct explore_sets sets = { 0 };
	struct crashed crashed[FAILED_STATES];
	struct failures failures = { 0 };
	struct shipped shipped;
	size_t files = 0;
	shipped_open(&shipped, lazy[_i / POLICIES], &options);
	explore_dirty(&shipped, &sets);
	for (size_t i = 0; i < FAILED_STATES; i++) {
		const struct dirty_state *place =
			&sets.dirty.items[i * sets.dirty.count / FAILED_STATES];
		replay(&shipped, place);
		ck_assert(crashed_from_run(&crashed[i], world_log(shipped.world),
					   world_files(shipped.world, &files)[0].initial,
					   &place->state));
	}
	world_free(shipped.world);
	/* The same workload without commands; they are put back to be released. */
	size_t command_count = shipped.workload.command_count;
	shipped.workload.command_count = 0;
	for (size_t i = 0; i < FAILED_STATES; i++) {
		fail_everywhere(&shipped, crashed[i].image, &failures);
		crashed[i].image = NULL;
		crashed_release(&crashed[i]);
	}
	for (size_t i = 0; i < failures.count; i++)
		check_repaired(&shipped, failures.images[i]);
	printf("%s: %zu opens failed, %zu images were left\n", lazy[_i / POLICIES],
	       failures.refused, failures.count);
	ck_assert_uint_gt(failures.refused, 0);
	explore_sets_release(&sets);
	shipped.workload.command_count = command_count;
	workload_release(&shipped.workload);
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
			    2 * LAZY * POLICIES);
	tcase_add_loop_test(tests, the_judge_lists_the_dirty_states_of_every_interleaving, 0,
			    LAZY * POLICIES);
	tcase_add_loop_test(tests, each_place_leads_to_its_state, 0, LAZY * POLICIES);
	tcase_add_loop_test(tests, a_sample_is_repaired_as_qemu_img_repairs_it, 0, LAZY * POLICIES);
	tcase_add_loop_test(tests, a_repair_in_which_a_call_fails_is_made_up_for_by_the_next, 0,
			    LAZY * POLICIES);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
