// SPDX-License-Identifier: MIT
#include "engine/coroutine/co_mutex.h"

#include "engine/scheduler/sched.h"

#include <assert.h>

enum { MARK_LIVE = 0x6d757478, MARK_DEAD = 0x6d646561 };

static bool is_live(const struct co_mutex *mutex)
{
	return mutex->mark == MARK_LIVE;
}

void co_mutex_init(struct co_mutex *mutex, const char *name)
{
	*mutex = (struct co_mutex){ .mark = MARK_LIVE };
	co_queue_init(&mutex->queue, name, 0);
}

void co_mutex_lock(struct co_mutex *mutex)
{
	assert(is_live(mutex));
	struct task *me = task_current();
	assert(me && "only inside a task");
	assert(mutex->owner != me && "a mutex is not taken twice");
	task_yield_if_all_points();
	assert(is_live(mutex));
	task_touch_shared();
	if (!mutex->owner) {
		mutex->owner = me;
		return;
	}
	co_queue_wait_as(&mutex->queue, WAIT_MUTEX, mutex->owner);
	assert(is_live(mutex));
	assert(mutex->owner == me && "unlock hands over");
}

void co_mutex_unlock(struct co_mutex *mutex)
{
	assert(is_live(mutex));
	assert(mutex->owner == task_current() && mutex->owner && "only its holder unlocks");
	task_touch_shared();
	mutex->owner = co_queue_wake_one(&mutex->queue);
}

bool co_mutex_is_mine(const struct co_mutex *mutex)
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
