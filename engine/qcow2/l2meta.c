// SPDX-License-Identifier: MIT
/* In-flight allocations, and the "cancel COW" protocol.
 *
 * A write to a cluster that has no host cluster of its own allocates one, writes the guest's data
 * into it, and later copies the rest of the cluster from the old contents (head and tail COW) and
 * links it in the L2 table. Until then it is an l2meta in list A, with a background task of its own
 * that sleeps until somebody needs it to go on:
 *
 *     request:     reserve -> write data -> acknowledged
 *     background:             sleep ... kicked -> head COW -> tail COW -> wait for children -> link
 * -> gone
 *
 * With policy `cancel`, a write that begins in the tail COW of a sleeping allocation does not wait
 * for it: it cuts the tail short and becomes its child, which writes its own data and tail into the
 * same host cluster. A chain:
 *
 *     cluster   |........AAAA~~~~BBBBBB~~~CCCC~~~~~|      . head COW   ~ tail COW
 *               root A -----> child B -> child C          only the last one's tail reaches the end
 * of the cluster
 *
 * Two rules carry everything:
 *  1. The root links only after every child has finished data and COW. Each child holds `children`
 * of its parent shared until it has; a parent takes it exclusively before it goes on (C7).
 *  2. A child stays in list A until the root has linked, for readers find its data there (C9).
 *
 * Why attaching is safe: it needs a tail that is not final. `final` is set under the engine lock
 * when the copy begins (C6), and a parent asks for the exclusive hold only after that. So the
 * shared hold is there for the taking, although the locks are taken in the opposite order
 * elsewhere; and what a copy writes is never what a child writes, so a copy may be repeated.
 *
 * Urgency belongs to the chain. A root cannot link before its children, a child is not gone before
 * its root: to hurry one is to hurry all, those included that attach later. An allocation that
 * somebody waits for does not go to sleep.
 *
 * When the data of a request cannot be written its range must still be filled, because a neighbour
 * was shortened for it, or children live in its cluster: it stays as pure COW, and only the request
 * fails. A root without children is simply undone.
 *
 * When a background attempt fails the allocation is kept and tried again when kicked; those who
 * wait are told (C12).
 *
 * The proposal of 2012 lacked much of this; each hole is a known bug that can be switched on below.
 */
#include "engine/qcow2/l2meta.h"

#include "engine/qcow2/alloc.h"
#include "engine/qcow2/background.h"
#include "engine/scheduler/sched.h"
#include "injector/fault_point.h"

#include <assert.h>
#include <errno.h>

/* ---- list A ---- */

static bool can_attach(const struct qcow2 *image, const struct l2meta *meta, uint64_t from)
{
	if (image->policy != QCOW2_CANCEL || from < meta->tail.from)
		return false;
	if (in_cluster(image, meta->tail.to) != 0 && !KNOWN_BUG("no-align"))
		return false;
	return !meta->tail.final || KNOWN_BUG("no-final");
}

bool l2meta_is_in_range(const struct l2meta *meta, uint64_t from, uint64_t to)
{
	if (KNOWN_BUG("data-range-only"))
		return from < meta->data_to && meta->data_from < to;
	return from < meta->tail.to && meta->head.from < to;
}

struct overlap l2meta_overlap(struct qcow2 *image, uint64_t from, uint64_t *to)
{
	touch(TOUCH_LIST, image->depth, ACCESS_READ);
	touch(TOUCH_EXTENT, image->depth, ACCESS_READ);
	for (struct l2meta *meta = image->background.first; meta; meta = meta->next) {
		if (KNOWN_BUG("overlap-ignored") || !l2meta_is_in_range(meta, from, *to))
			continue;
		if (from < meta->head.from) {
			*to = meta->head.from; /* C1 */
			if (KNOWN_BUG("first-match"))
				break;
			continue;
		}
		if (can_attach(image, meta, from))
			return (struct overlap){ OVERLAP_ATTACH, meta };
		return (struct overlap){ OVERLAP_WAIT, meta };
	}
	return (struct overlap){ OVERLAP_NONE, NULL };
}

