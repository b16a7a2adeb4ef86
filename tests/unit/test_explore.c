// SPDX-License-Identifier: MIT
#include "workloads/explore.h"

#include "workloads/bugs.h"

#include "injector/fault_point.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define IMAGE "#@ image size=8k cluster_size=4k backing=pattern\n"
#define TWO_WRITES IMAGE "aio_write 0 1k\naio_write 1k 1k\naio_flush\nflush\n"

static struct explore_result result;

/* Explore `text`; takes `strategy`. */
static void search(const char *text, enum qcow2_policy policy, struct strategy *strategy,
		   const struct explore_options *options)
{
	struct why why = { "" };
	struct workload workload;
	struct world *world = NULL;
	struct world_options world_options = { .policy = policy, .stamps = true };
	ck_assert_int_eq(workload_parse(&workload, "w", text, strlen(text), &why), STATUS_OK);
	ck_assert_int_eq(world_new(&world, &workload, &world_options, &why), STATUS_OK);
	explore_result_release(&result);
	enum status status = explore(world, strategy, options, &result, &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
	world_free(world);
	strategy_free(strategy);
	workload_release(&workload);
}

static const struct explore_options everything = { .models = CRASH_PREFIX | CRASH_TORN,
						   .count_distinct = true };

START_TEST(a_tiny_world_is_searched_completely_and_is_clean)
{
	static const enum qcow2_policy policies[] = { QCOW2_EAGER, QCOW2_DELAYED, QCOW2_CANCEL };
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		search(TWO_WRITES, policies[i], strategy_dfs_new(true), &everything);
		ck_assert(result.complete);
		ck_assert_ptr_null(result.why_incomplete);
		ck_assert_ptr_null(result.complaint);
		ck_assert_uint_gt(result.interleavings, 10);
		ck_assert_uint_gt(result.states, result.interleavings);
		ck_assert_uint_le(result.judged, result.states);
		ck_assert_uint_eq(result.violation_count, 0);
	}
}
END_TEST

/* Pruned runs only exchange independent steps: nothing that a crash can leave may get lost. */
START_TEST(pruning_loses_no_crash_state)
{
	static const enum qcow2_policy policies[] = { QCOW2_EAGER, QCOW2_DELAYED, QCOW2_CANCEL };
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		search(TWO_WRITES, policies[i], strategy_dfs_new(false), &everything);
		uint64_t runs = result.interleavings, distinct = result.distinct;
		ck_assert(result.complete);
		search(TWO_WRITES, policies[i], strategy_dfs_new(true), &everything);
		ck_assert(result.complete);
		ck_assert_uint_eq(result.distinct, distinct);
		ck_assert_uint_le(result.interleavings, runs);
	}
}
END_TEST

/* What the judge takes over from run to run must not change what it says. */
START_TEST(a_shared_beginning_changes_no_count)
{
	struct why why = { "" };
	struct workload workload;
	struct world *world = NULL;
	struct world_options options = { .policy = QCOW2_CANCEL, .stamps = true };
	size_t file_count = 0;
	struct choice choice;
	struct strategy *strategy = strategy_dfs_new(true);
	struct judge *judge = NULL;
	uint64_t states = 0;
	ck_assert_int_eq(workload_parse(&workload, "w", TWO_WRITES, strlen(TWO_WRITES), &why),
			 STATUS_OK);
	ck_assert_int_eq(world_new(&world, &workload, &options, &why), STATUS_OK);
	const struct trace_file *files = world_files(world, &file_count);
	struct judge_options judge_options = { .models = everything.models,
					       .count_distinct = true };
	ck_assert_int_eq(judge_new(&judge, files, file_count, &judge_options, &why), STATUS_OK);
	choice_init(&choice, strategy, NULL);
	struct judge_report report = { 0 };
	while (choice_begin(&choice)) {
		enum run_end end = world_run(world, &choice);
		choice_end(&choice, end, 0);
		judge_run(judge, world_log(world), 0, &report);
		states += report.counts.states;
	}
	uint64_t distinct = report.counts.distinct;
	judge_free(judge);
	choice_release(&choice);
	strategy_free(strategy);
	world_free(world);
	workload_release(&workload);
	search(TWO_WRITES, QCOW2_CANCEL, strategy_dfs_new(true), &everything);
	ck_assert_uint_eq(result.states, states);
	ck_assert_uint_eq(result.distinct, distinct);
	ck_assert_uint_lt(result.judged, result.states);
}
END_TEST

