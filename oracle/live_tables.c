// SPDX-License-Identifier: MIT
/* From a changed sector to changed counts.
 *
 *     active L1 --+--> L2 table --weight--> data clusters      cluster.data, .packed
 *     snapshot L1-+       |  base                              cluster.active, .user_sum, .copied
 *     refcount table --> refcount block --> every cluster      cluster.refcount
 *
 * A sector of a table that is in use is compared with what stood there before, entry by entry; a
 * different entry takes away what the old one counted and adds what the new one counts. An L2
 * table counts `weight` times (once for every L1 entry that points to it). When that number
 * changes, the table is only queued: live_settle_tables() walks it once, however many L1 entries
 * changed, so that a hostile L1 table full of one address costs what it is long, not a product.
 *
 * The other direction, from a data cluster to its guest cluster, needs no list: `active` counts the
 * users and `user_sum` adds up their numbers, so with one user the sum is the number. With more
 * than one the image is damaged already, and whoever needs the users looks through the tables.
 *
 * The order of roles in one sector matters for images in which a table is its own child: entries
 * are diffed first for the tables that live below (blocks, L2), then for those above (refcount
 * table, L1), because the latter read the former as they are now. */
#include "oracle/live_tables.h"

#include "oracle/heap.h"

static uint64_t cluster_bytes(const struct live *live)
{
	return UINT64_C(1) << live->header.cluster_bits;
}

static uint64_t cluster_sectors(const struct live *live)
{
	return cluster_bytes(live) / SECTOR_BYTES;
}

static uint64_t cluster_of(const struct live *live, uint64_t host_offset)
{
	return host_offset >> live->header.cluster_bits;
}

static void add(struct live *live, uint64_t *counter, uint64_t delta)
{
	journal_set(live->journal, counter, *counter + delta);
}

/** How an L2 entry is counted: `weight` times; as an active entry of `base` - 1 when not 0. */
struct entry_use {
	uint64_t weight;
	uint64_t base;
	uint64_t slot; /* its index in the table */
};

static void count_packed(struct live *live, const struct mapping *mapping, uint64_t weight)
{
	uint64_t last = cluster_of(live, mapping->host_offset + mapping->host_bytes - 1);

	for (uint64_t at = cluster_of(live, mapping->host_offset); at <= last; at++) {
		struct cluster *cluster = live_cluster_get(live, at);

		add(live, &cluster->packed, weight);
		live_touch(live, cluster);
	}
}

/** Add (`sign` 1) or take away (UINT64_MAX) one active reference. */
static void count_active(struct live *live, struct cluster *cluster, uint64_t entry,
			 const struct entry_use *use, uint64_t sign)
{
	uint64_t user = ((use->base - 1) << live->header.l2_bits) + use->slot;

	add(live, &cluster->active, sign);
	add(live, &cluster->user_sum, sign * user);
	if ((entry & ENTRY_COPIED) != 0)
		add(live, &cluster->copied, sign);
}

/** Change how one L2 entry is counted from `from` to `to` (same slot). */
static void recount_entry(struct live *live, uint64_t entry, const struct entry_use *from,
			  const struct entry_use *to)
{
	struct mapping mapping = mapping_decode(&live->header, entry);
	struct cluster *cluster;

	if (mapping.kind == MAPPING_COMPRESSED) {
		count_packed(live, &mapping, to->weight - from->weight);
		return;
	}
	if (mapping.host_offset == 0)
		return;
	cluster = live_cluster_get(live, cluster_of(live, mapping.host_offset));
	add(live, &cluster->data, to->weight - from->weight);
	if (from->base != to->base) {
		if (from->base != 0)
			count_active(live, cluster, entry, from, UINT64_MAX);
		if (to->base != 0)
			count_active(live, cluster, entry, to, 1);
	}
	live_touch(live, cluster);
}

/** Queue the guest clusters that entry `slot` of an L2 table maps. More than one L1 entry may point
 * to the table in a damaged image: then they are searched, as far as L1_SEARCH_MAX. */
