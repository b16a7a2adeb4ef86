// SPDX-License-Identifier: MIT
/** The trace format as a stream of records: encode to any sink, decode from memory.
 *
 *  A `*.trace.zst` file is this stream, compressed with zstd; a recording in progress is the bare
 *  stream. The bytes are described in README.md. */
#ifndef TRACES_TRACE_STREAM_H
#define TRACES_TRACE_STREAM_H

#include "traces/trace.h"

enum {
	/** Pieces in one call of `put`, at most: what writev() takes. */
	TRACE_SPANS_MAX = 1024,
	/** Bytes in one trace_put_initial(), at most. */
	TRACE_INITIAL_BYTES_MAX = 1 << 20,
	/** Bytes of one record, at most; more is STATUS_UNSUPPORTED. */
	TRACE_RECORD_BYTES_MAX = 1 << 28,
};

/** Bytes of a stream, at most. */
#define TRACE_STREAM_BYTES_MAX (UINT64_C(4096) << 20)

/** One piece of a record. Borrowed during the call. */
struct trace_span {
	const void *bytes;
	size_t byte_count;
};

/** Where encoded bytes go. `put` is called with whole records only (in up to TRACE_SPANS_MAX
 *  pieces, some of which may be empty), so that a stream cut between two calls is a readable
 *  prefix. It may be called from a signal-free context of a foreign program: the encoder allocates
 *  nothing and takes no locks. */
struct trace_sink {
	enum status (*put)(void *context, const struct trace_span *spans, size_t span_count);
	void *context;
};

/** The magic number, the version, and who was run. Comes first, once. */
MUST_USE enum status trace_put_begin(const struct trace_sink *sink, const char *subject);

/** The workload's text. Once at most. */
MUST_USE enum status trace_put_workload(const struct trace_sink *sink, const char *text);

/** A configuration entry; each key once. */
MUST_USE enum status trace_put_setting(const struct trace_sink *sink, const char *key,
				       const char *value);

/** Picks, appended to those put before. */
MUST_USE enum status trace_put_schedule(const struct trace_sink *sink,
					const struct schedule *schedule);

/** Declare a file; files are numbered in order of declaration. `size` is that of its initial
 *  contents (`file->initial` is not looked at). */
MUST_USE enum status trace_put_file(const struct trace_sink *sink, const struct trace_file *file,
				    uint64_t size);

/** A run of initial bytes of file `file` (at most 1 MiB a record; what is never put is zeros). Put
 *  whole pages where possible: readers refuse a stream of many tiny runs. */
MUST_USE enum status trace_put_initial(const struct trace_sink *sink, uint16_t file,
				       uint64_t host_offset, const struct trace_span *span);

/** Declare a module; modules are numbered in order of appearance. */
MUST_USE enum status trace_put_module(const struct trace_sink *sink,
				      const struct trace_module *module);

/** Declare a stack label, before an event uses it; numbered from 1 in order of appearance. Its
 *  modules must have been declared. */
MUST_USE enum status trace_put_stack(const struct trace_sink *sink,
				     const struct trace_stack *stack);

/** One event; `data` may come in up to TRACE_SPANS_MAX - 2 pieces (writev), event->data_bytes is
 *  their sum. event->data_start is not looked at. */
MUST_USE enum status trace_put_event(const struct trace_sink *sink, const struct event *event,
				     const struct trace_span *data, size_t span_count);

/** What an oracle said. */
MUST_USE enum status trace_put_finding(const struct trace_sink *sink,
				       const struct trace_finding *finding);

/** The end mark, with the number of events; nothing may follow. */
MUST_USE enum status trace_put_end(const struct trace_sink *sink, uint64_t event_count);

/** All of the above for a whole trace; the end mark only when `trace->complete`. Same trace, same
 *  bytes. Does not check the trace: trace_write() does. */
MUST_USE enum status trace_encode(const struct trace *trace, const struct trace_sink *sink);

/** Decode a bare stream into `trace` (initialised, empty); `name` is used in messages. Same
 *  statuses as trace_read(). */
MUST_USE enum status trace_decode(struct trace *trace, const void *bytes, size_t byte_count,
				  const char *name, struct why *why);

#endif
