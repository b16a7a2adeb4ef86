// SPDX-License-Identifier: MIT
/* Counting references, and refusing to guess.
 *
 * The tables are walked as they are on disk: header, active L1 and what is below it, every
 * snapshot's L1 and what is below that, snapshot table, refcount table and its blocks. An L2 table
 * that several L1 tables share is walked once for each: what it points to has a reference for each,
 * too.
 *
 * The counts are right only if the tables are. So everything that would make a count a guess ends
 * the walk with a reason: an entry with reserved bits set, one that points to the middle of a
 * cluster or out of the file, a cluster that is metadata and something else as well, or twice in
 * one L1 table. Two entries that share a *data* cluster are no such thing: the count is two, and
 * the next write to either copies it.
 *
 * Nothing is taken on trust, and nothing is written. */
#include "engine/qcow2/references.h"

#include "engine/qcow2/map.h"
#include "engine/qcow2/snapshot.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
	ENTRY_BYTES = 8,
	SNAPSHOT_FIXED_BYTES = 40,
	L1_ENTRIES_MAX = 4 * 1024 * 1024,
	USE_MASK = 3,
	USE_SEEN = 4, /* the L2 table was met in the L1 table that is being walked */
};

#define L1_RESERVED UINT64_C(0x7f000000000001ff)
#define L2_RESERVED UINT64_C(0x3f000000000001fe)
#define EXTENSION_BITMAPS UINT32_C(0x23852875)

static enum status refuse(const struct references *references, struct why *why, const char *format,
			  ...) __attribute__((format(printf, 3, 4)));

static enum status refuse(const struct references *references, struct why *why, const char *format,
			  ...)
{
	char reason[160];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	return why_set(why, STATUS_CORRUPT, "'%s' is dirty and cannot be repaired: %s",
		       references->path, reason);
}

static enum status fail_io(const struct references *references, struct why *why, int error)
{
	if (error == -ENOMEM)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	return why_set(why, STATUS_IO, "cannot read '%s': %s", references->path, strerror(-error));
}

/* ---- the counts ---- */

/* Make room for the range of refcount block `index`. */
static bool grow_ranges(struct references *references, uint64_t index)
{
	struct arena *arena = references->image->arena;
	uint64_t count = 2 * references->range_count;
	if (index < references->range_count)
		return true;
	if (count <= index)
		count = index + 1;
	if (count > SIZE_MAX / sizeof(struct counted_range))
		return false;
	struct counted_range *ranges = arena_take(arena, (size_t)count * sizeof(*ranges));
	if (!ranges)
		return false;
	if (references->range_count)
		memcpy(ranges, references->ranges,
		       (size_t)references->range_count * sizeof(*ranges));
	arena_give(arena, references->ranges);
	references->ranges = ranges;
	references->range_count = count;
	return true;
}

/* The range of `cluster`, with memory; NULL: out of memory. */
static struct counted_range *range_of(struct references *references, uint64_t cluster)
{
	struct qcow2 *image = references->image;
	uint64_t index = cluster / image->block_entries;
	if (!grow_ranges(references, index))
		return NULL;
	struct counted_range *range = &references->ranges[index];
	if (!range->counts)
		range->counts =
			arena_take(image->arena, image->block_entries * sizeof(range->counts[0]));
	if (!range->uses)
		range->uses = arena_take(image->arena, image->block_entries);
	return range->counts && range->uses ? range : NULL;
}

static const char *use_name(enum cluster_use use)
{
	switch (use) {
	case USE_NONE: return "nothing";
	case USE_METADATA: return "metadata";
	case USE_L2: return "an L2 table";
	case USE_DATA: return "data";
	}
	return "?";
}

