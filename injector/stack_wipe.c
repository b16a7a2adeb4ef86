// SPDX-License-Identifier: MIT
#include "injector/stack_wipe.h"

#include <stdint.h>
#include <string.h>

/* A frame of its own, as large as what is to be wiped. explicit_bzero() is the memset() that a
 * compiler keeps although nobody reads the bytes again. AddressSanitizer keeps variables elsewhere:
 * there is no use in it then, and no harm. */
__attribute__((noinline, noclone)) void stack_wipe(void)
{
	uint8_t below[STACK_WIPE_BYTES];

	explicit_bzero(below, sizeof(below));
}
