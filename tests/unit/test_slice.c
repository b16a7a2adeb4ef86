// SPDX-License-Identifier: MIT
/* Jobs as text, and searches that are done slice by slice. */
#include "workloads/slice.h"

#include "injector/splitmix.h"
#include "tests/run_suite.h"
#include "workloads/world_snapshot.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED 20261122
#define THREE_WRITES                                                                               \
	"#@ image size=8k cluster_size=4k backing=pattern\n"                                       \
	"aio_write 0 1k\naio_write 512 1k\naio_write 4k 1k\naio_flush\n"

static uint32_t below(struct splitmix *random, uint32_t bound)
{
	return splitmix_below(random, bound);
}

/* A job as a search might hand it back, most of its last picks zeros. */
static void generate(struct dpor_job *job, struct splitmix *random)
{
	uint32_t picks = below(random, 30);
	schedule_reset(&job->prefix);
	for (uint32_t i = 0; i < picks; i++)
		schedule_append(&job->prefix, below(random, 2) ? below(random, 60) : 0, 0);
	job->last_run = picks ? below(random, picks) : 0;
	job->sleeper_count = picks ? below(random, 5) : 0;
	for (uint32_t i = 0; i < job->sleeper_count; i++) {
		job->sleepers[i].actor = below(random, 100);
		job->sleepers[i].picks = below(random, 2) ? DPOR_ALL : splitmix_next(random);
	}
}

START_TEST(a_job_is_the_same_after_printing_and_parsing)
{
	struct dpor_job job, parsed;
	struct splitmix random = { SEED };
	schedule_init(&job.prefix);
	schedule_init(&parsed.prefix);
	for (unsigned i = 0; i < 2000; i++) {
		struct why why = { "" };
		generate(&job, &random);
		char *text = slice_job_print(&job);
		ck_assert_msg(slice_job_parse(&parsed, text, &why) == STATUS_OK, "%s: %s", text,
			      why.text);
		ck_assert_uint_eq(parsed.prefix.count, job.prefix.count);
		for (size_t k = 0; k < job.prefix.count; k++)
			ck_assert_uint_eq(parsed.prefix.steps[k].pick, job.prefix.steps[k].pick);
		ck_assert_uint_eq(parsed.last_run, job.last_run);
		ck_assert_uint_eq(parsed.sleeper_count, job.sleeper_count);
		for (uint32_t k = 0; k < job.sleeper_count; k++) {
			ck_assert_uint_eq(parsed.sleepers[k].actor, job.sleepers[k].actor);
			ck_assert_uint_eq(parsed.sleepers[k].picks, job.sleepers[k].picks);
		}
		free(text);
	}
	schedule_release(&job.prefix);
	schedule_release(&parsed.prefix);
}
END_TEST

START_TEST(a_job_looks_as_documented)
{
	struct dpor_job job = { .last_run = 2, .sleeper_count = 2 };
	schedule_init(&job.prefix);
	schedule_append(&job.prefix, 0, 2);
	schedule_append(&job.prefix, 40, 50);
	schedule_append(&job.prefix, 1, 2);
	schedule_append(&job.prefix, 0, 2);
	job.sleepers[0] = (struct dpor_sleeper){ 3, DPOR_ALL };
	job.sleepers[1] = (struct dpor_sleeper){ 4, 0x1f };
	char *text = slice_job_print(&job);
	ck_assert_str_eq(text, "s1:0(40)1|2/4|3:*,4:1f");
	free(text);
	schedule_reset(&job.prefix);
	job.last_run = job.sleeper_count = 0;
	text = slice_job_print(&job);
	ck_assert_str_eq(text, SLICE_WHOLE);
	free(text);
	schedule_release(&job.prefix);
}
END_TEST

START_TEST(what_is_no_job_is_refused)
{
	static const char *const texts[] = {
		"",
		"s1:",
		"s1:|",
		"s1:||",
		"s1:|0/0",
		"s1:|0/0|1:*",
		"s1:01|0/1|",
		"s1:01|2/2|",
		"s1:01|0/2|x",
		"s1:01|0/2|1",
		"s1:01|0/2|1:",
		"s1:01|0/2|1:*,",
		"s1:01|0/2|,1:*",
		"s1:01|-1/2|",
		"s1:01|0/2|1:G",
		"s1:01|0/2|4294967296:*",
		"s1:01|0/2|1:* ",
		"s2:01|0/2|1:*",
		"s1:01|0/9999999|",
		"s1:01|0/2|1:11112222333344445",
	};
	struct dpor_job job;
	schedule_init(&job.prefix);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct why why = { "" };
		ck_assert_msg(slice_job_parse(&job, texts[i], &why) == STATUS_BAD_INPUT, "'%s'",
			      texts[i]);
		ck_assert_int_ne(why.text[0], 0);
	}
	schedule_release(&job.prefix);
}
END_TEST

