// SPDX-License-Identifier: MIT
#include "injector/io_call.h"

#include "injector/digest.h"
#include "injector/fault_arm.h"
#include "injector/fault_point.h"
#include "injector/gate.h"
#include "injector/recorder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/** A call in flight. */
struct flight {
	const struct io_request *request;
	struct watched_open *open;
	struct event event; /* the next event of the call, all but its kind */
	int planned_error;  /* errno, of a rule of the run; 0: none */
	bool holds;         /* the record, between recorder_hold() and recorder_let_go() */
};

/** Nothing but the call itself, which may take long, parts the records of a call that no gate holds
 * up. */
static void hold(struct flight *flight)
{
	if (flight->holds)
		recorder_hold();
}

static void let_go(struct flight *flight)
{
	if (flight->holds)
		recorder_let_go();
}

static void append(struct flight *flight, enum event_kind kind, size_t data_bytes)
{
	flight->event.kind = (uint8_t)kind;
	recorder_append(&flight->event, data_bytes ? flight->request->vector : NULL, data_bytes);
}

static ssize_t perform(const struct flight *flight)
{
	const struct io_request *request = flight->request;
	struct disk *disk = flight->open->disk;

	switch (request->op) {
	case IO_READ:
		return disk->ops->read(disk, request->vector, request->vector_count,
				       request->host_offset);
	case IO_WRITE:
		return disk->ops->write(disk, request->vector, request->vector_count,
					request->host_offset);
	case IO_FLUSH: return disk->ops->flush(disk, request->data_only);
	case IO_RESIZE: return disk->ops->resize(disk, request->host_offset);
	case IO_ZERO:
	case IO_PUNCH:
	case IO_ALLOCATE:
		return disk->ops->allocate(disk, request->mode, request->host_offset,
					   request->length);
	}
	return -ENOSYS;
}

/** `result`: -errno, or how many bytes a transfer is cut to. */
static void record_fault(struct event *event, const char *point, int32_t result)
{
	if (!recorder_is_on())
		return;
	const struct iovec name = io_piece(point, strlen(point));
	event->kind = EVENT_FAULT;
	event->result = result;
	recorder_append(event, &name, name.iov_len);
}

/** Ask the gate, if there is one, and else the failure point. What they say is recorded. */
static struct fault ask_fault(struct flight *flight, const struct gate *gate)
{
	const struct io_request *request = flight->request;
	struct fault fault = { 0 };

	if (!request->point)
		return fault;
	const struct fault_call call = { .point = request->point,
					 .kind = fault_menu_kind(request->op),
					 .host_offset = request->host_offset,
					 .length = request->length };
	if (gate && gate->fault)
		fault = gate->fault(gate->context);
	if (fault.error == 0 && fault.bytes == 0)
		fault.error = flight->planned_error;
	if (fault.error == 0 && fault.bytes == 0)
		fault = fault_point_ask(&call);
	if (fault.error != 0 || fault.bytes != 0)
		record_fault(&flight->event, request->point,
			     fault.error != 0 ? -fault.error : (int32_t)fault.bytes);
	return fault;
}

int io_call_ask(const struct fault_call *call, uint16_t file)
{
	int error = fault_point_ask(call).error;

	if (error != 0 && recorder_is_on()) {
		struct event event = { .file = file };
		recorder_begin_call(&event);
		record_fault(&event, call->point, -error);
	}
	return error;
}

bool io_call_memory_fails(void)
{
	static const struct fault_call call = { "libc/mm/malloc", FAULT_CALL_MEMORY, 0, 0 };

	if (__builtin_expect(!fault_calls_armed, 1))
		return false;
	bool fails = io_call_ask(&call, 0) != 0;
	recorder_clear_stack();
	return fails;
}

/** What a fallocate(2) that must not change the size did, in the words of events, of which only
 * IO_PUNCH leaves the size alone: an IO_ALLOCATE is cut at the end of the file, and an IO_ZERO that
 * passes the end reads like an IO_PUNCH. */
