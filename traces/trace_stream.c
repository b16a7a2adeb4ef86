// SPDX-License-Identifier: MIT
/* The encoder. It may run inside a foreign program, between that program's own instructions: no
 * memory is allocated, no lock taken, nothing kept between two calls. Numbers go to a small buffer
 * on the stack; texts and data stay where they are and are handed to the sink as further pieces. */
#include "traces/trace_stream.h"

#include "traces/trace_record.h"

#include <assert.h>
#include <string.h>

enum {
	/** Steps in one SCHEDULE record. */
	STEPS_PER_RECORD = 256,
	/** The longest run of numbers in one record is a SCHEDULE's. */
	NUMBERS_BYTES_MAX = (2 * STEPS_PER_RECORD + 1) * 5 + TRACE_NUMBER_BYTES_MAX,
};

_Static_assert(NUMBERS_BYTES_MAX >= (2 * TRACE_FRAMES_MAX + 1) * TRACE_NUMBER_BYTES_MAX,
	       "a STACK record fits too");

/* The numbers of a record's payload. */
struct numbers {
	size_t used;
	uint8_t bytes[NUMBERS_BYTES_MAX];
};

/* Least significant seven bits first; the top bit of a byte says that more follow. */
static size_t encode_number(uint8_t *bytes, uint64_t number)
{
	size_t used = 0;
	for (; number >= 0x80; number >>= 7)
		bytes[used++] = (uint8_t)(number | 0x80);
	bytes[used++] = (uint8_t)number;
	return used;
}

static void numbers_begin(struct numbers *numbers)
{
	numbers->used = 0;
}

static void add_byte(struct numbers *numbers, uint8_t byte)
{
	numbers->bytes[numbers->used++] = byte;
}

static void add(struct numbers *numbers, uint64_t number)
{
	assert(numbers->used + TRACE_NUMBER_BYTES_MAX <= sizeof(numbers->bytes));
	numbers->used += encode_number(numbers->bytes + numbers->used, number);
}

static struct trace_span text_span(const char *text)
{
	return (struct trace_span){ text, strlen(text) };
}

/* Put one record. spans[0] and spans[1] are free for its head and its numbers; its texts and data
 * lie behind them. */
static enum status put_record(const struct trace_sink *sink, enum trace_record type,
			      const struct numbers *numbers, struct trace_span *spans,
			      size_t span_count)
{
	spans[1] = (struct trace_span){ numbers->bytes, numbers->used };
	uint64_t payload_bytes = 0;
	for (size_t i = 1; i < span_count; i++)
		payload_bytes += spans[i].byte_count;
	if (payload_bytes > TRACE_RECORD_BYTES_MAX)
		return STATUS_UNSUPPORTED;
	uint8_t head[1 + TRACE_NUMBER_BYTES_MAX] = { (uint8_t)type };
	spans[0] = (struct trace_span){ head, 1 + encode_number(head + 1, payload_bytes) };
	return sink->put(sink->context, spans, span_count);
}

enum status trace_put_begin(const struct trace_sink *sink, const char *subject)
{
	uint8_t head[TRACE_HEADER_BYTES + 1 + TRACE_NUMBER_BYTES_MAX];
	memcpy(head, TRACE_MAGIC, TRACE_MAGIC_BYTES);
	head[TRACE_MAGIC_BYTES] = TRACE_VERSION & 0xff;
	head[TRACE_MAGIC_BYTES + 1] = TRACE_VERSION >> 8;
	head[TRACE_HEADER_BYTES] = TRACE_RECORD_BEGIN;
	struct trace_span text = text_span(subject);
	if (text.byte_count > TRACE_RECORD_BYTES_MAX)
		return STATUS_UNSUPPORTED;
	size_t used = TRACE_HEADER_BYTES + 1;
	used += encode_number(head + used, text.byte_count);
	struct trace_span spans[] = { { head, used }, text };
	return sink->put(sink->context, spans, 2);
}

