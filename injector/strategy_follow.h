// SPDX-License-Identifier: MIT
/** One run with the steps of another in a different, equivalent order. */
#ifndef INJECTOR_STRATEGY_FOLLOW_H
#define INJECTOR_STRATEGY_FOLLOW_H

#include "injector/order.h"
#include "injector/strategy.h"

/** Whose turn it is, and which faults are decided in it. */
struct turn {
	uint32_t actor;
	uint32_t first_pick, pick_count;
};

/** First the steps of `order` (copied) whose indices are in `first`, in that order, then all others
 * in theirs. `first` must be down-closed and in an order that happens-before allows. Gives. */
struct strategy *strategy_follow_new(const struct order *order, const uint32_t *first,
				     size_t first_count);

/** The steps of `order` (copied) whose indices are in `cut`, then option 0 for ever. `cut` must be
 * down-closed, its last member not needed by another; that one comes last. The others stand in an
 * order that is the same in every run that has the cut: whoever can go on and has the smallest
 * number goes on. Gives. */
struct strategy *strategy_follow_cut(const struct order *order, const uint32_t *cut, size_t count);

#endif
