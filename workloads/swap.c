// SPDX-License-Identifier: MIT
/* Partial-order reduction leaves out every order that only exchanges independent steps. That is
 * right if exchanging them changes nothing, and whether steps are independent is what their
 * footprints say. Nobody has proved that the footprints are complete; here they are put to the
 * test.
 *
 *     a random run:          ... p  x  y ...     x, y: steps of two tasks, declared independent
 *     up to behind the pair: ... p  x  y |       what is there now must be
 *     and exchanged:         ... p  y  x |       what is there now
 *
 * Compared are: the bytes of every pool of the arena, the live stacks, the data that reads brought,
 * the image, and the footprints of both steps. Equal bytes are more than is needed; they can be
 * asked for because addresses depend on a task's own history only.
 *
 * The pair is one that was executed one step after the other, not two steps that start from the
 * same state: where both would take the same free cluster, for example, that state is the one in
 * which they conflict elsewhere, and a declaration that is missing goes unnoticed.
 *
 * Not compared: the log (its order is what was changed), and what the scheduler keeps for its
 * reports. */
#include "workloads/swap.h"

#include "engine/scheduler/sched_snapshot.h"
#include "injector/session.h"
#include "injector/splitmix.h"
#include "injector/strategy_follow.h"
#include "workloads/world_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAIRS_A_RUN = 8, PARTS_MAX = 1024 };

/** What a part of the state is. */
enum part_kind { PART_POOL, PART_STACK, PART_READ };

/** A part of the state; its bytes lie in state.bytes. */
struct part {
	enum part_kind kind;
	uint32_t number; /* of the pool, task or request */
	size_t first;
	size_t count;
};

/** A state between two steps. */
struct state {
	struct part parts[PARTS_MAX];
	size_t part_count;
	uint8_t *bytes; /* owned */
	size_t used, capacity;
	uint64_t image; /* hash of the files, of how the run ended, of what requests returned */
	bool is_taken;
};

/** Follows a list of steps, looks at the state behind them, and gives the run up. */
struct stopping {
	struct strategy base;
	struct strategy *inner; /* owned */
	size_t steps_left;
	const struct world *world; /* borrowed */
	struct state *state;       /* borrowed */
	bool is_whole;
};

/** A test in progress. */
struct swap {
	struct world *world;
	struct swap_result *result;
	struct splitmix random;
	struct order order;  /* of the random run */
	struct order behind; /* of a repeated one */
	struct state straight, exchanged;
	uint32_t *list; /* owned; indices of steps */
	size_t list_capacity;
	uint64_t run_seed;
};

static void *grown(void *array, size_t bytes)
{
	void *larger = realloc(array, bytes);
	if (!larger)
		abort();
	return larger;
}

static void add_part(struct state *state, enum part_kind kind, uint32_t number,
		     const uint8_t *bytes, size_t count)
{
	if (state->part_count == PARTS_MAX)
		abort();
	if (state->used + count > state->capacity) {
		state->capacity = 2 * (state->used + count);
		state->bytes = grown(state->bytes, state->capacity);
	}
	state->parts[state->part_count++] = (struct part){
		.kind = kind,
		.number = number,
		.first = state->used,
		.count = count,
	};
	if (count)
		memcpy(state->bytes + state->used, bytes, count);
	state->used += count;
}

static void add_pool(void *context, uint32_t pool, const uint8_t *bytes, size_t count)
{
	add_part(context, PART_POOL, pool, bytes, count);
}

static void add_stack(void *context, uint32_t task, const uint8_t *bytes, size_t count)
{
	add_part(context, PART_STACK, task, bytes, count);
}

static void take_state(struct state *state, const struct world *world, bool is_whole)
{
	state->part_count = 0;
	state->used = 0;
	state->is_taken = true;
	state->image = world_end_hash(world);
	for (size_t i = 0; i < world->requests.count; i++) {
		const struct world_request *request = &world->requests.items[i];
		if (request->buffer && request->command->op == REQUEST_READ)
			add_part(state, PART_READ, request->id, request->buffer,
				 (size_t)request->command->length);
	}
	arena_visit(world->arena, add_pool, state);
	if (is_whole)
		sched_visit_stacks(world->sched, add_stack, state);
}

static struct stopping *stopping_of(struct strategy *strategy)
{
	return (struct stopping *)strategy;
}

/* Is it over? Then the state is taken. */
static bool has_stopped(struct stopping *stopping)
{
	if (stopping->steps_left > 0) {
		stopping->steps_left--;
		return false;
	}
	take_state(stopping->state, stopping->world, stopping->is_whole);
	return true;
}

