// SPDX-License-Identifier: MIT
/* Three ways through a workload:
 *
 *   dpor              in slices (search.c): alone or by several processes, and it can be
 * interrupted and gone on with the others        in one piece (explore.c) auto              a slice
 * or so of dpor. Often that is all there is. If not, it tells how much there is, and then: states,
 * if there are fewer of them than runs; else dpor, if the budget suffices; else samples.
 *
 * What is chosen depends on counts only, unless a budget of time asks how fast this machine is. */
#include "workloads/cli/sweep.h"

#include "injector/unwind.h"
#include "workloads/checkpoint.h"
#include "workloads/cli/findings.h"
#include "workloads/cli/interrupt.h"
#include "workloads/cli/output.h"
#include "workloads/cli/program_search.h"
#include "workloads/cli/search.h"
#include "workloads/seconds.h"
#include "workloads/world_snapshot.h"
#include "workloads/world_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PROBE_RUNS = 1000,
	/* Searches expected to take fewer runs are not worth the question. */
	LARGE_RUNS = 20000,
	/* Partial-order reduction finds most branches late: at first it seems to be ten times as
	 * far as it is. */
	LATE_BRANCHES = 10,
	/* What trying to visit all states may take of a budget of time: one part in so many. */
	TRY_SHARE = 4,
	STATES_PROBED_MAX = 20000000,
	SWAP_PAIRS = 300,
};

/* A sweep in progress. */
struct sweeping {
	const struct options *options;
	const struct sweep_plan *plan;
	struct sweep_summary *summary;
	struct workload workload; /* owned, like all below */
	struct settings settings;
	struct ledger ledger;         /* of a search in slices */
	struct dirty_states dirty;    /* of a search that is not in slices */
	struct explore_result result; /* may borrow from the ledger */
	const volatile sig_atomic_t *stop;
	double begun; /* seconds_now() */
};

/* ---- the summary ---- */

static void summarise_settings(struct sweep_summary *summary, const struct settings *settings)
{
	snprintf(summary->policy, sizeof(summary->policy), "%s",
		 settings->program ? "foreign" : qcow2_policy_name(settings->world.policy));
	snprintf(summary->strategy, sizeof(summary->strategy), "%s", settings->strategy);
	snprintf(summary->points, sizeof(summary->points), "%s", settings_points_name(settings));
	summary->symmetry = settings->world.symmetry;
	summary->lax = settings->lax;
	settings_models_text(settings, summary->models, sizeof(summary->models));
	summary->faults = settings->world.faults_max;
	summary->prune = settings->prune;
	summary->is_foreign = settings->program != NULL;
	summary->gate_all = settings->gate_all;
	summary->split_completion = settings->split_completion;
}

static void summarise_result(struct sweep_summary *summary, const struct explore_result *result)
{
	summary->interleavings = result->interleavings;
	summary->pruned = result->pruned;
	summary->classes = result->classes;
	summary->class_checksum = result->class_checksum;
	summary->duplicates = result->duplicates;
	summary->joined = result->joined;
	summary->parted = result->parted;
	summary->classes_at_least = result->complete ? 0 : result->classes_at_least;
	summary->unseen = result->complete ? 0 : result->unseen;
	summary->states = result->states;
	summary->judged = result->judged;
	summary->decided = result->decided;
	summary->distinct = result->distinct;
	summary->distinct_checksum = result->distinct_checksum;
	summary->ends = result->ends;
	summary->end_checksum = result->end_checksum;
	summary->complete = result->complete;
	summary->elapsed_seconds = result->elapsed_seconds;
	snprintf(summary->why_incomplete, sizeof(summary->why_incomplete), "%s",
		 result->why_incomplete ? result->why_incomplete : "");
	snprintf(summary->complaint, sizeof(summary->complaint), "%s",
		 result->complaint ? result->complaint : "");
	for (size_t i = result->violation_count; i-- > 0;)
		summary->found_in[result->violations[i].verdict.rule] = result->violations[i].run;
	for (int rule = 0; rule < RULE_COUNT; rule++)
		snprintf(summary->skipped[rule], sizeof(summary->skipped[rule]), "%s",
			 result->skipped[rule] ? result->skipped[rule] : "");
}

