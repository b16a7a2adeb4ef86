// SPDX-License-Identifier: MIT
#include "traces/event.h"

#include "traces/memory.h"

#include <assert.h>
#include <endian.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	/** Of each byte value, in a log. */
	FILLS = UINT8_MAX + 1,
	FILL_BYTES_MIN = 4096,
};

void event_log_init(struct event_log *log)
{
	*log = (struct event_log){ 0 };
}

void event_log_release(struct event_log *log)
{
	free(log->events);
	free(log->bytes);
	free(log->fills);
	event_log_init(log);
}

void event_log_reset(struct event_log *log)
{
	log->count = 0;
	log->byte_count = 0;
	if (log->fills)
		memset(log->fills, 0, FILLS * sizeof(*log->fills));
}

/* Out of line, so that the common case of event_log_append() stays small. */
__attribute__((noinline)) static void log_grow(struct event_log *log)
{
	log->events =
		memory_grow(log->events, &log->capacity, log->count + 1, sizeof(*log->events));
}

/* Room for the bytes of an event, for the caller to fill. */
__attribute__((noinline)) static uint8_t *log_add_data(struct event_log *log, size_t data_bytes)
{
	log->bytes = memory_grow(log->bytes, &log->byte_capacity, log->byte_count + data_bytes, 1);
	uint8_t *room = log->bytes + log->byte_count;
	log->byte_count += data_bytes;
	return room;
}

static inline size_t log_add_event(struct event_log *log, const struct event *event,
				   size_t data_bytes)
{
	assert(data_bytes <= UINT32_MAX);
	if (__builtin_expect(log->count == log->capacity, 0))
		log_grow(log);
	struct event *slot = &log->events[log->count];
	*slot = *event;
	slot->data_start = log->byte_count;
	slot->data_bytes = (uint32_t)data_bytes;
	return log->count++;
}

size_t event_log_append(struct event_log *log, const struct event *event, const void *data,
			size_t data_bytes)
{
	size_t index = log_add_event(log, event, data_bytes);
	if (data_bytes)
		memcpy(log_add_data(log, data_bytes), data, data_bytes);
	return index;
}

/* Where in the log `byte_count` copies of `byte` begin. Never few are made, and each time twice as
 * many at least, so that all that ever were are fewer than twice the last. */
static uint64_t log_find_fill(struct event_log *log, uint8_t byte, size_t byte_count)
{
	if (!log->fills && !(log->fills = calloc(FILLS, sizeof(*log->fills))))
		abort();
	struct event_fill *fill = &log->fills[byte];
	if (fill->byte_count < byte_count) {
		size_t wanted = FILL_BYTES_MIN;
		while (wanted < byte_count)
			wanted *= 2;
		fill->data_start = log->byte_count;
		fill->byte_count = wanted;
		memset(log_add_data(log, wanted), byte, wanted);
	}
	return fill->data_start;
}

size_t event_log_append_fill(struct event_log *log, const struct event *event, uint8_t fill,
			     size_t data_bytes)
{
	size_t index = log_add_event(log, event, data_bytes);
	log->events[index].data_start = log_find_fill(log, fill, data_bytes);
	return index;
}

const uint8_t *event_data(const struct event_log *log, const struct event *event)
{
	return event->data_bytes ? log->bytes + event->data_start : NULL;
}

/* The digest: words of 64 bits, each mixed in with a multiplication and a fold of the high half,
 * which FNV lacks and without which high bits would never reach low ones. Bytes go through four
 * independent lanes, because one multiplication has to wait for the one before it. */

#define DIGEST_START UINT64_C(0xcbf29ce484222325)
#define DIGEST_PRIME UINT64_C(0x9e3779b97f4a7c15)

static inline uint64_t digest_mix(uint64_t digest, uint64_t word)
{
	digest = (digest ^ word) * DIGEST_PRIME;
	return digest ^ (digest >> 32);
}

static inline uint64_t load_word(const uint8_t *bytes)
{
	uint64_t word;
	memcpy(&word, bytes, sizeof(word));
	return le64toh(word);
}

static uint64_t digest_bytes(uint64_t digest, const uint8_t *bytes, size_t count)
{
	enum { LANES = 4, WORD = sizeof(uint64_t), BLOCK = LANES * WORD };
	uint64_t lanes[LANES] = { digest, 1, 2, 3 };
	for (; count >= BLOCK; bytes += BLOCK, count -= BLOCK) {
		for (size_t lane = 0; lane < LANES; lane++)
			lanes[lane] = digest_mix(lanes[lane], load_word(bytes + lane * WORD));
	}
	digest = lanes[0];
	for (size_t lane = 1; lane < LANES; lane++)
		digest = digest_mix(digest, lanes[lane]);
	for (; count >= WORD; bytes += WORD, count -= WORD)
		digest = digest_mix(digest, load_word(bytes));
	uint8_t rest[WORD] = { 0 };
	if (count)
		memcpy(rest, bytes, count);
	return digest_mix(digest, load_word(rest));
}

