// SPDX-License-Identifier: MIT
/** Explore: run a world under a strategy, judge every run, collect what was found. */
#ifndef WORKLOADS_EXPLORE_H
#define WORKLOADS_EXPLORE_H

#include "oracle/judge.h"
#include "workloads/world.h"

#include <stdbool.h>

/** A budget; 0 means no bound. */
struct budget {
	double seconds;
	uint64_t runs;
	uint64_t states;
};

/** Parse "60s", "10000runs", "1e9states" into `budget` (other bounds unchanged). */
MUST_USE enum status budget_parse(struct budget *budget, const char *text, struct why *why);

struct explore_options {
	struct budget budget;
	unsigned models;       /* set of crash_model bits */
	uint32_t sector_bytes; /* 0: 512 */
	uint64_t stop_after;   /* violations after which to stop; 0: never */
	bool count_distinct;
	/** Called now and then; NULL: never. */
	void (*progress)(void *context, uint64_t runs, uint64_t states, size_t violations);
	void *progress_context;
};

/** A violation, once per rule and place, with the first schedule that shows it. */
struct violation {
	struct verdict verdict;
	char *schedule;    /* owned; printable */
	uint64_t run;      /* interleaving in which it was first seen, from 1 */
	uint64_t times;    /* runs that show it */
	uint64_t last_run; /* the last of them */
};

struct explore_result {
	uint64_t interleavings;
	uint64_t pruned; /* runs given up because another covers them */
	uint64_t states;
	uint64_t judged;
	uint64_t distinct;
	struct violation *violations; /* owned */
	size_t violation_count;
	bool complete; /* every interleaving was run; never true when a bound cut the search */
	const char *why_incomplete; /* a literal; NULL when complete */
	char *complaint; /* owned; the strategy's, e.g. "diverged at step 7"; NULL: none */
	/* Literals: why a rule was not judged in some run; NULL: it was in all. */
	const char *skipped[RULE_COUNT];
	double elapsed_seconds;
};

/** Run `world` under `strategy` (borrowed) until it ends or a bound is reached. Gives what `result`
 * owns: free with explore_result_release(). */
MUST_USE enum status explore(struct world *world, struct strategy *strategy,
			     const struct explore_options *options, struct explore_result *result,
			     struct why *why);
void explore_result_release(struct explore_result *result);

#endif
