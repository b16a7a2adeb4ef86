// SPDX-License-Identifier: MIT
/* Tasks that look again and again: who is blocked, who is not, and that no result is lost by it. */
#include "engine/scheduler/retry.h"

#include "engine/coroutine/co_mutex.h"
#include "engine/coroutine/co_queue.h"
#include "engine/scheduler/sched.h"
#include "engine/scheduler/touch.h"
#include "injector/strategy_dpor.h"
#include "tests/unit/tasks.h"

enum { VARIABLES = 4 };

static struct sched *sched;
static struct co_mutex mutex;
static struct co_queue queue;
static unsigned variables[VARIABLES];

static void begin_world(void)
{
	co_mutex_init(&mutex, "m", 0);
	co_queue_init(&queue, "q", 7);
	memset(variables, 0, sizeof(variables));
}

static void setup(void)
{
	sched = sched_new();
	ck_assert_ptr_nonnull(sched);
	begin_world();
}

static void teardown(void)
{
	sched_free(sched);
}

static const enum sched_points both_points[] = { SCHED_POINTS_IO, SCHED_POINTS_ALL };

static void check_report(enum sched_points points, enum run_end end, const char *report)
{
	ck_assert_int_eq(run_tasks(sched, points), end);
	ck_assert_str_eq(sched_report(sched), report);
}

/** Run the tasks that `spawn` makes under both kinds of points. */
static void check_both(void (*spawn)(void), enum run_end end, const char *report)
{
	spawn();
	check_report(SCHED_POINTS_IO, end, report);
	begin_world();
	spawn();
	check_report(SCHED_POINTS_ALL, end, report);
}

static void set_variable(unsigned index)
{
	touch_one(TOUCH_LIST, 0, index, ACCESS_WRITE);
	variables[index]++;
}

static unsigned get_variable(unsigned index)
{
	touch_one(TOUCH_LIST, 0, index, ACCESS_READ);
	return variables[index];
}

static void sleep_in_queue(void *argument)
{
	(void)argument;
	co_queue_wait(&queue);
}

static void look_until_set(void *argument)
{
	(void)argument;
	while (!get_variable(0))
		task_yield();
}

static void spawn_looking(void)
{
	sched_spawn(sched, "script", sleep_in_queue, NULL);
	sched_spawn(sched, "looking", look_until_set, NULL);
}

START_TEST(looking_again_and_again_is_a_livelock_when_nobody_else_is_left)
{
	check_both(spawn_looking, RUN_LIVELOCK,
		   "retry loop without progress: task 2 'looking' looks again and again since step "
		   "3 at what nobody is left to change; "
		   "task 1 'script' waits for queue 'q' 7 since step 1 (which nobody ever woke)");
}
END_TEST

static void yield_forever(void *argument)
{
	(void)argument;
	for (;;)
		task_yield();
}

START_TEST(a_task_that_looks_at_nothing_is_a_livelock_too)
{
	sched_spawn(sched, "a", yield_forever, NULL);
	check_report(SCHED_POINTS_IO, RUN_LIVELOCK,
		     "retry loop without progress: task 1 'a' looks again and again since step 2 "
		     "at what nobody is left to change");
}
END_TEST

static void set_late(void *argument)
{
	(void)argument;
	for (int i = 0; i < 50; i++) {
		touch(TOUCH_EXTENT, 0, ACCESS_WRITE);
		task_yield();
	}
	set_variable(0);
}

START_TEST(who_looks_in_vain_is_not_run_until_something_has_changed)
{
	sched_spawn(sched, "looking", look_until_set, NULL);
	sched_spawn(sched, "slow", set_late, NULL);
	struct sched_options options = { .steps_max = 60 };
	/* Option 0 is the one that looks, as long as it is enabled: 5 steps, then 51, then 1. */
	ck_assert_int_eq(sched_run(sched, &options), RUN_FINISHED);
}
END_TEST

static void count_on_the_stack(void *argument)
{
	(void)argument;
	for (volatile int i = 0; i < 100; i++) {
		get_variable(0);
		task_yield();
	}
	tell_name("has counted");
}

START_TEST(a_loop_that_counts_is_no_retry_loop)
{
	sched_spawn(sched, "a", count_on_the_stack, NULL);
	ck_assert_int_eq(run_tasks(sched, both_points[_i]), RUN_FINISHED);
	ck_assert_str_eq(story, "a has counted; ");
}
END_TEST

static void look_with_lock(void *argument)
{
	(void)argument;
	for (;;) {
		co_mutex_lock(&mutex);
		get_variable(1);
		task_yield(); /* others come to the mutex, in vain */
		unsigned value = get_variable(0);
		co_mutex_unlock(&mutex);
		if (value)
			return;
		task_yield();
	}
}

static void set_with_lock(void *argument)
{
	(void)argument;
	task_yield();
	co_mutex_lock(&mutex);
	set_variable(0);
	co_mutex_unlock(&mutex);
}

static void begin_lookers_with_lock(struct sched *runner, void *context)
{
	(void)context;
	begin_world();
	sched_spawn(runner, "looking", look_with_lock, NULL);
	sched_spawn(runner, "setting", set_with_lock, NULL);
}

static void count_end(struct sched *runner, enum run_end end, void *context)
{
	uint64_t *ends = context;
	(void)runner;
	ends[end]++;
}

