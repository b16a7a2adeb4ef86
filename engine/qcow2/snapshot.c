// SPDX-License-Identifier: MIT
/* Taking an internal snapshot.
 *
 * A snapshot is a copy of the L1 table; it shares the L2 tables and clusters below, whose refcounts
 * rise by one. Afterwards no entry of the active tables may say COPIED. The steps, each durable
 * before the next begins, are chosen so that every state in between is sound by itself:
 *
 *   1. clear COPIED in the active L2 and L1 tables   (refcount one without COPIED only costs a
 * needless COW)
 *   2. raise the refcounts                           (too high: a leak)
 *   3. write the L1 copy and the longer snapshot table into new clusters
 *   4. make the header point to the new table        (the snapshot exists)
 *   5. free the old table
 *
 * Before all that, allocations in flight are linked and in-place writes finished: their data
 * belongs to the snapshot. */
#include "engine/qcow2/snapshot.h"

#include "engine/qcow2/alloc.h"
#include "engine/qcow2/l2meta.h"
#include "engine/qcow2/map.h"
#include "engine/qcow2/refcount.h"
#include "injector/fault_point.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ENTRY_BYTES = 8,
	SNAPSHOT_FIXED_BYTES = 40,
	SNAPSHOT_EXTRA_BYTES = 16,
	SNAPSHOT_EXTRA_MAX = 1024,
	SNAPSHOT_NAME_MAX = 255,
	SNAPSHOT_ID_BYTES = 16,
	SNAPSHOT_TABLE_MAX = 16 * 1024 * 1024,
};

static uint64_t whole_clusters(const struct qcow2 *image, uint64_t bytes)
{
	uint64_t clusters = (bytes + image->cluster_bytes - 1) / image->cluster_bytes;
	return clusters ? clusters : 1;
}

/* ---- the snapshot table ---- */

int snapshot_entry_bytes(const uint8_t *at, uint64_t room, uint64_t *bytes)
{
	if (room < SNAPSHOT_FIXED_BYTES)
		return -EIO;
	uint64_t extra = be32_get(at + 36);
	uint64_t sum = SNAPSHOT_FIXED_BYTES + extra + be16_get(at + 12) + be16_get(at + 14);
	*bytes = (sum + 7) / 8 * 8;
	return extra > SNAPSHOT_EXTRA_MAX || sum > room ? -EIO : 0;
}

/** The present snapshot table and what has been learnt from it. */
struct table {
	uint8_t *bytes; /* owned */
	uint64_t byte_count;
	uint64_t id_max;
};

static int read_entry(struct qcow2 *image, uint64_t host_offset, uint8_t *to, uint64_t *bytes)
{
	int result = file_read(&image->file, to, SNAPSHOT_FIXED_BYTES, host_offset);
	if (result == 0)
		result = snapshot_entry_bytes(to, UINT32_MAX, bytes);
	return result;
}

/* How long is the table? Its length is nowhere written down: it is the sum of its entries'. */
static int measure(struct qcow2 *image, uint64_t *byte_count)
{
	*byte_count = 0;
	touch(TOUCH_HEADER, image->depth, ACCESS_READ);
	for (uint32_t i = 0; i < image->header.snapshots; i++) {
		uint8_t fixed[SNAPSHOT_FIXED_BYTES];
		touch(TOUCH_HEADER, image->depth, ACCESS_READ);
		uint64_t bytes;
		int result = read_entry(image, image->header.snapshots_host_offset + *byte_count,
					fixed, &bytes);
		*byte_count += result == 0 ? bytes : 0;
		touch(TOUCH_HEADER, image->depth, ACCESS_READ);
		if (result < 0 || *byte_count > SNAPSHOT_TABLE_MAX)
			return result < 0 ? result : -EFBIG;
	}
	return 0;
}

static int scan(struct table *table, const char *name)
{
	uint64_t entry;
	for (uint64_t at = 0; at < table->byte_count; at += entry) {
		const uint8_t *fixed = table->bytes + at;
		if (snapshot_entry_bytes(fixed, table->byte_count - at, &entry) < 0)
			return -EIO;
		const char *id = (const char *)fixed + SNAPSHOT_FIXED_BYTES + be32_get(fixed + 36);
		size_t id_bytes = be16_get(fixed + 12);
		size_t name_bytes = be16_get(fixed + 14);
		if (name_bytes == strlen(name) && memcmp(id + id_bytes, name, name_bytes) == 0)
			return -EEXIST;
		char digits[SNAPSHOT_ID_BYTES + 1] = { 0 };
		memcpy(digits, id, id_bytes < SNAPSHOT_ID_BYTES ? id_bytes : SNAPSHOT_ID_BYTES);
		uint64_t number = strtoull(digits, NULL, 10);
		if (number > table->id_max && number < UINT32_MAX)
			table->id_max = number;
	}
	return 0;
}

