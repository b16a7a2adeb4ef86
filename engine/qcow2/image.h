// SPDX-License-Identifier: MIT
/** The inside of an open image, shared by the driver's files and by nobody else.
 *
 *  Everything here is guarded by `lock` (the engine lock) unless its comment says otherwise. The
 * lock is held across metadata I/O and never across guest data or COW I/O. engine/README.md has the
 * ordering rules O1..O14 that the files cite. */
#ifndef ENGINE_QCOW2_IMAGE_H
#define ENGINE_QCOW2_IMAGE_H

#include "engine/coroutine/co_mutex.h"
#include "engine/coroutine/co_queue.h"
#include "engine/qcow2/cache.h"
#include "engine/qcow2/file.h"
#include "engine/qcow2/format.h"
#include "engine/qcow2/qcow2.h"
#include "engine/scheduler/touch.h"

enum { IMAGE_CHAIN_MAX = 64 }; /* images in a backing chain */

/** A range of the image file in which guest data is being read or written: its clusters may be
 * freed, but not reused, until the range is let go. Lives on the stack of the task that does the
 * I/O. */
struct io_hold {
	struct io_hold *previous, *next;
	uint64_t host_offset, bytes;
	bool writes;
};

/** Clusters that were freed and may not be allocated yet: their unlink is not durable. */
struct freed_range {
	uint64_t first, clusters;
	uint64_t number; /* of the last free in it, counted from 1 */
};

/** Host clusters: what is free, what has been freed, where to look next. See alloc.h. */
struct allocator {
	uint64_t hint;             /* no cluster below it is free and usable */
	struct freed_range *freed; /* owned; in order of `first`, disjoint */
	size_t freed_count, freed_capacity;
	uint64_t freed_number;  /* of the last free */
	struct io_hold *holds;  /* doubly linked, in order of address; changed without the lock */
	struct co_queue unheld; /* woken whenever a hold that writes is let go */
};

/** The background work: in-flight allocations and who waits for them. See l2meta.h. */
struct background {
	struct l2meta *first;     /* list A, newest first */
	uint32_t count;           /* of them in the list */
	uint32_t count_max;       /* constant */
	uint32_t created;         /* allocations made so far */
	uint64_t drains;          /* flushes begun so far */
	uint64_t failures;        /* attempts of background work that failed, ever */
	uint32_t draining;        /* flushes under way: nobody parks */
	uint32_t tasks;           /* background tasks alive */
	bool closing;             /* failed work is given up instead of kept for a retry */
	int error;                /* of the last failed attempt */
	struct co_queue finished; /* woken when a background task ends */
};

/** The file below an image that has no driver of its own. */
struct raw_backing {
	struct file file; /* descriptor -1: none */
	uint64_t size_bytes;
};

struct qcow2 {
	struct arena *arena; /* borrowed */
	struct file file;
	struct format_header
		header; /* as on disk; `incompatible` includes the dirty bit while it is set */
	enum qcow2_policy policy;
	bool read_only;
	uint32_t depth; /* in its backing chain, 0: the top; its instance in footprints */

	uint32_t cluster_bytes;
	uint32_t l2_entries;    /* in a table */
	uint32_t block_entries; /* refcounts in a block */
	uint64_t size_bytes;    /* of the virtual disk */

	struct co_mutex lock;
	uint64_t *l1;             /* owned; header.l1_entries, host byte order, as on disk */
	uint64_t *refcount_table; /* owned; refcount_entries, host byte order, as on disk */
	uint64_t refcount_entries;
	struct cache l2_cache, refcount_cache;
	struct allocator allocator;
	struct background background;
	int broken; /* -errno once a device flush failed: what is durable is unknown, so no flush
		       succeeds again */

	struct qcow2 *backing; /* owned; NULL: none, or raw */
	struct raw_backing raw;
};

/** The boundary at or before byte `at`, of the file or of the disk. */
static inline uint64_t cluster_start(const struct qcow2 *image, uint64_t at)
{
	return at & ~(uint64_t)(image->cluster_bytes - 1);
}

/** The boundary at or after byte `at`. */
static inline uint64_t cluster_end(const struct qcow2 *image, uint64_t at)
{
	return cluster_start(image, at + image->cluster_bytes - 1);
}

/** How far into its cluster byte `at` is. */
static inline uint64_t in_cluster(const struct qcow2 *image, uint64_t at)
{
	return at & (image->cluster_bytes - 1);
}

/** Is the dirty bit on disk, so that refcounts need not be accurate there? */
static inline bool image_is_lazy_dirty(const struct qcow2 *image)
{
	touch(TOUCH_HEADER, image->depth, ACCESS_READ);
	return image->header.incompatible & FORMAT_INCOMPATIBLE_DIRTY;
}

/** Write header bytes [at, at + bytes) and flush, so that what comes later comes after (O7). Needs
 * the lock. 0 or -errno. */
int image_write_header(struct qcow2 *image, const void *from, size_t bytes, uint64_t at);

/** Clear the autoclear bits on disk, if any is set. 0 or -errno. */
int image_clear_autoclear(struct qcow2 *image);

/** With lazy refcounts: set the dirty bit on disk before the first change that refcounts do not
 * cover (C13, O8). Needs the lock. 0 or -errno. */
int image_mark_dirty(struct qcow2 *image);

/** Clear the dirty bit; the caches must have been written back and flushed (O9). Needs the lock. 0
 * or -errno. */
int image_mark_clean(struct qcow2 *image);

/** The image is open: say for the audit which object each of its fields is. What is not named is
 * constant. */
void image_share(const struct qcow2 *image);

/** Say so of a table just read or grown. */
void image_share_l1(const struct qcow2 *image);
void image_share_refcount_table(const struct qcow2 *image);

/** Nobody uses the image any more: all of it is the closing task's. */
void image_own(const struct qcow2 *image);

/** A device flush whose failure breaks the image for good. 0 or -errno. */
int image_device_flush(struct qcow2 *image);

#endif
