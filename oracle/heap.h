// SPDX-License-Identifier: MIT
/** Memory for the judge's own books. A shortage ends the program: a verdict with a gap in its
 * evidence would be a lie. */
#ifndef ORACLE_HEAP_H
#define ORACLE_HEAP_H

#include <stddef.h>

/** `count` zeroed objects of `bytes` bytes. Gives; free with free(). */
void *heap_new(size_t count, size_t bytes);

/** Room for `count` zeroed objects that do not move, most of which may never be used: memory is
 * taken as they are touched. Gives; free with heap_unreserve(). */
void *heap_reserve(size_t count, size_t bytes);
/** Give it back; `room` may be NULL. */
void heap_unreserve(void *room, size_t count, size_t bytes);

/** Make room for `needed` objects of `bytes` bytes behind `old` (taken, may be NULL) and update
 * `*capacity`. Gives the new place. */
void *heap_grow(void *old, size_t *capacity, size_t needed, size_t bytes);

#endif
