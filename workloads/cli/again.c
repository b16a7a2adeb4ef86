// SPDX-License-Identifier: MIT
#include "workloads/cli/again.h"

#include "oracle/persist.h"
#include "workloads/cli/program_search.h"
#include "workloads/recovery.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A trace's finding holds owned strings; the ones made here are only ever copied from. */
static char *borrowed(const char *text)
{
	// NOLINTNEXTLINE(performance-no-int-to-ptr): no other way to drop a const that is kept
	return (char *)(uintptr_t)text;
}

void again_finding(struct trace_finding *finding, const struct verdict *verdict)
{
	*finding = (struct trace_finding){
		.rule = borrowed(rule_name(verdict->rule)),
		.severity = borrowed(severity_name(verdict->severity)),
		.message = borrowed(verdict->message),
		.model = borrowed(crash_model_name(verdict->model)),
		.operation = verdict->operation,
		.sector = verdict->sector,
		.guest_offset = verdict->guest_offset,
		.host_offset = verdict->host_offset,
		.strict_only = verdict->strict_only,
	};
}

bool again_same_finding(const struct trace_finding *a, const struct trace_finding *b)
{
	if (strcmp(a->rule, b->rule) != 0 || a->guest_offset != b->guest_offset)
		return false;
	return a->guest_offset != NOWHERE || a->host_offset == b->host_offset;
}

/* Take the verdict, unless only the strict form of old-or-new makes it and the lax one is wanted.
 * There is room. */
static struct verdict *add_verdict(struct judgement *judgement, const struct settings *settings,
				   const struct verdict *verdict)
{
	if (settings->lax && verdict->strict_only) {
		judgement->left_out++;
		return NULL;
	}
	judgement->verdicts[judgement->verdict_count] = *verdict;
	return &judgement->verdicts[judgement->verdict_count++];
}

/* Add what a judge says of one image; its path goes before the message when there are several. */
static void add_report(struct judgement *judgement, const struct settings *settings,
		       const struct judge_report *report, const char *path)
{
	judgement->counts.states += report->counts.states;
	judgement->counts.judged += report->counts.judged;
	judgement->counts.distinct += report->counts.distinct;
	judgement->leaked += report->leaked;
	judgement->counts.decided =
		magnitude_add(judgement->counts.decided, report->counts.decided);
	for (size_t i = 0; i < RULE_COUNT; i++)
		if (!judgement->skipped[i])
			judgement->skipped[i] = report->skipped[i];
	size_t count = judgement->verdict_count + report->verdict_count;
	judgement->verdicts =
		realloc(judgement->verdicts, (count + 1) * sizeof(*judgement->verdicts));
	if (!judgement->verdicts)
		abort();
	for (size_t i = 0; i < report->verdict_count; i++) {
		struct verdict *verdict = add_verdict(judgement, settings, &report->verdicts[i]);
		if (verdict && path)
			snprintf(verdict->message, sizeof(verdict->message), "'%.60s': %.560s",
				 path, report->verdicts[i].message);
	}
}

/* Judge the image that is file 0. */
static enum status judge_first(const struct trace *trace, const struct judge_options *options,
			       const struct settings *settings, struct judgement *judgement,
			       bool is_one_of_several, struct why *why)
{
	struct judge *judge = NULL;
	struct judge_report report = { 0 };
	struct event_log made;
	event_log_init(&made);
	enum status status = judge_new(&judge, trace->files, trace->file_count, options, why);
	if (status == STATUS_OK && settings->guest)
		status = guest_log_make(&made, trace, settings->guest, why);
	if (status != STATUS_OK)
		goto out;
	judge_run(judge, settings->guest ? &made : &trace->log, 0, &report);
	add_report(judgement, settings, &report, is_one_of_several ? trace->files[0].path : NULL);
out:
	judge_free(judge);
	event_log_release(&made);
	return status;
}

