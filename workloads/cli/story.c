// SPDX-License-Identifier: MIT
/* Telling a run. Events are turned into lines one by one; a line is kept with a weight, and when
 * there are more lines than a reader wants, the lightest and earliest are marked as smaller steps.
 *
 * What a write is for is told from two moments of the image: a cluster that is an L2 table at the
 * end of the run was meant to be one when it was first written, although nothing referred to it
 * then. A write to a data cluster is a request's own data where its bytes are those that a request
 * in flight carries for the place; everything else is copied there (COW). */
#include "workloads/cli/story.h"

#include "oracle/judge.h"
#include "traces/memory.h"
#include "workloads/cli/actors.h"
#include "workloads/cli/roles.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_MAX = 16 };

/* How much a reader misses a line. */
enum weight { WEIGHT_WAIT, WEIGHT_FLUSH, WEIGHT_LITTLE, WEIGHT_USUAL, WEIGHT_ALWAYS };

struct line {
	enum weight weight;
	struct story_line line;
};

struct teller {
	const struct trace *trace;
	struct run_roles roles;
	struct line *lines; /* owned */
	size_t count, capacity;
	size_t event;          /* being told */
	bool has_requests;     /* the recording knows what the guest asked for */
	uint64_t operations;   /* that changed the image so far */
	uint64_t guest_offset; /* what is wrong is wrong there; NOWHERE: unknown */
};

