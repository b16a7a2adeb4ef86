// SPDX-License-Identifier: MIT
#include "workloads/cli/sweep.h"

#include "workloads/cli/again.h"
#include "workloads/cli/output.h"
#include "workloads/cli/story.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void summarise_settings(struct sweep_summary *summary, const struct settings *settings)
{
	snprintf(summary->policy, sizeof(summary->policy), "%s",
		 qcow2_policy_name(settings->world.policy));
	snprintf(summary->strategy, sizeof(summary->strategy), "%s", settings->strategy);
	snprintf(summary->points, sizeof(summary->points), "%s", settings_points_name(settings));
	settings_models_text(settings, summary->models, sizeof(summary->models));
	summary->faults = settings->world.faults_max;
	summary->prune = settings->prune;
}

static void summarise_result(struct sweep_summary *summary, const struct explore_result *result)
{
	summary->interleavings = result->interleavings;
	summary->pruned = result->pruned;
	summary->states = result->states;
	summary->judged = result->judged;
	summary->distinct = result->distinct;
	summary->complete = result->complete;
	summary->elapsed_seconds = result->elapsed_seconds;
	snprintf(summary->why_incomplete, sizeof(summary->why_incomplete), "%s",
		 result->why_incomplete ? result->why_incomplete : "");
	snprintf(summary->complaint, sizeof(summary->complaint), "%s",
		 result->complaint ? result->complaint : "");
	for (int rule = 0; rule < RULE_COUNT; rule++)
		snprintf(summary->skipped[rule], sizeof(summary->skipped[rule]), "%s",
			 result->skipped[rule] ? result->skipped[rule] : "");
}

/* Was each expected rule broken, and no other? */
static bool meets_expectation(const struct workload *workload, const struct explore_result *result)
{
	bool seen[WORKLOAD_EXPECTS_MAX] = { false };
	for (size_t i = 0; i < result->violation_count; i++) {
		const char *rule = rule_name(result->violations[i].verdict.rule);
		bool is_expected = false;
		for (size_t k = 0; k < workload->expect_count; k++)
			if (strcmp(rule, workload->expects[k]) == 0)
				is_expected = seen[k] = true;
		if (!is_expected)
			return false;
	}
	for (size_t k = 0; k < workload->expect_count; k++)
		if (!seen[k])
			return false;
	return true;
}

static void judge_expectation(struct sweep_summary *summary, const struct workload *workload,
			      const struct options *options, const struct explore_result *result)
{
	bool overridden = options->bug_count || options->policy || options->has_faults ||
			  options->fault_points || options->crash;
	summary->has_expectation =
		(workload->expects_clean || workload->expect_count) && !overridden;
	summary->as_expected = summary->has_expectation && meets_expectation(workload, result);
}

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

/* Put the finding that is `verdict` first in the repeated run's trace, so that its story is told;
 * NULL: it did not show again. */
static const struct trace_finding *find_again(struct again *again, const struct verdict *verdict)
{
	struct trace_finding wanted;
	struct trace_finding *findings = again->trace.findings;
	again_finding(&wanted, verdict);
	for (size_t i = 0; i < again->trace.finding_count; i++) {
		if (!again_same_finding(&findings[i], &wanted))
			continue;
		struct trace_finding first = findings[0];
		findings[0] = findings[i];
		findings[i] = first;
		return &findings[0];
	}
	return NULL;
}

struct sweep_job {
	const struct workload *workload;
	const struct settings *settings;
	const struct options *options;
	const struct explore_result *result;
	struct sweep_outcome *outcome;
};