static int read_snapshots(struct qcow2 *image, struct table *table, const char *name)
{
	uint64_t room = SNAPSHOT_FIXED_BYTES + SNAPSHOT_EXTRA_BYTES + SNAPSHOT_ID_BYTES +
			SNAPSHOT_NAME_MAX + 8;
	int result = measure(image, &table->byte_count);
	if (result < 0)
		return result;
	touch(TOUCH_HEADER, image->depth, ACCESS_READ);
	table->bytes = arena_take(image->arena, (size_t)(table->byte_count + room));
	if (!table->bytes)
		return -ENOMEM;
	result = file_read(&image->file, table->bytes, (size_t)table->byte_count,
			   image->header.snapshots_host_offset);
	return result < 0 ? result : scan(table, name);
}

static void append_entry(struct qcow2 *image, struct table *table, const char *name,
			 uint64_t l1_host_offset)
{
	touch(TOUCH_HEADER, image->depth, ACCESS_READ);
	touch(TOUCH_L1, image->depth, ACCESS_READ);
	uint8_t *at = table->bytes + table->byte_count;
	char id[SNAPSHOT_ID_BYTES];
	int id_bytes = snprintf(id, sizeof(id), "%u", (unsigned)(table->id_max + 1));
	size_t name_bytes = strlen(name);
	uint8_t *text = at + SNAPSHOT_FIXED_BYTES + SNAPSHOT_EXTRA_BYTES;
	be64_put(at, l1_host_offset);
	be32_put(at + 8, image->header.l1_entries);
	be16_put(at + 12, (uint16_t)id_bytes);
	be16_put(at + 14, (uint16_t)name_bytes);
	be32_put(at + 36, SNAPSHOT_EXTRA_BYTES);
	be64_put(at + SNAPSHOT_FIXED_BYTES + 8, image->size_bytes);
	memcpy(text, id, (size_t)id_bytes);
	/* NOLINTNEXTLINE(bugprone-not-null-terminated-result): the format has no terminators */
	memcpy(text + id_bytes, name, name_bytes);
	size_t bytes = (size_t)(text - at) + (size_t)id_bytes + name_bytes;
	table->byte_count += (bytes + 7) / 8 * 8;
}

/* ---- what the active tables refer to ---- */

static int clear_copied_below(struct qcow2 *image, uint64_t l2_host_offset)
{
	void *table;
	int result = cache_get(&image->l2_cache, l2_host_offset, &table);
	if (result < 0)
		return result;
	touch(TOUCH_L2, image->depth, ACCESS_WRITE);
	uint64_t *entries = table;
	for (uint32_t i = 0; i < image->l2_entries; i++) {
		uint64_t entry = be64_get(&entries[i]);
		if (!(entry & ENTRY_COPIED))
			continue;
		be64_put(&entries[i], entry & ~ENTRY_COPIED);
		cache_dirty(&image->l2_cache, table, i * (size_t)ENTRY_BYTES, ENTRY_BYTES);
	}
	cache_put(&image->l2_cache, table);
	return 0;
}

/* Step 1. */
static int clear_copied(struct qcow2 *image)
{
	touch(TOUCH_L1, image->depth, ACCESS_READ);
	for (uint32_t i = 0; i < image->header.l1_entries; i++) {
		uint64_t host_offset = image->l1[i] & ENTRY_HOST_MASK;
		int result = host_offset ? clear_copied_below(image, host_offset) : 0;
		touch(TOUCH_L1, image->depth, ACCESS_READ);
		if (result < 0)
			return result;
	}
	int result = cache_write_back(&image->l2_cache);
	touch(TOUCH_L1, image->depth, ACCESS_READ);
	for (uint32_t i = 0; i < image->header.l1_entries && result == 0; i++) {
		if (image->l1[i] & ENTRY_COPIED)
			result = map_write_l1_entry(image, i, image->l1[i] & ~ENTRY_COPIED);
		touch(TOUCH_L1, image->depth, ACCESS_READ);
	}
	return result < 0 ? result : image_device_flush(image);
}

static int reference_entry(struct qcow2 *image, uint64_t entry, int delta)
{
	uint64_t host_offset = entry & ENTRY_HOST_MASK;
	uint64_t bytes = image->cluster_bytes;
	if (entry & ENTRY_COMPRESSED)
		map_compressed_span(image, entry, &host_offset, &bytes);
	if (host_offset == 0)
		return 0;
	uint64_t first = host_offset / image->cluster_bytes;
	uint64_t last = (host_offset + bytes - 1) / image->cluster_bytes;
	return refcount_add(image, first, last - first + 1, delta);
}

