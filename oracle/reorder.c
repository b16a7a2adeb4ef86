// SPDX-License-Identifier: MIT
/* `reorder`, decided without listing.
 *
 * A crash leaves any version of each volatile cell. The rules are local: what one of them says of
 * one cluster or guest sector depends on the cells along a few paths. So it is enough to choose
 * versions along these paths, everything else being the newest:
 *
 *     root cells     header, L1 tables, refcount table, snapshot table: they decide which cluster
 *                    is which table. All combinations of their versions; an engine flushes behind
 *                    each change of a root, so there are few.
 *     leaf cells     below fixed roots: L2 sectors, refcount blocks, data (reorder_items.c).
 *
 * Only what is new. An operation gives new versions to some cells, a promise new duties to some
 * guest sectors. A state without any of these versions was possible before the operation, with the
 * same promises: each cell has a version that was there then, and a base that is not newer. So for
 * each choice of roots the judge steps from the version before the operation to that after it, and
 * looks at what this touches; the newest version of every cell concerned is then in the state, or
 * the state is an old one. When a root cell got a new version, tables appear that were none before,
 * and every volatile cell below is stepped through all its versions. A flush that completes only
 * makes states impossible.
 *
 * The newest state itself was judged as a state of `prefix`. */
#include "oracle/reorder.h"

#include "oracle/heap.h"

#include <stdlib.h>

enum {
	/** Combinations of versions of root cells. */
	ROOT_STATES_MAX = 1024,
	/** Versions of one root cell. */
	ROOT_VERSIONS_MAX = 64,
	/** Guest clusters looked at for one promise. */
	PROMISE_CLUSTERS_MAX = 1 << 16,
};

void reorder_free(struct reorder *reorder)
{
	if (reorder == NULL)
		return;
	free(reorder->clusters);
	free(reorder->guests);
	free(reorder);
}

/** Remember what the transition touched: the work list is used for other states now. */
static void save_work(struct judge *judge)
{
	const struct live_work *work = &judge->live.work;
	struct reorder *saved = judge->reorder;

	saved->clusters = heap_grow(saved->clusters, &saved->cluster_capacity, work->cluster_count,
				    sizeof(struct cluster *));
	saved->guests = heap_grow(saved->guests, &saved->guest_capacity, work->guest_count + 1,
				  sizeof(*saved->guests));
	for (size_t i = 0; i < work->cluster_count; i++)
		saved->clusters[i] = work->clusters[i];
	for (size_t i = 0; i < work->guest_count; i++)
		saved->guests[i] = work->guests[i];
	saved->cluster_count = work->cluster_count;
	saved->guest_count = work->guest_count;
	saved->header = work->header;
	if (work->whole_guest) {
		saved->guests[0] = (struct guest_range){ 0, judge->live.header.size_bytes };
		saved->guest_count = 1;
	}
}

/** Does the cell hold a part of a table that decides where others are, as the image is now? */
static bool is_root(const struct judge *judge, const struct cell *cell)
{
	const struct image_header *header =
		judge->live.header.readable ? &judge->live.header : &judge->initial;
	uint64_t start = cell->index * judge->window.grain * SECTOR_BYTES;
	uint64_t end = start + (uint64_t)judge->window.grain * SECTOR_BYTES;

	if (!header->readable)
		return true;
	for (uint64_t at = start >> header->cluster_bits; at << header->cluster_bits < end; at++) {
		const struct cluster *cluster = live_cluster(&judge->live, at);
		const struct table_use *table = cluster == NULL ? NULL : cluster->table;

		if (at == 0 ||
		    (table != NULL &&
		     table->header + table->snapshot_table + table->l1 + table->reftable > 0))
			return true;
	}
	return false;
}

/** The cells of operations from `first` on: note those that hold roots. Returns whether any does.
 */
static bool find_roots(struct judge *judge, uint64_t first)
{
	struct window *window = &judge->window;
	bool any = false;

	for (uint64_t i = window->ops[first]->first_touch; i < window->touch_count; i++) {
		struct cell *cell = window->touches[i];

		if (cell->count <= cell->first + 1)
			continue;
		if (cell->root == 0 && is_root(judge, cell))
			window_add_root(window, cell);
		any |= cell->root != 0;
	}
	return any;
}

/** Bring the leaf cells of operations from `first` on back to the version before (`every`: to all
 * their versions) and to the newest again, so that all that this touches is on the work list. */
