// SPDX-License-Identifier: MIT
/* Random small programs: a search over states must meet every state once, take every step from it
 * once, and reach every end, as a walk that knows the program says. */
#include "injector/strategy_stateful.h"

#include "tests/run_suite.h"
#include "tests/unit/toy_program.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROGRAMS = 400, STATES_MAX = 20000, DEPTH_MAX = TOY_ACTORS_MAX * TOY_STEPS_MAX + 1 };

static uint64_t next_random(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
	return *seed >> 33;
}

static void generate(struct toy_program *program, uint64_t *seed)
{
	memset(program, 0, sizeof(*program));
	program->actor_count = 2 + (unsigned)(next_random(seed) % 2);
	for (unsigned actor = 0; actor < program->actor_count; actor++) {
		program->step_count[actor] = 1 + (unsigned)(next_random(seed) % 4);
		for (unsigned i = 0; i < program->step_count[actor]; i++) {
			program->steps[actor][i].kind = (enum toy_kind)(next_random(seed) % 4);
			program->steps[actor][i].object = (unsigned)(next_random(seed) % 4);
		}
	}
}

/** All of a state that counts: what there is, and where the actors stand. */
static uint64_t toy_hash(const struct toy_state *state)
{
	uint64_t hash = toy_class(state);

	for (unsigned i = 0; i < TOY_ACTORS_MAX; i++)
		hash = toy_mix(hash, state->next[i]);
	return hash;
}

static struct state_hash hash_toy(void *context)
{
	const struct toy_state *state = context;

	return (struct state_hash){ { toy_hash(state), toy_class(state) } };
}

/** What a search, or a walk that knows the program, has met. */
struct met {
	uint64_t states[STATES_MAX];
	size_t state_count;
	uint64_t ends[STATES_MAX];
	size_t end_count;
	uint64_t transitions;
};

/** Meet all that can be reached from `state`. */
static void walk(const struct toy_program *program, const struct toy_state *state, struct met *met)
{
	uint32_t actors[TOY_ACTORS_MAX];
	uint32_t count = toy_enabled(program, state, actors);
	struct footprint footprint;

	if (count == 0)
		toy_note(met->ends, &met->end_count, toy_hash(state));
	if (count == 0 || !toy_note(met->states, &met->state_count, toy_hash(state)))
		return;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t options = toy_asks(program, state, actors[i]) ? 2 : 1;
		for (uint32_t fault = 0; fault < options; fault++) {
			struct toy_state next = *state;
			met->transitions++;
			toy_step(program, &next, actors[i], fault, &footprint);
			walk(program, &next, met);
		}
	}
}

static void check_counts(const struct strategy *strategy, const struct met *met)
{
	const struct stateful_counts counts = strategy_stateful_counts(strategy);

	ck_assert(strategy->ops->is_complete(strategy));
	ck_assert_ptr_null(strategy->ops->complaint(strategy));
	ck_assert_ptr_null(strategy->ops->why_stopped(strategy));
	ck_assert_uint_eq(counts.states, met->state_count);
	ck_assert_uint_eq(counts.transitions, met->transitions);
}

START_TEST(every_state_is_gone_on_from_once)
{
	static struct met expected, met;
	uint64_t seed = 1;

	for (unsigned i = 0; i < PROGRAMS; i++) {
		struct toy_program program;
		struct toy_state state;
		const struct state_source source = { hash_toy, &state };
		struct strategy *strategy = strategy_stateful_new(&source, 0);

		generate(&program, &seed);
		memset(&expected, 0, sizeof(expected));
		met.end_count = 0;
		toy_begin(&state);
		walk(&program, &state, &expected);
		while (strategy->ops->begin(strategy))
			if (toy_run(&program, strategy, &state))
				toy_note(met.ends, &met.end_count, toy_hash(&state));
		check_counts(strategy, &expected);
		ck_assert_uint_eq(met.end_count, expected.end_count);
		for (size_t k = 0; k < met.end_count; k++)
			ck_assert(!toy_note(expected.ends, &expected.end_count, met.ends[k]));
		strategy_free(strategy);
	}
}
END_TEST

/** As toy_run(), beginning behind the `steps` steps that led to `saved[steps]`. */
static void run_from(const struct toy_program *program, struct strategy *strategy,
		     struct toy_state *state, struct toy_state *saved, size_t steps)
{
	uint32_t actors[TOY_ACTORS_MAX];
	struct choice_point point = { .kind = CHOICE_RUN, .actors = actors };
	const struct choice_point fault_point = { .kind = CHOICE_FAULT, .count = 2 };
	struct footprint footprint;

	if (steps > 0)
		strategy->ops->skip(strategy, steps);
	*state = saved[steps];
	while ((point.count = toy_enabled(program, state, actors)) > 0) {
		saved[steps] = *state;
		uint32_t pick = toy_pick(strategy, &point);
		if (pick == CHOICE_ABANDON)
			return;
		uint32_t fault = 0;
		if (toy_asks(program, state, actors[pick]))
			fault = toy_pick(strategy, &fault_point);
		toy_step(program, state, actors[pick], fault, &footprint);
		strategy->ops->step_done(strategy, actors[pick], &footprint);
		steps++;
	}
}

