// SPDX-License-Identifier: MIT
/* The space-time diagram.
 *
 *   request 2 write ..........      a bar while the request is under way
 *   script  [==]      [=====]       a box while the actor runs, a dashed line while it waits
 *          ::::::::                  a bar below: it has what another waits for, and since when
 *              |          |         a call on the file: a line down to the disk when it takes
 * effect disk    ---v----|-----v---      operations with their numbers; a flush begins a new epoch
 *                        ^
 *                        crash: what is right of it is not on disk
 *
 * Every moment is a group of its own that takes the keyboard's focus and has a title. What it looks
 * like is said by classes (page/chart.css). */
#include "workloads/cli/picture.h"

#include "injector/backtrace.h"
#include "oracle/judge.h"
#include "workloads/cli/markup.h"
#include "workloads/cli/page.h"

#include <inttypes.h>
#include <string.h>

enum {
	LEFT = 120, /* room for the names of lanes */
	TOP = 26,
	COLUMN_MIN = 18,
	COLUMN_MAX = 32,
	WIDTH = 1150, /* of all columns, if they can be so wide */
	ROW = 16,     /* a request's bar */
	TRACK = 22,   /* what an actor does */
	OWNER = 4,    /* the bar of what it has and others wait for */
	LETTER = 7,   /* about so wide */
	GAP = 10,     /* between lanes */
	DISK = 46,    /* the disk's lane */
	BOTTOM = 12,
	EVENT_TEXT_BYTES = 200,
	FRAME_TEXT_BYTES = 256,
};

struct drawing {
	FILE *file;
	const struct picture *picture;
	enum picture_use use;
	size_t disk_y;
	size_t column; /* its width */
};

static size_t lane_height(const struct chart_lane *lane)
{
	return (size_t)lane->request_rows * ROW + TRACK + GAP;
}

static size_t lane_y(const struct chart *chart, size_t lane)
{
	size_t y = TOP;
	for (size_t i = 0; i < lane; i++)
		y += lane_height(&chart->lanes[i]);
	return y;
}

/* Where an actor's track begins. */
static size_t track_y(const struct chart *chart, size_t lane)
{
	return lane_y(chart, lane) + (size_t)chart->lanes[lane].request_rows * ROW;
}

static size_t column_x(const struct drawing *drawing, size_t column)
{
	return LEFT + column * drawing->column;
}

/* Short runs have room for words. */
static size_t column_width(size_t columns)
{
	size_t width = columns ? WIDTH / columns : COLUMN_MAX;
	return width < COLUMN_MIN ? COLUMN_MIN : width > COLUMN_MAX ? COLUMN_MAX : width;
}

static const char *role_class(const struct picture *picture, uint64_t host_offset)
{
	const struct role_entry *role = run_roles_find(&picture->roles, host_offset);
	return role_class_name(role ? role->role : ROLE_UNKNOWN);
}

static void draw_lanes(const struct drawing *drawing, size_t width)
{
	const struct chart *chart = &drawing->picture->chart;
	for (size_t i = 0; i < chart->lane_count; i++)
		fprintf(drawing->file,
			"<g class=\"lane\"><line x1=\"0\" x2=\"%zu\" y1=\"%zu\" y2=\"%zu\"/></g>\n",
			width, lane_y(chart, i) - GAP / 2, lane_y(chart, i) - GAP / 2);
	fprintf(drawing->file,
		"<g class=\"lane disk\"><line x1=\"0\" x2=\"%zu\" y1=\"%zu\" y2=\"%zu\"/></g>\n",
		width, drawing->disk_y, drawing->disk_y);
}

