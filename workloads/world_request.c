// SPDX-License-Identifier: MIT
/* Requests, laid out before the first run: what a write carries does not depend on the
 * interleaving, so nothing is filled or allocated while runs go on. */
#include "workloads/guest.h"
#include "workloads/world_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool carries_data(const struct workload_command *command)
{
	return command->op == REQUEST_WRITE || command->op == REQUEST_READ;
}

static const char *spelling(const struct workload_command *command)
{
	if (command->waits_for_all)
		return "aio_flush";
	return request_op_name(command->op);
}

static void lay_out_pieces(struct world_request *request)
{
	const struct workload_command *command = request->command;
	size_t count = command->piece_count ? command->piece_count : 1;
	request->buffer = calloc(1, command->length ? command->length : 1);
	request->vector = calloc(count, sizeof(*request->vector));
	if (!request->buffer || !request->vector)
		abort();
	request->vector_count = (int)count;
	uint8_t *at = request->buffer;
	for (size_t i = 0; i < count; i++) {
		uint64_t length = command->piece_count ? command->pieces[i] : command->length;
		request->vector[i] = (struct iovec){ .iov_base = at, .iov_len = (size_t)length };
		at += length;
	}
}

enum status world_requests_init(struct world_requests *requests, const struct workload *workload,
				const struct workload_command *commands, size_t count,
				struct why *why)
{
	uint64_t total_bytes = 0;
	*requests = (struct world_requests){ 0 };
	for (size_t i = 0; i < count; i++) {
		if (commands[i].compressed)
			return why_set(why, STATUS_BAD_INPUT,
				       "%s:%" PRIu32 ": the built-in engine does not write "
				       "compressed clusters: that takes a program (--program)",
				       workload->name, commands[i].line);
		total_bytes += carries_data(&commands[i]) ? commands[i].length : 0;
		if (total_bytes > WORLD_DATA_BYTES_MAX)
			return why_set(
				why, STATUS_BAD_INPUT,
				"%s:%" PRIu32 ": reads and writes of more than %d MiB in all",
				workload->name, commands[i].line, WORLD_DATA_BYTES_MAX >> 20);
	}
	requests->items = calloc(count ? count : 1, sizeof(*requests->items));
	if (!requests->items)
		abort();
	requests->count = count;
	for (size_t i = 0; i < count; i++) {
		struct world_request *request = &requests->items[i];
		request->command = &commands[i];
		snprintf(request->name, sizeof(request->name), "%s line %" PRIu32,
			 spelling(request->command), request->command->line);
		if (carries_data(request->command))
			lay_out_pieces(request);
	}
	return STATUS_OK;
}

void world_requests_release(struct world_requests *requests)
{
	for (size_t i = 0; i < requests->count; i++) {
		free(requests->items[i].buffer);
		free(requests->items[i].vector);
	}
	free(requests->items);
	*requests = (struct world_requests){ 0 };
}

uint32_t world_requests_fill(struct world_requests *requests, uint32_t first_id, bool stamps)
{
	uint32_t next_id = first_id;
	for (size_t i = 0; i < requests->count; i++) {
		struct world_request *request = &requests->items[i];
		const struct workload_command *command = request->command;
		if (command->waits_for_all)
			continue;
		request->id = next_id++;
		if (command->op != REQUEST_WRITE)
			continue;
		struct guest_data data = { request->id, command->pattern, command->guest_offset };
		if (stamps)
			guest_fill_stamped(request->buffer, (size_t)command->length, &data);
		else
			memset(request->buffer, command->pattern, (size_t)command->length);
	}
	return next_id;
}

bool world_requests_are_alike(const struct world_request *a, const struct world_request *b)
{
	const struct workload_command *x = a->command, *y = b->command;
	return x->is_async && y->is_async && !x->waits_for_all && !y->waits_for_all &&
	       x->op == y->op && x->unmap == y->unmap && x->guest_offset == y->guest_offset &&
	       x->length == y->length && x->piece_count == y->piece_count &&
	       (x->piece_count == 0 ||
		memcmp(x->pieces, y->pieces, x->piece_count * sizeof(x->pieces[0])) == 0);
}

int world_request_execute(const struct world_request *request, struct qcow2 *image)
{
	const struct workload_command *command = request->command;
	switch (command->op) {
	case REQUEST_READ:
		return qcow2_readv(image, command->guest_offset, request->vector,
				   request->vector_count);
	case REQUEST_WRITE:
		return qcow2_writev(image, command->guest_offset, request->vector,
				    request->vector_count);
	case REQUEST_WRITE_ZEROES:
		return qcow2_write_zeroes(image, command->guest_offset, command->length,
					  command->unmap);
	case REQUEST_DISCARD: return qcow2_discard(image, command->guest_offset, command->length);
	case REQUEST_FLUSH: return qcow2_flush(image);
	case REQUEST_TRUNCATE: return qcow2_truncate(image, command->guest_offset);
	case REQUEST_SNAPSHOT: return qcow2_snapshot_create(image, command->name);
	case REQUEST_SNAPSHOT_APPLY: return qcow2_snapshot_apply(image, command->name);
	case REQUEST_SNAPSHOT_DELETE: return qcow2_snapshot_delete(image, command->name);
	case REQUEST_OPEN:
	case REQUEST_CLOSE: break;
	}
	abort();
}
