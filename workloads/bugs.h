// SPDX-License-Identifier: MIT
/** Known bugs by name, and the group "2012" that switches on what the proposal's patch really had.
 */
#ifndef WORKLOADS_BUGS_H
#define WORKLOADS_BUGS_H

#include <stdbool.h>

/** Is `name` a known bug of the engine, or the group? */
bool bugs_is_known(const char *name);

/** Switch on the known bug `name`, or every bug of the group. Asserts that it is known. */
void bugs_enable(const char *name);

#endif
