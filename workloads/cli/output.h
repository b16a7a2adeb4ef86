// SPDX-License-Identifier: MIT
/** Output files: written under a temporary name, renamed when complete. */
#ifndef WORKLOADS_CLI_OUTPUT_H
#define WORKLOADS_CLI_OUTPUT_H

#include "traces/status.h"

#include <stdbool.h>
#include <stdio.h>

enum { OUTPUT_PATH_BYTES = 4096 };

/** A file being written. Embedded; valid between output_begin() and output_finish(). */
struct output {
	FILE *file; /* write here */
	char path[OUTPUT_PATH_BYTES];
	char temporary[OUTPUT_PATH_BYTES];
};

/** Begin to write `path`. STATUS_IO. */
MUST_USE enum status output_begin(struct output *output, const char *path, struct why *why);

/** Close; rename when everything was written, else remove. STATUS_IO. */
MUST_USE enum status output_finish(struct output *output, struct why *why);

/** Close and remove: nothing is left. Instead of output_finish(). */
void output_cancel(struct output *output);

/** Create directory `path` and the missing ones above it. STATUS_IO. */
MUST_USE enum status output_make_folder(const char *path, struct why *why);

/** Is stderr a terminal, and progress wanted? */
bool output_shows_progress(bool quiet);

#endif
