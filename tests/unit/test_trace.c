// SPDX-License-Identifier: MIT
#include "traces/trace.h"

#include "tests/run_suite.h"
#include "tests/unit/example_trace.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct trace trace;
static struct trace other;
static struct collected stream;
static struct why why;
static char folder[32];
static char path[64];

static void setup(void)
{
	example_trace(&trace);
	trace_init(&other);
	memset(&stream, 0, sizeof(stream));
	snprintf(folder, sizeof(folder), "/tmp/cowtip-trace-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/a.trace.zst", folder);
}

static void teardown(void)
{
	trace_release(&trace);
	trace_release(&other);
	free(stream.bytes);
	unlink(path);
	ck_assert_int_eq(rmdir(folder), 0);
}

static void encode(const struct trace *from)
{
	free(stream.bytes);
	memset(&stream, 0, sizeof(stream));
	struct trace_sink sink = collecting_sink(&stream);
	ck_assert_int_eq(trace_encode(from, &sink), STATUS_OK);
}

static uint8_t *read_whole(const char *name, size_t *byte_count)
{
	FILE *file = fopen(name, "rb");
	ck_assert_ptr_nonnull(file);
	uint8_t *bytes = malloc(1 << 20);
	ck_assert_ptr_nonnull(bytes);
	*byte_count = fread(bytes, 1, 1 << 20, file);
	fclose(file);
	return bytes;
}

