// SPDX-License-Identifier: MIT
/* The tables above are fixed, by one of their versions; below them are L2 sectors, refcount blocks
 * and data, each in a cell that has nothing to do with the others. So for one cluster or one guest
 * sector at a time:
 *
 *     references        a sum over L2 cells: the maximum is that of each cell by itself
 *     refcount          one number in one cell: minimum and maximum over its versions
 *     two purposes      one of two users may have been replaced since: any version of its cell
 *     guest contents    L2 cell, then data cell: each version of one with each of the other
 *     end of the file   the largest size that leaves the cluster outside
 *
 * Only what a transition touched is looked at: a state that is possible now and shows nothing of
 * the newest versions was possible before. What looks bad here is a candidate; plan_judge() makes
 * the state and lets the rules say so. */
#include "oracle/reorder.h"

#include <stdlib.h>

enum {
	/** Versions of compressed clusters that are combined. */
	COMPRESSED_STATES_MAX = 256,
	/** Users of a cluster that are paired. */
	PAIRS_MAX = 64,
	/** Active L1 entries that are looked at for one L2 table that several share. */
	L1_SEARCH_MAX = 1 << 12,
};

struct cell *reorder_leaf(const struct judge *judge, uint64_t sector_index)
{
	struct cell *cell = window_cell(&judge->window, sector_index);

	return cell != NULL && cell->root == 0 ? cell : NULL;
}

static uint64_t bits_of(const struct judge *judge)
{
	return judge->live.header.cluster_bits;
}

static uint64_t newest(const struct cell *cell)
{
	return cell->count - 1;
}

static const uint8_t *sector_in(const struct judge *judge, const struct cell *cell,
				uint64_t version, uint64_t sector_index)
{
	return sectors_bytes(&judge->live.sectors,
			     window_ref(&judge->window, cell, version, sector_index));
}

static uint64_t word_in(const struct judge *judge, const struct cell *cell, uint64_t version,
			const struct mention *mention)
{
	return be64_load(sector_in(judge, cell, version, mention->sector) +
			 (size_t)8 * mention->slot);
}

/** How often L2 entries of the cluster that holds a sector are counted. */
static const struct table_use *table_of(const struct judge *judge, uint64_t sector_index)
{
	const struct cluster *cluster =
		live_cluster(&judge->live, sector_index >> (bits_of(judge) - SECTOR_BITS));

	return cluster == NULL ? NULL : cluster->table;
}

static uint64_t weight_of(const struct judge *judge, uint64_t sector_index)
{
	const struct table_use *table = table_of(judge, sector_index);

	return table == NULL ? 0 : table->weight;
}

/** Does an L2 entry refer to the cluster? */
static bool refers(const struct judge *judge, uint64_t entry, uint64_t cluster_index)
{
	struct mapping mapping = mapping_decode(&judge->live.header, entry);
	uint64_t bytes = mapping.kind == MAPPING_COMPRESSED ? mapping.host_bytes : 1;

	return mapping.host_offset != 0 && mapping.host_offset >> bits_of(judge) <= cluster_index &&
	       cluster_index <= (mapping.host_offset + bytes - 1) >> bits_of(judge);
}

/** The leaf cell of a mention that may be an L2 entry; NULL: there is none. */
static struct cell *user_cell(const struct judge *judge, const struct mention *mention)
{
	struct cell *cell = reorder_leaf(judge, mention->sector);

	return cell != NULL && weight_of(judge, mention->sector) > 0 ? cell : NULL;
}

/** Is mention `at` the first in the list that lies in its cell? */
static bool is_first_of_cell(const struct judge *judge, const struct mentions *mentions, size_t at)
{
	uint64_t grain = judge->window.grain;

	for (size_t i = 0; i < at; i++)
		if (mentions->list[i].sector / grain == mentions->list[at].sector / grain)
			return false;
	return true;
}

/** How many references to a cluster the L2 entries of one cell make in a version. */
static uint64_t count_in(const struct judge *judge, const struct mentions *mentions,
			 const struct cell *cell, uint64_t version, uint64_t cluster_index)
{
	uint64_t count = 0;

	for (size_t i = 0; i < mentions->count; i++) {
		const struct mention *mention = &mentions->list[i];

		if (mention->sector / judge->window.grain == cell->index &&
		    refers(judge, word_in(judge, cell, version, mention), cluster_index))
			count += weight_of(judge, mention->sector);
	}
	return count;
}

