// SPDX-License-Identifier: MIT
/* A corpus is what a project knows of its failures: a folder of small traces that CI keeps from run
 * to run.
 *
 *      read every file -> run each again -> sweep -> make each finding small -> add what is new
 *
 * A known trace is run under its own workload, settings and schedule, whatever is swept. When the
 * program is the one that was recorded the run goes as recorded. When it is not:
 *
 *      the run breaks the same rule all the same ......................... still shows
 *      it does not: the workload is searched again
 *              a run breaks the rule .................................... still shows
 *              the search is complete and none does ..................... no longer shows
 *              it comes to no end
 *                      the run went as recorded: it is judged otherwise .. no longer shows
 *                      it did not ....................................... diverged
 *
 * So "no longer shows" is said only of what was recorded: of its workload, or of its very run. A
 * trace without a finding is known, too: it must stay clean.
 *
 * Two findings are one when rule, severity, subject (the program, or the engine with its known
 * bugs) and critical step are alike (corpus_add.c). Each finding is made small first, because small
 * runs of one mistake look alike, and so that the folder stays small.
 *
 * Nothing in the folder is ever changed or removed, and what is added is written under another name
 * first. A folder that holds anything else is refused before anything is run: it is more likely a
 * wrong folder than a corpus. */
#include "workloads/cli/corpus.h"

#include "traces/memory.h"
#include "workloads/cli/bundle.h"
#include "workloads/cli/output.h"
#include "workloads/cli/replay.h"
#include "workloads/seconds.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUDGET_SHARE = 4 };

#define TRACE_ENDING ".trace.zst"

static bool ends_in(const char *name, const char *ending)
{
	size_t bytes = strlen(name), ending_bytes = strlen(ending);
	return bytes > ending_bytes && strcmp(name + bytes - ending_bytes, ending) == 0;
}

/* May it be in the folder without being a trace: hidden, a page about the others, what a killed
 * sweep left, a checkpoint? */
static bool is_passed_by(const char *name)
{
	return name[0] == '.' || ends_in(name, ".md") || ends_in(name, ".tmp") ||
	       ends_in(name, ".checkpoint");
}

static int is_listed(const struct dirent *entry)
{
	return !is_passed_by(entry->d_name);
}

/* By bytes: alphasort() asks the locale. */
static int compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static enum status add_known(struct corpus *corpus, const char *name, struct why *why)
{
	char path[OUTPUT_PATH_BYTES];
	struct trace trace;
	snprintf(path, sizeof(path), "%.3800s/%s", corpus->folder, name);
	if (!ends_in(name, TRACE_ENDING) && !bundle_is_named(name))
		return why_set(why, STATUS_BAD_INPUT,
			       "'%.300s': a corpus holds traces, whose names end in " TRACE_ENDING,
			       path);
	trace_init(&trace);
	enum status status = replay_read(&trace, path, why);
	if (status != STATUS_OK)
		goto out;
	corpus->known = memory_grow(corpus->known, &corpus->known_capacity, corpus->known_count + 1,
				    sizeof(*corpus->known));
	struct corpus_trace *known = &corpus->known[corpus->known_count++];
	*known = (struct corpus_trace){ .key = corpus_key(&trace) };
	trace_set_text(&known->path, path);
	trace_set_text(&known->rule, trace.finding_count ? trace.findings[0].rule : "");
	trace_set_text(&known->message, trace.finding_count ? trace.findings[0].message : "");
out:
	trace_release(&trace);
	return status;
}

enum status corpus_open(struct corpus *corpus, const char *folder, struct why *why)
{
	struct dirent **entries = NULL;
	*corpus = (struct corpus){ .folder = folder };
	enum status status = output_make_folder(folder, why);
	if (status != STATUS_OK)
		return status;
	int count = scandir(folder, &entries, is_listed, compare_names);
	if (count < 0)
		return why_set(why, STATUS_IO, "cannot read folder '%.300s': %s", folder,
			       strerror(errno));
	for (int i = 0; i < count; i++) {
		if (status == STATUS_OK)
			status = add_known(corpus, entries[i]->d_name, why);
		free(entries[i]);
	}
	free(entries);
	return status;
}

/* ---- running them again ---- */

__attribute__((format(printf, 2, 3))) static void say_why(struct corpus_trace *known,
							  const char *format, ...)
{
	va_list arguments;
	free(known->why);
	va_start(arguments, format);
	if (vasprintf(&known->why, format, arguments) < 0)
		abort();
	va_end(arguments);
}

/* What the new run says by itself. False: it does not break the rule, which says nothing of other
 * runs. */
