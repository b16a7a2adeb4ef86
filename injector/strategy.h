// SPDX-License-Identifier: MIT
/** How a search walks through the runs: one small interface, one small file each
 * (strategy_<name>.c). */
#ifndef INJECTOR_STRATEGY_H
#define INJECTOR_STRATEGY_H

#include "injector/footprint.h"
#include "injector/order.h"
#include "traces/event.h"
#include "traces/schedule.h"
#include "traces/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CHOICE_OPTIONS_MAX = 256 };

/** Returned in place of a pick when the run must end now (pruned, or a replay diverged). */
#define CHOICE_ABANDON UINT32_MAX

/** A decision to be made: one number out of `count`. */
struct choice_point {
	enum choice_kind kind;
	uint32_t count;         /* options, at least 1 */
	const uint32_t *actors; /* CHOICE_RUN: the actor that each option lets go on, each at most
				   once; borrowed */
};

/** Begins runs and answers choice points. Implementations embed this first. */
struct strategy {
	const struct strategy_ops *ops;
};

struct strategy_ops {
	const char *name; /* as given to --strategy */
	/** Begin the next run; false: there is none. */
	bool (*begin)(struct strategy *strategy);
	/** Answer a point with two or more options; CHOICE_ABANDON ends the run. */
	uint32_t (*pick)(struct strategy *strategy, const struct choice_point *point);
	/** `actor` alone can go on (a CHOICE_RUN point with one option, which is not a pick): false
	 * ends the run. May be NULL: always true. */
	bool (*forced)(struct strategy *strategy, uint32_t actor);
	/** The step that the last CHOICE_RUN pick began has ended (also called for points with one
	 * option, whose actor is `actor`). May be NULL. */
	void (*step_done)(struct strategy *strategy, uint32_t actor,
			  const struct footprint *footprint);
	/** How many steps at its beginning does the run just begun share with the last one? Asked
	 * after begin(). May be NULL: 0. */
	size_t (*kept_steps)(const struct strategy *strategy);
	/** The first `steps` steps, no more than kept_steps(), are not executed: the run goes on
	 * behind them. NULL exactly when kept_steps is. */
	void (*skip)(struct strategy *strategy, size_t steps);
	/** The run ends, or was given up, and `actor` is in front of the mutex `object` (as in
	 * footprints), which is held. May be NULL. */
	void (*stuck)(struct strategy *strategy, uint32_t actor, uint32_t object);
	/** Is the run just executed covered by another, although it came to its end? May be NULL:
	 * never. */
	bool (*is_redundant)(const struct strategy *strategy);
	/** The run is over. May be NULL. */
	void (*end)(struct strategy *strategy, enum run_end end, uint64_t log_digest);
	/** Has every run been covered? */
	bool (*is_complete)(const struct strategy *strategy);
	/** Why begin() returned false although not every run is covered: a literal, or NULL. May be
	 * NULL: NULL. */
	const char *(*why_stopped)(const struct strategy *strategy);
	/** One line on what went wrong with the search itself (diverged at step n; two runs
	 * differed), or NULL. */
	const char *(*complaint)(const struct strategy *strategy);
	void (*free)(struct strategy *strategy);
};

/** Every interleaving, depth first. With `prune`, sleep sets leave out runs that only exchange
 * independent steps of another run. Gives; NULL when memory is short. */
struct strategy *strategy_dfs_new(bool prune);

/** How many decisions the run just begun shares with the last one, the one that is taken otherwise
 * included. `strategy` is one of strategy_dfs_new(). */
size_t strategy_dfs_depth(const struct strategy *strategy);

/** Explore nothing more below decision number `depth` (from 0) of the run just executed, that
 * decision included. `strategy` is one of strategy_dfs_new(), without `prune`. */
void strategy_dfs_cut(struct strategy *strategy, size_t depth);

/** `runs` runs (0: no end) with uniformly random picks; equal seeds, equal runs. */
struct strategy *strategy_random_new(uint64_t seed, uint64_t runs);

/** Every interleaving with at most 0, then 1, 2, ... `bound_max` (0: no end) deviations from one
 * fixed scheduler; each once. Complete when no bound would add another. Gives; NULL when memory is
 * short. */
struct strategy *strategy_delay_new(uint32_t bound_max);

/** How many deviations the run in progress has. `strategy` is one of strategy_delay_new(). */
uint32_t strategy_delay_bound(const struct strategy *strategy);

/** `runs` runs (0: no end) spread over classes: partial-order sampling. Equal seeds, equal runs.
 * Gives; NULL when memory is short. */
struct strategy *strategy_pos_new(uint64_t seed, uint64_t runs);

/** `runs` runs (0: no end) each of which finds a bug of `depth` (at least 1) orderings with the
 * probability that PCT guarantees. Equal seeds, equal runs. Gives; NULL when memory is short. */
struct strategy *strategy_pct_new(uint64_t seed, uint64_t runs, uint32_t depth);

/** One run that follows `schedule` (copied) and takes option 0 afterwards. A pick that is not below
 * the point's count, or (when the schedule knows counts) another count, ends the run: complaint
 * "diverged at step n: ...". */
struct strategy *strategy_replay_new(const struct schedule *schedule);

/** Run every run of `inner` (taken) twice, and complain when the two logs' digests differ. */
struct strategy *strategy_twice_new(struct strategy *inner);

/** Free any strategy; NULL is allowed. */
void strategy_free(struct strategy *strategy);

#endif
