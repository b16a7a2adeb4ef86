// SPDX-License-Identifier: MIT
#include "engine/coroutine/co_queue.h"

#include "tests/unit/tasks.h"

static struct sched *sched;
static struct co_queue queue;

static void setup(void)
{
	sched = sched_new();
	ck_assert_ptr_nonnull(sched);
	co_queue_init(&queue, "q", 7);
}

static void teardown(void)
{
	sched_free(sched);
}

static void wait_once(void *argument)
{
	(void)argument;
	tell_name("waits");
	co_queue_wait(&queue);
	tell_name("goes on");
}

static void wake_all(void *argument)
{
	(void)argument;
	tell("%zu woken; ", co_queue_wake_all(&queue));
	tell_name("ends");
}

static void wake_one_by_one(void *argument)
{
	(void)argument;
	for (;;) {
		struct task *woken = co_queue_wake_one(&queue);
		if (!woken)
			break;
		tell("%s woken; ", task_name(woken));
		task_yield();
	}
}

START_TEST(waiters_are_woken_in_order_of_arrival_and_run_only_after_the_waker)
{
	sched_spawn(sched, "a", wait_once, NULL);
	sched_spawn(sched, "b", wait_once, NULL);
	sched_spawn(sched, "c", wait_once, NULL);
	sched_spawn(sched, "waker", wake_all, NULL);
	ck_assert_int_eq(run_tasks(sched, SCHED_POINTS_IO), RUN_FINISHED);
	ck_assert_str_eq(story, "a waits; b waits; c waits; 3 woken; waker ends; "
				"a goes on; b goes on; c goes on; ");
}
END_TEST

START_TEST(wake_one_wakes_the_longest_waiter)
{
	sched_spawn(sched, "a", wait_once, NULL);
	sched_spawn(sched, "b", wait_once, NULL);
	sched_spawn(sched, "waker", wake_one_by_one, NULL);
	ck_assert_int_eq(run_tasks(sched, SCHED_POINTS_IO), RUN_FINISHED);
	ck_assert_str_eq(story, "a waits; b waits; a woken; a goes on; b woken; b goes on; ");
}
END_TEST

static void wait_twice(void *argument)
{
	wait_once(argument);
	wait_once(argument);
}

START_TEST(wake_all_wakes_those_who_wait_now_not_those_who_wait_again)
{
	sched_spawn(sched, "a", wait_twice, NULL);
	sched_spawn(sched, "waker", wake_all, NULL);
	ck_assert_int_eq(run_tasks(sched, SCHED_POINTS_IO), RUN_DEADLOCK);
	ck_assert_str_eq(story, "a waits; 1 woken; waker ends; a goes on; a waits; ");
	ck_assert_str_eq(sched_report(sched),
			 "lost wake-up: task 1 'a' waits for queue 'q' 7 since step 3 "
			 "(which task 2 'waker' woke in step 2)");
}
END_TEST

START_TEST(an_empty_queue_wakes_nobody)
{
	ck_assert(co_queue_is_empty(&queue));
	ck_assert_ptr_null(co_queue_wake_one(&queue));
	ck_assert_uint_eq(co_queue_wake_all(&queue), 0);
	co_queue_destroy(&queue);
}
END_TEST

static void ask_kind(void *argument)
{
	(void)argument;
	ck_assert(!co_queue_is_empty(&queue));
	ck_assert(co_queue_first_waits_as(&queue, WAIT_QUEUE));
	ck_assert(!co_queue_first_waits_as(&queue, WAIT_MUTEX));
	co_queue_wake_all(&queue);
	ck_assert(!co_queue_first_waits_as(&queue, WAIT_QUEUE));
}

START_TEST(a_queue_knows_how_its_first_waiter_waits)
{
	sched_spawn(sched, "a", wait_once, NULL);
	sched_spawn(sched, "asker", ask_kind, NULL);
	ck_assert_int_eq(run_tasks(sched, SCHED_POINTS_IO), RUN_FINISHED);
}
END_TEST

static void wait_on_destroyed(void *argument)
{
	(void)argument;
	co_queue_destroy(&queue);
	co_queue_wait(&queue);
}

static void destroy_in_use(void *argument)
{
	(void)argument;
	co_queue_destroy(&queue);
}

START_TEST(waiting_on_a_destroyed_queue_dies)
{
	sched_spawn(sched, "a", wait_on_destroyed, NULL);
	ck_assert_int_eq(run_tasks(sched, SCHED_POINTS_IO), RUN_DIED);
	ck_assert_ptr_nonnull(strstr(sched_report(sched), "assertion 'is_live(queue)' failed"));
}
END_TEST

START_TEST(destroying_a_queue_on_which_somebody_waits_dies)
{
	sched_spawn(sched, "a", wait_once, NULL);
	sched_spawn(sched, "b", destroy_in_use, NULL);
	ck_assert_int_eq(run_tasks(sched, SCHED_POINTS_IO), RUN_DIED);
	ck_assert_ptr_nonnull(strstr(sched_report(sched), "nobody waits on a destroyed queue"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("co_queue");
	TCase *tcase = tcase_create("co_queue");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, waiters_are_woken_in_order_of_arrival_and_run_only_after_the_waker);
	tcase_add_test(tcase, wake_one_wakes_the_longest_waiter);
	tcase_add_test(tcase, wake_all_wakes_those_who_wait_now_not_those_who_wait_again);
	tcase_add_test(tcase, an_empty_queue_wakes_nobody);
	tcase_add_test(tcase, a_queue_knows_how_its_first_waiter_waits);
	tcase_add_test(tcase, waiting_on_a_destroyed_queue_dies);
	tcase_add_test(tcase, destroying_a_queue_on_which_somebody_waits_dies);
	return run_case(suite, tcase);
}
