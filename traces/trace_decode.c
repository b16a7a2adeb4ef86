// SPDX-License-Identifier: MIT
/* The decoder. Its input may be anything, so it believes nothing:
 *
 *  - a record's length only says how long to wait; memory is taken for bytes that came, never for
 *    bytes that were announced;
 *  - every number is read through a `struct payload`, which goes bad at its end instead of passing
 *    it, and stays bad;
 *  - an index is compared with what was declared before it, a list with its limit;
 *  - memory stays in proportion to the input: the costliest record is a run of one initial byte,
 *    which takes a page, and those are counted. An event's data may be one byte and how often, but
 *    all events with that byte share its copies: fewer than twice TRACE_FILL_BYTES_MAX, whatever
 *    comes, of each of 256 bytes.
 *
 * What it does not do: notice a changed byte that still makes sense. That is for the checksum of
 * the compressed file. */
#include "traces/trace_decoder.h"

#include "traces/memory.h"
#include "traces/trace_check.h"
#include "traces/trace_record.h"
#include "traces/trace_stream.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
	/** Pages of initial contents that any stream may take, and bytes of stream for each further
	 *  one. */
	INITIAL_PAGES_FREE = 4096,
	BYTES_PER_INITIAL_PAGE = 64,
};

/* The one problem that is not the stream's fault. */
static const char out_of_memory[] = "out of memory";

/* The payload of a record, eaten from the front. */
struct payload {
	const uint8_t *bytes;
	size_t byte_count;
	bool bad; /* something was asked for that is not there */
};

static uint8_t take_byte(struct payload *payload)
{
	if (payload->byte_count == 0) {
		payload->bad = true;
		return 0;
	}
	payload->byte_count--;
	return *payload->bytes++;
}

/* A number of up to `max`; 0 when it is bad. */
static uint64_t take_number(struct payload *payload, uint64_t max)
{
	uint64_t number = 0;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte = take_byte(payload);
		uint64_t part = byte & 0x7f;
		if (part << shift >> shift != part)
			break;
		number |= part << shift;
		if (byte < 0x80 && number <= max)
			return number;
		if (byte < 0x80)
			break;
	}
	payload->bad = true;
	return 0;
}

/* `byte_count` bytes, borrowed; none when they are not there. */
static struct trace_span take_bytes(struct payload *payload, uint64_t byte_count)
{
	if (byte_count > payload->byte_count) {
		payload->bad = true;
		byte_count = 0;
	}
	struct trace_span span = { payload->bytes, (size_t)byte_count };
	payload->bytes += byte_count;
	payload->byte_count -= (size_t)byte_count;
	return span;
}

static struct trace_span take_rest(struct payload *payload)
{
	return take_bytes(payload, payload->byte_count);
}

/* Text of `byte_count` bytes, without a 0 byte. Gives; "" when it is bad. */
static char *take_text(struct payload *payload, uint64_t byte_count)
{
	struct trace_span span = take_bytes(payload, byte_count);
	if (span.byte_count && memchr(span.bytes, 0, span.byte_count)) {
		payload->bad = true;
		span.byte_count = 0;
	}
	return memory_text(span.bytes, span.byte_count);
}

/* Decoders of one record's payload. Each returns what is wrong, a literal, or NULL; a payload that
 * is bad or not eaten up is complained of by the caller. */

static const char *decode_begin(struct trace_decoder *decoder, struct payload *payload)
{
	decoder->has_begin = true;
	free(decoder->trace->subject);
	decoder->trace->subject = take_text(payload, payload->byte_count);
	return NULL;
}

static const char *decode_workload(struct trace_decoder *decoder, struct payload *payload)
{
	if (decoder->has_workload)
		return "a second workload";
	decoder->has_workload = true;
	free(decoder->trace->workload);
	decoder->trace->workload = take_text(payload, payload->byte_count);
	return NULL;
}

static const char *decode_setting(struct trace_decoder *decoder, struct payload *payload)
{
	struct trace *trace = decoder->trace;
	if (trace->setting_count == TRACE_SETTINGS_MAX)
		return "too many settings";
	char *key = take_text(payload, take_number(payload, SIZE_MAX));
	char *value = take_text(payload, payload->byte_count);
	const char *problem = NULL;
	if (trace_setting(trace, key))
		problem = "a setting is there twice";
	else
		trace_add_setting(trace, key, value);
	free(key);
	free(value);
	return problem;
}