START_TEST(a_stream_decodes_to_the_same_trace_and_encodes_to_the_same_bytes)
{
	encode(&trace);
	enum status status = trace_decode(&other, stream.bytes, stream.byte_count, "memory", &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
	ck_assert_pstr_eq(trace_difference(&trace, &other), NULL);
	struct collected first = stream;
	memset(&stream, 0, sizeof(stream));
	encode(&other);
	ck_assert_uint_eq(stream.byte_count, first.byte_count);
	ck_assert_mem_eq(stream.bytes, first.bytes, first.byte_count);
	free(first.bytes);
}
END_TEST

START_TEST(a_file_reads_back_as_the_same_trace_and_writes_the_same_bytes)
{
	enum status status = trace_write(&trace, path, &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
	status = trace_read(&other, path, &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
	ck_assert_pstr_eq(trace_difference(&trace, &other), NULL);
	size_t first_count = 0;
	uint8_t *first = read_whole(path, &first_count);
	ck_assert_int_eq(trace_write(&other, path, &why), STATUS_OK);
	size_t second_count = 0;
	uint8_t *second = read_whole(path, &second_count);
	ck_assert_uint_eq(first_count, second_count);
	ck_assert_mem_eq(first, second, first_count);
	ck_assert_uint_lt(first_count, 1500);
	free(first);
	free(second);
}
END_TEST

START_TEST(a_written_file_leaves_no_temporary_and_pleases_zstd)
{
	ck_assert_int_eq(trace_write(&trace, path, &why), STATUS_OK);
	char text[256];
	snprintf(text, sizeof(text), "%s.tmp", path);
	struct stat facts;
	ck_assert_int_eq(stat(text, &facts), -1);
	if (!ZSTD_PROGRAM[0]) {
		puts("zstd is not installed: not asked for its opinion");
		return;
	}
	snprintf(text, sizeof(text), "%s -t -q %s", ZSTD_PROGRAM, path);
	ck_assert_int_eq(system(text), 0); // NOLINT(cert-env33-c): a fixed command
}
END_TEST

START_TEST(a_bare_stream_in_a_file_is_read_too)
{
	encode(&trace);
	FILE *file = fopen(path, "wb");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(stream.bytes, 1, stream.byte_count, file), stream.byte_count);
	fclose(file);
	ck_assert_int_eq(trace_read(&other, path, &why), STATUS_OK);
	ck_assert_pstr_eq(trace_difference(&trace, &other), NULL);
}
END_TEST

START_TEST(an_unfinished_trace_stays_unfinished)
{
	trace.complete = false;
	ck_assert_int_eq(trace_write(&trace, path, &why), STATUS_OK);
	ck_assert_int_eq(trace_read(&other, path, &why), STATUS_TRUNCATED);
	ck_assert_pstr_eq(trace_difference(&trace, &other), NULL);
}
END_TEST

START_TEST(an_empty_trace_survives)
{
	trace_release(&trace);
	trace_init(&trace);
	ck_assert_int_eq(trace_write(&trace, path, &why), STATUS_OK);
	ck_assert_int_eq(trace_read(&other, path, &why), STATUS_OK);
	ck_assert_pstr_eq(trace_difference(&trace, &other), NULL);
	ck_assert(other.complete);
}
END_TEST

/* Make the trace large enough for several flushes, and for records that lie across the reader's
 * chunks. */
static void make_large(void)
{
	enum { DATA_BYTES = 100000, EVENTS = 40 };
	uint8_t *data = malloc(DATA_BYTES);
	ck_assert_ptr_nonnull(data);
	uint32_t state = 1;
	for (unsigned i = 0; i < EVENTS; i++) {
		for (size_t k = 0; k < DATA_BYTES; k++) {
			state = state * 1664525 + 1013904223;
			data[k] = (uint8_t)(state >> 24);
		}
		struct event event = { .kind = EVENT_IO_EFFECT,
				       .op = IO_WRITE,
				       .id = i,
				       .length = DATA_BYTES,
				       .result = 10 };
		event_log_append(&trace.log, &event, data, DATA_BYTES - i);
	}
	ck_assert_int_eq(content_write(trace.files[0].initial, data, DATA_BYTES, 1 << 20),
			 STATUS_OK);
	free(data);
}

START_TEST(a_large_trace_survives)
{
	make_large();
	ck_assert_int_eq(trace_write(&trace, path, &why), STATUS_OK);
	enum status status = trace_read(&other, path, &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
	ck_assert_pstr_eq(trace_difference(&trace, &other), NULL);
}
END_TEST

/* As a crash while writing would leave it. */
START_TEST(a_large_file_cut_in_the_middle_keeps_about_half_of_its_events)
{
	make_large();
	ck_assert_int_eq(trace_write(&trace, path, &why), STATUS_OK);
	struct stat facts;
	ck_assert_int_eq(stat(path, &facts), 0);
	ck_assert_int_eq(truncate(path, facts.st_size / 2), 0);
	ck_assert_int_eq(trace_read(&other, path, &why), STATUS_TRUNCATED);
	ck_assert(!other.complete);
	ck_assert_uint_ge(other.log.count, trace.log.count / 2 - 5);
	ck_assert_uint_lt(other.log.count, trace.log.count);
	ck_assert_uint_eq(event_log_difference(&trace.log, &other.log), other.log.count);
}
END_TEST

START_TEST(a_disk_that_is_full_leaves_the_old_file)
{
	trace.complete = false;
	ck_assert_int_eq(trace_write(&trace, path, &why), STATUS_OK);
	trace.complete = true;
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 100, RLIM_INFINITY }), 0);
	ck_assert_int_eq(trace_write(&trace, path, &why), STATUS_IO);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY }),
			 0);
	char text[128];
	snprintf(text, sizeof(text), "cannot write '%s': File too large", path);
	ck_assert_str_eq(why.text, text);
	ck_assert_int_eq(trace_read(&other, path, &why), STATUS_TRUNCATED);
	ck_assert_pstr_eq(trace_difference(&trace, &other), "completeness");
}
END_TEST

