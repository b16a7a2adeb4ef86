// SPDX-License-Identifier: MIT
/** One workload of a campaign, in a process of its own. */
#ifndef WORKLOADS_CLI_CAMPAIGN_WORKER_H
#define WORKLOADS_CLI_CAMPAIGN_WORKER_H

#include "workloads/cli/campaign.h"

#include <stdio.h>

/** How many runs a workload may take: --each, or what it is unless said. */
uint64_t campaign_each(const struct options *options);

/** Sweep workload `index`; leave it and its traces in `folder`, which is made, and its journal line
 * in `file`. */
void campaign_worker(const struct campaign *campaign, uint64_t index, const char *folder,
		     FILE *file);

#endif
