// SPDX-License-Identifier: MIT
/** A slice: a bounded part of one job of a search, explored on its own; what is left of the job
 * becomes jobs again. See slice.c. */
#ifndef WORKLOADS_SLICE_H
#define WORKLOADS_SLICE_H

#include "injector/strategy_dpor.h"
#include "workloads/ledger.h"

/** The job that is the whole search. */
#define SLICE_WHOLE "s1:|0/0|"

/** A job as one line: `s1:01(40)|last/picks|actor:picks,...`. That is the prefix as a schedule; the
 * index of the last pick of an actor and how many picks there are (a schedule's text leaves
 * trailing zeros out); and who sleeps there, with the hash of the faults decided in it, or `*` for
 * any. Gives; free(). */
char *slice_job_print(const struct dpor_job *job);

/** Parse such a line into `job`, whose prefix is initialised. STATUS_BAD_INPUT. */
MUST_USE enum status slice_job_parse(struct dpor_job *job, const char *text, struct why *why);

struct slice_options {
	unsigned models;       /* set of crash_model bits */
	uint32_t sector_bytes; /* 0: 512 */
	bool list_dirty;       /* as in explore_options */
	uint64_t executions;   /* bound on runs, trials not counted; 0: none */
	struct budget budget;  /* of this slice */
	/* As in explore_options. */
	const volatile sig_atomic_t *stop;
	/* Called now and then with what the slice found so far and which part of the job is done;
	 * NULL: never. */
	void (*progress)(void *context, const struct explore_result *so_far, double done);
	void *progress_context;
};

/** Explore a slice of `job` (its text and weight count) in `world`. `part` (empty) becomes what was
 * found and what is open: a function of the job and the options, unless time or `stop` ends the
 * slice. STATUS_BAD_INPUT: the text is no job. */
MUST_USE enum status slice_explore(struct world *world, const struct open_job *job,
				   const struct slice_options *options, struct ledger *part,
				   struct why *why);

#endif