static void say(struct teller *teller, enum weight weight, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static struct story_line *add_line(struct teller *teller, enum weight weight)
{
	teller->lines = memory_grow(teller->lines, &teller->capacity, teller->count + 1,
				    sizeof(*teller->lines));
	struct line *line = &teller->lines[teller->count++];
	line->weight = weight;
	line->line = (struct story_line){ .event = teller->event, .is_main = true };
	return &line->line;
}

static void say(struct teller *teller, enum weight weight, const char *format, ...)
{
	struct story_line *line = add_line(teller, weight);
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(line->text, sizeof(line->text), format, arguments);
	va_end(arguments);
}

/* Who did it: "request 3" while its actor is inside that request, else the task's name. */
static const char *who(const struct teller *teller, const struct event *event, char *name)
{
	const struct event_log *log = &teller->trace->log;
	for (size_t i = (size_t)(event - log->events); i-- > 0;) {
		const struct event *before = &log->events[i];
		if (before->actor != event->actor)
			continue;
		if (before->kind == EVENT_REQUEST_COMPLETED)
			break;
		if (before->kind != EVENT_REQUEST_INVOKED)
			continue;
		snprintf(name, ACTOR_NAME_BYTES, "request %" PRIu32, before->id);
		return name;
	}
	return actor_name(name, log, event->actor);
}

static void tell_request(struct teller *teller, const struct event *event)
{
	const char *op = request_op_name(event->op);
	bool begins = event->kind == EVENT_REQUEST_INVOKED;
	bool is_frame = event->op == REQUEST_OPEN || event->op == REQUEST_CLOSE;
	enum weight weight = is_frame ? WEIGHT_LITTLE : WEIGHT_ALWAYS;
	if (begins && event->length)
		say(teller, weight,
		    "request %" PRIu32 " begins: %s of %" PRIu64 " bytes at guest 0x%" PRIx64,
		    event->id, op, event->length, event->guest_offset);
	else if (begins)
		say(teller, weight, "request %" PRIu32 " begins: %s", event->id, op);
	else if (event->result < 0)
		say(teller, WEIGHT_ALWAYS, "request %" PRIu32 " (%s) fails: %s", event->id, op,
		    strerror(-event->result));
	else
		say(teller, weight, "request %" PRIu32 " (%s) is acknowledged", event->id, op);
}

static uint64_t cluster_bytes_of(const struct teller *teller)
{
	const struct run_roles *roles = &teller->roles;
	unsigned bits =
		roles->after.cluster_bits ? roles->after.cluster_bits : roles->before.cluster_bits;
	return (uint64_t)1 << bits;
}

/* Does `request` carry for `guest_offset` the bytes that `io` writes? */
static bool carries(const struct event_log *log, const struct event *request,
		    const struct event *io, uint64_t guest_offset)
{
	if (guest_offset < request->guest_offset || !io->data_bytes)
		return false;
	uint64_t into = guest_offset - request->guest_offset;
	if (into >= request->data_bytes)
		return false;
	uint64_t bytes = request->data_bytes - into;
	if (bytes > io->data_bytes)
		bytes = io->data_bytes;
	return memcmp(event_data(log, request) + into, event_data(log, io), (size_t)bytes) == 0;
}

/* The place in `request` that lies where `io` writes inside a cluster and has the same bytes. A
 * cluster that was never linked is known by this only. NOWHERE: there is none. */
static uint64_t matching_place(const struct teller *teller, const struct event *request,
			       const struct event *io)
{
	const struct event_log *log = &teller->trace->log;
	uint64_t cluster_bytes = cluster_bytes_of(teller);
	uint64_t first = request->guest_offset - request->guest_offset % cluster_bytes;
	for (uint64_t at = first; at - first < request->data_bytes + cluster_bytes;
	     at += cluster_bytes) {
		uint64_t guest_offset = at + io->host_offset % cluster_bytes;
		if (carries(log, request, io, guest_offset))
			return guest_offset;
	}
	return NOWHERE;
}

/* The request whose bytes a write carries; NULL: none, they are copied. `*guest_offset` is where
 * they belong, or NOWHERE: to be found out. */
static const struct event *whose_data(const struct teller *teller, const struct event *io,
				      uint64_t *guest_offset)
{
	const struct event_log *log = &teller->trace->log;
	for (size_t i = (size_t)(io - log->events); i-- > 0;) {
		const struct event *event = &log->events[i];
		if (event->kind != EVENT_REQUEST_INVOKED || event->op != REQUEST_WRITE)
			continue;
		uint64_t place = *guest_offset;
		if (place == NOWHERE)
			place = matching_place(teller, event, io);
		if (place == NOWHERE || !carries(log, event, io, place))
			continue;
		*guest_offset = place;
		return event;
	}
	return NULL;
}

/* Is it in the guest cluster that the story is about? */
static bool is_the_place(const struct teller *teller, uint64_t guest_offset)
{
	uint64_t cluster_bytes = cluster_bytes_of(teller);
	return teller->guest_offset != NOWHERE && guest_offset != NOWHERE &&
	       guest_offset / cluster_bytes == teller->guest_offset / cluster_bytes;
}

/* A write of guest data, a request's own or copied. False: it is neither. */
static bool tell_data_write(struct teller *teller, const struct event *event,
			    const struct role_entry *role)
{
	char name[ACTOR_NAME_BYTES];
	uint64_t guest_offset = NOWHERE;
	if (role)
		guest_offset = role->guest_offset + event->host_offset % cluster_bytes_of(teller);
	const struct event *request = whose_data(teller, event, &guest_offset);
	/* Data that landed in somebody else's cluster. */
	uint64_t own_offset = NOWHERE;
	if (!request && role && (request = whose_data(teller, event, &own_offset)))
		guest_offset = own_offset;
	enum weight weight = is_the_place(teller, guest_offset) ? WEIGHT_ALWAYS : WEIGHT_USUAL;
	if (request)
		say(teller, weight,
		    "%" PRIu64 ". data of request %" PRIu32 ": guest 0x%" PRIx64 "+%" PRIu64
		    " -> host 0x%" PRIx64,
		    teller->operations, request->id, guest_offset, event->length,
		    event->host_offset);
	else if (role && !teller->has_requests)
		say(teller, weight,
		    "%" PRIu64 ". %s writes data: guest 0x%" PRIx64 "+%" PRIu64
		    " -> host 0x%" PRIx64,
		    teller->operations, who(teller, event, name), guest_offset, event->length,
		    event->host_offset);
	else if (role)
		say(teller, weight,
		    "%" PRIu64 ". %s copies (COW): guest 0x%" PRIx64 "+%" PRIu64
		    " -> host 0x%" PRIx64,
		    teller->operations, who(teller, event, name), guest_offset, event->length,
		    event->host_offset);
	return request || role;
}

static void tell_write(struct teller *teller, const struct event *event)
{
	const struct role_entry *role = run_roles_find(&teller->roles, event->host_offset);
	char name[ACTOR_NAME_BYTES];
	bool may_be_data = !role || role->role == ROLE_DATA;
	if (may_be_data && tell_data_write(teller, event, role))
		return;
	who(teller, event, name);
	const char *what = role_name(role ? role->role : ROLE_UNKNOWN);
	if (role && role->role == ROLE_L2)
		say(teller, WEIGHT_USUAL,
		    "%" PRIu64 ". %s writes %s (guest 0x%" PRIx64 " and on): host 0x%" PRIx64
		    "+%" PRIu64,
		    teller->operations, name, what, role->guest_offset, event->host_offset,
		    event->length);
	else
		say(teller, WEIGHT_USUAL, "%" PRIu64 ". %s writes %s: host 0x%" PRIx64 "+%" PRIu64,
		    teller->operations, name, what, event->host_offset, event->length);
}

static void tell_operation(struct teller *teller, const struct event *event)
{
	char name[ACTOR_NAME_BYTES];
	teller->operations++;
	if (event->op == IO_WRITE)
		tell_write(teller, event);
	else if (event->op == IO_RESIZE)
		say(teller, WEIGHT_LITTLE, "%" PRIu64 ". the file gets %" PRIu64 " bytes",
		    teller->operations, event->host_offset);
	else
		say(teller, WEIGHT_USUAL, "%" PRIu64 ". %s: %s host 0x%" PRIx64 "+%" PRIu64,
		    teller->operations, who(teller, event, name), io_op_name(event->op),
		    event->host_offset, event->length);
}

static void tell_text(struct teller *teller, const char *head, const struct event *event)
{
	char text[STORY_LINE_BYTES - 64];
	event_text(text, sizeof(text), &teller->trace->log, event);
	say(teller, WEIGHT_ALWAYS, "%s%s%s", head, text[0] ? ": " : "", text);
}

static void tell_wait(struct teller *teller, const struct event *event)
{
	char name[ACTOR_NAME_BYTES], object[ACTOR_NAME_BYTES];
	event_text(object, sizeof(object), &teller->trace->log, event);
	if (event->op == WAIT_PARKED)
		say(teller, WEIGHT_WAIT, "%s goes to sleep (%s %" PRIu32 ")",
		    who(teller, event, name), object, event->id);
	else
		say(teller, WEIGHT_WAIT, "%s waits for %s '%s' %" PRIu32, who(teller, event, name),
		    wait_kind_name(event->op), object, event->id);
}

static void tell_event(struct teller *teller, const struct event *event)
{
	char name[ACTOR_NAME_BYTES], text[ACTOR_NAME_BYTES + 32];
	switch ((enum event_kind)event->kind) {
	case EVENT_REQUEST_INVOKED:
	case EVENT_REQUEST_COMPLETED: tell_request(teller, event); break;
	case EVENT_IO_EFFECT:
		if (judge_is_operation(event))
			tell_operation(teller, event);
		else if (event->op == IO_FLUSH && event->result >= 0)
			say(teller, WEIGHT_FLUSH, "%s flushes the file", who(teller, event, name));
		break;
	case EVENT_FAULT:
		if (event->result > 0)
			snprintf(text, sizeof(text), "%s: %s is cut to %" PRId32 " bytes",
				 who(teller, event, name), io_op_name(event->op), event->result);
		else
			snprintf(text, sizeof(text), "%s: %s fails (%s)", who(teller, event, name),
				 event->op ? io_op_name(event->op) : "a call",
				 strerror(-event->result));
		tell_text(teller, text, event);
		break;
	case EVENT_WAIT: tell_wait(teller, event); break;
	case EVENT_END:
		if (event->op == RUN_FINISHED)
			break;
		tell_text(teller, "the run ends", event);
		break;
	case EVENT_IO_SUBMITTED:
	case EVENT_IO_COMPLETED:
	case EVENT_SWITCH:
	case EVENT_CHOICE: break;
	}
}

/* Mark lines as smaller steps, lightest first and among these the earliest, until LINES_MAX are
 * left. */
static void thin_out(struct teller *teller)
{
	size_t remaining = teller->count;
	for (unsigned weight = WEIGHT_WAIT; weight <= WEIGHT_ALWAYS; weight++)
		for (size_t i = 0; i < teller->count && remaining > LINES_MAX; i++) {
			struct line *line = &teller->lines[i];
			if (!line->line.is_main || line->weight > weight)
				continue;
			line->line.is_main = false;
			remaining--;
		}
}

bool finding_has_crash(const struct trace_finding *finding)
{
	return finding && strcmp(finding->model, "none") != 0;
}

static void tell_run(struct teller *teller, const struct trace_finding *finding)
{
	const struct event_log *log = &teller->trace->log;
	for (size_t i = 0; i < log->count; i++) {
		const struct event *event = &log->events[i];
		if (finding_has_crash(finding) && judge_is_operation(event) &&
		    teller->operations == finding->operation)
			break;
		teller->event = i;
		teller->has_requests |= event->kind == EVENT_REQUEST_INVOKED;
		tell_event(teller, event);
	}
	thin_out(teller);
}

void story_read(struct story *story, const struct trace *trace, const struct trace_finding *finding)
{
	struct teller teller = {
		.trace = trace,
		.guest_offset = finding ? finding->guest_offset : NOWHERE,
	};
	run_roles_read(&teller.roles, trace);
	tell_run(&teller, finding);
	*story = (struct story){ .lines = calloc(teller.count + 1, sizeof(*story->lines)),
				 .count = teller.count };
	if (!story->lines)
		abort();
	for (size_t i = 0; i < teller.count; i++)
		story->lines[i] = teller.lines[i].line;
	run_roles_release(&teller.roles);
	free(teller.lines);
}

void story_release(struct story *story)
{
	free(story->lines);
	*story = (struct story){ 0 };
}

const char *story_crash(char *line, const struct trace_finding *finding)
{
	if (!finding_has_crash(finding))
		return NULL;
	int length = snprintf(line, STORY_LINE_BYTES, "crash: operations 1 to %" PRIu64,
			      finding->operation);
	if (finding->sector)
		length +=
			snprintf(line + length, STORY_LINE_BYTES - (size_t)length,
				 " and the first %" PRIu32 " sectors of the next", finding->sector);
	snprintf(line + length, STORY_LINE_BYTES - (size_t)length, " are on disk");
	return line;
}

static void tell_end(FILE *file, const struct trace_finding *finding)
{
	char line[STORY_LINE_BYTES];
	if (!finding)
		return;
	if (story_crash(line, finding))
		fprintf(file, "  -- %s\n", line);
	fprintf(file, "  => %s (%s): %s\n", finding->rule, finding->severity, finding->message);
}

char *story_tell(const struct trace *trace, const struct trace_finding *finding)
{
	struct story story;
	char *text = NULL;
	size_t text_bytes = 0, left_out = 0;
	FILE *file = open_memstream(&text, &text_bytes);
	if (!file)
		abort();
	story_read(&story, trace, finding);
	for (size_t i = 0; i < story.count; i++)
		left_out += !story.lines[i].is_main;
	if (left_out)
		fprintf(file, "  (%zu smaller steps left out)\n", left_out);
	for (size_t i = 0; i < story.count; i++)
		if (story.lines[i].is_main)
			fprintf(file, "  %s\n", story.lines[i].text);
	tell_end(file, finding);
	if (fclose(file) != 0)
		abort();
	story_release(&story);
	return text;
}
