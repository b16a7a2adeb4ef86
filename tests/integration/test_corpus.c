// SPDX-License-Identifier: MIT
/* The committed traces: each is what the table in their README says, is judged as recorded, and
 * runs again as recorded; and together they show every known bug that a recording can show, and
 * every crash model.
 *
 * A trace of a foreign program runs again only where that very version is installed. */
#include "tests/integration/corpus_page.h"
#include "tests/integration/page.h"
#include "tests/integration/shell.h"

#include "engine/qcow2/known_bugs.h"
#include "tests/run_suite.h"
#include "workloads/cli/again.h"

#include <check.h>
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRACES_MIN = 30, TRACES_MAX = 256, FOLDER_BYTES_MAX = 200 << 10, LINE_BYTES = 512 };

#define ENDING ".trace.zst"

/* A committed trace, with its line in the table. */
struct committed {
	char name[128]; /* without ending */
	char path[512];
	struct trace trace;
	char row[LINE_BYTES];
};

static struct committed all[TRACES_MAX];
static size_t count;
static char *page;

static int is_trace(const struct dirent *entry)
{
	return strstr(entry->d_name, ENDING) != NULL;
}

static void read_all(void)
{
	struct dirent **entries = NULL;
	int found = scandir(CORPUS, &entries, is_trace, alphasort);
	ck_assert_int_ge(found, TRACES_MIN);
	ck_assert_int_le(found, TRACES_MAX);
	page = page_read(CORPUS "/README.md");
	for (count = 0; count < (size_t)found; count++) {
		struct committed *one = &all[count];
		struct why why = { "" };
		const char *name = entries[count]->d_name;
		snprintf(one->name, sizeof(one->name), "%.*s", (int)(strlen(name) - strlen(ENDING)),
			 name);
		snprintf(one->path, sizeof(one->path), "%s/%.200s", CORPUS, name);
		trace_init(&one->trace);
		ck_assert_msg(trace_read(&one->trace, one->path, &why) == STATUS_OK, "%s",
			      why.text);
		free(entries[count]);
	}
	free(entries);
	shell_enter_folder();
}

static void release_all(void)
{
	for (size_t i = 0; i < count; i++)
		trace_release(&all[i].trace);
	free(page);
	shell_leave_folder();
}

/* ---- the table ---- */

/* Is there a line that begins so? Gives the rest of it. */
static bool find_row(const char *beginning, char rest[LINE_BYTES])
{
	size_t bytes = strlen(beginning);
	for (const char *at = page; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (strncmp(at, beginning, bytes) != 0)
			continue;
		snprintf(rest, LINE_BYTES, "%.*s", (int)strcspn(at + bytes, "\n"), at + bytes);
		return true;
	}
	return false;
}

/* How many rows the table has, its head left out. */
static size_t count_rows(void)
{
	size_t rows = 0;
	for (const char *at = page; (at = strstr(at, "\n| `")); at++)
		rows++;
	return rows;
}

START_TEST(every_trace_is_what_its_line_says)
{
	for (size_t i = 0; i < count; i++) {
		const struct trace *trace = &all[i].trace;
		char beginning[LINE_BYTES], rest[LINE_BYTES], wanted[LINE_BYTES];
		char subject[CORPUS_CELL_BYTES], crash[CORPUS_CELL_BYTES];
		bool is_clean = !trace->finding_count;
		snprintf(beginning, sizeof(beginning), "| `%s` | ", all[i].name);
		ck_assert_msg(find_row(beginning, rest), "%s is not in the table", all[i].name);
		corpus_subject(subject, trace);
		corpus_crash(crash, trace);
		snprintf(wanted, sizeof(wanted), " | %s | %s | %s%s%s | ", subject, crash,
			 is_clean ? "" : "`", is_clean ? "nothing wrong" : trace->findings[0].rule,
			 is_clean ? "" : "`");
		const char *at = strstr(rest, wanted);
		ck_assert_msg(at, "%s: the table says '%s', which lacks '%s'", all[i].name, rest,
			      wanted);
		ck_assert_msg(strlen(at + strlen(wanted)) > 10, "%s: what does it show?",
			      all[i].name);
	}
	ck_assert_msg(count_rows() == count, "%zu lines for %zu traces", count_rows(), count);
}
END_TEST

