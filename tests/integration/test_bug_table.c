// SPDX-License-Identifier: MIT
/* The table of known bugs in tests/README.md: the weakest model that shows each, how soon the
 * reduction finds it, and in how many classes. `test_bug_table --print` prints it; without
 * arguments the committed one must be equal.
 */
#include "tests/integration/page.h"
#include "tests/integration/shipped.h"

#include "engine/qcow2/known_bugs.h"
#include "injector/fault_point.h"
#include "tests/run_suite.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROW_BYTES = 192 };

static void search(const struct known_bug *bug, struct explore_result *result)
{
	const struct bug_search wanted = { .bug = bug,
					   .models = shipped_models(),
					   .with_faults = true,
					   .points = SCHED_POINTS_ALL };
	shipped_search_bug(&wanted, result);
}

/* The run that shows the rule first; 0: none does, or a repair does (`*found` tells). */
static uint64_t first_run(const struct explore_result *result, const char *rule, bool *found)
{
	uint64_t first = 0;
	*found = false;
	for (size_t i = 0; i < result->violation_count; i++) {
		const struct violation *violation = &result->violations[i];
		if (strcmp(rule_name(violation->verdict.rule), rule) != 0)
			continue;
		if (!*found || violation->run < first)
			first = violation->run;
		*found = true;
	}
	return first;
}

/* A row of the table: what is known beforehand, the number of the run that found it, how long it
 * all took. The number of a bug that this judge cannot see is not known. */
struct row {
	char head[ROW_BYTES], found[ROW_BYTES], tail[ROW_BYTES];
	bool has_found;
};

enum { ROWS_MAX = 128 };

static struct row rows[ROWS_MAX];
static size_t row_count;

/* Returns whether it was found, if it could be. */
static bool add_row(const struct known_bug *bug, const struct explore_result *result)
{
	bool found;
	uint64_t first = first_run(result, bug->rule, &found);
	struct row *row = &rows[row_count++];
	const char *weakest_rule = bug->weakest_rule;
	ck_assert_uint_le(row_count, ROWS_MAX);
	row->has_found = shipped_can_show(bug);
	snprintf(row->head, ROW_BYTES, "| `%s` | `%s` | `%s` | %s%s%s%s | ", bug->name,
		 bug->workload, bug->rule, bug_model_name(bug->weakest),
		 weakest_rule ? " by `" : "", weakest_rule ? weakest_rule : "",
		 weakest_rule ? "`" : "");
	if (found && first == 0)
		snprintf(row->found, ROW_BYTES, "in repair");
	else
		snprintf(row->found, ROW_BYTES, "%" PRIu64, first);
	snprintf(row->tail, ROW_BYTES, " | %" PRIu64 " | %" PRIu64 " |\n",
		 result->interleavings + result->pruned, result->classes);
	return found || !row->has_found;
}

static const char table_head[] =
	"| bug | workload | rule | weakest model | found in execution | executions | classes |\n"
	"| --- | --- | --- | --- | --- | --- | --- |\n";

/* False when a search is not complete, repeats a class, or does not find the bug. */
static bool make_table(void)
{
	bool is_good = true;
	uint64_t all_runs = 0, all_classes = 0;
	for (size_t i = 0; i < known_bug_count(); i++) {
		const struct known_bug *bug = known_bug_at(i);
		struct explore_result result;
		search(bug, &result);
		is_good &= add_row(bug, &result);
		is_good &= result.complete && result.duplicates == 0;
		all_runs += result.interleavings + result.pruned;
		all_classes += result.classes;
		explore_result_release(&result);
	}
	struct row *all = &rows[row_count++];
	*all = (struct row){ .head = "| all | | | | | ", .has_found = true };
	snprintf(all->tail, ROW_BYTES, "%" PRIu64 " | %" PRIu64 " |\n", all_runs, all_classes);
	return is_good;
}

static void print_table(void)
{
	fputs(table_head, stdout);
	for (size_t i = 0; i < row_count; i++)
		printf("%s%s%s", rows[i].head, rows[i].has_found ? rows[i].found : "?",
		       rows[i].tail);
}

/* Take `text` off the beginning of `*page`. */
static void expect(const char **page, const char *text)
{
	ck_assert_msg(strncmp(*page, text, strlen(text)) == 0,
		      "tests/README.md: '%s' is not what stands there: '%.120s'", text, *page);
	*page += strlen(text);
}

static void compare_table(const char *page)
{
	const char *at = strstr(page, table_head);
	ck_assert_msg(at, "tests/README.md has no table with this head:\n%s", table_head);
	at += strlen(table_head);
	for (size_t i = 0; i < row_count; i++) {
		expect(&at, rows[i].head);
		if (rows[i].has_found) {
			expect(&at, rows[i].found);
		} else {
			printf("%s: when it is found is not compared: not by this judge\n",
			       rows[i].head);
			at += strcspn(at, " ");
		}
		expect(&at, rows[i].tail);
	}
}

/* Asked to print instead of to compare. */
static bool prints;

START_TEST(the_committed_table_is_what_the_reduction_does)
{
	ck_assert(make_table());
	if (prints) {
		print_table();
		return;
	}
	char *page = page_read(TESTS_README);
	compare_table(page);
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