static bool stopping_begin(struct strategy *strategy)
{
	struct strategy *inner = stopping_of(strategy)->inner;
	return inner->ops->begin(inner);
}

static uint32_t stopping_pick(struct strategy *strategy, const struct choice_point *point)
{
	struct stopping *stopping = stopping_of(strategy);
	if (point->kind == CHOICE_RUN && has_stopped(stopping))
		return CHOICE_ABANDON;
	return stopping->inner->ops->pick(stopping->inner, point);
}

static bool stopping_forced(struct strategy *strategy, uint32_t actor)
{
	struct stopping *stopping = stopping_of(strategy);
	return !has_stopped(stopping) && stopping->inner->ops->forced(stopping->inner, actor);
}

static const struct strategy_ops stopping_ops = {
	.name = "stopping",
	.begin = stopping_begin,
	.pick = stopping_pick,
	.forced = stopping_forced,
};

/* Execute the first `count` steps on the list. False, with a text, when they cannot be. */
static bool execute(struct swap *swap, size_t count, struct state *state)
{
	struct stopping stopping = {
		.base.ops = &stopping_ops,
		.inner = strategy_follow_new(&swap->order, swap->list, count),
		.steps_left = count,
		.world = swap->world,
		.state = state,
		.is_whole = swap->result->is_whole,
	};
	struct choice choice;
	choice_init(&choice, &stopping.base, NULL);
	choice.order = &swap->behind;
	state->is_taken = false;
	if (!choice_begin(&choice))
		abort();
	(void)world_run(swap->world, &choice);
	const char *complaint = stopping.inner->ops->complaint(stopping.inner);
	if (complaint && !swap->result->first[0])
		snprintf(swap->result->first, sizeof(swap->result->first), "exchanged: %s",
			 complaint);
	/* The pair may have been the end of the run. */
	if (!complaint && !state->is_taken)
		take_state(state, swap->world, false);
	choice_release(&choice);
	strategy_free(stopping.inner);
	return !complaint;
}

/* The first byte in which the parts differ; SIZE_MAX: none. */
static size_t first_difference(const struct state *a, const struct state *b, size_t part)
{
	const struct part *one = &a->parts[part], *other = &b->parts[part];
	size_t count = one->count < other->count ? one->count : other->count;
	const uint8_t *left = a->bytes + one->first, *right = b->bytes + other->first;
	for (size_t i = 0; i < count; i++)
		if (left[i] != right[i])
			return i;
	return one->count == other->count ? SIZE_MAX : count;
}

/* Eight bytes around the one that differs, as a number would be read. */
static uint64_t word_at(const struct state *state, const struct part *part, size_t at)
{
	uint64_t word = 0;
	at -= at % sizeof(word);
	if (at + sizeof(word) <= part->count)
		memcpy(&word, state->bytes + part->first + at, sizeof(word));
	return word;
}

static void describe_part(char *text, size_t text_bytes, const struct swap *swap, size_t part,
			  size_t at)
{
	static const char *const names[] = { "arena pool", "stack of task", "data of read" };
	const struct part *one = &swap->straight.parts[part];
	snprintf(text, text_bytes,
		 "%s %" PRIu32 " at byte %zu: %016" PRIx64 ", exchanged %016" PRIx64,
		 names[one->kind], one->number, at - at % sizeof(uint64_t),
		 word_at(&swap->straight, one, at),
		 word_at(&swap->exchanged, &swap->exchanged.parts[part], at));
}

/* Compare the two states. False, with a text, when they differ. */
static bool compare_states(const struct swap *swap, char *text, size_t text_bytes)
{
	const struct state *a = &swap->straight, *b = &swap->exchanged;
	if (a->image != b->image) {
		snprintf(text, text_bytes, "the image, or what requests returned");
		return false;
	}
	if (a->part_count != b->part_count) {
		snprintf(text, text_bytes, "%zu pools and stacks, exchanged %zu", a->part_count,
			 b->part_count);
		return false;
	}
	for (size_t i = 0; i < a->part_count; i++) {
		size_t at = first_difference(a, b, i);
		if (at == SIZE_MAX)
			continue;
		describe_part(text, text_bytes, swap, i, at);
		return false;
	}
	return true;
}

