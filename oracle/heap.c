// SPDX-License-Identifier: MIT
#include "oracle/heap.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static void require(const void *memory)
{
	if (memory != NULL)
		return;
	fputs("cowtip: memory is short while judging\n", stderr);
	abort();
}

void *heap_new(size_t count, size_t bytes)
{
	void *memory = calloc(count > 0 ? count : 1, bytes > 0 ? bytes : 1);

	require(memory);
	return memory;
}

void *heap_grow(void *old, size_t *capacity, size_t needed, size_t bytes)
{
	size_t wanted = *capacity < 16 ? 16 : *capacity;
	void *memory = NULL;

	if (needed <= *capacity)
		return old;
	while (wanted < needed)
		wanted *= 2;
	if (wanted <= SIZE_MAX / bytes)
		memory = realloc(old, wanted * bytes);
	require(memory);
	*capacity = wanted;
	return memory;
}

void *heap_reserve(size_t count, size_t bytes)
{
	void *room = mmap(NULL, count * bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (room == MAP_FAILED)
		abort();
	return room;
}

void heap_unreserve(void *room, size_t count, size_t bytes)
{
	if (room != NULL)
		munmap(room, count * bytes);
}