/* The same of every image that the trace changes. */
static enum status judge_all(struct trace *trace, const struct judge_options *options,
			     const struct settings *settings, struct judgement *judgement,
			     struct why *why)
{
	uint16_t file = 0, next = 0;
	*judgement = (struct judgement){ 0 };
	if (!trace->file_count)
		return why_set(why, STATUS_BAD_INPUT, "the trace has no files");
	if (!trace_next_changed_image(trace, &file))
		return judge_first(trace, options, settings, judgement, false, why);
	next = file;
	next++;
	bool has_several = trace_next_changed_image(trace, &next);
	enum status status = STATUS_OK;
	for (; status == STATUS_OK && trace_next_changed_image(trace, &file); file++) {
		trace_swap_files(trace, 0, file);
		status = judge_first(trace, options, settings, judgement, has_several, why);
		trace_swap_files(trace, 0, file);
	}
	return status;
}

enum status again_judge(struct trace *trace, const struct settings *settings,
			struct judgement *judgement, struct why *why)
{
	const struct judge_options options = { .models = settings->models,
					       .sector_bytes = settings->sector_bytes,
					       .count_distinct = true,
					       .once = true };
	return judge_all(trace, &options, settings, judgement, why);
}

/* A verdict of judge_image() names no crash but its moment: say which sectors persisted, as far as
 * there is room for the list. */
static void name_state(struct verdict *verdict, const struct again_state *state)
{
	size_t used = strlen(verdict->message);
	size_t wanted = strlen(PERSIST_LEAD) + strlen(state->persist) + 1;
	if (verdict->model == CRASH_NONE || !*state->persist)
		return;
	verdict->model = CRASH_REORDER;
	if (used + wanted < sizeof(verdict->message))
		snprintf(verdict->message + used, sizeof(verdict->message) - used,
			 PERSIST_LEAD "%s)", state->persist);
}

/* The image is file 0. */
static enum status judge_state(const struct trace *trace, const struct settings *settings,
			       const struct again_state *state, struct judgement *judgement,
			       struct why *why)
{
	const struct judge_options options = { .models = CRASH_PREFIX,
					       .sector_bytes = settings->sector_bytes };
	struct judge *judge = NULL;
	struct content *image = NULL;
	struct judge_report report = { 0 };
	size_t before = judgement->verdict_count;
	enum status status = persist_image(&image, trace->files[0].initial, &trace->log,
					   state->operations, state->persist, why);
	if (status == STATUS_OK)
		status = judge_new(&judge, trace->files, trace->file_count, &options, why);
	if (status == STATUS_OK) {
		judge_image(judge, &trace->log, state->event_count, image, &report);
		add_report(judgement, settings, &report, NULL);
		for (size_t i = before; i < judgement->verdict_count; i++)
			name_state(&judgement->verdicts[i], state);
	}
	judge_free(judge);
	content_free(image);
	return status;
}

enum status again_judge_state(struct trace *trace, const struct settings *settings,
			      const struct again_state *state, struct judgement *judgement,
			      struct why *why)
{
	trace_swap_files(trace, 0, state->file);
	enum status status = judge_state(trace, settings, state, judgement, why);
	trace_swap_files(trace, 0, state->file);
	return status;
}

void judgement_release(struct judgement *judgement)
{
	free(judgement->verdicts);
	*judgement = (struct judgement){ 0 };
}

static void add_findings(struct again *again)
{
	for (size_t i = 0; i < again->judgement.verdict_count; i++) {
		struct trace_finding finding;
		again_finding(&finding, &again->judgement.verdicts[i]);
		trace_add_finding(&again->trace, &finding);
	}
}

static void execute(struct again *again, struct world *world, struct strategy *strategy)
{
	struct choice choice;
	choice_init(&choice, strategy, NULL);
	if (choice_begin(&choice)) {
		again->end = world_run(world, &choice);
		choice_end(&choice, again->end, event_log_digest(world_log(world)));
		world_trace(world, &choice, &again->trace);
	}
	const char *complaint = strategy->ops->complaint(strategy);
	if (complaint)
		trace_set_text(&again->complaint, complaint);
	choice_release(&choice);
}

