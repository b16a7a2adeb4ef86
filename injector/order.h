// SPDX-License-Identifier: MIT
/** The steps of a run and what happens before what: vector clocks, races, and the run's class.
 *
 *  Runs that differ only in the order of independent steps are one *class* (a Mazurkiewicz trace).
 * Its hash is the same for all of them. See order.c. */
#ifndef INJECTOR_ORDER_H
#define INJECTOR_ORDER_H

#include "injector/footprint.h"

#include <stddef.h>

enum { ORDER_CHAINS_MAX = 64 };

/** A step of the run. */
struct order_step {
	uint32_t actor;      /* as the scheduler numbers it */
	uint32_t chain;      /* the actor's place in order of first steps, from 0 */
	uint32_t number;     /* of the step in its chain, from 1 */
	uint32_t enabled_by; /* number (from 1) of the step that let the actor go on; 0: none */
	uint32_t first_race; /* index into order.races */
	uint32_t race_count;
	uint32_t first_pick; /* index into order.picks: faults decided in it */
	uint32_t pick_count;
	size_t events_end; /* events of the run's log when it was over; set by the choice */
	uint64_t picks;    /* hash of the faults decided in it; 0: none happens */
	uint64_t hash;     /* of the step and all that happens before it */
	uint64_t history;  /* sum of the hashes of the chain's steps up to this one */
	uint32_t previous; /* number (from 1) of the chain's step before; 0: none */
	struct footprint footprint;
};

/** What a look back over all steps needs to know of each, close together. */
struct order_glance {
	uint64_t objects; /* as the footprint's; all bits: everything */
	uint32_t chain;
	uint32_t number;
};

/** Steps of the present run, from the first. Initialise with order_init(). */
struct order {
	struct order_step *steps;     /* owned */
	uint32_t *clocks;             /* owned; ORDER_CHAINS_MAX for each step */
	struct order_glance *glances; /* owned; of each step */
	size_t count;
	size_t capacity;
	uint32_t *races; /* owned; for each step the earlier steps it races with, latest first */
	size_t race_count;
	size_t race_capacity;
	uint32_t actors[ORDER_CHAINS_MAX]; /* of each chain */
	uint32_t last[ORDER_CHAINS_MAX];   /* 1 + index of the chain's last step */
	uint32_t chain_count;
	uint32_t chain_most; /* chains in any run so far: what is behind them in clocks is zero */
	uint64_t class_hash; /* of the steps so far */
	uint32_t *picks;     /* owned; options taken when faults were decided */
	size_t pick_count;
	size_t pick_capacity;
	size_t open_pick; /* the first of the step in progress */
	bool overflowed;  /* more actors than chains: nothing here is valid */
};

/** An order without steps. */
void order_init(struct order *order);
/** Free what `order` owns. */
void order_release(struct order *order);

/** Forget all steps behind the first `count`. */
void order_truncate(struct order *order, size_t count);

/** A fault was decided in the step in progress: option `pick` of `count`. */
void order_note_pick(struct order *order, uint32_t pick);

/** The step of `actor` ended. `enabled_by`: the step (from 1) that spawned or woke the actor since
 * its last step; 0: none. Finds the step's clock and races. */
void order_add(struct order *order, uint32_t actor, const struct footprint *footprint,
	       uint32_t enabled_by);

/** A number that has `value` in every bit: sums of such do not depend on the order of adding. */
uint64_t order_mixed(uint64_t value);

/** Clock of step `index`: for each chain, how many of its steps happen before or are this one. */
static inline const uint32_t *order_clock(const struct order *order, size_t index)
{
	return &order->clocks[index * ORDER_CHAINS_MAX];
}

/** Does step `first` happen before step `second` (indices; a step not before itself)? */
static inline bool order_before(const struct order *order, size_t first, size_t second)
{
	const struct order_step *step = &order->steps[first];
	return first < second && order_clock(order, second)[step->chain] >= step->number;
}

#endif
