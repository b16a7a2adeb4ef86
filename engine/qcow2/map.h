// SPDX-License-Identifier: MIT
/** From guest to host: L1 and L2 tables, read and changed. */
#ifndef ENGINE_QCOW2_MAP_H
#define ENGINE_QCOW2_MAP_H

#include "engine/qcow2/image.h"

enum mapping_kind {
	MAPPING_UNALLOCATED,    /* backing file, or zeros */
	MAPPING_ZERO,           /* reads as zeros, no host cluster */
	MAPPING_ZERO_ALLOCATED, /* reads as zeros, a host cluster is kept */
	MAPPING_NORMAL,
	MAPPING_COMPRESSED, /* one cluster at a time */
};

/** What a guest range maps to. */
struct mapping {
	enum mapping_kind kind;
	uint64_t host_offset; /* of the first byte asked for; NORMAL and ZERO_ALLOCATED */
	uint64_t bytes;       /* for how long this holds, at most what was asked for */
	bool copied;          /* the host clusters are ours alone */
	uint64_t entry;       /* the first L2 entry, host byte order */
};

/** Look up where [guest_offset, guest_offset + bytes) begins to be. Adjacent clusters of one kind,
 * adjacent in the file too, are taken together. Needs the lock. 0, -EIO (an entry is damaged),
 * -errno. */
int map_lookup(struct qcow2 *image, uint64_t guest_offset, uint64_t bytes, struct mapping *mapping);

/** Decode one L2 entry (host byte order) for byte `guest_offset`. -EIO when it is damaged. */
int map_decode(const struct qcow2 *image, uint64_t entry, uint64_t guest_offset,
	       struct mapping *mapping);

/** Pin the L2 table for `guest_offset`, which is ours alone afterwards: a missing one is created,
 * one shared with a snapshot is copied. `*index` is the entry's. Unpin with
 * cache_put(&image->l2_cache, *table). Needs the lock. 0 or -errno. */
int map_l2_for_update(struct qcow2 *image, uint64_t guest_offset, uint64_t **table,
		      uint32_t *index);

/** Make `clusters` clusters from `guest_offset` on point to those from `host_offset` on, ours
 * alone, then free what they pointed to. The range lies in one L2 table. Needs the lock, the
 * clusters' contents written (O2). 0 or -errno. */
int map_link(struct qcow2 *image, uint64_t guest_offset, uint64_t host_offset, uint64_t clusters);

/** Replace the L2 entry of one cluster, and free what it pointed to unless `keeps_host`. Needs the
 * lock. 0 or -errno. */
int map_set_entry(struct qcow2 *image, uint64_t guest_offset, uint64_t entry, bool keeps_host);

/** Let `visit` look at each entry of the L2 table at `l2_host_offset`, in order, until it fails.
 * ACCESS_WRITE: what it makes of `*entry` (host byte order) is kept; it may suspend. ACCESS_READ:
 * it changes nothing. The table stays pinned meanwhile, and is not written here. Needs the lock. 0
 * or -errno. */
int map_visit_l2(struct qcow2 *image, uint64_t l2_host_offset, enum access_mode mode,
		 int (*visit)(void *context, uint64_t *entry), void *context);

/** Clusters from `guest_offset` to the end of its L2 table. */
uint64_t map_clusters_to_table_end(const struct qcow2 *image, uint64_t guest_offset);

/** Host bytes of a compressed cluster: where they begin and how many (whole sectors). */
void map_compressed_span(const struct qcow2 *image, uint64_t entry, uint64_t *host_offset,
			 uint64_t *bytes);

/** Write L1 entry `index` and flush (O7); memory follows the disk. Needs the lock. 0 or -errno. */
int map_write_l1_entry(struct qcow2 *image, uint32_t index, uint64_t entry);

#endif
