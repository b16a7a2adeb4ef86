// SPDX-License-Identifier: MIT
/* The judge never looks at a whole image. It keeps, for each host cluster that matters, how many
 * references of each kind there are and what its refcount is, and changes these numbers with every
 * sector that an operation brings to the file:
 *
 *     live_begin; live_set_sector, live_set_size ...; live_settle     one transition
 *
 * A sector of a data cluster costs one lookup; a table sector a comparison of 64 entries; only when
 * a whole table moves (an L1 entry, the header) is what hangs below it walked. What a transition
 * touched is in `work`, and only that is judged afterwards.
 *
 * Everything that follows from the bytes so far is a journaled word, so that stepping back over a
 * transition is putting words back. The work list and the stamps are not: they mean nothing between
 * transitions.
 *
 * An image whose header does not parse has no tables: everything is taken off the books until a
 * later state makes it readable again, and then everything is judged anew. */
#include "oracle/live.h"

#include "oracle/heap.h"
#include "oracle/live_tables.h"

#include <stdlib.h>

enum {
	HEADER_SECTORS_MAX = (1 << 21) / SECTOR_BYTES,
	DIRTY_WORD = 72, /* byte of the header in which the incompatible features begin */
	SEARCH_SECTORS_MAX = 1 << 16,
};

struct cluster *live_cluster_get(struct live *live, uint64_t index)
{
	struct cluster *cluster = live_cluster(live, index);

	if (cluster != NULL)
		return cluster;
	cluster = bump_alloc(&live->node_memory, sizeof(*cluster));
	*cluster = (struct cluster){ .index = index };
	sparse_add(&live->clusters, index, cluster);
	return cluster;
}

struct table_use *live_table_get(struct live *live, struct cluster *cluster)
{
	if (cluster->table != NULL)
		return cluster->table;
	cluster->table = bump_alloc(&live->node_memory, sizeof(*cluster->table));
	*cluster->table = (struct table_use){ 0 };
	return cluster->table;
}

uint64_t cluster_references(const struct cluster *cluster)
{
	const struct table_use *table = cluster->table;
	uint64_t count = cluster->data + cluster->packed;

	if (table != NULL)
		count += table->header + table->snapshot_table + table->l1 + table->reftable +
			 table->block + table->l2_active + table->l2_other;
	return count;
}

void live_touch(struct live *live, struct cluster *cluster)
{
	struct live_work *work = &live->work;

	if (cluster->touched == live->stamp)
		return;
	cluster->touched = live->stamp;
	work->clusters = heap_grow(work->clusters, &work->cluster_capacity, work->cluster_count + 1,
				   sizeof(struct cluster *));
	work->clusters[work->cluster_count++] = cluster;
}

void live_queue_guest(struct live *live, uint64_t guest_offset, uint64_t bytes)
{
	struct live_work *work = &live->work;

	if (work->guest_count > 0) {
		struct guest_range *last = &work->guests[work->guest_count - 1];

		if (last->guest_offset + last->bytes == guest_offset) {
			last->bytes += bytes;
			return;
		}
	}
	work->guests = heap_grow(work->guests, &work->guest_capacity, work->guest_count + 1,
				 sizeof(*work->guests));
	work->guests[work->guest_count++] = (struct guest_range){ guest_offset, bytes };
}

void live_queue_entry(struct live *live, uint64_t host_offset, enum entry_kind kind)
{
	struct live_work *work = &live->work;

	work->entries = heap_grow(work->entries, &work->entry_capacity, work->entry_count + 1,
				  sizeof(*work->entries));
	work->entries[work->entry_count++] = (struct entry_place){ host_offset, kind };
}

void live_queue_frozen(struct live *live, uint64_t sector_index)
{
	struct live_work *work = &live->work;

	work->frozen = heap_grow(work->frozen, &work->frozen_capacity, work->frozen_count + 1,
				 sizeof(*work->frozen));
	work->frozen[work->frozen_count++] = sector_index;
}

void live_begin(struct live *live)
{
	struct live_work *work = &live->work;

	live->stamp++;
	work->cluster_count = 0;
	work->guest_count = 0;
	work->entry_count = 0;
	work->frozen_count = 0;
	work->header = false;
	work->whole_guest = false;
}

static bool tables_differ(const uint8_t *old, const uint8_t *now)
{
	for (size_t i = 0; i < SECTOR_ENTRIES; i++)
		if (((be64_load(old + 8 * i) ^ be64_load(now + 8 * i)) & ~ENTRY_COPIED) != 0)
			return true;
	return false;
}

