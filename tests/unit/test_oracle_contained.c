// SPDX-License-Identifier: MIT
/* error-contained, clause by clause: what reads and the end of a run show after an error, and who
 * may still say that all is durable. */
#include "tests/run_suite.h"
#include "tests/unit/oracle_world.h"

#include <check.h>
#include <errno.h>
#include <string.h>

enum { GUEST = 1, HOST = 5 };
#define CLUSTER UINT64_C(4096)
#define AT (GUEST * CLUSTER)

static struct world world;

static void begin(void)
{
	world_init(&world, &(struct world_options){ 0 });
	world_map(&world, GUEST, HOST);
}

/* A write of the first sector that is acknowledged, and in the image. */
static uint32_t done_write(void)
{
	uint32_t id = world_invoke(&world, REQUEST_WRITE, AT, 512);

	world_data(&world, id, GUEST, HOST, 0, 1);
	world_ack(&world, id, 0);
	return id;
}

/* A write of `sectors` sectors fails, having changed nothing. */
static uint32_t failed_write(uint64_t sectors)
{
	uint32_t id = world_invoke(&world, REQUEST_WRITE, AT, sectors * 512);

	world_ack(&world, id, -EIO);
	return id;
}

static void done_read(uint64_t guest_offset, uint32_t who)
{
	world_answer(&world, world_invoke(&world, REQUEST_READ, guest_offset, 512), who);
}

static void io_event(enum event_kind kind, enum io_op op, int32_t result)
{
	const struct event event = { .kind = (uint8_t)kind, .op = (uint8_t)op, .result = result };

	event_log_append(&world.log, &event, NULL, 0);
}

static void failed_flush_of_file(int error)
{
	io_event(EVENT_IO_SUBMITTED, IO_FLUSH, 0);
	io_event(EVENT_FAULT, IO_FLUSH, -error);
	io_event(EVENT_IO_COMPLETED, IO_FLUSH, -error);
}

static void flush_of_file(void)
{
	io_event(EVENT_IO_SUBMITTED, IO_FLUSH, 0);
	io_event(EVENT_IO_EFFECT, IO_FLUSH, 0);
	io_event(EVENT_IO_COMPLETED, IO_FLUSH, 0);
}

static void close_and_end(void)
{
	world_ack(&world, world_invoke(&world, REQUEST_CLOSE, 0, 0), 0);
	world_end(&world, RUN_FINISHED, NULL);
}

START_TEST(sectors_of_a_failed_request_are_old_or_new)
{
	uint32_t failed;

	begin();
	failed = failed_write(1);
	done_read(AT, STAMP_OLD);
	done_read(AT, failed);
	world_expect_clean(&world);
	done_read(AT, 77);
	ck_assert_int_eq(world_expect_only(&world, RULE_ERROR_CONTAINED)->model, CRASH_NONE);
	ck_assert_ptr_nonnull(strstr(world.report.verdicts[0].message, "a request had failed"));
	world_release(&world);
}
END_TEST

START_TEST(a_failed_request_does_not_bring_back_what_was_overwritten)
{
	uint32_t first;

	begin();
	first = done_write();
	failed_write(1);
	done_read(AT, first);
	world_expect_clean(&world);
	done_read(AT, STAMP_OLD);
	world_expect_only(&world, RULE_ERROR_CONTAINED);
	world_release(&world);
}
END_TEST

START_TEST(elsewhere_and_before_the_failure_reads_are_read_linearizables)
{
	uint32_t read;

	begin();
	failed_write(1);
	done_read(AT + 512, 77);
	world_expect_only(&world, RULE_READ_LINEARIZABLE);
	world_release(&world);
	begin();
	read = world_invoke(&world, REQUEST_READ, AT, 512);
	failed_write(1);
	world_answer(&world, read, 77);
	world_expect_only(&world, RULE_READ_LINEARIZABLE);
	world_release(&world);
}
END_TEST

/* Run to a clean close, with the data of an acknowledged write in the image or not. */
static void end_with_write(bool is_there)
{
	uint32_t id = world_invoke(&world, REQUEST_WRITE, AT + 1024, 512);

	if (is_there)
		world_data(&world, id, GUEST, HOST, 2, 3);
	world_ack(&world, id, 0);
	close_and_end();
}

