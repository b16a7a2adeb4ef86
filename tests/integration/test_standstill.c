// SPDX-License-Identifier: MIT
/* The known bugs that make a run stand still: does the report name what is asleep, and why? */
#include "injector/fault_point.h"
#include "tests/integration/shipped.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *bug, *workload;
	const char *clauses[3]; /* in this order; NULL: no more */
} cases[] = {
	{ "late-child",
	  "late-child",
	  { "lost wake-up: task", "'child' is parked on 'kick of allocation' 2 since step",
	    "'l2meta' waits for write-lock 'children of allocation' 1 held by readers" } },
	{ "kick-not-up",
	  "rewrite-child",
	  { "lost wake-up: task 2 'l2meta' is parked on 'kick of allocation' 1 since step",
	    "'child' waits for queue 'link of allocation' 1 since step",
	    "task 1 'script' waits for queue 'allocation' 2 held by task 3 'child'" } },
	{ "kick-not-down",
	  "rewrite-parent",
	  { "lost wake-up: task 3 'child' is parked on 'kick of allocation' 2 since step",
	    "task 2 'l2meta' waits for write-lock 'children of allocation' 1 held by readers",
	    "task 1 'script' waits for queue 'allocation' 1 held by task 2 'l2meta'" } },
	{ "leak-hold",
	  "child-fails",
	  { "lost wake-up: task 2 'l2meta' waits for write-lock 'children of allocation' 1 "
	    "held by readers since step",
	    "task 1 'script' waits for queue 'allocation' 1 held by task 2 'l2meta'" } },
	{ "unlock-yield", "late-child", { "'child': assertion 'is_live(queue)' failed" } },
};
enum { CASES = sizeof(cases) / sizeof(cases[0]) };

static const char *find_progress(const struct explore_result *result)
{
	for (size_t i = 0; i < result->violation_count; i++)
		if (result->violations[i].verdict.rule == RULE_PROGRESS)
			return result->violations[i].verdict.message;
	return "";
}

START_TEST(the_report_names_the_sleeper_and_its_queue_before_those_behind)
{
	const struct world_options options = { .policy = QCOW2_CANCEL, .stamps = true };
	const struct explore_options bounds = { .models = CRASH_PREFIX, .budget.runs = 3000 };
	struct explore_result result;
	struct shipped shipped;
	known_bug_enable(cases[_i].bug);
	shipped_open(&shipped, cases[_i].workload, &options);
	shipped_explore(&shipped, &bounds, &result);
	const char *message = find_progress(&result);
	printf("%s: %s\n", cases[_i].bug, message);
	const char *at = message;
	for (size_t i = 0; i < 3 && cases[_i].clauses[i]; i++) {
		at = strstr(at, cases[_i].clauses[i]);
		ck_assert_msg(at, "%s: no \"%s\" in \"%s\"", cases[_i].bug, cases[_i].clauses[i],
			      message);
	}
	explore_result_release(&result);
	shipped_close(&shipped);
	known_bugs_disable();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("standstill");
	TCase *tcase = tcase_create("known bugs");
	tcase_set_timeout(tcase, 300);
	tcase_add_loop_test(tcase, the_report_names_the_sleeper_and_its_queue_before_those_behind,
			    0, CASES);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
