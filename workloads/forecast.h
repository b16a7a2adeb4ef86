// SPDX-License-Identifier: MIT
/** How many runs a search still takes, judging by what its jobs turned out to be. See forecast.c.
 */
#ifndef WORKLOADS_FORECAST_H
#define WORKLOADS_FORECAST_H

#include "workloads/ledger.h"

struct forecast;

/** Without any experience. Gives. */
struct forecast *forecast_new(void);
void forecast_free(struct forecast *forecast);

/** A slice of `job` was done; `part` has its runs and what is left of the job. */
void forecast_learn(struct forecast *forecast, const struct open_job *job,
		    const struct ledger *part);

/** Which of the open jobs to do next, so that something is learnt: index into ledger->jobs, of
 * which there is at least one. */
size_t forecast_choose(const struct forecast *forecast, const struct ledger *ledger);

/** How many runs the open jobs take, and `extra` (may be NULL), which is in progress. Negative:
 * nothing is known yet. */
double forecast_left(const struct forecast *forecast, const struct ledger *ledger,
		     const struct open_job *extra);

#endif
