// SPDX-License-Identifier: MIT
#include "engine/coroutine/co_mutex.h"

#include "engine/scheduler/touch.h"
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

static void hold_over_a_yield(void *argument)
{
	(void)argument;
	co_mutex_lock(&mutex);
	tell_name("has it");
	ck_assert(co_mutex_is_mine(&mutex));
	task_yield();
	co_mutex_unlock(&mutex);
	ck_assert(!co_mutex_is_mine(&mutex));
	tell_name("gave it");
}

START_TEST(unlock_hands_over_in_order_of_arrival_and_does_not_switch)
{
	sched_spawn(sched, "a", hold_over_a_yield, NULL);
	sched_spawn(sched, "b", hold_over_a_yield, NULL);
	sched_spawn(sched, "c", hold_over_a_yield, NULL);
	struct choice choice;
	struct schedule schedule;
	schedule_init(&schedule);
	/* a locks, then c queues before b. */
	const uint32_t picks[][2] = { { 0, 3 }, { 2, 3 }, { 1, 2 } };
	for (size_t i = 0; i < 3; i++)
		schedule_append(&schedule, picks[i][0], picks[i][1]);
	struct strategy *strategy = strategy_replay_new(&schedule);
	choice_init(&choice, strategy, NULL);
	ck_assert(choice_begin(&choice));
	struct sched_options options = { .choice = &choice };
	ck_assert_int_eq(sched_run(sched, &options), RUN_FINISHED);
	ck_assert_str_eq(story, "a has it; a gave it; c has it; c gave it; b has it; b gave it; ");
	choice_release(&choice);
	strategy_free(strategy);
	schedule_release(&schedule);
}
END_TEST

static void barge(void *argument)
{
	(void)argument;
	co_mutex_lock(&mutex);
	tell_name("has it");
	task_yield();
	co_mutex_unlock(&mutex);
	tell_name("gave it");
	/* The mutex belongs to the waiter already, though it has not run yet. */
	co_mutex_lock(&mutex);
	tell_name("has it again");
	co_mutex_unlock(&mutex);
}

START_TEST(a_releaser_that_locks_again_goes_behind_the_waiter)
{
	sched_spawn(sched, "a", barge, NULL);
	sched_spawn(sched, "b", hold_over_a_yield, NULL);
	struct schedule schedule;
	schedule_init(&schedule);
	schedule_append(&schedule, 0, 2);
	schedule_append(&schedule, 1, 2);
	struct strategy *strategy = strategy_replay_new(&schedule);
	struct choice choice;
	choice_init(&choice, strategy, NULL);
	ck_assert(choice_begin(&choice));
	struct sched_options options = { .choice = &choice };
	ck_assert_int_eq(sched_run(sched, &options), RUN_FINISHED);
	ck_assert_str_eq(story, "a has it; a gave it; b has it; b gave it; a has it again; ");
	choice_release(&choice);
	strategy_free(strategy);
	schedule_release(&schedule);
}
END_TEST

/** A small program: `tasks` tasks, each with `sections` critical sections. */
struct program {
	uint32_t tasks;
	uint32_t sections;
	bool yields;  /* inside each section */
	bool touches; /* each section says that it changes what tasks share */
	uint32_t inside;
	uint32_t entered;
};

static struct program program;

static void run_sections(void *argument)
{
	const struct program *plan = argument;
	for (uint32_t i = 0; i < plan->sections; i++) {
		co_mutex_lock(&mutex);
		program.inside++;
		ck_assert_uint_eq(program.inside, 1);
		program.entered++;
		if (plan->touches)
			touch(TOUCH_WORLD, 0, ACCESS_WRITE);
		if (plan->yields)
			task_yield();
		program.inside--;
		co_mutex_unlock(&mutex);
	}
}

static void begin_program(struct sched *runner, void *context)
{
	program = *(struct program *)context;
	co_mutex_init(&mutex, "m", 0);
	for (uint32_t i = 0; i < program.tasks; i++)
		sched_spawn(runner, "t", run_sections, context);
}

static void end_program(struct sched *runner, enum run_end end, void *context)
{
	const struct program *plan = context;
	(void)runner;
	ck_assert_int_eq(end, RUN_FINISHED);
	ck_assert(program.entered == plan->tasks * plan->sections);
	co_mutex_destroy(&mutex);
}

static uint64_t factorial(uint64_t n)
{
	return n < 2 ? 1 : n * factorial(n - 1);
}

/** Orders of `tasks` sequences of `length` steps each. */
static uint64_t interleavings(uint64_t tasks, uint64_t length)
{
	uint64_t count = factorial(tasks * length);
	for (uint64_t i = 0; i < tasks; i++)
		count /= factorial(length);
	return count;
}

static const struct program shapes[] = {
	{ .tasks = 1, .sections = 3 }, { .tasks = 2, .sections = 1 }, { .tasks = 2, .sections = 2 },
	{ .tasks = 2, .sections = 3 }, { .tasks = 2, .sections = 4 }, { .tasks = 3, .sections = 1 },
	{ .tasks = 3, .sections = 2 }, { .tasks = 4, .sections = 1 },
};

START_TEST(every_interleaving_of_lock_sections_is_run_exactly_once)
{
	struct program plan = shapes[_i];
	struct exploration all = { .points = SCHED_POINTS_ALL,
				   .begin = begin_program,
				   .end = end_program,
				   .context = &plan };
	/* A task's steps: up to its first lock, and one section each. */
	ck_assert_uint_eq(explore(&all), interleavings(plan.tasks, plan.sections + 1));
}
END_TEST

