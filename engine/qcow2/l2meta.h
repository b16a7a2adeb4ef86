// SPDX-License-Identifier: MIT
/** In-flight allocations: clusters that have a host cluster and guest data, and no L2 entry yet. */
#ifndef ENGINE_QCOW2_L2META_H
#define ENGINE_QCOW2_L2META_H

#include "engine/coroutine/co_rwlock.h"
#include "engine/qcow2/image.h"

/** Guest bytes [from, to) that must be copied from the old contents. */
struct cow_region {
	uint64_t from, to;
	bool final; /* its copy has begun: nobody may change it any more (C6) */
};

/** A root allocation and the children that write into its last cluster, each attached to the one
 * before. Urgency belongs to the whole chain: who hurries one member hurries all, and those that
 * come later. */
struct chain {
	uint32_t id; /* of its root */
	bool urgent;
	bool broken; /* a member gave its range up: the root must not link */
	uint32_t members;
};

/** An in-flight allocation. A *root* allocated host clusters and will write L2 entries; a *child*
 * (C3) lives in the last cluster of its root. The guest range that it occupies is [head.from,
 * tail.to): head COW, data, tail COW. */
struct l2meta {
	struct qcow2 *image; /* borrowed */
	uint32_t id;         /* from 1, in order of creation; never used again */
	bool is_child;
	struct l2meta *previous, *next; /* list A */
	struct chain *chain;            /* shared, counted by `members` */
	struct l2meta *parent;          /* whose tail it shortened; NULL for a root */
	uint64_t guest_offset;          /* of its first cluster */
	uint64_t host_offset;           /* of its first cluster */
	uint64_t clusters;
	struct cow_region head, tail;
	uint64_t data_from, data_to; /* guest bytes that the request writes */
	uint64_t done_before;        /* drain number: the first that must finish it; 0: its data is
					not written yet */
	bool sleeping;               /* parked: a kick makes it go on */
	/* The request's, and then the background task's: */
	int error;            /* of its last attempt; 0: none */
	bool owns_clusters;   /* allocated them, so that giving up frees them */
	struct task *task;    /* its background task; NULL before that exists */
	struct co_queue park; /* where the background task sleeps */
	struct co_queue
		waiters; /* Q: requests and flushes; woken when it is gone, or an attempt failed */
	struct co_queue offspring; /* Q: children whose part is done; woken when it is gone (C9) */
	struct co_rwlock
		children; /* W: a child holds it shared until its data and COW are written (C7) */
};

/** What an overlapping request has to do. */
enum overlap_action {
	OVERLAP_NONE,   /* go on, perhaps shortened */
	OVERLAP_ATTACH, /* become a child of `meta` (C2) */
	OVERLAP_WAIT,   /* wait for `meta` and start over */
};

struct overlap {
	enum overlap_action action;
	struct l2meta *meta;
};

/** Hold guest range [from, *to) against list A; `*to` is cut to the start of an allocation that
 * begins inside (C1). Needs the lock. */
struct overlap l2meta_overlap(struct qcow2 *image, uint64_t from, uint64_t *to);

/** A new root in list A for data [from, to) in `clusters` clusters whose host clusters begin at
 * `host_offset`. Needs the lock. NULL when memory is short. */
struct l2meta *l2meta_new_root(struct qcow2 *image, uint64_t from, uint64_t to,
			       uint64_t host_offset, uint64_t clusters);

/** A new child in list A for data [from, *to); `*to` is cut to the end of the cluster (C5).
 * Shortens the parent's tail, and takes a shared hold of the parent. Needs the lock; never waits.
 * NULL when memory is short: nothing changed. */
struct l2meta *l2meta_new_child(struct qcow2 *image, struct l2meta *parent, uint64_t from,
				uint64_t *to);

/** Where guest byte `guest_offset` of the allocation lives in the file. */
uint64_t l2meta_host(const struct l2meta *meta, uint64_t guest_offset);

/** The guest data is written: readers may see it, and the rest is done in the background (or here,
 * with policy eager). 0, or -errno (eager). */
int l2meta_data_done(struct qcow2 *image, struct l2meta *meta);

/** The guest data could not be written: give the range back. Other requests may depend on the
 * allocation, so it lives on, as pure COW, unless it is a root without children. */
void l2meta_data_failed(struct qcow2 *image, struct l2meta *meta);

/** The allocation whose written data covers `guest_offset`, NULL: none. `*bytes` is cut to where
 * that changes. Needs the lock. */
struct l2meta *l2meta_for_read(struct qcow2 *image, uint64_t guest_offset, uint64_t *bytes);

/** Make `meta` and everyone it depends on go on (C10). Never switches. */
void l2meta_kick(struct qcow2 *image, struct l2meta *meta);

/** Kick `meta` and wait until it is gone, or an attempt of its chain failed. Needs the lock, which
 * is released while waiting: nothing known before holds afterwards. 0, or the attempt's -errno. */
int l2meta_wait(struct qcow2 *image, struct l2meta *meta);

/** Before a new allocation: when as many are in flight as may be, hurry the oldest and wait for it.
 * Needs the lock, and returns with it; when it had to wait, nothing known before holds afterwards.
 * 0: there is room, 1: had to wait, -errno of an attempt that failed. */
int l2meta_make_room(struct qcow2 *image);

/** Wait until nothing in list A overlaps guest range [from, to). Needs the lock, and returns with
 * it; when it had to wait, nothing known before holds afterwards. 0, 1: had to wait, -errno. */
int l2meta_wait_range(struct qcow2 *image, uint64_t from, uint64_t to);

/** Finish every allocation whose data was written before the call (C11). Without the lock. 0, or
 * -errno of an attempt that failed (C12): the allocation is kept, and tried again by the next
 * drain. */
int l2meta_drain(struct qcow2 *image);

/** Finish, or give up with an error, every allocation, and wait for all background tasks to end.
 * Without the lock. 0 or -errno. */
int l2meta_shut_down(struct qcow2 *image);

#endif
