// SPDX-License-Identifier: MIT
/* Two orders of independent steps lead to one state. Random runs of every shipped world are
 * repeated with two neighbours exchanged, wherever they have nothing to do with each other, and
 * each part of the state behind them is compared. That checks two things at once: that the relation
 * of steps is right, and that a state holds nothing but what it is.
 *
 * And a search over states sees what a reduction by that relation sees, which knows nothing of
 * states: the same final images, the same crash states, the same violations. */
#include "workloads/world_state.h"

#include "injector/fault_point.h"
#include "injector/strategy_dpor.h"
#include "injector/strategy_follow.h"
#include "tests/run_suite.h"
#include "workloads/bugs.h"
#include "workloads/explore.h"
#include "workloads/world_private.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_MAX = 2000, WALKS = 3 };

/** All parts of a state. */
struct state {
	struct state_hash parts[WORLD_PARTS];
};

static const char *const part_names[WORLD_PARTS] = { "memory", "stacks", "tasks",
						     "files",  "guest",  "told" };

/** Looks at states while another strategy decides. */
struct watcher {
	struct strategy strategy;
	struct strategy *inner; /* borrowed */
	const struct world *world;
	size_t steps;
	size_t from, to;                /* looks at the states behind so many steps */
	struct state states[STEPS_MAX]; /* those looked at, the one at `from` first */
};

static struct watcher watcher;
static struct workload workload;
static struct world *world;

static bool watcher_begin(struct strategy *strategy)
{
	(void)strategy;
	watcher.steps = 0;
	return watcher.inner->ops->begin(watcher.inner);
}

/** False when there is nothing more to see. */
static bool look(void)
{
	ck_assert_uint_lt(watcher.steps, STEPS_MAX);
	if (watcher.steps < watcher.from)
		return true;
	struct state *state = &watcher.states[watcher.steps - watcher.from];
	for (unsigned part = 0; part < WORLD_PARTS; part++)
		state->parts[part] = world_state_part(world, (enum world_part)part);
	return watcher.steps < watcher.to;
}

static uint32_t watcher_pick(struct strategy *strategy, const struct choice_point *point)
{
	(void)strategy;
	if (point->kind == CHOICE_RUN && !look())
		return CHOICE_ABANDON;
	return watcher.inner->ops->pick(watcher.inner, point);
}

static bool watcher_forced(struct strategy *strategy, uint32_t actor)
{
	const struct strategy_ops *ops = watcher.inner->ops;
	(void)strategy;
	return look() && (!ops->forced || ops->forced(watcher.inner, actor));
}

static void watcher_step_done(struct strategy *strategy, uint32_t actor,
			      const struct footprint *footprint)
{
	const struct strategy_ops *ops = watcher.inner->ops;
	(void)strategy;
	watcher.steps++;
	if (ops->step_done)
		ops->step_done(watcher.inner, actor, footprint);
}

static const struct strategy_ops watcher_ops = {
	.name = "watcher",
	.begin = watcher_begin,
	.pick = watcher_pick,
	.forced = watcher_forced,
	.step_done = watcher_step_done,
};

