// SPDX-License-Identifier: MIT
#include "oracle/journal.h"

#include "oracle/heap.h"

#include <assert.h>
#include <stdlib.h>

void journal_release(struct journal *journal)
{
	free(journal->entries);
	*journal = (struct journal){ 0 };
}

void journal_save(struct journal *journal, uint64_t *where)
{
	if (journal->count == journal->capacity)
		journal->entries = heap_grow(journal->entries, &journal->capacity,
					     journal->count + 1, sizeof(*journal->entries));
	journal->entries[journal->count++] = (struct journal_entry){ where, *where };
}

void journal_rollback(struct journal *journal, size_t mark)
{
	assert(mark <= journal->count);
	while (journal->count > mark) {
		const struct journal_entry *entry = &journal->entries[--journal->count];

		*entry->where = entry->old;
	}
}

void journal_copy(struct journal *journal, uint64_t *to, const uint64_t *from, size_t words)
{
	for (size_t i = 0; i < words; i++)
		journal_set(journal, &to[i], from[i]);
}

void bump_release(struct bump *bump)
{
	for (size_t i = 0; i < bump->block_count; i++)
		free(bump->blocks[i]);
	free(bump->blocks);
	*bump = (struct bump){ 0 };
}

void *bump_alloc(struct bump *bump, size_t bytes)
{
	uint64_t start = (bump->top + 15) & ~UINT64_C(15);
	uint64_t room = BUMP_BLOCK_BYTES - start % BUMP_BLOCK_BYTES;

	assert(bytes <= BUMP_BLOCK_BYTES);
	if (bytes > room)
		start += room;
	while (start / BUMP_BLOCK_BYTES >= bump->block_count) {
		bump->blocks = heap_grow(bump->blocks, &bump->block_capacity, bump->block_count + 1,
					 sizeof(*bump->blocks));
		bump->blocks[bump->block_count++] = heap_new(1, BUMP_BLOCK_BYTES);
	}
	bump->top = start + bytes;
	return bump->blocks[start / BUMP_BLOCK_BYTES] + start % BUMP_BLOCK_BYTES;
}
