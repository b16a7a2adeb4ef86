// SPDX-License-Identifier: MIT
/* The guest: task 1 reads the script, every asynchronous command is a task of its own.
 *
 * Taking the next command is a step like any other, so that a request may be finished before the
 * next one is thought of, or all may be begun at once. What the guest may know is recorded where it
 * learns it: a request is *invoked* just before the engine is called and *completed* right after it
 * returned, and both are steps whose order is observed. */
#include "engine/scheduler/touch.h"
#include "injector/session.h"
#include "workloads/world_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UNREAD_BYTE = 0xa5 }; /* what a read's buffer holds before: never a stamp's beginning */

bool world_event_has_range(const struct event *event)
{
	return event->op == REQUEST_READ || event->op == REQUEST_WRITE ||
	       event->op == REQUEST_WRITE_ZEROES || event->op == REQUEST_DISCARD;
}

/* The guest learns which of two requests came first when one has completed before the other is
 * invoked, and it cares when both concern the same bytes; a flush concerns all. */
static void touch_history(const struct event *event)
{
	bool is_invoked = event->kind == EVENT_REQUEST_INVOKED;
	bool has_range = world_event_has_range(event);
	footprint_touch(session_footprint(), footprint_object(OBJECT_HISTORY, 0),
			has_range ? event->guest_offset : 0,
			has_range ? event->guest_offset + event->length : UINT64_MAX,
			is_invoked ? ACCESS_ADD : ACCESS_READ);
}

/* An index of the log for world_state.c; as the log itself, no task reads it. */
AUDIT_EXEMPT static void index_record(struct world *world)
{
	world->told[world->told_count++] = (uint32_t)world->log.count;
}

static void record(struct world *world, const struct event *event, const void *data,
		   size_t data_bytes)
{
	touch_history(event);
	index_record(world);
	session_record(event, data, data_bytes);
}

static struct event request_event(const struct world_request *request, enum event_kind kind)
{
	return (struct event){
		.kind = (uint8_t)kind,
		.op = (uint8_t)request->command->op,
		.id = request->id,
		.guest_offset = request->command->guest_offset,
		.length = request->command->length,
	};
}

/* -P of a read, where plain patterns are written. */
static void verify(struct world *world, const struct world_request *request)
{
	const struct workload_command *command = request->command;
	if (!command->verifies || world->options.stamps || world->complaint[0])
		return;
	for (uint64_t i = 0; i < command->length; i++) {
		if (request->buffer[i] == command->pattern)
			continue;
		snprintf(world->complaint, sizeof(world->complaint),
			 "%s:%" PRIu32 ": pattern verification failed at %" PRIu64
			 ": 0x%02x instead of 0x%02x",
			 world->workload->name, command->line, command->guest_offset + i,
			 request->buffer[i], command->pattern);
		return;
	}
}

static void execute(struct world *world, const struct world_request *request)
{
	const struct workload_command *command = request->command;
	bool is_read = command->op == REQUEST_READ;
	bool is_write = command->op == REQUEST_WRITE;
	bool is_named =
		command->op == REQUEST_SNAPSHOT_APPLY || command->op == REQUEST_SNAPSHOT_DELETE;
	struct event event = request_event(request, EVENT_REQUEST_INVOKED);
	if (is_read)
		memset(request->buffer, UNREAD_BYTE, (size_t)command->length);
	if (is_named)
		record(world, &event, command->name, strlen(command->name));
	else
		record(world, &event, is_write ? request->buffer : NULL,
		       is_write ? (size_t)command->length : 0);
	int result = world_request_execute(request, world->image);
	bool has_data = is_read && result >= 0;
	event = request_event(request, EVENT_REQUEST_COMPLETED);
	event.result = result;
	record(world, &event, has_data ? request->buffer : NULL,
	       has_data ? (size_t)command->length : 0);
	if (has_data)
		verify(world, request);
}

static void execute_task(void *argument)
{
	const struct world_request *request = argument;
	struct world *world = request->world;
	execute(world, request);
	if (task_has_all_points()) {
		footprint_unlock(session_footprint(), footprint_object(TOUCH_WORLD, 0));
		world->outstanding--;
		return;
	}
	touch(TOUCH_WORLD, 0, ACCESS_ADD);
	if (--world->outstanding == 0)
		co_queue_wake_all(&world->idle);
}

