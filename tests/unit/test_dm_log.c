// SPDX-License-Identifier: MIT
#include "traces/dm_log_writes.h"

#include "tests/run_suite.h"
#include "traces/dm_log_format.h"
#include "traces/trace_check.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECTOR = 512, LOG_BYTES_MAX = 64 * SECTOR, IMAGE_BYTES = 8 * SECTOR };

static uint8_t log_bytes[LOG_BYTES_MAX];
static size_t log_byte_count;
static struct trace trace;
static struct dm_log_facts facts;
static struct why why;

static void begin_trace(void)
{
	trace_init(&trace);
	struct content *image = content_new(IMAGE_BYTES);
	ck_assert_ptr_nonnull(image);
	trace_add_file(&trace, "image", TRACE_FORMAT_RAW, TRACE_NO_BACKING, image);
	why.text[0] = '\0';
}

static void setup(void)
{
	memset(log_bytes, 0, sizeof(log_bytes));
	dm_log_put(log_bytes + DM_LOG_AT_MAGIC, DM_LOG_MAGIC, 8);
	dm_log_put(log_bytes + DM_LOG_AT_VERSION, 1, 8);
	dm_log_put(log_bytes + DM_LOG_AT_SECTOR_BYTES, SECTOR, 4);
	log_byte_count = SECTOR;
	begin_trace();
}

static void teardown(void)
{
	trace_release(&trace);
}

static void set_entries(uint64_t entries)
{
	dm_log_put(log_bytes + DM_LOG_AT_ENTRIES, entries, 8);
}

/* Append an entry and count it. Returns where its header is. */
static uint8_t *add_entry(uint64_t sector, uint64_t sectors, uint64_t flags)
{
	uint8_t *header = log_bytes + log_byte_count;
	dm_log_put(header + DM_LOG_AT_SECTOR, sector, 8);
	dm_log_put(header + DM_LOG_AT_SECTORS, sectors, 8);
	dm_log_put(header + DM_LOG_AT_FLAGS, flags, 8);
	log_byte_count += SECTOR;
	set_entries(dm_log_get(log_bytes + DM_LOG_AT_ENTRIES) + 1);
	return header;
}

static void add_write(uint64_t sector, uint64_t sectors, uint64_t flags)
{
	add_entry(sector, sectors, flags);
	memset(log_bytes + log_byte_count, 0x40 + (int)sector, sectors * SECTOR);
	log_byte_count += sectors * SECTOR;
}

static void add_mark(const char *text)
{
	uint8_t *header = add_entry(0, 0, DM_LOG_MARK);
	dm_log_put(header + DM_LOG_AT_TEXT_BYTES, strlen(text), 8);
	memcpy(header + DM_LOG_HEADER_BYTES, text, strlen(text));
}

/* Read the first `byte_count` bytes from a block of exactly that size. */
static enum status read_bytes(size_t byte_count, enum dm_log_dialect dialect)
{
	trace_release(&trace);
	begin_trace();
	uint8_t *copy = malloc(byte_count ? byte_count : 1);
	ck_assert_ptr_nonnull(copy);
	memcpy(copy, log_bytes, byte_count);
	const struct dm_log_bytes bytes = { copy, byte_count, "l" };
	enum status status = dm_log_read_memory(&trace, &facts, &bytes, dialect, &why);
	free(copy);
	return status;
}

static enum status read_log(enum dm_log_dialect dialect)
{
	return read_bytes(log_byte_count, dialect);
}

/* Events as a text: "s2" submitted, "e2" effect, "c2" completed, I/O number 2; flushes with a
 * capital letter. */
static const char *events_text(const struct trace *of)
{
	static char text[1024];
	size_t used = 0;
	text[0] = '\0';
	for (size_t i = 0; i < of->log.count; i++) {
		const struct event *event = &of->log.events[i];
		const char *letters = event->op == IO_FLUSH ? "SEC" : "sec";
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%c%u", i ? " " : "",
					 letters[event->kind - EVENT_IO_SUBMITTED], event->id);
	}
	return text;
}

