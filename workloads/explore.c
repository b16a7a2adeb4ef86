// SPDX-License-Identifier: MIT
/* The loop of a search: begin a run, execute, judge, collect.
 *
 * A depth-first search changes the last decision that it can, so two runs in a row mostly begin
 * alike. The engine repeats the common beginning (it is cheap), the judge does not: it is told how
 * many events are equal, and steps back to there. That number is safe because a run is a function
 * of its picks: up to the first CHOICE event in which the two schedules differ, their events are
 * equal.
 *
 * A run that the strategy gives up (its rest is covered by another run) was executed all the same
 * up to there, and its crash states are real: it is judged, and counted as pruned, not as an
 * interleaving. */
#include "workloads/explore.h"

#include "injector/estimate.h"
#include "injector/strategy_follow.h"
#include "traces/memory.h"
#include "workloads/seconds.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROGRESS_EVERY_RUNS = 64, VIOLATIONS_MAX = 4096 };

/* A search in progress. */
struct search {
	const struct subject *subject;
	struct strategy *strategy;
	const struct explore_options *options;
	struct explore_result *result;
	struct judge *judge;
	struct choice choice;
	struct explore_sets sets; /* moved to the options' sets at the end */
	struct distinct_estimate sampled;
	struct tree_estimate tree;
	struct judge_step *steps; /* owned; of the present run */
	size_t step_capacity;
	uint64_t *judged_steps; /* owned; hashes of the steps of the run judged last */
	size_t judged_count, judged_capacity;
	struct schedule previous; /* of the run judged last */
	bool has_previous;
	uint64_t runs;   /* interleavings and pruned ones */
	uint64_t trials; /* of them, not counted in a slice */
	size_t violation_capacity;
	double started; /* seconds_now() */
};

static const struct event_log *log_of(const struct search *search)
{
	return search->subject->log(search->subject->context);
}

/* The bound that forbids another run, or NULL. */
static const char *bound_reached(const struct search *search)
{
	const struct explore_options *options = search->options;
	const struct budget *budget = &options->budget;
	const struct explore_result *result = search->result;
	if (options->stop && *options->stop)
		return "interrupted";
	if (options->slice && search->runs - search->trials >= options->slice)
		return "the slice ended";
	if (budget->runs && result->interleavings >= budget->runs)
		return "the budget of runs ended";
	if (budget->states && result->states >= budget->states)
		return "the budget of crash states ended";
	if (options->stop_after && result->violation_count >= options->stop_after)
		return "stopped at a violation";
	if (budget->seconds > 0 && seconds_now() - search->started >= budget->seconds)
		return "the budget of time ended";
	return NULL;
}

/* How many picks do the two begin with alike? */
static size_t common_picks(const struct schedule *a, const struct schedule *b)
{
	size_t least = a->count < b->count ? a->count : b->count;
	size_t i = 0;
	while (i < least && a->steps[i].pick == b->steps[i].pick &&
	       a->steps[i].count == b->steps[i].count)
		i++;
	return i;
}

/* The number of events before the CHOICE event number `picks` (from 0). When there is none, the
 * events up to and with the last CHOICE event: what follows it need not be equal. */
static size_t events_before_choice(const struct event_log *log, size_t picks)
{
	size_t after_last = 0;
	for (size_t i = 0; i < log->count; i++) {
		if (log->events[i].kind != EVENT_CHOICE)
			continue;
		if (picks-- == 0)
			return i;
		after_last = i + 1;
	}
	return after_last;
}

/* How many events of this run equal those of the run judged before. */
static size_t kept_events(const struct search *search)
{
	const struct schedule *taken = &search->choice.taken;
	/* What could go wrong could differ, too. */
	if (!search->has_previous || search->subject->status)
		return 0;
	size_t common = common_picks(taken, &search->previous);
	const struct event_log *log = log_of(search);
	/* With the earlier run at its end there, the later one's events are known to be equal only
	 * up to the last common pick. */
	if (common == search->previous.count)
		return common ? events_before_choice(log, common - 1) : 0;
	return events_before_choice(log, common);
}

/* The schedule of the run in which `cut` comes first: executed, because only that tells how many
 * options there are at each point. */
