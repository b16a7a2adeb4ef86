// SPDX-License-Identifier: MIT
/* What is known of a program's run at each of its decisions: what strategy_join.c goes by.
 *
 * A step is what happens between two rests: a call takes effect, or a command is read, and then
 * whatever the main thread makes of it. Its footprint is what it is seen to touch:
 *
 *      bytes of files         of effects, those of the main thread included
 *      the size of a file     read past its end, or changed
 *      flushes                submitted or in effect: against every other I/O
 *      the guest's history    requests invoked (add) and completed (read), by their ranges
 *
 * What the program has in its memory is not in it, for nobody knows. So footprints do not say which
 * steps can be exchanged. They say which orders can be told apart from outside: the order of two
 * steps that conflict has made the file and the history what they are.
 *
 * The state at a rest is a hash of
 *
 *      which steps were executed
 *      the order of each two of them that conflict
 *      which calls wait (what they do, and what they write), and would it read a command
 *      what requests have returned
 *
 * and the way on from it a hash of the last two at each later rest, and of the end. Both are sums
 * or chains of hashes over names that do not depend on the order: a call is its kind, file, place,
 * length and contents, and how many of the same name came before it; lanes count nowhere. */
#include "workloads/program_trail.h"

#include "injector/digest.h"
#include "injector/order.h"
#include "traces/memory.h"

#include <stdlib.h>
#include <string.h>

/** A rest, and the step that followed it. */
struct trail_rest {
	size_t told;   /* events told before its decision */
	uint64_t seen; /* what waits, and what it would do */
	uint64_t step; /* name of the step */
	struct footprint footprint;
};

struct program_trail {
	struct trail_rest *rests; /* owned */
	size_t count, capacity;
	size_t *decided; /* owned; of each decision its rest; SIZE_MAX: it was of another kind */
	size_t decided_count, decided_capacity;
	struct join_trail trail; /* owned places */
	size_t place_capacity;
	uint64_t size[TRACE_FILES_MAX]; /* of each file, where the log has been read so far */
};

struct program_trail *program_trail_new(void)
{
	struct program_trail *trail = calloc(1, sizeof(*trail));

	if (!trail)
		abort();
	return trail;
}

void program_trail_free(struct program_trail *trail)
{
	if (!trail)
		return;
	free(trail->rests);
	free(trail->decided);
	free(trail->trail.places);
	free(trail);
}

const struct join_trail *program_trail_places(const struct program_trail *trail)
{
	return &trail->trail;
}

void program_trail_begin(struct program_trail *trail)
{
	trail->count = 0;
	trail->decided_count = 0;
	trail->trail.count = 0;
}

static uint64_t chained(uint64_t hash, uint64_t more)
{
	return order_mixed(hash + order_mixed(more));
}

static uint64_t call_name(const struct gate_wire_call *call)
{
	uint64_t hash = chained(call->op, call->file);

	hash = chained(chained(hash, call->returns), call->host_offset);
	return chained(chained(hash, call->length), call->content);
}

void program_trail_rest(struct program_trail *trail, const struct gate_ask *ask, size_t told,
			uint64_t commands)
{
	struct trail_rest rest = { .told = told, .seen = chained(ask->takes_command, commands) };

	for (uint32_t i = 0; i < ask->count && i < GATE_WIRE_CALLS_MAX; i++)
		rest.seen += call_name(&ask->calls[i]);
	trail->rests = memory_grow(trail->rests, &trail->capacity, trail->count + 1,
				   sizeof(*trail->rests));
	trail->rests[trail->count++] = rest;
}

void program_trail_decided(struct program_trail *trail, bool is_step)
{
	trail->decided = memory_grow(trail->decided, &trail->decided_capacity,
				     trail->decided_count + 1, sizeof(*trail->decided));
	trail->decided[trail->decided_count++] = is_step ? trail->count - 1 : SIZE_MAX;
}

