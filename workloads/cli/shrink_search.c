// SPDX-License-Identifier: MIT
#include "workloads/cli/shrink_search.h"

#include "workloads/cli/program_search.h"
#include "workloads/cli/progress.h"
#include "workloads/recovery.h"
#include "workloads/seconds.h"
#include "workloads/world_snapshot.h"

#include <stdlib.h>
#include <string.h>

/* A search in progress. */
struct watched {
	const struct shrink_question *question;
	struct shrink_budget *budget;
	volatile sig_atomic_t stop; /* found, or interrupted */
};

void shrink_budget_begin(struct shrink_budget *budget)
{
	budget->begun = seconds_now();
}

bool shrink_budget_is_left(struct shrink_budget *budget)
{
	const struct budget *limit = &budget->limit;
	if (budget->why_ended)
		return false;
	if (budget->stop && *budget->stop)
		budget->why_ended = "interrupted";
	else if (limit->runs && budget->runs >= limit->runs)
		budget->why_ended = "the budget of runs ended";
	else if (limit->states && budget->states >= limit->states)
		budget->why_ended = "the budget of crash states ended";
	else if (limit->seconds > 0 && seconds_now() - budget->begun >= limit->seconds)
		budget->why_ended = "the budget of time ended";
	return !budget->why_ended;
}

static void show(struct shrink_budget *budget, uint64_t runs, uint64_t states)
{
	const struct progress_figures figures = { .runs = budget->runs + runs,
						  .states = budget->states + states };
	if (budget->progress)
		progress_show(budget->progress, &figures);
}

void shrink_budget_spend(struct shrink_budget *budget, uint64_t runs)
{
	budget->runs += runs;
	show(budget, 0, 0);
}

uint64_t shrink_budget_runs_left(const struct shrink_budget *budget, uint64_t runs_max)
{
	uint64_t limit = budget->limit.runs;
	uint64_t left = limit > budget->runs ? limit - budget->runs : 0;
	return limit && left < runs_max ? left : runs_max;
}

double shrink_budget_deadline(const struct shrink_budget *budget)
{
	return budget->limit.seconds > 0 ? budget->begun + budget->limit.seconds : 0;
}

static const struct violation *find(const struct explore_result *result,
				    const struct shrink_question *question)
{
	for (size_t i = 0; i < result->violation_count; i++)
		if (result->violations[i].verdict.rule == question->rule &&
		    result->violations[i].verdict.severity == question->severity)
			return &result->violations[i];
	return NULL;
}

static void watch(void *context, const struct explore_result *so_far)
{
	struct watched *watched = context;
	const volatile sig_atomic_t *stop = watched->budget->stop;
	show(watched->budget, so_far->interleavings + so_far->pruned, so_far->states);
	if (find(so_far, watched->question) || (stop && *stop))
		watched->stop = 1;
}

/* What is left, and no more than the question may take. */
static void bound(const struct watched *watched, struct explore_options *wanted)
{
	const struct shrink_budget *budget = watched->budget;
	const struct budget *limit = &budget->limit;
	wanted->slice = shrink_budget_runs_left(budget, watched->question->runs);
	if (limit->states)
		wanted->budget.states = limit->states - budget->states;
	if (limit->seconds > 0) {
		double left = shrink_budget_deadline(budget) - seconds_now();
		wanted->budget.seconds = left > 1e-3 ? left : 1e-3;
	}
}

static enum status search_engine(const struct shrink_question *question,
				 struct explore_options *wanted, struct explore_result *result,
				 struct why *why)
{
	struct world *world = NULL;
	struct order order;
	struct world_options options = question->settings->world;
	options.snapshot_every = WORLD_SNAPSHOTS_EVERY;
	settings_enable_bugs(question->settings);
	enum status status = world_new(&world, question->workload, &options, why);
	if (status != STATUS_OK)
		return status;
	order_init(&order);
	wanted->order = &order;
	wanted->judge_classes = true;
	struct strategy *strategy = settings_strategy(question->settings, &order, world);
	status = strategy ? explore(world, strategy, wanted, result, why)
			  : why_set(why, STATUS_NO_MEMORY, "out of memory");
	wanted->order = NULL;
	strategy_free(strategy);
	order_release(&order);
	world_free(world);
	return status;
}

/* The rule is one of repairs: repair the dirty states that the search came through. */
static enum status search_repairs(const struct shrink_question *question,
				  struct dirty_states *dirty, struct schedule *schedule,
				  struct why *why)
{
	const struct settings *settings = question->settings;
	struct recovery_result recovery;
	const struct recovery_options options = { .world = &settings->world,
						  .models = settings->models,
						  .sector_bytes = settings->sector_bytes,
						  .depth = settings->recovery };
	dirty_states_sort(dirty);
	enum status status = recovery_sweep(question->workload, dirty, &options, &recovery, why);
	if (status != STATUS_OK)
		return status;
	const struct explore_result found = { .violations = recovery.violations,
					      .violation_count = recovery.violation_count };
	const struct violation *violation = find(&found, question);
	status = violation && !recovery.complaint
			 ? schedule_parse(schedule, violation->schedule, why)
			 : why_set(why, STATUS_BAD_INPUT, "no repair breaks the rule");
	recovery_result_release(&recovery);
	return status;
}

enum status shrink_search(const struct shrink_question *question, struct shrink_budget *budget,
			  struct schedule *schedule, bool *is_complete, struct why *why)
{
	const struct settings *settings = question->settings;
	bool is_repair = question->rule == RULE_REPAIR_CONVERGES;
	struct watched watched = { .question = question, .budget = budget };
	struct explore_result result = { 0 };
	struct explore_sets sets = { 0 };
	struct explore_options wanted = {
		.stop = &watched.stop,
		.models = settings->models,
		.sector_bytes = settings->sector_bytes,
		.count_distinct = is_repair,
		.list_dirty = is_repair && settings->recovery > 0,
		.sets = &sets,
		.progress = watch,
		.progress_every = 1,
		.progress_context = &watched,
	};
	if (is_repair && !settings->recovery)
		return why_set(why, STATUS_BAD_INPUT, "no image is ever dirty");
	bound(&watched, &wanted);
	enum status status = settings->program ? program_search(question->workload, settings,
								&wanted, &result, why)
					       : search_engine(question, &wanted, &result, why);
	budget->runs += result.interleavings + result.pruned;
	budget->states += result.states;
	const struct violation *violation = find(&result, question);
	if (status == STATUS_OK && violation)
		status = schedule_parse(schedule, violation->schedule, why);
	else if (status == STATUS_OK && is_repair)
		status = search_repairs(question, &sets.dirty, schedule, why);
	else if (status == STATUS_OK)
		status = why_set(why, STATUS_BAD_INPUT, "no run that was tried breaks the rule");
	if (is_complete)
		*is_complete = result.complete && status == STATUS_BAD_INPUT;
	explore_sets_release(&sets);
	explore_result_release(&result);
	return status;
}
