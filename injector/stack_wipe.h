// SPDX-License-Identifier: MIT
/** Zeros in place of what calls that have returned left on the stack. */
#ifndef INJECTOR_STACK_WIPE_H
#define INJECTOR_STACK_WIPE_H

enum { STACK_WIPE_BYTES = 2048 };

/** Zero about STACK_WIPE_BYTES of the stack below the caller's frame. */
void stack_wipe(void);

#endif
