// SPDX-License-Identifier: MIT
/** Traces to test with, and a sink that collects a stream in memory. */
#ifndef TESTS_UNIT_EXAMPLE_TRACE_H
#define TESTS_UNIT_EXAMPLE_TRACE_H

#include "traces/trace_stream.h"

/** Bytes collected by a sink; all zeros is empty. */
struct collected {
	uint8_t *bytes; /* owned; free() */
	size_t byte_count;
	size_t capacity;
	size_t put_count;
	/** Where each `put` ended. */
	size_t ends[512];
};

/** A sink that appends to `collected`. */
struct trace_sink collecting_sink(struct collected *collected);

/** Make `trace` a small one that has something of everything: settings, a workload, a schedule, an
 *  overlay declared before its backing file, modules, stacks, every kind of event, findings. */
void example_trace(struct trace *trace);

/** What differs between two traces, for a message; NULL: nothing. */
const char *trace_difference(const struct trace *a, const struct trace *b);

#endif
