// SPDX-License-Identifier: MIT
/* The judge's mechanics: which states there are, how they are counted, what is kept between runs;
 * and the names of rules, severities, models. */
#include "oracle/judge.h"
#include "tests/run_suite.h"
#include "tests/unit/oracle_world.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define CLUSTER UINT64_C(4096)

static struct world world;

START_TEST(every_rule_has_a_name_a_statement_and_is_found_by_its_name)
{
	static const char *const names[RULE_COUNT] = {
		"cow-complete",      "old-or-new",      "flush-durable", "refcount-covers",
		"copied-exact",      "no-alias",        "opens",         "leak-bounded",
		"read-linearizable", "error-contained", "progress",      "repair-converges"
	};

	for (unsigned i = 0; i < RULE_COUNT; i++) {
		enum rule rule = RULE_COUNT;

		ck_assert_str_eq(rule_name((enum rule)i), names[i]);
		ck_assert_uint_gt(strlen(rule_statement((enum rule)i)), 20);
		ck_assert(rule_parse(names[i], &rule));
		ck_assert_uint_eq(rule, i);
	}
	ck_assert(!rule_parse("cow", &(enum rule){ 0 }));
	ck_assert_str_eq(severity_name(SEVERITY_HAZARD), "hazard");
	ck_assert_str_eq(crash_model_name(CRASH_TORN), "torn");
}
END_TEST

START_TEST(models_are_parsed_as_a_list)
{
	unsigned models = 0;

	ck_assert(crash_models_parse("prefix", &models));
	ck_assert_uint_eq(models, CRASH_PREFIX);
	ck_assert(crash_models_parse("prefix,torn", &models));
	ck_assert_uint_eq(models, CRASH_PREFIX | CRASH_TORN);
	ck_assert(!crash_models_parse("", &models));
	ck_assert(!crash_models_parse("prefix,", &models));
	ck_assert(!crash_models_parse("prefix,reorder2", &models));
	ck_assert_uint_eq(models, CRASH_PREFIX | CRASH_TORN);
}
END_TEST

static uint64_t states(unsigned models, uint32_t sector_bytes)
{
	world.judge_options.models = models;
	world.judge_options.sector_bytes = sector_bytes;
	world_judge(&world);
	return world.report.counts.states;
}

START_TEST(a_write_tears_at_the_sector_boundaries_of_the_file)
{
	static const uint8_t bytes[9000];

	world_init(&world, &(struct world_options){ 0 });
	world_write(&world, 5 * CLUSTER + 100, bytes, 9000); /* sectors 40 .. 57, in part */
	ck_assert_uint_eq(states(CRASH_PREFIX, 0), 2);
	ck_assert_uint_eq(states(CRASH_PREFIX | CRASH_TORN, 0), 2 + 17);
	ck_assert_uint_eq(states(CRASH_PREFIX | CRASH_TORN, 4096), 2 + 2);
	world_effect(&world, IO_PUNCH, 5 * CLUSTER, 9000);
	world_effect(&world, IO_ZERO, 5 * CLUSTER, 9000);
	world_effect(&world, IO_RESIZE, 6 * CLUSTER, 0);
	world_effect(&world, IO_FLUSH, 0, 0);
	ck_assert_uint_eq(states(CRASH_PREFIX | CRASH_TORN, 0), 5 + 17);
	ck_assert_uint_eq(world.report.operations, 4);
	world_release(&world);
}
END_TEST

START_TEST(distinct_states_are_counted_over_all_runs)
{
	struct judge_report report;

	world_init(&world, &(struct world_options){ 0 });
	world_invoke(&world, REQUEST_WRITE, 0, 512);
	world_data(&world, 7, 0, 5, 0, 1);
	world_data(&world, 8, 0, 5, 0, 1);
	world_data(&world, 7, 0, 5, 0, 1);
	world_judge(&world);
	/* initial; 7, 8, and 7 again: the write was only invoked before the first of them */
	ck_assert_uint_eq(world.report.counts.states, 4);
	ck_assert_uint_eq(world.report.counts.judged, 4);
	ck_assert_uint_eq(world.report.counts.distinct, 3);
	judge_run(world.judge, &world.log, 2, &report);
	ck_assert_uint_eq(report.counts.states, 4);
	ck_assert_uint_eq(report.counts.judged, 2);
	ck_assert_uint_eq(report.counts.distinct, 3);
	judge_run(world.judge, &world.log, world.log.count, &report);
	ck_assert_uint_eq(report.counts.judged, 0);
	world_release(&world);
}
END_TEST

