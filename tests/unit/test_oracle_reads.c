// SPDX-License-Identifier: MIT
/* read-linearizable, progress, the end of a run, and recordings without requests. */
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

/** A write that is acknowledged, and in the image. */
static uint32_t done_write(void)
{
	uint32_t id = world_invoke(&world, REQUEST_WRITE, AT, 512);

	world_data(&world, id, GUEST, HOST, 0, 1);
	world_ack(&world, id, 0);
	return id;
}

static void done_read(uint32_t who)
{
	world_answer(&world, world_invoke(&world, REQUEST_READ, AT, 512), who);
}

START_TEST(a_read_returns_the_last_acknowledged_write)
{
	uint32_t first;

	begin();
	done_read(STAMP_OLD);
	first = done_write();
	done_read(first);
	world_expect_clean(&world);
	done_read(STAMP_OLD);
	ck_assert_int_eq(world_expect_only(&world, RULE_READ_LINEARIZABLE)->model, CRASH_NONE);
	ck_assert_uint_eq(world.report.verdicts[0].request, 4);
	world_release(&world);
}
END_TEST

START_TEST(a_read_that_overlaps_a_write_may_return_either)
{
	begin();
	for (int sees_new = 0; sees_new < 2; sees_new++) {
		uint32_t read = world_invoke(&world, REQUEST_READ, AT, 512);
		uint32_t before = sees_new ? 0 : STAMP_OLD;
		uint32_t id = world_invoke(&world, REQUEST_WRITE, AT, 512);

		world_data(&world, id, GUEST, HOST, 0, 1);
		world_ack(&world, id, 0);
		world_answer(&world, read, before != 0 ? before : id);
	}
	world_expect_clean(&world);
	world_release(&world);
}
END_TEST

START_TEST(a_read_of_bytes_that_nobody_wrote_is_reported)
{
	begin();
	done_read(77);
	ck_assert_ptr_nonnull(
		strstr(world_expect_only(&world, RULE_READ_LINEARIZABLE)->message, "stale bytes"));
	world_release(&world);
}
END_TEST

START_TEST(a_failed_read_says_nothing)
{
	begin();
	world_ack(&world, world_invoke(&world, REQUEST_READ, AT, 512), -EIO);
	world_expect_clean(&world);
	world_release(&world);
}
END_TEST

START_TEST(a_failed_write_may_be_seen_by_a_read_or_not)
{
	uint32_t id;

	begin();
	id = world_invoke(&world, REQUEST_WRITE, AT, 512);
	world_ack(&world, id, -EIO);
	done_read(STAMP_OLD);
	world_expect_clean(&world);
	done_read(id);
	world_expect_clean(&world);
	world_release(&world);
}
END_TEST

START_TEST(reads_one_after_the_other_do_not_go_back_in_time)
{
	uint32_t id;

	begin();
	id = world_invoke(&world, REQUEST_WRITE, AT, 512);
	done_read(id);
	done_read(id);
	world_expect_clean(&world);
	done_read(STAMP_OLD);
	world_expect_only(&world, RULE_READ_LINEARIZABLE);
	world_release(&world);
}
END_TEST

START_TEST(two_concurrent_writes_may_be_seen_in_either_order_but_only_one)
{
	uint32_t a;
	uint32_t b;

	begin();
	a = world_invoke(&world, REQUEST_WRITE, AT, 512);
	b = world_invoke(&world, REQUEST_WRITE, AT, 512);
	done_read(a);
	done_read(b);
	world_expect_clean(&world);
	world_ack(&world, a, 0);
	done_read(b);
	world_ack(&world, b, 0);
	world_expect_clean(&world);
	done_read(a);
	world_expect_only(&world, RULE_READ_LINEARIZABLE);
	world_release(&world);
}
END_TEST

START_TEST(the_contents_after_a_clean_close_are_one_more_read)
{
	begin();
	world_ack(&world, world_invoke(&world, REQUEST_WRITE, AT, 512), 0);
	world_ack(&world, world_invoke(&world, REQUEST_CLOSE, 0, 0), 0);
	world_end(&world, RUN_FINISHED, NULL);
	ck_assert_int_eq(world_expect(&world, RULE_READ_LINEARIZABLE)->model, CRASH_NONE);
	world_expect(&world, RULE_FLUSH_DURABLE);
	world_release(&world);
}
END_TEST

