// SPDX-License-Identifier: MIT
/** Stackful coroutines. Only the scheduler switches; everyone else uses engine/scheduler/sched.h.
 */
#ifndef ENGINE_COROUTINE_CORO_H
#define ENGINE_COROUTINE_CORO_H

#include "injector/snapshot_buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CORO_STACK_BYTES = 128 * 1024,
	CORO_SLOTS = 512,
	/** How far below the stack pointer coro_clear_dead() wipes. The engine's tasks never wait
	 * deeper than 2.5 KiB, so all that may be part of a waiting task's stack is wiped. */
	CORO_DEAD_BYTES = 4 * 1024,
};

struct coro;

/** Create a suspended coroutine on the stack `slot`, the same addresses each time; asserts that no
 * other coroutine is on it. From CORO_SLOTS on: on any stack. Gives; free with coro_free(). NULL
 * when memory is short. */
struct coro *coro_new(void (*body)(void *argument), void *argument, uint32_t slot);

/** Run `co` until it yields or ends. True while it is alive. Only outside coroutines. */
bool coro_resume(struct coro *co);

/** Give control back to the resumer. Only inside a coroutine. */
void coro_yield(void);

/** The running coroutine, NULL outside. */
struct coro *coro_current(void);

/** Give the running coroutine up for good: like coro_yield(), and coro_resume() returns false.
 * Usable from a signal handler on another stack. */
__attribute__((noreturn)) void coro_abandon(void);

/** Free `co`, alive or not, never the running one. NULL is allowed. */
void coro_free(struct coro *co);

/** Is `address` on the stack (or guard area) of `co`? */
bool coro_owns_address(const struct coro *co, const void *address);

/** Is `address` in the guard area below the stack of `co`? */
bool coro_guards_address(const struct coro *co, const void *address);

/** The live part of the stack of `co` (suspended), saved registers included; `*count` bytes,
 * borrowed until it is resumed. */
const uint8_t *coro_live_stack(const struct coro *co, size_t *count);

/** Zero CORO_DEAD_BYTES below the stack pointer of `co` (suspended): what functions left there that
 * have returned. Only where coro_can_snapshot(). */
void coro_clear_dead(const struct coro *co);

/** Can coroutines be saved and loaded in this build? Not with AddressSanitizer. */
bool coro_can_snapshot(void);

/** Is `co` on a stack with a slot of its own? */
bool coro_is_pooled(const struct coro *co);

/** Append the suspended, pooled `co` to `buffer`. */
void coro_save(const struct coro *co, struct snapshot_buffer *buffer);

/** The coroutine that was saved, on the stack where it was: asserts that nobody is on it now.
 * Gives, as coro_new(). */
struct coro *coro_load(struct snapshot_buffer *buffer);

#endif
