// SPDX-License-Identifier: MIT
/* Metadata tables wait here until they may be written.
 *
 * The idea: instead of flushing after each step of an operation, the caches remember which order
 * the disk must see. A cache can be told that it comes after another cache (O1: L2 tables after the
 * refcounts that cover what they point to; refcount blocks after the L2 tables that no longer point
 * to what was freed), or after a device flush (O2: L2 tables after the data they point to). Before
 * the first dirty table is written the debt is paid: the other cache is written back and the device
 * flushed, which covers every dirty table, so the debt is then forgotten.
 *
 * The hazard is a cycle: refcounts after L2 and L2 after refcounts. cache_depend() breaks it when
 * the second, opposite dependency is asked for, by paying the first; if that fails the operation
 * that asked must not go on, because its order could not be kept any more.
 *
 * A table that could not be written stays dirty, and the debt stays unless it was paid completely.
 *
 * Callers hold the engine lock throughout, also while a table is read or written: nobody changes a
 * table under way. */
#include "engine/qcow2/cache.h"

#include "engine/qcow2/events.h"
#include "engine/qcow2/image.h"
#include "injector/fault_point.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* Tables are written in runs of whole pages of this size (or whole tables, when those are smaller).
 */
enum { CACHE_WRITE_BYTES = 4096 };

int cache_init(struct cache *cache, struct qcow2 *image, uint32_t slots)
{
	assert(slots >= 2);
	*cache = (struct cache){ .image = image, .slot_count = slots };
	cache->instance = 2 * image->depth + (cache == &image->refcount_cache);
	cache->slots = arena_take(image->arena, slots * sizeof(cache->slots[0]));
	return cache->slots ? 0 : -ENOMEM;
}

void cache_release(struct cache *cache)
{
	if (!cache->slots)
		return;
	for (uint32_t i = 0; i < cache->slot_count; i++)
		arena_give(cache->image->arena, cache->slots[i].table);
	arena_give(cache->image->arena, cache->slots);
	cache->slots = NULL;
}

/* Pins last no longer than the engine lock is held: who looks at them sees none but its own. */
AUDIT_EXEMPT static bool slot_is_pinned(const struct cache_slot *slot)
{
	return slot->pins > 0;
}

AUDIT_EXEMPT static void slot_count_pin(struct cache_slot *slot, int change)
{
	slot->pins += (uint32_t)change;
}

static bool slot_is_dirty(const struct cache_slot *slot)
{
	return slot->dirty_to > slot->dirty_from;
}

/* The caller pins the table, so it stays where it is, whatever others do. */
AUDIT_EXEMPT static struct cache_slot *slot_of_table(struct cache *cache, const void *table)
{
	for (uint32_t i = 0; i < cache->slot_count; i++) {
		if (cache->slots[i].table == table)
			return &cache->slots[i];
	}
	assert(!"a table of this cache");
	return NULL;
}

static struct cache_slot *slot_find(struct cache *cache, uint64_t host_offset)
{
	touch(TOUCH_SLOTS, cache->instance, ACCESS_READ);
	for (uint32_t i = 0; i < cache->slot_count; i++) {
		if (cache->slots[i].host_offset == host_offset)
			return &cache->slots[i];
	}
	return NULL;
}

/* Pay what must be on disk before any dirty table of this cache (O1, O2). `after` never forms a
 * cycle, so this ends. */
static int pay_debts(struct cache *cache)
{
	touch(TOUCH_DEBTS, cache->instance, ACCESS_WRITE);
	if (cache->after) {
		touch(TOUCH_DEBTS, cache->after->instance, ACCESS_READ);
		assert(cache->after->after != cache);
		int result = cache_flush(cache->after);
		if (result < 0)
			return result;
	} else if (cache->after_flush) {
		int result = image_device_flush(cache->image);
		if (result < 0)
			return result;
	}
	touch(TOUCH_DEBTS, cache->instance, ACCESS_WRITE);
	cache->after = NULL;
	cache->after_flush = false;
	return 0;
}

/* Which object the tables' bytes are. */
static enum touch_kind contents_of(const struct cache *cache)
{
	return cache == &cache->image->l2_cache ? TOUCH_L2 : TOUCH_CLUSTERS;
}

