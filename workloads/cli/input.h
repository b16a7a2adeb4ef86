// SPDX-License-Identifier: MIT
/** What `check`, `show` and `convert` are given: a trace, or a dm-log-writes log and the image that
 * it begins with, or (`check`) a bare image. Which of them it is, its first bytes tell. */
#ifndef WORKLOADS_CLI_INPUT_H
#define WORKLOADS_CLI_INPUT_H

#include "traces/trace.h"
#include "workloads/cli/options.h"

/** The subject of a trace that is a bare image: nothing ever happens to it. */
#define INPUT_IMAGE_SUBJECT "an image"

/** Read the file that the first argument names into `trace` (initialised, empty). Of a log: --image
 * is what it begins with, whose backing files are read, too; --dialect is whose it is. One that is
 * cut off is read as far as it goes; that, and what else has to be known, is told on stderr, with
 * `doing` ("judging") for what goes on all the same. STATUS_USAGE, _BAD_INPUT, and what
 * trace_read() and dm_log_read() say. */
MUST_USE enum status input_read(struct trace *trace, const struct options *options,
				const char *doing, struct why *why);

#endif
