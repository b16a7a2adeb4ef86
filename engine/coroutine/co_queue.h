// SPDX-License-Identifier: MIT
/** A FIFO queue of waiting tasks. Waking makes ready; it never runs the woken task. */
#ifndef ENGINE_COROUTINE_CO_QUEUE_H
#define ENGINE_COROUTINE_CO_QUEUE_H

#include "traces/event.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct task;

/** Embedded; initialise with co_queue_init(). Waiters are linked through their own stack frames. */
struct co_queue {
	uint32_t mark;   /* tells a live queue from freed or overwritten memory */
	uint32_t id;     /* given by the user, for reports */
	uint32_t object; /* instance in footprints */
	const char *name;
	struct co_queue_waiter *first, *last;
};

/** `name` (a literal) and `id` are used in reports; an `id` of 0 is not printed. */
void co_queue_init(struct co_queue *queue, const char *name, uint32_t id);

/** Wait until woken. */
void co_queue_wait(struct co_queue *queue);

/** As co_queue_wait(), reported as a wait of `kind` for `holder` (may be NULL). */
void co_queue_wait_as(struct co_queue *queue, enum wait_kind kind, const struct task *holder);

/** Wake the longest waiter. Returns it (now ready), NULL when there is none. */
struct task *co_queue_wake_one(struct co_queue *queue);

/** Wake all. Returns how many. */
size_t co_queue_wake_all(struct co_queue *queue);

/** What those wait for who are left in the queue is held by `holder` (may be NULL) now. */
void co_queue_blame(const struct co_queue *queue, const struct task *holder);

/** Does nobody wait? */
bool co_queue_is_empty(const struct co_queue *queue);

/** Does the longest waiter wait as `kind`? False when nobody waits. */
bool co_queue_first_waits_as(const struct co_queue *queue, enum wait_kind kind);

/** Assert that nobody waits, and mark it dead: waiting on it from now on dies. */
void co_queue_destroy(struct co_queue *queue);

#endif
