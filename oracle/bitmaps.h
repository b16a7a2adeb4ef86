// SPDX-License-Identifier: MIT
/** The clusters that hold persistent bitmaps: their directory, their tables, their data. */
#ifndef ORACLE_BITMAPS_H
#define ORACLE_BITMAPS_H

#include "oracle/image_header.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Host clusters, ascending; one that is referred to several times stands there as often. */
struct bitmap_clusters {
	uint64_t *indices; /* owned */
	size_t count, capacity;
	uint64_t entries; /* of bitmap tables that were looked at */
};

/** List the clusters that the bitmaps of an image refer to; none when they are not consistent
 * (autoclear bit 0): then whoever opens the image drops them. Release with bitmaps_release(), also
 * after failure. False: they are too many, or their directory is damaged. */
bool bitmaps_list(struct bitmap_clusters *clusters, const struct image_header *header,
		  const struct image_source *source);
void bitmaps_release(struct bitmap_clusters *clusters);

/** How many times cluster `index` is in the list. */
uint64_t bitmaps_count(const struct bitmap_clusters *clusters, uint64_t index);

#endif