static const char *decode_schedule(struct trace_decoder *decoder, struct payload *payload)
{
	struct schedule *schedule = &decoder->trace->schedule;
	uint64_t steps = take_number(payload, SCHEDULE_PICKS_MAX);
	if (steps > SCHEDULE_PICKS_MAX - schedule->count)
		return "too many picks";
	for (; steps; steps--) {
		uint32_t pick = (uint32_t)take_number(payload, UINT32_MAX);
		uint32_t count = (uint32_t)take_number(payload, UINT32_MAX);
		if (payload->bad)
			return NULL;
		struct schedule_step step = { pick, count };
		const char *problem = trace_step_problem(&step);
		if (problem)
			return problem;
		schedule_append(schedule, pick, count);
	}
	return NULL;
}

static const char *decode_file(struct trace_decoder *decoder, struct payload *payload)
{
	struct trace *trace = decoder->trace;
	if (trace->file_count == TRACE_FILES_MAX)
		return "too many files";
	uint64_t format = take_number(payload, UINT64_MAX);
	uint64_t backing = take_number(payload, UINT64_MAX);
	uint64_t size = take_number(payload, UINT64_MAX);
	const char *problem = trace_file_problem(format, backing, size);
	if (problem || payload->bad)
		return problem;
	struct content *initial = content_new(size);
	if (!initial)
		return out_of_memory;
	char *path = take_text(payload, payload->byte_count);
	trace_add_file(trace, path, (enum trace_format)format, (uint16_t)backing, initial);
	free(path);
	return NULL;
}

static const char *decode_initial(struct trace_decoder *decoder, struct payload *payload)
{
	struct trace *trace = decoder->trace;
	uint64_t file = take_number(payload, UINT64_MAX);
	uint64_t host_offset = take_number(payload, UINT64_MAX);
	struct trace_span span = take_rest(payload);
	if (payload->bad)
		return NULL;
	if (file >= trace->file_count)
		return "the file was not declared";
	if (span.byte_count > TRACE_INITIAL_BYTES_MAX)
		return "too many bytes at a time";
	struct content *initial = trace->files[file].initial;
	uint64_t size = content_size(initial);
	if (host_offset > size || span.byte_count > size - host_offset)
		return "initial contents beyond the end of the file";
	decoder->initial_pages += span.byte_count / CONTENT_PAGE_BYTES + 1;
	if (decoder->initial_pages >
	    INITIAL_PAGES_FREE + decoder->stream_bytes / BYTES_PER_INITIAL_PAGE)
		return "initial contents in too many small pieces";
	if (content_write(initial, span.bytes, span.byte_count, host_offset) != STATUS_OK)
		return out_of_memory;
	return NULL;
}

/* Equal modules and stacks are not folded: events count on the order of appearance. */
static const char *decode_module(struct trace_decoder *decoder, struct payload *payload)
{
	struct trace *trace = decoder->trace;
	if (trace->module_count == TRACE_MODULES_MAX)
		return "too many modules";
	trace->modules = memory_grow(trace->modules, &trace->module_capacity,
				     trace->module_count + 1, sizeof(*trace->modules));
	struct trace_module *module = &trace->modules[trace->module_count++];
	module->path = take_text(payload, take_number(payload, SIZE_MAX));
	module->build_id = take_text(payload, payload->byte_count);
	return NULL;
}

static const char *decode_stack(struct trace_decoder *decoder, struct payload *payload)
{
	struct trace *trace = decoder->trace;
	if (trace->stack_count == TRACE_STACKS_MAX)
		return "too many stacks";
	struct trace_stack stack = { .count = (uint32_t)take_number(payload, TRACE_FRAMES_MAX) };
	for (uint32_t i = 0; i < stack.count; i++) {
		stack.frames[i].module = (uint32_t)take_number(payload, UINT32_MAX);
		stack.frames[i].address = take_number(payload, UINT64_MAX);
	}
	const char *problem = trace_stack_problem(trace, &stack);
	if (problem || payload->bad)
		return problem;
	trace->stacks = memory_grow(trace->stacks, &trace->stack_capacity, trace->stack_count + 1,
				    sizeof(*trace->stacks));
	trace->stacks[trace->stack_count++] = stack;
	return NULL;
}

