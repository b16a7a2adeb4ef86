// SPDX-License-Identifier: MIT
/** The streams that the processes of a recorded program write: files "<prefix>.*.stream". They are
 *  read while they grow, so that little is left to do when the program has ended. */
#ifndef INJECTOR_RECORD_STREAMS_H
#define INJECTOR_RECORD_STREAMS_H

#include "traces/trace_follow.h"

#include <stddef.h>
#include <sys/types.h>

struct stream_tail;

/** One process's stream. */
struct record_stream {
	char *path;                      /* owned */
	struct trace_follower *follower; /* owned; NULL: not begun */
};

struct record_streams {
	const char *prefix;             /* borrowed; absolute */
	const struct stream_tail *tail; /* borrowed; of a server (stream_tail.h), NULL: none */
	pid_t tail_process;             /* whose it is */
	struct record_stream *streams;  /* owned; in order of process number */
	size_t count;
};

/** No streams known yet, and no server's tail. `prefix` is borrowed until record_streams_release().
 */
void record_streams_init(struct record_streams *streams, const char *prefix);
/** Remove the files, free everything. */
void record_streams_release(struct record_streams *streams);

/** Enter those that are there by now. STATUS_IO: the folder cannot be read. */
MUST_USE enum status record_streams_find(struct record_streams *streams, struct why *why);

/** Read what is written by now of those that are known. Returns how many bytes that was. */
uint64_t record_streams_advance(struct record_streams *streams);

/** The program has ended: read the rest of stream `index`, with what its process had gathered and
 *  not written, into `trace` (initialised, empty). As trace_read(). */
MUST_USE enum status record_streams_finish(struct record_streams *streams, size_t index,
					   struct trace *trace, struct why *why);

#endif
