// SPDX-License-Identifier: MIT
#include "injector/strategy.h"
#include "tests/run_suite.h"
#include "tests/unit/toy_program.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { CLASSES_MAX = 4096, SEEDS = 20 };

/* Three actors: one works alone for long before each of its updates of a common object. */
static struct toy_program mostly_independent(void)
{
	struct toy_program program = { .actor_count = 3, .step_count = { 15, 3, 3 } };
	for (unsigned actor = 0; actor < 3; actor++)
		for (unsigned i = 0; i < program.step_count[actor]; i++)
			program.steps[actor][i].object = 0;
	for (unsigned i = 0; i < 15; i++)
		if (i % 5 != 4)
			program.steps[0][i].object = 1;
	return program;
}

/* How many classes `strategy` (taken) shows until it ends. */
static size_t classes_seen(const struct toy_program *program, struct strategy *strategy)
{
	static uint64_t classes[CLASSES_MAX];
	size_t count = 0;

	while (strategy->ops->begin(strategy)) {
		struct toy_state state;
		ck_assert(toy_run(program, strategy, &state));
		ck_assert_uint_lt(count, CLASSES_MAX);
		toy_note(classes, &count, toy_class(&state));
	}
	strategy_free(strategy);
	return count;
}

START_TEST(equal_seeds_give_equal_runs_and_others_do_not)
{
	struct toy_program program = mostly_independent();
	struct strategy *first = strategy_pos_new(42, 500);
	struct strategy *second = strategy_pos_new(42, 500);
	struct strategy *other = strategy_pos_new(43, 500);
	unsigned different = 0;

	program.steps[1][1].kind = TOY_FAULT;
	for (int run = 0; run < 500; run++) {
		struct toy_state one;
		struct toy_state two;
		struct toy_state three;
		ck_assert(first->ops->begin(first) && second->ops->begin(second) &&
			  other->ops->begin(other));
		ck_assert(toy_run(&program, first, &one) && toy_run(&program, second, &two) &&
			  toy_run(&program, other, &three));
		ck_assert_uint_eq(one.order, two.order);
		different += one.order != three.order;
	}
	ck_assert_uint_gt(different, 250);
	ck_assert(!first->ops->begin(first));
	ck_assert(!first->ops->is_complete(first));
	ck_assert_ptr_null(first->ops->complaint(first));
	strategy_free(first);
	strategy_free(second);
	strategy_free(other);
}
END_TEST

START_TEST(every_class_of_a_small_program_is_reached)
{
	struct toy_program program = { .actor_count = 3, .step_count = { 2, 2, 2 } };

	ck_assert_uint_eq(classes_seen(&program, strategy_dfs_new(false)), 90);
	ck_assert_uint_eq(classes_seen(&program, strategy_pos_new(7, 3000)), 90);

	/* With waiting, looking and a fault that changes what is touched. */
	program.steps[0][0] = (struct toy_step){ TOY_FAULT, 0 };
	program.steps[1][0] = (struct toy_step){ TOY_WAIT, 0 };
	program.steps[1][1] = (struct toy_step){ TOY_UPDATE, 1 };
	program.steps[2][0] = (struct toy_step){ TOY_LOOK, 1 };
	size_t classes = classes_seen(&program, strategy_dfs_new(false));
	ck_assert_uint_gt(classes, 10);
	ck_assert_uint_eq(classes_seen(&program, strategy_pos_new(7, 3000)), classes);
}
END_TEST

START_TEST(more_classes_are_seen_than_by_random_picks)
{
	struct toy_program program = mostly_independent();
	size_t seen = 0;
	size_t seen_by_random = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		size_t by_pos = classes_seen(&program, strategy_pos_new(seed, 1000));
		size_t by_random = classes_seen(&program, strategy_random_new(seed, 1000));
		ck_assert_uint_gt(by_pos, by_random);
		seen += by_pos;
		seen_by_random += by_random;
	}
	printf("classes seen in %d times 1000 runs: %zu, by random picks %zu\n", SEEDS, seen,
	       seen_by_random);
	ck_assert_uint_gt(2 * seen, 3 * seen_by_random);
}
END_TEST

START_TEST(steps_keep_their_priorities_while_independent_ones_run)
{
	struct toy_program program = { .actor_count = 2, .step_count = { 30, 1 } };
	struct strategy *strategy = strategy_pos_new(3, 1 + 2000);
	unsigned last = 0;

	program.steps[1][0].object = 1;
	for (int run = 0; strategy->ops->begin(strategy); run++) {
		struct toy_state state;
		struct toy_state expected;
		struct footprint ignored;
		ck_assert(toy_run(&program, strategy, &state));
		toy_begin(&expected);
		for (unsigned i = 0; i < 30; i++)
			toy_step(&program, &expected, 1, 0, &ignored);
		toy_step(&program, &expected, 2, 0, &ignored);
		last += run > 0 && state.order == expected.order;
	}
	/* The one step comes last when its priority is the lowest of 31: in about 65 runs of 2000.
	 * A random walk does that once in 2^30 runs. */
	ck_assert_uint_ge(last, 32);
	ck_assert_uint_le(last, 130);
	strategy_free(strategy);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("strategy_pos");
	TCase *tests = tcase_create("strategy_pos");

	tcase_set_timeout(tests, 100);
	tcase_add_test(tests, equal_seeds_give_equal_runs_and_others_do_not);
	tcase_add_test(tests, every_class_of_a_small_program_is_reached);
	tcase_add_test(tests, more_classes_are_seen_than_by_random_picks);
	tcase_add_test(tests, steps_keep_their_priorities_while_independent_ones_run);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
