// SPDX-License-Identifier: MIT
#include "engine/coroutine/co_queue.h"

#include "engine/scheduler/sched.h"
#include "engine/scheduler/touch.h"

#include <assert.h>

enum { MARK_LIVE = 0x71756575, MARK_DEAD = 0x71646561 };

/** Lives in the frame of the waiting task's co_queue_wait_as(). */
struct co_queue_waiter {
	struct task *task;
	enum wait_kind kind;
	struct co_queue_waiter *next;
};

/** Is the queue neither freed, nor destroyed, nor never initialised? */
static bool is_live(const struct co_queue *queue)
{
	return queue->mark == MARK_LIVE;
}

void co_queue_init(struct co_queue *queue, const char *name, uint32_t id)
{
	*queue = (struct co_queue){ .mark = MARK_LIVE,
				    .id = id,
				    .object = footprint_instance(name, id) & 0xffffff,
				    .name = name };
	touch_bind_constant(queue, sizeof(*queue));
	TOUCH_BIND(queue->first, TOUCH_QUEUE, queue->object, TOUCH_ALL);
	TOUCH_BIND(queue->last, TOUCH_QUEUE, queue->object, TOUCH_ALL);
}

void co_queue_wait(struct co_queue *queue)
{
	co_queue_wait_as(queue, WAIT_QUEUE, NULL);
}

void co_queue_wait_as(struct co_queue *queue, enum wait_kind kind, const struct task *holder)
{
	assert(is_live(queue));
	/* First, so that nobody keeps `holder`: what a report says is not to be left on a stack,
	 * which is part of the run's state. */
	task_blame(NULL, holder);
	struct co_queue_waiter waiter = { .task = task_current(), .kind = kind };
	touch(TOUCH_QUEUE, queue->object, ACCESS_WRITE);
	TOUCH_BIND(waiter, TOUCH_QUEUE, queue->object, TOUCH_ALL);
	if (queue->last)
		queue->last->next = &waiter;
	else
		queue->first = &waiter;
	queue->last = &waiter;
	task_wait(kind, queue->name, queue->id);
	touch_unbind(&waiter, sizeof(waiter));
}

struct task *co_queue_wake_one(struct co_queue *queue)
{
	assert(is_live(queue));
	struct co_queue_waiter *waiter = queue->first;
	touch(TOUCH_QUEUE, queue->object, waiter ? ACCESS_WRITE : ACCESS_READ);
	task_note_wake(queue->name, queue->id, waiter != NULL);
	if (!waiter)
		return NULL;
	queue->first = waiter->next;
	if (!queue->first)
		queue->last = NULL;
	/* The frame that holds `waiter` stays: the woken task does not run before this one yields.
	 */
	task_wake(waiter->task);
	return waiter->task;
}

size_t co_queue_wake_all(struct co_queue *queue)
{
	size_t count = 0;
	while (co_queue_wake_one(queue))
		count++;
	return count;
}

void co_queue_blame(const struct co_queue *queue, const struct task *holder)
{
	assert(is_live(queue));
	for (const struct co_queue_waiter *waiter = queue->first; waiter; waiter = waiter->next)
		task_blame(waiter->task, holder);
}

bool co_queue_is_empty(const struct co_queue *queue)
{
	assert(is_live(queue));
	touch(TOUCH_QUEUE, queue->object, ACCESS_READ);
	return !queue->first;
}

bool co_queue_first_waits_as(const struct co_queue *queue, enum wait_kind kind)
{
	assert(is_live(queue));
	touch(TOUCH_QUEUE, queue->object, ACCESS_READ);
	return queue->first && queue->first->kind == kind;
}

void co_queue_destroy(struct co_queue *queue)
{
	assert(is_live(queue));
	touch(TOUCH_QUEUE, queue->object, ACCESS_WRITE);
	assert(!queue->first && "nobody waits on a destroyed queue");
	touch_own(queue, sizeof(*queue), TOUCH_QUEUE, queue->object, TOUCH_ALL);
	queue->mark = MARK_DEAD;
}
