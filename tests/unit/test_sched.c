// SPDX-License-Identifier: MIT
#include "engine/scheduler/sched.h"

#include "engine/coroutine/co_mutex.h"
#include "engine/coroutine/co_queue.h"
#include "engine/scheduler/touch.h"
#include "injector/gate.h"
#include "injector/session.h"
#include "tests/unit/tasks.h"

static struct sched *sched;
static struct co_mutex mutex;

static void setup(void)
{
	sched = sched_new();
	ck_assert_ptr_nonnull(sched);
	co_mutex_init(&mutex, "m", 0);
}

static void teardown(void)
{
	sched_free(sched);
}

/* A strategy that follows a list of picks, and writes down what it is asked and told. */

struct scribe {
	struct strategy strategy;
	const uint32_t *picks; /* of points with two or more options */
	size_t picks_left;     /* then option 0 */
	bool abandons;         /* when the picks are used up */
	bool tells_steps;
};

static bool scribe_begin(struct strategy *strategy)
{
	(void)strategy;
	return true;
}

static uint32_t scribe_pick(struct strategy *strategy, const struct choice_point *point)
{
	struct scribe *scribe = (struct scribe *)strategy;
	tell("[");
	for (uint32_t i = 0; i < point->count; i++)
		tell(i ? " %u" : "%u", point->actors[i]);
	tell("]; ");
	if (!scribe->picks_left)
		return scribe->abandons ? (uint32_t)CHOICE_ABANDON : 0;
	scribe->picks_left--;
	return *scribe->picks++;
}

static const char *object_name(uint32_t object)
{
	switch (object >> 24) {
	case TOUCH_MUTEX: return "mutex";
	case TOUCH_QUEUE: return "queue";
	case TOUCH_TASK: return "task";
	case TOUCH_LIST: return "list";
	default: return "?";
	}
}

static void scribe_step_done(struct strategy *strategy, uint32_t actor,
			     const struct footprint *footprint)
{
	const struct scribe *scribe = (const struct scribe *)strategy;
	static const char *const modes[] = { "reads", "adds to", "writes", "locks", "unlocks" };
	if (!scribe->tells_steps)
		return;
	tell("(%u", actor);
	for (uint32_t i = 0; i < footprint->count; i++)
		tell(" %s %s", modes[footprint->accesses[i].mode],
		     object_name(footprint->accesses[i].object));
	tell("); ");
}

static const struct strategy_ops scribe_ops = { .begin = scribe_begin,
						.pick = scribe_pick,
						.step_done = scribe_step_done };

static enum run_end run_scribe(struct scribe *scribe, enum sched_points points)
{
	scribe->strategy.ops = &scribe_ops;
	struct choice choice;
	choice_init(&choice, &scribe->strategy, NULL);
	ck_assert(choice_begin(&choice));
	struct sched_options options = { .choice = &choice, .points = points };
	enum run_end end = sched_run(sched, &options);
	choice_release(&choice);
	return end;
}

static void yield_once(void *argument)
{
	(void)argument;
	tell_name("1");
	task_yield();
	tell_name("2");
}

START_TEST(without_a_choice_the_lowest_enabled_task_runs)
{
	sched_spawn(sched, "a", yield_once, NULL);
	sched_spawn(sched, "b", yield_once, NULL);
	ck_assert_int_eq(run_tasks(sched, SCHED_POINTS_IO), RUN_FINISHED);
	ck_assert_str_eq(story, "a 1; a 2; b 1; b 2; ");
	ck_assert_str_eq(sched_report(sched), "");
}
END_TEST

START_TEST(options_stand_in_order_of_task_number_and_forced_steps_are_not_asked)
{
	const uint32_t picks[] = { 2, 0, 1 };
	struct scribe scribe = { .picks = picks, .picks_left = 3 };
	sched_spawn(sched, "a", yield_once, NULL);
	sched_spawn(sched, "b", yield_once, NULL);
	sched_spawn(sched, "c", yield_once, NULL);
	ck_assert_int_eq(run_scribe(&scribe, SCHED_POINTS_IO), RUN_FINISHED);
	ck_assert_str_eq(story, "[1 2 3]; c 1; [1 2 3]; a 1; [1 2 3]; b 1; "
				"[1 2 3]; a 2; [2 3]; b 2; c 2; ");
}
END_TEST

static void touch_lists(void *argument)
{
	(void)argument;
	task_yield();
	touch(TOUCH_LIST, 0, ACCESS_READ);
	touch(TOUCH_LIST, 1, ACCESS_ADD);
	task_yield();
	touch(TOUCH_LIST, 0, ACCESS_WRITE);
	task_yield();
}

