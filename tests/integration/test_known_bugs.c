// SPDX-License-Identifier: MIT
/* Does the oracle see? Each known bug, switched on, must be found by the rule it names in the
 * workload it names; with all of them off nothing may be found, whatever the policy.
 *
 * A build with sanitizers is some ten times slower: there the largest searches are cut after a
 * number of runs (never of seconds: the outcome must not depend on the machine), and the output
 * says which. */
#include "tests/integration/shipped.h"

#include "engine/qcow2/known_bugs.h"
#include "injector/fault_point.h"
#include "tests/run_suite.h"
#include "workloads/bugs.h"

#include <check.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	RUNS_MAX_SLOW = 3000,
	RUNS_2012 = 2000,
	FINDERS_2012 = 15, /* of the workloads, at least, find one of the proposal's bugs */
};

static const struct explore_options everything = { .models = CRASH_PREFIX | CRASH_TORN };

static struct explore_options within_bounds(void)
{
	struct explore_options options = everything;
	if (shipped_is_slow_build())
		options.budget.runs = RUNS_MAX_SLOW;
	return options;
}

static const struct violation *find_rule(const struct explore_result *result, const char *rule)
{
	for (size_t i = 0; i < result->violation_count; i++)
		if (strcmp(rule_name(result->violations[i].verdict.rule), rule) == 0)
			return &result->violations[i];
	return NULL;
}

/* False, with the reason printed, when the judge lacks the crash model that shows the bug. */
static bool can_show(const struct known_bug *bug)
{
	if (shipped_can_show(bug))
		return true;
	printf("%-20s %-24s skipped: this judge does not know the crash model '%s'\n", bug->name,
	       bug->workload, bug_model_name(bug->weakest));
	return false;
}

static uint64_t runs_max(void)
{
	return shipped_is_slow_build() ? RUNS_MAX_SLOW : 0;
}

START_TEST(each_known_bug_is_found_by_the_rule_it_names)
{
	const struct known_bug *bug = known_bug_at((size_t)_i);
	const struct bug_search search = {
		.bug = bug, .models = shipped_models(), .with_faults = true, .runs_max = runs_max()
	};
	struct explore_result result;
	if (!can_show(bug))
		return;
	shipped_search_bug(&search, &result);
	const struct violation *found = find_rule(&result, bug->rule);
	printf("%-20s %-24s %6" PRIu64 " runs%s: %s\n", bug->name, bug->workload,
	       result.interleavings, result.complete ? "" : " (cut)",
	       found ? found->verdict.message : "not found");
	ck_assert_ptr_null(result.complaint);
	ck_assert_msg(found, "%s does not break %s in %s: %zu other violations, the first: %s",
		      bug->name, bug->rule, bug->workload, result.violation_count,
		      result.violation_count ? result.violations[0].verdict.message : "none");
	explore_result_release(&result);
}
END_TEST

/* What must show a bug, and what must not. */
struct model_test {
	struct bug_search weaker; /* no model: there is none */
	struct bug_search weakest;
	unsigned shown_as; /* the model that the verdict must name; UINT_MAX: any */
	bool only_none;    /* in the weaker search, verdicts without a crash are what must not be */
};

static struct model_test model_test_of(const struct known_bug *bug)
{
	const struct bug_search search = { .bug = bug, .runs_max = runs_max() };
	struct model_test test = { .weaker = search, .weakest = search, .shown_as = UINT_MAX };
	const unsigned torn = CRASH_PREFIX | CRASH_TORN;
	switch (bug->weakest) {
	case BUG_MODEL_NONE:
		test.weakest.models = CRASH_PREFIX;
		test.shown_as = CRASH_NONE;
		break;
	case BUG_MODEL_PREFIX:
		test.weaker.models = test.weakest.models = CRASH_PREFIX;
		test.only_none = true;
		test.shown_as = CRASH_PREFIX;
		break;
	case BUG_MODEL_TORN:
		test.weaker.models = CRASH_PREFIX;
		test.weakest.models = torn;
		test.shown_as = CRASH_TORN;
		break;
	case BUG_MODEL_REORDER:
		test.weaker.models = torn;
		test.weakest.models = shipped_models();
		test.shown_as = shipped_models() & ~torn;
		break;
	case BUG_MODEL_FAULT:
	case BUG_MODEL_RECOVERY:
		test.weaker.models = test.weakest.models = shipped_models();
		test.weakest.with_faults = true;
		test.weakest.repairs_in_order = true;
		break;
	case BUG_MODEL_RECOVERY_REORDER:
		test.weaker.models = shipped_models();
		test.weaker.repairs_in_order = true;
		test.weakest.models = CRASH_PREFIX;
		break;
	}
	return test;
}

