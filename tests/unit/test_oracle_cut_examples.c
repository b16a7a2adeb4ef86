// SPDX-License-Identifier: MIT
/* Crash states of classes, example by example: how many cuts there are, what they show, and what
 * makes two states different. */
#include "oracle/judge.h"
#include "tests/run_suite.h"
#include "tests/unit/oracle_world.h"

#include <check.h>
#include <string.h>

#define CLUSTER UINT64_C(512)

/** The last `event_count` events of world.log are a step of a chain. */
static void step(struct world *world, struct world_class *class, size_t event_count, uint32_t chain)
{
	world_class_add(class, &world->log, event_count, chain);
}

static void judge_steps(struct world *world, const struct world_class *class, size_t kept_steps)
{
	struct judge_class taken = class->class;

	taken.kept_steps = kept_steps;
	if (world->judge == NULL)
		ck_assert_int_eq(judge_new(&world->judge, world->files, world->file_count,
					   &world->judge_options, NULL),
				 STATUS_OK);
	judge_cuts(world->judge, &world->log, &taken, &world->report);
}

START_TEST(cuts_of_two_chains_are_pairs_of_prefixes)
{
	struct world world;
	struct world_class class;

	world_init(&world, &(struct world_options){ .cluster_bits = 9 });
	world_class_init(&class, 2);
	for (unsigned i = 0; i < 5; i++) {
		world_data(&world, 1, 0, AT_DATA + i, 0, 1);
		step(&world, &class, 1, i % 2);
	}
	judge_steps(&world, &class, 0);
	/* None to three of one chain, none to two of the other. */
	ck_assert_uint_eq(world.report.counts.states, 12);
	ck_assert_uint_eq(world.report.counts.judged, 12);
	ck_assert_uint_eq(world.report.operations, 5);
	/* The same class again: nothing is new. From its fourth step on: the 3 * 2 cuts of the
	 * first three are not visited, the others need not be judged. */
	judge_steps(&world, &class, 5);
	ck_assert_uint_eq(world.report.counts.states, 0);
	judge_steps(&world, &class, 3);
	ck_assert_uint_eq(world.report.counts.states, 6);
	ck_assert_uint_eq(world.report.counts.judged, 0);
	ck_assert_uint_eq(world.report.counts.built, 12 + 6);
	/* A run in between makes no difference. */
	judge_run(world.judge, &world.log, 0, &world.report);
	ck_assert_uint_eq(world.report.counts.states, 6);
	judge_steps(&world, &class, 3);
	ck_assert_uint_eq(world.report.counts.states, 6);
	ck_assert_uint_eq(world.report.counts.judged, 0);
	ck_assert_uint_eq(world.report.counts.distinct, 12);
	world_release(&world);
}
END_TEST

START_TEST(a_cut_that_no_prefix_of_the_run_shows_is_judged)
{
	struct world world;
	struct world_class class;
	const struct verdict *verdict;

	/* The run writes the data before the entry, but nothing makes it. */
	world_init(&world, &(struct world_options){ .cluster_bits = 9, .backing = true });
	world_class_init(&class, 3);
	world_invoke(&world, REQUEST_WRITE, 0, 512);
	step(&world, &class, 1, 0);
	world_refcount(&world, AT_DATA, 1);
	step(&world, &class, 1, 0);
	world_effect(&world, IO_ALLOCATE, AT_DATA * CLUSTER, 512);
	step(&world, &class, 1, 0);
	world_data(&world, 1, 0, AT_DATA, 0, 1);
	step(&world, &class, 1, 1);
	world_l2(&world, 0, AT_DATA * CLUSTER | COPIED);
	step(&world, &class, 1, 0);
	judge_steps(&world, &class, 0);
	ck_assert_uint_eq(world.report.verdict_count, 1);
	verdict = &world.report.verdicts[0];
	ck_assert_int_eq(verdict->rule, RULE_COW_COMPLETE);
	ck_assert_int_eq(verdict->model, CRASH_PREFIX);
	ck_assert_uint_eq(verdict->operation, 3);
	ck_assert_uint_eq(world.report.cuts[0].step_count, 4);
	ck_assert_uint_eq(world.report.cuts[0].steps[3], 4);
	/* The run itself is clean. */
	judge_run(world.judge, &world.log, 0, &world.report);
	ck_assert_uint_eq(world.report.verdict_count, 0);
	ck_assert_ptr_null(world.report.cuts);
	world_release(&world);
}
END_TEST

/** The image was closed in good order: the dirty bit is cleared. */
static void clear_dirty(struct world *world)
{
	uint8_t header[512];

	content_read(world->now, header, sizeof(header), 0);
	header[79] = 0;
	world_write(world, 0, header, sizeof(header));
}

START_TEST(what_is_passed_through_quietly_counts)
{
	struct world world;
	struct world_class class;

	world_init(&world, &(struct world_options){ .cluster_bits = 9, .dirty = true });
	world_map(&world, 0, AT_DATA);
	world_class_init(&class, 2);
	world_refcount(&world, AT_DATA, 0);
	step(&world, &class, 1, 0);
	judge_steps(&world, &class, 0);
	ck_assert_uint_eq(world.report.verdict_count, 0);
	clear_dirty(&world);
	step(&world, &class, 1, 1);
	judge_steps(&world, &class, 1);
	ck_assert_uint_eq(world.report.verdict_count, 1);
	ck_assert_int_eq(world.report.verdicts[0].rule, RULE_REFCOUNT_COVERS);
	ck_assert_uint_eq(world.report.cuts[0].step_count, 2);
	world_release(&world);
}
END_TEST