static bool has_subject(const char *subject)
{
	for (size_t i = 0; i < count; i++) {
		char cell[CORPUS_CELL_BYTES];
		corpus_subject(cell, &all[i].trace);
		if (strcmp(cell, subject) == 0)
			return true;
	}
	return false;
}

/* Is it in the sentence on those whose runs all die? */
static bool is_excused(const char *bug)
{
	char quoted[CORPUS_CELL_BYTES];
	const char *sentence = strstr(page, "none of these bugs, whose runs all die: ");
	ck_assert_ptr_nonnull(sentence);
	snprintf(quoted, sizeof(quoted), "`%s`", bug);
	const char *at = strstr(sentence, quoted);
	return at && at < strstr(sentence, "\n\n");
}

START_TEST(every_known_bug_is_there_or_dies)
{
	for (size_t i = 0; i < known_bug_count(); i++) {
		const char *bug = known_bug_at(i)->name;
		char quoted[CORPUS_CELL_BYTES];
		snprintf(quoted, sizeof(quoted), "`%s`", bug);
		ck_assert_msg(has_subject(quoted) != is_excused(bug),
			      "%s: there is a trace, or the page says why not", bug);
	}
}
END_TEST

START_TEST(every_crash_model_and_subject_is_there)
{
	static const char *const models[] = { "`none`",    "`prefix`", "`torn`",
					      "`reorder`", "`fault`",  "`recovery`" };
	bool has_model[sizeof(models) / sizeof(models[0])] = { false };
	for (size_t i = 0; i < count; i++) {
		char crash[CORPUS_CELL_BYTES];
		corpus_crash(crash, &all[i].trace);
		for (size_t k = 0; k < sizeof(models) / sizeof(models[0]); k++)
			has_model[k] |= strstr(crash, models[k]) != NULL;
	}
	for (size_t k = 0; k < sizeof(models) / sizeof(models[0]); k++)
		ck_assert_msg(has_model[k], "no trace of %s", models[k]);
	ck_assert(has_subject("correct"));
	ck_assert(has_subject("`qemu-io`"));
	ck_assert(has_subject("`qemu-nbd`"));
}
END_TEST

START_TEST(they_are_small_and_name_nothing_of_a_machine)
{
	size_t bytes = 0;
	for (size_t i = 0; i < count; i++) {
		const struct trace *trace = &all[i].trace;
		FILE *file = fopen(all[i].path, "re");
		ck_assert_ptr_nonnull(file);
		ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
		bytes += (size_t)ftell(file);
		fclose(file);
		ck_assert_msg(trace->complete, "%s: cut off", all[i].name);
		ck_assert_msg(trace->module_count == 0 && trace->stack_count == 0,
			      "%s: holds stack labels, which name files of a machine", all[i].name);
		for (size_t k = 0; k < trace->file_count; k++)
			ck_assert_msg(!strchr(trace->files[k].path, '/'), "%s: path '%s'",
				      all[i].name, trace->files[k].path);
		const struct event *last = &trace->log.events[trace->log.count - 1];
		ck_assert_msg(last->kind != EVENT_END || last->op != RUN_DIED, "%s: died",
			      all[i].name);
	}
	printf("%zu committed traces, %zu bytes\n", count, bytes);
	ck_assert_uint_le(bytes, FOLDER_BYTES_MAX);
}
END_TEST

/* ---- judging them ---- */

static bool is_seen(const struct trace_finding *finding)
{
	return strcmp(finding->rule, "repair-converges") != 0;
}

static bool is_judged(const struct judgement *judgement, const struct trace_finding *finding)
{
	for (size_t i = 0; i < judgement->verdict_count; i++) {
		struct trace_finding found;
		again_finding(&found, &judgement->verdicts[i]);
		if (again_same_finding(&found, finding) &&
		    strcmp(found.severity, finding->severity) == 0)
			return true;
	}
	return false;
}

