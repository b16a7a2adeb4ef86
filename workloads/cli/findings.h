// SPDX-License-Identifier: MIT
/** What a search found, executed once more: its traces, and the story of the first. */
#ifndef WORKLOADS_CLI_FINDINGS_H
#define WORKLOADS_CLI_FINDINGS_H

#include "workloads/cli/sweep.h"

/** A search that is over; all borrowed. */
struct findings {
	const struct workload *workload;
	const struct settings *settings;
	const struct options *options;
	const struct explore_result *result;
	struct sweep_outcome *outcome; /* gets violations and story; a complaint when one of them
					  does not show again */
};

/** Execute each violation once more, with stacks, and write its trace. */
void findings_take(const struct findings *findings);

#endif
