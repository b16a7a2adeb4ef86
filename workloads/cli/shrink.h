// SPDX-License-Identifier: MIT
/** Shrinking: the smallest workload, schedule and crash that break the rule that a trace breaks.
 * See shrink.c. */
#ifndef WORKLOADS_CLI_SHRINK_H
#define WORKLOADS_CLI_SHRINK_H

#include "workloads/cli/again.h"
#include "workloads/cli/shrink_search.h"
#include "workloads/shrink_critical.h"
#include "workloads/shrink_edit.h"
#include "workloads/shrink_fewest.h"

/** How much happens in a run until the rule is seen to be broken. Compared in the order of the
 * fields. */
struct shrink_run {
	uint64_t switches; /* of one task to another */
	uint64_t faults;   /* injected */
	uint64_t model;    /* of the crash: none 0, prefix 1, torn 2, reorder 3 */
	uint64_t missing;  /* torn: sectors that persisted; reorder: sectors that are not the newest
			    */
	uint64_t events;
};

/** As memcmp(): below 0 when `a` is smaller. */
int shrink_run_compare(const struct shrink_run *a, const struct shrink_run *b);

/** The crash model as printed. */
const char *shrink_model_name(const struct shrink_run *run);

/** A workload with a run that breaks the rule. Zero-initialised: empty. */
struct shrink_case {
	struct workload workload; /* owned, like all below */
	struct settings settings;
	struct again again; /* the finding is the first of its trace */
	struct shrink_size size;
	struct shrink_run run;
};

/** Free what `one` owns; it is empty afterwards. */
void shrink_case_release(struct shrink_case *one);

/** A shrinking. */
struct shrink {
	/* What is given. */
	const struct trace *trace; /* borrowed */
	const struct options *options;
	struct shrink_budget budget;
	/* What is wanted: that of the first finding. */
	enum rule rule;
	enum severity severity;
	/* What comes out. */
	struct shrink_size size_before;
	struct shrink_run run_before;
	struct shrink_case best;
	struct fewest fewest; /* zeros: not asked, for the reason that there is no critical step */
	struct critical critical;
	bool has_critical; /* else `why_no_critical` (a literal, or the next) says why */
	const char *why_no_critical;
	struct why critical_why;
	bool keeps_image;   /* it has a backing file of its own */
	bool begins_broken; /* its initial image breaks a rule */
};

/** Shrink as far as the budget goes: workload, then schedule, then find the critical step. `shrink`
 * is zeros but for what is given. STATUS_BAD_INPUT: the trace has nothing to shrink;
 * STATUS_DIVERGED: it does not show again. Otherwise `shrink->best` is what came out, not larger
 * than what was given. Release in any case. */
MUST_USE enum status shrink_all(struct shrink *shrink, struct why *why);
void shrink_release(struct shrink *shrink);

/** Rule and severity of a finding. False: they are none that we know. */
bool shrink_parse_finding(const struct trace_finding *finding, enum rule *rule,
			  enum severity *severity);

/** Execute `one`'s workload once under `strategy` (borrowed; its first run). True: the rule is
 * broken: `again` (gives) has the finding first, `run` its measure. False: nothing was given. */
bool shrink_execute(struct shrink *shrink, const struct shrink_case *one, struct strategy *strategy,
		    struct again *again, struct shrink_run *run);

/** Make `again` (takes), measured as `run`, the run of `one`. */
void shrink_adopt(struct shrink_case *one, const struct again *again, const struct shrink_run *run);

/** Execute `schedule`; when the rule is broken that becomes the run of `one`. */
bool shrink_run_schedule(struct shrink *shrink, struct shrink_case *one,
			 const struct schedule *schedule);

/** What is looked for in runs of the best case. */
struct look_options shrink_look(const struct shrink *shrink);

/** Make the run of `shrink->best` smaller: fewest switches first. See shrink_schedule.c. */
void shrink_schedule(struct shrink *shrink);

#endif
