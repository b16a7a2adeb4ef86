// SPDX-License-Identifier: MIT
/* Happens-before over footprints.
 *
 * A step happens before a later one when a chain of these leads from one to the other:
 *   - both are steps of one actor;
 *   - the earlier spawned or woke the later one's actor (`enabled_by`);
 *   - the earlier gave back the mutex that the later takes, or was one of those that the later
 *     waited for (a read of what others "unlock" and nobody locks: a latch);
 *   - their footprints conflict.
 *
 * A *race* is a conflict that nothing else orders: the later step could have come first. Of the
 * four, only conflicts can be races. The others cannot be turned round: before the earlier step,
 * the later one's actor was not able to run.
 *
 * Mutexes. Somebody who takes a mutex that was held meanwhile could not have come between its lock
 * and its unlock, but it could have come before the lock. So the race is with the step that took
 * the mutex, and all of the held section happens before:
 *
 *     a: lock ......... unlock            the race is (lock, b), and every step of a's section
 *     b:                       lock       happens before b
 *
 * The steps are scanned from the latest back. A step that the clock covers already is ordered
 * through others, so each conflict found uncovered is a race, and its clock joins in.
 *
 * Identity: a step's hash is made of its actor's number, its own number, what was decided in it,
 * and the hashes of all steps that happen before it. Their numbers alone would not do: who looks at
 * a step may leave others out, a decision that left no trace but what came of it, say. A class's
 * hash is the sum over its steps: it does not depend on the order in which independent steps stand.
 */
#include "injector/order.h"

#include <stdlib.h>
#include <string.h>

/* A glance's objects when the step touched more than its footprint can say. */
#define EVERYTHING UINT64_MAX

void order_init(struct order *order)
{
	memset(order, 0, sizeof(*order));
}

void order_release(struct order *order)
{
	free(order->steps);
	free(order->clocks);
	free(order->glances);
	free(order->races);
	free(order->picks);
	order_init(order);
}

/** As realloc(); memory is the only bound here, and without it there is no honest way on. */
static void *grown(void *array, size_t bytes)
{
	void *larger = realloc(array, bytes);
	if (!larger)
		abort();
	return larger;
}

static void reserve(struct order *order)
{
	if (order->count < order->capacity)
		return;
	const size_t clock_bytes = ORDER_CHAINS_MAX * sizeof(*order->clocks);
	order->capacity = order->capacity ? 2 * order->capacity : 256;
	order->steps = grown(order->steps, order->capacity * sizeof(*order->steps));
	order->glances = grown(order->glances, order->capacity * sizeof(*order->glances));
	order->clocks = grown(order->clocks, order->capacity * clock_bytes);
	memset(order->clocks + order->count * ORDER_CHAINS_MAX, 0,
	       (order->capacity - order->count) * clock_bytes);
}

void order_truncate(struct order *order, size_t count)
{
	while (order->count > count) {
		const struct order_step *step = &order->steps[--order->count];
		order->class_hash -= step->hash;
		order->race_count = step->first_race;
		order->pick_count = step->first_pick;
		if (step->previous)
			order->last[step->chain] = step->previous;
		else
			order->chain_count = step->chain;
	}
	/* Picks behind the last step are those of one that was given up. */
	if (order->count > 0) {
		const struct order_step *step = &order->steps[order->count - 1];
		order->pick_count = step->first_pick + step->pick_count;
	} else {
		order->pick_count = 0;
	}
	order->open_pick = order->pick_count;
}

uint64_t order_mixed(uint64_t value)
{
	value = (value ^ value >> 32) * UINT64_C(0xd6e8feb86659fd93);
	value = (value ^ value >> 32) * UINT64_C(0xd6e8feb86659fd93);
	return value ^ value >> 32;
}

void order_note_pick(struct order *order, uint32_t pick)
{
	if (order->pick_count == order->pick_capacity) {
		order->pick_capacity = order->pick_capacity ? 2 * order->pick_capacity : 64;
		order->picks = grown(order->picks, order->pick_capacity * sizeof(*order->picks));
	}
	order->picks[order->pick_count++] = pick;
}

/* Option 0, no fault, counts for nothing: where no more faults may happen, none are decided. */
static uint64_t hash_picks(const struct order *order, const struct order_step *step)
{
	uint64_t hash = 0;
	for (uint32_t i = 0; i < step->pick_count; i++) {
		uint32_t pick = order->picks[step->first_pick + i];
		if (pick)
			hash += order_mixed((uint64_t)i << 32 | pick);
	}
	return hash;
}

static uint32_t chain_of(struct order *order, uint32_t actor)
{
	for (uint32_t chain = 0; chain < order->chain_count; chain++)
		if (order->actors[chain] == actor)
			return chain;
	if (order->chain_count == ORDER_CHAINS_MAX) {
		order->overflowed = true;
		return 0;
	}
	order->actors[order->chain_count] = actor;
	order->last[order->chain_count] = 0;
	if (order->chain_most == order->chain_count)
		order->chain_most++;
	return order->chain_count++;
}

static void add_race(struct order *order, struct order_step *step, size_t earlier)
{
	if (order->race_count == order->race_capacity) {
		order->race_capacity = order->race_capacity ? 2 * order->race_capacity : 256;
		order->races = grown(order->races, order->race_capacity * sizeof(*order->races));
	}
	order->races[order->race_count++] = (uint32_t)earlier;
	step->race_count++;
}