static void check_events(enum dm_log_dialect dialect, const char *expected)
{
	ck_assert_int_eq(read_log(dialect), STATUS_OK);
	ck_assert_str_eq(events_text(&trace), expected);
	ck_assert_int_eq(trace_check(&trace, "l", &why), STATUS_OK);
}

/* The kernel logs W1,W2,W3,C3,C2,Wflush,C1,Cflush as W3,W2,flush,W1: the flush covers W3 and W2. */
START_TEST(a_flush_of_the_kernel_covers_what_stands_before_it)
{
	add_write(3, 1, 0);
	add_write(2, 1, 0);
	add_entry(0, 0, DM_LOG_FLUSH);
	add_write(1, 1, 0);
	check_events(DM_LOG_DIALECT_KERNEL, "s1 e1 s2 e2 c1 c2 S3 E3 C3 s4 e4 c4");
	ck_assert_uint_eq(trace.log.events[1].host_offset, 3 * SECTOR);
	ck_assert_uint_eq(trace.log.events[1].length, SECTOR);
	ck_assert_uint_eq(event_data(&trace.log, &trace.log.events[1])[SECTOR - 1], 0x43);
}
END_TEST

START_TEST(a_fua_write_is_durable_and_covers_no_other)
{
	add_write(1, 1, 0);
	add_write(2, 1, DM_LOG_FUA);
	add_write(3, 1, 0);
	add_entry(0, 0, DM_LOG_FLUSH);
	check_events(DM_LOG_DIALECT_AUTO, "s1 e1 s2 e2 c2 S3 E3 C3 s4 e4 c1 c4 S5 E5 C5");
	ck_assert_int_eq(facts.dialect, DM_LOG_DIALECT_KERNEL);
	ck_assert(!facts.dialect_is_guess);
}
END_TEST

START_TEST(a_flush_with_data_comes_before_them)
{
	add_write(1, 1, 0);
	add_write(2, 1, DM_LOG_FLUSH | DM_LOG_FUA);
	check_events(DM_LOG_DIALECT_KERNEL, "s1 e1 c1 S2 E2 C2 s3 e3 c3 S4 E4 C4");
}
END_TEST

/* Three FUA writes of QEMU are logged as write, write, FLUSH, write, FLUSH: the first has no
 * barrier of its own and was durable all the same. */
START_TEST(qemus_first_write_behind_a_flush_may_have_been_durable)
{
	add_write(1, 1, 0);
	add_write(2, 1, 0);
	add_entry(0, 0, DM_LOG_FLUSH);
	add_write(3, 1, 0);
	add_write(4, 1, 0);
	add_entry(0, 0, DM_LOG_FLUSH);
	check_events(DM_LOG_DIALECT_QEMU, "s1 e1 c1 S2 E2 C2 s3 e3 c3 S4 E4 C4 "
					  "s5 e5 c5 S6 E6 C6 s7 e7 c7 S8 E8 C8");
	check_events(DM_LOG_DIALECT_KERNEL,
		     "s1 e1 s2 e2 c1 c2 S3 E3 C3 s4 e4 s5 e5 c4 c5 S6 E6 C6");
	ck_assert_int_eq(read_log(DM_LOG_DIALECT_AUTO), STATUS_OK);
	ck_assert_int_eq(facts.dialect, DM_LOG_DIALECT_QEMU);
	ck_assert(facts.dialect_is_guess);
}
END_TEST

