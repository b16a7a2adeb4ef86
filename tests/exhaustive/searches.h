// SPDX-License-Identifier: MIT
/** The searches that the equality test compares, and what each says of a world. */
#ifndef TESTS_EXHAUSTIVE_SEARCHES_H
#define TESTS_EXHAUSTIVE_SEARCHES_H

#include "workloads/explore.h"
#include "workloads/world.h"

enum { FOUND_BYTES = 16384 };

/** How the runs are walked through, and how their crash states are enumerated. */
enum search_kind {
	SEARCH_PLAIN,    /* every interleaving; the states that each run passes through */
	SEARCH_SLEEP,    /* sleep sets; the states of each class */
	SEARCH_DPOR,     /* partial-order reduction; the states of each class */
	SEARCH_IN_JOBS,  /* as that, in many small jobs */
	SEARCH_STATEFUL, /* visited states; the states that each run passes through */
	SEARCH_KINDS,
};

/** What a search says, comparable. */
struct outcome {
	bool complete;
	uint64_t interleavings, duplicates, jobs;
	uint64_t classes, class_checksum; /* of runs; not of SEARCH_STATEFUL */
	uint64_t ends, end_checksum;
	uint64_t distinct, distinct_checksum;
	char complaint[160];     /* the search's of itself; "" without any */
	char found[FOUND_BYTES]; /* rule and place of each violation, sorted, each once */
};

/** In a few words. */
const char *search_name(enum search_kind kind);

/** Search `workload` with runs up to `runs_max`. */
void search(struct outcome *outcome, enum search_kind kind, const struct workload *workload,
	    const struct world_options *options, uint64_t runs_max);

/** Do both say the same? `text` says what differs. Classes are compared when both count them. */
bool outcomes_are_equal(const struct outcome *a, const struct outcome *b, char *text,
			size_t text_bytes);

#endif
