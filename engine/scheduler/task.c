// SPDX-License-Identifier: MIT
/* The scheduler as tasks see it: scheduling points, sleep and wake, and the injector's gate.
 *
 * Every function here runs on the stack of the calling task. Leaving the step is one thing only,
 * leave_step(): note why the task does not run, and give control back to sched_run().
 */
#include "engine/scheduler/sched_private.h"

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
	task_touch_shared();
	return task->state == TASK_DONE;
}

void task_yield(void)
{
	struct task *task = task_current();
	assert(task && "only inside a task");
	leave_step(task, TASK_READY);
}

void task_yield_if_all_points(void)
{
	struct task *task = task_current();
	assert(task && "only inside a task");
	if (task->sched->options.points == SCHED_POINTS_ALL)
		leave_step(task, TASK_READY);
}

void task_wait(enum wait_kind kind, const char *object_name, uint32_t object_id,
	       const struct task *holder)
{
	struct task *task = task_current();
	assert(task && "only inside a task");
	struct trace *labels = task->sched->options.labels;
	task->wait_kind = kind;
	task->object_name = object_name;
	task->object_id = object_id;
	task->holder = holder;
	task->stack = labels ? backtrace_label(labels, 1) : 0;
	struct event event = { .kind = EVENT_WAIT,
			       .op = (uint8_t)kind,
			       .actor = task->number,
			       .id = object_id,
			       .stack = task->stack };
	session_record(&event, object_name, strlen(object_name));
	leave_step(task, TASK_SLEEPING);
}

void task_wake(struct task *task)
{
	assert(task->state == TASK_SLEEPING);
	task->state = TASK_READY;
}

void task_touch_shared(void)
{
	session_footprint()->shared = true;
}

void task_touch_ordered(void)
{
	session_footprint()->ordered = true;
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
	if (sched->current)
		leave_step(sched->current, TASK_AT_GATE);
}

static void on_before_return(void *context, const struct io_call *call)
{
	(void)call;
	const struct sched *sched = context;
	if (sched->current && sched->options.points == SCHED_POINTS_ALL)
		leave_step(sched->current, TASK_READY);
}

void sched_init_gate(struct sched *sched)
{
	sched->gate = (struct gate){ .context = sched,
				     .actor = on_actor,
				     .before_effect = on_before_effect,
				     .before_return = on_before_return };
}