static int32_t unfold_sign(uint32_t folded)
{
	uint32_t half = folded >> 1;
	return folded & 1 ? -(int32_t)half - 1 : (int32_t)half;
}

static uint64_t take_field(struct payload *payload, uint8_t present, enum trace_event_field field,
			   uint64_t max)
{
	return present & (uint8_t)field ? take_number(payload, max) : 0;
}

/* An event without its data. */
static struct event take_event(struct payload *payload)
{
	struct event event = { 0 };
	event.kind = take_byte(payload);
	event.op = take_byte(payload);
	uint8_t present = take_byte(payload);
	event.file = (uint16_t)take_field(payload, present, TRACE_EVENT_FILE, UINT16_MAX);
	event.actor = (uint32_t)take_field(payload, present, TRACE_EVENT_ACTOR, UINT32_MAX);
	event.id = (uint32_t)take_field(payload, present, TRACE_EVENT_ID, UINT32_MAX);
	event.result =
		unfold_sign((uint32_t)take_field(payload, present, TRACE_EVENT_RESULT, UINT32_MAX));
	event.host_offset = take_field(payload, present, TRACE_EVENT_PLACE, UINT64_MAX);
	event.length = take_field(payload, present, TRACE_EVENT_LENGTH, UINT64_MAX);
	event.digest = take_field(payload, present, TRACE_EVENT_DIGEST, UINT64_MAX);
	event.stack = (uint32_t)take_field(payload, present, TRACE_EVENT_STACK, UINT32_MAX);
	return event;
}

static const char *event_problem(const struct trace *trace, const struct event *event)
{
	return trace->log.count == TRACE_EVENTS_MAX ? "too many events"
						    : trace_event_problem(trace, event);
}

static const char *decode_event(struct trace_decoder *decoder, struct payload *payload)
{
	struct trace *trace = decoder->trace;
	struct event event = take_event(payload);
	struct trace_span data = take_rest(payload);
	if (payload->bad)
		return NULL;
	event.data_bytes = (uint32_t)data.byte_count;
	const char *problem = event_problem(trace, &event);
	if (!problem)
		event_log_append(&trace->log, &event, data.bytes, data.byte_count);
	return problem;
}

static const char *decode_filled(struct trace_decoder *decoder, struct payload *payload)
{
	struct trace *trace = decoder->trace;
	struct event event = take_event(payload);
	event.data_bytes = (uint32_t)take_number(payload, TRACE_FILL_BYTES_MAX);
	uint8_t fill = take_byte(payload);
	if (payload->bad)
		return NULL;
	const char *problem = event_problem(trace, &event);
	if (!problem)
		event_log_append_fill(&trace->log, &event, fill, event.data_bytes);
	return problem;
}

static const char *decode_finding(struct trace_decoder *decoder, struct payload *payload)
{
	struct trace *trace = decoder->trace;
	if (trace->finding_count == TRACE_FINDINGS_MAX)
		return "too many findings";
	trace->findings = memory_grow(trace->findings, &trace->finding_capacity,
				      trace->finding_count + 1, sizeof(*trace->findings));
	struct trace_finding *finding = &trace->findings[trace->finding_count++];
	*finding = (struct trace_finding){ 0 };
	finding->operation = take_number(payload, UINT64_MAX);
	finding->sector = (uint32_t)take_number(payload, UINT32_MAX);
	finding->guest_offset = take_number(payload, UINT64_MAX) - 1;
	finding->host_offset = take_number(payload, UINT64_MAX) - 1;
	uint64_t rule_bytes = take_number(payload, UINT64_MAX);
	uint64_t severity_bytes = take_number(payload, UINT64_MAX);
	uint64_t model_bytes = take_number(payload, UINT64_MAX);
	finding->rule = take_text(payload, rule_bytes);
	finding->severity = take_text(payload, severity_bytes);
	finding->model = take_text(payload, model_bytes);
	finding->message = take_text(payload, payload->byte_count);
	return NULL;
}

static const char *decode_strict(struct trace_decoder *decoder, struct payload *payload)
{
	struct trace *trace = decoder->trace;
	(void)payload;
	if (!trace->finding_count || trace->findings[trace->finding_count - 1].strict_only)
		return "there is no finding to which it belongs";
	trace->findings[trace->finding_count - 1].strict_only = true;
	return NULL;
}

