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

static uint64_t mix_at(uint64_t state, const uint8_t *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	return mix(state, le64toh(word));
}

/* Each lane in a variable of its own, and a register: compilers that see an array of them take
 * vectors, which multiply 64 bits in several steps. Returns how many bytes whole blocks took. */
static size_t add_blocks(struct digest *digest, const uint8_t *bytes, size_t count)
{
	uint64_t a = digest->lanes[0], b = digest->lanes[1];
	uint64_t c = digest->lanes[2], d = digest->lanes[3];
	size_t used = 0;

	for (; count - used >= BLOCK_BYTES; used += BLOCK_BYTES) {
		a = mix_at(a, bytes + used);
		b = mix_at(b, bytes + used + WORD_BYTES);
		c = mix_at(c, bytes + used + 2 * WORD_BYTES);
		d = mix_at(d, bytes + used + 3 * WORD_BYTES);
	}
	digest->lanes[0] = a;
	digest->lanes[1] = b;
	digest->lanes[2] = c;
	digest->lanes[3] = d;
	return used;
}

static void add_bytes(struct digest *digest, const uint8_t *bytes, size_t count)
{
	while (count > 0) {
		if (digest->waiting_bytes == 0 && count >= BLOCK_BYTES) {
			size_t used = add_blocks(digest, bytes, count);
			bytes += used;
			count -= used;
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
			add_blocks(digest, digest->waiting, BLOCK_BYTES);
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
	add_blocks(&digest, digest.waiting, BLOCK_BYTES);
	for (size_t lane = 0; lane < LANES; lane++)
		result = mix(result, digest.lanes[lane]);
	return result;
}
