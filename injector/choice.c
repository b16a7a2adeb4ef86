// SPDX-License-Identifier: MIT
#include "injector/choice.h"

#include "injector/gate.h"

#include <assert.h>

void choice_init(struct choice *choice, struct strategy *strategy, struct event_log *log)
{
	choice->strategy = strategy;
	choice->log = log;
	schedule_init(&choice->taken);
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
	schedule_reset(&choice->taken);
	choice->abandoned = false;
	choice->stepping = 0;
	return choice->strategy->ops->begin(choice->strategy);
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
	if (point->count > 1)
		note_pick(choice, point, pick);
	return pick;
}

void choice_step_done(struct choice *choice, const struct footprint *footprint)
{
	assert(choice->stepping != 0);
	if (choice->strategy->ops->step_done)
		choice->strategy->ops->step_done(choice->strategy, choice->stepping, footprint);
}