static void queue_slot(struct live *live, const struct cluster *cluster, uint64_t slot)
{
	enum { L1_SEARCH_MAX = 1 << 16 };
	const struct table_use *table = cluster->table;
	uint64_t bits = live->header.cluster_bits;

	if (table->base != 0) {
		live_queue_guest(live, (((table->base - 1) << live->header.l2_bits) + slot) << bits,
				 cluster_bytes(live));
		return;
	}
	for (uint64_t i = 0; table->l2_active > 1 && i < live->header.l1_entries; i++) {
		if (i == L1_SEARCH_MAX)
			return;
		if ((live_l1_entry(live, i) & ENTRY_OFFSET) >> bits == cluster->index)
			live_queue_guest(live, ((i << live->header.l2_bits) + slot) << bits,
					 cluster_bytes(live));
	}
}

void live_l2_sector_changed(struct live *live, struct cluster *cluster, uint64_t sector_index,
			    const uint8_t *old, const uint8_t *now)
{
	const struct table_use *table = cluster->table;
	uint64_t first = sector_index % cluster_sectors(live) * SECTOR_ENTRIES;

	for (uint64_t i = 0; i < SECTOR_ENTRIES; i++) {
		struct entry_use use = { table->weight, table->base, first + i };
		struct entry_use none = { 0, 0, first + i };
		uint64_t was;
		uint64_t is;

		if (word_load(old + 8 * i) == word_load(now + 8 * i))
			continue;
		was = be64_load(old + 8 * i);
		is = be64_load(now + 8 * i);
		recount_entry(live, was, &use, &none);
		recount_entry(live, is, &none, &use);
		if (l2_entry_is_malformed(&live->header, is))
			live_queue_entry(live, sector_index * SECTOR_BYTES + 8 * i, ENTRY_L2);
		if (mappings_differ(&live->header, was, is))
			queue_slot(live, cluster, first + i);
	}
}

static void recount_table(struct live *live, const struct cluster *cluster, uint64_t weight,
			  uint64_t base)
{
	const struct table_use *table = cluster->table;
	uint64_t first_sector = cluster->index * cluster_sectors(live);

	for (uint64_t s = 0; s < cluster_sectors(live); s++) {
		const uint8_t *sector = sectors_at(&live->sectors, first_sector + s);

		for (uint64_t i = 0; sector != zero_sector && i < SECTOR_ENTRIES; i++) {
			uint64_t slot = s * SECTOR_ENTRIES + i;
			struct entry_use from = { table->weight, table->base, slot };
			struct entry_use to = { weight, base, slot };
			uint64_t entry = be64_load(sector + 8 * i);

			if (entry == 0)
				continue;
			recount_entry(live, entry, &from, &to);
			if (weight > 0 && l2_entry_is_malformed(&live->header, entry))
				live_queue_entry(live, (first_sector + s) * SECTOR_BYTES + 8 * i,
						 ENTRY_L2);
		}
	}
}

void live_settle_tables(struct live *live)
{
	struct live_work *work = &live->work;

	for (size_t i = 0; i < work->table_count; i++) {
		struct cluster *cluster = work->tables[i];
		struct table_use *table = cluster->table;
		uint64_t weight = table->l2_active + table->l2_other;
		uint64_t base = table->l2_active == 1 ? table->l2_sum + 1 : 0;

		table->queued = 0;
		if (weight == table->weight && base == table->base)
			continue;
		recount_table(live, cluster, weight, base);
		journal_set(live->journal, &table->weight, weight);
		journal_set(live->journal, &table->base, base);
	}
	work->table_count = 0;
}

/** Queue guest clusters that two L2 tables (host offsets, 0: none) map differently. */
static void queue_differences(struct live *live, uint64_t l1_index, uint64_t table_a,
			      uint64_t table_b)
{
	uint64_t guest_cluster = l1_index << live->header.l2_bits;

	for (uint64_t s = 0; s < cluster_sectors(live); s++, guest_cluster += SECTOR_ENTRIES) {
		const uint8_t *a = table_a == 0
					   ? zero_sector
					   : sectors_at(&live->sectors, table_a / SECTOR_BYTES + s);
		const uint8_t *b = table_b == 0
					   ? zero_sector
					   : sectors_at(&live->sectors, table_b / SECTOR_BYTES + s);

		for (uint64_t i = 0; a != b && i < SECTOR_ENTRIES; i++)
			if (mappings_differ(&live->header, be64_load(a + 8 * i),
					    be64_load(b + 8 * i)))
				live_queue_guest(live,
						 (guest_cluster + i) << live->header.cluster_bits,
						 cluster_bytes(live));
	}
}

