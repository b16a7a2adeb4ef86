// SPDX-License-Identifier: MIT
/* One history out of several: what a crash leaves of a log, and where it falls. */
#include "tests/run_suite.h"
#include "workloads/recovery.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

enum { IMAGE_BYTES = 8192, TEXT_BYTES = 1024 };

static struct event_log run;

static void invoked(enum request_op op, uint32_t id)
{
	const struct event event = { .kind = EVENT_REQUEST_INVOKED, .op = (uint8_t)op, .id = id };
	event_log_append(&run, &event, NULL, 0);
}

static void completed(enum request_op op, uint32_t id, int32_t result)
{
	const struct event event = {
		.kind = EVENT_REQUEST_COMPLETED, .op = (uint8_t)op, .id = id, .result = result
	};
	event_log_append(&run, &event, NULL, 0);
}

static void wrote(uint64_t host_offset, size_t bytes, uint8_t byte)
{
	uint8_t data[4096];
	struct event event = {
		.kind = EVENT_IO_EFFECT, .op = IO_WRITE, .result = (int32_t)bytes, .length = bytes
	};
	event.host_offset = host_offset;
	memset(data, byte, bytes);
	event_log_append(&run, &event, data, bytes);
}

static void setup(void)
{
	event_log_init(&run);
}

static void teardown(void)
{
	event_log_release(&run);
}

/* "+2" for request 2 invoked, "-2" for acknowledged, "w512" for 512 bytes written. */
static const char *text_of(const struct event_log *joined)
{
	static char text[TEXT_BYTES];
	text[0] = '\0';
	for (size_t i = 0; i < joined->count; i++) {
		const struct event *event = &joined->events[i];
		size_t used = strlen(text);
		if (event->kind == EVENT_IO_EFFECT)
			snprintf(text + used, sizeof(text) - used, "w%d ", event->result);
		else
			snprintf(text + used, sizeof(text) - used, "%c%u ",
				 event->kind == EVENT_REQUEST_INVOKED ? '+' : '-', event->id);
	}
	return text;
}

static const char *joined_text(uint32_t crash, size_t end, uint64_t bytes)
{
	struct event_log joined;
	event_log_init(&joined);
	recovery_log_append(&joined, &run, crash, end, bytes);
	const char *text = text_of(&joined);
	event_log_release(&joined);
	return text;
}

START_TEST(an_acknowledgement_that_no_flush_promised_is_lost)
{
	invoked(REQUEST_WRITE, 2);
	completed(REQUEST_WRITE, 2, 0);
	invoked(REQUEST_FLUSH, 3);
	invoked(REQUEST_WRITE, 4);
	completed(REQUEST_WRITE, 4, 0);
	completed(REQUEST_FLUSH, 3, 0);
	wrote(0, 2048, 1);
	ck_assert_str_eq(joined_text(0, 6, 512), "+2 -2 +3 +4 -3 w512 ");
}
END_TEST

START_TEST(a_flush_that_fails_or_is_under_way_promises_nothing)
{
	invoked(REQUEST_WRITE, 2);
	completed(REQUEST_WRITE, 2, 0);
	invoked(REQUEST_FLUSH, 3);
	completed(REQUEST_FLUSH, 3, -5);
	invoked(REQUEST_FLUSH, 4);
	completed(REQUEST_FLUSH, 4, 0);
	ck_assert_str_eq(joined_text(0, 5, 0), "+2 +3 -3 +4 ");
	ck_assert_str_eq(joined_text(0, 6, 0), "+2 -2 +3 -3 +4 -4 ");
}
END_TEST

START_TEST(a_failed_write_stays_under_way_and_reads_are_left_out)
{
	invoked(REQUEST_WRITE, 2);
	completed(REQUEST_WRITE, 2, -5);
	invoked(REQUEST_READ, 3);
	completed(REQUEST_READ, 3, 0);
	invoked(REQUEST_CLOSE, 4);
	completed(REQUEST_CLOSE, 4, 0);
	ck_assert_str_eq(joined_text(0, 6, 0), "+2 +4 -4 ");
}
END_TEST

START_TEST(requests_of_different_runs_have_different_names)
{
	invoked(REQUEST_OPEN, 1);
	wrote(0, 512, 1);
	completed(REQUEST_OPEN, 1, 0);
	ck_assert_str_eq(joined_text(2, 3, 0), "+2000001 w512 -2000001 ");
}
END_TEST

/* The run of the next two tests: two writes, a flush between them. */
static void two_writes(void)
{
	invoked(REQUEST_WRITE, 2);
	wrote(0, 1024, 1);
	completed(REQUEST_WRITE, 2, 0);
	invoked(REQUEST_FLUSH, 3);
	completed(REQUEST_FLUSH, 3, 0);
	wrote(768, 2048, 2);
}

static uint8_t byte_at(const struct content *image, uint64_t at)
{
	uint8_t byte;
	content_read(image, &byte, 1, at);
	return byte;
}

