// SPDX-License-Identifier: MIT
/** The gate inside a foreign program: its worker threads wait in front of every watched call until
 *  the controller lets one of them go on. See preload_gate.c. */
#ifndef INJECTOR_PRELOAD_GATE_H
#define INJECTOR_PRELOAD_GATE_H

#include "traces/event.h"

#include <stdbool.h>
#include <stddef.h>

/** Close the gate, if the environment says so. Called once, on the main thread. */
void preload_gate_init(void);

/** Look up libc's own of the calls that the gate interposes: in a server, so that no run need. */
void preload_gate_find(void);

/** Is the calling thread one that has to wait at the gate? */
bool preload_gate_holds(void);

/** `event` is about to be recorded by the calling thread. False: not by it. The submission of a
 * held call is recorded by the main thread, when all that arrived are known. Else the event gets
 * the names under which the call went through the gate. */
bool preload_gate_sign(struct event *event);

/** The recording is complete: end a gated program that has called exit(3). Returns when it has not,
 * or is not gated. */
void preload_gate_leave(void);

/** Is `descriptor` the one that leads to the controller? */
bool preload_gate_owns(int descriptor);

#endif
