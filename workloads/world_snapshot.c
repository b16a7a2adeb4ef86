// SPDX-License-Identifier: MIT
/* A depth-first search mostly changes one of the last decisions of a run, so the next run begins
 * like the last one. Copying back a few ten KiB takes microseconds, repeating two hundred steps a
 * hundred of them.
 *
 * A snapshot is made of what each part of the world appends to one buffer: the arena's pools, the
 * tasks and their stacks, the injector's session, and what stands in struct world itself. Four
 * things grow only at their end while a run goes on, so that their length is enough: the event log
 * and the list of what the guest learnt, the schedule, and the undo logs of the in-memory files.
 * That is why loading a snapshot forgets the later ones: their lengths would be those of another
 * run.
 *
 * Why addresses may be saved: everything that a pointer in the arena, on a stack or in a task can
 * point to is either saved itself and put back to where it was, or stays as it is from run to run
 * (the world, its requests, the text of the workload).
 *
 * What is not here: stack labels, whose table only grows, and files on a real disk. */
#include "workloads/world_snapshot.h"

#include "engine/memory/arena.h"
#include "engine/scheduler/sched_snapshot.h"
#include "injector/session.h"
#include "workloads/world_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct snapshot {
	uint64_t step;
	size_t event_count;
	size_t event_bytes;
	size_t picks;
	uint32_t stepping; /* as choice.stepping */
	struct snapshot_buffer buffer;
};

struct world_snapshots {
	struct world *world; /* borrowed */
	uint32_t every;
	size_t count;
	/* Those from `count` on keep their buffers' memory for the next. */
	struct snapshot items[WORLD_SNAPSHOTS_MAX];
};

/** What a run changes in struct world. */
struct run_state {
	struct qcow2 *image;
	struct co_queue idle;
	uint32_t outstanding;
	size_t told_count;
	char complaint[sizeof(((struct world *)NULL)->complaint)];
};

struct world_snapshots *world_snapshots_new(struct world *world, uint32_t every)
{
	if (!sched_can_snapshot(world->sched) || !session_can_snapshot() || world->options.stacks)
		return NULL;
	struct world_snapshots *snapshots = calloc(1, sizeof(*snapshots));
	if (!snapshots)
		return NULL;
	snapshots->world = world;
	snapshots->every = every ? every : WORLD_SNAPSHOTS_EVERY;
	session_track(true);
	return snapshots;
}

void world_snapshots_free(struct world_snapshots *snapshots)
{
	if (!snapshots)
		return;
	session_track(false);
	for (size_t i = 0; i < WORLD_SNAPSHOTS_MAX; i++)
		snapshot_buffer_release(&snapshots->items[i].buffer);
	free(snapshots);
}

static bool is_read(const struct world_request *request)
{
	return request->buffer && request->command->op == REQUEST_READ;
}

static void save_world(const struct world *world, struct snapshot_buffer *buffer)
{
	struct run_state state = { .image = world->image,
				   .idle = world->idle,
				   .outstanding = world->outstanding,
				   .told_count = world->told_count };
	memcpy(state.complaint, world->complaint, sizeof(state.complaint));
	snapshot_buffer_put(buffer, &state, sizeof(state));
	for (size_t i = 0; i < world->requests.count; i++) {
		const struct world_request *request = &world->requests.items[i];
		if (is_read(request))
			snapshot_buffer_put(buffer, request->buffer,
					    (size_t)request->command->length);
	}
}

static void load_world(struct world *world, struct snapshot_buffer *buffer)
{
	struct run_state state;
	snapshot_buffer_get(buffer, &state, sizeof(state));
	world->image = state.image;
	world->idle = state.idle;
	world->outstanding = state.outstanding;
	world->told_count = state.told_count;
	memcpy(world->complaint, state.complaint, sizeof(state.complaint));
	for (size_t i = 0; i < world->requests.count; i++) {
		const struct world_request *request = &world->requests.items[i];
		if (is_read(request))
			snapshot_buffer_get(buffer, request->buffer,
					    (size_t)request->command->length);
	}
}

/** Forget snapshot `i`; its buffer goes to the end. */
static void forget(struct world_snapshots *snapshots, size_t i)
{
	struct snapshot forgotten = snapshots->items[i];
	snapshots->count--;
	memmove(&snapshots->items[i], &snapshots->items[i + 1],
		(snapshots->count - i) * sizeof(forgotten));
	snapshots->items[snapshots->count] = forgotten;
}