START_TEST(acknowledged_data_is_there_at_the_end_whatever_failed)
{
	for (int what = 0; what < 3; what++)
		for (int is_there = 0; is_there < 2; is_there++) {
			begin();
			if (what == 1)
				io_event(EVENT_FAULT, IO_WRITE, -ENOSPC);
			if (what == 2)
				failed_write(1);
			end_with_write(is_there);
			if (is_there)
				world_expect_clean(&world);
			else
				ck_assert_int_eq(world_expect(&world, what ? RULE_ERROR_CONTAINED
									   : RULE_READ_LINEARIZABLE)
							 ->model,
						 CRASH_NONE);
			world_release(&world);
		}
}
END_TEST

START_TEST(what_was_only_interrupted_or_cut_short_has_not_failed)
{
	begin();
	io_event(EVENT_FAULT, IO_WRITE, -EINTR);
	io_event(EVENT_FAULT, IO_WRITE, 512);
	end_with_write(false);
	world_expect(&world, RULE_READ_LINEARIZABLE);
	world_release(&world);
}
END_TEST

START_TEST(no_flush_succeeds_after_one_of_the_file_has_failed)
{
	uint32_t flush;

	begin();
	done_write();
	flush = world_invoke(&world, REQUEST_FLUSH, 0, 0);
	failed_flush_of_file(EIO);
	world_ack(&world, flush, -EIO);
	world_ack(&world, world_invoke(&world, REQUEST_FLUSH, 0, 0), -EIO);
	world_expect_clean(&world);
	flush = world_invoke(&world, REQUEST_FLUSH, 0, 0);
	flush_of_file();
	world_ack(&world, flush, 0);
	ck_assert_uint_eq(world_expect_only(&world, RULE_ERROR_CONTAINED)->request, flush);
	world_release(&world);
}
END_TEST

START_TEST(nor_does_a_close)
{
	begin();
	done_write();
	failed_flush_of_file(EIO);
	close_and_end();
	world_expect_only(&world, RULE_ERROR_CONTAINED);
	world_release(&world);
}
END_TEST

START_TEST(a_flush_asked_for_before_the_failure_may_have_been_early_enough)
{
	uint32_t flush;

	begin();
	flush = world_invoke(&world, REQUEST_FLUSH, 0, 0);
	flush_of_file();
	failed_flush_of_file(EIO);
	world_ack(&world, flush, 0);
	world_expect_clean(&world);
	world_release(&world);
}
END_TEST

START_TEST(an_interrupted_flush_has_not_failed)
{
	uint32_t flush;

	begin();
	done_write();
	failed_flush_of_file(EINTR);
	flush = world_invoke(&world, REQUEST_FLUSH, 0, 0);
	flush_of_file();
	world_ack(&world, flush, 0);
	world_expect_clean(&world);
	world_release(&world);
}
END_TEST

/* What no run of a class shows may be hidden in another order of its steps; what holds in all is
 * found in any. */
START_TEST(a_class_knows_of_flushes_that_failed)
{
	struct world_class class;
	uint32_t flush;

	begin();
	world_class_init(&class, 2);
	failed_flush_of_file(EIO);
	world_class_add(&class, &world.log, 3, 0);
	flush = world_invoke(&world, REQUEST_FLUSH, 0, 0);
	world_class_add(&class, &world.log, 1, 0);
	flush_of_file();
	world_ack(&world, flush, 0);
	world_class_add(&class, &world.log, 4, 0);
	world_data(&world, 1, GUEST, 20, 0, 1);
	world_class_add(&class, &world.log, 1, 1);
	world_judge(&world);
	judge_cuts(world.judge, &world.log, &class.class, &world.report);
	ck_assert_uint_eq(world.report.verdict_count, 1);
	ck_assert_int_eq(world.report.verdicts[0].rule, RULE_ERROR_CONTAINED);
	ck_assert_uint_eq(world.report.verdicts[0].request, flush);
	world_release(&world);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("oracle_contained");
	TCase *tests = tcase_create("contained");

	tcase_add_test(tests, sectors_of_a_failed_request_are_old_or_new);
	tcase_add_test(tests, a_failed_request_does_not_bring_back_what_was_overwritten);
	tcase_add_test(tests, elsewhere_and_before_the_failure_reads_are_read_linearizables);
	tcase_add_test(tests, acknowledged_data_is_there_at_the_end_whatever_failed);
	tcase_add_test(tests, what_was_only_interrupted_or_cut_short_has_not_failed);
	tcase_add_test(tests, no_flush_succeeds_after_one_of_the_file_has_failed);
	tcase_add_test(tests, nor_does_a_close);
	tcase_add_test(tests, a_flush_asked_for_before_the_failure_may_have_been_early_enough);
	tcase_add_test(tests, an_interrupted_flush_has_not_failed);
	tcase_add_test(tests, a_class_knows_of_flushes_that_failed);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
