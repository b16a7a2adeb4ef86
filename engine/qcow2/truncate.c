// SPDX-License-Identifier: MIT
/* Growing the virtual disk.
 *
 * The new area must read as zeros, also where a longer backing file would show through: so it is
 * zeroed first, by entries that lie beyond the present end, and then the header says the new size.
 * When the L1 table is too short, a longer copy is made durable before the header points to it, and
 * the old one is freed after that (O6). */
#include "engine/qcow2/alloc.h"
#include "engine/qcow2/events.h"
#include "engine/qcow2/l2meta.h"
#include "engine/qcow2/map.h"
#include "injector/fault_point.h"

#include <errno.h>
#include <string.h>

enum { L1_ENTRIES_MAX = 4 * 1024 * 1024, ENTRY_BYTES = 8 };

static uint64_t l1_entries_for(const struct qcow2 *image, uint64_t size_bytes)
{
	uint64_t covered = (uint64_t)image->cluster_bytes * image->l2_entries;
	return size_bytes / covered + (size_bytes % covered != 0);
}

static uint64_t l1_clusters(const struct qcow2 *image, uint64_t entries)
{
	uint64_t bytes = entries * ENTRY_BYTES;
	uint64_t clusters = (bytes + image->cluster_bytes - 1) / image->cluster_bytes;
	return clusters ? clusters : 1;
}

/* Write the longer table, all of it, and make it durable. */
static int write_l1(struct qcow2 *image, const uint64_t *l1, uint64_t entries, uint64_t host_offset)
{
	uint64_t bytes = l1_clusters(image, entries) * image->cluster_bytes;
	uint64_t *raw = arena_take(image->arena, (size_t)bytes);
	if (!raw)
		return -ENOMEM;
	for (uint64_t i = 0; i < entries; i++)
		be64_put(&raw[i], l1[i]);
	int result = cache_flush(&image->refcount_cache);
	QCOW2_EVENT(image, QCOW2_L1_GROW_WRITE_TABLE);
	if (result == 0)
		result = file_write(&image->file, raw, (size_t)bytes, host_offset);
	if (result == 0 && !KNOWN_BUG("l1-table-no-flush"))
		result = image_device_flush(image);
	arena_give(image->arena, raw);
	return result;
}

/* Make the L1 table `entries` long. With the lock. */
static int grow_l1(struct qcow2 *image, uint64_t entries)
{
	touch(TOUCH_L1, image->depth, ACCESS_READ);
	if (entries <= image->header.l1_entries)
		return 0;
	if (entries > L1_ENTRIES_MAX)
		return -EFBIG;
	uint64_t *l1 = arena_take(image->arena, (size_t)entries * ENTRY_BYTES);
	if (!l1)
		return -ENOMEM;
	memcpy(l1, image->l1, image->header.l1_entries * (size_t)ENTRY_BYTES);
	uint64_t old_clusters = l1_clusters(image, image->header.l1_entries);
	uint64_t old_host_offset = image->header.l1_host_offset;
	uint64_t host_offset;
	QCOW2_EVENT(image, QCOW2_L1_GROW_ALLOC_TABLE);
	int result = alloc_clusters(image, l1_clusters(image, entries), &host_offset);
	if (result == 0)
		result = write_l1(image, l1, entries, host_offset);
	uint8_t raw[12];
	be32_put(raw, (uint32_t)entries);
	be64_put(raw + 4, host_offset);
	QCOW2_EVENT(image, QCOW2_L1_GROW_ACTIVATE_TABLE);
	if (result == 0)
		result = image_write_header(image, raw, sizeof(raw), FORMAT_AT_L1); /* O6 */
	if (result < 0) {
		arena_give(image->arena, l1); /* what was allocated is leaked, not lost */
		return result;
	}
	touch(TOUCH_L1, image->depth, ACCESS_WRITE);
	arena_give(image->arena, image->l1);
	image->l1 = l1;
	image->header.l1_entries = (uint32_t)entries;
	image->header.l1_host_offset = host_offset;
	image_share_l1(image);
	return free_unlinked(image, old_host_offset, old_clusters * image->cluster_bytes);
}

static int set_size(struct qcow2 *image, uint64_t size_bytes)
{
	uint64_t raw;
	be64_put(&raw, size_bytes);
	int result = image_write_header(image, &raw, sizeof(raw), FORMAT_AT_SIZE);
	touch(TOUCH_HEADER, image->depth, ACCESS_WRITE);
	if (result == 0) {
		image->header.size_bytes = size_bytes;
		image->size_bytes = size_bytes;
	}
	return result;
}

static bool is_shown_through(const struct qcow2 *image, uint64_t guest_offset)
{
	if (image->backing) {
		touch(TOUCH_HEADER, image->backing->depth, ACCESS_READ);
		return guest_offset < image->backing->size_bytes;
	}
	return guest_offset < image->raw.size_bytes;
}

/* Make clusters that begin beyond the present end read as zeros. With the lock; the L1 table is
 * long enough. */
static int hide_backing(struct qcow2 *image, uint64_t size_bytes)
{
	touch(TOUCH_HEADER, image->depth, ACCESS_READ);
	uint64_t at = cluster_end(image, image->size_bytes);
	for (; at < size_bytes && is_shown_through(image, at); at += image->cluster_bytes) {
		if (image->header.version < 3)
			return -ENOTSUP;
		struct mapping mapping;
		int result = map_lookup(image, at, image->cluster_bytes, &mapping);
		if (result == 0 && mapping.kind == MAPPING_UNALLOCATED)
			result = map_set_entry(image, at, ENTRY_ZERO, true);
		if (result < 0)
			return result;
	}
	int result = cache_write_back(&image->l2_cache);
	return result < 0 ? result : image_device_flush(image);
}

/* The last cluster may be cut off: what lies beyond the end is data of nobody, unless it was never
 * allocated and the backing file goes on. Writing zeros there, while it is still beyond the end, is
 * not possible; so it is done just after. */
static int zero_rest_of_last(struct qcow2 *image, uint64_t old_size, uint64_t size_bytes)
{
	uint64_t end = cluster_end(image, old_size);
	if (end > size_bytes)
		end = size_bytes;
	if (end <= old_size)
		return 0;
	return qcow2_write_zeroes(image, old_size, end - old_size, false);
}

int qcow2_truncate(struct qcow2 *image, uint64_t size_bytes)
{
	touch(TOUCH_HEADER, image->depth, ACCESS_READ);
	uint64_t old_size = image->size_bytes;
	if (image->read_only)
		return -EACCES;
	if (size_bytes < old_size || image->header.snapshots > 0)
		return -ENOTSUP;
	if (size_bytes % FORMAT_SECTOR_BYTES != 0)
		return -EINVAL;
	if (size_bytes == old_size)
		return 0;
	int result = l2meta_drain(image);
	co_mutex_lock(&image->lock);
	if (result == 0)
		result = grow_l1(image, l1_entries_for(image, size_bytes));
	if (result == 0 && KNOWN_BUG("size-before-zeros"))
		result = set_size(image, size_bytes);
	if (result == 0)
		result = hide_backing(image, size_bytes);
	if (result == 0)
		result = set_size(image, size_bytes);
	co_mutex_unlock(&image->lock);
	return result < 0 ? result : zero_rest_of_last(image, old_size, size_bytes);
}