static void step(struct judge *judge, uint64_t first, bool every)
{
	struct window *window = &judge->window;
	struct live *live = &judge->live;

	for (uint64_t i = window->ops[first]->first_touch; i < window->touch_count; i++) {
		struct cell *cell = window->touches[i];
		uint64_t from = every ? cell->first : cell->count - 2;

		if (cell->root != 0 || cell->count <= cell->first + 1 || cell->stamp == live->stamp)
			continue;
		cell->stamp = live->stamp;
		for (uint64_t v = from; v < cell->count; v++)
			for (uint32_t s = 0; s < window->grain; s++)
				live_set_sector(live, cell->index * window->grain + s,
						cell->refs[v * window->grain + s]);
	}
	live_settle(live);
	/* Back and forth is no change of what a snapshot holds. */
	if (every)
		live->work.frozen_count = 0;
}

static bool is_picked(const struct plan *plan, const struct cell *cell)
{
	for (size_t i = 0; i < plan->count; i++)
		if (plan->picks[i].cell == cell)
			return true;
	return false;
}

/** The same for the root cells of the last operation that are the newest in `plan`. */
static void step_roots(struct judge *judge, const struct plan *plan)
{
	struct window *window = &judge->window;

	for (uint64_t i = window->ops[window->op_count - 1]->first_touch; i < window->touch_count;
	     i++) {
		const struct cell *cell = window->touches[i];

		if (cell->root == 0 || is_picked(plan, cell))
			continue;
		reorder_put(judge, cell, cell->count - 2);
		live_settle(&judge->live);
		reorder_put(judge, cell, cell->count - 1);
		live_settle(&judge->live);
	}
}

/** Look at saved guest ranges cluster by cluster. */
static void look_at_guests(struct judge *judge, const struct plan *plan, bool every_l2)
{
	const struct reorder *saved = judge->reorder;
	uint64_t bits = judge->live.header.cluster_bits;
	uint64_t budget = PROMISE_CLUSTERS_MAX;

	if (judge_content_skipped(judge) != NULL)
		return;
	for (size_t i = 0; i < saved->guest_count; i++) {
		uint64_t from = saved->guests[i].guest_offset;
		uint64_t to = from + saved->guests[i].bytes;

		if (to > judge->live.header.size_bytes)
			to = judge->live.header.size_bytes;
		while (from < to) {
			uint64_t end = ((from >> bits) + 1) << bits;

			if (budget-- == 0) {
				judge->reorder->undecided++;
				return;
			}
			end = end < to ? end : to;
			reorder_guest(judge, plan, from, end, every_l2);
			from = end;
		}
	}
}

/** Judge everything below the roots of `plan`, which the image holds; what was touched is saved. */
static void judge_leaves(struct judge *judge, const struct plan *plan, bool promised)
{
	const struct window *window = &judge->window;
	const struct reorder *saved = judge->reorder;

	if (!judge->live.header.readable)
		return;
	for (size_t i = 0; i < saved->cluster_count; i++)
		reorder_cluster(judge, plan, saved->clusters[i]);
	look_at_guests(judge, plan, promised || saved->roots_changed);
	if (!promised && judge_content_skipped(judge) == NULL)
		for (uint64_t i = window->ops[window->op_count - 1]->first_touch;
		     i < window->touch_count; i++)
			if (window->touches[i]->root == 0)
				reorder_users(judge, plan, window->touches[i]);
	if (!promised)
		reorder_header(judge, plan);
}

/** The versions of a root cell that differ, newest first; at most ROOT_VERSIONS_MAX. */
static uint64_t list_versions(struct judge *judge, const struct cell *cell,
			      uint64_t versions[ROOT_VERSIONS_MAX])
{
	uint64_t count = 0;

	for (uint64_t v = cell->count; v-- > cell->first;) {
		if (count == ROOT_VERSIONS_MAX) {
			judge->reorder->undecided++;
			break;
		}
		if (v + 1 == cell->count || !window_is_repeated(&judge->window, cell, v))
			versions[count++] = v;
	}
	return count;
}

/** Choose root state `state` of all combinations, 0: the newest. */
static void choose_roots(struct judge *judge, struct plan *plan, uint64_t state)
{
	const struct window *window = &judge->window;
	uint64_t versions[ROOT_VERSIONS_MAX];

	*plan = (struct plan){ 0 };
	for (uint64_t i = 0; i < window->root_count; i++) {
		struct cell *cell = window_root(window, i);
		uint64_t count = list_versions(judge, cell, versions);

		plan_add(judge, plan, cell, versions[state % count]);
		state /= count;
	}
	plan->root_count = plan->count;
}

/** How many combinations of root versions there are; as many as will be looked at. */
static uint64_t count_root_states(struct judge *judge)
{
	const struct window *window = &judge->window;
	uint64_t versions[ROOT_VERSIONS_MAX];
	uint64_t states = 1;

	for (uint64_t i = 0; i < window->root_count && states <= ROOT_STATES_MAX; i++)
		states *= list_versions(judge, window_root(window, i), versions);
	if (states > ROOT_STATES_MAX || window->roots_lost != 0)
		judge->reorder->undecided++;
	return states < ROOT_STATES_MAX ? states : ROOT_STATES_MAX;
}