/* Repair the dirty crash states of the run, if that is wanted. */
static enum status recover(struct again *again, const struct workload *workload,
			   const struct settings *settings, struct why *why)
{
	struct judge *judge = NULL;
	struct judge_report report;
	struct dirty_states dirty = { 0 };
	struct recovery_result recovery = { 0 };
	struct judgement *judgement = &again->judgement;
	const struct judge_options judging = { .models = settings->models,
					       .sector_bytes = settings->sector_bytes,
					       .count_distinct = true,
					       .list_dirty = true,
					       .once = true };
	const struct recovery_options options = { .world = &settings->world,
						  .models = settings->models,
						  .sector_bytes = settings->sector_bytes,
						  .depth = settings->recovery };
	enum status status =
		judge_new(&judge, again->trace.files, again->trace.file_count, &judging, why);
	if (status != STATUS_OK)
		return status;
	judge_run(judge, &again->trace.log, 0, &report);
	char *schedule = schedule_print(&again->trace.schedule);
	for (size_t i = 0; i < report.dirty_count; i++)
		dirty_states_add(&dirty, schedule, &report.dirty[i]);
	dirty_states_sort(&dirty);
	free(schedule);
	judge_free(judge);
	status = recovery_sweep(workload, &dirty, &options, &recovery, why);
	judgement->verdicts = realloc(judgement->verdicts,
				      (judgement->verdict_count + recovery.violation_count + 1) *
					      sizeof(*judgement->verdicts));
	if (!judgement->verdicts)
		abort();
	for (size_t i = 0; i < recovery.violation_count; i++)
		add_verdict(judgement, settings, &recovery.violations[i].verdict);
	if (recovery.complaint && !again->complaint)
		trace_set_text(&again->complaint, recovery.complaint);
	recovery_result_release(&recovery);
	dirty_states_release(&dirty);
	return status;
}

/* The same of a foreign program. */
static enum status execute_program(struct again *again, const struct workload *workload,
				   const struct settings *settings, struct strategy *strategy,
				   struct why *why)
{
	struct program *program = NULL;
	struct choice choice;
	const struct program_options options = program_options_of(settings);
	enum status status = program_new(&program, workload, &options, why);
	if (status != STATUS_OK)
		return status;
	choice_init(&choice, strategy, NULL);
	if (choice_begin(&choice)) {
		again->end = program_run(program, &choice);
		status = program_status(program, why);
	}
	if (status == STATUS_OK) {
		choice_end(&choice, again->end, event_log_digest(program_log(program)));
		program_trace(program, &choice, &again->trace);
	}
	const char *complaint = strategy->ops->complaint(strategy);
	if (complaint)
		trace_set_text(&again->complaint, complaint);
	choice_release(&choice);
	program_free(program);
	return status;
}

enum status again_run(struct again *again, const struct workload *workload,
		      const struct settings *settings, struct strategy *strategy, struct why *why)
{
	struct world *world = NULL;
	*again = (struct again){ 0 };
	trace_init(&again->trace);
	settings_enable_bugs(settings);
	/* As a search judges, so that what that found is among what is found again. */
	const struct judge_options judging = { .models = settings->models,
					       .sector_bytes = settings->sector_bytes,
					       .verdicts_max = VIOLATION_VERDICTS_MAX,
					       .count_distinct = true,
					       .once = true };
	enum status status = settings->program
				     ? execute_program(again, workload, settings, strategy, why)
				     : world_new(&world, workload, &settings->world, why);
	if (status != STATUS_OK)
		return status;
	if (world)
		execute(again, world, strategy);
	world_free(world);
	settings_to_trace(settings, &again->trace);
	status = judge_all(&again->trace, &judging, settings, &again->judgement, why);
	if (status == STATUS_OK && settings->recovery)
		status = recover(again, workload, settings, why);
	if (status == STATUS_OK)
		add_findings(again);
	return status;
}

enum status again_run_schedule(struct again *again, const struct workload *workload,
			       const struct settings *settings, const char *text, struct why *why)
{
	struct schedule schedule;
	*again = (struct again){ 0 };
	schedule_init(&schedule);
	enum status status = schedule_parse(&schedule, text, why);
	struct strategy *strategy = NULL;
	if (status != STATUS_OK)
		goto out;
	strategy = strategy_replay_new(&schedule);
	status = strategy ? again_run(again, workload, settings, strategy, why)
			  : why_set(why, STATUS_NO_MEMORY, "out of memory");
	if (status == STATUS_OK && again->complaint)
		status = why_set(why, STATUS_DIVERGED, "schedule of '%s': %.300s", workload->name,
				 again->complaint);
out:
	strategy_free(strategy);
	schedule_release(&schedule);
	return status;
}

void again_release(struct again *again)
{
	trace_release(&again->trace);
	judgement_release(&again->judgement);
	free(again->complaint);
	*again = (struct again){ 0 };
}
