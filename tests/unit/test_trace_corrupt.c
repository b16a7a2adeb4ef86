// SPDX-License-Identifier: MIT
#include "traces/trace.h"

#include "tests/run_suite.h"
#include "tests/unit/example_trace.h"
#include "traces/trace_record.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

static struct trace trace;
static struct trace other;
static struct collected stream;
static struct why why;
static uint8_t *file_bytes;
static size_t file_byte_count;

static void setup(void)
{
	example_trace(&trace);
	trace_init(&other);
	memset(&stream, 0, sizeof(stream));
	struct trace_sink sink = collecting_sink(&stream);
	ck_assert_int_eq(trace_encode(&trace, &sink), STATUS_OK);
	char path[] = "/tmp/cowtip-corrupt-XXXXXX";
	int made = mkstemp(path);
	ck_assert_int_ge(made, 0);
	ck_assert_int_eq(trace_write(&trace, path, &why), STATUS_OK);
	close(made);
	FILE *file = fopen(path, "rb");
	ck_assert_ptr_nonnull(file);
	file_bytes = malloc(1 << 16);
	ck_assert_ptr_nonnull(file_bytes);
	file_byte_count = fread(file_bytes, 1, 1 << 16, file);
	fclose(file);
	unlink(path);
	ck_assert_uint_lt(file_byte_count, 1 << 16);
}

static void teardown(void)
{
	trace_release(&trace);
	trace_release(&other);
	free(stream.bytes);
	free(file_bytes);
}

static void begin_again(void)
{
	trace_release(&other);
	trace_init(&other);
	why.text[0] = '\0';
}

/* A copy in a block of exactly its size, so that reading past the end is noticed. */
static enum status read_exactly(const uint8_t *bytes, size_t byte_count)
{
	begin_again();
	uint8_t *copy = malloc(byte_count ? byte_count : 1);
	ck_assert_ptr_nonnull(copy);
	memcpy(copy, bytes, byte_count);
	enum status status = trace_read_memory(&other, copy, byte_count, "t", &why);
	free(copy);
	return status;
}

/* One assertion for all: an assertion that holds costs a system call, and there are many bits. */
static void check_empty(void)
{
	ck_assert(other.subject[0] == '\0' && other.log.count == 0 && other.file_count == 0 &&
		  other.setting_count == 0);
}

/* The first events must be those of the whole trace. */
static void check_prefix(void)
{
	ck_assert(!other.complete);
	ck_assert_uint_le(other.log.count, trace.log.count);
	size_t difference = event_log_difference(&trace.log, &other.log);
	ck_assert(difference == SIZE_MAX || difference == other.log.count);
	if (other.log.count) {
		ck_assert_uint_eq(other.file_count, trace.file_count);
		ck_assert(content_equal(other.files[1].initial, trace.files[1].initial, NULL));
		ck_assert_uint_eq(other.files[0].backing, 1);
		ck_assert_uint_eq(other.stack_count, trace.stack_count);
	}
}

START_TEST(a_stream_cut_anywhere_is_a_readable_prefix)
{
	for (size_t cut = 0; cut < stream.byte_count; cut++) {
		enum status status = read_exactly(stream.bytes, cut);
		ck_assert_int_eq(status,
				 cut < TRACE_MAGIC_BYTES ? STATUS_FOREIGN : STATUS_TRUNCATED);
		ck_assert_uint_gt(strlen(why.text), 0);
		if (status == STATUS_TRUNCATED)
			check_prefix();
		else
			check_empty();
	}
}
END_TEST

START_TEST(a_stream_cut_between_two_puts_keeps_every_event_put)
{
	size_t events = 0;
	for (size_t put = 0; put < stream.put_count; put++) {
		if (put && stream.bytes[stream.ends[put - 1]] == TRACE_RECORD_EVENT)
			events++;
		enum status status = read_exactly(stream.bytes, stream.ends[put]);
		bool whole = put + 1 == stream.put_count;
		ck_assert_int_eq(status, whole ? STATUS_OK : STATUS_TRUNCATED);
		ck_assert_uint_eq(other.log.count, events);
	}
	ck_assert_uint_eq(events, trace.log.count);
}
END_TEST

