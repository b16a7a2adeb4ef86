// SPDX-License-Identifier: MIT
/** Small programs for the strategies: actors whose steps use one object each. Every value depends
 * on everything read before, so the hash of a run's end is that of its class: two runs end alike
 * iff they differ by exchanging independent steps. */
#ifndef TESTS_UNIT_TOY_PROGRAM_H
#define TESTS_UNIT_TOY_PROGRAM_H

#include "injector/strategy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TOY_ACTORS_MAX = 4, TOY_STEPS_MAX = 40, TOY_OBJECTS = 6 };

enum toy_kind {
	TOY_UPDATE, /* read and write the object */
	TOY_LOOK,   /* read it */
	TOY_WAIT,   /* can go on only when the object was updated; reads it */
	TOY_FAULT,  /* an update that may fail, and then touches nothing */
};

struct toy_step {
	enum toy_kind kind;
	unsigned object;
};

struct toy_program {
	unsigned actor_count;
	unsigned step_count[TOY_ACTORS_MAX];
	struct toy_step steps[TOY_ACTORS_MAX][TOY_STEPS_MAX];
};

struct toy_state {
	uint64_t objects[TOY_OBJECTS];
	uint64_t locals[TOY_ACTORS_MAX];
	unsigned next[TOY_ACTORS_MAX];
	uint64_t order; /* hash of the picks in order: names the interleaving */
};

/** A hash of both. */
static inline uint64_t toy_mix(uint64_t a, uint64_t b)
{
	a = ((a << 5 | a >> 59) + b + 12345) * UINT64_C(0x9e3779b97f4a7c15);
	return a ^ (a >> 29);
}

/** As at the beginning of a run. */
static inline void toy_begin(struct toy_state *state)
{
	*state = (struct toy_state){ .order = 1 };
	for (unsigned actor = 0; actor < TOY_ACTORS_MAX; actor++)
		state->locals[actor] = actor + 1;
}

/** List who can go on: numbers from 1. Highest first, so that the order of options is not that of
 * the numbers. Returns how many. */
static inline uint32_t toy_enabled(const struct toy_program *program, const struct toy_state *state,
				   uint32_t *actors)
{
	uint32_t count = 0;

	for (unsigned actor = program->actor_count; actor-- > 0;) {
		const struct toy_step *step = &program->steps[actor][state->next[actor]];
		if (state->next[actor] == program->step_count[actor])
			continue;
		if (step->kind == TOY_WAIT && state->objects[step->object] == 0)
			continue;
		actors[count++] = actor + 1;
	}
	return count;
}

/** Does the next step of `actor` (from 1) ask whether it fails? */
static inline bool toy_asks(const struct toy_program *program, const struct toy_state *state,
			    uint32_t actor)
{
	return program->steps[actor - 1][state->next[actor - 1]].kind == TOY_FAULT;
}

/** Run the next step of `actor` (from 1); `fault`: what toy_asks() was answered. */
static inline void toy_step(const struct toy_program *program, struct toy_state *state,
			    uint32_t actor, uint32_t fault, struct footprint *footprint)
{
	unsigned number = state->next[actor - 1]++;
	const struct toy_step *step = &program->steps[actor - 1][number];
	uint64_t *local = &state->locals[actor - 1];
	bool looks = step->kind == TOY_LOOK || step->kind == TOY_WAIT;

	state->order = toy_mix(state->order, 2 * actor + fault);
	*local = toy_mix(*local, fault ? 7 : state->objects[step->object]);
	footprint_clear(footprint);
	if (fault)
		return;
	footprint_touch(footprint, footprint_object(OBJECT_FIRST_OF_OTHERS, step->object), 0, 1,
			looks ? ACCESS_READ : ACCESS_WRITE);
	if (!looks)
		state->objects[step->object] = *local;
}

/** The run's class. */
static inline uint64_t toy_class(const struct toy_state *state)
{
	uint64_t hash = 1;

	for (unsigned i = 0; i < TOY_OBJECTS; i++)
		hash = toy_mix(hash, state->objects[i]);
	for (unsigned i = 0; i < TOY_ACTORS_MAX; i++)
		hash = toy_mix(hash, state->locals[i]);
	return hash;
}

/** As choice_pick(): points with one option are not picks. */
static inline uint32_t toy_pick(struct strategy *strategy, const struct choice_point *point)
{
	const struct strategy_ops *ops = strategy->ops;

	if (point->count > 1)
		return ops->pick(strategy, point);
	if (point->kind == CHOICE_RUN && ops->forced && !ops->forced(strategy, point->actors[0]))
		return CHOICE_ABANDON;
	return 0;
}

/** Execute a run that begin() began. False: the strategy gave it up. */
static inline bool toy_run(const struct toy_program *program, struct strategy *strategy,
			   struct toy_state *state)
{
	uint32_t actors[TOY_ACTORS_MAX];
	struct choice_point point = { .kind = CHOICE_RUN, .actors = actors };
	const struct choice_point fault_point = { .kind = CHOICE_FAULT, .count = 2 };
	struct footprint footprint;

	toy_begin(state);
	while ((point.count = toy_enabled(program, state, actors)) > 0) {
		uint32_t pick = toy_pick(strategy, &point);
		if (pick == CHOICE_ABANDON)
			return false;
		uint32_t fault = 0;
		if (toy_asks(program, state, actors[pick]))
			fault = toy_pick(strategy, &fault_point);
		if (fault == CHOICE_ABANDON)
			return false;
		toy_step(program, state, actors[pick], fault, &footprint);
		if (strategy->ops->step_done)
			strategy->ops->step_done(strategy, actors[pick], &footprint);
	}
	return true;
}

/** Add `hash` to the `*count` different ones in `list`, which has room. Returns whether it is
 * new. */
static inline bool toy_note(uint64_t *list, size_t *count, uint64_t hash)
{
	for (size_t i = 0; i < *count; i++)
		if (list[i] == hash)
			return false;
	list[(*count)++] = hash;
	return true;
}

#endif