static void check_frozen(struct live *live, const struct cluster *cluster, uint64_t sector_index,
			 const uint8_t *old, const uint8_t *now)
{
	const struct table_use *table = cluster->table;
	bool is_table = table != NULL && (table->l1 > 0 || table->weight > 0);

	if (is_table ? tables_differ(old, now) : memcmp(old, now, SECTOR_BYTES) != 0)
		live_queue_frozen(live, sector_index);
}

/** The common change of a header: nothing but the dirty bit. */
static bool only_dirty_changed(struct live *live, const uint8_t *old, const uint8_t *now)
{
	uint64_t bits = be64_load(now + DIRTY_WORD);

	if (live->header.version < 3 || memcmp(old, now, DIRTY_WORD) != 0 ||
	    memcmp(old + DIRTY_WORD + 8, now + DIRTY_WORD + 8, SECTOR_BYTES - DIRTY_WORD - 8) !=
		    0 ||
	    ((bits ^ live->header.incompatible) & ~INCOMPATIBLE_DIRTY) != 0)
		return false;
	journal_set(live->journal, &live->header.incompatible, bits);
	live->work.header = true;
	return true;
}

static void table_sector_changed(struct live *live, struct cluster *cluster, uint64_t sector_index,
				 const uint8_t *old, const uint8_t *now)
{
	const struct table_use *table = cluster->table;

	if (table->block > 0)
		live_block_sector_changed(live, cluster, sector_index, old, now);
	if (table->weight > 0)
		live_l2_sector_changed(live, cluster, sector_index, old, now);
	if (table->reftable > 0)
		live_reftable_sector_changed(live, sector_index, old, now);
	if (table->l1 > 0)
		live_l1_sector_changed(live, sector_index, old, now);
	if (table->snapshot_table > 0)
		live->snapshots_stale = true;
	if (table->header > 0 &&
	    (live->header_stale || sector_index > 0 || !only_dirty_changed(live, old, now)))
		live->header_stale = true;
}

void live_set_sector(struct live *live, uint64_t sector_index, sector_ref ref)
{
	const uint8_t *old = sectors_at(&live->sectors, sector_index);
	const uint8_t *now = sectors_bytes(&live->sectors, ref);
	struct cluster *cluster;

	sectors_set(&live->sectors, sector_index, ref);
	if (!live->header.readable) {
		live->header_stale |= sector_index < HEADER_SECTORS_MAX;
		return;
	}
	cluster = live_cluster(live, sector_index >> (live->header.cluster_bits - SECTOR_BITS));
	if (cluster == NULL)
		return;
	if ((cluster->frozen & live->alive) != 0)
		check_frozen(live, cluster, sector_index, old, now);
	if (cluster->table != NULL)
		table_sector_changed(live, cluster, sector_index, old, now);
	if (cluster->data + cluster->packed > 0)
		live_queue_users(live, cluster, sector_index);
}

void live_set_size(struct live *live, uint64_t file_bytes)
{
	uint64_t old = live->sectors.file_bytes;
	size_t count = 0;
	struct cluster **clusters;

	journal_set(live->journal, &live->sectors.file_bytes, file_bytes);
	if (file_bytes >= old || !live->header.readable)
		return;
	live->work.header = true;
	clusters = live_clusters_with(live, 0, &count);
	for (size_t i = 0; i < count; i++)
		if (clusters[i]->index >= file_bytes >> live->header.cluster_bits)
			live_touch(live, clusters[i]);
	free(clusters);
}

/** Queue guest cluster `guest_cluster` if its entry uses `cluster`. */
static void queue_if_user(struct live *live, const struct cluster *cluster, uint64_t guest_cluster,
			  uint64_t entry)
{
	uint64_t bits = live->header.cluster_bits;
	struct mapping mapping = mapping_decode(&live->header, entry);
	uint64_t bytes = mapping.kind == MAPPING_COMPRESSED ? mapping.host_bytes : 1;

	if (mapping.kind != MAPPING_BACKING && mapping.host_offset >> bits <= cluster->index &&
	    cluster->index <= (mapping.host_offset + bytes - 1) >> bits)
		live_queue_guest(live, guest_cluster << bits, UINT64_C(1) << bits);
}

/** Queue the active guest clusters that use `cluster`, found by looking at every entry (of
 * SEARCH_SECTORS_MAX sectors at most: a hostile L1 table may repeat one L2 table a million times).
 */
