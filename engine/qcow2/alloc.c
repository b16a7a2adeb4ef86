// SPDX-License-Identifier: MIT
/* Which host clusters are free, and which of those may be used.
 *
 * The hazard is reuse. A cluster is freed when an L2 entry stops pointing to it; but that change
 * sits in a cache, and after a crash the old L2 entry is back. If the cluster had been given to
 * somebody else in the meantime, the old entry would show somebody else's data, with refcounts and
 * flags all in order. And a read or an in-place write that began before the unlink may still be
 * under way without the engine lock; it would read or destroy the new owner's data.
 *
 * So a freed cluster goes into a list with the number of its free. When a flush has made everything
 * durable that was in the caches when it began, the frees up to that point leave the list (O4),
 * except those in which guest data I/O is under way (`struct io_hold`): these wait for a later
 * flush. The allocator passes over what is in the list, and extends the file rather than wait. */
#include "engine/qcow2/alloc.h"

#include "engine/qcow2/events.h"
#include "engine/qcow2/refcount.h"
#include "engine/scheduler/sched.h"
#include "injector/fault_point.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

void allocator_init(struct qcow2 *image, uint64_t from)
{
	uint64_t hint = from / image->cluster_bytes;
	/* Cluster 0 is the header's, whatever the refcounts of a damaged image say. */
	image->allocator.hint = hint ? hint : 1;
}

void allocator_release(struct qcow2 *image)
{
	arena_give(image->arena, image->allocator.freed);
	image->allocator.freed = NULL;
	co_queue_destroy(&image->allocator.unheld);
}

