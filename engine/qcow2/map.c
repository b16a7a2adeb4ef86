// SPDX-License-Identifier: MIT
/* L1 and L2 tables.
 *
 * An L2 entry is changed in the cache only; when it reaches the disk is decided by the cache's
 * order: after the refcounts that cover what it points to (O1), after the data it points to (O2).
 * An L1 entry is written at once, after the L2 table it points to is durable with its refcount
 * (O7). A cluster is freed in the same breath as the entry that pointed to it changes, and its
 * smaller refcount reaches the disk after that entry (O3). */
#include "engine/qcow2/map.h"

#include "engine/qcow2/alloc.h"
#include "engine/qcow2/events.h"
#include "injector/fault_point.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { ENTRY_BYTES = 8 };

static uint32_t l1_index(const struct qcow2 *image, uint64_t guest_offset)
{
	return (uint32_t)(guest_offset / image->cluster_bytes / image->l2_entries);
}

static uint32_t l2_index(const struct qcow2 *image, uint64_t guest_offset)
{
	return (uint32_t)(guest_offset / image->cluster_bytes % image->l2_entries);
}

uint64_t map_clusters_to_table_end(const struct qcow2 *image, uint64_t guest_offset)
{
	return image->l2_entries - l2_index(image, guest_offset);
}

void map_compressed_span(const struct qcow2 *image, uint64_t entry, uint64_t *host_offset,
			 uint64_t *bytes)
{
	unsigned shift = 62 - (image->header.cluster_bits - 8);
	uint64_t sectors = (entry & (ENTRY_COMPRESSED - 1)) >> shift;
	*host_offset = entry & ((UINT64_C(1) << shift) - 1);
	*bytes = (sectors + 1) * FORMAT_SECTOR_BYTES - *host_offset % FORMAT_SECTOR_BYTES;
}

int map_decode(const struct qcow2 *image, uint64_t entry, uint64_t guest_offset,
	       struct mapping *mapping)
{
	*mapping = (struct mapping){ .entry = entry, .copied = entry & ENTRY_COPIED };
	mapping->bytes = image->cluster_bytes - in_cluster(image, guest_offset);
	if (entry & ENTRY_COMPRESSED) {
		mapping->kind = MAPPING_COMPRESSED;
		mapping->copied = false;
		return 0;
	}
	uint64_t host_offset = entry & ENTRY_HOST_MASK;
	if (in_cluster(image, host_offset) != 0)
		return -EIO;
	bool zero = image->header.version >= 3 && (entry & ENTRY_ZERO);
	mapping->host_offset = host_offset + in_cluster(image, guest_offset);
	if (host_offset == 0)
		mapping->kind = zero ? MAPPING_ZERO : MAPPING_UNALLOCATED;
	else
		mapping->kind = zero ? MAPPING_ZERO_ALLOCATED : MAPPING_NORMAL;
	return 0;
}

/* Does `next` carry on where `mapping` ends? */
static bool continues(const struct mapping *mapping, const struct mapping *next)
{
	if (next->kind != mapping->kind || next->copied != mapping->copied)
		return false;
	switch (mapping->kind) {
	case MAPPING_UNALLOCATED:
	case MAPPING_ZERO: return true;
	case MAPPING_ZERO_ALLOCATED:
	case MAPPING_NORMAL: return next->host_offset == mapping->host_offset + mapping->bytes;
	case MAPPING_COMPRESSED: return false;
	}
	return false;
}

/* The table's entries are those of the guest clusters around `guest_offset`. */
static void share_entries(const struct qcow2 *image, const void *table, uint64_t guest_offset)
{
	uint64_t covered = (uint64_t)image->cluster_bytes * image->l2_entries;
	touch_bind_entries(table, image->l2_entries, TOUCH_L2, image->depth,
			   guest_offset / covered * image->l2_entries);
}

