// SPDX-License-Identifier: MIT
/* leak-bounded under `reorder`: which choice of versions leaks the most clusters?
 *
 * The root tables are fixed. A cluster leaks when its refcount, which stands in one cell, is above
 * its references, which stand in the cells of L2 tables that ever named it. One choice of versions
 * serves all clusters, so the greatest number of leaks is not the sum of what each could do:
 *
 *     refcount block   a        b              outer cells
 *                     /|\       |
 *     clusters       1 2 3      4
 *                    | \ /      |
 *     L2 tables      x  y       z              inner cells
 *
 * Three steps, each only where the one before does not settle it:
 *
 * 1. Only clusters that an operation since the last flush shook can be otherwise than in the newest
 *    state (window_shaken()). Are there too few of them to exceed the bound?
 * 2. Step each cell of a table through its versions and note which clusters that touches, the most
 *    that it makes their refcount, and by how much it lowers their references. The number of
 *    clusters that could leak, each by itself, is an upper bound.
 * 3. Cells that touch a cluster together make a group, and groups have nothing to do with each
 *    other. In a group, take all combinations of outer cells; below each, inner cells that touch no
 *    cluster together are independent *parts*: each part takes the best of its combinations. That
 *    is exact, and costs the product over outer cells times the sum, not the product, over parts.
 *
 * Every combination is made in the image and counted there. A group that would take too many is
 * climbed instead, cell by cell: what that finds is a true state, and step 2 bounds what it may
 * have missed. If the bound lies between the two nothing is known, and the report says so.
 *
 * Clusters of bitmaps have references that are not in the books: they count as leaked here, which
 * makes too much of every number above. A state that was found is judged with them; where that says
 * nothing, nothing is known.
 *
 * Sizes. In a smaller file more cells are zeros, which is one of their versions: nothing new leaks,
 * but where a request may leak as many clusters as the file has, fewer may. Then each size is a
 * case of its own. Larger sizes come with the plan. */
#include "oracle/heap.h"
#include "oracle/reorder.h"

#include <stdlib.h>

enum {
	/** Combinations that are made for one choice of roots. */
	COMBINATIONS_MAX = 1 << 14,
	CLIMBS = 2,
	SOLE = 1,
};

/** A cell of tables, with several versions that differ. */
struct leak_cell {
	struct cell *cell; /* borrowed */
	size_t first;      /* of its versions, in leaks.versions: the newest comes first */
	size_t count;
	size_t at;    /* the one that the image holds */
	size_t best;  /* in the state with the most leaks so far */
	size_t group; /* a cell of its group: the same for all of it */
	size_t part;  /* the same, outer cells aside */
	bool is_outer;
};

/** What versions of one cell do to one cluster. */
struct leak_touch {
	struct cluster *cluster; /* borrowed */
	size_t cell;             /* index of a leak_cell */
	uint64_t fewer;          /* references less than in the newest state, at most */
	uint64_t refcount;       /* the highest */
};

/** A group, by what it may add to the leaks of the newest state. */
struct leak_group {
	size_t cell;
	uint64_t now;      /* of the clusters that it touches, leaked in the newest state */
	uint64_t possible; /* could leak, at most */
	uint64_t found;    /* leaked at once, in the state that the cells' `best` is */
};

struct leaks {
	struct judge *judge;
	struct leak_cell *cells; /* owned */
	size_t cell_count, cell_capacity;
	uint64_t *versions; /* owned */
	size_t version_count, version_capacity;
	struct leak_touch *touches; /* owned; by cluster */
	size_t touch_count, touch_capacity;
	struct leak_group *groups; /* owned */
	size_t group_count, group_capacity;
	size_t *members; /* owned; room for every cell: the cells at hand */
	uint64_t budget; /* combinations that may still be made */
};

static void leaks_release(struct leaks *leaks)
{
	free(leaks->cells);
	free(leaks->versions);
	free(leaks->touches);
	free(leaks->groups);
	free(leaks->members);
}

/* ---- the cells, and what they touch ---- */

enum table_kind { TABLE_NONE, TABLE_L2, TABLE_BLOCK };

/** What is in the cell, below the root tables as they are: blocks count more. */
static enum table_kind kind_of(const struct judge *judge, const struct cell *cell)
{
	uint64_t bits = judge->live.header.cluster_bits;
	uint64_t start = cell->index * judge->window.grain * SECTOR_BYTES;
	uint64_t end = start + (uint64_t)judge->window.grain * SECTOR_BYTES;
	enum table_kind kind = TABLE_NONE;

