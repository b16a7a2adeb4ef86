// SPDX-License-Identifier: MIT
/** The shipped workloads as the tests of the whole use them. */
#ifndef TESTS_INTEGRATION_SHIPPED_H
#define TESTS_INTEGRATION_SHIPPED_H

#include "engine/qcow2/known_bugs.h"
#include "workloads/explore.h"
#include "workloads/recovery.h"
#include "workloads/world.h"

/** A shipped workload and its world. Everything that goes wrong here fails the test. */
struct shipped {
	struct workload workload;
	struct world_options options; /* of the world */
	struct world *world;
	bool repairs_in_order; /* a disk that does not reorder what repairs write */
};

/** Load the shipped workload `name` and build its world: `options`, with the workload's own faults
 * unless `options->faults_max` is SHIPPED_NO_FAULTS. */
void shipped_open(struct shipped *shipped, const char *name, const struct world_options *options);
void shipped_close(struct shipped *shipped);

enum { SHIPPED_NO_FAULTS = 0xffff };

/** A run of each class, or as many as `options` allows, which need not say `order`. Release with
 * explore_result_release(). */
void shipped_explore(struct shipped *shipped, const struct explore_options *options,
		     struct explore_result *result);

/** As shipped_explore(); then every dirty crash state is repaired, and its repairs crashed: what
 * goes wrong there is added to `result`, with 0 for the run. `sets` (empty; may be NULL) is filled.
 * The world is gone afterwards. */
void shipped_explore_and_recover(struct shipped *shipped, const struct explore_options *options,
				 struct explore_result *result, struct recovery_counts *counts,
				 struct explore_sets *sets);

/** One run with random picks. */
struct random_run {
	struct strategy *strategy; /* owned */
	struct choice choice;      /* its schedule is choice.taken */
	enum run_end end;
};

/** Execute the run that `seed` says. Release with shipped_random_end(). */
void shipped_random(struct shipped *shipped, uint64_t seed, struct random_run *run);
void shipped_random_end(struct random_run *run);

/** Execute `schedule` once in the world; returns how the run ended. Fails the test when the
 * schedule does not fit. */
enum run_end shipped_replay(struct shipped *shipped, const struct schedule *schedule);

/** Every crash model that the judge knows. */
unsigned shipped_models(void);

/** Does the judge know the crash models in which `bug` shows? */
bool shipped_can_show(const struct known_bug *bug);

/** How to search the workload of a known bug, switched on, with policy cancel. */
struct bug_search {
	const struct known_bug *bug;
	unsigned models;
	bool with_faults; /* the workload's own; otherwise none */
	enum sched_points points;
	uint64_t runs_max;     /* 0: all */
	bool repairs_in_order; /* see struct shipped */
};

/** Search so. Release `result` with explore_result_release(). */
void shipped_search_bug(const struct bug_search *search, struct explore_result *result);

/** How many workloads are shipped. */
size_t shipped_count(void);

/** A 64-bit digest of the bytes and the size of `content`; never 0. */
uint64_t shipped_digest(const struct content *content);

/** Is this build instrumented, and slow? */
bool shipped_is_slow_build(void);

extern const enum qcow2_policy shipped_policies[3];

#endif
