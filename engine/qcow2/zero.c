// SPDX-License-Identifier: MIT
/* Write-zeroes and discard: requests that change L2 entries without data.
 *
 * Both first wait for every in-flight allocation of the cluster, under the same hold of the engine
 * lock in which they then change the entry. Otherwise the allocation would link later and bring
 * back data that the guest was told is gone. */
#include "engine/qcow2/l2meta.h"
#include "engine/qcow2/map.h"
#include "injector/fault_point.h"

#include <errno.h>

/* Whole clusters of a request: [from, to). The cut-off last cluster of the disk counts as whole. */
struct whole {
	uint64_t from, to;
};

static struct whole whole_clusters(const struct qcow2 *image, uint64_t guest_offset, uint64_t bytes)
{
	uint64_t end = guest_offset + bytes;
	struct whole whole = { .from = cluster_end(image, guest_offset),
			       .to = cluster_start(image, end) };
	if (end == image->size_bytes)
		whole.to = cluster_end(image, end);
	if (whole.to < whole.from)
		whole.to = whole.from;
	return whole;
}

static bool is_in_range(const struct qcow2 *image, uint64_t guest_offset, uint64_t bytes)
{
	touch(TOUCH_HEADER, image->depth, ACCESS_READ);
	return guest_offset <= image->size_bytes && bytes <= image->size_bytes - guest_offset;
}

static bool has_backing(const struct qcow2 *image)
{
	return image->backing || image->raw.file.descriptor >= 0;
}

/* Zeros as data, for what the format cannot say. At most one cluster. Without the lock. */
static int write_zero_bytes(struct qcow2 *image, uint64_t guest_offset, uint64_t bytes)
{
	if (bytes == 0)
		return 0;
	struct iovec zeros = { .iov_base = arena_take(image->arena, (size_t)bytes),
			       .iov_len = (size_t)bytes };
	if (!zeros.iov_base)
		return -ENOMEM;
	int result = qcow2_writev(image, guest_offset, &zeros, 1);
	arena_give(image->arena, zeros.iov_base);
	return result;
}

/* Make one cluster read as zeros by its L2 entry. With the lock. */
static int zero_cluster(struct qcow2 *image, uint64_t guest_offset, bool unmap)
{
	struct mapping mapping;
	int result = map_lookup(image, guest_offset, image->cluster_bytes, &mapping);
	if (result < 0)
		return result;
	switch (mapping.kind) {
	case MAPPING_ZERO: return 0;
	case MAPPING_UNALLOCATED:
		return has_backing(image) ? map_set_entry(image, guest_offset, ENTRY_ZERO, true)
					  : 0;
	case MAPPING_ZERO_ALLOCATED:
		return unmap ? map_set_entry(image, guest_offset, ENTRY_ZERO, false) : 0;
	case MAPPING_NORMAL:
		if (mapping.copied && !unmap)
			return map_set_entry(image, guest_offset, mapping.entry | ENTRY_ZERO, true);
		return map_set_entry(image, guest_offset, ENTRY_ZERO, false);
	case MAPPING_COMPRESSED: return map_set_entry(image, guest_offset, ENTRY_ZERO, false);
	}
	return -EIO;
}

/* Version 2 has no zero flag: an unallocated cluster without a backing file reads as zeros, the
 * rest takes data. */
static int zero_cluster_v2(struct qcow2 *image, uint64_t guest_offset)
{
	struct mapping mapping;
	int result = map_lookup(image, guest_offset, image->cluster_bytes, &mapping);
	if (result < 0 || (mapping.kind == MAPPING_UNALLOCATED && !has_backing(image)))
		return result;
	touch(TOUCH_HEADER, image->depth, ACCESS_READ);
	uint64_t bytes = image->size_bytes - guest_offset;
	if (bytes > image->cluster_bytes)
		bytes = image->cluster_bytes;
	co_mutex_unlock(&image->lock);
	result = write_zero_bytes(image, guest_offset, bytes);
	co_mutex_lock(&image->lock);
	return result;
}

static int zero_whole(struct qcow2 *image, struct whole whole, bool unmap)
{
	int result = 0;
	co_mutex_lock(&image->lock);
	for (uint64_t at = whole.from; at < whole.to && result == 0; at += image->cluster_bytes) {
		if (!KNOWN_BUG("zero-no-wait"))
			result = l2meta_wait_range(image, at, at + image->cluster_bytes);
		if (result < 0)
			break;
		if (image->header.version >= 3)
			result = zero_cluster(image, at, unmap);
		else
			result = zero_cluster_v2(image, at);
	}
	co_mutex_unlock(&image->lock);
	return result;
}

int qcow2_write_zeroes(struct qcow2 *image, uint64_t guest_offset, uint64_t bytes, bool unmap)
{
	if (!is_in_range(image, guest_offset, bytes))
		return -EINVAL;
	if (image->read_only)
		return -EACCES;
	uint64_t end = guest_offset + bytes;
	struct whole whole = whole_clusters(image, guest_offset, bytes);
	if (whole.from >= end) /* inside one cluster */
		return write_zero_bytes(image, guest_offset, bytes);
	int result = write_zero_bytes(image, guest_offset, whole.from - guest_offset);
	if (result == 0)
		result = zero_whole(image, whole, unmap);
	if (result == 0 && whole.to < end)
		result = write_zero_bytes(image, whole.to, end - whole.to);
	return result;
}

/* With the lock. */
static int discard_cluster(struct qcow2 *image, uint64_t guest_offset)
{
	struct mapping mapping;
	int result = map_lookup(image, guest_offset, image->cluster_bytes, &mapping);
	if (result < 0)
		return result;
	bool has_flag = image->header.version >= 3;
	switch (mapping.kind) {
	case MAPPING_ZERO: return 0;
	case MAPPING_UNALLOCATED:
		return has_backing(image) ? map_set_entry(image, guest_offset, ENTRY_ZERO, true)
					  : 0;
	case MAPPING_ZERO_ALLOCATED:
	case MAPPING_NORMAL:
	case MAPPING_COMPRESSED:
		if (KNOWN_BUG("discard-unmaps"))
			has_flag = false;
		return map_set_entry(image, guest_offset, has_flag ? ENTRY_ZERO : 0, false);
	}
	return -EIO;
}

int qcow2_discard(struct qcow2 *image, uint64_t guest_offset, uint64_t bytes)
{
	if (!is_in_range(image, guest_offset, bytes))
		return -EINVAL;
	if (image->read_only)
		return -EACCES;
	if (image->header.version < 3 && has_backing(image))
		return 0; /* would bring the backing file's contents back */
	struct whole whole = whole_clusters(image, guest_offset, bytes);
	int result = 0;
	co_mutex_lock(&image->lock);
	for (uint64_t at = whole.from; at < whole.to && result == 0; at += image->cluster_bytes) {
		if (!KNOWN_BUG("discard-no-wait"))
			result = l2meta_wait_range(image, at, at + image->cluster_bytes);
		if (result >= 0)
			result = discard_cluster(image, at);
	}
	co_mutex_unlock(&image->lock);
	return result;
}