START_TEST(a_torn_write_ends_where_a_sector_of_the_file_ends)
{
	struct crashed crashed;
	struct content *initial = content_new(IMAGE_BYTES);
	const struct judge_dirty state = {
		.operation = 1, .told = 4, .sector = 2, .sector_bytes = 512
	};
	two_writes();
	ck_assert(crashed_from_run(&crashed, &run, initial, &state));
	ck_assert_str_eq(text_of(&crashed.log), "+2 w1024 -2 +3 -3 w768 ");
	ck_assert_uint_eq(crashed.judged, crashed.log.count);
	ck_assert_uint_eq(byte_at(crashed.image, 767), 1);
	ck_assert_uint_eq(byte_at(crashed.image, 768), 2);
	ck_assert_uint_eq(byte_at(crashed.image, 1535), 2);
	ck_assert_uint_eq(byte_at(crashed.image, 1536), 0);
	ck_assert_uint_eq(byte_at(initial, 0), 0);
	crashed_release(&crashed);
	content_free(initial);
}
END_TEST

START_TEST(the_same_image_with_another_promise_is_another_place)
{
	struct crashed before, after, nowhere;
	struct content *initial = content_new(IMAGE_BYTES);
	const struct judge_dirty unpromised = { .operation = 1, .told = 3 };
	const struct judge_dirty promised = { .operation = 1, .told = 4 };
	const struct judge_dirty beyond = { .operation = 3, .told = 4 };
	two_writes();
	ck_assert(crashed_from_run(&before, &run, initial, &unpromised));
	ck_assert(crashed_from_run(&after, &run, initial, &promised));
	ck_assert(content_equal(before.image, after.image, NULL));
	ck_assert_str_eq(text_of(&before.log), "+2 w1024 +3 ");
	ck_assert_str_eq(text_of(&after.log), "+2 w1024 -2 +3 -3 ");
	ck_assert(!crashed_from_run(&nowhere, &run, initial, &beyond));
	crashed_release(&before);
	crashed_release(&after);
	crashed_release(&nowhere);
	content_free(initial);
}
END_TEST

static struct judge_dirty state_of(uint64_t fingerprint)
{
	return (struct judge_dirty){ .operation = 3, .fingerprint = fingerprint };
}

START_TEST(of_several_ways_to_a_state_the_shortest_is_kept)
{
	struct dirty_states states = { 0 }, copy = { 0 };
	struct pack pack = { 0 };
	const struct judge_dirty one = state_of(7), other = state_of(8);
	dirty_states_add(&states, "s1:001", &one);
	dirty_states_add(&states, "s1:01", &other);
	dirty_states_add(&states, "s1:02", &one);
	dirty_states_add(&states, "s1:1000", &one);
	dirty_states_pack(&states, &pack);
	struct unpack unpack = { .bytes = pack.bytes, .count = pack.count };
	dirty_states_unpack(&copy, &unpack);
	ck_assert(!unpack.failed);
	dirty_states_sort(&copy);
	ck_assert_uint_eq(copy.count, 2);
	ck_assert_str_eq(copy.items[0].schedule, "s1:01");
	ck_assert_str_eq(copy.items[1].schedule, "s1:02");
	ck_assert_uint_eq(copy.items[1].state.fingerprint, 7);
	ck_assert(dirty_states_has(&copy, 8));
	ck_assert(!dirty_states_has(&copy, 9));
	pack_release(&pack);
	dirty_states_release(&states);
	dirty_states_release(&copy);
}
END_TEST

START_TEST(many_states_are_found_again)
{
	enum { MANY = 1000 };
	struct dirty_states states = { 0 };
	for (uint64_t i = 0; i < MANY; i++) {
		const struct judge_dirty state = state_of(i * 64);
		dirty_states_add(&states, "s1:", &state);
		dirty_states_add(&states, "s1:", &state);
	}
	ck_assert_uint_eq(states.count, MANY);
	for (uint64_t i = 0; i < MANY; i++)
		ck_assert(dirty_states_has(&states, i * 64));
	ck_assert(!dirty_states_has(&states, 32));
	dirty_states_release(&states);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recovery_log");
	TCase *tests = tcase_create("recovery_log");
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, an_acknowledgement_that_no_flush_promised_is_lost);
	tcase_add_test(tests, a_flush_that_fails_or_is_under_way_promises_nothing);
	tcase_add_test(tests, a_failed_write_stays_under_way_and_reads_are_left_out);
	tcase_add_test(tests, requests_of_different_runs_have_different_names);
	tcase_add_test(tests, a_torn_write_ends_where_a_sector_of_the_file_ends);
	tcase_add_test(tests, the_same_image_with_another_promise_is_another_place);
	tcase_add_test(tests, of_several_ways_to_a_state_the_shortest_is_kept);
	tcase_add_test(tests, many_states_are_found_again);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
