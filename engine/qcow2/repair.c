// SPDX-License-Identifier: MIT
/* Repair: what the dirty bit promises.
 *
 * The bit says that refcounts on disk may be wrong, and COPIED flags with them. So neither is
 * asked: the references are counted (references.c), and everything else follows from the counts.
 *
 *     1. count; refuse what cannot be counted             nothing is written before this is done
 *     2. find room for missing refcount blocks, and for a longer table if that one is too short
 *     3. write the blocks, old and new, as the counts say; COPIED flags where they are not so
 *     4. flush (O11)
 *     5. make the refcount table, or the header, point to what is new; flush
 *     6. clear the dirty bit; flush (O12)
 *
 * Why a crash anywhere leaves an image that is repaired by the next open: until step 6 it is dirty.
 * What the steps before it write is what the next repair does not ask either (refcounts, flags), or
 * lies in clusters without references (new blocks and tables). Only step 5 adds references, to
 * blocks that are complete by then; they count as any other. And none of it changes what the guest
 * reads. After step 6 refcounts and flags are exact, because step 4 and 5 were flushed.
 *
 * What was leaked needs no treatment of its own: its count is zero. */
#include "engine/qcow2/repair.h"

#include "engine/qcow2/map.h"
#include "engine/qcow2/references.h"
#include "injector/fault_point.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum {
	ENTRY_BYTES = 8,
	REFCOUNT_BYTES = 2,
	TABLE_ENTRIES_MAX = 8 * 1024 * 1024, /* 64 MiB, as open accepts */
};

/* A repair in progress. */
struct repair {
	struct qcow2 *image;
	struct references references;
	/* The refcount table as it will be, host byte order; entries behind the present table's
	 * are new. Owned. */
	uint64_t *table;
	uint64_t entries; /* room in `table` */
	uint64_t used;    /* entries up to the last that points to a block */
	uint64_t free;    /* no cluster below it is without references */
	/* A longer table. 0 clusters: the present one will do. */
	uint64_t table_first, table_clusters;
};

static enum status out_of_memory(struct why *why)
{
	return why_set(why, STATUS_NO_MEMORY, "out of memory");
}

/* ---- 2. room ---- */

/* Make room for entry `index` of the table. */
static enum status grow_entries(struct repair *repair, uint64_t index, struct why *why)
{
	struct arena *arena = repair->image->arena;
	if (index < repair->entries)
		return STATUS_OK;
	if (index >= TABLE_ENTRIES_MAX)
		return why_set(why, STATUS_UNSUPPORTED,
			       "'%s': repair needs a refcount table above 64 MiB",
			       repair->references.path);
	uint64_t entries = index + index / 2 + 1;
	uint64_t *table = arena_take(arena, (size_t)entries * sizeof(*table));
	if (!table)
		return out_of_memory(why);
	memcpy(table, repair->table, (size_t)repair->entries * sizeof(*table));
	arena_give(arena, repair->table);
	repair->table = table;
	repair->entries = entries;
	return STATUS_OK;
}

/* The first of `length` clusters in a row that nothing refers to. */
static uint64_t find_room(struct repair *repair, uint64_t length)
{
	uint64_t found = 0;
	uint64_t cluster = repair->free;
	while (found < length)
		found = references_of(&repair->references, cluster++) == 0 ? found + 1 : 0;
	if (length == 1)
		repair->free = cluster - 1;
	return cluster - length;
}

static enum status take_room(struct repair *repair, uint64_t first, uint64_t clusters,
			     struct why *why)
{
	enum status status = STATUS_OK;
	for (uint64_t i = 0; i < clusters && status == STATUS_OK; i++)
		status = references_add_metadata(&repair->references, first + i, why);
	return status;
}

/* Give range `index` a block, if it has references and no block. */
static enum status place_block(struct repair *repair, uint64_t index, bool *placed, struct why *why)
{
	if (!references_has_range(&repair->references, index))
		return STATUS_OK;
	enum status status = grow_entries(repair, index, why);
	if (status != STATUS_OK)
		return status;
	if (index >= repair->used)
		repair->used = index + 1;
	if (repair->table[index] != 0)
		return STATUS_OK;
	uint64_t cluster = find_room(repair, 1);
	*placed = true;
	repair->table[index] = cluster * repair->image->cluster_bytes;
	return take_room(repair, cluster, 1, why);
}

/* Give a block to every range that needs one. The block itself may be the first cluster of a range
 * that had no references; there the next ones find room, so this ends. */
static enum status place_blocks(struct repair *repair, struct why *why)
{
	enum status status = STATUS_OK;
	bool placed = true;
	while (placed && status == STATUS_OK) {
		placed = false;
		for (uint64_t i = 0; i < repair->references.range_count && status == STATUS_OK; i++)
			status = place_block(repair, i, &placed, why);
	}
	return status;
}

