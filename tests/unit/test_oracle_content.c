// SPDX-License-Identifier: MIT
/* cow-complete, old-or-new and flush-durable, each with the smallest run that keeps it and the
 * smallest that breaks it. */
#include "tests/run_suite.h"
#include "tests/unit/oracle_world.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { GUEST = 3, HOST = 5 };
#define CLUSTER UINT64_C(4096)

static const struct world_options over_backing = { .backing = true };
static struct world world;

/** The right way to write sectors 1 and 2 of an unallocated cluster. Returns the request. */
static uint32_t write_with_cow(unsigned cow_sectors)
{
	uint32_t id = world_invoke(&world, REQUEST_WRITE, GUEST * CLUSTER + 512, 1024);

	world_refcount(&world, HOST, 1);
	world_data(&world, id, GUEST, HOST, 1, 3);
	world_data(&world, STAMP_BACKING, GUEST, HOST, 0, 1);
	if (cow_sectors > 0)
		world_data(&world, STAMP_BACKING, GUEST, HOST, 3, 3 + cow_sectors);
	world_l2(&world, GUEST, HOST * CLUSTER | COPIED);
	return id;
}

START_TEST(a_linked_cluster_with_complete_cow_is_clean)
{
	world_init(&world, &over_backing);
	world_ack(&world, write_with_cow(5), 0);
	world_flush(&world);
	world_end(&world, RUN_FINISHED, NULL);
	world_expect_clean(&world);
	ck_assert_uint_eq(world.report.operations, 5);
	/* initial, 5 operations, the flush; torn: 1 + 0 + 4 inside the data writes */
	ck_assert_uint_eq(world.report.counts.states, 7 + 1 + 4);
	world_release(&world);
}
END_TEST

START_TEST(a_linked_cluster_with_incomplete_cow_is_named_in_qcow2_words)
{
	const struct verdict *verdict;

	world_init(&world, &over_backing);
	world_ack(&world, write_with_cow(1), 0);
	verdict = world_expect_only(&world, RULE_COW_COMPLETE);
	ck_assert_int_eq(verdict->severity, SEVERITY_CORRUPTION);
	ck_assert_int_eq(verdict->model, CRASH_PREFIX);
	ck_assert_uint_eq(verdict->operation, 5);
	ck_assert_uint_eq(verdict->guest_offset, GUEST * CLUSTER + 2048);
	ck_assert_uint_eq(verdict->host_offset, HOST * CLUSTER + 2048);
	ck_assert_str_eq(verdict->message,
			 "L2 entry 3 (guest 0x3000) points to host cluster 0x5000 whose sectors "
			 "4..7 hold neither the previous content nor any request's data (all "
			 "zeros)");
	world_release(&world);
}
END_TEST

START_TEST(data_of_another_guest_sector_breaks_old_or_new)
{
	const struct verdict *verdict;

	world_init(&world, &over_backing);
	world_invoke(&world, REQUEST_WRITE, 0, 512);
	world_refcount(&world, HOST, 1);
	world_data(&world, STAMP_BACKING, GUEST + 1, HOST, 0, 8);
	world_l2(&world, GUEST, HOST * CLUSTER | COPIED);
	verdict = world_expect_only(&world, RULE_OLD_OR_NEW);
	ck_assert_ptr_nonnull(strstr(verdict->message, "the initial content of guest 0x4000"));
	world_release(&world);
}
END_TEST

START_TEST(a_mixture_of_two_values_breaks_old_or_new)
{
	uint8_t sector[512];
	uint8_t other[512];
	uint32_t id;

	world_init(&world, &(struct world_options){ 0 });
	world_map(&world, GUEST, HOST);
	id = world_invoke(&world, REQUEST_WRITE, GUEST * CLUSTER, 512);
	stamp(sector, STAMP_OLD, GUEST * CLUSTER / 512);
	stamp(other, id, GUEST * CLUSTER / 512);
	memcpy(sector, other, 256);
	world_write(&world, HOST * CLUSTER, sector, 512);
	ck_assert_ptr_nonnull(strstr(world_expect_only(&world, RULE_OLD_OR_NEW)->message,
				     "a mixture of several values"));
	world_release(&world);
}
END_TEST

START_TEST(a_write_that_was_not_flushed_may_be_lost)
{
	world_init(&world, &(struct world_options){ 0 });
	world_map(&world, GUEST, HOST);
	world_ack(&world, world_invoke(&world, REQUEST_WRITE, GUEST * CLUSTER, 1024), 0);
	world_expect_clean(&world);
	world_release(&world);
}
END_TEST

