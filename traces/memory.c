// SPDX-License-Identifier: MIT
#include "traces/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY_FIRST = 8 };

_Noreturn static void die_of_memory(void)
{
	fputs("cowtip: out of memory\n", stderr);
	abort();
}

void *memory_grow(void *array, size_t *capacity, size_t needed, size_t element_bytes)
{
	if (needed <= *capacity)
		return array;
	size_t target = *capacity ? *capacity : CAPACITY_FIRST;
	while (target < needed) {
		if (target > SIZE_MAX / 2)
			die_of_memory();
		target *= 2;
	}
	if (target > SIZE_MAX / element_bytes)
		die_of_memory();
	void *grown = realloc(array, target * element_bytes);
	if (!grown)
		die_of_memory();
	*capacity = target;
	return grown;
}

char *memory_text(const char *from, size_t bytes)
{
	char *text = malloc(bytes + 1);
	if (!text)
		die_of_memory();
	if (bytes)
		memcpy(text, from, bytes);
	text[bytes] = '\0';
	return text;
}
