// SPDX-License-Identifier: MIT
/* Refcounts and the structures that hold them.
 *
 * A refcount block covers a range of host clusters; where there is no block all clusters are free.
 * So the first cluster that is wanted from an uncovered range can hold the block for that range,
 * which then counts itself, and no recursion is needed to find room for it. The same trick serves
 * the table: when it is too short the new, longer table and the blocks that cover it are laid out
 * at the beginning of the first uncovered range.
 *
 * Order: a block's contents are durable before the table points to it (O5); a new table and its
 * blocks are durable before the header points to them, and the old table is freed after that (O6).
 * A crash in between leaks clusters. */
#include "engine/qcow2/refcount.h"

#include "engine/qcow2/alloc.h"
#include "engine/qcow2/events.h"
#include "injector/fault_point.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { REFCOUNT_BYTES = 2, REFCOUNT_MAX = UINT16_MAX };

/* The table is kept below 64 MiB: enough for any image that a file system can hold. */
enum { REFCOUNT_TABLE_ENTRIES_MAX = 8 * 1024 * 1024 };

static uint64_t block_of(const struct qcow2 *image, uint64_t cluster)
{
	uint64_t index = cluster / image->block_entries;
	return index < image->refcount_entries ? image->refcount_table[index] : 0;
}

static size_t byte_in_block(const struct qcow2 *image, uint64_t cluster)
{
	return (size_t)(cluster % image->block_entries) * REFCOUNT_BYTES;
}

int refcount_get(struct qcow2 *image, uint64_t cluster, uint16_t *refcount)
{
	touch(TOUCH_CLUSTERS, image->depth, ACCESS_READ);
	uint64_t host_offset = block_of(image, cluster);
	*refcount = 0;
	if (host_offset == 0)
		return 0;
	void *block;
	int result = cache_get(&image->refcount_cache, host_offset, &block);
	if (result < 0)
		return result;
	touch(TOUCH_CLUSTERS, image->depth, ACCESS_READ);
	*refcount = be16_get((uint8_t *)block + byte_in_block(image, cluster));
	cache_put(&image->refcount_cache, block);
	return 0;
}

/* Is the cluster a table that is being worked on? Only in a damaged image does an entry that is
 * given up point to such a one. */
static bool is_in_use(const struct qcow2 *image, uint64_t cluster)
{
	uint64_t host_offset = cluster * image->cluster_bytes;
	return cache_is_pinned(&image->l2_cache, host_offset) ||
	       cache_is_pinned(&image->refcount_cache, host_offset);
}

static int add_one(struct qcow2 *image, uint64_t cluster, int delta)
{
	touch(TOUCH_CLUSTERS, image->depth, ACCESS_WRITE);
	uint64_t host_offset = block_of(image, cluster);
	if (host_offset == 0)
		return -ERANGE;
	void *block;
	int result = cache_get(&image->refcount_cache, host_offset, &block);
	if (result < 0)
		return result;
	touch(TOUCH_CLUSTERS, image->depth, ACCESS_WRITE);
	size_t at = byte_in_block(image, cluster);
	int refcount = be16_get((uint8_t *)block + at) + delta;
	if (refcount < 0 || refcount > REFCOUNT_MAX) {
		result = -ERANGE;
	} else if (refcount == 0 && is_in_use(image, cluster)) {
		result = -EIO;
	} else if (refcount == 0 && !allocator_has_room(image)) {
		result = -ENOMEM; /* a free that is not noted would be a reuse too soon */
	} else {
		be16_put((uint8_t *)block + at, (uint16_t)refcount);
		cache_dirty(&image->refcount_cache, block, at, REFCOUNT_BYTES);
	}
	cache_put(&image->refcount_cache, block);
	if (result == 0 && refcount == 0)
		allocator_note_free(image, cluster);
	return result;
}

int refcount_add(struct qcow2 *image, uint64_t first, uint64_t clusters, int delta)
{
	assert(co_mutex_is_mine(&image->lock));
	for (uint64_t i = 0; i < clusters; i++) {
		int result = add_one(image, first + i, delta);
		if (result == 0)
			continue;
		while (i-- > 0)
			(void)!add_one(image, first + i, -delta);
		return result;
	}
	return 0;
}

