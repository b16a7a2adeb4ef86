// SPDX-License-Identifier: MIT
/* Of all runs of the small workload that break the rule, one with few switches. Four ways, one
 * after the other, each of which only ever makes it smaller:
 *
 * - a search by delays (strategy_delay.c), which comes to runs with few deviations first;
 * - changes of the run's plan (shrink_plan.c): turns of a task are put together, exchanged and left
 *   out, which commutes steps that have nothing to do with each other, and tries what happens with
 *   those that have;
 * - a search of all runs with fewer switches (shrink_fewest.c), which is also the proof that there
 *   is none; what it finds has its plan changed, too;
 * - everything behind the moment that matters is left to option 0.
 *
 * The measure asks for switches first, then faults, then the crash: a weaker model, then fewer
 * sectors that persisted or are missing, then fewer events before it. */
#include "workloads/cli/shrink.h"

#include "workloads/shrink_plan.h"

#include <stdlib.h>

enum { DELAY_RUNS = 4000, FEWEST_RUNS = 60000 };

/* Take the run that `strategy` (takes) leads to, if it breaks the rule and is not larger. */
static bool try_strategy(struct shrink *shrink, struct strategy *strategy, bool may_be_equal)
{
	struct again again;
	struct shrink_run run;
	if (!strategy)
		return false;
	bool is_good = shrink_execute(shrink, &shrink->best, strategy, &again, &run);
	strategy_free(strategy);
	if (!is_good)
		return false;
	if (shrink_run_compare(&run, &shrink->best.run) < (may_be_equal ? 1 : 0)) {
		shrink_adopt(&shrink->best, &again, &run);
		return true;
	}
	again_release(&again);
	return false;
}

static void search_by_delays(struct shrink *shrink)
{
	struct settings settings = shrink->best.settings;
	struct schedule schedule;
	struct why why;
	const struct shrink_question question = {
		.workload = &shrink->best.workload,
		.settings = &settings,
		.rule = shrink->rule,
		.severity = shrink->severity,
		.runs = DELAY_RUNS,
	};
	/* Of a program it would take more runs than anybody waits for. */
	if (settings.program || !shrink_budget_is_left(&shrink->budget))
		return;
	settings.strategy = "delay";
	settings.depth = 0;
	schedule_init(&schedule);
	if (shrink_search(&question, &shrink->budget, &schedule, NULL, &why) == STATUS_OK)
		(void)try_strategy(shrink, strategy_replay_new(&schedule), false);
	schedule_release(&schedule);
}

/* The plan of the best run. */
static bool record_plan(struct shrink *shrink, struct plan *plan)
{
	const struct schedule *schedule = &shrink->best.again.trace.schedule;
	struct again again;
	struct shrink_run run;
	struct strategy *replay = strategy_replay_new(schedule);
	if (!replay)
		return false;
	struct strategy *recorder = strategy_plan_new(NULL, replay, plan);
	bool is_good = shrink_execute(shrink, &shrink->best, recorder, &again, &run);
	if (is_good)
		again_release(&again);
	strategy_free(recorder);
	strategy_free(replay);
	return is_good;
}

/* Change the plan until a whole round of changes brought nothing. A change that leaves the run as
 * it is and the plan shorter is good, too. */
static void simplify_plan(struct shrink *shrink)
{
	struct plan plan = { 0 }, changed = { 0 };
	bool was_good = record_plan(shrink, &plan);
	while (was_good) {
		was_good = false;
		for (size_t i = 0; i < plan_change_count(&plan); i++) {
			if (!shrink_budget_is_left(&shrink->budget))
				break;
			plan_copy(&changed, &plan);
			if (!plan_change(&changed, i))
				continue;
			bool is_shorter = changed.block_count < plan.block_count;
			if (!try_strategy(shrink, strategy_plan_new(&changed, NULL, NULL),
					  is_shorter))
				continue;
			plan_copy(&plan, &changed);
			was_good = true;
			i--;
		}
	}
	plan_release(&plan);
	plan_release(&changed);
}

/* Take a run with the fewest switches that there can be. False: there is none with fewer. States
 * cannot be told apart everywhere, so this is not always known. */
static bool take_fewest(struct shrink *shrink)
{
	const struct shrink_case *best = &shrink->best;
	struct world *world = NULL;
	struct schedule schedule;
	struct why why;
	if (best->settings.program || !world_state_is_known() ||
	    shrink->rule == RULE_REPAIR_CONVERGES || !shrink_budget_is_left(&shrink->budget))
		return false;
	schedule_init(&schedule);
	settings_enable_bugs(&best->settings);
	enum status status = world_new(&world, &best->workload, &best->settings.world, &why);
	if (status == STATUS_OK) {
		const struct subject subject = explore_world_subject(world);
		const struct state_source states = world_state_source(world);
		const struct fewest_options options = {
			.look = shrink_look(shrink),
			.states = &states,
			.switches_known = best->run.switches,
			.runs = shrink_budget_runs_left(&shrink->budget, FEWEST_RUNS),
			.deadline = shrink_budget_deadline(&shrink->budget),
			.stop = shrink->budget.stop
		};
		status = fewest_find(&shrink->fewest, &schedule, &subject, &options, &why);
		shrink_budget_spend(&shrink->budget, shrink->fewest.runs);
	}
	world_free(world);
	bool is_taken = status == STATUS_OK && shrink->fewest.is_found &&
			try_strategy(shrink, strategy_replay_new(&schedule), false);
	schedule_release(&schedule);
	return is_taken;
}

/* Leave what comes behind the crash to option 0, which a schedule need not say. */
static void cut_tail(struct shrink *shrink)
{
	const struct trace *trace = &shrink->best.again.trace;
	struct schedule schedule;
	size_t picks = 0;
	for (size_t i = 0; i < shrink->best.run.events; i++)
		picks += trace->log.events[i].kind == EVENT_CHOICE;
	schedule_init(&schedule);
	schedule_copy(&schedule, &trace->schedule);
	if (picks < schedule.count)
		schedule.count = picks;
	(void)try_strategy(shrink, strategy_replay_new(&schedule), true);
	schedule_release(&schedule);
}

void shrink_schedule(struct shrink *shrink)
{
	search_by_delays(shrink);
	if (shrink_budget_is_left(&shrink->budget))
		simplify_plan(shrink);
	if (take_fewest(shrink) && shrink_budget_is_left(&shrink->budget))
		simplify_plan(shrink);
	cut_tail(shrink);
}
