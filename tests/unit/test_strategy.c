// SPDX-License-Identifier: MIT
#include "injector/choice.h"
#include "injector/strategy.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 6, RUNS_MAX = 4096 };

static const uint32_t actors[] = { 1, 2, 3, 4, 5, 6, 7, 8 };

/* Make `count` decisions; the number of options of each depends on the picks before it. Returns the
 * picks as digits behind a 1, or 0 when the run was abandoned. */
static uint32_t walk(struct choice *choice, uint32_t seed, unsigned count)
{
	const struct footprint nothing = { 0 };
	uint32_t path = 1;

	for (unsigned i = 0; i < count; i++) {
		uint32_t options = 1 + (path * 2654435761U + seed) % 7 % 4;
		enum choice_kind kind = (path + seed) % 3 == 0 ? CHOICE_FAULT : CHOICE_RUN;
		const struct choice_point point = { .kind = kind,
						    .count = options,
						    .actors = actors };
		uint32_t pick = choice_pick(choice, &point);
		if (pick == CHOICE_ABANDON)
			return 0;
		path = path * 4 + pick;
		if (kind == CHOICE_RUN)
			choice_step_done(choice, &nothing, 0);
	}
	return path;
}

/* All paths of walk(), by listing: the tree's leaves in lexicographic order. */
static size_t list_paths(uint32_t *paths, uint32_t seed, unsigned count)
{
	size_t leaves = 1;

	paths[0] = 1;
	for (unsigned i = 0; i < count; i++) {
		uint32_t level[RUNS_MAX];
		size_t grown = 0;
		for (size_t leaf = 0; leaf < leaves; leaf++) {
			uint32_t options = 1 + (paths[leaf] * 2654435761U + seed) % 7 % 4;
			for (uint32_t pick = 0; pick < options; pick++)
				level[grown++] = paths[leaf] * 4 + pick;
		}
		memcpy(paths, level, grown * sizeof(*paths));
		leaves = grown;
	}
	return leaves;
}

START_TEST(dfs_visits_each_leaf_of_the_tree_once_and_in_order)
{
	for (uint32_t seed = 0; seed < 200; seed++) {
		uint32_t paths[RUNS_MAX];
		size_t leaves = list_paths(paths, seed, DEPTH_MAX);
		struct strategy *strategy = strategy_dfs_new(false);
		struct choice choice;
		choice_init(&choice, strategy, NULL);
		for (size_t leaf = 0; leaf < leaves; leaf++) {
			ck_assert(choice_begin(&choice));
			ck_assert(!strategy->ops->is_complete(strategy));
			ck_assert_uint_eq(walk(&choice, seed, DEPTH_MAX), paths[leaf]);
			choice_end(&choice, RUN_FINISHED, 0);
		}
		ck_assert(!choice_begin(&choice));
		ck_assert(strategy->ops->is_complete(strategy));
		ck_assert_ptr_null(strategy->ops->complaint(strategy));
		ck_assert(!choice_begin(&choice));
		choice_release(&choice);
		strategy_free(strategy);
	}
}
END_TEST