/* Find room for a longer table, if one is needed. What is placed for it may need blocks, and those
 * a yet longer table: it is made half as long again each time, so this ends. The old table keeps
 * its clusters until the header points to the new one. */
static enum status place_table(struct repair *repair, struct why *why)
{
	struct qcow2 *image = repair->image;
	uint64_t per_cluster = image->cluster_bytes / ENTRY_BYTES;
	uint64_t room = image->refcount_entries;
	enum status status = place_blocks(repair, why);
	while (status == STATUS_OK && repair->used > room) {
		for (uint64_t i = 0; i < repair->table_clusters; i++)
			references_drop_metadata(&repair->references, repair->table_first + i);
		uint64_t wanted = repair->used + repair->used / 2;
		repair->table_clusters = (wanted + per_cluster - 1) / per_cluster;
		room = repair->table_clusters * per_cluster;
		if (room > TABLE_ENTRIES_MAX)
			return grow_entries(repair, room, why);
		repair->table_first = find_room(repair, repair->table_clusters);
		status = take_room(repair, repair->table_first, repair->table_clusters, why);
		if (status == STATUS_OK)
			status = place_blocks(repair, why);
	}
	if (status != STATUS_OK || repair->table_clusters == 0)
		return status;
	uint64_t old = image->header.refcount_table_host_offset / image->cluster_bytes;
	for (uint64_t i = 0; i < image->header.refcount_table_clusters; i++)
		references_drop_metadata(&repair->references, old + i);
	return grow_entries(repair, room - 1, why);
}

static enum status make_plan(struct repair *repair, struct why *why)
{
	struct qcow2 *image = repair->image;
	repair->free = 1;
	repair->entries = image->refcount_entries;
	repair->table = arena_take(image->arena, (size_t)repair->entries * ENTRY_BYTES);
	if (!repair->table)
		return out_of_memory(why);
	memcpy(repair->table, image->refcount_table, (size_t)repair->entries * ENTRY_BYTES);
	for (uint64_t i = 0; i < repair->entries; i++)
		if (repair->table[i])
			repair->used = i + 1;
	return place_table(repair, why);
}

/* ---- 3. refcounts ---- */

/* Make the block of range `index`, pinned as `block`, say what the references say. */
static void correct_block(struct repair *repair, uint64_t index, uint8_t *block)
{
	struct qcow2 *image = repair->image;
	touch(TOUCH_CLUSTERS, image->depth, ACCESS_WRITE);
	for (uint32_t i = 0; i < image->block_entries; i++) {
		size_t at = (size_t)i * REFCOUNT_BYTES;
		uint16_t right =
			references_of(&repair->references, index * image->block_entries + i);
		uint16_t present = be16_get(block + at);
		if (present == right || (present > right && KNOWN_BUG("repair-keeps-leaks")))
			continue;
		be16_put(block + at, right);
		cache_dirty(&image->refcount_cache, block, at, REFCOUNT_BYTES);
	}
}

static int write_block(struct repair *repair, uint64_t index)
{
	struct qcow2 *image = repair->image;
	uint64_t host_offset = repair->table[index];
	bool is_old =
		index < image->refcount_entries && image->refcount_table[index] == host_offset;
	void *block;
	if (host_offset == 0)
		return 0;
	int result = is_old ? cache_get(&image->refcount_cache, host_offset, &block)
			    : cache_get_new(&image->refcount_cache, host_offset, &block);
	if (result < 0)
		return result;
	correct_block(repair, index, block);
	if (!is_old)
		cache_share(&image->refcount_cache, block);
	cache_put(&image->refcount_cache, block);
	return 0;
}

static int write_blocks(struct repair *repair)
{
	int result = 0;
	for (uint64_t i = 0; i < repair->used && result == 0; i++)
		result = write_block(repair, i);
	return result < 0 ? result : cache_write_back(&repair->image->refcount_cache);
}

/* ---- 3. COPIED ---- */

/* The entry as it ought to be: COPIED iff the cluster that it points to has one reference. A
 * compressed cluster never has the flag. */
static uint64_t with_right_flag(const struct repair *repair, uint64_t entry)
{
	uint64_t host_offset = entry & ENTRY_HOST_MASK;
	uint64_t cluster = host_offset / repair->image->cluster_bytes;
	if (!(entry & ENTRY_COMPRESSED) && host_offset != 0 &&
	    references_of(&repair->references, cluster) == 1)
		return entry | ENTRY_COPIED;
	return entry & ~ENTRY_COPIED;
}

static int correct_entry(void *context, uint64_t *entry)
{
	*entry = with_right_flag(context, *entry);
	return 0;
}