/* Count one reference to a cluster that begins inside the file. */
static enum status count_cluster(struct references *references, uint64_t cluster,
				 enum cluster_use use, struct why *why)
{
	struct qcow2 *image = references->image;
	struct counted_range *range = range_of(references, cluster);
	if (!range)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	size_t at = (size_t)(cluster % image->block_entries);
	enum cluster_use other = (enum cluster_use)(range->uses[at] & USE_MASK);
	if (other != USE_NONE && (other != use || use == USE_METADATA))
		return refuse(references, why, "host cluster 0x%llx is %s and %s",
			      (unsigned long long)(cluster * image->cluster_bytes), use_name(other),
			      use_name(use));
	if (range->counts[at] == UINT16_MAX)
		return refuse(references, why, "host cluster 0x%llx has too many references",
			      (unsigned long long)(cluster * image->cluster_bytes));
	range->uses[at] = (uint8_t)((range->uses[at] & USE_SEEN) | (unsigned)use);
	range->counts[at]++;
	return STATUS_OK;
}

/* Count a reference to each cluster that bytes [host_offset, host_offset + bytes) touch; `what`
 * names them. */
static enum status count_bytes(struct references *references, uint64_t host_offset, uint64_t bytes,
			       enum cluster_use use, const char *what, struct why *why)
{
	uint64_t cluster_bytes = references->image->cluster_bytes;
	if (bytes == 0)
		return STATUS_OK;
	if (host_offset > UINT64_MAX - bytes ||
	    (host_offset + bytes - 1) / cluster_bytes >= references->clusters)
		return refuse(references, why, "%s at 0x%llx lies outside the file", what,
			      (unsigned long long)host_offset);
	uint64_t last = (host_offset + bytes - 1) / cluster_bytes;
	enum status status = STATUS_OK;
	for (uint64_t c = host_offset / cluster_bytes; c <= last && status == STATUS_OK; c++)
		status = count_cluster(references, c, use, why);
	return status;
}

uint16_t references_of(const struct references *references, uint64_t cluster)
{
	uint32_t entries = references->image->block_entries;
	uint64_t index = cluster / entries;
	if (!references_has_range(references, index))
		return 0;
	return references->ranges[index].counts[cluster % entries];
}

bool references_has_range(const struct references *references, uint64_t index)
{
	return index < references->range_count && references->ranges[index].counts;
}

enum status references_add_metadata(struct references *references, uint64_t cluster,
				    struct why *why)
{
	return count_cluster(references, cluster, USE_METADATA, why);
}

void references_drop_metadata(struct references *references, uint64_t cluster)
{
	uint32_t entries = references->image->block_entries;
	struct counted_range *range = &references->ranges[cluster / entries];
	range->counts[cluster % entries] = 0;
	range->uses[cluster % entries] = USE_NONE;
}

/* ---- L1 and L2 tables ---- */

static enum status count_l2_entry(struct references *references, uint64_t entry, struct why *why)
{
	struct qcow2 *image = references->image;
	uint64_t host_offset = entry & ENTRY_HOST_MASK;
	uint64_t bytes = image->cluster_bytes;
	if (entry & ENTRY_COMPRESSED) {
		map_compressed_span(image, entry, &host_offset, &bytes);
		if (host_offset / image->cluster_bytes >= references->clusters)
			return refuse(references, why,
				      "a compressed cluster at 0x%llx lies outside the file",
				      (unsigned long long)host_offset);
		return count_bytes(references, host_offset, bytes, USE_DATA, "a compressed cluster",
				   why);
	}
	if (entry & L2_RESERVED)
		return refuse(references, why, "L2 entry 0x%016llx has reserved bits set",
			      (unsigned long long)entry);
	if (host_offset == 0)
		return STATUS_OK;
	if (in_cluster(image, host_offset) != 0)
		return refuse(references, why, "L2 entry 0x%016llx is not aligned",
			      (unsigned long long)entry);
	return count_bytes(references, host_offset, bytes, USE_DATA, "a data cluster", why);
}

/* Count what the L2 table at `host_offset`, which was counted itself, points to. */
static enum status count_below(struct references *references, uint64_t host_offset, struct why *why)
{
	struct qcow2 *image = references->image;
	void *table;
	enum status status = STATUS_OK;
	int result = cache_get(&image->l2_cache, host_offset, &table);
	if (result < 0)
		return fail_io(references, why, result);
	touch(TOUCH_L2, image->depth, ACCESS_READ);
	const uint64_t *entries = table;
	for (uint32_t i = 0; i < image->l2_entries && status == STATUS_OK; i++)
		status = count_l2_entry(references, be64_get(&entries[i]), why);
	cache_put(&image->l2_cache, table);
	return status;
}

