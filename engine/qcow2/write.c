// SPDX-License-Identifier: MIT
/* Writing, in rounds.
 *
 * A round decides, under the engine lock, what to do with the beginning of what is left of a
 * request: write in place (the cluster is ours alone), allocate (it is not), become the child of an
 * allocation in flight, or wait for one and start over. Then the data is written without the lock.
 * The request is acknowledged when all rounds are. */
#include "engine/qcow2/alloc.h"
#include "engine/qcow2/events.h"
#include "engine/qcow2/l2meta.h"
#include "engine/qcow2/map.h"
#include "engine/qcow2/vector.h"
#include "injector/fault_point.h"

#include <errno.h>

/** What one round writes, and where. */
struct round {
	uint64_t guest_offset, bytes;
	uint64_t host_offset;
	struct l2meta *meta; /* NULL: in place, under `hold` */
	struct io_hold hold;
};

static int plan_in_place(struct qcow2 *image, struct round *round, const struct mapping *mapping)
{
	round->bytes = mapping->bytes;
	round->host_offset = mapping->host_offset;
	round->meta = NULL;
	hold_begin(image, &round->hold, round->host_offset, round->bytes, true);
	return 0;
}

/* Allocate for as much of the round as `mapping` (which is not ours alone) covers. */
static int plan_allocation(struct qcow2 *image, struct round *round, const struct mapping *mapping)
{
	uint64_t from = round->guest_offset;
	uint64_t to = from + mapping->bytes;
	uint64_t clusters =
		(cluster_end(image, to) - cluster_start(image, from)) / image->cluster_bytes;
	uint64_t host_offset = cluster_start(image, mapping->host_offset);
	bool reuses = mapping->kind == MAPPING_ZERO_ALLOCATED && mapping->copied;
	int result = reuses ? 0 : alloc_up_to(image, &clusters, &host_offset);
	if (result < 0)
		return result;
	uint64_t end = cluster_start(image, from) + clusters * image->cluster_bytes;
	if (to > end)
		to = end;
	round->meta = l2meta_new_root(image, from, to, host_offset, clusters);
	if (!round->meta) {
		if (!reuses)
			(void)!free_unlinked(image, host_offset, clusters * image->cluster_bytes);
		return -ENOMEM;
	}
	round->meta->owns_clusters = !reuses;
	round->bytes = to - from;
	round->host_offset = l2meta_host(round->meta, from);
	return 0;
}

static int plan_child(struct qcow2 *image, struct round *round, struct l2meta *parent, uint64_t to)
{
	round->meta = l2meta_new_child(image, parent, round->guest_offset, &to);
	if (!round->meta)
		return -ENOMEM;
	round->bytes = to - round->guest_offset;
	round->host_offset = l2meta_host(round->meta, round->guest_offset);
	return 0;
}

/* An allocation takes whole clusters: nobody else may have a part in them. 0, 1: had to wait, or
 * -errno. */
static int wait_for_neighbours(struct qcow2 *image, uint64_t from, uint64_t to)
{
	if (KNOWN_BUG("overlap-ignored") || KNOWN_BUG("data-range-only") ||
	    KNOWN_BUG("first-match"))
		return 0;
	return l2meta_wait_range(image, cluster_start(image, from), cluster_end(image, to));
}

/* Decide on a round for at most `bytes` bytes. With the lock, which is released while waiting. */
static int plan(struct qcow2 *image, struct round *round, uint64_t bytes)
{
	for (;;) {
		uint64_t to = round->guest_offset + bytes;
		struct overlap overlap = l2meta_overlap(image, round->guest_offset, &to);
		int room = overlap.action == OVERLAP_ATTACH ? l2meta_make_room(image) : 0;
		if (room < 0)
			return room;
		if (room > 0)
			continue;
		if (overlap.action == OVERLAP_ATTACH)
			return plan_child(image, round, overlap.meta, to);
		if (overlap.action == OVERLAP_WAIT) {
			int result = l2meta_wait(image, overlap.meta);
			if (result < 0)
				return result;
			continue;
		}
		struct mapping mapping;
		int result =
			map_lookup(image, round->guest_offset, to - round->guest_offset, &mapping);
		if (result < 0)
			return result;
		if (mapping.kind == MAPPING_NORMAL && mapping.copied)
			return plan_in_place(image, round, &mapping);
		result = wait_for_neighbours(image, round->guest_offset,
					     round->guest_offset + mapping.bytes);
		if (result == 0)
			result = l2meta_make_room(image);
		if (result < 0)
			return result;
		if (result > 0)
			continue;
		return plan_allocation(image, round, &mapping);
	}
}

static int perform(struct qcow2 *image, struct round *round, const struct iovec *vector, int count,
		   size_t done)
{
	struct iovec slice[VECTOR_PIECES_MAX];
	count = vector_slice(slice, vector, count, done, (size_t)round->bytes);
	QCOW2_EVENT(image, QCOW2_WRITE);
	int result = file_writev(&image->file, slice, count, round->host_offset);
	if (!round->meta) {
		hold_end(image, &round->hold);
		return result;
	}
	if (result < 0) {
		l2meta_data_failed(image, round->meta);
		return result;
	}
	return l2meta_data_done(image, round->meta);
}

int qcow2_writev(struct qcow2 *image, uint64_t guest_offset, const struct iovec *vector, int count)
{
	size_t bytes = vector_bytes(vector, count);
	touch(TOUCH_HEADER, image->depth, ACCESS_READ);
	if (count > VECTOR_PIECES_MAX || guest_offset > image->size_bytes ||
	    bytes > image->size_bytes - guest_offset)
		return -EINVAL;
	if (image->read_only)
		return -EACCES;
	size_t done = 0;
	while (done < bytes) {
		struct round round = { .guest_offset = guest_offset + done };
		co_mutex_lock(&image->lock);
		int result = plan(image, &round, bytes - done);
		co_mutex_unlock(&image->lock);
		if (result == 0)
			result = perform(image, &round, vector, count, done);
		if (result < 0)
			return result;
		done += (size_t)round.bytes;
	}
	return 0;
}
