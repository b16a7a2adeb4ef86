// SPDX-License-Identifier: MIT
/** The image in the crash state at hand, understood: which host cluster is what, who refers to it,
 * what its refcount says. Kept up to date sector by sector. */
#ifndef ORACLE_LIVE_H
#define ORACLE_LIVE_H

#include "oracle/image_header.h"
#include "oracle/sectors.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What a host cluster is used for as a table: how many times each. Journaled words, but `queued`.
 */
struct table_use {
	uint64_t header;         /* it is the first cluster */
	uint64_t snapshot_table; /* the snapshot table covers it */
	uint64_t l1;             /* L1 tables (the active one, snapshots') that cover it */
	uint64_t reftable;       /* the refcount table covers it */
	uint64_t block;          /* refcount table entries that point to it */
	uint64_t block_sum;      /* sum of their indices: the index itself when there is one */
	uint64_t l2_active;      /* active L1 entries that point to it */
	uint64_t l2_sum;         /* sum of their indices */
	uint64_t l2_other;       /* snapshots' L1 entries that point to it */
	uint64_t weight;         /* how often its entries are counted in `data` and `packed` */
	uint64_t base;           /* 1 + L1 index for which its entries are counted as active */
	uint64_t queued;         /* stamp of the transition that queued it */
};

/** Verdicts on a cluster that need no guest: bits of cluster.flags. */
enum {
	CLUSTER_UNCOVERED = 1,      /* refcount below references */
	CLUSTER_COPIED = 2,         /* COPIED set somewhere, refcount not one */
	CLUSTER_LEAKED = 4,         /* refcount above references */
	CLUSTER_COPIED_MISSING = 8, /* refcount one, an active reference without COPIED */
};

/** One host cluster that is referred to, counted, or was once. Journaled words, but `touched`. */
struct cluster {
	uint64_t index; /* host offset / cluster size */
	uint64_t refcount;
	uint64_t data;           /* references by L2 entries that are not compressed */
	uint64_t packed;         /* references by compressed L2 entries */
	uint64_t active;         /* of `data`: below the active L1 table */
	uint64_t user_sum;       /* sum of their guest cluster numbers: the number itself for one */
	uint64_t copied;         /* active L1 and L2 entries that point here with COPIED */
	uint64_t frozen;         /* set of snapshots that need its contents unchanged */
	uint64_t flags;          /* CLUSTER_ bits, as last evaluated */
	uint64_t touched;        /* stamp of the transition that touched it */
	struct table_use *table; /* NULL: never a table */
};

/** A part of the virtual disk to be looked at again. */
struct guest_range {
	uint64_t guest_offset;
	uint64_t bytes;
};

enum entry_kind { ENTRY_L1, ENTRY_L2, ENTRY_REFTABLE };

/** A table entry that looks malformed. */
struct entry_place {
	uint64_t host_offset; /* of the entry */
	enum entry_kind kind;
};

struct l1_change {
	uint64_t index;
	uint64_t old; /* entry before the transition */
};

/** What a transition from one crash state to the next touched, to be judged when it is complete. */
struct live_work {
	struct cluster **clusters; /* borrowed */
	size_t cluster_count, cluster_capacity;
	struct guest_range *guests;
	size_t guest_count, guest_capacity;
	struct entry_place *entries;
	size_t entry_count, entry_capacity;
	uint64_t *frozen; /* host sectors that a snapshot needs and that changed */
	size_t frozen_count, frozen_capacity;
	struct l1_change *l1_changes;
	size_t l1_count, l1_capacity;
	struct cluster **tables; /* L2 tables whose use changed; borrowed */
	size_t table_count, table_capacity;
	bool header;      /* judge the header */
	bool whole_guest; /* judge every guest sector */
};

/** Snapshot tables that were seen; the last `generations` one is the present. */
struct snapshot_list {
	struct image_snapshot *snapshots; /* owned */
	size_t capacity;
	size_t count;
	uint64_t table_bytes;
	uint64_t table_offset;
};

enum { FROZEN_SNAPSHOTS_MAX = 63 };

