// SPDX-License-Identifier: MIT
#include "tests/run_suite.h"
#include "traces/event.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct event_log log_a;
static struct event_log log_b;

static void setup(void)
{
	event_log_init(&log_a);
	event_log_init(&log_b);
}

static void teardown(void)
{
	event_log_release(&log_a);
	event_log_release(&log_b);
}

START_TEST(appended_events_keep_their_order_and_bytes)
{
	for (uint32_t i = 0; i < 1000; i++) {
		uint8_t data[16];
		memset(data, (int)(i & 0xff), sizeof(data));
		struct event event = { .kind = EVENT_IO_EFFECT, .op = IO_WRITE, .id = i };
		ck_assert_uint_eq(event_log_append(&log_a, &event, data, i % 17), i);
	}
	ck_assert_uint_eq(log_a.count, 1000);
	for (uint32_t i = 0; i < 1000; i++) {
		const struct event *event = &log_a.events[i];
		const uint8_t *data = event_data(&log_a, event);
		ck_assert_uint_eq(event->id, i);
		ck_assert_uint_eq(event->data_bytes, i % 17);
		if (i % 17 == 0)
			ck_assert_ptr_null(data);
		for (uint32_t k = 0; k < event->data_bytes; k++)
			ck_assert_uint_eq(data[k], i & 0xff);
	}
}
END_TEST

static void check_filled(size_t index, uint8_t fill, size_t byte_count)
{
	const struct event *filled = &log_a.events[index];
	const uint8_t *bytes = event_data(&log_a, filled);
	ck_assert_uint_eq(filled->data_bytes, byte_count);
	for (size_t i = 0; i < byte_count; i++)
		ck_assert_uint_eq(bytes[i], fill);
}

START_TEST(filled_events_share_their_bytes_and_are_equal_to_others)
{
	static const size_t sizes[] = { 100, 5000, 4096, 1, 5000 };
	enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };
	uint8_t same[5000];
	for (int fill = 0; fill < 3; fill++) {
		memset(same, fill, sizeof(same));
		for (size_t i = 0; i < SIZES; i++) {
			struct event event = { .kind = EVENT_IO_EFFECT, .op = IO_WRITE };
			event_log_append(&log_b, &event, same, sizes[i]);
			event_log_append_fill(&log_a, &event, (uint8_t)fill, sizes[i]);
		}
	}
	for (int fill = 0; fill < 3; fill++)
		for (size_t i = 0; i < SIZES; i++)
			check_filled((size_t)fill * SIZES + i, (uint8_t)fill, sizes[i]);
	ck_assert_uint_eq(event_log_difference(&log_a, &log_b), SIZE_MAX);
	ck_assert_uint_eq(event_log_digest(&log_a), event_log_digest(&log_b));
	ck_assert_uint_eq(log_a.byte_count, 3 * (4096 + 8192));
	/* What was shared is gone with a reset. */
	event_log_reset(&log_a);
	struct event event = { .kind = EVENT_IO_EFFECT, .op = IO_WRITE };
	event_log_append(&log_a, &event, same, sizeof(same));
	event_log_append_fill(&log_a, &event, 0, 4096);
	check_filled(1, 0, 4096);
}
END_TEST

START_TEST(a_reset_log_is_empty_and_keeps_its_memory)
{
	struct event event = { .kind = EVENT_END };
	event_log_append(&log_a, &event, "text", 4);
	const struct event *memory = log_a.events;
	uint64_t empty = event_log_digest(&log_b);
	event_log_reset(&log_a);
	ck_assert_uint_eq(log_a.count, 0);
	ck_assert_uint_eq(event_log_digest(&log_a), empty);
	event_log_append(&log_a, &event, NULL, 0);
	ck_assert_ptr_eq(log_a.events, memory);
	ck_assert_uint_eq(log_a.events[0].data_start, 0);
}
END_TEST

/* One event with every field set, to be changed one field at a time. */
static struct event full_event(void)
{
	return (struct event){ .kind = EVENT_IO_EFFECT,
			       .op = IO_WRITE,
			       .file = 1,
			       .actor = 2,
			       .id = 3,
			       .result = 4,
			       .host_offset = 5,
			       .length = 6,
			       .digest = 7 };
}

static void change_field(struct event *event, int field)
{
	switch (field) {
	case 0: event->kind++; break;
	case 1: event->op++; break;
	case 2: event->file++; break;
	case 3: event->actor++; break;
	case 4: event->id++; break;
	case 5: event->result = -event->result; break;
	case 6: event->host_offset += UINT64_C(1) << 63; break;
	case 7: event->length += UINT64_C(1) << 32; break;
	case 8: event->digest++; break;
	default: ck_abort();
	}
}

