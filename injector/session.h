// SPDX-License-Identifier: MIT
/** What the injector knows about the run in progress: files watched, where events go, faults left.
 * One at a time. */
#ifndef INJECTOR_SESSION_H
#define INJECTOR_SESSION_H

#include "injector/choice.h"
#include "traces/content.h"
#include "traces/trace.h"

#include <stdbool.h>
#include <stdint.h>

struct session_options {
	struct event_log *log; /* borrowed; where events go */
	struct choice *choice; /* borrowed; decides faults; may be NULL: none */
	struct trace
		*labels; /* borrowed; stack labels are added to it; NULL: do not record stacks */
	uint32_t faults_max;      /* errors injected in a run, at most */
	const char *fault_points; /* which of libfiu's points may fail, a pattern with a trailing
				     `*`; NULL: every posix/io point */
};

/** Begin a run. Asserts that none is in progress. Keeps the watched files of the last run. */
void session_begin(const struct session_options *options);

/** The run is over: events are no longer recorded. */
void session_end(void);

/** Is a run in progress? */
bool session_active(void);

/** Watch `path` as an in-memory file that starts each run with `initial` (borrowed until
 * unwatched). open(path) gives a descriptor that only the watched calls understand. Returns its
 * index in event.file, counted from 0 in the order of calls, or STATUS_NO_MEMORY ... through
 * `status`. */
MUST_USE enum status session_watch_memory(const char *path, const struct content *initial,
					  uint16_t *file);

/** Watch `path` as the real file of that name. */
MUST_USE enum status session_watch_real(const char *path, uint16_t *file);

/** Put every in-memory file back to its initial contents and close its descriptors. */
void session_rewind(void);

/** Present contents of an in-memory file, as the running program sees them. Gives a copy; NULL when
 * memory is short. */
struct content *session_content(uint16_t file);

/** Forget all watched files. */
void session_unwatch_all(void);

/** Append an event to the run's log on behalf of the current actor (its `actor` is filled in when
 * 0). Does nothing when no run is in progress. Returns the event's index, SIZE_MAX when there is no
 * run. */
size_t session_record(const struct event *event, const void *data, size_t data_bytes);

/** What the step in progress touched so far: the scheduler resets it before a step and reports it
 * after. */
struct footprint *session_footprint(void);

#endif
