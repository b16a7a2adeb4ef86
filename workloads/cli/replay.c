// SPDX-License-Identifier: MIT
/* A trace of a foreign program may hold no workload: its operations are applied to its initial
 * files again, and judged again, which shows that they are read the same. */
#include "workloads/cli/replay.h"

#include "workloads/cli/bundle.h"
#include "workloads/cli/shrink.h"

#include <stdio.h>
#include <string.h>

enum {
	EVENT_TEXT_BYTES = 160,
	SEARCH_RUNS = 20000,
	SEARCH_RUNS_PROGRAM = 300,
};

bool replay_is_bare(const struct trace *recorded)
{
	return !*recorded->workload;
}

enum status replay_read(struct trace *recorded, const char *path, struct why *why)
{
	return bundle_is_named(path) ? bundle_read_trace(recorded, path, why)
				     : trace_read(recorded, path, why);
}

static void format_event(char *text, const struct event_log *log, size_t index)
{
	if (index < log->count)
		event_format(text, EVENT_TEXT_BYTES, log, &log->events[index]);
	else
		snprintf(text, EVENT_TEXT_BYTES, "the end");
}

static enum status compare_events(const struct trace *recorded, const struct trace *now,
				  struct why *why)
{
	char before[EVENT_TEXT_BYTES], after[EVENT_TEXT_BYTES];
	size_t index = event_log_difference(&recorded->log, &now->log);
	if (index == SIZE_MAX)
		return STATUS_OK;
	format_event(before, &recorded->log, index);
	format_event(after, &now->log, index);
	return why_set(why, STATUS_DIVERGED, "diverged at step %zu: recorded '%s', now '%s'",
		       index + 1, before, after);
}

/* With `compares_form` it must be the same form of the rule that says so. */
static bool has_finding(const struct trace *trace, const struct trace_finding *finding,
			bool compares_form)
{
	for (size_t i = 0; i < trace->finding_count; i++)
		if (again_same_finding(&trace->findings[i], finding) &&
		    (!compares_form || trace->findings[i].strict_only == finding->strict_only))
			return true;
	return false;
}

static enum status compare_findings(const struct trace *recorded, const struct trace *now,
				    struct why *why)
{
	/* An older trace does not say it. */
	bool compares_form = recorded->version >= TRACE_VERSION_STRICT;
	for (size_t i = 0; i < recorded->finding_count; i++)
		if (!has_finding(now, &recorded->findings[i], compares_form))
			return why_set(why, STATUS_DIVERGED,
				       "the same events, but %s is not found any more",
				       recorded->findings[i].rule);
	for (size_t i = 0; i < now->finding_count; i++)
		if (!has_finding(recorded, &now->findings[i], compares_form))
			return why_set(why, STATUS_DIVERGED,
				       "the same events, but %s was not found when recorded",
				       now->findings[i].rule);
	return STATUS_OK;
}

static enum status run_again(const struct trace *recorded, const struct settings *settings,
			     struct again *again, struct why *why)
{
	struct workload workload;
	struct strategy *strategy = strategy_replay_new(&recorded->schedule);
	if (!strategy)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	enum status status = workload_parse(&workload, "trace", recorded->workload,
					    strlen(recorded->workload), why);
	if (status == STATUS_OK)
		status = again_run(again, &workload, settings, strategy, why);
	if (status == STATUS_OK)
		status = compare_events(recorded, &again->trace, why);
	if (status == STATUS_OK && again->complaint)
		status = why_set(why, STATUS_DIVERGED, "%.300s", again->complaint);
	workload_release(&workload);
	strategy_free(strategy);
	return status;
}

/* Apply what a foreign program did once more. */
static enum status replay_bare(struct trace *recorded, const struct settings *settings,
			       struct again *again, struct why *why)
{
	for (size_t i = 0; i < recorded->file_count; i++) {
		struct content *content = trace_final_content(recorded, (uint16_t)i);
		if (!content)
			return why_set(why, STATUS_NO_MEMORY, "out of memory");
		content_free(content);
	}
	return again_judge(recorded, settings, &again->judgement, why);
}

enum status replay_trace(struct trace *recorded, struct settings *settings,
			 const struct options *options, struct again *again, struct why *why)
{
	enum status status = settings_from_trace(settings, recorded, options, why);
	if (status != STATUS_OK)
		return status;
	if (replay_is_bare(recorded))
		return replay_bare(recorded, settings, again, why);
	status = run_again(recorded, settings, again, why);
	const char *was_lax = trace_setting(recorded, "lax");
	bool same_judge = !options->crash && !options->sector_bytes &&
			  settings->lax == (was_lax && strcmp(was_lax, "yes") == 0);
	if (status == STATUS_OK && same_judge)
		status = compare_findings(recorded, &again->trace, why);
	return status;
}

enum replay_answer replay_search(const struct trace *recorded, const struct settings *settings,
				 struct shrink_budget *budget, struct schedule *schedule)
{
	struct workload workload;
	struct settings searching = *settings;
	struct why why = { "" };
	bool is_complete = false;
	struct shrink_question question = {
		.workload = &workload,
		.settings = &searching,
		.runs = settings->program ? SEARCH_RUNS_PROGRAM : SEARCH_RUNS,
	};
	searching.strategy = settings->program ? "dfs" : "dpor";
	if (!recorded->finding_count || replay_is_bare(recorded) ||
	    !shrink_parse_finding(&recorded->findings[0], &question.rule, &question.severity) ||
	    workload_parse(&workload, "trace", recorded->workload, strlen(recorded->workload),
			   &why) != STATUS_OK)
		return REPLAY_UNKNOWN;
	enum status status = shrink_search(&question, budget, schedule, &is_complete, &why);
	workload_release(&workload);
	return status == STATUS_OK ? REPLAY_BREAKS : is_complete ? REPLAY_KEEPS : REPLAY_UNKNOWN;
}
