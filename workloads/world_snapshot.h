// SPDX-License-Identifier: MIT
/** Moments of a world's run to come back to, so that a search need not repeat the beginning that
 * two runs have in common. */
#ifndef WORKLOADS_WORLD_SNAPSHOT_H
#define WORKLOADS_WORLD_SNAPSHOT_H

#include "injector/choice.h"
#include "workloads/world.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	WORLD_SNAPSHOTS_MAX = 64,
	/** Steps between snapshots unless said otherwise. */
	WORLD_SNAPSHOTS_EVERY = 8,
};

/** Snapshots along the run in progress, or the last one, at ascending steps. */
struct world_snapshots;

/** No snapshots yet of `world` (borrowed; at most one such object for a world); from now on its
 * files keep undo logs. One is saved every `every` steps (0: WORLD_SNAPSHOTS_EVERY). Gives; NULL
 * when memory is short or when this world or build cannot have snapshots: with stack labels, with
 * AddressSanitizer. */
struct world_snapshots *world_snapshots_new(struct world *world, uint32_t every);
void world_snapshots_free(struct world_snapshots *snapshots);

/** The run stands between two steps, `step` of which have been taken: save it, if it is time for a
 * snapshot. Each step of the run must be reported, in order. The snapshot at step 0 is always kept;
 * when there are too many of the others, some are forgotten, so that they stand close together at
 * the end of the run and ever farther apart towards its beginning. */
void world_snapshots_save(struct world_snapshots *snapshots, uint64_t step,
			  const struct choice *choice);

/** Find the last snapshot at or before `step`: `*found` is where it was taken. False: there is
 * none. */
bool world_snapshots_best(const struct world_snapshots *snapshots, uint64_t step, uint64_t *found);

/** Put the world back to `step`, as world_snapshots_best() found it, and forget what was saved
 * after it. The session is active and its log still holds the events of the run that was saved;
 * `choice` has begun a run that keeps these steps, and skips them. sched_continue() goes on. */
void world_snapshots_load(struct world_snapshots *snapshots, uint64_t step, struct choice *choice);

/** Forget the snapshots after `step`. */
void world_snapshots_drop_above(struct world_snapshots *snapshots, uint64_t step);

/** Forget all: the world is about to be rewound. */
void world_snapshots_drop_all(struct world_snapshots *snapshots);

/** All that was saved at `step`, where there is a snapshot; `*count` bytes, borrowed until one is
 * saved or forgotten. Equal runs up to there have equal bytes. */
const uint8_t *world_snapshots_bytes(const struct world_snapshots *snapshots, uint64_t step,
				     size_t *count);

/** How many there are. */
size_t world_snapshots_count(const struct world_snapshots *snapshots);

#endif
