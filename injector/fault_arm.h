// SPDX-License-Identifier: MIT
/** Between fault_point.c, which asks libfiu, and fault_choice.c, which answers for it. */
#ifndef INJECTOR_FAULT_ARM_H
#define INJECTOR_FAULT_ARM_H

#include "injector/fault_menu.h"

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

/** The call that libfiu is being asked about, and what the choice point decided for it: libfiu's
 * callbacks have no parameter for either. One for each thread. */
struct fault_asked {
	const struct fault_call *call; /* borrowed; NULL: none */
	bool is_decided;               /* the choice point was asked */
	struct fault taken;            /* what it said */
};
extern __thread struct fault_asked fault_asked;

#endif
