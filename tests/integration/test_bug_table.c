// SPDX-License-Identifier: MIT
/* The table of known bugs in tests/README.md: how soon the reduction finds each, and in how many
 * classes. `test_bug_table --print` prints it; without arguments the committed one must be equal.
 */
#include "tests/integration/shipped.h"

#include "engine/qcow2/known_bugs.h"
#include "injector/fault_point.h"
#include "tests/run_suite.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE_BYTES = 16384 };

static void search(const struct known_bug *bug, struct explore_result *result)
{
	const struct world_options options = { .policy = QCOW2_CANCEL,
					       .points = SCHED_POINTS_ALL,
					       .stamps = true };
	const struct explore_options wanted = { .models = CRASH_PREFIX | CRASH_TORN };
	struct recovery_counts counts;
	struct shipped shipped;
	known_bug_enable(bug->name);
	shipped_open(&shipped, bug->workload, &options);
	if (strcmp(bug->rule, rule_name(RULE_REPAIR_CONVERGES)) == 0)
		shipped_explore_and_recover(&shipped, &wanted, result, &counts, NULL);
	else
		shipped_explore(&shipped, &wanted, result);
	shipped_close(&shipped);
	known_bugs_disable();
}

/* In which execution the rule is first shown broken; false: in none. */
static bool print_first(char *text, size_t text_bytes, const struct explore_result *result,
			const char *rule)
{
	const struct violation *first = NULL;
	for (size_t i = 0; i < result->violation_count; i++) {
		const struct violation *violation = &result->violations[i];
		if (strcmp(rule_name(violation->verdict.rule), rule) == 0 &&
		    (!first || violation->run < first->run))
			first = violation;
	}
	if (first && first->run == 0)
		snprintf(text, text_bytes, "recovery");
	else
		snprintf(text, text_bytes, "%" PRIu64, first ? first->run : 0);
	return first != NULL;
}

/* False when a search is not complete, repeats a class, or does not find the bug. */
static bool print_table(char *table)
{
	bool is_good = true;
	uint64_t all_runs = 0, all_classes = 0;
	size_t used = (size_t)snprintf(
		table, TABLE_BYTES,
		"| bug | workload | rule | found in execution | executions | classes |\n"
		"| --- | --- | --- | --- | --- | --- |\n");
	for (size_t i = 0; i < known_bug_count(); i++) {
		const struct known_bug *bug = known_bug_at(i);
		struct explore_result result;
		search(bug, &result);
		uint64_t runs = result.interleavings + result.pruned;
		char first[24];
		is_good &= print_first(first, sizeof(first), &result, bug->rule);
		is_good &= result.complete && result.duplicates == 0;
		used += (size_t)snprintf(
			table + used, TABLE_BYTES - used,
			"| `%s` | `%s` | `%s` | %s | %" PRIu64 " | %" PRIu64 " |\n", bug->name,
			bug->workload, bug->rule, first, runs, result.classes);
		all_runs += runs;
		all_classes += result.classes;
		explore_result_release(&result);
	}
	snprintf(table + used, TABLE_BYTES - used, "| all | | | | %" PRIu64 " | %" PRIu64 " |\n",
		 all_runs, all_classes);
	return is_good;
}

static char *read_page(const char *path)
{
	FILE *file = fopen(path, "r");
	ck_assert_ptr_nonnull(file);
	char *text = calloc(1, 1 << 20);
	ck_assert_ptr_nonnull(text);
	ck_assert_uint_lt(fread(text, 1, (1 << 20) - 1, file), (1 << 20) - 1);
	fclose(file);
	return text;
}

/* Asked to print instead of to compare. */
static bool prints;

START_TEST(the_committed_table_is_what_the_reduction_does)
{
	static char table[TABLE_BYTES];
	ck_assert(print_table(table));
	if (prints) {
		fputs(table, stdout);
		return;
	}
	char *page = read_page(TESTS_README);
	ck_assert_msg(strstr(page, table), "tests/README.md has another table than this:\n%s",
		      table);
	free(page);
}
END_TEST

int main(int argc, char **argv)
{
	prints = argc == 2 && strcmp(argv[1], "--print") == 0;
	fault_point_init();
	Suite *suite = suite_create("bug_table");
	TCase *tests = tcase_create("bug_table");
	tcase_set_timeout(tests, 300);
	tcase_add_test(tests, the_committed_table_is_what_the_reduction_does);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