void program_trail_step(struct program_trail *trail, const struct gate_wire_call *call,
			uint64_t command)
{
	trail->rests[trail->count - 1].step = call ? call_name(call) : order_mixed(command);
}

void program_trail_fault(struct program_trail *trail, uint32_t pick)
{
	struct trail_rest *rest = &trail->rests[trail->count - 1];

	program_trail_decided(trail, false);
	rest->step = pick ? chained(rest->step, pick) : rest->step;
}

/* ---- what the steps touched ---- */

static void touch_size(struct program_trail *trail, struct footprint *footprint,
		       const struct event *event, enum access_mode mode)
{
	uint64_t end = event->host_offset + event->length;

	if (end <= trail->size[event->file])
		return;
	footprint_touch(footprint, footprint_object(OBJECT_FILE_SIZE, event->file), 0, 1, mode);
	if (mode != ACCESS_READ)
		trail->size[event->file] = end;
}

/** An effect on a file, or the submission of a flush. */
static void touch_effect(struct program_trail *trail, struct footprint *footprint,
			 const struct event *event)
{
	const uint32_t bytes = footprint_object(OBJECT_FILE, event->file);
	const uint32_t epoch = footprint_object(OBJECT_EPOCH, event->file);
	uint64_t from = event->host_offset, to = from + event->length;

	if (event->op == IO_FLUSH) {
		footprint_touch(footprint, epoch, 0, 1, ACCESS_WRITE);
		return;
	}
	footprint_touch(footprint, epoch, 0, 1, ACCESS_READ);
	switch ((enum io_op)event->op) {
	case IO_READ:
		footprint_touch(footprint, bytes, from, to, ACCESS_READ);
		touch_size(trail, footprint, event, ACCESS_READ);
		break;
	case IO_WRITE:
	case IO_ZERO:
	case IO_ALLOCATE:
		footprint_touch(footprint, bytes, from, to, ACCESS_WRITE);
		touch_size(trail, footprint, event, ACCESS_ADD);
		break;
	case IO_PUNCH: footprint_touch(footprint, bytes, from, to, ACCESS_WRITE); break;
	case IO_RESIZE:
		footprint_touch(footprint, bytes, 0, UINT64_MAX, ACCESS_WRITE);
		footprint_touch(footprint, footprint_object(OBJECT_FILE_SIZE, event->file), 0, 1,
				ACCESS_WRITE);
		trail->size[event->file] = from;
		break;
	case IO_FLUSH: break;
	}
}

/** A request was invoked or has completed. */
static void touch_history(struct footprint *footprint, const struct event *event)
{
	bool is_ranged = event->op == REQUEST_READ || event->op == REQUEST_WRITE ||
			 event->op == REQUEST_WRITE_ZEROES || event->op == REQUEST_DISCARD;
	uint64_t from = is_ranged ? event->guest_offset : 0;
	uint64_t to = is_ranged ? from + event->length : UINT64_MAX;

	footprint_touch(footprint, footprint_object(OBJECT_HISTORY, 0), from, to,
			event->kind == EVENT_REQUEST_INVOKED ? ACCESS_ADD : ACCESS_READ);
}

static void touch_files(struct program_trail *trail, const struct event_log *recorded)
{
	size_t step = 0;

	for (size_t i = 0; i < recorded->count; i++) {
		const struct event *event = &recorded->events[i];
		struct footprint beside = { 0 };
		struct footprint *footprint = step > 0 && step <= trail->count
						      ? &trail->rests[step - 1].footprint
						      : &beside;
		if (event->kind == EVENT_SWITCH)
			step++;
		else if (event->kind == EVENT_IO_COMPLETED && event->op != IO_FLUSH)
			footprint_touch(footprint, footprint_object(OBJECT_EPOCH, event->file), 0,
					1, ACCESS_READ);
		else if (event->kind == EVENT_IO_EFFECT ||
			 (event->kind == EVENT_IO_SUBMITTED && event->op == IO_FLUSH))
			touch_effect(trail, footprint, event);
	}
}

