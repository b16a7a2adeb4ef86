// SPDX-License-Identifier: MIT
#include "engine/coroutine/co_mutex.h"

#include "engine/scheduler/sched.h"
#include "engine/scheduler/touch.h"
#include "injector/session.h"

#include <assert.h>

enum { MARK_LIVE = 0x6d757478, MARK_DEAD = 0x6d646561 };

static bool is_live(const struct co_mutex *mutex)
{
	return mutex->mark == MARK_LIVE;
}

void co_mutex_init(struct co_mutex *mutex, const char *name, uint32_t id)
{
	mutex->mark = MARK_LIVE;
	mutex->object = footprint_instance(name, id) & 0xffffff;
	mutex->owner = NULL;
	co_queue_init(&mutex->queue, name, id);
	TOUCH_BIND_CONSTANT(mutex->mark);
	TOUCH_BIND_CONSTANT(mutex->object);
	TOUCH_BIND(mutex->owner, TOUCH_MUTEX, mutex->object, TOUCH_ALL);
}

/* With all scheduling points nobody queues: the task is enabled when the mutex is free. */
static void lock_when_free(struct co_mutex *mutex, struct task *me)
{
	task_await((const struct task *const *)&mutex->owner, mutex->object, mutex->queue.name,
		   mutex->queue.id);
	assert(is_live(mutex));
	assert(!mutex->owner && "enabled when it is free");
	touch(TOUCH_MUTEX, mutex->object, ACCESS_LOCK);
	mutex->owner = me;
}

void co_mutex_lock(struct co_mutex *mutex)
{
	assert(is_live(mutex));
	struct task *me = task_current();
	assert(me && "only inside a task");
	assert(!co_mutex_is_mine(mutex) && "a mutex is not taken twice");
	if (task_has_all_points()) {
		lock_when_free(mutex, me);
		return;
	}
	touch(TOUCH_MUTEX, mutex->object, ACCESS_WRITE);
	if (!mutex->owner) {
		assert(co_queue_is_empty(&mutex->queue) && "nobody is passed over");
		mutex->owner = me;
		return;
	}
	co_queue_wait_as(&mutex->queue, WAIT_MUTEX, mutex->owner);
	assert(is_live(mutex));
	assert(co_mutex_is_mine(mutex) && "unlock hands over");
}

void co_mutex_unlock(struct co_mutex *mutex)
{
	assert(is_live(mutex));
	assert(mutex->owner == task_current() && mutex->owner && "only its holder unlocks");
	if (task_has_all_points()) {
		footprint_unlock(session_footprint(), footprint_object(TOUCH_MUTEX, mutex->object));
		mutex->owner = NULL;
		return;
	}
	touch(TOUCH_MUTEX, mutex->object, ACCESS_WRITE);
	mutex->owner = co_queue_wake_one(&mutex->queue);
	co_queue_blame(&mutex->queue, mutex->owner);
}

/* What others do with the mutex never makes it mine, nor takes it from me. */
AUDIT_EXEMPT bool co_mutex_is_mine(const struct co_mutex *mutex)
{
	assert(is_live(mutex));
	return mutex->owner && mutex->owner == task_current();
}

void co_mutex_destroy(struct co_mutex *mutex)
{
	assert(is_live(mutex));
	assert(!mutex->owner && "nobody holds a destroyed mutex");
	co_queue_destroy(&mutex->queue);
	mutex->mark = MARK_DEAD;
}