START_TEST(the_weakest_model_of_all_cuts_is_named)
{
	struct world world;
	struct world_class class;
	uint8_t wide[1024] = { 0 };

	/* A write of two sectors over two mapped clusters; torn, the first is bad. In another chain
	 * something else happens, so that there are several cuts around it. */
	world_init(&world, &(struct world_options){ .cluster_bits = 9 });
	world_map(&world, 0, AT_DATA);
	world_map(&world, 1, AT_DATA + 1);
	world_class_init(&class, 3);
	world_invoke(&world, REQUEST_FLUSH, 0, 0);
	memset(wide, 0x77, sizeof(wide));
	world_write(&world, AT_DATA * CLUSTER, wide, sizeof(wide));
	step(&world, &class, 1, 0);
	for (uint32_t i = 0; i < 2; i++) {
		world_effect(&world, IO_ALLOCATE, (AT_DATA + 2 + i) * CLUSTER, 512);
		step(&world, &class, 1, 1 + i);
	}
	judge_steps(&world, &class, 0);
	ck_assert_uint_eq(world.report.verdict_count, 2);
	for (size_t i = 0; i < 2; i++)
		ck_assert_int_eq(world.report.verdicts[i].model, CRASH_PREFIX);
	/* 2 * 2 * 2 cuts, and the write torn in each of those that can do without it. */
	ck_assert_uint_eq(world.report.counts.states, 8 + 4);
	world_release(&world);
}
END_TEST

/** Distinct states of two runs on one image, in which requests 2 and 3 write the same sectors. */
static uint64_t states_of_two_runs(bool first_swaps, bool second_swaps, bool second_is_serial)
{
	struct world worlds[2];
	struct judge_report report = { 0 };
	bool swaps[2] = { first_swaps, second_swaps };

	for (int i = 0; i < 2; i++) {
		struct world *world = &worlds[i];
		uint32_t ids[2];
		bool is_serial = i == 1 && second_is_serial;

		world_init(world, &(struct world_options){ .cluster_bits = 9 });
		world_flush(world);
		ids[0] = world_invoke(world, REQUEST_WRITE, 0, 512);
		if (is_serial)
			world_ack(world, ids[0], 0);
		ids[1] = world_invoke(world, REQUEST_WRITE, 0, 512);
		if (!is_serial)
			world_ack(world, ids[swaps[i]], 0);
		if (is_serial || first_swaps == second_swaps)
			world_ack(world, ids[!swaps[i]], 0);
		world_flush(world);
	}
	ck_assert_int_eq(judge_new(&worlds[0].judge, worlds[0].files, worlds[0].file_count,
				   &worlds[0].judge_options, NULL),
			 STATUS_OK);
	for (int i = 0; i < 2; i++)
		judge_run(worlds[0].judge, &worlds[i].log, 0, &report);
	world_release(&worlds[0]);
	world_release(&worlds[1]);
	return report.counts.distinct;
}

START_TEST(states_differ_when_different_requests_are_promised)
{
	/* Initially, after the first flush, after the second. */
	ck_assert_uint_eq(states_of_two_runs(false, false, false), 3);
	ck_assert_uint_eq(states_of_two_runs(false, true, false), 4);
}
END_TEST

START_TEST(states_differ_when_one_request_followed_the_other)
{
	ck_assert_uint_eq(states_of_two_runs(false, false, true), 4);
}
END_TEST

START_TEST(fingerprints_of_two_judges_can_be_merged)
{
	struct world world;
	struct world_class class;
	const uint64_t *slots;
	uint64_t sum = 0;
	size_t count = 0;
	size_t slot_count;

	world_init(&world, &(struct world_options){ .cluster_bits = 9 });
	world_class_init(&class, 2);
	for (unsigned i = 0; i < 2; i++) {
		world_data(&world, 1, 0, AT_DATA + i, 0, 1);
		step(&world, &class, 1, i);
	}
	judge_steps(&world, &class, 0);
	slot_count = judge_fingerprints(world.judge, &slots);
	for (size_t i = 0; i < slot_count; i++)
		count += slots[i] != 0;
	sum = world.report.counts.distinct_checksum;
	ck_assert_uint_eq(count, 4);
	ck_assert_uint_eq(world.report.counts.distinct, 4);
	/* The run alone shows three of them. */
	world_judge(&world);
	ck_assert_uint_eq(world.report.counts.distinct, 3);
	ck_assert_uint_ne(world.report.counts.distinct_checksum, sum);
	judge_steps(&world, &class, 0);
	ck_assert_uint_eq(world.report.counts.distinct_checksum, sum);
	world_release(&world);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("oracle_cut_examples");
	TCase *examples = tcase_create("examples");

	tcase_add_test(examples, cuts_of_two_chains_are_pairs_of_prefixes);
	tcase_add_test(examples, a_cut_that_no_prefix_of_the_run_shows_is_judged);
	tcase_add_test(examples, what_is_passed_through_quietly_counts);
	tcase_add_test(examples, the_weakest_model_of_all_cuts_is_named);
	tcase_add_test(examples, states_differ_when_different_requests_are_promised);
	tcase_add_test(examples, states_differ_when_one_request_followed_the_other);
	tcase_add_test(examples, fingerprints_of_two_judges_can_be_merged);
	suite_add_tcase(suite, examples);
	return run_suite(suite);
}
