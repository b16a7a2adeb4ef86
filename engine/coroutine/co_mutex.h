// SPDX-License-Identifier: MIT
/** A FIFO mutex for tasks: unlock hands over to the longest waiter, who is made ready, not run. */
#ifndef ENGINE_COROUTINE_CO_MUTEX_H
#define ENGINE_COROUTINE_CO_MUTEX_H

#include "engine/coroutine/co_queue.h"

/** Embedded; initialise with co_mutex_init(). A freed or overwritten one is noticed by its mark. */
struct co_mutex {
	uint32_t mark;
	uint32_t object;       /* instance in footprints */
	struct task *owner;    /* NULL: free */
	struct co_queue queue; /* waiters, oldest first */
};

/** `name` (a literal) and `id` are used in reports; together they are the mutex's own. */
void co_mutex_init(struct co_mutex *mutex, const char *name, uint32_t id);

/** Take the mutex; may wait. Asserts that the caller does not hold it. */
void co_mutex_lock(struct co_mutex *mutex);

/** Hand the mutex to the longest waiter, or free it. Asserts that the caller holds it. Does not
 * yield. */
void co_mutex_unlock(struct co_mutex *mutex);

/** Does the running task hold the mutex? */
bool co_mutex_is_mine(const struct co_mutex *mutex);

/** Assert that nobody holds it or waits, and mark it dead. */
void co_mutex_destroy(struct co_mutex *mutex);

#endif
