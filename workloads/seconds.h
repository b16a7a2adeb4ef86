// SPDX-License-Identifier: MIT
/** How long something takes. For budgets, progress and reports; nothing that is decided in a run
 * looks at it. */
#ifndef WORKLOADS_SECONDS_H
#define WORKLOADS_SECONDS_H

/** Seconds of a clock that only goes forward, from an arbitrary beginning. */
double seconds_now(void);

#endif