static void queue_users_by_search(struct live *live, const struct cluster *cluster)
{
	uint64_t bits = live->header.cluster_bits;
	uint64_t table_sectors = UINT64_C(1) << (bits - SECTOR_BITS);
	uint64_t budget = SEARCH_SECTORS_MAX;

	for (uint64_t l1 = 0; l1 < live->header.l1_entries; l1++) {
		uint64_t table = (live_l1_entry(live, l1) & ENTRY_OFFSET) >> bits << bits;

		for (uint64_t s = 0; table != 0 && s < table_sectors; s++) {
			const uint8_t *sector =
				sectors_at(&live->sectors, table / SECTOR_BYTES + s);
			uint64_t first = (l1 << live->header.l2_bits) + s * SECTOR_ENTRIES;

			if (budget-- == 0)
				return;
			for (size_t i = 0; sector != zero_sector && i < SECTOR_ENTRIES; i++)
				queue_if_user(live, cluster, first + i, be64_load(sector + 8 * i));
		}
	}
}

void live_queue_users(struct live *live, struct cluster *cluster, uint64_t sector_index)
{
	uint64_t bits = live->header.cluster_bits;
	uint64_t in_cluster = sector_index * SECTOR_BYTES & ((UINT64_C(1) << bits) - 1);

	if (cluster->packed == 0 && live->doubled == 0 && cluster->active <= 1) {
		if (cluster->active == 1)
			live_queue_guest(live, (cluster->user_sum << bits) + in_cluster,
					 SECTOR_BYTES);
		return;
	}
	queue_users_by_search(live, cluster);
}

uint64_t live_l1_entry(struct live *live, uint64_t l1_index)
{
	if (l1_index >= live->header.l1_entries)
		return 0;
	return sectors_be64(&live->sectors, live->header.l1_offset + 8 * l1_index);
}

uint64_t live_l2_entry(struct live *live, const struct image_snapshot *l1, uint64_t guest_cluster,
		       uint64_t *entry_offset)
{
	const struct image_snapshot active = { live->header.l1_offset, live->header.l1_entries };
	uint64_t bits = live->header.cluster_bits;
	uint64_t l2_mask = (UINT64_C(1) << live->header.l2_bits) - 1;
	uint64_t l1_index = guest_cluster >> live->header.l2_bits;
	uint64_t place = 0;

	if (l1 == NULL)
		l1 = &active;
	if (l1_index < l1->l1_entries)
		place = (sectors_be64(&live->sectors, l1->l1_offset + 8 * l1_index) &
			 ENTRY_OFFSET) >>
			bits << bits;
	if (place != 0)
		place += 8 * (guest_cluster & l2_mask);
	if (entry_offset != NULL)
		*entry_offset = place;
	return place == 0 ? 0 : sectors_be64(&live->sectors, place);
}

const struct snapshot_list *live_snapshots(const struct live *live)
{
	return live->list_count == 0 ? NULL : &live->lists[live->list_count - 1];
}

bool live_find_snapshot(struct live *live, struct image_snapshot *snapshot, const uint8_t *name,
			size_t name_bytes)
{
	struct image_source source = sectors_source(&live->sectors);

	return image_snapshot_find(snapshot, &live->header, &source, name, name_bytes);
}

static void push_snapshots(struct live *live, const struct image_header *header)
{
	struct image_source source = sectors_source(&live->sectors);
	struct snapshot_list *list;
	size_t made = live->list_capacity;

	live->lists = heap_grow(live->lists, &live->list_capacity, live->list_count + 1,
				sizeof(*live->lists));
	for (; made < live->list_capacity; made++)
		live->lists[made] = (struct snapshot_list){ 0 };
	list = &live->lists[live->list_count];
	journal_set(live->journal, &live->list_count, live->list_count + 1);
	list->snapshots = heap_grow(list->snapshots, &list->capacity,
				    (size_t)header->snapshot_count + 1, sizeof(*list->snapshots));
	list->table_offset = header->snapshots_offset;
	list->count = image_snapshots_parse(list->snapshots, &list->table_bytes, header, &source);
}

static bool same_snapshot(const struct image_snapshot *a, const struct image_snapshot *b)
{
	return a->l1_offset == b->l1_offset && a->l1_entries == b->l1_entries;
}

/** Which of the snapshots that may not change stand in the list? */
static uint64_t listed_in(const struct live *live, const struct snapshot_list *list)
{
	uint64_t listed = 0;

	for (size_t k = 0; k < live->frozen_count; k++)
		for (size_t i = 0; i < list->count; i++)
			if (same_snapshot(&live->frozen[k], &list->snapshots[i]))
				listed |= UINT64_C(1) << k;
	return listed;
}

/* Dead stays dead: the L1 table of a deleted snapshot may be where that of a new one is made. */
static void find_alive(struct live *live, const struct snapshot_list *list)
{
	journal_set(live->journal, &live->alive, live->alive & listed_in(live, list));
}