struct live {
	struct journal *journal; /* borrowed */
	struct sectors sectors;
	struct image_header header;  /* journaled */
	struct snapshot_list *lists; /* owned, and each of them */
	size_t list_capacity;        /* of them made */
	uint64_t list_count;         /* journaled; 0: no snapshots were ever seen */
	struct sparse clusters;      /* of struct cluster */
	struct bump node_memory;
	uint64_t leaked;         /* journaled; clusters with CLUSTER_LEAKED */
	uint64_t uncovered;      /* journaled; with CLUSTER_UNCOVERED */
	uint64_t copied_wrong;   /* journaled; with CLUSTER_COPIED */
	uint64_t copied_missing; /* journaled; with CLUSTER_COPIED_MISSING */
	uint64_t doubled;        /* journaled; L2 tables with more than one active reference */
	/* Snapshots whose contents may not change any more; journaled words. */
	struct image_snapshot frozen[FROZEN_SNAPSHOTS_MAX];
	uint64_t frozen_count;
	uint64_t alive; /* journaled; set of those that the snapshot table lists */
	/* Journaled; 1 + index in window.ops of the operation that took it off the table; 0: none,
	 * or not asked for (reorder_note_roots()). */
	uint64_t deaths[FROZEN_SNAPSHOTS_MAX];
	uint64_t stamp; /* number of the transition, from 1; never goes back */
	bool header_stale;
	bool snapshots_stale;
	struct live_work work;
};

/** Begin with `initial` and its external data file, if it has one (both borrowed), and understand
 * it; everything is left in the work list. */
void live_init(struct live *live, struct journal *journal, const struct content *initial,
	       const struct content *external, bool hashing);
void live_release(struct live *live);

/** Begin a transition: forget the work list. */
void live_begin(struct live *live);

/** Let a sector of the file be `ref`. */
void live_set_sector(struct live *live, uint64_t sector_index, sector_ref ref);

/** Let the file end at `file_bytes`; nothing is stored behind that. */
void live_set_size(struct live *live, uint64_t file_bytes);

/** Finish a transition: follow moved tables until counts and work list are complete. */
void live_settle(struct live *live);

/** The node of a host cluster; NULL when nothing ever referred to it. */
static inline struct cluster *live_cluster(const struct live *live, uint64_t index)
{
	return sparse_find(&live->clusters, index);
}

/** References to a cluster, of every kind. */
uint64_t cluster_references(const struct cluster *cluster);

/** The L2 entry of a guest cluster below `l1` (NULL: the active L1 table), 0 beyond that table.
 * `*entry_offset` (may be NULL) is where it stands in the file, 0 when there is no L2 table. */
uint64_t live_l2_entry(struct live *live, const struct image_snapshot *l1, uint64_t guest_cluster,
		       uint64_t *entry_offset);

/** Where the refcount of a cluster stands. */
struct refcount_place {
	uint64_t sector_index; /* in the file */
	uint64_t entry;        /* of that sector */
};

/** Find the refcount of a cluster. False: no block holds it, it is 0. */
bool live_refcount_place(struct live *live, uint64_t index, struct refcount_place *place);

/** Entry `entry` of a sector of a refcount block. */
uint64_t live_refcount_in(const struct live *live, const uint8_t *sector, uint64_t entry);

/** The active L1 entry for a guest cluster. */
uint64_t live_l1_entry(struct live *live, uint64_t l1_index);

/** Queue every active user of a host cluster's bytes: guest sectors for plain ones. */
void live_queue_users(struct live *live, struct cluster *cluster, uint64_t sector_index);

/** Put something on the work list of the present transition. */
void live_touch(struct live *live, struct cluster *cluster);
void live_queue_guest(struct live *live, uint64_t guest_offset, uint64_t bytes);
void live_queue_entry(struct live *live, uint64_t host_offset, enum entry_kind kind);
void live_queue_frozen(struct live *live, uint64_t sector_index);

/** All snapshots that the table lists now are final: what they hold may not change. */
void live_freeze_snapshots(struct live *live);

/** Those of `set` that the table lists are not dead: they never were taken off it. */
void live_revive_snapshots(struct live *live, uint64_t set);

/** The present snapshot table; NULL when there is none. */
const struct snapshot_list *live_snapshots(const struct live *live);

/** The listed snapshot of that name. False: there is none, or the table does not parse. */
bool live_find_snapshot(struct live *live, struct image_snapshot *snapshot, const uint8_t *name,
			size_t name_bytes);

/** All nodes with one of the CLUSTER_ bits in `flags`, in ascending order. Gives; `*count` of them.
 */
struct cluster **live_clusters_with(const struct live *live, uint64_t flags, size_t *count);

#endif