/* Was each expected rule broken, and no other? */
static bool meets_expectation(const struct workload *workload, const struct explore_result *result)
{
	bool seen[WORKLOAD_EXPECTS_MAX] = { false };
	for (size_t i = 0; i < result->violation_count; i++) {
		const char *rule = rule_name(result->violations[i].verdict.rule);
		bool is_expected = false;
		for (size_t k = 0; k < workload->expect_count; k++)
			if (strcmp(rule, workload->expects[k]) == 0)
				is_expected = seen[k] = true;
		if (!is_expected)
			return false;
	}
	for (size_t k = 0; k < workload->expect_count; k++)
		if (!seen[k])
			return false;
	return true;
}

/* Are these the settings that the workload has by itself? */
static bool has_own_settings(const struct sweeping *sweeping)
{
	static const struct options none = { 0 };
	struct settings own;
	struct why why;
	enum status status = settings_resolve(&own, &sweeping->workload, &none, &why);
	char *own_text = settings_text(&own);
	char *text = settings_text(&sweeping->settings);
	bool is_same = status == STATUS_OK && strcmp(own_text, text) == 0;
	free(own_text);
	free(text);
	settings_release(&own);
	return is_same;
}

static void judge_expectation(const struct sweeping *sweeping)
{
	struct sweep_summary *summary = sweeping->summary;
	const struct workload *workload = &sweeping->workload;
	summary->has_expectation =
		(workload->expects_clean || workload->expect_count) && has_own_settings(sweeping);
	summary->as_expected =
		summary->has_expectation && meets_expectation(workload, &sweeping->result);
}

/* ---- in one piece ---- */

static void show_whole(void *context, const struct explore_result *so_far)
{
	const struct progress_figures figures = {
		.done = so_far->done,
		.runs = so_far->interleavings + so_far->pruned,
		.classes = so_far->classes,
		.states = so_far->states,
		.violations = so_far->violation_count,
	};
	progress_show(context, &figures);
}

static void note_states(struct sweep_summary *summary, const struct settings *settings,
			const struct strategy *strategy)
{
	if (strcmp(settings->strategy, "stateful") != 0 || settings->twice)
		return;
	struct stateful_counts counts = strategy_stateful_counts(strategy);
	summary->visited_states = counts.states;
	summary->transitions = counts.transitions;
}

/* Explore under `settings`, `budget` of it. Gives what `result` owns, and the sets, when they are
 * wanted. */
static enum status explore_whole(struct sweeping *sweeping, const struct settings *settings,
				 const struct budget *budget, struct explore_result *result,
				 struct explore_sets *sets)
{
	struct why *why = &sweeping->summary->why;
	struct world *world = NULL;
	struct strategy *strategy = NULL;
	struct order order;
	struct progress *progress = sweeping->plan->progress;
	struct world_options world_options = settings->world;
	bool is_plain = strcmp(settings->strategy, "dfs") == 0 && !settings->prune;
	bool is_stateful = strcmp(settings->strategy, "stateful") == 0;
	struct explore_sets own_sets = { 0 };
	world_options.snapshot_every = WORLD_SNAPSHOTS_EVERY;
	order_init(&order);
	const struct explore_options wanted = {
		.budget = *budget,
		.stop = sweeping->stop,
		.models = settings->models,
		.sector_bytes = settings->sector_bytes,
		.count_distinct = true,
		.list_dirty = settings->recovery > 0,
		.order = &order,
		/* These two see every order of steps themselves. */
		.judge_classes = !is_plain && !is_stateful,
		.sets = sets ? sets : &own_sets,
		.estimate_classes = settings_strategy_samples(settings),
		.measure_tree = progress && strcmp(settings->strategy, "dfs") == 0,
		.progress = progress ? show_whole : NULL,
		.progress_context = progress,
	};
	enum status status = world_new(&world, &sweeping->workload, &world_options, why);
	if (status != STATUS_OK)
		goto out;
	strategy = settings_strategy(settings, &order, world);
	status = strategy ? explore(world, strategy, &wanted, result, why)
			  : why_set(why, STATUS_NO_MEMORY, "out of memory");
	if (status == STATUS_OK)
		note_states(sweeping->summary, settings, strategy);
	dirty_states_merge(&sweeping->dirty, &own_sets.dirty);
	if (progress)
		progress_clear(progress);
out:
	explore_sets_release(&own_sets);
	strategy_free(strategy);
	world_free(world);
	order_release(&order);
	return status;
}

/* ---- in slices ---- */

