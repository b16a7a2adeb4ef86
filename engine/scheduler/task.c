// SPDX-License-Identifier: MIT
/* The scheduler as tasks see it: scheduling points, sleep and wake, and the injector's gate.
 *
 * Every function here runs on the stack of the calling task. Leaving the step is one thing only,
 * leave_step(): note why the task does not run, and give control back to sched_run().
 */
#include "engine/scheduler/sched_private.h"

#include "engine/scheduler/touch.h"
#include "injector/backtrace.h"
#include "injector/session.h"

#include <assert.h>
#include <string.h>

/** End the current step; returns when the task is picked again. */
static void leave_step(struct task *task, enum task_state state)
{
	task->state = state;
	coro_yield();
	assert(task->state == TASK_RUNNING);
}

struct sched *sched_current(void)
{
	return sched_running && sched_running->current ? sched_running : NULL;
}

struct task *task_current(void)
{
	return sched_running ? sched_running->current : NULL;
}

uint32_t task_number(const struct task *task)
{
	return task->number;
}

const char *task_name(const struct task *task)
{
	return task->name;
}

bool task_is_done(const struct task *task)
{
	touch(TOUCH_TASK, task->number, ACCESS_READ);
	return task->state == TASK_DONE;
}

void task_yield(void)
{
	struct task *task = task_current();
	assert(task && "only inside a task");
	struct trace *labels = task->sched->options.labels;
	task->stack = labels && task->retry.rounds ? backtrace_label(labels, 1) : 0;
	leave_step(task, TASK_READY);
}

bool task_has_all_points(void)
{
	const struct task *task = task_current();
	assert(task && "only inside a task");
	return task->sched->options.points == SCHED_POINTS_ALL;
}

/* A step that has touched nothing commutes with every other: a point behind it would be the same
 * point again. */
static bool has_touched(void)
{
	return !footprint_is_empty(session_footprint());
}

void task_yield_if_touched(void)
{
	if (!task_has_all_points() || has_touched())
		task_yield();
}

void task_yield_if_all_points(void)
{
	if (task_has_all_points() && has_touched())
		task_yield();
}

void task_record_wait(const struct task *task)
{
	const struct task *holder = sched_holder_of(task->sched, task);
	const struct event event = { .kind = EVENT_WAIT,
				     .op = (uint8_t)task->wait_kind,
				     .actor = task->number,
				     .id = task->object_id,
				     .result = holder ? (int32_t)holder->number : 0,
				     .stack = task->stack };
	session_record(&event, task->object_name, strlen(task->object_name));
}

/* Also when the mutex is free and the step has touched nothing yet: whether there is a point here
 * must not depend on what others did, or exchanging steps would change their number. */
void task_await(const struct task *const *holder, uint32_t object, const char *object_name,
		uint32_t object_id)
{
	struct task *task = task_current();
	assert(task && "only inside a task");
	task->awaited = holder;
	task->awaited_object = object;
	task->wait_kind = WAIT_MUTEX;
	task->object_name = object_name;
	task->object_id = object_id;
	task->holder = *holder;
	struct trace *labels = task->sched->options.labels;
	task->stack = labels ? backtrace_label(labels, 1) : 0;
	leave_step(task, TASK_AT_LOCK);
}

void task_await_zero(const uint32_t *count, const char *object_name, uint32_t object_id)
{
	struct task *task = task_current();
	assert(task && "only inside a task");
	task->awaited_count = count;
	task->wait_kind = WAIT_QUEUE;
	task->object_name = object_name;
	task->object_id = object_id;
	task->holder = NULL;
	leave_step(task, TASK_AT_LATCH);
}

void task_wait(enum wait_kind kind, const char *object_name, uint32_t object_id)
{
	struct task *task = task_current();
	assert(task && "only inside a task");
	struct trace *labels = task->sched->options.labels;
	task->wait_kind = kind;
	task->object_name = object_name;
	task->object_id = object_id;
	task->stack = labels ? backtrace_label(labels, 1) : 0;
	task_record_wait(task);
	leave_step(task, TASK_SLEEPING);
}

void task_wake(struct task *task)
{
	assert(task->state == TASK_SLEEPING);
	task->state = TASK_READY;
	task->enabled_by = task->sched->steps;
}

void task_blame(struct task *task, const struct task *holder)
{
	if (!task)
		task = task_current();
	assert(task && "only inside a task");
	assert(task->state == TASK_SLEEPING || task == task_current());
	task->holder = holder;
}

void task_note_wake(const char *object_name, uint32_t object_id, bool woke)
{
	struct task *task = task_current();
	if (!task)
		return;
	struct wake *oldest = &task->wakes[0], *wake = NULL;
	for (size_t i = 0; i < WAKES_KEPT && !wake; i++) {
		struct wake *other = &task->wakes[i];
		if (other->object_name == object_name && other->object_id == object_id)
			wake = other;
		else if (other->step < oldest->step)
			oldest = other;
	}
	uint64_t step = task->sched->steps;
	if (!wake) {
		wake = oldest;
		*wake = (struct wake){ .object_name = object_name, .object_id = object_id };
	}
	wake->woken = (wake->step == step ? wake->woken : 0) + woke;
	wake->step = step;
}

static uint32_t on_actor(void *context)
{
	const struct sched *sched = context;
	return sched->current ? sched->current->number : 0;
}

/** The call becomes an option of the next choice; being picked lets it take effect. */
static void on_before_effect(void *context, const struct io_call *call)
{
	(void)call;
	const struct sched *sched = context;
	if (!sched->current)
		return;
	if (sched->options.points == SCHED_POINTS_IO || has_touched())
		leave_step(sched->current, TASK_AT_GATE);
}

static void on_before_return(void *context, const struct io_call *call)
{
	(void)call;
	const struct sched *sched = context;
	if (sched->current && sched->options.points == SCHED_POINTS_ALL && has_touched())
		leave_step(sched->current, TASK_READY);
}

void sched_init_gate(struct sched *sched)
{
	sched->gate = (struct gate){ .context = sched,
				     .actor = on_actor,
				     .before_effect = on_before_effect,
				     .before_return = on_before_return };
}
