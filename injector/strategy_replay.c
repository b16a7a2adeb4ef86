// SPDX-License-Identifier: MIT
#include "injector/strategy.h"

#include <stdio.h>
#include <stdlib.h>

enum { COMPLAINT_BYTES = 160 };

struct replay_strategy {
	struct strategy base;
	struct schedule schedule; /* owned */
	size_t step;              /* picks answered in this run */
	bool begun;
	char complaint[COMPLAINT_BYTES]; /* "" while the run follows its schedule */
};

static bool replay_begin(struct strategy *strategy)
{
	struct replay_strategy *replay = (struct replay_strategy *)strategy;

	if (replay->begun)
		return false;
	replay->begun = true;
	replay->step = 0;
	return true;
}

static uint32_t replay_pick(struct strategy *strategy, const struct choice_point *point)
{
	struct replay_strategy *replay = (struct replay_strategy *)strategy;
	size_t number = replay->step++;

	if (number >= replay->schedule.count)
		return 0;
	const struct schedule_step *step = &replay->schedule.steps[number];
	if (step->count != 0 && step->count != point->count) {
		snprintf(replay->complaint, sizeof(replay->complaint),
			 "diverged at step %zu: %u options where the schedule has %u", number,
			 point->count, step->count);
		return CHOICE_ABANDON;
	}
	if (step->pick >= point->count) {
		snprintf(replay->complaint, sizeof(replay->complaint),
			 "diverged at step %zu: the schedule takes option %u, there are %u", number,
			 step->pick, point->count);
		return CHOICE_ABANDON;
	}
	return step->pick;
}

static bool replay_is_complete(const struct strategy *strategy)
{
	(void)strategy;
	return false;
}

static const char *replay_complaint(const struct strategy *strategy)
{
	const struct replay_strategy *replay = (const struct replay_strategy *)strategy;

	return replay->complaint[0] != '\0' ? replay->complaint : NULL;
}

static void replay_free(struct strategy *strategy)
{
	struct replay_strategy *replay = (struct replay_strategy *)strategy;

	schedule_release(&replay->schedule);
	free(replay);
}

static const struct strategy_ops replay_ops = {
	.name = "replay",
	.begin = replay_begin,
	.pick = replay_pick,
	.is_complete = replay_is_complete,
	.complaint = replay_complaint,
	.free = replay_free,
};

struct strategy *strategy_replay_new(const struct schedule *schedule)
{
	struct replay_strategy *replay = calloc(1, sizeof(*replay));

	if (!replay)
		return NULL;
	replay->base.ops = &replay_ops;
	schedule_init(&replay->schedule);
	schedule_copy(&replay->schedule, schedule);
	return &replay->base;
}
