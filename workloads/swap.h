// SPDX-License-Identifier: MIT
/** The swap test: do steps that are declared independent commute? See swap.c. */
#ifndef WORKLOADS_SWAP_H
#define WORKLOADS_SWAP_H

#include "workloads/world.h"

#include <stdbool.h>
#include <stdint.h>

enum { SWAP_TEXT_BYTES = 400 };

/** What a swap test found. */
struct swap_result {
	uint64_t runs;      /* random runs from which pairs were taken */
	uint64_t tested;    /* pairs of steps exchanged */
	uint64_t differing; /* of them, those after which something was not the same */
	/** Stacks were compared, too. Not so where AddressSanitizer is at work: its own marks stand
	 * between the variables. */
	bool is_whole;
	char first[SWAP_TEXT_BYTES]; /* the first difference; "" without any */
};

/** Take `pairs` pairs of neighbouring steps that are declared independent from random runs of
 * `world`, which `seed` says, and exchange each. Fewer pairs are tested when the world has few:
 * after as many runs as pairs were wanted it ends. Stacks compare equal only in a world made with
 * snapshots. */
void swap_test(struct world *world, uint64_t seed, uint64_t pairs, struct swap_result *result);

#endif
