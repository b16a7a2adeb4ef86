// SPDX-License-Identifier: MIT
/* Undefined behaviour that the sanitizer finds is a death like any other.
 *
 * In a build with -fsanitize=undefined the compiler checks a pointer before it is used and calls a
 * handler of the sanitizer's library, which ends the process: a freed pointer would never get as
 * far as its memory fault. The handlers are ordinary functions, so the program may bring its own.
 * These declare a death, with the same message for freed objects as without the sanitizer.
 *
 * Only gcc's sanitizer is served: it keeps its handlers in a shared library, in front of which ours
 * are found. clang's are linked into the program, where a second definition is an error.
 */
#include "engine/scheduler/death.h"

#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__) && !defined(__clang__)

/** Where it happened; the first member of what each handler is given. */
struct ubsan_place {
	const char *file;
	uint32_t line;
	uint32_t column;
};

/** Define a handler that dies with `what`. */
#define UNDEFINED(handler, what)                                                                   \
	__attribute__((noreturn)) void __ubsan_handle_##handler(const struct ubsan_place *place);  \
	void __ubsan_handle_##handler(const struct ubsan_place *place)                             \
	{                                                                                          \
		death_declare("undefined behaviour (" what ") at %s:%u", place->file,              \
			      place->line);                                                        \
	}

UNDEFINED(add_overflow_abort, "signed addition overflows")
UNDEFINED(sub_overflow_abort, "signed subtraction overflows")
UNDEFINED(mul_overflow_abort, "signed multiplication overflows")
UNDEFINED(negate_overflow_abort, "signed negation overflows")
UNDEFINED(divrem_overflow_abort, "division by zero or overflow")
UNDEFINED(shift_out_of_bounds_abort, "shift by too much")
UNDEFINED(out_of_bounds_abort, "index out of bounds")
UNDEFINED(load_invalid_value_abort, "value not of its type")
UNDEFINED(pointer_overflow_abort, "pointer arithmetic overflows")
UNDEFINED(vla_bound_not_positive_abort, "array length not positive")
UNDEFINED(nonnull_arg_abort, "null argument")
UNDEFINED(invalid_builtin_abort, "zero passed to a bit count")
UNDEFINED(builtin_unreachable, "unreachable code reached")
UNDEFINED(missing_return, "no value returned")

__attribute__((noreturn)) void
__ubsan_handle_type_mismatch_v1_abort(const struct ubsan_place *place, uintptr_t pointer);

/** A null or misaligned pointer; poison is both wild and misaligned. */
void __ubsan_handle_type_mismatch_v1_abort(const struct ubsan_place *place, uintptr_t pointer)
{
	if (!pointer)
		death_declare("null pointer used at %s:%u", place->file, place->line);
	if (death_is_poison(pointer))
		death_declare(DEATH_BY_POISON " at %s:%u", place->file, place->line);
	death_declare("misaligned pointer used at %s:%u", place->file, place->line);
}

#endif
