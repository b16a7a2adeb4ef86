// SPDX-License-Identifier: MIT
/** What a changed table sector means for the clusters below it. Private to live*.c. */
#ifndef ORACLE_LIVE_TABLES_H
#define ORACLE_LIVE_TABLES_H

#include "oracle/live.h"

/** The node of a cluster, made when there is none; with room for table uses. */
struct cluster *live_cluster_get(struct live *live, uint64_t index);
struct table_use *live_table_get(struct live *live, struct cluster *cluster);

/** One sector of a table went from `old` to `now`; `sector_index` is its place in the file. */
void live_l1_sector_changed(struct live *live, uint64_t sector_index, const uint8_t *old,
			    const uint8_t *now);
void live_l2_sector_changed(struct live *live, struct cluster *cluster, uint64_t sector_index,
			    const uint8_t *old, const uint8_t *now);
void live_block_sector_changed(struct live *live, struct cluster *cluster, uint64_t sector_index,
			       const uint8_t *old, const uint8_t *now);
void live_reftable_sector_changed(struct live *live, uint64_t sector_index, const uint8_t *old,
				  const uint8_t *now);

/** A table as the header (or a snapshot) describes it. */
struct table_place {
	uint64_t host_offset;
	uint64_t entries;
};

/** The active L1 table, the refcount table is somewhere else, or longer. */
void live_move_l1(struct live *live, struct table_place from, struct table_place to);
void live_move_reftable(struct live *live, struct table_place from, struct table_place to);

/** A snapshot's L1 table appeared (`link`) or went away. */
void live_link_snapshot(struct live *live, const struct image_snapshot *snapshot, bool link);

/** Count `table` +1 or -1 (as UINT64_MAX) in a use of every cluster that the range covers. */
enum table_role { ROLE_HEADER, ROLE_SNAPSHOT_TABLE, ROLE_L1, ROLE_REFTABLE };
void live_count_role(struct live *live, enum table_role role, uint64_t host_offset, uint64_t bytes,
		     uint64_t delta);

/** Bring the entries of queued L2 tables into the counts. */
void live_settle_tables(struct live *live);

/** Queue the guest clusters whose mapping changed because an L1 entry did. */
void live_settle_l1_changes(struct live *live);

#endif
