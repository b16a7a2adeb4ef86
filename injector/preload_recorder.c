// SPDX-License-Identifier: MIT
/* Events of a foreign program to its stream. Threads are numbered in order of appearance. */
#include "injector/preload.h"

#include "injector/preload_gate.h"
#include "injector/preload_labels.h"
#include "injector/recorder.h"

#include <stdlib.h>
#include <string.h>

static uint32_t actor_count;
static uint32_t io_count;
static __thread uint32_t own_actor;

bool recorder_is_on(void)
{
	return preload.on;
}

static uint32_t actor_number(void)
{
	if (own_actor == 0)
		own_actor = __atomic_add_fetch(&actor_count, 1, __ATOMIC_RELAXED);
	return own_actor;
}

uint32_t preload_next_id(void)
{
	return __atomic_add_fetch(&io_count, 1, __ATOMIC_RELAXED);
}

/* Nobody looks at the stacks of a foreign program's threads. */
void recorder_clear_stack(void)
{
}

void recorder_begin_call(struct event *event)
{
	/* A held call is named when it has arrived, in an order that can be repeated. */
	if (!preload_gate_holds()) {
		event->actor = actor_number();
		event->id = preload_next_id();
	}
	event->stack = preload.stacks ? preload_label_caller(__builtin_frame_address(0)) : 0;
}

/** Cut `vector` to its first `data_bytes` bytes. Returns how many spans that takes; 0: more than a
 * record may have. */
static size_t make_spans(struct trace_span *spans, const struct iovec *vector, size_t data_bytes)
{
	size_t count = 0;

	for (; data_bytes > 0; vector++) {
		size_t part = vector->iov_len < data_bytes ? vector->iov_len : data_bytes;
		if (part == 0)
			continue;
		if (count == TRACE_SPANS_MAX - 2)
			return 0;
		spans[count++] = (struct trace_span){ vector->iov_base, part };
		data_bytes -= part;
	}
	return count;
}

void recorder_append(const struct event *event, const struct iovec *vector, size_t data_bytes)
{
	struct trace_span spans[TRACE_SPANS_MAX];
	struct event whole = *event;
	size_t span_count = make_spans(spans, vector, data_bytes);

	whole.data_bytes = (uint32_t)data_bytes;
	if (!preload_gate_sign(&whole))
		return;
	preload_lock();
	const struct trace_sink *sink = preload.on ? preload_sink() : NULL;
	if (sink && data_bytes > 0 && span_count == 0)
		preload_problem("a write came in too many pieces");
	else if (sink && trace_put_event(sink, &whole, spans, span_count) == STATUS_OK)
		preload.events++;
	else if (sink)
		preload_problem("an event could not be written");
	preload_unlock();
}

void recorder_gap(const char *text)
{
	preload_problem(text);
}

/* Footprints serve a search, which a recording is not. */
void recorder_touch_effect(const struct watched_open *open, const struct io_request *request)
{
	(void)open;
	(void)request;
}

void recorder_touch_failed_flush(void)
{
}

void recorder_touch_submitted(const struct watched_open *open, enum io_op op)
{
	(void)open;
	(void)op;
}

void recorder_touch_completed(const struct watched_open *open, enum io_op op, int64_t result)
{
	(void)open;
	(void)op;
	(void)result;
}

int recorder_planned_fault(const struct watched_open *open, const struct io_request *request)
{
	(void)open;
	(void)request;
	return 0;
}

void recorder_touch_size(const struct watched_open *open)
{
	(void)open;
}

void recorder_closed(struct watched_open *open)
{
	(void)open;
}