struct l2meta *l2meta_for_read(struct qcow2 *image, uint64_t guest_offset, uint64_t *bytes)
{
	touch(TOUCH_LIST, image->depth, ACCESS_READ);
	touch(TOUCH_EXTENT, image->depth, ACCESS_READ);
	touch(TOUCH_PROGRESS, image->depth, ACCESS_READ);
	for (struct l2meta *meta = image->background.first; meta; meta = meta->next) {
		bool readable = meta->done_before != 0 || KNOWN_BUG("read-early");
		if (!readable || meta->data_to <= guest_offset)
			continue;
		if (meta->data_from <= guest_offset) {
			if (*bytes > meta->data_to - guest_offset)
				*bytes = meta->data_to - guest_offset;
			return meta;
		}
		if (*bytes > meta->data_from - guest_offset && meta->data_from < meta->data_to &&
		    !KNOWN_BUG("read-run"))
			*bytes = meta->data_from - guest_offset;
	}
	return NULL;
}

static void list_insert(struct qcow2 *image, struct l2meta *meta)
{
	touch(TOUCH_LIST, image->depth, ACCESS_WRITE);
	meta->next = image->background.first;
	if (meta->next)
		meta->next->previous = meta;
	image->background.first = meta;
	image->background.count++;
	assert(image->background.count <= image->background.count_max && "there was room");
}

static void list_remove(struct qcow2 *image, struct l2meta *meta)
{
	touch(TOUCH_LIST, image->depth, ACCESS_WRITE);
	if (meta->previous)
		meta->previous->next = meta->next;
	else
		image->background.first = meta->next;
	if (meta->next)
		meta->next->previous = meta->previous;
	image->background.count--;
}

/* Everything that l2meta_new() has not set is. Only the audit asks which object it is. */
static void share(const struct l2meta *meta)
{
	uint32_t depth = meta->image->depth;
	TOUCH_BIND_CONSTANT(meta->image);
	TOUCH_BIND_CONSTANT(meta->id);
	TOUCH_BIND_CONSTANT(meta->chain);
	TOUCH_BIND_CONSTANT(meta->parent);
	TOUCH_BIND_CONSTANT(meta->guest_offset);
	TOUCH_BIND_CONSTANT(meta->host_offset);
	TOUCH_BIND_CONSTANT(meta->clusters);
	TOUCH_BIND_CONSTANT(meta->is_child);
	TOUCH_BIND(meta->previous, TOUCH_LIST, depth, TOUCH_ALL);
	TOUCH_BIND(meta->next, TOUCH_LIST, depth, TOUCH_ALL);
	TOUCH_BIND(meta->head, TOUCH_EXTENT, depth, meta->id);
	TOUCH_BIND(meta->tail, TOUCH_EXTENT, depth, meta->id);
	TOUCH_BIND(meta->data_from, TOUCH_EXTENT, depth, meta->id);
	TOUCH_BIND(meta->data_to, TOUCH_EXTENT, depth, meta->id);
	TOUCH_BIND(meta->done_before, TOUCH_PROGRESS, depth, meta->id);
	TOUCH_BIND(meta->sleeping, TOUCH_URGENCY, depth, meta->chain->id);
}

static struct l2meta *l2meta_new(struct qcow2 *image, struct chain *chain)
{
	struct l2meta *meta = arena_take(image->arena, sizeof(*meta));
	if (!meta)
		return NULL;
	touch(TOUCH_LIST, image->depth, ACCESS_WRITE);
	meta->image = image;
	meta->id = ++image->background.created;
	meta->chain = chain;
	if (chain->members++ == 0) {
		chain->id = meta->id;
		touch_bind(chain, sizeof(*chain), TOUCH_URGENCY, image->depth, chain->id);
		TOUCH_BIND_CONSTANT(chain->id);
	}
	touch_one(TOUCH_URGENCY, image->depth, chain->id, ACCESS_WRITE);
	co_queue_init(&meta->park, "kick of allocation", meta->id);
	co_queue_init(&meta->waiters, "allocation", meta->id);
	co_queue_init(&meta->offspring, "link of allocation", meta->id);
	co_rwlock_init(&meta->children, "children of allocation", meta->id);
	return meta;
}

