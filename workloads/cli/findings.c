// SPDX-License-Identifier: MIT
#include "workloads/cli/findings.h"

#include "workloads/cli/again.h"
#include "workloads/cli/output.h"
#include "workloads/cli/story.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The n-th violation of a rule in this workload gets the number n. */
static unsigned number_in_rule(const struct explore_result *result, size_t index)
{
	unsigned number = 1;
	for (size_t i = 0; i < index; i++)
		number += result->violations[i].verdict.rule ==
			  result->violations[index].verdict.rule;
	return number;
}

static enum status write_trace(struct sweep_violation *violation, const struct trace *trace,
			       const char *folder, const char *name, struct why *why)
{
	char path[OUTPUT_PATH_BYTES];
	snprintf(path, sizeof(path), "%.3800s/%s.trace.zst", folder, name);
	enum status status = output_make_folder(folder, why);
	if (status == STATUS_OK)
		status = trace_write(trace, path, why);
	if (status == STATUS_OK)
		trace_set_text(&violation->trace_path, path);
	return status;
}

/* Is `a` what the run shows rather than `b`, of one place: in a weaker model, or earlier? */
static bool shows_before(const struct verdict *a, const struct verdict *b)
{
	if (a->model != b->model)
		return a->model < b->model;
	return a->operation != b->operation ? a->operation < b->operation : a->sector < b->sector;
}

/* The index of what the repeated run says of the place of `verdict`; SIZE_MAX: nothing. */
static size_t find_again(const struct judgement *judgement, const struct verdict *verdict)
{
	size_t best = SIZE_MAX;
	for (size_t i = 0; i < judgement->verdict_count; i++) {
		const struct verdict *found = &judgement->verdicts[i];
		if (violation_same_place(found, verdict) &&
		    (best == SIZE_MAX || shows_before(found, &judgement->verdicts[best])))
			best = i;
	}
	return best;
}

/* List what the repeated run says: that is what its trace will show. A search that was not complete
 * may not know of a weaker model behind the place that it found, and the words are those of the run
 * (whose operations count in its own order). Puts it first in the trace, so that its story is told.
 */
static void take_again(struct verdict *verdict, struct again *again, size_t index)
{
	struct trace_finding *all = again->trace.findings;
	struct trace_finding first = all[0];
	*verdict = again->judgement.verdicts[index];
	all[0] = all[index];
	all[index] = first;
}

/* Execute violation `index` once more, with stacks: its trace, and the story of the first. */
static enum status repeat_violation(const struct findings *findings, size_t index, struct why *why)
{
	struct sweep_violation *violation = &findings->outcome->violations[index];
	struct settings settings = *findings->settings;
	struct again again;
	char name[WORKLOAD_NAME_BYTES + 48];
	settings.world.stacks = true;
	enum status status =
		again_run_schedule(&again, findings->workload, &settings, violation->schedule, why);
	if (status != STATUS_OK)
		goto out;
	size_t found = find_again(&again.judgement, &violation->verdict);
	if (found == SIZE_MAX) {
		status = why_set(why, STATUS_DIVERGED,
				 "'%s': %s did not show again under schedule %.200s",
				 findings->workload->name, rule_name(violation->verdict.rule),
				 violation->schedule);
		goto out;
	}
	take_again(&violation->verdict, &again, found);
	snprintf(name, sizeof(name), "%s-%s-%u", findings->workload->name,
		 rule_name(violation->verdict.rule), number_in_rule(findings->result, index));
	status = write_trace(violation, &again.trace, options_folder(findings->options), name, why);
	if (!findings->outcome->story)
		findings->outcome->story = story_tell(&again.trace, &again.trace.findings[0]);
out:
	again_release(&again);
	return status;
}

/* Violations beyond this many are listed without a trace of their own. */
enum { TRACES_MAX = 64 };

void findings_take(const struct findings *findings)
{
	struct sweep_outcome *outcome = findings->outcome;
	const struct explore_result *result = findings->result;
	outcome->violations = calloc(result->violation_count + 1, sizeof(*outcome->violations));
	if (!outcome->violations)
		abort();
	outcome->violation_count = result->violation_count;
	for (size_t i = 0; i < result->violation_count; i++) {
		const struct violation *from = &result->violations[i];
		struct sweep_violation *to = &outcome->violations[i];
		to->verdict = from->verdict;
		to->times = from->times;
		trace_set_text(&to->schedule, from->schedule);
	}
	for (size_t i = 0; i < result->violation_count && i < TRACES_MAX; i++) {
		struct why why = { "" };
		if (repeat_violation(findings, i, &why) != STATUS_OK &&
		    !outcome->summary.complaint[0])
			snprintf(outcome->summary.complaint, sizeof(outcome->summary.complaint),
				 "%.159s", why.text);
	}
}
