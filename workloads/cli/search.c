// SPDX-License-Identifier: MIT
/* The search of one workload as a list of jobs.
 *
 * The list begins with one job, the whole search. The job on top is taken (or one of which more is
 * to be learnt, see forecast.c), a slice of it is explored (slice.c), and what is left of it goes
 * back on top as several jobs: that is a depth-first search, and the list stays short. Since a
 * slice is a function of its job, it does not matter who explores it: alone, or by several
 * processes at a time, the same slices are explored in another order, and the books (ledger.c) do
 * not depend on the order. So `--jobs` changes no figure.
 *
 * A worker that dies leaves its job undone; it is given out once more. When that worker dies as
 * well, it is probably the job that kills them: the search goes on without it and is not complete.
 *
 * Bounds are for what is done now. A bound on runs is kept exactly: each slice may complete so many
 * runs, and what it may is set aside until its result is there. */
#include "workloads/cli/search.h"

#include "workloads/cli/worker.h"
#include "workloads/seconds.h"
#include "workloads/world_snapshot.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum { ATTEMPTS_MAX = 2 };

/* A search in progress. */
struct searching {
	const struct search_options *options;
	struct ledger *ledger;
	struct forecast *forecast; /* owned */
	const char *why_incomplete;
	double begun;                        /* seconds_now() */
	double seconds_before;               /* the ledger's when the search began */
	uint64_t runs_before, states_before; /* likewise */
	struct worker *workers;              /* owned; options->jobs of them; NULL: none */
	size_t busy;
	bool interrupted; /* the workers were told */
};

static double seconds_spent(const struct searching *searching)
{
	return seconds_now() - searching->begun;
}

static uint64_t slice_runs(const struct searching *searching)
{
	uint64_t runs = searching->options->slice;
	return runs ? runs : SEARCH_SLICE_RUNS;
}

static bool is_stopped(const struct searching *searching)
{
	return searching->options->stop && *searching->options->stop;
}

/* The runs that slices in progress may complete. */
static uint64_t runs_set_aside(const struct searching *searching)
{
	uint64_t runs = 0;
	for (uint32_t i = 0; searching->workers && i < searching->options->jobs; i++)
		if (searching->workers[i].is_busy)
			runs += searching->workers[i].budget.runs;
	return runs;
}

/* What the next slice may do; `*bound` is what forbids it, or NULL. A budget of runs that is set
 * aside forbids it only for now. */
static struct budget next_budget(const struct searching *searching, const char **bound)
{
	const struct budget *total = &searching->options->budget;
	const struct ledger *ledger = searching->ledger;
	struct budget next = { 0 };
	*bound = is_stopped(searching) ? "interrupted" : NULL;
	if (total->runs) {
		uint64_t done = ledger->interleavings - searching->runs_before;
		uint64_t taken = done + runs_set_aside(searching);
		next.runs = taken < total->runs ? total->runs - taken : 0;
		if (next.runs > slice_runs(searching))
			next.runs = slice_runs(searching);
		if (!next.runs)
			*bound = "the budget of runs ended";
	}
	if (total->states) {
		uint64_t done = ledger->states - searching->states_before;
		next.states = done < total->states ? total->states - done : 0;
		if (!next.states)
			*bound = "the budget of crash states ended";
	}
	if (total->seconds > 0) {
		next.seconds = total->seconds - seconds_spent(searching);
		if (next.seconds <= 0)
			*bound = "the budget of time ended";
	}
	return next;
}

/* Which part of all runs `runs` are. `extra`: a job in progress; NULL: none. */
static double part_done(const struct searching *searching, uint64_t runs,
			const struct open_job *extra)
{
	double left = forecast_left(searching->forecast, searching->ledger, extra);
	return left < 0 ? 0 : (double)runs / ((double)runs + left);
}

/* ---- alone ---- */

/* A slice in progress. */
struct showing {
	const struct searching *searching;
	const struct open_job *job;
};

static void show_slice(void *context, const struct explore_result *so_far, double done)
{
	const struct showing *showing = context;
	const struct ledger *ledger = showing->searching->ledger;
	uint64_t runs = ledger->interleavings + so_far->interleavings;
	/* The first slice is all that there is to know. */
	struct progress_figures figures = {
		.done = ledger->slices ? part_done(showing->searching, runs, showing->job) : done,
		.runs = runs,
		.classes = ledger->sets.classes.count + so_far->classes,
		.states = ledger->states + so_far->states,
		.violations = ledger->violation_count + so_far->violation_count,
	};
	progress_show(showing->searching->options->progress, &figures);
}

static enum status do_next_job(const struct searching *searching, struct world *world,
			       const struct budget *budget, struct why *why)
{
	struct open_job job;
	struct ledger part = { 0 };
	const struct search_options *options = searching->options;
	struct showing showing = { searching, &job };
	job = ledger_take(searching->ledger,
			  forecast_choose(searching->forecast, searching->ledger));
	const struct slice_options slice = {
		.models = options->settings->models,
		.sector_bytes = options->settings->sector_bytes,
		.list_dirty = options->settings->recovery > 0,
		.executions = slice_runs(searching),
		.budget = *budget,
		.stop = options->stop,
		.progress = options->progress ? show_slice : NULL,
		.progress_context = &showing,
	};
	enum status status = slice_explore(world, &job, &slice, &part, why);
	forecast_learn(searching->forecast, &job, &part);
	ledger_add(searching->ledger, &part);
	ledger_release(&part);
	free(job.text);
	return status;
}

