// SPDX-License-Identifier: MIT
/** What was found in stock qemu-io, forced on it without cowtip: a shell script that stops a
 * request at a breakpoint of blkdebug while others overtake it. */
#ifndef WORKLOADS_CLI_PLAIN_H
#define WORKLOADS_CLI_PLAIN_H

#include "traces/trace.h"
#include "workloads/language.h"

/** The script, which was run and did what it says: with the image as it was at first beside it,
 * called "initial.qcow2", and the backing file under its name, it ends with 1 because a sector is
 * not what the last request on it wrote; the same without the breakpoint ends with 0. `workload` is
 * that of `trace`, whose first finding it is about. NULL: no such script was found. Gives; free().
 * STATUS_IO: trying failed. */
MUST_USE enum status plain_script(char **script, const struct trace *trace,
				  const struct workload *workload, struct why *why);

#endif
