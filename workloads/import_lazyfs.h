// SPDX-License-Identifier: MIT
/** The `[[injection]]` entries of a LazyFS configuration: each is a crash, of which it says what
 * was written and what was lost. */
#ifndef WORKLOADS_IMPORT_LAZYFS_H
#define WORKLOADS_IMPORT_LAZYFS_H

#include "traces/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	LAZYFS_ENTRIES_MAX = 64,
	LAZYFS_LIST_MAX = 64, /* of parts, of persisted parts or writes */
	LAZYFS_TEXT_BYTES = 256,
};

enum lazyfs_type {
	LAZYFS_TORN_OP,     /* some parts of one write */
	LAZYFS_TORN_SEQ,    /* some writes of those between two flushes */
	LAZYFS_CLEAR_CACHE, /* nothing that was not flushed */
};

/** A list of numbers. */
struct lazyfs_list {
	uint64_t items[LAZYFS_LIST_MAX];
	size_t count;
};

struct lazyfs_entry {
	uint32_t line; /* of [[injection]], from 1 */
	enum lazyfs_type type;
	char file[LAZYFS_TEXT_BYTES]; /* `file`, or `from` */
	char op[LAZYFS_TEXT_BYTES];   /* "" or "write", "fsync", ... */
	uint64_t occurrence;          /* from 1 */
	struct lazyfs_list persist;   /* parts or writes, from 1 */
	uint64_t parts;               /* equal ones; 0: not said */
	struct lazyfs_list parts_bytes;
	bool before;  /* clear-cache: timing */
	bool crashes; /* clear-cache: else the program goes on */
};

/** Read the entries of a configuration; `name` is used in messages. Gives `*entries`; free().
 * Sections that are not about faults are passed over. STATUS_BAD_INPUT with "name:line: what". */
MUST_USE enum status lazyfs_read(struct lazyfs_entry **entries, size_t *entry_count,
				 const char *name, const char *text, size_t byte_count,
				 struct why *why);

/** "torn-op", ... */
const char *lazyfs_type_name(enum lazyfs_type type);

#endif
