// SPDX-License-Identifier: MIT
/* opens, no-alias, refcount-covers, copied-exact, leak-bounded: each kept, and each broken alone.
 */
#include "tests/run_suite.h"
#include "tests/unit/oracle_world.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define CLUSTER UINT64_C(4096)

static struct world world;

static void begin(void)
{
	world_init(&world, &(struct world_options){ 0 });
}

static void end(void)
{
	world_release(&world);
}

/** Some verdict of this rule has this text. */
static void expect_text(enum rule rule, const char *text)
{
	world_judge(&world);
	for (size_t i = 0; i < world.report.verdict_count; i++)
		if (world.report.verdicts[i].rule == rule &&
		    strstr(world.report.verdicts[i].message, text) != NULL)
			return;
	ck_abort_msg("no verdict of %s says '%s'", rule_name(rule), text);
}

START_TEST(an_empty_image_is_clean_at_every_cluster_size)
{
	for (uint32_t bits = 9; bits <= 21; bits++)
		for (uint32_t version = 2; version <= 3; version++) {
			world_init(&world, &(struct world_options){ .cluster_bits = bits,
								    .version = version });
			world_map(&world, 1, 5);
			world_expect_clean(&world);
			ck_assert_uint_eq(world.report.counts.states, 1);
			ck_assert_uint_eq(world.report.copied_missing, 0);
			world_release(&world);
		}
}
END_TEST

START_TEST(a_referenced_cluster_needs_a_refcount)
{
	const struct verdict *verdict;

	begin();
	world_data(&world, 0, 1, 5, 0, 8);
	world_l2(&world, 1, 5 * CLUSTER | COPIED);
	verdict = world_expect_only(&world, RULE_REFCOUNT_COVERS);
	ck_assert_int_eq(verdict->severity, SEVERITY_CORRUPTION);
	ck_assert_uint_eq(verdict->operation, 2);
	ck_assert_uint_eq(verdict->host_offset, 5 * CLUSTER);
	ck_assert_str_eq(verdict->message, "host cluster 0x5000 has refcount 0 and 1 references");
	end();
}
END_TEST

START_TEST(tables_need_refcounts_as_well)
{
	for (unsigned cluster = 0; cluster < AT_DATA; cluster++) {
		begin();
		world_refcount(&world, cluster, 0);
		ck_assert_uint_eq(world_expect_only(&world, RULE_REFCOUNT_COVERS)->host_offset,
				  cluster * CLUSTER);
		end();
	}
}
END_TEST

START_TEST(while_the_dirty_bit_is_set_refcounts_mean_nothing)
{
	world_init(&world, &(struct world_options){ .dirty = true });
	world_data(&world, 0, 1, 5, 0, 8);
	world_l2(&world, 1, 5 * CLUSTER | COPIED);
	world_expect_clean(&world);
	world_entry(&world, 72, 0);
	ck_assert_uint_eq(world_expect_only(&world, RULE_REFCOUNT_COVERS)->operation, 3);
	end();
}
END_TEST

START_TEST(copied_with_two_references_is_a_hazard)
{
	const struct verdict *verdict;

	begin();
	world_map(&world, 1, 5);
	world_refcount(&world, 5, 2);
	verdict = world_expect(&world, RULE_COPIED_EXACT);
	ck_assert_int_eq(verdict->severity, SEVERITY_HAZARD);
	ck_assert_ptr_nonnull(
		strstr(verdict->message, "L2 entry says COPIED of host cluster 0x5000"));
	end();
}
END_TEST

START_TEST(a_missing_copied_flag_is_only_counted)
{
	begin();
	world_map(&world, 1, 5);
	world_l2(&world, 1, 5 * CLUSTER);
	world_expect_clean(&world);
	ck_assert_uint_eq(world.report.copied_missing, 1);
	end();
}
END_TEST

START_TEST(two_guest_clusters_in_one_host_cluster_are_aliases)
{
	begin();
	world_map(&world, 1, 5);
	world_refcount(&world, 5, 2);
	world_l2(&world, 1, 5 * CLUSTER);
	world_l2(&world, 2, 5 * CLUSTER);
	ck_assert_str_eq(world_expect(&world, RULE_NO_ALIAS)->message,
			 "host cluster 0x5000 is guest data for 2 entries at the same time");
	end();
}
END_TEST