static enum status search_alone(struct searching *searching, struct why *why)
{
	struct world *world = NULL;
	struct ledger *ledger = searching->ledger;
	struct world_options options = searching->options->settings->world;
	options.snapshot_every = WORLD_SNAPSHOTS_EVERY;
	enum status status = world_new(&world, searching->options->workload, &options, why);
	while (status == STATUS_OK && ledger->job_count && !ledger->complaint[0]) {
		struct budget budget = next_budget(searching, &searching->why_incomplete);
		if (searching->why_incomplete)
			break;
		status = do_next_job(searching, world, &budget, why);
	}
	world_free(world);
	return status;
}

/* ---- with workers ---- */

/* A worker died of its job, or beside it. */
static enum status bury(struct searching *searching, struct worker *worker)
{
	struct open_job *job = &worker->job;
	if (++job->attempts < ATTEMPTS_MAX || is_stopped(searching))
		ledger_open(searching->ledger, job->text, job->weight, job->attempts);
	else
		searching->ledger->lost++;
	searching->busy--;
	worker_end(worker);
	return STATUS_OK;
}

/* Give a worker that has nothing to do the next job. */
static enum status employ(struct searching *searching, struct worker *worker,
			  const struct budget *budget, struct why *why)
{
	struct open_job job;
	const struct worker_task task = {
		.workload = searching->options->workload,
		.settings = searching->options->settings,
		.stop = searching->options->stop,
		.executions = slice_runs(searching),
	};
	if (!worker->pid) {
		enum status status = worker_start(worker, &task, searching->workers,
						  searching->options->jobs, why);
		if (status != STATUS_OK)
			return status;
	}
	job = ledger_take(searching->ledger,
			  forecast_choose(searching->forecast, searching->ledger));
	searching->busy++;
	return worker_give(worker, &job, budget) ? STATUS_OK : bury(searching, worker);
}

/* Give out as many jobs as there are, and workers for them. */
static enum status employ_all(struct searching *searching, struct why *why)
{
	enum status status = STATUS_OK;
	const struct ledger *ledger = searching->ledger;
	for (uint32_t i = 0; i < searching->options->jobs && status == STATUS_OK; i++) {
		const char *bound = NULL;
		struct worker *worker = &searching->workers[i];
		if (worker->is_busy || !ledger->job_count || ledger->complaint[0])
			continue;
		struct budget budget = next_budget(searching, &bound);
		if (!searching->busy)
			searching->why_incomplete = bound;
		if (bound)
			break;
		status = employ(searching, worker, &budget, why);
	}
	return status;
}

/* Wait until some worker has an answer, or a signal came. */
static enum status collect_some(struct searching *searching, struct why *why)
{
	uint32_t jobs = searching->options->jobs;
	struct pollfd waiting[OPTIONS_JOBS_MAX];
	enum status status = STATUS_OK;
	for (uint32_t i = 0; i < jobs; i++)
		waiting[i] = (struct pollfd){
			.fd = searching->workers[i].is_busy ? searching->workers[i].channel : -1,
			.events = POLLIN,
		};
	if (poll(waiting, jobs, 1000) < 0 && errno != EINTR)
		return why_set(why, STATUS_IO, "cannot wait for workers");
	for (uint32_t i = 0; i < jobs; i++) {
		struct worker *worker = &searching->workers[i];
		if (waiting[i].fd < 0 || !waiting[i].revents)
			continue;
		enum status collected =
			worker_collect(worker, searching->ledger, searching->forecast, why);
		if (collected == STATUS_IO) {
			bury(searching, worker);
			continue;
		}
		searching->busy--;
		status = status == STATUS_OK ? collected : status;
	}
	return status;
}

static void show_all(const struct searching *searching)
{
	const struct ledger *ledger = searching->ledger;
	struct progress_figures figures = {
		.done = part_done(searching, ledger->interleavings, NULL),
		.runs = ledger->interleavings,
		.classes = ledger->sets.classes.count,
		.states = ledger->states,
		.violations = ledger->violation_count,
	};
	if (searching->options->progress)
		progress_show(searching->options->progress, &figures);
}

static void pass_interrupt_on(struct searching *searching)
{
	if (!is_stopped(searching) || searching->interrupted)
		return;
	searching->interrupted = true;
	for (uint32_t i = 0; i < searching->options->jobs; i++)
		worker_interrupt(&searching->workers[i]);
}

static enum status search_together(struct searching *searching, struct why *why)
{
	searching->workers = calloc(searching->options->jobs, sizeof(*searching->workers));
	if (!searching->workers)
		abort();
	enum status status = STATUS_OK;
	do {
		status = employ_all(searching, why);
		pass_interrupt_on(searching);
		if (status == STATUS_OK && searching->busy)
			status = collect_some(searching, why);
		show_all(searching);
	} while (status == STATUS_OK &&
		 (searching->busy || (searching->ledger->job_count && !searching->why_incomplete &&
				      !searching->ledger->complaint[0])));
	for (uint32_t i = 0; i < searching->options->jobs; i++)
		worker_end(&searching->workers[i]);
	free(searching->workers);
	searching->workers = NULL;
	return status;
}

enum status search_run(const struct search_options *options, struct ledger *ledger,
		       const char **why_incomplete, struct why *why)
{
	struct searching searching = {
		.options = options,
		.ledger = ledger,
		.forecast = forecast_new(),
		.seconds_before = ledger->seconds,
		.runs_before = ledger->interleavings,
		.states_before = ledger->states,
	};
	searching.begun = seconds_now();
	settings_enable_bugs(options->settings);
	enum status status = options->jobs > 1 ? search_together(&searching, why)
					       : search_alone(&searching, why);
	ledger->seconds = searching.seconds_before + seconds_spent(&searching);
	*why_incomplete = searching.why_incomplete;
	forecast_free(searching.forecast);
	if (options->progress)
		progress_clear(options->progress);
	return status;
}
