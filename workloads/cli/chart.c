// SPDX-License-Identifier: MIT
/* Making the diagram. Time is the order of events; nothing is to scale, because there is no clock.
 *
 * A column is a moment that a reader may want to look at. Choices are none. A call on a file is one
 * column when nothing came between its submission, its effect and its completion, else up to three,
 * with a span from the first to the last. A turn of an actor has no column of its own: it begins
 * with the first thing that the actor does.
 *
 * Long runs are cut at their beginning when everything is known, so that what began there and lasts
 * is drawn all the same. */
#include "workloads/cli/chart.h"

#include "oracle/judge.h"
#include "traces/memory.h"
#include "workloads/cli/story.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct maker {
	struct chart *chart;
	const struct event_log *log;
	const struct trace_finding *finding;
	size_t *open; /* owned; spans that have not ended, in the order in which they began */
	size_t open_count, open_capacity;
	uint64_t operations;
};

/* In the log of a program, requests are nobody's. */
static bool has_tasks(const struct event_log *log)
{
	for (size_t i = 0; i < log->count; i++)
		if (log->events[i].kind == EVENT_SWITCH)
			return true;
	return false;
}

static size_t lane_of(struct maker *maker, uint32_t actor)
{
	struct chart *chart = maker->chart;
	for (size_t i = 0; i < chart->lane_count; i++)
		if (chart->lanes[i].actor == actor)
			return i;
	chart->lanes = memory_grow(chart->lanes, &chart->lane_capacity, chart->lane_count + 1,
				   sizeof(*chart->lanes));
	struct chart_lane *lane = &chart->lanes[chart->lane_count++];
	*lane = (struct chart_lane){ .actor = actor };
	if (actor)
		actor_name(lane->name, maker->log, actor);
	else
		snprintf(lane->name, sizeof(lane->name), "%s",
			 has_tasks(maker->log) ? "the run" : "requests");
	return chart->lane_count - 1;
}

static void add_mark(struct maker *maker, size_t event)
{
	struct chart *chart = maker->chart;
	chart->marks = memory_grow(chart->marks, &chart->mark_capacity, chart->mark_count + 1,
				   sizeof(*chart->marks));
	chart->marks[chart->mark_count++] =
		(struct chart_mark){ .event = event,
				     .lane = lane_of(maker, maker->log->events[event].actor) };
}

/* The lowest row of the lane in which no request is under way. */
static unsigned free_row(const struct maker *maker, size_t lane)
{
	for (unsigned row = 0;; row++) {
		bool is_free = true;
		for (size_t i = 0; i < maker->open_count && is_free; i++) {
			const struct chart_span *span = &maker->chart->spans[maker->open[i]];
			is_free = span->kind != CHART_REQUEST || span->lane != lane ||
				  span->row != row;
		}
		if (is_free)
			return row;
	}
}

/* Something begins with the column to come, on the lane of `actor`. */
static void begin_span(struct maker *maker, enum chart_span_kind kind, size_t event, uint32_t actor)
{
	struct chart *chart = maker->chart;
	size_t lane = lane_of(maker, actor);
	chart->spans = memory_grow(chart->spans, &chart->span_capacity, chart->span_count + 1,
				   sizeof(*chart->spans));
	chart->spans[chart->span_count] = (struct chart_span){
		.kind = kind,
		.lane = lane,
		.first = chart->mark_count,
		.event = event,
		.row = kind == CHART_REQUEST ? free_row(maker, lane) : 0,
	};
	if (chart->lanes[lane].request_rows <= chart->spans[chart->span_count].row &&
	    kind == CHART_REQUEST)
		chart->lanes[lane].request_rows++;
	maker->open = memory_grow(maker->open, &maker->open_capacity, maker->open_count + 1,
				  sizeof(*maker->open));
	maker->open[maker->open_count++] = chart->span_count++;
}

/* Is it the span that `event` ends? */
static bool is_ended_by(const struct maker *maker, const struct chart_span *span,
			const struct event *event)
{
	const struct event *begun = &maker->log->events[span->event];
	switch (span->kind) {
	case CHART_RUNNING: return event->kind == EVENT_SWITCH || event->kind == EVENT_END;
	case CHART_WAITING:
	case CHART_OWNING: return event->kind == EVENT_SWITCH && begun->actor == event->actor;
	case CHART_REQUEST: return event->kind == EVENT_REQUEST_COMPLETED && begun->id == event->id;
	case CHART_IO: return event->kind == EVENT_IO_COMPLETED && begun->id == event->id;
	}
	return false;
}

/* End what `event` ends; with `last` as its last column. */
static void end_spans(struct maker *maker, const struct event *event, size_t last)
{
	size_t kept = 0;
	for (size_t i = 0; i < maker->open_count; i++) {
		struct chart_span *span = &maker->chart->spans[maker->open[i]];
		if (is_ended_by(maker, span, event))
			span->last = last;
		else
			maker->open[kept++] = maker->open[i];
	}
	maker->open_count = kept;
}

/* The event before (`step` -1) or behind (+1) `index` that is no choice; NULL: none. */
static const struct event *neighbour(const struct event_log *log, size_t index, int step)
{
	for (size_t i = index + (size_t)step; i < log->count; i += (size_t)step)
		if (log->events[i].kind != EVENT_CHOICE)
			return &log->events[i];
	return NULL;
}

static bool is_of_call(const struct event *event, enum event_kind kind, uint32_t id)
{
	return event && event->kind == kind && event->id == id;
}

