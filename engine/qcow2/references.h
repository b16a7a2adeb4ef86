// SPDX-License-Identifier: MIT
/** References: how many each host cluster has, counted from the tables that hold them and not from
 * the refcounts. What a repair goes by. */
#ifndef ENGINE_QCOW2_REFERENCES_H
#define ENGINE_QCOW2_REFERENCES_H

#include "engine/qcow2/image.h"

/** What a cluster is used for. Only data may be shared, and L2 tables between L1 tables. */
enum cluster_use {
	USE_NONE,
	USE_METADATA, /* header, L1, refcount and snapshot tables, refcount blocks */
	USE_L2,
	USE_DATA,
};

/** The clusters that one refcount block counts. */
struct counted_range {
	uint16_t *counts; /* owned; image->block_entries of them */
	uint8_t *uses;    /* owned; likewise; enum cluster_use, and a mark of the walk */
};

struct references {
	struct qcow2 *image; /* borrowed */
	const char *path;    /* borrowed; for messages */
	uint64_t clusters;   /* that begin inside the file */
	/* Owned; memory is taken for ranges that have references, so it is bounded by the file. */
	struct counted_range *ranges;
	uint64_t range_count;
};

/** Count every reference of an open image. Reads only. Free with references_release(), also on
 * failure. STATUS_CORRUPT: an entry is malformed or leaves the file, metadata overlap, a count does
 * not fit 16 bits; STATUS_UNSUPPORTED: bitmaps; STATUS_IO, STATUS_NO_MEMORY. May suspend. */
MUST_USE enum status references_count(struct references *references, struct qcow2 *image,
				      const char *path, struct why *why);
void references_release(struct references *references);

/** How many references cluster number `cluster` has. */
uint16_t references_of(const struct references *references, uint64_t cluster);

/** Are there any in the range of refcount block `index`? */
bool references_has_range(const struct references *references, uint64_t index);

/** Metadata will be placed in a cluster that has no references. STATUS_NO_MEMORY. */
MUST_USE enum status references_add_metadata(struct references *references, uint64_t cluster,
					     struct why *why);

/** Metadata that was counted will be gone. */
void references_drop_metadata(struct references *references, uint64_t cluster);

#endif
