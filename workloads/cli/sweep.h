// SPDX-License-Identifier: MIT
/** The sweep of one workload: search, then each violation executed once more for its trace and
 * story. See sweep.c. */
#ifndef WORKLOADS_CLI_SWEEP_H
#define WORKLOADS_CLI_SWEEP_H

#include "workloads/cli/progress.h"
#include "workloads/cli/settings.h"
#include "workloads/explore.h"
#include "workloads/recovery.h"
#include "workloads/swap.h"

enum {
	SWEEP_PATH_BYTES = 4096,
	SWEEP_LINE_BYTES = 160,
};

/** A violation with what was made of it. */
struct sweep_violation {
	struct verdict verdict;
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
	char chosen[SWEEP_LINE_BYTES]; /* strategy auto: what was chosen, and why; else "" */
	char points[8];
	char models[32];
	uint32_t faults;
	size_t rules; /* of a report, by which calls fail in every run */
	bool symmetry;
	bool prune;
	bool is_foreign; /* of a program, not of the engine */
	bool gate_all, split_completion;
	uint64_t joined, parted;       /* of a program, as explore_result's */
	uint64_t found_in[RULE_COUNT]; /* the run that first broke the rule, from 1; 0: none did */
	uint64_t interleavings;
	uint64_t pruned; /* given up, trials included */
	uint64_t trials;
	uint64_t classes, class_checksum, duplicates;
	double classes_at_least, unseen;      /* 0 unless the strategy samples */
	uint64_t visited_states, transitions; /* 0 unless the strategy is stateful */
	uint64_t states;
	uint64_t judged;
	struct magnitude decided; /* as in explore_result */
	uint64_t distinct, distinct_checksum;
	uint64_t ends, end_checksum;
	uint32_t recovery; /* crashes that repairs must survive; 0: not swept */
	struct recovery_counts recovered;
	uint64_t recovery_violations;
	bool lax;
	uint64_t left_out; /* violations of the strict form of old-or-new only */
	bool swap_was_run;
	uint64_t swap_tested, swap_differing;
	char swap_first[SWAP_TEXT_BYTES]; /* the first difference, or "" */
	bool complete;
	char why_incomplete[96];           /* "" when complete */
	char complaint[SWEEP_LINE_BYTES];  /* "" or what was wrong with the search */
	char checkpoint[SWEEP_PATH_BYTES]; /* "" or the file from which to go on */
	bool has_expectation; /* `#@ expect`, and nothing overrides the workload's settings */
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

/** How a sweep is to be done. */
struct sweep_plan {
	struct budget budget;
	uint32_t jobs;             /* processes */
	struct progress *progress; /* borrowed; NULL: none is shown */
	/** It is the only one of this program: Ctrl-C is caught, a checkpoint is written when it
	 * did not come to its end, and the swap test follows it. */
	bool is_alone;
};

/** Sweep the workload called `name`, NULL: that of the checkpoint options->resume. Never fails: an
 * outcome says what went wrong. Gives what `outcome` owns. */
void sweep_workload(struct sweep_outcome *outcome, const char *name, const struct options *options,
		    const struct sweep_plan *plan);

/** Free what `outcome` owns. */
void sweep_outcome_release(struct sweep_outcome *outcome);

#endif