void live_revive_snapshots(struct live *live, uint64_t set)
{
	const struct snapshot_list *list = live_snapshots(live);

	if (set != 0 && list != NULL)
		journal_set(live->journal, &live->alive,
			    live->alive | (set & listed_in(live, list)));
}

/** Replace the snapshots on the books by those that the present header lists. */
static void relist_snapshots(struct live *live)
{
	const struct snapshot_list none = { 0 };
	const struct snapshot_list *now;
	const struct snapshot_list *old;

	live->snapshots_stale = false;
	if (live->header.snapshot_count == 0 && live->list_count == 0)
		return;
	push_snapshots(live, &live->header);
	now = &live->lists[live->list_count - 1];
	old = live->list_count > 1 ? now - 1 : &none;
	live_count_role(live, ROLE_SNAPSHOT_TABLE, old->table_offset, old->table_bytes, UINT64_MAX);
	live_count_role(live, ROLE_SNAPSHOT_TABLE, now->table_offset, now->table_bytes, 1);
	for (size_t i = 0; i < old->count || i < now->count; i++) {
		if (i < old->count && i < now->count &&
		    same_snapshot(&old->snapshots[i], &now->snapshots[i]))
			continue;
		if (i < old->count)
			live_link_snapshot(live, &old->snapshots[i], false);
		if (i < now->count)
			live_link_snapshot(live, &now->snapshots[i], true);
	}
	if (now->count < live->header.snapshot_count && live->header.problem == HEADER_GOOD)
		journal_set(live->journal, &live->header.problem, HEADER_SNAPSHOTS);
	if (now->count == live->header.snapshot_count && now->count > 0 &&
	    live->header.problem == HEADER_SNAPSHOTS)
		journal_set(live->journal, &live->header.problem, HEADER_GOOD);
	find_alive(live, now);
	live->work.header = true;
}

static struct table_place l1_place(const struct image_header *header)
{
	return (struct table_place){ header->l1_offset, header->readable ? header->l1_entries : 0 };
}

static struct table_place reftable_place(const struct image_header *header)
{
	return (struct table_place){ header->reftable_offset,
				     header->readable ? header->reftable_entries : 0 };
}

/** Go from one header to another with the same geometry (or from, or to, none). */
static void move_tables(struct live *live, const struct image_header *old,
			const struct image_header *now)
{
	uint64_t bytes = UINT64_C(1) << live->header.cluster_bits;

	live_count_role(live, ROLE_HEADER, 0, old->readable ? bytes : 0, UINT64_MAX);
	live_count_role(live, ROLE_HEADER, 0, now->readable ? bytes : 0, 1);
	if (old->l1_offset != now->l1_offset || old->l1_entries != now->l1_entries ||
	    old->readable != now->readable)
		live_move_l1(live, l1_place(old), l1_place(now));
	if (old->reftable_offset != now->reftable_offset ||
	    old->reftable_entries != now->reftable_entries || old->readable != now->readable)
		live_move_reftable(live, reftable_place(old), reftable_place(now));
}

/** Take everything off the books. */
static void unlink_all(struct live *live)
{
	struct image_header old = live->header;
	struct image_header none = old;

	none.readable = 0;
	none.l1_entries = 0;
	none.reftable_entries = 0;
	none.snapshot_count = 0;
	move_tables(live, &old, &none);
	journal_copy(live->journal, &live->header.readable, &none.readable, IMAGE_HEADER_WORDS);
	relist_snapshots(live);
	live_settle_tables(live);
	live->work.l1_count = 0;
}

static bool same_geometry(const struct image_header *a, const struct image_header *b)
{
	return a->readable == b->readable && a->version == b->version &&
	       a->cluster_bits == b->cluster_bits && a->refcount_order == b->refcount_order;
}

static void settle_header(struct live *live)
{
	struct image_source source = sectors_source(&live->sectors);
	struct image_header old;
	struct image_header now;

	live->header_stale = false;
	live->work.header = true;
	image_header_parse(&now, &source);
	if (!same_geometry(&live->header, &now)) {
		if (live->header.readable)
			unlink_all(live);
		live->work.whole_guest = true;
	}
	old = live->header;
	journal_copy(live->journal, &live->header.readable, &now.readable, IMAGE_HEADER_WORDS);
	if (!now.readable)
		return;
	move_tables(live, &old, &now);
	if (old.snapshots_offset != now.snapshots_offset ||
	    old.snapshot_count != now.snapshot_count || !old.readable)
		live->snapshots_stale = true;
	if (now.size_bytes > old.size_bytes)
		live_queue_guest(live, old.size_bytes, now.size_bytes - old.size_bytes);
}