enum status trace_put_workload(const struct trace_sink *sink, const char *text)
{
	struct numbers numbers;
	numbers_begin(&numbers);
	struct trace_span spans[] = { { 0 }, { 0 }, text_span(text) };
	return put_record(sink, TRACE_RECORD_WORKLOAD, &numbers, spans, 3);
}

enum status trace_put_setting(const struct trace_sink *sink, const char *key, const char *value)
{
	struct trace_span spans[] = { { 0 }, { 0 }, text_span(key), text_span(value) };
	struct numbers numbers;
	numbers_begin(&numbers);
	add(&numbers, spans[2].byte_count);
	return put_record(sink, TRACE_RECORD_SETTING, &numbers, spans, 4);
}

enum status trace_put_schedule(const struct trace_sink *sink, const struct schedule *schedule)
{
	enum status status = STATUS_OK;
	for (size_t from = 0; from < schedule->count && status == STATUS_OK;) {
		size_t left = schedule->count - from;
		size_t steps = left < STEPS_PER_RECORD ? left : STEPS_PER_RECORD;
		struct numbers numbers;
		numbers_begin(&numbers);
		add(&numbers, steps);
		for (size_t i = from; i < from + steps; i++) {
			add(&numbers, schedule->steps[i].pick);
			add(&numbers, schedule->steps[i].count);
		}
		struct trace_span spans[2];
		status = put_record(sink, TRACE_RECORD_SCHEDULE, &numbers, spans, 2);
		from += steps;
	}
	return status;
}

enum status trace_put_file(const struct trace_sink *sink, const struct trace_file *file,
			   uint64_t size)
{
	struct numbers numbers;
	numbers_begin(&numbers);
	add(&numbers, file->format);
	add(&numbers, file->backing);
	add(&numbers, size);
	struct trace_span spans[] = { { 0 }, { 0 }, text_span(file->path) };
	return put_record(sink, TRACE_RECORD_FILE, &numbers, spans, 3);
}

enum status trace_put_initial(const struct trace_sink *sink, uint16_t file, uint64_t host_offset,
			      const struct trace_span *span)
{
	assert(span->byte_count <= TRACE_INITIAL_BYTES_MAX);
	struct numbers numbers;
	numbers_begin(&numbers);
	add(&numbers, file);
	add(&numbers, host_offset);
	struct trace_span spans[] = { { 0 }, { 0 }, *span };
	return put_record(sink, TRACE_RECORD_INITIAL, &numbers, spans, 3);
}

enum status trace_put_module(const struct trace_sink *sink, const struct trace_module *module)
{
	struct trace_span spans[] = {
		{ 0 }, { 0 }, text_span(module->path), text_span(module->build_id)
	};
	struct numbers numbers;
	numbers_begin(&numbers);
	add(&numbers, spans[2].byte_count);
	return put_record(sink, TRACE_RECORD_MODULE, &numbers, spans, 4);
}

enum status trace_put_stack(const struct trace_sink *sink, const struct trace_stack *stack)
{
	assert(stack->count > 0 && stack->count <= TRACE_FRAMES_MAX);
	struct numbers numbers;
	numbers_begin(&numbers);
	add(&numbers, stack->count);
	for (uint32_t i = 0; i < stack->count; i++) {
		add(&numbers, stack->frames[i].module);
		add(&numbers, stack->frames[i].address);
	}
	struct trace_span spans[2];
	return put_record(sink, TRACE_RECORD_STACK, &numbers, spans, 2);
}

/* Signed numbers: 0, -1, 1, -2, ... become 0, 1, 2, 3, ... */
static uint32_t fold_sign(int32_t number)
{
	return ((uint32_t)number << 1) ^ (number < 0 ? UINT32_MAX : 0);
}

static void add_field(struct numbers *numbers, uint8_t *present, enum trace_event_field field,
		      uint64_t number)
{
	if (!number)
		return;
	*present |= (uint8_t)field;
	add(numbers, number);
}