START_TEST(a_file_cut_anywhere_is_truncated)
{
	for (size_t cut = 0; cut < file_byte_count; cut++) {
		enum status status = read_exactly(file_bytes, cut);
		ck_assert_int_eq(status, cut < 4 ? STATUS_FOREIGN : STATUS_TRUNCATED);
		ck_assert_uint_gt(strlen(why.text), 0);
		if (status == STATUS_TRUNCATED)
			check_prefix();
	}
}
END_TEST

/* Some bits of a zstd frame do not matter: padding, the size of the window. */
START_TEST(every_bit_flipped_in_a_file_is_noticed_or_changes_nothing)
{
	size_t harmless = 0;
	for (size_t bit = 0; bit < file_byte_count * 8; bit++) {
		file_bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		enum status status = read_exactly(file_bytes, file_byte_count);
		file_bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (status == STATUS_OK) {
			ck_assert_pstr_eq(trace_difference(&trace, &other), NULL);
			harmless++;
			continue;
		}
		ck_assert_uint_gt(strlen(why.text), 0);
		ck_assert_ptr_null(strchr(why.text, '\n'));
		if (status == STATUS_TRUNCATED)
			ck_assert(!other.complete);
		else
			check_empty();
	}
	ck_assert_uint_lt(harmless, file_byte_count * 8 / 100);
}
END_TEST

/* A bare stream has no checksum: a flipped bit may pass, but then the result is a sound trace. */
START_TEST(every_bit_flipped_in_a_stream_is_survived)
{
	size_t noticed = 0;
	for (size_t bit = 0; bit < stream.byte_count * 8; bit++) {
		stream.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		enum status status = read_exactly(stream.bytes, stream.byte_count);
		stream.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		noticed += status != STATUS_OK;
		if (status != STATUS_OK && status != STATUS_TRUNCATED) {
			check_empty();
			continue;
		}
		struct collected again = { 0 };
		struct trace_sink sink = collecting_sink(&again);
		if (trace_encode(&other, &sink) != STATUS_OK)
			ck_abort_msg("bit %zu: what was read does not encode", bit);
		free(again.bytes);
		for (size_t i = 0; i < other.file_count; i++)
			content_free(trace_final_content(&other, (uint16_t)i));
	}
	ck_assert_uint_gt(noticed, 0);
}
END_TEST

START_TEST(bytes_behind_the_end_are_noticed)
{
	uint8_t *longer = calloc(1, file_byte_count + 1);
	ck_assert_ptr_nonnull(longer);
	memcpy(longer, file_bytes, file_byte_count);
	ck_assert_int_eq(read_exactly(longer, file_byte_count + 1), STATUS_CORRUPT);
	ck_assert_ptr_nonnull(strstr(why.text, "bytes behind the end"));
	free(longer);
	longer = calloc(1, stream.byte_count + 2);
	ck_assert_ptr_nonnull(longer);
	memcpy(longer, stream.bytes, stream.byte_count);
	for (size_t more = 1; more <= 2; more++) {
		ck_assert_int_eq(read_exactly(longer, stream.byte_count + more), STATUS_CORRUPT);
		ck_assert_ptr_nonnull(strstr(why.text, "a record behind the end mark"));
	}
	free(longer);
}
END_TEST

START_TEST(a_wrong_checksum_is_the_reason_given)
{
	file_bytes[file_byte_count - 1] ^= 1;
	ck_assert_int_eq(read_exactly(file_bytes, file_byte_count), STATUS_CORRUPT);
	ck_assert_ptr_nonnull(strstr(why.text, "checksum"));
}
END_TEST

