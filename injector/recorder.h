// SPDX-License-Identifier: MIT
/** Where a watched call leaves its traces. The interception is built twice with two recorders:
 *  session.c writes the event log of the run in progress, preload_recorder.c the stream of a
 * foreign program. */
#ifndef INJECTOR_RECORDER_H
#define INJECTOR_RECORDER_H

#include "injector/io_call.h"
#include "injector/watch.h"
#include "traces/event.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/** Is anything being recorded? Without it watched calls are performed and leave no trace. */
bool recorder_is_on(void);

/** A call on a watched file begins: fill in `event`'s actor and stack, and its id, unless the
 * recorder gives each event its id when it is appended. */
void recorder_begin_call(struct event *event);

/** The caller's stack is about to become part of the run's state: leave nothing there of what the
 * recorder and the disk did on it. */
void recorder_clear_stack(void);

/** Append `event` with the first `data_bytes` bytes of `vector` (NULL when 0). */
void recorder_append(const struct event *event, const struct iovec *vector, size_t data_bytes);

/** Between these two nobody else's events are appended. What else is done meanwhile is short. */
void recorder_hold(void);
void recorder_let_go(void);

/** Between these two `request` takes effect on `open` and its effect is appended. Of others that
 * share bytes with it none does, so that effects whose order matters stand in the record in the
 * order in which they happened. Not for flushes. */
void recorder_begin_effect(const struct watched_open *open, const struct io_request *request);
void recorder_end_effect(void);

/** `request` is about to take effect on `open`: note what the step in progress touches. */
void recorder_touch_effect(const struct watched_open *open, const struct io_request *request);

/** The step in progress learns that a flush of a watched file failed. */
void recorder_touch_failed_flush(void);
/** A call on `open` was submitted; `recorder_touch_completed`: it goes back to its caller with
 * `result`. Note what this says of what is durable. */
void recorder_touch_submitted(const struct watched_open *open, enum io_op op);
void recorder_touch_completed(const struct watched_open *open, enum io_op op, int64_t result);

/** A call was submitted: the errno that a rule of the run (fault_rules.h) makes it fail with; 0:
 * none does. */
int recorder_planned_fault(const struct watched_open *open, const struct io_request *request);

/** The step in progress looks at the size of `open`. */
void recorder_touch_size(const struct watched_open *open);

/** The program opens a file. Returns false when the injector has no interest in it: the caller
 * performs the real call. Else `*result` is what open(2) returns, with errno set when -1. */
bool recorder_open(int *result, int directory, const char *path, int flags, mode_t mode);

/** The last descriptor of an open file was closed; `open` is about to be freed. */
void recorder_closed(struct watched_open *open);

/** Something cannot be followed from here on; `text` (a literal) says what. */
void recorder_gap(const char *text);

/** May this process change what is known of descriptors? Not a child of vfork(2), which shares our
 * memory. */
bool recorder_is_owner(void);

/** A descriptor that the injector itself uses must not be closed or replaced by the program. True
 * when `descriptor` is one. */
bool recorder_owns(int descriptor);

/** The program wants the number `descriptor` for itself: use another one from now on. */
void recorder_move_away(int descriptor);

#endif
