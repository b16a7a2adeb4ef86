// SPDX-License-Identifier: MIT
/* From a trace that breaks a rule to the smallest that does.
 *
 *      the trace, run again -> its workload in normal form -> smaller workloads -> fewer switches
 *                                        ^          |
 *                                        +- search -+
 *
 * 1. Workload. The settings of the trace become directives, so that a workload says all there is to
 *    say. Then edits (shrink_edit.c) are tried one after the other, until none succeeds. A changed
 *    workload has other schedules, so each is searched anew for a run that breaks the same rule
 * with the same severity: dpor on the engine, dfs on a program, a bounded number of runs. What is
 *    found is executed and judged once more before it is believed.
 * 2. Schedule and crash. shrink_schedule.c.
 * 3. The critical step. shrink_critical.c.
 *
 * What is kept never grows: each step accepts only what its measure calls smaller, and the measure
 * of the workload comes before that of the run. So whenever the budget ends, or Ctrl-C, the best so
 * far is as good an answer as any. Nothing depends on the clock unless the budget does. */
#include "workloads/cli/shrink.h"

#include "injector/fault_menu.h"
#include "oracle/persist.h"
#include "workloads/cli/crash_image.h"
#include "workloads/cli/program_search.h"
#include "workloads/language_private.h"
#include "workloads/program.h"

#include <stdlib.h>
#include <string.h>

enum {
	/* A search that finds nothing in so many runs is given up. */
	SEARCH_RUNS = 3000,
	SEARCH_RUNS_PROGRAM = 120,
	CRITICAL_RUNS = 30000,
	CRITICAL_RUNS_PROGRAM = 300,
};

static int compare_fields(const uint64_t *a, const uint64_t *b, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (a[i] != b[i])
			return a[i] < b[i] ? -1 : 1;
	return 0;
}

int shrink_run_compare(const struct shrink_run *a, const struct shrink_run *b)
{
	const uint64_t left[] = { a->switches, a->faults, a->model, a->missing, a->events };
	const uint64_t right[] = { b->switches, b->faults, b->model, b->missing, b->events };
	return compare_fields(left, right, sizeof(left) / sizeof(left[0]));
}

void shrink_case_release(struct shrink_case *one)
{
	workload_release(&one->workload);
	settings_release(&one->settings);
	again_release(&one->again);
	*one = (struct shrink_case){ 0 };
}

/* ---- a run ---- */

static uint64_t count_missing(const struct trace_finding *finding)
{
	char *list = persist_list_of(finding->message);
	uint64_t count = finding->sector + (list != NULL);
	for (const char *at = list; at && *at; at++)
		count += *at == ',';
	free(list);
	return count;
}

/* By weight. */
static const enum crash_model model_order[] = { CRASH_NONE, CRASH_PREFIX, CRASH_TORN,
						CRASH_REORDER };

enum { HEAVIEST_MODEL = sizeof(model_order) / sizeof(model_order[0]) - 1 };

static uint64_t model_weight(const char *model)
{
	uint64_t weight = 0;
	while (weight < HEAVIEST_MODEL && strcmp(model, crash_model_name(model_order[weight])) != 0)
		weight++;
	return weight;
}

const char *shrink_model_name(const struct shrink_run *run)
{
	return crash_model_name(model_order[run->model]);
}

/* Events until the finding, made from `verdict`, shows. */
static size_t events_until(const struct event_log *log, const struct trace_finding *finding,
			   const struct verdict *verdict)
{
	/* That of a repair does not show in the run: what matters is where it crashed. */
	size_t index =
		verdict->rule == RULE_REPAIR_CONVERGES ? crash_event(log, finding) : verdict->event;
	return index < log->count ? index + 1 : log->count;
}

