// SPDX-License-Identifier: MIT
/* One history out of several, with a crash between each two.
 *
 * The judge knows one run, so what was told before a crash and what the repair does afterwards are
 * joined into one log. What does a crash do to a history? What was promised stays promised. A
 * request that was acknowledged and not promised may be there or not, whole or in part, for ever:
 * that is what the judge thinks of a request that is still under way. So acknowledgements that no
 * flush had turned into a promise are left out. Nothing else is lost by that: a request is
 * overridden by a promised one that was invoked after its own acknowledgement, and then it had been
 * promised by the same flush.
 *
 *     run                     joined
 *     write 2 invoked         write 2 invoked
 *     write 2 acknowledged    write 2 acknowledged       flush 3 promises it
 *     flush 3 invoked         flush 3 invoked
 *     write 4 invoked         write 4 invoked
 *     write 4 acknowledged                               nothing promises it: under way
 *     flush 3 acknowledged    flush 3 acknowledged
 *     pwrite of 2048 bytes    pwrite of 512 bytes        the crash tore it
 *     -- crash --
 *                             open 1000001 invoked
 *                             ...                        the repair's own writes
 *
 * Reads are left out, too, and all that only a person wants to see. So is what tells when a write
 * became durable, but not in the repair: at a crash it was decided what is on disk, and that is
 * durable from then on (judge_reopened()).
 *
 * A disk that reorders may have lost operations that others did not wait for. In the log they stay,
 * and what they wrote is taken back by writes of what was there instead: the judge does not look at
 * states before the crash, and so never sees one on the way from all to less. */
#include "workloads/recovery.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDS_A_RUN = 1000000 };

/* The index behind which nothing that was acknowledged is promised: where the last flush or close
 * was invoked that was acknowledged before event `end`. */
static size_t promised_up_to(const struct event_log *run, size_t end)
{
	size_t last = 0;
	for (size_t i = 0; i < end; i++) {
		const struct event *done = &run->events[i];
		if (done->kind != EVENT_REQUEST_COMPLETED || done->result < 0 ||
		    (done->op != REQUEST_FLUSH && done->op != REQUEST_CLOSE))
			continue;
		for (size_t k = i; k-- > last;)
			if (run->events[k].kind == EVENT_REQUEST_INVOKED &&
			    run->events[k].id == done->id)
				last = k;
	}
	return last;
}

static bool is_kept(const struct event *event, size_t index, size_t promised, uint32_t crash)
{
	switch (event->kind) {
	case EVENT_REQUEST_INVOKED: return event->op != REQUEST_READ;
	case EVENT_REQUEST_COMPLETED:
		switch (event->op) {
		case REQUEST_READ: return false;
		case REQUEST_WRITE:
		case REQUEST_WRITE_ZEROES:
		case REQUEST_DISCARD:
		case REQUEST_TRUNCATE: return event->result >= 0 && index < promised;
		default: return true;
		}
	case EVENT_IO_EFFECT: return event->op != IO_READ && event->op != IO_FLUSH;
	case EVENT_IO_SUBMITTED:
	case EVENT_IO_COMPLETED: return crash > 0 && event->op != IO_READ;
	default: return false;
	}
}

void recovery_log_append(struct event_log *log, const struct event_log *run, uint32_t crash,
			 size_t end, uint64_t bytes)
{
	size_t promised = promised_up_to(run, end);
	for (size_t i = 0; i < end; i++) {
		struct event event = run->events[i];
		if (!is_kept(&event, i, promised, crash))
			continue;
		event.id += crash * IDS_A_RUN;
		event_log_append(log, &event, event_data(run, &run->events[i]), event.data_bytes);
	}
	if (bytes == 0)
		return;
	struct event torn = run->events[end];
	torn.id += crash * IDS_A_RUN;
	torn.result = (int32_t)bytes;
	event_log_append(log, &torn, event_data(run, &run->events[end]), torn.data_bytes);
}

void recovery_log_copy(struct event_log *log, const struct event_log *from)
{
	for (size_t i = 0; i < from->count; i++)
		event_log_append(log, &from->events[i], event_data(from, &from->events[i]),
				 from->events[i].data_bytes);
}

/* The index behind the events of `state`; SIZE_MAX: there is no such place. */
static size_t find_state(const struct event_log *log, const struct judge_dirty *state)
{
	uint64_t operations = 0, told = 0;
	for (size_t i = 0; i < log->count; i++) {
		if (operations == state->operation && told == state->told)
			return i;
		const struct event *event = &log->events[i];
		operations += judge_is_operation(event);
		told += event->kind == EVENT_REQUEST_INVOKED ||
			event->kind == EVENT_REQUEST_COMPLETED;
	}
	return operations == state->operation && told == state->told ? log->count : SIZE_MAX;
}

/* The next operation from `index` on; log->count: none. */
static size_t next_operation(const struct event_log *log, size_t index)
{
	while (index < log->count && !judge_is_operation(&log->events[index]))
		index++;
	return index;
}

/* How many bytes of `write` are there when `sectors` of its sectors persisted. */
static uint64_t torn_bytes(const struct event *write, uint32_t sectors, uint32_t sector_bytes)
{
	uint64_t first = write->host_offset / sector_bytes;
	return (first + sectors) * sector_bytes - write->host_offset;
}

