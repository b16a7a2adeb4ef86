// SPDX-License-Identifier: MIT
/** A set of cuts by their hashes, each with the number of the call that met it first. */
#ifndef ORACLE_CUT_SET_H
#define ORACLE_CUT_SET_H

#include <stddef.h>
#include <stdint.h>

struct cut_slot {
	uint64_t hash;
	uint64_t call; /* from 1; 0: free slot */
};

/** Zero-initialised: empty. */
struct cut_set {
	struct cut_slot *slots; /* owned */
	size_t capacity;        /* a power of two, at most three quarters in use */
	size_t count;
};

/** Free the set; it is empty afterwards. */
void cut_set_release(struct cut_set *set);

/** Add `hash` as met in `call`, unless it is there. Returns the call that met it first. */
uint64_t cut_set_add(struct cut_set *set, uint64_t hash, uint64_t call);

/** The call that met `hash` first, 0: none. */
uint64_t cut_set_find(const struct cut_set *set, uint64_t hash);

#endif