static const char *decode_end(struct trace_decoder *decoder, struct payload *payload)
{
	decoder->has_end = true;
	if (take_number(payload, UINT64_MAX) != decoder->trace->log.count && !payload->bad)
		return "the end mark counts another number of events";
	return NULL;
}

struct record_type {
	const char *name;
	const char *(*decode)(struct trace_decoder *decoder, struct payload *payload);
};

static const struct record_type record_types[] = {
	[TRACE_RECORD_BEGIN] = { "begin", decode_begin },
	[TRACE_RECORD_WORKLOAD] = { "workload", decode_workload },
	[TRACE_RECORD_SETTING] = { "setting", decode_setting },
	[TRACE_RECORD_SCHEDULE] = { "schedule", decode_schedule },
	[TRACE_RECORD_FILE] = { "file", decode_file },
	[TRACE_RECORD_INITIAL] = { "initial", decode_initial },
	[TRACE_RECORD_MODULE] = { "module", decode_module },
	[TRACE_RECORD_STACK] = { "stack", decode_stack },
	[TRACE_RECORD_EVENT] = { "event", decode_event },
	[TRACE_RECORD_FINDING] = { "finding", decode_finding },
	[TRACE_RECORD_END] = { "end", decode_end },
	[TRACE_RECORD_STRICT] = { "strict", decode_strict },
	[TRACE_RECORD_FILLED] = { "filled", decode_filled },
};

enum { RECORD_TYPES = sizeof(record_types) / sizeof(record_types[0]) };

static enum status complain(const struct trace_decoder *decoder, uint8_t type, const char *problem)
{
	enum status status = problem == out_of_memory ? STATUS_NO_MEMORY : STATUS_CORRUPT;
	bool known = type < RECORD_TYPES && record_types[type].name;
	return why_set(decoder->why, status,
		       "trace '%s': record %" PRIu64 " (%s) at byte %" PRIu64 ": %s", decoder->name,
		       decoder->record_number, known ? record_types[type].name : "unknown type",
		       decoder->record_start, problem);
}

static enum status decode_record(struct trace_decoder *decoder, uint8_t type,
				 struct payload payload)
{
	if (decoder->has_end)
		return complain(decoder, type, "a record behind the end mark");
	if (type >= RECORD_TYPES || !record_types[type].decode)
		return complain(decoder, type, "no such record in this version");
	if ((type == TRACE_RECORD_BEGIN) == decoder->has_begin)
		return complain(decoder, type, "the begin record comes first and once");
	const char *problem = record_types[type].decode(decoder, &payload);
	if (payload.bad)
		problem = "a field ends beyond the record or is out of range";
	else if (!problem && payload.byte_count)
		problem = "bytes are left over";
	return problem ? complain(decoder, type, problem) : STATUS_OK;
}

static enum status decode_header(struct trace_decoder *decoder, const uint8_t *bytes)
{
	unsigned version = bytes[TRACE_MAGIC_BYTES] | (unsigned)bytes[TRACE_MAGIC_BYTES + 1] << 8;
	if (version > TRACE_VERSION)
		return why_set(decoder->why, STATUS_NEWER,
			       "trace '%s': format version %u, this program reads up to %d",
			       decoder->name, version, TRACE_VERSION);
	if (version == 0)
		return why_set(decoder->why, STATUS_CORRUPT, "trace '%s': format version 0",
			       decoder->name);
	decoder->trace->version = (uint16_t)version;
	decoder->has_header = true;
	decoder->record_start = TRACE_HEADER_BYTES;
	decoder->record_number = 1;
	return STATUS_OK;
}

static enum status not_a_trace(const struct trace_decoder *decoder)
{
	return why_set(decoder->why, STATUS_FOREIGN,
		       "'%s' is not a trace: it does not begin with the magic number",
		       decoder->name);
}

