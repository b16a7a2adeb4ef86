// SPDX-License-Identifier: MIT
/* The loop that runs tasks, one step at a time.
 *
 *     who is enabled?  ->  choice point  ->  SWITCH event  ->  run one step  ->  report footprint
 *
 * A task runs until it leaves its step (task.c), ends, or dies (death.c). Between steps no task
 * runs, so every decision is taken here, on the stack of sched_run()'s caller.
 *
 * Determinism: options stand in the order of task numbers, numbers in the order of spawns, and
 * coroutines get the lowest free stack. Nothing else enters a decision, so equal picks give equal
 * runs.
 *
 * A decision costs one pass over the live tasks and allocates nothing: task structs stay from run
 * to run, as do stacks.
 *
 * Footprints: the loop clears the injector's footprint before a step and reports it after. Locks,
 * queues and the injector note what they touch. The loop adds two things that they cannot know. The
 * last step of a task changes what task_is_done() says, so it touches shared memory. And a step
 * that died depends on everything.
 */
#include "engine/scheduler/sched.h"

#include "engine/scheduler/death.h"
#include "engine/scheduler/sched_private.h"
#include "injector/session.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_MAX_DEFAULT = 100000, TASKS_IN_ALL_MAX = 1 << 20 };

struct sched *sched_running;

struct sched *sched_new(void)
{
	struct sched *sched = calloc(1, sizeof(*sched));
	if (!sched)
		return NULL;
	sched_init_gate(sched);
	gate_install(&sched->gate);
	return sched;
}

/** Free what is left of all tasks and begin to count anew. */
static void drop_tasks(struct sched *sched)
{
	for (uint32_t i = 0; i < sched->live_count; i++)
		coro_free(sched->live[i]->coro);
	sched->live_count = 0;
	sched->task_count = 0;
	sched->switched = NULL;
}

void sched_free(struct sched *sched)
{
	if (!sched)
		return;
	assert(sched != sched_running);
	drop_tasks(sched);
	if (gate_installed() == &sched->gate)
		gate_install(NULL);
	for (uint32_t i = 0; i < sched->chunk_count; i++)
		free(sched->chunks[i]);
	free(sched->chunks);
	free(sched);
}

/** Where task `number` (from 1) of any run lives. */
static struct task *task_slot(const struct sched *sched, uint32_t number)
{
	return &sched->chunks[(number - 1) / TASKS_PER_CHUNK][(number - 1) % TASKS_PER_CHUNK];
}

/** Make room for one more task struct. False when memory is short. */
static bool reserve_task(struct sched *sched)
{
	if (sched->task_count < sched->chunk_count * TASKS_PER_CHUNK)
		return true;
	if (sched->task_count >= TASKS_IN_ALL_MAX)
		return false;
	struct task **chunks =
		realloc(sched->chunks, (sched->chunk_count + 1) * sizeof(struct task *));
	if (!chunks)
		return false;
	sched->chunks = chunks;
	chunks[sched->chunk_count] = calloc(TASKS_PER_CHUNK, sizeof(struct task));
	if (!chunks[sched->chunk_count])
		return false;
	sched->chunk_count++;
	return true;
}

/** A coroutine's whole life. */
static void run_body(void *argument)
{
	const struct task *task = argument;
	task->body(task->argument);
}

struct task *sched_spawn(struct sched *sched, const char *name, void (*body)(void *argument),
			 void *argument)
{
	if (sched->live_count == SCHED_TASKS_MAX || !reserve_task(sched))
		return NULL;
	uint32_t number = sched->task_count + 1;
	struct task *task = task_slot(sched, number);
	struct coro *coro = coro_new(run_body, task);
	if (!coro)
		return NULL;
	*task = (struct task){ .sched = sched,
			       .coro = coro,
			       .name = name,
			       .body = body,
			       .argument = argument,
			       .number = number,
			       .state = TASK_READY };
	sched->task_count = number;
	sched->live[sched->live_count++] = task;
	/* Who spawns first gets the lower number. */
	task_touch_shared();
	return task;
}

/** List the enabled tasks. Returns how many. */
static uint32_t collect_enabled(struct sched *sched)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < sched->live_count; i++) {
		struct task *task = sched->live[i];
		if (task->state != TASK_READY && task->state != TASK_AT_GATE)
			continue;
		sched->enabled[count] = task;
		sched->actors[count] = task->number;
		count++;
	}
	return count;
}

