// SPDX-License-Identifier: MIT
/** One execution: run a workload once under a strategy, judge it, make its trace. And: judge a
 * trace as it is. */
#ifndef WORKLOADS_CLI_AGAIN_H
#define WORKLOADS_CLI_AGAIN_H

#include "oracle/judge.h"
#include "workloads/cli/settings.h"

/** What the oracle said of one run. */
struct judgement {
	struct verdict *verdicts; /* owned */
	size_t verdict_count;
	size_t left_out; /* --lax: verdicts of the strict form only, not among these */
	struct judge_counts counts;
	uint64_t leaked;                 /* clusters, in the last state of all images */
	const char *skipped[RULE_COUNT]; /* literals: why a rule was not judged; NULL: it was */
};

/** What came out. Release with again_release(). */
struct again {
	struct trace trace; /* complete, with findings */
	struct judgement judgement;
	enum run_end end;
	char *complaint; /* owned; the strategy's, NULL: none */
};

/** Execute `workload` under `strategy` (borrowed; its first run) and judge the run. Known bugs are
 * switched as `settings` say. */
MUST_USE enum status again_run(struct again *again, const struct workload *workload,
			       const struct settings *settings, struct strategy *strategy,
			       struct why *why);

/** Execute the schedule `text` (as printed). STATUS_BAD_INPUT, STATUS_DIVERGED: the schedule is not
 * one of this workload under these settings. */
MUST_USE enum status again_run_schedule(struct again *again, const struct workload *workload,
					const struct settings *settings, const char *text,
					struct why *why);

/** Judge the events of `trace` (borrowed), every image that they change; the numbers of files
 * change on the way and are put back. Gives what `judgement` owns: judgement_release(). */
MUST_USE enum status again_judge(struct trace *trace, const struct settings *settings,
				 struct judgement *judgement, struct why *why);

/** A state of one image that a crash may have left. */
struct again_state {
	uint16_t file;       /* of the trace: the image */
	size_t event_count;  /* before the crash */
	uint64_t operations; /* on the image among them */
	const char *persist; /* as oracle/persist.h has it; borrowed */
};

/** Judge this one state and add what is found to `judgement` (zero bytes at first). As
 * again_judge(). */
MUST_USE enum status again_judge_state(struct trace *trace, const struct settings *settings,
				       const struct again_state *state, struct judgement *judgement,
				       struct why *why);

/** Free what `judgement` owns. */
void judgement_release(struct judgement *judgement);

/** Free what `again` owns. */
void again_release(struct again *again);

/** A verdict as a trace keeps it: `finding` borrows from `verdict` and literals. */
void again_finding(struct trace_finding *finding, const struct verdict *verdict);

/** The same finding: rule, and place as far as it is the guest's? */
bool again_same_finding(const struct trace_finding *a, const struct trace_finding *b);

#endif
