// SPDX-License-Identifier: MIT
#include "engine/qcow2/cow.h"

#include "engine/qcow2/events.h"
#include "engine/qcow2/read.h"
#include "injector/fault_point.h"

#include <errno.h>

/* Copy one piece with a common source. With the lock, released during the I/O: the old cluster
 * cannot be freed meanwhile, for only this allocation can unlink it, and nobody else writes what is
 * final. */
static int copy_piece(struct qcow2 *image, const struct l2meta *meta, uint64_t guest_offset,
		      const struct source *source)
{
	struct iovec buffer = { .iov_base = arena_take(image->arena, (size_t)source->bytes),
				.iov_len = (size_t)source->bytes };
	if (!buffer.iov_base)
		return -ENOMEM;
	uint64_t host_offset = l2meta_host(meta, guest_offset);
	if (KNOWN_BUG("int32-cow-offset"))
		host_offset = (uint32_t)host_offset;
	co_mutex_unlock(&image->lock);
	QCOW2_EVENT(image, QCOW2_COW_READ);
	int result = source_read(source, guest_offset, &buffer, 1);
	if (result == 0) {
		QCOW2_EVENT(image, QCOW2_COW_WRITE);
		result = file_write(&image->file, buffer.iov_base, buffer.iov_len, host_offset);
	}
	co_mutex_lock(&image->lock);
	arena_give(image->arena, buffer.iov_base);
	return result;
}

int cow_region(struct qcow2 *image, struct l2meta *meta, struct cow_region *region)
{
	touch_one(TOUCH_EXTENT, image->depth, meta->id, ACCESS_WRITE);
	uint64_t from = region->from;
	uint64_t to = region->to;
	region->final = true; /* C6 */
	while (from < to) {
		uint64_t end = cluster_end(image, from + 1);
		struct source source;
		if (KNOWN_BUG("cow-waits-for-itself"))
			(void)!l2meta_wait_range(image, from, to);
		int result = source_find(image, from, (to < end ? to : end) - from, &source);
		if (result == 0)
			result = copy_piece(image, meta, from, &source);
		if (result < 0)
			return result;
		cache_depend_on_flush(&image->l2_cache); /* O2 */
		from += source.bytes;
	}
	return 0;
}
