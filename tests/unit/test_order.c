// SPDX-License-Identifier: MIT
/* Happens-before, races and classes; and how many runs the reduction needs where the number of
 * classes is known. */
#include "injector/choice.h"
#include "injector/strategy_dpor.h"
#include "injector/strategy_follow.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdlib.h>

enum { OBJECT_A = OBJECT_FIRST_OF_OTHERS, OBJECT_B, MUTEX };

static void add(struct order *order, uint32_t actor, uint32_t kind, enum access_mode mode)
{
	struct footprint footprint;
	footprint_clear(&footprint);
	if (mode == ACCESS_UNLOCK)
		footprint_unlock(&footprint, footprint_object(kind, 0));
	else
		footprint_touch(&footprint, footprint_object(kind, 0), 0, 1, mode);
	order_add(order, actor, &footprint, 0);
}

START_TEST(conflicting_steps_are_ordered_and_race)
{
	struct order order;
	order_init(&order);
	add(&order, 1, OBJECT_A, ACCESS_WRITE);
	add(&order, 2, OBJECT_B, ACCESS_WRITE);
	add(&order, 2, OBJECT_A, ACCESS_READ);
	ck_assert(order_before(&order, 0, 2));
	ck_assert(!order_before(&order, 0, 1));
	ck_assert_uint_eq(order.steps[2].race_count, 1);
	ck_assert_uint_eq(order.races[order.steps[2].first_race], 0);
	order_release(&order);
}
END_TEST

START_TEST(a_conflict_that_others_order_is_no_race)
{
	struct order order;
	order_init(&order);
	add(&order, 1, OBJECT_A, ACCESS_WRITE);
	add(&order, 2, OBJECT_A, ACCESS_WRITE);
	add(&order, 3, OBJECT_A, ACCESS_WRITE);
	ck_assert_uint_eq(order.steps[2].race_count, 1);
	ck_assert_uint_eq(order.races[order.steps[2].first_race], 1);
	order_release(&order);
}
END_TEST

START_TEST(waking_orders_without_a_race)
{
	struct order order;
	struct footprint footprint;
	order_init(&order);
	footprint_clear(&footprint);
	footprint_touch(&footprint, footprint_object(OBJECT_A, 0), 0, 1, ACCESS_WRITE);
	order_add(&order, 1, &footprint, 0);
	order_add(&order, 2, &footprint, 1);
	ck_assert(order_before(&order, 0, 1));
	ck_assert_uint_eq(order.steps[1].race_count, 0);
	order_release(&order);
}
END_TEST

START_TEST(who_takes_a_mutex_races_with_the_step_that_took_it_before)
{
	struct order order;
	order_init(&order);
	add(&order, 1, MUTEX, ACCESS_LOCK);
	add(&order, 1, OBJECT_A, ACCESS_WRITE);
	add(&order, 1, MUTEX, ACCESS_UNLOCK);
	add(&order, 2, MUTEX, ACCESS_LOCK);
	ck_assert(order_before(&order, 1, 3));
	ck_assert_uint_eq(order.steps[3].race_count, 1);
	ck_assert_uint_eq(order.races[order.steps[3].first_race], 0);
	order_release(&order);
}
END_TEST

START_TEST(a_latch_orders_without_a_race)
{
	struct order order;
	order_init(&order);
	add(&order, 1, MUTEX, ACCESS_UNLOCK);
	add(&order, 2, MUTEX, ACCESS_UNLOCK);
	add(&order, 3, MUTEX, ACCESS_READ);
	ck_assert(!order_before(&order, 0, 1));
	ck_assert(order_before(&order, 0, 2) && order_before(&order, 1, 2));
	ck_assert_uint_eq(order.steps[2].race_count, 0);
	order_release(&order);
}
END_TEST

