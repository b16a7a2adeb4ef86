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
#include "workloads/cli/story_private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_MAX = 16 };

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
	uint64_t cluster_bytes = teller_cluster_bytes(teller);
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

/* A write of guest data, a request's own or copied. False: it is neither. */
static bool tell_data_write(struct teller *teller, const struct event *event,
			    const struct role_entry *role)
{
	char name[ACTOR_NAME_BYTES];
	uint64_t guest_offset = NOWHERE;
	if (role)
		guest_offset =
			role->guest_offset + event->host_offset % teller_cluster_bytes(teller);
	const struct event *request = whose_data(teller, event, &guest_offset);
	/* Data that landed in somebody else's cluster. */
	uint64_t own_offset = NOWHERE;
	if (!request && role && (request = whose_data(teller, event, &own_offset)))
		guest_offset = own_offset;
	enum weight weight =
		teller_is_the_place(teller, guest_offset) ? WEIGHT_ALWAYS : WEIGHT_USUAL;
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
	/* The verdict will say the rest. */
	if (teller->is_standstill && event->kind == EVENT_END)
		text[strcspn(text, ":")] = 0;
	say(teller, WEIGHT_ALWAYS, "%s%s%s", head, text[0] ? ": " : "", text);
}

static void tell_wait(struct teller *teller, const struct event *event)
{
	char name[ACTOR_NAME_BYTES], object[ACTOR_NAME_BYTES], owner[ACTOR_NAME_BYTES];
	event_text(object, sizeof(object), &teller->trace->log, event);
	actor_name(owner, &teller->trace->log, (uint32_t)event->result);
	enum weight weight = teller->is_standstill ? WEIGHT_USUAL : WEIGHT_WAIT;
	if (event->op == WAIT_PARKED)
		say(teller, WEIGHT_WAIT, "%s goes to sleep (%s %" PRIu32 ")",
		    who(teller, event, name), object, event->id);
	else
		say(teller, weight, "%s waits for %s '%s' %" PRIu32 "%s%s",
		    who(teller, event, name), wait_kind_name(event->op), object, event->id,
		    event->result ? ", held by " : "", event->result ? owner : "");
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
			if (!line->line.is_main || line->line.is_late || line->weight > weight)
				continue;
			line->line.is_main = false;
			remaining--;
		}
}

bool finding_has_crash(const struct trace_finding *finding)
{
	return finding && strcmp(finding->model, "none") != 0;
}

/* The crash falls before event `index`. */
static void tell_late(struct teller *teller, size_t index)
{
	const struct event_log *log = &teller->trace->log;
	for (size_t i = index; i < log->count; i++) {
		const struct event *event = &log->events[i];
		size_t count = teller->count;
		if (!judge_is_operation(event))
			continue;
		if (!teller_is_wanted(teller, event)) {
			teller->operations++;
			continue;
		}
		teller->event = i;
		tell_operation(teller, event);
		if (teller->count > count)
			teller->lines[count].line.is_late = true;
		return;
	}
}

/* ---- the run ---- */

/* Does what is wrong lie before `event`? What comes behind it is another story. A promise may come
 * up to the next operation. */
static bool is_beyond(const struct teller *teller, const struct event *event)
{
	const struct trace_finding *finding = teller->finding;
	if (!finding || teller->operations < finding->operation)
		return false;
	bool has_promise =
		!finding_has_crash(finding) || strcmp(finding->rule, "flush-durable") == 0;
	return has_promise ? judge_is_operation(event) : finding->operation > 0;
}

static void tell_run(struct teller *teller)
{
	const struct event_log *log = &teller->trace->log;
	for (size_t i = 0; i < log->count; i++) {
		const struct event *event = &log->events[i];
		size_t count = teller->count;
		if (is_beyond(teller, event)) {
			if (finding_has_crash(teller->finding))
				tell_late(teller, i);
			break;
		}
		teller->event = i;
		teller->has_requests |= event->kind == EVENT_REQUEST_INVOKED;
		tell_event(teller, event);
		if (teller->count > count)
			teller->lines[count].is_operation = judge_is_operation(event);
	}
	thin_out(teller);
	teller_mark_keys(teller);
}

/* The cluster that the finding is about. */
static uint64_t faulty_cluster(const struct teller *teller)
{
	const struct roles *roles = &teller->roles.after;
	uint64_t cluster_bytes = teller_cluster_bytes(teller);
	if (!teller->finding || teller->finding->host_offset != NOWHERE)
		return teller->finding ? teller->finding->host_offset : NOWHERE;
	for (size_t i = 0; i < roles->count; i++)
		if (roles->entries[i].role == ROLE_DATA &&
		    teller_is_the_place(teller, roles->entries[i].guest_offset))
			return roles->entries[i].cluster * cluster_bytes;
	return NOWHERE;
}

void story_read(struct story *story, const struct trace *trace, const struct trace_finding *finding)
{
	struct teller teller = {
		.trace = trace,
		.finding = finding,
		.guest_offset = finding ? finding->guest_offset : NOWHERE,
		.is_standstill = finding && strcmp(finding->rule, "progress") == 0,
	};
	run_roles_read(&teller.roles, trace);
	teller.host_offset = faulty_cluster(&teller);
	tell_run(&teller);
	*story = (struct story){ .lines = calloc(teller.count + 1, sizeof(*story->lines)),
				 .count = teller.count };
	if (!story->lines)
		abort();
	for (size_t i = 0; i < teller.count; i++)
		story->lines[i] = teller.lines[i].line;
	teller_tell_crash(story->crash, &teller);
	run_roles_release(&teller.roles);
	free(teller.lines);
}

void story_release(struct story *story)
{
	free(story->lines);
	*story = (struct story){ 0 };
}

static void print_line(FILE *file, const struct story_line *line)
{
	fprintf(file, "%c %s%s\n", line->is_key || line->is_late ? '>' : ' ',
		line->is_late ? "not on disk: " : "", line->text);
}

static void print_head(FILE *file, const struct story *story)
{
	size_t left_out = 0, keys = 0;
	for (size_t i = 0; i < story->count; i++) {
		left_out += !story->lines[i].is_main;
		keys += story->lines[i].is_key;
	}
	if (left_out)
		fprintf(file, "  (%zu smaller step%s left out%s", left_out,
			left_out == 1 ? "" : "s", keys ? "; " : ")\n");
	else if (keys)
		fputs("  (", file);
	if (keys)
		fputs("> marks those that matter most)\n", file);
}

char *story_tell(const struct trace *trace, const struct trace_finding *finding)
{
	struct story story;
	char *text = NULL;
	size_t text_bytes = 0;
	FILE *file = open_memstream(&text, &text_bytes);
	if (!file)
		abort();
	story_read(&story, trace, finding);
	print_head(file, &story);
	for (size_t i = 0; i < story.count; i++)
		if (story.lines[i].is_main && !story.lines[i].is_late)
			print_line(file, &story.lines[i]);
	if (story.crash[0])
		fprintf(file, "  -- %s\n", story.crash);
	for (size_t i = 0; i < story.count; i++)
		if (story.lines[i].is_late)
			print_line(file, &story.lines[i]);
	if (finding)
		fprintf(file, "  => %s (%s%s): %s\n", finding->rule, finding->severity,
			finding->strict_only ? ", strict form only" : "", finding->message);
	if (fclose(file) != 0)
		abort();
	story_release(&story);
	return text;
}
