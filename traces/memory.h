// SPDX-License-Identifier: MIT
/** Memory for lists that only grow. Running out of it ends the program with one line on stderr: a
 *  list with a gap would be a lie. */
#ifndef TRACES_MEMORY_H
#define TRACES_MEMORY_H

#include <stddef.h>

/** Make room in `array` (NULL when empty) for at least `needed` elements of `element_bytes` bytes.
 *  Doubles, so that appending costs amortised constant time. Returns the array, which may have
 *  moved, and updates `*capacity`. */
void *memory_grow(void *array, size_t *capacity, size_t needed, size_t element_bytes);

/** A copy of `bytes` bytes at `from` with a 0 byte behind them. Gives; for free(). */
char *memory_text(const char *from, size_t bytes);

#endif
