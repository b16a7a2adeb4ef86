// SPDX-License-Identifier: MIT
#include "tests/run_suite.h"
#include "workloads/explore.h"

#include <check.h>
#include <string.h>

START_TEST(each_unit_sets_its_own_bound)
{
	struct budget budget = { 0 };
	ck_assert_int_eq(budget_parse(&budget, "60s", NULL), STATUS_OK);
	ck_assert_int_eq(budget_parse(&budget, "10000runs", NULL), STATUS_OK);
	ck_assert_int_eq(budget_parse(&budget, "1e9states", NULL), STATUS_OK);
	ck_assert_double_eq(budget.seconds, 60);
	ck_assert_uint_eq(budget.runs, 10000);
	ck_assert_uint_eq(budget.states, 1000000000);
	ck_assert_int_eq(budget_parse(&budget, "1.5m", NULL), STATUS_OK);
	ck_assert_double_eq(budget.seconds, 90);
	ck_assert_int_eq(budget_parse(&budget, "0.25h", NULL), STATUS_OK);
	ck_assert_double_eq(budget.seconds, 900);
}
END_TEST

START_TEST(what_is_no_budget_is_refused)
{
	static const char *const bad[] = {
		"",      "60",      "s",        "-1s",
		"0s",    "1.5runs", "1e30runs", "10 runs",
		"1e",    "nans",    "infs",     "1s2",
		"0x10s", "1e1e1s",  "1..5s",    "99999999999999999999999999999999999999s",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct budget budget = { 1, 2, 3 };
		struct why why = { "" };
		ck_assert_msg(budget_parse(&budget, bad[i], &why) == STATUS_USAGE, "'%s'", bad[i]);
		ck_assert_ptr_nonnull(strstr(why.text, bad[i]));
		ck_assert_double_eq(budget.seconds, 1);
		ck_assert_uint_eq(budget.runs, 2);
		ck_assert_uint_eq(budget.states, 3);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("budget");
	TCase *tests = tcase_create("budget");
	suite_add_tcase(suite, tests);
	tcase_add_test(tests, each_unit_sets_its_own_bound);
	tcase_add_test(tests, what_is_no_budget_is_refused);
	return run_suite(suite);
}