/* Over everything else, because they stay where they are when the rest is scrolled away. */
static void draw_names(const struct drawing *drawing)
{
	const struct chart *chart = &drawing->picture->chart;
	fprintf(drawing->file,
		"<g class=\"names\"><rect x=\"0\" y=\"%d\" width=\"%d\" height=\"%zu\"/>\n",
		TOP - GAP / 2, LEFT - 6, drawing->disk_y + DISK - TOP + GAP / 2);
	for (size_t i = 0; i < chart->lane_count; i++) {
		fprintf(drawing->file, "<text x=\"8\" y=\"%zu\">",
			track_y(chart, i) + TRACK / 2 + 4);
		markup_format(drawing->file, "%.14s", chart->lanes[i].name);
		fputs("<title>", drawing->file);
		markup_format(drawing->file, "co%" PRIu32 " %s", chart->lanes[i].actor,
			      chart->lanes[i].name);
		fputs("</title></text>\n", drawing->file);
	}
	fprintf(drawing->file, "<text x=\"8\" y=\"%zu\">disk</text></g>\n",
		drawing->disk_y + DISK / 2 + 4);
}

/* As much of it as `width` has room for: what does not fit is in the title. */
static void draw_text(FILE *file, const char *text, size_t width)
{
	size_t letters = width / LETTER > 2 ? width / LETTER - 1 : 0;
	if (strlen(text) <= letters)
		markup_text(file, text);
	else if (letters > 3)
		markup_format(file, "%.*s..", (int)letters - 2, text);
}

static void draw_request(const struct drawing *drawing, const struct chart_span *span)
{
	const struct event *event = &drawing->picture->trace->log.events[span->event];
	size_t y = lane_y(&drawing->picture->chart, span->lane) + (size_t)span->row * ROW;
	size_t width = (span->last - span->first + 1) * drawing->column;
	char text[EVENT_TEXT_BYTES];
	snprintf(text, sizeof(text), "request %" PRIu32 " %s", event->id,
		 request_op_name(event->op));
	if (event->length)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 " 0x%" PRIx64 "+%" PRIu64, event->guest_offset, event->length);
	fprintf(drawing->file,
		"<g class=\"request%s\"><rect x=\"%zu\" y=\"%zu\" width=\"%zu\" height=\"%d\" "
		"rx=\"3\"/><text x=\"%zu\" y=\"%zu\">",
		span->is_open ? " open" : "", column_x(drawing, span->first) + 1, y, width - 2,
		ROW - 3, column_x(drawing, span->first) + 5, y + ROW - 6);
	draw_text(drawing->file, text, width);
	fputs("</text><title>", drawing->file);
	markup_text(drawing->file, text);
	fputs("</title></g>\n", drawing->file);
}

/* What an actor waits for, or has. */
static void print_object(char *text, const struct picture *picture, const struct chart_span *span)
{
	const struct event_log *log = &picture->trace->log;
	const struct event *wait = &log->events[span->event];
	char object[ACTOR_NAME_BYTES], waiter[ACTOR_NAME_BYTES], owner[ACTOR_NAME_BYTES];
	event_text(object, sizeof(object), log, wait);
	actor_name(waiter, log, wait->actor);
	actor_name(owner, log, (uint32_t)wait->result);
	if (span->kind == CHART_OWNING)
		snprintf(text, EVENT_TEXT_BYTES, "%s has %s '%s' %" PRIu32 ", for which %s waits",
			 owner, wait_kind_name(wait->op), object, wait->id, waiter);
	else if (wait->op == WAIT_PARKED)
		snprintf(text, EVENT_TEXT_BYTES, "sleeps: %s %" PRIu32, object, wait->id);
	else
		snprintf(text, EVENT_TEXT_BYTES, "%s %" PRIu32 "%s%s", object, wait->id,
			 wait->result ? ": " : "", wait->result ? owner : "");
}

/* Over the dashed line stands what is waited for, and who has it, as far as there is room. */
static void draw_wait(const struct drawing *drawing, const struct chart_span *span, size_t y)
{
	size_t from = column_x(drawing, span->first), to = column_x(drawing, span->last + 1);
	char text[EVENT_TEXT_BYTES];
	print_object(text, drawing->picture, span);
	fprintf(drawing->file,
		"<g class=\"wait\"><line class=\"waiting\" x1=\"%zu\" x2=\"%zu\" y1=\"%zu\" "
		"y2=\"%zu\"/><text x=\"%zu\" y=\"%zu\">",
		from + drawing->column / 2, to, y + TRACK / 2, y + TRACK / 2,
		from + drawing->column + 2, y + TRACK / 2 - 3);
	draw_text(drawing->file, text, to - from - drawing->column);
	fputs("</text><title>", drawing->file);
	markup_text(drawing->file, text);
	fputs("</title></g>\n", drawing->file);
}

