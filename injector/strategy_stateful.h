// SPDX-License-Identifier: MIT
/** Explicit-state search: every state is gone on from once. */
#ifndef INJECTOR_STRATEGY_STATEFUL_H
#define INJECTOR_STRATEGY_STATEFUL_H

#include "injector/strategy.h"

/** A hash of all that decides how a run may go on and what may be said of it. */
struct state_hash {
	uint64_t words[2];
};

/** Where the states come from. */
struct state_source {
	/** The hash of the present state, which stands between two steps. */
	struct state_hash (*hash)(void *context);
	void *context; /* borrowed until the strategy is freed */
};

/** What a search did. */
struct stateful_counts {
	uint64_t states;      /* different ones, those without a step to take left out */
	uint64_t transitions; /* steps executed, those of repeated beginnings left out */
};

/** Depth first over all enabled actors and all faults; a run ends where another has been. At most
 * `states_max` (0: as many as a GiB holds) states are kept, then the search stops, not complete.
 * Gives; NULL when memory is short. */
struct strategy *strategy_stateful_new(const struct state_source *source, uint64_t states_max);

/** What was done so far. */
struct stateful_counts strategy_stateful_counts(const struct strategy *strategy);

#endif
