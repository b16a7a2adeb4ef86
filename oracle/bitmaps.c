// SPDX-License-Identifier: MIT
/* Bitmaps are not followed sector by sector as other tables are: few images have them, and only
 * what leaks depends on them. So they are listed anew wherever a count of leaks is too high without
 * them.
 *
 *     header extension --> directory --entry--> table --entry--> data
 */
#include "oracle/bitmaps.h"

#include "oracle/bytes.h"
#include "oracle/heap.h"

#include <stdlib.h>

enum {
	DIRECTORY_BYTES_MAX = 1 << 20,
	CLUSTERS_MAX = 1 << 16,
	TABLE_ENTRIES_MAX = 1 << 18, /* of all bitmaps together */
	ENTRY_FIXED_BYTES = 24,
};

#define TABLE_ENTRY_OFFSET UINT64_C(0x00fffffffffffe00)

static bool add_range(struct bitmap_clusters *clusters, const struct image_header *header,
		      uint64_t host_offset, uint64_t bytes)
{
	uint64_t first = host_offset >> header->cluster_bits;
	uint64_t in_cluster = (UINT64_C(1) << header->cluster_bits) - 1;

	if (bytes == 0)
		return true;
	if (host_offset > TABLE_ENTRY_OFFSET || (host_offset & in_cluster) != 0)
		return false;
	for (uint64_t at = first; at <= (host_offset + bytes - 1) >> header->cluster_bits; at++) {
		if (clusters->count == CLUSTERS_MAX)
			return false;
		clusters->indices = heap_grow(clusters->indices, &clusters->capacity,
					      clusters->count + 1, sizeof(*clusters->indices));
		clusters->indices[clusters->count++] = at;
	}
	return true;
}

/** One bitmap: its table, and what that points to. */
static bool add_bitmap(struct bitmap_clusters *clusters, const struct image_header *header,
		       const struct image_source *source, const uint8_t *entry)
{
	uint64_t table = be64_load(entry);
	uint64_t entries = be32_load(entry + 8);

	clusters->entries += entries;
	if (clusters->entries > TABLE_ENTRIES_MAX ||
	    !add_range(clusters, header, table, 8 * entries))
		return false;
	for (uint64_t i = 0; i < entries; i++) {
		uint8_t raw[8];

		source->read(source->context, raw, sizeof(raw), table + 8 * i);
		uint64_t data = be64_load(raw) & TABLE_ENTRY_OFFSET;
		if (data != 0 && !add_range(clusters, header, data, 1))
			return false;
	}
	return true;
}

static int compare_indices(const void *a, const void *b)
{
	const uint64_t *left = a;
	const uint64_t *right = b;

	return *left < *right ? -1 : *left > *right;
}

bool bitmaps_list(struct bitmap_clusters *clusters, const struct image_header *header,
		  const struct image_source *source)
{
	uint64_t at = 0;

	*clusters = (struct bitmap_clusters){ 0 };
	if (header->bitmap_count == 0)
		return true;
	if (header->bitmaps_bytes > DIRECTORY_BYTES_MAX ||
	    !add_range(clusters, header, header->bitmaps_offset, header->bitmaps_bytes))
		return false;
	for (uint64_t i = 0; i < header->bitmap_count; i++) {
		uint8_t entry[ENTRY_FIXED_BYTES];

		if (at + sizeof(entry) > header->bitmaps_bytes)
			return false;
		source->read(source->context, entry, sizeof(entry), header->bitmaps_offset + at);
		if (!add_bitmap(clusters, header, source, entry))
			return false;
		at += sizeof(entry) + (uint64_t)be32_load(entry + 20) + be16_load(entry + 18);
		at = (at + 7) & ~UINT64_C(7);
	}
	qsort(clusters->indices, clusters->count, sizeof(*clusters->indices), compare_indices);
	return true;
}

void bitmaps_release(struct bitmap_clusters *clusters)
{
	free(clusters->indices);
}

uint64_t bitmaps_count(const struct bitmap_clusters *clusters, uint64_t index)
{
	const uint64_t *found = NULL;
	uint64_t count = 0;

	if (clusters->count > 0)
		found = bsearch(&index, clusters->indices, clusters->count, sizeof(index),
				compare_indices);
	if (found == NULL)
		return 0;
	while (found > clusters->indices && found[-1] == index)
		found--;
	while (found < clusters->indices + clusters->count && *found++ == index)
		count++;
	return count;
}