/* A bar below the owner's track, and a line to it from where the wait begins. */
static void draw_owner(const struct drawing *drawing, const struct chart_span *span, size_t y)
{
	const struct chart *chart = &drawing->picture->chart;
	const struct event *wait = &drawing->picture->trace->log.events[span->event];
	size_t from = column_x(drawing, span->first) + drawing->column / 2,
	       to = column_x(drawing, span->last + 1);
	size_t waiter = 0;
	char text[EVENT_TEXT_BYTES];
	while (waiter < chart->lane_count && chart->lanes[waiter].actor != wait->actor)
		waiter++;
	print_object(text, drawing->picture, span);
	fprintf(drawing->file,
		"<g class=\"owner\"><line x1=\"%zu\" x2=\"%zu\" y1=\"%zu\" y2=\"%zu\"/><rect "
		"x=\"%zu\" y=\"%zu\" width=\"%zu\" height=\"%d\" rx=\"2\"/><title>",
		from, from, track_y(chart, waiter) + TRACK / 2, y + TRACK - 1, from, y + TRACK - 2,
		to - from, OWNER);
	markup_text(drawing->file, text);
	fputs("</title></g>\n", drawing->file);
}

static void draw_span(const struct drawing *drawing, const struct chart_span *span)
{
	size_t y = track_y(&drawing->picture->chart, span->lane);
	size_t from = column_x(drawing, span->first), to = column_x(drawing, span->last + 1);
	switch (span->kind) {
	case CHART_REQUEST: draw_request(drawing, span); break;
	case CHART_RUNNING:
		fprintf(drawing->file,
			"<rect class=\"running\" x=\"%zu\" y=\"%zu\" width=\"%zu\" height=\"%d\" "
			"rx=\"2\"/>\n",
			from, y + 3, to - from, TRACK - 6);
		break;
	case CHART_WAITING: draw_wait(drawing, span, y); break;
	case CHART_OWNING: draw_owner(drawing, span, y); break;
	case CHART_IO:
		if (span->first == span->last)
			break;
		fprintf(drawing->file,
			"<line class=\"flight\" x1=\"%zu\" x2=\"%zu\" y1=\"%zu\" y2=\"%zu\"/>\n",
			from + drawing->column / 2, to - drawing->column / 2, y + TRACK - 3,
			y + TRACK - 3);
		break;
	}
}

/* Between two flushes that succeeded everything may be reordered. */
static void draw_epochs(const struct drawing *drawing, size_t width)
{
	const struct chart *chart = &drawing->picture->chart;
	const struct event_log *log = &drawing->picture->trace->log;
	size_t from = LEFT;
	unsigned number = 0;
	for (size_t i = 0; i <= chart->mark_count; i++) {
		const struct event *event =
			i < chart->mark_count ? &log->events[chart->marks[i].event] : NULL;
		bool is_end = !event || (event->kind == EVENT_IO_EFFECT && event->op == IO_FLUSH &&
					 event->result >= 0 && event->file == 0);
		size_t to = event ? column_x(drawing, i) + drawing->column / 2 : width;
		if (!is_end)
			continue;
		fprintf(drawing->file,
			"<rect class=\"epoch e%u\" x=\"%zu\" y=\"%zu\" width=\"%zu\" "
			"height=\"%d\"><title>between two flushes: epoch %u</title></rect>\n",
			number % 2, from, drawing->disk_y + 1, to - from, DISK - 2, number);
		from = to;
		number++;
	}
}

