// SPDX-License-Identifier: MIT
/** The sweep of one workload: search, then each violation executed once more for its trace and
 * story. */
#ifndef WORKLOADS_CLI_SWEEP_H
#define WORKLOADS_CLI_SWEEP_H

#include "workloads/cli/settings.h"
#include "workloads/explore.h"

/** A violation with what was made of it. */
struct sweep_violation {
	struct verdict verdict;
	uint64_t run;     /* interleaving in which it was first seen */
	uint64_t times;   /* runs that show it */
	char *schedule;   /* owned */
	char *trace_path; /* owned; NULL: none was written */
};

/** The part of an outcome that is plain bytes, so that it can cross a pipe. */
struct sweep_summary {
	enum status status; /* not STATUS_OK: the sweep did not happen, `why` says why */
	struct why why;
	char workload[WORKLOAD_NAME_BYTES];
	char policy[16];
	char strategy[16];
	char points[8];
	char models[32];
	uint32_t faults;
	bool prune;
	uint64_t interleavings;
	uint64_t pruned;
	uint64_t states;
	uint64_t judged;
	uint64_t distinct;
	bool complete;
	char why_incomplete[96]; /* "" when complete */
	char complaint[160];     /* "" when there is none: what was wrong with the search */
	bool has_expectation;    /* `#@ expect`, and nothing overrides the workload's settings */
	bool as_expected;
	char skipped[RULE_COUNT][96]; /* why a rule was not judged in some run; "": it was in all */
	double elapsed_seconds;
};

struct sweep_outcome {
	struct sweep_summary summary;
	struct sweep_violation *violations; /* owned */
	size_t violation_count;
	char *story; /* owned; of the first violation; NULL: none */
};

/** Sweep the workload called `name`. Never fails: an outcome says what went wrong. `progress` may
 * be NULL. Gives what `outcome` owns. */
void sweep_workload(struct sweep_outcome *outcome, const char *name, const struct options *options,
		    const struct explore_options *search);

/** Free what `outcome` owns. */
void sweep_outcome_release(struct sweep_outcome *outcome);

#endif
