// SPDX-License-Identifier: MIT
/** A map from 64-bit numbers to objects, for the few clusters, pages and requests of a large space
 * that ever matter. Entries are never removed. */
#ifndef ORACLE_SPARSE_H
#define ORACLE_SPARSE_H

#include "oracle/bytes.h"

#include <stddef.h>
#include <stdint.h>

struct sparse_slot {
	uint64_t key;
	void *value; /* borrowed; NULL: free slot */
};

/** Zero-initialised: empty. */
struct sparse {
	struct sparse_slot *slots; /* owned; a power of two of them, at most half in use */
	size_t capacity;
	size_t count;
};

/** Free the map, not the objects; it is empty afterwards. */
void sparse_release(struct sparse *sparse);

/** Add `value` (not NULL) under a key that is not there yet. */
void sparse_add(struct sparse *sparse, uint64_t key, void *value);

/** What is stored under `key`, or NULL. */
static inline void *sparse_find(const struct sparse *sparse, uint64_t key)
{
	size_t mask = sparse->capacity - 1;

	if (sparse->capacity == 0)
		return NULL;
	for (size_t at = (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & mask;;
	     at = (at + 1) & mask) {
		const struct sparse_slot *slot = &sparse->slots[at];

		if (slot->value == NULL || slot->key == key)
			return slot->value;
	}
}

#endif