START_TEST(data_in_pieces_encodes_like_data_in_one_piece)
{
	struct event event = { .kind = EVENT_IO_EFFECT,
			       .op = IO_WRITE,
			       .length = 10,
			       .result = 10,
			       .data_bytes = 10 };
	struct collected pieces = { 0 };
	struct trace_sink one = collecting_sink(&stream);
	struct trace_sink many = collecting_sink(&pieces);
	struct trace_span whole = { "0123456789", 10 };
	struct trace_span spans[] = { { "012", 3 }, { NULL, 0 }, { "3456789", 7 } };
	ck_assert_int_eq(trace_put_event(&one, &event, &whole, 1), STATUS_OK);
	ck_assert_int_eq(trace_put_event(&many, &event, spans, 3), STATUS_OK);
	ck_assert_uint_eq(stream.byte_count, pieces.byte_count);
	ck_assert_mem_eq(stream.bytes, pieces.bytes, pieces.byte_count);
	ck_assert_uint_eq(pieces.put_count, 1);
	free(pieces.bytes);
}
END_TEST

/* A write of `byte_count` zeros, put in two pieces, of which the second ends with `last`. Returns
 * how many bytes the stream takes for it. */
static size_t put_write(size_t byte_count, uint8_t last)
{
	struct event event = { .kind = EVENT_IO_EFFECT,
			       .op = IO_WRITE,
			       .length = byte_count,
			       .result = (int32_t)byte_count,
			       .data_bytes = (uint32_t)byte_count };
	uint8_t *bytes = calloc(1, byte_count);
	ck_assert_ptr_nonnull(bytes);
	bytes[byte_count - 1] = last;
	struct trace_span spans[] = { { bytes, 5 }, { bytes + 5, byte_count - 5 } };
	struct trace_sink sink = collecting_sink(&stream);
	size_t before = stream.byte_count;
	ck_assert_int_eq(trace_put_event(&sink, &event, spans, 2), STATUS_OK);
	free(bytes);
	return stream.byte_count - before;
}

START_TEST(data_that_are_one_byte_repeated_take_no_room)
{
	enum { LONGEST = 1 << 18 };
	struct trace_file raw = { .path = folder, .format = TRACE_FORMAT_RAW, .backing = 0xffff };
	struct trace_sink sink = collecting_sink(&stream);
	ck_assert_int_eq(trace_put_begin(&sink, "a test"), STATUS_OK);
	ck_assert_int_eq(trace_put_file(&sink, &raw, 0), STATUS_OK);
	ck_assert_uint_lt(put_write(64, 0), 20);
	ck_assert_uint_lt(put_write(LONGEST, 0), 20);
	ck_assert_uint_gt(put_write(63, 0), 63);
	ck_assert_uint_gt(put_write(LONGEST + 1, 0), LONGEST);
	ck_assert_uint_gt(put_write(4096, 1), 4096);
	ck_assert_int_eq(trace_put_end(&sink, 5), STATUS_OK);
	static const size_t sizes[] = { 64, LONGEST, 63, LONGEST + 1, 4096 };
	ck_assert_int_eq(trace_decode(&other, stream.bytes, stream.byte_count, "t", &why),
			 STATUS_OK);
	for (size_t i = 0; i < 5; i++) {
		const struct event *event = &other.log.events[i];
		const uint8_t *bytes = event_data(&other.log, event);
		ck_assert_uint_eq(event->data_bytes, sizes[i]);
		ck_assert_uint_eq(bytes[0], 0);
		ck_assert_mem_eq(bytes, bytes + 1, sizes[i] - 2);
		ck_assert_uint_eq(bytes[sizes[i] - 1], i == 4);
	}
}
END_TEST

static enum status refuse(void *context, const struct trace_span *spans, size_t span_count)
{
	(void)spans;
	(void)span_count;
	unsigned *left = context;
	return (*left)-- ? STATUS_OK : STATUS_IO;
}

START_TEST(a_sink_that_fails_stops_the_encoder)
{
	encode(&trace);
	for (unsigned allowed = 0; allowed < stream.put_count; allowed++) {
		unsigned left = allowed;
		struct trace_sink sink = { refuse, &left };
		ck_assert_int_eq(trace_encode(&trace, &sink), STATUS_IO);
		ck_assert_uint_eq(left, UINT32_MAX);
	}
}
END_TEST