/* Turns that become another's. A foreign program's are known from the choices only. */
static uint64_t count_switches(const struct event_log *log, size_t end)
{
	uint64_t switches = 0, turns = 0;
	uint32_t last = 0;
	for (size_t i = 0; i < end; i++) {
		const struct event *event = &log->events[i];
		switches += event->kind == EVENT_SWITCH;
		if (event->kind != EVENT_CHOICE || event->op != CHOICE_RUN)
			continue;
		turns += event->actor != last && last;
		last = event->actor;
	}
	return switches ? switches - 1 : turns;
}

/* By finding number `index`. */
static void measure_run(struct shrink_run *run, const struct again *again, size_t index)
{
	const struct trace *trace = &again->trace;
	const struct trace_finding *finding = &trace->findings[index];
	size_t end = events_until(&trace->log, finding, &again->judgement.verdicts[index]);
	*run = (struct shrink_run){ .switches = count_switches(&trace->log, end),
				    .model = model_weight(finding->model),
				    .missing = count_missing(finding),
				    .events = end };
	for (size_t i = 0; i < end; i++)
		run->faults += trace->log.events[i].kind == EVENT_FAULT;
}

bool shrink_parse_finding(const struct trace_finding *finding, enum rule *rule,
			  enum severity *severity)
{
	*severity = SEVERITY_LEAK;
	while (*severity < SEVERITY_CORRUPTION &&
	       strcmp(finding->severity, severity_name(*severity)) != 0)
		++*severity;
	return rule_parse(finding->rule, rule) &&
	       strcmp(finding->severity, severity_name(*severity)) == 0;
}

static bool is_wanted(const struct shrink *shrink, const struct trace_finding *finding)
{
	return strcmp(finding->rule, rule_name(shrink->rule)) == 0 &&
	       strcmp(finding->severity, severity_name(shrink->severity)) == 0;
}

/* Put the smallest finding that is wanted first; the verdicts stay. False: there is none. */
static bool choose_finding(const struct shrink *shrink, struct again *again, struct shrink_run *run)
{
	struct trace_finding *all = again->trace.findings;
	size_t best = again->trace.finding_count;
	for (size_t i = 0; i < again->trace.finding_count; i++) {
		struct shrink_run measured;
		if (!is_wanted(shrink, &all[i]))
			continue;
		measure_run(&measured, again, i);
		if (best != again->trace.finding_count && shrink_run_compare(&measured, run) >= 0)
			continue;
		best = i;
		*run = measured;
	}
	if (best == again->trace.finding_count)
		return false;
	struct trace_finding first = all[0];
	all[0] = all[best];
	all[best] = first;
	return true;
}

bool shrink_execute(struct shrink *shrink, const struct shrink_case *one, struct strategy *strategy,
		    struct again *again, struct shrink_run *run)
{
	struct why why;
	enum status status = again_run(again, &one->workload, &one->settings, strategy, &why);
	shrink_budget_spend(&shrink->budget, 1);
	if (status == STATUS_OK && !again->complaint && choose_finding(shrink, again, run))
		return true;
	again_release(again);
	return false;
}

void shrink_adopt(struct shrink_case *one, const struct again *again, const struct shrink_run *run)
{
	again_release(&one->again);
	one->again = *again;
	one->run = *run;
}

bool shrink_run_schedule(struct shrink *shrink, struct shrink_case *one,
			 const struct schedule *schedule)
{
	struct again again;
	struct shrink_run run;
	struct strategy *strategy = strategy_replay_new(schedule);
	if (!strategy)
		return false;
	bool is_broken = shrink_execute(shrink, one, strategy, &again, &run);
	if (is_broken)
		shrink_adopt(one, &again, &run);
	strategy_free(strategy);
	return is_broken;
}

/* ---- the workload ---- */

