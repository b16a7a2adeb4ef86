// SPDX-License-Identifier: MIT
/** The judge: walks through the events of a run and holds every crash state that the models allow
 * against the rules.
 *
 *  Pure: same files, same events, same verdicts. The cost of the next crash state depends on what
 * the last write touched, not on the size of the image; and the judge can step back, so that runs
 * with a common beginning share its cost. */
#ifndef ORACLE_JUDGE_H
#define ORACLE_JUDGE_H

#include "oracle/verdict.h"
#include "traces/event.h"
#include "traces/status.h"
#include "traces/trace.h"

struct judge;

struct judge_options {
	unsigned models;       /* set of crash_model bits; torn includes prefix; 0: prefix */
	uint32_t sector_bytes; /* written atomically: 512 or 4096; 0: 512 */
	uint32_t verdicts_max; /* kept a run, of each rule (one per rule and place); 0: 16 */
	bool count_distinct;   /* keep the set of crash states seen over all runs */
};

struct judge_counts {
	uint64_t states; /* crash states that the run passed through (every model asked for) */
	uint64_t judged; /* of these, looked at in this call: not shared with the previous run */
	/* different (contents, promises) over all runs so far; 0 unless counted */
	uint64_t distinct;
};

struct judge_report {
	const struct verdict *verdicts; /* borrowed until the next call */
	size_t verdict_count;
	struct judge_counts counts;
	/* Why a rule was not judged in this run, or not everywhere; NULL: it was. */
	const char *skipped[RULE_COUNT];
	uint64_t operations;     /* that changed the image (judge_is_operation()) */
	uint64_t leaked;         /* clusters with refcount above references, in the last state */
	uint64_t copied_missing; /* with refcount one and a reference without COPIED: only slow */
};

/** Does the event change the image file, so that a crash can fall behind it? Operations are counted
 * by this: successful writes of at least a byte, resize, zero, punch and allocate on file 0. */
bool judge_is_operation(const struct event *event);

/** A judge for runs that start from `files` (borrowed until judge_free(); files[0] is the image
 * under test, whose backing chain is followed through `backing`). An initial image that breaks
 * rules is no error: its verdicts come with operation 0. STATUS_NO_MEMORY, STATUS_UNSUPPORTED
 * (names the feature). */
MUST_USE enum status judge_new(struct judge **judge, const struct trace_file *files,
			       size_t file_count, const struct judge_options *options,
			       struct why *why);
void judge_free(struct judge *judge);

/** Judge one run. A memory shortage ends the program. The first `kept_events` events are equal to
 * those of the previous call (0 when in doubt). `log` is borrowed until the next call. */
void judge_run(struct judge *judge, const struct event_log *log, size_t kept_events,
	       struct judge_report *report);

#endif