static int slot_write_back(struct cache *cache, struct cache_slot *slot)
{
	touch(TOUCH_DIRTY, cache->instance, ACCESS_READ);
	if (!slot_is_dirty(slot))
		return 0;
	int result = pay_debts(cache);
	if (result < 0)
		return result;
	touch(TOUCH_SLOTS, cache->instance, ACCESS_READ);
	touch(TOUCH_DIRTY, cache->instance, ACCESS_READ);
	touch(contents_of(cache), cache->image->depth, ACCESS_READ);
	uint32_t unit = cache->image->cluster_bytes;
	if (unit > CACHE_WRITE_BYTES)
		unit = CACHE_WRITE_BYTES;
	uint32_t from = slot->dirty_from / unit * unit;
	uint32_t to = (slot->dirty_to + unit - 1) / unit * unit;
	QCOW2_EVENT(cache->image,
		    cache == &cache->image->l2_cache ? QCOW2_L2_UPDATE : QCOW2_REFBLOCK_UPDATE);
	result = file_write(&cache->image->file, slot->table + from, to - from,
			    slot->host_offset + from);
	if (result < 0 && !KNOWN_BUG("clean-after-error"))
		return result;
	touch(TOUCH_DIRTY, cache->instance, ACCESS_WRITE);
	slot->dirty_from = slot->dirty_to = 0;
	return result;
}

/* An empty slot, or the first unpinned one that was not used since the last time round: a table in
 * use is marked, not counted, so that two users leave the same marks in whatever order they come.
 */
static struct cache_slot *find_room(struct cache *cache)
{
	touch(TOUCH_SLOTS, cache->instance, ACCESS_WRITE);
	for (uint32_t i = 0; i < cache->slot_count; i++) {
		struct cache_slot *slot = &cache->slots[i];
		if (!slot_is_pinned(slot) && slot->host_offset == 0)
			return slot;
	}
	touch(TOUCH_RECENT, cache->instance, ACCESS_WRITE);
	for (uint32_t i = 0; i < 2 * cache->slot_count; i++) {
		struct cache_slot *slot = &cache->slots[cache->hand++ % cache->slot_count];
		if (!slot_is_pinned(slot) && !slot->recent)
			return slot;
		slot->recent = false;
	}
	assert(!"nobody pins more than one other table, and there are two");
	return NULL;
}

/* An unpinned slot with memory, empty; what it held is written back first. */
static int slot_make_room(struct cache *cache, struct cache_slot **room)
{
	struct cache_slot *oldest = find_room(cache);
	int result = slot_write_back(cache, oldest);
	if (result < 0)
		return result;
	touch(TOUCH_SLOTS, cache->instance, ACCESS_WRITE);
	oldest->host_offset = 0;
	if (!oldest->table)
		oldest->table = arena_take(cache->image->arena, cache->image->cluster_bytes);
	if (!oldest->table)
		return -ENOMEM;
	touch_own(oldest->table, cache->image->cluster_bytes, TOUCH_SLOTS, cache->instance,
		  TOUCH_ALL);
	*room = oldest;
	return 0;
}

static void slot_pin(struct cache *cache, struct cache_slot *slot, void **table)
{
	touch(TOUCH_RECENT, cache->instance, ACCESS_ADD);
	slot_count_pin(slot, 1);
	slot->recent = true;
	*table = slot->table;
}

int cache_get(struct cache *cache, uint64_t host_offset, void **table)
{
	struct qcow2 *image = cache->image;
	if (host_offset == 0 || in_cluster(image, host_offset) != 0)
		return -EIO;
	struct cache_slot *slot = slot_find(cache, host_offset);
	if (!slot) {
		int result = slot_make_room(cache, &slot);
		if (result < 0)
			return result;
		QCOW2_EVENT(image, cache == &image->l2_cache ? QCOW2_L2_LOAD : QCOW2_REFBLOCK_LOAD);
		result = file_read(&image->file, slot->table, image->cluster_bytes, host_offset);
		touch(TOUCH_SLOTS, cache->instance, ACCESS_WRITE);
		cache_share(cache, slot->table);
		if (result < 0)
			return result;
		slot->host_offset = host_offset;
	}
	slot_pin(cache, slot, table);
	return 0;
}

