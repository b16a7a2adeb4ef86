// SPDX-License-Identifier: MIT
/* Uniformly random picks from a generator of our own (SplitMix64), so that a seed means the same
 * runs on every machine. A pick below n is the high half of a 64 x 32 bit product: its bias, below
 * n / 2^32, does not matter to a search. */
#include "injector/strategy.h"

#include <stdlib.h>

struct random_strategy {
	struct strategy base;
	uint64_t state;
	uint64_t runs_left;
	bool endless;
};

static uint64_t next_bits(struct random_strategy *random)
{
	uint64_t bits = random->state += 0x9e3779b97f4a7c15U;

	bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9U;
	bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebU;
	return bits ^ (bits >> 31);
}

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
	uint64_t high_bits = next_bits((struct random_strategy *)strategy) >> 32;

	return (uint32_t)((high_bits * point->count) >> 32);
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
	random->state = seed;
	random->runs_left = runs;
	random->endless = runs == 0;
	return &random->base;
}