START_TEST(every_step_is_reported_with_what_it_touched)
{
	struct scribe scribe = { .tells_steps = true };
	sched_spawn(sched, "a", touch_lists, NULL);
	ck_assert_int_eq(run_scribe(&scribe, SCHED_POINTS_IO), RUN_FINISHED);
	ck_assert_str_eq(story,
			 "(1); (1 reads list adds to list); (1 writes list); (1 writes task); ");
}
END_TEST

static void lock_and_unlock(void *argument)
{
	(void)argument;
	touch(TOUCH_LIST, 0, ACCESS_WRITE);
	co_mutex_lock(&mutex);
	tell_name("has it");
	co_mutex_unlock(&mutex);
	task_yield();
}

START_TEST(a_lock_is_a_scheduling_point_only_when_all_points_are)
{
	struct scribe scribe = { .tells_steps = true };
	sched_spawn(sched, "a", lock_and_unlock, NULL);
	ck_assert_int_eq(run_scribe(&scribe, SCHED_POINTS_IO), RUN_FINISHED);
	sched_spawn(sched, "a", lock_and_unlock, NULL);
	tell("| ");
	ck_assert_int_eq(run_scribe(&scribe, SCHED_POINTS_ALL), RUN_FINISHED);
	ck_assert_str_eq(story,
			 "a has it; (1 writes list writes mutex reads queue); (1 writes task); | "
			 "(1 writes list); a has it; (1 reads mutex); (1 writes task); ");
}
END_TEST

/** What the injector does with a call, in short. */
static void do_io(const char *name)
{
	const struct gate *gate = gate_installed();
	const struct io_call call = { .op = IO_WRITE };
	tell("%s submits as %u; ", name, gate->actor(gate->context));
	touch(TOUCH_LIST, 0, ACCESS_READ);
	gate->before_effect(gate->context, &call);
	touch(TOUCH_LIST, 0, ACCESS_WRITE);
	tell("%s takes effect; ", name);
	gate->before_return(gate->context, &call);
	tell("%s returns; ", name);
}

static void write_once(void *argument)
{
	(void)argument;
	do_io(task_name(task_current()));
}

START_TEST(a_call_takes_effect_when_its_task_is_picked)
{
	const uint32_t picks[] = { 0, 1, 1 };
	struct scribe scribe = { .picks = picks, .picks_left = 3 };
	sched_spawn(sched, "a", write_once, NULL);
	sched_spawn(sched, "b", write_once, NULL);
	ck_assert_int_eq(run_scribe(&scribe, SCHED_POINTS_IO), RUN_FINISHED);
	ck_assert_str_eq(story, "[1 2]; a submits as 1; [1 2]; b submits as 2; [1 2]; "
				"b takes effect; b returns; a takes effect; a returns; ");
}
END_TEST

START_TEST(the_return_of_a_call_is_a_point_of_its_own_when_all_points_are)
{
	const uint32_t picks[] = { 0, 1, 1, 0 };
	struct scribe scribe = { .picks = picks, .picks_left = 4 };
	sched_spawn(sched, "a", write_once, NULL);
	sched_spawn(sched, "b", write_once, NULL);
	ck_assert_int_eq(run_scribe(&scribe, SCHED_POINTS_ALL), RUN_FINISHED);
	ck_assert_str_eq(story, "[1 2]; a submits as 1; [1 2]; b submits as 2; [1 2]; "
				"b takes effect; [1 2]; a takes effect; [1 2]; a returns; "
				"b returns; ");
}
END_TEST

START_TEST(calls_outside_tasks_go_straight_through)
{
	do_io("main");
	ck_assert_str_eq(story, "main submits as 0; main takes effect; main returns; ");
	ck_assert_ptr_null(task_current());
	ck_assert_ptr_null(sched_current());
}
END_TEST

START_TEST(a_freed_scheduler_leaves_no_gate)
{
	struct sched *other = sched_new();
	ck_assert_ptr_nonnull(gate_installed());
	sched_free(other);
	ck_assert_ptr_null(gate_installed());
	sched_free(NULL);
	/* Running installs it again. */
	sched_spawn(sched, "a", write_once, NULL);
	ck_assert_int_eq(run_tasks(sched, SCHED_POINTS_IO), RUN_FINISHED);
	ck_assert_ptr_nonnull(gate_installed());
}
END_TEST

static void spawn_two(void *argument)
{
	(void)argument;
	struct task *child = sched_spawn(sched_current(), "x", yield_once, NULL);
	sched_spawn(sched_current(), "y", yield_once, NULL);
	tell("spawned %u; ", task_number(child));
	ck_assert(!task_is_done(child));
	task_yield();
	tell("%s is %s; ", task_name(child), task_is_done(child) ? "done" : "not done");
}