static uint64_t aligned(const struct live *live, uint64_t entry)
{
	return (entry & ENTRY_OFFSET) >> live->header.cluster_bits << live->header.cluster_bits;
}

void live_settle_l1_changes(struct live *live)
{
	for (size_t i = 0; i < live->work.l1_count; i++) {
		const struct l1_change *change = &live->work.l1_changes[i];
		uint64_t now = live_l1_entry(live, change->index);

		queue_differences(live, change->index, aligned(live, change->old),
				  aligned(live, now));
	}
}

/** The L2 table that an L1 entry points to, queued; NULL for none. */
static struct cluster *l2_table(struct live *live, uint64_t l1_entry)
{
	struct live_work *work = &live->work;
	uint64_t host_offset = aligned(live, l1_entry);
	struct cluster *cluster;
	struct table_use *table;

	if (host_offset == 0)
		return NULL;
	cluster = live_cluster_get(live, cluster_of(live, host_offset));
	table = live_table_get(live, cluster);
	live_touch(live, cluster);
	if (table->queued == live->stamp)
		return cluster;
	table->queued = live->stamp;
	work->tables = heap_grow(work->tables, &work->table_capacity, work->table_count + 1,
				 sizeof(struct cluster *));
	work->tables[work->table_count++] = cluster;
	return cluster;
}

static void count_l2(struct live *live, struct cluster *cluster, uint64_t index, uint64_t entry,
		     uint64_t sign)
{
	struct table_use *table = cluster->table;
	uint64_t before = table->l2_active;

	add(live, &table->l2_active, sign);
	add(live, &table->l2_sum, sign * index);
	if ((entry & ENTRY_COPIED) != 0)
		add(live, &cluster->copied, sign);
	if (before == 1 && table->l2_active == 2)
		add(live, &live->doubled, 1);
	if (before == 2 && table->l2_active == 1)
		add(live, &live->doubled, UINT64_MAX);
}

static void active_l1_changed(struct live *live, uint64_t index, uint64_t was, uint64_t is)
{
	struct live_work *work = &live->work;
	struct cluster *cluster = l2_table(live, was);

	if (cluster != NULL)
		count_l2(live, cluster, index, was, UINT64_MAX);
	cluster = l2_table(live, is);
	if (cluster != NULL)
		count_l2(live, cluster, index, is, 1);
	if (l1_entry_is_malformed(&live->header, is))
		live_queue_entry(live, live->header.l1_offset + 8 * index, ENTRY_L1);
	if (aligned(live, was) == aligned(live, is))
		return;
	work->l1_changes = heap_grow(work->l1_changes, &work->l1_capacity, work->l1_count + 1,
				     sizeof(*work->l1_changes));
	work->l1_changes[work->l1_count++] = (struct l1_change){ index, was };
}

static void snapshot_l1_changed(struct live *live, uint64_t was, uint64_t is)
{
	struct cluster *cluster = l2_table(live, was);

	if (cluster != NULL)
		add(live, &cluster->table->l2_other, UINT64_MAX);
	cluster = l2_table(live, is);
	if (cluster != NULL)
		add(live, &cluster->table->l2_other, 1);
}

/** Index of the first entry of a table that a sector holds; false: the sector lies elsewhere. */
static bool first_entry(uint64_t *first, const struct table_place *table, uint64_t sector_index)
{
	uint64_t host_offset = sector_index * SECTOR_BYTES;

	if (host_offset < table->host_offset ||
	    host_offset >= table->host_offset + 8 * table->entries)
		return false;
	*first = (host_offset - table->host_offset) / 8;
	return true;
}

