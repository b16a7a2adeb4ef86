// SPDX-License-Identifier: MIT
/** Faults that a report names, in the manner of blkdebug: when the engine comes to a step of its
 * own, a rule becomes active, and the next call that fits it fails. Not a choice: every run has
 * them. */
#ifndef INJECTOR_FAULT_RULES_H
#define INJECTOR_FAULT_RULES_H

#include "traces/event.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FAULT_RULES_MAX = 32, FAULT_RULE_SECTOR_BYTES = 512 };

#define FAULT_RULE_ANY_SECTOR UINT64_MAX

/** One rule. A run begins in state 1. */
struct fault_rule {
	uint8_t event;      /* the engine's step that it belongs to; its number is the engine's */
	uint32_t state;     /* holds in this state only; 0: in all */
	uint32_t new_state; /* go to this state; 0: it is an error */
	unsigned ops;       /* set of 1 << enum io_op: which calls may fail */
	int error;          /* errno */
	uint64_t sector;    /* that a call must contain, of 512 bytes; FAULT_RULE_ANY_SECTOR */
	bool once;          /* it fails one call, and is no more */
};

/** Where a run is in its rules; zero bytes before it begins. */
struct fault_rules_state {
	uint32_t state;
	uint32_t active; /* set of rules */
	uint32_t spent;  /* set of rules that are no more */
};

/** Begin a run with these rules (borrowed until fault_rules_end()); at most FAULT_RULES_MAX. */
void fault_rules_begin(const struct fault_rule *rules, size_t count);

/** The run is over. */
void fault_rules_end(void);

/** True while there are rules: the one branch that a run without them pays. */
extern bool fault_rules_armed;

/** The engine comes to step `event`. Do not call directly: use FAULT_EVENT(). */
void fault_rules_event(uint8_t event);

/** The engine comes to step `event`, right before the call that makes it. */
#define FAULT_EVENT(event)                                                                         \
	do {                                                                                       \
		if (__builtin_expect(fault_rules_armed, 0))                                        \
			fault_rules_event(event);                                                  \
	} while (0)

/** A call on the image is submitted: the errno that it is to fail with; 0: none. */
int fault_rules_ask(enum io_op op, uint64_t host_offset, uint64_t length);

/** Where the run is; for snapshots and hashes of states. */
struct fault_rules_state fault_rules_state(void);
void fault_rules_set_state(const struct fault_rules_state *state);

#endif
