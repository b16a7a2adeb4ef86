// SPDX-License-Identifier: MIT
/* An image with an external data file, put together with it: the guest's data is from
 * IMAGE_EXTERNAL on, has no refcounts and no end, and is flushed by itself. */
#include "oracle/image_header.h"
#include "tests/run_suite.h"
#include "tests/unit/oracle_world.h"

#include <check.h>
#include <string.h>

#define CLUSTER UINT64_C(4096)
#define LAST (7 * CLUSTER)
enum { INCOMPATIBLE_AT = 72, SECTORS = 8, DATA_IO = 1 };

static const struct world_options over_backing = { .backing = true };
static struct world world;

/* Every cluster of the guest is where it is in the data file. */
static void begin(void)
{
	world_init(&world, &over_backing);
	world.judge_options =
		(struct judge_options){ .models = CRASH_PREFIX | CRASH_TORN | CRASH_REORDER,
					.verdicts_max = 64 };
	world_poke(&world, INCOMPATIBLE_AT, INCOMPATIBLE_DATA_FILE, 8);
	world.files[0].external = content_new(CLUSTER);
	ck_assert_ptr_nonnull(world.files[0].external);
}

static void finish(void)
{
	content_free(world.files[0].external);
	world.files[0].external = NULL;
	world_release(&world);
}

/* Map a cluster beforehand, with old data. */
static void map(uint64_t guest_offset)
{
	for (unsigned i = 0; i < SECTORS; i++) {
		uint8_t sector[512];

		stamp(sector, STAMP_OLD, guest_offset / 512 + i);
		ck_assert_int_eq(content_write(world.files[0].external, sector, sizeof(sector),
					       guest_offset + 512 * i),
				 STATUS_OK);
	}
	world_poke(&world, AT_L2 * CLUSTER + 8 * (guest_offset / CLUSTER), guest_offset | COPIED,
		   8);
}

/* A request's data reaches the data file. */
static void data(uint32_t who, uint64_t guest_offset)
{
	uint8_t bytes[SECTORS * 512];
	const struct event write = { .kind = EVENT_IO_EFFECT,
				     .op = IO_WRITE,
				     .id = DATA_IO,
				     .host_offset = IMAGE_EXTERNAL + guest_offset,
				     .length = sizeof(bytes),
				     .result = sizeof(bytes) };

	for (unsigned i = 0; i < SECTORS; i++)
		stamp(bytes + 512 * i, who, guest_offset / 512 + i);
	event_log_append(&world.log, &write, bytes, sizeof(bytes));
}

static void io(enum event_kind kind, enum io_op op, uint32_t id, uint64_t host_offset)
{
	const struct event event = {
		.kind = (uint8_t)kind, .op = (uint8_t)op, .id = id, .host_offset = host_offset
	};

	event_log_append(&world.log, &event, NULL, 0);
}

static void flush_file(uint32_t id, uint64_t host_offset)
{
	io(EVENT_IO_SUBMITTED, IO_FLUSH, id, host_offset);
	io(EVENT_IO_COMPLETED, IO_FLUSH, id, host_offset);
}

static uint32_t write_cluster(uint64_t guest_offset)
{
	uint32_t id = world_invoke(&world, REQUEST_WRITE, guest_offset, CLUSTER);

	data(id, guest_offset);
	io(EVENT_IO_COMPLETED, IO_WRITE, DATA_IO, IMAGE_EXTERNAL + guest_offset);
	return id;
}

static void link_cluster(uint64_t guest_offset)
{
	world_l2(&world, guest_offset / CLUSTER, guest_offset | COPIED);
}

START_TEST(data_that_its_own_file_flushed_is_there)
{
	begin();
	write_cluster(LAST);
	flush_file(2, IMAGE_EXTERNAL);
	link_cluster(LAST);
	world_expect_clean(&world);
	finish();
}
END_TEST

START_TEST(a_flush_of_the_image_does_not_cover_the_data_file)
{
	const struct verdict *verdict;

	begin();
	write_cluster(LAST);
	flush_file(2, 0);
	link_cluster(LAST);
	verdict = world_expect_only(&world, RULE_COW_COMPLETE);
	ck_assert_int_eq(verdict->model, CRASH_REORDER);
	finish();
}
END_TEST

START_TEST(a_flush_of_the_data_file_does_not_cover_the_image)
{
	const struct verdict *verdict;

	begin();
	map(LAST);
	world_ack(&world, world_invoke(&world, REQUEST_DISCARD, LAST, CLUSTER), 0);
	world_l2(&world, LAST / CLUSTER, 1);
	flush_file(2, IMAGE_EXTERNAL);
	world_flush(&world);
	verdict = world_expect_only(&world, RULE_FLUSH_DURABLE);
	ck_assert_int_eq(verdict->model, CRASH_REORDER);
	finish();
}
END_TEST