static void wait_for_all(struct world *world)
{
	if (task_has_all_points()) {
		task_await_zero(&world->outstanding, world->idle.name, world->idle.id);
		touch(TOUCH_WORLD, 0, ACCESS_READ);
		return;
	}
	for (;;) {
		touch(TOUCH_WORLD, 0, ACCESS_READ);
		if (!world->outstanding)
			return;
		co_queue_wait(&world->idle);
	}
}

static struct task *begin(struct world *world, struct world_request *request)
{
	touch(TOUCH_WORLD, 0, ACCESS_ADD);
	world->outstanding++;
	struct task *task = sched_spawn(world->sched, request->name, execute_task, request);
	if (!task) {
		fputs("cowtip: out of memory\n", stderr);
		abort();
	}
	return task;
}

/* Begin a request, and with it those behind it that are like it. Returns how many. */
static size_t begin_alike(struct world *world, size_t first)
{
	struct world_request *requests = world->requests.items;
	struct task *task = begin(world, &requests[first]);
	size_t count = 1;
	while (world->options.symmetry && first + count < world->requests.count &&
	       world_requests_are_alike(&requests[first], &requests[first + count])) {
		struct task *next = begin(world, &requests[first + count++]);
		task_follow(next, task);
		task = next;
	}
	return count;
}

/* Returns how many commands were taken. */
static size_t take_command(struct world *world, size_t index)
{
	const struct world_request *request = &world->requests.items[index];
	if (request->command->waits_for_all)
		wait_for_all(world);
	else if (!request->command->is_async)
		execute(world, request);
	else
		return begin_alike(world, index);
	return 1;
}

static int open_errno(enum status status)
{
	switch (status) {
	case STATUS_OK: return 0;
	case STATUS_NO_MEMORY: return -ENOMEM;
	case STATUS_UNSUPPORTED:
	case STATUS_NEWER: return -ENOTSUP;
	case STATUS_FOREIGN:
	case STATUS_CORRUPT:
	case STATUS_TRUNCATED: return -EINVAL;
	case STATUS_IO:
	case STATUS_USAGE:
	case STATUS_BAD_INPUT:
	case STATUS_DIVERGED: return -EIO;
	}
	return -EIO;
}

/* For whoever asks afterwards; as the log, no task reads it. */
AUDIT_EXEMPT static void note_open_failure(struct world *world, const struct why *why)
{
	snprintf(world->open_failure, sizeof(world->open_failure), "%.159s", why->text);
}

static int open_image(struct world *world)
{
	struct qcow2_options options = { .arena = world->arena,
					 .policy = world->options.policy,
					 .allocate_from = world->workload->image.allocate_from,
					 .allocations_max =
						 world->workload->image.allocations_max };
	struct event event = { .kind = EVENT_REQUEST_INVOKED, .op = REQUEST_OPEN, .id = 1 };
	record(world, &event, NULL, 0);
	struct why why = { "" };
	enum status status = qcow2_open(&world->image, world->files.files[0].path, &options, &why);
	if (status != STATUS_OK)
		note_open_failure(world, &why);
	event.kind = EVENT_REQUEST_COMPLETED;
	event.result = open_errno(status);
	record(world, &event, NULL, 0);
	return event.result;
}

static void close_image(struct world *world)
{
	struct event event = {
		.kind = EVENT_REQUEST_INVOKED,
		.op = REQUEST_CLOSE,
		.id = world->close_id,
	};
	record(world, &event, NULL, 0);
	int result = qcow2_close(world->image);
	event.kind = EVENT_REQUEST_COMPLETED;
	event.result = result;
	record(world, &event, NULL, 0);
}

void world_script(void *argument)
{
	struct world *world = argument;
	co_queue_init(&world->idle, "outstanding requests", 0);
	world->outstanding = 0;
	TOUCH_BIND(world->outstanding, TOUCH_WORLD, 0, TOUCH_ALL);
	if (open_image(world) < 0)
		return;
	TOUCH_BIND_CONSTANT(world->image);
	for (size_t i = 0; i < world->requests.count;) {
		task_yield_if_touched();
		i += take_command(world, i);
	}
	wait_for_all(world);
	close_image(world);
}