START_TEST(a_mutex_taken_and_given_back_in_one_step_is_a_read)
{
	struct footprint one, two;
	footprint_clear(&one);
	footprint_touch(&one, footprint_object(MUTEX, 0), 0, UINT64_MAX, ACCESS_LOCK);
	footprint_copy(&two, &one);
	ck_assert(footprint_conflict(&one, &two));
	footprint_unlock(&one, footprint_object(MUTEX, 0));
	ck_assert(footprint_conflict(&one, &two));
	footprint_unlock(&two, footprint_object(MUTEX, 0));
	ck_assert(!footprint_conflict(&one, &two));
}
END_TEST

START_TEST(what_does_not_fit_conflicts_with_everything)
{
	struct footprint full, other;
	footprint_clear(&full);
	for (uint64_t i = 0; i <= FOOTPRINT_ACCESSES_MAX; i++)
		footprint_touch(&full, footprint_object(OBJECT_A, 0), 3 * i, 3 * i + 1,
				ACCESS_WRITE);
	footprint_clear(&other);
	footprint_touch(&other, footprint_object(OBJECT_B, 0), 0, 1, ACCESS_READ);
	ck_assert(full.everything && footprint_conflict(&full, &other));
}
END_TEST

START_TEST(the_class_does_not_depend_on_the_order_of_independent_steps)
{
	struct order one, two, other;
	order_init(&one);
	order_init(&two);
	order_init(&other);
	add(&one, 1, OBJECT_A, ACCESS_WRITE);
	add(&one, 2, OBJECT_B, ACCESS_WRITE);
	add(&one, 3, OBJECT_A, ACCESS_READ);
	add(&two, 2, OBJECT_B, ACCESS_WRITE);
	add(&two, 1, OBJECT_A, ACCESS_WRITE);
	add(&two, 3, OBJECT_A, ACCESS_READ);
	add(&other, 3, OBJECT_A, ACCESS_READ);
	add(&other, 1, OBJECT_A, ACCESS_WRITE);
	add(&other, 2, OBJECT_B, ACCESS_WRITE);
	ck_assert_uint_eq(one.class_hash, two.class_hash);
	ck_assert_uint_ne(one.class_hash, other.class_hash);
	order_truncate(&two, 1);
	add(&two, 1, OBJECT_A, ACCESS_WRITE);
	add(&two, 3, OBJECT_A, ACCESS_READ);
	ck_assert_uint_eq(one.class_hash, two.class_hash);
	order_release(&one);
	order_release(&two);
	order_release(&other);
}
END_TEST

/* Actors that go through sections of two steps under one mutex. */
struct sections {
	unsigned actors, rounds;
	unsigned next[4]; /* steps taken */
	int holder;       /* actor, -1: none */
};

static uint32_t enabled(const struct sections *sections, uint32_t *actors)
{
	uint32_t count = 0;
	for (unsigned actor = 0; actor < sections->actors; actor++) {
		bool is_done = sections->next[actor] == 2 * sections->rounds;
		bool wants_mutex = sections->next[actor] % 2 == 0;
		if (!is_done && !(wants_mutex && sections->holder >= 0))
			actors[count++] = actor + 1;
	}
	return count;
}

static bool run_sections(struct sections *sections, struct choice *choice)
{
	uint32_t actors[4];
	struct choice_point point = { .kind = CHOICE_RUN, .actors = actors };
	while ((point.count = enabled(sections, actors)) > 0) {
		uint32_t pick = choice_pick(choice, &point);
		if (pick == CHOICE_ABANDON)
			return false;
		unsigned actor = actors[pick] - 1;
		struct footprint footprint;
		footprint_clear(&footprint);
		if (sections->next[actor]++ % 2 == 0) {
			footprint_touch(&footprint, footprint_object(MUTEX, 0), 0, 1, ACCESS_LOCK);
			sections->holder = (int)actor;
		} else {
			footprint_unlock(&footprint, footprint_object(MUTEX, 0));
			sections->holder = -1;
		}
		choice_step_done(choice, &footprint, 0);
	}
	return true;
}

