// SPDX-License-Identifier: MIT
/** Between fault_point.c, which asks libfiu, and fault_choice.c, which answers for it. */
#ifndef INJECTOR_FAULT_ARM_H
#define INJECTOR_FAULT_ARM_H

#include <fiu-control.h>
#include <stdbool.h>

/** Put before the libfiu functions that we stand in front of. */
#define FAULT_EXPORT __attribute__((visibility("default")))

/** May any point of a call be enabled? */
extern bool fault_calls_armed;

/** Points of calls are, or are no longer, enabled on behalf of the run. */
void fault_arm_calls(bool armed);

/** Enable the points that match `name` for the run; `decide` says which calls fail. Returns 0, or
 * -1 when memory is short. */
int fault_enable_external(const char *name, external_cb_t *decide);

#endif