/* Mark the L2 table as met in this walk. It must not have been. */
static enum status mark_seen(struct references *references, uint64_t host_offset, struct why *why)
{
	struct qcow2 *image = references->image;
	uint64_t cluster = host_offset / image->cluster_bytes;
	uint8_t *use = &references->ranges[cluster / image->block_entries]
				.uses[cluster % image->block_entries];
	if (*use & USE_SEEN)
		return refuse(references, why, "two L1 entries point to the L2 table at 0x%llx",
			      (unsigned long long)host_offset);
	*use |= USE_SEEN;
	return STATUS_OK;
}

static void clear_seen(struct references *references, uint64_t host_offset)
{
	struct qcow2 *image = references->image;
	uint64_t cluster = host_offset / image->cluster_bytes;
	references->ranges[cluster / image->block_entries].uses[cluster % image->block_entries] &=
		USE_MASK;
}

static enum status count_l1_entry(struct references *references, uint64_t entry, struct why *why)
{
	uint64_t host_offset = entry & ENTRY_HOST_MASK;
	if (entry & L1_RESERVED)
		return refuse(references, why, "L1 entry 0x%016llx has reserved bits set",
			      (unsigned long long)entry);
	if (host_offset == 0)
		return STATUS_OK;
	if (in_cluster(references->image, host_offset) != 0)
		return refuse(references, why, "L1 entry 0x%016llx is not aligned",
			      (unsigned long long)entry);
	enum status status = count_bytes(references, host_offset, references->image->cluster_bytes,
					 USE_L2, "an L2 table", why);
	if (status == STATUS_OK)
		status = mark_seen(references, host_offset, why);
	return status == STATUS_OK ? count_below(references, host_offset, why) : status;
}

/* Count what an L1 table (entries in host byte order) points to. */
static enum status count_l1(struct references *references, const uint64_t *l1, uint64_t entries,
			    struct why *why)
{
	enum status status = STATUS_OK;
	for (uint64_t i = 0; i < entries && status == STATUS_OK; i++)
		status = count_l1_entry(references, l1[i], why);
	if (status != STATUS_OK)
		return status;
	for (uint64_t i = 0; i < entries; i++)
		if (l1[i] & ENTRY_HOST_MASK)
			clear_seen(references, l1[i] & ENTRY_HOST_MASK);
	return STATUS_OK;
}

/* ---- snapshots ---- */

static enum status count_snapshot_l1(struct references *references, uint64_t host_offset,
				     uint32_t entries, struct why *why)
{
	struct qcow2 *image = references->image;
	uint64_t bytes = (uint64_t)entries * ENTRY_BYTES;
	if (entries == 0)
		return STATUS_OK;
	if (entries > L1_ENTRIES_MAX || in_cluster(image, host_offset) != 0)
		return refuse(references, why, "a snapshot's L1 table at 0x%llx is not legal",
			      (unsigned long long)host_offset);
	enum status status = count_bytes(references, host_offset, bytes, USE_METADATA,
					 "a snapshot's L1 table", why);
	if (status != STATUS_OK)
		return status;
	uint64_t *l1 = arena_take(image->arena, (size_t)bytes);
	if (!l1)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	int result = file_read(&image->file, l1, (size_t)bytes, host_offset);
	for (uint32_t i = 0; i < entries; i++)
		l1[i] = be64_get(&l1[i]);
	status = result < 0 ? fail_io(references, why, result)
			    : count_l1(references, l1, entries, why);
	arena_give(image->arena, l1);
	return status;
}

