// SPDX-License-Identifier: MIT
/* Why plans: a schedule is a list of numbers that mean something only as long as nothing before
 * them changes. To put two turns of an actor together is to change almost all numbers behind them.
 * In a plan it is one edit, and whatever becomes impossible by it is left out:
 *
 *      1: 12 steps    2: 4    1: 3    2: 9 ...      recorded
 *      1: 15 steps    2: 4            2: 9 ...      the third block moved into the first
 *
 * If actor 1 comes to a lock of 2's after 13 steps, its block ends there. Whether the run still
 * breaks the rule is for whoever tries it to see. */
#include "workloads/shrink_plan.h"

#include "traces/memory.h"

#include <stdlib.h>
#include <string.h>

enum { NOBODY = 0 };

/* How many questions about faults an actor was asked. */
struct asked {
	uint32_t actor;
	uint32_t count;
};

struct plan_strategy {
	struct strategy base;
	const struct plan *plan; /* borrowed; NULL: `inner` decides */
	struct strategy *inner;  /* borrowed; NULL: `plan` decides */
	struct plan *taken;      /* borrowed; may be NULL */
	size_t block;            /* whose turn it is ... */
	uint32_t done;           /* ... and how many of its steps were taken */
	uint32_t last_actor;
	struct asked *asked; /* owned */
	size_t asked_count, asked_capacity;
	bool begun;
};

/* ---- plans ---- */

void plan_release(struct plan *plan)
{
	free(plan->blocks);
	free(plan->faults);
	*plan = (struct plan){ 0 };
}

static void add_block(struct plan *plan, const struct plan_block *block)
{
	plan->blocks = memory_grow(plan->blocks, &plan->block_capacity, plan->block_count + 1,
				   sizeof(*plan->blocks));
	plan->blocks[plan->block_count++] = *block;
}

static void add_fault(struct plan *plan, const struct plan_fault *fault)
{
	plan->faults = memory_grow(plan->faults, &plan->fault_capacity, plan->fault_count + 1,
				   sizeof(*plan->faults));
	plan->faults[plan->fault_count++] = *fault;
}

void plan_copy(struct plan *to, const struct plan *from)
{
	to->block_count = 0;
	to->fault_count = 0;
	for (size_t i = 0; i < from->block_count; i++)
		add_block(to, &from->blocks[i]);
	for (size_t i = 0; i < from->fault_count; i++)
		add_fault(to, &from->faults[i]);
}

static void remove_block(struct plan *plan, size_t index)
{
	memmove(&plan->blocks[index], &plan->blocks[index + 1],
		(plan->block_count - index - 1) * sizeof(plan->blocks[0]));
	plan->block_count--;
}

static void remove_fault(struct plan *plan, size_t index)
{
	memmove(&plan->faults[index], &plan->faults[index + 1],
		(plan->fault_count - index - 1) * sizeof(plan->faults[0]));
	plan->fault_count--;
}

/* Changes are numbered in the order in which they are worth trying, n blocks and m faults:
 *
 *      n       leave all blocks from number i on out
 *      n       leave block i out
 *      n       let block i last as long as it can
 *      n n     put block j into block i, if they are the same actor's
 *      n       exchange block i and the next
 *      m       leave fault i out */
size_t plan_change_count(const struct plan *plan)
{
	size_t n = plan->block_count;
	return 4 * n + n * n + plan->fault_count;
}

static bool join_blocks(struct plan *plan, size_t i, size_t j)
{
	struct plan_block *into = &plan->blocks[i], *from = &plan->blocks[j];
	if (i == j || into->actor != from->actor)
		return false;
	into->steps =
		into->steps > UINT32_MAX - from->steps ? UINT32_MAX : into->steps + from->steps;
	remove_block(plan, j);
	return true;
}

static bool exchange_blocks(struct plan *plan, size_t i)
{
	if (i + 1 >= plan->block_count)
		return false;
	struct plan_block first = plan->blocks[i];
	plan->blocks[i] = plan->blocks[i + 1];
	plan->blocks[i + 1] = first;
	return true;
}

bool plan_change(struct plan *plan, size_t index)
{
	size_t n = plan->block_count;
	if (index < n) {
		plan->block_count = index;
		return true;
	}
	index -= n;
	if (index < n) {
		remove_block(plan, index);
		return true;
	}
	index -= n;
	if (index < n) {
		bool is_new = plan->blocks[index].steps != UINT32_MAX;
		plan->blocks[index].steps = UINT32_MAX;
		return is_new;
	}
	index -= n;
	if (index < n * n)
		return join_blocks(plan, index / n, index % n);
	index -= n * n;
	if (index < n)
		return exchange_blocks(plan, index);
	index -= n;
	if (index >= plan->fault_count)
		return false;
	remove_fault(plan, index);
	return true;
}

/* ---- the strategy ---- */

static struct plan_strategy *plan_of(struct strategy *strategy)
{
	return (struct plan_strategy *)strategy;
}

static bool plan_begin(struct strategy *strategy)
{
	struct plan_strategy *plan = plan_of(strategy);
	bool is_first = !plan->begun;
	plan->begun = true;
	return is_first && (!plan->inner || plan->inner->ops->begin(plan->inner));
}

