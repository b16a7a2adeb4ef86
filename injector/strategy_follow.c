// SPDX-License-Identifier: MIT
/* One run in which the actors have their turns in a given order. A cut of happens-before is a crash
 * state of some run of its class; this runs it. What comes behind the list takes option 0. */
#include "injector/strategy_follow.h"

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

struct strategy *strategy_follow_new(const struct order *order, const uint32_t *first,
				     size_t first_count)
{
	struct follow *follow = calloc(1, sizeof(*follow));
	bool *is_taken = calloc(order->count + 1, sizeof(*is_taken));
	if (!follow || !is_taken)
		abort();
	follow->base.ops = &follow_ops;
	follow->turns = calloc(order->count + 1, sizeof(*follow->turns));
	follow->picks = calloc(order->pick_count + 1, sizeof(*follow->picks));
	if (!follow->turns || !follow->picks)
		abort();
	for (size_t i = 0; i < order->pick_count; i++)
		follow->picks[i] = order->picks[i];
	for (size_t i = 0; i < first_count + order->count; i++) {
		size_t index = i < first_count ? first[i] : i - first_count;
		const struct order_step *step = &order->steps[index];
		if (is_taken[index])
			continue;
		is_taken[index] = true;
		follow->turns[follow->turn_count++] = (struct turn){
			.actor = step->actor,
			.first_pick = step->first_pick,
			.pick_count = step->pick_count,
		};
	}
	free(is_taken);
	return &follow->base;
}