START_TEST(a_bound_that_cuts_the_search_is_told)
{
	struct explore_options options = everything;
	options.budget.runs = 5;
	search(TWO_WRITES, QCOW2_EAGER, strategy_dfs_new(true), &options);
	ck_assert(!result.complete);
	ck_assert_uint_eq(result.interleavings, 5);
	ck_assert_str_eq(result.why_incomplete, "the budget of runs ended");
	options.budget = (struct budget){ .states = 20 };
	search(TWO_WRITES, QCOW2_EAGER, strategy_dfs_new(true), &options);
	ck_assert(!result.complete);
	ck_assert_str_eq(result.why_incomplete, "the budget of crash states ended");
	options.budget = (struct budget){ .seconds = 1e-9 };
	search(TWO_WRITES, QCOW2_EAGER, strategy_dfs_new(true), &options);
	ck_assert(!result.complete);
	ck_assert_str_eq(result.why_incomplete, "the budget of time ended");
}
END_TEST

START_TEST(equal_seeds_give_equal_random_searches_that_are_never_complete)
{
	search(TWO_WRITES, QCOW2_CANCEL, strategy_random_new(42, 30), &everything);
	uint64_t states = result.states, distinct = result.distinct;
	ck_assert_uint_eq(result.interleavings, 30);
	ck_assert(!result.complete);
	search(TWO_WRITES, QCOW2_CANCEL, strategy_random_new(42, 30), &everything);
	ck_assert_uint_eq(result.states, states);
	ck_assert_uint_eq(result.distinct, distinct);
}
END_TEST

START_TEST(every_run_is_the_same_when_run_twice)
{
	search(TWO_WRITES, QCOW2_CANCEL, strategy_twice_new(strategy_dfs_new(true)), &everything);
	ck_assert_ptr_null(result.complaint);
	ck_assert(result.complete);
}
END_TEST

START_TEST(a_violation_is_kept_once_with_the_schedule_that_shows_it)
{
	known_bugs_disable();
	bugs_enable("no-rwlock");
	search(TWO_WRITES, QCOW2_CANCEL, strategy_dfs_new(true), &everything);
	ck_assert_uint_gt(result.violation_count, 0);
	for (size_t i = 0; i < result.violation_count; i++) {
		const struct violation *violation = &result.violations[i];
		ck_assert_int_eq(strncmp(violation->schedule, "s1:", 3), 0);
		ck_assert_uint_ge(violation->run, 1);
		ck_assert_uint_ge(violation->times, 1);
		for (size_t k = 0; k < i; k++)
			ck_assert(violation->verdict.rule != result.violations[k].verdict.rule ||
				  violation->verdict.severity !=
					  result.violations[k].verdict.severity ||
				  violation->verdict.guest_offset !=
					  result.violations[k].verdict.guest_offset ||
				  violation->verdict.guest_offset == NOWHERE);
	}
	struct schedule schedule;
	schedule_init(&schedule);
	ck_assert_int_eq(schedule_parse(&schedule, result.violations[0].schedule, NULL), STATUS_OK);
	enum rule rule = result.violations[0].verdict.rule;
	search(TWO_WRITES, QCOW2_CANCEL, strategy_replay_new(&schedule), &everything);
	ck_assert_uint_gt(result.violation_count, 0);
	ck_assert_int_eq(result.violations[0].verdict.rule, rule);
	schedule_release(&schedule);
	struct explore_options first = everything;
	first.stop_after = 1;
	search(TWO_WRITES, QCOW2_CANCEL, strategy_dfs_new(true), &first);
	ck_assert(!result.complete);
	ck_assert_str_eq(result.why_incomplete, "stopped at a violation");
	known_bugs_disable();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("explore");
	TCase *tests = tcase_create("explore");
	suite_add_tcase(suite, tests);
	tcase_set_timeout(tests, 100);
	tcase_add_test(tests, a_tiny_world_is_searched_completely_and_is_clean);
	tcase_add_test(tests, pruning_loses_no_crash_state);
	tcase_add_test(tests, a_shared_beginning_changes_no_count);
	tcase_add_test(tests, a_bound_that_cuts_the_search_is_told);
	tcase_add_test(tests, equal_seeds_give_equal_random_searches_that_are_never_complete);
	tcase_add_test(tests, every_run_is_the_same_when_run_twice);
	tcase_add_test(tests, a_violation_is_kept_once_with_the_schedule_that_shows_it);
	int status = run_suite(suite);
	explore_result_release(&result);
	return status;
}
