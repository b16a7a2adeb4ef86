// SPDX-License-Identifier: MIT
/* Taking, applying and deleting internal snapshots.
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
 * belongs to the snapshot.
 *
 * Applying makes the active L1 table equal to the snapshot's, in place. The L1 table may tear on
 * the way; each of its entries is sound, the old ones and the new:
 *
 *   1. clear COPIED in the tables that the snapshot reaches   (ours never have it there)
 *   2. raise the refcounts of all that it reaches             (too high: a leak)
 *   3. overwrite the active L1 table                          (the disk holds the snapshot)
 *   4. lower the refcounts of all that the old entries reached
 *
 * Deleting writes a shorter snapshot table into new clusters and makes the header point to it (the
 * snapshot is gone), then lowers the refcounts of all that the snapshot reached, and at last, when
 * those are durable, lets active entries say COPIED whose cluster is theirs alone again. */
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
	SNAPSHOT_L1_ENTRIES_MAX = 4 * 1024 * 1024,
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
	uint64_t found, found_bytes; /* the entry with the name looked for; 0 bytes: none */
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
			table->found = at, table->found_bytes = entry;
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

static int clear_flag(void *context, uint64_t *entry)
{
	(void)context;
	*entry &= ~ENTRY_COPIED;
	return 0;
}

