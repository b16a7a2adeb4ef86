// SPDX-License-Identifier: MIT
/** One question of shrinking: does some run of this workload break that rule? */
#ifndef WORKLOADS_CLI_SHRINK_SEARCH_H
#define WORKLOADS_CLI_SHRINK_SEARCH_H

#include "workloads/cli/settings.h"
#include "workloads/explore.h"

/** What all searches of one shrinking may take together, and have taken. */
struct shrink_budget {
	struct budget limit;               /* 0: no bound */
	const volatile sig_atomic_t *stop; /* NULL: cannot be stopped */
	uint64_t runs, states;             /* taken */
	double begun;                      /* seconds_now() */
	struct progress *progress;         /* borrowed; NULL: none is shown */
	const char *why_ended;             /* a literal; NULL: there is some left */
};

/** Begin to count. */
void shrink_budget_begin(struct shrink_budget *budget);

/** Is any left? Notes why not. */
bool shrink_budget_is_left(struct shrink_budget *budget);

/** Count `runs` runs that were executed without a search. */
void shrink_budget_spend(struct shrink_budget *budget, uint64_t runs);

/** How many runs of at most `runs_max` are left. */
uint64_t shrink_budget_runs_left(const struct shrink_budget *budget, uint64_t runs_max);

/** When, by seconds_now(), it ends; 0: never. */
double shrink_budget_deadline(const struct shrink_budget *budget);

struct shrink_question {
	const struct workload *workload;
	const struct settings *settings; /* with the strategy to use */
	enum rule rule;
	enum severity severity;
	uint64_t runs; /* at most so many */
};

/** Search until the rule is broken: `schedule` (initialised) becomes that of a run in which it is.
 * Known bugs are switched as the settings say. STATUS_BAD_INPUT: no such run was found (or the
 * workload makes no sense); `*is_complete` (may be NULL): there is none. Any other failure says
 * that the workload cannot be run. */
MUST_USE enum status shrink_search(const struct shrink_question *question,
				   struct shrink_budget *budget, struct schedule *schedule,
				   bool *is_complete, struct why *why);

#endif