START_TEST(a_flushed_write_may_not_be_lost)
{
	const struct verdict *verdict;

	world_init(&world, &(struct world_options){ 0 });
	world_map(&world, GUEST, HOST);
	world_ack(&world, world_invoke(&world, REQUEST_WRITE, GUEST * CLUSTER, 1024), 0);
	world_flush(&world);
	verdict = world_expect_only(&world, RULE_FLUSH_DURABLE);
	ck_assert_uint_eq(verdict->operation, 0);
	ck_assert_uint_eq(verdict->event, 3);
	ck_assert_ptr_nonnull(strstr(verdict->message, "acknowledged and flushed"));
	world_release(&world);
}
END_TEST

START_TEST(an_unmapped_cluster_that_was_written_and_flushed_is_a_lost_write)
{
	world_init(&world, &over_backing);
	world_ack(&world, world_invoke(&world, REQUEST_WRITE, GUEST * CLUSTER, CLUSTER), 0);
	world_flush(&world);
	ck_assert_ptr_nonnull(
		strstr(world_expect_only(&world, RULE_FLUSH_DURABLE)->message, "is unallocated"));
	world_release(&world);
}
END_TEST

START_TEST(a_write_acknowledged_while_the_flush_was_in_flight_is_not_covered)
{
	uint32_t flush;

	world_init(&world, &(struct world_options){ 0 });
	world_map(&world, GUEST, HOST);
	flush = world_invoke(&world, REQUEST_FLUSH, 0, 0);
	world_ack(&world, world_invoke(&world, REQUEST_WRITE, GUEST * CLUSTER, 512), 0);
	world_ack(&world, flush, 0);
	world_expect_clean(&world);
	world_release(&world);
}
END_TEST

START_TEST(a_write_in_flight_before_the_flush_is_not_covered)
{
	uint32_t flush;
	uint32_t id;

	world_init(&world, &(struct world_options){ 0 });
	world_map(&world, GUEST, HOST);
	id = world_invoke(&world, REQUEST_WRITE, GUEST * CLUSTER, 512);
	flush = world_invoke(&world, REQUEST_FLUSH, 0, 0);
	world_ack(&world, id, 0);
	world_ack(&world, flush, 0);
	world_expect_clean(&world);
	world_release(&world);
}
END_TEST

START_TEST(a_failed_flush_covers_nothing_and_a_close_covers_as_a_flush)
{
	uint32_t flush;
	uint32_t close;

	world_init(&world, &(struct world_options){ 0 });
	world_map(&world, GUEST, HOST);
	world_ack(&world, world_invoke(&world, REQUEST_WRITE, GUEST * CLUSTER, 512), 0);
	flush = world_invoke(&world, REQUEST_FLUSH, 0, 0);
	world_ack(&world, flush, -EIO);
	world_expect_clean(&world);
	close = world_invoke(&world, REQUEST_CLOSE, 0, 0);
	world_ack(&world, close, 0);
	world_expect_only(&world, RULE_FLUSH_DURABLE);
	world_release(&world);
}
END_TEST

START_TEST(a_failed_write_may_have_happened_or_not)
{
	uint32_t id;

	world_init(&world, &(struct world_options){ 0 });
	world_map(&world, GUEST, HOST);
	id = world_invoke(&world, REQUEST_WRITE, GUEST * CLUSTER, 1024);
	world_data(&world, id, GUEST, HOST, 0, 1);
	world_ack(&world, id, -EIO);
	world_flush(&world);
	world_expect_clean(&world);
	world_release(&world);
}
END_TEST

START_TEST(an_overwritten_value_may_come_back_only_until_the_flush)
{
	uint32_t first;
	uint32_t second;

	world_init(&world, &(struct world_options){ 0 });
	world_map(&world, GUEST, HOST);
	first = world_invoke(&world, REQUEST_WRITE, GUEST * CLUSTER, 512);
	world_data(&world, first, GUEST, HOST, 0, 1);
	world_ack(&world, first, 0);
	second = world_invoke(&world, REQUEST_WRITE, GUEST * CLUSTER, 512);
	world_data(&world, second, GUEST, HOST, 0, 1);
	world_ack(&world, second, 0);
	world_data(&world, first, GUEST, HOST, 0, 1);
	world_expect_clean(&world);
	world_flush(&world);
	world_expect_only(&world, RULE_FLUSH_DURABLE);
	world_release(&world);
}
END_TEST

START_TEST(of_two_concurrent_flushed_writes_either_may_win)
{
	uint32_t a;
	uint32_t b;

	world_init(&world, &(struct world_options){ 0 });
	world_map(&world, GUEST, HOST);
	a = world_invoke(&world, REQUEST_WRITE, GUEST * CLUSTER, 512);
	b = world_invoke(&world, REQUEST_WRITE, GUEST * CLUSTER, 512);
	world_data(&world, b, GUEST, HOST, 0, 1);
	world_data(&world, a, GUEST, HOST, 0, 1);
	world_ack(&world, a, 0);
	world_ack(&world, b, 0);
	world_flush(&world);
	world_expect_clean(&world);
	world_release(&world);
}
END_TEST

