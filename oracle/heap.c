// SPDX-License-Identifier: MIT
#include "oracle/heap.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

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