	for (uint64_t at = start >> bits; at << bits < end; at++) {
		const struct cluster *cluster = live_cluster(&judge->live, at);
		const struct table_use *table = cluster == NULL ? NULL : cluster->table;

		if (table != NULL && table->block > 0)
			return TABLE_BLOCK;
		if (table != NULL && table->weight > 0)
			kind = TABLE_L2;
	}
	return kind;
}

/** Let the image hold version number `at` of the cell. */
static void put(struct leaks *leaks, struct leak_cell *cell, size_t at)
{
	struct judge *judge = leaks->judge;

	if (cell->at == at)
		return;
	cell->at = at;
	live_begin(&judge->live);
	reorder_put(judge, cell->cell, leaks->versions[cell->first + at]);
	live_settle(&judge->live);
	rule_refcounts_keep(judge);
}

static struct leak_cell *add_cell(struct leaks *leaks, struct cell *cell, enum table_kind kind)
{
	const struct window *window = &leaks->judge->window;
	struct leak_cell *added;

	leaks->cells = heap_grow(leaks->cells, &leaks->cell_capacity, leaks->cell_count + 1,
				 sizeof(*leaks->cells));
	added = &leaks->cells[leaks->cell_count];
	*added = (struct leak_cell){ .cell = cell,
				     .first = leaks->version_count,
				     .group = leaks->cell_count,
				     .part = leaks->cell_count,
				     .is_outer = kind == TABLE_BLOCK };
	for (uint64_t v = cell->count; v-- > cell->first;) {
		if (window_is_repeated(window, cell, v))
			continue;
		leaks->versions = heap_grow(leaks->versions, &leaks->version_capacity,
					    leaks->version_count + 1, sizeof(*leaks->versions));
		leaks->versions[leaks->version_count++] = v;
		added->count++;
	}
	leaks->cell_count++;
	return added;
}

/** List the clusters that stepping through the versions of the last cell touches. */
static void list_touches(struct leaks *leaks)
{
	struct judge *judge = leaks->judge;
	const struct live_work *work = &judge->live.work;
	struct leak_cell *cell = &leaks->cells[leaks->cell_count - 1];
	size_t first = leaks->touch_count;

	live_begin(&judge->live);
	for (size_t at = cell->count; at-- > 0;) {
		reorder_put(judge, cell->cell, leaks->versions[cell->first + at]);
		live_settle(&judge->live);
	}
	leaks->touches = heap_grow(leaks->touches, &leaks->touch_capacity,
				   first + work->cluster_count, sizeof(*leaks->touches));
	for (size_t i = 0; i < work->cluster_count; i++)
		leaks->touches[leaks->touch_count++] =
			(struct leak_touch){ .cluster = work->clusters[i],
					     .cell = leaks->cell_count - 1,
					     .fewer = cluster_references(work->clusters[i]),
					     .refcount = work->clusters[i]->refcount };
}

/** Measure what it does to them; `fewer` holds how many references each has. */
static void measure_touches(struct leaks *leaks, size_t first)
{
	struct leak_cell *cell = &leaks->cells[leaks->cell_count - 1];
	uint64_t *fewest = heap_new(leaks->touch_count - first + 1, sizeof(*fewest));

	for (size_t i = first; i < leaks->touch_count; i++)
		fewest[i - first] = leaks->touches[i].fewer;
	for (size_t at = 1; at < cell->count; at++) {
		put(leaks, cell, at);
		for (size_t i = first; i < leaks->touch_count; i++) {
			struct leak_touch *touch = &leaks->touches[i];
			uint64_t references = cluster_references(touch->cluster);

			if (references < fewest[i - first])
				fewest[i - first] = references;
			if (touch->cluster->refcount > touch->refcount)
				touch->refcount = touch->cluster->refcount;
		}
	}
	put(leaks, cell, 0);
	for (size_t i = first; i < leaks->touch_count; i++)
		leaks->touches[i].fewer -= fewest[i - first];
	free(fewest);
}

static int compare_touches(const void *a, const void *b)
{
	const struct leak_touch *left = a;
	const struct leak_touch *right = b;

	if (left->cluster->index != right->cluster->index)
		return left->cluster->index < right->cluster->index ? -1 : 1;
	return (left->cell > right->cell) - (left->cell < right->cell);
}

