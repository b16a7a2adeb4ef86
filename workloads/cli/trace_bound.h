// SPDX-License-Identifier: MIT
/** How many trace files, and how many bytes of them, a sweep or a campaign may leave: --traces. */
#ifndef WORKLOADS_CLI_TRACE_BOUND_H
#define WORKLOADS_CLI_TRACE_BOUND_H

#include "traces/status.h"

#include <stdbool.h>
#include <stdint.h>

struct trace_bound {
	bool has_files, has_bytes; /* false: no such bound */
	uint64_t files, bytes;     /* that are left to be used */
};

/** Take "20", a number of files, or "16M", a size (a number with a suffix of qemu-io's), into
 * `bound`; the other one is unchanged. STATUS_USAGE. */
MUST_USE enum status trace_bound_parse(struct trace_bound *bound, const char *text,
				       struct why *why);

/** May the file at `path` stay? Then it is taken off `bound`; else, and when it is not there, the
 * answer is false, and the file is removed. */
bool trace_bound_keeps(struct trace_bound *bound, const char *path);

#endif