/* What is compared: of a wait it is not known everywhere who has what is waited for. */
static int32_t digested_result(const struct event *event)
{
	return event->kind == EVENT_WAIT ? 0 : event->result;
}

uint64_t event_log_digest(const struct event_log *log)
{
	uint64_t digest = DIGEST_START;
	for (size_t i = 0; i < log->count; i++) {
		const struct event *event = &log->events[i];
		digest = digest_mix(digest, (uint64_t)event->kind | (uint64_t)event->op << 8 |
						    (uint64_t)event->file << 16 |
						    (uint64_t)event->actor << 32);
		digest = digest_mix(digest,
				    (uint64_t)event->id | (uint64_t)(uint32_t)digested_result(event)
								  << 32);
		digest = digest_mix(digest, event->host_offset);
		digest = digest_mix(digest, event->length);
		digest = digest_mix(digest, event->digest);
		digest = digest_mix(digest, event->data_bytes);
		if (event->data_bytes)
			digest = digest_bytes(digest, event_data(log, event), event->data_bytes);
	}
	return digest_mix(digest, log->count);
}

/* Where only one of two says who has what is waited for, they agree. */
static bool results_agree(const struct event *a, const struct event *b)
{
	bool is_said = a->kind != EVENT_WAIT || (a->result && b->result);
	return !is_said || a->result == b->result;
}

static bool event_equal(const struct event_log *log_a, const struct event *a,
			const struct event_log *log_b, const struct event *b)
{
	if (a->kind != b->kind || a->op != b->op || a->file != b->file || a->actor != b->actor ||
	    a->id != b->id || !results_agree(a, b) || a->host_offset != b->host_offset ||
	    a->length != b->length || a->digest != b->digest || a->data_bytes != b->data_bytes)
		return false;
	return a->data_bytes == 0 ||
	       memcmp(event_data(log_a, a), event_data(log_b, b), a->data_bytes) == 0;
}

size_t event_log_difference(const struct event_log *a, const struct event_log *b)
{
	size_t common = a->count < b->count ? a->count : b->count;
	for (size_t i = 0; i < common; i++) {
		if (!event_equal(a, &a->events[i], b, &b->events[i]))
			return i;
	}
	return a->count == b->count ? SIZE_MAX : common;
}

static const char *name_of(const char *const *names, size_t count, unsigned number)
{
	return number < count && names[number] ? names[number] : "?";
}

#define NAME_OF(names, number) name_of(names, sizeof(names) / sizeof((names)[0]), number)

const char *event_kind_name(unsigned kind)
{
	static const char *const names[] = {
		[EVENT_REQUEST_INVOKED] = "request-invoked",
		[EVENT_REQUEST_COMPLETED] = "request-completed",
		[EVENT_IO_SUBMITTED] = "io-submitted",
		[EVENT_IO_EFFECT] = "io-effect",
		[EVENT_IO_COMPLETED] = "io-completed",
		[EVENT_FAULT] = "fault",
		[EVENT_SWITCH] = "switch",
		[EVENT_WAIT] = "wait",
		[EVENT_CHOICE] = "choice",
		[EVENT_END] = "end",
	};
	return NAME_OF(names, kind);
}

const char *request_op_name(unsigned op)
{
	static const char *const names[] = {
		[REQUEST_READ] = "read",
		[REQUEST_WRITE] = "write",
		[REQUEST_WRITE_ZEROES] = "write-zeroes",
		[REQUEST_DISCARD] = "discard",
		[REQUEST_FLUSH] = "flush",
		[REQUEST_OPEN] = "open",
		[REQUEST_CLOSE] = "close",
		[REQUEST_TRUNCATE] = "truncate",
		[REQUEST_SNAPSHOT] = "snapshot",
		[REQUEST_SNAPSHOT_APPLY] = "snapshot-apply",
		[REQUEST_SNAPSHOT_DELETE] = "snapshot-delete",
	};
	return NAME_OF(names, op);
}

const char *io_op_name(unsigned op)
{
	static const char *const names[] = {
		[IO_READ] = "read",         [IO_WRITE] = "write", [IO_FLUSH] = "flush",
		[IO_RESIZE] = "resize",     [IO_ZERO] = "zero",   [IO_PUNCH] = "punch",
		[IO_ALLOCATE] = "allocate",
	};
	return NAME_OF(names, op);
}

const char *wait_kind_name(unsigned kind)
{
	static const char *const names[] = {
		[WAIT_MUTEX] = "mutex",           [WAIT_READ_LOCK] = "read-lock",
		[WAIT_WRITE_LOCK] = "write-lock", [WAIT_QUEUE] = "queue",
		[WAIT_PARKED] = "parked",
	};
	return NAME_OF(names, kind);
}