int cache_get_new(struct cache *cache, uint64_t host_offset, void **table)
{
	struct cache_slot *slot = slot_find(cache, host_offset);
	if (!slot) {
		int result = slot_make_room(cache, &slot);
		if (result < 0)
			return result;
	}
	touch(TOUCH_SLOTS, cache->instance, ACCESS_WRITE);
	touch(TOUCH_DIRTY, cache->instance, ACCESS_WRITE);
	slot->host_offset = host_offset;
	touch_own(slot->table, cache->image->cluster_bytes, TOUCH_SLOTS, cache->instance,
		  TOUCH_ALL);
	memset(slot->table, 0, cache->image->cluster_bytes);
	slot->dirty_from = 0;
	slot->dirty_to = cache->image->cluster_bytes;
	slot_pin(cache, slot, table);
	return 0;
}

void cache_share(struct cache *cache, const void *table)
{
	touch_bind(table, cache->image->cluster_bytes, contents_of(cache), cache->image->depth,
		   TOUCH_ALL);
}

void cache_put(struct cache *cache, const void *table)
{
	struct cache_slot *slot = slot_of_table(cache, table);
	assert(slot_is_pinned(slot));
	slot_count_pin(slot, -1);
}

void cache_dirty(struct cache *cache, const void *table, size_t from, size_t bytes)
{
	struct cache_slot *slot = slot_of_table(cache, table);
	assert(slot_is_pinned(slot) && from + bytes <= cache->image->cluster_bytes);
	touch(TOUCH_DIRTY, cache->instance, ACCESS_ADD);
	uint32_t first = (uint32_t)from;
	uint32_t end = (uint32_t)(from + bytes);
	if (!slot_is_dirty(slot)) {
		slot->dirty_from = first;
		slot->dirty_to = end;
		return;
	}
	if (first < slot->dirty_from)
		slot->dirty_from = first;
	if (end > slot->dirty_to)
		slot->dirty_to = end;
}

bool cache_is_pinned(const struct cache *cache, uint64_t host_offset)
{
	touch(TOUCH_SLOTS, cache->instance, ACCESS_READ);
	for (uint32_t i = 0; i < cache->slot_count; i++) {
		if (cache->slots[i].host_offset == host_offset && slot_is_pinned(&cache->slots[i]))
			return true;
	}
	return false;
}

void cache_forget(struct cache *cache, uint64_t host_offset)
{
	struct cache_slot *slot = slot_find(cache, host_offset);
	if (!slot)
		return;
	assert(!slot_is_pinned(slot));
	touch(TOUCH_SLOTS, cache->instance, ACCESS_WRITE);
	touch(TOUCH_DIRTY, cache->instance, ACCESS_WRITE);
	slot->host_offset = 0;
	slot->dirty_from = slot->dirty_to = 0;
}

int cache_write_back(struct cache *cache)
{
	int first_error = 0;
	for (uint32_t i = 0; i < cache->slot_count; i++) {
		int result = slot_write_back(cache, &cache->slots[i]);
		if (result < 0 && first_error == 0)
			first_error = result;
	}
	return first_error;
}

int cache_flush(struct cache *cache)
{
	int result = cache_write_back(cache);
	if (KNOWN_BUG("write-error-dropped"))
		result = 0;
	return result < 0 ? result : image_device_flush(cache->image);
}

int cache_depend(struct cache *cache, struct cache *first)
{
	assert(first != cache);
	touch(TOUCH_DEBTS, cache->instance, ACCESS_WRITE);
	touch(TOUCH_DEBTS, first->instance, ACCESS_READ);
	if (first->after) {
		int result = pay_debts(first);
		if (result < 0)
			return result;
	}
	touch(TOUCH_DEBTS, cache->instance, ACCESS_WRITE);
	if (cache->after && cache->after != first) {
		int result = pay_debts(cache);
		if (result < 0)
			return result;
	}
	touch(TOUCH_DEBTS, cache->instance, ACCESS_WRITE);
	cache->after = first;
	return 0;
}

void cache_depend_on_flush(struct cache *cache)
{
	if (KNOWN_BUG("no-data-barrier"))
		return;
	touch(TOUCH_DEBTS, cache->instance, ACCESS_ADD);
	cache->after_flush = true;
}
