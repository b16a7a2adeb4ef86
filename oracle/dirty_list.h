// SPDX-License-Identifier: MIT
/** The best way to each dirty crash state that was met, so that a better one is noticed. Lives
 * across runs. */
#ifndef ORACLE_DIRTY_LIST_H
#define ORACLE_DIRTY_LIST_H

#include "oracle/findings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dirty_way {
	uint64_t fingerprint;
	enum crash_model model;
	bool is_used;
	struct cut_rank rank;
};

/** By fingerprint. Zero-initialised: empty. */
struct dirty_list {
	struct dirty_way *slots; /* owned */
	size_t capacity;         /* a power of two, at most half in use */
	size_t count;
};

/** Free the list; it is empty afterwards. */
void dirty_list_release(struct dirty_list *list);

/** Enter a way to a state, unless as good a one is known: of a weaker model, or of the same one and
 * a cut that comes before. Returns whether it was entered. */
bool dirty_list_improve(struct dirty_list *list, const struct dirty_way *way);

#endif