START_TEST(nobody_is_blocked_while_he_holds_what_another_needs_to_help_him)
{
	uint64_t ends[RUN_DIVERGED + 1] = { 0 };
	struct exploration all = { .points = SCHED_POINTS_ALL,
				   .begin = begin_lookers_with_lock,
				   .end = count_end,
				   .context = ends };
	uint64_t runs = explore(&all);
	ck_assert_uint_gt(runs, 1);
	ck_assert_uint_eq(ends[RUN_FINISHED], runs);
	begin_world();
	sched_spawn(sched, "looking", look_with_lock, NULL);
	ck_assert_int_eq(run_tasks(sched, SCHED_POINTS_ALL), RUN_LIVELOCK);
}
END_TEST

/* A round of two steps, into the middle of which a change may fall. */
static void look_at_two(void *argument)
{
	(void)argument;
	for (;;) {
		unsigned one = get_variable(0);
		task_yield();
		if (one + get_variable(1) == 2)
			return;
		task_yield();
	}
}

static void set_one(void *argument)
{
	set_variable(*(const unsigned *)argument);
}

static void begin_two_to_look_at(struct sched *runner, void *context)
{
	static unsigned indices[] = { 0, 1 };
	(void)context;
	begin_world();
	sched_spawn(runner, "looking", look_at_two, NULL);
	sched_spawn(runner, "x", set_one, &indices[0]);
	sched_spawn(runner, "y", set_one, &indices[1]);
}

START_TEST(a_change_in_the_middle_of_a_round_is_never_missed)
{
	uint64_t ends[RUN_DIVERGED + 1] = { 0 };
	struct exploration all = { .points = SCHED_POINTS_IO,
				   .begin = begin_two_to_look_at,
				   .end = count_end,
				   .context = ends };
	uint64_t runs = explore(&all);
	ck_assert_uint_gt(runs, 100);
	ck_assert_uint_eq(ends[RUN_FINISHED], runs);
}
END_TEST

/* What may come of a run, as a set of numbers below 64. */

static void look_and_tell(void *argument)
{
	(void)argument;
	while (!get_variable(0))
		task_yield();
	unsigned seen = get_variable(1) << 1 | get_variable(2);
	set_variable(3);
	variables[3] = 1 + seen;
}

/* The same, but gives up after a while instead of looking for ever; what it finds then is not
 * counted. */
static void look_a_while_and_tell(void *argument)
{
	(void)argument;
	for (volatile int tries = 0; !get_variable(0); tries++) {
		if (tries == 5)
			return;
		task_yield();
	}
	unsigned seen = get_variable(1) << 1 | get_variable(2);
	set_variable(3);
	variables[3] = 1 + seen;
}

static void set_three(void *argument)
{
	const char *digits = argument;
	for (; *digits; digits++) {
		set_variable((unsigned)(*digits - '0'));
		task_yield();
	}
}

static void begin_setters(struct sched *runner, void *context)
{
	static char first[] = "10", second[] = "20";
	void (*const *look)(void *argument) = context;
	begin_world();
	sched_spawn(runner, "looking", *look, NULL);
	sched_spawn(runner, "x", set_three, first);
	sched_spawn(runner, "y", set_three, second);
}

static uint64_t results;

static void note_result(void)
{
	results |= UINT64_C(1) << variables[3];
}

/** The results of a search with `strategy` (taken), and its completed runs. */
static uint64_t search(struct strategy *strategy, struct order *order, void (*look)(void *argument))
{
	struct choice choice;
	uint64_t runs = 0;
	results = 0;
	choice_init(&choice, strategy, NULL);
	choice.order = order;
	while (choice_begin(&choice)) {
		begin_setters(sched, &look);
		struct sched_options options = { .choice = &choice, .points = SCHED_POINTS_ALL };
		enum run_end end = sched_run(sched, &options);
		choice_end(&choice, end, 0);
		if (end == RUN_PRUNED)
			continue;
		ck_assert_int_eq(end, RUN_FINISHED);
		runs++;
		note_result();
	}
	ck_assert_ptr_null(strategy->ops->complaint(strategy));
	ck_assert(strategy->ops->is_complete(strategy));
	choice_release(&choice);
	strategy_free(strategy);
	return runs;
}

START_TEST(blocking_retry_loops_loses_no_result)
{
	struct order order;
	uint64_t all = 0, reduced = 0;
	search(strategy_dfs_new(false), NULL, look_a_while_and_tell);
	const uint64_t wanted = results & ~UINT64_C(1);
	ck_assert_int_eq(__builtin_popcountll(wanted), 3); /* x, y or both came first */
	all = search(strategy_dfs_new(false), NULL, look_and_tell);
	ck_assert_uint_eq(results, wanted);
	order_init(&order);
	reduced = search(strategy_dpor_new(&order, NULL), &order, look_and_tell);
	ck_assert_uint_eq(results, wanted);
	ck_assert_uint_lt(reduced, all);
	order_release(&order);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("retry");
	TCase *tcase = tcase_create("retry");
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, looking_again_and_again_is_a_livelock_when_nobody_else_is_left);
	tcase_add_test(tcase, a_task_that_looks_at_nothing_is_a_livelock_too);
	tcase_add_test(tcase, who_looks_in_vain_is_not_run_until_something_has_changed);
	tcase_add_loop_test(tcase, a_loop_that_counts_is_no_retry_loop, 0, 2);
	tcase_add_test(tcase, nobody_is_blocked_while_he_holds_what_another_needs_to_help_him);
	tcase_add_test(tcase, a_change_in_the_middle_of_a_round_is_never_missed);
	tcase_add_test(tcase, blocking_retry_loops_loses_no_result);
	return run_case(suite, tcase);
}