START_TEST(a_trace_that_could_not_be_read_is_not_written)
{
	struct event event = { .kind = EVENT_IO_EFFECT, .op = IO_WRITE, .file = 9 };
	event_log_append(&trace.log, &event, NULL, 0);
	ck_assert_int_eq(trace_write(&trace, path, &why), STATUS_CORRUPT);
	char expected[256];
	snprintf(expected, sizeof(expected), "trace '%s': event 10: the file was not declared",
		 path);
	ck_assert_str_eq(why.text, expected);
	struct stat facts;
	ck_assert_int_eq(stat(path, &facts), -1);
}
END_TEST

START_TEST(a_folder_that_is_not_there_is_named)
{
	ck_assert_int_eq(trace_write(&trace, "/nowhere/t", &why), STATUS_IO);
	ck_assert_str_eq(why.text, "cannot write '/nowhere/t': No such file or directory");
	ck_assert_int_eq(trace_read(&other, "/nowhere/t", &why), STATUS_IO);
	ck_assert_str_eq(why.text, "cannot open '/nowhere/t': No such file or directory");
	ck_assert_int_eq(trace_read(&other, "/tmp", &why), STATUS_IO);
	ck_assert_str_eq(why.text, "cannot read '/tmp': Is a directory");
}
END_TEST

START_TEST(equal_modules_and_stacks_are_found_again)
{
	ck_assert_uint_eq(trace_add_module(&trace, "libc.so.6", ""), 1);
	ck_assert_uint_eq(trace_add_module(&trace, "libc.so.6", "ff"), 2);
	struct trace_stack stack = { .count = 2, .frames = { { 0, 0x1234 }, { 1, UINT64_MAX } } };
	ck_assert_uint_eq(trace_add_stack(&trace, &stack), 1);
	stack.frames[1].address = 1;
	ck_assert_uint_eq(trace_add_stack(&trace, &stack), 3);
	stack.count = 0;
	ck_assert_uint_eq(trace_add_stack(&trace, &stack), 0);
}
END_TEST

START_TEST(settings_are_found_by_key)
{
	ck_assert_str_eq(trace_setting(&trace, "policy"), "cancel");
	ck_assert_str_eq(trace_setting(&trace, "empty"), "");
	ck_assert_ptr_null(trace_setting(&trace, "polic"));
}
END_TEST

static void effect(enum io_op op, uint64_t host_offset, uint64_t length, int32_t result)
{
	struct event event = { .kind = EVENT_IO_EFFECT,
			       .op = (uint8_t)op,
			       .id = 1,
			       .host_offset = host_offset,
			       .length = length,
			       .result = result };
	static const char letters[] = "abcdefghijklmnop";
	event_log_append(&trace.log, &event, letters, op == IO_WRITE ? (size_t)length : 0);
}

START_TEST(effects_make_the_final_contents)
{
	event_log_reset(&trace.log);
	content_resize(trace.files[0].initial, 0);
	effect(IO_WRITE, 0, 10, 10);
	effect(IO_WRITE, 2, 4, 2);     /* short: only "ab" arrived */
	effect(IO_WRITE, 0, 4, -EIO);  /* failed */
	effect(IO_PUNCH, 8, 100, 0);   /* does not extend */
	effect(IO_ALLOCATE, 10, 2, 0); /* extends */
	effect(IO_ZERO, 1, 1, 0);
	effect(IO_ZERO, 11, 3, 0); /* extends */
	effect(IO_WRITE, 14, 3, 3);
	effect(IO_RESIZE, 16, 0, 0);
	effect(IO_FLUSH, 0, 0, 0);
	effect(IO_READ, 0, 4, 4);
	struct content *const finals[] = { trace_final_content(&trace, 0),
					   trace_final_view(&trace, 0) };
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(content_size(finals[i]), 16);
		char read[16];
		content_read(finals[i], read, sizeof(read), 0);
		ck_assert_mem_eq(read, "a\0abefgh\0\0\0\0\0\0ab", 16);
		ck_assert_uint_eq(content_size(trace.files[0].initial), 0);
		content_free(finals[i]);
	}
}
END_TEST