START_TEST(a_torn_write_is_named_with_its_sector)
{
	const struct verdict *verdict;
	uint32_t id;
	uint8_t *bytes = calloc(2, CLUSTER);

	/* One write that brings the new L2 table's neighbour first: entry, then the data it names.
	 */
	world_init(&world, &(struct world_options){ .backing = true, .cluster_bits = 9 });
	id = world_invoke(&world, REQUEST_WRITE, 0, 512);
	world_refcount(&world, 5, 1);
	bytes[0] = 0x80;
	bytes[6] = 0x0a; /* L2 entry 0: host 0xa00, COPIED */
	stamp(bytes + 512, id, 0);
	world_write(&world, 2048, bytes, 1024);
	world_judge(&world);
	verdict = world_expect(&world, RULE_COW_COMPLETE);
	ck_assert_int_eq(verdict->model, CRASH_TORN);
	ck_assert_uint_eq(verdict->operation, 1);
	ck_assert_uint_eq(verdict->sector, 1);
	free(bytes);
	world_release(&world);
}
END_TEST

START_TEST(what_a_prefix_shows_too_is_not_called_torn)
{
	uint8_t bytes[1024] = { 0 };
	const struct verdict *verdict;

	/* The second sector of the write has nothing to do with the entry in the first. */
	world_init(&world, &(struct world_options){ .backing = true, .cluster_bits = 9 });
	world_invoke(&world, REQUEST_WRITE, 0, 512);
	world_refcount(&world, 6, 1);
	world_effect(&world, IO_RESIZE, 3584, 0);
	bytes[0] = 0x80;
	bytes[6] = 0x0c; /* L2 entry 0: host 0xc00, COPIED */
	bytes[512] = 0x77;
	world_write(&world, 2048, bytes, 1024);
	verdict = world_expect_only(&world, RULE_COW_COMPLETE);
	ck_assert_int_eq(verdict->model, CRASH_PREFIX);
	ck_assert_uint_eq(verdict->operation, 3);
	world_release(&world);
}
END_TEST

START_TEST(write_zeroes_and_discard_read_as_zeros_once_flushed)
{
	uint32_t id;

	world_init(&world, &over_backing);
	world_map(&world, GUEST, HOST);
	id = world_invoke(&world, REQUEST_DISCARD, GUEST * CLUSTER, CLUSTER);
	world_l2(&world, GUEST, 1);
	world_refcount(&world, HOST, 0);
	world_ack(&world, id, 0);
	world_flush(&world);
	world_expect_clean(&world);
	world_l2(&world, GUEST, 0); /* the backing file shines through */
	world_expect_only(&world, RULE_OLD_OR_NEW);
	world_release(&world);
}
END_TEST

START_TEST(a_discard_of_half_a_cluster_obliges_nobody)
{
	world_init(&world, &(struct world_options){ 0 });
	world_map(&world, GUEST, HOST);
	world_ack(&world, world_invoke(&world, REQUEST_DISCARD, GUEST * CLUSTER, CLUSTER / 2), 0);
	world_flush(&world);
	world_expect_clean(&world);
	world_data(&world, 0, GUEST, HOST, 0, 4);
	world_expect_clean(&world);
	world_data(&world, 0, GUEST, HOST, 4, 5);
	world_expect_only(&world, RULE_COW_COMPLETE);
	world_release(&world);
}
END_TEST

START_TEST(a_version_2_image_with_a_backing_file_ignores_discards)
{
	world_init(&world, &(struct world_options){ .backing = true, .version = 2 });
	world_map(&world, GUEST, HOST);
	world_ack(&world, world_invoke(&world, REQUEST_DISCARD, GUEST * CLUSTER, CLUSTER), 0);
	world_flush(&world);
	world_expect_clean(&world);
	world_release(&world);
}
END_TEST

START_TEST(a_request_that_covers_half_a_sector_is_judged_by_pieces)
{
	uint8_t sector[512];
	uint8_t mine[512];
	uint32_t id;

	world_init(&world, &(struct world_options){ 0 });
	world_map(&world, GUEST, HOST);
	id = world_invoke(&world, REQUEST_WRITE, GUEST * CLUSTER + 100, 200);
	stamp(sector, STAMP_OLD, GUEST * CLUSTER / 512);
	stamp(mine, id, GUEST * CLUSTER / 512);
	memcpy(sector + 100, mine + 100, 200);
	world_write(&world, HOST * CLUSTER, sector, 512);
	world_ack(&world, id, 0);
	world_flush(&world);
	world_expect_clean(&world);
	sector[400] ^= 1;
	world_write(&world, HOST * CLUSTER, sector, 512);
	world_expect_only(&world, RULE_COW_COMPLETE);
	world_release(&world);
}
END_TEST