START_TEST(no_more_verdicts_than_asked_for)
{
	world_init(&world, &(struct world_options){ 0 });
	for (unsigned cluster = 0; cluster < AT_DATA; cluster++)
		world_refcount(&world, cluster, 0);
	world.judge_options.verdicts_max = 3;
	world_judge(&world);
	ck_assert_uint_eq(world.report.verdict_count, 3);
	world_release(&world);
}
END_TEST

START_TEST(ten_gibibytes_of_holes_cost_nothing)
{
	uint64_t cluster = 65536;
	uint32_t id;

	world_init(&world, &(struct world_options){ .cluster_bits = 16, .guest_clusters = 163840 });
	world_map(&world, 1, 5);
	for (int i = 0; i < 20; i++)
		world_ack(&world,
			  world_invoke(&world, REQUEST_WRITE_ZEROES, cluster * 2, 163838 * cluster),
			  0);
	id = world_invoke(&world, REQUEST_DISCARD, 0, 163840 * cluster);
	world_l2(&world, 1, 0);
	world_refcount(&world, 5, 0);
	world_ack(&world, id, 0);
	world_effect(&world, IO_RESIZE, UINT64_C(10) << 30, 0);
	world_effect(&world, IO_PUNCH, 6 * cluster, UINT64_C(9) << 30);
	world_flush(&world);
	world_expect_clean(&world);
	world_release(&world);
}
END_TEST

START_TEST(a_lost_request_is_found_in_and_behind_a_long_hole)
{
	const uint64_t cluster = 65536;

	/* Zeros were promised; a mapped cluster behind ten holes still holds something else. */
	world_init(&world, &(struct world_options){ .cluster_bits = 16, .guest_clusters = 12 });
	world_map(&world, 10, 5);
	world_ack(&world, world_invoke(&world, REQUEST_WRITE_ZEROES, 0, 11 * cluster), 0);
	world_flush(&world);
	ck_assert_uint_eq(world_expect_only(&world, RULE_FLUSH_DURABLE)->guest_offset,
			  10 * cluster);
	world_release(&world);
	/* A promised write that left no trace, in the middle of holes. */
	world_init(&world, &(struct world_options){ .cluster_bits = 16, .guest_clusters = 12 });
	world_ack(&world, world_invoke(&world, REQUEST_WRITE, 5 * cluster + 512, 512), 0);
	world_ack(&world, world_invoke(&world, REQUEST_DISCARD, 8 * cluster, 4 * cluster), 0);
	world_ack(&world, world_invoke(&world, REQUEST_WRITE_ZEROES, 0, 4 * cluster), 0);
	world_flush(&world);
	ck_assert_uint_eq(world_expect_only(&world, RULE_FLUSH_DURABLE)->guest_offset,
			  5 * cluster + 512);
	world_release(&world);
	/* Zeros were promised, and the backing file shines through. */
	world_init(&world, &(struct world_options){
				   .cluster_bits = 16, .guest_clusters = 12, .backing = true });
	world_ack(&world, world_invoke(&world, REQUEST_WRITE_ZEROES, 2 * cluster, 8 * cluster), 0);
	world_flush(&world);
	ck_assert_uint_eq(world_expect(&world, RULE_FLUSH_DURABLE)->guest_offset, 2 * cluster);
	ck_assert_uint_eq(world.report.verdict_count, 8);
	world_release(&world);
}
END_TEST

