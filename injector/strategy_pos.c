// SPDX-License-Identifier: MIT
/* Partial-order sampling (Yuan, Yang, Gu, CAV 2018): random runs, spread over classes instead of
 * over interleavings.
 *
 * The step that an actor would do next is *pending* and has a random priority. The highest goes
 * first. When it ran, each pending step that conflicts with it gets a new priority, and so does its
 * actor's next step. Why: a random walk decides an order again at every step, so an actor with many
 * steps almost never comes late. Here the order of two pending steps is decided once, by their
 * priorities, and again only by a step that either of them races with; between independent steps
 * nothing is decided. Deep orders (all of a before b's first step) become likely.
 *
 * The hazard: what a pending step touches is known only after it ran. So footprints are learnt: a
 * table keeps what each actor was last seen to touch at each *position*. A position is an actor,
 * the number of its step, and the faults decided in its steps before. A step whose position is new
 * counts as conflicting; the first run is a random walk, therefore. A step that touches something
 * else this time, because it read something else, costs quality and nothing more: any order of
 * priorities is a legal run.
 *
 * The table has a fixed size and keeps the later of two positions that fall on one place. It
 * outlives runs, so run n depends on the seed and on the program's behaviour in the runs before it;
 * equal seeds give equal sequences of runs.
 *
 * What it does not do: faults are picked uniformly, without priorities. It never knows that it has
 * seen everything. */
#include "injector/strategy.h"

#include "injector/splitmix.h"
#include "traces/memory.h"

#include <stdlib.h>

enum { PLACES = 1 << 12, PLACES_MASK = PLACES - 1 };

/** An actor of the run in progress. */
struct pos_actor {
	uint32_t actor;
	uint64_t position; /* hash: see above; never 0 */
	uint64_t priority; /* of its pending step */
};

/** What the step at `position` was last seen to touch. */
struct seen_step {
	uint64_t position; /* 0: none */
	struct footprint footprint;
};

struct pos_strategy {
	struct strategy base;
	struct splitmix bits;
	uint64_t runs_left;
	bool endless;
	struct pos_actor *actors; /* owned */
	size_t actor_count;
	size_t actor_capacity;
	uint32_t stepping;      /* the actor whose step is in progress */
	struct seen_step *seen; /* owned; PLACES of them */
};

static struct pos_strategy *pos_of(struct strategy *strategy)
{
	return (struct pos_strategy *)strategy;
}

static bool pos_begin(struct strategy *strategy)
{
	struct pos_strategy *pos = pos_of(strategy);

	pos->actor_count = 0;
	pos->stepping = 0;
	if (pos->endless)
		return true;
	if (pos->runs_left == 0)
		return false;
	pos->runs_left--;
	return true;
}

static uint64_t position_after(uint64_t position, uint64_t what)
{
	uint64_t hash = splitmix_mix(position ^ what * UINT64_C(0x9e3779b97f4a7c15));
	return hash ? hash : 1;
}

/** The actor of that number; one that is met for the first time is added. */
static struct pos_actor *find_actor(struct pos_strategy *pos, uint32_t number)
{
	for (size_t i = 0; i < pos->actor_count; i++)
		if (pos->actors[i].actor == number)
			return &pos->actors[i];
	pos->actors = memory_grow(pos->actors, &pos->actor_capacity, pos->actor_count + 1,
				  sizeof(*pos->actors));
	struct pos_actor *added = &pos->actors[pos->actor_count++];
	*added = (struct pos_actor){
		.actor = number,
		.position = position_after(1, number),
		.priority = splitmix_next(&pos->bits),
	};
	return added;
}

static uint32_t pos_pick(struct strategy *strategy, const struct choice_point *point)
{
	struct pos_strategy *pos = pos_of(strategy);

	if (point->kind == CHOICE_FAULT) {
		uint32_t fault = splitmix_below(&pos->bits, point->count);
		struct pos_actor *actor = find_actor(pos, pos->stepping);
		actor->position = position_after(actor->position, 1 + (uint64_t)fault);
		return fault;
	}
	uint32_t best = 0;
	uint64_t best_priority = 0;
	for (uint32_t option = 0; option < point->count; option++) {
		uint64_t priority = find_actor(pos, point->actors[option])->priority;
		if (option == 0 || priority > best_priority) {
			best = option;
			best_priority = priority;
		}
	}
	pos->stepping = point->actors[best];
	return best;
}

static bool pos_forced(struct strategy *strategy, uint32_t actor)
{
	pos_of(strategy)->stepping = actor;
	return true;
}

/** May the step pending at `position` conflict with one that touched `footprint`? */
static bool may_race(const struct pos_strategy *pos, uint64_t position,
		     const struct footprint *footprint)
{
	const struct seen_step *seen = &pos->seen[position & PLACES_MASK];
	return seen->position != position || footprint_conflict(&seen->footprint, footprint);
}

static void pos_step_done(struct strategy *strategy, uint32_t actor,
			  const struct footprint *footprint)
{
	struct pos_strategy *pos = pos_of(strategy);
	struct pos_actor *stepped = find_actor(pos, actor);
	struct seen_step *seen = &pos->seen[stepped->position & PLACES_MASK];

	seen->position = stepped->position;
	footprint_copy(&seen->footprint, footprint);
	stepped->position = position_after(stepped->position, 0);
	for (size_t i = 0; i < pos->actor_count; i++) {
		struct pos_actor *pending = &pos->actors[i];
		if (pending == stepped || may_race(pos, pending->position, footprint))
			pending->priority = splitmix_next(&pos->bits);
	}
}

static bool pos_is_complete(const struct strategy *strategy)
{
	(void)strategy;
	return false;
}

static const char *pos_complaint(const struct strategy *strategy)
{
	(void)strategy;
	return NULL;
}

static void pos_free(struct strategy *strategy)
{
	struct pos_strategy *pos = pos_of(strategy);

	free(pos->actors);
	free(pos->seen);
	free(pos);
}

static const struct strategy_ops pos_ops = {
	.name = "pos",
	.begin = pos_begin,
	.pick = pos_pick,
	.forced = pos_forced,
	.step_done = pos_step_done,
	.is_complete = pos_is_complete,
	.complaint = pos_complaint,
	.free = pos_free,
};

struct strategy *strategy_pos_new(uint64_t seed, uint64_t runs)
{
	struct pos_strategy *pos = calloc(1, sizeof(*pos));

	if (!pos)
		return NULL;
	pos->base.ops = &pos_ops;
	pos->bits.state = seed;
	pos->runs_left = runs;
	pos->endless = runs == 0;
	pos->seen = calloc(PLACES, sizeof(*pos->seen));
	if (!pos->seen) {
		pos_free(&pos->base);
		return NULL;
	}
	return &pos->base;
}
