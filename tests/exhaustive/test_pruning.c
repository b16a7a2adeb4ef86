// SPDX-License-Identifier: MIT
/* Pruning against the plain walk, over every shipped world that the plain walk can finish here, and
 * over the same worlds with each known bug that they show: the crash states and what is found must
 * be the same sets. */
#include "engine/qcow2/known_bugs.h"
#include "injector/fault_point.h"
#include "tests/run_suite.h"
#include "workloads/bugs.h"
#include "workloads/explore.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS_MAX = 3000, WORLDS_MIN = 12, BUGS_MIN = 10, FOUND_BYTES = 16384 };

/** What a search says, comparable. */
struct outcome {
	bool complete;
	uint64_t interleavings, distinct;
	char found[FOUND_BYTES]; /* rule and place of each violation, sorted */
};

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* The set of what was found. Messages may name other requests in an equivalent order; rule and
 * place may not differ. */
static void list_violations(struct outcome *outcome, const struct explore_result *result)
{
	enum { LINE_BYTES = 160 };
	char(*lines)[LINE_BYTES] = calloc(result->violation_count + 1, LINE_BYTES);
	for (size_t i = 0; i < result->violation_count; i++) {
		const struct verdict *verdict = &result->violations[i].verdict;
		snprintf(lines[i], LINE_BYTES, "%s %s guest %llx host %llx\n",
			 rule_name(verdict->rule), severity_name(verdict->severity),
			 (unsigned long long)verdict->guest_offset,
			 (unsigned long long)verdict->host_offset);
	}
	qsort(lines, result->violation_count, LINE_BYTES, by_text);
	for (size_t i = 0; i < result->violation_count; i++)
		strncat(outcome->found, lines[i], FOUND_BYTES - strlen(outcome->found) - 1);
	free(lines);
}

static void search(struct outcome *outcome, const struct workload *workload, bool prune)
{
	struct why why = { "" };
	struct world *world;
	struct world_options options = { .policy = QCOW2_CANCEL,
					 .stamps = true,
					 .faults_max = workload->faults,
					 .fault_points = workload->fault_points };
	struct explore_options everything = { .models = CRASH_PREFIX | CRASH_TORN,
					      .budget.runs = RUNS_MAX,
					      .count_distinct = true };
	struct explore_result result;
	ck_assert_msg(world_new(&world, workload, &options, &why) == STATUS_OK, "%s", why.text);
	struct strategy *strategy = strategy_dfs_new(prune);
	enum status status = explore(world, strategy, &everything, &result, &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
	memset(outcome, 0, sizeof(*outcome));
	outcome->complete = result.complete;
	outcome->interleavings = result.interleavings;
	outcome->distinct = result.distinct;
	list_violations(outcome, &result);
	explore_result_release(&result);
	strategy_free(strategy);
	world_free(world);
}

/* Returns whether both finished. */
static bool compare(const struct workload *workload, const char *bug)
{
	static struct outcome plain, pruned;
	if (bug)
		bugs_enable(bug);
	search(&plain, workload, false);
	search(&pruned, workload, true);
	known_bugs_disable();
	if (!plain.complete)
		return false;
	ck_assert_msg(pruned.complete, "%s, bug %s", workload->name, bug ? bug : "none");
	ck_assert_uint_le(pruned.interleavings, plain.interleavings);
	ck_assert_msg(plain.distinct == pruned.distinct,
		      "%s, bug %s: %llu crash states, pruned %llu", workload->name,
		      bug ? bug : "none", (unsigned long long)plain.distinct,
		      (unsigned long long)pruned.distinct);
	ck_assert_msg(strcmp(plain.found, pruned.found) == 0, "%s, bug %s: found\n%spruned\n%s",
		      workload->name, bug ? bug : "none", plain.found, pruned.found);
	return true;
}

static void load(struct workload *workload, const struct shipped_workload *shipped)
{
	struct why why = { "" };
	enum status status =
		workload_parse(workload, shipped->name, shipped->text, strlen(shipped->text), &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
}

START_TEST(pruning_loses_no_crash_state_of_the_shipped_worlds)
{
	int compared = 0;
	for (size_t i = 0; workload_shipped(i); i++) {
		struct workload workload;
		load(&workload, workload_shipped(i));
		compared += compare(&workload, NULL);
		workload_release(&workload);
	}
	printf("%d worlds compared\n", compared);
	ck_assert_int_ge(compared, WORLDS_MIN);
}
END_TEST

START_TEST(pruning_loses_no_violation_of_a_known_bug)
{
	int compared = 0;
	for (size_t i = 0; i < known_bug_count(); i++) {
		const struct known_bug *bug = known_bug_at(i);
		for (size_t j = 0; workload_shipped(j); j++) {
			struct workload workload;
			if (strcmp(workload_shipped(j)->name, bug->workload) != 0)
				continue;
			load(&workload, workload_shipped(j));
			compared += compare(&workload, bug->name);
			workload_release(&workload);
		}
	}
	printf("%d bugs compared\n", compared);
	ck_assert_int_ge(compared, BUGS_MIN);
}
END_TEST

int main(void)
{
	fault_point_init();
	Suite *suite = suite_create("pruning");
	TCase *worlds = tcase_create("worlds");
	tcase_set_timeout(worlds, 300);
	tcase_add_test(worlds, pruning_loses_no_crash_state_of_the_shipped_worlds);
	tcase_add_test(worlds, pruning_loses_no_violation_of_a_known_bug);
	suite_add_tcase(suite, worlds);
	return run_suite(suite);
}
