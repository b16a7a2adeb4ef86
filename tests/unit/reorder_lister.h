// SPDX-License-Identifier: MIT
/** Every state that a crash may leave under `reorder`, listed one by one from the events alone. The
 * reference for the judge's decision: no window, no journal, no cleverness. */
#ifndef TESTS_UNIT_REORDER_LISTER_H
#define TESTS_UNIT_REORDER_LISTER_H

#include "traces/content.h"
#include "traces/event.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LISTER_OPERATIONS_MAX = 64, LISTER_SECTORS_MAX = 64, LISTER_VERSIONS_MAX = 24 };

struct lister_operation {
	size_t event;          /* its effect */
	struct content *after; /* owned; the file when all up to it took effect in order */
	bool completed, durable, doomed;
	bool is_resize;
	uint64_t from, to; /* bytes that it changes */
	uint64_t end;      /* size that it gives the file, 0: none */
};

struct lister_flush {
	uint32_t id;
	bool covers[LISTER_OPERATIONS_MAX]; /* operations that had completed */
};

struct lister_sector {
	uint64_t index;
	uint8_t versions[LISTER_VERSIONS_MAX][512];
	size_t count;
};

struct lister {
	const struct event_log *log; /* borrowed */
	struct content *now;         /* owned */
	struct lister_operation operations[LISTER_OPERATIONS_MAX];
	size_t count;
	struct lister_flush flushes[LISTER_OPERATIONS_MAX];
	size_t flush_count;
	uint64_t initial_bytes;
	/* The states at hand. */
	const struct content *initial; /* borrowed */
	struct lister_sector sectors[LISTER_SECTORS_MAX];
	size_t sector_count;
	uint64_t sizes[LISTER_OPERATIONS_MAX + 1];
	size_t size_count;
};

/** Begin before the first event. Borrows both. */
void lister_init(struct lister *lister, const struct content *initial, const struct event_log *log);
void lister_release(struct lister *lister);

/** Event `index` happens. */
void lister_step(struct lister *lister, size_t index);

/** How many states a crash may leave now, counting sectors that differ only; SIZE_MAX: too many to
 * list. */
size_t lister_states(struct lister *lister);

/** State `number`, below lister_states(). Gives. */
struct content *lister_state(const struct lister *lister, size_t number);

#endif