START_TEST(guest_data_in_a_table_is_an_alias)
{
	static const char *const tables[AT_DATA] = { "the header", "the refcount table",
						     "a refcount block", "an L1 table",
						     "an L2 table" };

	for (unsigned cluster = 1; cluster < AT_DATA; cluster++) {
		begin();
		world_refcount(&world, cluster, 2);
		world_l2(&world, 1, cluster * CLUSTER);
		ck_assert_ptr_nonnull(
			strstr(world_expect(&world, RULE_NO_ALIAS)->message, tables[cluster]));
		end();
	}
}
END_TEST

START_TEST(an_entry_beyond_the_end_of_the_file_is_reported_and_a_partial_cluster_is_not)
{
	begin();
	world_refcount(&world, 5, 1);
	world_l2(&world, 1, 5 * CLUSTER | COPIED);
	ck_assert_ptr_nonnull(strstr(world_expect_only(&world, RULE_NO_ALIAS)->message,
				     "beyond the end of the file (0x5000)"));
	end();
	begin();
	world_data(&world, 0, 1, 5, 0, 1);
	world_refcount(&world, 5, 1);
	world_l2(&world, 1, 5 * CLUSTER | COPIED);
	world_expect_clean(&world);
	world_effect(&world, IO_RESIZE, 5 * CLUSTER, 0);
	ck_assert_uint_eq(world_expect_only(&world, RULE_NO_ALIAS)->operation, 4);
	end();
}
END_TEST

START_TEST(reserved_bits_and_crooked_offsets_are_reported)
{
	static const uint64_t bad[] = { 2,     0x100,  UINT64_C(1) << 61,
					0x200, 0x5200, COPIED | UINT64_C(1) << 62 };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		begin();
		world_l2(&world, 1, bad[i]);
		expect_text(RULE_NO_ALIAS, "the L2 entry at host 0x4008");
		end();
	}
	begin();
	world_entry(&world, AT_L1 * CLUSTER, AT_L2 * CLUSTER | COPIED | 1);
	ck_assert_ptr_nonnull(
		strstr(world_expect_only(&world, RULE_NO_ALIAS)->message, "the L1 entry"));
	end();
	begin();
	world_entry(&world, AT_REFTABLE * CLUSTER, AT_BLOCK * CLUSTER | 1);
	ck_assert_ptr_nonnull(strstr(world_expect_only(&world, RULE_NO_ALIAS)->message,
				     "the refcount table entry"));
	end();
}
END_TEST

START_TEST(the_zero_flag_is_reserved_in_version_2)
{
	world_init(&world, &(struct world_options){ .version = 2 });
	world_l2(&world, 1, 1);
	world_expect_only(&world, RULE_NO_ALIAS);
	end();
	begin();
	world_l2(&world, 1, 1);
	world_expect_clean(&world);
	end();
}
END_TEST

