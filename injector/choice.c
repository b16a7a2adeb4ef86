// SPDX-License-Identifier: MIT
#include "injector/choice.h"

#include "injector/gate.h"

#include <assert.h>

void choice_init(struct choice *choice, struct strategy *strategy, struct event_log *log)
{
	choice->strategy = strategy;
	choice->log = log;
	schedule_init(&choice->taken);
	choice->order = NULL;
	choice->fresh = true;
	choice->abandoned = false;
	choice->stepping = 0;
}

void choice_release(struct choice *choice)
{
	schedule_release(&choice->taken);
	choice->strategy = NULL;
	choice->log = NULL;
}

bool choice_begin(struct choice *choice)
{
	choice->abandoned = false;
	choice->stepping = 0;
	choice->fresh = true;
	return choice->strategy->ops->begin(choice->strategy);
}

static void forget_last_run(struct choice *choice, size_t steps, size_t picks)
{
	choice->fresh = false;
	choice->taken.count = picks;
	if (choice->order)
		order_truncate(choice->order, steps);
}

void choice_stuck(struct choice *choice, uint32_t actor, uint32_t object)
{
	if (choice->strategy->ops->stuck)
		choice->strategy->ops->stuck(choice->strategy, actor, object);
}

bool choice_is_redundant(const struct choice *choice)
{
	const struct strategy *strategy = choice->strategy;

	return choice->abandoned ||
	       (strategy->ops->is_redundant && strategy->ops->is_redundant(strategy));
}

size_t choice_kept_steps(const struct choice *choice)
{
	const struct strategy *strategy = choice->strategy;

	return strategy->ops->kept_steps ? strategy->ops->kept_steps(strategy) : 0;
}

void choice_skip(struct choice *choice, size_t steps, size_t picks, uint32_t stepping)
{
	assert(choice->fresh && steps <= choice_kept_steps(choice));
	forget_last_run(choice, steps, picks);
	choice->stepping = stepping;
	choice->strategy->ops->skip(choice->strategy, steps);
}

void choice_end(struct choice *choice, enum run_end end, uint64_t log_digest)
{
	if (choice->strategy->ops->end)
		choice->strategy->ops->end(choice->strategy, end, log_digest);
}

/** A point with one option is no decision, but a search may know that the run is redundant. */
static uint32_t pick_forced(const struct choice *choice, const struct choice_point *point)
{
	struct strategy *strategy = choice->strategy;

	if (point->kind != CHOICE_RUN || !strategy->ops->forced)
		return 0;
	return strategy->ops->forced(strategy, point->actors[0]) ? 0 : CHOICE_ABANDON;
}

static void note_pick(struct choice *choice, const struct choice_point *point, uint32_t pick)
{
	schedule_append(&choice->taken, pick, point->count);
	if (!choice->log)
		return;
	const struct event event = {
		.kind = EVENT_CHOICE,
		.op = (uint8_t)point->kind,
		.actor = point->kind == CHOICE_RUN ? point->actors[pick] : gate_actor(),
		.id = point->count,
		.result = (int32_t)pick,
	};
	event_log_append(choice->log, &event, NULL, 0);
}

uint32_t choice_pick(struct choice *choice, const struct choice_point *point)
{
	assert(point->count > 0 && point->count <= CHOICE_OPTIONS_MAX);
	assert(point->kind != CHOICE_RUN || point->actors);
	if (choice->fresh)
		forget_last_run(choice, 0, 0);
	if (choice->abandoned)
		return CHOICE_ABANDON;
	uint32_t pick = point->count == 1 ? pick_forced(choice, point)
					  : choice->strategy->ops->pick(choice->strategy, point);
	if (pick == CHOICE_ABANDON) {
		choice->abandoned = true;
		return CHOICE_ABANDON;
	}
	assert(pick < point->count);
	if (point->kind == CHOICE_RUN)
		choice->stepping = point->actors[pick];
	if (point->kind == CHOICE_FAULT && choice->order)
		order_note_pick(choice->order, pick);
	if (point->count > 1)
		note_pick(choice, point, pick);
	return pick;
}

static void note_step(struct choice *choice, const struct footprint *footprint, uint32_t enabled_by)
{
	struct order *order = choice->order;

	order_add(order, choice->stepping, footprint, enabled_by);
	if (!order->overflowed)
		order->steps[order->count - 1].events_end = choice->log ? choice->log->count : 0;
}

void choice_step_done(struct choice *choice, const struct footprint *footprint, uint32_t enabled_by)
{
	assert(choice->stepping != 0);
	if (choice->order)
		note_step(choice, footprint, enabled_by);
	if (choice->strategy->ops->step_done)
		choice->strategy->ops->step_done(choice->strategy, choice->stepping, footprint);
}
