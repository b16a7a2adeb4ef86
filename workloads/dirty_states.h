// SPDX-License-Identifier: MIT
/** Crash states with the dirty bit, by the way that leads to them: a set of places to come back to.
 */
#ifndef WORKLOADS_DIRTY_STATES_H
#define WORKLOADS_DIRTY_STATES_H

#include "oracle/judge.h"
#include "workloads/pack.h"

/** A crash state: the run of `schedule`, cut where `state` says, less what it says is lost. */
struct dirty_state {
	char *schedule; /* owned; printable */
	struct judge_dirty state;
};

/** A set of them, one for each fingerprint. Zero-initialised: empty. */
struct dirty_states {
	struct dirty_state *items; /* owned */
	size_t count, capacity;
	uint32_t *slots; /* owned; 1 + index by fingerprint, 0: free; a power of two of them */
	size_t slot_count;
	bool is_cut; /* there were more than are kept */
};

/** Free what `places` owns; it is empty afterwards. */
void dirty_states_release(struct dirty_states *places);

/** Is a state of this fingerprint there? */
bool dirty_states_has(const struct dirty_states *places, uint64_t fingerprint);

/** Is this way to a state not known, or better than the one that is: of a weaker crash model, or of
 * the same one and a smaller cut? */
bool dirty_states_wants(const struct dirty_states *places, const struct judge_dirty *state);

/** Add a state (copies the schedule). Of several ways to one state the best is kept, and among
 * equally good ones that with the shortest schedule, then the first by its letters, so that it does
 * not matter who came first. */
void dirty_states_add(struct dirty_states *places, const char *schedule,
		      const struct judge_dirty *state);

/** Add all that is in `more`. */
void dirty_states_merge(struct dirty_states *places, const struct dirty_states *more);

/** Put them into an order that does not depend on who found them when: the best come first. */
void dirty_states_sort(struct dirty_states *places);

/** As bytes, and back: added to `places`. */
void dirty_states_pack(const struct dirty_states *places, struct pack *pack);
void dirty_states_unpack(struct dirty_states *places, struct unpack *unpack);

#endif