/* Write one table entry; memory follows the disk, never the other way round. */
static int set_table_entry(struct qcow2 *image, uint64_t index, uint64_t block_host_offset)
{
	uint64_t entry;
	be64_put(&entry, block_host_offset);
	touch(TOUCH_CLUSTERS, image->depth, ACCESS_READ);
	QCOW2_EVENT(image, QCOW2_REFBLOCK_ALLOC_HOOKUP);
	int result = file_write(&image->file, &entry, sizeof(entry),
				image->header.refcount_table_host_offset + index * sizeof(entry));
	touch(TOUCH_CLUSTERS, image->depth, ACCESS_WRITE);
	if (result == 0)
		image->refcount_table[index] = block_host_offset;
	return result;
}

static int create_block(struct qcow2 *image, uint64_t cluster)
{
	uint64_t host_offset = cluster * image->cluster_bytes;
	void *block;
	QCOW2_EVENT(image, QCOW2_REFBLOCK_ALLOC);
	int result = cache_get_new(&image->refcount_cache, host_offset, &block);
	if (result < 0)
		return result;
	be16_put((uint8_t *)block + byte_in_block(image, cluster), 1);
	cache_share(&image->refcount_cache, block);
	cache_put(&image->refcount_cache, block);
	if (KNOWN_BUG("block-not-written"))
		result = image_device_flush(image);
	else if (KNOWN_BUG("block-no-flush"))
		result = cache_write_back(&image->refcount_cache);
	else
		result = cache_flush(&image->refcount_cache); /* O5 */
	if (result == 0)
		result = set_table_entry(image, cluster / image->block_entries, host_offset);
	if (result < 0)
		cache_forget(&image->refcount_cache, host_offset);
	return result;
}

/** A longer refcount table on its way: `blocks` refcount blocks, then the table, from cluster
 * `first` on. */
struct new_table {
	uint64_t first, blocks, clusters;
	uint64_t entries;
	uint64_t *memory; /* host byte order; owned until the header points to the table */
};

static int plan_table(struct qcow2 *image, uint64_t cluster, struct new_table *plan)
{
	uint64_t per_cluster = image->cluster_bytes / sizeof(uint64_t);
	uint64_t needed = cluster / image->block_entries + 1;
	*plan = (struct new_table){ .first = cluster };
	plan->clusters = (needed + needed / 2 + per_cluster - 1) / per_cluster;
	/* The area covers itself: more blocks make it longer, which may need more blocks. */
	uint64_t last;
	do {
		plan->blocks++;
		last = plan->first + plan->blocks + plan->clusters - 1;
	} while (last / image->block_entries - cluster / image->block_entries >= plan->blocks);
	if (last / image->block_entries >= plan->clusters * per_cluster)
		plan->clusters++;
	plan->entries = plan->clusters * per_cluster;
	if (plan->entries > REFCOUNT_TABLE_ENTRIES_MAX)
		return -EFBIG;
	plan->memory = arena_take(image->arena, plan->entries * sizeof(uint64_t));
	if (!plan->memory)
		return -ENOMEM;
	memcpy(plan->memory, image->refcount_table, image->refcount_entries * sizeof(uint64_t));
	for (uint64_t i = 0; i < plan->blocks; i++)
		plan->memory[cluster / image->block_entries + i] =
			(plan->first + i) * image->cluster_bytes;
	return 0;
}

static int write_new_blocks(struct qcow2 *image, const struct new_table *plan)
{
	uint64_t used = plan->blocks + plan->clusters;
	for (uint64_t i = 0; i < plan->blocks; i++) {
		void *block;
		int result = cache_get_new(&image->refcount_cache,
					   (plan->first + i) * image->cluster_bytes, &block);
		if (result < 0)
			return result;
		uint64_t index = plan->first / image->block_entries + i;
		for (uint64_t c = plan->first; c < plan->first + used; c++) {
			if (c / image->block_entries == index)
				be16_put((uint8_t *)block + byte_in_block(image, c), 1);
		}
		cache_share(&image->refcount_cache, block);
		cache_put(&image->refcount_cache, block);
	}
	QCOW2_EVENT(image, QCOW2_REFBLOCK_ALLOC_WRITE_BLOCKS);
	return cache_write_back(&image->refcount_cache);
}