/* Execute violation `index` once more, with stacks: its trace, and the story of the first. */
static enum status repeat_violation(const struct sweep_job *job, size_t index, struct why *why)
{
	struct sweep_violation *violation = &job->outcome->violations[index];
	struct settings settings = *job->settings;
	struct again again;
	char name[WORKLOAD_NAME_BYTES + 48];
	settings.world.stacks = true;
	enum status status =
		again_run_schedule(&again, job->workload, &settings, violation->schedule, why);
	if (status != STATUS_OK)
		goto out;
	const struct trace_finding *finding = find_again(&again, &violation->verdict);
	if (!finding) {
		status = why_set(why, STATUS_DIVERGED,
				 "'%s': %s did not show again under schedule %.200s",
				 job->workload->name, rule_name(violation->verdict.rule),
				 violation->schedule);
		goto out;
	}
	snprintf(name, sizeof(name), "%s-%s-%u", job->workload->name,
		 rule_name(violation->verdict.rule), number_in_rule(job->result, index));
	status = write_trace(violation, &again.trace, options_folder(job->options), name, why);
	if (!job->outcome->story)
		job->outcome->story = story_tell(&again.trace, finding);
out:
	again_release(&again);
	return status;
}

/* Violations beyond this many are listed without a trace of their own. */
enum { TRACES_MAX = 64 };

static void take_violations(const struct sweep_job *job)
{
	struct sweep_outcome *outcome = job->outcome;
	const struct explore_result *result = job->result;
	outcome->violations = calloc(result->violation_count + 1, sizeof(*outcome->violations));
	if (!outcome->violations)
		abort();
	outcome->violation_count = result->violation_count;
	for (size_t i = 0; i < result->violation_count; i++) {
		const struct violation *from = &result->violations[i];
		struct sweep_violation *to = &outcome->violations[i];
		to->verdict = from->verdict;
		to->run = from->run;
		to->times = from->times;
		trace_set_text(&to->schedule, from->schedule);
	}
	for (size_t i = 0; i < result->violation_count && i < TRACES_MAX; i++) {
		struct why why = { "" };
		if (repeat_violation(job, i, &why) != STATUS_OK && !outcome->summary.complaint[0])
			snprintf(outcome->summary.complaint, sizeof(outcome->summary.complaint),
				 "%.159s", why.text);
	}
}

static enum status sweep_parsed(struct sweep_outcome *outcome, const struct workload *workload,
				const struct options *options, const struct explore_options *search)
{
	struct sweep_summary *summary = &outcome->summary;
	struct explore_options wanted = *search;
	struct explore_result result = { 0 };
	struct settings settings = { 0 };
	struct world *world = NULL;
	struct strategy *strategy = NULL;
	enum status status = settings_resolve(&settings, workload, options, &summary->why);
	if (status != STATUS_OK)
		goto out;
	summarise_settings(summary, &settings);
	settings_enable_bugs(&settings);
	wanted.models = settings.models;
	wanted.sector_bytes = settings.sector_bytes;
	strategy = settings_strategy(&settings);
	if (!strategy) {
		status = why_set(&summary->why, STATUS_NO_MEMORY, "out of memory");
		goto out;
	}
	status = world_new(&world, workload, &settings.world, &summary->why);
	if (status == STATUS_OK)
		status = explore(world, strategy, &wanted, &result, &summary->why);
	world_free(world);
	if (status != STATUS_OK)
		goto out;
	summarise_result(summary, &result);
	judge_expectation(summary, workload, options, &result);
	struct sweep_job job = { workload, &settings, options, &result, outcome };
	take_violations(&job);
out:
	explore_result_release(&result);
	strategy_free(strategy);
	settings_release(&settings);
	return status;
}

void sweep_workload(struct sweep_outcome *outcome, const char *name, const struct options *options,
		    const struct explore_options *search)
{
	struct workload workload;
	*outcome = (struct sweep_outcome){ 0 };
	struct sweep_summary *summary = &outcome->summary;
	summary->status = workload_load(&workload, name, &summary->why);
	if (summary->status != STATUS_OK) {
		snprintf(summary->workload, sizeof(summary->workload), "%.63s", name);
		return;
	}
	snprintf(summary->workload, sizeof(summary->workload), "%s", workload.name);
	summary->status = sweep_parsed(outcome, &workload, options, search);
	workload_release(&workload);
}

void sweep_outcome_release(struct sweep_outcome *outcome)
{
	for (size_t i = 0; i < outcome->violation_count; i++) {
		free(outcome->violations[i].schedule);
		free(outcome->violations[i].trace_path);
	}
	free(outcome->violations);
	free(outcome->story);
	*outcome = (struct sweep_outcome){ 0 };
}
