// SPDX-License-Identifier: MIT
/** Reports of others, as files: `cowtip convert REPORT OUT.qio`. */
#ifndef WORKLOADS_CLI_IMPORT_REPORT_H
#define WORKLOADS_CLI_IMPORT_REPORT_H

#include "workloads/cli/options.h"

/** Write the report that `options` name, with the faults of --inject, as a workload. What is not
 * carried over is printed on stderr, a line each. STATUS_USAGE, STATUS_BAD_INPUT, STATUS_IO. */
MUST_USE enum status import_report(const struct options *options, struct why *why);

#endif