static int clear_copied_below(struct qcow2 *image, uint64_t l2_host_offset)
{
	return map_visit_l2(image, l2_host_offset, ACCESS_WRITE, clear_flag, NULL);
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

/* References that are added or dropped. */
struct referencing {
	struct qcow2 *image;
	int delta;
};

static int reference_entry(void *context, uint64_t *entry)
{
	const struct referencing *referencing = context;
	struct qcow2 *image = referencing->image;
	uint64_t host_offset = *entry & ENTRY_HOST_MASK;
	uint64_t bytes = image->cluster_bytes;
	if (*entry & ENTRY_COMPRESSED)
		map_compressed_span(image, *entry, &host_offset, &bytes);
	if (host_offset == 0)
		return 0;
	uint64_t first = host_offset / image->cluster_bytes;
	uint64_t last = (host_offset + bytes - 1) / image->cluster_bytes;
	return refcount_add(image, first, last - first + 1, referencing->delta);
}

static int reference_below(struct qcow2 *image, uint64_t l2_host_offset, int delta)
{
	struct referencing referencing = { image, delta };
	int result =
		map_visit_l2(image, l2_host_offset, ACCESS_READ, reference_entry, &referencing);
	if (result == 0)
		result = refcount_add(image, l2_host_offset / image->cluster_bytes, 1, delta);
	return result;
}

/* Step 2. */
static int reference_all(struct qcow2 *image, const uint64_t *l1, uint32_t entries, int delta)
{
	touch(TOUCH_L1, image->depth, ACCESS_READ);
	for (uint32_t i = 0; i < entries; i++) {
		uint64_t host_offset = l1[i] & ENTRY_HOST_MASK;
		int result = host_offset ? reference_below(image, host_offset, delta) : 0;
		touch(TOUCH_L1, image->depth, ACCESS_READ);
		if (result < 0)
			return result;
	}
	return 0;
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

/* Write the table into new clusters, make the header point to it, and free the old one, of
 * `old_bytes` bytes. */
static int publish_table(struct qcow2 *image, const struct table *table, uint64_t host_offset,
			 uint32_t snapshots, uint64_t old_bytes)
{
	int result = 0;
	if (table->byte_count > 0)
		result = file_write(&image->file, table->bytes, (size_t)table->byte_count,
				    host_offset);
	if (result == 0 && !KNOWN_BUG("snapshot-no-flush"))
		result = image_device_flush(image);
	uint8_t raw[12];
	be32_put(raw, snapshots);
	be64_put(raw + 4, host_offset);
	if (result == 0)
		result = image_write_header(image, raw, sizeof(raw), FORMAT_AT_SNAPSHOTS);
	if (result < 0)
		return result;
	touch(TOUCH_HEADER, image->depth, ACCESS_WRITE);
	uint64_t old_host_offset = image->header.snapshots_host_offset;
	image->header.snapshots = snapshots;
	image->header.snapshots_host_offset = host_offset;
	if (old_bytes) /* the new one counts from here on: a failure leaks the old one */
		(void)!free_unlinked(image, old_host_offset, old_bytes);
	return 0;
}

/* Steps 3 to 5. */
static int publish(struct qcow2 *image, struct table *table, const char *name)
{
	touch(TOUCH_HEADER, image->depth, ACCESS_READ);
	touch(TOUCH_L1, image->depth, ACCESS_READ);
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
	touch(TOUCH_HEADER, image->depth, ACCESS_READ);
	uint32_t snapshots = image->header.snapshots + 1;
	return result < 0 ? result
			  : publish_table(image, table, table_host_offset, snapshots, old_bytes);
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
	if (result == 0 && table.found_bytes)
		result = -EEXIST;
	if (result == 0)
		result = image_mark_dirty(image);
	if (result == 0)
		result = clear_copied(image);
	if (result == 0)
		result = reference_all(image, image->l1, image->header.l1_entries, 1);
	if (result == 0)
		result = cache_flush(&image->refcount_cache);
	if (result == 0)
		result = publish(image, &table, name);
	arena_give(image->arena, table.bytes);
	co_mutex_unlock(&image->lock);
	return result;
}

/* ---- applying and deleting ---- */

/** A snapshot that is listed. */
struct listed {
	uint64_t l1_host_offset;
	uint32_t l1_entries;
	uint64_t disk_bytes; /* 0: not said */
	uint64_t *l1;        /* owned; host byte order */
};

/* What the entry that was found says. */
static int decode_listed(const struct qcow2 *image, struct listed *listed,
			 const struct table *table)
{
	const uint8_t *at = table->bytes + table->found;
	if (!table->found_bytes)
		return -ENOENT;
	listed->l1_host_offset = be64_get(at);
	listed->l1_entries = be32_get(at + 8);
	if (be32_get(at + 36) >= SNAPSHOT_EXTRA_BYTES)
		listed->disk_bytes = be64_get(at + SNAPSHOT_FIXED_BYTES + 8);
	bool is_sound = listed->l1_host_offset != 0 &&
			in_cluster(image, listed->l1_host_offset) == 0 &&
			listed->l1_entries <= SNAPSHOT_L1_ENTRIES_MAX;
	return is_sound ? 0 : -EIO;
}

/* Come to rest, and find the snapshot and its L1 table. With the lock. Whatever happens,
 * `table->bytes` and `listed->l1` are the caller's to give back. */
static int find_listed(struct qcow2 *image, const char *name, struct table *table,
		       struct listed *listed)
{
	int result = come_to_rest(image);
	if (result == 0)
		result = read_snapshots(image, table, name);
	if (result == 0)
		result = decode_listed(image, listed, table);
	if (result < 0)
		return result;
	size_t bytes = listed->l1_entries * sizeof(uint64_t);
	listed->l1 = arena_take(image->arena, bytes ? bytes : 1);
	if (!listed->l1)
		return -ENOMEM;
	result = file_read(&image->file, listed->l1, bytes, listed->l1_host_offset);
	for (uint32_t i = 0; i < listed->l1_entries && result == 0; i++) {
		listed->l1[i] = be64_get(&listed->l1[i]) & ENTRY_HOST_MASK;
		if (in_cluster(image, listed->l1[i]) != 0)
			result = -EIO;
	}
	return result < 0 ? result : image_mark_dirty(image);
}

/* Steps 1 and 2, durable (O13). */
static int share_listed(struct qcow2 *image, const struct listed *listed)
{
	int result = 0;
	for (uint32_t i = 0; i < listed->l1_entries && result == 0; i++)
		result = listed->l1[i] ? clear_copied_below(image, listed->l1[i]) : 0;
	if (result == 0)
		result = cache_write_back(&image->l2_cache);
	if (result == 0)
		result = reference_all(image, listed->l1, listed->l1_entries, 1);
	if (result < 0 || KNOWN_BUG("apply-no-flush"))
		return result;
	return cache_flush(&image->refcount_cache);
}

/* Step 3; `*old`, a copy of the entries that were there, is given. A write that fails may have
 * changed the table or not, so that memory cannot follow it: the image is broken. */
static int replace_l1(struct qcow2 *image, const struct listed *listed, uint64_t **old)
{
	touch(TOUCH_L1, image->depth, ACCESS_READ);
	uint32_t entries = image->header.l1_entries;
	size_t bytes = entries * sizeof(uint64_t);
	uint64_t *raw = arena_take(image->arena, bytes);
	*old = arena_take(image->arena, bytes);
	int result = raw && *old ? 0 : -ENOMEM;
	for (uint32_t i = 0; i < entries && result == 0; i++) {
		(*old)[i] = image->l1[i];
		be64_put(&raw[i], i < listed->l1_entries ? listed->l1[i] : 0);
	}
	if (result == 0) {
		result = file_write(&image->file, raw, bytes, image->header.l1_host_offset);
		touch(TOUCH_HEADER, image->depth, ACCESS_WRITE);
		image->broken = image->broken ? image->broken : result;
	}
	touch(TOUCH_L1, image->depth, ACCESS_WRITE);
	for (uint32_t i = 0; i < entries && result == 0; i++)
		image->l1[i] = be64_get(&raw[i]);
	arena_give(image->arena, raw);
	return result < 0 ? result : image_device_flush(image);
}

/* With the lock. */
static int apply(struct qcow2 *image, const struct listed *listed)
{
	touch(TOUCH_HEADER, image->depth, ACCESS_READ);
	touch(TOUCH_L1, image->depth, ACCESS_READ);
	uint64_t *old = NULL;
	if (listed->l1_entries > image->header.l1_entries ||
	    (listed->disk_bytes && listed->disk_bytes != image->size_bytes))
		return -ENOTSUP;
	bool frees_first = KNOWN_BUG("apply-frees-first");
	if (frees_first)
		(void)!reference_all(image, image->l1, image->header.l1_entries, -1);
	int result = share_listed(image, listed);
	if (result == 0)
		result = replace_l1(image, listed, &old);
	/* Too high a refcount is a leak: no reason to fail what is done. */
	if (result == 0 && !frees_first)
		(void)!reference_all(image, old, image->header.l1_entries, -1);
	arena_give(image->arena, old);
	return result;
}

int qcow2_snapshot_apply(struct qcow2 *image, const char *name)
{
	struct table table = { 0 };
	struct listed listed = { 0 };
	if (image->read_only)
		return -EACCES;
	co_mutex_lock(&image->lock);
	int result = find_listed(image, name, &table, &listed);
	if (result == 0)
		result = apply(image, &listed);
	arena_give(image->arena, table.bytes);
	arena_give(image->arena, listed.l1);
	co_mutex_unlock(&image->lock);
	return result;
}

/* Let go of all that the snapshot reached, which nobody lists any more (O14). A failure leaks. */
static void release_listed(struct qcow2 *image, const struct listed *listed)
{
	uint64_t bytes = listed->l1_entries * UINT64_C(8);
	(void)!reference_all(image, listed->l1, listed->l1_entries, -1);
	(void)!free_unlinked(image, listed->l1_host_offset,
			     whole_clusters(image, bytes) * image->cluster_bytes);
}

/* Publish the table without the entry that was found. With the lock. */
static int unlist(struct qcow2 *image, struct table *table)
{
	uint64_t old_bytes = table->byte_count;
	uint64_t host_offset = 0;
	uint8_t *at = table->bytes + table->found;
	int result = 0;
	table->byte_count -= table->found_bytes;
	memmove(at, at + table->found_bytes, (size_t)(table->byte_count - table->found));
	if (table->byte_count > 0)
		result = alloc_clusters(image, whole_clusters(image, table->byte_count),
					&host_offset);
	if (result == 0)
		result = cache_write_back(&image->refcount_cache);
	touch(TOUCH_HEADER, image->depth, ACCESS_READ);
	uint32_t snapshots = image->header.snapshots - 1;
	return result < 0 ? result : publish_table(image, table, host_offset, snapshots, old_bytes);
}

/* Let an entry say COPIED of a cluster that is its alone. */
static int mark_if_alone(void *context, uint64_t *entry)
{
	struct qcow2 *image = context;
	uint16_t refcount = 0;
	if (!(*entry & ENTRY_HOST_MASK) || (*entry & (ENTRY_COMPRESSED | ENTRY_COPIED)))
		return 0;
	int result =
		refcount_get(image, (*entry & ENTRY_HOST_MASK) / image->cluster_bytes, &refcount);
	if (result == 0 && refcount == 1)
		*entry |= ENTRY_COPIED;
	return result;
}

/* The same for all active tables, and for the L1 table itself. The refcounts are durable (O15). */
static int mark_copied(struct qcow2 *image)
{
	int result = cache_flush(&image->refcount_cache);
	touch(TOUCH_L1, image->depth, ACCESS_READ);
	for (uint32_t i = 0; i < image->header.l1_entries && result == 0; i++) {
		uint64_t entry = image->l1[i];
		uint64_t host_offset = entry & ENTRY_HOST_MASK;
		uint16_t refcount = 0;
		if (host_offset == 0)
			continue;
		result = map_visit_l2(image, host_offset, ACCESS_WRITE, mark_if_alone, image);
		if (result == 0)
			result = refcount_get(image, host_offset / image->cluster_bytes, &refcount);
		if (result == 0 && refcount == 1 && !(entry & ENTRY_COPIED))
			result = map_write_l1_entry(image, i, entry | ENTRY_COPIED);
		touch(TOUCH_L1, image->depth, ACCESS_READ);
	}
	return result;
}

int qcow2_snapshot_delete(struct qcow2 *image, const char *name)
{
	struct table table = { 0 };
	struct listed listed = { 0 };
	if (image->read_only)
		return -EACCES;
	co_mutex_lock(&image->lock);
	int result = find_listed(image, name, &table, &listed);
	bool frees_first = KNOWN_BUG("delete-frees-first");
	if (result == 0 && frees_first)
		release_listed(image, &listed);
	if (result == 0)
		result = unlist(image, &table);
	if (result == 0 && !frees_first)
		release_listed(image, &listed);
	if (result == 0) /* without COPIED, writes only copy more than they must */
		(void)!mark_copied(image);
	arena_give(image->arena, table.bytes);
	arena_give(image->arena, listed.l1);
	co_mutex_unlock(&image->lock);
	return result;
}