/* Decode the records that are whole; `*used` is how many bytes they took. */
static enum status decode_whole(struct trace_decoder *decoder, const uint8_t *bytes,
				size_t byte_count, size_t *used)
{
	*used = 0;
	if (!decoder->has_header) {
		size_t known = byte_count < TRACE_MAGIC_BYTES ? byte_count : TRACE_MAGIC_BYTES;
		if (memcmp(bytes, TRACE_MAGIC, known) != 0)
			return not_a_trace(decoder);
		if (byte_count < TRACE_HEADER_BYTES)
			return STATUS_OK;
		enum status status = decode_header(decoder, bytes);
		if (status != STATUS_OK)
			return status;
		*used = TRACE_HEADER_BYTES;
	}
	while (*used < byte_count) {
		struct payload head = { bytes + *used + 1, byte_count - *used - 1, false };
		uint64_t length = take_number(&head, UINT64_MAX);
		bool has_length = !head.bad;
		if (head.bad && byte_count - *used - 1 < TRACE_NUMBER_BYTES_MAX)
			return STATUS_OK; /* perhaps only not all there yet */
		if (!has_length || length > TRACE_RECORD_BYTES_MAX)
			return complain(decoder, bytes[*used], "its length makes no sense");
		if (length > head.byte_count)
			return STATUS_OK;
		struct payload payload = { head.bytes, (size_t)length, false };
		enum status status = decode_record(decoder, bytes[*used], payload);
		if (status != STATUS_OK)
			return status;
		size_t record_bytes = (size_t)(head.bytes + length - (bytes + *used));
		*used += record_bytes;
		decoder->record_start += record_bytes;
		decoder->record_number++;
	}
	return STATUS_OK;
}

void trace_decoder_init(struct trace_decoder *decoder, struct trace *trace, const char *name,
			struct why *why)
{
	*decoder = (struct trace_decoder){ .trace = trace, .name = name, .why = why };
	trace->complete = false;
}

void trace_decoder_release(struct trace_decoder *decoder)
{
	free(decoder->pending);
	*decoder = (struct trace_decoder){ 0 };
}

static void keep(struct trace_decoder *decoder, const uint8_t *bytes, size_t byte_count)
{
	if (!byte_count)
		return;
	decoder->pending = memory_grow(decoder->pending, &decoder->pending_capacity,
				       decoder->pending_count + byte_count, 1);
	memcpy(decoder->pending + decoder->pending_count, bytes, byte_count);
	decoder->pending_count += byte_count;
}

enum status trace_decoder_feed(struct trace_decoder *decoder, const uint8_t *bytes,
			       size_t byte_count)
{
	decoder->stream_bytes += byte_count;
	size_t used = 0;
	enum status status = STATUS_OK;
	if (decoder->pending_count == 0) {
		if (byte_count)
			status = decode_whole(decoder, bytes, byte_count, &used);
		if (status == STATUS_OK)
			keep(decoder, bytes + used, byte_count - used);
		return status;
	}
	keep(decoder, bytes, byte_count);
	status = decode_whole(decoder, decoder->pending, decoder->pending_count, &used);
	if (status == STATUS_OK && used) {
		decoder->pending_count -= used;
		memmove(decoder->pending, decoder->pending + used, decoder->pending_count);
	}
	return status;
}

enum status trace_decoder_finish(struct trace_decoder *decoder)
{
	struct trace *trace = decoder->trace;
	if (!decoder->has_header && decoder->stream_bytes < TRACE_MAGIC_BYTES)
		return not_a_trace(decoder);
	if (!decoder->has_end || decoder->pending_count) {
		/* The backing file may have been about to come. */
		for (size_t i = 0; i < trace->file_count; i++) {
			if (trace->files[i].backing >= trace->file_count)
				trace->files[i].backing = TRACE_NO_BACKING;
		}
	}
	const char *problem = trace_backing_problem(trace);
	if (problem)
		return why_set(decoder->why, STATUS_CORRUPT, "trace '%s': %s", decoder->name,
			       problem);
	if (decoder->has_end && !decoder->pending_count) {
		trace->complete = true;
		return STATUS_OK;
	}
	if (decoder->has_end)
		return complain(decoder, decoder->pending[0], "a record behind the end mark");
	return why_set(decoder->why, STATUS_TRUNCATED,
		       "trace '%s': ends without an end mark, in record %" PRIu64
		       " at byte %" PRIu64,
		       decoder->name, decoder->record_number, decoder->record_start);
}

enum status trace_decode(struct trace *trace, const void *bytes, size_t byte_count,
			 const char *name, struct why *why)
{
	struct trace_decoder decoder;
	trace_decoder_init(&decoder, trace, name, why);
	enum status status = trace_decoder_feed(&decoder, bytes, byte_count);
	if (status == STATUS_OK)
		status = trace_decoder_finish(&decoder);
	trace_decoder_release(&decoder);
	if (status != STATUS_OK && status != STATUS_TRUNCATED) {
		trace_release(trace);
		trace_init(trace);
	}
	return status;
}
