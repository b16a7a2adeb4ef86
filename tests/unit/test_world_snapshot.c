// SPDX-License-Identifier: MIT
#include "workloads/world_snapshot.h"

#include "engine/coroutine/coro.h"
#include "engine/memory/arena.h"
#include "injector/fault_point.h"
#include "injector/session.h"
#include "tests/run_suite.h"
#include "workloads/bugs.h"
#include "workloads/world_private.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_MAX = 5000 };

/** Repeats its last run up to where it is told to, and goes on with random picks. */
struct walker {
	struct strategy strategy;
	uint64_t state;
	struct schedule picks;
	size_t picked;
	size_t kept; /* steps to repeat */
	size_t steps;
	size_t picked_before[STEPS_MAX]; /* a step */
};

static uint64_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + 1442695040888963407U;
	return *state >> 33;
}

static bool walker_begin(struct strategy *strategy)
{
	struct walker *walker = (struct walker *)strategy;
	walker->picked = 0;
	walker->steps = 0;
	return true;
}

static uint32_t walker_pick(struct strategy *strategy, const struct choice_point *point)
{
	struct walker *walker = (struct walker *)strategy;
	if (walker->picked < walker->picks.count) {
		const struct schedule_step *step = &walker->picks.steps[walker->picked++];
		ck_assert_uint_eq(step->count, point->count);
		return step->pick;
	}
	uint32_t pick = (uint32_t)(next_random(&walker->state) % point->count);
	schedule_append(&walker->picks, pick, point->count);
	walker->picked++;
	return pick;
}

static void walker_step_done(struct strategy *strategy, uint32_t actor,
			     const struct footprint *footprint)
{
	struct walker *walker = (struct walker *)strategy;
	(void)actor;
	(void)footprint;
	ck_assert_uint_lt(walker->steps, STEPS_MAX - 1);
	walker->picked_before[++walker->steps] = walker->picked;
}

static size_t walker_kept_steps(const struct strategy *strategy)
{
	return ((const struct walker *)strategy)->kept;
}

static void walker_skip(struct strategy *strategy, size_t steps)
{
	struct walker *walker = (struct walker *)strategy;
	ck_assert_uint_le(steps, walker->kept);
	walker->steps = steps;
	walker->picked = walker->picked_before[steps];
}

static const struct strategy_ops walker_ops = {
	.name = "walker",
	.begin = walker_begin,
	.pick = walker_pick,
	.step_done = walker_step_done,
	.kept_steps = walker_kept_steps,
	.skip = walker_skip,
};

static struct workload workload;
static struct world *world;
static struct walker walker;
static struct choice choice;

