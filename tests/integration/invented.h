// SPDX-License-Identifier: MIT
/** A trace of a program that nobody wrote: for what no program at hand does. */
#ifndef TESTS_INTEGRATION_INVENTED_H
#define TESTS_INTEGRATION_INVENTED_H

#include "traces/trace.h"

/** Into `trace` (initialised, empty): two guest clusters are exchanged by one write of the L2
 * table, whose entries lie in two of its sectors. Done in whole it is right; torn, both entries
 * point to one cluster. */
MUST_USE enum status invented_exchange(struct trace *trace, struct why *why);

#endif