/* The number of freed ranges that begin at or below `cluster`: the last of these may hold it. */
static size_t freed_up_to(const struct allocator *allocator, uint64_t cluster)
{
	size_t low = 0, high = allocator->freed_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (allocator->freed[middle].first <= cluster)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The freed range that holds `cluster`, NULL: none. */
static struct freed_range *freed_find(const struct allocator *allocator, uint64_t cluster)
{
	size_t index = freed_up_to(allocator, cluster);
	struct freed_range *range = index > 0 ? &allocator->freed[index - 1] : NULL;
	return range && cluster < range->first + range->clusters ? range : NULL;
}

/* The cluster after the freed range that holds `cluster`, or `cluster` when none does. */
static uint64_t skip_freed(const struct allocator *allocator, uint64_t cluster)
{
	const struct freed_range *range = freed_find(allocator, cluster);
	return range ? range->first + range->clusters : cluster;
}

/* Find the first usable cluster at or after `from`, making refcount blocks on the way. The search
 * ends at the end of the covered area at the latest: a new block leaves its range empty but for
 * itself. */
static int find_free(struct qcow2 *image, uint64_t from, uint64_t *found)
{
	for (uint64_t cluster = from;; cluster++) {
		touch(TOUCH_CLUSTERS, image->depth, ACCESS_READ);
		cluster = skip_freed(&image->allocator, cluster);
		bool taken;
		int result = refcount_cover(image, cluster, &taken);
		if (result < 0)
			return result;
		uint16_t refcount;
		result = refcount_get(image, cluster, &refcount);
		if (result < 0)
			return result;
		if ((!taken && refcount == 0) || (taken && KNOWN_BUG("block-on-data"))) {
			*found = cluster;
			return 0;
		}
	}
}

/* Is cluster number `cluster` usable without any change to the refcount structures? */
static int is_usable(struct qcow2 *image, uint64_t cluster, bool *usable)
{
	uint16_t refcount;
	*usable = false;
	touch(TOUCH_CLUSTERS, image->depth, ACCESS_READ);
	if (skip_freed(&image->allocator, cluster) != cluster)
		return 0;
	int result = refcount_get(image, cluster, &refcount);
	*usable = result == 0 && refcount == 0;
	return result;
}

/* Find a run of `length` usable clusters, all covered by refcount blocks. A new block takes the
 * first cluster of its range, so no run beyond the covered area is as long as a range. */
static int find_run(struct qcow2 *image, uint64_t length, uint64_t *first)
{
	touch(TOUCH_CLUSTERS, image->depth, ACCESS_WRITE);
	uint64_t from = image->allocator.hint;
	if (length >= image->block_entries)
		return -EFBIG;
	for (bool is_first = true;; is_first = false) {
		int result = find_free(image, from, first);
		if (result < 0)
			return result;
		touch(TOUCH_CLUSTERS, image->depth, ACCESS_WRITE);
		if (is_first)
			image->allocator.hint = *first;
		uint64_t found = 1;
		for (; found < length; found++) {
			bool taken;
			bool usable = false;
			result = refcount_cover(image, *first + found, &taken);
			if (result == 0)
				result = is_usable(image, *first + found, &usable);
			if (result < 0)
				return result;
			if (!usable)
				break;
		}
		if (found == length)
			return 0;
		from = *first + found;
	}
}

static int take_run(struct qcow2 *image, uint64_t first, uint64_t length, uint64_t *host_offset)
{
	int result = refcount_add(image, first, length, 1);
	if (result < 0)
		return result;
	touch(TOUCH_CLUSTERS, image->depth, ACCESS_WRITE);
	if (image->allocator.hint == first)
		image->allocator.hint = first + length;
	*host_offset = first * image->cluster_bytes;
	return 0;
}

int alloc_clusters(struct qcow2 *image, uint64_t clusters, uint64_t *host_offset)
{
	uint64_t first;
	assert(co_mutex_is_mine(&image->lock));
	QCOW2_EVENT(image, QCOW2_CLUSTER_ALLOC);
	int result = find_run(image, clusters, &first);
	return result < 0 ? result : take_run(image, first, clusters, host_offset);
}

int alloc_up_to(struct qcow2 *image, uint64_t *clusters, uint64_t *host_offset)
{
	uint64_t first;
	assert(co_mutex_is_mine(&image->lock));
	QCOW2_EVENT(image, QCOW2_CLUSTER_ALLOC);
	int result = find_run(image, 1, &first);
	if (result < 0)
		return result;
	/* Stay inside the range of one refcount block: the rest of it is covered, too. */
	uint64_t room = image->block_entries - first % image->block_entries;
	uint64_t most = *clusters < room ? *clusters : room;
	uint64_t length = 1;
	for (; length < most; length++) {
		bool usable;
		result = is_usable(image, first + length, &usable);
		if (result < 0)
			return result;
		if (!usable)
			break;
	}
	*clusters = length;
	return take_run(image, first, length, host_offset);
}

int free_unlinked(struct qcow2 *image, uint64_t host_offset, uint64_t bytes)
{
	assert(co_mutex_is_mine(&image->lock));
	uint64_t first = host_offset / image->cluster_bytes;
	uint64_t last = (host_offset + bytes - 1) / image->cluster_bytes;
	QCOW2_EVENT(image, QCOW2_CLUSTER_FREE);
	return refcount_add(image, first, last - first + 1, -1);
}

int free_after_unlink(struct qcow2 *image, uint64_t host_offset, uint64_t bytes)
{
	int result = cache_depend(&image->refcount_cache, &image->l2_cache); /* O3 */
	return result < 0 ? result : free_unlinked(image, host_offset, bytes);
}

bool allocator_has_room(struct qcow2 *image)
{
	struct allocator *allocator = &image->allocator;
	touch(TOUCH_CLUSTERS, image->depth, ACCESS_WRITE);
	if (allocator->freed_count < allocator->freed_capacity)
		return true;
	size_t capacity = allocator->freed_capacity ? 2 * allocator->freed_capacity : 16;
	struct freed_range *freed = arena_take(image->arena, capacity * sizeof(*freed));
	if (!freed)
		return false;
	if (allocator->freed_count)
		memcpy(freed, allocator->freed, allocator->freed_count * sizeof(*freed));
	arena_give(image->arena, allocator->freed);
	touch_bind(freed, capacity * sizeof(*freed), TOUCH_CLUSTERS, image->depth, TOUCH_ALL);
	allocator->freed = freed;
	allocator->freed_capacity = capacity;
	return true;
}

/* Carry the range before `index` on by one cluster, if the new free is its neighbour in place and
 * in time. */
static bool freed_extend(struct allocator *allocator, size_t index, uint64_t cluster)
{
	if (index == 0)
		return false;
	struct freed_range *range = &allocator->freed[index - 1];
	if (cluster != range->first + range->clusters ||
	    range->number + 1 != allocator->freed_number)
		return false;
	range->clusters++;
	range->number++;
	return true;
}

void allocator_note_free(struct qcow2 *image, uint64_t cluster)
{
	struct allocator *allocator = &image->allocator;
	cache_forget(&image->l2_cache, cluster * image->cluster_bytes);
	cache_forget(&image->refcount_cache, cluster * image->cluster_bytes);
	allocator->freed_number++;
	if (KNOWN_BUG("reuse-before-unlink")) {
		allocator->hint = cluster < allocator->hint ? cluster : allocator->hint;
		return;
	}
	struct freed_range *known = freed_find(allocator, cluster);
	if (known) { /* freed, taken back because an operation failed, freed again */
		known->number = allocator->freed_number;
		return;
	}
	size_t index = freed_up_to(allocator, cluster);
	if (freed_extend(allocator, index, cluster))
		return;
	assert(allocator->freed_count < allocator->freed_capacity);
	struct freed_range *at = &allocator->freed[index];
	memmove(at + 1, at, (allocator->freed_count - index) * sizeof(*at));
	*at = (struct freed_range){ .first = cluster,
				    .clusters = 1,
				    .number = allocator->freed_number };
	allocator->freed_count++;
}

static bool is_held(const struct qcow2 *image, const struct freed_range *range)
{
	touch(TOUCH_HOLDS, image->depth, ACCESS_READ);
	if (KNOWN_BUG("reuse-while-written"))
		return false;
	uint64_t from = range->first * image->cluster_bytes;
	uint64_t to = from + range->clusters * image->cluster_bytes;
	for (const struct io_hold *hold = image->allocator.holds; hold; hold = hold->next) {
		if (hold->host_offset < to && from < hold->host_offset + hold->bytes)
			return true;
	}
	return false;
}

void allocator_release_freed(struct qcow2 *image, uint64_t number)
{
	struct allocator *allocator = &image->allocator;
	size_t kept = 0;
	/* Mostly there is nothing to do, and then this step concerns nobody. */
	touch(TOUCH_CLUSTERS, image->depth, allocator->freed_count ? ACCESS_WRITE : ACCESS_READ);
	for (size_t i = 0; i < allocator->freed_count; i++) {
		struct freed_range *range = &allocator->freed[i];
		if (range->number > number || is_held(image, range)) {
			allocator->freed[kept++] = *range;
			continue;
		}
		if (range->first < allocator->hint)
			allocator->hint = range->first ? range->first : 1;
	}
	if (kept < allocator->freed_count)
		allocator->freed_count = kept;
}

void hold_begin(struct qcow2 *image, struct io_hold *hold, uint64_t host_offset, uint64_t bytes,
		bool writes)
{
	struct io_hold **place = &image->allocator.holds;
	touch(TOUCH_HOLDS, image->depth, ACCESS_ADD);
	*hold = (struct io_hold){ .host_offset = host_offset, .bytes = bytes, .writes = writes };
	touch_bind(hold, sizeof(*hold), TOUCH_HOLDS, image->depth, TOUCH_ALL);
	while (*place && (uintptr_t)*place < (uintptr_t)hold) {
		hold->previous = *place;
		place = &(*place)->next;
	}
	hold->next = *place;
	if (hold->next)
		hold->next->previous = hold;
	*place = hold;
}

void hold_end(struct qcow2 *image, struct io_hold *hold)
{
	touch(TOUCH_HOLDS, image->depth, ACCESS_ADD);
	if (hold->previous)
		hold->previous->next = hold->next;
	else
		image->allocator.holds = hold->next;
	if (hold->next)
		hold->next->previous = hold->previous;
	if (hold->writes)
		co_queue_wake_all(&image->allocator.unheld);
	touch_unbind(hold, sizeof(*hold));
}

static bool has_writers(const struct qcow2 *image)
{
	touch(TOUCH_HOLDS, image->depth, ACCESS_READ);
	for (const struct io_hold *hold = image->allocator.holds; hold; hold = hold->next) {
		if (hold->writes)
			return true;
	}
	return false;
}

void hold_wait_for_writers(struct qcow2 *image)
{
	assert(co_mutex_is_mine(&image->lock));
	while (has_writers(image))
		co_queue_wait(&image->allocator.unheld);
}
