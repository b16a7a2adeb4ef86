// SPDX-License-Identifier: MIT
/** Partial-order reduction: one run of each class, and work that can be handed to others. */
#ifndef INJECTOR_STRATEGY_DPOR_H
#define INJECTOR_STRATEGY_DPOR_H

#include "injector/order.h"
#include "injector/strategy.h"

enum { DPOR_SLEEPERS_MAX = 256 };

/** A variant of an actor's next step that is covered elsewhere. */
struct dpor_sleeper {
	uint32_t actor;
	uint64_t picks; /* which faults were decided in it, see order_step; DPOR_ALL: any */
};

#define DPOR_ALL UINT64_MAX

/** A part of a search: all runs that begin with `prefix`, but for those that are covered by who
 * sleeps there. */
struct dpor_job {
	struct schedule
		prefix;  /* owned; ends with a pick of an actor, or with faults in its step */
	size_t last_run; /* index in `prefix` of the last pick of an actor */
	uint32_t sleeper_count;                          /* 0 when `prefix` is empty */
	struct dpor_sleeper sleepers[DPOR_SLEEPERS_MAX]; /* where that pick is taken */
};

/** What a search did, beside the runs it completed. */
struct dpor_counts {
	uint64_t blocked; /* runs given up because all that was left is covered */
	uint64_t trials;  /* runs made to see what a sleeper of a job touches */
};

/** The whole search, or with `job` (copied; may be NULL) a part of it. `order` is the run's, kept
 * by the choice (borrowed). Gives; NULL when memory is short. */
struct strategy *strategy_dpor_new(const struct order *order, const struct dpor_job *job);

/** Hand back everything that is not explored yet, as jobs in the order in which the search would
 * have come to them; to be called between two runs, after which the search is over. `take` copies.
 */
void strategy_dpor_hand_back(struct strategy *strategy,
			     void (*take)(void *context, const struct dpor_job *job),
			     void *context);

/** Was the run just executed a trial? A slice of a search counts none of them: it might do nothing
 * else. */
bool strategy_dpor_is_trial(const struct strategy *strategy);

/** What was done so far. */
struct dpor_counts strategy_dpor_counts(const struct strategy *strategy);

/** Which part of the search is done, from 0 to 1: every branch known so far weighs as much as its
 * siblings. */
double strategy_dpor_progress(const struct strategy *strategy);

#endif