/* Write entries [from, to) of a table of big-endian entries that begins at `host_offset`. */
static int write_entries(struct qcow2 *image, uint64_t host_offset, const uint64_t *entries,
			 uint64_t from, uint64_t to)
{
	if (from >= to)
		return 0;
	size_t count = (size_t)(to - from);
	uint64_t *raw = arena_take(image->arena, count * ENTRY_BYTES);
	if (!raw)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		be64_put(&raw[i], entries[from + i]);
	int result = file_write(&image->file, raw, count * ENTRY_BYTES,
				host_offset + from * ENTRY_BYTES);
	arena_give(image->arena, raw);
	return result;
}

static int correct_copied(struct repair *repair)
{
	struct qcow2 *image = repair->image;
	uint64_t from = image->header.l1_entries, to = 0;
	if (KNOWN_BUG("repair-no-copied"))
		return 0;
	for (uint64_t i = 0; i < image->header.l1_entries; i++) {
		uint64_t right = with_right_flag(repair, image->l1[i]);
		uint64_t host_offset = right & ENTRY_HOST_MASK;
		int result = host_offset ? map_visit_l2(image, host_offset, ACCESS_WRITE,
							correct_entry, repair)
					 : 0;
		if (result < 0)
			return result;
		if (right == image->l1[i])
			continue;
		image->l1[i] = right;
		from = i < from ? i : from;
		to = i + 1;
	}
	int result = cache_write_back(&image->l2_cache);
	return result < 0 ? result
			  : write_entries(image, image->header.l1_host_offset, image->l1, from, to);
}

/* ---- 5. the table ---- */

/* Let the present table's missing entries point to the new blocks. */
static int complete_table(struct repair *repair)
{
	struct qcow2 *image = repair->image;
	uint64_t from = image->refcount_entries, to = 0;
	for (uint64_t i = 0; i < image->refcount_entries; i++) {
		if (repair->table[i] == image->refcount_table[i])
			continue;
		from = i < from ? i : from;
		to = i + 1;
	}
	int result = write_entries(image, image->header.refcount_table_host_offset, repair->table,
				   from, to);
	if (result < 0 || from >= to)
		return result;
	memcpy(image->refcount_table, repair->table, (size_t)image->refcount_entries * ENTRY_BYTES);
	return image_device_flush(image);
}

/* The longer table is durable: let the header point to it. */
static int switch_table(struct repair *repair)
{
	struct qcow2 *image = repair->image;
	uint64_t host_offset = repair->table_first * image->cluster_bytes;
	uint8_t raw[12];
	be64_put(raw, host_offset);
	be32_put(raw + 8, (uint32_t)repair->table_clusters);
	int result = image_write_header(image, raw, sizeof(raw), FORMAT_AT_REFCOUNT_TABLE);
	if (result < 0)
		return result;
	image->header.refcount_table_host_offset = host_offset;
	image->header.refcount_table_clusters = (uint32_t)repair->table_clusters;
	image->refcount_entries =
		repair->table_clusters * (image->cluster_bytes / (uint64_t)ENTRY_BYTES);
	arena_give(image->arena, image->refcount_table);
	image->refcount_table = repair->table;
	repair->table = NULL;
	return 0;
}

static int write_new_table(struct repair *repair)
{
	struct qcow2 *image = repair->image;
	if (repair->table_clusters == 0)
		return 0;
	return write_entries(image, repair->table_first * image->cluster_bytes, repair->table, 0,
			     repair->table_clusters *
				     (image->cluster_bytes / (uint64_t)ENTRY_BYTES));
}

/* ---- all of it ---- */

/* Steps 3 to 6. */
static int carry_out(struct repair *repair)
{
	struct qcow2 *image = repair->image;
	int result = image_clear_autoclear(image);
	if (result == 0 && KNOWN_BUG("repair-clean-first"))
		result = image_mark_clean(image);
	if (result == 0)
		result = write_blocks(repair);
	if (result == 0)
		result = correct_copied(repair);
	if (result == 0)
		result = write_new_table(repair);
	if (result == 0 && !KNOWN_BUG("repair-no-flush"))
		result = image_device_flush(image); /* O11 */
	if (result == 0)
		result = repair->table_clusters ? switch_table(repair) : complete_table(repair);
	return result < 0 ? result : image_mark_clean(image); /* O12 */
}

enum status image_repair(struct qcow2 *image, const char *path, struct why *why)
{
	struct repair repair = { .image = image };
	co_mutex_lock(&image->lock);
	enum status status = references_count(&repair.references, image, path, why);
	if (status == STATUS_OK)
		status = make_plan(&repair, why);
	if (status == STATUS_OK) {
		int result = carry_out(&repair);
		if (result < 0)
			status = why_set(why, STATUS_IO, "cannot repair '%s': %s", path,
					 strerror(-result));
	}
	references_release(&repair.references);
	arena_give(image->arena, repair.table);
	co_mutex_unlock(&image->lock);
	return status;
}
