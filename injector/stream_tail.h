// SPDX-License-Identifier: MIT
/** The end of a stream that is not in its file yet, in memory that outlives the program: a file
 * that the recorder has mapped, and whoever collects reads.
 *
 *  It lies beside the stream, and goes with it. Only the runs of a server (gate_program.h) find one
 * that stays from run to run, beside all streams; each takes it for its first process. */
#ifndef INJECTOR_STREAM_TAIL_H
#define INJECTOR_STREAM_TAIL_H

#include <stdint.h>

/** Its name is the stream's with this behind it; that of the one that stays, the streams' prefix
 * with this. */
#define STREAM_TAIL_SUFFIX ".tail"

enum {
	STREAM_TAIL_BYTES = 64 * 1024,
	/** Of the one that stays. */
	STREAM_TAIL_STAYING_BYTES = 1024 * 1024,
};

struct stream_tail {
	uint64_t stream_bytes; /* how much lies before the tail, in the stream's file */
	uint64_t used;         /* bytes in the tail; set when they are there */
	uint8_t bytes[];       /* as many as the file has */
};

#endif