/* The byte of which all of `data` consists, when that is worth a record of its own; else -1. */
static int find_fill(const struct trace_span *data, size_t span_count, uint64_t data_bytes)
{
	int fill = -1;
	if (data_bytes < TRACE_FILL_BYTES_MIN || data_bytes > TRACE_FILL_BYTES_MAX)
		return -1;
	for (size_t i = 0; i < span_count; i++) {
		const uint8_t *bytes = data[i].bytes;
		size_t byte_count = data[i].byte_count;
		if (byte_count == 0)
			continue;
		if ((fill >= 0 && bytes[0] != fill) ||
		    memcmp(bytes, bytes + 1, byte_count - 1) != 0)
			return -1;
		fill = bytes[0];
	}
	return fill;
}

enum status trace_put_event(const struct trace_sink *sink, const struct event *event,
			    const struct trace_span *data, size_t span_count)
{
	struct trace_span spans[TRACE_SPANS_MAX];
	if (span_count > TRACE_SPANS_MAX - 2)
		return STATUS_UNSUPPORTED;
	uint64_t data_bytes = 0;
	for (size_t i = 0; i < span_count; i++) {
		spans[2 + i] = data[i];
		data_bytes += data[i].byte_count;
	}
	assert(data_bytes == event->data_bytes);

	struct numbers numbers;
	numbers_begin(&numbers);
	add_byte(&numbers, event->kind);
	add_byte(&numbers, event->op);
	uint8_t *present = &numbers.bytes[numbers.used];
	add_byte(&numbers, 0);
	add_field(&numbers, present, TRACE_EVENT_FILE, event->file);
	add_field(&numbers, present, TRACE_EVENT_ACTOR, event->actor);
	add_field(&numbers, present, TRACE_EVENT_ID, event->id);
	add_field(&numbers, present, TRACE_EVENT_RESULT, fold_sign(event->result));
	add_field(&numbers, present, TRACE_EVENT_PLACE, event->host_offset);
	add_field(&numbers, present, TRACE_EVENT_LENGTH, event->length);
	add_field(&numbers, present, TRACE_EVENT_DIGEST, event->digest);
	add_field(&numbers, present, TRACE_EVENT_STACK, event->stack);
	int fill = find_fill(data, span_count, data_bytes);
	if (fill < 0)
		return put_record(sink, TRACE_RECORD_EVENT, &numbers, spans, 2 + span_count);
	add(&numbers, data_bytes);
	add_byte(&numbers, (uint8_t)fill);
	return put_record(sink, TRACE_RECORD_FILLED, &numbers, spans, 2);
}

enum status trace_put_finding(const struct trace_sink *sink, const struct trace_finding *finding)
{
	struct trace_span spans[] = { { 0 },
				      { 0 },
				      text_span(finding->rule),
				      text_span(finding->severity),
				      text_span(finding->model),
				      text_span(finding->message) };
	struct numbers numbers;
	numbers_begin(&numbers);
	add(&numbers, finding->operation);
	add(&numbers, finding->sector);
	/* One more, so that UINT64_MAX, "does not apply", is a short 0. */
	add(&numbers, finding->guest_offset + 1);
	add(&numbers, finding->host_offset + 1);
	add(&numbers, spans[2].byte_count);
	add(&numbers, spans[3].byte_count);
	add(&numbers, spans[4].byte_count);
	enum status status = put_record(sink, TRACE_RECORD_FINDING, &numbers, spans, 6);
	if (status != STATUS_OK || !finding->strict_only)
		return status;
	numbers_begin(&numbers);
	return put_record(sink, TRACE_RECORD_STRICT, &numbers, spans, 2);
}

enum status trace_put_end(const struct trace_sink *sink, uint64_t event_count)
{
	struct numbers numbers;
	numbers_begin(&numbers);
	add(&numbers, event_count);
	struct trace_span spans[2];
	return put_record(sink, TRACE_RECORD_END, &numbers, spans, 2);
}
