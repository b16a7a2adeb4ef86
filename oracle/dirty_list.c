// SPDX-License-Identifier: MIT
#include "oracle/dirty_list.h"

#include "oracle/heap.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 1024 };

void dirty_list_release(struct dirty_list *list)
{
	free(list->slots);
	*list = (struct dirty_list){ 0 };
}

/** The slot of a fingerprint, or the free one where it belongs. */
static struct dirty_way *slot_of(const struct dirty_list *list, uint64_t fingerprint)
{
	size_t mask = list->capacity - 1;
	size_t at = (size_t)fingerprint & mask;

	while (list->slots[at].is_used && list->slots[at].fingerprint != fingerprint)
		at = (at + 1) & mask;
	return &list->slots[at];
}

static void enlarge(struct dirty_list *list)
{
	struct dirty_list larger = { .count = list->count };

	larger.capacity = list->capacity > 0 ? 2 * list->capacity : FIRST_CAPACITY;
	larger.slots = heap_new(larger.capacity, sizeof(*larger.slots));
	for (size_t i = 0; i < list->capacity; i++)
		if (list->slots[i].is_used)
			*slot_of(&larger, list->slots[i].fingerprint) = list->slots[i];
	dirty_list_release(list);
	*list = larger;
}

bool dirty_list_improve(struct dirty_list *list, const struct dirty_way *way)
{
	struct dirty_way *known;

	if (2 * (list->count + 1) > list->capacity)
		enlarge(list);
	known = slot_of(list, way->fingerprint);
	if (known->is_used &&
	    (way->model != known->model ? way->model > known->model
					: !cut_rank_before(&way->rank, &known->rank)))
		return false;
	list->count += !known->is_used;
	*known = *way;
	known->is_used = true;
	return true;
}