/** The least and the most that the refcount of a cluster may be. */
struct count_range {
	struct cell *cell; /* of the refcount; NULL: it has one version */
	uint64_t min, max;
	uint64_t min_version, max_version;
};

static struct count_range refcount_range(struct judge *judge, const struct cluster *cluster)
{
	struct count_range range = { .min = cluster->refcount, .max = cluster->refcount };
	struct refcount_place place;

	if (!live_refcount_place(&judge->live, cluster->index, &place))
		return range;
	range.cell = reorder_leaf(judge, place.sector_index);
	if (range.cell == NULL)
		return range;
	range.min_version = range.max_version = newest(range.cell);
	for (uint64_t v = newest(range.cell); v-- > range.cell->first;) {
		uint64_t is = live_refcount_in(&judge->live,
					       sector_in(judge, range.cell, v, place.sector_index),
					       place.entry);

		if (is < range.min) {
			range.min = is;
			range.min_version = v;
		}
		if (is > range.max) {
			range.max = is;
			range.max_version = v;
		}
	}
	return range;
}

static struct recheck item_of(const struct cluster *cluster)
{
	return (struct recheck){ .kind = RECHECK_CLUSTER, .place = cluster->index };
}

static bool wants(const struct judge *judge, enum rule rule, uint64_t place)
{
	return findings_wants(&judge->findings, rule, place);
}

/** The state with the most references to the cluster. */
static void check_covers(struct judge *judge, const struct plan *base,
			 const struct cluster *cluster, const struct mentions *mentions,
			 const struct count_range *refcount)
{
	uint64_t references = cluster_references(cluster);
	struct plan plan = *base;

	for (size_t i = 0; i < mentions->count; i++) {
		struct cell *cell = user_cell(judge, &mentions->list[i]);
		uint64_t now, most, best;

		if (cell == NULL || !is_first_of_cell(judge, mentions, i))
			continue;
		best = newest(cell);
		now = most = count_in(judge, mentions, cell, best, cluster->index);
		for (uint64_t v = newest(cell); v-- > cell->first;) {
			uint64_t count = count_in(judge, mentions, cell, v, cluster->index);

			if (count > most) {
				most = count;
				best = v;
			}
		}
		references += most - now;
		if (best != newest(cell))
			plan_add(judge, &plan, cell, best);
	}
	if (references <= refcount->min)
		return;
	if (refcount->cell != NULL)
		plan_add(judge, &plan, refcount->cell, refcount->min_version);
	if (plan.count > base->count)
		plan_judge(judge, &plan, item_of(cluster));
}

/** States in which COPIED is set although the refcount is above one. */
static void check_copied(struct judge *judge, const struct plan *base,
			 const struct cluster *cluster, const struct mentions *mentions,
			 const struct count_range *refcount)
{
	uint64_t place = cluster->index << bits_of(judge);
	struct plan plan = *base;

	if (refcount->max <= 1)
		return;
	if (refcount->cell != NULL)
		plan_add(judge, &plan, refcount->cell, refcount->max_version);
	if (plan.count > base->count && cluster->copied > 0)
		plan_judge(judge, &plan, item_of(cluster));
	for (size_t i = 0; i < mentions->count && wants(judge, RULE_COPIED_EXACT, place); i++) {
		struct cell *cell = user_cell(judge, &mentions->list[i]);

		for (uint64_t v = cell == NULL ? 0 : newest(cell);
		     cell != NULL && v-- > cell->first;) {
			uint64_t entry = word_in(judge, cell, v, &mentions->list[i]);
			struct plan with = plan;

			if ((entry & ENTRY_COPIED) != 0 && refers(judge, entry, cluster->index) &&
			    plan_add(judge, &with, cell, v))
				plan_judge(judge, &with, item_of(cluster));
		}
	}
}

/** The largest size of the file that ends before the cluster. False: none. */
static bool find_size(const struct judge *judge, struct plan *plan, uint64_t host_offset)
{
	struct window_size size = { 0 };

	plan->has_size = false;
	while (window_next_size(&judge->window, &size)) {
		if (size.bytes > host_offset || (plan->has_size && size.bytes <= plan->size_bytes))
			continue;
		plan->has_size = true;
		plan->size_bytes = size.bytes;
	}
	return plan->has_size;
}

