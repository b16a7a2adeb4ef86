// SPDX-License-Identifier: MIT
#include "workloads/cli/findings.h"

#include "workloads/cli/again.h"
#include "workloads/cli/output.h"
#include "workloads/cli/story.h"

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

/* Is it what the run shows of a reordered state by a weaker model, so that it says no more of that?
 * A search that judges each state once may have met the weaker state in another run. */
static bool is_weaker(const struct trace_finding *finding, const struct trace_finding *wanted)
{
	return strcmp(wanted->model, "reorder") == 0 && strcmp(finding->model, "reorder") != 0 &&
	       strcmp(finding->model, "none") != 0 && strcmp(finding->rule, wanted->rule) == 0;
}

/* Put the finding that is `verdict` first in the repeated run's trace, so that its story is told;
 * NULL: it did not show again. */
static const struct trace_finding *find_again(struct again *again, const struct verdict *verdict)
{
	struct trace_finding wanted;
	struct trace_finding *all = again->trace.findings;
	again_finding(&wanted, verdict);
	for (size_t i = 0; i < 2 * again->trace.finding_count; i++) {
		size_t at = i % again->trace.finding_count;
		if (i == at ? !again_same_finding(&all[at], &wanted)
			    : !is_weaker(&all[at], &wanted))
			continue;
		struct trace_finding first = all[0];
		all[0] = all[at];
		all[at] = first;
		return &all[0];
	}
	return NULL;
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
	const struct trace_finding *first = find_again(&again, &violation->verdict);
	if (!first) {
		status = why_set(why, STATUS_DIVERGED,
				 "'%s': %s did not show again under schedule %.200s",
				 findings->workload->name, rule_name(violation->verdict.rule),
				 violation->schedule);
		goto out;
	}
	snprintf(name, sizeof(name), "%s-%s-%u", findings->workload->name,
		 rule_name(violation->verdict.rule), number_in_rule(findings->result, index));
	status = write_trace(violation, &again.trace, options_folder(findings->options), name, why);
	if (!findings->outcome->story)
		findings->outcome->story = story_tell(&again.trace, first);
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