/** What the promise is about; none: NULL. */
struct promise {
	struct guest_range *ranges; /* owned */
	size_t count;
};

/** Judge the states with the roots of `plan`. */
static void judge_below(struct judge *judge, const struct plan *plan, uint64_t first,
			const struct promise *promise)
{
	struct reorder *saved = judge->reorder;
	bool header = saved->header;
	size_t journal_count = judge->journal.count;

	plan_apply(judge, plan);
	rule_refcounts_keep(judge);
	if (!saved->roots_changed)
		live_begin(&judge->live);
	if (saved->roots_changed)
		step_roots(judge, plan);
	if (promise == NULL)
		step(judge, first, saved->roots_changed);
	for (size_t i = 0; promise != NULL && i < promise->count; i++)
		live_queue_guest(&judge->live, promise->ranges[i].guest_offset,
				 promise->ranges[i].bytes);
	judge->live.work.header |= saved->roots_changed || header;
	rule_refcounts_keep(judge);
	save_work(judge);
	plan_judge_here(judge, plan);
	judge_leaves(judge, plan, promise != NULL);
	reorder_leaks(judge, plan);
	saved->header = header;
	journal_rollback(&judge->journal, journal_count);
}

/** Judge the states with older roots, or with a file that was not cut off yet. */
static void judge_old_roots(struct judge *judge, uint64_t first, const struct promise *promise)
{
	uint64_t states = count_root_states(judge);
	struct window_size size = { 0 };
	struct plan plan;

	for (uint64_t state = 1; state < states; state++) {
		choose_roots(judge, &plan, state);
		judge_below(judge, &plan, first, promise);
	}
	if (judge->window.size_max <= judge->reorder->newest_bytes)
		return;
	while (window_next_size(&judge->window, &size)) {
		if (size.bytes <= judge->reorder->newest_bytes)
			continue;
		for (uint64_t state = 0; state < states; state++) {
			choose_roots(judge, &plan, state);
			plan.has_size = true;
			plan.size_bytes = size.bytes;
			judge_below(judge, &plan, first, promise);
		}
	}
}

/** Does the last operation cut the file off? */
static bool cuts_off(const struct window *window)
{
	return window->ops[window->op_count - 1]->size_kind == SIZE_SET;
}

/** Which snapshots did the last operation take off the table? */
static void note_deaths(struct judge *judge)
{
	struct live *live = &judge->live;

	for (size_t k = 0; k < live->frozen_count; k++)
		if ((live->alive >> k & 1) == 0 && live->deaths[k] == 0)
			journal_set(&judge->journal, &live->deaths[k], judge->window.op_count);
}

bool reorder_note_roots(struct judge *judge)
{
	const struct window *window = &judge->window;
	bool changed = find_roots(judge, window->op_count - 1) || cuts_off(window);

	if (changed && window->settled < window->op_count)
		find_roots(judge, window->settled);
	note_deaths(judge);
	return changed;
}

void reorder_judge(struct judge *judge, enum reorder_cause cause)
{
	const struct plan newest = { 0 };
	struct window *window = &judge->window;
	struct promise promise = { 0 };
	struct reorder *saved;
	uint64_t first = window->op_count - 1;
	size_t journal_count = judge->journal.count;

	if (window->op_count == window->settled || judge->findings.muted != 0)
		return;
	if (judge->reorder == NULL)
		judge->reorder = heap_new(1, sizeof(*judge->reorder));
	saved = judge->reorder;
	judge->decided =
		magnitude_add(judge->decided, magnitude_of_log2(window_log2_states(window)));
	save_work(judge);
	saved->newest_bytes = judge->live.sectors.file_bytes;
	saved->roots_changed = cause == REORDER_ROOTS;
	if (saved->roots_changed) {
		first = window->settled;
		live_begin(&judge->live);
		step_roots(judge, &newest);
		step(judge, first, true);
		save_work(judge);
	}
	if (cause == REORDER_PROMISE) {
		promise.count = saved->guest_count;
		promise.ranges = heap_new(promise.count + 1, sizeof(*promise.ranges));
		memcpy(promise.ranges, saved->guests, promise.count * sizeof(*promise.ranges));
	}
	judge_leaves(judge, &newest, cause == REORDER_PROMISE);
	reorder_leaks(judge, &newest);
	judge_old_roots(judge, first, cause == REORDER_PROMISE ? &promise : NULL);
	journal_rollback(&judge->journal, journal_count);
	free(promise.ranges);
}