static void take_io(struct maker *maker, size_t index)
{
	const struct event *event = &maker->log->events[index];
	bool is_one;
	switch (event->kind) {
	case EVENT_IO_SUBMITTED:
		begin_span(maker, CHART_IO, index, event->actor);
		is_one = is_of_call(neighbour(maker->log, index, 1), EVENT_IO_EFFECT, event->id);
		if (!is_one)
			add_mark(maker, index);
		break;
	case EVENT_IO_EFFECT:
		add_mark(maker, index);
		if (judge_is_operation(event))
			maker->chart->marks[maker->chart->mark_count - 1].operation =
				++maker->operations;
		break;
	default:
		is_one = is_of_call(neighbour(maker->log, index, -1), EVENT_IO_EFFECT, event->id);
		if (!is_one)
			add_mark(maker, index);
		end_spans(maker, event, maker->chart->mark_count - 1);
		break;
	}
}

static void take_event(struct maker *maker, size_t index)
{
	const struct event *event = &maker->log->events[index];
	struct chart *chart = maker->chart;
	if (finding_has_crash(maker->finding) && judge_is_operation(event) &&
	    maker->operations == maker->finding->operation && chart->crash_column == CHART_NOWHERE)
		chart->crash_column = chart->mark_count;
	switch ((enum event_kind)event->kind) {
	case EVENT_SWITCH:
		end_spans(maker, event, chart->mark_count ? chart->mark_count - 1 : 0);
		begin_span(maker, CHART_RUNNING, index, event->actor);
		break;
	case EVENT_REQUEST_INVOKED:
		begin_span(maker, CHART_REQUEST, index, event->actor);
		add_mark(maker, index);
		break;
	case EVENT_REQUEST_COMPLETED:
		add_mark(maker, index);
		end_spans(maker, event, chart->mark_count - 1);
		break;
	case EVENT_WAIT:
		begin_span(maker, CHART_WAITING, index, event->actor);
		if (event->result > 0)
			begin_span(maker, CHART_OWNING, index, (uint32_t)event->result);
		add_mark(maker, index);
		break;
	case EVENT_IO_SUBMITTED:
	case EVENT_IO_EFFECT:
	case EVENT_IO_COMPLETED: take_io(maker, index); break;
	case EVENT_FAULT: add_mark(maker, index); break;
	case EVENT_END:
		end_spans(maker, event, chart->mark_count ? chart->mark_count - 1 : 0);
		add_mark(maker, index);
		break;
	case EVENT_CHOICE: break;
	}
}

/* Forget lanes on which nothing lies any more. */
static void drop_lanes(struct chart *chart)
{
	size_t *moved = calloc(chart->lane_count + 1, sizeof(*moved));
	size_t kept = 0;
	if (!moved)
		abort();
	for (size_t i = 0; i < chart->span_count; i++)
		moved[chart->spans[i].lane] = 1;
	for (size_t i = 0; i < chart->mark_count; i++)
		moved[chart->marks[i].lane] = 1;
	for (size_t i = 0; i < chart->lane_count; i++) {
		if (!moved[i])
			continue;
		chart->lanes[kept] = chart->lanes[i];
		moved[i] = kept++;
	}
	chart->lane_count = kept;
	for (size_t i = 0; i < chart->span_count; i++)
		chart->spans[i].lane = moved[chart->spans[i].lane];
	for (size_t i = 0; i < chart->mark_count; i++)
		chart->marks[i].lane = moved[chart->marks[i].lane];
	free(moved);
}

/* Leave out columns at the beginning, so that those around the crash (or the end) can be drawn, and
 * those far behind the crash. */
static void cut(struct chart *chart, size_t columns_max)
{
	size_t end = chart->mark_count, behind = columns_max / CHART_COLUMNS_BEHIND;
	if (chart->crash_column != CHART_NOWHERE && end > columns_max &&
	    end - chart->crash_column > behind)
		end = chart->crash_column + behind;
	size_t begin = end > columns_max ? end - columns_max : 0;
	size_t kept = 0;
	for (size_t i = 0; i < chart->span_count; i++) {
		struct chart_span span = chart->spans[i];
		if (span.last < begin || span.first >= end || span.last < span.first)
			continue;
		span.is_open |= span.last >= end;
		span.last = (span.last < end ? span.last : end - 1) - begin;
		span.first = span.first > begin ? span.first - begin : 0;
		chart->spans[kept++] = span;
	}
	chart->span_count = kept;
	chart->columns_behind = chart->mark_count - end;
	if (begin)
		memmove(chart->marks, chart->marks + begin, (end - begin) * sizeof(*chart->marks));
	chart->mark_count = end - begin;
	chart->columns_left_out = begin;
	if (chart->crash_column != CHART_NOWHERE)
		chart->crash_column -= begin;
	drop_lanes(chart);
}

void chart_read(struct chart *chart, const struct trace *trace, const struct trace_finding *finding,
		size_t columns_max)
{
	struct maker maker = { .chart = chart, .log = &trace->log, .finding = finding };
	*chart = (struct chart){ .crash_column = CHART_NOWHERE };
	for (size_t i = 0; i < trace->log.count; i++)
		take_event(&maker, i);
	for (size_t i = 0; i < maker.open_count; i++) {
		struct chart_span *span = &chart->spans[maker.open[i]];
		span->last = chart->mark_count ? chart->mark_count - 1 : 0;
		span->is_open = true;
	}
	if (finding_has_crash(finding) && chart->crash_column == CHART_NOWHERE)
		chart->crash_column = chart->mark_count;
	free(maker.open);
	cut(chart, columns_max);
}

void chart_release(struct chart *chart)
{
	free(chart->lanes);
	free(chart->spans);
	free(chart->marks);
	*chart = (struct chart){ .crash_column = CHART_NOWHERE };
}
