// SPDX-License-Identifier: MIT
/* Which bytes of an open image belong to which object of footprints. Only the audit asks. */
#include "engine/qcow2/image.h"
#include "injector/session.h"

#include <assert.h>

static void share_header(const struct qcow2 *image)
{
	const struct format_header *header = &image->header;
	uint32_t depth = image->depth;
	TOUCH_BIND(header->incompatible, TOUCH_HEADER, depth, TOUCH_ALL);
	TOUCH_BIND(header->size_bytes, TOUCH_HEADER, depth, TOUCH_ALL);
	TOUCH_BIND(header->snapshots, TOUCH_HEADER, depth, TOUCH_ALL);
	TOUCH_BIND(header->snapshots_host_offset, TOUCH_HEADER, depth, TOUCH_ALL);
	TOUCH_BIND(image->size_bytes, TOUCH_HEADER, depth, TOUCH_ALL);
	TOUCH_BIND(image->broken, TOUCH_HEADER, depth, TOUCH_ALL);
	TOUCH_BIND(header->l1_entries, TOUCH_L1, depth, TOUCH_ALL);
	TOUCH_BIND(header->l1_host_offset, TOUCH_L1, depth, TOUCH_ALL);
	TOUCH_BIND(image->l1, TOUCH_L1, depth, TOUCH_ALL);
}

static void share_clusters(const struct qcow2 *image)
{
	const struct format_header *header = &image->header;
	const struct allocator *allocator = &image->allocator;
	uint32_t depth = image->depth;
	TOUCH_BIND(header->refcount_table_host_offset, TOUCH_CLUSTERS, depth, TOUCH_ALL);
	TOUCH_BIND(header->refcount_table_clusters, TOUCH_CLUSTERS, depth, TOUCH_ALL);
	TOUCH_BIND(image->refcount_table, TOUCH_CLUSTERS, depth, TOUCH_ALL);
	TOUCH_BIND(image->refcount_entries, TOUCH_CLUSTERS, depth, TOUCH_ALL);
	TOUCH_BIND(allocator->hint, TOUCH_CLUSTERS, depth, TOUCH_ALL);
	TOUCH_BIND(allocator->freed, TOUCH_CLUSTERS, depth, TOUCH_ALL);
	TOUCH_BIND(allocator->freed_count, TOUCH_CLUSTERS, depth, TOUCH_ALL);
	TOUCH_BIND(allocator->freed_capacity, TOUCH_CLUSTERS, depth, TOUCH_ALL);
	TOUCH_BIND(allocator->freed_number, TOUCH_CLUSTERS, depth, TOUCH_ALL);
	TOUCH_BIND(allocator->holds, TOUCH_HOLDS, depth, TOUCH_ALL);
}

static void share_background(const struct qcow2 *image)
{
	const struct background *background = &image->background;
	uint32_t depth = image->depth;
	TOUCH_BIND(background->first, TOUCH_LIST, depth, TOUCH_ALL);
	TOUCH_BIND(background->count, TOUCH_LIST, depth, TOUCH_ALL);
	TOUCH_BIND_CONSTANT(background->count_max);
	TOUCH_BIND(background->created, TOUCH_LIST, depth, TOUCH_ALL);
	TOUCH_BIND(background->drains, TOUCH_DRAINS, depth, TOUCH_ALL);
	TOUCH_BIND(background->draining, TOUCH_DRAINS, depth, TOUCH_ALL);
	TOUCH_BIND(background->closing, TOUCH_DRAINS, depth, TOUCH_ALL);
	TOUCH_BIND(background->failures, TOUCH_FAILURES, depth, TOUCH_ALL);
	TOUCH_BIND(background->error, TOUCH_FAILURES, depth, TOUCH_ALL);
	TOUCH_BIND(background->tasks, TOUCH_TASKS, depth, TOUCH_ALL);
}

static void share_cache(const struct cache *cache)
{
	TOUCH_BIND(cache->hand, TOUCH_RECENT, cache->instance, TOUCH_ALL);
	TOUCH_BIND(cache->after, TOUCH_DEBTS, cache->instance, TOUCH_ALL);
	TOUCH_BIND(cache->after_flush, TOUCH_DEBTS, cache->instance, TOUCH_ALL);
	for (uint32_t i = 0; i < cache->slot_count; i++) {
		const struct cache_slot *slot = &cache->slots[i];
		TOUCH_BIND(slot->host_offset, TOUCH_SLOTS, cache->instance, TOUCH_ALL);
		TOUCH_BIND(slot->table, TOUCH_SLOTS, cache->instance, TOUCH_ALL);
		TOUCH_BIND(slot->recent, TOUCH_RECENT, cache->instance, TOUCH_ALL);
		TOUCH_BIND(slot->dirty_from, TOUCH_DIRTY, cache->instance, TOUCH_ALL);
		TOUCH_BIND(slot->dirty_to, TOUCH_DIRTY, cache->instance, TOUCH_ALL);
	}
}

void image_share_l1(const struct qcow2 *image)
{
	touch_bind_entries(image->l1, image->header.l1_entries, TOUCH_L1, image->depth, 0);
}

void image_share_refcount_table(const struct qcow2 *image)
{
	touch_bind(image->refcount_table, image->refcount_entries * sizeof(uint64_t),
		   TOUCH_CLUSTERS, image->depth, TOUCH_ALL);
}

void image_share(const struct qcow2 *image)
{
	if (!AUDIT_IS_ON)
		return;
	image_share_l1(image);
	image_share_refcount_table(image);
	const char *from = (const char *)image;
	const char *lock = (const char *)&image->lock;
	const char *behind = (const char *)(&image->lock + 1);
	touch_bind_constant(from, (size_t)(lock - from));
	touch_bind_constant(behind, (size_t)((const char *)&image->allocator - behind));
	TOUCH_BIND_CONSTANT(image->backing);
	TOUCH_BIND_CONSTANT(image->raw);
	share_header(image);
	share_clusters(image);
	share_background(image);
	share_cache(&image->l2_cache);
	share_cache(&image->refcount_cache);
}

static void own_cache(const struct cache *cache, uint32_t depth)
{
	if (!cache->slots)
		return;
	touch_own(cache->slots, cache->slot_count * sizeof(cache->slots[0]), TOUCH_HEADER, depth,
		  TOUCH_ALL);
	for (uint32_t i = 0; i < cache->slot_count; i++)
		if (cache->slots[i].table)
			touch_own(cache->slots[i].table, cache->image->cluster_bytes, TOUCH_HEADER,
				  depth, TOUCH_ALL);
}

void image_own(const struct qcow2 *image)
{
	uint32_t depth = image->depth;
	touch(TOUCH_HEADER, depth, ACCESS_WRITE);
	/* Nobody should use the image any more; whoever does comes to grief, whatever it touches.
	 */
	session_footprint()->everything = true;
	if (!AUDIT_IS_ON)
		return;
	const struct allocator *allocator = &image->allocator;
	touch_own(image, sizeof(*image), TOUCH_HEADER, depth, TOUCH_ALL);
	own_cache(&image->l2_cache, depth);
	own_cache(&image->refcount_cache, depth);
	touch_own(image->l1, image->header.l1_entries * sizeof(uint64_t), TOUCH_HEADER, depth,
		  TOUCH_ALL);
	touch_own(image->refcount_table, image->refcount_entries * sizeof(uint64_t), TOUCH_HEADER,
		  depth, TOUCH_ALL);
	touch_own(allocator->freed, allocator->freed_capacity * sizeof(*allocator->freed),
		  TOUCH_HEADER, depth, TOUCH_ALL);
}
