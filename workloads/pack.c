// SPDX-License-Identifier: MIT
#include "workloads/pack.h"

#include "traces/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_BYTES = 8 };

void pack_release(struct pack *pack)
{
	free(pack->bytes);
	*pack = (struct pack){ 0 };
}

static uint8_t *extend(struct pack *pack, size_t bytes)
{
	pack->bytes = memory_grow(pack->bytes, &pack->capacity, pack->count + bytes, 1);
	uint8_t *added = pack->bytes + pack->count;
	pack->count += bytes;
	return added;
}

void pack_number(struct pack *pack, uint64_t number)
{
	uint8_t *bytes = extend(pack, NUMBER_BYTES);
	for (unsigned i = 0; i < NUMBER_BYTES; i++)
		bytes[i] = (uint8_t)(number >> (8 * i));
}

void pack_real(struct pack *pack, double number)
{
	uint64_t bits = 0;
	_Static_assert(sizeof(bits) == sizeof(number), "a double has 64 bits");
	memcpy(&bits, &number, sizeof(bits));
	pack_number(pack, bits);
}

void pack_text(struct pack *pack, const char *text)
{
	size_t bytes = text ? strlen(text) : 0;
	pack_number(pack, bytes);
	if (bytes)
		memcpy(extend(pack, bytes), text, bytes);
}

void pack_set(struct pack *pack, const struct distinct *set)
{
	pack_number(pack, set->count);
	for (size_t i = 0; i < set->capacity; i++)
		if (set->slots[i])
			pack_number(pack, set->slots[i]);
}

/* The next `bytes` bytes, or NULL. */
static const uint8_t *take(struct unpack *unpack, uint64_t bytes)
{
	if (unpack->failed || bytes > unpack->count - unpack->at) {
		unpack->failed = true;
		return NULL;
	}
	const uint8_t *taken = unpack->bytes + unpack->at;
	unpack->at += (size_t)bytes;
	return taken;
}

uint64_t unpack_number(struct unpack *unpack, uint64_t most)
{
	uint64_t number = 0;
	const uint8_t *bytes = take(unpack, NUMBER_BYTES);
	for (unsigned i = 0; bytes && i < NUMBER_BYTES; i++)
		number |= (uint64_t)bytes[i] << (8 * i);
	if (number <= most)
		return number;
	unpack->failed = true;
	return 0;
}

double unpack_real(struct unpack *unpack)
{
	double number = 0;
	uint64_t bits = unpack_number(unpack, UINT64_MAX);
	memcpy(&number, &bits, sizeof(number));
	if (isfinite(number) && number >= 0)
		return number;
	unpack->failed = true;
	return 0;
}

char *unpack_text(struct unpack *unpack)
{
	uint64_t bytes = unpack_number(unpack, UINT64_MAX);
	const uint8_t *from = take(unpack, bytes);
	return memory_text(from ? (const char *)from : "", from ? (size_t)bytes : 0);
}

void unpack_short_text(struct unpack *unpack, char *text, size_t text_bytes)
{
	char *whole = unpack_text(unpack);
	snprintf(text, text_bytes, "%s", whole);
	free(whole);
}

void unpack_set(struct unpack *unpack, struct distinct *set)
{
	uint64_t count = unpack_number(unpack, unpack->count / NUMBER_BYTES);
	for (uint64_t i = 0; i < count && !unpack->failed; i++)
		distinct_add(set, unpack_number(unpack, UINT64_MAX));
}