/** List the cells below the roots that may be otherwise, and what each touches. */
static void collect(struct leaks *leaks)
{
	struct judge *judge = leaks->judge;
	const struct window *window = &judge->window;
	uint64_t ticket;

	live_begin(&judge->live);
	ticket = judge->live.stamp;
	for (uint64_t i = window->ops[window->settled]->first_touch; i < window->touch_count; i++) {
		struct cell *cell = window->touches[i];
		size_t first = leaks->touch_count;
		enum table_kind kind;

		if (cell->root != 0 || cell->count <= cell->first + 1 || cell->stamp == ticket)
			continue;
		cell->stamp = ticket;
		kind = kind_of(judge, cell);
		if (kind == TABLE_NONE)
			continue;
		add_cell(leaks, cell, kind);
		list_touches(leaks);
		measure_touches(leaks, first);
	}
	if (leaks->touch_count > 0)
		qsort(leaks->touches, leaks->touch_count, sizeof(*leaks->touches), compare_touches);
}

/* ---- groups and parts ---- */

/** The cell that stands for all that were joined with `at`, by group or by part. */
static size_t find_root(const struct leaks *leaks, size_t at, bool by_part)
{
	for (;;) {
		size_t next = by_part ? leaks->cells[at].part : leaks->cells[at].group;

		if (next == at)
			return at;
		at = next;
	}
}

static void join(struct leaks *leaks, size_t a, size_t b)
{
	size_t from = find_root(leaks, a, false);

	leaks->cells[from].group = find_root(leaks, b, false);
	if (leaks->cells[a].is_outer || leaks->cells[b].is_outer)
		return;
	from = find_root(leaks, a, true);
	leaks->cells[from].part = find_root(leaks, b, true);
}

static struct leak_group *group_at(struct leaks *leaks, size_t cell)
{
	size_t root = leaks->cells[cell].group;

	for (size_t i = 0; i < leaks->group_count; i++)
		if (leaks->groups[i].cell == root)
			return &leaks->groups[i];
	leaks->groups = heap_grow(leaks->groups, &leaks->group_capacity, leaks->group_count + 1,
				  sizeof(*leaks->groups));
	leaks->groups[leaks->group_count] = (struct leak_group){ .cell = root };
	return &leaks->groups[leaks->group_count++];
}

/** Where the touches of the cluster at `first` end. */
static size_t touches_end(const struct leaks *leaks, size_t first)
{
	size_t end = first + 1;

	while (end < leaks->touch_count &&
	       leaks->touches[end].cluster == leaks->touches[first].cluster)
		end++;
	return end;
}

/** Join all cells that touch a cluster together: inner ones with each other, too. From then on
 * each cell names its root. */
static void join_cells(struct leaks *leaks)
{
	for (size_t i = 0, end; i < leaks->touch_count; i = end) {
		end = touches_end(leaks, i);
		for (size_t a = i; a < end; a++)
			for (size_t b = a + 1; b < end; b++)
				join(leaks, leaks->touches[a].cell, leaks->touches[b].cell);
	}
	for (size_t i = 0; i < leaks->cell_count; i++) {
		leaks->cells[i].group = find_root(leaks, i, false);
		leaks->cells[i].part = find_root(leaks, i, true);
	}
}

/** Make the groups, with how many clusters of each leak and could leak. */
static void make_groups(struct leaks *leaks)
{
	join_cells(leaks);
	for (size_t i = 0, end; i < leaks->touch_count; i = end) {
		const struct cluster *cluster = leaks->touches[i].cluster;
		struct leak_group *group = group_at(leaks, leaks->touches[i].cell);
		uint64_t references = cluster_references(cluster);
		uint64_t refcount = cluster->refcount;

		group->now += refcount > references;
		end = touches_end(leaks, i);
		for (size_t k = i; k < end; k++) {
			references -= leaks->touches[k].fewer;
			if (leaks->touches[k].refcount > refcount)
				refcount = leaks->touches[k].refcount;
		}
		group->possible += refcount > references;
	}
}

/* ---- the most leaks of a group ---- */

/** The next combination of versions of the `count` cells of `members`; false: it is the first one
 * again, all newest. */
static bool next_combination(struct leaks *leaks, const size_t *members, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct leak_cell *cell = &leaks->cells[members[i]];

		if (cell->at + 1 < cell->count) {
			put(leaks, cell, cell->at + 1);
			return true;
		}
		put(leaks, cell, 0);
	}
	return false;
}

