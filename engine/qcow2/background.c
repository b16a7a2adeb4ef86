// SPDX-License-Identifier: MIT
/* The background half of an allocation: sleep, copy, wait for the children, link. And those who
 * wait for it.
 *
 * The essay in l2meta.c tells what for. Here it matters that no wake-up switches tasks: between a
 * kick and the wait that follows, or between a child's release of its parent and its place in the
 * parent's queue, nobody else runs. */
#include "engine/qcow2/background.h"

#include "engine/qcow2/cow.h"
#include "engine/qcow2/map.h"
#include "engine/scheduler/sched.h"
#include "injector/fault_point.h"

#include <assert.h>
#include <errno.h>

static bool must_hurry(const struct l2meta *meta)
{
	const struct background *background = &meta->image->background;
	touch_one(TOUCH_URGENCY, meta->image->depth, meta->chain->id, ACCESS_READ);
	touch(TOUCH_DRAINS, meta->image->depth, ACCESS_READ);
	if (KNOWN_BUG("lost-kick"))
		return background->draining > 0 || background->closing;
	if (!co_queue_is_empty(&meta->waiters))
		return true;
	if (meta->is_child && KNOWN_BUG("late-child"))
		return false;
	return meta->chain->urgent || background->draining > 0 || background->closing;
}

static void park(struct l2meta *meta)
{
	touch_one(TOUCH_URGENCY, meta->image->depth, meta->chain->id, ACCESS_WRITE);
	meta->sleeping = true;
	co_queue_wait_as(&meta->park, WAIT_PARKED, NULL);
}

/* May `kick` of `meta` reach `member` of its chain? Ancestors have smaller ids, descendants larger
 * ones. */
static bool kick_reaches(const struct l2meta *meta, const struct l2meta *member)
{
	if (member->id < meta->id)
		return !KNOWN_BUG("kick-not-up");
	if (member->id > meta->id)
		return !KNOWN_BUG("kick-not-down");
	return true;
}

/* Whom reports blame for a wait; nothing else depends on it. */
AUDIT_EXEMPT static const struct task *blamed(const struct l2meta *meta)
{
	return meta->task;
}

void l2meta_kick(struct qcow2 *image, struct l2meta *meta)
{
	touch(TOUCH_LIST, image->depth, ACCESS_READ);
	touch_one(TOUCH_URGENCY, image->depth, meta->chain->id, ACCESS_WRITE);
	if (!KNOWN_BUG("kick-not-up") && !KNOWN_BUG("kick-not-down"))
		meta->chain->urgent = true;
	for (struct l2meta *member = image->background.first; member; member = member->next) {
		if (member->chain != meta->chain || !kick_reaches(meta, member))
			continue;
		if (member->sleeping) {
			member->sleeping = false;
			co_queue_wake_one(&member->park);
		} else if (KNOWN_BUG("kick-any")) {
			task_wake(member->task);
		}
	}
}

/* Tell everyone who waits for a member of the chain that an attempt failed. */
static void wake_chain(struct qcow2 *image, const struct chain *chain)
{
	touch(TOUCH_LIST, image->depth, ACCESS_READ);
	for (struct l2meta *meta = image->background.first; meta; meta = meta->next) {
		if (meta->chain == chain)
			co_queue_wake_all(&meta->waiters);
	}
}

int background_copy_and_link(struct l2meta *meta)
{
	struct qcow2 *image = meta->image;
	int result = cow_region(image, meta, &meta->head);
	if (result == 0)
		result = cow_region(image, meta, &meta->tail);
	if (result < 0)
		return result;
	bool exclusive = !KNOWN_BUG("no-rwlock");
	if (exclusive) {
		co_mutex_unlock(&image->lock); /* C7 */
		co_rwlock_write_lock(&meta->children);
		co_mutex_lock(&image->lock);
	}
	touch_one(TOUCH_URGENCY, image->depth, meta->chain->id, ACCESS_READ);
	if (meta->chain->broken)
		result = -EIO;
	else if (!meta->is_child)
		result = map_link(image, meta->guest_offset, meta->host_offset, meta->clusters);
	if (exclusive)
		co_rwlock_write_unlock(&meta->children);
	return result;
}