START_TEST(a_newer_version_is_told_from_damage)
{
	stream.bytes[TRACE_MAGIC_BYTES] = TRACE_VERSION + 1;
	ck_assert_int_eq(read_exactly(stream.bytes, stream.byte_count), STATUS_NEWER);
	ck_assert_str_eq(why.text, "trace 't': format version 5, this program reads up to 4");
	check_empty();
	stream.bytes[TRACE_MAGIC_BYTES] = 0;
	stream.bytes[TRACE_MAGIC_BYTES + 1] = 1;
	ck_assert_int_eq(read_exactly(stream.bytes, stream.byte_count), STATUS_NEWER);
	stream.bytes[TRACE_MAGIC_BYTES + 1] = 0;
	ck_assert_int_eq(read_exactly(stream.bytes, stream.byte_count), STATUS_CORRUPT);
}
END_TEST

START_TEST(other_files_are_foreign)
{
	static const char text[] = "#@ image size=64k\nwrite 0 1k\n";
	ck_assert_int_eq(read_exactly((const uint8_t *)text, strlen(text)), STATUS_FOREIGN);
	ck_assert_str_eq(why.text, "'t' is not a trace: it does not begin with the magic number");
	ck_assert_int_eq(read_exactly((const uint8_t *)text, 0), STATUS_FOREIGN);
	uint8_t packed[256];
	size_t bytes = ZSTD_compress(packed, sizeof(packed), text, strlen(text), 1);
	ck_assert(!ZSTD_isError(bytes));
	ck_assert_int_eq(read_exactly(packed, bytes), STATUS_FOREIGN);
	check_empty();
}
END_TEST