START_TEST(an_entry_before_its_data_is_seen_in_order)
{
	const struct verdict *verdict;

	begin();
	world_invoke(&world, REQUEST_WRITE, LAST, CLUSTER);
	link_cluster(LAST);
	verdict = world_expect_only(&world, RULE_COW_COMPLETE);
	ck_assert_int_eq(verdict->model, CRASH_PREFIX);
	ck_assert_uint_eq(verdict->operation, 1);
	finish();
}
END_TEST

START_TEST(copied_tells_the_first_cluster_of_the_file_from_none)
{
	begin();
	write_cluster(0);
	flush_file(2, IMAGE_EXTERNAL);
	world_l2(&world, 0, COPIED);
	flush_file(3, 0);
	world_flush(&world);
	world_expect_clean(&world);
	finish();

	begin();
	world_ack(&world, write_cluster(0), 0);
	flush_file(2, IMAGE_EXTERNAL);
	world_l2(&world, 0, 0);
	world_flush(&world);
	world_expect(&world, RULE_FLUSH_DURABLE);
	finish();
}
END_TEST

START_TEST(the_first_cluster_may_be_linked_before_its_data_when_reordered)
{
	begin();
	write_cluster(0);
	flush_file(2, 0);
	world_l2(&world, 0, COPIED);
	ck_assert_int_eq(world_expect_only(&world, RULE_COW_COMPLETE)->model, CRASH_REORDER);
	finish();
}
END_TEST

START_TEST(clusters_of_the_data_file_have_no_refcounts_and_no_end)
{
	begin();
	map(0);
	world_ack(&world, world_invoke(&world, REQUEST_WRITE_ZEROES, LAST, CLUSTER), 0);
	/* Beyond the end of the data file: zeros. */
	link_cluster(LAST);
	world_end(&world, RUN_FINISHED, "");
	world_expect_clean(&world);
	finish();
}
END_TEST

START_TEST(data_that_is_cut_off_or_punched_out_is_missed)
{
	static const struct {
		enum io_op op;
		uint64_t from, length;
	} takes[] = { { IO_RESIZE, 512, 0 }, { IO_PUNCH, 1024, 512 }, { IO_ZERO, 0, CLUSTER } };

	for (size_t i = 0; i < sizeof(takes) / sizeof(takes[0]); i++) {
		struct event take = { .kind = EVENT_IO_EFFECT,
				      .op = (uint8_t)takes[i].op,
				      .host_offset = IMAGE_EXTERNAL + takes[i].from,
				      .length = takes[i].length };
		begin();
		map(0);
		world_invoke(&world, REQUEST_WRITE, LAST, CLUSTER);
		event_log_append(&world.log, &take, NULL, 0);
		ck_assert_int_eq(world_expect_only(&world, RULE_COW_COMPLETE)->model, CRASH_PREFIX);
		finish();
	}
}
END_TEST

START_TEST(a_data_file_that_grows_changes_nothing)
{
	struct event grow = { .kind = EVENT_IO_EFFECT,
			      .op = IO_RESIZE,
			      .host_offset = IMAGE_EXTERNAL + 64 * CLUSTER };

	begin();
	map(0);
	world_invoke(&world, REQUEST_WRITE, LAST, CLUSTER);
	event_log_append(&world.log, &grow, NULL, 0);
	world_expect_clean(&world);
	finish();
}
END_TEST

START_TEST(an_image_that_forgets_its_data_file_does_not_open)
{
	begin();
	map(0);
	world_entry(&world, INCOMPATIBLE_AT, 0);
	world_expect(&world, RULE_OPENS);
	finish();
}
END_TEST

START_TEST(without_the_data_file_the_image_is_refused)
{
	struct why why = { "" };

	begin();
	content_free(world.files[0].external);
	world.files[0].external = NULL;
	ck_assert_int_eq(
		judge_new(&world.judge, world.files, world.file_count, &world.judge_options, &why),
		STATUS_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(why.text, "external data file"));
	finish();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("oracle_external");
	TCase *tests = tcase_create("external");

	tcase_add_test(tests, data_that_its_own_file_flushed_is_there);
	tcase_add_test(tests, a_flush_of_the_image_does_not_cover_the_data_file);
	tcase_add_test(tests, a_flush_of_the_data_file_does_not_cover_the_image);
	tcase_add_test(tests, an_entry_before_its_data_is_seen_in_order);
	tcase_add_test(tests, copied_tells_the_first_cluster_of_the_file_from_none);
	tcase_add_test(tests, the_first_cluster_may_be_linked_before_its_data_when_reordered);
	tcase_add_test(tests, clusters_of_the_data_file_have_no_refcounts_and_no_end);
	tcase_add_test(tests, data_that_is_cut_off_or_punched_out_is_missed);
	tcase_add_test(tests, a_data_file_that_grows_changes_nothing);
	tcase_add_test(tests, an_image_that_forgets_its_data_file_does_not_open);
	tcase_add_test(tests, without_the_data_file_the_image_is_refused);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
