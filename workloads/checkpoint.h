// SPDX-License-Identifier: MIT
/** A search that was interrupted, as a file: what it was, its books, and what is open. */
#ifndef WORKLOADS_CHECKPOINT_H
#define WORKLOADS_CHECKPOINT_H

#include "traces/status.h"
#include "workloads/ledger.h"

/** Zero-initialised: empty. Strings are owned. */
struct checkpoint {
	char *program;  /* who wrote it: only the same program can go on */
	char *workload; /* its name ... */
	char *text;     /* ... and text */
	char *settings; /* what else the search depends on, as whoever wrote it puts it */
	struct ledger ledger;
};

/** Free what `checkpoint` owns; it is empty afterwards. */
void checkpoint_release(struct checkpoint *checkpoint);

/** Write it to "<path>.tmp", renamed to `path` when complete. STATUS_IO. */
MUST_USE enum status checkpoint_write(const struct checkpoint *checkpoint, const char *path,
				      struct why *why);

/** Read `path` into `checkpoint` (empty). Trusts nothing in the file. STATUS_IO, _FOREIGN, _NEWER,
 * _CORRUPT (damaged, or not all there), _NO_MEMORY: it is empty again. */
MUST_USE enum status checkpoint_read(struct checkpoint *checkpoint, const char *path,
				     struct why *why);

#endif
