// SPDX-License-Identifier: MIT
/* What the search gains by its two means, each measured in one world with everything else equal:
 *
 *   reduction   one run of each class, against every order of the same requests
 *   snapshots   the same runs in the same order, begun where they differ, against each from its
 *               beginning
 *
 * Runs are executed and not judged, so that the clock sees the search and the engine alone. The
 * rates of whole sweeps are those of the suite. */
#include "workloads/cli/bench.h"

#include "injector/order.h"
#include "injector/strategy_dpor.h"
#include "workloads/cli/settings.h"
#include "workloads/seconds.h"
#include "workloads/world_snapshot.h"

#include <stdio.h>
#include <string.h>

#define SECONDS_OF_ALL_ORDERS 20.0
#define SECONDS_OF_REPEATING 1.0

enum { SNAPSHOT_RUNS = 10000 };

/* Worlds whose orders can all be walked, or not. */
static const char two_allocations[] = "#@ image size=16k cluster_size=4k\n"
				      "aio_write -P 0x11 0 4k\n"
				      "aio_write -P 0x22 4k 4k\n";
static const char two_copies[] = "#@ image size=16k cluster_size=4k backing=pattern\n"
				 "#@ policy cancel\n"
				 "aio_write -P 0x11 0 1k\n"
				 "aio_write -P 0x22 1k 1k\n";
static const char three_copies[] = "#@ image size=16k cluster_size=4k backing=pattern\n"
				   "#@ policy cancel\n"
				   "aio_write -P 0x11 0 2k\n"
				   "aio_write -P 0x22 1k 2k\n"
				   "aio_write -P 0x33 2k 2k\n"
				   "flush\n";

/* How to search. */
struct plan {
	bool reduces; /* one run of each class; false: every order */
	bool has_snapshots;
	struct budget bound;
	double repeat_seconds; /* walk again until so much time has passed; 0: once */
};

static bool is_reached(const struct budget *bound, uint64_t executions, double started)
{
	if (bound->runs && executions >= bound->runs)
		return true;
	return bound->seconds > 0 && seconds_now() - started >= bound->seconds;
}

/* One walk through the world, from the first run to the last or to the bound. */
static void walk(struct bench_search *search, struct world *world, struct choice *choice,
		 const struct budget *bound)
{
	double started = seconds_now();
	uint64_t executions = 0;
	search->complete = false;
	while (!is_reached(bound, executions, started)) {
		if (!choice_begin(choice)) {
			search->complete = true;
			break;
		}
		enum run_end end = world_run(world, choice);
		executions++;
		search->completed += !choice_is_redundant(choice);
		choice_end(choice, end, 0);
	}
	search->executions += executions;
}

/* What one walk takes, on the average. All of them do the same. */
static void divide(struct bench_search *search, uint64_t walks)
{
	search->executions /= walks;
	search->completed /= walks;
	search->seconds /= (double)walks;
}

static enum status walk_repeatedly(struct bench_search *search, struct world *world,
				   const struct plan *plan, struct why *why)
{
	double started = seconds_now();
	uint64_t walks = 0;
	do {
		struct order order;
		struct choice choice;
		order_init(&order);
		struct strategy *strategy =
			plan->reduces ? strategy_dpor_new(&order, NULL) : strategy_dfs_new(false);
		if (!strategy) {
			order_release(&order);
			return why_set(why, STATUS_NO_MEMORY, "out of memory");
		}
		choice_init(&choice, strategy, NULL);
		choice.order = plan->reduces ? &order : NULL;
		walk(search, world, &choice, &plan->bound);
		choice_release(&choice);
		strategy_free(strategy);
		order_release(&order);
		walks++;
		search->seconds = seconds_now() - started;
	} while (search->seconds < plan->repeat_seconds);
	divide(search, walks);
	return STATUS_OK;
}