/* Streams that are well-formed bytes and make no sense. `bytes` follows the begin record. */
static const struct {
	const char *bytes;
	size_t byte_count;
	const char *complaint;
} contradictions[] = {
#define BYTES(text) text, sizeof(text) - 1
	{ BYTES("\x01\x00"), "record 2 (begin) at byte 12: the begin record comes first and once" },
	{ BYTES("\x0e\x00"), "record 2 (unknown type) at byte 12: no such record in this version" },
	{ BYTES("\x05\x05\x01\xff\xff\x03\x01\x0d\x08\x04\x02\x20\x01\x81\x80\x10\x00"),
	  "record 3 (filled) at byte 19: a field ends beyond the record or is out of range" },
	{ BYTES("\x05\x05\x01\xff\xff\x03\x01\x0d\x05\x04\x02\x20\x01\x01"),
	  "record 3 (filled) at byte 19: a field ends beyond the record or is out of range" },
	{ BYTES("\x05\x05\x01\xff\xff\x03\x01\x0d\x07\x04\x02\x20\x01\x01\x00\x00"),
	  "record 3 (filled) at byte 19: bytes are left over" },
	{ BYTES("\x05\x05\x01\xff\xff\x03\x01\x0d\x07\x04\x02\x28\x04\x02\x01\x00"),
	  "record 3 (filled) at byte 19: a write without its data" },
	{ BYTES("\x0c\x00"),
	  "record 2 (strict) at byte 12: there is no finding to which it belongs" },
	{ BYTES("\x0a\x07\x00\x00\x00\x00\x00\x00\x00\x0c\x00\x0c\x00"),
	  "record 4 (strict) at byte 23: there is no finding to which it belongs" },
	{ BYTES("\x0a\x07\x00\x00\x00\x00\x00\x00\x00\x0c\x01x"),
	  "record 3 (strict) at byte 21: bytes are left over" },
	{ BYTES("\x00\x00"), "record 2 (unknown type) at byte 12: no such record in this version" },
	{ BYTES("\x02\x01w\x02\x01w"), "record 3 (workload) at byte 15: a second workload" },
	{ BYTES("\x02\x01\x00"),
	  "record 2 (workload) at byte 12: a field ends beyond the record or is out of range" },
	{ BYTES("\x03\x03\x01kv\x03\x03\x01kw"),
	  "record 3 (setting) at byte 17: a setting is there twice" },
	{ BYTES("\x03\x02\x02k"),
	  "record 2 (setting) at byte 12: a field ends beyond the record or is out of range" },
	{ BYTES("\x04\x02\x02\x00"),
	  "record 2 (schedule) at byte 12: a field ends beyond the record or is out of range" },
	{ BYTES("\x04\x03\x01\x02\x02"),
	  "record 2 (schedule) at byte 12: a pick that its choice point did not offer" },
	{ BYTES("\x04\x04\x01\x00\x02\x00"),
	  "record 2 (schedule) at byte 12: bytes are left over" },
	{ BYTES("\x05\x05\x03\xff\xff\x03\x00"),
	  "record 2 (file) at byte 12: unknown image format" },
	{ BYTES("\x05\x03\x01\x40\x00"),
	  "record 2 (file) at byte 12: the backing file's index is out of range" },
	{ BYTES("\x05\x0e\x01\x00\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01xx"),
	  "record 2 (file) at byte 12: the size is beyond 2^63-1" },
	{ BYTES("\x05\x03\x01\x00\x00\x0b\x01\x00"), "a backing chain has no end" },
	{ BYTES("\x05\x03\x01\x01\x00\x0b\x01\x00"), "a backing file was not declared" },
	{ BYTES("\x06\x03\x00\x00x"), "record 2 (initial) at byte 12: the file was not declared" },
	{ BYTES("\x05\x05\x01\xff\xff\x03\x01\x06\x04\x00\x00xy"),
	  "record 3 (initial) at byte 19: initial contents beyond the end of the file" },
	{ BYTES("\x07\x01\x01"),
	  "record 2 (module) at byte 12: a field ends beyond the record or is out of range" },
	{ BYTES("\x08\x01\x00"),
	  "record 2 (stack) at byte 12: a stack with no frames or too many" },
	{ BYTES("\x08\x03\x01\x00\x00"),
	  "record 2 (stack) at byte 12: a frame's module was not declared" },
	{ BYTES("\x09\x03\x0b\x01\x00"), "record 2 (event) at byte 12: unknown kind of event" },
	{ BYTES("\x09\x03\x0a\x08\x00"), "record 2 (event) at byte 12: unknown operation" },
	{ BYTES("\x09\x03\x04\x02\x00"), "record 2 (event) at byte 12: the file was not declared" },
	{ BYTES("\x09\x04\x0a\x01\x80\x01"),
	  "record 2 (event) at byte 12: the stack was not declared" },
	{ BYTES("\x09\x04\x0a\x01\x04\x80"),
	  "record 2 (event) at byte 12: a field ends beyond the record or is out of range" },
	{ BYTES("\x09\x02\x0a\x01"),
	  "record 2 (event) at byte 12: a field ends beyond the record or is out of range" },
	{ BYTES("\x05\x05\x01\xff\xff\x03\x01\x09\x05\x04\x02\x28\x02\x01"),
	  "record 3 (event) at byte 19: a write without its data" },
	{ BYTES("\x0a\x08\x00\x00\x00\x00\x01\x00\x01x"),
	  "record 2 (finding) at byte 12: a field ends beyond the record or is out of range" },
	{ BYTES("\x0b\x01\x01"),
	  "record 2 (end) at byte 12: the end mark counts another number of events" },
	{ BYTES("\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
	  "record 2 (workload) at byte 12: its length makes no sense" },
	{ BYTES("\x02\x81\x80\x80\x80\x01"),
	  "record 2 (workload) at byte 12: its length makes no sense" },
#undef BYTES
};

START_TEST(contradictions_are_named)
{
	uint8_t bytes[128] = "\211cowtip\n\x01\x00\x01\x00";
	memcpy(bytes + 12, contradictions[_i].bytes, contradictions[_i].byte_count);
	enum status status = read_exactly(bytes, 12 + contradictions[_i].byte_count);
	char expected[256];
	snprintf(expected, sizeof(expected), "trace 't': %s", contradictions[_i].complaint);
	ck_assert_str_eq(why.text, expected);
	ck_assert_int_eq(status, STATUS_CORRUPT);
	check_empty();
}
END_TEST

/* Pages are 4 KiB, and a record that touches one is nine bytes: that must not be a lever. */
START_TEST(many_tiny_runs_of_initial_bytes_are_refused)
{
	free(stream.bytes);
	memset(&stream, 0, sizeof(stream));
	struct trace_sink sink = collecting_sink(&stream);
	ck_assert_int_eq(trace_put_begin(&sink, ""), STATUS_OK);
	ck_assert_int_eq(trace_put_file(&sink, &trace.files[1], INT64_MAX), STATUS_OK);
	struct trace_span span = { "x", 1 };
	for (uint64_t i = 0; i < 6000; i++)
		ck_assert_int_eq(trace_put_initial(&sink, 0, i << 40, &span), STATUS_OK);
	ck_assert_int_eq(read_exactly(stream.bytes, stream.byte_count), STATUS_CORRUPT);
	ck_assert_ptr_nonnull(strstr(why.text, "too many small pieces"));
}
END_TEST

START_TEST(a_small_file_may_not_grow_without_bound)
{
	enum { PIECE_BYTES = 16 << 20, PIECES = (4096 >> 4) + 1, PACKED_BYTES = 1 << 20 };
	uint8_t *piece = malloc(PIECE_BYTES);
	ZSTD_outBuffer packed = { malloc(PACKED_BYTES), PACKED_BYTES, 0 };
	ZSTD_CCtx *compressor = ZSTD_createCCtx();
	ck_assert(piece && packed.dst && compressor);
	/* A header, and far more of one letter than a stream may have. */
	memset(piece, 'x', PIECE_BYTES);
	memcpy(piece, TRACE_MAGIC "\x04", TRACE_HEADER_BYTES);
	for (int i = 0; i < PIECES; i++) {
		ZSTD_inBuffer in = { piece, PIECE_BYTES, 0 };
		ZSTD_EndDirective then = i + 1 < PIECES ? ZSTD_e_continue : ZSTD_e_end;
		ck_assert_uint_eq(ZSTD_compressStream2(compressor, &packed, &in, then), 0);
		memset(piece, 'x', TRACE_HEADER_BYTES);
	}
	ZSTD_freeCCtx(compressor);
	free(piece);
	ck_assert_int_eq(read_exactly(packed.dst, packed.pos), STATUS_CORRUPT);
	ck_assert_ptr_nonnull(strstr(why.text, "too much when decompressed"));
	free(packed.dst);
}
END_TEST

START_TEST(a_declared_length_alone_takes_no_memory)
{
	/* The largest record there may be, of which one byte came. */
	static const uint8_t bytes[] = "\211cowtip\n\x01\x00\x01\x00\x02\x80\x80\x80\x80\x01x";
	ck_assert_int_eq(read_exactly(bytes, sizeof(bytes) - 1), STATUS_TRUNCATED);
	ck_assert_str_eq(why.text, "trace 't': ends without an end mark, in record 2 at byte 12");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trace_corrupt");
	TCase *damage = tcase_create("damage");
	tcase_set_timeout(damage, 100);
	tcase_add_checked_fixture(damage, setup, teardown);
	tcase_add_test(damage, a_stream_cut_anywhere_is_a_readable_prefix);
	tcase_add_test(damage, a_stream_cut_between_two_puts_keeps_every_event_put);
	tcase_add_test(damage, a_file_cut_anywhere_is_truncated);
	tcase_add_test(damage, every_bit_flipped_in_a_file_is_noticed_or_changes_nothing);
	tcase_add_test(damage, every_bit_flipped_in_a_stream_is_survived);
	tcase_add_test(damage, bytes_behind_the_end_are_noticed);
	tcase_add_test(damage, a_wrong_checksum_is_the_reason_given);
	tcase_add_test(damage, a_newer_version_is_told_from_damage);
	tcase_add_test(damage, other_files_are_foreign);
	tcase_add_loop_test(damage, contradictions_are_named, 0,
			    sizeof(contradictions) / sizeof(contradictions[0]));
	tcase_add_test(damage, many_tiny_runs_of_initial_bytes_are_refused);
	tcase_add_test(damage, a_small_file_may_not_grow_without_bound);
	tcase_add_test(damage, a_declared_length_alone_takes_no_memory);
	suite_add_tcase(suite, damage);
	return run_suite(suite);
}
