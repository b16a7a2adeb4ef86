// SPDX-License-Identifier: MIT
/* Random small programs, all their interleavings listed by plain recursion with the delays that
 * each needs: the search must execute at each bound exactly those listed for it, each once. */
#include "injector/strategy.h"
#include "tests/run_suite.h"
#include "tests/unit/toy_program.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROGRAMS = 300, RUNS_MAX = 4000, COSTS_MAX = 64 };

/* An interleaving and the delays that it needs. */
struct listed {
	uint64_t order;
	uint32_t cost;
};

struct listing {
	size_t count;
	struct listed runs[RUNS_MAX];
	bool too_many;
};

static void list_from(const struct toy_program *program, struct toy_state state, uint32_t last,
		      uint32_t cost, struct listing *listing)
{
	uint32_t actors[TOY_ACTORS_MAX];
	uint32_t count = toy_enabled(program, &state, actors);

	if (count == 0 && listing->count < RUNS_MAX)
		listing->runs[listing->count++] = (struct listed){ state.order, cost };
	else if (count == 0)
		listing->too_many = true;
	for (uint32_t i = 0; i < count && !listing->too_many; i++) {
		uint32_t passed = 0;
		/* Walk the round from the last actor on until this one. */
		for (uint32_t turn = last; turn != actors[i]; turn = turn % TOY_ACTORS_MAX + 1)
			for (uint32_t j = 0; j < count; j++)
				passed += actors[j] == turn;
		uint32_t faults = toy_asks(program, &state, actors[i]) ? 2 : 1;
		for (uint32_t fault = 0; fault < faults; fault++) {
			struct toy_state after = state;
			struct footprint ignored;
			toy_step(program, &after, actors[i], fault, &ignored);
			list_from(program, after, actors[i], cost + passed, listing);
		}
	}
}

static void list_all(const struct toy_program *program, struct listing *listing)
{
	struct toy_state state;

	toy_begin(&state);
	listing->count = 0;
	listing->too_many = false;
	list_from(program, state, 1, 0, listing);
}

static unsigned next_random(uint64_t *seed, unsigned count)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)((*seed >> 33) % count);
}

static void generate(struct toy_program *program, uint64_t *seed)
{
	memset(program, 0, sizeof(*program));
	program->actor_count = 1 + next_random(seed, TOY_ACTORS_MAX);
	for (unsigned actor = 0; actor < program->actor_count; actor++) {
		program->step_count[actor] = next_random(seed, 5);
		for (unsigned i = 0; i < program->step_count[actor]; i++)
			program->steps[actor][i] = (struct toy_step){
				(enum toy_kind)next_random(seed, TOY_FAULT + 1),
				next_random(seed, 2),
			};
	}
}

static size_t count_of_cost(const struct listing *listing, uint32_t cost)
{
	size_t count = 0;

	for (size_t i = 0; i < listing->count; i++)
		count += listing->runs[i].cost == cost;
	return count;
}

static uint32_t cost_max(const struct listing *listing)
{
	uint32_t max = 0;

	for (size_t i = 0; i < listing->count; i++)
		max = listing->runs[i].cost > max ? listing->runs[i].cost : max;
	return max;
}

/* The run is listed with `bound` delays and was not met before. */
static void check_run(const struct listing *listing, bool *met, uint64_t order, uint32_t bound)
{
	for (size_t i = 0; i < listing->count; i++) {
		if (listing->runs[i].order != order)
			continue;
		ck_assert_uint_eq(listing->runs[i].cost, bound);
		ck_assert(!met[i]);
		met[i] = true;
		return;
	}
	ck_abort_msg("an interleaving that is none");
}

