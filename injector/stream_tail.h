// SPDX-License-Identifier: MIT
/** The end of a stream that is not in its file yet, in memory that outlives the program: a file
 * beside the stream, mapped by the recorder, read by whoever collects. */
#ifndef INJECTOR_STREAM_TAIL_H
#define INJECTOR_STREAM_TAIL_H

#include <stdint.h>

/** Its name is the stream's with this behind it. */
#define STREAM_TAIL_SUFFIX ".tail"

enum { STREAM_TAIL_BYTES = 64 * 1024 };

struct stream_tail {
	uint64_t stream_bytes; /* how much lies before the tail, in the stream's file */
	uint64_t used;         /* bytes in the tail; set when they are there */
	uint8_t bytes[STREAM_TAIL_BYTES];
};

#endif
