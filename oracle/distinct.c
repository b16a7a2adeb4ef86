// SPDX-License-Identifier: MIT
#include "oracle/distinct.h"

#include "oracle/bytes.h"
#include "oracle/heap.h"

#include <stdbool.h>
#include <stdlib.h>

void distinct_release(struct distinct *distinct)
{
	free(distinct->slots);
	*distinct = (struct distinct){ 0 };
}

static bool place(struct distinct *distinct, uint64_t fingerprint)
{
	size_t mask = distinct->capacity - 1;
	size_t at = (size_t)fingerprint & mask;

	while (distinct->slots[at] != 0 && distinct->slots[at] != fingerprint)
		at = (at + 1) & mask;
	if (distinct->slots[at] == fingerprint)
		return false;
	distinct->slots[at] = fingerprint;
	return true;
}

bool distinct_add(struct distinct *distinct, uint64_t fingerprint)
{
	if (fingerprint == 0)
		fingerprint = 1;
	if (2 * (distinct->count + 1) > distinct->capacity) {
		struct distinct larger = { .count = distinct->count,
					   .checksum = distinct->checksum };

		larger.capacity = distinct->capacity > 0 ? 2 * distinct->capacity : 1024;
		larger.slots = heap_new(larger.capacity, sizeof(*larger.slots));
		for (size_t i = 0; i < distinct->capacity; i++)
			if (distinct->slots[i] != 0)
				place(&larger, distinct->slots[i]);
		distinct_release(distinct);
		*distinct = larger;
	}
	if (!place(distinct, fingerprint))
		return false;
	distinct->count++;
	distinct->checksum += mix(fingerprint, 1);
	return true;
}