static char *schedule_of_cut(struct search *search, const struct judge_cut *cut)
{
	const struct order *order = search->options->order;
	struct strategy *strategy = strategy_follow_cut(order, cut->steps, cut->step_count);
	struct choice choice;
	choice_init(&choice, strategy, NULL);
	if (!choice_begin(&choice))
		abort();
	(void)search->subject->run(search->subject->context, &choice);
	const char *complaint = strategy->ops->complaint(strategy);
	if (complaint && !search->result->complaint)
		search->result->complaint = strdup(complaint);
	char *text = schedule_print(&choice.taken);
	choice_release(&choice);
	strategy_free(strategy);
	return text;
}

/* Let `violation`, which has no schedule yet, be that of the run in hand. */
static void give_schedule(struct search *search, struct violation *violation,
			  const struct judge_cut *cut)
{
	violation->schedule =
		cut ? schedule_of_cut(search, cut) : schedule_print(&search->choice.taken);
	if (!violation->schedule)
		abort();
}

/* The run in hand shows `known` again, as `found`, which owns nothing. */
static void see_again(struct search *search, struct violation *known, struct violation *found,
		      const struct judge_cut *cut)
{
	known->times += known->last_run != search->runs;
	known->last_run = search->runs;
	if (!violation_precedes(found, known))
		return;
	found->run = known->run;
	found->times = known->times;
	found->last_run = known->last_run;
	give_schedule(search, found, cut);
	free(known->schedule);
	*known = *found;
}

static void add_violation(struct search *search, const struct verdict *verdict,
			  const struct judge_cut *cut)
{
	struct explore_result *result = search->result;
	struct violation found = {
		.verdict = *verdict,
		.cut_size = cut ? cut->size : 0,
		.cut_hash = cut ? cut->hash : 0,
		.run = search->runs,
		.times = 1,
		.last_run = search->runs,
	};
	for (size_t i = 0; i < result->violation_count; i++) {
		struct violation *known = &result->violations[i];
		if (!violation_same_place(&known->verdict, verdict))
			continue;
		see_again(search, known, &found, cut);
		return;
	}
	if (result->violation_count == VIOLATIONS_MAX)
		return;
	result->violations = memory_grow(result->violations, &search->violation_capacity,
					 result->violation_count + 1, sizeof(*result->violations));
	give_schedule(search, &found, cut);
	result->violations[result->violation_count++] = found;
}

/* Lay the run's steps out for the judge. */
static void lay_out_steps(struct search *search)
{
	const struct order *order = search->options->order;
	if (order->count > search->step_capacity) {
		search->step_capacity = 2 * order->count;
		search->steps =
			realloc(search->steps, search->step_capacity * sizeof(*search->steps));
		if (!search->steps)
			abort();
	}
	size_t from = 0;
	for (size_t i = 0; i < order->count; i++) {
		const struct order_step *step = &order->steps[i];
		search->steps[i] = (struct judge_step){
			.first_event = from,
			.event_count = step->events_end - from,
			.chain = step->chain,
			.number = step->number,
			.clock = order_clock(order, i),
			.hash = step->hash,
		};
		from = step->events_end;
	}
}

/* How many steps at its beginning the run shares with the one judged last; and remember the steps
 * of this one. */
static size_t kept_steps(struct search *search)
{
	const struct order *order = search->options->order;
	size_t kept = 0;
	while (kept < order->count && kept < search->judged_count &&
	       search->judged_steps[kept] == order->steps[kept].hash)
		kept++;
	if (order->count > search->judged_capacity) {
		search->judged_capacity = 2 * order->count;
		search->judged_steps =
			realloc(search->judged_steps, search->judged_capacity * sizeof(uint64_t));
		if (!search->judged_steps)
			abort();
	}
	for (size_t i = kept; i < order->count; i++)
		search->judged_steps[i] = order->steps[i].hash;
	search->judged_count = order->count;
	return kept;
}

static void judge_class_of_last_run(struct search *search, struct judge_report *report)
{
	lay_out_steps(search);
	const struct judge_class class = {
		.steps = search->steps,
		.step_count = search->options->order->count,
		.chain_count = search->options->order->chain_count,
		.kept_steps = kept_steps(search),
	};
	judge_cuts(search->judge, log_of(search), &class, report);
}

/* Note the way to each dirty crash state, if no better one is known. */
static void add_dirty(struct search *search, const struct judge_report *report)
{
	struct dirty_states *dirty = &search->sets.dirty;
	for (size_t i = 0; i < report->dirty_count; i++) {
		if (!dirty_states_wants(dirty, &report->dirty[i]))
			continue;
		char *schedule = report->dirty_cuts
					 ? schedule_of_cut(search, &report->dirty_cuts[i])
					 : schedule_print(&search->choice.taken);
		if (!schedule)
			abort();
		dirty_states_add(dirty, schedule, &report->dirty[i]);
		free(schedule);
	}
}

