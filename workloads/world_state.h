// SPDX-License-Identifier: MIT
/** The state of a world's run between two steps, as a hash. */
#ifndef WORKLOADS_WORLD_STATE_H
#define WORKLOADS_WORLD_STATE_H

#include "injector/strategy_stateful.h"
#include "workloads/world.h"

/** Parts of a state, for telling where two differ. */
enum world_part {
	WORLD_PART_MEMORY, /* the engine's arena */
	WORLD_PART_STACKS, /* of its tasks */
	WORLD_PART_TASKS,  /* what the scheduler knows of them */
	WORLD_PART_FILES,  /* contents, descriptors, faults left */
	WORLD_PART_GUEST,  /* what was read, and how the script stands */
	WORLD_PART_TOLD,   /* what the guest did, learnt and was promised */
	WORLD_PARTS,
};

/** Hash all that decides how the run goes on and how its crash states are judged: two moments of
 * equal hash have the same futures. `world` is in a run, between two steps. */
struct state_hash world_state_hash(const struct world *world);

/** The hash of one part alone. */
struct state_hash world_state_part(const struct world *world, enum world_part part);

/** Where strategy_stateful_new() takes the states of `world` (borrowed) from. */
struct state_source world_state_source(struct world *world);

/** Can states be told apart by their hashes? Not with AddressSanitizer, which keeps variables where
 * nobody finds them. */
bool world_state_is_known(void);

#endif
