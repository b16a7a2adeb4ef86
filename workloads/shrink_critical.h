// SPDX-License-Identifier: MIT
/** The critical step of a run that breaks a rule: the step after which every continuation breaks
 * it.
 */
#ifndef WORKLOADS_SHRINK_CRITICAL_H
#define WORKLOADS_SHRINK_CRITICAL_H

#include "workloads/explore.h"
#include "workloads/look.h"
#include "workloads/world_state.h"

enum { CRITICAL_EVENT_BYTES = 160 };

struct critical_options {
	const struct schedule *schedule; /* borrowed; of the run */
	struct look_options look;        /* what is broken */
	/* Tells states apart, so that each is gone on from once; NULL: every order is run. */
	const struct state_source *states;
	uint64_t runs;   /* at most so many; 0: no bound */
	double deadline; /* by seconds_now(); 0: none */
	/* Looked at between two runs: stop when it is not 0. May be NULL. */
	const volatile sig_atomic_t *stop;
};

/** What was found out. Steps are counted from 1; 0 is the moment before the first. */
struct critical {
	size_t step;       /* after it no continuation keeps the rule */
	size_t last_clean; /* the last step after which one was found that does; SIZE_MAX: none */
	size_t step_count; /* steps until the rule is seen to be broken */
	bool is_decided;   /* `step` is the first such step */
	uint64_t runs;
	uint32_t actor;                   /* whose step it is; 0: step 0 */
	char event[CRITICAL_EVENT_BYTES]; /* what happens in it; "" for step 0 */
};

/** Find the critical step of the run of `subject`. STATUS_DIVERGED: the run does not break the
 * rule.
 */
MUST_USE enum status critical_find(struct critical *critical, const struct subject *subject,
				   const struct critical_options *options, struct why *why);

#endif
