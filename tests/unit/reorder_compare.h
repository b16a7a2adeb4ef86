// SPDX-License-Identifier: MIT
/** What the judge decides of `reorder` in a run, next to what every state shows that the lister
 * makes: the same rules must be broken in the same places. */
#ifndef TESTS_UNIT_REORDER_COMPARE_H
#define TESTS_UNIT_REORDER_COMPARE_H

#include "oracle/judge.h"
#include "traces/trace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEYS_MAX = 512 };

/** What makes two verdicts the same: the rule, the place, and what kind of thing is wrong there. */
struct key {
	enum rule rule;
	uint64_t place;
	char kind[64];
};

struct keys {
	struct key list[KEYS_MAX];
	size_t moments[KEYS_MAX]; /* events before it was first seen */
	/* Seen in a state that only reordering leaves. (One that a weaker model leaves, too, is
	 * told of where that shows it, which may be later.) */
	bool reordered[KEYS_MAX];
	size_t count;
};

/** A run, and how far it is listed. */
struct listed_run {
	const struct trace_file *files; /* borrowed */
	size_t file_count;
	struct event_log log; /* borrowed events; `count` is cut where there are too many states */
	uint64_t cluster_bytes;
	struct judge_options options; /* `models` are not looked at */
	bool may_skip_leaks;          /* it may remain undecided how much leaks */
	size_t states_max;            /* to list at a moment; more: the run ends there */
	size_t volatile_max;          /* operations that a crash may lose; more: the same */
	/* What came of it. */
	size_t states;      /* listed */
	size_t moments;     /* at which they were */
	size_t window;      /* the most operations that a crash might lose at a moment */
	bool leaks_skipped; /* they remained so */
};

/** The next of a sequence of numbers; `*random` is not 0. */
uint64_t reorder_random(uint64_t *random);

/** Make the run's log (the caller's to release) from `from`, up to a snapshot, which a judge that
 * gets an image knows nothing of: without some completions of flushes, `share` of 4, so that more
 * may be lost. One is kept where the states would be too many. Returns how many were taken away. */
size_t reorder_take_flushes(struct listed_run *run, const struct event_log *from, uint64_t *random,
			    uint64_t share);

/** Judge every state of the run by itself, and note what each shows. Cuts the run. */
void reorder_list(struct keys *keys, struct listed_run *run);

/** Note what a new judge decides of the run. Returns how many verdicts are of states that only
 * reordering leaves. */
size_t reorder_decide(struct keys *keys, struct listed_run *run, unsigned models);

/** Check (Check's assertions) that both are the same, and of what only reordering shows also at the
 * same moment; not `exact`: only that nothing was decided that listing does not show. `name` tells
 * how to repeat the run. */
void reorder_compare(const struct listed_run *run, const struct keys *decided,
		     const struct keys *listed, bool exact, const char *name);

#endif
