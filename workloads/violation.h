// SPDX-License-Identifier: MIT
/** What a search found, once per rule, form of the rule, and place: by the weakest crash model, in
 * the smallest cut. */
#ifndef WORKLOADS_VIOLATION_H
#define WORKLOADS_VIOLATION_H

#include "oracle/verdict.h"

#include <stdbool.h>
#include <stdint.h>

/** Verdicts that a search keeps of each rule and run: more than its small worlds have places, so
 * that which are kept does not depend on what was judged when. */
enum { VIOLATION_VERDICTS_MAX = 256 };

/** A violation, and how to see it again. */
struct violation {
	struct verdict verdict;
	char *schedule; /* owned; printable */
	/* Of the cut in which it shows, as judge_cut's; 0 when runs were judged one by one. */
	uint64_t cut_size, cut_hash;
	uint64_t run;      /* interleaving in which it was first seen, from 1 */
	uint64_t times;    /* runs that show it */
	uint64_t last_run; /* the last of them */
};

/** Do two verdicts say the same of the same place? The host's place counts where the guest's is not
 * known: where it is, the host's is an accident of the order of allocations. */
bool violation_same_place(const struct verdict *a, const struct verdict *b);

/** Is `a` to be kept rather than `b`, which says the same? It is if its crash model is weaker, then
 * if its cut is smaller, then by a total order; one without a schedule precedes on account of its
 * model or its cut only. Who compares all of several in any order keeps the same one. */
bool violation_precedes(const struct violation *a, const struct violation *b);

#endif
