// SPDX-License-Identifier: MIT
/** Decode a trace stream that comes in pieces. Private to this layer; trace_decode() and
 *  trace_read() are made of it. */
#ifndef TRACES_TRACE_DECODER_H
#define TRACES_TRACE_DECODER_H

#include "traces/trace.h"

/** A stream half read. */
struct trace_decoder {
	/** Borrowed; what is built. */
	struct trace *trace;
	/** Borrowed; used in messages. */
	const char *name;
	struct why *why;
	/** Owned; the beginning of a record of which the rest has not come yet. */
	uint8_t *pending;
	size_t pending_count;
	size_t pending_capacity;
	/** Where the next record begins in the stream, and its number, from 1. */
	uint64_t record_start;
	uint64_t record_number;
	/** Bytes fed so far. */
	uint64_t stream_bytes;
	/** Pages that initial contents may have taken so far. */
	uint64_t initial_pages;
	/** Magic number and version were seen. */
	bool has_header;
	/** The BEGIN record, the WORKLOAD record, the end mark were seen. */
	bool has_begin;
	bool has_workload;
	bool has_end;
};

/** Begin to decode into `trace` (initialised, empty; borrowed until the decoder is released). */
void trace_decoder_init(struct trace_decoder *decoder, struct trace *trace, const char *name,
			struct why *why);

/** Free what the decoder owns; not the trace. */
void trace_decoder_release(struct trace_decoder *decoder);

/** Decode as many records as are whole. After anything but STATUS_OK: feed no more. */
MUST_USE enum status trace_decoder_feed(struct trace_decoder *decoder, const uint8_t *bytes,
					size_t byte_count);

/** The stream is over. STATUS_OK: there was an end mark; STATUS_TRUNCATED: none; STATUS_FOREIGN:
 *  not even a magic number; STATUS_CORRUPT: contradictions between records. */
MUST_USE enum status trace_decoder_finish(struct trace_decoder *decoder);

#endif