/* What breaks a rule in a model weaker than the one that the bug needs. A bug of the repair may
 * show as a repair that does not converge, whatever the crash before it. */
static const struct violation *find_weaker(const struct explore_result *result,
					   const struct model_test *test)
{
	for (size_t i = 0; i < result->violation_count; i++) {
		const struct verdict *verdict = &result->violations[i].verdict;
		bool is_repair = test->weaker.bug->weakest == BUG_MODEL_RECOVERY &&
				 strcmp(rule_name(verdict->rule), "repair-converges") == 0;
		if (!is_repair && (!test->only_none || verdict->model == CRASH_NONE))
			return &result->violations[i];
	}
	return NULL;
}

static bool is_shown(const struct explore_result *result, const char *rule, unsigned model)
{
	for (size_t i = 0; i < result->violation_count; i++) {
		const struct verdict *verdict = &result->violations[i].verdict;
		if (strcmp(rule_name(verdict->rule), rule) == 0 &&
		    (model == UINT_MAX || verdict->model == model))
			return true;
	}
	return false;
}

START_TEST(each_known_bug_needs_the_model_it_names)
{
	const struct known_bug *bug = known_bug_at((size_t)_i);
	const struct model_test test = model_test_of(bug);
	const char *rule = bug->weakest_rule ? bug->weakest_rule : bug->rule;
	struct explore_result result;
	if (test.weaker.models != 0) {
		shipped_search_bug(&test.weaker, &result);
		const struct violation *weaker = find_weaker(&result, &test);
		ck_assert_msg(!weaker, "%s needs %s, but without: %s: %s", bug->name,
			      bug_model_name(bug->weakest),
			      weaker ? rule_name(weaker->verdict.rule) : "",
			      weaker ? weaker->verdict.message : "");
		explore_result_release(&result);
	}
	if (!can_show(bug))
		return;
	shipped_search_bug(&test.weakest, &result);
	ck_assert_msg(is_shown(&result, rule, test.shown_as), "%s: %s is not broken in model %s",
		      bug->name, rule, bug_model_name(bug->weakest));
	explore_result_release(&result);
}
END_TEST

START_TEST(without_known_bugs_every_shipped_workload_is_clean)
{
	const char *name = workload_shipped((size_t)_i)->name;
	const struct explore_options bounds = within_bounds();
	for (size_t i = 0; i < 3; i++) {
		const struct world_options options = { .policy = shipped_policies[i],
						       .stamps = true };
		struct explore_result result;
		struct shipped shipped;
		shipped_open(&shipped, name, &options);
		shipped_explore(&shipped, &bounds, &result);
		if (!result.complete)
			printf("%s, policy %s: cut after %" PRIu64 " runs (%s)\n", name,
			       qcow2_policy_name(shipped_policies[i]), result.interleavings,
			       result.why_incomplete);
		ck_assert_msg(result.violation_count == 0, "%s, policy %s: %s: %s, schedule %s",
			      name, qcow2_policy_name(shipped_policies[i]),
			      rule_name(result.violations[0].verdict.rule),
			      result.violations[0].verdict.message, result.violations[0].schedule);
		ck_assert_ptr_null(result.complaint);
		ck_assert(result.complete || bounds.budget.runs);
		for (int rule = 0; rule < RULE_COUNT; rule++)
			ck_assert_msg(!result.skipped[rule], "%s: %s was not judged: %s", name,
				      rule_name((enum rule)rule), result.skipped[rule]);
		explore_result_release(&result);
		shipped_close(&shipped);
	}
}
END_TEST

START_TEST(the_bugs_of_2012_show_in_most_of_the_suite)
{
	const struct world_options options = { .policy = QCOW2_CANCEL, .stamps = true };
	struct explore_options bounds = everything;
	size_t finders = 0;
	bounds.budget.runs = RUNS_2012;
	bounds.stop_after = 1;
	bugs_enable("2012");
	for (size_t i = 0; i < shipped_count(); i++) {
		struct explore_result result;
		struct shipped shipped;
		shipped_open(&shipped, workload_shipped(i)->name, &options);
		shipped_explore(&shipped, &bounds, &result);
		finders += result.violation_count > 0;
		explore_result_release(&result);
		shipped_close(&shipped);
	}
	known_bugs_disable();
	printf("2012: found in %zu of %zu workloads\n", finders, shipped_count());
	ck_assert_uint_ge(finders, FINDERS_2012);
}
END_TEST

