// SPDX-License-Identifier: MIT
#include "traces/dm_log_writes.h"

#include "tests/run_suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECTOR = 512, IMAGE_BYTES = 8 * SECTOR + 100 };

static struct trace trace, again;
static struct dm_log_written written;
static struct why why;
static char path[] = "/tmp/cowtip-dm-write-XXXXXX";

static void begin(struct trace *made)
{
	uint8_t bytes[IMAGE_BYTES];
	trace_init(made);
	struct content *image = content_new(IMAGE_BYTES);
	ck_assert_ptr_nonnull(image);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i % 251 + 1);
	ck_assert_int_eq(content_write(image, bytes, sizeof(bytes), 0), STATUS_OK);
	trace_add_file(made, "image", TRACE_FORMAT_RAW, TRACE_NO_BACKING, image);
}

static void setup(void)
{
	memcpy(path + strlen(path) - 6, "XXXXXX", 6);
	int file = mkstemp(path);
	ck_assert_int_ge(file, 0);
	close(file);
	begin(&trace);
	begin(&again);
}

static void teardown(void)
{
	trace_release(&trace);
	trace_release(&again);
	unlink(path);
}

static void start_over(void)
{
	trace_release(&trace);
	trace_release(&again);
	begin(&trace);
	begin(&again);
}

static void put(enum event_kind kind, enum io_op op, uint32_t id, uint64_t at, uint64_t length)
{
	uint8_t data[4 * SECTOR];
	struct event event = {
		.kind = (uint8_t)kind, .op = (uint8_t)op, .id = id, .length = length
	};
	event.host_offset = at;
	bool has_data = kind == EVENT_IO_EFFECT && op == IO_WRITE;
	ck_assert_uint_le(has_data ? length : 0, sizeof(data));
	memset(data, 0x80 + (int)id, sizeof(data));
	if (has_data)
		event.result = (int32_t)length;
	event_log_append(&trace.log, &event, has_data ? data : NULL, has_data ? length : 0);
}

static void put_io(enum io_op op, uint32_t id, uint64_t at, uint64_t length)
{
	put(EVENT_IO_SUBMITTED, op, id, at, length);
	put(EVENT_IO_EFFECT, op, id, at, length);
	put(EVENT_IO_COMPLETED, op, id, at, length);
}