/* A call on a file takes effect: down to the disk. */
static void draw_effect(const struct drawing *drawing, const struct chart_mark *mark, size_t x)
{
	const struct event *event = &drawing->picture->trace->log.events[mark->event];
	size_t from = track_y(&drawing->picture->chart, mark->lane) + TRACK / 2;
	size_t to = drawing->disk_y + 8;
	const char *kind = event->op == IO_READ    ? "read"
			   : event->op == IO_FLUSH ? "flush"
						   : "write";
	bool is_image = event->file == 0;
	fprintf(drawing->file, "<g class=\"%s%s %s\">", kind, event->result < 0 ? " failed" : "",
		is_image ? role_class(drawing->picture, event->host_offset) : "other");
	if (event->op == IO_READ)
		fprintf(drawing->file,
			"<line x1=\"%zu\" x2=\"%zu\" y1=\"%zu\" y2=\"%zu\"/><path d=\"M%zu %zul4 "
			"7h-8z\"/>",
			x, x, from, to, x, to);
	else if (event->op == IO_FLUSH)
		fprintf(drawing->file,
			"<line x1=\"%zu\" x2=\"%zu\" y1=\"%zu\" y2=\"%zu\"/><rect x=\"%zu\" "
			"y=\"%zu\" width=\"4\" height=\"%d\"/>",
			x, x, from, to, x - 2, drawing->disk_y + 2, DISK - 4);
	else
		fprintf(drawing->file,
			"<line x1=\"%zu\" x2=\"%zu\" y1=\"%zu\" y2=\"%zu\"/><path d=\"M%zu "
			"%zul6 -9h-12z\"/>",
			x, x, from, to, x, to + 9);
	if (mark->operation)
		fprintf(drawing->file, "<text x=\"%zu\" y=\"%zu\">%" PRIu64 "</text>", x,
			drawing->disk_y + DISK - 8, mark->operation);
	fputs("</g>", drawing->file);
}

static void draw_sign(const struct drawing *drawing, const struct chart_mark *mark, size_t x)
{
	const struct event *event = &drawing->picture->trace->log.events[mark->event];
	size_t y = track_y(&drawing->picture->chart, mark->lane) + TRACK / 2;
	switch ((enum event_kind)event->kind) {
	case EVENT_IO_EFFECT: draw_effect(drawing, mark, x); break;
	case EVENT_FAULT:
		fprintf(drawing->file, "<path class=\"fault\" d=\"M%zu %zul10 10m-10 0l10 -10\"/>",
			x - 5, y - 5);
		break;
	case EVENT_END:
		fprintf(drawing->file,
			"<rect class=\"end\" x=\"%zu\" y=\"%zu\" width=\"6\" height=\"12\"/>",
			x - 3, y - 6);
		break;
	case EVENT_IO_SUBMITTED:
	case EVENT_WAIT:
		fprintf(drawing->file, "<circle class=\"begin\" cx=\"%zu\" cy=\"%zu\" r=\"4\"/>", x,
			y);
		break;
	case EVENT_IO_COMPLETED:
	case EVENT_REQUEST_INVOKED:
	case EVENT_REQUEST_COMPLETED:
	case EVENT_SWITCH:
	case EVENT_CHOICE:
		fprintf(drawing->file, "<circle class=\"done\" cx=\"%zu\" cy=\"%zu\" r=\"3\"/>", x,
			y);
		break;
	}
}

static void write_stack(const struct drawing *drawing, uint32_t label)
{
	const struct trace *trace = drawing->picture->trace;
	if (!label || label > trace->stack_count)
		return;
	const struct trace_stack *stack = &trace->stacks[label - 1];
	fputs(" data-stack=\"", drawing->file);
	for (uint32_t i = 0; i < stack->count; i++) {
		char text[FRAME_TEXT_BYTES];
		backtrace_symbolise(text, sizeof(text), trace, &stack->frames[i]);
		markup_format(drawing->file, "%s%s", i ? "\n" : "", text);
	}
	fputc('"', drawing->file);
}

