// SPDX-License-Identifier: MIT
/** What the engine's steps touch: one short line beside each access to memory that tasks share.
 *
 *  A search exchanges steps that touch nothing in common, so a line that is missing here is a crash
 * state that nobody looks at. Two tests look for such lines: the audit build, and the swap test. */
#ifndef ENGINE_SCHEDULER_TOUCH_H
#define ENGINE_SCHEDULER_TOUCH_H

#include "engine/scheduler/audit.h"
#include "injector/footprint.h"

#include <stddef.h>
#include <string.h>

/** What there is to touch. The range of an access is [0, TOUCH_ALL) unless said otherwise. */
enum touch_kind {
	TOUCH_MUTEX = OBJECT_FIRST_OF_OTHERS,
	TOUCH_RWLOCK, /* add: a shared hold taken or released while nobody waits */
	TOUCH_QUEUE,  /* write: wait, wake; read: is anybody there */
	TOUCH_TASK,   /* instance: its number; is it done */
	TOUCH_SPAWN,  /* numbers of tasks that have no place in the tree of spawns */
	TOUCH_WORLD,  /* how many requests are outstanding */
	TOUCH_LEADER, /* instance: number of a task that others follow (task_follow()) */

	/* Of an image, by its number: */
	TOUCH_LIST,     /* list A: which allocations are in flight */
	TOUCH_EXTENT,   /* their guest ranges, and what is final; range: ids of allocations */
	TOUCH_PROGRESS, /* whose data is written; range: ids of allocations */
	TOUCH_URGENCY,  /* chains: who sleeps, who must hurry; range: numbers of chains */
	TOUCH_DRAINS,   /* flushes and closes that hurry everybody */
	TOUCH_FAILURES, /* failed attempts */
	TOUCH_TASKS,    /* how many background tasks there are */
	TOUCH_L1,       /* range: entries */
	TOUCH_L2,       /* range: guest clusters */
	TOUCH_SLOTS,    /* which tables are cached; instance: that of the cache */
	TOUCH_RECENT,   /* which of them were used lately */
	TOUCH_DIRTY,    /* what of them is to be written back */
	TOUCH_DEBTS,    /* what must be durable before they are */
	TOUCH_CLUSTERS, /* refcounts and free clusters */
	TOUCH_HOLDS,    /* guest data I/O under way; add: begin and end */
	TOUCH_HEADER,   /* header fields and flags kept in memory */
};

#define TOUCH_ALL UINT64_MAX

/** Note that the step touches entries [from, to) of an object. */
void touch_range(enum touch_kind kind, uint32_t instance, uint64_t from, uint64_t to,
		 enum access_mode mode);

/** Note that the step touches an object. */
static inline void touch(enum touch_kind kind, uint32_t instance, enum access_mode mode)
{
	touch_range(kind, instance, 0, TOUCH_ALL, mode);
}

/** Note that entry `index` of an object is touched. */
static inline void touch_one(enum touch_kind kind, uint32_t instance, uint64_t index,
			     enum access_mode mode)
{
	touch_range(kind, instance, index, index + 1, mode);
}

/** Note something that no object stands for: the step conflicts with every other. `what` (a
 * literal) is told once a process on stderr. */
void touch_everything(const char *what);

/* What memory belongs to which object, for the audit. Nothing in other builds. */

/** Bytes [address, address + bytes) are entry `entry` of an object. TOUCH_ALL: they belong to the
 * object as a whole; who reads them touches any part of it, who changes them touches all of it. */
static inline void touch_bind(const void *address, size_t bytes, enum touch_kind kind,
			      uint32_t instance, uint64_t entry)
{
	if (AUDIT_IS_ON)
		audit_bind(address, bytes, kind, instance, entry);
}

/** How long a variable or field is, also when it is a pointer. */
#define TOUCH_BYTES(field) ((size_t)((const char *)(&(field) + 1) - (const char *)&(field)))

/** touch_bind() for a variable or field. */
#define TOUCH_BIND(field, kind, instance, entry)                                                   \
	touch_bind(&(field), TOUCH_BYTES(field), kind, instance, entry)

/** The `count` elements of `entries` are the entries of an object from `first` on. */
static inline void touch_bind_entries(const uint64_t *entries, size_t count, enum touch_kind kind,
				      uint32_t instance, uint64_t first)
{
	if (AUDIT_IS_ON)
		audit_bind_entries(entries, count, kind, instance, first);
}

/** Nobody changes the bytes from now on, so that reading them needs no declaration. */
static inline void touch_bind_constant(const void *address, size_t bytes)
{
	if (AUDIT_IS_ON)
		audit_bind_constant(address, bytes);
}

/** touch_bind_constant() for a variable or field. */
#define TOUCH_BIND_CONSTANT(field) touch_bind_constant(&(field), TOUCH_BYTES(field))

/** The running task, whose step writes the entry of an object (TOUCH_ALL: the object as a whole),
 * has the bytes for itself from now on: nobody else gets to them any more, or yet. */
static inline void touch_own(const void *address, size_t bytes, enum touch_kind kind,
			     uint32_t instance, uint64_t entry)
{
	if (AUDIT_IS_ON)
		audit_own(address, bytes, kind, instance, entry);
}

/** The running task gives bytes that are its own to task number `task`, which it has just spawned.
 */
static inline void touch_hand_over(const void *address, size_t bytes, uint32_t task)
{
	if (AUDIT_IS_ON)
		audit_hand_over(address, bytes, task);
}

/** Bytes of the running task's stack belong to no object any more; they become zeros. What others
 * wrote there depends on the order of steps that have nothing to do with each other (whose
 * neighbour it was in a list that is sorted anyhow), and a live stack is part of the run's state.
 */
static inline void touch_unbind(void *address, size_t bytes)
{
	if (AUDIT_IS_ON)
		audit_unbind(address, bytes);
	memset(address, 0, bytes);
	/* Nobody reads them any more, which must not tempt a compiler. */
	__asm__ volatile("" : : "r"(address) : "memory");
}

#endif