int map_lookup(struct qcow2 *image, uint64_t guest_offset, uint64_t bytes, struct mapping *mapping)
{
	assert(co_mutex_is_mine(&image->lock) && bytes > 0);
	touch_one(TOUCH_L1, image->depth, l1_index(image, guest_offset), ACCESS_READ);
	uint64_t l1_entry = image->l1[l1_index(image, guest_offset)] & ENTRY_HOST_MASK;
	uint64_t table_bytes =
		map_clusters_to_table_end(image, guest_offset) * image->cluster_bytes -
		in_cluster(image, guest_offset);
	if (bytes > table_bytes)
		bytes = table_bytes;
	if (l1_entry == 0) {
		*mapping = (struct mapping){ .kind = MAPPING_UNALLOCATED, .bytes = bytes };
		return 0;
	}
	if (in_cluster(image, l1_entry) != 0)
		return -EIO;
	void *table;
	int result = cache_get(&image->l2_cache, l1_entry, &table);
	if (result < 0)
		return result;
	share_entries(image, table, guest_offset);
	uint8_t *at = (uint8_t *)table + (size_t)l2_index(image, guest_offset) * ENTRY_BYTES;
	result = map_decode(image, be64_get(at), guest_offset, mapping);
	while (result == 0 && mapping->bytes < bytes) {
		struct mapping next;
		at += ENTRY_BYTES;
		result = map_decode(image, be64_get(at), guest_offset + mapping->bytes, &next);
		if (result < 0 || !continues(mapping, &next)) {
			result = 0; /* a damaged entry is reported when it is the first */
			break;
		}
		mapping->bytes += next.bytes;
	}
	/* Up to the entry that ended the search. */
	touch_range(TOUCH_L2, image->depth, guest_offset / image->cluster_bytes,
		    (guest_offset + mapping->bytes) / image->cluster_bytes + 1, ACCESS_READ);
	if (mapping->bytes > bytes)
		mapping->bytes = bytes;
	cache_put(&image->l2_cache, table);
	return result;
}

int map_write_l1_entry(struct qcow2 *image, uint32_t index, uint64_t entry)
{
	uint64_t raw;
	be64_put(&raw, entry);
	touch_one(TOUCH_L1, image->depth, index, ACCESS_READ);
	QCOW2_EVENT(image, QCOW2_L1_UPDATE);
	int result = file_write(&image->file, &raw, sizeof(raw),
				image->header.l1_host_offset + (uint64_t)index * ENTRY_BYTES);
	touch_one(TOUCH_L1, image->depth, index, ACCESS_WRITE);
	if (result == 0 || KNOWN_BUG("l1-kept-on-error"))
		image->l1[index] = entry;
	if (result == 0 && !KNOWN_BUG("l1-no-flush"))
		result = image_device_flush(image);
	return result;
}

/* Make a new L2 table in the cache, with the contents of the one at `old` (0: none). */
static int fill_l2(struct qcow2 *image, uint64_t host_offset, uint64_t old)
{
	void *table, *from;
	int result = cache_get_new(&image->l2_cache, host_offset, &table);
	if (result < 0)
		return result;
	if (old != 0)
		result = cache_get(&image->l2_cache, old, &from);
	if (old != 0 && result == 0) {
		touch(TOUCH_L2, image->depth, ACCESS_READ);
		memcpy(table, from, image->cluster_bytes);
		cache_put(&image->l2_cache, from);
	}
	cache_share(&image->l2_cache, table);
	cache_put(&image->l2_cache, table);
	return result;
}

/* Create the L2 table for L1 entry `index`, with the contents of the present one if there is one,
 * which then loses a reference. The order is O7: refcount and contents durable, then the L1 entry,
 * then the old table's refcount. */
static int create_l2(struct qcow2 *image, uint32_t index)
{
	touch_one(TOUCH_L1, image->depth, index, ACCESS_READ);
	uint64_t old = image->l1[index] & ENTRY_HOST_MASK;
	uint64_t host_offset;
	int result = alloc_clusters(image, 1, &host_offset);
	if (result < 0)
		return result;
	if (KNOWN_BUG("l1-before-l2"))
		(void)!map_write_l1_entry(image, index, host_offset | ENTRY_COPIED);
	/* Before there is a new table: to depend may mean to write all that is there (O3). */
	if (!image_is_lazy_dirty(image) && !KNOWN_BUG("l1-before-refcount"))
		result = cache_depend(&image->l2_cache, &image->refcount_cache); /* O1 */
	if (result == 0)
		result = fill_l2(image, host_offset, old);
	if (result == 0 && old && KNOWN_BUG("free-before-link"))
		result = free_unlinked(image, old, image->cluster_bytes);
	if (result == 0 && KNOWN_BUG("l2-no-flush"))
		result = cache_write_back(&image->l2_cache);
	else if (result == 0)
		result = cache_flush(&image->l2_cache);
	if (result == 0)
		result = map_write_l1_entry(image, index, host_offset | ENTRY_COPIED);
	if (result < 0) {
		cache_forget(&image->l2_cache, host_offset);
		touch_one(TOUCH_L1, image->depth, index, ACCESS_READ);
		if (image->l1[index] != (host_offset | ENTRY_COPIED))
			(void)!free_unlinked(image, host_offset, image->cluster_bytes);
		return result;
	}
	if (!old || KNOWN_BUG("free-before-link"))
		return 0;
	return free_unlinked(image, old, image->cluster_bytes);
}