START_TEST(each_bound_runs_exactly_the_interleavings_that_need_it)
{
	static struct listing listing;
	static bool met[RUNS_MAX];
	uint64_t seed = 20261122;
	size_t runs = 0;

	for (unsigned number = 0; number < PROGRAMS;) {
		struct toy_program program;
		uint32_t bound = 0;
		size_t at_bound[COSTS_MAX] = { 0 };
		generate(&program, &seed);
		list_all(&program, &listing);
		if (listing.too_many)
			continue;
		number++;
		memset(met, 0, sizeof(met));
		struct strategy *strategy = strategy_delay_new(0);
		while (strategy->ops->begin(strategy)) {
			struct toy_state state;
			ck_assert_uint_ge(strategy_delay_bound(strategy), bound);
			bound = strategy_delay_bound(strategy);
			ck_assert_uint_lt(bound, COSTS_MAX);
			ck_assert(toy_run(&program, strategy, &state));
			check_run(&listing, met, state.order, bound);
			at_bound[bound]++;
			runs++;
		}
		ck_assert_ptr_null(strategy->ops->complaint(strategy));
		ck_assert(strategy->ops->is_complete(strategy));
		ck_assert_uint_eq(bound, cost_max(&listing));
		for (uint32_t cost = 0; cost <= bound; cost++)
			ck_assert_uint_eq(at_bound[cost], count_of_cost(&listing, cost));
		ck_assert(!strategy->ops->begin(strategy));
		strategy_free(strategy);
	}
	printf("%d programs: %zu runs\n", PROGRAMS, runs);
}
END_TEST

/* Two actors with `steps` steps each. */
static struct toy_program two_updaters(unsigned steps)
{
	struct toy_program program = { .actor_count = 2, .step_count = { steps, steps } };
	return program;
}

START_TEST(a_highest_bound_ends_the_search_incomplete)
{
	static struct listing listing;
	struct toy_program program = two_updaters(4);
	struct toy_state state;
	size_t runs = 0;

	list_all(&program, &listing);
	ck_assert_uint_eq(listing.count, 70);
	struct strategy *strategy = strategy_delay_new(2);
	while (strategy->ops->begin(strategy))
		runs += toy_run(&program, strategy, &state);
	ck_assert_uint_eq(runs, count_of_cost(&listing, 0) + count_of_cost(&listing, 1) +
					count_of_cost(&listing, 2));
	ck_assert_uint_lt(runs, listing.count);
	ck_assert_uint_eq(strategy_delay_bound(strategy), 2);
	ck_assert(!strategy->ops->is_complete(strategy));
	strategy_free(strategy);

	/* The bound that the longest way round needs is enough, though it is the highest. */
	strategy = strategy_delay_new(cost_max(&listing));
	for (runs = 0; strategy->ops->begin(strategy);)
		runs += toy_run(&program, strategy, &state);
	ck_assert_uint_eq(runs, 70);
	ck_assert(strategy->ops->is_complete(strategy));
	strategy_free(strategy);
}
END_TEST

START_TEST(bound_zero_lets_each_actor_go_on_as_long_as_it_can)
{
	struct toy_program program = { .actor_count = 2, .step_count = { 3, 2 } };
	struct toy_state state;
	struct toy_state expected;
	struct footprint ignored;

	/* The second step of actor 1 waits for actor 2's first. */
	program.steps[0][1] = (struct toy_step){ TOY_WAIT, 1 };
	program.steps[1][0] = (struct toy_step){ TOY_UPDATE, 1 };
	static const uint32_t turns[] = { 1, 2, 2, 1, 1 };
	toy_begin(&expected);
	for (size_t i = 0; i < 5; i++)
		toy_step(&program, &expected, turns[i], 0, &ignored);
	struct strategy *strategy = strategy_delay_new(0);
	ck_assert(strategy->ops->begin(strategy));
	ck_assert(toy_run(&program, strategy, &state));
	ck_assert_uint_eq(state.order, expected.order);
	strategy_free(strategy);
}
END_TEST

/* As toy_run(), with the first steps not executed by the strategy's leave but taken from `turns`,
 * the actors of the last run, which this one's replace. */
static bool run_with_skips(const struct toy_program *program, struct strategy *strategy,
			   struct toy_state *state, uint32_t *turns, size_t skip_less)
{
	uint32_t actors[TOY_ACTORS_MAX];
	struct choice_point point = { .kind = CHOICE_RUN, .actors = actors };
	struct footprint footprint;
	size_t kept = strategy->ops->kept_steps(strategy);
	size_t step = 0;

	toy_begin(state);
	kept -= kept < skip_less ? kept : skip_less;
	for (; step < kept; step++)
		toy_step(program, state, turns[step], 0, &footprint);
	if (kept > 0)
		strategy->ops->skip(strategy, kept);
	while ((point.count = toy_enabled(program, state, actors)) > 0) {
		uint32_t pick = toy_pick(strategy, &point);
		if (pick == CHOICE_ABANDON)
			return false;
		turns[step++] = actors[pick];
		toy_step(program, state, actors[pick], 0, &footprint);
		strategy->ops->step_done(strategy, actors[pick], &footprint);
	}
	return true;
}

