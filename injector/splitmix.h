// SPDX-License-Identifier: MIT
/** SplitMix64: the generator of the strategies that sample. It is our own, so that a seed means the
 * same runs on every machine. */
#ifndef INJECTOR_SPLITMIX_H
#define INJECTOR_SPLITMIX_H

#include <stdint.h>

/** Any state is a good one; a seed is the first. */
struct splitmix {
	uint64_t state;
};

/** Spread `bits` over all 64 bits; different numbers stay different. */
static inline uint64_t splitmix_mix(uint64_t bits)
{
	bits = (bits ^ (bits >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	bits = (bits ^ (bits >> 27)) * UINT64_C(0x94d049bb133111eb);
	return bits ^ (bits >> 31);
}

/** The next 64 random bits. */
static inline uint64_t splitmix_next(struct splitmix *random)
{
	random->state += UINT64_C(0x9e3779b97f4a7c15);
	return splitmix_mix(random->state);
}

/** A number below `count` (at least 1). It is the high half of a 64 x 32 bit product: its bias,
 * below count / 2^32, does not matter to a search. */
static inline uint32_t splitmix_below(struct splitmix *random, uint32_t count)
{
	uint64_t high_bits = splitmix_next(random) >> 32;

	return (uint32_t)((high_bits * count) >> 32);
}

#endif