static enum status search_in_slices(struct sweeping *sweeping, const struct budget *budget,
				    uint32_t jobs)
{
	const char *why_incomplete = NULL;
	const struct search_options search = {
		.workload = &sweeping->workload,
		.settings = &sweeping->settings,
		.jobs = jobs,
		.budget = *budget,
		.stop = sweeping->stop,
		.progress = sweeping->plan->progress,
	};
	enum status status =
		search_run(&search, &sweeping->ledger, &why_incomplete, &sweeping->summary->why);
	explore_result_release(&sweeping->result);
	ledger_result(&sweeping->ledger, why_incomplete, &sweeping->result);
	sweeping->summary->trials = sweeping->ledger.trials;
	return status;
}

/* ---- auto ---- */

static void choose(struct sweeping *sweeping, const char *strategy, const char *reason)
{
	struct sweep_summary *summary = sweeping->summary;
	snprintf(summary->strategy, sizeof(summary->strategy), "%s", strategy);
	snprintf(summary->chosen, sizeof(summary->chosen), "%s, %s", strategy, reason);
}

/* What is left of the budget of time; the rest of it is for what is done from now on. */
static struct budget budget_left(const struct sweeping *sweeping)
{
	struct budget left = sweeping->plan->budget;
	double spent = seconds_now() - sweeping->begun;
	if (left.seconds > 0)
		left.seconds = left.seconds > spent ? left.seconds - spent : 1e-3;
	if (left.runs)
		left.runs -= sweeping->ledger.interleavings < left.runs
				     ? sweeping->ledger.interleavings
				     : left.runs - 1;
	return left;
}

/* How many runs the search takes, judging by what was done of it. */
static double expected_runs(const struct sweeping *sweeping)
{
	const struct explore_result *result = &sweeping->result;
	double done = result->done > 1e-9 ? result->done : 1e-9;
	return LATE_BRANCHES * (double)result->interleavings / done;
}

/* How many runs the budget is good for. */
static double affordable_runs(const struct sweeping *sweeping)
{
	const struct budget *budget = &sweeping->plan->budget;
	const struct explore_result *result = &sweeping->result;
	double runs = budget->runs ? (double)budget->runs : 1e18;
	if (budget->seconds > 0 && result->elapsed_seconds > 0) {
		double rate = (double)result->interleavings / result->elapsed_seconds *
			      sweeping->plan->jobs;
		runs = rate * budget->seconds < runs ? rate * budget->seconds : runs;
	}
	return runs;
}

/* Try to visit all states, as many as there are runs to be expected. False: there are more. */
static enum status try_states(struct sweeping *sweeping, double runs, bool *is_done)
{
	struct settings settings = sweeping->settings;
	struct explore_result result = { 0 };
	settings.strategy = "stateful";
	settings.states_max = runs < STATES_PROBED_MAX ? (uint64_t)runs : STATES_PROBED_MAX;
	struct budget budget = { .seconds = budget_left(sweeping).seconds / TRY_SHARE };
	enum status status = explore_whole(sweeping, &settings, &budget, &result, NULL);
	*is_done = status == STATUS_OK && result.complete;
	if (*is_done) {
		explore_result_release(&sweeping->result);
		sweeping->result = result;
		sweeping->summary->trials = 0;
		ledger_release(&sweeping->ledger);
		return status;
	}
	sweeping->summary->visited_states = 0;
	sweeping->summary->transitions = 0;
	dirty_states_release(&sweeping->dirty);
	explore_result_release(&result);
	return status;
}

/* Samples, added to what the probe saw. */
static enum status sample(struct sweeping *sweeping)
{
	struct settings settings = sweeping->settings;
	struct explore_result result = { 0 };
	struct explore_sets sets = { 0 };
	struct budget budget = budget_left(sweeping);
	settings.strategy = "pos";
	if (!sweeping->options->runs)
		settings.runs = budget.runs;
	enum status status = explore_whole(sweeping, &settings, &budget, &result, &sets);
	if (status == STATUS_OK) {
		double seconds = sweeping->ledger.seconds + result.elapsed_seconds;
		ledger_enter(&sweeping->ledger, &result, &sets);
		sweeping->ledger.seconds = seconds;
		explore_result_release(&sweeping->result);
		ledger_result(&sweeping->ledger, result.why_incomplete, &sweeping->result);
		sweeping->result.classes_at_least = result.classes_at_least;
		sweeping->result.unseen = result.unseen;
	}
	explore_sets_release(&sets);
	explore_result_release(&result);
	return status;
}