START_TEST(a_discard_reads_as_zeros_and_has_no_data)
{
	add_write(1, 2, 0);
	add_entry(2, 3, DM_LOG_DISCARD);
	add_entry(4, 0, DM_LOG_DISCARD);
	add_write(7, 3, 0);
	check_events(DM_LOG_DIALECT_KERNEL, "s1 e1 s2 e2 s3 e3 c1 c2 c3");
	struct content *final = trace_final_content(&trace, 0);
	ck_assert_ptr_nonnull(final);
	uint8_t expected[10 * SECTOR] = { 0 }, found[10 * SECTOR];
	memset(expected + SECTOR, 0x41, SECTOR);
	memset(expected + 7 * SECTOR, 0x47, 3 * SECTOR);
	ck_assert_uint_eq(content_size(final), sizeof(expected));
	content_read(final, found, sizeof(found), 0);
	ck_assert_int_eq(memcmp(found, expected, sizeof(found)), 0);
	content_free(final);
}
END_TEST

START_TEST(what_only_the_kernel_writes_tells_its_logs)
{
	for (int i = 0; i < 4; i++) {
		teardown();
		setup();
		add_write(1, 1, i == 0 ? DM_LOG_FUA : i == 1 ? DM_LOG_METADATA : 0);
		if (i == 2)
			add_mark("here");
		if (i == 3)
			log_bytes[DM_LOG_SUPER_BYTES + 2] = 0x55;
		ck_assert_int_eq(read_log(DM_LOG_DIALECT_AUTO), STATUS_OK);
		ck_assert_int_eq(facts.dialect, DM_LOG_DIALECT_KERNEL);
		ck_assert_int_eq(read_log(DM_LOG_DIALECT_QEMU), STATUS_BAD_INPUT);
		ck_assert_str_eq(why.text, "log 'l' is not QEMU's: it has marks or flags that only "
					   "the kernel writes");
		ck_assert_uint_eq(trace.log.count, 0);
	}
}
END_TEST

static void add_some_of_everything(void)
{
	add_write(1, 2, DM_LOG_METADATA);
	add_entry(0, 0, DM_LOG_FLUSH);
	add_mark("a mark");
	add_write(3, 1, DM_LOG_FUA);
	add_entry(2, 1, DM_LOG_DISCARD);
	add_write(9, 1, DM_LOG_FLUSH);
}

START_TEST(a_log_cut_anywhere_is_a_readable_prefix)
{
	struct trace whole;
	add_some_of_everything();
	ck_assert_int_eq(read_log(DM_LOG_DIALECT_KERNEL), STATUS_OK);
	whole = trace;
	begin_trace(); /* the other one is `whole` now */
	for (size_t cut = 0; cut < log_byte_count; cut++) {
		enum status status = read_bytes(cut, DM_LOG_DIALECT_KERNEL);
		ck_assert_int_eq(status,
				 cut < DM_LOG_MAGIC_BYTES ? STATUS_FOREIGN : STATUS_TRUNCATED);
		ck_assert(why.text[0] && !strchr(why.text, '\n'));
		ck_assert_int_eq(trace.complete, status == STATUS_FOREIGN);
		/* Events up to the point where completions come because nothing more does. */
		size_t same = event_log_difference(&whole.log, &trace.log);
		for (size_t i = same; i < trace.log.count; i++)
			ck_assert_int_eq(trace.log.events[i].kind, EVENT_IO_COMPLETED);
	}
	trace_release(&whole);
}
END_TEST

START_TEST(every_bit_of_a_header_flipped_is_noticed_or_makes_sense)
{
	size_t noticed = 0;
	add_some_of_everything();
	for (size_t bit = 0; bit < log_byte_count * 8; bit++) {
		log_bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		enum status status = read_log(DM_LOG_DIALECT_AUTO);
		log_bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (status == STATUS_OK || status == STATUS_TRUNCATED) {
			ck_assert_int_eq(trace_check(&trace, "l", NULL), STATUS_OK);
			continue;
		}
		noticed++;
		ck_assert(why.text[0] && !strchr(why.text, '\n'));
		ck_assert_uint_eq(trace.log.count, 0);
	}
	ck_assert_uint_gt(noticed, 500);
}
END_TEST

