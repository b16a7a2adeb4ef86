// SPDX-License-Identifier: MIT
/** The undo journal: what the judge knows, as 64-bit words that can be put back; and a bump store
 * whose top can be taken back.
 *
 *  Whatever follows from the events so far lives in words at stable addresses and is changed by
 * journal_set() only. Objects that merely come into being (a node for a cluster that was never
 * looked at before) need no undo, because a fresh node means the same as none. */
#ifndef ORACLE_JOURNAL_H
#define ORACLE_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

struct journal_entry {
	uint64_t *where;
	uint64_t old;
};

/** Zero-initialised: empty. */
struct journal {
	struct journal_entry *entries; /* owned */
	size_t count;
	size_t capacity;
};

/** Free the journal; it is empty afterwards. */
void journal_release(struct journal *journal);

/** Remember `*where` as it is. */
void journal_save(struct journal *journal, uint64_t *where);

/** Put everything back that changed since `journal->count` was `mark`. */
void journal_rollback(struct journal *journal, size_t mark);

/** `*where = value`, undoable. */
static inline void journal_set(struct journal *journal, uint64_t *where, uint64_t value)
{
	if (*where == value)
		return;
	journal_save(journal, where);
	*where = value;
}

/** Copy `words` words, undoable. */
void journal_copy(struct journal *journal, uint64_t *to, const uint64_t *from, size_t words);

enum { BUMP_BLOCK_BYTES = 64 * 1024 };

/** Zero-initialised: empty. Blocks stay until release, so addresses are stable. */
struct bump {
	uint8_t **blocks; /* owned, and each of them */
	size_t block_count;
	size_t block_capacity;
	uint64_t top; /* bytes handed out, block ends included */
};

/** Free everything that was handed out. */
void bump_release(struct bump *bump);

/** `bytes` (at most BUMP_BLOCK_BYTES) bytes, 16-byte aligned, contents undefined. Owned by `bump`.
 * Taken back by setting `bump->top` to an earlier value. */
void *bump_alloc(struct bump *bump, size_t bytes);

#endif
