// SPDX-License-Identifier: MIT
/** The line on a terminal that says how far a search is. */
#ifndef WORKLOADS_CLI_PROGRESS_H
#define WORKLOADS_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What the line says. */
struct progress_figures {
	double done; /* part of the search, 0 to 1; 0: not known */
	uint64_t runs, classes, states;
	size_t violations;
};

/** Zero-initialised but for these. */
struct progress {
	const char *name; /* borrowed; the workload */
	bool is_shown;    /* false: nothing is ever written */
	/* Private. */
	bool has_begun;
	double begun;        /* seconds_now() */
	uint64_t first_runs; /* when it began: those of an earlier search */
	double first_done;
	double next_seconds; /* when to write again */
};

/** Write the line, unless it was written just now. */
void progress_show(struct progress *progress, const struct progress_figures *figures);

/** Remove the line. */
void progress_clear(const struct progress *progress);

#endif