START_TEST(each_bad_end_of_a_run_is_a_verdict_with_its_text)
{
	static const struct {
		enum run_end end;
		const char *text;
	} ends[] = { { RUN_DEADLOCK, "stands still: co3 waits" },
		     { RUN_LIVELOCK, "does not end: co3 waits" },
		     { RUN_LEAKED, "coroutine behind: co3 waits" },
		     { RUN_DIED, "died: co3 waits" } };

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		begin();
		world_end(&world, ends[i].end, "co3 waits");
		ck_assert_ptr_nonnull(
			strstr(world_expect_only(&world, RULE_PROGRESS)->message, ends[i].text));
		world_release(&world);
	}
}
END_TEST

START_TEST(an_unanswered_request_is_reported_only_when_the_run_finished)
{
	static const enum run_end partial[] = { RUN_PRUNED, RUN_DIVERGED };

	for (size_t i = 0; i < 2; i++) {
		begin();
		world_invoke(&world, REQUEST_WRITE, AT, 512);
		world_end(&world, partial[i], NULL);
		world_expect_clean(&world);
		world_release(&world);
	}
	begin();
	world_invoke(&world, REQUEST_WRITE, AT, 512);
	world_end(&world, RUN_FINISHED, NULL);
	ck_assert_str_eq(world_expect_only(&world, RULE_PROGRESS)->message,
			 "write request 1 was never answered");
	world_release(&world);
}
END_TEST

START_TEST(a_recording_without_requests_is_judged_by_its_structure)
{
	begin();
	world_data(&world, 99, GUEST, HOST, 0, 8);
	world_expect_clean(&world);
	ck_assert_ptr_nonnull(world.report.skipped[RULE_COW_COMPLETE]);
	ck_assert_ptr_nonnull(world.report.skipped[RULE_READ_LINEARIZABLE]);
	ck_assert_ptr_nonnull(world.report.skipped[RULE_LEAK_BOUNDED]);
	ck_assert_ptr_null(world.report.skipped[RULE_NO_ALIAS]);
	ck_assert_ptr_null(world.report.skipped[RULE_COPIED_EXACT]);
	world_refcount(&world, 9, 1);
	world_end(&world, RUN_FINISHED, NULL);
	ck_assert_int_eq(world_expect_only(&world, RULE_LEAK_BOUNDED)->severity, SEVERITY_LEAK);
	world_release(&world);
}
END_TEST

START_TEST(failed_io_changes_nothing_and_short_io_changes_that_much)
{
	struct event event = { .kind = EVENT_IO_EFFECT,
			       .op = IO_WRITE,
			       .host_offset = HOST * CLUSTER,
			       .length = 1024,
			       .result = -EIO };
	uint8_t data[1024];
	uint32_t id;

	begin();
	id = world_invoke(&world, REQUEST_WRITE, AT, 1024);
	memset(data, 0x5a, sizeof(data));
	event_log_append(&world.log, &event, data, sizeof(data));
	world_expect_clean(&world);
	ck_assert_uint_eq(world.report.operations, 0);
	stamp(data, id, AT / 512);
	event.result = 512;
	event_log_append(&world.log, &event, data, sizeof(data));
	world_expect_clean(&world);
	ck_assert_uint_eq(world.report.operations, 1);
	world_release(&world);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("oracle_reads");
	TCase *tests = tcase_create("reads");

	tcase_add_test(tests, a_read_returns_the_last_acknowledged_write);
	tcase_add_test(tests, a_read_that_overlaps_a_write_may_return_either);
	tcase_add_test(tests, a_read_of_bytes_that_nobody_wrote_is_reported);
	tcase_add_test(tests, a_failed_read_says_nothing);
	tcase_add_test(tests, a_failed_write_may_be_seen_by_a_read_or_not);
	tcase_add_test(tests, reads_one_after_the_other_do_not_go_back_in_time);
	tcase_add_test(tests, two_concurrent_writes_may_be_seen_in_either_order_but_only_one);
	tcase_add_test(tests, the_contents_after_a_clean_close_are_one_more_read);
	tcase_add_test(tests, each_bad_end_of_a_run_is_a_verdict_with_its_text);
	tcase_add_test(tests, an_unanswered_request_is_reported_only_when_the_run_finished);
	tcase_add_test(tests, a_recording_without_requests_is_judged_by_its_structure);
	tcase_add_test(tests, failed_io_changes_nothing_and_short_io_changes_that_much);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
