// SPDX-License-Identifier: MIT
/** The engine's memory: what is freed is poisoned and kept in quarantine, so that its use is
 * noticed in every build. */
#ifndef ENGINE_MEMORY_ARENA_H
#define ENGINE_MEMORY_ARENA_H

#include "injector/snapshot_buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Every byte of a freed object; eight of them are not a canonical address. */
enum { ARENA_POISON = 0xdb };

/** Pools that arena_select() tells apart. */
enum { ARENA_POOLS = 512 };

struct arena;

/** A new arena; address space is reserved, memory is taken as it is used. Gives; NULL when it
 * cannot be reserved. */
struct arena *arena_new(void);

/** Give everything back. NULL is allowed. */
void arena_free(struct arena *arena);

/** Forget every object at once; pool 0 is selected. */
void arena_reset(struct arena *arena);

/** Take from `pool` from now on: the slot of the task that runs, 0 outside of tasks and for slots
 * from ARENA_POOLS on. Since the last reset, equal sequences of calls made while a pool was
 * selected return equal addresses, whatever was done with other pools selected. The exception is
 * what does not fit in a task's 8 MiB: that comes from pool 0. */
void arena_select(struct arena *arena, uint32_t pool);

/** `bytes` zero bytes, aligned to 16. NULL when the arena is full, or an injected fault says so. */
void *arena_take(struct arena *arena, size_t bytes);

/** Poison `object` and quarantine it, whichever pool it is of. NULL is allowed. Asserts that it is
 * live and that nobody wrote past its end: a double free dies here. */
void arena_give(struct arena *arena, void *object);

/** Is every quarantined object still poisoned, every red zone untouched? On false `*object` (may be
 * NULL) is the first that is not: somebody wrote to freed memory or past an object's end. */
bool arena_is_intact(const struct arena *arena, const void **object);

/** Say in `text` what is wrong with `object`, as found by arena_is_intact(). The text holds no
 * address: the same mistake reads the same in every process. */
void arena_explain(const struct arena *arena, const void *object, char *text, size_t text_bytes);

/** Bytes in live objects. */
size_t arena_live_bytes(const struct arena *arena);

/** Told of the bytes that a pool's blocks use, those of freed ones included; borrowed. */
typedef void arena_visitor(void *context, uint32_t pool, const uint8_t *bytes, size_t count);

/** Call `visit` for each pool in use, in order of number. All bytes of a run's arena are there, and
 * they are a function of what the run's tasks did. */
void arena_visit(const struct arena *arena, arena_visitor *visit, void *context);

/** Append all that the arena holds to `buffer`. */
void arena_save(const struct arena *arena, struct snapshot_buffer *buffer);

/** Make `arena` what it was when it was saved: the same bytes at the same addresses. */
void arena_load(struct arena *arena, struct snapshot_buffer *buffer);

#endif
