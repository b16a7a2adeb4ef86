// SPDX-License-Identifier: MIT
/** The choice point: the only source of nondeterminism. Every decision of a run is one
 * choice_pick(). */
#ifndef INJECTOR_CHOICE_H
#define INJECTOR_CHOICE_H

#include "injector/strategy.h"
#include "traces/event.h"
#include "traces/schedule.h"

#include <stdint.h>

/** The decisions of one run at a time. Embedded or on the stack; initialise with choice_init(). */
struct choice {
	struct strategy *strategy; /* borrowed */
	struct event_log *log;     /* borrowed; CHOICE events go here; may be NULL */
	struct schedule taken; /* picks of the run so far, points with two or more options only */
	struct order *order;   /* borrowed; steps of the run are kept here; NULL after init: no */
	bool fresh;            /* no pick yet in this run: `taken` and `order` are the last one's */
	bool abandoned;        /* the strategy gave the run up: CHOICE_ABANDON was returned */
	uint32_t stepping; /* whose step the last CHOICE_RUN point began, from 1; 0: no step yet */
};

/** Borrow `strategy` and `log` until choice_release(). */
void choice_init(struct choice *choice, struct strategy *strategy, struct event_log *log);
void choice_release(struct choice *choice);

/** Begin the next run. False when the strategy has no more runs. The last run's picks and order are
 * forgotten with the first pick. */
bool choice_begin(struct choice *choice);

/** Tell the strategy how the run ended. `log_digest` is event_log_digest() of its events. */
void choice_end(struct choice *choice, enum run_end end, uint64_t log_digest);

/** Decide: returns 0 .. point->count - 1, or CHOICE_ABANDON. A point with one option is not
 * recorded. Asserts point->count > 0. */
uint32_t choice_pick(struct choice *choice, const struct choice_point *point);

/** Report what the step that ended touched (CHOICE_RUN points only, those with one option too),
 * before the next pick. The step is that of the actor whose turn the last CHOICE_RUN point made it;
 * `enabled_by` is as in order_add(). */
void choice_step_done(struct choice *choice, const struct footprint *footprint,
		      uint32_t enabled_by);

/** The run ends, or was given up, and `actor` is in front of the mutex `object` (as in footprints),
 * which is held: it might have come before the holder, although its step was not seen. */
void choice_stuck(struct choice *choice, uint32_t actor, uint32_t object);

/** Is the run just executed covered by another: given up, or redundant to its very end? */
bool choice_is_redundant(const struct choice *choice);

/** How many steps at the beginning of the run just begun equal those of the last one. */
size_t choice_kept_steps(const struct choice *choice);

/** The run just begun goes on behind its first `steps` steps, in which `picks` picks were taken and
 * the last of which was a step of `stepping`. */
void choice_skip(struct choice *choice, size_t steps, size_t picks, uint32_t stepping);

#endif
