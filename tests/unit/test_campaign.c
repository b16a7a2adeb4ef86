// SPDX-License-Identifier: MIT
/* A campaign's journal, damaged everywhere; and which findings are one. */
#include "workloads/cli/campaign_findings.h"

#include "tests/run_suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SETTINGS "requests=1..2 program=qemu-io"

static char path[64];
static size_t taken; /* entries handed over */

static void setup(void)
{
	snprintf(path, sizeof(path), "/tmp/cowtip-campaign-XXXXXX");
	int descriptor = mkstemp(path);
	ck_assert_int_ge(descriptor, 0);
	close(descriptor);
}

static void teardown(void)
{
	unlink(path);
}

/* ---- journal ---- */

static void fill(struct campaign_entry *entry, uint64_t index)
{
	char text[] = "some\twords\n";
	const struct campaign_finding finding = { .rule = (char[]){ "old-or-new" },
						  .severity = (char[]){ "corruption" },
						  .model = (char[]){ "prefix" },
						  .step = (char[]){ "punch" },
						  .schedule = (char[]){ "s1:01" },
						  .message = text };
	*entry = (struct campaign_entry){
		.index = index, .name = "w0_n_wb", .end = CAMPAIGN_BOUNDED, .runs = 7, .states = 99
	};
	trace_set_text(&entry->reason, "none");
	campaign_entry_add(entry, &finding);
	campaign_entry_add(entry, &finding);
}

static void check_entry(void *context, const struct campaign_entry *entry)
{
	ck_assert_ptr_eq(context, &taken);
	ck_assert_uint_eq(entry->index, taken++);
	ck_assert_str_eq(entry->name, "w0_n_wb");
	ck_assert(entry->end == CAMPAIGN_BOUNDED);
	ck_assert(entry->runs == 7 && entry->states == 99 && entry->finding_count == 2);
	ck_assert_str_eq(entry->reason, "none");
	ck_assert_str_eq(entry->findings[1].step, "punch");
	ck_assert_str_eq(entry->findings[1].message, "some words ");
	ck_assert_str_eq(entry->findings[1].trace, "");
}

static enum status open_journal(struct campaign_journal *journal, const char *settings,
				struct why *why)
{
	const struct campaign_reader reader = { path, settings, check_entry, &taken };
	taken = 0;
	return campaign_journal_open(journal, &reader, why);
}

/* A journal with two entries. */
static void write_journal(void)
{
	struct campaign_journal journal;
	struct why why = { "" };
	ck_assert_int_eq(open_journal(&journal, SETTINGS, &why), STATUS_OK);
	for (uint64_t i = 0; i < 2; i++) {
		struct campaign_entry entry;
		fill(&entry, i);
		ck_assert_int_eq(campaign_journal_add(&journal, &entry, &why), STATUS_OK);
		campaign_entry_release(&entry);
	}
	campaign_journal_close(&journal);
}

static size_t read_file(char *bytes, size_t most)
{
	FILE *file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	size_t count = fread(bytes, 1, most, file);
	fclose(file);
	return count;
}

static void write_bytes(const char *bytes, size_t count)
{
	FILE *file = fopen(path, "we");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(bytes, 1, count, file), count);
	fclose(file);
}

START_TEST(what_was_written_is_taken_over)
{
	struct campaign_journal journal, second;
	struct why why = { "" };
	write_journal();
	ck_assert_int_eq(open_journal(&journal, SETTINGS, &why), STATUS_OK);
	ck_assert_uint_eq(taken, 2);
	ck_assert_int_eq(open_journal(&second, SETTINGS, &why), STATUS_BAD_INPUT);
	ck_assert_ptr_nonnull(strstr(why.text, "is in use by another campaign"));
	campaign_journal_close(&journal);
	ck_assert_int_eq(open_journal(&journal, "requests=3", &why), STATUS_BAD_INPUT);
	ck_assert_ptr_nonnull(strstr(why.text, "of another campaign: '" SETTINGS "'"));
}
END_TEST

/* Cut anywhere: whole lines are taken, the rest goes, and what is appended then is read. */
START_TEST(a_line_cut_short_is_removed)
{
	static char bytes[4096];
	write_journal();
	size_t count = read_file(bytes, sizeof(bytes));
	for (size_t cut = 0; cut <= count; cut++) {
		struct campaign_journal journal;
		struct campaign_entry entry;
		struct why why = { "" };
		size_t lines = 0;
		for (size_t i = 0; i < cut; i++)
			lines += bytes[i] == '\n';
		write_bytes(bytes, cut);
		ck_assert_int_eq(open_journal(&journal, SETTINGS, &why), STATUS_OK);
		ck_assert_uint_eq(taken, lines ? lines - 1 : 0);
		fill(&entry, taken);
		ck_assert_int_eq(campaign_journal_add(&journal, &entry, &why), STATUS_OK);
		campaign_entry_release(&entry);
		campaign_journal_close(&journal);
		size_t before = taken;
		ck_assert_int_eq(open_journal(&journal, SETTINGS, &why), STATUS_OK);
		ck_assert_uint_eq(taken, before + 1);
		campaign_journal_close(&journal);
	}
}
END_TEST