static uint64_t count_pruned(struct program *plan)
{
	struct exploration pruned = { .points = SCHED_POINTS_ALL,
				      .prune = true,
				      .begin = begin_program,
				      .end = end_program,
				      .context = plan };
	return explore(&pruned);
}

START_TEST(pruned_search_runs_each_order_of_the_sections_once)
{
	struct program plan = shapes[_i];
	plan.touches = true;
	ck_assert_uint_eq(count_pruned(&plan), interleavings(plan.tasks, plan.sections));
}
END_TEST

START_TEST(pruned_search_runs_sections_once_that_touch_nothing)
{
	struct program plan = shapes[_i];
	ck_assert_uint_eq(count_pruned(&plan), 1);
}
END_TEST

/* A second, independent account of a FIFO mutex with a yield in each section: the tasks of `model`
 * as counters only. */

enum { MODEL_TASKS_MAX = 4 };

enum model_place { BEFORE_LOCK, QUEUED, GRANTED, INSIDE, OUT };

struct model {
	uint32_t tasks;
	uint32_t sections_left[MODEL_TASKS_MAX];
	enum model_place place[MODEL_TASKS_MAX];
	uint32_t queue[MODEL_TASKS_MAX];
	uint32_t queued;
	bool is_held;
};

static void model_lock(struct model *model, uint32_t task)
{
	if (model->is_held) {
		model->queue[model->queued++] = task;
		model->place[task] = QUEUED;
		return;
	}
	model->is_held = true;
	model->place[task] = INSIDE;
}

static void model_unlock(struct model *model, uint32_t task)
{
	model->is_held = model->queued > 0;
	if (model->is_held) {
		model->place[model->queue[0]] = GRANTED;
		model->queued--;
		memmove(model->queue, model->queue + 1, sizeof(uint32_t) * model->queued);
	}
	if (--model->sections_left[task] == 0)
		model->place[task] = OUT;
	else
		model_lock(model, task);
}

static uint64_t model_count(const struct model *model)
{
	uint64_t count = 0;
	bool is_over = true;
	for (uint32_t task = 0; task < model->tasks; task++) {
		struct model next = *model;
		switch (model->place[task]) {
		case QUEUED: is_over = false; continue;
		case OUT: continue;
		case BEFORE_LOCK: model_lock(&next, task); break;
		case GRANTED: next.place[task] = INSIDE; break;
		case INSIDE: model_unlock(&next, task); break;
		}
		is_over = false;
		count += model_count(&next);
	}
	return is_over ? 1 : count;
}

/** Interleavings of the program; without points at locks a task's first step locks at once. */
static uint64_t model_interleavings(const struct program *plan)
{
	struct model model = { .tasks = plan->tasks };
	for (uint32_t task = 0; task < plan->tasks; task++)
		model.sections_left[task] = plan->sections;
	return model_count(&model);
}

START_TEST(contended_interleavings_are_as_many_as_a_model_of_the_lock_counts)
{
	struct program plan = shapes[_i];
	if (plan.tasks * plan.sections > 6)
		return;
	plan.yields = true;
	struct exploration all = { .points = SCHED_POINTS_IO,
				   .begin = begin_program,
				   .end = end_program,
				   .context = &plan };
	ck_assert_uint_eq(explore(&all), model_interleavings(&plan));
}
END_TEST

static void lock_twice(void *argument)
{
	(void)argument;
	co_mutex_lock(&mutex);
	co_mutex_lock(&mutex);
}

static void unlock_only(void *argument)
{
	(void)argument;
	co_mutex_unlock(&mutex);
}

static void overwrite_and_lock(void *argument)
{
	(void)argument;
	memset(&mutex, ARENA_POISON, sizeof(mutex));
	co_mutex_lock(&mutex);
}

static void destroy_held(void *argument)
{
	(void)argument;
	co_mutex_lock(&mutex);
	co_mutex_destroy(&mutex);
}

static const struct {
	void (*body)(void *argument);
	const char *report;
} misuses[] = {
	{ lock_twice, "a mutex is not taken twice" },
	{ unlock_only, "only its holder unlocks" },
	{ overwrite_and_lock, "assertion 'is_live(mutex)' failed" },
	{ destroy_held, "nobody holds a destroyed mutex" },
};

START_TEST(misuse_ends_the_run)
{
	sched_spawn(sched, "a", misuses[_i].body, NULL);
	ck_assert_int_eq(run_tasks(sched, SCHED_POINTS_ALL), RUN_DIED);
	ck_assert_ptr_nonnull(strstr(sched_report(sched), misuses[_i].report));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("co_mutex");
	TCase *tcase = tcase_create("co_mutex");
	const int shape_count = sizeof(shapes) / sizeof(shapes[0]);
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, unlock_hands_over_in_order_of_arrival_and_does_not_switch);
	tcase_add_test(tcase, a_releaser_that_locks_again_goes_behind_the_waiter);
	tcase_add_loop_test(tcase, every_interleaving_of_lock_sections_is_run_exactly_once, 0,
			    shape_count);
	tcase_add_loop_test(tcase, pruned_search_runs_each_order_of_the_sections_once, 0,
			    shape_count);
	tcase_add_loop_test(tcase, pruned_search_runs_sections_once_that_touch_nothing, 0,
			    shape_count);
	tcase_add_loop_test(tcase,
			    contended_interleavings_are_as_many_as_a_model_of_the_lock_counts, 0,
			    shape_count);
	tcase_add_loop_test(tcase, misuse_ends_the_run, 0, 4);
	return run_case(suite, tcase);
}