/* Where among the point's options is `actor`? Behind the last: nowhere. */
static uint32_t find_actor(const struct choice_point *point, uint32_t actor)
{
	uint32_t i = 0;
	while (i < point->count && point->actors[i] != actor)
		i++;
	return i;
}

/* The option of the block whose turn it is, or of whoever goes on without one. */
static uint32_t planned_turn(struct plan_strategy *strategy, const struct choice_point *point)
{
	const struct plan *plan = strategy->plan;
	for (; strategy->block < plan->block_count; strategy->block++, strategy->done = 0) {
		const struct plan_block *block = &plan->blocks[strategy->block];
		uint32_t option = find_actor(point, block->actor);
		if (strategy->done == block->steps || option == point->count)
			continue;
		strategy->done += block->steps != UINT32_MAX;
		return option;
	}
	uint32_t option = find_actor(point, strategy->last_actor);
	return option < point->count ? option : 0;
}

static void note_turn(struct plan_strategy *strategy, uint32_t actor)
{
	struct plan *taken = strategy->taken;
	bool goes_on = strategy->last_actor == actor;
	strategy->last_actor = actor;
	if (!taken)
		return;
	const struct plan_block block = { .actor = actor, .steps = 1 };
	if (goes_on && taken->block_count)
		taken->blocks[taken->block_count - 1].steps++;
	else
		add_block(taken, &block);
}

/* Which question of the present actor is it? */
static uint32_t next_question(struct plan_strategy *strategy)
{
	for (size_t i = 0; i < strategy->asked_count; i++)
		if (strategy->asked[i].actor == strategy->last_actor)
			return strategy->asked[i].count++;
	strategy->asked = memory_grow(strategy->asked, &strategy->asked_capacity,
				      strategy->asked_count + 1, sizeof(*strategy->asked));
	strategy->asked[strategy->asked_count++] =
		(struct asked){ .actor = strategy->last_actor, .count = 1 };
	return 0;
}

static uint32_t planned_fault(const struct plan_strategy *strategy, uint32_t number, uint32_t count)
{
	const struct plan *plan = strategy->plan;
	for (size_t i = 0; i < plan->fault_count; i++) {
		const struct plan_fault *fault = &plan->faults[i];
		if (fault->actor == strategy->last_actor && fault->number == number)
			return fault->pick < count ? fault->pick : 0;
	}
	return 0;
}

static uint32_t pick_fault(struct plan_strategy *strategy, const struct choice_point *point)
{
	uint32_t number = next_question(strategy);
	uint32_t pick = strategy->inner ? strategy->inner->ops->pick(strategy->inner, point)
					: planned_fault(strategy, number, point->count);
	if (!strategy->taken || pick == 0 || pick == CHOICE_ABANDON)
		return pick;
	const struct plan_fault fault = { .actor = strategy->last_actor,
					  .number = number,
					  .pick = pick };
	add_fault(strategy->taken, &fault);
	return pick;
}

static uint32_t plan_pick(struct strategy *base, const struct choice_point *point)
{
	struct plan_strategy *strategy = plan_of(base);
	if (point->kind != CHOICE_RUN)
		return pick_fault(strategy, point);
	uint32_t pick = strategy->inner ? strategy->inner->ops->pick(strategy->inner, point)
					: planned_turn(strategy, point);
	if (pick != CHOICE_ABANDON)
		note_turn(strategy, point->actors[pick]);
	return pick;
}

/* A block that is another's is not over because nobody else can go on just now. */
static bool plan_forced(struct strategy *base, uint32_t actor)
{
	struct plan_strategy *strategy = plan_of(base);
	const struct choice_point point = { .kind = CHOICE_RUN, .count = 1, .actors = &actor };
	const struct plan *plan = strategy->plan;
	while (!strategy->inner && strategy->block < plan->block_count &&
	       strategy->done == plan->blocks[strategy->block].steps) {
		strategy->block++;
		strategy->done = 0;
	}
	if (!strategy->inner && strategy->block < plan->block_count &&
	    plan->blocks[strategy->block].actor == actor)
		(void)planned_turn(strategy, &point);
	note_turn(strategy, actor);
	return true;
}

static bool plan_is_complete(const struct strategy *strategy)
{
	(void)strategy;
	return false;
}

static const char *plan_complaint(const struct strategy *strategy)
{
	const struct strategy *inner = ((const struct plan_strategy *)strategy)->inner;
	return inner ? inner->ops->complaint(inner) : NULL;
}

static void plan_free(struct strategy *strategy)
{
	free(plan_of(strategy)->asked);
	free(strategy);
}

static const struct strategy_ops plan_ops = {
	.name = "plan",
	.begin = plan_begin,
	.pick = plan_pick,
	.forced = plan_forced,
	.is_complete = plan_is_complete,
	.complaint = plan_complaint,
	.free = plan_free,
};

struct strategy *strategy_plan_new(const struct plan *plan, struct strategy *inner,
				   struct plan *taken)
{
	struct plan_strategy *strategy = calloc(1, sizeof(*strategy));
	if (!strategy)
		abort();
	strategy->base.ops = &plan_ops;
	strategy->plan = plan;
	strategy->inner = inner;
	strategy->taken = taken;
	strategy->last_actor = NOBODY;
	return &strategy->base;
}
