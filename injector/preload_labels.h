// SPDX-License-Identifier: MIT
/** Stack labels of a foreign program: where its watched calls come from. */
#ifndef INJECTOR_PRELOAD_LABELS_H
#define INJECTOR_PRELOAD_LABELS_H

#include <stdint.h>

/** The label of the stack of the watched call in progress, declared in the stream when it is new;
 * 0: none can be given. `frame`: the caller's __builtin_frame_address(0). */
uint32_t preload_label_caller(const void *frame);

#endif