START_TEST(a_spawned_task_is_ready_and_does_not_run_at_once)
{
	const uint32_t picks[] = { 1, 1 };
	struct scribe scribe = { .picks = picks, .picks_left = 2 };
	sched_spawn(sched, "a", spawn_two, NULL);
	ck_assert_int_eq(run_scribe(&scribe, SCHED_POINTS_IO), RUN_FINISHED);
	ck_assert_str_eq(story, "spawned 2; [1 2 3]; x 1; [1 2 3]; x 2; [1 3]; x is done; "
				"y 1; y 2; ");
}
END_TEST

static void lock_both(void *argument)
{
	struct co_mutex *const *locks = argument;
	co_mutex_lock(locks[0]);
	task_yield();
	co_mutex_lock(locks[1]);
	co_mutex_unlock(locks[1]);
	co_mutex_unlock(locks[0]);
}

START_TEST(a_deadlock_names_who_waits_for_what_and_who_has_it)
{
	struct co_mutex other;
	co_mutex_init(&other, "n", 0);
	struct co_mutex *there[] = { &mutex, &other };
	struct co_mutex *back[] = { &other, &mutex };
	const uint32_t picks[] = { 0, 1 };
	struct scribe scribe = { .picks = picks, .picks_left = 2 };
	sched_spawn(sched, "there", lock_both, (void *)there);
	sched_spawn(sched, "back", lock_both, (void *)back);
	ck_assert_int_eq(run_scribe(&scribe, SCHED_POINTS_IO), RUN_DEADLOCK);
	ck_assert_str_eq(sched_report(sched),
			 "deadlock: task 1 'there' waits for mutex 'n' held by task 2 'back', "
			 "which waits for mutex 'm' held by task 1 'there'");
}
END_TEST

static void begin_lock_both(struct sched *runner, void *context)
{
	static struct co_mutex locks[2];
	static struct co_mutex *orders[2][2] = { { &locks[0], &locks[1] },
						 { &locks[1], &locks[0] } };
	(void)context;
	co_mutex_init(&locks[0], "0", 0);
	co_mutex_init(&locks[1], "1", 0);
	sched_spawn(runner, "there", lock_both, (void *)orders[0]);
	sched_spawn(runner, "back", lock_both, (void *)orders[1]);
}

static void count_end(struct sched *runner, enum run_end end, void *context)
{
	uint64_t *ends = context;
	(void)runner;
	ends[end]++;
}

START_TEST(exploration_finds_every_deadlock_of_crossed_locks)
{
	uint64_t ends[RUN_DIVERGED + 1] = { 0 };
	struct exploration all = { .points = SCHED_POINTS_IO,
				   .begin = begin_lock_both,
				   .end = count_end,
				   .context = ends };
	/* Two steps each: both first steps before either second one deadlock, in 4 orders of 6. */
	ck_assert_uint_eq(explore(&all), 6);
	ck_assert_uint_eq(ends[RUN_DEADLOCK], 4);
	ck_assert_uint_eq(ends[RUN_FINISHED], 2);
}
END_TEST

static void wait_forever(void *argument)
{
	(void)argument;
	task_wait(WAIT_PARKED, "a kick", 9);
}

static void spawn_sleeper(void *argument)
{
	(void)argument;
	sched_spawn(sched_current(), "sleeper", wait_forever, NULL);
}

START_TEST(a_task_left_asleep_by_the_script_is_a_leak)
{
	sched_spawn(sched, "script", spawn_sleeper, NULL);
	ck_assert_int_eq(run_tasks(sched, SCHED_POINTS_IO), RUN_LEAKED);
	ck_assert_str_eq(sched_report(sched),
			 "lost wake-up after the end of the script: "
			 "task 2 'sleeper' is parked on 'a kick' 9 since step 2 "
			 "(which nobody ever woke)");
}
END_TEST

static void write_forever(void *argument)
{
	(void)argument;
	for (;;) {
		touch(TOUCH_LIST, 0, ACCESS_WRITE);
		task_yield();
	}
}

START_TEST(a_run_without_end_stops_at_the_bound)
{
	struct sched_options options = { .steps_max = 1000 };
	sched_spawn(sched, "a", write_forever, NULL);
	ck_assert_int_eq(sched_run(sched, &options), RUN_LIVELOCK);
	ck_assert_str_eq(sched_report(sched),
			 "the bound of 1000 steps was reached: task 1 'a' is ready");
}
END_TEST

