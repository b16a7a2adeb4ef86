// SPDX-License-Identifier: MIT
/* The loop that runs tasks, one step at a time.
 *
 *     who is enabled?  ->  choice point  ->  SWITCH event  ->  run one step  ->  report footprint
 *
 * A task runs until it leaves its step (task.c), ends, or dies (death.c). Between steps no task
 * runs, so every decision is taken here, on the stack of sched_run()'s caller.
 *
 * Determinism: options stand in the order of task numbers, and numbers, slots and stacks depend on
 * nothing but who spawned whom. Nothing else enters a decision, so equal picks give equal runs; and
 * the same task is found in the same place whatever the others did before.
 *
 * A decision costs one pass over the live tasks and allocates nothing: task structs stay from run
 * to run, as do stacks.
 *
 * Footprints: the loop clears the injector's footprint before a step and reports it after. Those
 * who touch what tasks share say so (touch.h). The loop adds what they cannot know. The last step
 * of a task changes what task_is_done() says. A step that died depends on everything. And a task
 * that was spawned or woken runs behind the step that did it, whatever either touched.
 */
#include "engine/scheduler/sched.h"

#include "engine/scheduler/death.h"
#include "engine/scheduler/sched_private.h"
#include "engine/scheduler/touch.h"
#include "injector/session.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	STEPS_MAX_DEFAULT = 100000,
	UNSLOTTED_MAX = 1 << 20,
	/* Numbers and slots: see sched_spawn(). */
	FLAT_MAX = 256,    /* numbers without a thousand */
	PARENTS_MAX = 32,  /* tasks whose children have numbers of their own */
	CHILDREN_MAX = 8,  /* how many of them */
	CHILD_STEP = 1000, /* between their numbers */
	UNSLOTTED_FROM = 100000,
	FOLLOWED_STEP = 2, /* see task_follow() */
};

_Static_assert(FLAT_MAX + PARENTS_MAX * CHILDREN_MAX == SCHED_SLOTS, "a slot for each number");

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
	sched->unslotted = 0;
	sched->roots = 0;
	sched->first = NULL;
	sched->newest = NULL;
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

/** The next task without a slot. NULL when memory is short. */
static struct task *next_unslotted(struct sched *sched)
{
	uint32_t index = sched->unslotted;
	if (index < sched->chunk_count * TASKS_PER_CHUNK)
		return &sched->chunks[index / TASKS_PER_CHUNK][index % TASKS_PER_CHUNK];
	if (index >= UNSLOTTED_MAX)
		return NULL;
	struct task **chunks =
		realloc(sched->chunks, (sched->chunk_count + 1) * sizeof(struct task *));
	if (!chunks)
		return NULL;
	sched->chunks = chunks;
	chunks[sched->chunk_count] = calloc(TASKS_PER_CHUNK, sizeof(struct task));
	return chunks[sched->chunk_count] ? chunks[sched->chunk_count++] : NULL;
}

/** Number and slot of the next task that the running one spawns; without room for it, slot
 * SCHED_SLOTS. */
static void number_task(const struct sched *sched, uint32_t *number, uint32_t *slot)
{
	const struct task *parent = sched->current;
	*slot = SCHED_SLOTS;
	if (!parent || parent == sched->first) {
		*number = sched->roots + (parent ? parent->children : 0) + 1;
		if (*number <= FLAT_MAX)
			*slot = *number - 1;
	} else if (parent->number <= PARENTS_MAX && parent->children < CHILDREN_MAX) {
		*number = parent->number + (parent->children + 1) * CHILD_STEP;
		*slot = FLAT_MAX + parent->children * PARENTS_MAX + parent->number - 1;
	}
	if (*slot == SCHED_SLOTS)
		*number = UNSLOTTED_FROM + sched->unslotted + 1;
}

/** Put `task` on the list of those that are not done, in order of number. */
static void enlist(struct sched *sched, struct task *task)
{
	uint32_t place = sched->live_count++;
	for (; place > 0 && sched->live[place - 1]->number > task->number; place--)
		sched->live[place] = sched->live[place - 1];
	sched->live[place] = task;
}

/** Count the new task where the numbers of the next ones come from. */
static void count_task(struct sched *sched, struct task *task)
{
	if (sched->current)
		sched->current->children++;
	else
		sched->roots++;
	if (!sched->first)
		sched->first = task;
	task->older = sched->newest;
	sched->newest = task;
	if (task->slot < SCHED_SLOTS)
		return;
	sched->unslotted++;
	touch(TOUCH_SPAWN, 0, ACCESS_WRITE);
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
	uint32_t number = 0, slot = SCHED_SLOTS;
	number_task(sched, &number, &slot);
	struct task *task = slot < SCHED_SLOTS ? &sched->slots[slot] : next_unslotted(sched);
	if (!task || sched->live_count == SCHED_TASKS_MAX)
		return NULL;
	struct coro *coro = coro_new(run_body, task, slot);
	if (!coro)
		return NULL;
	*task = (struct task){ .sched = sched,
			       .coro = coro,
			       .name = name,
			       .body = body,
			       .argument = argument,
			       .number = number,
			       .slot = slot,
			       .state = TASK_READY,
			       .enabled_by = sched->current ? sched->steps : 0 };
	enlist(sched, task);
	count_task(sched, task);
	return task;
}

void task_follow(struct task *task, struct task *leader)
{
	assert(task->taken == 0 && !leader->is_leader);
	task->leader = leader;
	leader->is_leader = true;
}

/** Would the task's next step overtake the leader's of that number? */
static bool would_overtake(const struct task *task)
{
	return task->leader && task->taken == FOLLOWED_STEP - 1 &&
	       task->leader->taken < FOLLOWED_STEP && task->leader->state != TASK_DONE;
}

