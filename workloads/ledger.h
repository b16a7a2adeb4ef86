// SPDX-License-Identifier: MIT
/** The books of a search that is done in parts: what was done, what was seen, what was found, and
 * what is still open. Adding two of them is all that merging takes. See ledger.c. */
#ifndef WORKLOADS_LEDGER_H
#define WORKLOADS_LEDGER_H

#include "workloads/explore.h"
#include "workloads/pack.h"

enum { LEDGER_LINE_BYTES = 160 };

/** A part of the search that nobody has done yet. */
struct open_job {
	char *text;        /* owned; slice_job_print() */
	double weight;     /* which part of the whole search it is taken for */
	uint32_t attempts; /* how often somebody died of it */
};

/** Zero-initialised: nothing done, nothing open. */
struct ledger {
	/* Done. These depend a little on how the search was split. */
	uint64_t interleavings;   /* runs completed */
	uint64_t blocked;         /* runs given up because others cover them */
	uint64_t trials;          /* runs made to see what a step touches */
	uint64_t states;          /* crash images built */
	uint64_t judged;          /* of them, looked at */
	struct magnitude decided; /* reordered states that decisions stood for */
	uint64_t slices;
	double seconds; /* on the clock of whoever keeps the books */
	/* Seen. These do not. */
	struct explore_sets sets;
	uint64_t class_checksum, end_checksum; /* over the sets; that of states is in its set */
	struct violation *violations;          /* owned; of each place the shortest schedule's */
	size_t violation_count, violation_capacity;
	/* Left. */
	struct open_job *jobs; /* owned; the newest is the last */
	size_t job_count, job_capacity;
	uint64_t lost;                     /* jobs given up because those who did them died */
	char complaint[LEDGER_LINE_BYTES]; /* "" or what went wrong with the search */
	char skipped[RULE_COUNT][LEDGER_LINE_BYTES]; /* why a rule was not judged; "": it was */
};

/** Free what `ledger` owns; it is empty afterwards. */
void ledger_release(struct ledger *ledger);

/** Open a job (copies the text). */
void ledger_open(struct ledger *ledger, const char *text, double weight, uint32_t attempts);

/** Take open job number `index`. Gives what it owns: free its text. */
struct open_job ledger_take(struct ledger *ledger, size_t index);

/** Enter what a search found, with its sets. */
void ledger_enter(struct ledger *ledger, const struct explore_result *result,
		  const struct explore_sets *sets);

/** Add all that is in `part`, its open jobs on top. */
void ledger_add(struct ledger *ledger, const struct ledger *part);

/** Was everything done? */
bool ledger_is_complete(const struct ledger *ledger);

/** Completed runs of a class that was complete already. */
uint64_t ledger_duplicates(const struct ledger *ledger);

/** Which part of the search is done, 0 to 1. `busy`: weight of jobs that were taken. */
double ledger_done(const struct ledger *ledger, double busy);

/** As bytes, and back. False: the bytes make no sense; `ledger` (empty before) is empty then. */
void ledger_pack(const struct ledger *ledger, struct pack *pack);
MUST_USE bool ledger_unpack(struct ledger *ledger, struct unpack *unpack);

/** The books as the result of one search: gives what `result` owns. `why_incomplete` (a literal) is
 * used when they are not closed. */
void ledger_result(const struct ledger *ledger, const char *why_incomplete,
		   struct explore_result *result);

#endif