/* The settings of a workload that says all of them; the rest is as in the trace. */
static enum status settings_of(const struct shrink *shrink, struct shrink_case *one,
			       struct why *why)
{
	const struct trace *trace = shrink->trace;
	const struct settings *given = &shrink->best.settings;
	const char *symmetry = trace_setting(trace, "symmetry");
	bool is_foreign = given->program != NULL;
	const struct options options = {
		.points = is_foreign ? NULL : settings_points_name(given),
		.symmetry = symmetry && strcmp(symmetry, "yes") == 0,
		.has_recovery = given->recovery != 0,
		.recovery = given->recovery,
		.sector_bytes = given->sector_bytes,
		.lax = given->lax,
		.gate_all = given->gate_all,
		.split_completion = given->split_completion,
		.subject = given->is_nbd ? NULL : given->program,
		.server = given->is_nbd ? given->program : NULL,
		.image_folder = given->image_folder,
	};
	enum status status = settings_resolve(&one->settings, &one->workload, &options, why);
	if (shrink->keeps_image) {
		one->settings.world.files = trace->files;
		one->settings.world.file_count = trace->file_count;
	}
	return status;
}

static void say_settings(struct workload *workload, const struct settings *settings)
{
	char models[32];
	settings_models_text(settings, models, sizeof(models));
	trace_set_text(&workload->crash, models);
	if (settings->program) {
		workload->has_faults = false;
		workload->faults = 0;
		return;
	}
	trace_set_text(&workload->policy, qcow2_policy_name(settings->world.policy));
	workload->faults = settings->world.faults_max;
	workload->has_faults = workload->faults != 0;
	workload->fault_kinds =
		settings->world.fault_kinds == FAULT_KINDS_ALL ? 0 : settings->world.fault_kinds;
	free(workload->fault_points);
	workload->fault_points = settings->fault_points ? text_copy(settings->fault_points) : NULL;
	for (size_t i = 0; i < workload->bug_count; i++)
		free(workload->bugs[i]);
	workload->bugs =
		realloc(workload->bugs, (settings->bug_count + 1) * sizeof(*workload->bugs));
	if (!workload->bugs)
		abort();
	workload->bug_count = settings->bug_count;
	for (size_t i = 0; i < settings->bug_count; i++)
		workload->bugs[i] = text_copy(settings->bugs[i]);
}

static enum status parse_as(struct workload *workload, const char *name, const char *text,
			    struct why *why)
{
	return workload_parse(workload, name, text, strlen(text), why);
}

/* Execute the trace as it is; its first finding says what is wanted. */
static enum status take_trace(struct shrink *shrink, struct why *why)
{
	const struct trace *trace = shrink->trace;
	struct shrink_case *best = &shrink->best;
	if (!*trace->workload)
		return why_set(why, STATUS_BAD_INPUT,
			       "the trace holds no workload: there is nothing to run again");
	if (!trace->finding_count)
		return why_set(why, STATUS_BAD_INPUT,
			       "the trace violates no rule: replay it to "
			       "make sure, or sweep its workload");
	const struct trace_finding *finding = &trace->findings[0];
	if (!shrink_parse_finding(finding, &shrink->rule, &shrink->severity))
		return why_set(why, STATUS_BAD_INPUT, "the trace's finding is of no known rule");
	enum status status = parse_as(&best->workload, "trace", trace->workload, why);
	if (status == STATUS_OK)
		status = settings_from_trace(&best->settings, trace, shrink->options, why);
	if (status != STATUS_OK)
		return status;
	if (shrink->options->image_folder)
		trace_set_text(&best->settings.image_folder, shrink->options->image_folder);
	shrink->keeps_image = best->workload.image.backing == WORKLOAD_BACKING_FILE;
	if (shrink_run_schedule(shrink, best, &trace->schedule))
		return STATUS_OK;
	return why_set(why, STATUS_DIVERGED, "the trace's schedule does not show %s any more",
		       finding->rule);
}

/* Bring the best case to its normal form, which the edits begin with. False: it does not show what
 * is wanted, so the workload stays as it is. */