/* Runs that the reduction needs; none may be given up. */
static unsigned count_runs(unsigned actors, unsigned rounds)
{
	struct order order;
	struct choice choice;
	order_init(&order);
	struct strategy *strategy = strategy_dpor_new(&order, NULL);
	choice_init(&choice, strategy, NULL);
	choice.order = &order;
	unsigned runs = 0;
	while (choice_begin(&choice)) {
		struct sections sections = { .actors = actors, .rounds = rounds, .holder = -1 };
		ck_assert(run_sections(&sections, &choice));
		choice_end(&choice, RUN_FINISHED, 0);
		runs++;
	}
	ck_assert(strategy->ops->is_complete(strategy));
	ck_assert_uint_eq(strategy_dpor_counts(strategy).blocked, 0);
	choice_release(&choice);
	strategy_free(strategy);
	order_release(&order);
	return runs;
}

/* n actors with k sections each: (n k)! / (k!)^n orders of sections. */
START_TEST(sections_under_a_mutex_need_one_run_for_each_of_their_orders)
{
	ck_assert_uint_eq(count_runs(2, 2), 6);
	ck_assert_uint_eq(count_runs(2, 3), 20);
	ck_assert_uint_eq(count_runs(2, 4), 70);
	ck_assert_uint_eq(count_runs(3, 2), 90);
	ck_assert_uint_eq(count_runs(4, 1), 24);
	ck_assert_uint_eq(count_runs(4, 2), 2520);
	ck_assert_uint_eq(count_runs(3, 4), 34650);
}
END_TEST

START_TEST(following_a_run_in_another_order_stays_in_its_class)
{
	struct order order, again;
	struct choice choice;
	order_init(&order);
	order_init(&again);
	add(&order, 1, OBJECT_A, ACCESS_WRITE);
	add(&order, 2, OBJECT_B, ACCESS_WRITE);
	const uint32_t first[] = { 1 };
	struct strategy *strategy = strategy_follow_new(&order, first, 1);
	choice_init(&choice, strategy, NULL);
	choice.order = &again;
	ck_assert(choice_begin(&choice));
	const uint32_t actors[] = { 1, 2 };
	struct footprint footprint;
	ck_assert_uint_eq(choice_pick(&choice, &(struct choice_point){ .kind = CHOICE_RUN,
								       .count = 2,
								       .actors = actors }),
			  1);
	footprint_copy(&footprint, &order.steps[1].footprint);
	choice_step_done(&choice, &footprint, 0);
	ck_assert_uint_eq(choice_pick(&choice, &(struct choice_point){ .kind = CHOICE_RUN,
								       .count = 1,
								       .actors = actors }),
			  0);
	footprint_copy(&footprint, &order.steps[0].footprint);
	choice_step_done(&choice, &footprint, 0);
	ck_assert_uint_eq(again.class_hash, order.class_hash);
	ck_assert_ptr_null(strategy->ops->complaint(strategy));
	choice_release(&choice);
	strategy_free(strategy);
	order_release(&order);
	order_release(&again);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("order");
	TCase *tests = tcase_create("order");
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, conflicting_steps_are_ordered_and_race);
	tcase_add_test(tests, a_conflict_that_others_order_is_no_race);
	tcase_add_test(tests, waking_orders_without_a_race);
	tcase_add_test(tests, who_takes_a_mutex_races_with_the_step_that_took_it_before);
	tcase_add_test(tests, a_latch_orders_without_a_race);
	tcase_add_test(tests, a_mutex_taken_and_given_back_in_one_step_is_a_read);
	tcase_add_test(tests, what_does_not_fit_conflicts_with_everything);
	tcase_add_test(tests, the_class_does_not_depend_on_the_order_of_independent_steps);
	tcase_add_test(tests, sections_under_a_mutex_need_one_run_for_each_of_their_orders);
	tcase_add_test(tests, following_a_run_in_another_order_stays_in_its_class);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