static void open_world(const char *name, enum sched_points points)
{
	struct why why = { "" };
	struct world_options options = {
		.policy = QCOW2_CANCEL, .points = points, .stamps = true, .snapshot_every = 1
	};
	enum status status = workload_load(&workload, name, &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
	options.faults_max = workload.faults;
	options.fault_points = workload.fault_points;
	options.fault_kinds = workload.fault_kinds;
	status = world_new(&world, &workload, &options, &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
	watcher.strategy.ops = &watcher_ops;
	watcher.world = world;
}

static void close_world(void)
{
	world_free(world);
	workload_release(&workload);
}

/** Run as `inner` (taken) decides, and look at the states behind `from` to `to` steps. */
static void walk(struct strategy *inner, struct order *order, size_t from, size_t to)
{
	struct choice choice;
	watcher.inner = inner;
	watcher.from = from;
	watcher.to = to;
	choice_init(&choice, &watcher.strategy, NULL);
	choice.order = order;
	ck_assert(choice_begin(&choice));
	(void)world_run(world, &choice);
	const char *complaint = inner->ops->complaint ? inner->ops->complaint(inner) : NULL;
	ck_assert_msg(!complaint, "%s: %s", workload.name, complaint);
	choice_release(&choice);
	strategy_free(inner);
}

static void assert_same(const struct state *a, const struct state *b, const struct order *order,
			size_t step)
{
	for (unsigned part = 0; part < WORLD_PARTS; part++)
		ck_assert_msg(memcmp(&a->parts[part], &b->parts[part], sizeof(a->parts[part])) == 0,
			      "%s: steps %zu of task %u and task %u exchanged: %s differ",
			      workload.name, step, order->steps[step].actor,
			      order->steps[step + 1].actor, part_names[part]);
}

/** Exchange steps `step` and `step` + 1, and compare with `states`, those of the run as it was. */
static void exchange(const struct order *order, const struct state *states, size_t step)
{
	static uint32_t first[STEPS_MAX];
	for (uint32_t i = 0; i < step; i++)
		first[i] = i;
	first[step] = (uint32_t)step + 1;
	first[step + 1] = (uint32_t)step;
	watcher.steps = 0;
	walk(strategy_follow_new(order, first, step + 2), NULL, step + 2, step + 2);
	ck_assert_uint_eq(watcher.steps, step + 2);
	assert_same(&states[step + 2], &watcher.states[0], order, step);
}

static int shipped_count(void)
{
	int count = 0;
	while (workload_shipped((size_t)count))
		count++;
	return count;
}

/* Number `index` of the shipped worlds, each with both kinds of scheduling points. */
static void open_shipped(int index)
{
	open_world(workload_shipped((size_t)index / 2)->name,
		   index % 2 ? SCHED_POINTS_ALL : SCHED_POINTS_IO);
}

START_TEST(independent_neighbours_exchanged_lead_to_the_same_state)
{
	static struct state states[STEPS_MAX];
	if (!world_state_is_known()) {
		fputs("skipped: AddressSanitizer keeps variables elsewhere\n", stderr);
		return;
	}
	open_shipped(_i);
	for (uint64_t seed = 1; seed <= WALKS; seed++) {
		struct order order;
		order_init(&order);
		walk(strategy_random_new(seed, 1), &order, 0, STEPS_MAX);
		memcpy(states, watcher.states, watcher.steps * sizeof(states[0]));
		for (size_t step = 0; step + 2 < order.count; step++) {
			if (order_before(&order, step, step + 1))
				continue;
			exchange(&order, states, step);
		}
		order_release(&order);
	}
	close_world();
}
END_TEST

/* In some worlds everything waits for everything, and the test above says nothing of them. */
START_TEST(most_worlds_have_independent_neighbours)
{
	int with_some = 0, worlds = 2 * shipped_count();
	for (int i = 0; i < worlds && world_state_is_known(); i++) {
		struct order order;
		bool has_some = false;
		open_shipped(i);
		order_init(&order);
		walk(strategy_random_new(1, 1), &order, 0, STEPS_MAX);
		for (size_t step = 0; step + 2 < order.count; step++)
			has_some |= !order_before(&order, step, step + 1);
		with_some += has_some;
		order_release(&order);
		close_world();
	}
	if (world_state_is_known())
		ck_assert_int_gt(4 * with_some, 3 * worlds);
}
END_TEST

/** Search all of the world, judging with every model. */
static struct explore_result search(bool by_states)
{
	struct why why = { "" };
	struct order order;
	struct explore_result result;
	const struct state_source source = world_state_source(world);
	order_init(&order);
	struct strategy *strategy =
		by_states ? strategy_stateful_new(&source, 0) : strategy_dpor_new(&order, NULL);
	enum status status = explore(world, strategy,
				     &(struct explore_options){
					     .models = CRASH_PREFIX | CRASH_TORN,
					     .count_distinct = true,
					     .order = &order,
					     .judge_classes = !by_states,
				     },
				     &result, &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
	ck_assert_msg(result.complete, "%s: %s", workload.name,
		      result.complaint ? result.complaint : result.why_incomplete);
	strategy_free(strategy);
	order_release(&order);
	return result;
}

/** Is each violation of `a` one of `b`? The host's place is an accident of the run that shows it
 * first, where the guest's is known. */
static bool is_covered(const struct explore_result *a, const struct explore_result *b)
{
	size_t found = 0;
	for (size_t i = 0; i < a->violation_count; i++) {
		const struct verdict *one = &a->violations[i].verdict;
		bool known = false;
		for (size_t k = 0; k < b->violation_count; k++) {
			const struct verdict *other = &b->violations[k].verdict;
			known |= one->rule == other->rule && one->severity == other->severity &&
				 one->guest_offset == other->guest_offset;
		}
		found += known;
	}
	return found == a->violation_count;
}

static void compare_searches(void)
{
	struct explore_result reduced = search(false);
	struct explore_result stateful = search(true);
	ck_assert_uint_eq(stateful.ends, reduced.ends);
	ck_assert_uint_eq(stateful.end_checksum, reduced.end_checksum);
	ck_assert_uint_eq(stateful.distinct, reduced.distinct);
	ck_assert_uint_eq(stateful.distinct_checksum, reduced.distinct_checksum);
	ck_assert(is_covered(&stateful, &reduced) && is_covered(&reduced, &stateful));
	explore_result_release(&stateful);
	explore_result_release(&reduced);
}

START_TEST(states_and_classes_show_the_same)
{
	if (!world_state_is_known())
		return;
	open_shipped(_i);
	compare_searches();
	close_world();
}
END_TEST

/* What each of them makes of worlds in which something is wrong. */
static const struct {
	const char *bug, *workload;
} wrong[] = {
	{ "2012", "tail-cancelled" },
	{ "2012", "parent-fails" },
	{ "2012", "child-fails" },
	{ "2012", "zero-overlap" },
	{ "read-early", "read-in-flight" },
	{ "no-rwlock", "parent-waits-for-child" },
	{ "close-no-drain", "kick-finishes" },
	{ "close-no-drain", "asleep-until-flush" },
	{ "kick-not-down", "rewrite-parent" },
	{ "unlock-yield", "late-child" },
	{ "discard-no-wait", "discard-overlap" },
};

START_TEST(states_and_classes_show_the_same_mistakes)
{
	if (!world_state_is_known())
		return;
	open_world(wrong[_i].workload, SCHED_POINTS_ALL);
	bugs_enable(wrong[_i].bug);
	compare_searches();
	known_bugs_disable();
	close_world();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("world_state");
	TCase *tests = tcase_create("world_state");
	int count = shipped_count();
	suite_add_tcase(suite, tests);
	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, independent_neighbours_exchanged_lead_to_the_same_state, 0,
			    2 * count);
	tcase_add_test(tests, most_worlds_have_independent_neighbours);
	tcase_add_loop_test(tests, states_and_classes_show_the_same, 0, 2 * count);
	tcase_add_loop_test(tests, states_and_classes_show_the_same_mistakes, 0,
			    (int)(sizeof(wrong) / sizeof(wrong[0])));
	return run_suite(suite);
}