static void clip_to_size(struct flight *flight)
{
	uint64_t size = (uint64_t)flight->open->disk->ops->size(flight->open->disk);
	struct event *event = &flight->event;

	if (event->host_offset + event->length <= size)
		return;
	if (event->op == IO_ALLOCATE)
		event->length = event->host_offset < size ? size - event->host_offset : 0;
	else
		event->op = IO_PUNCH;
	if (event->op == IO_ALLOCATE && event->length == 0)
		event->host_offset = size;
}

/** Take effect and record it. Flushes are not performed under the lock: a flush may take long, has
 * no bytes whose order matters, and what matters of it is when it began and when it ended. */
static ssize_t take_effect(struct flight *flight)
{
	const struct io_request *request = flight->request;
	bool recording = recorder_is_on();
	bool locked = recording && request->op != IO_FLUSH;

	recorder_touch_effect(flight->open, request);
	if (locked)
		recorder_begin_effect(flight->open, request);
	let_go(flight);
	ssize_t result = perform(flight);
	uint64_t digest = recording && request->op == IO_READ && result > 0
				  ? digest_vector(request->vector, (size_t)result)
				  : 0;
	hold(flight);
	if (recording) {
		bool keeps_size = disk_mode_keeps_size(request->mode);
		if (keeps_size && (request->op == IO_ALLOCATE || request->op == IO_ZERO))
			clip_to_size(flight);
		flight->event.result = (int32_t)result;
		bool has_data = request->op == IO_WRITE && result > 0;
		append(flight, EVENT_IO_EFFECT, has_data ? (size_t)result : 0);
		flight->event.digest = digest;
	}
	if (locked)
		recorder_end_effect();
	return result;
}

/** Take effect as a transfer of the first `bytes` bytes only. Not inlined: the address of a passing
 * object of the C library must not stay in a register of a task that is suspended afterwards. */
__attribute__((noinline)) static ssize_t take_short_effect(struct flight *flight, uint64_t bytes)
{
	const struct io_request *whole = flight->request;
	struct iovec *vector = malloc((size_t)whole->vector_count * sizeof(*vector));
	uint64_t left = bytes;
	int count = 0;

	if (!vector)
		return -ENOMEM;
	for (; left > 0; count++) {
		vector[count] = whole->vector[count];
		if (vector[count].iov_len > left)
			vector[count].iov_len = (size_t)left;
		left -= vector[count].iov_len;
	}
	struct io_request request = *whole;
	request.vector = vector;
	request.vector_count = count;
	request.length = bytes;
	flight->request = &request;
	ssize_t result = take_effect(flight);
	flight->request = whole;
	free(vector);
	return result;
}

static void complete(struct flight *flight, ssize_t result)
{
	const struct io_request *request = flight->request;

	if (request->op == IO_FLUSH && result < 0)
		recorder_touch_failed_flush();
	if (!recorder_is_on())
		return;
	append(flight, EVENT_IO_COMPLETED, 0);
	recorder_touch_completed(flight->open, request->op, result);
}

ssize_t io_call_run(struct watched_open *open, const struct io_request *request)
{
	struct flight flight = {
		.request = request,
		.open = open,
		.event = { .op = (uint8_t)request->op,
			   .file = open->file,
			   .host_offset = request->host_offset,
			   .length = request->length },
	};
	const struct gate *gate = gate_installed();
	bool gated = gate && gate->actor(gate->context) != 0;

	if (recorder_is_on()) {
		recorder_begin_call(&flight.event);
		flight.holds = !gated;
		hold(&flight);
		append(&flight, EVENT_IO_SUBMITTED, 0);
		recorder_touch_submitted(open, request->op);
		flight.planned_error = recorder_planned_fault(open, request);
		recorder_clear_stack();
	}
	struct io_call call = { .op = request->op,
				.file = open->file,
				.host_offset = request->host_offset,
				.length = request->length,
				.vector = request->vector,
				.point = request->point };
	if (gated)
		gate->before_effect(gate->context, &call);
	const struct fault fault = ask_fault(&flight, gated ? gate : NULL);
	ssize_t result = -fault.error;
	if (fault.error == 0)
		result = fault.bytes != 0 ? take_short_effect(&flight, fault.bytes)
					  : take_effect(&flight);
	recorder_clear_stack();
	if (gated)
		gate->before_return(gate->context, &call);
	complete(&flight, result);
	let_go(&flight);
	recorder_clear_stack();
	return result;
}