static enum status search_auto(struct sweeping *sweeping)
{
	char reason[SWEEP_LINE_BYTES];
	struct budget probe = sweeping->plan->budget;
	bool is_done = false;
	if (!probe.runs || probe.runs > PROBE_RUNS)
		probe.runs = PROBE_RUNS;
	sweeping->settings.strategy = "dpor";
	enum status status = search_in_slices(sweeping, &probe, 1);
	choose(sweeping, "dpor", "which ended soon");
	if (status != STATUS_OK || sweeping->result.complete || sweeping->result.complaint ||
	    (sweeping->stop && *sweeping->stop))
		return status;
	double runs = expected_runs(sweeping);
	if (runs > LARGE_RUNS && world_state_is_known()) {
		status = try_states(sweeping, runs, &is_done);
		snprintf(reason, sizeof(reason),
			 "because there are fewer states than runs of dpor (about %.2g)", runs);
		if (is_done)
			choose(sweeping, "stateful", reason);
		if (status != STATUS_OK || is_done)
			return status;
	}
	bool fits = runs <= affordable_runs(sweeping);
	snprintf(reason, sizeof(reason), "about %.2g runs are to be expected, %s the budget", runs,
		 fits ? "within" : "which is beyond");
	choose(sweeping, fits ? "dpor" : "pos", reason);
	if (!fits)
		return sample(sweeping);
	struct budget left = budget_left(sweeping);
	return search_in_slices(sweeping, &left, sweeping->plan->jobs);
}

/* ---- checkpoints ---- */

/* The program that checkpoints are for: its version, and which build of it. */
static const char *program_name(void)
{
	static char name[128];
	int module = unwind_module_number((uintptr_t)&sweep_workload);
	snprintf(name, sizeof(name), "cowtip %s %s", COWTIP_VERSION,
		 module < 0 ? "" : unwind_module(module)->build_id);
	return name;
}

/* Leave a file from which the search can go on. */
static enum status leave_checkpoint(const struct sweeping *sweeping)
{
	struct sweep_summary *summary = sweeping->summary;
	const char *folder = options_folder(sweeping->options);
	char *settings = settings_text(&sweeping->settings);
	char *program = strdup(program_name());
	const struct checkpoint checkpoint = {
		.program = program,
		.workload = summary->workload,
		.text = sweeping->workload.text,
		.settings = settings,
		.ledger = sweeping->ledger,
	};
	char path[SWEEP_PATH_BYTES];
	snprintf(path, sizeof(path), "%.3800s/%s.checkpoint", folder, summary->workload);
	enum status status = output_make_folder(folder, &summary->why);
	if (status == STATUS_OK)
		status = checkpoint_write(&checkpoint, path, &summary->why);
	if (status == STATUS_OK)
		snprintf(summary->checkpoint, sizeof(summary->checkpoint), "%s", path);
	free(settings);
	free(program);
	return status;
}

/* Does the command line say anything about settings? */
static bool says_settings(const struct options *options)
{
	return options->policy || options->points || options->has_faults || options->fault_points ||
	       options->fault_kinds || options->bug_count || options->crash ||
	       options->sector_bytes || options->symmetry || options->lax;
}

static enum status check_resumed(struct sweeping *sweeping, const struct checkpoint *checkpoint)
{
	const struct options *options = sweeping->options;
	struct why *why = &sweeping->summary->why;
	const char *strategy = options->strategy;
	if (strcmp(checkpoint->program, program_name()) != 0)
		return why_set(why, STATUS_BAD_INPUT,
			       "'%.200s' was written by '%.100s'; this is '%.100s'",
			       options->resume, checkpoint->program, program_name());
	if ((strategy && strcmp(strategy, "dpor") != 0) || options->twice)
		return why_set(why, STATUS_USAGE, "'%.200s' can only go on with strategy dpor",
			       options->resume);
	if (!says_settings(options))
		return settings_from_text(&sweeping->settings, checkpoint->settings, why);
	enum status status =
		settings_resolve(&sweeping->settings, &sweeping->workload, options, why);
	if (status != STATUS_OK)
		return status;
	char *text = settings_text(&sweeping->settings);
	if (strcmp(text, checkpoint->settings) != 0)
		status = why_set(why, STATUS_USAGE, "'%.200s' was written with other settings",
				 options->resume);
	free(text);
	return status;
}