/** Forget the snapshot that is missed least: the gap left, compared with how far before `end` it
 * begins, is the smallest. */
static void thin_out(struct world_snapshots *snapshots, uint64_t end)
{
	const struct snapshot *items = snapshots->items;
	size_t least = 1;
	uint64_t least_gap = UINT32_MAX, least_depth = 1;
	for (size_t i = 1; i + 1 < snapshots->count; i++) {
		uint64_t gap = items[i + 1].step - items[i - 1].step;
		uint64_t depth = end - items[i - 1].step;
		if (gap * least_depth >= least_gap * depth)
			continue;
		least = i;
		least_gap = gap;
		least_depth = depth;
	}
	forget(snapshots, least);
}

static bool is_due(const struct world_snapshots *snapshots, uint64_t step)
{
	size_t count = snapshots->count;
	return count == 0 ? step == 0 : step >= snapshots->items[count - 1].step + snapshots->every;
}

void world_snapshots_save(struct world_snapshots *snapshots, uint64_t step,
			  const struct choice *choice)
{
	const struct world *world = snapshots->world;
	if (!is_due(snapshots, step) || !sched_can_snapshot(world->sched))
		return;
	if (snapshots->count == WORLD_SNAPSHOTS_MAX)
		thin_out(snapshots, step);
	struct snapshot *snapshot = &snapshots->items[snapshots->count++];
	snapshot->step = step;
	snapshot->event_count = world->log.count;
	snapshot->event_bytes = world->log.byte_count;
	snapshot->picks = step ? choice->taken.count : 0;
	snapshot->stepping = choice->stepping;
	snapshot_buffer_clear(&snapshot->buffer);
	save_world(world, &snapshot->buffer);
	arena_save(world->arena, &snapshot->buffer);
	sched_save(world->sched, &snapshot->buffer);
	session_save(&snapshot->buffer);
}

/** The number of snapshots at or before `step`. */
static size_t count_until(const struct world_snapshots *snapshots, uint64_t step)
{
	size_t count = snapshots->count;
	while (count > 0 && snapshots->items[count - 1].step > step)
		count--;
	return count;
}

bool world_snapshots_best(const struct world_snapshots *snapshots, uint64_t step, uint64_t *found)
{
	size_t count = count_until(snapshots, step);
	if (count == 0)
		return false;
	*found = snapshots->items[count - 1].step;
	return true;
}

void world_snapshots_load(struct world_snapshots *snapshots, uint64_t step, struct choice *choice)
{
	struct world *world = snapshots->world;
	world_snapshots_drop_above(snapshots, step);
	assert(snapshots->count > 0);
	struct snapshot *snapshot = &snapshots->items[snapshots->count - 1];
	assert(snapshot->step == step && "found by world_snapshots_best()");
	assert(world->log.count >= snapshot->event_count &&
	       world->log.byte_count >= snapshot->event_bytes && "the log was not reset");
	world->log.count = snapshot->event_count;
	world->log.byte_count = snapshot->event_bytes;
	snapshot_buffer_rewind(&snapshot->buffer);
	load_world(world, &snapshot->buffer);
	arena_load(world->arena, &snapshot->buffer);
	sched_load(world->sched, &snapshot->buffer);
	session_load(&snapshot->buffer);
	assert(snapshot->buffer.read == snapshot->buffer.used && "all that was saved");
	if (step > 0)
		choice_skip(choice, (size_t)step, snapshot->picks, snapshot->stepping);
}

void world_snapshots_drop_above(struct world_snapshots *snapshots, uint64_t step)
{
	snapshots->count = count_until(snapshots, step);
}

void world_snapshots_drop_all(struct world_snapshots *snapshots)
{
	snapshots->count = 0;
}

const uint8_t *world_snapshots_bytes(const struct world_snapshots *snapshots, uint64_t step,
				     size_t *count)
{
	const struct snapshot *snapshot = &snapshots->items[count_until(snapshots, step) - 1];
	assert(snapshot->step == step);
	*count = snapshot->buffer.used;
	return snapshot->buffer.bytes;
}

size_t world_snapshots_count(const struct world_snapshots *snapshots)
{
	return snapshots->count;
}