static bool normalise(struct shrink *shrink)
{
	struct shrink_case normal = { 0 };
	struct why why;
	bool is_good =
		parse_as(&normal.workload, "trace", shrink->trace->workload, &why) == STATUS_OK;
	if (is_good) {
		say_settings(&normal.workload, &shrink->best.settings);
		is_good = shrink_normalise(&normal.workload) &&
			  settings_of(shrink, &normal, &why) == STATUS_OK &&
			  shrink_run_schedule(shrink, &normal, &shrink->best.again.trace.schedule);
	}
	if (!is_good) {
		shrink_case_release(&normal);
		return false;
	}
	shrink_measure(&normal.size, &normal.workload);
	shrink_case_release(&shrink->best);
	shrink->best = normal;
	return true;
}

/* Does the workload of `one` break the rule under some schedule? Then its run is one that does. */
static bool is_broken(struct shrink *shrink, struct shrink_case *one)
{
	struct schedule schedule;
	struct why why;
	bool is_foreign = one->settings.program != NULL;
	const struct shrink_question question = {
		.workload = &one->workload,
		.settings = &one->settings,
		.rule = shrink->rule,
		.severity = shrink->severity,
		.runs = is_foreign ? SEARCH_RUNS_PROGRAM : SEARCH_RUNS,
	};
	schedule_init(&schedule);
	bool shows =
		shrink_search(&question, &shrink->budget, &schedule, NULL, &why) == STATUS_OK &&
		shrink_run_schedule(shrink, one, &schedule);
	schedule_release(&schedule);
	return shows;
}

/* Does its image break a rule before anything happens? Then what went wrong went wrong in the
 * preparation, which nobody sees. */
static bool begins_broken(const struct shrink_case *one)
{
	struct judge *judge = NULL;
	struct judge_report report;
	struct event_log nothing;
	struct why why;
	const struct trace *trace = &one->again.trace;
	const struct judge_options options = { .sector_bytes = one->settings.sector_bytes };
	event_log_init(&nothing);
	if (judge_new(&judge, trace->files, trace->file_count, &options, &why) != STATUS_OK)
		return true;
	judge_run(judge, &nothing, 0, &report);
	bool is_broken = report.verdict_count > 0;
	judge_free(judge);
	return is_broken;
}

/* Try one edit of the best workload. */
static bool try_edit(struct shrink *shrink, const struct shrink_edit *edit)
{
	struct shrink_case smaller = { 0 };
	struct why why;
	bool is_good = parse_as(&smaller.workload, "trace", shrink->best.workload.text, &why) ==
			       STATUS_OK &&
		       shrink_apply(&smaller.workload, edit) &&
		       settings_of(shrink, &smaller, &why) == STATUS_OK &&
		       is_broken(shrink, &smaller) &&
		       (shrink->begins_broken || !begins_broken(&smaller));
	if (!is_good) {
		shrink_case_release(&smaller);
		return false;
	}
	shrink_measure(&smaller.size, &smaller.workload);
	shrink_case_release(&shrink->best);
	shrink->best = smaller;
	return true;
}

/* Edit until a whole round of edits brought nothing. */
static void shrink_workload(struct shrink *shrink)
{
	struct shrink_edits edits = { 0 };
	const struct shrink_scope scope = { .keeps_image = shrink->keeps_image,
					    .is_program = shrink->best.settings.program != NULL };
	bool was_good = true;
	while (was_good && shrink_budget_is_left(&shrink->budget)) {
		was_good = false;
		shrink_list(&edits, &shrink->best.workload, &scope);
		for (size_t i = 0; i < edits.count && shrink_budget_is_left(&shrink->budget); i++) {
			if (!try_edit(shrink, &edits.items[i]))
				continue;
			/* What is at this place in the new list was not tried on the new workload.
			 */
			was_good = true;
			shrink_list(&edits, &shrink->best.workload, &scope);
			i--;
		}
	}
	shrink_edits_release(&edits);
}

/* ---- the critical step ---- */

