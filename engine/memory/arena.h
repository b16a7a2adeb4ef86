// SPDX-License-Identifier: MIT
/** The engine's memory: what is freed is poisoned and kept in quarantine, so that its use is
 * noticed in every build. */
#ifndef ENGINE_MEMORY_ARENA_H
#define ENGINE_MEMORY_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Every byte of a freed object; eight of them are not a canonical address. */
enum { ARENA_POISON = 0xdb };

struct arena;

/** A new arena; address space is reserved, memory is taken as it is used. Gives; NULL when it
 * cannot be reserved. */
struct arena *arena_new(void);

/** Give everything back. NULL is allowed. */
void arena_free(struct arena *arena);

/** Forget every object at once. Equal sequences of calls after a reset return equal addresses. */
void arena_reset(struct arena *arena);

/** `bytes` zero bytes, aligned to 16. NULL when the arena is full. */
void *arena_take(struct arena *arena, size_t bytes);

/** Poison `object` and quarantine it. NULL is allowed. Asserts that it is live and that nobody
 * wrote past its end: a double free dies here. */
void arena_give(struct arena *arena, void *object);

/** Is every quarantined object still poisoned, every red zone untouched? On false `*object` (may be
 * NULL) is the first that is not: somebody wrote to freed memory or past an object's end. */
bool arena_is_intact(const struct arena *arena, const void **object);

/** Say in `text` what is wrong with `object`, as found by arena_is_intact(). The text holds no
 * address: the same mistake reads the same in every process. */
void arena_explain(const struct arena *arena, const void *object, char *text, size_t text_bytes);

/** Bytes in live objects. */
size_t arena_live_bytes(const struct arena *arena);

#endif