START_TEST(files_exchange_their_numbers_everywhere)
{
	struct trace before;
	example_trace(&before);
	ck_assert_uint_ge(trace.file_count, 2);
	uint16_t image = 0;
	ck_assert(trace_next_changed_image(&trace, &image));
	trace_swap_files(&trace, image, (uint16_t)(image ^ 1));
	ck_assert_ptr_nonnull(trace_difference(&trace, &before));
	uint16_t moved = 0;
	ck_assert(trace_next_changed_image(&trace, &moved));
	ck_assert_uint_eq(moved, image ^ 1);
	ck_assert_str_eq(trace.files[moved].path, before.files[image].path);
	trace_swap_files(&trace, (uint16_t)(image ^ 1), image);
	ck_assert_ptr_null(trace_difference(&trace, &before));
	trace_release(&before);
}
END_TEST

START_TEST(effects_that_make_no_sense_change_nothing)
{
	event_log_reset(&trace.log);
	struct content *content = content_new(10);
	effect(IO_WRITE, 0, 4, 5);
	effect(IO_WRITE, INT64_MAX, 4, 4);
	effect(IO_ZERO, UINT64_MAX, 2, 0);
	effect(IO_RESIZE, UINT64_MAX, 0, 0);
	for (size_t i = 0; i < trace.log.count; i++)
		ck_assert_int_eq(trace_apply(content, &trace.log, &trace.log.events[i]),
				 STATUS_CORRUPT);
	ck_assert_uint_eq(content_size(content), 10);
	ck_assert_ptr_null(trace_final_content(&trace, 0));
	content_free(content);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trace");
	TCase *traces = tcase_create("traces");
	tcase_set_timeout(traces, 60);
	tcase_add_checked_fixture(traces, setup, teardown);
	tcase_add_test(traces, a_stream_decodes_to_the_same_trace_and_encodes_to_the_same_bytes);
	tcase_add_test(traces, a_file_reads_back_as_the_same_trace_and_writes_the_same_bytes);
	tcase_add_test(traces, a_written_file_leaves_no_temporary_and_pleases_zstd);
	tcase_add_test(traces, a_bare_stream_in_a_file_is_read_too);
	tcase_add_test(traces, an_unfinished_trace_stays_unfinished);
	tcase_add_test(traces, an_empty_trace_survives);
	tcase_add_test(traces, a_large_trace_survives);
	tcase_add_test(traces, a_large_file_cut_in_the_middle_keeps_about_half_of_its_events);
	tcase_add_test(traces, a_disk_that_is_full_leaves_the_old_file);
	tcase_add_test(traces, data_in_pieces_encodes_like_data_in_one_piece);
	tcase_add_test(traces, data_that_are_one_byte_repeated_take_no_room);
	tcase_add_test(traces, a_sink_that_fails_stops_the_encoder);
	tcase_add_test(traces, a_trace_that_could_not_be_read_is_not_written);
	tcase_add_test(traces, a_folder_that_is_not_there_is_named);
	tcase_add_test(traces, equal_modules_and_stacks_are_found_again);
	tcase_add_test(traces, settings_are_found_by_key);
	tcase_add_test(traces, effects_make_the_final_contents);
	tcase_add_test(traces, files_exchange_their_numbers_everywhere);
	tcase_add_test(traces, effects_that_make_no_sense_change_nothing);
	suite_add_tcase(suite, traces);
	return run_suite(suite);
}