/** Judge a state, and the same in a file that ends before the cluster. */
static void judge_user(struct judge *judge, struct plan *plan, const struct cluster *cluster)
{
	uint64_t host_offset = cluster->index << bits_of(judge);
	bool has_size = plan->has_size;

	if (!has_size && judge->window.size_min <= host_offset &&
	    host_offset < judge->live.sectors.file_bytes &&
	    wants(judge, RULE_NO_ALIAS, host_offset | 1) && find_size(judge, plan, host_offset)) {
		plan_judge(judge, plan, item_of(cluster));
		plan->has_size = false;
	}
	if (plan->count > plan->root_count)
		plan_judge(judge, plan, item_of(cluster));
}

/** Both of two users that may be there. */
static void check_pairs(struct judge *judge, const struct plan *with, const struct cluster *cluster,
			const struct mentions *mentions, size_t from)
{
	for (size_t i = from; i < mentions->count && i < from + PAIRS_MAX; i++) {
		struct cell *cell = user_cell(judge, &mentions->list[i]);

		for (uint64_t v = cell == NULL ? 0 : newest(cell);
		     cell != NULL && v-- > cell->first;) {
			struct plan both = *with;

			if (refers(judge, word_in(judge, cell, v, &mentions->list[i]),
				   cluster->index) &&
			    plan_add(judge, &both, cell, v) && both.count > with->count)
				plan_judge(judge, &both, item_of(cluster));
		}
	}
}

/** Users of the cluster that the newest state does not have: they may share it with others, or it
 * may lie behind the end of the file. */
static void check_users(struct judge *judge, const struct plan *base, const struct cluster *cluster,
			const struct mentions *mentions)
{
	uint64_t host_offset = cluster->index << bits_of(judge);
	uint64_t references = cluster_references(cluster);
	bool may_end = judge->window.size_min <= host_offset;
	struct plan plan = *base;

	if (references > 0 && may_end)
		judge_user(judge, &plan, cluster);
	for (size_t i = 0; i < mentions->count; i++) {
		struct cell *cell = user_cell(judge, &mentions->list[i]);
		uint64_t now =
			cell == NULL ? 0 : word_in(judge, cell, newest(cell), &mentions->list[i]);
		uint64_t others, seen = now;

		if (cell == NULL)
			continue;
		others = references - count_in(judge, mentions, cell, newest(cell), cluster->index);
		for (uint64_t v = newest(cell); v-- > cell->first;) {
			uint64_t entry = word_in(judge, cell, v, &mentions->list[i]);
			struct plan with = *base;

			if (!mappings_differ(&judge->live.header, entry, now) || entry == seen ||
			    !refers(judge, entry, cluster->index))
				continue;
			seen = entry;
			if (!plan_add(judge, &with, cell, v))
				continue;
			if (may_end || others > 0 ||
			    count_in(judge, mentions, cell, v, cluster->index) > 1)
				judge_user(judge, &with, cluster);
			if (judge->reorder->roots_changed)
				check_pairs(judge, &with, cluster, mentions, i + 1);
		}
	}
}

void reorder_cluster(struct judge *judge, const struct plan *plan, const struct cluster *cluster)
{
	static const struct mentions none = { 0 };
	const struct mentions *mentions = window_mentions(&judge->window, cluster->index);
	uint64_t place = cluster->index << bits_of(judge);
	bool is_dirty = (judge->live.header.incompatible & INCOMPATIBLE_DIRTY) != 0;
	struct count_range refcount;

	if (mentions == NULL)
		mentions = &none;
	if (!is_dirty && !is_external(place)) {
		refcount = refcount_range(judge, cluster);
		if (wants(judge, RULE_REFCOUNT_COVERS, place))
			check_covers(judge, plan, cluster, mentions, &refcount);
		if (wants(judge, RULE_COPIED_EXACT, place))
			check_copied(judge, plan, cluster, mentions, &refcount);
	}
	if (wants(judge, RULE_NO_ALIAS, place) || wants(judge, RULE_NO_ALIAS, place | 1))
		check_users(judge, plan, cluster, mentions);
}

/** Is there anything left to say about the contents of a guest cluster? */
static bool wants_content(const struct judge *judge, uint64_t guest_offset)
{
	uint64_t place = guest_offset >> bits_of(judge) << bits_of(judge);

	return wants(judge, RULE_COW_COMPLETE, place) || wants(judge, RULE_OLD_OR_NEW, place) ||
	       wants(judge, RULE_OLD_OR_NEW, place | PLACE_STRICT_ONLY) ||
	       wants(judge, RULE_FLUSH_DURABLE, place);
}

