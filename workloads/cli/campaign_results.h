// SPDX-License-Identifier: MIT
/** A campaign for machines that run tests. */
#ifndef WORKLOADS_CLI_CAMPAIGN_RESULTS_H
#define WORKLOADS_CLI_CAMPAIGN_RESULTS_H

#include "workloads/cli/campaign.h"

/** Write --junit, --tap and annotations as results_write(): a case for the campaign as a whole,
 * whose failures are searches that went wrong, and one for each row of the table. STATUS_IO. */
MUST_USE enum status campaign_results_write(const struct campaign *campaign, struct why *why);

#endif