/* Take up a search that was interrupted; `name` may be NULL. */
static enum status resume(struct sweeping *sweeping, const char *name)
{
	struct why *why = &sweeping->summary->why;
	struct checkpoint checkpoint = { 0 };
	struct workload named = { 0 };
	enum status status = checkpoint_read(&checkpoint, sweeping->options->resume, why);
	if (status == STATUS_OK)
		status = workload_parse(&sweeping->workload, checkpoint.workload, checkpoint.text,
					strlen(checkpoint.text), why);
	if (status == STATUS_OK)
		status = check_resumed(sweeping, &checkpoint);
	if (status == STATUS_OK && name)
		status = workload_load(&named, name, why);
	if (status == STATUS_OK && name && strcmp(named.text, checkpoint.text) != 0)
		status = why_set(why, STATUS_BAD_INPUT, "'%.200s' is of another workload",
				 sweeping->options->resume);
	workload_release(&named);
	sweeping->ledger = checkpoint.ledger;
	checkpoint.ledger = (struct ledger){ 0 };
	checkpoint_release(&checkpoint);
	return status;
}

/* ---- all of it ---- */

static enum status begin(struct sweeping *sweeping, const char *name)
{
	struct why *why = &sweeping->summary->why;
	if (sweeping->options->resume)
		return resume(sweeping, name);
	enum status status = workload_load(&sweeping->workload, name, why);
	if (status == STATUS_OK)
		status = settings_resolve(&sweeping->settings, &sweeping->workload,
					  sweeping->options, why);
	/* What runs of a program come to is not cut into jobs. */
	if (!sweeping->settings.program)
		ledger_open(&sweeping->ledger, SLICE_WHOLE, 1, 0);
	return status;
}

static enum status search_program(struct sweeping *sweeping)
{
	struct progress *progress = sweeping->plan->progress;
	const struct explore_options wanted = {
		.budget = sweeping->plan->budget,
		.stop = sweeping->stop,
		.models = sweeping->settings.models,
		.sector_bytes = sweeping->settings.sector_bytes,
		.count_distinct = true,
		.progress = progress ? show_whole : NULL,
		.progress_context = progress,
	};
	enum status status = program_search(&sweeping->workload, &sweeping->settings, &wanted,
					    &sweeping->result, &sweeping->summary->why);
	if (progress)
		progress_clear(progress);
	return status;
}

static enum status search(struct sweeping *sweeping)
{
	const struct settings *settings = &sweeping->settings;
	if (settings->program)
		return search_program(sweeping);
	settings_enable_bugs(settings);
	if (!settings->twice && strcmp(settings->strategy, "dpor") == 0)
		return search_in_slices(sweeping, &sweeping->plan->budget, sweeping->plan->jobs);
	if (strcmp(settings->strategy, "auto") == 0)
		return search_auto(sweeping);
	return explore_whole(sweeping, settings, &sweeping->plan->budget, &sweeping->result, NULL);
}

/* Put what repairs did wrong beside what the search found. */
static void add_recovery_violations(struct explore_result *result, struct recovery_result *recovery)
{
	size_t count = result->violation_count + recovery->violation_count;
	result->violations = realloc(result->violations, (count + 1) * sizeof(*result->violations));
	if (!result->violations)
		abort();
	for (size_t i = 0; i < recovery->violation_count; i++)
		result->violations[result->violation_count++] = recovery->violations[i];
	recovery->violation_count = 0;
}

/* Repair the dirty crash states that the search came through, and crash again meanwhile. */
static enum status sweep_recovery(struct sweeping *sweeping)
{
	struct sweep_summary *summary = sweeping->summary;
	struct explore_result *result = &sweeping->result;
	struct recovery_result recovery;
	const struct settings *settings = &sweeping->settings;
	const struct recovery_options options = {
		.world = &settings->world,
		.models = settings->models,
		.sector_bytes = settings->sector_bytes,
		.depth = settings->recovery,
		.seconds = budget_left(sweeping).seconds,
		.stop = sweeping->stop,
	};
	if (!settings->recovery || result->complaint)
		return STATUS_OK;
	dirty_states_merge(&sweeping->dirty, &sweeping->ledger.sets.dirty);
	dirty_states_sort(&sweeping->dirty);
	enum status status = recovery_sweep(&sweeping->workload, &sweeping->dirty, &options,
					    &recovery, &summary->why);
	summary->recovery = settings->recovery;
	summary->recovered = recovery.counts;
	if (settings->lax)
		summary->left_out +=
			violations_relax(recovery.violations, &recovery.violation_count);
	summary->recovery_violations = recovery.violation_count;
	add_recovery_violations(result, &recovery);
	result->elapsed_seconds += recovery.elapsed_seconds;
	if (result->complete && !recovery.complete) {
		result->complete = false;
		result->why_incomplete = recovery.why_incomplete;
	}
	if (recovery.complaint) {
		result->complaint = recovery.complaint;
		recovery.complaint = NULL;
	}
	recovery_result_release(&recovery);
	return status;
}