static uint64_t table_host_offset(const struct qcow2 *image, const struct new_table *plan)
{
	uint64_t cluster = plan->first + plan->blocks;
	if (KNOWN_BUG("table-on-blocks"))
		cluster = plan->first;
	return cluster * image->cluster_bytes;
}

static int write_new_table(struct qcow2 *image, const struct new_table *plan)
{
	uint64_t *raw = arena_take(image->arena, plan->entries * sizeof(uint64_t));
	if (!raw)
		return -ENOMEM;
	for (uint64_t i = 0; i < plan->entries; i++)
		be64_put(&raw[i], plan->memory[i]);
	QCOW2_EVENT(image, QCOW2_REFBLOCK_ALLOC_WRITE_TABLE);
	int result = file_write(&image->file, raw, plan->entries * sizeof(uint64_t),
				table_host_offset(image, plan));
	arena_give(image->arena, raw);
	return result < 0 ? result : image_device_flush(image); /* O6 */
}

/* Make the header point to the new table, then let the old one go. */
static int switch_table(struct qcow2 *image, struct new_table *plan)
{
	touch(TOUCH_CLUSTERS, image->depth, ACCESS_READ);
	uint64_t old_first = image->header.refcount_table_host_offset / image->cluster_bytes;
	uint64_t old_clusters = image->header.refcount_table_clusters;
	uint64_t host_offset = table_host_offset(image, plan);
	uint8_t raw[12];
	be64_put(raw, host_offset);
	be32_put(raw + 8, (uint32_t)plan->clusters);
	QCOW2_EVENT(image, QCOW2_REFBLOCK_ALLOC_SWITCH_TABLE);
	int result = image_write_header(image, raw, sizeof(raw), FORMAT_AT_REFCOUNT_TABLE);
	if (result < 0)
		return result;
	touch(TOUCH_CLUSTERS, image->depth, ACCESS_WRITE);
	image->header.refcount_table_host_offset = host_offset;
	image->header.refcount_table_clusters = (uint32_t)plan->clusters;
	arena_give(image->arena, image->refcount_table);
	image->refcount_table = plan->memory;
	image->refcount_entries = plan->entries;
	image_share_refcount_table(image);
	plan->memory = NULL;
	return refcount_add(image, old_first, old_clusters, -1);
}

static int grow_table(struct qcow2 *image, uint64_t cluster)
{
	/* The area begins a block's range, so that its blocks are all new. */
	cluster = cluster / image->block_entries * image->block_entries;
	struct new_table plan;
	int result = plan_table(image, cluster, &plan);
	if (result < 0)
		return result;
	result = write_new_blocks(image, &plan);
	if (result == 0)
		result = write_new_table(image, &plan);
	if (result == 0)
		result = switch_table(image, &plan);
	if (plan.memory) {
		for (uint64_t i = 0; i < plan.blocks; i++)
			cache_forget(&image->refcount_cache,
				     (plan.first + i) * image->cluster_bytes);
		arena_give(image->arena, plan.memory);
	}
	return result;
}

int refcount_cover(struct qcow2 *image, uint64_t cluster, bool *taken)
{
	assert(co_mutex_is_mine(&image->lock));
	touch(TOUCH_CLUSTERS, image->depth, ACCESS_WRITE);
	*taken = false;
	if (block_of(image, cluster) != 0)
		return 0;
	if (cluster / image->block_entries >= image->refcount_entries) {
		int result = grow_table(image, cluster);
		if (result < 0)
			return result;
		uint16_t refcount;
		result = refcount_get(image, cluster, &refcount);
		*taken = refcount != 0;
		return result;
	}
	*taken = true;
	return create_block(image, cluster);
}