/* Runs by how they ended. */
struct ends {
	uint64_t of[RUN_DIVERGED + 1];
	uint64_t runs;
};

/* Run everything; each run that comes after a death is repeated in a world of its own, where no
 * task has died: what a death leaves behind must change nothing. */
static void count_ends(const char *name, const struct world_options *options, struct ends *ends)
{
	enum { KEPT_MAX = 64 };
	struct schedule kept[KEPT_MAX];
	uint64_t digests[KEPT_MAX];
	size_t count = 0;
	bool has_died = false;
	struct shipped shipped;
	struct choice choice;
	struct strategy *strategy = strategy_dfs_new(true);
	shipped_open(&shipped, name, options);
	choice_init(&choice, strategy, NULL);
	while (choice_begin(&choice)) {
		enum run_end end = world_run(shipped.world, &choice);
		uint64_t digest = event_log_digest(world_log(shipped.world));
		ends->of[end]++;
		ends->runs++;
		if (has_died && end != RUN_PRUNED && count < KEPT_MAX) {
			schedule_init(&kept[count]);
			schedule_copy(&kept[count], &choice.taken);
			digests[count++] = digest;
		}
		has_died = has_died || end == RUN_DIED;
		choice_end(&choice, end, digest);
	}
	choice_release(&choice);
	strategy_free(strategy);
	shipped_close(&shipped);
	for (size_t i = 0; i < count; i++) {
		shipped_open(&shipped, name, options);
		shipped_replay(&shipped, &kept[i]);
		ck_assert_uint_eq(event_log_digest(world_log(shipped.world)), digests[i]);
		shipped_close(&shipped);
		schedule_release(&kept[i]);
	}
}

START_TEST(a_search_goes_on_after_runs_that_died)
{
	static const struct {
		const char *bug, *workload;
	} deadly[] = { { "kick-any", "rewrite-parent" },
		       { "sync-kick", "kick-finishes" },
		       { "unlock-yield", "late-child" } };
	const struct world_options options = { .policy = QCOW2_CANCEL, .stamps = true };
	struct explore_result result;
	struct shipped shipped;
	struct ends ends = { 0 };
	known_bug_enable(deadly[_i].bug);
	count_ends(deadly[_i].workload, &options, &ends);
	shipped_open(&shipped, deadly[_i].workload, &options);
	shipped_explore(&shipped, &everything, &result);
	printf("%s: %" PRIu64 " runs, %" PRIu64 " died, %" PRIu64 " finished, %" PRIu64 " pruned\n",
	       deadly[_i].bug, ends.runs, ends.of[RUN_DIED], ends.of[RUN_FINISHED],
	       ends.of[RUN_PRUNED]);
	ck_assert(result.complete);
	ck_assert_uint_gt(ends.of[RUN_DIED], 0);
	ck_assert_uint_gt(ends.of[RUN_FINISHED], 0);
	/* The runs were counted with sleep sets, the search branches at races only. */
	ck_assert_uint_le(result.interleavings, ends.runs - ends.of[RUN_PRUNED]);
	const struct violation *found = find_rule(&result, "progress");
	ck_assert_ptr_nonnull(found);
	ck_assert_uint_le(found->times, ends.runs - ends.of[RUN_FINISHED]);
	explore_result_release(&result);
	shipped_close(&shipped);
	known_bugs_disable();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("known bugs");
	TCase *tests = tcase_create("known bugs");
	tcase_set_timeout(tests, 300);
	tcase_add_loop_test(tests, each_known_bug_is_found_by_the_rule_it_names, 0,
			    (int)known_bug_count());
	tcase_add_loop_test(tests, each_known_bug_needs_the_model_it_names, 0,
			    (int)known_bug_count());
	tcase_add_loop_test(tests, without_known_bugs_every_shipped_workload_is_clean, 0,
			    (int)shipped_count());
	tcase_add_test(tests, the_bugs_of_2012_show_in_most_of_the_suite);
	tcase_add_loop_test(tests, a_search_goes_on_after_runs_that_died, 0, 3);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
