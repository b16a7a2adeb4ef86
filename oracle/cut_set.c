// SPDX-License-Identifier: MIT
#include "oracle/cut_set.h"

#include "oracle/heap.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 4096 };

void cut_set_release(struct cut_set *set)
{
	free(set->slots);
	*set = (struct cut_set){ 0 };
}

/** The slot of `hash`, or the free one where it belongs. */
static struct cut_slot *slot_of(const struct cut_set *set, uint64_t hash)
{
	size_t mask = set->capacity - 1;
	size_t at = (size_t)hash & mask;

	while (set->slots[at].call != 0 && set->slots[at].hash != hash)
		at = (at + 1) & mask;
	return &set->slots[at];
}

static void enlarge(struct cut_set *set)
{
	struct cut_set larger = { .count = set->count };

	larger.capacity = set->capacity > 0 ? 2 * set->capacity : FIRST_CAPACITY;
	larger.slots = heap_new(larger.capacity, sizeof(*larger.slots));
	for (size_t i = 0; i < set->capacity; i++)
		if (set->slots[i].call != 0)
			*slot_of(&larger, set->slots[i].hash) = set->slots[i];
	cut_set_release(set);
	*set = larger;
}

uint64_t cut_set_add(struct cut_set *set, uint64_t hash, uint64_t call)
{
	struct cut_slot *slot;

	if (4 * (set->count + 1) > 3 * set->capacity)
		enlarge(set);
	slot = slot_of(set, hash);
	if (slot->call == 0) {
		*slot = (struct cut_slot){ hash, call };
		set->count++;
	}
	return slot->call;
}

uint64_t cut_set_find(const struct cut_set *set, uint64_t hash)
{
	return set->capacity == 0 ? 0 : slot_of(set, hash)->call;
}
