// SPDX-License-Identifier: MIT
#include "injector/choice.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdlib.h>

static const uint32_t actors[] = { 3, 5, 8 };
static const struct choice_point three = { .kind = CHOICE_RUN, .count = 3, .actors = actors };
static const struct choice_point one = { .kind = CHOICE_RUN, .count = 1, .actors = actors };
static const struct choice_point fault = { .kind = CHOICE_FAULT, .count = 2 };

/* Follows the schedule `text`. */
static struct strategy *following(const char *text)
{
	struct schedule schedule;
	struct why why;

	schedule_init(&schedule);
	ck_assert_int_eq(schedule_parse(&schedule, text, &why), STATUS_OK);
	struct strategy *strategy = strategy_replay_new(&schedule);
	schedule_release(&schedule);
	return strategy;
}

START_TEST(picks_of_points_with_two_or_more_options_make_the_schedule)
{
	struct strategy *strategy = following("s1:201");
	struct choice choice;

	choice_init(&choice, strategy, NULL);
	ck_assert(choice_begin(&choice));
	ck_assert_uint_eq(choice_pick(&choice, &three), 2);
	ck_assert_uint_eq(choice_pick(&choice, &one), 0);
	ck_assert_uint_eq(choice_pick(&choice, &three), 0);
	ck_assert_uint_eq(choice_pick(&choice, &fault), 1);
	ck_assert_uint_eq(choice_pick(&choice, &three), 0);
	char *text = schedule_print(&choice.taken);
	ck_assert_str_eq(text, "s1:201");
	ck_assert_uint_eq(choice.taken.count, 4);
	free(text);
	choice_end(&choice, RUN_FINISHED, 0);
	ck_assert(!choice_begin(&choice));
	ck_assert_msg(choice.taken.count == 4, "forgotten with the first pick of the next run");
	choice_release(&choice);
	strategy_free(strategy);
}
END_TEST

START_TEST(each_pick_is_an_event_that_names_whose_turn_it_became)
{
	struct strategy *strategy = following("s1:11");
	struct event_log log;
	struct choice choice;

	event_log_init(&log);
	choice_init(&choice, strategy, &log);
	ck_assert(choice_begin(&choice));
	choice_pick(&choice, &three);
	choice_pick(&choice, &one);
	choice_pick(&choice, &fault);
	ck_assert_uint_eq(log.count, 2);
	ck_assert_uint_eq(log.events[0].kind, EVENT_CHOICE);
	ck_assert_uint_eq(log.events[0].op, CHOICE_RUN);
	ck_assert_uint_eq(log.events[0].actor, 5);
	ck_assert_uint_eq(log.events[0].id, 3);
	ck_assert_int_eq(log.events[0].result, 1);
	ck_assert_uint_eq(log.events[1].op, CHOICE_FAULT);
	ck_assert_int_eq(log.events[1].result, 1);
	choice_release(&choice);
	event_log_release(&log);
	strategy_free(strategy);
}
END_TEST

START_TEST(an_abandoned_run_stays_abandoned)
{
	struct strategy *strategy = following("s1:9");
	struct choice choice;

	choice_init(&choice, strategy, NULL);
	ck_assert(choice_begin(&choice));
	ck_assert_uint_eq(choice_pick(&choice, &three), CHOICE_ABANDON);
	ck_assert(choice.abandoned);
	ck_assert_uint_eq(choice_pick(&choice, &one), CHOICE_ABANDON);
	ck_assert_uint_eq(choice.taken.count, 0);
	choice_release(&choice);
	strategy_free(strategy);
}
END_TEST

struct step_spy {
	struct strategy base;
	uint32_t actor;
	bool forbid; /* a lone actor must not go on */
};

static bool spy_begin(struct strategy *strategy)
{
	(void)strategy;
	return true;
}

static uint32_t spy_pick(struct strategy *strategy, const struct choice_point *point)
{
	(void)strategy;
	return point->count - 1;
}

static bool spy_forced(struct strategy *strategy, uint32_t actor)
{
	(void)actor;
	return !((struct step_spy *)strategy)->forbid;
}

static void spy_step_done(struct strategy *strategy, uint32_t actor,
			  const struct footprint *footprint)
{
	(void)footprint;
	((struct step_spy *)strategy)->actor = actor;
}

static const struct strategy_ops spy_ops = {
	.name = "spy",
	.begin = spy_begin,
	.pick = spy_pick,
	.forced = spy_forced,
	.step_done = spy_step_done,
};

START_TEST(a_step_belongs_to_the_actor_of_the_last_run_point)
{
	struct step_spy spy = { .base = { .ops = &spy_ops } };
	const struct footprint nothing = { 0 };
	struct choice choice;

	choice_init(&choice, &spy.base, NULL);
	ck_assert(choice_begin(&choice));
	choice_pick(&choice, &three);
	choice_pick(&choice, &fault);
	choice_step_done(&choice, &nothing, 0);
	ck_assert_uint_eq(spy.actor, 8);
	choice_pick(&choice, &one);
	choice_step_done(&choice, &nothing, 0);
	ck_assert_uint_eq(spy.actor, 3);
	choice_release(&choice);
}
END_TEST

START_TEST(a_strategy_may_end_the_run_where_only_one_actor_can_go_on)
{
	struct step_spy spy = { .base = { .ops = &spy_ops }, .forbid = true };
	struct choice choice;

	choice_init(&choice, &spy.base, NULL);
	ck_assert(choice_begin(&choice));
	ck_assert_uint_eq(choice_pick(&choice, &one), CHOICE_ABANDON);
	ck_assert(choice.abandoned);
	choice_release(&choice);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("choice");
	TCase *tests = tcase_create("choice");

	tcase_add_test(tests, picks_of_points_with_two_or_more_options_make_the_schedule);
	tcase_add_test(tests, each_pick_is_an_event_that_names_whose_turn_it_became);
	tcase_add_test(tests, an_abandoned_run_stays_abandoned);
	tcase_add_test(tests, a_step_belongs_to_the_actor_of_the_last_run_point);
	tcase_add_test(tests, a_strategy_may_end_the_run_where_only_one_actor_can_go_on);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
