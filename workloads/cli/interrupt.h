// SPDX-License-Identifier: MIT
/** Ctrl-C: once, and what runs ends in good order; twice, and it ends at once. */
#ifndef WORKLOADS_CLI_INTERRUPT_H
#define WORKLOADS_CLI_INTERRUPT_H

#include <signal.h>

/** From now on SIGINT and SIGTERM set the flag that is returned, each once; the second ends the
 * program as it would have without. */
const volatile sig_atomic_t *interrupt_catch(void);

/** Let them set the flag as often as they come: for processes that are told to end by others. */
void interrupt_catch_always(void);

#endif
