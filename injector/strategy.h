// SPDX-License-Identifier: MIT
/** How a search walks through the runs: one small interface, one small file each
 * (strategy_<name>.c). */
#ifndef INJECTOR_STRATEGY_H
#define INJECTOR_STRATEGY_H

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

/** What one step touched, told after it ran. Two steps of different actors are independent iff
 * exchanging them changes neither what the engine does nor the order of anything that an oracle
 * looks at. */
struct footprint {
	bool shared;  /* engine memory that several coroutines use (locks, queues, tables, lists) */
	bool ordered; /* something whose order is observed: writes, flushes, size changes, requests
			 begun or ended */
	bool has_read;      /* bytes of a file were read ... */
	bool has_write;     /* ... or changed: */
	uint16_t file;      /* which file */
	uint64_t host_from; /* first byte */
	uint64_t host_to;   /* byte after the last */
	bool everything; /* more was touched than the fields can say: conflicts with every step */
};

/** Can the two steps not be exchanged? */
bool footprint_conflict(const struct footprint *a, const struct footprint *b);

/** Make `to` cover all that `more` touched as well. Ranges of one file become the smallest range
 * that holds both; ranges of two files become `everything`. */
void footprint_add(struct footprint *to, const struct footprint *more);

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
	/** The run is over. May be NULL. */
	void (*end)(struct strategy *strategy, enum run_end end, uint64_t log_digest);
	/** Has every run been covered? */
	bool (*is_complete)(const struct strategy *strategy);
	/** One line on what went wrong with the search itself (diverged at step n; two runs
	 * differed), or NULL. */
	const char *(*complaint)(const struct strategy *strategy);
	void (*free)(struct strategy *strategy);
};

/** Every interleaving, depth first. With `prune`, sleep sets leave out runs that only exchange
 * independent steps of another run. Gives; NULL when memory is short. */
struct strategy *strategy_dfs_new(bool prune);

/** `runs` runs (0: no end) with uniformly random picks; equal seeds, equal runs. */
struct strategy *strategy_random_new(uint64_t seed, uint64_t runs);

/** One run that follows `schedule` (copied) and takes option 0 afterwards. A pick that is not below
 * the point's count, or (when the schedule knows counts) another count, ends the run: complaint
 * "diverged at step n: ...". */
struct strategy *strategy_replay_new(const struct schedule *schedule);

/** Run every run of `inner` (taken) twice, and complain when the two logs' digests differ. */
struct strategy *strategy_twice_new(struct strategy *inner);

/** Free any strategy; NULL is allowed. */
void strategy_free(struct strategy *strategy);

#endif
