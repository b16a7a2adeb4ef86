// SPDX-License-Identifier: MIT
/* Four lanes run side by side, each a chain of steps that lose nothing: for a given word a step
 * maps states one to one, and for a given state words. So two pages that differ in one word always
 * differ in a lane, and others but for a chance of 2^-64. A word is multiplied before it joins its
 * lane, and the lane again afterwards: a difference in the top bits alone survives one product
 * unspread, and a single bit of the next word could then take it back. The lanes are mixed into two
 * words with different keys. */
#include "injector/page_hash.h"

#include <string.h>

enum { LANES = 4, PAGE_WORDS = CONTENT_PAGE_BYTES / 8 };

/* Odd numbers without a pattern: the fractions of the square roots of 2, 3, 5, 7, 11 and 13. */
static const uint64_t factors[LANES] = { UINT64_C(0x6a09e667f3bcc909), UINT64_C(0xbb67ae8584caa73b),
					 UINT64_C(0x3c6ef372fe94f82b),
					 UINT64_C(0xa54ff53a5f1d36f1) };

#define WORD_FACTOR UINT64_C(0x510e527fade682d1)
#define MIX_FACTOR UINT64_C(0x9b05688c2b3e6c1f)

static uint64_t rotate(uint64_t word, unsigned bits)
{
	return word << bits | word >> (64 - bits);
}

/** Every bit of the result depends on every bit of `word`; one to one. */
static uint64_t mix(uint64_t word)
{
	word = (word ^ word >> 32) * MIX_FACTOR;
	word = (word ^ word >> 32) * MIX_FACTOR;
	return word ^ word >> 32;
}

static struct page_hash finish(const uint64_t *lanes, uint64_t key)
{
	struct page_hash hash = { { mix(key), mix(~key) } };

	for (unsigned i = 0; i < LANES; i++) {
		hash.words[0] = mix(hash.words[0] + lanes[i]);
		hash.words[1] = mix(hash.words[1] ^ rotate(lanes[i], 29 + i)) * factors[i];
	}
	return hash;
}

struct page_hash page_hash_of(uint64_t index, const uint8_t *bytes)
{
	uint64_t lanes[LANES] = { 1, 2, 3, 4 };
	uint64_t seen = 0;

	for (unsigned at = 0; bytes && at < PAGE_WORDS; at += LANES) {
		uint64_t words[LANES];
		memcpy(words, bytes + (size_t)at * 8, sizeof(words));
		for (unsigned i = 0; i < LANES; i++) {
			seen |= words[i];
			lanes[i] = rotate(lanes[i] + words[i] * WORD_FACTOR, 31) * factors[i];
		}
	}
	return seen ? finish(lanes, index) : (struct page_hash){ { 0 } };
}

struct page_hash page_hash_of_number(uint64_t number)
{
	const uint64_t lanes[LANES] = { number };

	return finish(lanes, 0);
}

void page_hash_add(struct page_hash *sum, const struct page_hash *hash)
{
	sum->words[0] += hash->words[0];
	sum->words[1] += hash->words[1];
}

void page_hash_subtract(struct page_hash *sum, const struct page_hash *hash)
{
	sum->words[0] -= hash->words[0];
	sum->words[1] -= hash->words[1];
}