struct look_options shrink_look(const struct shrink *shrink)
{
	const struct settings *settings = &shrink->best.settings;
	return (struct look_options){ .rule = shrink->rule,
				      .severity = shrink->severity,
				      .models = settings->models,
				      .sector_bytes = settings->sector_bytes,
				      .lax = settings->lax };
}

static enum status find_critical_of(struct shrink *shrink, const struct subject *subject,
				    const struct state_source *states, struct why *why)
{
	const struct shrink_case *best = &shrink->best;
	const struct critical_options options = {
		.schedule = &best->again.trace.schedule,
		.look = shrink_look(shrink),
		.states = states,
		.runs = shrink_budget_runs_left(&shrink->budget, best->settings.program
									 ? CRITICAL_RUNS_PROGRAM
									 : CRITICAL_RUNS),
		.deadline = shrink_budget_deadline(&shrink->budget),
		.stop = shrink->budget.stop,
	};
	enum status status = critical_find(&shrink->critical, subject, &options, why);
	shrink_budget_spend(&shrink->budget, shrink->critical.runs);
	return status;
}

static enum status find_critical_of_program(struct shrink *shrink, struct why *why)
{
	const struct shrink_case *best = &shrink->best;
	struct program *program = NULL;
	const struct program_options options = program_options_of(&best->settings);
	enum status status = program_new(&program, &best->workload, &options, why);
	if (status != STATUS_OK)
		return status;
	const struct subject subject = program_subject(program);
	status = find_critical_of(shrink, &subject, NULL, why);
	program_free(program);
	return status;
}

static void find_critical(struct shrink *shrink)
{
	const struct shrink_case *best = &shrink->best;
	struct world *world = NULL;
	struct why *why = &shrink->critical_why;
	enum status status = STATUS_OK;
	if (shrink->rule == RULE_REPAIR_CONVERGES) {
		shrink->why_no_critical = "the rule is broken in a repair, not in the run";
		return;
	}
	if (!shrink_budget_is_left(&shrink->budget)) {
		shrink->why_no_critical = shrink->budget.why_ended;
		return;
	}
	if (best->settings.program) {
		status = find_critical_of_program(shrink, why);
	} else {
		settings_enable_bugs(&best->settings);
		status = world_new(&world, &best->workload, &best->settings.world, why);
		const struct subject subject = explore_world_subject(world);
		const struct state_source states = world_state_source(world);
		if (status == STATUS_OK)
			status = find_critical_of(shrink, &subject,
						  world_state_is_known() ? &states : NULL, why);
		world_free(world);
	}
	shrink->has_critical = status == STATUS_OK;
	if (status != STATUS_OK)
		shrink->why_no_critical = why->text;
}

/* ---- all of it ---- */

/* The trace that is kept has the stack of each step. */
static void add_stacks(struct shrink *shrink)
{
	struct schedule schedule;
	schedule_init(&schedule);
	schedule_copy(&schedule, &shrink->best.again.trace.schedule);
	shrink->best.settings.world.stacks = true;
	(void)shrink_run_schedule(shrink, &shrink->best, &schedule);
	shrink->best.settings.world.stacks = false;
	schedule_release(&schedule);
}

enum status shrink_all(struct shrink *shrink, struct why *why)
{
	shrink_budget_begin(&shrink->budget);
	enum status status = take_trace(shrink, why);
	if (status != STATUS_OK)
		return status;
	shrink->run_before = shrink->best.run;
	shrink->begins_broken = begins_broken(&shrink->best);
	bool is_normal = normalise(shrink);
	shrink_measure(&shrink->size_before, &shrink->best.workload);
	shrink->best.size = shrink->size_before;
	if (is_normal)
		shrink_workload(shrink);
	shrink_schedule(shrink);
	find_critical(shrink);
	add_stacks(shrink);
	return STATUS_OK;
}

void shrink_release(struct shrink *shrink)
{
	shrink_case_release(&shrink->best);
}