/* Do steps commute that the search takes for independent? */
static enum status test_swaps(const struct sweeping *sweeping)
{
	struct sweep_summary *summary = sweeping->summary;
	struct world *world = NULL;
	struct swap_result result = { 0 };
	struct world_options options = sweeping->settings.world;
	options.snapshot_every = WORLD_SNAPSHOTS_EVERY;
	enum status status = world_new(&world, &sweeping->workload, &options, &summary->why);
	if (status != STATUS_OK)
		return status;
	swap_test(world, 1, SWAP_PAIRS, &result);
	world_free(world);
	summary->swap_was_run = true;
	summary->swap_tested = result.tested;
	summary->swap_differing = result.differing;
	snprintf(summary->swap_first, sizeof(summary->swap_first), "%s", result.first);
	return STATUS_OK;
}

static enum status finish(struct sweeping *sweeping, struct sweep_outcome *outcome)
{
	enum status status = STATUS_OK;
	bool was_stopped = sweeping->stop && *sweeping->stop;
	const struct sweep_plan *plan = sweeping->plan;
	const struct findings findings = {
		.workload = &sweeping->workload,
		.settings = &sweeping->settings,
		.options = sweeping->options,
		.result = &sweeping->result,
		.outcome = outcome,
	};
	summarise_result(sweeping->summary, &sweeping->result);
	judge_expectation(sweeping);
	if (plan->is_alone && sweeping->ledger.job_count && !sweeping->result.complaint &&
	    strcmp(sweeping->summary->strategy, "dpor") == 0 && !sweeping->settings.twice)
		status = leave_checkpoint(sweeping);
	findings_take(&findings);
	if (status == STATUS_OK && plan->is_alone && !sweeping->options->no_swap && !was_stopped &&
	    !sweeping->settings.program)
		status = test_swaps(sweeping);
	return status;
}

void sweep_workload(struct sweep_outcome *outcome, const char *name, const struct options *options,
		    const struct sweep_plan *plan)
{
	*outcome = (struct sweep_outcome){ 0 };
	struct sweep_summary *summary = &outcome->summary;
	struct sweeping sweeping = { .options = options, .plan = plan, .summary = summary };
	sweeping.begun = seconds_now();
	summary->status = begin(&sweeping, name);
	snprintf(summary->workload, sizeof(summary->workload), "%.63s",
		 sweeping.workload.name[0] ? sweeping.workload.name
		 : name                    ? name
					   : "");
	if (summary->status == STATUS_OK) {
		sweeping.stop = plan->is_alone ? interrupt_catch() : NULL;
		summarise_settings(summary, &sweeping.settings);
		summary->rules = sweeping.settings.program ? 0 : sweeping.workload.rule_count;
		if (plan->progress)
			plan->progress->name = summary->workload;
		summary->status = search(&sweeping);
	}
	if (summary->status == STATUS_OK && sweeping.settings.lax)
		summary->left_out = violations_relax(sweeping.result.violations,
						     &sweeping.result.violation_count);
	if (summary->status == STATUS_OK)
		summary->status = sweep_recovery(&sweeping);
	if (summary->status == STATUS_OK)
		summary->status = finish(&sweeping, outcome);
	explore_result_release(&sweeping.result);
	ledger_release(&sweeping.ledger);
	dirty_states_release(&sweeping.dirty);
	settings_release(&sweeping.settings);
	workload_release(&sweeping.workload);
}

void sweep_outcome_release(struct sweep_outcome *outcome)
{
	for (size_t i = 0; i < outcome->violation_count; i++) {
		free(outcome->violations[i].schedule);
		free(outcome->violations[i].trace_path);
	}
	free(outcome->violations);
	free(outcome->story);
	*outcome = (struct sweep_outcome){ 0 };
}
