// SPDX-License-Identifier: MIT
/* Making things durable, and the two bits of the header that speak of it.
 *
 * A flush finishes the background work of everything acknowledged before it (C11), writes the L2
 * tables and then the refcount blocks back, each in its order, and flushes the device. With lazy
 * refcounts the blocks may stay behind while the dirty bit is on disk: the bit goes there before
 * the first table that they do not cover (O8), and is cleared last of all (O9). */
#include "engine/qcow2/alloc.h"
#include "engine/qcow2/events.h"
#include "engine/qcow2/l2meta.h"
#include "injector/fault_point.h"
#include "injector/session.h"

#include <assert.h>
#include <errno.h>

int image_device_flush(struct qcow2 *image)
{
	touch(TOUCH_HEADER, image->depth, ACCESS_READ);
	if (image->broken)
		return image->broken;
	QCOW2_EVENT(image, QCOW2_FLUSH_TO_DISK);
	int result = file_flush(&image->file);
	touch(TOUCH_HEADER, image->depth, ACCESS_READ);
	if (result == 0)
		return image->broken; /* another one failed meanwhile: this one proves nothing */
	touch(TOUCH_HEADER, image->depth, ACCESS_WRITE);
	if (!KNOWN_BUG("flush-forgets"))
		image->broken = result;
	return result;
}

int image_write_header(struct qcow2 *image, const void *from, size_t bytes, uint64_t at)
{
	int result = file_write(&image->file, from, bytes, at);
	if (result < 0 || KNOWN_BUG("header-no-flush"))
		return result;
	return image_device_flush(image);
}

int image_clear_autoclear(struct qcow2 *image)
{
	uint64_t none = 0;
	if (image->header.autoclear == 0)
		return 0;
	int result = image_write_header(image, &none, sizeof(none), FORMAT_AT_AUTOCLEAR);
	if (result == 0)
		image->header.autoclear = 0;
	return result;
}

static int write_incompatible(struct qcow2 *image, uint64_t incompatible)
{
	uint64_t raw;
	be64_put(&raw, incompatible);
	int result = image_write_header(image, &raw, sizeof(raw), FORMAT_AT_INCOMPATIBLE);
	touch(TOUCH_HEADER, image->depth, ACCESS_WRITE);
	if (result == 0)
		image->header.incompatible = incompatible;
	return result;
}

int image_mark_dirty(struct qcow2 *image)
{
	assert(co_mutex_is_mine(&image->lock));
	if (!(image->header.compatible & FORMAT_COMPATIBLE_LAZY) || image_is_lazy_dirty(image))
		return 0;
	return write_incompatible(image, image->header.incompatible | FORMAT_INCOMPATIBLE_DIRTY);
}

int image_mark_clean(struct qcow2 *image)
{
	assert(co_mutex_is_mine(&image->lock));
	if (!image_is_lazy_dirty(image))
		return 0;
	return write_incompatible(image, image->header.incompatible & ~FORMAT_INCOMPATIBLE_DIRTY);
}

/* The order is O1 to O3; without lazy refcounts the blocks follow. With the lock. */
static int write_caches(struct qcow2 *image, bool all)
{
	int result = cache_write_back(&image->l2_cache);
	if (result == 0 && (all || !image_is_lazy_dirty(image)))
		result = cache_write_back(&image->refcount_cache);
	return result;
}

int qcow2_flush(struct qcow2 *image)
{
	if (image->read_only)
		return 0;
	QCOW2_EVENT(image, QCOW2_FLUSH_TO_OS);
	int background = l2meta_drain(image);
	co_mutex_lock(&image->lock);
	touch(TOUCH_CLUSTERS, image->depth, ACCESS_READ);
	uint64_t freed = image->allocator.freed_number;
	int result = write_caches(image, false);
	co_mutex_unlock(&image->lock);
	if (result == 0 && !KNOWN_BUG("flush-no-sync"))
		result = image_device_flush(image);
	if (result == 0)
		allocator_release_freed(image, freed); /* O4 */
	return background < 0 ? background : result;
}

/* With the lock. */
static int write_all(struct qcow2 *image)
{
	int result = write_caches(image, !KNOWN_BUG("clean-before-refcounts"));
	return result < 0 ? result : image_device_flush(image);
}

/* The caches as they are while allocations may still be in flight. Without the lock. */
static int write_early(struct qcow2 *image)
{
	co_mutex_lock(&image->lock);
	int result = write_all(image);
	co_mutex_unlock(&image->lock);
	return result;
}

static int close_writable(struct qcow2 *image)
{
	bool is_early = KNOWN_BUG("close-flushes-first");
	int result = is_early ? write_early(image) : 0;
	int background = KNOWN_BUG("close-no-drain") ? 0 : l2meta_shut_down(image);
	co_mutex_lock(&image->lock);
	if (!is_early)
		result = write_all(image);
	if (result == 0 && background == 0)
		result = image_mark_clean(image); /* O9 */
	else if (KNOWN_BUG("clean-despite-error"))
		(void)!image_mark_clean(image);
	if (result == 0 && KNOWN_BUG("clean-before-refcounts"))
		result = write_caches(image, true);
	co_mutex_unlock(&image->lock);
	return background < 0 ? background : result;
}

/* Free one image; its backing file is the caller's. Whoever still uses it, by mistake, uses freed
 * memory from here on, whatever of it that is: so the step conflicts with every other. */
static int release_layer(struct qcow2 *image)
{
	session_footprint()->everything = true;
	image_own(image);
	int result = file_close(&image->file);
	file_close(&image->raw.file);
	cache_release(&image->l2_cache);
	cache_release(&image->refcount_cache);
	allocator_release(image);
	arena_give(image->arena, image->l1);
	arena_give(image->arena, image->refcount_table);
	arena_give(image->arena, image);
	return result;
}

int qcow2_close(struct qcow2 *image)
{
	int result = image->read_only ? 0 : close_writable(image);
	while (image) {
		struct qcow2 *backing = image->backing;
		int closed = release_layer(image);
		if (result == 0)
			result = closed;
		image = backing;
	}
	return result;
}
