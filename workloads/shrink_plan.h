// SPDX-License-Identifier: MIT
/** A run as a plan: whose turn it is, for how many steps, and which faults happen. Unlike a
 * schedule it can be changed, and says something about the changed run, too. */
#ifndef WORKLOADS_SHRINK_PLAN_H
#define WORKLOADS_SHRINK_PLAN_H

#include "injector/strategy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** `actor` takes so many steps in a row. */
struct plan_block {
	uint32_t actor;
	uint32_t steps; /* UINT32_MAX: as many as it can */
};

/** The `number`-th question (from 0) whether a call of `actor` fails is answered by `pick`. */
struct plan_fault {
	uint32_t actor;
	uint32_t number;
	uint32_t pick;
};

/** Zero-initialised: nobody is made to stop. */
struct plan {
	struct plan_block *blocks; /* owned */
	size_t block_count, block_capacity;
	struct plan_fault *faults; /* owned */
	size_t fault_count, fault_capacity;
};

/** Free what `plan` owns; it is empty afterwards. */
void plan_release(struct plan *plan);

/** Make `to` (initialised) equal to `from`. */
void plan_copy(struct plan *to, const struct plan *from);

/** How many different changes plan_change() knows for a plan of so many blocks and faults. */
size_t plan_change_count(const struct plan *plan);

/** Make change number `index` to `plan`: cut it short, leave a block or a fault out, put two blocks
 * of an actor together, exchange neighbours. False: there is nothing to change; `plan` is as it
 * was.
 */
bool plan_change(struct plan *plan, size_t index);

/** One run that follows `plan` (borrowed, not changed meanwhile). Where a block's actor cannot go
 * on, the next block's turn has come; behind the last block whoever ran goes on as long as it can,
 * then the first that can. With `inner` (borrowed; may be NULL) that strategy decides instead. What
 * was decided is put in `taken` (borrowed, empty; may be NULL). Gives. */
struct strategy *strategy_plan_new(const struct plan *plan, struct strategy *inner,
				   struct plan *taken);

#endif
