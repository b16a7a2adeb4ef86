// SPDX-License-Identifier: MIT
/** What is known of a program's run at each of its decisions. See program_trail.c. */
#ifndef WORKLOADS_PROGRAM_TRAIL_H
#define WORKLOADS_PROGRAM_TRAIL_H

#include "injector/gate_wire.h"
#include "injector/strategy_join.h"
#include "traces/trace.h"

#include <stdbool.h>

struct program_trail;

/** Gives; free with program_trail_free(). */
struct program_trail *program_trail_new(void);
/** NULL is allowed. */
void program_trail_free(struct program_trail *trail);

/** Forget the last run. */
void program_trail_begin(struct program_trail *trail);

/** The program rests and asks; `told` events were told so far, and `commands` says which it has
 * read. */
void program_trail_rest(struct program_trail *trail, const struct gate_ask *ask, size_t told,
			uint64_t commands);

/** A decision was made that the schedule has: about the next step, or about something else. */
void program_trail_decided(struct program_trail *trail, bool is_step);

/** The step is to let `call` go; NULL: to read the command with this number. */
void program_trail_step(struct program_trail *trail, const struct gate_wire_call *call,
			uint64_t command);

/** With which fault the call is let go: option `pick`. */
void program_trail_fault(struct program_trail *trail, uint32_t pick);

/** The run is over: `recorded` has its I/O, with a mark at each rest, `told` what was told;
 * `end_hash` is of its end. */
void program_trail_end(struct program_trail *trail, const struct trace *recorded,
		       const struct event_log *told, uint64_t end_hash);

/** The decisions of the last run, after its end. Borrowed; the same struct in every run. */
const struct join_trail *program_trail_places(const struct program_trail *trail);

#endif
