// SPDX-License-Identifier: MIT
/** The end of a task by its own fault: a failed assertion, a memory fault, a step without end. It
 * ends the run, not the process. */
#ifndef ENGINE_SCHEDULER_DEATH_H
#define ENGINE_SCHEDULER_DEATH_H

#include "traces/trace.h"

#include <stdbool.h>
#include <stdint.h>

/** How every message on the use of a freed object begins; the digits are ARENA_POISON's. */
#define DEATH_BY_POISON "memory fault at address 0xdbdbdbdb... (a freed object was used)"

/** What the last death was. */
struct death {
	char text[512]; /* one clause for a person */
	uint32_t stack; /* label of where it happened, 0: none */
};

/** From now until death_disarm(), faults and failed assertions inside a task abandon its coroutine.
 * `steps` (borrowed) counts the steps begun: a task that spends about two seconds of processor time
 * while it stands still dies too. `labels` (borrowed, may be NULL) takes the stack label. */
void death_arm(struct trace *labels, const uint64_t *steps);

/** Put the signal handlers back that death_arm() replaced. */
void death_disarm(void);

/** Keep the handlers installed between runs, until death_let_go(): twenty system calls are a good
 * part of a short run. Outside runs faults still do what they did before. Not while armed. */
void death_hold(void);

/** Put the handlers back; nothing when they are not held. Not while armed. */
void death_let_go(void);

/** Did a task die since death_arm()? Borrowed until the next death_arm(); NULL: none did. */
const struct death *death_last(void);

/** End the run of the calling task with this message. Outside tasks, print it and abort. */
__attribute__((noreturn, format(printf, 1, 2))) void death_declare(const char *format, ...);

/** Does `word` look like a freed object's bytes used as a pointer, give or take a member's offset?
 * With AddressSanitizer it may be on its way to the shadow address, shifted right by 3. */
bool death_is_poison(uint64_t word);

/** Call `print` (NULL: nothing) before the process aborts because an assertion failed outside
 * tasks; it prints to stderr what repeats the run. */
void death_set_schedule_printer(void (*print)(void));

#endif