/** Is it worth making the state to see whether [from, to) of a guest sector may be these bytes? */
static bool looks_bad(struct judge *judge, uint64_t from, uint64_t to, const uint8_t *sector)
{
	const struct view crash = { .is_read = false };
	uint8_t copy[SECTOR_BYTES];

	if (sector == NULL)
		return true;
	memcpy(copy, sector, SECTOR_BYTES);
	return value_check(judge, &crash, from, to, copy) != VALUE_FINE;
}

static struct recheck item_of_guest(uint64_t from, uint64_t to)
{
	return (struct recheck){ .kind = RECHECK_GUEST, .place = from, .bytes = to - from };
}

/** One guest sector, found in host sector `sector_index`, in all its versions; `is_old`: the L2
 * entry that leads there is not the newest, so the newest data counts, too. */
static void check_data(struct judge *judge, const struct plan *plan, uint64_t sector_index,
		       uint64_t from, uint64_t to)
{
	struct cell *cell = reorder_leaf(judge, sector_index);
	bool is_old = plan->count > plan->root_count;
	uint64_t v;

	if (cell == NULL) {
		if (is_old &&
		    looks_bad(judge, from, to, sectors_at(&judge->live.sectors, sector_index)))
			plan_judge(judge, plan, item_of_guest(from, to));
		return;
	}
	for (v = is_old ? cell->count : newest(cell); v-- > cell->first;) {
		struct plan with = *plan;

		if (!looks_bad(judge, from, to, sector_in(judge, cell, v, sector_index)) ||
		    !plan_add(judge, &with, cell, v))
			continue;
		plan_judge(judge, &with, item_of_guest(from, to));
		if (!wants_content(judge, from))
			return;
	}
}

/** A compressed cluster: all versions of the cells that it lies in. */
static void check_compressed(struct judge *judge, const struct plan *plan,
			     const struct mapping *mapping, uint64_t from, uint64_t to)
{
	uint64_t first = mapping->host_offset / SECTOR_BYTES;
	uint64_t last = (mapping->host_offset + mapping->host_bytes - 1) / SECTOR_BYTES;
	uint64_t states = 1;
	struct cell *previous = NULL;

	for (uint64_t s = first; s <= last; s++) {
		struct cell *cell = reorder_leaf(judge, s);

		if (cell != NULL && cell != previous && states <= COMPRESSED_STATES_MAX)
			states *= cell->count - cell->first;
		previous = cell;
	}
	if (states == 1 && plan->count == plan->root_count)
		return;
	if (states > COMPRESSED_STATES_MAX) {
		judge->reorder->undecided++;
		return;
	}
	for (uint64_t state = 0; state < states && wants_content(judge, from); state++) {
		struct plan with = *plan;
		uint64_t rest = state;
		bool fits = true;

		previous = NULL;
		for (uint64_t s = first; s <= last; s++) {
			struct cell *cell = reorder_leaf(judge, s);

			if (cell == NULL || cell == previous)
				continue;
			previous = cell;
			fits = fits && plan_add(judge, &with, cell,
						newest(cell) - rest % (cell->count - cell->first));
			rest /= cell->count - cell->first;
		}
		if (fits && with.count > with.root_count)
			plan_judge(judge, &with, item_of_guest(from, to));
	}
}

/** What the guest may read in [from, to) by L2 entry `entry`. */
static void check_entry(struct judge *judge, const struct plan *plan, uint64_t entry, uint64_t from,
			uint64_t to)
{
	struct mapping mapping = mapping_decode(&judge->live.header, entry);
	uint64_t in_cluster = (UINT64_C(1) << bits_of(judge)) - 1;

	if (mapping.kind == MAPPING_COMPRESSED) {
		check_compressed(judge, plan, &mapping, from, to);
		return;
	}
	while (from < to && wants_content(judge, from)) {
		uint64_t start = from / SECTOR_BYTES * SECTOR_BYTES;
		uint64_t end = start + SECTOR_BYTES < to ? start + SECTOR_BYTES : to;

		if (mapping.kind == MAPPING_NORMAL)
			check_data(judge, plan,
				   (mapping.host_offset + (start & in_cluster)) / SECTOR_BYTES,
				   from, end);
		else if (plan->count > plan->root_count &&
			 looks_bad(judge, from, end,
				   mapping.kind == MAPPING_ZERO
					   ? zero_sector
					   : layers_sector(&judge->layers, 1, start)))
			plan_judge(judge, plan, item_of_guest(from, end));
		from = end;
	}
}

