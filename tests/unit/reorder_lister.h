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

enum { LISTER_SECTORS_MAX = 1024, LISTER_VERSIONS_MAX = 24 };

struct lister_operation {
	size_t event;   /* its effect */
	uint8_t *after; /* owned; the sectors that it changes, when all up to it took effect */
	bool completed, durable, doomed;
	bool is_resize;
	uint64_t from, to; /* bytes that it changes */
	uint64_t end;      /* size that it gives the file, 0: none */
};

struct lister_flush {
	uint32_t id;
	size_t count; /* operations before it */
	bool *covers; /* owned; which of them had completed */
};

struct lister_sector {
	uint64_t index;
	const uint8_t *versions[LISTER_VERSIONS_MAX]; /* borrowed */
	size_t count;
};

struct lister {
	const struct event_log *log;         /* borrowed */
	const struct content *initial;       /* borrowed */
	struct content *now;                 /* owned */
	struct lister_operation *operations; /* owned */
	size_t count, capacity;
	struct lister_flush *flushes; /* owned */
	size_t flush_count, flush_capacity;
	uint32_t sector_bytes;
	/* The states at hand. */
	uint8_t *first; /* owned; initial bytes of each sector */
	struct lister_sector sectors[LISTER_SECTORS_MAX];
	size_t sector_count;
	uint64_t *sizes; /* owned */
	size_t size_count, size_capacity;
};

/** Begin before the first event. Borrows `initial` and `log`, which may grow. Sectors of
 * `sector_bytes` are written atomically. */
void lister_init(struct lister *lister, const struct content *initial, const struct event_log *log,
		 uint32_t sector_bytes);
/** Free what `lister` owns. */
void lister_release(struct lister *lister);

/** Event `index` happens. */
void lister_step(struct lister *lister, size_t index);

/** How many operations a crash may lose now. */
size_t lister_volatile(const struct lister *lister);

/** How many states a crash may leave now, counting sectors that differ only; SIZE_MAX: more than
 * `states_max`. */
size_t lister_states(struct lister *lister, size_t states_max);

/** State `number`, below what lister_states() returned last. Gives. */
struct content *lister_state(const struct lister *lister, size_t number);

/** Some state that a crash may leave now, however many there are: `random` decides which, and is
 * stepped on. Gives. */
struct content *lister_any_state(struct lister *lister, uint64_t *random);

#endif