/** Choose one of `count` enabled tasks; NULL when the run was abandoned. */
static struct task *choose(struct sched *sched, uint32_t count)
{
	const struct choice_point point = { .kind = CHOICE_RUN,
					    .count = count,
					    .actors = sched->actors };
	if (!sched->options.choice)
		return sched->enabled[0];
	uint32_t pick = choice_pick(sched->options.choice, &point);
	return pick == CHOICE_ABANDON ? NULL : sched->enabled[pick];
}

static void record_switch(struct sched *sched, struct task *task)
{
	if (sched->switched == task)
		return;
	sched->switched = task;
	const struct event event = { .kind = EVENT_SWITCH, .actor = task->number };
	size_t name_bytes = task->is_announced ? 0 : strlen(task->name);
	session_record(&event, name_bytes ? task->name : NULL, name_bytes);
	task->is_announced = true;
}

/** Take a task that is done off the list, and give its stack back. */
static void retire(struct sched *sched, struct task *task)
{
	uint32_t place = 0;
	while (sched->live[place] != task)
		place++;
	sched->live_count--;
	memmove(&sched->live[place], &sched->live[place + 1],
		(sched->live_count - place) * sizeof(struct task *));
	coro_free(task->coro);
	task->coro = NULL;
	task->state = TASK_DONE;
}

/** Run one step of `task`. False when it died. */
static bool step(struct sched *sched, struct task *task)
{
	struct footprint *footprint = session_footprint();
	*footprint = (struct footprint){ 0 };
	record_switch(sched, task);
	sched->steps++;
	task->state = TASK_RUNNING;
	sched->current = task;
	bool is_alive = coro_resume(task->coro);
	sched->current = NULL;
	const struct death *death = is_alive ? NULL : death_last();
	if (death) {
		footprint->ordered = true;
		sched_report_death(sched, task, death->text);
	}
	if (!is_alive) {
		footprint->shared = true;
		retire(sched, task);
	}
	if (sched->options.choice)
		choice_step_done(sched->options.choice, footprint);
	return !death;
}

/** How a run ends in which nobody is enabled. */
static enum run_end end_of_work(struct sched *sched)
{
	if (!sched->live_count)
		return RUN_FINISHED;
	if (task_slot(sched, 1)->state == TASK_DONE) {
		sched_report_tasks(sched, "the script ended and left tasks behind");
		return RUN_LEAKED;
	}
	sched_report_tasks(sched, "deadlock");
	return RUN_DEADLOCK;
}

static enum run_end run_steps(struct sched *sched)
{
	uint64_t steps_max = sched->options.steps_max;
	if (!steps_max)
		steps_max = STEPS_MAX_DEFAULT;
	for (;;) {
		/* A fault's choice may have been abandoned inside the last step. */
		if (sched->options.choice && sched->options.choice->abandoned)
			return RUN_PRUNED;
		uint32_t count = collect_enabled(sched);
		if (!count)
			return end_of_work(sched);
		if (sched->steps >= steps_max) {
			sched_report_tasks(sched, "the bound on steps was reached");
			return RUN_LIVELOCK;
		}
		struct task *task = choose(sched, count);
		if (!task)
			return RUN_PRUNED;
		if (!step(sched, task))
			return RUN_DIED;
	}
}

/** Look for writes to freed objects; one turns any end into a death. */
static enum run_end check_arena(struct sched *sched, enum run_end end)
{
	const void *object = NULL;
	if (!sched->options.arena || arena_is_intact(sched->options.arena, &object))
		return end;
	char damage[128];
	arena_explain(sched->options.arena, object, damage, sizeof(damage));
	sched_report_damage(sched, damage);
	return RUN_DIED;
}

static void record_end(const struct sched *sched, enum run_end end)
{
	const struct death *death = death_last();
	uint32_t stack = 0;
	if (end == RUN_DIED && death)
		stack = death->stack;
	else if (end == RUN_DEADLOCK || end == RUN_LEAKED)
		stack = sched->live[0]->stack;
	const struct event event = { .kind = EVENT_END, .op = (uint8_t)end, .stack = stack };
	session_record(&event, sched->report, strlen(sched->report));
}

enum run_end sched_run(struct sched *sched, const struct sched_options *options)
{
	assert(!sched_running && "one run at a time");
	sched_running = sched;
	sched->options = *options;
	sched->steps = 0;
	sched->report[0] = '\0';
	gate_install(&sched->gate);
	death_arm(options->labels, &sched->steps);
	enum run_end end = run_steps(sched);
	death_disarm();
	end = check_arena(sched, end);
	record_end(sched, end);
	drop_tasks(sched);
	sched_running = NULL;
	return end;
}

const char *sched_report(const struct sched *sched)
{
	return sched->report;
}
