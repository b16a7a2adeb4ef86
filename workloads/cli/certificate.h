// SPDX-License-Identifier: MIT
/** The certificate of a sweep: what was covered, in numbers that another sweep of the same workload
 * must find again, however it was done. */
#ifndef WORKLOADS_CLI_CERTIFICATE_H
#define WORKLOADS_CLI_CERTIFICATE_H

#include "workloads/cli/json.h"
#include "workloads/cli/sweep.h"

/** Print that of one workload, some indented lines. */
void certificate_print(const struct sweep_summary *summary);

/** Print the sums over several. */
void certificate_print_total(const struct sweep_outcome *outcomes, size_t count);

/** As the member "certificate" of the present object. */
void certificate_json(struct json *json, const struct sweep_summary *summary);

#endif
