// SPDX-License-Identifier: MIT
/** The search of one workload on a foreign program. */
#ifndef WORKLOADS_CLI_PROGRAM_SEARCH_H
#define WORKLOADS_CLI_PROGRAM_SEARCH_H

#include "workloads/cli/settings.h"
#include "workloads/explore.h"
#include "workloads/program.h"

/** `program` (borrowed) as a subject. */
struct subject program_subject(struct program *program);

/** What `settings` (with a program) say of it. Borrows from them. */
struct program_options program_options_of(const struct settings *settings);

/** Explore as `settings` (with a program) and `options` say. Gives what `result` owns. */
MUST_USE enum status program_search(const struct workload *workload,
				    const struct settings *settings,
				    const struct explore_options *options,
				    struct explore_result *result, struct why *why);

#endif
