// SPDX-License-Identifier: MIT
/** Depth first over the choices of a program of which only the outside is seen, where orders that
 * come together are followed once. See strategy_join.c. */
#ifndef INJECTOR_STRATEGY_JOIN_H
#define INJECTOR_STRATEGY_JOIN_H

#include "injector/strategy.h"

/** A decision of a run. */
struct join_place {
	uint64_t state; /* hash of all that is known of the program there; 0: never the same */
	uint64_t rest;  /* hash of what was seen of the run from there to its end */
};

/** The decisions of a run, in their order. */
struct join_trail {
	struct join_place *places;
	size_t count;
};

/** Every interleaving but those that come to a state in which the search was before, and go on from
 * there as before. `trail` is borrowed; it must be that of the run when the run's end is told.
 * Gives; NULL when memory is short. */
struct strategy *strategy_join_new(const struct join_trail *trail);

/** How many runs came together with earlier ones. `strategy` is one of strategy_join_new(). */
uint64_t strategy_join_met(const struct strategy *strategy);

/** How many decisions had a state that was known and went on in a way that was not. */
uint64_t strategy_join_parted(const struct strategy *strategy);

#endif
