// SPDX-License-Identifier: MIT
/* Every run twice: a program that decides anything behind the choice point's back gives itself away
 * by a second log that differs. The inner strategy sees the first run only; its picks are kept and
 * repeated. */
#include "injector/strategy.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { COMPLAINT_BYTES = 160 };

struct kept_pick {
	uint32_t pick; /* may be CHOICE_ABANDON */
	uint32_t count;
};

struct twice_strategy {
	struct strategy base;
	struct strategy *inner;  /* owned */
	struct kept_pick *picks; /* owned; of the first run */
	size_t pick_count;
	size_t pick_capacity;
	size_t step; /* picks repeated in the second run */
	uint64_t pairs;
	uint64_t first_digest;
	uint64_t forced_count; /* points with one option met in the first run ... */
	uint64_t forced_step;  /* ... and in the second so far */
	bool forced_end;       /* the inner strategy ended the first run at the last of them */
	bool second;           /* the run in progress is the second of its pair */
	bool exhausted;        /* the inner strategy has no more runs */
	char complaint[COMPLAINT_BYTES]; /* "" while every pair agreed */
};

static struct twice_strategy *twice_of(struct strategy *strategy)
{
	return (struct twice_strategy *)strategy;
}

static bool twice_begin(struct strategy *strategy)
{
	struct twice_strategy *twice = twice_of(strategy);

	if (twice->complaint[0] != '\0' || twice->exhausted)
		return false;
	twice->step = 0;
	twice->forced_step = 0;
	if (twice->pairs > 0 && !twice->second) {
		twice->second = true;
		return true;
	}
	twice->second = false;
	twice->pick_count = 0;
	twice->forced_count = 0;
	twice->forced_end = false;
	twice->pairs++;
	twice->exhausted = !twice->inner->ops->begin(twice->inner);
	return !twice->exhausted;
}

static void keep_pick(struct twice_strategy *twice, uint32_t pick, uint32_t count)
{
	if (twice->pick_count == twice->pick_capacity) {
		size_t capacity = twice->pick_capacity ? 2 * twice->pick_capacity : 256;
		void *grown = realloc(twice->picks, capacity * sizeof(*twice->picks));
		if (!grown)
			abort();
		twice->picks = grown;
		twice->pick_capacity = capacity;
	}
	twice->picks[twice->pick_count++] = (struct kept_pick){ .pick = pick, .count = count };
}

static uint32_t repeat_pick(struct twice_strategy *twice, uint32_t count)
{
	size_t number = twice->step++;

	if (number < twice->pick_count && twice->picks[number].count == count)
		return twice->picks[number].pick;
	snprintf(twice->complaint, sizeof(twice->complaint),
		 "not deterministic: run %" PRIu64
		 " met another decision at step %zu when repeated",
		 twice->pairs, number);
	return CHOICE_ABANDON;
}

static uint32_t twice_pick(struct strategy *strategy, const struct choice_point *point)
{
	struct twice_strategy *twice = twice_of(strategy);

	if (twice->second)
		return repeat_pick(twice, point->count);
	uint32_t pick = twice->inner->ops->pick(twice->inner, point);
	keep_pick(twice, pick, point->count);
	return pick;
}

static bool twice_forced(struct strategy *strategy, uint32_t actor)
{
	struct twice_strategy *twice = twice_of(strategy);

	if (!twice->inner->ops->forced)
		return true;
	if (twice->second) {
		twice->forced_step++;
		return !twice->forced_end || twice->forced_step != twice->forced_count;
	}
	twice->forced_count++;
	twice->forced_end = !twice->inner->ops->forced(twice->inner, actor);
	return !twice->forced_end;
}

static void twice_step_done(struct strategy *strategy, uint32_t actor,
			    const struct footprint *footprint)
{
	struct twice_strategy *twice = twice_of(strategy);

	if (!twice->second && twice->inner->ops->step_done)
		twice->inner->ops->step_done(twice->inner, actor, footprint);
}

static void twice_stuck(struct strategy *strategy, uint32_t actor, uint32_t object)
{
	struct twice_strategy *twice = twice_of(strategy);

	if (!twice->second && twice->inner->ops->stuck)
		twice->inner->ops->stuck(twice->inner, actor, object);
}

static bool twice_is_redundant(const struct strategy *strategy)
{
	const struct twice_strategy *twice = (const struct twice_strategy *)strategy;

	return twice->inner->ops->is_redundant && twice->inner->ops->is_redundant(twice->inner);
}

static void twice_end(struct strategy *strategy, enum run_end end, uint64_t log_digest)
{
	struct twice_strategy *twice = twice_of(strategy);

	if (!twice->second) {
		twice->first_digest = log_digest;
		if (twice->inner->ops->end)
			twice->inner->ops->end(twice->inner, end, log_digest);
		return;
	}
	if (twice->complaint[0] == '\0' && log_digest != twice->first_digest)
		snprintf(twice->complaint, sizeof(twice->complaint),
			 "not deterministic: run %" PRIu64 " has digest %016" PRIx64
			 ", repeated %016" PRIx64,
			 twice->pairs, twice->first_digest, log_digest);
}

static bool twice_is_complete(const struct strategy *strategy)
{
	const struct twice_strategy *twice = (const struct twice_strategy *)strategy;

	return twice->complaint[0] == '\0' && twice->inner->ops->is_complete(twice->inner);
}

static const char *twice_complaint(const struct strategy *strategy)
{
	const struct twice_strategy *twice = (const struct twice_strategy *)strategy;

	if (twice->complaint[0] != '\0')
		return twice->complaint;
	return twice->inner->ops->complaint(twice->inner);
}

static void twice_free(struct strategy *strategy)
{
	struct twice_strategy *twice = twice_of(strategy);

	strategy_free(twice->inner);
	free(twice->picks);
	free(twice);
}

static const struct strategy_ops twice_ops = {
	.name = "twice",
	.begin = twice_begin,
	.pick = twice_pick,
	.forced = twice_forced,
	.step_done = twice_step_done,
	.stuck = twice_stuck,
	.is_redundant = twice_is_redundant,
	.end = twice_end,
	.is_complete = twice_is_complete,
	.complaint = twice_complaint,
	.free = twice_free,
};

struct strategy *strategy_twice_new(struct strategy *inner)
{
	if (!inner)
		return NULL;
	struct twice_strategy *twice = calloc(1, sizeof(*twice));
	if (!twice) {
		strategy_free(inner);
		return NULL;
	}
	twice->base.ops = &twice_ops;
	twice->inner = inner;
	return &twice->base;
}
