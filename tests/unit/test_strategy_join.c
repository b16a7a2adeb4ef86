// SPDX-License-Identifier: MIT
/* Orders that come together: walkers on a grid, whose ways and places can be counted. */
#include "injector/choice.h"
#include "injector/strategy_join.h"
#include "tests/run_suite.h"

#include <check.h>
#include <string.h>

enum { WALKERS = 3, STEPS = 2, DECISIONS_MAX = WALKERS * STEPS, PLACES = 27 };

/** Walkers with two steps each. A place is how many steps each has made. */
struct grid {
	bool remembers; /* who of the first two made a first step first decides how the run ends */
	bool shows;     /* and it can be seen at once */
	uint32_t places[WALKERS];
	uint32_t first; /* 0: nobody yet */
	struct join_place trail_places[DECISIONS_MAX];
	struct join_trail trail;
	bool seen[PLACES];
	uint64_t runs;
	unsigned ends; /* set of those met */
};

static uint64_t place_number(const struct grid *grid)
{
	return grid->places[0] + 3 * grid->places[1] + 9 * grid->places[2];
}

static uint32_t list_walkers(const struct grid *grid, uint32_t *actors)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < WALKERS; i++)
		if (grid->places[i] < STEPS)
			actors[count++] = i + 1;
	return count;
}

/** One run; its trail is laid. */
static void walk(struct grid *grid, struct choice *choice)
{
	uint32_t actors[WALKERS];
	uint32_t count;

	memset(grid->places, 0, sizeof(grid->places));
	grid->first = 0;
	grid->trail.count = 0;
	while ((count = list_walkers(grid, actors)) > 0) {
		const struct choice_point point = { CHOICE_RUN, count, actors };
		uint64_t state = 1 + place_number(grid) + (grid->shows ? 100 * grid->first : 0);
		if (count > 1)
			grid->trail_places[grid->trail.count++] =
				(struct join_place){ .state = state };
		grid->seen[place_number(grid)] = true;
		uint32_t pick = choice_pick(choice, &point);
		ck_assert(pick < count);
		if (!grid->first && actors[pick] < 3)
			grid->first = actors[pick];
		grid->places[actors[pick] - 1]++;
	}
	uint32_t end = grid->remembers ? grid->first : 0;
	grid->ends |= 1u << end;
	for (size_t i = 0; i < grid->trail.count; i++)
		grid->trail_places[i].rest = end;
	grid->runs++;
}

static void search(struct grid *grid, struct strategy *strategy)
{
	struct choice choice;

	choice_init(&choice, strategy, NULL);
	while (choice_begin(&choice)) {
		walk(grid, &choice);
		choice_end(&choice, RUN_FINISHED, 0);
	}
	ck_assert(strategy->ops->is_complete(strategy));
	ck_assert_ptr_null(strategy->ops->complaint(strategy));
	choice_release(&choice);
}

static void begin(struct grid *grid, bool remembers, bool shows)
{
	*grid = (struct grid){ .remembers = remembers, .shows = shows };
	grid->trail.places = grid->trail_places;
}

static void search_joining(struct grid *grid, uint64_t *met, uint64_t *parted)
{
	struct strategy *strategy = strategy_join_new(&grid->trail);

	search(grid, strategy);
	*met = strategy_join_met(strategy);
	*parted = strategy_join_parted(strategy);
	strategy_free(strategy);
}

/* One run, and one more for each option beyond the first at each place with a decision: at 8 places
 * three walkers can go, at 12 two. */
START_TEST(each_step_from_each_place_is_executed_and_no_way_twice)
{
	struct grid grid;
	uint64_t met, parted;

	begin(&grid, false, false);
	search_joining(&grid, &met, &parted);
	ck_assert_uint_eq(grid.runs, 1 + 8 * 2 + 12);
	ck_assert_uint_le(met, grid.runs - 1);
	ck_assert_uint_eq(parted, 0);
	for (int i = 0; i < PLACES - 1; i++)
		ck_assert(grid.seen[i]);
}
END_TEST

START_TEST(what_goes_on_otherwise_is_explored_although_it_looked_alike)
{
	struct grid grid;
	uint64_t met, parted, plain;

	begin(&grid, false, false);
	search_joining(&grid, &met, &parted);
	plain = grid.runs;
	begin(&grid, true, false);
	search_joining(&grid, &met, &parted);
	ck_assert_uint_gt(parted, 0);
	ck_assert_uint_gt(grid.runs, plain);
	ck_assert_uint_eq(grid.ends, 1u << 1 | 1u << 2);
	uint64_t hidden = grid.runs;
	begin(&grid, true, true);
	search_joining(&grid, &met, &parted);
	ck_assert_uint_eq(parted, 0);
	ck_assert_uint_eq(grid.runs, hidden);
}
END_TEST

/* A decision whose state is 0 is never the same as another. */
START_TEST(without_states_it_is_the_plain_search)
{
	struct grid grid, joined;
	struct strategy *dfs = strategy_dfs_new(false);
	struct strategy *join = strategy_join_new(&joined.trail);
	struct choice choice;

	begin(&grid, false, false);
	search(&grid, dfs);
	ck_assert_uint_eq(grid.runs, 90); /* 6! / 2!^3 */
	begin(&joined, false, false);
	choice_init(&choice, join, NULL);
	while (choice_begin(&choice)) {
		walk(&joined, &choice);
		for (size_t i = 0; i < joined.trail.count; i++)
			joined.trail_places[i].state = 0;
		choice_end(&choice, RUN_FINISHED, 0);
	}
	ck_assert_uint_eq(joined.runs, 90);
	choice_release(&choice);
	strategy_free(join);
	strategy_free(dfs);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("strategy_join");
	TCase *tests = tcase_create("join");
	tcase_add_test(tests, each_step_from_each_place_is_executed_and_no_way_twice);
	tcase_add_test(tests, what_goes_on_otherwise_is_explored_although_it_looked_alike);
	tcase_add_test(tests, without_states_it_is_the_plain_search);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
