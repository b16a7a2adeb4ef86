// SPDX-License-Identifier: MIT
/** What a crash may leave of each sector, when everything that is not durable may be lost or kept
 * by itself: the versions of each sector since the last durable one, and those of the file's size.
 *
 *  Kept up to date while the judge walks, and put back by its journal. */
#ifndef ORACLE_WINDOW_H
#define ORACLE_WINDOW_H

#include "oracle/journal.h"
#include "oracle/sectors.h"
#include "oracle/sparse.h"
#include "traces/event.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	/** A cell is what is written atomically: 512 or 4096 bytes, this many of our sectors. */
	CELL_SECTORS_MAX = 8,
	/** Cells with tables above the L2 tables in them that are followed at a time. */
	WINDOW_ROOTS_MAX = 32,
};

/** The version that was there when the window began: no operation of the log. */
#define VERSION_INITIAL UINT64_MAX

/** A unit of the file that is written as a whole. Version v is refs[v * grain] ... */
struct cell {
	uint64_t index; /* host offset / (512 * grain) */
	uint64_t count; /* journaled; versions in the order in which they took effect */
	uint64_t first; /* journaled; the durable one: older ones are history */
	uint64_t root;  /* journaled; it is on window.roots */
	uint64_t stamp; /* of the transition that stepped through it */
	uint64_t *ops;  /* owned; which operation made version v (window.ops), VERSION_INITIAL */
	size_t ops_capacity;
	sector_ref *refs; /* owned */
	size_t refs_capacity;
};

enum size_kind { SIZE_NONE, SIZE_EXTEND, SIZE_SET };

/** An operation, as far as it matters whether it is durable. Journaled words from `completed` on.
 */
struct window_op {
	uint64_t number;      /* as counted in verdicts, from 1 */
	size_t event;         /* its index in the log */
	uint64_t size_kind;   /* enum size_kind */
	uint64_t size_bytes;  /* the file's size by it */
	uint64_t first_touch; /* in window.touches; up to the next operation's */
	uint64_t is_outside;  /* 1: on the external data file, which has flushes of its own */
	uint64_t shaken;      /* window.shaken before it */
	uint64_t completed;   /* time, or NEVER_DONE */
	uint64_t durable;     /* 1: a flush covered it */
	uint64_t doomed;      /* 1: a failed flush should have: no later one will */
};

#define NEVER_DONE UINT64_MAX

/** What a number of an I/O stands for; journaled words. */
struct window_io {
	uint64_t op;        /* 1 + index in window.ops; 0: none */
	uint64_t submitted; /* 1 + time at which a flush was; 0: none */
};

/** A word in a table, or in what may be one, that names a cluster in some version. */
struct mention {
	uint64_t sector; /* host offset / 512 */
	uint32_t slot;   /* which 8-byte word of it */
};

struct mentions {
	struct mention *list; /* owned */
	size_t capacity;
	size_t count;
};

struct window {
	struct journal *journal; /* borrowed */
	struct sectors *sectors; /* borrowed */
	bool is_on;
	uint32_t grain;         /* sectors of a cell: 1 or 8 */
	struct sparse cells;    /* of struct cell */
	struct sparse mentions; /* of struct mentions; grows only: says where to look */
	struct sparse ios;      /* of struct window_io */
	struct bump memory;
	struct window_op **ops; /* owned; each in `memory` */
	size_t op_capacity;
	size_t op_made;
	uint64_t op_count;     /* journaled */
	uint64_t settled;      /* journaled; all before this one are durable */
	struct cell **touches; /* owned; cells that operations changed, one after another */
	size_t touch_capacity;
	uint64_t touch_count; /* journaled */
	/* Journaled; over all operations, how many clusters each gave another refcount or number of
	 * references. */
	uint64_t shaken;
	uint64_t root_ops; /* journaled; up to the last one that changed which table is where */
	uint64_t now;      /* journaled; time */
	uint64_t volatile_log2; /* journaled; bits of a double: log2 of how many states there are */
	uint64_t volatile_count; /* journaled; cells with more than one version */
	/* The file's size. */
	uint64_t size_base;  /* journaled; durable size */
	uint64_t size_first; /* journaled; operations before this one are no versions of it */
	uint64_t size_min;   /* journaled; the smallest that it may have */
	uint64_t size_max;   /* journaled; no size that it may have is larger */
	/* Cells of tables that decide where other tables are. */
	uint64_t roots[WINDOW_ROOTS_MAX]; /* journaled; addresses of cells */
	uint64_t root_count;              /* journaled */
	uint64_t roots_lost;              /* journaled; there were more */
};

