// SPDX-License-Identifier: MIT
/* The run in the JSON of the Trace Event Format, which ui.perfetto.dev and chrome://tracing open:
 * actors are threads, requests asynchronous slices, calls on files arrows from where they were
 * submitted to where they take effect on the thread "disk". */
#include "workloads/cli/picture.h"

#include "workloads/cli/json.h"

#include <inttypes.h>

enum { PROCESS = 1, DISK_THREAD = 1 << 20, EVENT_TEXT_BYTES = 200 };

/* Begin an event of phase `phase` ("X": a slice, "i": an instant, ...). */
static void begin(struct json *json, const char *phase, const char *name, uint64_t thread,
		  uint64_t column)
{
	json_begin_object(json, NULL);
	json_text(json, "ph", phase);
	json_text(json, "name", name);
	json_number(json, "pid", PROCESS);
	json_number(json, "tid", thread);
	json_number(json, "ts", column);
}

static void name_thread(struct json *json, uint64_t thread, const char *name, uint64_t place)
{
	begin(json, "M", "thread_name", thread, 0);
	json_begin_object(json, "args");
	json_text(json, "name", name);
	json_end_object(json);
	json_end_object(json);
	begin(json, "M", "thread_sort_index", thread, 0);
	json_begin_object(json, "args");
	json_number(json, "sort_index", place);
	json_end_object(json);
	json_end_object(json);
}

static void write_request(struct json *json, const struct picture *picture,
			  const struct chart_span *span)
{
	const struct event *event = &picture->trace->log.events[span->event];
	uint64_t thread = picture->chart.lanes[span->lane].actor;
	char name[80];
	snprintf(name, sizeof(name), "request %" PRIu32 " %s", event->id,
		 request_op_name(event->op));
	for (unsigned is_end = 0; is_end < 2; is_end++) {
		begin(json, is_end ? "e" : "b", name, thread,
		      is_end ? span->last + 1 : span->first);
		json_text(json, "cat", "request");
		json_number(json, "id", event->id);
		json_begin_object(json, "args");
		json_number(json, "guest_offset", event->guest_offset);
		json_number(json, "length", event->length);
		json_end_object(json);
		json_end_object(json);
	}
}

static void write_span(struct json *json, const struct picture *picture,
		       const struct chart_span *span)
{
	uint64_t thread = picture->chart.lanes[span->lane].actor;
	char text[EVENT_TEXT_BYTES];
	switch (span->kind) {
	case CHART_REQUEST: write_request(json, picture, span); return;
	case CHART_IO:
	case CHART_OWNING: return; /* may overlap; the waits say it */
	case CHART_RUNNING:
	case CHART_WAITING: break;
	}
	event_format(text, sizeof(text), &picture->trace->log,
		     &picture->trace->log.events[span->event]);
	begin(json, "X", span->kind == CHART_RUNNING ? "runs" : text, thread, span->first);
	json_number(json, "dur", span->last + 1 - span->first);
	json_text(json, "cat", span->kind == CHART_RUNNING ? "turn" : "wait");
	json_end_object(json);
}

/* A moment; the effect of a call on a file is a short slice on the disk's thread. */
static void write_mark(struct json *json, const struct picture *picture, size_t column)
{
	const struct chart_mark *mark = &picture->chart.marks[column];
	const struct event *event = &picture->trace->log.events[mark->event];
	const char *sentence = picture->sentences[mark->event];
	uint64_t thread = picture->chart.lanes[mark->lane].actor;
	char text[EVENT_TEXT_BYTES];
	bool is_effect = event->kind == EVENT_IO_EFFECT;
	event_format(text, sizeof(text), &picture->trace->log, event);
	for (unsigned is_end = 0; is_effect && is_end < 2; is_end++) {
		begin(json, is_end ? "f" : "s", "call", is_end ? DISK_THREAD : thread, column);
		json_text(json, "cat", "io");
		json_number(json, "id", event->id);
		if (is_end)
			json_text(json, "bp", "e");
		json_end_object(json);
	}
	begin(json, is_effect ? "X" : "i", sentence ? sentence : text,
	      is_effect ? DISK_THREAD : thread, column);
	if (is_effect)
		json_number(json, "dur", 1);
	else
		json_text(json, "s", "t");
	json_begin_object(json, "args");
	json_number(json, "event", mark->event + 1);
	json_text(json, "text", text);
	if (mark->operation)
		json_number(json, "operation", mark->operation);
	json_end_object(json);
	json_end_object(json);
}

void picture_perfetto(FILE *file, const struct picture *picture)
{
	const struct chart *chart = &picture->chart;
	struct json json = { .file = file };
	json_begin_object(&json, NULL);
	json_text(&json, "displayTimeUnit", "ns");
	json_begin_list(&json, "traceEvents");
	for (size_t i = 0; i < chart->lane_count; i++)
		name_thread(&json, chart->lanes[i].actor, chart->lanes[i].name, i);
	name_thread(&json, DISK_THREAD, "disk", chart->lane_count);
	for (size_t i = 0; i < chart->span_count; i++)
		write_span(&json, picture, &chart->spans[i]);
	for (size_t i = 0; i < chart->mark_count; i++)
		write_mark(&json, picture, i);
	if (chart->crash_column != CHART_NOWHERE) {
		begin(&json, "i", "crash", DISK_THREAD, chart->crash_column);
		json_text(&json, "s", "g");
		json_begin_object(&json, "args");
		json_text(&json, "rule", picture->finding->rule);
		json_text(&json, "message", picture->finding->message);
		json_end_object(&json);
		json_end_object(&json);
	}
	json_end_list(&json);
	json_end_object(&json);
}
