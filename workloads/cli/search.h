// SPDX-License-Identifier: MIT
/** One workload's search, done in slices, alone or by several processes. See search.c. */
#ifndef WORKLOADS_CLI_SEARCH_H
#define WORKLOADS_CLI_SEARCH_H

#include "workloads/cli/progress.h"
#include "workloads/cli/settings.h"
#include "workloads/slice.h"

enum {
	/** Runs of a slice, unless said otherwise: a few tenths of a second. */
	SEARCH_SLICE_RUNS = 5000,
};

struct search_options {
	const struct workload *workload; /* borrowed, like all here */
	const struct settings *settings;
	uint32_t jobs;        /* processes; 1: this one alone */
	uint64_t slice;       /* runs; 0: SEARCH_SLICE_RUNS. Decides how many runs are given up */
	struct budget budget; /* of what is done now; what the ledger holds already is not counted
			       */
	const volatile sig_atomic_t *stop; /* NULL: cannot be stopped */
	struct progress *progress;         /* NULL: none is shown */
};

/** Do the open jobs of `ledger` until there are none or a bound is reached: `*why_incomplete`, a
 * literal, says which. Adds everything to `ledger`. */
MUST_USE enum status search_run(const struct search_options *options, struct ledger *ledger,
				const char **why_incomplete, struct why *why);

#endif
