// SPDX-License-Identifier: MIT
/** What the injector knows about the run in progress: files watched, where events go, faults left.
 * One at a time. */
#ifndef INJECTOR_SESSION_H
#define INJECTOR_SESSION_H

#include "injector/choice.h"
#include "injector/fault_point.h"
#include "injector/fault_rules.h"
#include "injector/page_hash.h"
#include "injector/snapshot_buffer.h"
#include "traces/content.h"
#include "traces/trace.h"

#include <stdbool.h>
#include <stdint.h>

struct session_options {
	struct event_log *log; /* borrowed; where events go */
	struct choice *choice; /* borrowed; decides faults; may be NULL: none */
	struct trace
		*labels; /* borrowed; stack labels are added to it; NULL: do not record stacks */
	struct fault_options faults;    /* which faults a run may have */
	const struct fault_rule *rules; /* borrowed; faults that every run has; NULL: none */
	size_t rule_count;
	bool flushes_matter; /* what a flush covers is asked for: steps that decide it conflict */
	bool clears_stacks;  /* session_clear_stack() does what it says */
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
 * 0). Does nothing when no run is in progress. */
void session_record(const struct event *event, const void *data, size_t data_bytes);

/** Zero what calls that have returned left on the stack below the caller, when the run was begun
 * with `clears_stacks`. To be called behind whatever looks at things that depend on what others
 * have done, without being a step's business: how long the log is, how many tasks there are. */
void session_clear_stack(void);

/** What the step in progress touched so far: the scheduler resets it before a step and reports it
 * after. */
struct footprint *session_footprint(void);

/** Make snapshots of the run possible, or stop: in-memory files keep undo logs meanwhile. Forgets
 * all earlier snapshots. */
void session_track(bool is_tracked);

/** Can the session be saved? Real files cannot be put back. */
bool session_can_snapshot(void);

/** Append the session between two steps to `buffer`: open descriptors, contents of the in-memory
 * files (as a mark in their undo logs), the I/Os counted, the faults left, the rules met. Not the
 * footprint, which is empty then, and not the log's events. Only while session_track() is on. */
void session_save(struct snapshot_buffer *buffer);

/** Make the session, which is active, what it was. Snapshots taken later are good no more: what
 * their marks point to is gone. */
void session_load(struct snapshot_buffer *buffer);

/** Hash of an in-memory file's present contents and size, as disk_memory_hash(). */
struct page_hash session_hash(uint16_t file);

/** How many files are watched. */
uint16_t session_file_count(void);

#endif