static int attempt(struct l2meta *meta)
{
	struct qcow2 *image = meta->image;
	co_mutex_lock(&image->lock);
	int result = background_copy_and_link(meta);
	co_mutex_unlock(&image->lock);
	meta->error = result;
	if (result == 0)
		return 0;
	touch(TOUCH_FAILURES, image->depth, ACCESS_WRITE); /* C12 */
	image->background.error = result;
	image->background.failures++;
	if (!KNOWN_BUG("error-stuck"))
		wake_chain(image, meta->chain);
	return result;
}

/* A child's part is done: from here on the parent may link; until it has, readers need the child.
 */
static void wait_for_parent(struct l2meta *meta)
{
	struct l2meta *parent = meta->parent;
	l2meta_release_parent(meta); /* C8: no yield between this line ... */
	if (KNOWN_BUG("unlock-yield"))
		task_yield();
	co_queue_wait(&parent->offspring); /* ... and that */
}

/* The image is being closed and there will be no other attempt. The clusters stay leaked, and
 * nobody links them. */
static void give_up(struct l2meta *meta)
{
	touch_one(TOUCH_URGENCY, meta->image->depth, meta->chain->id, ACCESS_WRITE);
	meta->chain->broken = true;
	co_rwlock_write_lock(&meta->children); /* children still refer to it */
	co_rwlock_write_unlock(&meta->children);
	if (meta->is_child)
		l2meta_release_parent(meta);
}

static bool is_closing(const struct qcow2 *image)
{
	touch(TOUCH_DRAINS, image->depth, ACCESS_READ);
	return image->background.closing;
}

static void background_run(void *argument)
{
	struct l2meta *meta = argument;
	struct qcow2 *image = meta->image;
	if (!must_hurry(meta))
		park(meta);
	while (attempt(meta) < 0 && !is_closing(image))
		park(meta);
	if (meta->error)
		give_up(meta);
	else if (meta->is_child)
		wait_for_parent(meta);
	l2meta_finish(meta);
	touch(TOUCH_TASKS, image->depth, ACCESS_ADD);
	image->background.tasks--;
	co_queue_wake_all(&image->background.finished);
}

void background_start(struct l2meta *meta)
{
	struct qcow2 *image = meta->image;
	touch(TOUCH_TASKS, image->depth, ACCESS_ADD);
	image->background.tasks++;
	meta->task = sched_spawn(sched_current(), meta->is_child ? "child" : "l2meta",
				 background_run, meta);
	if (meta->task) {
		const uint8_t *from = (const uint8_t *)&meta->error;
		size_t bytes = (size_t)((const uint8_t *)&meta->park - from);
		touch_hand_over(from, bytes, task_number(meta->task));
		return;
	}
	/* No memory for a task: do its work here, at once. */
	touch_one(TOUCH_URGENCY, image->depth, meta->chain->id, ACCESS_WRITE);
	meta->chain->urgent = true;
	meta->task = task_current();
	background_run(meta);
}

static struct l2meta *find_by_id(const struct qcow2 *image, uint32_t id)
{
	struct l2meta *meta = image->background.first;
	touch(TOUCH_LIST, image->depth, ACCESS_READ);
	while (meta && meta->id != id)
		meta = meta->next;
	return meta;
}

int l2meta_wait(struct qcow2 *image, struct l2meta *meta)
{
	assert(co_mutex_is_mine(&image->lock));
	uint32_t id = meta->id;
	l2meta_kick(image, meta);
	co_mutex_unlock(&image->lock);
	if (KNOWN_BUG("sync-kick"))
		task_yield();
	co_queue_wait_as(&meta->waiters, WAIT_QUEUE, blamed(meta));
	co_mutex_lock(&image->lock);
	if (!find_by_id(image, id))
		return 0;
	touch(TOUCH_FAILURES, image->depth, ACCESS_READ);
	return image->background.error;
}