/* Any byte of a whole line changed: its line is named. A newline may become anything, and then its
 * line and the next are one, which is damaged, or the last, which was cut short. */
START_TEST(damage_anywhere_is_told_with_its_line)
{
	static char bytes[4096];
	write_journal();
	size_t count = read_file(bytes, sizeof(bytes));
	unsigned line = 1;
	for (size_t i = 0; i + 1 < count; i++) {
		struct campaign_journal journal;
		struct why why = { "" };
		char wanted[32];
		char kept = bytes[i];
		snprintf(wanted, sizeof(wanted), "': line %u: ", line);
		line += kept == '\n';
		for (unsigned flip = 1; flip < 256; flip <<= 1) {
			bytes[i] = (char)(kept ^ (char)flip);
			write_bytes(bytes, count);
			enum status status = open_journal(&journal, SETTINGS, &why);
			ck_assert_msg(status == STATUS_CORRUPT || status == STATUS_FOREIGN,
				      "byte %zu: %s", i, status_name(status));
			ck_assert_msg(strstr(why.text, wanted) != NULL, "byte %zu: %s", i,
				      why.text);
		}
		bytes[i] = kept;
	}
}
END_TEST

/* ---- findings ---- */

static void enter(struct campaign_table *table, const struct generated *generated, uint64_t index,
		  const char *step)
{
	struct campaign_entry entry = { .index = index, .name = "w" };
	char copy[CAMPAIGN_STEP_BYTES], trace[32];
	snprintf(copy, sizeof(copy), "%s", step);
	snprintf(trace, sizeof(trace), "%u.trace.zst", (unsigned)index);
	const struct campaign_finding finding = { .rule = (char[]){ "old-or-new" },
						  .severity = (char[]){ "corruption" },
						  .model = (char[]){ "torn" },
						  .step = copy,
						  .trace = trace };
	campaign_entry_add(&entry, &finding);
	campaign_table_enter(table, generated, &entry, NULL, NULL);
	campaign_entry_release(&entry);
}

START_TEST(equal_findings_are_one_and_the_lowest_index_speaks)
{
	struct campaign_table table = { 0 };
	struct generated generated = {
		.skeleton = { { { GENERATE_HEAD, 0 } }, 1, 1 },
		.states = { GENERATE_NORMAL },
	};
	enter(&table, &generated, 9, "punch");
	generated.skeleton.requests[0].kind = GENERATE_TAIL;
	generated.states[0] = GENERATE_SNAPSHOT;
	generated.lazy = true;
	enter(&table, &generated, 5, "punch");
	enter(&table, &generated, 7, "punch");
	ck_assert_uint_eq(table.count, 1);
	ck_assert_uint_eq(table.rows[0].workloads, 3);
	ck_assert_uint_eq(table.rows[0].first, 5);
	ck_assert_str_eq(table.rows[0].finding.trace, "5.trace.zst");
	ck_assert_uint_eq(table.rows[0].states, 1U << GENERATE_NORMAL | 1U << GENERATE_SNAPSHOT);
	ck_assert_uint_eq(table.rows[0].lazy, 3);
	enter(&table, &generated, 8, "writes data");
	ck_assert_uint_eq(table.count, 2);
	campaign_table_release(&table);
}
END_TEST

START_TEST(a_smaller_list_explains_a_larger_one_at_the_same_step)
{
	struct campaign_table table = { 0 };
	const struct generated one = { .skeleton = { { { GENERATE_DISCARD, 0 } }, 1, 1 } };
	/* The discard is of the cluster that is called 1 here. */
	const struct generated two = {
		.skeleton = { { { GENERATE_WRITE, 0 }, { GENERATE_DISCARD, 1 } }, 2, 2 },
	};
	const struct generated other = {
		.skeleton = { { { GENERATE_WRITE, 0 }, { GENERATE_WRITE, 1 } }, 2, 2 },
	};
	enter(&table, &two, 1, "punch");
	enter(&table, &two, 1, "writes data");
	enter(&table, &other, 2, "punch");
	enter(&table, &one, 3, "punch");
	campaign_table_sort(&table);
	ck_assert_uint_eq(table.count, 4);
	size_t explained = 0;
	for (size_t i = 0; i < table.count; i++) {
		const struct campaign_row *row = &table.rows[i];
		bool wanted = row->first == 1 && strcmp(row->step, "punch") == 0;
		ck_assert(row->is_explained == wanted);
		explained += row->is_explained;
	}
	ck_assert_uint_eq(explained, 1);
	campaign_table_release(&table);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("campaign");
	TCase *tests = tcase_create("campaign");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, what_was_written_is_taken_over);
	tcase_add_test(tests, a_line_cut_short_is_removed);
	tcase_add_test(tests, damage_anywhere_is_told_with_its_line);
	tcase_add_test(tests, equal_findings_are_one_and_the_lowest_index_speaks);
	tcase_add_test(tests, a_smaller_list_explains_a_larger_one_at_the_same_step);
	tcase_set_timeout(tests, 100);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
