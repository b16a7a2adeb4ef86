// SPDX-License-Identifier: MIT
/** Several workloads' sweeps, one process each, some at a time; results in the order asked for. */
#ifndef WORKLOADS_CLI_JOBS_H
#define WORKLOADS_CLI_JOBS_H

#include "workloads/cli/sweep.h"

struct jobs {
	const char *const *names; /* borrowed; workloads; NULL: that of a checkpoint */
	size_t count;
	uint32_t at_a_time;            /* 1: no processes for them */
	uint32_t workers;              /* processes that share the search of one of them */
	const struct options *options; /* borrowed */
	bool shows_progress;
};

/** Sweep all; fills `outcomes` (jobs->count of them, each to be released). A process that dies is
 * an outcome with STATUS_IO. */
void jobs_run(const struct jobs *jobs, struct sweep_outcome *outcomes);

#endif
