// SPDX-License-Identifier: MIT
/** Stackful coroutines. Only the scheduler switches; everyone else uses engine/scheduler/sched.h.
 */
#ifndef ENGINE_COROUTINE_CORO_H
#define ENGINE_COROUTINE_CORO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CORO_STACK_BYTES = 128 * 1024 };

struct coro;

/** Create a suspended coroutine. Gives; free with coro_free(). Stacks (with a guard area below) are
 * recycled, lowest number first: equal sequences of calls get equal stacks. NULL when memory is
 * short. */
struct coro *coro_new(void (*body)(void *argument), void *argument);

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

#endif
