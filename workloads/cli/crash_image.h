// SPDX-License-Identifier: MIT
/** The image that a crash leaves. */
#ifndef WORKLOADS_CLI_CRASH_IMAGE_H
#define WORKLOADS_CLI_CRASH_IMAGE_H

#include "traces/trace.h"

#include <stdint.h>

/** A crash: after this many operations on the image, and this many sectors of the next. */
struct crash_place {
	uint64_t operation;
	uint64_t sectors;
	const char *persist; /* which of them persisted, as a `reorder` verdict says; NULL: all */
};

/** Parse "12" or "12+3"; `place->persist` is not touched. STATUS_USAGE. */
MUST_USE enum status crash_place_parse(struct crash_place *place, const char *text,
				       struct why *why);

/** Index of the operation after which the crash of `finding` falls, or which it tears;
 * `log->count`: it falls before the first one, or there is no crash. */
size_t crash_event(const struct event_log *log, const struct trace_finding *finding);

/** File 0 as a crash at `place` leaves it. Gives `*content`, NULL on failure. STATUS_USAGE: there
 * is no such place; STATUS_BAD_INPUT: the trace has no files; STATUS_NO_MEMORY. */
MUST_USE enum status crash_image(struct content **content, const struct trace *trace,
				 const struct crash_place *place, struct why *why);

/** Its external data file, which is joined (data_file.h), at the same place; as crash_image(). */
MUST_USE enum status crash_data_file(struct content **content, const struct trace *trace,
				     const struct crash_place *place, struct why *why);

/** File 0 as the crash of `finding` leaves it; at the end of the run when it needs no crash, or is
 * NULL. As crash_image(). */
MUST_USE enum status crash_image_of(struct content **content, const struct trace *trace,
				    const struct trace_finding *finding, struct why *why);

#endif
