// SPDX-License-Identifier: MIT
/* A forecast by the family tree of jobs.
 *
 * A slice makes a job into runs and into jobs that begin later in the run, at a greater *depth*
 * (picks in the prefix). So what a job takes in all is
 *
 *     cost(depth) = runs of a slice + sum of cost(depth of a child) over its children
 *
 * and with averages over the jobs seen at each depth this can be worked out from the deepest depth
 * up. A search that does the last job first sees shallow jobs last, and they are most of what is
 * left; so as long as a depth has been seen less than SAMPLES_MIN times, a job of that depth goes
 * first (which job goes first changes no result). Depths that were never seen, a few between
 * others, take the cost of the next shallower neighbour that was seen, or failing that of the
 * next deeper one.
 *
 * It is an estimate: jobs of one depth differ, and the first few of them need not be like the
 * others. Averages are unweighted, and right to a small factor rather than to a few percent. */
#include "workloads/forecast.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTHS = 512, SAMPLES_MIN = 3 };

/** Jobs of one depth that were sliced. */
struct experience {
	double jobs, runs;
	double children[DEPTHS]; /* by their depth */
};

struct forecast {
	struct experience at[DEPTHS];
};

struct forecast *forecast_new(void)
{
	struct forecast *forecast = calloc(1, sizeof(*forecast));
	if (!forecast)
		abort();
	return forecast;
}

void forecast_free(struct forecast *forecast)
{
	free(forecast);
}

/** Picks in the prefix: "schedule|last/picks|..." */
static size_t depth_of(const struct open_job *job)
{
	const char *slash = strchr(job->text, '/');
	unsigned long depth = slash ? strtoul(slash + 1, NULL, 10) : 0;
	return depth < DEPTHS ? depth : DEPTHS - 1;
}

void forecast_learn(struct forecast *forecast, const struct open_job *job,
		    const struct ledger *part)
{
	size_t depth = depth_of(job);
	struct experience *here = &forecast->at[depth];
	here->jobs++;
	here->runs += (double)part->interleavings;
	for (size_t i = 0; i < part->job_count; i++) {
		size_t child = depth_of(&part->jobs[i]);
		/* What a budget cut off is as deep as it was. */
		if (child > depth)
			here->children[child]++;
	}
}

size_t forecast_choose(const struct forecast *forecast, const struct ledger *ledger)
{
	size_t last = ledger->job_count - 1;
	for (size_t i = ledger->job_count; i-- > 0;)
		if (forecast->at[depth_of(&ledger->jobs[i])].jobs < SAMPLES_MIN)
			return i;
	return last;
}

/** Let depths from `from` to `to` (not included) that were never seen cost as much as `cost`. */
static void fill(double *costs, size_t from, size_t to, double cost)
{
	for (size_t depth = from; depth < to; depth++)
		costs[depth] = cost;
}

/** The cost of a job of each depth; false: nothing is known. */
static bool find_costs(const struct forecast *forecast, double costs[DEPTHS])
{
	size_t above = DEPTHS; /* the shallowest depth that was seen so far */
	for (size_t depth = DEPTHS; depth-- > 0;) {
		const struct experience *here = &forecast->at[depth];
		double sum = here->runs;
		if (here->jobs == 0)
			continue;
		/* Children at depths between this one and `above` are like those at `above`: when
		 * this one is known, so are they, but not before. */
		for (size_t child = depth + 1; child < DEPTHS; child++) {
			bool is_unseen = child < above || above == DEPTHS;
			double cost = is_unseen && above < DEPTHS ? costs[above] : costs[child];
			if (here->children[child] > 0)
				sum += here->children[child] * cost;
		}
		costs[depth] = sum / here->jobs;
		fill(costs, depth + 1, above, costs[depth]);
		above = depth;
	}
	if (above == DEPTHS)
		return false;
	fill(costs, 0, above, costs[above]);
	return true;
}

double forecast_left(const struct forecast *forecast, const struct ledger *ledger,
		     const struct open_job *extra)
{
	double costs[DEPTHS] = { 0 };
	double left = 0;
	if (!find_costs(forecast, costs))
		return -1;
	for (size_t i = 0; i < ledger->job_count; i++)
		left += costs[depth_of(&ledger->jobs[i])];
	return extra ? left + costs[depth_of(extra)] : left;
}
