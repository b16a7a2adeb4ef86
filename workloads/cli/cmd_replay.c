// SPDX-License-Identifier: MIT
/* cowtip replay: a trace's workload under its schedule once more, compared event by event; then
 * judged, and the findings compared too.
 *
 * A trace of a foreign program holds no workload: its operations are applied to its initial files
 * again, and judged again, which shows that they are read the same.
 *
 * With --bisect the question is another one: does this version of the program break the rule? A run
 * that goes as recorded answers it. One that does not may have left its recording for any reason,
 * so the workload is searched anew; and when that comes to no end, there is no answer. */
#include "workloads/cli/again.h"
#include "workloads/cli/bundle.h"
#include "workloads/cli/commands.h"
#include "workloads/cli/report.h"
#include "workloads/cli/shrink.h"
#include "workloads/seconds.h"

#include <stdlib.h>
#include <string.h>

enum {
	EVENT_TEXT_BYTES = 160,
	BISECT_RUNS = 20000,
	BISECT_RUNS_PROGRAM = 300,
};

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

static enum status replay_engine(const struct trace *recorded, const struct settings *settings,
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
static enum status replay_foreign(struct trace *recorded, const struct settings *settings,
				  struct again *again, struct why *why)
{
	for (size_t i = 0; i < recorded->file_count; i++) {
		struct content *content = trace_final_content(recorded, (uint16_t)i);
		if (!content)
			return why_set(why, STATUS_NO_MEMORY, "out of memory");
		content_free(content);
	}
	fputs("cowtip: a trace of a foreign program: its operations are applied and judged "
	      "again, the program is not run\n",
	      stderr);
	return again_judge(recorded, settings, &again->judgement, why);
}

static enum status replay(struct trace *recorded, struct settings *settings,
			  const struct options *options, struct again *again, struct why *why)
{
	bool is_foreign = !*recorded->workload;
	enum status status = settings_from_trace(settings, recorded, options, why);
	if (status != STATUS_OK)
		return status;
	if (is_foreign)
		return replay_foreign(recorded, settings, again, why);
	status = replay_engine(recorded, settings, again, why);
	const char *was_lax = trace_setting(recorded, "lax");
	bool same_judge = !options->crash && !options->sector_bytes &&
			  settings->lax == (was_lax && strcmp(was_lax, "yes") == 0);
	if (status == STATUS_OK && same_judge)
		status = compare_findings(recorded, &again->trace, why);
	return status;
}

/* Does any run of the recorded workload break the rule that the trace broke? */
static enum exit_code search_anew(const struct trace *recorded, const struct settings *settings)
{
	struct workload workload;
	struct settings searching = *settings;
	struct schedule schedule;
	struct why why = { "" };
	bool is_complete = false;
	struct shrink_budget budget = { 0 };
	struct shrink_question question = {
		.workload = &workload,
		.settings = &searching,
		.runs = settings->program ? BISECT_RUNS_PROGRAM : BISECT_RUNS,
	};
	searching.strategy = settings->program ? "dfs" : "dpor";
	if (!recorded->finding_count || !*recorded->workload ||
	    !shrink_parse_finding(&recorded->findings[0], &question.rule, &question.severity) ||
	    workload_parse(&workload, "trace", recorded->workload, strlen(recorded->workload),
			   &why) != STATUS_OK)
		return EXIT_SKIP;
	shrink_budget_begin(&budget);
	schedule_init(&schedule);
	enum status status = shrink_search(&question, &budget, &schedule, &is_complete, &why);
	char *text = status == STATUS_OK ? schedule_print(&schedule) : NULL;
	if (text)
		fprintf(stderr, "cowtip: %s shows under another schedule, %s\n",
			recorded->findings[0].rule, text);
	else if (is_complete)
		fprintf(stderr, "cowtip: no schedule of the workload shows %s\n",
			recorded->findings[0].rule);
	free(text);
	schedule_release(&schedule);
	workload_release(&workload);
	return status == STATUS_OK ? EXIT_VIOLATED : is_complete ? EXIT_CLEAN : EXIT_SKIP;
}

/* What went wrong with the replay, as an exit status. */
static enum exit_code exit_after(enum status status, const struct why *why,
				 const struct options *options, const struct trace *recorded,
				 const struct settings *settings)
{
	enum exit_code code = exit_with(status, why);
	if (!options->bisect)
		return code;
	return status == STATUS_DIVERGED ? search_anew(recorded, settings) : EXIT_SKIP;
}

static enum status read_any(struct trace *trace, const char *path, struct why *why)
{
	return bundle_is_named(path) ? bundle_read_trace(trace, path, why)
				     : trace_read(trace, path, why);
}

enum exit_code cmd_replay(const struct options *options)
{
	struct trace recorded;
	struct settings settings = { 0 };
	struct again again = { 0 };
	struct why why = { "" };
	enum exit_code code = EXIT_BAD;
	double started = seconds_now();
	trace_init(&recorded);
	enum status status = read_any(&recorded, options->positional[0], &why);
	if (status == STATUS_OK)
		status = replay(&recorded, &settings, options, &again, &why);
	if (status != STATUS_OK) {
		code = exit_after(status, &why, options, &recorded, &settings);
		goto out;
	}
	struct report_findings findings = {
		.command = "replay",
		.trace_path = options->positional[0],
		.trace = &recorded,
		.settings = &settings,
		.judgement = &again.judgement,
		.elapsed_seconds = seconds_now() - started,
	};
	if (!options->json && !options->quiet && *recorded.workload)
		printf("%zu events, all as recorded\n", recorded.log.count);
	code = report_findings(&findings, options);
out:
	again_release(&again);
	settings_release(&settings);
	trace_release(&recorded);
	return code;
}
