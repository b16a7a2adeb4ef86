// SPDX-License-Identifier: MIT
/* Four lanes of 64-bit words, each multiplied and folded, because one multiplication has to wait
 * for the one before it. What does not fill a block of four words waits in a buffer, so that the
 * pieces of a vector make no difference. */
#include "injector/digest.h"

#include <endian.h>
#include <string.h>

enum { LANES = 4, WORD_BYTES = 8, BLOCK_BYTES = LANES * WORD_BYTES };

struct digest {
	uint64_t lanes[LANES];
	uint8_t waiting[BLOCK_BYTES];
	size_t waiting_bytes;
};

static uint64_t mix(uint64_t state, uint64_t word)
{
	state = (state ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return state ^ (state >> 32);
}

static void add_block(struct digest *digest, const uint8_t *block)
{
	for (size_t lane = 0; lane < LANES; lane++) {
		uint64_t word;
		memcpy(&word, block + lane * WORD_BYTES, sizeof(word));
		digest->lanes[lane] = mix(digest->lanes[lane], le64toh(word));
	}
}

static void add_bytes(struct digest *digest, const uint8_t *bytes, size_t count)
{
	while (count > 0) {
		if (digest->waiting_bytes == 0 && count >= BLOCK_BYTES) {
			add_block(digest, bytes);
			bytes += BLOCK_BYTES;
			count -= BLOCK_BYTES;
			continue;
		}
		size_t part = BLOCK_BYTES - digest->waiting_bytes;
		if (part > count)
			part = count;
		memcpy(digest->waiting + digest->waiting_bytes, bytes, part);
		digest->waiting_bytes += part;
		bytes += part;
		count -= part;
		if (digest->waiting_bytes == BLOCK_BYTES) {
			add_block(digest, digest->waiting);
			digest->waiting_bytes = 0;
		}
	}
}

uint64_t digest_vector(const struct iovec *vector, size_t bytes)
{
	struct digest digest = { .lanes = { 1, 2, 3, 4 } };
	uint64_t result = mix(UINT64_C(0xcbf29ce484222325), bytes);

	for (; bytes > 0; vector++) {
		size_t part = vector->iov_len < bytes ? vector->iov_len : bytes;
		add_bytes(&digest, vector->iov_base, part);
		bytes -= part;
	}
	memset(digest.waiting + digest.waiting_bytes, 0, BLOCK_BYTES - digest.waiting_bytes);
	add_block(&digest, digest.waiting);
	for (size_t lane = 0; lane < LANES; lane++)
		result = mix(result, digest.lanes[lane]);
	return result;
}