START_TEST(every_field_counts_in_digest_and_difference)
{
	struct event event = full_event();
	event_log_append(&log_a, &event, "abc", 3);
	event_log_append(&log_b, &event, "abc", 3);
	change_field(&event, _i);
	event_log_append(&log_b, &event, "abc", 3);
	event = full_event();
	event_log_append(&log_a, &event, "abc", 3);
	ck_assert_uint_eq(event_log_difference(&log_a, &log_b), 1);
	ck_assert_uint_ne(event_log_digest(&log_a), event_log_digest(&log_b));
}
END_TEST

START_TEST(every_byte_of_data_counts_in_digest_and_difference)
{
	uint8_t data[100] = { 0 };
	struct event event = full_event();
	event_log_append(&log_a, &event, data, sizeof(data));
	for (size_t i = 0; i < sizeof(data); i++) {
		data[i] = 0x80;
		event_log_reset(&log_b);
		event_log_append(&log_b, &event, data, sizeof(data));
		data[i] = 0;
		ck_assert_uint_eq(event_log_difference(&log_a, &log_b), 0);
		ck_assert_uint_ne(event_log_digest(&log_a), event_log_digest(&log_b));
	}
}
END_TEST

START_TEST(zeros_at_the_end_of_data_count)
{
	static const uint8_t zeros[80];
	struct event event = full_event();
	for (size_t bytes = 0; bytes < sizeof(zeros); bytes++) {
		event_log_reset(&log_a);
		event_log_reset(&log_b);
		event_log_append(&log_a, &event, zeros, bytes);
		event_log_append(&log_b, &event, zeros, bytes + 1);
		ck_assert_uint_ne(event_log_digest(&log_a), event_log_digest(&log_b));
		ck_assert_uint_eq(event_log_difference(&log_a, &log_b), 0);
	}
}
END_TEST

START_TEST(stack_labels_do_not_count)
{
	struct event event = full_event();
	event_log_append(&log_a, &event, NULL, 0);
	event.stack = 9;
	event_log_append(&log_b, &event, NULL, 0);
	ck_assert_uint_eq(event_log_difference(&log_a, &log_b), SIZE_MAX);
	ck_assert_uint_eq(event_log_digest(&log_a), event_log_digest(&log_b));
}
END_TEST

/* Traces of older versions do not say it, and are replayed all the same. */
START_TEST(who_has_what_is_waited_for_counts_where_it_is_known)
{
	struct event event = { .kind = EVENT_WAIT, .op = WAIT_QUEUE, .actor = 2, .id = 7 };
	event_log_append(&log_a, &event, "allocation", 10);
	event.result = 5;
	event_log_append(&log_b, &event, "allocation", 10);
	ck_assert_uint_eq(event_log_digest(&log_a), event_log_digest(&log_b));
	ck_assert_uint_eq(event_log_difference(&log_a, &log_b), SIZE_MAX);
	ck_assert_uint_eq(event_log_difference(&log_b, &log_a), SIZE_MAX);
	log_a.events[0].result = 6;
	ck_assert_uint_eq(event_log_difference(&log_a, &log_b), 0);
}
END_TEST

START_TEST(a_prefix_differs_where_it_ends)
{
	struct event event = full_event();
	event_log_append(&log_a, &event, NULL, 0);
	event_log_append(&log_b, &event, NULL, 0);
	event_log_append(&log_b, &event, NULL, 0);
	ck_assert_uint_eq(event_log_difference(&log_a, &log_b), 1);
	ck_assert_uint_eq(event_log_difference(&log_b, &log_a), 1);
	ck_assert_uint_ne(event_log_digest(&log_a), event_log_digest(&log_b));
}
END_TEST

START_TEST(the_digest_is_the_same_on_every_machine)
{
	struct event event = full_event();
	event_log_append(&log_a, &event, "a text of more than thirty-two bytes", 36);
	ck_assert_uint_eq(event_log_digest(&log_a), UINT64_C(13113305903114883676));
}
END_TEST

