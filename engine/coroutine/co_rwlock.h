// SPDX-License-Identifier: MIT
/** A reader/writer lock for tasks, fair in order of arrival. A shared hold may be released by
 * another task than the one that took it (a child allocation's request takes, its background task
 * releases). */
#ifndef ENGINE_COROUTINE_CO_RWLOCK_H
#define ENGINE_COROUTINE_CO_RWLOCK_H

#include "engine/coroutine/co_queue.h"

/** Embedded; initialise with co_rwlock_init(). */
struct co_rwlock {
	uint32_t mark;
	uint32_t readers;      /* shared holds */
	struct task *writer;   /* exclusive holder, NULL: none */
	struct co_queue queue; /* waiting readers and writers, oldest first */
};

/** `name` (a literal) and `id` are used in reports. */
void co_rwlock_init(struct co_rwlock *lock, const char *name, uint32_t id);

/** Take a shared hold; waits while somebody holds it exclusively or waits to. */
void co_rwlock_read_lock(struct co_rwlock *lock);

/** Take the exclusive hold; waits until all holds before it are released. */
void co_rwlock_write_lock(struct co_rwlock *lock);

/** Release one shared hold. Asserts that there is one. Does not yield. */
void co_rwlock_read_unlock(struct co_rwlock *lock);

/** Release the exclusive hold. Asserts that the caller has it. Does not yield. */
void co_rwlock_write_unlock(struct co_rwlock *lock);

/** Does anybody hold it exclusively, or wait to? */
bool co_rwlock_has_writer(const struct co_rwlock *lock);

/** Does anybody hold it shared? */
bool co_rwlock_has_readers(const struct co_rwlock *lock);

/** Assert that nobody holds it or waits, and mark it dead. */
void co_rwlock_destroy(struct co_rwlock *lock);

#endif