static void open_world(const char *name, enum sched_points points, uint32_t snapshot_every)
{
	struct why why = { "" };
	struct world_options options = { .policy = QCOW2_CANCEL,
					 .points = points,
					 .stamps = true,
					 .snapshot_every = snapshot_every };
	enum status status = workload_load(&workload, name, &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
	options.faults_max = workload.faults;
	options.fault_points = workload.fault_points;
	options.fault_kinds = workload.fault_kinds;
	status = world_new(&world, &workload, &options, &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
	memset(&walker, 0, sizeof(walker));
	walker.strategy.ops = &walker_ops;
	walker.state = 1;
	schedule_init(&walker.picks);
	choice_init(&choice, &walker.strategy, NULL);
}

static void close_world(void)
{
	choice_release(&choice);
	schedule_release(&walker.picks);
	world_free(world);
	workload_release(&workload);
}

/** What a run leaves. */
struct outcome {
	enum run_end end;
	uint64_t digest;
	struct page_hash image;
	uint64_t arena;
};

static void digest_pool(void *context, uint32_t pool, const uint8_t *bytes, size_t count)
{
	uint64_t *digest = context;
	*digest = (*digest ^ pool) * UINT64_C(0x100000001b3);
	for (size_t i = 0; i < count; i++)
		*digest = (*digest ^ bytes[i]) * UINT64_C(0x100000001b3);
}

static struct outcome run(void)
{
	struct outcome outcome = { .end = RUN_PRUNED };
	ck_assert(choice_begin(&choice));
	outcome.end = world_run(world, &choice);
	outcome.digest = event_log_digest(world_log(world));
	outcome.image = session_hash(0);
	arena_visit(world->arena, digest_pool, &outcome.arena);
	choice_end(&choice, outcome.end, outcome.digest);
	return outcome;
}

static void assert_same(const struct outcome *a, const struct outcome *b, const char *name,
			uint64_t step)
{
	ck_assert_msg(a->end == b->end, "%s, from step %lu: %s and %s", name, step,
		      run_end_name(a->end), run_end_name(b->end));
	ck_assert_msg(a->digest == b->digest, "%s, from step %lu: events differ", name, step);
	ck_assert_msg(a->arena == b->arena, "%s, from step %lu: memory differs", name, step);
	ck_assert_msg(memcmp(&a->image, &b->image, sizeof(a->image)) == 0,
		      "%s, from step %lu: images differ", name, step);
}

static bool is_skipped(void)
{
	if (coro_can_snapshot())
		return false;
	fputs("skipped: no snapshots with AddressSanitizer\n", stderr);
	return true;
}

/** All that was saved in the run that was not interrupted. */
static struct {
	uint64_t step;
	uint8_t *bytes;
	size_t count;
} saved[WORLD_SNAPSHOTS_MAX];

/** Copy what was saved, the last first; returns how many there are. */
static size_t copy_saved(void)
{
	size_t count = 0;
	uint64_t step = STEPS_MAX;
	while (world_snapshots_best(world->snapshots, step, &step)) {
		const uint8_t *bytes =
			world_snapshots_bytes(world->snapshots, step, &saved[count].count);
		saved[count].bytes = malloc(saved[count].count);
		memcpy(saved[count].bytes, bytes, saved[count].count);
		saved[count++].step = step;
		if (step-- == 0)
			break;
	}
	return count;
}

/** The run repeated from snapshot `first` on has saved the same bytes as before, as far as it saved
 * any: which ones are kept depends on how many there are. With faults libfiu is asked, which
 * answers a question heard before without the calls whose traces would be on the stack. */
static void assert_saved_again(size_t first, const char *name)
{
	for (size_t i = 0; i < first && !workload.faults; i++) {
		uint64_t found = 0;
		size_t count = 0;
		if (!world_snapshots_best(world->snapshots, saved[i].step, &found) ||
		    found != saved[i].step)
			continue;
		const uint8_t *bytes =
			world_snapshots_bytes(world->snapshots, saved[i].step, &count);
		ck_assert_msg(count == saved[i].count && !memcmp(bytes, saved[i].bytes, count),
			      "%s: from step %lu to step %lu", name, saved[first].step,
			      saved[i].step);
	}
}

START_TEST(from_every_snapshot_of_every_shipped_world_the_run_ends_the_same)
{
	const char *name = workload_shipped((size_t)_i / 2)->name;
	if (is_skipped())
		return;
	open_world(name, _i % 2 ? SCHED_POINTS_ALL : SCHED_POINTS_IO, 1);
	/* The first run binds symbols and makes tables grow, which leaves other traces on stacks.
	 */
	const struct outcome first = run();
	world_snapshots_drop_all(world->snapshots);
	const struct outcome whole = run();
	assert_same(&first, &whole, name, 0);
	size_t count = copy_saved();
	ck_assert_uint_gt(count, 10);
	ck_assert_uint_eq(saved[count - 1].step, 0);
	for (size_t i = 0; i < count; i++) {
		walker.kept = (size_t)saved[i].step;
		const struct outcome again = run();
		assert_same(&whole, &again, name, saved[i].step);
		assert_saved_again(i, name);
	}
	for (size_t i = 0; i < count; i++)
		free(saved[i].bytes);
	close_world();
}
END_TEST

enum { WALKS = 150 };

START_TEST(a_walk_from_snapshot_to_snapshot_meets_the_runs_that_there_are)
{
	static struct schedule schedules[WALKS];
	static struct outcome outcomes[WALKS];
	const char *name = workload_shipped((size_t)_i / 2)->name;
	if (is_skipped())
		return;
	/* With mistakes in the engine some runs die in the middle of a step. */
	if (_i % 2)
		bugs_enable("2012");
	open_world(name, SCHED_POINTS_ALL, 0);
	world_snapshots_free(world->snapshots);
	world->snapshots = world_snapshots_new(world, 5);
	for (size_t i = 0; i < WALKS; i++) {
		outcomes[i] = run();
		schedule_init(&schedules[i]);
		schedule_copy(&schedules[i], &choice.taken);
		walker.kept = (size_t)next_random(&walker.state) % walker.steps;
		walker.picks.count = walker.picked_before[walker.kept];
	}
	world_snapshots_free(world->snapshots);
	world->snapshots = NULL;
	walker.kept = 0;
	for (size_t i = 0; i < WALKS; i++) {
		schedule_copy(&walker.picks, &schedules[i]);
		const struct outcome fresh = run();
		assert_same(&outcomes[i], &fresh, name, i);
		schedule_release(&schedules[i]);
	}
	close_world();
	known_bugs_disable();
}
END_TEST

START_TEST(snapshots_stand_close_at_the_end_and_far_apart_at_the_beginning)
{
	if (is_skipped())
		return;
	open_world("chain-of-four", SCHED_POINTS_ALL, 1);
	run();
	ck_assert_uint_eq(world_snapshots_count(world->snapshots), WORLD_SNAPSHOTS_MAX);
	/* Wherever a run is cut, few steps are repeated, compared with those that are not. */
	for (uint64_t step = 0; step <= walker.steps; step++) {
		uint64_t found = 0;
		ck_assert(world_snapshots_best(world->snapshots, step, &found));
		ck_assert_uint_le(found, step);
		ck_assert_uint_le((step - found) * 8, walker.steps - found);
	}
	world_snapshots_drop_above(world->snapshots, walker.steps / 2);
	uint64_t last = 0;
	ck_assert(world_snapshots_best(world->snapshots, STEPS_MAX, &last));
	ck_assert_uint_le(last, walker.steps / 2);
	close_world();
}
END_TEST

START_TEST(worlds_with_stack_labels_have_no_snapshots)
{
	open_world("chain-of-four", SCHED_POINTS_ALL, 0);
	world->options.stacks = true;
	ck_assert_ptr_null(world_snapshots_new(world, 1));
	world->options.stacks = false;
	close_world();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("world_snapshot");
	TCase *tests = tcase_create("world_snapshot");
	int count = 0;
	while (workload_shipped((size_t)count))
		count++;
	suite_add_tcase(suite, tests);
	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, from_every_snapshot_of_every_shipped_world_the_run_ends_the_same,
			    0, 2 * count);
	tcase_add_loop_test(tests, a_walk_from_snapshot_to_snapshot_meets_the_runs_that_there_are,
			    0, 2 * count);
	tcase_add_test(tests, snapshots_stand_close_at_the_end_and_far_apart_at_the_beginning);
	tcase_add_test(tests, worlds_with_stack_labels_have_no_snapshots);
	return run_suite(suite);
}
