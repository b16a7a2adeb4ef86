// SPDX-License-Identifier: MIT
/** Host clusters: allocation, freeing, and why a freed cluster is not used again too soon. */
#ifndef ENGINE_QCOW2_ALLOC_H
#define ENGINE_QCOW2_ALLOC_H

#include "engine/qcow2/image.h"

/** An allocator that begins to look at host byte `from`. */
void allocator_init(struct qcow2 *image, uint64_t from);
void allocator_release(struct qcow2 *image);

/** Allocate `clusters` adjacent host clusters: their refcounts become one (in the cache). Needs the
 * lock. 0 or -errno. */
int alloc_clusters(struct qcow2 *image, uint64_t clusters, uint64_t *host_offset);

/** As alloc_clusters(), `*clusters` at most and as many as are adjacent to the first free one. */
int alloc_up_to(struct qcow2 *image, uint64_t *clusters, uint64_t *host_offset);

/** Drop one reference to each cluster that bytes [host_offset, host_offset + bytes) touch, after
 * the L2 tables that no longer point to them (O3). Needs the lock. 0 or -errno. */
int free_after_unlink(struct qcow2 *image, uint64_t host_offset, uint64_t bytes);

/** As free_after_unlink() for clusters that no L2 entry ever pointed to, or whose unlink is
 * durable. */
int free_unlinked(struct qcow2 *image, uint64_t host_offset, uint64_t bytes);

/** Is there room to note a free? To be asked before a refcount falls to zero; needs the lock. False
 * when memory is short. */
bool allocator_has_room(struct qcow2 *image);

/** A refcount fell to zero: the cluster is free, and not to be used before its unlink is durable
 * (O4). allocator_has_room() said yes. */
void allocator_note_free(struct qcow2 *image, uint64_t cluster);

/** What was freed up to free number `number` may be used again, unless somebody still reads or
 * writes it. */
void allocator_release_freed(struct qcow2 *image, uint64_t number);

/** Say that guest data I/O on a range begins (needs the lock) and that it has ended (does not need
 * it). */
void hold_begin(struct qcow2 *image, struct io_hold *hold, uint64_t host_offset, uint64_t bytes,
		bool writes);
void hold_end(struct qcow2 *image, struct io_hold *hold);

/** Wait until no guest data is being written in place. Needs the lock, and keeps it: such I/O does
 * not need it to finish. */
void hold_wait_for_writers(struct qcow2 *image);

#endif
