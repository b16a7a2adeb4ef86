// SPDX-License-Identifier: MIT
#include "workloads/cli/campaign_worker.h"

#include "workloads/cli/output.h"
#include "workloads/cli/sweep.h"

#include <stdlib.h>
#include <string.h>

enum { EACH_RUNS = 200, NAME_MAX_BYTES = 256 };

/* A violation as the journal has it; one without a trace has no step either. */
static void add_finding(struct campaign_entry *entry, const struct sweep_violation *violation)
{
	char step[CAMPAIGN_STEP_BYTES] = "";
	char rule[32], severity[16], model[16];
	struct trace trace;
	struct why why = { "" };
	const char *path = violation->trace_path;
	const struct verdict *verdict = &violation->verdict;
	struct trace_finding place = { .operation = verdict->operation, .sector = verdict->sector };
	const char *slash = path ? strrchr(path, '/') : NULL;
	char file[NAME_MAX_BYTES];
	char message[VERDICT_MESSAGE_BYTES];
	snprintf(rule, sizeof(rule), "%s", rule_name(verdict->rule));
	snprintf(severity, sizeof(severity), "%s", severity_name(verdict->severity));
	snprintf(model, sizeof(model), "%s", crash_model_name(verdict->model));
	snprintf(message, sizeof(message), "%s", verdict->message);
	snprintf(file, sizeof(file), "%s", slash ? slash + 1 : "");
	place.model = model;
	trace_init(&trace);
	if (path && trace_read(&trace, path, &why) == STATUS_OK)
		campaign_step(&trace, &place, step);
	trace_release(&trace);
	const struct campaign_finding finding = {
		.rule = rule,
		.severity = severity,
		.model = model,
		.step = step,
		.schedule = violation->schedule,
		.message = message,
		.trace = file,
	};
	/* Once for each rule, severity, model and step: places differ, the mistake does not. */
	for (size_t i = 0; i < entry->finding_count; i++)
		if (strcmp(entry->findings[i].rule, rule) == 0 &&
		    strcmp(entry->findings[i].severity, severity) == 0 &&
		    strcmp(entry->findings[i].model, model) == 0 &&
		    strcmp(entry->findings[i].step, step) == 0)
			return;
	campaign_entry_add(entry, &finding);
}

/* The subject's own affair, and not that of the machine? */
static bool is_refusal(enum status status)
{
	return status == STATUS_BAD_INPUT || status == STATUS_UNSUPPORTED || status == STATUS_USAGE;
}

static void fill_entry(struct campaign_entry *entry, const struct sweep_outcome *outcome)
{
	const struct sweep_summary *summary = &outcome->summary;
	const char *reason = "";
	if (summary->status != STATUS_OK) {
		entry->end = is_refusal(summary->status) ? CAMPAIGN_REFUSED : CAMPAIGN_WRONG;
		reason = summary->why.text;
	} else if (summary->complaint[0]) {
		entry->end = CAMPAIGN_WRONG;
		reason = summary->complaint;
	} else {
		entry->end = summary->complete ? CAMPAIGN_EXHAUSTED : CAMPAIGN_BOUNDED;
	}
	trace_set_text(&entry->reason, reason);
	entry->runs = summary->interleavings + summary->pruned;
	entry->states = summary->states;
	for (size_t i = 0; i < outcome->violation_count; i++)
		add_finding(entry, &outcome->violations[i]);
}

uint64_t campaign_each(const struct options *options)
{
	return options->each ? options->each : EACH_RUNS;
}

void campaign_worker(const struct campaign *campaign, uint64_t index, const char *folder,
		     FILE *file)
{
	struct generated generated;
	struct campaign_entry entry = { .index = index };
	struct options options = *campaign->options;
	struct sweep_outcome outcome = { 0 };
	char path[OUTPUT_PATH_BYTES];
	struct why *why = &outcome.summary.why;
	const struct sweep_plan plan = {
		.budget = { .runs = campaign_each(&options) },
		.jobs = 1,
	};
	generator_at(campaign->generator, index, &generated);
	snprintf(entry.name, sizeof(entry.name), "%s", generated.name);
	options.out = folder;
	enum status status = output_make_folder(folder, why);
	if (status == STATUS_OK)
		status = generated_store(path, &generated, folder, why);
	if (status == STATUS_OK)
		sweep_workload(&outcome, path, &options, &plan);
	else
		outcome.summary.status = status;
	fill_entry(&entry, &outcome);
	char *line = campaign_entry_line(&entry);
	fputs(line, file);
	free(line);
	campaign_entry_release(&entry);
	sweep_outcome_release(&outcome);
}
