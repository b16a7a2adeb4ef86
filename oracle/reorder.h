// SPDX-License-Identifier: MIT
/** Which of the states that a crash may leave under `reorder` break a rule? Private to oracle/. */
#ifndef ORACLE_REORDER_H
#define ORACLE_REORDER_H

#include "oracle/judge_state.h"
#include "oracle/window.h"

/** One cell holds an older version. */
struct pick {
	struct cell *cell;
	uint64_t version;
};

enum { PLAN_PICKS_MAX = 60 };

/** A state, by how it differs from the newest one. */
struct plan {
	struct pick picks[PLAN_PICKS_MAX];
	size_t count;
	size_t root_count; /* picks of root cells; they come first, and the image holds them now */
	bool has_size;     /* the file's size is not the newest */
	uint64_t size_bytes;
};

/** What made states possible that were not before. */
enum reorder_cause { REORDER_OPERATION, REORDER_ROOTS, REORDER_PROMISE };

/** Note which cells that the last operation changed decide where tables are, and which snapshots it
 * took off the table. To be called behind every operation, judged or not. Returns whether there are
 * any such cells, or the file was cut off. */
bool reorder_note_roots(struct judge *judge);

/** Hold every state that a crash may leave now, and that was not judged before, against the rules.
 * The newest one was judged; the work list is still that of its transition. */
void reorder_judge(struct judge *judge, enum reorder_cause cause);

/** Free what reorder_judge() keeps; may be NULL. */
void reorder_free(struct reorder *reorder);

/* Shared by reorder*.c. */

/** Copies of what a transition touched. */
struct reorder {
	struct cluster **clusters; /* owned; borrowed elements */
	size_t cluster_count, cluster_capacity;
	struct guest_range *guests; /* owned */
	size_t guest_count, guest_capacity;
	bool header;
	bool roots_changed;       /* look at every version of every cell below */
	uint64_t newest_bytes;    /* newest size of the file */
	uint64_t undecided;       /* states that were not decided; never goes back */
	uint64_t leaks_undecided; /* the same, for leak-bounded alone */
};

/** Let the image be that of `plan`; root picks are there already. The work list is begun anew. */
void plan_apply(struct judge *judge, const struct plan *plan);

/** Let a cell of the image hold one of its versions, as far as the file goes. */
void reorder_put(struct judge *judge, const struct cell *cell, uint64_t version);

/** Let the file end at `bytes`: nothing is stored behind that. */
void reorder_put_size(struct judge *judge, uint64_t bytes);

/** Add a pick. False: the cell has another version in the plan, or the plan is full. */
bool plan_add(struct judge *judge, struct plan *plan, struct cell *cell, uint64_t version);

/** Judge the state of `plan`, of which `item` looks bad, and report what it shows, each with the
 * smallest plan that shows it. */
void plan_judge(struct judge *judge, const struct plan *plan, struct recheck item);

/** Judge what the image is now, with its work list: it is that of `plan`. */
void plan_judge_here(struct judge *judge, const struct plan *plan);

/** Put on the work list what may be wrong with a touched cluster in some state, below the root
 * tables of `plan`. */
void reorder_cluster(struct judge *judge, const struct plan *plan, const struct cluster *cluster);

/** The same for the guest range [from, to), which lies in one guest cluster. */
void reorder_guest(struct judge *judge, const struct plan *plan, uint64_t from, uint64_t to,
		   bool every_l2);

/** The same for those who may use the sectors of a cell as guest data by an older L2 entry. */
void reorder_users(struct judge *judge, const struct plan *plan, const struct cell *cell);

/** The same for the tables that the header names, which must lie in the file. */
void reorder_header(struct judge *judge, const struct plan *plan);

/** leak-bounded, for all states below the root tables of `plan`, which the image holds. */
void reorder_leaks(struct judge *judge, const struct plan *plan);

/** The cell of a sector if it has several versions and is not fixed by the plan of root tables. */
struct cell *reorder_leaf(const struct judge *judge, uint64_t sector_index);

#endif