START_TEST(a_grown_disk_reads_as_zeros_behind_its_old_end)
{
	world_init(&world, &(struct world_options){ .guest_clusters = 3 });
	world_ack(&world, world_invoke(&world, REQUEST_TRUNCATE, 6 * CLUSTER, 0), 0);
	world_entry(&world, 24, 6 * CLUSTER);
	world_flush(&world);
	world_expect_clean(&world);
	world_refcount(&world, 5, 1);
	world_data(&world, 9, 4, 5, 0, 8);
	world_l2(&world, 4, 5 * CLUSTER | COPIED);
	world_expect_only(&world, RULE_COW_COMPLETE);
	world_release(&world);
}
END_TEST

START_TEST(a_size_that_nobody_asked_for_does_not_open)
{
	world_init(&world, &(struct world_options){ .guest_clusters = 3 });
	world_invoke(&world, REQUEST_WRITE, 0, 512);
	world_entry(&world, 24, 6 * CLUSTER);
	world_expect_only(&world, RULE_OPENS);
	world_release(&world);
}
END_TEST

START_TEST(a_flushed_truncate_may_not_be_lost)
{
	world_init(&world, &(struct world_options){ .guest_clusters = 3 });
	world_ack(&world, world_invoke(&world, REQUEST_TRUNCATE, 6 * CLUSTER, 0), 0);
	world_flush(&world);
	world_expect_only(&world, RULE_FLUSH_DURABLE);
	world_release(&world);
}
END_TEST

/** A sector with nothing in it reaches file 1. */
static void write_beside(void)
{
	static const uint8_t zeros[512];
	struct event event = { .kind = EVENT_IO_EFFECT,
			       .op = IO_WRITE,
			       .file = 1,
			       .length = sizeof(zeros),
			       .result = sizeof(zeros) };

	event_log_append(&world.log, &event, zeros, sizeof(zeros));
}

START_TEST(contents_are_judged_unless_a_file_of_the_backing_chain_was_written)
{
	for (int backs = 0; backs <= 1; backs++) {
		world_init(&world, &over_backing);
		if (backs == 0)
			world.files[0].backing = TRACE_NO_BACKING;
		world_flush(&world);
		write_beside();
		world_judge(&world);
		ck_assert_int_eq(world.report.skipped[RULE_OLD_OR_NEW] != NULL, backs);
		world_release(&world);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("oracle_content");
	TCase *tests = tcase_create("content");

	tcase_add_test(tests, a_linked_cluster_with_complete_cow_is_clean);
	tcase_add_test(tests, a_linked_cluster_with_incomplete_cow_is_named_in_qcow2_words);
	tcase_add_test(tests, data_of_another_guest_sector_breaks_old_or_new);
	tcase_add_test(tests, a_mixture_of_two_values_breaks_old_or_new);
	tcase_add_test(tests, a_write_that_was_not_flushed_may_be_lost);
	tcase_add_test(tests, a_flushed_write_may_not_be_lost);
	tcase_add_test(tests, an_unmapped_cluster_that_was_written_and_flushed_is_a_lost_write);
	tcase_add_test(tests, a_write_acknowledged_while_the_flush_was_in_flight_is_not_covered);
	tcase_add_test(tests, a_write_in_flight_before_the_flush_is_not_covered);
	tcase_add_test(tests, a_failed_flush_covers_nothing_and_a_close_covers_as_a_flush);
	tcase_add_test(tests, a_failed_write_may_have_happened_or_not);
	tcase_add_test(tests, an_overwritten_value_may_come_back_only_until_the_flush);
	tcase_add_test(tests, of_two_concurrent_flushed_writes_either_may_win);
	tcase_add_test(tests, a_torn_write_is_named_with_its_sector);
	tcase_add_test(tests, what_a_prefix_shows_too_is_not_called_torn);
	tcase_add_test(tests, write_zeroes_and_discard_read_as_zeros_once_flushed);
	tcase_add_test(tests, a_discard_of_half_a_cluster_obliges_nobody);
	tcase_add_test(tests, a_version_2_image_with_a_backing_file_ignores_discards);
	tcase_add_test(tests, a_request_that_covers_half_a_sector_is_judged_by_pieces);
	tcase_add_test(tests, a_grown_disk_reads_as_zeros_behind_its_old_end);
	tcase_add_test(tests, a_size_that_nobody_asked_for_does_not_open);
	tcase_add_test(tests, a_flushed_truncate_may_not_be_lost);
	tcase_add_test(tests, contents_are_judged_unless_a_file_of_the_backing_chain_was_written);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