bool task_is_enabled(const struct task *task)
{
	if (task->retry.is_blocked || would_overtake(task))
		return false;
	if (task->state == TASK_AT_LOCK)
		return !*task->awaited;
	if (task->state == TASK_AT_LATCH)
		return !*task->awaited_count;
	return task->state == TASK_READY || task->state == TASK_AT_GATE;
}

/** List the enabled tasks. Returns how many. */
static uint32_t collect_enabled(struct sched *sched)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < sched->live_count; i++) {
		struct task *task = sched->live[i];
		if (!task_is_enabled(task))
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

/** Let those look again who look at something that the step with this footprint has changed. */
static void release_retries(struct sched *sched, const struct footprint *footprint)
{
	for (uint32_t i = 0; i < sched->live_count; i++) {
		struct task *task = sched->live[i];
		if (!task->retry.place || !footprint_conflict(&task->retry.reads, footprint))
			continue;
		if (task->retry.is_blocked)
			task->enabled_by = sched->steps;
		retry_reset(&task->retry);
	}
}

/** Follow up a step of `task`. `spawned`: so many tasks. */
static void watch_retries(struct sched *sched, struct task *task, uint32_t spawned)
{
	const struct footprint *footprint = session_footprint();
	bool goes_on = task->state != TASK_DONE && task->state != TASK_SLEEPING;
	if (!goes_on || spawned || !retry_is_quiet(footprint)) {
		retry_reset(&task->retry);
		release_retries(sched, footprint);
		return;
	}
	size_t stack_bytes = 0;
	const uint8_t *stack = coro_live_stack(task->coro, &stack_bytes);
	retry_note_step(&task->retry, sched->steps, footprint, stack, stack_bytes);
}

/** Whoever follows has waited for the leader's step: a latch. */
static void touch_leader(const struct task *task)
{
	bool is_last = task->state == TASK_DONE && task->taken < FOLLOWED_STEP;
	if (task->is_leader && (task->taken == FOLLOWED_STEP || is_last))
		footprint_unlock(session_footprint(), footprint_object(TOUCH_LEADER, task->number));
	if (task->leader && task->taken == FOLLOWED_STEP)
		touch(TOUCH_LEADER, task->leader->number, ACCESS_READ);
}

/** Run one step of `task`. False when it died. */
static bool step(struct sched *sched, struct task *task)
{
	struct footprint *footprint = session_footprint();
	uint64_t enabled_by = task->enabled_by;
	uint32_t children = task->children;
	footprint_clear(footprint);
	task->enabled_by = 0;
	record_switch(sched, task);
	task->ran_at = ++sched->steps;
	task->taken++;
	if (sched->options.arena)
		arena_select(sched->options.arena, task->slot + 1);
	if (sched->options.between_steps)
		coro_clear_dead(task->coro);
	task->state = TASK_RUNNING;
	sched->current = task;
	errno = 0; /* what others' calls left there is not the task's */
	bool is_alive = coro_resume(task->coro);
	sched->current = NULL;
	if (sched->options.arena)
		arena_select(sched->options.arena, 0);
	const struct death *death = is_alive ? NULL : death_last();
	if (death) {
		footprint->everything = true;
		sched_report_death(sched, task, death->text);
	}
	if (!is_alive) {
		touch(TOUCH_TASK, task->number, ACCESS_WRITE);
		retire(sched, task);
	}
	touch_leader(task);
	watch_retries(sched, task, task->children - children);
	if (sched->options.choice)
		choice_step_done(sched->options.choice, footprint, (uint32_t)enabled_by);
	return !death;
}

/** Let tasks that are blocked in retry loops go round once more. Returns whether there are any. */
static bool try_again(struct sched *sched)
{
	bool any = false;
	for (uint32_t i = 0; i < sched->live_count; i++)
		any |= retry_try_again(&sched->live[i]->retry) && task_is_enabled(sched->live[i]);
	return any;
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
		if (sched->options.between_steps)
			sched->options.between_steps(sched->options.context, sched->steps);
		uint32_t count = collect_enabled(sched);
		if (!count && try_again(sched))
			continue;
		if (!count)
			return sched->live_count ? sched_report_stuck(sched) : RUN_FINISHED;
		if (sched->steps >= steps_max) {
			sched_report_endless(sched, steps_max);
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
	else if (end == RUN_DEADLOCK || end == RUN_LEAKED || end == RUN_LIVELOCK)
		stack = sched->blamed->stack;
	const struct event event = { .kind = EVENT_END, .op = (uint8_t)end, .stack = stack };
	session_record(&event, sched->report, strlen(sched->report));
}

/** Tell the search of those who stand in front of a held mutex. */
static void tell_stuck(struct sched *sched)
{
	if (!sched->options.choice)
		return;
	for (uint32_t i = 0; i < sched->live_count; i++) {
		const struct task *task = sched->live[i];
		if (task->state == TASK_AT_LOCK && *task->awaited)
			choice_stuck(sched->options.choice, task->number,
				     footprint_object(TOUCH_MUTEX, task->awaited_object));
	}
}

enum run_end sched_run(struct sched *sched, const struct sched_options *options)
{
	sched->steps = 0;
	return sched_continue(sched, options);
}

enum run_end sched_continue(struct sched *sched, const struct sched_options *options)
{
	assert(!sched_running && "one run at a time");
	sched_running = sched;
	sched->options = *options;
	sched->report[0] = '\0';
	gate_install(&sched->gate);
	death_arm(options->labels, &sched->steps);
	enum run_end end = run_steps(sched);
	death_disarm();
	tell_stuck(sched);
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