int map_l2_for_update(struct qcow2 *image, uint64_t guest_offset, uint64_t **table, uint32_t *index)
{
	assert(co_mutex_is_mine(&image->lock));
	uint32_t l1 = l1_index(image, guest_offset);
	int result = image_mark_dirty(image); /* O8 */
	touch_one(TOUCH_L1, image->depth, l1, ACCESS_READ);
	if (result == 0 && !(image->l1[l1] & ENTRY_COPIED))
		result = create_l2(image, l1);
	if (result < 0)
		return result;
	void *raw;
	touch_one(TOUCH_L1, image->depth, l1, ACCESS_READ);
	uint64_t host_offset = image->l1[l1] & ENTRY_HOST_MASK;
	if (host_offset == 0 || in_cluster(image, host_offset) != 0)
		return -EIO;
	result = cache_get(&image->l2_cache, host_offset, &raw);
	if (result < 0)
		return result;
	share_entries(image, raw, guest_offset);
	*table = raw;
	*index = l2_index(image, guest_offset);
	return 0;
}

/* Drop the reference that L2 entry `entry` held. The entry has been replaced already, so a failure
 * only leaks the clusters: no reason to fail the request, whose part is done. */
static void free_entry(struct qcow2 *image, uint64_t entry)
{
	uint64_t host_offset = entry & ENTRY_HOST_MASK;
	uint64_t bytes = image->cluster_bytes;
	if (KNOWN_BUG("free-with-flags"))
		host_offset = entry & ~ENTRY_COPIED;
	if (entry & ENTRY_COMPRESSED)
		map_compressed_span(image, entry, &host_offset, &bytes);
	if (host_offset)
		(void)!free_after_unlink(image, host_offset, bytes);
}

/* Put `entry` in place; returns what was there. */
static uint64_t exchange_entry(struct qcow2 *image, uint64_t *table, uint32_t index, uint64_t entry)
{
	uint64_t old = be64_get(&table[index]);
	be64_put(&table[index], entry);
	cache_dirty(&image->l2_cache, table, (size_t)index * ENTRY_BYTES, ENTRY_BYTES);
	return old;
}

int map_link(struct qcow2 *image, uint64_t guest_offset, uint64_t host_offset, uint64_t clusters)
{
	assert(clusters <= map_clusters_to_table_end(image, guest_offset));
	uint64_t *table;
	uint32_t index;
	int result = map_l2_for_update(image, guest_offset, &table, &index);
	if (result < 0)
		return result;
	if (!image_is_lazy_dirty(image) || !KNOWN_BUG("lazy-no-barrier"))
		cache_depend_on_flush(&image->l2_cache); /* O2 */
	if (!image_is_lazy_dirty(image))
		result = cache_depend(&image->l2_cache, &image->refcount_cache); /* O1 */
	for (uint64_t i = 0; i < clusters && result == 0; i++) {
		touch_one(TOUCH_L2, image->depth, guest_offset / image->cluster_bytes + i,
			  ACCESS_WRITE);
		uint64_t entry = (host_offset + i * image->cluster_bytes) | ENTRY_COPIED;
		uint64_t old = exchange_entry(image, table, index + (uint32_t)i, entry);
		if ((old & ~ENTRY_ZERO) != entry)
			free_entry(image, old);
	}
	cache_put(&image->l2_cache, table);
	return result;
}

int map_set_entry(struct qcow2 *image, uint64_t guest_offset, uint64_t entry, bool keeps_host)
{
	uint64_t *table;
	uint32_t index;
	int result = map_l2_for_update(image, guest_offset, &table, &index);
	if (result < 0)
		return result;
	touch_one(TOUCH_L2, image->depth, guest_offset / image->cluster_bytes, ACCESS_WRITE);
	uint64_t old = exchange_entry(image, table, index, entry);
	if (!keeps_host)
		free_entry(image, old);
	cache_put(&image->l2_cache, table);
	return 0;
}

int map_visit_l2(struct qcow2 *image, uint64_t l2_host_offset, enum access_mode mode,
		 int (*visit)(void *context, uint64_t *entry), void *context)
{
	void *table;
	int result = cache_get(&image->l2_cache, l2_host_offset, &table);
	if (result < 0)
		return result;
	uint64_t *entries = table;
	for (uint32_t i = 0; i < image->l2_entries && result == 0; i++) {
		touch(TOUCH_L2, image->depth, mode);
		uint64_t present = be64_get(&entries[i]);
		uint64_t entry = present;
		result = visit(context, &entry);
		if (mode != ACCESS_WRITE)
			continue;
		touch(TOUCH_L2, image->depth, mode);
		if (result < 0 || entry == present)
			continue;
		be64_put(&entries[i], entry);
		cache_dirty(&image->l2_cache, table, i * (size_t)ENTRY_BYTES, ENTRY_BYTES);
	}
	cache_put(&image->l2_cache, table);
	return result;
}