static enum status count_snapshots(struct references *references, struct why *why)
{
	struct qcow2 *image = references->image;
	uint64_t start = image->header.snapshots_host_offset;
	uint64_t at = start;
	uint64_t end = references->clusters * image->cluster_bytes;
	enum status status = STATUS_OK;
	for (uint32_t i = 0; i < image->header.snapshots && status == STATUS_OK; i++) {
		uint8_t fixed[SNAPSHOT_FIXED_BYTES];
		uint64_t bytes;
		int result = file_read(&image->file, fixed, sizeof(fixed), at);
		if (result < 0)
			return fail_io(references, why, result);
		if (at >= end || snapshot_entry_bytes(fixed, UINT32_MAX, &bytes) < 0)
			return refuse(references, why, "snapshot %u is malformed", i);
		at += bytes;
		status = count_snapshot_l1(references, be64_get(fixed), be32_get(fixed + 8), why);
	}
	if (status == STATUS_OK)
		status = count_bytes(references, start, at - start, USE_METADATA,
				     "the snapshot table", why);
	return status;
}

/* ---- all of it ---- */

static enum status count_refcount_blocks(struct references *references, struct why *why)
{
	struct qcow2 *image = references->image;
	enum status status = STATUS_OK;
	for (uint64_t i = 0; i < image->refcount_entries && status == STATUS_OK; i++)
		if (image->refcount_table[i])
			status = count_bytes(references, image->refcount_table[i],
					     image->cluster_bytes, USE_METADATA, "a refcount block",
					     why);
	return status;
}

/* The clusters of bitmaps are not followed here, and must not be taken for leaks. */
static bool has_bitmaps(const struct qcow2 *image, const uint8_t *first_cluster)
{
	uint64_t end = image->header.backing_host_offset ? image->header.backing_host_offset
							 : image->cluster_bytes;
	uint64_t at = image->header.header_bytes;
	while (at + 8 <= end) {
		uint32_t type = be32_get(first_cluster + at);
		if (type == FORMAT_EXTENSION_END || type == EXTENSION_BITMAPS)
			return type == EXTENSION_BITMAPS;
		at += 8 + ((uint64_t)be32_get(first_cluster + at + 4) + 7) / 8 * 8;
	}
	return false;
}

static enum status refuse_bitmaps(const struct references *references, struct why *why)
{
	struct qcow2 *image = references->image;
	uint8_t *cluster = arena_take(image->arena, image->cluster_bytes);
	if (!cluster)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	enum status status = STATUS_OK;
	int result = file_read(&image->file, cluster, image->cluster_bytes, 0);
	if (result < 0)
		status = fail_io(references, why, result);
	else if (has_bitmaps(image, cluster))
		status = why_set(why, STATUS_UNSUPPORTED,
				 "'%s': repairing a dirty image with persistent bitmaps is not "
				 "supported yet",
				 references->path);
	arena_give(image->arena, cluster);
	return status;
}

enum status references_count(struct references *references, struct qcow2 *image, const char *path,
			     struct why *why)
{
	const struct format_header *header = &image->header;
	*references = (struct references){ .image = image, .path = path };
	int64_t file_bytes = file_size(&image->file);
	if (file_bytes < 0)
		return fail_io(references, why, (int)file_bytes);
	references->clusters = cluster_end(image, (uint64_t)file_bytes) / image->cluster_bytes;
	enum status status = refuse_bitmaps(references, why);
	if (status == STATUS_OK)
		status = count_bytes(references, 0, 1, USE_METADATA, "the header", why);
	if (status == STATUS_OK)
		status = count_bytes(references, header->l1_host_offset,
				     (uint64_t)header->l1_entries * ENTRY_BYTES, USE_METADATA,
				     "the L1 table", why);
	if (status == STATUS_OK)
		status = count_bytes(references, header->refcount_table_host_offset,
				     (uint64_t)header->refcount_table_clusters *
					     image->cluster_bytes,
				     USE_METADATA, "the refcount table", why);
	if (status == STATUS_OK)
		status = count_refcount_blocks(references, why);
	if (status == STATUS_OK)
		status = count_l1(references, image->l1, header->l1_entries, why);
	return status == STATUS_OK ? count_snapshots(references, why) : status;
}

void references_release(struct references *references)
{
	struct arena *arena = references->image->arena;
	for (uint64_t i = 0; i < references->range_count; i++) {
		arena_give(arena, references->ranges[i].counts);
		arena_give(arena, references->ranges[i].uses);
	}
	arena_give(arena, references->ranges);
	references->ranges = NULL;
	references->range_count = 0;
}