/* Entries that make no sense: sector, sectors, flags, length of text. */
static const struct {
	uint64_t sector, sectors, flags, text_bytes;
	uint8_t behind; /* the first byte behind the header's fields */
	const char *complaint;
} contradictions[] = {
	{ 0, 1, 32, 0, 0, "unknown flags" },
	{ 0, 1, UINT64_C(1) << 63, 0, 0, "unknown flags" },
	{ 0, 0, 0, 0, 0, "neither data nor flags" },
	{ 0, 1, 0, 0, 'x', "bytes behind the header" },
	{ 0, 1, 0, 5, 0, "data inside the header, as no log of a disk has" },
	{ 0, 1, DM_LOG_MARK, 0, 0, "a mark with data, or longer than its sector" },
	{ 0, 0, DM_LOG_MARK, SECTOR - 32, 0, "a mark with data, or longer than its sector" },
	{ 0, 0, DM_LOG_MARK, UINT64_MAX, 0, "a mark with data, or longer than its sector" },
	{ INT64_MAX / SECTOR, 1, 0, 0, 0, "the range ends beyond 2^63-1" },
	{ 0, UINT64_MAX, DM_LOG_DISCARD, 0, 0, "the range ends beyond 2^63-1" },
	{ UINT64_MAX, 2, 0, 0, 0, "the range ends beyond 2^63-1" },
	{ UINT64_C(1) << 55, 0, DM_LOG_FLUSH, 0, 0, "the range ends beyond 2^63-1" },
};

START_TEST(contradictions_are_named)
{
	char expected[128];
	add_write(1, 1, 0);
	uint8_t *header = add_entry(contradictions[_i].sector, contradictions[_i].sectors,
				    contradictions[_i].flags);
	dm_log_put(header + DM_LOG_AT_TEXT_BYTES, contradictions[_i].text_bytes, 8);
	header[DM_LOG_HEADER_BYTES] = contradictions[_i].behind;
	ck_assert_int_eq(read_log(DM_LOG_DIALECT_AUTO), STATUS_CORRUPT);
	snprintf(expected, sizeof(expected), "log 'l': entry 2 at byte 1536: %s",
		 contradictions[_i].complaint);
	ck_assert_str_eq(why.text, expected);
	ck_assert_uint_eq(trace.log.count, 0);
}
END_TEST

START_TEST(what_is_no_log_of_version_1_is_refused_by_its_super_block)
{
	log_bytes[0] ^= 1;
	ck_assert_int_eq(read_log(DM_LOG_DIALECT_AUTO), STATUS_FOREIGN);
	ck_assert_str_eq(why.text,
			 "'l' is not a dm-log-writes log: it does not begin with the magic number");
	log_bytes[0] ^= 1;
	dm_log_put(log_bytes + DM_LOG_AT_VERSION, 2, 8);
	ck_assert_int_eq(read_log(DM_LOG_DIALECT_AUTO), STATUS_NEWER);
	ck_assert_str_eq(why.text, "log 'l': format version 2, this program reads version 1");
	dm_log_put(log_bytes + DM_LOG_AT_VERSION, 0, 8);
	ck_assert_int_eq(read_log(DM_LOG_DIALECT_AUTO), STATUS_CORRUPT);
	dm_log_put(log_bytes + DM_LOG_AT_VERSION, 1, 8);
	static const uint32_t sizes[] = { 0, 16, 100, 513, 16 << 20, UINT32_MAX };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		dm_log_put(log_bytes + DM_LOG_AT_SECTOR_BYTES, sizes[i], 4);
		ck_assert_int_eq(read_log(DM_LOG_DIALECT_AUTO), STATUS_CORRUPT);
	}
}
END_TEST

