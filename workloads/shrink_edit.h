// SPDX-License-Identifier: MIT
/** Smaller workloads: how large one is, and what can be made smaller in it. */
#ifndef WORKLOADS_SHRINK_EDIT_H
#define WORKLOADS_SHRINK_EDIT_H

#include "workloads/language.h"

#include <stdbool.h>

/** How large a workload is. One is smaller than another if the first field in which they differ is.
 */
struct shrink_size {
	uint64_t requests;   /* commands of the script, aio_flush left out */
	uint64_t waits;      /* aio_flush */
	uint64_t prepared;   /* commands of `#@ prepare` */
	uint64_t bytes;      /* of all ranges together */
	uint64_t disk_bytes; /* the virtual disk, and what it grows by */
	uint64_t unaligned;  /* ends of ranges that are not at a sector's, and beginnings that are
				not  at a cluster's */
	uint64_t options;    /* what is said beyond a plain command or image; see shrink_edit.c */
	uint64_t places;     /* sum of all guest offsets */
};

/** Measure `workload`. */
void shrink_measure(struct shrink_size *size, const struct workload *workload);

/** As memcmp(): below 0 when `a` is smaller. */
int shrink_compare(const struct shrink_size *a, const struct shrink_size *b);

enum shrink_kind {
	SHRINK_REMOVE,      /* commands first .. first + count - 1, those to prepare come first */
	SHRINK_REMOVE_PAIR, /* commands first and count */
	SHRINK_PREPARE,     /* the first command of the script runs before the recording */
	SHRINK_FAULTS,      /* at most `value` faults */
	SHRINK_KINDS,       /* `value`: a set of fault_kind bits */
	SHRINK_CRASH,       /* crash models: `value` is a set of crash_model bits */
	SHRINK_POLICY,      /* `value`: an enum qcow2_policy */
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

/** List in `edits` (its old items are forgotten) all that may make `workload` smaller, what makes
 * it much smaller first. With `keeps_image` what is on the disk at first stays as it is. */
void shrink_list(struct shrink_edits *edits, const struct workload *workload, bool keeps_image);
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