/* The first access that only one of the footprints has. */
static void describe_footprints(char *text, size_t text_bytes, const struct footprint *a,
				const struct footprint *b)
{
	uint32_t i = 0;
	while (i < a->count && i < b->count &&
	       memcmp(&a->accesses[i], &b->accesses[i], sizeof(a->accesses[i])) == 0)
		i++;
	const struct access nothing = { 0 };
	const struct access *one = i < a->count ? &a->accesses[i] : &nothing;
	const struct access *other = i < b->count ? &b->accesses[i] : &nothing;
	snprintf(text, text_bytes,
		 "footprint: object %#" PRIx32 " [%#" PRIx64 ", %#" PRIx64
		 ") mode %d, exchanged %#" PRIx32 " [%#" PRIx64 ", %#" PRIx64 ") mode %d",
		 one->object, one->from, one->to, (int)one->mode, other->object, other->from,
		 other->to, (int)other->mode);
}

/* Compare what the two steps touched with what they touched in the other order, which was executed
 * last. */
static bool compare_footprints(const struct swap *swap, size_t index, char *text, size_t text_bytes)
{
	for (size_t i = 0; i < 2; i++) {
		const struct footprint *a = &swap->order.steps[index + i].footprint;
		const struct footprint *b = &swap->behind.steps[index + 1 - i].footprint;
		if (footprint_equal(a, b))
			continue;
		describe_footprints(text, text_bytes, a, b);
		return false;
	}
	return true;
}

/* Exchange steps `index` and `index + 1` of the random run. */
static void test_pair(struct swap *swap, size_t index)
{
	struct swap_result *result = swap->result;
	char text[SWAP_TEXT_BYTES / 2] = "";
	for (size_t i = 0; i < index + 2; i++)
		swap->list[i] = (uint32_t)i;
	bool is_same = execute(swap, index + 2, &swap->straight);
	swap->list[index] = (uint32_t)index + 1;
	swap->list[index + 1] = (uint32_t)index;
	is_same = is_same && execute(swap, index + 2, &swap->exchanged) &&
		  compare_states(swap, text, sizeof(text)) &&
		  compare_footprints(swap, index, text, sizeof(text));
	result->tested++;
	if (is_same)
		return;
	result->differing++;
	if (result->first[0])
		return;
	const struct order_step *step = &swap->order.steps[index];
	snprintf(result->first, sizeof(result->first),
		 "seed %" PRIu64 ", steps %zu of task %" PRIu32 " and %zu of task %" PRIu32 ": %s",
		 swap->run_seed, index, step[0].actor, index + 1, step[1].actor, text);
}

static bool are_independent(const struct order *order, size_t index)
{
	return order->steps[index].actor != order->steps[index + 1].actor &&
	       !order_before(order, index, index + 1);
}

/* Exchange some pairs of the random run, spread over it. */
static void test_pairs_of_run(struct swap *swap, uint64_t pairs)
{
	size_t candidates = 0;
	for (size_t i = 0; i + 1 < swap->order.count; i++)
		candidates += are_independent(&swap->order, i);
	uint64_t wanted = pairs < PAIRS_A_RUN ? pairs : PAIRS_A_RUN;
	for (size_t i = 0; i + 1 < swap->order.count && wanted > 0; i++) {
		if (!are_independent(&swap->order, i))
			continue;
		/* Each set of `wanted` of the remaining candidates is equally likely. */
		if (splitmix_below(&swap->random, (uint32_t)candidates--) >= wanted)
			continue;
		wanted--;
		test_pair(swap, i);
	}
}

static void random_run(struct swap *swap)
{
	struct choice choice;
	swap->run_seed = splitmix_next(&swap->random);
	struct strategy *strategy = strategy_random_new(swap->run_seed, 1);
	if (!strategy)
		abort();
	choice_init(&choice, strategy, NULL);
	choice.order = &swap->order;
	if (!choice_begin(&choice))
		abort();
	(void)world_run(swap->world, &choice);
	choice_release(&choice);
	strategy_free(strategy);
	if (swap->order.count + 2 > swap->list_capacity) {
		swap->list_capacity = 2 * swap->order.count + 2;
		swap->list = grown(swap->list, swap->list_capacity * sizeof(*swap->list));
	}
}

void swap_test(struct world *world, uint64_t seed, uint64_t pairs, struct swap_result *result)
{
	*result = (struct swap_result){ .is_whole = sched_can_snapshot(world->sched) };
	struct swap *swap = calloc(1, sizeof(*swap));
	if (!swap)
		abort();
	swap->world = world;
	swap->result = result;
	swap->random.state = seed;
	order_init(&swap->order);
	order_init(&swap->behind);
	while (result->tested < pairs && result->runs < pairs) {
		random_run(swap);
		result->runs++;
		if (!swap->order.overflowed)
			test_pairs_of_run(swap, pairs - result->tested);
	}
	order_release(&swap->order);
	order_release(&swap->behind);
	free(swap->straight.bytes);
	free(swap->exchanged.bytes);
	free(swap->list);
	free(swap);
}