static void join(struct order *order, uint32_t *clock, size_t earlier)
{
	const uint32_t *other = order_clock(order, earlier);
	for (uint32_t chain = 0; chain < order->chain_count; chain++)
		if (clock[chain] < other[chain])
			clock[chain] = other[chain];
}

/** The last step before `unlock` of its chain that took mutex `object`; `unlock` itself when none
 * did: it is no mutex. */
static size_t find_lock(const struct order *order, size_t unlock, uint32_t object)
{
	uint32_t chain = order->steps[unlock].chain;
	size_t at = unlock;
	while (at > 0) {
		const struct order_step *step = &order->steps[--at];
		if (step->chain == chain && footprint_find(&step->footprint, object, ACCESS_LOCK))
			return at;
	}
	return unlock;
}

/** The mutex that `step` takes and that `earlier` gave back; 0: none. */
static uint32_t handed_over(const struct footprint *earlier, const struct footprint *step)
{
	for (uint32_t i = 0; i < earlier->count; i++) {
		uint32_t object = earlier->accesses[i].object;
		if (earlier->accesses[i].mode == ACCESS_UNLOCK &&
		    (footprint_find(step, object, ACCESS_LOCK) ||
		     footprint_find(step, object, ACCESS_READ)))
			return object;
	}
	return 0;
}

static uint64_t objects_of(const struct footprint *footprint)
{
	return footprint->everything ? EVERYTHING : footprint->objects;
}

/** Have the two nothing in common? Who touched everything conflicts also with who touched nothing.
 */
static bool are_apart(uint64_t objects, uint64_t others)
{
	return !(objects & others) && objects != EVERYTHING && others != EVERYTHING;
}

static void look_back(struct order *order, struct order_step *step, uint32_t *clock)
{
	const uint64_t objects = objects_of(&step->footprint);
	size_t at = order->count;
	while (at-- > 0) {
		const struct order_glance *glance = &order->glances[at];
		if (clock[glance->chain] >= glance->number || are_apart(objects, glance->objects))
			continue;
		const struct order_step *earlier = &order->steps[at];
		uint32_t mutex = handed_over(&earlier->footprint, &step->footprint);
		if (mutex) {
			size_t lock = find_lock(order, at, mutex);
			if (lock != at && clock[glance->chain] < order->steps[lock].number)
				add_race(order, step, lock);
		} else if (footprint_conflict(&earlier->footprint, &step->footprint)) {
			add_race(order, step, at);
		} else {
			continue;
		}
		join(order, clock, at);
	}
}

/** Sum of the hashes of the first `count` steps of a chain. */
static uint64_t hash_of_first(const struct order *order, uint32_t chain, uint32_t count)
{
	const struct order_step *step = &order->steps[order->last[chain] - 1];
	while (step->number > count)
		step = &order->steps[step->previous - 1];
	return step->history;
}

static uint64_t hash_step(const struct order *order, const struct order_step *step,
			  const uint32_t *clock)
{
	uint64_t past = 0;
	for (uint32_t chain = 0; chain < order->chain_count; chain++) {
		uint32_t before = clock[chain] - (chain == step->chain);
		if (before)
			past += order_mixed(hash_of_first(order, chain, before));
	}
	uint64_t own = order_mixed((uint64_t)step->actor << 32 | step->number);
	/* Picks are mixed once more: a sum of them must not pass for a sum of the past. */
	return order_mixed(past + 3 * own + order_mixed(step->picks));
}

void order_add(struct order *order, uint32_t actor, const struct footprint *footprint,
	       uint32_t enabled_by)
{
	reserve(order);
	uint32_t chain = chain_of(order, actor);
	if (order->overflowed)
		return;
	struct order_step *step = &order->steps[order->count];
	uint32_t *clock = &order->clocks[order->count * ORDER_CHAINS_MAX];
	step->actor = actor;
	step->chain = chain;
	step->enabled_by = enabled_by;
	step->first_race = (uint32_t)order->race_count;
	step->race_count = 0;
	step->first_pick = (uint32_t)order->open_pick;
	step->pick_count = (uint32_t)(order->pick_count - order->open_pick);
	step->picks = hash_picks(order, step);
	step->events_end = 0;
	footprint_copy(&step->footprint, footprint);
	memset(clock, 0, order->chain_most * sizeof(*clock));
	step->number = 1;
	if (order->last[chain]) {
		join(order, clock, order->last[chain] - 1);
		step->number = clock[chain] + 1;
	}
	if (enabled_by)
		join(order, clock, enabled_by - 1);
	look_back(order, step, clock);
	clock[chain] = step->number;
	order->glances[order->count] = (struct order_glance){
		.objects = objects_of(footprint),
		.chain = chain,
		.number = step->number,
	};
	step->previous = order->last[chain];
	step->hash = hash_step(order, step, clock);
	step->history = step->hash;
	if (step->previous)
		step->history += order->steps[step->previous - 1].history;
	order->class_hash += step->hash;
	order->last[chain] = (uint32_t)++order->count;
	order->open_pick = order->pick_count;
}