static int reference_below(struct qcow2 *image, uint64_t l2_host_offset, int delta)
{
	void *table;
	int result = cache_get(&image->l2_cache, l2_host_offset, &table);
	if (result < 0)
		return result;
	const uint64_t *entries = table;
	for (uint32_t i = 0; i < image->l2_entries && result == 0; i++) {
		touch(TOUCH_L2, image->depth, ACCESS_READ);
		result = reference_entry(image, be64_get(&entries[i]), delta);
	}
	cache_put(&image->l2_cache, table);
	if (result == 0)
		result = refcount_add(image, l2_host_offset / image->cluster_bytes, 1, delta);
	return result;
}

/* Step 2. */
static int reference_all(struct qcow2 *image, int delta)
{
	touch(TOUCH_L1, image->depth, ACCESS_READ);
	for (uint32_t i = 0; i < image->header.l1_entries; i++) {
		uint64_t host_offset = image->l1[i] & ENTRY_HOST_MASK;
		int result = host_offset ? reference_below(image, host_offset, delta) : 0;
		touch(TOUCH_L1, image->depth, ACCESS_READ);
		if (result < 0)
			return result;
	}
	return cache_flush(&image->refcount_cache);
}

/* ---- putting it together ---- */

static int write_l1_copy(struct qcow2 *image, uint64_t host_offset)
{
	touch(TOUCH_L1, image->depth, ACCESS_READ);
	size_t bytes = (size_t)whole_clusters(image, image->header.l1_entries * UINT64_C(8)) *
		       image->cluster_bytes;
	uint64_t *raw = arena_take(image->arena, bytes);
	if (!raw)
		return -ENOMEM;
	for (uint32_t i = 0; i < image->header.l1_entries; i++)
		be64_put(&raw[i], image->l1[i]);
	int result = file_write(&image->file, raw, bytes, host_offset);
	arena_give(image->arena, raw);
	return result;
}

/* Steps 3 to 5. */
static int publish(struct qcow2 *image, struct table *table, const char *name)
{
	touch(TOUCH_HEADER, image->depth, ACCESS_READ);
	touch(TOUCH_L1, image->depth, ACCESS_READ);
	uint64_t old_host_offset = image->header.snapshots_host_offset;
	uint64_t old_bytes = table->byte_count;
	uint64_t l1_host_offset, table_host_offset;
	uint64_t l1_bytes = image->header.l1_entries * UINT64_C(8);
	int result = alloc_clusters(image, whole_clusters(image, l1_bytes), &l1_host_offset);
	if (result < 0)
		return result;
	append_entry(image, table, name, l1_host_offset);
	result =
		alloc_clusters(image, whole_clusters(image, table->byte_count), &table_host_offset);
	if (result == 0)
		result = cache_write_back(&image->refcount_cache);
	if (result == 0)
		result = write_l1_copy(image, l1_host_offset);
	if (result == 0)
		result = file_write(&image->file, table->bytes, (size_t)table->byte_count,
				    table_host_offset);
	if (result == 0 && !KNOWN_BUG("snapshot-no-flush"))
		result = image_device_flush(image);
	uint8_t raw[12];
	touch(TOUCH_HEADER, image->depth, ACCESS_READ);
	be32_put(raw, image->header.snapshots + 1);
	be64_put(raw + 4, table_host_offset);
	if (result == 0)
		result = image_write_header(image, raw, sizeof(raw), FORMAT_AT_SNAPSHOTS);
	if (result < 0)
		return result;
	touch(TOUCH_HEADER, image->depth, ACCESS_WRITE);
	image->header.snapshots++;
	image->header.snapshots_host_offset = table_host_offset;
	return old_bytes ? free_unlinked(image, old_host_offset, old_bytes) : 0;
}

/* Nothing in flight, with the lock held from then on. */
static int come_to_rest(struct qcow2 *image)
{
	touch(TOUCH_LIST, image->depth, ACCESS_READ);
	if (KNOWN_BUG("snapshot-no-drain"))
		return 0;
	int result = 0;
	while (result == 0 && image->background.first) {
		result = l2meta_wait(image, image->background.first);
		touch(TOUCH_LIST, image->depth, ACCESS_READ);
	}
	if (result == 0)
		hold_wait_for_writers(image);
	return result;
}

int qcow2_snapshot_create(struct qcow2 *image, const char *name)
{
	struct table table = { 0 };
	if (image->read_only)
		return -EACCES;
	if (strlen(name) > SNAPSHOT_NAME_MAX)
		return -ENAMETOOLONG;
	co_mutex_lock(&image->lock);
	int result = come_to_rest(image);
	if (result == 0)
		result = read_snapshots(image, &table, name);
	if (result == 0)
		result = image_mark_dirty(image);
	if (result == 0)
		result = clear_copied(image);
	if (result == 0)
		result = reference_all(image, 1);
	if (result == 0)
		result = publish(image, &table, name);
	arena_give(image->arena, table.bytes);
	co_mutex_unlock(&image->lock);
	return result;
}