/* Bring the operations before `end`, and `bytes` of the one there, to the image. */
static bool apply(struct content *image, const struct event_log *log, size_t end, uint64_t bytes)
{
	for (size_t i = 0; i < end; i++)
		if (log->events[i].file == 0 &&
		    trace_apply(image, log, &log->events[i]) != STATUS_OK)
			return false;
	if (bytes == 0)
		return true;
	struct event torn = log->events[end];
	torn.result = (int32_t)bytes;
	return trace_apply(image, log, &torn) == STATUS_OK;
}

bool crashed_from_run(struct crashed *crashed, const struct event_log *log,
		      const struct content *initial, const struct judge_dirty *state)
{
	*crashed = (struct crashed){ .image = content_clone(initial) };
	event_log_init(&crashed->log);
	size_t end = find_state(log, state);
	uint64_t bytes = 0;
	if (!crashed->image || end == SIZE_MAX)
		return false;
	if (state->sector > 0) {
		end = next_operation(log, end);
		if (end == log->count || log->events[end].op != IO_WRITE)
			return false;
		bytes = torn_bytes(&log->events[end], state->sector, state->sector_bytes);
		if (bytes >= (uint64_t)log->events[end].result)
			return false;
	}
	if (!apply(crashed->image, log, end, bytes))
		return false;
	recovery_log_append(&crashed->log, log, 0, end, bytes);
	crashed->judged = crashed->log.count;
	return true;
}

enum { PIECE_BYTES = 512 };

/* Does the piece at `at` differ? */
static bool differs(const struct content *before, const struct content *after, uint64_t at)
{
	uint8_t was[PIECE_BYTES], is[PIECE_BYTES];
	content_read(before, was, sizeof(was), at);
	content_read(after, is, sizeof(is), at);
	return memcmp(was, is, sizeof(was)) != 0;
}

/* Append operations that make `before` into `after`. */
static void append_difference(struct event_log *log, const struct content *before,
			      const struct content *after)
{
	uint64_t size = content_size(after);
	uint8_t bytes[PIECE_BYTES];
	if (content_size(before) != size)
		event_log_append(log,
				 &(struct event){ .kind = EVENT_IO_EFFECT,
						  .op = IO_RESIZE,
						  .host_offset = size },
				 NULL, 0);
	for (uint64_t at = 0; at < size; at += PIECE_BYTES) {
		size_t length = size - at < PIECE_BYTES ? (size_t)(size - at) : PIECE_BYTES;
		struct event write = { .kind = EVENT_IO_EFFECT,
				       .op = IO_WRITE,
				       .result = (int32_t)length,
				       .length = length };
		if (!differs(before, after, at))
			continue;
		write.host_offset = at;
		content_read(after, bytes, length, at);
		event_log_append(log, &write, bytes, length);
	}
}

/* The number of the operation that `loss` names, counted from event `from` of the log. */
static uint64_t operation_of(const struct event_log *log, size_t from,
			     const struct judge_loss *loss)
{
	uint64_t number = 0;
	uint32_t left = loss->number;
	for (size_t i = 0; i < log->count && left; i++) {
		const struct event *event = &log->events[i];
		if (!judge_is_operation(event))
			continue;
		number += i >= from;
		left -= event->actor == loss->actor;
	}
	return number;
}

/* Say what the crash lost. */
static void tell_loss(struct crashed *crashed, size_t from, const struct judge_loss *loss)
{
	uint64_t number = operation_of(&crashed->log, from, loss);
	char *text = crashed->lost;
	const size_t text_bytes = sizeof(crashed->lost);
	switch (loss->kind) {
	case LOSS_OF_NOTHING: text[0] = '\0'; break;
	case LOSS_OF_ONE: snprintf(text, text_bytes, " without operation %" PRIu64, number); break;
	case LOSS_OF_OTHERS:
		snprintf(text, text_bytes,
			 " with operation %" PRIu64 " alone of what no flush had covered", number);
		break;
	case LOSS_OF_ALL: snprintf(text, text_bytes, " without what no flush had covered"); break;
	}
}

bool crashed_lose(struct crashed *crashed, struct judge *judge, const struct judge_loss *loss,
		  size_t from)
{
	struct content *all = content_clone(crashed->image);
	if (!all)
		abort();
	tell_loss(crashed, from, loss);
	bool is_lost = judge_lose(judge, loss, crashed->image);
	if (is_lost)
		append_difference(&crashed->log, all, crashed->image);
	crashed->judged = crashed->log.count;
	content_free(all);
	return is_lost;
}

bool crashed_from_reordered(struct crashed *crashed, struct judge *judge,
			    const struct event_log *log, const struct content *initial,
			    const struct judge_dirty *state)
{
	const struct judge_loss *losses = NULL;
	if (!crashed_from_run(crashed, log, initial, state))
		return false;
	if (state->loss.kind == LOSS_OF_NOTHING)
		return true;
	(void)judge_stand(judge, log, find_state(log, state), SIZE_MAX, &losses);
	return crashed_lose(crashed, judge, &state->loss, 0);
}

void crashed_release(struct crashed *crashed)
{
	content_free(crashed->image);
	event_log_release(&crashed->log);
	crashed->image = NULL;
}