static enum status measure(struct bench_search *search, const struct workload *workload,
			   const struct options *options, const struct plan *plan, struct why *why)
{
	struct settings settings = { 0 };
	struct world *world = NULL;
	*search = (struct bench_search){ 0 };
	enum status status = settings_resolve(&settings, workload, options, why);
	if (status != STATUS_OK)
		goto out;
	settings_enable_bugs(&settings);
	settings.world.snapshot_every = plan->has_snapshots ? WORLD_SNAPSHOTS_EVERY : 0;
	status = world_new(&world, workload, &settings.world, why);
	if (status != STATUS_OK)
		goto out;
	status = walk_repeatedly(search, world, plan, why);
	world_free(world);
out:
	settings_release(&settings);
	return status;
}

static enum status measure_pair(struct bench_pair *pair, const struct workload *workload,
				const struct options *options, const struct plan plans[2],
				struct why *why)
{
	snprintf(pair->workload, sizeof(pair->workload), "%s", workload->name);
	enum status status = measure(&pair->with, workload, options, &plans[0], why);
	if (status == STATUS_OK)
		status = measure(&pair->without, workload, options, &plans[1], why);
	return status;
}

static enum status load(struct workload *workload, const char *name, const char *own_name,
			const char *own_text, struct why *why)
{
	if (name)
		return workload_load(workload, name, why);
	return workload_parse(workload, own_name, own_text, strlen(own_text), why);
}

static enum status measure_reduction(struct bench_pair *pair, const char *name,
				     const struct options *options, struct why *why)
{
	struct workload workload;
	struct plan plans[2] = { { .reduces = true, .has_snapshots = true },
				 { .has_snapshots = true } };
	struct budget bound = { .seconds = SECONDS_OF_ALL_ORDERS };
	plans[0].repeat_seconds = options->budget.runs ? 0 : SECONDS_OF_REPEATING;
	if (options->budget.seconds > 0 || options->budget.runs)
		bound = options->budget;
	plans[0].bound = plans[1].bound = bound;
	enum status status = load(&workload, name, "two-allocations", two_allocations, why);
	if (status == STATUS_OK)
		status = measure_pair(pair, &workload, options, plans, why);
	workload_release(&workload);
	return status;
}

/* Both must do the same runs, so only a number of these bounds them. */
static enum status measure_snapshots(struct bench_pair *pair, const char *name,
				     const struct options *options, struct why *why)
{
	struct workload workload;
	struct budget bound = { .runs = options->budget.runs ? options->budget.runs
							     : SNAPSHOT_RUNS };
	const struct plan plans[2] = { { true, true, bound, 0 }, { true, false, bound, 0 } };
	enum status status = load(&workload, name, "three-copies", three_copies, why);
	if (status == STATUS_OK)
		status = measure_pair(pair, &workload, options, plans, why);
	workload_release(&workload);
	return status;
}

static enum status measure_requests(struct bench_pair *pair, const struct options *options,
				    struct why *why)
{
	struct workload workload;
	struct budget bound = { .seconds = SECONDS_OF_REPEATING, .runs = options->budget.runs };
	double repeat_seconds = options->budget.runs ? 0 : SECONDS_OF_REPEATING;
	const struct plan plans[2] = { { true, true, bound, repeat_seconds },
				       { false, true, bound, 0 } };
	enum status status = load(&workload, NULL, "two-copies", two_copies, why);
	if (status == STATUS_OK)
		status = measure_pair(pair, &workload, options, plans, why);
	workload_release(&workload);
	return status;
}

enum status bench_searches(struct bench_searches *searches, const char *name,
			   const struct options *options, struct why *why)
{
	*searches = (struct bench_searches){ 0 };
	enum status status = measure_reduction(&searches->reduction, name, options, why);
	if (status == STATUS_OK)
		status = measure_snapshots(&searches->snapshots, name, options, why);
	if (status == STATUS_OK)
		status = measure_requests(&searches->requests, options, why);
	return status;
}