static void judge_last_run(struct search *search)
{
	struct explore_result *result = search->result;
	struct judge_report report = { 0 };
	if (search->options->judge_classes)
		judge_class_of_last_run(search, &report);
	else
		judge_run(search->judge, log_of(search), kept_events(search), &report);
	result->states += report.counts.states;
	result->judged += report.counts.judged;
	result->decided = magnitude_add(result->decided, report.counts.decided);
	result->distinct = report.counts.distinct;
	result->distinct_checksum = report.counts.distinct_checksum;
	for (size_t i = 0; i < report.verdict_count; i++)
		add_violation(search, &report.verdicts[i], report.cuts ? &report.cuts[i] : NULL);
	add_dirty(search, &report);
	for (int rule = 0; rule < RULE_COUNT; rule++)
		if (report.skipped[rule] && !result->skipped[rule])
			result->skipped[rule] = report.skipped[rule];
	schedule_copy(&search->previous, &search->choice.taken);
	search->has_previous = true;
}

/* Classes are told apart by 64-bit hashes: among ten million the chance that two are mistaken for
 * one is below one in a hundred thousand. */
static void count_class(struct search *search)
{
	const struct order *order = search->options->order;
	struct explore_result *result = search->result;
	bool is_foreign = search->subject->status != NULL;
	if (!order && !is_foreign)
		return;
	if (order && search->options->estimate_classes)
		distinct_estimate_add(&search->sampled, order->class_hash);
	if (order && distinct_add(&search->sets.classes, order->class_hash)) {
		result->classes++;
		result->class_checksum += order_mixed(order->class_hash);
	} else if (order) {
		result->duplicates++;
	}
	/* Runs of one class have one end, if the steps' footprints tell the truth. */
	uint64_t end = search->subject->end_hash(search->subject->context);
	if (!distinct_add(&search->sets.ends, end))
		return;
	result->ends++;
	result->end_checksum += order_mixed(end);
}

/* The digest costs as much as a fifth of a run: only for strategies that look at it. */
static uint64_t digest_if_wanted(const struct search *search)
{
	return search->strategy->ops->end ? event_log_digest(log_of(search)) : 0;
}

static void report_progress(struct search *search)
{
	const struct explore_options *options = search->options;
	struct explore_result *result = search->result;
	uint64_t every = options->progress_every ? options->progress_every : PROGRESS_EVERY_RUNS;
	if (!options->progress || search->runs % every)
		return;
	if (options->measure_tree)
		result->done = tree_estimate_fraction(&search->tree);
	result->elapsed_seconds = seconds_now() - search->started;
	options->progress(options->progress_context, result);
}

static void count_run(struct search *search)
{
	const struct explore_options *options = search->options;
	const struct schedule *taken = &search->choice.taken;
	bool is_redundant = choice_is_redundant(&search->choice);
	search->runs++;
	search->trials += options->is_trial && options->is_trial(search->strategy);
	if (options->measure_tree)
		tree_estimate_add(&search->tree, taken->steps, taken->count);
	if (is_redundant) {
		search->result->pruned++;
	} else {
		search->result->interleavings++;
		count_class(search);
	}
	if (!is_redundant || !options->judge_classes)
		judge_last_run(search);
}

static enum status run_all(struct search *search, struct why *why)
{
	struct explore_result *result = search->result;
	const struct subject *subject = search->subject;
	while (!(result->why_incomplete = bound_reached(search)) && choice_begin(&search->choice)) {
		enum run_end end = subject->run(subject->context, &search->choice);
		enum status status =
			subject->status ? subject->status(subject->context, why) : STATUS_OK;
		if (status != STATUS_OK)
			return status;
		uint64_t digest = digest_if_wanted(search);
		count_run(search);
		choice_end(&search->choice, end, digest);
		report_progress(search);
	}
	return STATUS_OK;
}

