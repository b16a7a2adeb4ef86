// SPDX-License-Identifier: MIT
/* Refcount table and blocks: from changed entries to cluster.refcount. */
#include "oracle/live_tables.h"

static void set_refcount(struct live *live, uint64_t index, uint64_t refcount)
{
	struct cluster *cluster = live_cluster(live, index);

	if (cluster == NULL && refcount == 0)
		return;
	if (cluster == NULL)
		cluster = live_cluster_get(live, index);
	if (cluster->refcount == refcount)
		return;
	journal_set(live->journal, &cluster->refcount, refcount);
	live_touch(live, cluster);
}

static uint64_t entry_at(const uint8_t *sector, uint64_t entry, uint64_t order)
{
	switch (order) {
	case 3: return sector[entry];
	case 4: return be16_load(sector + 2 * entry);
	case 5: return be32_load(sector + 4 * entry);
	case 6: return be64_load(sector + 8 * entry);
	default: break;
	}
	uint64_t bits = UINT64_C(1) << order;
	uint64_t bit = entry * bits;

	return (uint64_t)sector[bit / 8] >> bit % 8 & ((UINT64_C(1) << bits) - 1);
}

/** Sector `sector` of the block at index `block` of the table went from `old` to `now`. */
static void block_changed(struct live *live, uint64_t block, uint64_t sector, const uint8_t *old,
			  const uint8_t *now)
{
	uint64_t order = live->header.refcount_order;
	uint64_t first = (block << (live->header.cluster_bits + 3 - order)) +
			 (sector << (SECTOR_BITS + 3 - order));
	uint64_t in_word = UINT64_C(64) >> order;

	if (old == now)
		return;
	for (uint64_t word = 0; word < SECTOR_ENTRIES; word++) {
		if (word_load(old + 8 * word) == word_load(now + 8 * word))
			continue;
		for (uint64_t i = word * in_word; i < (word + 1) * in_word; i++) {
			uint64_t is = entry_at(now, i, order);

			if (entry_at(old, i, order) != is)
				set_refcount(live, first + i, is);
		}
	}
}

static struct table_place reftable_place(const struct live *live)
{
	return (struct table_place){ live->header.reftable_offset, live->header.reftable_entries };
}

static uint64_t block_offset(const struct live *live, uint64_t entry)
{
	return (entry & REFTABLE_OFFSET) >> live->header.cluster_bits << live->header.cluster_bits;
}

void live_block_sector_changed(struct live *live, struct cluster *cluster, uint64_t sector_index,
			       const uint8_t *old, const uint8_t *now)
{
	struct table_place table = reftable_place(live);
	uint64_t sector = sector_index % (UINT64_C(1) << (live->header.cluster_bits - SECTOR_BITS));

	if (cluster->table->block == 1) {
		block_changed(live, cluster->table->block_sum, sector, old, now);
		return;
	}
	for (uint64_t s = 0; s * SECTOR_ENTRIES < table.entries; s++) {
		const uint8_t *entries =
			sectors_at(&live->sectors, table.host_offset / SECTOR_BYTES + s);

		for (uint64_t i = 0; entries != zero_sector && i < SECTOR_ENTRIES; i++)
			if (block_offset(live, be64_load(entries + 8 * i)) >>
				    live->header.cluster_bits ==
			    cluster->index)
				block_changed(live, s * SECTOR_ENTRIES + i, sector, old, now);
	}
}

static void count_block(struct live *live, uint64_t host_offset, uint64_t index, uint64_t sign)
{
	struct cluster *cluster;
	struct table_use *table;

	if (host_offset == 0)
		return;
	cluster = live_cluster_get(live, host_offset >> live->header.cluster_bits);
	table = live_table_get(live, cluster);
	journal_set(live->journal, &table->block, table->block + sign);
	journal_set(live->journal, &table->block_sum, table->block_sum + sign * index);
	live_touch(live, cluster);
}