struct l2meta *l2meta_new_root(struct qcow2 *image, uint64_t from, uint64_t to,
			       uint64_t host_offset, uint64_t clusters)
{
	assert(co_mutex_is_mine(&image->lock) && from < to);
	struct chain *chain = arena_take(image->arena, sizeof(*chain));
	struct l2meta *meta = chain ? l2meta_new(image, chain) : NULL;
	if (!meta) {
		arena_give(image->arena, chain);
		return NULL;
	}
	meta->guest_offset = cluster_start(image, from);
	meta->host_offset = host_offset;
	meta->clusters = clusters;
	uint64_t end = meta->guest_offset + clusters * image->cluster_bytes;
	if (KNOWN_BUG("tail-from-data"))
		end -= from - meta->guest_offset;
	if (clusters > 1 && KNOWN_BUG("tail-dropped"))
		end = to;
	meta->head = (struct cow_region){ .from = meta->guest_offset, .to = from };
	meta->data_from = from;
	meta->data_to = to;
	meta->tail = (struct cow_region){ .from = to, .to = end };
	share(meta);
	list_insert(image, meta);
	return meta;
}

uint64_t l2meta_host(const struct l2meta *meta, uint64_t guest_offset)
{
	return meta->host_offset + (guest_offset - meta->guest_offset);
}

/* Whom a child keeps from linking. */
static struct l2meta *held_by(const struct l2meta *meta)
{
	struct l2meta *held = meta->parent;
	while (held->parent && KNOWN_BUG("fair-rwlock"))
		held = held->parent;
	return held;
}

/* C7. The hold is there for the taking: the parent's tail is not final, so it has not asked for the
 * exclusive one. */
static void hold_parent(struct l2meta *meta)
{
	if (!KNOWN_BUG("no-rwlock"))
		co_rwlock_read_lock(&held_by(meta)->children);
}

void l2meta_release_parent(struct l2meta *meta)
{
	if (!KNOWN_BUG("no-rwlock"))
		co_rwlock_read_unlock(&held_by(meta)->children);
}

struct l2meta *l2meta_new_child(struct qcow2 *image, struct l2meta *parent, uint64_t from,
				uint64_t *to)
{
	assert(co_mutex_is_mine(&image->lock));
	struct l2meta *meta = l2meta_new(image, parent->chain);
	if (!meta)
		return NULL;
	meta->guest_offset = cluster_start(image, from);
	uint64_t end = meta->guest_offset + image->cluster_bytes;
	if (*to > end)
		*to = end; /* C5 */
	touch_one(TOUCH_EXTENT, image->depth, parent->id, ACCESS_READ);
	meta->is_child = true;
	meta->parent = parent;
	meta->clusters = 1;
	meta->host_offset = l2meta_host(parent, meta->guest_offset); /* C3 */
	if (KNOWN_BUG("int32-host-offset"))
		meta->host_offset = (uint64_t)(int32_t)meta->host_offset;
	meta->head = (struct cow_region){ .from = from, .to = from };
	meta->data_from = from;
	meta->data_to = *to;
	meta->tail = (struct cow_region){ .from = *to, .to = end }; /* C4 */
	touch_one(TOUCH_EXTENT, image->depth, parent->id, ACCESS_WRITE);
	parent->tail.to = from; /* C2 */
	share(meta);
	list_insert(image, meta);
	hold_parent(meta);
	return meta;
}

