// SPDX-License-Identifier: MIT
/* One run in which the actors have their turns in a given order. A cut of happens-before is a crash
 * state of some run of its class; this runs it. What comes behind the list takes option 0.
 *
 * A cut belongs to many runs, of many classes. strategy_follow_cut() lays its steps out by what
 * they are and not by the run that they are taken from, so a cut has one schedule. */
#include "injector/strategy_follow.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { COMPLAINT_BYTES = 160 };

struct follow {
	struct strategy base;
	struct turn *turns; /* owned */
	size_t turn_count;
	uint32_t *picks; /* owned; faults of all turns, one after the other */
	size_t at;       /* turns that were begun */
	size_t pick_at;  /* the next fault pick ... */
	size_t pick_end; /* ... and behind the last of the present turn */
	bool begun;
	char complaint[COMPLAINT_BYTES];
};

static struct follow *follow_of(struct strategy *strategy)
{
	return (struct follow *)strategy;
}

static bool follow_begin(struct strategy *strategy)
{
	struct follow *follow = follow_of(strategy);
	bool is_first = !follow->begun;
	follow->begun = true;
	return is_first;
}

static uint32_t take_turn(struct follow *follow, const struct choice_point *point)
{
	if (follow->at == follow->turn_count) {
		follow->pick_end = follow->pick_at;
		return 0;
	}
	const struct turn *turn = &follow->turns[follow->at++];
	follow->pick_at = turn->first_pick;
	follow->pick_end = turn->first_pick + turn->pick_count;
	for (uint32_t i = 0; i < point->count; i++)
		if (point->actors[i] == turn->actor)
			return i;
	snprintf(follow->complaint, sizeof(follow->complaint),
		 "diverged at step %zu: actor %u cannot go on", follow->at, turn->actor);
	return CHOICE_ABANDON;
}

static uint32_t follow_pick(struct strategy *strategy, const struct choice_point *point)
{
	struct follow *follow = follow_of(strategy);
	if (point->kind == CHOICE_RUN)
		return take_turn(follow, point);
	if (follow->pick_at == follow->pick_end)
		return 0;
	uint32_t pick = follow->picks[follow->pick_at++];
	return pick < point->count ? pick : 0;
}

static bool follow_forced(struct strategy *strategy, uint32_t actor)
{
	const struct choice_point point = { .kind = CHOICE_RUN, .count = 1, .actors = &actor };
	return take_turn(follow_of(strategy), &point) == 0;
}

static bool follow_is_complete(const struct strategy *strategy)
{
	(void)strategy;
	return false;
}

static const char *follow_complaint(const struct strategy *strategy)
{
	const struct follow *follow = (const struct follow *)strategy;
	return follow->complaint[0] != '\0' ? follow->complaint : NULL;
}

static void follow_free(struct strategy *strategy)
{
	struct follow *follow = follow_of(strategy);
	free(follow->turns);
	free(follow->picks);
	free(follow);
}

static const struct strategy_ops follow_ops = {
	.name = "follow",
	.begin = follow_begin,
	.pick = follow_pick,
	.forced = follow_forced,
	.is_complete = follow_is_complete,
	.complaint = follow_complaint,
	.free = follow_free,
};

static struct follow *follow_new(const struct order *order)
{
	struct follow *follow = calloc(1, sizeof(*follow));
	if (!follow)
		abort();
	follow->base.ops = &follow_ops;
	follow->turns = calloc(order->count + 1, sizeof(*follow->turns));
	follow->picks = calloc(order->pick_count + 1, sizeof(*follow->picks));
	if (!follow->turns || !follow->picks)
		abort();
	for (size_t i = 0; i < order->pick_count; i++)
		follow->picks[i] = order->picks[i];
	return follow;
}

static void add_turn(struct follow *follow, const struct order_step *step)
{
	follow->turns[follow->turn_count++] = (struct turn){
		.actor = step->actor,
		.first_pick = step->first_pick,
		.pick_count = step->pick_count,
	};
}

struct strategy *strategy_follow_new(const struct order *order, const uint32_t *first,
				     size_t first_count)
{
	struct follow *follow = follow_new(order);
	bool *is_taken = calloc(order->count + 1, sizeof(*is_taken));
	if (!is_taken)
		abort();
	for (size_t i = 0; i < first_count + order->count; i++) {
		size_t index = i < first_count ? first[i] : i - first_count;
		if (is_taken[index])
			continue;
		is_taken[index] = true;
		add_turn(follow, &order->steps[index]);
	}
	free(is_taken);
	return &follow->base;
}

/* A cut, and how far it was laid out. */
struct layout {
	const struct order *order;
	bool *is_left;                   /* owned; of each step: in the cut, and not laid out */
	uint32_t done[ORDER_CHAINS_MAX]; /* steps of each chain that were */
};

static bool is_next(const struct layout *layout, size_t index)
{
	const struct order_step *step = &layout->order->steps[index];
	const uint32_t *clock = order_clock(layout->order, index);
	for (uint32_t chain = 0; chain < layout->order->chain_count; chain++)
		if (layout->done[chain] < clock[chain] - (chain == step->chain))
			return false;
	return true;
}

/* Take the step that comes next; of several, that of the actor with the smallest number. */
static const struct order_step *take_step(struct layout *layout)
{
	const struct order *order = layout->order;
	size_t best = order->count;
	for (size_t i = 0; i < order->count; i++)
		if (layout->is_left[i] && is_next(layout, i) &&
		    (best == order->count || order->steps[i].actor < order->steps[best].actor))
			best = i;
	assert(best < order->count && "a cut is down-closed");
	layout->is_left[best] = false;
	layout->done[order->steps[best].chain]++;
	return &order->steps[best];
}

struct strategy *strategy_follow_cut(const struct order *order, const uint32_t *cut, size_t count)
{
	struct follow *follow = follow_new(order);
	struct layout layout = { .order = order,
				 .is_left = calloc(order->count + 1, sizeof(*layout.is_left)) };
	if (!layout.is_left)
		abort();
	for (size_t i = 0; i + 1 < count; i++)
		layout.is_left[cut[i]] = true;
	for (size_t i = 0; i + 1 < count; i++)
		add_turn(follow, take_step(&layout));
	if (count)
		add_turn(follow, &order->steps[cut[count - 1]]);
	free(layout.is_left);
	return &follow->base;
}
