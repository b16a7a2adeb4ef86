// SPDX-License-Identifier: MIT
/** Read a bare stream (trace_stream.h) while it is still being written. */
#ifndef TRACES_TRACE_FOLLOW_H
#define TRACES_TRACE_FOLLOW_H

#include "traces/trace.h"

struct trace_follower;

/** Begin to read the stream at `path`. Gives; trace_follower_finish() or trace_follower_free().
 *  NULL when it cannot be opened (errno says why) or memory is short. */
struct trace_follower *trace_follower_open(const char *path);

/** Decode what has been written by now. Returns how many bytes that was. What is wrong with it
 *  is told at the end. Bytes once written must stay as they are. */
uint64_t trace_follower_advance(struct trace_follower *follower);

/** The bytes of the stream from `place` on, which are in no file yet. What was read of them already
 *  must be the same. False: bytes before `place` are missing. */
bool trace_follower_add(struct trace_follower *follower, uint64_t place, const uint8_t *bytes,
			uint64_t byte_count);

/** The stream is written: decode the rest into `trace` (initialised, empty), and free `follower`.
 *  Same statuses as trace_read(). */
MUST_USE enum status trace_follower_finish(struct trace_follower *follower, struct trace *trace,
					   struct why *why);

/** Give up; NULL is allowed. */
void trace_follower_free(struct trace_follower *follower);

#endif