static const struct {
	struct event event;
	const char *data;
	const char *line;
} lines[] = {
	{ { .kind = EVENT_IO_EFFECT,
	    .op = IO_WRITE,
	    .actor = 3,
	    .host_offset = 0x5000,
	    .length = 512,
	    .result = 512 },
	  "",
	  "co3 write effect 0x5000+512 = 512" },
	{ { .kind = EVENT_IO_SUBMITTED, .op = IO_READ, .actor = 1, .file = 2, .length = 65536 },
	  "",
	  "co1 read submitted file2:0x0+65536" },
	{ { .kind = EVENT_IO_COMPLETED, .op = IO_FLUSH, .actor = 12, .result = -EIO },
	  "",
	  "co12 flush completed all = -EIO" },
	{ { .kind = EVENT_IO_EFFECT, .op = IO_RESIZE, .host_offset = 4096 },
	  "",
	  "resize effect 0x1000 = 0" },
	{ { .kind = EVENT_REQUEST_INVOKED, .op = REQUEST_WRITE_ZEROES, .id = 4, .length = 1024 },
	  "",
	  "request 4 write-zeroes 0x0+1024" },
	{ { .kind = EVENT_REQUEST_COMPLETED, .op = REQUEST_FLUSH, .id = 5, .result = -ENOSPC },
	  "",
	  "request 5 flush completed = -ENOSPC" },
	{ { .kind = EVENT_FAULT, .op = IO_WRITE, .actor = 1, .result = -EIO },
	  "posix/io/rw/pwrite",
	  "co1 write fault posix/io/rw/pwrite = -EIO" },
	{ { .kind = EVENT_SWITCH, .actor = 2 }, "writer\n", "co2 runs writer?" },
	{ { .kind = EVENT_SWITCH, .actor = 2 }, "", "co2 runs" },
	{ { .kind = EVENT_WAIT, .op = WAIT_MUTEX, .actor = 2, .id = 7 },
	  "table lock",
	  "co2 waits for mutex 7 table lock" },
	{ { .kind = EVENT_WAIT, .op = WAIT_QUEUE, .actor = 2, .id = 7, .result = 5 },
	  "allocation",
	  "co2 waits for queue 7 allocation held by co5" },
	{ { .kind = EVENT_CHOICE, .op = CHOICE_FAULT, .id = 3, .result = 1 },
	  "",
	  "choice fault 1 of 3" },
	{ { .kind = EVENT_END, .op = RUN_DEADLOCK }, "co1, co2", "end deadlock co1, co2" },
	{ { .kind = 77, .result = INT32_MIN }, "", "event kind 77" },
};

START_TEST(an_event_is_printed_as_one_line)
{
	event_log_append(&log_a, &lines[_i].event, lines[_i].data, strlen(lines[_i].data));
	char line[200];
	event_format(line, sizeof(line), &log_a, &log_a.events[0]);
	ck_assert_str_eq(line, lines[_i].line);

	for (size_t room = 1; room < sizeof(line); room++) {
		char *cut = malloc(room);
		ck_assert_ptr_nonnull(cut);
		event_format(cut, room, &log_a, &log_a.events[0]);
		ck_assert_uint_lt(strlen(cut), room);
		ck_assert_int_eq(strncmp(cut, line, strlen(cut)), 0);
		free(cut);
	}
}
END_TEST

START_TEST(numbers_without_a_name_print_a_question_mark)
{
	const char *(*const functions[])(unsigned) = { event_kind_name, request_op_name,
						       io_op_name,      wait_kind_name,
						       run_end_name,    choice_kind_name };
	const unsigned known[] = { EVENT_END,    REQUEST_SNAPSHOT_DELETE,
				   IO_ALLOCATE,  WAIT_PARKED,
				   RUN_DIVERGED, CHOICE_FAULT };
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		ck_assert_str_eq(functions[i](0), "?");
		ck_assert_str_eq(functions[i](known[i] + 1), "?");
		ck_assert_str_eq(functions[i](UINT32_MAX), "?");
		for (unsigned number = 1; number <= known[i]; number++)
			ck_assert_str_ne(functions[i](number), "?");
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("event");
	TCase *events = tcase_create("events");
	tcase_add_checked_fixture(events, setup, teardown);
	tcase_add_test(events, appended_events_keep_their_order_and_bytes);
	tcase_add_test(events, filled_events_share_their_bytes_and_are_equal_to_others);
	tcase_add_test(events, a_reset_log_is_empty_and_keeps_its_memory);
	tcase_add_loop_test(events, every_field_counts_in_digest_and_difference, 0, 9);
	tcase_add_test(events, every_byte_of_data_counts_in_digest_and_difference);
	tcase_add_test(events, zeros_at_the_end_of_data_count);
	tcase_add_test(events, stack_labels_do_not_count);
	tcase_add_test(events, who_has_what_is_waited_for_counts_where_it_is_known);
	tcase_add_test(events, a_prefix_differs_where_it_ends);
	tcase_add_test(events, the_digest_is_the_same_on_every_machine);
	tcase_add_loop_test(events, an_event_is_printed_as_one_line, 0,
			    sizeof(lines) / sizeof(lines[0]));
	tcase_add_test(events, numbers_without_a_name_print_a_question_mark);
	suite_add_tcase(suite, events);
	return run_suite(suite);
}