/* What a script or a screen reader has to know of a step. */
static void write_step(const struct drawing *drawing, size_t column)
{
	const struct picture *picture = drawing->picture;
	const struct chart_mark *mark = &picture->chart.marks[column];
	const struct event *event = &picture->trace->log.events[mark->event];
	const char *sentence = picture->sentences[mark->event];
	char text[EVENT_TEXT_BYTES];
	event_format(text, sizeof(text), &picture->trace->log, event);
	fprintf(drawing->file, "<g class=\"step\" id=\"e%zu\" tabindex=\"0\" role=\"img\"",
		mark->event + 1);
	fputs(" aria-label=\"", drawing->file);
	markup_text(drawing->file, sentence ? sentence : text);
	fputs("\" data-event=\"", drawing->file);
	markup_text(drawing->file, text);
	fputc('"', drawing->file);
	write_stack(drawing, event->stack);
	fprintf(drawing->file,
		"><rect class=\"hit\" x=\"%zu\" y=\"%d\" width=\"%zu\" height=\"%zu\"/><title>",
		column_x(drawing, column), TOP - GAP / 2, drawing->column,
		drawing->disk_y + DISK - TOP + GAP / 2);
	markup_format(drawing->file, "%zu: %s", mark->event + 1, sentence ? sentence : text);
	fputs("</title>", drawing->file);
}

/* The columns of a step: from the top of its lane down, so that there is something to point at. */
static void draw_step(const struct drawing *drawing, size_t column)
{
	const struct chart_mark *mark = &drawing->picture->chart.marks[column];
	if (drawing->use == PICTURE_PRINTED)
		fputs("<g>", drawing->file);
	else
		write_step(drawing, column);
	draw_sign(drawing, mark, column_x(drawing, column) + drawing->column / 2);
	fputs("</g>\n", drawing->file);
}

static void draw_crash(const struct drawing *drawing, size_t width)
{
	const struct picture *picture = drawing->picture;
	if (picture->chart.crash_column == CHART_NOWHERE)
		return;
	size_t x = column_x(drawing, picture->chart.crash_column);
	if (picture->finding->sector)
		x += drawing->column / 2; /* inside the next operation */
	fprintf(drawing->file,
		"<g class=\"crash\"><rect x=\"%zu\" y=\"%d\" width=\"%zu\" height=\"%zu\"/>"
		"<line x1=\"%zu\" x2=\"%zu\" y1=\"%d\" y2=\"%zu\"/><text x=\"%zu\" y=\"%d\">crash"
		"</text></g>\n",
		x, TOP - GAP / 2, width > x ? width - x : 0, drawing->disk_y + DISK - TOP + GAP / 2,
		x, x, 4, drawing->disk_y + DISK, x + 4, 14);
}

static void draw_note(const struct drawing *drawing)
{
	const struct chart *chart = &drawing->picture->chart;
	if (!chart->columns_left_out && !chart->columns_behind)
		return;
	fprintf(drawing->file, "<text class=\"note\" x=\"%d\" y=\"14\">not drawn: %zu earlier",
		LEFT, chart->columns_left_out);
	if (chart->columns_behind)
		fprintf(drawing->file, " and %zu later", chart->columns_behind);
	fputs(" moments</text>\n", drawing->file);
}

void picture_svg(FILE *file, const struct picture *picture, enum picture_use use)
{
	const struct chart *chart = &picture->chart;
	struct drawing drawing = {
		.file = file,
		.picture = picture,
		.use = use,
		.disk_y = lane_y(chart, chart->lane_count),
		.column = column_width(chart->mark_count),
	};
	size_t width = column_x(&drawing, chart->mark_count) + 40;
	size_t height = drawing.disk_y + DISK + BOTTOM;
	if (use == PICTURE_ALONE)
		fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", file);
	fprintf(file,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" width=\"%zu\" "
		"height=\"%zu\" viewBox=\"0 0 %zu %zu\" role=\"group\" aria-label=\"space-time "
		"diagram\">\n",
		width, height, width, height);
	if (use == PICTURE_ALONE)
		fprintf(file, "<style>\n%s%s</style>\n", page_theme_css, page_chart_css);
	draw_epochs(&drawing, width);
	draw_lanes(&drawing, width);
	for (size_t i = 0; i < chart->span_count; i++)
		draw_span(&drawing, &chart->spans[i]);
	draw_note(&drawing);
	for (size_t i = 0; i < chart->mark_count; i++)
		draw_step(&drawing, i);
	draw_crash(&drawing, width);
	draw_names(&drawing);
	fputs("</svg>\n", file);
}
