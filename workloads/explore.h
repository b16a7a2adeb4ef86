// SPDX-License-Identifier: MIT
/** Explore: run a world under a strategy, judge every run, collect what was found. */
#ifndef WORKLOADS_EXPLORE_H
#define WORKLOADS_EXPLORE_H

#include "oracle/distinct.h"
#include "oracle/judge.h"
#include "workloads/dirty_states.h"
#include "workloads/violation.h"
#include "workloads/world.h"

#include <signal.h>
#include <stdbool.h>

/** A budget; 0 means no bound. */
struct budget {
	double seconds;
	uint64_t runs;
	uint64_t states;
};

/** Parse "60s", "10000runs", "1e9states" into `budget` (other bounds unchanged). */
MUST_USE enum status budget_parse(struct budget *budget, const char *text, struct why *why);

struct explore_result;

/** Sets of hashes that a search leaves, to be merged with those of other searches of one world. */
struct explore_sets {
	struct distinct classes;   /* of completed runs */
	struct distinct ends;      /* final images */
	struct distinct states;    /* crash states with what was promised of them */
	struct dirty_states dirty; /* those of them with the dirty bit, if they were asked for */
};

/** Free what `sets` owns. */
void explore_sets_release(struct explore_sets *sets);

struct explore_options {
	struct budget budget;
	/** Stop after so many runs that `is_trial` (may be NULL: none is) is not true of; 0: no
	 * bound. */
	uint64_t slice;
	bool (*is_trial)(const struct strategy *strategy);
	/* Looked at between two runs: stop when it is not 0. May be NULL. */
	const volatile sig_atomic_t *stop;
	unsigned models;       /* set of crash_model bits */
	uint32_t sector_bytes; /* 0: 512 */
	uint64_t stop_after;   /* violations after which to stop; 0: never */
	bool count_distinct;
	/** Collect crash states with the dirty bit in `sets`. Needs `count_distinct`. */
	bool list_dirty;
	/* Borrowed; the order of the run, as the strategy may look at it; NULL: classes are not
	 * counted. */
	struct order *order;
	/** Judge the crash states of all runs of a run's class, not only those that the run itself
	 * passes through. Needs `order`. For strategies that do not execute every interleaving. */
	bool judge_classes;
	/* Borrowed, empty; filled. NULL: the sets are not wanted. Classes and ends need `order`. */
	struct explore_sets *sets;
	/** Say how many classes there are at least, judging by how often each was met. Makes sense
	 * for samplers. Needs `order`. */
	bool estimate_classes;
	/** Say which part of a depth-first search is done. */
	bool measure_tree;
	/** Called now and then, or every `progress_every` runs unless that is 0; NULL: never. */
	uint64_t progress_every;
	void (*progress)(void *context, const struct explore_result *so_far);
	void *progress_context;
};

struct explore_result {
	uint64_t interleavings;
	uint64_t pruned;         /* runs given up because another covers them */
	uint64_t classes;        /* different classes of completed runs; 0 unless counted */
	uint64_t class_checksum; /* over them, whatever their order */
	uint64_t duplicates;     /* completed runs of a class that was complete already */
	uint64_t joined; /* of a program: runs that came together with others; strategy_join.h */
	uint64_t parted; /* of a program: states that looked alike and went on otherwise */
	uint64_t states;
	uint64_t judged;
	struct magnitude decided; /* reordered states that decisions stood for */
	uint64_t distinct;
	uint64_t distinct_checksum;   /* over the distinct states, whatever their order */
	uint64_t ends;                /* different final images; 0 unless classes are counted */
	uint64_t end_checksum;        /* over them */
	double classes_at_least;      /* those not met included; 0 unless estimated */
	double unseen;                /* chance that a further run shows a new class; likewise */
	double done;                  /* part of the search, 0 to 1; 0 unless measured */
	struct violation *violations; /* owned */
	size_t violation_count;
	bool complete; /* every interleaving was run; never true when a bound cut the search */
	const char *why_incomplete; /* a literal; NULL when complete */
	char *complaint; /* owned; the strategy's, e.g. "diverged at step 7"; NULL: none */
	/* Literals: why a rule was not judged in some run; NULL: it was in all. */
	const char *skipped[RULE_COUNT];
	double elapsed_seconds;
};

/** Drop, of `*count` violations, those that the lax form of old-or-new allows. Returns how many. */
size_t violations_relax(struct violation *violations, size_t *count);

/** What a search runs: a world, or something else that is executed by choices. */
struct subject {
	void *context;
	/** As world_files(), world_run(), world_log(), world_end_hash(). */
	const struct trace_file *(*files)(const void *context, size_t *file_count);
	enum run_end (*run)(void *context, struct choice *choice);
	const struct event_log *(*log)(const void *context);
	uint64_t (*end_hash)(const void *context);
	/** After each run: anything but STATUS_OK ends the search, and is what it returns. NULL:
	 * nothing can go wrong. Without it two runs with equal picks are known to be equal. */
	enum status (*status)(const void *context, struct why *why);
};

/** `world` (borrowed) as a subject. */
struct subject explore_world_subject(struct world *world);

/** As explore(), of anything. */
MUST_USE enum status explore_subject(const struct subject *subject, struct strategy *strategy,
				     const struct explore_options *options,
				     struct explore_result *result, struct why *why);

/** Run `world` under `strategy` (borrowed) until it ends or a bound is reached. Gives what `result`
 * owns: free with explore_result_release(). */
MUST_USE enum status explore(struct world *world, struct strategy *strategy,
			     const struct explore_options *options, struct explore_result *result,
			     struct why *why);
void explore_result_release(struct explore_result *result);

#endif