START_TEST(only_file_0_counts_and_a_written_backing_file_ends_judging_contents)
{
	struct event event = { .kind = EVENT_IO_EFFECT, .op = IO_WRITE, .file = 1, .result = 512 };
	uint8_t bytes[512] = { 0 };

	world_init(&world, &(struct world_options){ .backing = true });
	world_ack(&world, world_invoke(&world, REQUEST_WRITE, 0, 512), 0);
	event_log_append(&world.log, &event, bytes, sizeof(bytes));
	world_flush(&world);
	world_expect_clean(&world);
	ck_assert_uint_eq(world.report.operations, 0);
	ck_assert_ptr_nonnull(world.report.skipped[RULE_FLUSH_DURABLE]);
	world_release(&world);
}
END_TEST

/** A guest cluster of `who`, deflated as qcow2 wants it. Returns how many bytes. */
static uint32_t deflated(uint8_t *packed, uint32_t who, uint64_t guest_cluster)
{
	uint8_t plain[CLUSTER];
	z_stream stream = {
		.next_in = plain, .avail_in = CLUSTER, .next_out = packed, .avail_out = CLUSTER
	};

	for (size_t s = 0; s < 8; s++)
		stamp(plain + 512 * s, who, guest_cluster * 8 + s);
	ck_assert_int_eq(deflateInit2(&stream, 9, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY), Z_OK);
	ck_assert_int_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
	deflateEnd(&stream);
	return CLUSTER - stream.avail_out;
}

START_TEST(compressed_clusters_are_inflated_and_share_a_host_cluster)
{
	const uint64_t x = 62 - (12 - 8);
	uint8_t packed[CLUSTER];
	uint32_t sectors;
	uint32_t bytes;
	uint32_t id[2];

	world_init(&world, &(struct world_options){ .backing = true });
	for (unsigned i = 0; i < 2; i++) {
		uint64_t start = 5 * CLUSTER + 1100 * (uint64_t)i;

		id[i] = world_invoke(&world, REQUEST_WRITE, i * CLUSTER, CLUSTER);
		bytes = deflated(packed, id[i], i);
		ck_assert_uint_lt(bytes, 1100);
		sectors = (uint32_t)((start % 512 + bytes - 1) / 512);
		world_refcount(&world, 5, (uint16_t)(i + 1));
		world_write(&world, start, packed, bytes);
		world_l2(&world, i, UINT64_C(1) << 62 | (uint64_t)sectors << x | start);
		world_ack(&world, id[i], 0);
	}
	world_flush(&world);
	world_expect_clean(&world);
	memset(packed, 0xff, sizeof(packed));
	world_write(&world, 5 * CLUSTER + 10, packed, 20);
	ck_assert_ptr_nonnull(
		strstr(world_expect_only(&world, RULE_OLD_OR_NEW)->message, "does not inflate"));
	world_release(&world);
}
END_TEST

/** What creating a snapshot does to the file, COPIED flags lagging behind refcounts. */
static void create_snapshot(void)
{
	static uint8_t table[64];
	uint8_t header[512];

	world_refcount(&world, 6, 1);
	world_entry(&world, 6 * CLUSTER, AT_L2 * CLUSTER);
	world_refcount(&world, AT_L2, 2);
	world_refcount(&world, 5, 2);
	world_l2(&world, 1, 5 * CLUSTER);
	world_entry(&world, AT_L1 * CLUSTER, AT_L2 * CLUSTER);
	world_refcount(&world, 7, 1);
	table[6] = 6 * CLUSTER >> 8;
	table[11] = 1;
	table[39] = 16;
	world_write(&world, 7 * CLUSTER, table, sizeof(table));
	content_read(world.now, header, 512, 0);
	header[63] = 1;
	header[70] = 7 * CLUSTER >> 8;
	world_write(&world, 0, header, 512);
}