void live_l1_sector_changed(struct live *live, uint64_t sector_index, const uint8_t *old,
			    const uint8_t *now)
{
	struct table_place active = { live->header.l1_offset, live->header.l1_entries };
	const struct snapshot_list *list = live_snapshots(live);
	uint64_t first;

	if (first_entry(&first, &active, sector_index))
		for (uint64_t i = 0; i < SECTOR_ENTRIES && first + i < active.entries; i++)
			if (word_load(old + 8 * i) != word_load(now + 8 * i))
				active_l1_changed(live, first + i, be64_load(old + 8 * i),
						  be64_load(now + 8 * i));
	for (size_t s = 0; list != NULL && s < list->count; s++) {
		struct table_place table = { list->snapshots[s].l1_offset,
					     list->snapshots[s].l1_entries };

		if (!first_entry(&first, &table, sector_index))
			continue;
		for (uint64_t i = 0; i < SECTOR_ENTRIES && first + i < table.entries; i++)
			if (word_load(old + 8 * i) != word_load(now + 8 * i))
				snapshot_l1_changed(live, be64_load(old + 8 * i),
						    be64_load(now + 8 * i));
	}
}

/** The sector with entry `sector` * 64 of a table, zeros behind its end. */
static const uint8_t *table_sector(struct live *live, const struct table_place *table,
				   uint64_t sector)
{
	if (sector * SECTOR_ENTRIES >= table->entries)
		return zero_sector;
	return sectors_at(&live->sectors, table->host_offset / SECTOR_BYTES + sector);
}

static uint64_t table_entry(const uint8_t *sector, const struct table_place *table, uint64_t index)
{
	return index < table->entries ? be64_load(sector + index % SECTOR_ENTRIES * 8) : 0;
}

void live_move_l1(struct live *live, struct table_place from, struct table_place to)
{
	uint64_t entries = from.entries > to.entries ? from.entries : to.entries;

	live_count_role(live, ROLE_L1, from.host_offset, 8 * from.entries, UINT64_MAX);
	live_count_role(live, ROLE_L1, to.host_offset, 8 * to.entries, 1);
	for (uint64_t s = 0; s * SECTOR_ENTRIES < entries; s++) {
		const uint8_t *old = table_sector(live, &from, s);
		const uint8_t *now = table_sector(live, &to, s);

		if (old == zero_sector && now == zero_sector)
			continue;
		for (uint64_t i = s * SECTOR_ENTRIES; i < (s + 1) * SECTOR_ENTRIES; i++) {
			uint64_t was = table_entry(old, &from, i);
			uint64_t is = table_entry(now, &to, i);

			if (was != is)
				active_l1_changed(live, i, was, is);
		}
	}
}

void live_link_snapshot(struct live *live, const struct image_snapshot *snapshot, bool link)
{
	struct table_place table = { snapshot->l1_offset, snapshot->l1_entries };

	live_count_role(live, ROLE_L1, table.host_offset, 8 * table.entries, link ? 1 : UINT64_MAX);
	for (uint64_t s = 0; s * SECTOR_ENTRIES < table.entries; s++) {
		const uint8_t *sector = table_sector(live, &table, s);

		if (sector == zero_sector)
			continue;
		for (uint64_t i = s * SECTOR_ENTRIES; i < (s + 1) * SECTOR_ENTRIES; i++) {
			uint64_t entry = table_entry(sector, &table, i);

			if (entry != 0)
				snapshot_l1_changed(live, link ? 0 : entry, link ? entry : 0);
		}
	}
}

static uint64_t *role_counter(struct table_use *table, enum table_role role)
{
	switch (role) {
	case ROLE_HEADER: return &table->header;
	case ROLE_SNAPSHOT_TABLE: return &table->snapshot_table;
	case ROLE_L1: return &table->l1;
	case ROLE_REFTABLE: return &table->reftable;
	}
	return NULL;
}

void live_count_role(struct live *live, enum table_role role, uint64_t host_offset, uint64_t bytes,
		     uint64_t delta)
{
	if (bytes == 0)
		return;
	for (uint64_t at = cluster_of(live, host_offset);
	     at <= cluster_of(live, host_offset + bytes - 1); at++) {
		struct cluster *cluster = live_cluster_get(live, at);

		add(live, role_counter(live_table_get(live, cluster), role), delta);
		live_touch(live, cluster);
	}
}
