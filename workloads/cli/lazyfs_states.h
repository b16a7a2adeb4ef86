// SPDX-License-Identifier: MIT
/** The crashes that LazyFS entries name, in a trace: which states of the image they leave. See
 * lazyfs_states.c. */
#ifndef WORKLOADS_CLI_LAZYFS_STATES_H
#define WORKLOADS_CLI_LAZYFS_STATES_H

#include "traces/trace.h"
#include "workloads/import_lazyfs.h"

/** One of them. */
struct lazyfs_state {
	const char *name; /* of the configuration; borrowed */
	struct lazyfs_entry entry;
	uint16_t file;       /* the image, of the trace's files */
	size_t event_count;  /* of the log, before the crash */
	uint64_t operations; /* on the image among them */
	char *persist;       /* owned; as oracle/persist.h has it, "": everything persisted */
	char *problem;       /* owned; why the run does not come to that crash; NULL: it does */
	char *note;          /* owned; what is not quite so; NULL: nothing */
};

struct lazyfs_states {
	struct lazyfs_state *states; /* owned */
	size_t count;
};

/** Read the entries of the files at `paths` (borrowed) and look for their crashes in `trace`.
 * Gives what `states` owns: lazyfs_states_release(), also after failure. STATUS_IO,
 * STATUS_BAD_INPUT.
 */
MUST_USE enum status lazyfs_states_read(struct lazyfs_states *states, const struct trace *trace,
					const char *const *paths, size_t path_count,
					struct why *why);
void lazyfs_states_release(struct lazyfs_states *states);

#endif
