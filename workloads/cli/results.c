// SPDX-License-Identifier: MIT
#include "workloads/cli/results.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A text as a YAML scalar in double quotes. */
static void put_yaml(const char *text)
{
	putchar('"');
	for (; *text; text++)
		switch (*text) {
		case '"':
		case '\\': printf("\\%c", *text); break;
		case '\n': fputs("\\n", stdout); break;
		default: putchar(*text >= ' ' && *text <= '~' ? *text : '?'); break;
		}
	putchar('"');
}

/* What follows " - " in a test line: a '#' would begin a directive. */
static void put_name(const char *text)
{
	for (; *text; text++)
		putchar(*text == '#' || *text < ' ' ? '_' : *text);
}

static void put_failures(const struct result_case *test)
{
	puts("  ---");
	if (test->error) {
		fputs("  message: ", stdout);
		put_yaml(test->error);
		putchar('\n');
	}
	if (test->failure_count)
		puts("  violations:");
	for (size_t i = 0; i < test->failure_count; i++) {
		fputs("    - rule: ", stdout);
		put_yaml(test->failures[i].type);
		fputs("\n      message: ", stdout);
		put_yaml(test->failures[i].message);
		putchar('\n');
	}
	puts("  ...");
}

static void print_tap(const struct result_case *cases, size_t case_count)
{
	printf("TAP version 13\n1..%zu\n", case_count);
	for (size_t i = 0; i < case_count; i++) {
		const struct result_case *test = &cases[i];
		bool is_bad = test->error || test->failure_count;
		printf("%s %zu - ", is_bad ? "not ok" : "ok", i + 1);
		put_name(test->name);
		if (!is_bad && test->skipped) {
			fputs(" # SKIP ", stdout);
			put_name(test->skipped);
		}
		putchar('\n');
		if (is_bad)
			put_failures(test);
	}
}

/* Data of a workflow command; in a property commas and colons are separators, too. */
static void put_command_text(const char *text, bool is_property)
{
	for (; *text; text++)
		if (*text == '%' || *text == '\r' || *text == '\n' ||
		    (is_property && (*text == ':' || *text == ',')))
			fprintf(stderr, "%%%02X", (unsigned)*text);
		else
			fputc(*text, stderr);
}

static void annotate(const char *level, const struct result_case *test, const char *title,
		     const char *message)
{
	fprintf(stderr, "::%s ", level);
	if (test->file) {
		fputs("file=", stderr);
		put_command_text(test->file, true);
		fputc(',', stderr);
	}
	fputs("title=", stderr);
	put_command_text(title, true);
	fputs("::", stderr);
	put_command_text(test->name, false);
	fputs(": ", stderr);
	put_command_text(message, false);
	fputc('\n', stderr);
}

static void print_annotations(const struct result_case *cases, size_t case_count)
{
	for (size_t i = 0; i < case_count; i++) {
		const struct result_case *test = &cases[i];
		for (size_t k = 0; k < test->failure_count; k++)
			annotate("error", test, test->failures[k].type, test->failures[k].message);
		if (test->error)
			annotate("error", test, "cowtip", test->error);
		else if (test->skipped && !test->failure_count)
			annotate("warning", test, "not complete", test->skipped);
	}
}

enum status results_write(const struct options *options, const char *suite,
			  const struct result_case *cases, size_t case_count, struct why *why)
{
	const char *actions = getenv("GITHUB_ACTIONS");
	if (options->tap)
		print_tap(cases, case_count);
	if (actions && strcmp(actions, "true") == 0)
		print_annotations(cases, case_count);
	if (!options->junit)
		return STATUS_OK;
	return junit_write(options->junit, suite, cases, case_count, why);
}