static bool take_run(struct corpus_trace *known, const struct trace *recorded,
		     const struct again *again, const struct why *why, bool is_as_recorded)
{
	struct trace_finding found;
	bool is_same = replay_is_bare(recorded) ||
		       event_log_difference(&recorded->log, &again->trace.log) == SIZE_MAX;
	bool is_whole = !again->complaint;
	if (!recorded->finding_count && is_whole) {
		known->outcome = CORPUS_CLEAN;
		if (!again->judgement.verdict_count)
			return true;
		again_finding(&found, &again->judgement.verdicts[0]);
		known->outcome = CORPUS_BREAKS;
		trace_set_text(&known->rule, found.rule);
		trace_set_text(&known->message, found.message);
		return true;
	}
	for (size_t i = 0; i < again->judgement.verdict_count && is_whole; i++) {
		again_finding(&found, &again->judgement.verdicts[i]);
		if (!again_same_finding(&found, &recorded->findings[0]))
			continue;
		known->outcome = CORPUS_SHOWS;
		if (!is_as_recorded)
			say_why(known, "%s", why->text);
		return true;
	}
	known->outcome = is_same ? CORPUS_GONE : CORPUS_DIVERGED;
	say_why(known, "%s", why->text);
	return false;
}

/* The run left its recording: ask all runs of its workload. */
static void search_again(struct corpus_trace *known, const struct trace *recorded,
			 const struct settings *settings, struct shrink_budget *budget)
{
	struct schedule schedule;
	char *text = NULL;
	schedule_init(&schedule);
	switch (replay_search(recorded, settings, budget, &schedule)) {
	case REPLAY_BREAKS:
		text = schedule_print(&schedule);
		known->outcome = CORPUS_SHOWS;
		say_why(known, "under another schedule, %s", text ? text : "");
		break;
	case REPLAY_KEEPS:
		known->outcome = CORPUS_GONE;
		say_why(known, "no run of its workload does");
		break;
	case REPLAY_UNKNOWN: break;
	}
	free(text);
	schedule_release(&schedule);
}

static enum status run_known(struct corpus_trace *known, const struct options *options,
			     struct shrink_budget *budget, struct why *why)
{
	struct trace recorded;
	struct settings settings = { 0 };
	struct again again = { 0 };
	struct why said = { "" };
	trace_init(&recorded);
	enum status status = replay_read(&recorded, known->path, why);
	if (status != STATUS_OK)
		goto out;
	enum status outcome = replay_trace(&recorded, &settings, options, &again, &said);
	shrink_budget_spend(budget, 1);
	if (outcome == STATUS_OK || outcome == STATUS_DIVERGED) {
		if (!take_run(known, &recorded, &again, &said, outcome == STATUS_OK))
			search_again(known, &recorded, &settings, budget);
	} else if (settings.program) {
		/* It may not be installed here. */
		say_why(known, "%s", said.text);
	} else {
		status = why_set(why, STATUS_BAD_INPUT, "'%.200s': %.280s", known->path, said.text);
	}
out:
	again_release(&again);
	settings_release(&settings);
	trace_release(&recorded);
	return status;
}

static struct budget part_of(const struct budget *budget)
{
	return (struct budget){
		.seconds = budget->seconds / BUDGET_SHARE,
		.runs = (budget->runs + BUDGET_SHARE - 1) / BUDGET_SHARE,
		.states = (budget->states + BUDGET_SHARE - 1) / BUDGET_SHARE,
	};
}

enum status corpus_replay(struct corpus *corpus, const struct options *options, struct why *why)
{
	/* Settings are the traces' own. */
	const struct options own = { .command = options->command,
				     .image_folder = options->image_folder };
	struct progress progress = { .name = "known traces",
				     .is_shown = output_shows_progress(options->quiet) };
	struct shrink_budget budget = { .limit = part_of(&options->budget), .progress = &progress };
	enum status status = STATUS_OK;
	double begun = seconds_now();
	shrink_budget_begin(&budget);
	for (size_t i = 0; i < corpus->known_count && status == STATUS_OK; i++) {
		struct corpus_trace *known = &corpus->known[i];
		double known_begun = seconds_now();
		if (shrink_budget_is_left(&budget))
			status = run_known(known, &own, &budget, why);
		else
			say_why(known, "%s", budget.why_ended);
		known->seconds = seconds_now() - known_begun;
		progress_clear(&progress);
		if (status == STATUS_OK && !options->json && !options->tap)
			corpus_print_known(known, options->quiet);
	}
	corpus->runs = budget.runs;
	corpus->seconds = seconds_now() - begun;
	return status;
}

struct budget corpus_budget_left(const struct corpus *corpus, const struct budget *budget)
{
	struct budget left = *budget;
	if (left.seconds > 0)
		left.seconds =
			left.seconds > corpus->seconds ? left.seconds - corpus->seconds : 1e-3;
	if (left.runs)
		left.runs = left.runs > corpus->runs ? left.runs - corpus->runs : 1;
	return left;
}

void corpus_release(struct corpus *corpus)
{
	for (size_t i = 0; i < corpus->known_count; i++) {
		struct corpus_trace *known = &corpus->known[i];
		free(known->path);
		free(known->rule);
		free(known->message);
		free(known->key);
		free(known->why);
	}
	for (size_t i = 0; i < corpus->added_count; i++) {
		struct corpus_addition *added = &corpus->added[i];
		free(added->path);
		free(added->rule);
		free(added->step);
		free(added->key);
		free(added->from);
	}
	free(corpus->known);
	free(corpus->added);
	*corpus = (struct corpus){ 0 };
}