void l2meta_finish(struct l2meta *meta)
{
	struct arena *arena = meta->image->arena;
	list_remove(meta->image, meta);
	touch_own(meta, sizeof(*meta), TOUCH_LIST, meta->image->depth, TOUCH_ALL);
	if (meta->done_before != 0 || !KNOWN_BUG("failed-no-wake"))
		co_queue_wake_all(&meta->waiters);
	co_queue_wake_all(&meta->offspring);
	co_queue_destroy(&meta->waiters);
	co_queue_destroy(&meta->offspring);
	co_queue_destroy(&meta->park);
	co_rwlock_destroy(&meta->children);
	touch_one(TOUCH_URGENCY, meta->image->depth, meta->chain->id, ACCESS_WRITE);
	if (--meta->chain->members == 0) {
		touch_own(meta->chain, sizeof(*meta->chain), TOUCH_URGENCY, meta->image->depth,
			  meta->chain->id);
		arena_give(arena, meta->chain);
	}
	arena_give(arena, meta);
}

/* ---- the request's side ---- */

/* Nobody refers to the new clusters: let them go. With the lock. */
static void undo(struct l2meta *meta)
{
	struct qcow2 *image = meta->image;
	touch_one(TOUCH_EXTENT, image->depth, meta->id, ACCESS_WRITE);
	meta->tail.final = true; /* nobody attaches while the refcount block is read */
	if (meta->owns_clusters) /* a failure leaks them */
		(void)!free_unlinked(image, meta->host_offset,
				     meta->clusters * image->cluster_bytes);
}

/* The order among those that a drain finds done is nobody's matter; only which drain finds them. */
static void note_done(struct qcow2 *image, struct l2meta *meta)
{
	touch(TOUCH_DRAINS, image->depth, ACCESS_READ);
	touch_one(TOUCH_PROGRESS, image->depth, meta->id, ACCESS_WRITE);
	meta->done_before = image->background.drains + 1;
}

int l2meta_data_done(struct qcow2 *image, struct l2meta *meta)
{
	if (image->policy != QCOW2_EAGER) {
		note_done(image, meta);
		background_start(meta);
		return 0;
	}
	/* Not readable before it is linked: it may still fail, and what was read must not vanish.
	 */
	co_mutex_lock(&image->lock);
	int result = background_copy_and_link(meta);
	if (result < 0)
		undo(meta);
	co_mutex_unlock(&image->lock);
	l2meta_finish(meta);
	return result;
}

/* Does anybody live in the last cluster of the root? A child that is done has let go of its hold,
 * and waits for the link all the same. */
static bool has_children(const struct l2meta *meta)
{
	if (KNOWN_BUG("holds-not-children"))
		return co_rwlock_has_readers(&meta->children);
	touch_one(TOUCH_URGENCY, meta->image->depth, meta->chain->id, ACCESS_READ);
	return meta->chain->members > 1;
}

void l2meta_data_failed(struct qcow2 *image, struct l2meta *meta)
{
	if (KNOWN_BUG("removed-twice"))
		list_remove(image, meta);
	co_mutex_lock(&image->lock);
	if (meta->is_child && KNOWN_BUG("leak-hold")) {
		co_mutex_unlock(&image->lock);
		l2meta_finish(meta);
		return;
	}
	if (meta->is_child && KNOWN_BUG("no-restore")) {
		l2meta_release_parent(meta);
		co_mutex_unlock(&image->lock);
		l2meta_finish(meta);
		return;
	}
	bool is_needed = meta->is_child || has_children(meta);
	if (!is_needed || (!meta->is_child && KNOWN_BUG("parent-dies"))) {
		undo(meta);
		co_mutex_unlock(&image->lock);
		if (!KNOWN_BUG("failed-stays-listed"))
			l2meta_finish(meta);
		return;
	}
	touch_one(TOUCH_EXTENT, image->depth, meta->id, ACCESS_WRITE);
	meta->head.to = meta->data_to;
	meta->data_from = meta->data_to;
	note_done(image, meta);
	co_mutex_unlock(&image->lock);
	background_start(meta);
}