/* The whole search in slices of so many runs. */
static void search(struct ledger *ledger, struct world *world, uint64_t executions)
{
	struct open_job job;
	struct why why = { "" };
	const struct slice_options options = {
		.models = CRASH_PREFIX | CRASH_TORN,
		.executions = executions,
	};
	ledger_open(ledger, SLICE_WHOLE, 1, 0);
	while (ledger->job_count) {
		job = ledger_take(ledger, ledger->job_count - 1);
		struct ledger part = { 0 };
		ck_assert_msg(slice_explore(world, &job, &options, &part, &why) == STATUS_OK, "%s",
			      why.text);
		/* Through bytes and back, as if somebody else had done it. */
		struct pack pack = { 0 };
		struct ledger copy = { 0 };
		ledger_pack(&part, &pack);
		struct unpack unpack = { .bytes = pack.bytes, .count = pack.count };
		ck_assert(ledger_unpack(&copy, &unpack));
		ck_assert_uint_eq(unpack.at, pack.count);
		ledger_add(ledger, &copy);
		pack_release(&pack);
		ledger_release(&part);
		ledger_release(&copy);
		free(job.text);
	}
}

START_TEST(slices_add_up_to_the_whole_search)
{
	struct why why = { "" };
	struct workload workload;
	struct world *world = NULL;
	struct ledger whole = { 0 };
	const struct world_options world_options = {
		.policy = QCOW2_CANCEL,
		.points = SCHED_POINTS_ALL,
		.stamps = true,
		.snapshot_every = WORLD_SNAPSHOTS_EVERY,
	};
	ck_assert_int_eq(workload_parse(&workload, "w", THREE_WRITES, strlen(THREE_WRITES), &why),
			 STATUS_OK);
	ck_assert_int_eq(world_new(&world, &workload, &world_options, &why), STATUS_OK);
	search(&whole, world, 0);
	ck_assert(ledger_is_complete(&whole));
	ck_assert_uint_eq(whole.slices, 1);
	ck_assert_uint_gt(whole.sets.classes.count, 20);
	ck_assert_uint_eq(ledger_duplicates(&whole), 0);
	for (uint64_t executions = 1; executions <= 50; executions += 7) {
		struct ledger ledger = { 0 };
		search(&ledger, world, executions);
		ck_assert(ledger_is_complete(&ledger));
		ck_assert_uint_gt(ledger.slices, 1);
		ck_assert(ledger_done(&ledger, 0) > 0.999);
		ck_assert_uint_eq(ledger_duplicates(&ledger), 0);
		ck_assert_uint_eq(ledger.sets.classes.count, whole.sets.classes.count);
		ck_assert_uint_eq(ledger.class_checksum, whole.class_checksum);
		ck_assert_uint_eq(ledger.sets.ends.count, whole.sets.ends.count);
		ck_assert_uint_eq(ledger.end_checksum, whole.end_checksum);
		ck_assert_uint_eq(ledger.sets.states.count, whole.sets.states.count);
		ck_assert_uint_eq(ledger.sets.states.checksum, whole.sets.states.checksum);
		ledger_release(&ledger);
	}
	ledger_release(&whole);
	world_free(world);
	workload_release(&workload);
}
END_TEST

START_TEST(of_equal_violations_the_shortest_schedule_is_kept)
{
	static char schedules[][8] = { "s1:012", "s1:11", "s1:10", "s1:1111" };
	struct ledger ledger = { 0 };
	struct explore_sets none = { 0 };
	for (size_t i = 0; i < 4; i++) {
		struct violation violation = {
			.verdict = { .rule = RULE_OLD_OR_NEW, .guest_offset = 512 },
			.schedule = schedules[i],
			.times = 2,
		};
		struct explore_result part = { .violations = &violation, .violation_count = 1 };
		ledger_enter(&ledger, &part, &none);
	}
	ck_assert_uint_eq(ledger.violation_count, 1);
	ck_assert_str_eq(ledger.violations[0].schedule, "s1:10");
	ck_assert_uint_eq(ledger.violations[0].times, 8);
	ledger_release(&ledger);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("slice");
	TCase *tests = tcase_create("slice");

	tcase_set_timeout(tests, 100);
	tcase_add_test(tests, a_job_is_the_same_after_printing_and_parsing);
	tcase_add_test(tests, a_job_looks_as_documented);
	tcase_add_test(tests, what_is_no_job_is_refused);
	tcase_add_test(tests, slices_add_up_to_the_whole_search);
	tcase_add_test(tests, of_equal_violations_the_shortest_schedule_is_kept);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