const char *choice_kind_name(unsigned kind)
{
	static const char *const names[] = {
		[CHOICE_RUN] = "run",
		[CHOICE_FAULT] = "fault",
	};
	return NAME_OF(names, kind);
}

const char *run_end_name(unsigned end)
{
	static const char *const names[] = {
		[RUN_FINISHED] = "finished", [RUN_DEADLOCK] = "deadlock",
		[RUN_LIVELOCK] = "livelock", [RUN_LEAKED] = "leaked",
		[RUN_DIED] = "died",         [RUN_PRUNED] = "pruned",
		[RUN_DIVERGED] = "diverged",
	};
	return NAME_OF(names, end);
}

/** A line under construction; what does not fit is cut. */
struct line {
	char *text;
	size_t capacity;
	size_t used;
};

__attribute__((format(printf, 2, 3))) static void put(struct line *line, const char *format, ...)
{
	if (line->used >= line->capacity)
		return;
	va_list arguments;
	va_start(arguments, format);
	int wanted =
		vsnprintf(line->text + line->used, line->capacity - line->used, format, arguments);
	va_end(arguments);
	if (wanted > 0)
		line->used += (size_t)wanted;
}

static void put_result(struct line *line, int32_t result)
{
	const char *name = result < 0 && result > INT32_MIN ? strerrorname_np(-result) : NULL;
	if (name)
		put(line, " = -%s", name);
	else
		put(line, " = %" PRId32, result);
}

/* Text that came with an event, with anything unprintable as '?'. */
static void put_text(struct line *line, const struct event_log *log, const struct event *event)
{
	const uint8_t *data = event_data(log, event);
	for (uint32_t i = 0; i < event->data_bytes && line->used < line->capacity; i++)
		put(line, "%c", data[i] >= ' ' && data[i] < 0x7f ? data[i] : '?');
}

static void put_io(struct line *line, const struct event *event, const char *phase)
{
	put(line, "%s %s ", io_op_name(event->op), phase);
	if (event->file)
		put(line, "file%u:", (unsigned)event->file);
	if (event->op == IO_FLUSH)
		put(line, "all");
	else if (event->op == IO_RESIZE)
		put(line, "0x%" PRIx64, event->host_offset);
	else
		put(line, "0x%" PRIx64 "+%" PRIu64, event->host_offset, event->length);
}

static void put_request(struct line *line, const struct event *event)
{
	put(line, "request %" PRIu32 " %s", event->id, request_op_name(event->op));
	switch (event->op) {
	case REQUEST_READ:
	case REQUEST_WRITE:
	case REQUEST_WRITE_ZEROES:
	case REQUEST_DISCARD:
		put(line, " 0x%" PRIx64 "+%" PRIu64, event->guest_offset, event->length);
		break;
	case REQUEST_TRUNCATE: put(line, " 0x%" PRIx64, event->guest_offset); break;
	default: break;
	}
}

static void put_event(struct line *line, const struct event_log *log, const struct event *event)
{
	switch (event->kind) {
	case EVENT_REQUEST_INVOKED: put_request(line, event); break;
	case EVENT_REQUEST_COMPLETED:
		put_request(line, event);
		put(line, " completed");
		put_result(line, event->result);
		break;
	case EVENT_IO_SUBMITTED: put_io(line, event, "submitted"); break;
	case EVENT_IO_EFFECT:
		put_io(line, event, "effect");
		put_result(line, event->result);
		break;
	case EVENT_IO_COMPLETED:
		put_io(line, event, "completed");
		put_result(line, event->result);
		if (event->digest)
			put(line, " digest %016" PRIx64, event->digest);
		break;
	case EVENT_FAULT:
		put(line, "%s fault ", io_op_name(event->op));
		put_text(line, log, event);
		put_result(line, event->result);
		break;
	case EVENT_SWITCH:
		put(line, "runs ");
		put_text(line, log, event);
		break;
	case EVENT_WAIT:
		put(line, "waits for %s %" PRIu32 " ", wait_kind_name(event->op), event->id);
		put_text(line, log, event);
		if (event->result)
			put(line, "%sheld by co%" PRId32, event->data_bytes ? " " : "",
			    event->result);
		break;
	case EVENT_CHOICE:
		put(line, "choice %s %" PRId32 " of %" PRIu32, choice_kind_name(event->op),
		    event->result, event->id);
		break;
	case EVENT_END:
		put(line, "end %s ", run_end_name(event->op));
		put_text(line, log, event);
		break;
	default: put(line, "event kind %u", (unsigned)event->kind); break;
	}
}

void event_format(char *line, size_t line_bytes, const struct event_log *log,
		  const struct event *event)
{
	if (!line_bytes)
		return;
	line[0] = '\0';
	struct line out = { line, line_bytes, 0 };
	if (event->actor)
		put(&out, "co%" PRIu32 " ", event->actor);
	put_event(&out, log, event);
	size_t used = strlen(line);
	while (used && line[used - 1] == ' ')
		line[--used] = '\0';
}
