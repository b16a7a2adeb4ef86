// SPDX-License-Identifier: MIT
/** libfiu's failure points, answered by the choice point so that faults are enumerated, never
 * rolled. */
#ifndef INJECTOR_FAULT_POINT_H
#define INJECTOR_FAULT_POINT_H

#include "injector/choice.h"
#include "injector/fault_menu.h"
#include "traces/trace.h"

#include <stdbool.h>
#include <stdint.h>

/** Initialise libfiu (once a process). */
void fault_point_init(void);

/** Which faults a run may have. */
struct fault_options {
	const char *points; /* a name of points, a trailing `*` allowed; NULL or "*": every call's
			       and the engine's memory */
	unsigned kinds;     /* set of fault_kind bits; 0: all */
	uint32_t faults_max;
};

/** Add to `trace` the settings that say so. */
void fault_options_to_trace(const struct fault_options *options, struct trace *trace);

/** Begin a run that may have faults as `options` say, which are copied. Nothing is enabled when
 * `faults_max` is 0 or `choice` is NULL; points enabled by others (fiu_enable, fiu-ctrl, fiu-run)
 * work all the same. */
void fault_point_begin(struct choice *choice, const struct fault_options *options);

/** The run is over: disable what fault_point_begin() enabled. */
void fault_point_end(void);

/** How many more faults this run may have; a snapshot of the run holds it. */
uint32_t fault_point_left(void);
void fault_point_set_left(uint32_t faults_left);

/** What goes wrong with the call? Asks libfiu about its point and, for a transfer, about
 * "<point>/reduce". Of points enabled by others the failinfo is the errno (0: EIO), for "reduce"
 * the number of bytes (0: about half). */
struct fault fault_point_ask(const struct fault_call *call);

/** Switch a known bug "engine/bug/<name>" on. */
void known_bug_enable(const char *name);

/** Switch all known bugs off. */
void known_bugs_disable(void);

/** True while any known bug may be on: the one branch that a build without bugs pays. */
extern bool known_bugs_armed;

/** Is the known bug on? Do not call directly: use KNOWN_BUG(). */
bool known_bug_is_on(const char *point);

/** True when the known bug `name` (a string literal) is switched on; one predictable branch when
 * none is. */
#define KNOWN_BUG(name)                                                                            \
	(__builtin_expect(known_bugs_armed, 0) && known_bug_is_on("engine/bug/" name))

#endif