/** Let the image hold the combination of the cells of a part with which most clusters leak. */
static void maximise_part(struct leaks *leaks, const size_t *members, size_t count)
{
	uint64_t most = leaks->judge->live.leaked;
	size_t *best = heap_new(count, sizeof(*best));

	for (size_t i = 0; i < count; i++)
		best[i] = leaks->cells[members[i]].at;
	for (size_t i = 0; i < count; i++)
		put(leaks, &leaks->cells[members[i]], 0);
	do {
		if (leaks->judge->live.leaked <= most)
			continue;
		most = leaks->judge->live.leaked;
		for (size_t i = 0; i < count; i++)
			best[i] = leaks->cells[members[i]].at;
	} while (next_combination(leaks, members, count));
	for (size_t i = 0; i < count; i++)
		put(leaks, &leaks->cells[members[i]], best[i]);
	free(best);
}

/** Gather in `members` the cells of a group that are outer, or its inner ones in the order of their
 * parts. Returns how many. */
static size_t gather(const struct leaks *leaks, const struct leak_group *group, bool outer,
		     size_t *members)
{
	size_t count = 0;

	for (size_t part = 0; part < leaks->cell_count; part++) {
		if (leaks->cells[part].part != part || leaks->cells[part].group != group->cell)
			continue;
		for (size_t i = 0; i < leaks->cell_count; i++)
			if (leaks->cells[i].is_outer == outer && leaks->cells[i].part == part)
				members[count++] = i;
	}
	return count;
}

/** Where the part of the cell at `first` ends in `members`. */
static size_t part_end(const struct leaks *leaks, const size_t *members, size_t first, size_t count)
{
	size_t part = leaks->cells[members[first]].part;
	size_t end = first + 1;

	while (end < count && leaks->cells[members[end]].part == part)
		end++;
	return end;
}

/** Combinations of cells; above COMBINATIONS_MAX: more. */
static uint64_t product(const struct leaks *leaks, const size_t *members, size_t count)
{
	uint64_t combinations = 1;

	for (size_t i = 0; i < count && combinations <= COMBINATIONS_MAX; i++)
		combinations *= leaks->cells[members[i]].count;
	return combinations;
}

/** Combinations that maximise() makes. */
static uint64_t cost_of(const struct leaks *leaks, const size_t *outer, size_t outer_count,
			const size_t *inner, size_t inner_count)
{
	uint64_t sum = 1;

	for (size_t i = 0, end; i < inner_count; i = end) {
		end = part_end(leaks, inner, i, inner_count);
		sum += product(leaks, inner + i, end - i);
	}
	return product(leaks, outer, outer_count) * sum;
}

/** Remember the combination at hand if it has the most leaks of the group. */
static void note_best(struct leaks *leaks, struct leak_group *group, uint64_t base)
{
	uint64_t found = leaks->judge->live.leaked + group->now - base;

	if (found <= group->found)
		return;
	group->found = found;
	for (size_t i = 0; i < leaks->cell_count; i++)
		if (leaks->cells[i].group == group->cell)
			leaks->cells[i].best = leaks->cells[i].at;
}

/** Find the most leaks of a group, or at least many. Leaves its cells at their newest. */
static void maximise(struct leaks *leaks, struct leak_group *group)
{
	uint64_t base = leaks->judge->live.leaked;
	size_t *outer = leaks->members;
	size_t outer_count = gather(leaks, group, true, outer);
	size_t *inner = outer + outer_count;
	size_t inner_count = gather(leaks, group, false, inner);
	uint64_t cost = cost_of(leaks, outer, outer_count, inner, inner_count);

	group->found = group->now;
	if (cost <= leaks->budget) {
		leaks->budget -= cost;
		do {
			for (size_t i = 0, end; i < inner_count; i = end) {
				end = part_end(leaks, inner, i, inner_count);
				maximise_part(leaks, inner + i, end - i);
			}
			note_best(leaks, group, base);
		} while (next_combination(leaks, outer, outer_count));
		group->possible = group->found;
	} else {
		for (size_t i = 0; i < CLIMBS * (outer_count + inner_count); i++)
			maximise_part(leaks, outer + i % (outer_count + inner_count), SOLE);
		note_best(leaks, group, base);
	}
	for (size_t i = 0; i < outer_count + inner_count; i++)
		put(leaks, &leaks->cells[outer[i]], 0);
}

/* ---- the decision ---- */

