// SPDX-License-Identifier: MIT
/** Return addresses of the calling stack, and which loaded module each lies in. Allocates nothing.
 */
#ifndef INJECTOR_UNWIND_H
#define INJECTOR_UNWIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	UNWIND_TAKEN_MAX = 32,
	UNWIND_MODULES_MAX = 128,
	UNWIND_PATH_BYTES = 256,
	UNWIND_BUILD_ID_BYTES = 2 * 32 + 1,
};

/** An executable or shared library in this process. */
struct unwind_module {
	uintptr_t base;                       /* what is added to the addresses in its file */
	uintptr_t from;                       /* first address of its segments */
	uintptr_t to;                         /* address after its last segment */
	char path[UNWIND_PATH_BYTES];         /* cut when too long */
	char build_id[UNWIND_BUILD_ID_BYTES]; /* hex, "" when it has none */
};

/** Store up to `addresses_max` return addresses, the caller's own frame left out, innermost first.
 * Returns how many. */
size_t unwind_addresses(uintptr_t *addresses, size_t addresses_max);

/** As unwind_addresses(), beginning with the code that made the intercepted call in progress:
 * frames of the interception are left out. */
size_t unwind_callers(uintptr_t *addresses, size_t addresses_max);

/** A stack that was taken, and where on it each return address lay. */
struct unwind_taken {
	const void *frame; /* of the function that asked */
	size_t count;      /* from there outwards; 0: nothing is known */
	uintptr_t addresses[UNWIND_TAKEN_MAX];
	const uintptr_t *places[UNWIND_TAKEN_MAX];
};

/** As unwind_callers(), slower, and tell in `taken` what unwind_is_again() needs. `frame`: the
 * caller's __builtin_frame_address(0), or that of a function that called it. */
size_t unwind_callers_taken(uintptr_t *addresses, size_t addresses_max, struct unwind_taken *taken,
			    const void *frame);

/** Does the function with this frame stand in the calls of `taken`, which the same function of this
 * thread asked for? False where it cannot be told. */
bool unwind_is_again(const struct unwind_taken *taken, const void *frame);

/** As unwind_addresses(), for the context that a signal handler was given (ucontext_t). The first
 * address is that of the interrupted instruction plus one, so that all of them lie behind the
 * instruction they tell of. */
size_t unwind_addresses_signal(uintptr_t *addresses, size_t addresses_max, void *ucontext);

/** Number of the module that `address` lies in, from 0 and constant from now on; -1 when it lies in
 * none. Not for two threads at a time. */
int unwind_module_number(uintptr_t address);

/** The module of that number; borrowed for ever. */
const struct unwind_module *unwind_module(int number);

#endif