/* Leave the sets, and what they tell, to whoever asked. */
static void finish_sets(struct search *search)
{
	const struct explore_options *options = search->options;
	struct explore_result *result = search->result;
	const uint64_t *slots = NULL;
	if (options->estimate_classes) {
		result->classes_at_least = distinct_estimate_classes(&search->sampled);
		result->unseen = distinct_estimate_unseen(&search->sampled);
	}
	if (options->sets) {
		size_t count = judge_fingerprints(search->judge, &slots);
		for (size_t i = 0; i < count; i++)
			if (slots[i])
				distinct_add(&search->sets.states, slots[i]);
		*options->sets = search->sets;
		search->sets = (struct explore_sets){ 0 };
	}
	explore_sets_release(&search->sets);
	distinct_estimate_release(&search->sampled);
	tree_estimate_release(&search->tree);
}

static void finish(struct search *search)
{
	struct explore_result *result = search->result;
	const struct strategy *strategy = search->strategy;
	const char *complaint = strategy->ops->complaint(strategy);
	bool is_complete = strategy->ops->is_complete(strategy);
	result->elapsed_seconds = seconds_now() - search->started;
	if (complaint) {
		result->complaint = strdup(complaint);
		if (!result->complaint)
			abort();
	}
	result->complete = is_complete && !complaint;
	if (result->complete)
		result->why_incomplete = NULL;
	else if (complaint)
		result->why_incomplete = "the search went wrong";
	else if (!result->why_incomplete && strategy->ops->why_stopped)
		result->why_incomplete = strategy->ops->why_stopped(strategy);
	if (!result->complete && !result->why_incomplete)
		result->why_incomplete = "the strategy does not run every interleaving";
}

enum status explore_subject(const struct subject *subject, struct strategy *strategy,
			    const struct explore_options *options, struct explore_result *result,
			    struct why *why)
{
	struct search search = {
		.subject = subject,
		.strategy = strategy,
		.options = options,
		.result = result,
	};
	size_t file_count = 0;
	const struct trace_file *files = subject->files(subject->context, &file_count);
	*result = (struct explore_result){ 0 };
	enum status status = judge_new(&search.judge, files, file_count,
				       &(struct judge_options){
					       .models = options->models,
					       .sector_bytes = options->sector_bytes,
					       .verdicts_max = VIOLATION_VERDICTS_MAX,
					       .count_distinct = options->count_distinct,
					       .list_dirty = options->list_dirty,
				       },
				       why);
	if (status != STATUS_OK)
		return status;
	search.started = seconds_now();
	choice_init(&search.choice, strategy, NULL);
	search.choice.order = options->order;
	schedule_init(&search.previous);
	distinct_estimate_init(&search.sampled);
	tree_estimate_init(&search.tree);
	status = run_all(&search, why);
	finish(&search);
	finish_sets(&search);
	schedule_release(&search.previous);
	free(search.steps);
	free(search.judged_steps);
	choice_release(&search.choice);
	judge_free(search.judge);
	return status;
}

static const struct trace_file *subject_files(const void *world, size_t *file_count)
{
	return world_files(world, file_count);
}

static enum run_end subject_run(void *world, struct choice *choice)
{
	return world_run(world, choice);
}

static const struct event_log *subject_log(const void *world)
{
	return world_log(world);
}

static uint64_t subject_end_hash(const void *world)
{
	return world_end_hash(world);
}

struct subject explore_world_subject(struct world *world)
{
	return (struct subject){
		.context = world,
		.files = subject_files,
		.run = subject_run,
		.log = subject_log,
		.end_hash = subject_end_hash,
	};
}

enum status explore(struct world *world, struct strategy *strategy,
		    const struct explore_options *options, struct explore_result *result,
		    struct why *why)
{
	const struct subject subject = explore_world_subject(world);
	return explore_subject(&subject, strategy, options, result, why);
}

size_t violations_relax(struct violation *violations, size_t *count)
{
	size_t kept = 0;
	for (size_t i = 0; i < *count; i++) {
		if (violations[i].verdict.strict_only)
			free(violations[i].schedule);
		else
			violations[kept++] = violations[i];
	}
	size_t dropped = *count - kept;
	*count = kept;
	return dropped;
}

void explore_sets_release(struct explore_sets *sets)
{
	distinct_release(&sets->classes);
	distinct_release(&sets->ends);
	distinct_release(&sets->states);
	dirty_states_release(&sets->dirty);
}

void explore_result_release(struct explore_result *result)
{
	for (size_t i = 0; i < result->violation_count; i++)
		free(result->violations[i].schedule);
	free(result->violations);
	free(result->complaint);
	*result = (struct explore_result){ 0 };
}
