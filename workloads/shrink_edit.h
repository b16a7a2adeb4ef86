// SPDX-License-Identifier: MIT
/** Smaller workloads: what can be made smaller in one. */
#ifndef WORKLOADS_SHRINK_EDIT_H
#define WORKLOADS_SHRINK_EDIT_H

#include "workloads/shrink_size.h"

#include <stdbool.h>

enum shrink_kind {
	SHRINK_REMOVE,       /* commands first .. first + count - 1, those to prepare come first */
	SHRINK_REMOVE_PAIR,  /* commands first and count */
	SHRINK_REMOVE_FREER, /* command `first`; the others get the freedom `value` */
	SHRINK_MERGE,   /* commands first and count, of one kind, become one, which covers both;
			   `value`: at the place of the second */
	SHRINK_PREPARE, /* command `first` of the script runs before the recording */
	SHRINK_FAULTS,  /* at most `value` faults */
	SHRINK_KINDS,   /* `value`: a set of fault_kind bits */
	SHRINK_CRASH,   /* crash models: `value` is a set of crash_model bits */
	SHRINK_POLICY,  /* `value`: an enum qcow2_policy */
	SHRINK_NO_BACKING,
	SHRINK_BACKING_SIZE, /* the image's */
	SHRINK_NO_LAZY,
	SHRINK_VERSION,
	SHRINK_ALLOCATE_FROM,   /* `value`: byte in the file */
	SHRINK_ALLOCATIONS_MAX, /* no bound */
	SHRINK_SHORTEN_ALL,     /* no range longer than a sector */
	SHRINK_HALVE_CLUSTERS,  /* and all offsets and lengths */
	SHRINK_COMPACT,         /* leave out clusters that nothing touches */
	SHRINK_DISK,            /* `value`: bytes */
	SHRINK_SYNC,            /* command `first`: wait for it */
	SHRINK_ONE_PIECE,
	SHRINK_NO_UNMAP,
	SHRINK_NO_ZERO,
	SHRINK_LENGTH, /* of command `first`: `value` bytes; a truncate: its size */
	SHRINK_OFFSET, /* of command `first`: `value` */
};

/** What commands may be given in exchange for another one that is left out. */
enum shrink_freedom {
	SHRINK_FREEDOM_ASYNC, /* all that can do without being waited for */
	SHRINK_FREEDOM_EAGER, /* another policy */
	SHRINK_FREEDOM_DELAYED,
	SHRINK_FREEDOM_CANCEL,
	SHRINK_FREEDOM_ONE_ALLOCATION, /* at most so many in flight */
	SHRINK_FREEDOM_TWO_ALLOCATIONS,
};

/** One thing to try. */
struct shrink_edit {
	enum shrink_kind kind;
	size_t first, count; /* which commands; those to prepare are counted first */
	uint64_t value;
};

/** A list of edits; zero-initialised. */
struct shrink_edits {
	struct shrink_edit *items; /* owned */
	size_t count, capacity;
};

/** What must not be touched, and what would be in vain. */
struct shrink_scope {
	bool keeps_image; /* what is on the disk at first stays as it is */
	bool is_program;  /* it does not know the engine's policies */
};

/** List in `edits` (its old items are forgotten) all that may make `workload` smaller, what makes
 * it much smaller first. */
void shrink_list(struct shrink_edits *edits, const struct workload *workload,
		 const struct shrink_scope *scope);
void shrink_edits_release(struct shrink_edits *edits);

/** Make `workload` what `edit`, which was listed for an equal one, makes of it: its text and all
 * else are those of the result. False: that is not smaller or makes no sense; `workload` is empty
 * then. */
bool shrink_apply(struct workload *workload, const struct shrink_edit *edit);

/** Leave out of `workload` what changes no run: comments, expectations, and what `read -P` and `-q`
 * say. Text and all else are those of the result. False: it became too long; `workload` is empty
 * then. */
bool shrink_normalise(struct workload *workload);

#endif