START_TEST(every_finding_is_judged_everywhere)
{
	static const struct options none = { .command = "check" };
	for (size_t i = 0; i < count; i++) {
		struct trace *trace = &all[i].trace;
		struct settings settings = { 0 };
		struct judgement judgement = { 0 };
		struct why why = { "" };
		size_t seen = 0;
		ck_assert_int_eq(settings_from_trace(&settings, trace, &none, &why), STATUS_OK);
		ck_assert_int_eq(again_judge(trace, &settings, &judgement, &why), STATUS_OK);
		for (size_t k = 0; k < trace->finding_count; k++) {
			if (!is_seen(&trace->findings[k]))
				continue;
			seen++;
			ck_assert_msg(is_judged(&judgement, &trace->findings[k]),
				      "%s: %s is not seen any more", all[i].name,
				      trace->findings[k].rule);
		}
		ck_assert_msg(seen || !judgement.verdict_count, "%s: %s was not recorded",
			      all[i].name, judgement.verdicts[0].message);
		int code = shell("'%s' check '%s'", COWTIP, all[i].path);
		ck_assert_msg(code == (seen ? 1 : 0), "%s: check exits with %d: %s", all[i].name,
			      code, shell_output());
		judgement_release(&judgement);
		settings_release(&settings);
	}
}
END_TEST

/* ---- running them again ---- */

/* Is the version installed that the trace was recorded with? Says why not. */
static bool can_run(const struct committed *one)
{
	const char *version = trace_setting(&one->trace, "program_version");
	const char *command = trace_setting(&one->trace, "program");
	command = command ? command : trace_setting(&one->trace, "nbd");
	if (!command)
		return true;
	ck_assert_msg(version, "%s: no setting program_version", one->name);
	int code = shell("%.*s --version", (int)strcspn(command, " "), command);
	bool is_same = code == 0 && strncmp(shell_output(), version, strlen(version)) == 0 &&
		       shell_output()[strlen(version)] == '\n';
	if (!is_same)
		printf("%s: not run again: '%s' is not installed\n", one->name, version);
	return is_same;
}

START_TEST(committed_traces_replay_as_recorded)
{
	for (size_t i = 0; i < count; i++) {
		int expected = all[i].trace.finding_count ? 1 : 0;
		if (!can_run(&all[i]))
			continue;
		int code = shell("'%s' replay '%s'", COWTIP, all[i].path);
		ck_assert_msg(code == expected, "%s: exit status %d, recorded %d: %s", all[i].name,
			      code, expected, shell_output());
	}
}
END_TEST

/* A command that must succeed. */
__attribute__((format(printf, 1, 2))) static void must(const char *format, ...)
{
	char command[2048];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	ck_assert_msg(shell("%s", command) == 0, "%s: %s", command, shell_output());
}

START_TEST(the_folder_is_a_corpus_for_sweeps)
{
	size_t copied = 0;
	must("mkdir corpus && cp '%s/README.md' corpus", CORPUS);
	for (size_t i = 0; i < count; i++) {
		if (!can_run(&all[i]))
			continue;
		must("cp '%s' corpus", all[i].path);
		copied++;
	}
	must("ls corpus >before");
	must("'%s' sweep late-child --budget 20000runs --corpus corpus >told; test $? -eq 1",
	     COWTIP);
	must("test $(grep -c '^known: .*: still ' told) -eq %zu", copied);
	must("! grep '^known: ' told | grep -v ': still shows [-a-z]*$' | grep -v ': still "
	     "clean$'");
	must("grep -q '^known: corpus/zombie.trace.zst: still shows read-linearizable$' told");
	must("ls corpus >after && cmp before after");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("corpus");
	TCase *tests = tcase_create("corpus");
	tcase_add_checked_fixture(tests, read_all, release_all);
	tcase_set_timeout(tests, 200);
	tcase_add_test(tests, every_trace_is_what_its_line_says);
	tcase_add_test(tests, every_known_bug_is_there_or_dies);
	tcase_add_test(tests, every_crash_model_and_subject_is_there);
	tcase_add_test(tests, they_are_small_and_name_nothing_of_a_machine);
	tcase_add_test(tests, every_finding_is_judged_everywhere);
	tcase_add_test(tests, committed_traces_replay_as_recorded);
	tcase_add_test(tests, the_folder_is_a_corpus_for_sweeps);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
