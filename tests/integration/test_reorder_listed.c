// SPDX-License-Identifier: MIT
/* Deciding equals listing on real logs: random runs of the shipped workloads, of the sound engine
 * and with each known bug switched on, from which completions of flushes are taken away at random,
 * so that more of what was written may be lost. Every state that a crash may leave is made, at
 * every moment at which the judge decides, and judged by itself (tests/unit/reorder_compare.h).
 *
 *     the run's events, some flushes never complete
 *            |
 *            +--> every state, one by one -> judge_image() --+
 *            |                                               +--> the same rules, the same places
 *            +--> judge_run(), models reorder [and torn] ----+
 *
 * A flush is kept where the states would become too many to list: up to twelve operations may be
 * lost at a time. A run ends where they are too many all the same, and where a snapshot is taken,
 * of which a judge that gets an image knows nothing. With sectors of 4096 bytes, and smaller
 * clusters, one sector is table and data at the same time; what is decided then is true, and may be
 * less than what listing shows.
 *
 * Without arguments some hundred runs; `test_reorder_listed N` goes on with other seeds until N
 * were compared, or for as many seconds as COWTIP_LONG_SECONDS says. */
#include "tests/integration/patience.h"
#include "tests/integration/shipped.h"
#include "tests/unit/reorder_compare.h"

#include "engine/qcow2/known_bugs.h"
#include "injector/fault_point.h"
#include "tests/run_suite.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	WINDOW_MAX = 12,          /* operations that may be lost */
	STATES_MAX = 1 << 12,     /* to list at a moment */
	HEADER_CLUSTER_BITS = 23, /* last byte of the number */
	RUNS_A_ROUND = 4,         /* of each workload, and of each known bug */
};

static const char *const too_large[] = { "beyond-4g" }; /* to be made over and over again */

static struct patience patience;

/* Tallies. */
static size_t runs, exact_runs, clean_runs, violated_runs, reordered_only, wide_runs, cut_runs,
	flushes_taken;
static size_t states, moments;

static uint64_t cluster_bytes(const struct content *image)
{
	uint8_t bits = 0;
	content_read(image, &bits, 1, HEADER_CLUSTER_BITS);
	return UINT64_C(1) << bits;
}

static void tally(const struct listed_run *run, const struct keys *listed, size_t events)
{
	runs++;
	clean_runs += listed->count == 0;
	violated_runs += listed->count > 0;
	wide_runs += run->window > WINDOW_MAX / 2;
	cut_runs += run->log.count < events;
	states += run->states;
	moments += run->moments;
}

/* Compare a run of `shipped`; `random`, not 0, tells what becomes of it. */
static void compare(const struct shipped *shipped, const char *name, uint64_t random)
{
	struct keys decided = { .count = 0 }, listed = { .count = 0 }, with_torn = { .count = 0 };
	struct listed_run run = {
		.options = { .verdicts_max = 256,
			     .sector_bytes = reorder_random(&random) % 4 ? 512 : 4096 },
		.states_max = STATES_MAX,
		.volatile_max = WINDOW_MAX,
	};
	run.files = world_files(shipped->world, &run.file_count);
	run.cluster_bytes = cluster_bytes(run.files[0].initial);
	bool exact = run.options.sector_bytes <= run.cluster_bytes;
	flushes_taken += reorder_take_flushes(&run, world_log(shipped->world), &random,
					      reorder_random(&random) % 5);
	struct event_log whole = run.log;
	reorder_list(&listed, &run);
	reordered_only += reorder_decide(&decided, &run, CRASH_REORDER) > 0;
	reorder_compare(&run, &decided, &listed, exact, name);
	reorder_decide(&with_torn, &run, CRASH_TORN | CRASH_REORDER);
	reorder_compare(&run, &with_torn, &listed, exact, name);
	exact_runs += exact;
	tally(&run, &listed, whole.count);
	event_log_release(&whole);
}

static bool is_too_large(const char *workload)
{
	for (size_t i = 0; i < sizeof(too_large) / sizeof(too_large[0]); i++)
		if (strcmp(workload, too_large[i]) == 0)
			return true;
	return false;
}

static void compare_runs(const char *workload, enum qcow2_policy policy, const char *bug,
			 uint64_t round)
{
	struct shipped shipped;
	const struct world_options options = { .policy = policy, .stamps = true };
	if (is_too_large(workload))
		return;
	shipped_open(&shipped, workload, &options);
	for (uint64_t k = 0; k < RUNS_A_ROUND && !patience_is_over(&patience); k++) {
		struct random_run run;
		char name[128];
		uint64_t seed = round * RUNS_A_ROUND + k + 1;
		shipped_random(&shipped, seed, &run);
		snprintf(name, sizeof(name), "%s, policy %s, bug %s, seed %" PRIu64, workload,
			 qcow2_policy_name(policy), bug ? bug : "none", seed);
		compare(&shipped, name, (runs + 1) * UINT64_C(0x9e3779b97f4a7c15));
		shipped_random_end(&run);
	}
	shipped_close(&shipped);
}

/* Every workload under one policy, which changes from round to round, and every known bug. */
static void compare_all(uint64_t round)
{
	enum qcow2_policy policy = shipped_policies[round % 3];
	for (size_t i = 0; i < shipped_count(); i++)
		compare_runs(workload_shipped(i)->name, policy, NULL, round);
	for (size_t i = 0; i < known_bug_count(); i++) {
		const struct known_bug *bug = known_bug_at(i);
		known_bug_enable(bug->name);
		compare_runs(bug->workload, QCOW2_CANCEL, bug->name, round);
		known_bugs_disable();
	}
}

/* The sample must have something of everything. */
static void check_mix(void)
{
	ck_assert_uint_ge(runs, patience.wanted);
	ck_assert_uint_gt(flushes_taken, runs / 2);
	ck_assert_uint_gt(clean_runs, runs / 5);
	ck_assert_uint_gt(violated_runs, runs / 5);
	ck_assert_uint_gt(reordered_only, runs / 10);
	ck_assert_uint_gt(wide_runs, runs / 20);
	ck_assert_uint_gt(exact_runs, runs / 2);
	ck_assert_uint_lt(cut_runs, runs / 2);
}

START_TEST(deciding_equals_listing_on_logs_of_the_engine)
{
	patience_begin(&patience);
	compare_all(0);
	for (uint64_t round = 1; runs < patience.wanted && !patience_is_over(&patience); round++)
		compare_all(round);
	printf("%zu runs compared, %zu of them both ways: %zu clean, %zu violated (%zu by "
	       "reordering), %zu with more than %d operations to be lost, %zu cut short; %zu "
	       "completions of flushes taken away; %zu states at %zu moments\n",
	       runs, exact_runs, clean_runs, violated_runs, reordered_only, wide_runs,
	       WINDOW_MAX / 2, cut_runs, flushes_taken, states, moments);
	patience_report(&patience, runs, "runs");
	if (!patience_is_over(&patience))
		check_mix();
}
END_TEST

int main(int argc, char **argv)
{
	fault_point_init();
	patience_init(&patience, argc, argv);
	Suite *suite = suite_create("reorder_listed");
	TCase *tests = tcase_create("reorder_listed");
	tcase_set_timeout(tests, patience_timeout_seconds(&patience));
	tcase_add_test(tests, deciding_equals_listing_on_logs_of_the_engine);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