/** Put `value` in a header field; the verdict must be `opens` with this text. */
static void damage(uint64_t host_offset, uint64_t value, unsigned bytes, const char *text)
{
	uint8_t sector[512];
	const struct verdict *verdict;

	begin();
	content_read(world.now, sector, 512, 0);
	for (unsigned i = 0; i < bytes; i++)
		sector[host_offset + i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
	world_write(&world, 0, sector, 512);
	verdict = world_expect(&world, RULE_OPENS);
	ck_assert_msg(strstr(verdict->message, text) != NULL, "%s: %s", text, verdict->message);
	ck_assert_uint_eq(verdict->operation, 1);
	end();
}

START_TEST(every_header_field_is_checked)
{
	damage(0, 0, 4, "magic");
	damage(4, 4, 4, "version");
	damage(20, 8, 4, "cluster_bits");
	damage(20, 22, 4, "cluster_bits");
	damage(24, UINT64_MAX, 8, "virtual size");
	damage(24, CLUSTER * 513, 8, "too short");
	damage(32, 1, 4, "feature");
	damage(36, UINT32_MAX, 4, "L1 table");
	damage(40, 12, 8, "L1 table");
	damage(40, 0, 8, "L1 table");
	damage(40, CLUSTER * 64, 8, "L1 table at host 0x40000 runs beyond");
	damage(48, 512, 8, "refcount table");
	damage(56, 0, 4, "refcount table");
	damage(56, 1U << 20, 4, "refcount table");
	damage(60, 1U << 20, 4, "snapshot table");
	damage(72, 2, 8, "corrupt bit");
	damage(72, 1U << 20, 8, "unknown incompatible");
	damage(72, 16, 8, "feature");
	damage(96, 7, 4, "refcount_order");
	damage(100, 96, 4, "header_length");
	damage(104, UINT64_C(0x12345678ffffffff), 8, "extension");
}
END_TEST

START_TEST(an_unreadable_header_that_is_mended_is_judged_again)
{
	uint8_t good[512];
	uint8_t bad[512] = { 0 };

	begin();
	world_map(&world, 1, 5);
	world_invoke(&world, REQUEST_WRITE, 7 * CLUSTER, 512);
	content_read(world.now, good, 512, 0);
	world_write(&world, 0, bad, 512);
	world_l2(&world, 1, 0);
	world_write(&world, 0, good, 512);
	ck_assert_uint_eq(world_expect(&world, RULE_OPENS)->operation, 1);
	ck_assert_uint_eq(world_expect(&world, RULE_OLD_OR_NEW)->operation, 3);
	ck_assert_uint_eq(world.report.verdict_count, 2);
	ck_assert_uint_eq(world.report.leaked, 1);
	end();
}
END_TEST

START_TEST(features_that_are_not_judged_are_refused_by_name)
{
	static const struct {
		uint64_t host_offset, value;
		unsigned bytes;
		const char *name;
	} features[] = { { 32, 1, 4, "encryption" },
			 { 72, 4, 8, "external data file" },
			 { 72, 8, 8, "compression" },
			 { 72, 16, 8, "extended L2" } };

	for (size_t i = 0; i < sizeof(features) / sizeof(*features); i++) {
		struct judge *judge;
		struct why why;

		begin();
		world_poke(&world, features[i].host_offset, features[i].value, features[i].bytes);
		ck_assert_int_eq(judge_new(&judge, world.files, 1, &world.judge_options, &why),
				 STATUS_UNSUPPORTED);
		ck_assert_ptr_nonnull(strstr(why.text, features[i].name));
		ck_assert_ptr_null(judge);
		end();
	}
}
END_TEST

START_TEST(leaks_are_bounded_by_the_requests_that_are_not_flushed)
{
	uint32_t id;

	begin();
	id = world_invoke(&world, REQUEST_WRITE, 0, CLUSTER);
	for (unsigned i = 0; i < 12; i++)
		world_refcount(&world, 20 + i, 1);
	world_expect_clean(&world);
	ck_assert_uint_eq(world.report.leaked, 12);
	for (unsigned i = 0; i < 16; i++)
		world_refcount(&world, 40 + i, 1);
	ck_assert_int_eq(world_expect_only(&world, RULE_LEAK_BOUNDED)->severity, SEVERITY_LEAK);
	world_ack(&world, id, 0);
	end();
}
END_TEST

START_TEST(what_may_leak_the_file_may_leak_what_was_cut_off)
{
	enum { CLUSTERS = 60 };

	begin();
	content_resize(world.files[0].initial, (10 + CLUSTERS) * CLUSTER);
	world_invoke(&world, REQUEST_OPEN, 0, 0);
	for (unsigned i = 0; i < CLUSTERS; i++)
		world_refcount(&world, 10 + i, 1);
	world_effect(&world, IO_RESIZE, 10 * CLUSTER, 0);
	world_expect_clean(&world);
	ck_assert_uint_eq(world.report.leaked, CLUSTERS);
	end();
}
END_TEST

START_TEST(a_flush_ends_what_successful_requests_may_leak_but_not_failed_ones)
{
	for (int32_t result = 0; result >= -5; result -= 5) {
		begin();
		world_map(&world, 0, 5);
		world_ack(&world, world_invoke(&world, REQUEST_WRITE_ZEROES, CLUSTER, CLUSTER),
			  result);
		for (unsigned i = 0; i < 16; i++)
			world_refcount(&world, 20 + i, 1);
		world_expect_clean(&world);
		world_flush(&world);
		if (result == 0)
			world_expect_only(&world, RULE_LEAK_BOUNDED);
		else
			world_expect_clean(&world);
		end();
	}
}
END_TEST

START_TEST(after_a_clean_close_nothing_may_leak_but_what_leaked_before)
{
	for (unsigned more = 0; more < 2; more++) {
		begin();
		world_poke(&world, AT_BLOCK * CLUSTER + 18, 1, 2);
		world_ack(&world, world_invoke(&world, REQUEST_OPEN, 0, 0), 0);
		if (more > 0)
			world_refcount(&world, 20, 1);
		world_ack(&world, world_invoke(&world, REQUEST_CLOSE, 0, 0), 0);
		world_end(&world, RUN_FINISHED, NULL);
		if (more > 0)
			ck_assert_int_eq(world_expect_only(&world, RULE_LEAK_BOUNDED)->model,
					 CRASH_NONE);
		else
			world_expect_clean(&world);
		end();
	}
}
END_TEST

enum { DIRECTORY = 20, TABLE, BITMAP };

/** One bitmap of one cluster; the clusters that hold it have refcount one. */
static void begin_with_bitmap(bool is_consistent)
{
	begin();
	world_poke(&world, 88, is_consistent, 8);
	world_poke(&world, 104, 0x23852875, 4);
	world_poke(&world, 108, 24, 4);
	world_poke(&world, 112, 1, 4);
	world_poke(&world, 120, 32, 8);
	world_poke(&world, 128, DIRECTORY * CLUSTER, 8);
	world_poke(&world, DIRECTORY * CLUSTER, TABLE * CLUSTER, 8);
	world_poke(&world, DIRECTORY * CLUSTER + 8, 1, 4);
	world_poke(&world, DIRECTORY * CLUSTER + 16, 0x0110, 2);
	world_poke(&world, DIRECTORY * CLUSTER + 18, 1, 2);
	world_poke(&world, TABLE * CLUSTER, BITMAP * CLUSTER, 8);
	for (unsigned i = DIRECTORY; i <= BITMAP; i++)
		world_poke(&world, AT_BLOCK * CLUSTER + (uint64_t)2 * i, 1, 2);
}

/** Open, `entry` becomes the table's, close. */
static void run_with_bitmap(uint64_t entry)
{
	world_ack(&world, world_invoke(&world, REQUEST_OPEN, 0, 0), 0);
	world_entry(&world, TABLE * CLUSTER, entry);
	world_ack(&world, world_invoke(&world, REQUEST_CLOSE, 0, 0), 0);
	world_end(&world, RUN_FINISHED, NULL);
	world_judge(&world);
}

START_TEST(clusters_of_bitmaps_are_not_leaked_while_the_bitmaps_are_consistent)
{
	begin_with_bitmap(true);
	run_with_bitmap(BITMAP * CLUSTER);
	world_expect_clean(&world);
	ck_assert_uint_eq(world.report.leaked, 0);
	ck_assert_ptr_null(world.report.skipped[RULE_LEAK_BOUNDED]);
	end();
	begin_with_bitmap(false);
	run_with_bitmap(BITMAP * CLUSTER);
	world_expect_clean(&world);
	ck_assert_uint_eq(world.report.leaked, 3);
	end();
}
END_TEST

START_TEST(a_cluster_that_a_bitmap_gave_up_is_leaked)
{
	begin_with_bitmap(true);
	run_with_bitmap(1);
	ck_assert_uint_eq(world_expect_only(&world, RULE_LEAK_BOUNDED)->host_offset,
			  BITMAP * CLUSTER);
	end();
}
END_TEST

START_TEST(bitmaps_that_cannot_be_followed_are_not_judged)
{
	begin_with_bitmap(true);
	world_poke(&world, DIRECTORY * CLUSTER, TABLE * CLUSTER + 512, 8);
	run_with_bitmap(1);
	world_expect_clean(&world);
	ck_assert_str_eq(world.report.skipped[RULE_LEAK_BOUNDED],
			 "the bitmaps are damaged, or too many to be followed");
	end();
}
END_TEST

START_TEST(after_a_failed_io_a_clean_close_may_leak_within_the_bound)
{
	struct event event = { .kind = EVENT_FAULT, .op = IO_WRITE, .result = -5 };

	begin();
	world_ack(&world, world_invoke(&world, REQUEST_OPEN, 0, 0), 0);
	event_log_append(&world.log, &event, "posix/io/rw/pwrite", 18);
	world_refcount(&world, 20, 1);
	world_ack(&world, world_invoke(&world, REQUEST_CLOSE, 0, 0), 0);
	world_end(&world, RUN_FINISHED, NULL);
	world_expect_clean(&world);
	end();
}
END_TEST

START_TEST(a_relocated_l2_table_is_followed)
{
	uint8_t table[CLUSTER];

	begin();
	world_map(&world, 1, 5);
	content_read(world.now, table, CLUSTER, AT_L2 * CLUSTER);
	world_refcount(&world, 6, 1);
	world_write(&world, 6 * CLUSTER, table, CLUSTER);
	world_entry(&world, AT_L1 * CLUSTER, 6 * CLUSTER | COPIED);
	world_refcount(&world, AT_L2, 0);
	world_expect_clean(&world);
	/* The old table is nobody's now, the new one counts. */
	world_l2(&world, 2, 5 * CLUSTER);
	world_expect_clean(&world);
	world_entry(&world, 6 * CLUSTER + 16, 5 * CLUSTER);
	world_expect(&world, RULE_NO_ALIAS);
	end();
}
END_TEST

START_TEST(a_damaged_initial_image_is_judged_at_operation_0)
{
	const struct verdict *verdict;

	begin();
	world_map(&world, 1, 5);
	world_poke(&world, AT_BLOCK * CLUSTER + 10, 0, 2);
	verdict = world_expect_only(&world, RULE_REFCOUNT_COVERS);
	ck_assert_uint_eq(verdict->operation, 0);
	ck_assert_int_eq(verdict->model, CRASH_PREFIX);
	end();
}
END_TEST

/** A snapshot of guest cluster 1 in the initial image: its L1 in cluster 6, its table in 7. */
static void begin_with_snapshot(void)
{
	begin();
	world_map(&world, 1, 5);
	world_poke(&world, AT_L1 * CLUSTER, AT_L2 * CLUSTER, 8);
	world_poke(&world, AT_L2 * CLUSTER + 8, 5 * CLUSTER, 8);
	world_poke(&world, 6 * CLUSTER, AT_L2 * CLUSTER, 8);
	world_poke(&world, 7 * CLUSTER, 6 * CLUSTER, 8);
	world_poke(&world, 7 * CLUSTER + 8, 1, 4);
	world_poke(&world, 7 * CLUSTER + 36, 16, 4);
	world_poke(&world, 60, 1, 4);
	world_poke(&world, 64, 7 * CLUSTER, 8);
	world_poke(&world, AT_BLOCK * CLUSTER + 2 * (uint64_t)AT_L2, 2, 2);
	world_poke(&world, AT_BLOCK * CLUSTER + 10, 2, 2);
	world_poke(&world, AT_BLOCK * CLUSTER + 12, 1, 2);
	world_poke(&world, AT_BLOCK * CLUSTER + 14, 1, 2);
	world_poke(&world, 8 * CLUSTER - 8, 1, 8);
}

START_TEST(what_a_snapshot_holds_may_not_change)
{
	uint32_t id;

	begin_with_snapshot();
	world_expect_clean(&world);
	id = world_invoke(&world, REQUEST_WRITE, CLUSTER, 512);
	world_data(&world, id, 1, 5, 0, 1);
	ck_assert_ptr_nonnull(
		strstr(world_expect_only(&world, RULE_OLD_OR_NEW)->message, "internal snapshot"));
	end();
	begin_with_snapshot();
	world_l2(&world, 1, 5 * CLUSTER | COPIED);
	ck_assert_int_eq(world_expect_only(&world, RULE_COPIED_EXACT)->severity, SEVERITY_HAZARD);
	world_l2(&world, 1, 0);
	world_expect(&world, RULE_OLD_OR_NEW);
	end();
}
END_TEST

static void delete_snapshot(void)
{
	uint8_t header[512];

	content_read(world.now, header, 512, 0);
	memset(header + 60, 0, 12);
	world_write(&world, 0, header, 512);
}

START_TEST(a_deleted_snapshot_binds_no_longer)
{
	begin_with_snapshot();
	delete_snapshot();
	world_data(&world, 0, 1, 5, 0, 8);
	world_expect_clean(&world);
	ck_assert_uint_eq(world.report.leaked, 4);
	end();
}
END_TEST

/* Loop: is there a flush behind the deletion? Without one, what the snapshot held may be gone and
 * the snapshot still there. */
START_TEST(a_snapshot_binds_until_its_deletion_is_durable)
{
	begin_with_snapshot();
	world.judge_options.models = CRASH_PREFIX | CRASH_REORDER;
	delete_snapshot();
	for (enum event_kind kind = EVENT_IO_SUBMITTED; _i && kind <= EVENT_IO_COMPLETED; kind++) {
		const struct event flush = { .kind = (uint8_t)kind, .op = IO_FLUSH, .id = 1 };

		event_log_append(&world.log, &flush, NULL, 0);
	}
	world_data(&world, 0, 1, 5, 0, 8);
	if (_i) {
		world_expect_clean(&world);
	} else {
		const struct verdict *verdict = world_expect(&world, RULE_OLD_OR_NEW);

		ck_assert_ptr_nonnull(strstr(verdict->message, "internal snapshot"));
		ck_assert_ptr_nonnull(strstr(verdict->message, "(persisted: 0x0=0)"));
		ck_assert_int_eq(verdict->model, CRASH_REORDER);
	}
	end();
}
END_TEST

/** Give the first six clusters refcount 1, in entries of 2^order bits. */
static void write_refcounts(uint32_t order)
{
	uint8_t block[64] = { 0 };

	for (unsigned cluster = 0; cluster < 6; cluster++) {
		if (order >= 3)
			block[((cluster + 1) << order) / 8 - 1] = 1;
		else
			block[(cluster << order) / 8] |= (uint8_t)(1U << (cluster << order) % 8);
	}
	for (unsigned at = 0; at < sizeof(block); at++)
		world_poke(&world, AT_BLOCK * CLUSTER + at, block[at], 1);
}

START_TEST(other_refcount_widths_are_read)
{
	for (uint32_t order = 0; order <= 6; order++) {
		begin();
		world_map(&world, 1, 5);
		world_poke(&world, 96, order, 4);
		write_refcounts(order);
		world_expect_clean(&world);
		ck_assert_uint_eq(world.report.leaked, 0);
		end();
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("oracle_structure");
	TCase *tests = tcase_create("structure");

	tcase_add_test(tests, an_empty_image_is_clean_at_every_cluster_size);
	tcase_add_test(tests, a_referenced_cluster_needs_a_refcount);
	tcase_add_test(tests, tables_need_refcounts_as_well);
	tcase_add_test(tests, while_the_dirty_bit_is_set_refcounts_mean_nothing);
	tcase_add_test(tests, copied_with_two_references_is_a_hazard);
	tcase_add_test(tests, a_missing_copied_flag_is_only_counted);
	tcase_add_test(tests, two_guest_clusters_in_one_host_cluster_are_aliases);
	tcase_add_test(tests, guest_data_in_a_table_is_an_alias);
	tcase_add_test(
		tests,
		an_entry_beyond_the_end_of_the_file_is_reported_and_a_partial_cluster_is_not);
	tcase_add_test(tests, reserved_bits_and_crooked_offsets_are_reported);
	tcase_add_test(tests, the_zero_flag_is_reserved_in_version_2);
	tcase_add_test(tests, every_header_field_is_checked);
	tcase_add_test(tests, an_unreadable_header_that_is_mended_is_judged_again);
	tcase_add_test(tests, features_that_are_not_judged_are_refused_by_name);
	tcase_add_test(tests, leaks_are_bounded_by_the_requests_that_are_not_flushed);
	tcase_add_test(tests, what_may_leak_the_file_may_leak_what_was_cut_off);
	tcase_add_test(tests, a_flush_ends_what_successful_requests_may_leak_but_not_failed_ones);
	tcase_add_test(tests, after_a_clean_close_nothing_may_leak_but_what_leaked_before);
	tcase_add_test(tests, clusters_of_bitmaps_are_not_leaked_while_the_bitmaps_are_consistent);
	tcase_add_test(tests, a_cluster_that_a_bitmap_gave_up_is_leaked);
	tcase_add_test(tests, bitmaps_that_cannot_be_followed_are_not_judged);
	tcase_add_test(tests, after_a_failed_io_a_clean_close_may_leak_within_the_bound);
	tcase_add_test(tests, a_relocated_l2_table_is_followed);
	tcase_add_test(tests, a_damaged_initial_image_is_judged_at_operation_0);
	tcase_add_test(tests, what_a_snapshot_holds_may_not_change);
	tcase_add_loop_test(tests, a_snapshot_binds_until_its_deletion_is_durable, 0, 2);
	tcase_add_test(tests, a_deleted_snapshot_binds_no_longer);
	tcase_add_test(tests, other_refcount_widths_are_read);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