START_TEST(creating_a_snapshot_passes_through_hazards_not_corruption)
{
	world_init(&world, &(struct world_options){ 0 });
	world_map(&world, 1, 5);
	create_snapshot();
	world_end(&world, RUN_FINISHED, NULL);
	world_judge(&world);
	ck_assert_uint_eq(world.report.verdict_count, 2);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(world.report.verdicts[i].rule, RULE_COPIED_EXACT);
		ck_assert_int_eq(world.report.verdicts[i].severity, SEVERITY_HAZARD);
	}
	ck_assert_uint_eq(world.report.leaked, 0);
	world_release(&world);
}
END_TEST

START_TEST(an_acknowledged_snapshot_binds_the_run)
{
	uint32_t id;

	world_init(&world, &(struct world_options){ 0 });
	world_map(&world, 1, 5);
	id = world_invoke(&world, REQUEST_SNAPSHOT, 0, 0);
	create_snapshot();
	world_data(&world, world_invoke(&world, REQUEST_WRITE, CLUSTER, 512), 1, 5, 0, 1);
	world_judge(&world);
	ck_assert_uint_eq(world.report.verdict_count, 2);
	world_ack(&world, id, 0);
	world_data(&world, world_invoke(&world, REQUEST_WRITE, CLUSTER, 512), 1, 5, 0, 1);
	ck_assert_ptr_nonnull(
		strstr(world_expect(&world, RULE_OLD_OR_NEW)->message, "internal snapshot"));
	world_release(&world);
}
END_TEST

START_TEST(a_snapshot_holds_what_was_acknowledged_before_it)
{
	for (unsigned written = 0; written < 2; written++) {
		uint32_t id;

		world_init(&world, &(struct world_options){ 0 });
		world_map(&world, 1, 5);
		id = world_invoke(&world, REQUEST_WRITE, CLUSTER, 512);
		if (written > 0)
			world_data(&world, id, 1, 5, 0, 1);
		world_ack(&world, id, 0);
		id = world_invoke(&world, REQUEST_SNAPSHOT, 0, 0);
		create_snapshot();
		world_ack(&world, id, 0);
		world_judge(&world);
		ck_assert_uint_eq(world.report.verdict_count, written > 0 ? 2 : 3);
		if (written == 0)
			ck_assert_ptr_nonnull(
				strstr(world_expect(&world, RULE_FLUSH_DURABLE)->message,
				       "in the new snapshot, L2 entry 1"));
		world_release(&world);
	}
}
END_TEST

START_TEST(a_snapshot_whose_creation_failed_promises_nothing_and_stays_as_it_is)
{
	uint32_t id;

	world_init(&world, &(struct world_options){ 0 });
	world_map(&world, 1, 5);
	world_ack(&world, world_invoke(&world, REQUEST_WRITE, CLUSTER, 512), 0);
	id = world_invoke(&world, REQUEST_SNAPSHOT, 0, 0);
	create_snapshot();
	world_ack(&world, id, -12);
	world_judge(&world);
	ck_assert_uint_eq(world.report.verdict_count, 2); /* the hazards on the way */
	/* The next one is not held responsible for it either. */
	world_ack(&world, world_invoke(&world, REQUEST_SNAPSHOT, 0, 0), 0);
	world_judge(&world);
	ck_assert_uint_eq(world.report.verdict_count, 2);
	world_data(&world, world_invoke(&world, REQUEST_WRITE, CLUSTER, 512), 1, 5, 0, 1);
	ck_assert_ptr_nonnull(
		strstr(world_expect(&world, RULE_OLD_OR_NEW)->message, "internal snapshot"));
	world_release(&world);
}
END_TEST

/** Write all of guest cluster 1 into new clusters, L2 table included. */
static void write_beside_snapshot(void)
{
	uint32_t id = world_invoke(&world, REQUEST_WRITE, CLUSTER, CLUSTER);

	world_refcount(&world, 8, 1);
	world_refcount(&world, 9, 1);
	world_data(&world, id, 1, 8, 0, 8);
	world_entry(&world, 9 * CLUSTER + 8, 8 * CLUSTER | COPIED);
	world_entry(&world, AT_L1 * CLUSTER, 9 * CLUSTER | COPIED);
	world_ack(&world, id, 0);
}