START_TEST(sectors_may_be_as_small_as_a_header)
{
	uint8_t *bytes = log_bytes;
	memset(log_bytes, 0, sizeof(log_bytes));
	dm_log_put(bytes + DM_LOG_AT_MAGIC, DM_LOG_MAGIC, 8);
	dm_log_put(bytes + DM_LOG_AT_VERSION, 1, 8);
	dm_log_put(bytes + DM_LOG_AT_ENTRIES, 2, 8);
	dm_log_put(bytes + DM_LOG_AT_SECTOR_BYTES, 32, 4);
	dm_log_put(bytes + 32 + DM_LOG_AT_SECTOR, 2, 8);
	dm_log_put(bytes + 32 + DM_LOG_AT_SECTORS, 3, 8);
	memset(bytes + 64, 'x', 96);
	dm_log_put(bytes + 160 + DM_LOG_AT_FLAGS, DM_LOG_FLUSH, 8);
	ck_assert_int_eq(read_bytes(192, DM_LOG_DIALECT_QEMU), STATUS_OK);
	ck_assert_uint_eq(trace.log.events[1].host_offset, 64);
	ck_assert_uint_eq(trace.log.events[1].length, 96);
}
END_TEST

START_TEST(entries_that_the_super_block_does_not_count_are_reported)
{
	add_some_of_everything();
	set_entries(2);
	ck_assert_int_eq(read_log(DM_LOG_DIALECT_KERNEL), STATUS_OK);
	ck_assert_uint_eq(facts.entries, 2);
	ck_assert_uint_eq(facts.entries_behind, 4);
	ck_assert_str_eq(events_text(&trace), "s1 e1 c1 S2 E2 C2");
	set_entries(7);
	ck_assert_int_eq(read_log(DM_LOG_DIALECT_KERNEL), STATUS_TRUNCATED);
	ck_assert_uint_eq(facts.entries, 6);
	ck_assert_str_eq(why.text, "log 'l': ends in entry 7 of 7, which begins at byte 5632");
}
END_TEST

/* A file of many gigabytes that takes no room on disk must not take them in memory. */
START_TEST(a_log_of_holes_may_not_grow_without_bound)
{
	char path[] = "/tmp/cowtip-dm-log-XXXXXX";
	int file = mkstemp(path);
	ck_assert_int_ge(file, 0);
	add_entry(0, UINT64_C(5) << 21, 0);
	ck_assert_int_eq(write(file, log_bytes, log_byte_count), (ssize_t)log_byte_count);
	ck_assert_int_eq(ftruncate(file, (INT64_C(5) << 30) + 2 * SECTOR), 0);
	close(file);
	enum status status = dm_log_read(&trace, &facts, path, DM_LOG_DIALECT_AUTO, &why);
	unlink(path);
	ck_assert_int_eq(status, STATUS_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(why.text, "more than 4096 MiB of data"));
	ck_assert_int_eq(dm_log_read(&trace, &facts, path, DM_LOG_DIALECT_AUTO, &why), STATUS_IO);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dm_log");
	TCase *reading = tcase_create("reading");
	tcase_set_timeout(reading, 60);
	tcase_add_checked_fixture(reading, setup, teardown);
	tcase_add_test(reading, a_flush_of_the_kernel_covers_what_stands_before_it);
	tcase_add_test(reading, a_fua_write_is_durable_and_covers_no_other);
	tcase_add_test(reading, a_flush_with_data_comes_before_them);
	tcase_add_test(reading, qemus_first_write_behind_a_flush_may_have_been_durable);
	tcase_add_test(reading, a_discard_reads_as_zeros_and_has_no_data);
	tcase_add_test(reading, what_only_the_kernel_writes_tells_its_logs);
	tcase_add_test(reading, a_log_cut_anywhere_is_a_readable_prefix);
	tcase_add_test(reading, every_bit_of_a_header_flipped_is_noticed_or_makes_sense);
	tcase_add_loop_test(reading, contradictions_are_named, 0,
			    sizeof(contradictions) / sizeof(contradictions[0]));
	tcase_add_test(reading, what_is_no_log_of_version_1_is_refused_by_its_super_block);
	tcase_add_test(reading, sectors_may_be_as_small_as_a_header);
	tcase_add_test(reading, entries_that_the_super_block_does_not_count_are_reported);
	tcase_add_test(reading, a_log_of_holes_may_not_grow_without_bound);
	suite_add_tcase(suite, reading);
	return run_suite(suite);
}
