// SPDX-License-Identifier: MIT
/* Any bytes as a trace, compressed or bare. What can be read must be sound: it encodes, the bytes
 * read back as the same trace, and every file's final contents can be made. */
#include "traces/trace.h"

#include "traces/trace_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t byte_count);

struct stream {
	uint8_t *bytes; /* owned */
	size_t byte_count;
	size_t capacity;
};

static void require(bool holds, const char *sentence)
{
	if (holds)
		return;
	fprintf(stderr, "not so: %s\n", sentence);
	abort();
}

#define REQUIRE(condition) require(condition, #condition)

static enum status collect(void *context, const struct trace_span *spans, size_t span_count)
{
	struct stream *stream = context;
	for (size_t i = 0; i < span_count; i++) {
		size_t needed = stream->byte_count + spans[i].byte_count;
		if (needed > stream->capacity) {
			stream->capacity = 2 * needed;
			stream->bytes = realloc(stream->bytes, stream->capacity);
			REQUIRE(stream->bytes != NULL);
		}
		if (spans[i].byte_count)
			memcpy(stream->bytes + stream->byte_count, spans[i].bytes,
			       spans[i].byte_count);
		stream->byte_count = needed;
	}
	return STATUS_OK;
}

static struct stream encode(const struct trace *trace)
{
	struct stream stream = { 0 };
	struct trace_sink sink = { collect, &stream };
	REQUIRE(trace_encode(trace, &sink) == STATUS_OK);
	return stream;
}

static void check_final_contents(const struct trace *trace)
{
	for (size_t i = 0; i < trace->file_count; i++) {
		struct content *final = trace_final_content(trace, (uint16_t)i);
		REQUIRE(final != NULL);
		content_free(final);
	}
}

static void check_lines(const struct trace *trace)
{
	char line[200];
	for (size_t i = 0; i < trace->log.count; i++)
		event_format(line, sizeof(line), &trace->log, &trace->log.events[i]);
}

/* `trace` was read with `status`. */
static void check_sound(const struct trace *trace, enum status status)
{
	REQUIRE(trace->complete == (status == STATUS_OK));
	struct stream first = encode(trace);
	struct trace again;
	struct why why;
	trace_init(&again);
	REQUIRE(trace_decode(&again, first.bytes, first.byte_count, "again", &why) == status);
	struct stream second = encode(&again);
	REQUIRE(first.byte_count == second.byte_count);
	REQUIRE(memcmp(first.bytes, second.bytes, first.byte_count) == 0);
	REQUIRE(event_log_digest(&trace->log) == event_log_digest(&again.log));
	free(first.bytes);
	free(second.bytes);
	trace_release(&again);
	check_final_contents(trace);
	check_lines(trace);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t byte_count)
{
	struct trace trace;
	struct why why;
	trace_init(&trace);
	enum status status = trace_read_memory(&trace, bytes, byte_count, "input", &why);
	if (status == STATUS_OK || status == STATUS_TRUNCATED)
		check_sound(&trace, status);
	else
		REQUIRE(trace.file_count == 0 && trace.log.count == 0 && why.text[0]);
	trace_release(&trace);

	trace_init(&trace);
	status = trace_decode(&trace, bytes, byte_count, "input", NULL);
	if (status == STATUS_OK || status == STATUS_TRUNCATED)
		check_sound(&trace, status);
	trace_release(&trace);
	return 0;
}
