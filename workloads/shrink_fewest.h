// SPDX-License-Identifier: MIT
/** The fewest switches from one task to another with which a workload breaks a rule. */
#ifndef WORKLOADS_SHRINK_FEWEST_H
#define WORKLOADS_SHRINK_FEWEST_H

#include "workloads/explore.h"
#include "workloads/look.h"
#include "workloads/world_state.h"

struct fewest_options {
	struct look_options look;          /* what is to be broken */
	const struct state_source *states; /* tells states apart; borrowed */
	uint64_t switches_known;           /* so many suffice */
	uint64_t runs;                     /* at most so many; 0: no bound */
	double deadline;                   /* by seconds_now(); 0: none */
	/* Looked at between two runs: stop when it is not 0. May be NULL. */
	const volatile sig_atomic_t *stop;
};

/** What was found out. */
struct fewest {
	uint64_t switches; /* with so many, or with those known, the rule can be broken ... */
	bool is_decided;   /* ... and with fewer it cannot */
	bool is_found;     /* fewer than known: there is a schedule */
	uint64_t runs;
};

/** Search all runs of `subject` with 0, 1, 2, ... switches, up to fewer than known, for one that
 * breaks the rule; `schedule` (initialised) becomes its schedule. */
MUST_USE enum status fewest_find(struct fewest *fewest, struct schedule *schedule,
				 const struct subject *subject,
				 const struct fewest_options *options, struct why *why);

#endif