START_TEST(from_snapshots_it_does_the_same)
{
	static struct met expected;
	static struct toy_state saved[DEPTH_MAX];
	uint64_t seed = 2;

	for (unsigned i = 0; i < PROGRAMS; i++) {
		struct toy_program program;
		struct toy_state state;
		const struct state_source source = { hash_toy, &state };
		struct strategy *strategy = strategy_stateful_new(&source, 0);

		generate(&program, &seed);
		memset(&expected, 0, sizeof(expected));
		toy_begin(&saved[0]);
		walk(&program, &saved[0], &expected);
		while (strategy->ops->begin(strategy)) {
			size_t kept = strategy->ops->kept_steps(strategy);
			run_from(&program, strategy, &state, saved,
				 kept - next_random(&seed) % (kept + 1));
		}
		check_counts(strategy, &expected);
		strategy_free(strategy);
	}
}
END_TEST

static struct state_hash hash_number(void *context)
{
	const uint64_t *number = context;

	return (struct state_hash){ { *number + 1 } };
}

START_TEST(runs_without_an_end_end)
{
	static const uint32_t actors[] = { 1, 2 };
	const struct choice_point point = { CHOICE_RUN, 2, actors };
	const struct footprint nothing = { .count = 0 };
	uint64_t number = 0, runs = 0;
	const struct state_source source = { hash_number, &number };
	struct strategy *strategy = strategy_stateful_new(&source, 0);

	/* Actor 1 goes round a circle of ten, actor 2 back to where it begins. */
	while (strategy->ops->begin(strategy)) {
		uint32_t pick = 0;
		number = 0;
		runs++;
		while ((pick = strategy->ops->pick(strategy, &point)) != CHOICE_ABANDON) {
			number = pick == 0 ? (number + 1) % 10 : 0;
			strategy->ops->step_done(strategy, actors[pick], &nothing);
		}
	}
	ck_assert(strategy->ops->is_complete(strategy));
	ck_assert_uint_eq(strategy_stateful_counts(strategy).states, 10);
	ck_assert_uint_eq(strategy_stateful_counts(strategy).transitions, 20);
	ck_assert_uint_eq(runs, 11);
	strategy_free(strategy);
}
END_TEST

static const struct toy_program three_by_three = {
	.actor_count = 3,
	.step_count = { 3, 3, 3 },
	.steps = { { { TOY_UPDATE, 0 }, { TOY_UPDATE, 0 }, { TOY_UPDATE, 0 } },
		   { { TOY_UPDATE, 1 }, { TOY_UPDATE, 1 }, { TOY_UPDATE, 1 } },
		   { { TOY_UPDATE, 2 }, { TOY_UPDATE, 2 }, { TOY_UPDATE, 2 } } },
};

START_TEST(independent_actors_have_as_many_states_as_there_are_places)
{
	struct toy_state state;
	const struct state_source source = { hash_toy, &state };
	struct strategy *strategy = strategy_stateful_new(&source, 0);
	size_t ends = 0;

	while (strategy->ops->begin(strategy))
		ends += toy_run(&three_by_three, strategy, &state);
	/* Of 4 x 4 x 4 places the last is the end, which three steps lead to; 1680 runs do. */
	ck_assert_uint_eq(strategy_stateful_counts(strategy).states, 63);
	ck_assert_uint_eq(strategy_stateful_counts(strategy).transitions, UINT64_C(3) * 3 * 4 * 4);
	ck_assert_uint_eq(ends, 3);
	strategy_free(strategy);
}
END_TEST

START_TEST(with_too_many_states_it_stops_and_says_so)
{
	struct toy_state state;
	const struct state_source source = { hash_toy, &state };
	struct strategy *strategy = strategy_stateful_new(&source, 62);

	while (strategy->ops->begin(strategy))
		(void)toy_run(&three_by_three, strategy, &state);
	ck_assert(!strategy->ops->is_complete(strategy));
	ck_assert_ptr_null(strategy->ops->complaint(strategy));
	ck_assert_str_eq(strategy->ops->why_stopped(strategy), "no more states can be kept");
	ck_assert_uint_eq(strategy_stateful_counts(strategy).states, 62);
	strategy_free(strategy);
	strategy = strategy_stateful_new(&source, 63);
	while (strategy->ops->begin(strategy))
		(void)toy_run(&three_by_three, strategy, &state);
	ck_assert(strategy->ops->is_complete(strategy));
	strategy_free(strategy);
}
END_TEST

START_TEST(a_program_that_is_another_the_second_time_is_noticed)
{
	struct toy_program program = three_by_three;
	struct toy_state state;
	const struct state_source source = { hash_toy, &state };
	struct strategy *strategy = strategy_stateful_new(&source, 0);

	ck_assert(strategy->ops->begin(strategy));
	ck_assert(toy_run(&program, strategy, &state));
	program.actor_count = 2;
	ck_assert(strategy->ops->begin(strategy));
	ck_assert(!toy_run(&program, strategy, &state));
	ck_assert_str_eq(strategy->ops->complaint(strategy),
			 "diverged at step 0: the same picks led to 3 options before, to 2 now");
	ck_assert(!strategy->ops->begin(strategy));
	ck_assert(!strategy->ops->is_complete(strategy));
	strategy_free(strategy);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("strategy_stateful");
	TCase *tests = tcase_create("strategy_stateful");

	suite_add_tcase(suite, tests);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, every_state_is_gone_on_from_once);
	tcase_add_test(tests, from_snapshots_it_does_the_same);
	tcase_add_test(tests, runs_without_an_end_end);
	tcase_add_test(tests, independent_actors_have_as_many_states_as_there_are_places);
	tcase_add_test(tests, with_too_many_states_it_stops_and_says_so);
	tcase_add_test(tests, a_program_that_is_another_the_second_time_is_noticed);
	return run_suite(suite);
}
