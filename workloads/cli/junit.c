// SPDX-License-Identifier: MIT
#include "workloads/cli/markup.h"
#include "workloads/cli/output.h"
#include "workloads/cli/results.h"

#include <stdio.h>

static void put_attribute(FILE *file, const char *name, const char *text)
{
	fprintf(file, " %s=\"", name);
	markup_text(file, text);
	fputc('"', file);
}

static void put_message(FILE *file, const char *element, const char *message)
{
	fprintf(file, "    <%s", element);
	put_attribute(file, "message", message);
	fputs("/>\n", file);
}

static void put_case(FILE *file, const char *suite, const struct result_case *test)
{
	fputs("  <testcase", file);
	put_attribute(file, "classname", suite);
	put_attribute(file, "name", test->name);
	fprintf(file, " time=\"%.3f\">\n", test->seconds);
	if (test->error)
		put_message(file, "error", test->error);
	else if (test->skipped && !test->failure_count)
		put_message(file, "skipped", test->skipped);
	for (size_t i = 0; i < test->failure_count; i++) {
		const struct result_failure *failure = &test->failures[i];
		fputs("    <failure", file);
		put_attribute(file, "type", failure->type);
		put_attribute(file, "message", failure->message);
		fputc('>', file);
		markup_text(file, failure->text ? failure->text : "");
		fputs("</failure>\n", file);
	}
	fputs("  </testcase>\n", file);
}

enum status junit_write(const char *path, const char *suite, const struct result_case *cases,
			size_t case_count, struct why *why)
{
	struct output output;
	size_t failures = 0, errors = 0, skipped = 0;
	for (size_t i = 0; i < case_count; i++) {
		failures += cases[i].failure_count != 0;
		errors += cases[i].error != NULL;
		skipped += cases[i].skipped && !cases[i].failure_count && !cases[i].error;
	}
	enum status status = output_begin(&output, path, why);
	if (status != STATUS_OK)
		return status;
	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite", output.file);
	put_attribute(output.file, "name", suite);
	fprintf(output.file, " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\">\n",
		case_count, failures, errors, skipped);
	for (size_t i = 0; i < case_count; i++)
		put_case(output.file, suite, &cases[i]);
	fputs("</testsuite>\n", output.file);
	return output_finish(&output, why);
}