START_TEST(an_abandoned_choice_prunes_the_run)
{
	const uint32_t picks[] = { 0 };
	struct scribe scribe = { .picks = picks, .picks_left = 1, .abandons = true };
	sched_spawn(sched, "a", yield_once, NULL);
	sched_spawn(sched, "b", yield_once, NULL);
	ck_assert_int_eq(run_scribe(&scribe, SCHED_POINTS_IO), RUN_PRUNED);
	ck_assert_str_eq(story, "[1 2]; a 1; [1 2]; ");
	sched_spawn(sched, "c", yield_once, NULL);
	ck_assert_int_eq(run_tasks(sched, SCHED_POINTS_IO), RUN_FINISHED);
}
END_TEST

static void wake_and_go_on(void *argument)
{
	task_wake(argument);
	tell_name("woke");
}

START_TEST(waking_makes_ready_and_does_not_switch)
{
	struct task *sleeper = sched_spawn(sched, "sleeper", wait_forever, NULL);
	sched_spawn(sched, "waker", wake_and_go_on, sleeper);
	ck_assert_int_eq(run_tasks(sched, SCHED_POINTS_IO), RUN_FINISHED);
	ck_assert_str_eq(story, "waker woke; ");
	sleeper = sched_spawn(sched, "sleeper", yield_once, NULL);
	sched_spawn(sched, "waker", wake_and_go_on, sleeper);
	ck_assert_int_eq(run_tasks(sched, SCHED_POINTS_IO), RUN_DIED);
	ck_assert_ptr_nonnull(
		strstr(sched_report(sched), "assertion 'task->state == TASK_SLEEPING'"));
}
END_TEST

START_TEST(there_is_room_for_as_many_tasks_as_a_choice_has_options)
{
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < SCHED_TASKS_MAX; i++)
			ck_assert_ptr_nonnull(sched_spawn(sched, "t", lock_and_unlock, NULL));
		ck_assert_ptr_null(sched_spawn(sched, "t", lock_and_unlock, NULL));
		ck_assert_int_eq(run_tasks(sched, SCHED_POINTS_IO), RUN_FINISHED);
		story[0] = '\0';
	}
}
END_TEST

static void spawn_next(void *argument)
{
	uint32_t *left = argument;
	if (--*left)
		sched_spawn(sched_current(), "next", spawn_next, left);
}

START_TEST(a_run_may_spawn_thousands_one_after_the_other)
{
	uint32_t left = 5000;
	sched_spawn(sched, "first", spawn_next, &left);
	ck_assert_int_eq(run_tasks(sched, SCHED_POINTS_IO), RUN_FINISHED);
	ck_assert_uint_eq(left, 0);
	struct task *task = sched_spawn(sched, "again", yield_once, NULL);
	ck_assert_uint_eq(task_number(task), 1);
	ck_assert_int_eq(run_tasks(sched, SCHED_POINTS_IO), RUN_FINISHED);
}
END_TEST

/* Events. */

/** The log in short; a name or text follows in quotes. */
static void tell_log(const struct event_log *log)
{
	for (size_t i = 0; i < log->count; i++) {
		const struct event *event = &log->events[i];
		tell("%s %u", event_kind_name(event->kind), event->actor);
		if (event->kind == EVENT_WAIT)
			tell(" %s %u", wait_kind_name(event->op), event->id);
		if (event->kind == EVENT_END)
			tell(" %s", run_end_name(event->op));
		if (event->data_bytes)
			tell(" '%.*s'", (int)event->data_bytes,
			     (const char *)event_data(log, event));
		tell("; ");
	}
}

static void hold(void *argument)
{
	(void)argument;
	touch(TOUCH_LIST, 0, ACCESS_READ);
	co_mutex_lock(&mutex);
	task_yield();
	co_mutex_unlock(&mutex);
}

/** Run two contenders under `schedule_text` with a session; the log's digest. */
static uint64_t run_recorded(struct event_log *log, const char *schedule_text)
{
	struct schedule schedule;
	struct choice choice;
	struct why why;
	schedule_init(&schedule);
	ck_assert_int_eq(schedule_parse(&schedule, schedule_text, &why), STATUS_OK);
	struct strategy *strategy = strategy_replay_new(&schedule);
	choice_init(&choice, strategy, NULL);
	ck_assert(choice_begin(&choice));
	event_log_reset(log);
	session_begin(&(struct session_options){ .log = log, .choice = &choice });
	co_mutex_init(&mutex, "m", 0);
	sched_spawn(sched, "a", hold, NULL);
	sched_spawn(sched, "b", hold, NULL);
	sched_spawn(sched, "c", wait_forever, NULL);
	struct sched_options options = { .choice = &choice, .points = SCHED_POINTS_ALL };
	ck_assert_int_eq(sched_run(sched, &options), RUN_LEAKED);
	session_end();
	choice_release(&choice);
	strategy_free(strategy);
	schedule_release(&schedule);
	return event_log_digest(log);
}