static void touch_told(struct program_trail *trail, const struct event_log *told)
{
	for (size_t step = 0; step < trail->count; step++) {
		size_t to = step + 1 < trail->count ? trail->rests[step + 1].told : told->count;
		for (size_t i = trail->rests[step].told; i < to; i++) {
			const struct event *event = &told->events[i];
			if (event->kind == EVENT_REQUEST_INVOKED ||
			    event->kind == EVENT_REQUEST_COMPLETED)
				touch_history(&trail->rests[step].footprint, event);
		}
	}
}

/* ---- the hashes ---- */

/** Add to what is seen at each rest what requests have returned before it. */
static void add_returned(struct program_trail *trail, const struct event_log *told)
{
	uint64_t returned = 0;
	size_t at = 0;

	for (size_t i = 0; i < trail->count; i++) {
		for (; at < trail->rests[i].told; at++) {
			const struct event *event = &told->events[at];
			if (event->kind != EVENT_REQUEST_COMPLETED)
				continue;
			struct iovec piece = { .iov_len = event->data_bytes };
			const void *data = event_data(told, event);
			memcpy(&piece.iov_base, &data, sizeof(data));
			uint64_t read = piece.iov_len ? digest_vector(&piece, piece.iov_len) : 0;
			returned += chained(chained(event->id, (uint32_t)event->result), read);
		}
		trail->rests[i].seen = chained(trail->rests[i].seen, returned);
	}
}

/** Tell steps of one name apart by how many there were before. */
static void number_steps(struct program_trail *trail)
{
	for (size_t i = trail->count; i-- > 0;) {
		uint64_t before = 0;
		for (size_t k = 0; k < i; k++)
			before += trail->rests[k].step == trail->rests[i].step;
		trail->rests[i].step = chained(trail->rests[i].step, before);
	}
}

/** What step `index` adds to the state: itself, and its order behind those it conflicts with. */
static uint64_t step_hash(const struct program_trail *trail, size_t index)
{
	const struct trail_rest *step = &trail->rests[index];
	uint64_t hash = order_mixed(step->step);

	for (size_t i = 0; i < index; i++)
		if (footprint_conflict(&trail->rests[i].footprint, &step->footprint))
			hash += chained(order_mixed(trail->rests[i].step), step->step);
	return hash;
}

static void lay_places(struct program_trail *trail, uint64_t end_hash)
{
	struct join_trail *places = &trail->trail;
	uint64_t *states = calloc(trail->count + 1, sizeof(*states));
	uint64_t *ways = calloc(trail->count + 1, sizeof(*ways));
	uint64_t executed = 0;

	if (!states || !ways)
		abort();
	for (size_t i = 0; i < trail->count; i++) {
		states[i] = chained(executed, trail->rests[i].seen);
		executed += step_hash(trail, i);
	}
	ways[trail->count] = end_hash;
	for (size_t i = trail->count; i-- > 0;)
		ways[i] = chained(ways[i + 1], trail->rests[i].seen);
	places->places = memory_grow(places->places, &trail->place_capacity, trail->decided_count,
				     sizeof(*places->places));
	places->count = trail->decided_count;
	for (size_t i = 0; i < places->count; i++) {
		size_t rest = trail->decided[i];
		places->places[i] = rest == SIZE_MAX
					    ? (struct join_place){ 0 }
					    : (struct join_place){ states[rest], ways[rest] };
	}
	free(states);
	free(ways);
}

void program_trail_end(struct program_trail *trail, const struct trace *recorded,
		       const struct event_log *told, uint64_t end_hash)
{
	for (size_t file = 0; file < recorded->file_count; file++)
		trail->size[file] = content_size(recorded->files[file].initial);
	touch_files(trail, &recorded->log);
	touch_told(trail, told);
	add_returned(trail, told);
	number_steps(trail);
	lay_places(trail, end_hash);
}