void live_settle(struct live *live)
{
	if (live->header_stale)
		settle_header(live);
	if (live->snapshots_stale && live->header.readable)
		relist_snapshots(live);
	if (live->work.table_count > 0)
		live_settle_tables(live);
	if (!live->work.whole_guest)
		live_settle_l1_changes(live);
	live->work.l1_count = 0;
}

void live_init(struct live *live, struct journal *journal, const struct content *initial,
	       const struct content *external, bool hashing)
{
	*live = (struct live){ .journal = journal };
	sectors_init(&live->sectors, journal, initial, external, hashing);
	live_begin(live);
	live->header_stale = true;
	live_settle(live);
	live_freeze_snapshots(live);
}

void live_release(struct live *live)
{
	struct live_work *work = &live->work;

	for (size_t i = 0; i < live->list_capacity; i++)
		free(live->lists[i].snapshots);
	free(live->lists);
	free(work->clusters);
	free(work->guests);
	free(work->entries);
	free(work->frozen);
	free(work->l1_changes);
	free(work->tables);
	sparse_release(&live->clusters);
	bump_release(&live->node_memory);
	sectors_release(&live->sectors);
}

static void freeze(struct live *live, uint64_t host_offset, uint64_t bit)
{
	struct cluster *cluster = live_cluster(live, host_offset >> live->header.cluster_bits);

	if (cluster != NULL)
		journal_set(live->journal, &cluster->frozen, cluster->frozen | bit);
}

static void freeze_table(struct live *live, uint64_t table_offset, uint64_t bit)
{
	uint64_t sectors = UINT64_C(1) << (live->header.cluster_bits - SECTOR_BITS);

	freeze(live, table_offset, bit);
	for (uint64_t s = 0; s < sectors; s++) {
		const uint8_t *sector = sectors_at(&live->sectors, table_offset / SECTOR_BYTES + s);

		for (size_t i = 0; sector != zero_sector && i < SECTOR_ENTRIES; i++) {
			struct mapping mapping =
				mapping_decode(&live->header, be64_load(sector + 8 * i));

			if (mapping.kind == MAPPING_NORMAL)
				freeze(live, mapping.host_offset, bit);
		}
	}
}

static void freeze_snapshot(struct live *live, const struct image_snapshot *snapshot, uint64_t bit)
{
	uint64_t bits = live->header.cluster_bits;

	for (uint64_t i = 0; i < snapshot->l1_entries; i++) {
		uint64_t host_offset = snapshot->l1_offset + 8 * i;
		uint64_t entry = sectors_be64(&live->sectors, host_offset);
		uint64_t table = (entry & ENTRY_OFFSET) >> bits << bits;

		if ((host_offset & ((UINT64_C(1) << bits) - 1)) == 0)
			freeze(live, host_offset, bit);
		if (table != 0)
			freeze_table(live, table, bit);
	}
}

void live_freeze_snapshots(struct live *live)
{
	const struct snapshot_list *list = live_snapshots(live);

	for (size_t i = 0; list != NULL && i < list->count; i++) {
		size_t k = 0;

		while (k < live->frozen_count &&
		       ((live->alive >> k & 1) == 0 ||
			!same_snapshot(&live->frozen[k], &list->snapshots[i])))
			k++;
		if (k < live->frozen_count || k == FROZEN_SNAPSHOTS_MAX)
			continue;
		journal_copy(live->journal, &live->frozen[k].l1_offset,
			     &list->snapshots[i].l1_offset, 2);
		journal_set(live->journal, &live->frozen_count, k + 1);
		journal_set(live->journal, &live->alive, live->alive | UINT64_C(1) << k);
		freeze_snapshot(live, &list->snapshots[i], UINT64_C(1) << k);
	}
	if (list != NULL)
		find_alive(live, list);
}

static int compare_clusters(const void *a, const void *b)
{
	uint64_t left = (*(struct cluster *const *)a)->index;
	uint64_t right = (*(struct cluster *const *)b)->index;

	return (left > right) - (left < right);
}

struct cluster **live_clusters_with(const struct live *live, uint64_t flags, size_t *count)
{
	struct cluster **list = heap_new(live->clusters.count, sizeof(struct cluster *));

	*count = 0;
	for (size_t i = 0; i < live->clusters.capacity; i++) {
		struct cluster *cluster = live->clusters.slots[i].value;

		if (cluster != NULL && (flags == 0 || (cluster->flags & flags) != 0))
			list[(*count)++] = cluster;
	}
	if (*count > 0)
		qsort(list, *count, sizeof(struct cluster *), compare_clusters);
	return list;
}
