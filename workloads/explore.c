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

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PROGRESS_EVERY_RUNS = 64, VIOLATIONS_MAX = 4096 };

/* A search in progress. */
struct search {
	struct world *world;
	struct strategy *strategy;
	const struct explore_options *options;
	struct explore_result *result;
	struct judge *judge;
	struct choice choice;
	struct schedule previous; /* of the run judged last */
	bool has_previous;
	uint64_t runs; /* interleavings and pruned ones */
	size_t violation_capacity;
	struct timespec started;
};

static double seconds_since(const struct timespec *started)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - started->tv_sec) +
	       (double)(now.tv_nsec - started->tv_nsec) * 1e-9;
}

/* The bound that forbids another run, or NULL. */
static const char *bound_reached(const struct search *search)
{
	const struct budget *budget = &search->options->budget;
	const struct explore_result *result = search->result;
	if (budget->runs && result->interleavings >= budget->runs)
		return "the budget of runs ended";
	if (budget->states && result->states >= budget->states)
		return "the budget of crash states ended";
	if (search->options->stop_after && result->violation_count >= search->options->stop_after)
		return "stopped at a violation";
	if (budget->seconds > 0 && seconds_since(&search->started) >= budget->seconds)
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
	if (!search->has_previous)
		return 0;
	size_t common = common_picks(taken, &search->previous);
	const struct event_log *log = world_log(search->world);
	/* With the earlier run at its end there, the later one's events are known to be equal only
	 * up to the last common pick. */
	if (common == search->previous.count)
		return common ? events_before_choice(log, common - 1) : 0;
	return events_before_choice(log, common);
}

static bool same_place(const struct verdict *a, const struct verdict *b)
{
	if (a->rule != b->rule || a->severity != b->severity || a->guest_offset != b->guest_offset)
		return false;
	/* Where the guest's place is known, the host's is an accident of the order of allocations.
	 */
	return a->guest_offset != NOWHERE || a->host_offset == b->host_offset;
}

static void add_violation(struct search *search, const struct verdict *verdict)
{
	struct explore_result *result = search->result;
	for (size_t i = 0; i < result->violation_count; i++) {
		struct violation *known = &result->violations[i];
		if (!same_place(&known->verdict, verdict))
			continue;
		known->times += known->last_run != search->runs;
		known->last_run = search->runs;
		return;
	}
	if (result->violation_count == VIOLATIONS_MAX)
		return;
	if (result->violation_count == search->violation_capacity) {
		search->violation_capacity = 2 * search->violation_capacity + 8;
		result->violations =
			realloc(result->violations,
				search->violation_capacity * sizeof(*result->violations));
		if (!result->violations)
			abort();
	}
	struct violation *added = &result->violations[result->violation_count++];
	*added = (struct violation){
		.verdict = *verdict,
		.schedule = schedule_print(&search->choice.taken),
		.run = search->runs,
		.times = 1,
		.last_run = search->runs,
	};
	if (!added->schedule)
		abort();
}

static void judge_last_run(struct search *search)
{
	struct explore_result *result = search->result;
	struct judge_report report = { 0 };
	judge_run(search->judge, world_log(search->world), kept_events(search), &report);
	result->states += report.counts.states;
	result->judged += report.counts.judged;
	result->distinct = report.counts.distinct;
	for (size_t i = 0; i < report.verdict_count; i++)
		add_violation(search, &report.verdicts[i]);
	for (int rule = 0; rule < RULE_COUNT; rule++)
		if (report.skipped[rule] && !result->skipped[rule])
			result->skipped[rule] = report.skipped[rule];
	schedule_copy(&search->previous, &search->choice.taken);
	search->has_previous = true;
}

/* The digest costs as much as a fifth of a run: only for strategies that look at it. */
static uint64_t digest_if_wanted(const struct search *search)
{
	return search->strategy->ops->end ? event_log_digest(world_log(search->world)) : 0;
}

static void run_all(struct search *search)
{
	const struct explore_options *options = search->options;
	struct explore_result *result = search->result;
	while (!(result->why_incomplete = bound_reached(search)) && choice_begin(&search->choice)) {
		enum run_end end = world_run(search->world, &search->choice);
		search->runs++;
		if (end == RUN_PRUNED)
			result->pruned++;
		else
			result->interleavings++;
		judge_last_run(search);
		choice_end(&search->choice, end, digest_if_wanted(search));
		if (options->progress && search->runs % PROGRESS_EVERY_RUNS == 0)
			options->progress(options->progress_context, result->interleavings,
					  result->states, result->violation_count);
	}
}

static void finish(struct search *search)
{
	struct explore_result *result = search->result;
	const struct strategy *strategy = search->strategy;
	const char *complaint = strategy->ops->complaint(strategy);
	bool is_complete = strategy->ops->is_complete(strategy);
	result->elapsed_seconds = seconds_since(&search->started);
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
	else if (!result->why_incomplete)
		result->why_incomplete = "the strategy does not run every interleaving";
}

enum status explore(struct world *world, struct strategy *strategy,
		    const struct explore_options *options, struct explore_result *result,
		    struct why *why)
{
	struct search search = {
		.world = world,
		.strategy = strategy,
		.options = options,
		.result = result,
	};
	size_t file_count = 0;
	const struct trace_file *files = world_files(world, &file_count);
	*result = (struct explore_result){ 0 };
	enum status status = judge_new(&search.judge, files, file_count,
				       &(struct judge_options){
					       .models = options->models,
					       .sector_bytes = options->sector_bytes,
					       .count_distinct = options->count_distinct,
				       },
				       why);
	if (status != STATUS_OK)
		return status;
	clock_gettime(CLOCK_MONOTONIC, &search.started);
	choice_init(&search.choice, strategy, NULL);
	schedule_init(&search.previous);
	run_all(&search);
	finish(&search);
	schedule_release(&search.previous);
	choice_release(&search.choice);
	judge_free(search.judge);
	return STATUS_OK;
}

void explore_result_release(struct explore_result *result)
{
	for (size_t i = 0; i < result->violation_count; i++)
		free(result->violations[i].schedule);
	free(result->violations);
	free(result->complaint);
	*result = (struct explore_result){ 0 };
}
