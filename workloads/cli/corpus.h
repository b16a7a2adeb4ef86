// SPDX-License-Identifier: MIT
/** A folder of traces that outlives its sweeps: what is in it is run again before each, what a
 * sweep finds is added. See corpus.c. */
#ifndef WORKLOADS_CLI_CORPUS_H
#define WORKLOADS_CLI_CORPUS_H

#include "workloads/cli/commands.h"
#include "workloads/cli/json.h"
#include "workloads/cli/results.h"
#include "workloads/cli/shrink_search.h"
#include "workloads/cli/sweep.h"

/** What became of a known trace. */
enum corpus_outcome {
	CORPUS_SKIPPED,  /* it was not run: `why` */
	CORPUS_CLEAN,    /* it broke no rule, and breaks none */
	CORPUS_GONE,     /* the rule that it broke is kept: `why` says how that is known */
	CORPUS_SHOWS,    /* it breaks the rule still; `why`: not as recorded, but so */
	CORPUS_BREAKS,   /* it was clean, and breaks a rule now */
	CORPUS_DIVERGED, /* it left its recording, and what it showed is not known: `why` */
};

/** A trace in the folder. */
struct corpus_trace {
	char *path; /* owned, like all texts below */
	char *rule; /* of its first finding; "" when it has none; CORPUS_BREAKS: of the new one */
	char *message;
	char *key; /* what makes findings one; NULL: not known yet */
	char *why; /* NULL: nothing to say */
	double seconds;
	enum corpus_outcome outcome;
};

/** A trace that was added. */
struct corpus_addition {
	char *path; /* owned, like all texts below */
	char *rule;
	char *step; /* the critical one, in words */
	char *key;
	char *from; /* the trace that it was made of */
};

/** Zero-initialised: no corpus. */
struct corpus {
	const char *folder;         /* borrowed; NULL: none is asked for */
	struct corpus_trace *known; /* owned; in the order of names */
	size_t known_count, known_capacity;
	struct corpus_addition *added; /* owned */
	size_t added_count, added_capacity;
	size_t duplicates; /* findings that were known already */
	size_t left;       /* findings that were not looked at: `why_left` */
	const char *why_left;
	uint64_t runs; /* that the known traces took */
	double seconds;
};

/** Read the names in `folder`, made when it is missing, and every trace once. STATUS_BAD_INPUT: a
 * file that has no place there; and what trace_read() says. Release in any case. */
MUST_USE enum status corpus_open(struct corpus *corpus, const char *folder, struct why *why);
void corpus_release(struct corpus *corpus);

/** Run each known trace again; those whose runs differ from their recordings are searched again,
 * for a quarter of `options->budget` at most. Tells on stdout what became of each unless the result
 * is for machines. STATUS_BAD_INPUT, with the file's name: its workload or settings make no sense.
 */
MUST_USE enum status corpus_replay(struct corpus *corpus, const struct options *options,
				   struct why *why);

/** What is left of the budget for the sweep. */
struct budget corpus_budget_left(const struct corpus *corpus, const struct budget *budget);

/** Add what the sweeps found and nothing in the folder shows. STATUS_IO. */
MUST_USE enum status corpus_add(struct corpus *corpus, const struct sweep_outcome *outcomes,
				size_t outcome_count, const struct options *options,
				struct why *why);

/** Make of `trace`, which breaks a rule, a trace for a corpus: small, without stack labels, with
 * its critical step as setting. `small` is initialised and empty. `budget` (begun; borrowed) is
 * taken from. Fails as shrink_all() does. */
MUST_USE enum status corpus_make_small(struct trace *small, const struct trace *trace,
				       const struct options *options, struct shrink_budget *budget,
				       struct why *why);

/** Rule, severity, subject and critical step of a trace as one text; NULL: it has no finding, or
 * its critical step is not known. Gives. */
char *corpus_key(const struct trace *trace);

/** "still shows", "no longer shows", ... */
const char *corpus_outcome_text(enum corpus_outcome outcome);

/** What the traces say: EXIT_VIOLATED when one breaks a rule, EXIT_DIVERGED, EXIT_BUDGET when one
 * was not run, else EXIT_CLEAN. */
enum exit_code corpus_exit(const struct corpus *corpus);

/** One line of a known trace (`quiet`: of one that is not as it should be); then, behind the sweep,
 * what was added. */
void corpus_print_known(const struct corpus_trace *known, bool quiet);
void corpus_print_end(const struct corpus *corpus);

/** The key "corpus"; nothing when there is none. */
void corpus_json(struct json *json, const struct corpus *corpus);

/** One case a known trace. Each `failures` is to be freed. */
void corpus_cases(const struct corpus *corpus, struct result_case *cases);

#endif