START_TEST(dfs_notices_a_program_that_does_not_repeat_itself)
{
	struct strategy *strategy = strategy_dfs_new(false);
	struct choice_point point = { .kind = CHOICE_RUN, .count = 2, .actors = actors };

	ck_assert(strategy->ops->begin(strategy));
	ck_assert_uint_eq(strategy->ops->pick(strategy, &point), 0);
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

START_TEST(dfs_holds_a_run_of_a_hundred_thousand_decisions)
{
	enum { DECISIONS = 100000 };
	struct strategy *strategy = strategy_dfs_new(true);
	const struct choice_point point = { .kind = CHOICE_RUN, .count = 2, .actors = actors };
	struct footprint ordered = { 0 };

	footprint_touch(&ordered, footprint_object(OBJECT_FILE, 0), 0, 1, ACCESS_WRITE);

	for (int run = 0; run < 2; run++) {
		ck_assert(strategy->ops->begin(strategy));
		for (int i = 0; i < DECISIONS; i++) {
			uint32_t pick = strategy->ops->pick(strategy, &point);
			ck_assert_uint_eq(pick, run == 1 && i == DECISIONS - 1);
			strategy->ops->step_done(strategy, actors[pick], &ordered);
		}
	}
	strategy_free(strategy);
}
END_TEST

START_TEST(random_repeats_itself_for_equal_seeds_and_reaches_every_leaf)
{
	uint32_t paths[RUNS_MAX];
	bool reached[RUNS_MAX] = { false };
	size_t leaves = list_paths(paths, 11, 3);
	struct strategy *first = strategy_random_new(42, 2000);
	struct strategy *second = strategy_random_new(42, 2000);
	struct choice one;
	struct choice two;

	choice_init(&one, first, NULL);
	choice_init(&two, second, NULL);
	for (int run = 0; run < 2000; run++) {
		ck_assert(choice_begin(&one) && choice_begin(&two));
		uint32_t path = walk(&one, 11, 3);
		ck_assert_uint_eq(walk(&two, 11, 3), path);
		for (size_t leaf = 0; leaf < leaves; leaf++)
			reached[leaf] |= paths[leaf] == path;
	}
	ck_assert(!choice_begin(&one));
	ck_assert(!first->ops->is_complete(first));
	for (size_t leaf = 0; leaf < leaves; leaf++)
		ck_assert_msg(reached[leaf], "leaf %zu of %zu never reached", leaf, leaves);
	choice_release(&one);
	choice_release(&two);
	strategy_free(first);
	strategy_free(second);
}
END_TEST

START_TEST(the_schedule_of_any_run_replays_it)
{
	struct strategy *random = strategy_random_new(7, 300);
	struct choice choice;

	choice_init(&choice, random, NULL);
	while (choice_begin(&choice)) {
		uint32_t path = walk(&choice, 5, DEPTH_MAX);
		struct strategy *replay = strategy_replay_new(&choice.taken);
		struct choice again;
		choice_init(&again, replay, NULL);
		ck_assert(choice_begin(&again));
		ck_assert_uint_eq(walk(&again, 5, DEPTH_MAX), path);
		choice_end(&again, RUN_FINISHED, 0);
		ck_assert_ptr_null(replay->ops->complaint(replay));
		ck_assert(!choice_begin(&again));
		choice_release(&again);
		strategy_free(replay);
	}
	choice_release(&choice);
	strategy_free(random);
}
END_TEST

START_TEST(replay_says_at_which_step_it_diverged)
{
	struct schedule schedule;
	struct choice_point point = { .kind = CHOICE_RUN, .count = 3, .actors = actors };

	schedule_init(&schedule);
	schedule_append(&schedule, 1, 3);
	schedule_append(&schedule, 1, 2);
	struct strategy *replay = strategy_replay_new(&schedule);
	ck_assert(replay->ops->begin(replay));
	ck_assert_uint_eq(replay->ops->pick(replay, &point), 1);
	ck_assert_uint_eq(replay->ops->pick(replay, &point), CHOICE_ABANDON);
	ck_assert_str_eq(replay->ops->complaint(replay),
			 "diverged at step 1: 3 options where the schedule has 2");
	strategy_free(replay);

	schedule_reset(&schedule);
	schedule_append(&schedule, 7, 0);
	replay = strategy_replay_new(&schedule);
	ck_assert(replay->ops->begin(replay));
	ck_assert_uint_eq(replay->ops->pick(replay, &point), CHOICE_ABANDON);
	ck_assert_str_eq(replay->ops->complaint(replay),
			 "diverged at step 0: the schedule takes option 7, there are 3");
	strategy_free(replay);
	schedule_release(&schedule);
}
END_TEST

START_TEST(twice_runs_everything_twice_and_agrees)
{
	uint32_t paths[RUNS_MAX];
	size_t leaves = list_paths(paths, 3, DEPTH_MAX);
	struct strategy *strategy = strategy_twice_new(strategy_dfs_new(false));
	struct choice choice;

	choice_init(&choice, strategy, NULL);
	for (size_t run = 0; run < 2 * leaves; run++) {
		ck_assert(choice_begin(&choice));
		uint32_t path = walk(&choice, 3, DEPTH_MAX);
		ck_assert_uint_eq(path, paths[run / 2]);
		choice_end(&choice, RUN_FINISHED, path);
	}
	ck_assert(!choice_begin(&choice));
	ck_assert(strategy->ops->is_complete(strategy));
	ck_assert_ptr_null(strategy->ops->complaint(strategy));
	choice_release(&choice);
	strategy_free(strategy);
}
END_TEST

START_TEST(twice_complains_of_logs_that_differ_and_of_decisions_that_differ)
{
	struct choice_point point = { .kind = CHOICE_RUN, .count = 2, .actors = actors };
	struct strategy *strategy = strategy_twice_new(strategy_dfs_new(false));

	ck_assert(strategy->ops->begin(strategy));
	strategy->ops->pick(strategy, &point);
	strategy->ops->end(strategy, RUN_FINISHED, 0x11);
	ck_assert(strategy->ops->begin(strategy));
	strategy->ops->pick(strategy, &point);
	strategy->ops->end(strategy, RUN_FINISHED, 0x12);
	ck_assert_str_eq(strategy->ops->complaint(strategy),
			 "not deterministic: run 1 has digest 0000000000000011, repeated "
			 "0000000000000012");
	ck_assert(!strategy->ops->begin(strategy));
	strategy_free(strategy);

	strategy = strategy_twice_new(strategy_dfs_new(false));
	ck_assert(strategy->ops->begin(strategy));
	strategy->ops->pick(strategy, &point);
	strategy->ops->end(strategy, RUN_FINISHED, 0x11);
	ck_assert(strategy->ops->begin(strategy));
	point.count = 3;
	ck_assert_uint_eq(strategy->ops->pick(strategy, &point), CHOICE_ABANDON);
	ck_assert_str_eq(strategy->ops->complaint(strategy),
			 "not deterministic: run 1 met another decision at step 0 when repeated");
	strategy_free(strategy);
}
END_TEST

/* One access. */
static struct footprint touched(uint32_t instance, uint64_t from, uint64_t to,
				enum access_mode mode)
{
	struct footprint footprint = { 0 };
	footprint_touch(&footprint, footprint_object(OBJECT_FILE, instance), from, to, mode);
	return footprint;
}

START_TEST(footprints_conflict_when_exchanging_the_steps_could_be_seen)
{
	const struct footprint nothing = { 0 };
	const struct footprint everything = { .everything = true };
	const struct footprint read = touched(0, 0, 512, ACCESS_READ);
	const struct footprint add = touched(0, 0, 512, ACCESS_ADD);
	const struct footprint write = touched(0, 511, 600, ACCESS_WRITE);
	const struct footprint beside = touched(0, 512, 600, ACCESS_WRITE);
	const struct footprint other = touched(1, 0, 600, ACCESS_WRITE);

	ck_assert(footprint_conflict(&everything, &nothing));
	ck_assert(!footprint_conflict(&read, &read));
	ck_assert(!footprint_conflict(&add, &add));
	ck_assert(footprint_conflict(&read, &add));
	ck_assert(footprint_conflict(&add, &write));
	ck_assert(footprint_conflict(&read, &write));
	ck_assert(footprint_conflict(&write, &read));
	ck_assert(footprint_conflict(&write, &write));
	ck_assert(!footprint_conflict(&read, &beside));
	ck_assert(!footprint_conflict(&read, &other));
	ck_assert(!footprint_conflict(&write, &nothing));
}
END_TEST

START_TEST(a_mutex_taken_conflicts_with_a_mutex_taken_and_given_back_with_nothing)
{
	const struct footprint lock = touched(0, 0, UINT64_MAX, ACCESS_LOCK);
	const struct footprint unlock = touched(0, 0, UINT64_MAX, ACCESS_UNLOCK);
	struct footprint both = lock;

	footprint_unlock(&both, footprint_object(OBJECT_FILE, 0));
	ck_assert(footprint_conflict(&lock, &lock));
	ck_assert(!footprint_conflict(&lock, &unlock));
	ck_assert(!footprint_conflict(&unlock, &unlock));
	ck_assert(footprint_conflict(&lock, &both));
	ck_assert(!footprint_conflict(&both, &both));
}
END_TEST

START_TEST(a_footprint_added_to_conflicts_with_all_that_its_parts_conflict_with)
{
	const struct footprint read = touched(0, 0, 512, ACCESS_READ);
	const struct footprint write = touched(0, 512, 600, ACCESS_WRITE);
	const struct footprint other = touched(1, 0, 600, ACCESS_WRITE);
	struct footprint sum = read;

	footprint_add(&sum, &write);
	ck_assert(footprint_conflict(&sum, &write));
	ck_assert(!footprint_conflict(&sum, &read));
	ck_assert(!footprint_conflict(&sum, &other));
	footprint_add(&sum, &other);
	ck_assert(footprint_conflict(&sum, &other));
	ck_assert(!sum.everything);
}
END_TEST

START_TEST(a_footprint_that_is_full_conflicts_with_everything)
{
	const struct footprint nothing = { 0 };
	struct footprint full = { 0 };

	for (uint32_t i = 0; i < FOOTPRINT_ACCESSES_MAX; i++)
		footprint_touch(&full, footprint_object(OBJECT_FILE, i), 0, 1, ACCESS_WRITE);
	ck_assert(!footprint_conflict(&full, &nothing));
	footprint_touch(&full, footprint_object(OBJECT_FILE, 0), 1, 2, ACCESS_WRITE);
	ck_assert_msg(!full.everything, "neighbours are one access");
	footprint_touch(&full, footprint_object(OBJECT_FILE, FOOTPRINT_ACCESSES_MAX), 0, 1,
			ACCESS_READ);
	ck_assert(footprint_conflict(&full, &nothing));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("strategy");
	TCase *tests = tcase_create("strategy");

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, dfs_visits_each_leaf_of_the_tree_once_and_in_order);
	tcase_add_test(tests, dfs_notices_a_program_that_does_not_repeat_itself);
	tcase_add_test(tests, dfs_holds_a_run_of_a_hundred_thousand_decisions);
	tcase_add_test(tests, random_repeats_itself_for_equal_seeds_and_reaches_every_leaf);
	tcase_add_test(tests, the_schedule_of_any_run_replays_it);
	tcase_add_test(tests, replay_says_at_which_step_it_diverged);
	tcase_add_test(tests, twice_runs_everything_twice_and_agrees);
	tcase_add_test(tests, twice_complains_of_logs_that_differ_and_of_decisions_that_differ);
	tcase_add_test(tests, footprints_conflict_when_exchanging_the_steps_could_be_seen);
	tcase_add_test(tests,
		       a_mutex_taken_conflicts_with_a_mutex_taken_and_given_back_with_nothing);
	tcase_add_test(tests, a_footprint_added_to_conflicts_with_all_that_its_parts_conflict_with);
	tcase_add_test(tests, a_footprint_that_is_full_conflicts_with_everything);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