void reorder_guest(struct judge *judge, const struct plan *plan, uint64_t from, uint64_t to,
		   bool every_l2)
{
	uint64_t place;
	uint64_t entry = live_l2_entry(&judge->live, NULL, from >> bits_of(judge), &place);
	struct cell *cell = place == 0 ? NULL : reorder_leaf(judge, place / SECTOR_BYTES);

	if (!wants_content(judge, from))
		return;
	check_entry(judge, plan, entry, from, to);
	if (cell == NULL || !every_l2)
		return;
	for (uint64_t v = newest(cell); v-- > cell->first;) {
		struct plan with = *plan;
		uint64_t old = be64_load(sector_in(judge, cell, v, place / SECTOR_BYTES) +
					 place % SECTOR_BYTES);
		uint64_t later = v + 1;

		while (later < cell->count &&
		       be64_load(sector_in(judge, cell, later, place / SECTOR_BYTES) +
				 place % SECTOR_BYTES) != old)
			later++;
		if (later < cell->count || !plan_add(judge, &with, cell, v))
			continue;
		check_entry(judge, &with, old, from, to);
	}
}

/** The guest cluster that slot `slot` of a sector of an L2 table maps, by every L1 entry. */
static void check_slot(struct judge *judge, const struct plan *plan, const struct mention *mention,
		       uint64_t in_cluster, uint64_t bytes)
{
	const struct table_use *table = table_of(judge, mention->sector);
	uint64_t sectors = UINT64_C(1) << (bits_of(judge) - SECTOR_BITS);
	uint64_t index = mention->sector / sectors;
	uint64_t slot = mention->sector % sectors * SECTOR_ENTRIES + mention->slot;
	uint64_t first = table->base != 0 ? table->base - 1 : 0;
	uint64_t end = table->base != 0 ? table->base : judge->live.header.l1_entries;

	if (table->l2_active == 0)
		return;
	for (uint64_t i = first; i < end && i < first + L1_SEARCH_MAX; i++) {
		uint64_t guest =
			(((i << judge->live.header.l2_bits) + slot) << bits_of(judge)) + in_cluster;
		uint64_t end_of_disk = judge->live.header.size_bytes;

		if ((live_l1_entry(&judge->live, i) & ENTRY_OFFSET) >> bits_of(judge) == index &&
		    guest < end_of_disk)
			reorder_guest(judge, plan, guest,
				      guest + bytes < end_of_disk ? guest + bytes : end_of_disk,
				      true);
	}
}

void reorder_users(struct judge *judge, const struct plan *plan, const struct cell *cell)
{
	uint64_t start = cell->index * judge->window.grain * SECTOR_BYTES;
	uint64_t bytes = (uint64_t)judge->window.grain * SECTOR_BYTES;
	uint64_t cluster_bytes = UINT64_C(1) << bits_of(judge);

	/* A cell of 4096 bytes may hold several clusters. */
	for (uint64_t at = start; at < start + bytes;) {
		uint64_t index = at >> bits_of(judge);
		uint64_t end = (index + 1) << bits_of(judge);
		const struct mentions *mentions = window_mentions(&judge->window, index);

		if (end > start + bytes)
			end = start + bytes;
		for (size_t i = 0; mentions != NULL && i < mentions->count; i++) {
			const struct mention *mention = &mentions->list[i];
			const struct cell *user = user_cell(judge, mention);
			bool is_old = false, is_packed = false;

			for (uint64_t v = user == NULL ? 0 : newest(user);
			     user != NULL && v-- > user->first;) {
				uint64_t entry = word_in(judge, user, v, mention);

				is_old |= refers(judge, entry, index);
				is_packed |= (entry & ENTRY_COMPRESSED) != 0;
			}
			if (is_old)
				check_slot(judge, plan, mention,
					   is_packed ? 0 : at & (cluster_bytes - 1),
					   is_packed ? cluster_bytes : end - at);
		}
		at = end;
	}
}

void reorder_header(struct judge *judge, const struct plan *plan)
{
	const struct image_header *header = &judge->live.header;
	uint64_t l1_end = header->l1_offset + 8 * header->l1_entries;
	uint64_t reftable_end = header->reftable_offset + 8 * header->reftable_entries;
	uint64_t end = l1_end > reftable_end ? l1_end : reftable_end;
	struct plan with = *plan;
	struct window_size size = { 0 };

	if (judge->window.size_min >= end)
		return;
	/* Other tables must be inside: any size may do. */
	while (window_next_size(&judge->window, &size)) {
		if (size.bytes >= end)
			continue;
		with.has_size = true;
		with.size_bytes = size.bytes;
		plan_judge(judge, &with, (struct recheck){ .kind = RECHECK_HEADER });
	}
}