START_TEST(an_applied_snapshot_is_what_the_disk_holds)
{
	for (unsigned applied = 0; applied < 2; applied++) {
		uint32_t id;

		world_init(&world, &(struct world_options){ 0 });
		world_map(&world, 1, 5);
		id = world_invoke(&world, REQUEST_SNAPSHOT, 0, 0);
		create_snapshot();
		world_ack(&world, id, 0);
		write_beside_snapshot();
		id = world_invoke(&world, REQUEST_SNAPSHOT_APPLY, 0, 0);
		if (applied > 0)
			world_entry(&world, AT_L1 * CLUSTER, AT_L2 * CLUSTER);
		world_ack(&world, id, 0);
		world_flush(&world);
		id = world_invoke(&world, REQUEST_READ, CLUSTER, 512);
		world_answer(&world, id, STAMP_OLD);
		world_judge(&world);
		/* create_snapshot() leaves two hazards. */
		ck_assert_uint_eq(world.report.verdict_count, applied > 0 ? 2 : 3);
		if (applied == 0)
			world_expect(&world, RULE_FLUSH_DURABLE);
		world_release(&world);
	}
}
END_TEST

START_TEST(a_deleted_snapshot_binds_nobody_and_a_new_one_in_its_place_does)
{
	const uint8_t none[12] = { 0 };
	const uint8_t one[12] = { 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 7 * CLUSTER >> 8, 0 };
	uint32_t id;

	world_init(&world, &(struct world_options){ 0 });
	world_map(&world, 1, 5);
	id = world_invoke(&world, REQUEST_SNAPSHOT, 0, 0);
	create_snapshot();
	world_ack(&world, id, 0);
	id = world_invoke(&world, REQUEST_SNAPSHOT_DELETE, 0, 0);
	world_write(&world, 60, none, sizeof(none));
	world_ack(&world, id, 0);
	id = world_invoke(&world, REQUEST_WRITE, CLUSTER, CLUSTER);
	world_refcount(&world, 8, 2);
	world_data(&world, id, 1, 8, 0, 8);
	world_l2(&world, 1, 8 * CLUSTER);
	world_ack(&world, id, 0);
	id = world_invoke(&world, REQUEST_SNAPSHOT, 0, 0);
	world_write(&world, 60, one, sizeof(one));
	world_ack(&world, id, 0);
	/* Of the old one, with its L1 table in the same place. */
	world_data(&world, STAMP_OLD, 3, 5, 0, 1);
	world_judge(&world);
	ck_assert_uint_eq(world.report.verdict_count, 2);
	world_data(&world, world_invoke(&world, REQUEST_WRITE, CLUSTER, 512), 1, 8, 0, 1);
	world_expect(&world, RULE_OLD_OR_NEW);
	world_release(&world);
}
END_TEST

START_TEST(an_image_that_is_not_qcow2_is_judged_as_one_that_does_not_open)
{
	struct judge *judge;
	struct judge_report report;
	struct event_log log;
	struct trace_file file = { .format = TRACE_FORMAT_QCOW2, .backing = TRACE_NO_BACKING };

	file.path = strdup("zeros");
	file.initial = content_new(512);
	event_log_init(&log);
	ck_assert_int_eq(judge_new(&judge, &file, 1, &(struct judge_options){ 0 }, NULL),
			 STATUS_OK);
	judge_run(judge, &log, 0, &report);
	ck_assert_uint_eq(report.verdict_count, 1);
	ck_assert_int_eq(report.verdicts[0].rule, RULE_OPENS);
	judge_free(judge);
	file.format = TRACE_FORMAT_RAW;
	ck_assert_int_eq(judge_new(&judge, &file, 1, &(struct judge_options){ 0 }, NULL),
			 STATUS_UNSUPPORTED);
	content_free(file.initial);
	free(file.path);
}
END_TEST

