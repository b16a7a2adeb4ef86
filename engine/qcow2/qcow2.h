// SPDX-License-Identifier: MIT
/** The qcow2 driver's face: open an image, read and write it, flush, close.
 *
 *  Every function but qcow2_create() and qcow2_policy_parse() may suspend the calling task
 * (engine/scheduler/sched.h) and must be called inside one. Offsets and lengths are bytes of the
 * virtual disk; results are 0 or -errno. */
#ifndef ENGINE_QCOW2_QCOW2_H
#define ENGINE_QCOW2_QCOW2_H

#include "engine/memory/arena.h"
#include "traces/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/** When the copy-on-write of an allocating write runs. */
enum qcow2_policy {
	QCOW2_EAGER,   /* before the request completes; overlapping requests wait */
	QCOW2_DELAYED, /* in a task of its own, asleep until a dependent request or a flush */
	QCOW2_CANCEL, /* delayed, and an overlapping write shortens a tail COW instead of waiting */
};

struct qcow2;

struct qcow2_options {
	struct arena *arena; /* borrowed; every object of the image lives there */
	enum qcow2_policy policy;
	bool read_only;
	/* Refuse a dirty image instead of repairing it. One that is opened read-only, or that lies
	 * below another, is refused in any case. */
	bool no_repair;
	uint32_t l2_tables_cached;       /* at least 2; 0: 16 */
	uint32_t refcount_blocks_cached; /* at least 2; 0: 8 */
	uint32_t allocations_max; /* in flight at a time: asleep, or not linked yet; 0: 256 */
	uint64_t
		allocate_from; /* host byte below which no cluster is allocated at first; 0: none */
};

struct qcow2_create_options {
	uint64_t size_bytes;        /* of the virtual disk */
	uint32_t cluster_bytes;     /* power of two, 512 .. 2 MiB; 0: 64 KiB */
	uint32_t version;           /* 2 or 3; 0: 3 */
	bool lazy_refcounts;        /* version 3 only */
	const char *backing_path;   /* NULL: none; at most 1023 bytes */
	const char *backing_format; /* "raw" or "qcow2"; needed with backing_path */
};

/** What an open image is. */
struct qcow2_facts {
	uint64_t size_bytes;
	uint32_t cluster_bytes;
	uint32_t version;
	bool lazy_refcounts;
	bool has_backing;
	uint32_t snapshots;
};

/** "eager", "delayed" or "cancel". False when `text` is none of them. */
bool qcow2_policy_parse(const char *text, enum qcow2_policy *policy);
const char *qcow2_policy_name(enum qcow2_policy policy);

/** Create an empty image at `path` (which is created or emptied). Plain calls, no task needed;
 * unwatched paths only need a file system. STATUS_BAD_INPUT: options out of range; STATUS_IO. */
MUST_USE enum status qcow2_create(const char *path, const struct qcow2_create_options *options,
				  struct why *why);

/** Open an image and its backing chain; a dirty image is repaired first. Gives `*image`; close with
 * qcow2_close().
 *  STATUS_FOREIGN: no qcow2 image; STATUS_CORRUPT: its header or tables contradict themselves, or
 * it is dirty and its repair would have to guess (nothing is written then); STATUS_UNSUPPORTED:
 * names the feature; STATUS_IO: a repair that was begun is done again by the next open. */
MUST_USE enum status qcow2_open(struct qcow2 **image, const char *path,
				const struct qcow2_options *options, struct why *why);

/** What `image` is; never suspends. */
struct qcow2_facts qcow2_facts(const struct qcow2 *image);

/** Read into `vector`. -EIO, -EINVAL: beyond the end. */
int qcow2_readv(struct qcow2 *image, uint64_t guest_offset, const struct iovec *vector, int count);

/** Write from `vector`, whose bytes must not change until it returns. -EIO, -ENOSPC, -EINVAL. */
int qcow2_writev(struct qcow2 *image, uint64_t guest_offset, const struct iovec *vector, int count);

/** Make a range read as zeros. `unmap`: whole clusters may give up their host clusters. */
int qcow2_write_zeroes(struct qcow2 *image, uint64_t guest_offset, uint64_t bytes, bool unmap);

/** Give up the host clusters of the whole clusters in a range. They read as zeros, except in
 * version 2 images with a backing file, where nothing is done. */
int qcow2_discard(struct qcow2 *image, uint64_t guest_offset, uint64_t bytes);

/** Make everything acknowledged so far durable. An error is returned until a retry succeeds. */
int qcow2_flush(struct qcow2 *image);

/** Grow the virtual disk to `size_bytes`. -ENOTSUP: shrinking. */
int qcow2_truncate(struct qcow2 *image, uint64_t size_bytes);

/** Create an internal snapshot of the present contents. -ENOTSUP, -ENOSPC, -EEXIST (name taken). */
int qcow2_snapshot_create(struct qcow2 *image, const char *name);

/** Make the disk hold what internal snapshot `name` holds, at once for whoever reads. After a
 * failed write of the L1 table nobody knows what the disk holds: no flush succeeds again. -ENOENT;
 * -ENOTSUP: it was taken of a disk of another size. */
int qcow2_snapshot_apply(struct qcow2 *image, const char *name);

/** Delete internal snapshot `name`. -ENOENT. */
int qcow2_snapshot_delete(struct qcow2 *image, const char *name);

/** Finish all background work, write everything back, mark the image clean, close the file, free
 * `image` (also on error). Returns the first error. */
int qcow2_close(struct qcow2 *image);

#endif