/* Write the trace as a log and read that back as `again`. */
static void go_round(uint32_t sector_bytes)
{
	struct dm_log_facts facts;
	enum status status = dm_log_write(&trace, &written, path, sector_bytes, &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
	status = dm_log_read(&again, &facts, path, DM_LOG_DIALECT_AUTO, &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
	ck_assert_int_eq(facts.dialect, DM_LOG_DIALECT_KERNEL);
	ck_assert_uint_eq(facts.entries, written.entries);
	ck_assert_uint_eq(facts.entries_behind, 0);
}

/* Does what was read back end with the same bytes, but for zeros behind the end? */
static void check_final(void)
{
	struct content *expected = trace_final_content(&trace, 0);
	struct content *found = trace_final_content(&again, 0);
	ck_assert(expected && found);
	ck_assert_uint_ge(content_size(found), content_size(expected));
	content_resize(expected, content_size(found));
	uint64_t difference = 0;
	bool equal = content_equal(expected, found, &difference);
	ck_assert_msg(equal, "byte %lu differs", (unsigned long)difference);
	content_free(expected);
	content_free(found);
}

/* Bit n: write n (from 1) is durable at the end by the definition: a flush that was submitted after
 * the write was completed was itself completed. `place` tells writes of a log apart. */
static unsigned durable_writes(const struct trace *of)
{
	unsigned completed = 0, durable = 0, covered = 0;
	for (size_t i = 0; i < of->log.count; i++) {
		const struct event *event = &of->log.events[i];
		unsigned bit = 1u << (event->host_offset / SECTOR);
		if (event->op == IO_FLUSH && event->kind == EVENT_IO_SUBMITTED)
			covered = completed;
		else if (event->op == IO_FLUSH && event->kind == EVENT_IO_COMPLETED)
			durable |= covered;
		else if (event->op == IO_WRITE && event->kind == EVENT_IO_COMPLETED)
			completed |= bit;
	}
	return durable;
}

/* Two writes and a flush, each submitted, effective, completed: `order` gives whose turn it is, in
 * base 3. False: not every I/O has three turns. */
static bool put_interleaving(unsigned order)
{
	unsigned turns[3] = { 0 };
	for (int step = 0; step < 9; step++, order /= 3) {
		unsigned io = order % 3;
		if (turns[io] == 3)
			return false;
		put((enum event_kind)(EVENT_IO_SUBMITTED + turns[io]++),
		    io == 2 ? IO_FLUSH : IO_WRITE, io + 1, io == 2 ? 0 : io * SECTOR,
		    io == 2 ? 0 : SECTOR);
	}
	return true;
}

/* Every order of the nine events: the log promises what the trace did; where it promises more, it
 * says so. */
START_TEST(a_log_promises_what_the_trace_promised)
{
	unsigned orders = 0, exact = 0, more = 0;
	for (unsigned order = 0; order < 19683; order++) {
		start_over();
		if (!put_interleaving(order))
			continue;
		go_round(SECTOR);
		orders++;
		unsigned before = durable_writes(&trace), after = durable_writes(&again);
		ck_assert_uint_eq(before & ~after, 0);
		if (written.promised_too_much) {
			more++;
			ck_assert_uint_ne(before, after);
		} else {
			exact++;
			ck_assert_uint_eq(before, after);
		}
		if (order % 7 == 0)
			check_final();
	}
	ck_assert_uint_eq(orders, 1680);
	ck_assert_uint_gt(exact, 1400);
	ck_assert_uint_gt(more, 20);
}
END_TEST

/* What happens to an image, in sizes that meet sectors in every way. */
static const struct {
	enum io_op op;
	uint64_t at, length;
} steps[] = {
	{ IO_WRITE, 2 * SECTOR, SECTOR },
	{ IO_WRITE, 100, 20 },
	{ IO_WRITE, 3 * SECTOR - 7, 14 },
	{ IO_WRITE, 8 * SECTOR + 90, 700 },
	{ IO_WRITE, 11 * SECTOR, 2 * SECTOR },
	{ IO_PUNCH, SECTOR, 2 * SECTOR },
	{ IO_PUNCH, SECTOR + 1, SECTOR },
	{ IO_PUNCH, SECTOR + 10, 20 },
	{ IO_PUNCH, 7 * SECTOR + 1, 100 * SECTOR },
	{ IO_ZERO, 5 * SECTOR - 1, SECTOR + 2 },
	{ IO_ZERO, 8 * SECTOR, 4 * SECTOR + 5 },
	{ IO_ZERO, 6 * SECTOR + 3, UINT64_C(1) << 33 },
	{ IO_RESIZE, 12 * SECTOR + 30, 0 },
	{ IO_RESIZE, 4 * SECTOR + 200, 0 },
	{ IO_RESIZE, 0, 0 },
	{ IO_RESIZE, UINT64_C(1) << 40, 0 },
	{ IO_ALLOCATE, 9 * SECTOR, 3 * SECTOR },
};

enum { STEP_COUNT = sizeof(steps) / sizeof(steps[0]) };

START_TEST(every_three_operations_end_in_the_same_bytes)
{
	for (unsigned order = 0; order < STEP_COUNT * STEP_COUNT * STEP_COUNT; order++) {
		start_over();
		for (unsigned i = 0, rest = order; i < 3; i++, rest /= STEP_COUNT)
			put_io(steps[rest % STEP_COUNT].op, i + 1, steps[rest % STEP_COUNT].at,
			       steps[rest % STEP_COUNT].length);
		go_round(order % 3 ? SECTOR : 4096);
		check_final();
	}
}
END_TEST

/* The events of both that a log can hold: equal? */
static void check_same_operations(void)
{
	size_t k = 0;
	for (size_t i = 0; i < trace.log.count; i++) {
		const struct event *event = &trace.log.events[i];
		if (event->kind != EVENT_IO_EFFECT)
			continue;
		while (k < again.log.count && again.log.events[k].kind != EVENT_IO_EFFECT)
			k++;
		ck_assert_uint_lt(k, again.log.count);
		const struct event *found = &again.log.events[k++];
		ck_assert_int_eq(found->op, event->op);
		ck_assert_uint_eq(found->host_offset, event->host_offset);
		ck_assert_uint_eq(found->length, event->length);
		ck_assert_uint_eq(found->data_bytes, event->data_bytes);
		if (event->data_bytes)
			ck_assert_int_eq(memcmp(event_data(&again.log, found),
						event_data(&trace.log, event), event->data_bytes),
					 0);
	}
	for (; k < again.log.count; k++)
		ck_assert_int_ne(again.log.events[k].kind, EVENT_IO_EFFECT);
}

START_TEST(whole_sectors_and_flushes_come_back_as_they_were)
{
	for (uint32_t id = 1; id < 20; id += 3) {
		put_io(IO_WRITE, id, id % 5 * SECTOR, 2 * SECTOR);
		put_io(IO_PUNCH, id + 1, id % 3 * SECTOR, SECTOR);
		put_io(IO_FLUSH, id + 2, 0, 0);
	}
	go_round(SECTOR);
	ck_assert_uint_eq(written.promised_too_much, 0);
	check_same_operations();
	check_final();
}
END_TEST

/* A log that came from a log is the same log. */
START_TEST(fua_survives_the_way_through_a_trace)
{
	put(EVENT_IO_SUBMITTED, IO_WRITE, 1, 0, SECTOR);
	put(EVENT_IO_EFFECT, IO_WRITE, 1, 0, SECTOR);
	put_io(IO_WRITE, 2, SECTOR, SECTOR);
	put_io(IO_FLUSH, 3, 0, 0);
	go_round(SECTOR);
	ck_assert_uint_eq(written.entries, 3);
	ck_assert_uint_eq(written.promised_too_much, 0);
	ck_assert_uint_eq(durable_writes(&again), 2);
}
END_TEST

/* The end of the image is in the middle of a sector: a punch up to there has two entries. */
START_TEST(fua_is_on_every_entry_of_an_operation)
{
	put(EVENT_IO_SUBMITTED, IO_WRITE, 1, 0, SECTOR);
	put(EVENT_IO_EFFECT, IO_WRITE, 1, 0, SECTOR);
	put_io(IO_PUNCH, 2, IMAGE_BYTES / SECTOR * SECTOR - SECTOR, 2 * SECTOR);
	/* What writes nothing does not come between. */
	put_io(IO_WRITE, 3, 100, 0);
	put_io(IO_FLUSH, 4, 0, 0);
	go_round(SECTOR);
	ck_assert_uint_eq(written.entries, 4);
	ck_assert_uint_eq(written.promised_too_much, 0);
	/* The write that was not completed is not promised; both pieces of the punch are: each is
	 * followed by a flush of its own. */
	unsigned flushes = 0;
	for (size_t i = 0; i < again.log.count; i++)
		flushes += again.log.events[i].kind == EVENT_IO_COMPLETED &&
			   again.log.events[i].op == IO_FLUSH;
	ck_assert_uint_eq(flushes, 2);
	ck_assert_uint_eq(durable_writes(&again) & 2, 0);
	check_final();
}
END_TEST

START_TEST(what_failed_or_never_ended_is_not_in_the_log)
{
	put(EVENT_IO_SUBMITTED, IO_WRITE, 1, 0, SECTOR);
	struct event failed = { .kind = EVENT_IO_EFFECT, .op = IO_WRITE, .id = 1, .result = -5 };
	event_log_append(&trace.log, &failed, NULL, 0);
	put_io(IO_WRITE, 2, SECTOR, SECTOR);
	put(EVENT_IO_SUBMITTED, IO_FLUSH, 3, 0, 0);
	struct event answer = { .kind = EVENT_IO_COMPLETED, .op = IO_FLUSH, .id = 3, .result = -5 };
	event_log_append(&trace.log, &answer, NULL, 0);
	put(EVENT_IO_SUBMITTED, IO_FLUSH, 4, 0, 0);
	go_round(SECTOR);
	ck_assert_uint_eq(durable_writes(&again), 0);
	ck_assert_uint_eq(again.log.count, 3);
	ck_assert_uint_eq(written.entries, 2);
}
END_TEST

/* A write that a flush promised too early is no matter of the next. */
START_TEST(what_is_promised_too_much_is_counted_once)
{
	put(EVENT_IO_SUBMITTED, IO_WRITE, 1, 0, SECTOR);
	put(EVENT_IO_EFFECT, IO_WRITE, 1, 0, SECTOR);
	put_io(IO_WRITE, 2, SECTOR, SECTOR);
	put_io(IO_WRITE, 3, 2 * SECTOR, SECTOR);
	put_io(IO_FLUSH, 4, 0, 0);
	put(EVENT_IO_COMPLETED, IO_WRITE, 1, 0, SECTOR);
	put_io(IO_WRITE, 5, 3 * SECTOR, SECTOR);
	put(EVENT_IO_SUBMITTED, IO_WRITE, 6, 4 * SECTOR, SECTOR);
	put(EVENT_IO_EFFECT, IO_WRITE, 6, 4 * SECTOR, SECTOR);
	put_io(IO_FLUSH, 7, 0, 0);
	go_round(SECTOR);
	ck_assert_uint_eq(written.promised_too_much, 2);
	ck_assert_uint_eq(durable_writes(&again), 31);
}
END_TEST

START_TEST(what_moves_no_byte_is_not_in_the_log)
{
	put_io(IO_WRITE, 1, 100, 0);
	put_io(IO_ZERO, 2, 100, 0);
	put_io(IO_PUNCH, 3, 100, 0);
	put_io(IO_PUNCH, 4, IMAGE_BYTES, SECTOR);
	put_io(IO_ALLOCATE, 5, 100, 20);
	put_io(IO_RESIZE, 6, IMAGE_BYTES, 0);
	put_io(IO_READ, 7, 0, SECTOR);
	go_round(SECTOR);
	ck_assert_uint_eq(written.entries, 1);
	ck_assert_uint_eq(again.log.count, 0);
}
END_TEST

START_TEST(requests_become_marks)
{
	struct event request = { .kind = EVENT_REQUEST_INVOKED, .op = REQUEST_WRITE, .id = 7 };
	request.length = SECTOR;
	event_log_append(&trace.log, &request, NULL, 0);
	put_io(IO_WRITE, 1, 0, SECTOR);
	go_round(SECTOR);
	ck_assert_uint_eq(written.entries, 3);
	char bytes[SECTOR];
	FILE *file = fopen(path, "rb");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fseek(file, SECTOR, SEEK_SET), 0);
	ck_assert_uint_eq(fread(bytes, 1, sizeof(bytes), file), sizeof(bytes));
	fclose(file);
	ck_assert_int_eq(bytes[16], 8);
	ck_assert_str_eq(bytes + 32, "request 7 write 0x0+512");
}
END_TEST

START_TEST(what_no_log_can_hold_is_refused)
{
	put_io(IO_RESIZE, 1, INT64_MAX, 0);
	ck_assert_int_eq(dm_log_write(&trace, &written, path, SECTOR, &why), STATUS_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(why.text, "event 1 reaches as far as no log does"));
	start_over();
	ck_assert_int_eq(dm_log_write(&trace, &written, "/no/such/folder", SECTOR, &why),
			 STATUS_IO);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dm_log_write");
	TCase *writing = tcase_create("writing");
	tcase_set_timeout(writing, 100);
	tcase_add_checked_fixture(writing, setup, teardown);
	tcase_add_test(writing, a_log_promises_what_the_trace_promised);
	tcase_add_test(writing, every_three_operations_end_in_the_same_bytes);
	tcase_add_test(writing, whole_sectors_and_flushes_come_back_as_they_were);
	tcase_add_test(writing, fua_survives_the_way_through_a_trace);
	tcase_add_test(writing, fua_is_on_every_entry_of_an_operation);
	tcase_add_test(writing, what_failed_or_never_ended_is_not_in_the_log);
	tcase_add_test(writing, what_is_promised_too_much_is_counted_once);
	tcase_add_test(writing, what_moves_no_byte_is_not_in_the_log);
	tcase_add_test(writing, requests_become_marks);
	tcase_add_test(writing, what_no_log_can_hold_is_refused);
	suite_add_tcase(suite, writing);
	return run_suite(suite);
}
