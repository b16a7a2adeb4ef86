// SPDX-License-Identifier: MIT
/** The controller's side of the gate: run an unmodified program step by step.
 *
 *  A step ends when the program is at rest: its main thread waits for something to happen and all
 * other threads sleep, some of them in front of the gate. Then the controller lets one of the
 * waiting calls take effect, or gives the program something to read. See preload_gate.c for the
 * other side. */
#ifndef INJECTOR_GATE_PROGRAM_H
#define INJECTOR_GATE_PROGRAM_H

#include "injector/fault_menu.h"
#include "injector/gate_wire.h"
#include "injector/record_program.h"

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum gated_state {
	GATED_RESTS, /* `ask` has what waits: answer */
	GATED_ENDED, /* it exited or was killed: finish */
};

/** The program just before its first instruction: each run is a fork of it, which saves finding and
 * linking it anew. */
struct gated_server {
	struct record_run record; /* its tail is owned, mapped */
	int socket;
	bool started;
};

/** One run of a program. Zero-initialised; the fields are for reading. */
struct gated_run {
	struct gate_ask ask; /* valid in GATED_RESTS */
	char *output;        /* owned; what it said in the last step, 0-terminated; NULL: nothing */
	size_t output_bytes;
	size_t output_capacity;
	int input; /* to its standard input; -1: closed */
	int said;  /* from its standard output and error */
	int control;
	pid_t process;        /* 0: it was not started */
	cpu_set_t processors; /* on which we may be, beside this run */
};

/** Load the program; `options` as for record_program(). */
MUST_USE enum status gated_server_start(struct gated_server *server,
					const struct record_options *options, struct why *why);

/** End the server, if it was started; runs are over. */
void gated_server_stop(struct gated_server *server);

/** Start a run. `options` are the server's. STATUS_UNSUPPORTED: the program cannot be held: it did
 * not load the recorder. */
MUST_USE enum status gated_start(struct gated_run *run, struct gated_server *server,
				 const struct record_options *options, struct why *why);

/** As gated_start(), with a set of GATE_ORDER bits. */
MUST_USE enum status gated_start_with(struct gated_run *run, struct gated_server *server,
				      const struct record_options *options, unsigned flags,
				      struct why *why);

/** Wait for the end of the step in progress. STATUS_UNSUPPORTED: the program never comes to rest,
 * or is of a kind that the gate cannot hold; `why` says which. It is to be killed then. */
MUST_USE enum status gated_wait(struct gated_run *run, enum gated_state *state, struct why *why);

/** Let call number `call` of the question go on. The next step begins. */
void gated_let_go(struct gated_run *run, uint32_t call);

/** Let call number `call` go on, and fail, or be cut short. */
void gated_let_fail(struct gated_run *run, uint32_t call, const struct fault *fault);

/** Give the program `text` to read; NULL: the end of its input. The next step begins. */
void gated_feed(struct gated_run *run, const char *text);

/** Let the program look once more at what it polls: something has come there, or may come. The next
 * step begins. */
void gated_go_on(struct gated_run *run);

/** Ask the program to end (SIGTERM), which interrupts its wait. The next step begins. */
void gated_terminate(struct gated_run *run);

/** End the program at once. */
void gated_kill(struct gated_run *run);

/** Wait for the program's end and read its recording: as record_collect(). Frees what the run owns,
 * whatever happens; a run that was not started is fine. */
MUST_USE enum status gated_finish(struct gated_run *run, struct gated_server *server,
				  const struct record_options *options,
				  struct record_result *result, struct why *why);

#endif
