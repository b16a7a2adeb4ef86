// SPDX-License-Identifier: MIT
/** The story of a run: who did what in which order, where the crash falls, what is wrong then; in
 * qcow2 words, about a dozen lines. */
#ifndef WORKLOADS_CLI_STORY_H
#define WORKLOADS_CLI_STORY_H

#include "traces/trace.h"

#include <stdbool.h>

/** Tell `trace`; with `finding` (may be NULL) up to its crash, ending in what is wrong. Gives a
 * string for free(). */
char *story_tell(const struct trace *trace, const struct trace_finding *finding);

#endif