START_TEST(steps_shared_with_the_last_run_can_be_skipped)
{
	struct toy_program program = { .actor_count = 3, .step_count = { 2, 3, 2 } };
	struct strategy *plain = strategy_delay_new(0);
	struct strategy *skipping = strategy_delay_new(0);
	uint32_t turns[TOY_ACTORS_MAX * TOY_STEPS_MAX] = { 0 };
	size_t skipped = 0;

	program.steps[1][1] = (struct toy_step){ TOY_WAIT, 1 };
	program.steps[2][0] = (struct toy_step){ TOY_UPDATE, 1 };
	for (size_t runs = 0; plain->ops->begin(plain); runs++) {
		struct toy_state expected;
		struct toy_state state;
		ck_assert(skipping->ops->begin(skipping));
		skipped += skipping->ops->kept_steps(skipping);
		bool whole = toy_run(&program, plain, &expected);
		ck_assert(run_with_skips(&program, skipping, &state, turns, runs % 3) == whole);
		ck_assert_uint_eq(state.order, expected.order);
	}
	ck_assert(!skipping->ops->begin(skipping));
	ck_assert(skipping->ops->is_complete(skipping));
	ck_assert_uint_gt(skipped, 100);
	strategy_free(plain);
	strategy_free(skipping);
}
END_TEST

START_TEST(a_program_that_does_not_repeat_itself_is_noticed)
{
	static const uint32_t actors[] = { 1, 2, 3 };
	struct choice_point point = { .kind = CHOICE_RUN, .count = 2, .actors = actors };
	struct strategy *strategy = strategy_delay_new(0);

	ck_assert(strategy->ops->begin(strategy));
	ck_assert_uint_eq(strategy->ops->pick(strategy, &point), 0);
	ck_assert_uint_eq(strategy->ops->pick(strategy, &point), 0);
	ck_assert(strategy->ops->begin(strategy));
	ck_assert_uint_eq(strategy_delay_bound(strategy), 1);
	ck_assert_uint_eq(strategy->ops->pick(strategy, &point), 1);
	ck_assert_uint_eq(strategy->ops->pick(strategy, &point), 0);
	ck_assert(strategy->ops->begin(strategy));
	point.count = 3;
	ck_assert_uint_eq(strategy->ops->pick(strategy, &point), CHOICE_ABANDON);
	ck_assert_str_eq(strategy->ops->complaint(strategy),
			 "diverged at step 0: the same picks led to 2 options before, to 3 now");
	ck_assert(!strategy->ops->begin(strategy));
	ck_assert(!strategy->ops->is_complete(strategy));
	strategy_free(strategy);
}
END_TEST

START_TEST(a_run_that_ends_where_it_went_on_before_is_noticed)
{
	static const uint32_t actors[] = { 1, 2 };
	const struct choice_point point = { .kind = CHOICE_RUN, .count = 2, .actors = actors };
	struct strategy *strategy = strategy_delay_new(0);

	ck_assert(strategy->ops->begin(strategy));
	strategy->ops->pick(strategy, &point);
	ck_assert(strategy->ops->begin(strategy));
	ck_assert(!strategy->ops->begin(strategy));
	ck_assert_str_eq(strategy->ops->complaint(strategy),
			 "diverged at step 0: the same picks led on before, to the end now");
	strategy_free(strategy);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("strategy_delay");
	TCase *tests = tcase_create("strategy_delay");

	tcase_set_timeout(tests, 100);
	tcase_add_test(tests, each_bound_runs_exactly_the_interleavings_that_need_it);
	tcase_add_test(tests, a_highest_bound_ends_the_search_incomplete);
	tcase_add_test(tests, bound_zero_lets_each_actor_go_on_as_long_as_it_can);
	tcase_add_test(tests, steps_shared_with_the_last_run_can_be_skipped);
	tcase_add_test(tests, a_program_that_does_not_repeat_itself_is_noticed);
	tcase_add_test(tests, a_run_that_ends_where_it_went_on_before_is_noticed);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
