// SPDX-License-Identifier: MIT
/* Uniformly random picks: the control that other samplers are compared with. Equal seeds give equal
 * runs. */
#include "injector/strategy.h"

#include "injector/splitmix.h"

#include <stdlib.h>

struct random_strategy {
	struct strategy base;
	struct splitmix bits;
	uint64_t runs_left;
	bool endless;
};

static bool random_begin(struct strategy *strategy)
{
	struct random_strategy *random = (struct random_strategy *)strategy;

	if (random->endless)
		return true;
	if (random->runs_left == 0)
		return false;
	random->runs_left--;
	return true;
}

static uint32_t random_pick(struct strategy *strategy, const struct choice_point *point)
{
	struct random_strategy *random = (struct random_strategy *)strategy;

	return splitmix_below(&random->bits, point->count);
}

static bool random_is_complete(const struct strategy *strategy)
{
	(void)strategy;
	return false;
}

static const char *random_complaint(const struct strategy *strategy)
{
	(void)strategy;
	return NULL;
}

static void random_free(struct strategy *strategy)
{
	free(strategy);
}

static const struct strategy_ops random_ops = {
	.name = "random",
	.begin = random_begin,
	.pick = random_pick,
	.is_complete = random_is_complete,
	.complaint = random_complaint,
	.free = random_free,
};

struct strategy *strategy_random_new(uint64_t seed, uint64_t runs)
{
	struct random_strategy *random = calloc(1, sizeof(*random));

	if (!random)
		return NULL;
	random->base.ops = &random_ops;
	random->bits.state = seed;
	random->runs_left = runs;
	random->endless = runs == 0;
	return &random->base;
}