static void reftable_entry_changed(struct live *live, uint64_t index, uint64_t was, uint64_t is)
{
	uint64_t old_block = block_offset(live, was);
	uint64_t new_block = block_offset(live, is);
	uint64_t sectors = UINT64_C(1) << (live->header.cluster_bits - SECTOR_BITS);

	if (reftable_entry_is_malformed(&live->header, is))
		live_queue_entry(live, live->header.reftable_offset + 8 * index, ENTRY_REFTABLE);
	if (old_block == new_block)
		return;
	count_block(live, old_block, index, UINT64_MAX);
	count_block(live, new_block, index, 1);
	for (uint64_t s = 0; s < sectors; s++) {
		const uint8_t *old = zero_sector;
		const uint8_t *now = zero_sector;

		if (old_block != 0)
			old = sectors_at(&live->sectors, old_block / SECTOR_BYTES + s);
		if (new_block != 0)
			now = sectors_at(&live->sectors, new_block / SECTOR_BYTES + s);
		block_changed(live, index, s, old, now);
	}
}

void live_reftable_sector_changed(struct live *live, uint64_t sector_index, const uint8_t *old,
				  const uint8_t *now)
{
	struct table_place table = reftable_place(live);
	uint64_t host_offset = sector_index * SECTOR_BYTES;
	uint64_t first;

	if (host_offset < table.host_offset || host_offset >= table.host_offset + 8 * table.entries)
		return;
	first = (host_offset - table.host_offset) / 8;
	for (uint64_t i = 0; i < SECTOR_ENTRIES; i++)
		if (word_load(old + 8 * i) != word_load(now + 8 * i))
			reftable_entry_changed(live, first + i, be64_load(old + 8 * i),
					       be64_load(now + 8 * i));
}

void live_move_reftable(struct live *live, struct table_place from, struct table_place to)
{
	uint64_t entries = from.entries > to.entries ? from.entries : to.entries;

	live_count_role(live, ROLE_REFTABLE, from.host_offset, 8 * from.entries, UINT64_MAX);
	live_count_role(live, ROLE_REFTABLE, to.host_offset, 8 * to.entries, 1);
	for (uint64_t s = 0; s * SECTOR_ENTRIES < entries; s++) {
		const uint8_t *old = zero_sector;
		const uint8_t *now = zero_sector;

		if (s * SECTOR_ENTRIES < from.entries)
			old = sectors_at(&live->sectors, from.host_offset / SECTOR_BYTES + s);
		if (s * SECTOR_ENTRIES < to.entries)
			now = sectors_at(&live->sectors, to.host_offset / SECTOR_BYTES + s);
		for (uint64_t i = 0; old != now && i < SECTOR_ENTRIES; i++) {
			uint64_t was = be64_load(old + 8 * i);
			uint64_t is = be64_load(now + 8 * i);

			if (was != is)
				reftable_entry_changed(live, s * SECTOR_ENTRIES + i, was, is);
		}
	}
}

uint64_t live_refcount_in(const struct live *live, const uint8_t *sector, uint64_t entry)
{
	return entry_at(sector, entry, live->header.refcount_order);
}

bool live_refcount_place(struct live *live, uint64_t index, struct refcount_place *place)
{
	struct table_place table = reftable_place(live);
	uint64_t order = live->header.refcount_order;
	uint64_t block = index >> (live->header.cluster_bits + 3 - order);
	uint64_t host_offset = 0;
	uint64_t bit;

	if (block < table.entries)
		host_offset = block_offset(
			live, sectors_be64(&live->sectors, table.host_offset + 8 * block));
	if (host_offset == 0)
		return false;
	bit = (index << order) & ((UINT64_C(8) << live->header.cluster_bits) - 1);
	place->sector_index = host_offset / SECTOR_BYTES + bit / (8 * SECTOR_BYTES);
	place->entry = bit % (8 * SECTOR_BYTES) >> order;
	return true;
}
