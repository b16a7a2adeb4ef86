// SPDX-License-Identifier: MIT
#include "oracle/sparse.h"

#include "oracle/heap.h"

#include <stdlib.h>

void sparse_release(struct sparse *sparse)
{
	free(sparse->slots);
	*sparse = (struct sparse){ 0 };
}

static void place(struct sparse *sparse, uint64_t key, void *value)
{
	size_t mask = sparse->capacity - 1;
	size_t at = (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & mask;

	while (sparse->slots[at].value != NULL)
		at = (at + 1) & mask;
	sparse->slots[at] = (struct sparse_slot){ key, value };
}

static void enlarge(struct sparse *sparse)
{
	struct sparse larger = { .capacity = sparse->capacity > 0 ? sparse->capacity * 2 : 64,
				 .count = sparse->count };

	larger.slots = heap_new(larger.capacity, sizeof(*larger.slots));
	for (size_t i = 0; i < sparse->capacity; i++)
		if (sparse->slots[i].value != NULL)
			place(&larger, sparse->slots[i].key, sparse->slots[i].value);
	sparse_release(sparse);
	*sparse = larger;
}

void sparse_add(struct sparse *sparse, uint64_t key, void *value)
{
	if (2 * (sparse->count + 1) > sparse->capacity)
		enlarge(sparse);
	place(sparse, key, value);
	sparse->count++;
}