/** Leaks of the newest state, and what groups could, or were found to, add. */
static uint64_t sum_up(const struct leaks *leaks, bool found)
{
	uint64_t sum = leaks->judge->live.leaked;

	for (size_t i = 0; i < leaks->group_count; i++)
		sum += (found ? leaks->groups[i].found : leaks->groups[i].possible) -
		       leaks->groups[i].now;
	return sum;
}

/** Of the groups not taken yet (`found` above `now`), the one that adds most; NULL: none does. */
static struct leak_group *largest_group(struct leaks *leaks)
{
	struct leak_group *largest = NULL;

	for (size_t i = 0; i < leaks->group_count; i++) {
		struct leak_group *group = &leaks->groups[i];

		if (group->found > group->now &&
		    (largest == NULL || group->found - group->now > largest->found - largest->now))
			largest = group;
	}
	return largest;
}

/** Add the best versions of a group's cells. False: the plan is full. */
static bool add_group(struct leaks *leaks, struct plan *plan, const struct leak_group *group)
{
	for (size_t i = 0; i < leaks->cell_count; i++) {
		const struct leak_cell *cell = &leaks->cells[i];

		if (cell->best == 0 || cell->group != group->cell)
			continue;
		if (plan->count == PLAN_PICKS_MAX ||
		    !plan_add(leaks->judge, plan, cell->cell,
			      leaks->versions[cell->first + cell->best]))
			return false;
	}
	return true;
}

/** The state that was found has more leaks than may be: have it judged. */
static void report(struct leaks *leaks, const struct plan *plan, uint64_t bound)
{
	struct judge *judge = leaks->judge;
	uint64_t leaked = judge->live.leaked;
	struct plan with = *plan;

	while (leaked <= bound) {
		struct leak_group *group = largest_group(leaks);

		if (group == NULL || !add_group(leaks, &with, group)) {
			judge->reorder->leaks_undecided++;
			return;
		}
		leaked += group->found - group->now;
		group->found = group->now;
	}
	plan_judge(judge, &with, (struct recheck){ .kind = RECHECK_HEADER });
	if (judge->live.header.bitmap_count != 0 &&
	    findings_wants(&judge->findings, RULE_LEAK_BOUNDED, 0))
		judge->reorder->leaks_undecided++;
}

/** Decide for the size that the file has now. */
static void decide(struct judge *judge, const struct plan *plan)
{
	uint64_t bound = rule_leaks_bound(judge, judge->live.sectors.file_bytes);
	size_t journal_count = judge->journal.count;
	struct leaks leaks = { .judge = judge, .budget = COMBINATIONS_MAX };

	collect(&leaks);
	make_groups(&leaks);
	leaks.members = heap_new(leaks.cell_count + 1, sizeof(*leaks.members));
	if (sum_up(&leaks, false) > bound)
		for (size_t i = 0; i < leaks.group_count; i++)
			maximise(&leaks, &leaks.groups[i]);
	journal_rollback(&judge->journal, journal_count);
	if (sum_up(&leaks, false) > bound) {
		if (sum_up(&leaks, true) > bound)
			report(&leaks, plan, bound);
		else
			judge->reorder->leaks_undecided++;
	}
	leaks_release(&leaks);
}

void reorder_leaks(struct judge *judge, const struct plan *plan)
{
	const struct window *window = &judge->window;
	bool is_newest = plan->root_count == 0 && !plan->has_size;
	uint64_t shaken = is_newest ? window_shaken(window) : UINT64_MAX;
	uint64_t least_bound = rule_leaks_bound(judge, window->size_min);
	struct window_size size = { 0 };

	if (judge->history.count == 0 || !rule_leaks_count(judge) ||
	    !findings_wants(&judge->findings, RULE_LEAK_BOUNDED, 0) ||
	    (shaken <= least_bound && judge->live.leaked <= least_bound - shaken))
		return;
	decide(judge, plan);
	while (judge->history.leak_files != 0 && !plan->has_size &&
	       window_next_size(window, &size)) {
		size_t journal_count = judge->journal.count;
		struct plan with = *plan;

		if (size.bytes >= judge->live.sectors.file_bytes)
			continue;
		with.has_size = true;
		with.size_bytes = size.bytes;
		plan_apply(judge, &with);
		rule_refcounts_keep(judge);
		if (rule_leaks_count(judge))
			decide(judge, &with);
		journal_rollback(&judge->journal, journal_count);
	}
}