/** Begin with nothing volatile. `sector_bytes` is 512 or 4096. Borrows `journal` and `sectors`. */
void window_init(struct window *window, struct journal *journal, struct sectors *sectors,
		 uint32_t sector_bytes);
/** Free what `window` owns. */
void window_release(struct window *window);

/** An operation takes effect: what window_push() says next is done by it. `number` is its own. */
void window_begin_op(struct window *window, const struct event *event, uint64_t number,
		     size_t event_index);

/** The operation that began last gives `sector_index` the value `ref`; to be called before the
 * sector changes. `cluster_bits` tells what a word may point to; 0: no header to tell. */
void window_push(struct window *window, uint64_t sector_index, sector_ref ref,
		 uint64_t cluster_bits);

/** Does the sector have more than one version? */
bool window_is_volatile(const struct window *window, uint64_t sector_index);

/** The cell of a sector if it has more than one version, or NULL. */
struct cell *window_cell(const struct window *window, uint64_t sector_index);

/** The cell holds a part of a table that decides where other tables are. No-op for one that is on
 * the list, or has one version only. */
void window_add_root(struct window *window, struct cell *cell);

/** Cell `index` (below root_count) of them. */
struct cell *window_root(const struct window *window, uint64_t index);

/** The operation that began last gave so many clusters another refcount or number of references;
 * `moves_tables`: and may have changed which cluster is which table. */
void window_end_op(struct window *window, uint64_t clusters, bool moves_tables);

/** How many clusters have, in any state that a crash may leave, another refcount or number of
 * references than in the newest, at most; UINT64_MAX: not known. */
uint64_t window_shaken(const struct window *window);

/** An I/O of the image was submitted or has completed. */
void window_submitted(struct window *window, const struct event *event);
void window_completed(struct window *window, const struct event *event);

/** The reference of sector `sector_index` in version `version` of its cell. */
static inline sector_ref window_ref(const struct window *window, const struct cell *cell,
				    uint64_t version, uint64_t sector_index)
{
	return cell->refs[version * window->grain + sector_index % window->grain];
}

/** The machine crashes: whatever took effect is durable. */
void window_crash(struct window *window);

/** Does version v of the cell equal one after it, up to `end`? Then it need not be looked at. */
bool window_is_repeated(const struct window *window, const struct cell *cell, uint64_t version);

/** Number (as in verdicts) of the operation that made version `version`; 0: it was there. */
uint64_t window_version_number(const struct window *window, const struct cell *cell,
			       uint64_t version);

/** Where cluster `index` is named, or NULL. */
static inline const struct mentions *window_mentions(const struct window *window, uint64_t index)
{
	return sparse_find(&window->mentions, index);
}

/** A size that the file may have. */
struct window_size {
	uint64_t next; /* operation to look at next; 0 before the first call */
	uint64_t floor;
	uint64_t bytes;
};

/** Visit the sizes that the file may have, beginning with a zeroed `size`: the durable one, then
 * those that each volatile operation gives it. False: no more. */
bool window_next_size(const struct window *window, struct window_size *size);

/** How many states a crash may leave now (a power of two, not exact). */
double window_log2_states(const struct window *window);

#endif
