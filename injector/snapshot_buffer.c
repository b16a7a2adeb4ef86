// SPDX-License-Identifier: MIT
#include "injector/snapshot_buffer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY_FIRST = 16 * 1024 };

void snapshot_buffer_release(struct snapshot_buffer *buffer)
{
	free(buffer->bytes);
	*buffer = (struct snapshot_buffer){ 0 };
}

void snapshot_buffer_clear(struct snapshot_buffer *buffer)
{
	buffer->used = 0;
	buffer->read = 0;
}

void snapshot_buffer_rewind(struct snapshot_buffer *buffer)
{
	buffer->read = 0;
}

static void grow(struct snapshot_buffer *buffer, size_t count)
{
	size_t capacity = buffer->capacity ? buffer->capacity : CAPACITY_FIRST;
	while (capacity - buffer->used < count)
		capacity *= 2;
	buffer->bytes = realloc(buffer->bytes, capacity);
	if (!buffer->bytes) {
		fputs("cowtip: out of memory\n", stderr);
		abort();
	}
	buffer->capacity = capacity;
}

uint8_t *snapshot_buffer_extend(struct snapshot_buffer *buffer, size_t count)
{
	if (buffer->capacity - buffer->used < count || !buffer->bytes)
		grow(buffer, count);
	uint8_t *room = buffer->bytes + buffer->used;
	buffer->used += count;
	return room;
}

void snapshot_buffer_put(struct snapshot_buffer *buffer, const void *from, size_t count)
{
	uint8_t *room = snapshot_buffer_extend(buffer, count);
	if (count > 0)
		memcpy(room, from, count);
}

void snapshot_buffer_get(struct snapshot_buffer *buffer, void *to, size_t count)
{
	assert(buffer->used - buffer->read >= count && "as much as was saved");
	if (count > 0)
		memcpy(to, buffer->bytes + buffer->read, count);
	buffer->read += count;
}
