// SPDX-License-Identifier: MIT
/** What a campaign found, sorted: findings that are one and the same become one row. See
 * campaign_findings.c. */
#ifndef WORKLOADS_CLI_CAMPAIGN_FINDINGS_H
#define WORKLOADS_CLI_CAMPAIGN_FINDINGS_H

#include "oracle/verdict.h"
#include "traces/trace.h"
#include "workloads/cli/campaign_journal.h"
#include "workloads/cli/json.h"
#include "workloads/generate.h"

enum { CAMPAIGN_STEP_BYTES = 48, CAMPAIGN_KEY_BYTES = 160 };

/** Findings with one key. */
struct campaign_row {
	char key[CAMPAIGN_KEY_BYTES];
	char rule[24], severity[16], crash[16], step[CAMPAIGN_STEP_BYTES];
	struct generate_skeleton requests; /* parts of clusters are alike */
	unsigned states;                   /* of touched clusters, in any of its workloads */
	unsigned caches, lazy;             /* 1 and 2: without and with */
	uint64_t workloads;
	uint64_t first; /* the workload with the lowest index, and what was found there: */
	char name[WORKLOAD_NAME_BYTES];
	struct campaign_finding finding; /* owned texts */
	bool is_explained;               /* by a row of fewer requests; see findings_sort() */
};

struct campaign_table {
	struct campaign_row *rows; /* owned */
	size_t count, capacity;
};

/** What the last operation before a finding's crash did: "writes an L2 table"; "" without a crash.
 */
void campaign_step(const struct trace *trace, const struct trace_finding *finding,
		   char step[CAMPAIGN_STEP_BYTES]);

/** Is this finding of workload `generated`, number `index`, worth keeping a trace of: the first of
 * its row so far, in a row that nothing smaller explains? */
bool campaign_table_wants(const struct campaign_table *table, const struct generated *generated,
			  uint64_t index, const struct campaign_finding *finding);

/** Enter the findings of `entry`, which is workload `generated`. `drop` (may be NULL) is told the
 * traces that are no longer the first of their row. */
void campaign_table_enter(struct campaign_table *table, const struct generated *generated,
			  const struct campaign_entry *entry,
			  void (*drop)(void *context, const char *trace), void *context);

/** Say of each row whether a smaller one explains it, and put them in order: the worst first, then
 * by rule, requests and step. */
void campaign_table_sort(struct campaign_table *table);
void campaign_table_release(struct campaign_table *table);

/** "write 0, discard 0". Gives; free(). */
char *campaign_requests_text(const struct generate_skeleton *requests);

/** The rows that nothing explains; returns how many. */
size_t campaign_table_print(const struct campaign_table *table);
size_t campaign_table_json(const struct campaign_table *table, struct json *json);

#endif