START_TEST(switches_waits_and_the_end_are_recorded)
{
	struct event_log log;
	event_log_init(&log);
	run_recorded(&log, "s1:0011");
	tell_log(&log);
	ck_assert_str_eq(
		story,
		"switch 1 'a'; switch 2 'b'; switch 3 'c'; wait 3 parked 9 'a kick'; "
		"switch 1; switch 2; "
		"end 0 leaked 'lost wake-up after the end of the script: "
		"task 3 'c' is parked on 'a kick' 9 since step 4 (which nobody ever woke)'; ");
	event_log_release(&log);
}
END_TEST

START_TEST(equal_schedules_give_equal_logs)
{
	struct event_log log;
	event_log_init(&log);
	const char *const schedules[] = { "s1:", "s1:1", "s1:0101", "s1:21", "s1:11111" };
	uint64_t digests[5];
	for (size_t i = 0; i < 5; i++)
		digests[i] = run_recorded(&log, schedules[i]);
	for (int round = 0; round < 20; round++)
		for (size_t i = 0; i < 5; i++)
			ck_assert(run_recorded(&log, schedules[i]) == digests[i]);
	ck_assert(digests[0] != digests[1]);
	event_log_release(&log);
}
END_TEST

static void begin_random(struct sched *runner)
{
	co_mutex_init(&mutex, "m", 0);
	for (int i = 0; i < 5; i++)
		sched_spawn(runner, "t", hold, NULL);
}

START_TEST(runs_told_to_run_twice_never_differ)
{
	const uint64_t seed = 20;
	struct event_log log;
	struct choice choice;
	event_log_init(&log);
	struct strategy *strategy = strategy_twice_new(strategy_random_new(seed, 300));
	choice_init(&choice, strategy, &log);
	int runs = 0;
	for (; choice_begin(&choice); runs++) {
		event_log_reset(&log);
		session_begin(&(struct session_options){ .log = &log, .choice = &choice });
		begin_random(sched);
		struct sched_options options = { .choice = &choice, .points = SCHED_POINTS_ALL };
		enum run_end end = sched_run(sched, &options);
		session_end();
		choice_end(&choice, end, event_log_digest(&log));
		const char *complaint = strategy->ops->complaint(strategy);
		ck_assert_msg(!complaint, "seed %llu: %s", (unsigned long long)seed, complaint);
	}
	ck_assert_int_eq(runs, 600);
	choice_release(&choice);
	strategy_free(strategy);
	event_log_release(&log);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sched");
	TCase *tcase = tcase_create("sched");
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, without_a_choice_the_lowest_enabled_task_runs);
	tcase_add_test(tcase, options_stand_in_order_of_task_number_and_forced_steps_are_not_asked);
	tcase_add_test(tcase, every_step_is_reported_with_what_it_touched);
	tcase_add_test(tcase, a_lock_is_a_scheduling_point_only_when_all_points_are);
	tcase_add_test(tcase, a_call_takes_effect_when_its_task_is_picked);
	tcase_add_test(tcase, the_return_of_a_call_is_a_point_of_its_own_when_all_points_are);
	tcase_add_test(tcase, calls_outside_tasks_go_straight_through);
	tcase_add_test(tcase, a_freed_scheduler_leaves_no_gate);
	tcase_add_test(tcase, a_spawned_task_is_ready_and_does_not_run_at_once);
	tcase_add_test(tcase, a_deadlock_names_who_waits_for_what_and_who_has_it);
	tcase_add_test(tcase, exploration_finds_every_deadlock_of_crossed_locks);
	tcase_add_test(tcase, a_task_left_asleep_by_the_script_is_a_leak);
	tcase_add_test(tcase, a_run_without_end_stops_at_the_bound);
	tcase_add_test(tcase, an_abandoned_choice_prunes_the_run);
	tcase_add_test(tcase, waking_makes_ready_and_does_not_switch);
	tcase_add_test(tcase, there_is_room_for_as_many_tasks_as_a_choice_has_options);
	tcase_add_test(tcase, a_run_may_spawn_thousands_one_after_the_other);
	tcase_add_test(tcase, switches_waits_and_the_end_are_recorded);
	tcase_add_test(tcase, equal_schedules_give_equal_logs);
	tcase_add_test(tcase, runs_told_to_run_twice_never_differ);
	return run_case(suite, tcase);
}
