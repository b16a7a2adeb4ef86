// SPDX-License-Identifier: MIT
/* Every way in which a run comes to a standstill, by its report. */
#include "engine/coroutine/co_mutex.h"
#include "engine/coroutine/co_queue.h"
#include "engine/coroutine/co_rwlock.h"
#include "engine/scheduler/sched.h"
#include "engine/scheduler/touch.h"
#include "tests/unit/tasks.h"

static struct sched *sched;
static struct co_mutex mutexes[4];
static struct co_rwlock rwlock;
static struct co_queue queue;

static void begin_world(void)
{
	static const char *const names[] = { "m0", "m1", "m2", "m3" };
	for (uint32_t i = 0; i < 4; i++)
		co_mutex_init(&mutexes[i], names[i], 0);
	co_rwlock_init(&rwlock, "l", 5);
	co_queue_init(&queue, "q", 7);
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

static void check_report(enum sched_points points, enum run_end end, const char *report)
{
	ck_assert_int_eq(run_tasks(sched, points), end);
	ck_assert_str_eq(sched_report(sched), report);
}

/** Run the tasks that `spawn` makes under both kinds of points. With all points there is one in
 * front of every mutex, so step numbers may differ. */
static void check_each(void (*spawn)(void), enum run_end end, const char *report_io,
		       const char *report_all)
{
	spawn();
	check_report(SCHED_POINTS_IO, end, report_io);
	begin_world();
	spawn();
	check_report(SCHED_POINTS_ALL, end, report_all);
}

static void check_both(void (*spawn)(void), enum run_end end, const char *report)
{
	check_each(spawn, end, report, report);
}

/* ---- deadlocks ---- */

/** Take the mutexes that the argument names by digits, with a point between them, and keep them. */
static void take_mutexes(void *argument)
{
	for (const char *digit = argument; *digit; digit++) {
		co_mutex_lock(&mutexes[*digit - '0']);
		task_yield();
	}
}

static void *text(const char *literal)
{
	static char texts[16][16];
	static unsigned next;
	char *copy = texts[next++ % 16];
	snprintf(copy, 16, "%s", literal);
	return copy;
}

/** Picks the options in turn, so that everybody gets as far as possible. */
struct turns {
	struct strategy strategy;
	uint32_t last;
};

static bool turns_begin(struct strategy *strategy)
{
	((struct turns *)strategy)->last = 0;
	return true;
}

static uint32_t turns_pick(struct strategy *strategy, const struct choice_point *point)
{
	struct turns *turns = (struct turns *)strategy;
	uint32_t pick = 0;
	while (pick < point->count && point->actors[pick] <= turns->last)
		pick++;
	if (pick == point->count)
		pick = 0;
	turns->last = point->actors[pick];
	return pick;
}

static bool turns_forced(struct strategy *strategy, uint32_t actor)
{
	((struct turns *)strategy)->last = actor;
	return true;
}

static enum run_end run_in_turns(enum sched_points points, uint64_t steps_max)
{
	static const struct strategy_ops ops = { .begin = turns_begin,
						 .pick = turns_pick,
						 .forced = turns_forced };
	struct turns turns = { .strategy.ops = &ops };
	struct choice choice;
	choice_init(&choice, &turns.strategy, NULL);
	ck_assert(choice_begin(&choice));
	struct sched_options options = { .choice = &choice,
					 .points = points,
					 .steps_max = steps_max };
	enum run_end end = sched_run(sched, &options);
	choice_release(&choice);
	return end;
}

static const enum sched_points both_points[] = { SCHED_POINTS_IO, SCHED_POINTS_ALL };

START_TEST(a_deadlock_is_the_cycle_and_then_who_waits_behind_it)
{
	sched_spawn(sched, "a", take_mutexes, text("12"));
	sched_spawn(sched, "b", take_mutexes, text("23"));
	sched_spawn(sched, "c", take_mutexes, text("31"));
	sched_spawn(sched, "behind", take_mutexes, text("02"));
	sched_spawn(sched, "further", take_mutexes, text("0"));
	ck_assert_int_eq(run_in_turns(both_points[_i], 0), RUN_DEADLOCK);
	ck_assert_str_eq(sched_report(sched),
			 "deadlock: task 1 'a' waits for mutex 'm2' held by task 2 'b', "
			 "which waits for mutex 'm3' held by task 3 'c', "
			 "which waits for mutex 'm1' held by task 1 'a'; "
			 "task 4 'behind' waits for mutex 'm2' held by task 2 'b'; "
			 "task 5 'further' waits for mutex 'm0' held by task 4 'behind'");
}
END_TEST

START_TEST(two_cycles_are_told_one_after_the_other)
{
	sched_spawn(sched, "a", take_mutexes, text("01"));
	sched_spawn(sched, "b", take_mutexes, text("23"));
	sched_spawn(sched, "c", take_mutexes, text("10"));
	sched_spawn(sched, "d", take_mutexes, text("32"));
	ck_assert_int_eq(run_in_turns(both_points[_i], 0), RUN_DEADLOCK);
	ck_assert_str_eq(sched_report(sched),
			 "deadlock: task 1 'a' waits for mutex 'm1' held by task 3 'c', "
			 "which waits for mutex 'm0' held by task 1 'a'; "
			 "task 2 'b' waits for mutex 'm3' held by task 4 'd', "
			 "which waits for mutex 'm2' held by task 2 'b'");
}
END_TEST

static void hold_and_pass_on(void *argument)
{
	(void)argument;
	co_mutex_lock(&mutexes[0]);
	task_yield();
	task_yield();
	co_mutex_unlock(&mutexes[0]);
}

static void hold_and_sleep(void *argument)
{
	(void)argument;
	co_mutex_lock(&mutexes[0]);
	co_queue_wait(&queue);
}

START_TEST(who_has_a_mutex_is_who_has_it_now_not_when_the_wait_began)
{
	sched_spawn(sched, "first", hold_and_pass_on, NULL);
	sched_spawn(sched, "second", hold_and_sleep, NULL);
	sched_spawn(sched, "third", hold_and_sleep, NULL);
	ck_assert_int_eq(run_in_turns(SCHED_POINTS_IO, 0), RUN_LEAKED);
	ck_assert_str_eq(sched_report(sched),
			 "lost wake-up after the end of the script: "
			 "task 2 'second' waits for queue 'q' 7 since step 6 "
			 "(which nobody ever woke); "
			 "task 3 'third' waits for mutex 'm0' held by task 2 'second'");
}
END_TEST

static void write_lock_and_sleep(void *argument)
{
	(void)argument;
	co_rwlock_write_lock(&rwlock);
	co_mutex_lock(&mutexes[0]);
}

static void lock_and_read_lock(void *argument)
{
	(void)argument;
	co_mutex_lock(&mutexes[0]);
	task_yield();
	co_rwlock_read_lock(&rwlock);
}

static void spawn_rwlock_cycle(void)
{
	sched_spawn(sched, "reader", lock_and_read_lock, NULL);
	sched_spawn(sched, "writer", write_lock_and_sleep, NULL);
}

START_TEST(a_cycle_goes_through_the_writer_of_a_lock)
{
	spawn_rwlock_cycle();
	ck_assert_int_eq(run_in_turns(both_points[_i], 0), RUN_DEADLOCK);
	ck_assert_str_eq(sched_report(sched),
			 "deadlock: task 1 'reader' waits for read-lock 'l' 5 held by task 2 "
			 "'writer', which waits for mutex 'm0' held by task 1 'reader'");
}
END_TEST

/* ---- wake-ups ---- */

static void sleep_in_queue(void *argument)
{
	(void)argument;
	co_queue_wait(&queue);
}

static void wake_queue(void *argument)
{
	(void)argument;
	co_queue_wake_all(&queue);
}

static void spawn_early_wake(void)
{
	sched_spawn(sched, "script", sleep_in_queue, NULL);
}

START_TEST(a_sleeper_that_nobody_woke_is_a_lost_wake_up)
{
	check_both(spawn_early_wake, RUN_DEADLOCK,
		   "lost wake-up: task 1 'script' waits for queue 'q' 7 since step 1 "
		   "(which nobody ever woke)");
}
END_TEST

static void wake_then_sleep(void *argument)
{
	wake_queue(argument);
	sched_spawn(sched_current(), "late", sleep_in_queue, NULL);
	task_yield();
	task_yield();
	co_mutex_lock(&mutexes[0]);
}

static void spawn_late_sleeper(void)
{
	sched_spawn(sched, "script", wake_then_sleep, NULL);
}

START_TEST(a_wake_up_that_came_too_early_is_named)
{
#define LATE_SLEEPER(STEP)                                                                         \
	"lost wake-up after the end of the script: task 2 'late' waits for queue 'q' 7 since "     \
	"step " STEP " (which task 1 'script' woke in step 1, when nobody waited there)"
	check_each(spawn_late_sleeper, RUN_LEAKED, LATE_SLEEPER("4"), LATE_SLEEPER("5"));
}
END_TEST

static void sleep_twice(void *argument)
{
	sleep_in_queue(argument);
	sleep_in_queue(argument);
}

static void spawn_woken_once(void)
{
	sched_spawn(sched, "script", sleep_twice, NULL);
	sched_spawn(sched, "waker", wake_queue, NULL);
}

START_TEST(the_last_wake_up_of_a_queue_is_named_though_its_task_is_done)
{
	check_both(spawn_woken_once, RUN_DEADLOCK,
		   "lost wake-up: task 1 'script' waits for queue 'q' 7 since step 3 "
		   "(which task 2 'waker' woke in step 2)");
}
END_TEST

static void take_and_sleep(void *argument)
{
	(void)argument;
	co_mutex_lock(&mutexes[2]);
	task_wait(WAIT_PARKED, "kick of allocation", 3);
}

static void spawn_chain(void)
{
	sched_spawn(sched, "script", sleep_in_queue, NULL);
	sched_spawn(sched, "holder", take_and_sleep, NULL);
	sched_spawn(sched, "waiter", take_mutexes, text("2"));
}

START_TEST(whom_others_wait_for_is_named_first)
{
#define CHAIN(STEP)                                                                                \
	"lost wake-up: task 2 'holder' is parked on 'kick of allocation' 3 since step " STEP       \
	" (which nobody ever woke); "                                                              \
	"task 1 'script' waits for queue 'q' 7 since step 1 (which nobody ever woke); "            \
	"task 3 'waiter' waits for mutex 'm2' held by task 2 'holder'"
	check_each(spawn_chain, RUN_DEADLOCK, CHAIN("2"), CHAIN("3"));
}
END_TEST

static void read_lock_and_end(void *argument)
{
	(void)argument;
	co_rwlock_read_lock(&rwlock);
}

static void write_lock(void *argument)
{
	(void)argument;
	co_rwlock_write_lock(&rwlock);
}

static void spawn_readers_hold(void)
{
	sched_spawn(sched, "reader", read_lock_and_end, NULL);
	sched_spawn(sched, "writer", write_lock, NULL);
	sched_spawn(sched, "behind", read_lock_and_end, NULL);
}

START_TEST(a_writer_waits_for_readers_and_readers_behind_it)
{
	check_both(spawn_readers_hold, RUN_LEAKED,
		   "lost wake-up after the end of the script: "
		   "task 2 'writer' waits for write-lock 'l' 5 held by readers since step 2; "
		   "task 3 'behind' waits for read-lock 'l' 5 behind one who waits to write "
		   "since step 3");
}
END_TEST

static void spawn_abandoned(void)
{
	sched_spawn(sched, "script", sleep_in_queue, NULL);
	sched_spawn(sched, "forgetful", take_mutexes, text("0"));
	sched_spawn(sched, "victim", take_mutexes, text("0"));
}

START_TEST(a_mutex_of_a_task_that_is_done_is_abandoned)
{
	check_both(spawn_abandoned, RUN_DEADLOCK,
		   "abandoned lock: task 3 'victim' waits for mutex 'm0' held by task 2 "
		   "'forgetful', which is done; "
		   "task 1 'script' waits for queue 'q' 7 since step 1 (which nobody ever woke)");
}
END_TEST

/* ---- the bound on steps ---- */

static void write_forever(void *argument)
{
	(void)argument;
	for (;;) {
		touch(TOUCH_LIST, 0, ACCESS_WRITE);
		task_yield();
	}
}

static void check_bound(const char *report)
{
	struct sched_options options = { .steps_max = 1000 };
	ck_assert_int_eq(sched_run(sched, &options), RUN_LIVELOCK);
	ck_assert_str_eq(sched_report(sched), report);
}

START_TEST(a_loop_that_writes_runs_into_the_bound)
{
	sched_spawn(sched, "a", write_forever, NULL);
	check_bound("the bound of 1000 steps was reached: task 1 'a' is ready");
}
END_TEST

START_TEST(one_that_was_never_chosen_starves)
{
	sched_spawn(sched, "a", write_forever, NULL);
	sched_spawn(sched, "b", write_forever, NULL);
	check_bound("starvation: task 2 'b' has been ready since step 0 of 1000 and was never "
		    "chosen; task 1 'a' is ready");
}
END_TEST

START_TEST(a_schedule_that_passes_over_several_is_unfair)
{
	sched_spawn(sched, "a", write_forever, NULL);
	sched_spawn(sched, "b", write_forever, NULL);
	sched_spawn(sched, "c", write_forever, NULL);
	check_bound("unfair schedule: task 2 'b' has been ready since step 0 of 1000 and was never "
		    "chosen; task 3 'c' has been ready since step 0 of 1000 and was never chosen; "
		    "task 1 'a' is ready");
}
END_TEST

static void keep_and_write(void *argument)
{
	co_mutex_lock(&mutexes[1]);
	write_forever(argument);
}

START_TEST(who_waits_for_a_mutex_that_is_never_given_back_starves)
{
	sched_spawn(sched, "greedy", keep_and_write, NULL);
	sched_spawn(sched, "other", write_forever, NULL);
	sched_spawn(sched, "victim", take_mutexes, text("1"));
	ck_assert_int_eq(run_in_turns(SCHED_POINTS_IO, 1000), RUN_LIVELOCK);
	ck_assert_str_eq(sched_report(sched),
			 "starvation: task 3 'victim' waits for mutex 'm1' held by task 1 "
			 "'greedy' since step 3 of 1000; "
			 "task 1 'greedy' is ready; task 2 'other' is ready");
}
END_TEST

/* ---- who came first is served first ---- */

static unsigned arrivals, served;

static void arrive(void *argument)
{
	(void)argument;
	task_yield();
	unsigned ticket = arrivals++;
	co_mutex_lock(&mutexes[0]);
	ck_assert_uint_eq(ticket, served);
	served++;
	task_yield();
	co_mutex_unlock(&mutexes[0]);
}

static void begin_arrivals(struct sched *runner, void *context)
{
	(void)context;
	begin_world();
	arrivals = served = 0;
	for (int i = 0; i < 3; i++)
		sched_spawn(runner, "t", arrive, NULL);
}

static void count_end(struct sched *runner, enum run_end end, void *context)
{
	uint64_t *ends = context;
	(void)runner;
	ends[end]++;
}

START_TEST(a_mutex_is_given_in_order_of_arrival_in_every_interleaving)
{
	uint64_t ends[RUN_DIVERGED + 1] = { 0 };
	struct exploration all = { .points = SCHED_POINTS_IO,
				   .begin = begin_arrivals,
				   .end = count_end,
				   .context = ends };
	uint64_t runs = explore(&all);
	ck_assert_uint_eq(ends[RUN_FINISHED], runs);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("liveness");
	TCase *tcase = tcase_create("liveness");
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, a_deadlock_is_the_cycle_and_then_who_waits_behind_it, 0, 2);
	tcase_add_loop_test(tcase, two_cycles_are_told_one_after_the_other, 0, 2);
	tcase_add_test(tcase, who_has_a_mutex_is_who_has_it_now_not_when_the_wait_began);
	tcase_add_loop_test(tcase, a_cycle_goes_through_the_writer_of_a_lock, 0, 2);
	tcase_add_test(tcase, a_sleeper_that_nobody_woke_is_a_lost_wake_up);
	tcase_add_test(tcase, a_wake_up_that_came_too_early_is_named);
	tcase_add_test(tcase, the_last_wake_up_of_a_queue_is_named_though_its_task_is_done);
	tcase_add_test(tcase, whom_others_wait_for_is_named_first);
	tcase_add_test(tcase, a_writer_waits_for_readers_and_readers_behind_it);
	tcase_add_test(tcase, a_mutex_of_a_task_that_is_done_is_abandoned);
	tcase_add_test(tcase, a_loop_that_writes_runs_into_the_bound);
	tcase_add_test(tcase, one_that_was_never_chosen_starves);
	tcase_add_test(tcase, a_schedule_that_passes_over_several_is_unfair);
	tcase_add_test(tcase, who_waits_for_a_mutex_that_is_never_given_back_starves);
	tcase_add_test(tcase, a_mutex_is_given_in_order_of_arrival_in_every_interleaving);
	return run_case(suite, tcase);
}
