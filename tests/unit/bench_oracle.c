// SPDX-License-Identifier: MIT
/* How many crash states does the judge look at in a second? Four requests in a world of 4 KiB
 * clusters over a backing file; each run differs from the one before in its last third, as a
 * depth-first search of interleavings does.
 *
 * And how many cuts of a class does it visit, and judge? Four allocating requests at the same time;
 * the classes differ in the order of two table updates, at their end.
 *
 *     bench_oracle [RUNS] */
#include "oracle/judge.h"
#include "tests/unit/oracle_world.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { REQUESTS = 4 };
#define CLUSTER UINT64_C(4096)

static void allocate(struct world *world, unsigned at, bool swapped)
{
	uint32_t id = world_invoke(world, REQUEST_WRITE, at * CLUSTER + 512, 1024);

	world_refcount(world, AT_DATA + at, 1);
	world_data(world, id, at, AT_DATA + at, 1, 3);
	world_ack(world, id, 0);
	if (swapped)
		world_data(world, STAMP_BACKING, at, AT_DATA + at, 3, 8);
	world_data(world, STAMP_BACKING, at, AT_DATA + at, 0, 1);
	if (!swapped)
		world_data(world, STAMP_BACKING, at, AT_DATA + at, 3, 8);
	world_l2(world, at, (uint64_t)(AT_DATA + at) * CLUSTER | COPIED);
	world_flush(world);
}

static void build(struct world *world, bool swapped)
{
	world_init(world, &(struct world_options){ .backing = true });
	for (unsigned at = 0; at < REQUESTS; at++)
		allocate(world, at, swapped && at >= REQUESTS * 2 / 3);
	world_end(world, RUN_FINISHED, NULL);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void measure(unsigned models, const char *name, long runs, bool share)
{
	struct world worlds[2];
	struct judge_options options = { .models = models, .count_distinct = true };
	struct judge *judge;
	struct judge_report report = { 0 };
	uint64_t judged = 0;
	size_t kept;
	double start;

	build(&worlds[0], false);
	build(&worlds[1], true);
	kept = event_log_difference(&worlds[0].log, &worlds[1].log);
	if (judge_new(&judge, worlds[0].files, worlds[0].file_count, &options, NULL) != STATUS_OK)
		exit(EXIT_FAILURE);
	judge_run(judge, &worlds[1].log, 0, &report);
	start = seconds();
	for (long i = 0; i < runs; i++) {
		judge_run(judge, &worlds[i % 2].log, share ? kept : 0, &report);
		judged += report.counts.judged;
	}
	start = seconds() - start;
	printf("%-12s %-9s %4llu states a run, %6.2f M states/s judged, %.0f ns each, %zu "
	       "verdicts\n",
	       name, share ? "shared" : "whole", (unsigned long long)report.counts.states,
	       (double)judged / start / 1e6, start * 1e9 / (double)judged, report.verdict_count);
	judge_free(judge);
	world_release(&worlds[0]);
	world_release(&worlds[1]);
}

/** A run of all requests at once, and its class; `swapped`: the last two tables the other way. */
struct concurrent {
	struct world world;
	struct world_class class;
	uint32_t ids[REQUESTS];
};

static void add(struct concurrent *run, unsigned at)
{
	world_class_add(&run->class, &run->world.log, 1, at);
}

static void build_concurrent(struct concurrent *run, bool swapped)
{
	struct world *world = &run->world;

	world_init(world, &(struct world_options){ .backing = true });
	world_class_init(&run->class, REQUESTS);
	for (unsigned at = 0; at < REQUESTS; at++) {
		run->ids[at] = world_invoke(world, REQUEST_WRITE, at * CLUSTER + 512, 1024);
		add(run, at);
	}
	for (unsigned at = 0; at < REQUESTS; at++) {
		world_data(world, run->ids[at], at, AT_DATA + at, 1, 3);
		add(run, at);
		world_data(world, STAMP_BACKING, at, AT_DATA + at, 0, 1);
		add(run, at);
		world_data(world, STAMP_BACKING, at, AT_DATA + at, 3, 8);
		add(run, at);
		world_refcount(world, AT_DATA + at, 1);
		add(run, at);
	}
	for (unsigned i = 0; i < REQUESTS; i++) {
		unsigned at = swapped && i >= REQUESTS - 2 ? 2 * REQUESTS - 3 - i : i;

		world_l2(world, at, (uint64_t)(AT_DATA + at) * CLUSTER | COPIED);
		add(run, at);
	}
	for (unsigned at = 0; at < REQUESTS; at++) {
		world_ack(world, run->ids[at], 0);
		add(run, at);
	}
	world_end(world, RUN_FINISHED, NULL);
}

/** `anew`: each class by a new judge, so that no cut is known. */
static void measure_cuts(unsigned models, const char *name, long runs, bool anew)
{
	static struct concurrent run[2];
	struct judge_options options = { .models = models, .count_distinct = true };
	struct judge *judge = NULL;
	struct judge_report report = { 0 };
	uint64_t built = 0;
	uint64_t judged = 0;
	double start;

	build_concurrent(&run[0], false);
	build_concurrent(&run[1], true);
	start = seconds();
	for (long i = 0; i < runs; i++) {
		struct judge_class class = run[i % 2].class.class;

		if (i == 0 || anew) {
			judge_free(judge);
			if (judge_new(&judge, run[0].world.files, run[0].world.file_count, &options,
				      NULL) != STATUS_OK)
				exit(EXIT_FAILURE);
		}
		judge_cuts(judge, &run[i % 2].world.log, &class, &report);
		built += report.counts.states;
		judged += report.counts.judged;
	}
	start = seconds() - start;
	printf("cuts %-12s %-6s %7.0f built a class, %6.2f M/s built, %6.2f M/s judged, %zu "
	       "verdicts\n",
	       name, anew ? "new" : "known", (double)built / (double)runs,
	       (double)built / start / 1e6, (double)judged / start / 1e6, report.verdict_count);
	judge_free(judge);
	world_release(&run[0].world);
	world_release(&run[1].world);
}

static long runs;

START_TEST(crash_states_a_second)
{
	for (int share = 0; share < 2; share++) {
		measure(CRASH_PREFIX, "prefix", runs, share);
		measure(CRASH_PREFIX | CRASH_TORN, "prefix,torn", runs, share);
	}
	for (int anew = 1; anew >= 0; anew--) {
		measure_cuts(CRASH_PREFIX, "prefix", runs / 500, anew);
		measure_cuts(CRASH_PREFIX | CRASH_TORN, "prefix,torn", runs / 500, anew);
	}
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("bench_oracle");
	TCase *tests = tcase_create("bench");
	SRunner *runner;

	runs = argc > 1 ? strtol(argv[1], NULL, 10) : 20000;
	tcase_set_timeout(tests, 0);
	tcase_add_test(tests, crash_states_a_second);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_SILENT);
	srunner_free(runner);
	return EXIT_SUCCESS;
}
