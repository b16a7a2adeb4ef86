// SPDX-License-Identifier: MIT
/* A fair reader/writer lock.
 *
 * Everybody who cannot have the lock at once queues, and the queue is served from its head only. So
 * a reader that comes after a waiting writer waits behind it, and no stream of readers can starve a
 * writer. Whoever releases grants: the new holders are entered before they are woken, so nobody who
 * comes between the waking and their first step can slip in.
 *
 * What holds between any two operations: when somebody waits, either a writer holds the lock, or
 * readers do and a writer waits at the head.
 */
#include "engine/coroutine/co_rwlock.h"

#include "engine/scheduler/sched.h"
#include "engine/scheduler/touch.h"

#include <assert.h>

enum { MARK_LIVE = 0x72776c6b, MARK_DEAD = 0x72646561 };

/* Parts of a lock, as ranges in footprints. */
enum { PART_READERS, PART_WRITER };

static void touch_part(const struct co_rwlock *lock, unsigned part, enum access_mode mode)
{
	touch_one(TOUCH_RWLOCK, lock->queue.object, part, mode);
}

static void touch_all(const struct co_rwlock *lock)
{
	touch(TOUCH_RWLOCK, lock->queue.object, ACCESS_WRITE);
}

static bool is_live(const struct co_rwlock *lock)
{
	return lock->mark == MARK_LIVE;
}

/** Is the running task the writer? What others do with the lock does not change that. */
AUDIT_EXEMPT static bool is_mine(const struct co_rwlock *lock)
{
	return lock->writer && lock->writer == task_current();
}

/** Is the lock held shared, as it is for as long as the running task holds it so? */
AUDIT_EXEMPT static bool is_held_shared(const struct co_rwlock *lock)
{
	return lock->readers && !lock->writer;
}

/** Let in those at the queue's head who may have the lock now: all readers up to the next writer,
 * or one writer. */
static void grant(struct co_rwlock *lock)
{
	if (lock->writer || co_queue_is_empty(&lock->queue))
		return;
	touch_all(lock);
	while (co_queue_first_waits_as(&lock->queue, WAIT_READ_LOCK)) {
		lock->readers++;
		co_queue_wake_one(&lock->queue);
	}
	if (!lock->readers && co_queue_first_waits_as(&lock->queue, WAIT_WRITE_LOCK))
		lock->writer = co_queue_wake_one(&lock->queue);
	co_queue_blame(&lock->queue, lock->writer);
}

void co_rwlock_init(struct co_rwlock *lock, const char *name, uint32_t id)
{
	*lock = (struct co_rwlock){ .mark = MARK_LIVE };
	co_queue_init(&lock->queue, name, id);
	TOUCH_BIND_CONSTANT(lock->mark);
	TOUCH_BIND(lock->readers, TOUCH_RWLOCK, lock->queue.object, PART_READERS);
	TOUCH_BIND(lock->writer, TOUCH_RWLOCK, lock->queue.object, PART_WRITER);
}

void co_rwlock_read_lock(struct co_rwlock *lock)
{
	assert(is_live(lock));
	assert(task_current() && "only inside a task");
	assert(!is_mine(lock) && "its writer does not read-lock");
	task_yield_if_all_points();
	assert(is_live(lock));
	touch_part(lock, PART_WRITER, ACCESS_READ);
	if (!lock->writer && co_queue_is_empty(&lock->queue)) {
		touch_part(lock, PART_READERS, ACCESS_ADD);
		lock->readers++;
		return;
	}
	co_queue_wait_as(&lock->queue, WAIT_READ_LOCK, lock->writer);
	assert(is_live(lock));
	assert(is_held_shared(lock) && "a release grants");
}

void co_rwlock_write_lock(struct co_rwlock *lock)
{
	assert(is_live(lock));
	struct task *me = task_current();
	assert(me && "only inside a task");
	assert(!is_mine(lock) && "a lock is not taken twice");
	task_yield_if_all_points();
	assert(is_live(lock));
	touch_all(lock);
	if (!lock->writer && !lock->readers && co_queue_is_empty(&lock->queue)) {
		lock->writer = me;
		return;
	}
	co_queue_wait_as(&lock->queue, WAIT_WRITE_LOCK, lock->writer);
	assert(is_live(lock));
	assert(is_mine(lock) && "a release grants");
}

void co_rwlock_read_unlock(struct co_rwlock *lock)
{
	assert(is_live(lock));
	assert(lock->readers && "somebody holds it shared");
	touch_part(lock, PART_WRITER, ACCESS_READ);
	touch_part(lock, PART_READERS, ACCESS_ADD);
	lock->readers--;
	grant(lock);
}

void co_rwlock_write_unlock(struct co_rwlock *lock)
{
	assert(is_live(lock));
	assert(lock->writer && lock->writer == task_current() && "only its holder unlocks");
	touch_all(lock);
	lock->writer = NULL;
	grant(lock);
}

bool co_rwlock_has_writer(const struct co_rwlock *lock)
{
	assert(is_live(lock));
	touch_part(lock, PART_WRITER, ACCESS_READ);
	/* Behind readers, a queue begins with a writer. */
	return lock->writer || !co_queue_is_empty(&lock->queue);
}

bool co_rwlock_has_readers(const struct co_rwlock *lock)
{
	assert(is_live(lock));
	touch_part(lock, PART_READERS, ACCESS_READ);
	return lock->readers > 0;
}

void co_rwlock_destroy(struct co_rwlock *lock)
{
	assert(is_live(lock));
	touch_all(lock);
	assert(!lock->readers && !lock->writer && "nobody holds a destroyed lock");
	touch_own(lock, sizeof(*lock), TOUCH_RWLOCK, lock->queue.object, TOUCH_ALL);
	co_queue_destroy(&lock->queue);
	lock->mark = MARK_DEAD;
}