static void touch_list(const struct qcow2 *image)
{
	touch(TOUCH_LIST, image->depth, ACCESS_READ);
	touch(TOUCH_EXTENT, image->depth, ACCESS_READ);
}

/* Is it a child whose root has linked already? */
static bool is_left_over(const struct qcow2 *image, const struct l2meta *meta)
{
	return meta->is_child && !find_by_id(image, meta->chain->id);
}

int l2meta_wait_range(struct qcow2 *image, uint64_t from, uint64_t to)
{
	struct l2meta *meta = image->background.first;
	int waited = 0;
	touch_list(image);
	while (meta) {
		if (!l2meta_is_in_range(meta, from, to) ||
		    (KNOWN_BUG("zombie") && is_left_over(image, meta))) {
			meta = meta->next;
			continue;
		}
		int result = l2meta_wait(image, meta);
		if (result < 0)
			return result;
		waited = 1;
		touch_list(image);
		meta = image->background.first;
	}
	return waited;
}

int l2meta_make_room(struct qcow2 *image)
{
	const struct background *background = &image->background;
	touch(TOUCH_LIST, image->depth, ACCESS_READ);
	if (background->count < background->count_max || KNOWN_BUG("no-cap"))
		return 0;
	struct l2meta *oldest = background->first;
	while (oldest->next)
		oldest = oldest->next;
	int result = l2meta_wait(image, oldest);
	return result < 0 ? result : 1;
}

static void kick_all(struct qcow2 *image)
{
	touch(TOUCH_LIST, image->depth, ACCESS_READ);
	for (struct l2meta *meta = image->background.first; meta; meta = meta->next)
		l2meta_kick(image, meta);
}

/* An allocation that drain number `drain` must finish. */
static struct l2meta *find_done(const struct qcow2 *image, uint64_t drain)
{
	struct l2meta *meta = image->background.first;
	touch(TOUCH_LIST, image->depth, ACCESS_READ);
	touch(TOUCH_PROGRESS, image->depth, ACCESS_READ);
	while (meta && (meta->done_before == 0 || meta->done_before > drain))
		meta = meta->next;
	return meta;
}

int l2meta_drain(struct qcow2 *image)
{
	struct background *background = &image->background;
	touch(TOUCH_DRAINS, image->depth, ACCESS_WRITE);
	touch(TOUCH_FAILURES, image->depth, ACCESS_READ);
	uint64_t drain = ++background->drains;
	uint64_t failures = background->failures;
	int result = 0;
	background->draining++;
	kick_all(image);
	for (;;) {
		struct l2meta *meta = find_done(image, drain);
		touch(TOUCH_FAILURES, image->depth, ACCESS_READ);
		if (meta && background->failures != failures)
			result = background->error;
		if (!meta || result < 0)
			break;
		co_queue_wait_as(&meta->waiters, WAIT_QUEUE, blamed(meta));
	}
	touch(TOUCH_DRAINS, image->depth, ACCESS_WRITE);
	background->draining--;
	return result;
}

static bool has_tasks(const struct qcow2 *image)
{
	touch(TOUCH_TASKS, image->depth, ACCESS_READ);
	return image->background.tasks > 0;
}

int l2meta_shut_down(struct qcow2 *image)
{
	struct background *background = &image->background;
	touch(TOUCH_DRAINS, image->depth, ACCESS_WRITE);
	touch(TOUCH_FAILURES, image->depth, ACCESS_READ);
	uint64_t failures = background->failures;
	background->closing = true;
	kick_all(image);
	while (has_tasks(image))
		co_queue_wait(&background->finished);
	touch(TOUCH_FAILURES, image->depth, ACCESS_READ);
	return background->failures != failures ? background->error : 0;
}