/* The whole initial image, written page by page into a file that was cut to nothing. */
static void make_anew(void)
{
	struct content *image = content_clone(world.files[0].initial);
	uint64_t page = 0;

	world_effect(&world, IO_RESIZE, 0, 0);
	for (; content_next_page(image, &page); page++)
		world_write(&world, page * CONTENT_PAGE_BYTES, content_page(image, page),
			    CONTENT_PAGE_BYTES);
	content_free(image);
}

static void flush_file(void)
{
	struct event event = { .kind = EVENT_IO_COMPLETED, .op = IO_FLUSH };

	world_effect(&world, IO_FLUSH, 0, 0);
	event_log_append(&world.log, &event, NULL, 0);
}

START_TEST(an_image_in_the_making_is_judged_from_its_first_good_flush_on)
{
	world_init(&world, &(struct world_options){ 0 });
	world_map(&world, 2, AT_DATA);
	make_anew();
	world_expect_clean(&world);
	world_refcount(&world, AT_DATA, 0); /* still nobody may complain */
	flush_file();
	world_expect_clean(&world);
	world_refcount(&world, AT_DATA, 1);
	flush_file();
	world_expect_clean(&world);
	ck_assert_ptr_nonnull(world.report.skipped[RULE_OPENS]);
	world_refcount(&world, AT_DATA, 0);
	world_expect_only(&world, RULE_REFCOUNT_COVERS);
	world_release(&world);
}
END_TEST

START_TEST(an_image_that_is_badly_made_is_noticed_at_the_end)
{
	world_init(&world, &(struct world_options){ 0 });
	world_map(&world, 2, AT_DATA);
	make_anew();
	world_refcount(&world, AT_DATA, 0);
	flush_file();
	world_expect_clean(&world);
	world_end(&world, RUN_FINISHED, NULL);
	world_expect_only(&world, RULE_REFCOUNT_COVERS);
	world_release(&world);
}
END_TEST

START_TEST(a_backing_chain_that_loops_is_refused)
{
	struct judge *judge;
	struct why why;

	world_init(&world, &(struct world_options){ .backing = true });
	world.files[1].backing = 0;
	ck_assert_int_eq(judge_new(&judge, world.files, 2, &world.judge_options, &why),
			 STATUS_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(why.text, "loop"));
	world_release(&world);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("oracle_judge");
	TCase *tests = tcase_create("judge");

	tcase_add_test(tests, every_rule_has_a_name_a_statement_and_is_found_by_its_name);
	tcase_add_test(tests, models_are_parsed_as_a_list);
	tcase_add_test(tests, a_write_tears_at_the_sector_boundaries_of_the_file);
	tcase_add_test(tests, distinct_states_are_counted_over_all_runs);
	tcase_add_test(tests, no_more_verdicts_than_asked_for);
	tcase_add_test(tests, ten_gibibytes_of_holes_cost_nothing);
	tcase_add_test(tests, a_lost_request_is_found_in_and_behind_a_long_hole);
	tcase_add_test(tests, only_file_0_counts_and_a_written_backing_file_ends_judging_contents);
	tcase_add_test(tests, compressed_clusters_are_inflated_and_share_a_host_cluster);
	tcase_add_test(tests, creating_a_snapshot_passes_through_hazards_not_corruption);
	tcase_add_test(tests, an_acknowledged_snapshot_binds_the_run);
	tcase_add_test(tests, a_snapshot_holds_what_was_acknowledged_before_it);
	tcase_add_test(tests, a_snapshot_whose_creation_failed_promises_nothing_and_stays_as_it_is);
	tcase_add_test(tests, an_applied_snapshot_is_what_the_disk_holds);
	tcase_add_test(tests, a_deleted_snapshot_binds_nobody_and_a_new_one_in_its_place_does);
	tcase_add_test(tests, an_image_that_is_not_qcow2_is_judged_as_one_that_does_not_open);
	tcase_add_test(tests, an_image_in_the_making_is_judged_from_its_first_good_flush_on);
	tcase_add_test(tests, an_image_that_is_badly_made_is_noticed_at_the_end);
	tcase_add_test(tests, a_backing_chain_that_loops_is_refused);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
