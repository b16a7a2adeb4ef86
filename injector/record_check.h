// SPDX-License-Identifier: MIT
/** From the raw recording of a foreign program to a trace that can be relied on. */
#ifndef INJECTOR_RECORD_CHECK_H
#define INJECTOR_RECORD_CHECK_H

#include "traces/trace.h"

#include <stddef.h>

/** Drop the files (and their events) that are no images: neither qcow2 at the beginning or the end,
 * nor one of the `image_count` paths in `images`, nor backing one that is. Gives each file its
 * format, and a new image the backing files that its header names (read as they are now). */
MUST_USE enum status record_check_trim(struct trace *trace, const char *const *images,
				       size_t image_count, struct why *why);

/** Compare each file at the end of each trace with the real file, or with what another of the
 * traces found in it. STATUS_UNSUPPORTED names the file and the first byte that differs. In a trace
 * that is not complete, writes that were under way when the process died are completed as the file
 * shows. */
MUST_USE enum status record_check_final(struct trace *traces, size_t trace_count, struct why *why);

#endif
