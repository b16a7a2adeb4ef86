// SPDX-License-Identifier: MIT
/** Loops that wait for others by looking again and again: who does that is not run until what it
 * looks at has changed. */
#ifndef ENGINE_SCHEDULER_RETRY_H
#define ENGINE_SCHEDULER_RETRY_H

#include "injector/footprint.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** How often a task goes round before it is blocked. */
enum { RETRY_ROUNDS = 3 };

/** What is known of a task's last steps. Zero bytes: nothing. */
struct retry {
	uint32_t quiet;         /* steps in a row that changed nothing */
	uint32_t held;          /* mutexes that these steps took and did not give back */
	uint32_t rounds;        /* in a row that ended where they began */
	uint64_t place;         /* hash of its stack where a round began; 0: none did */
	uint64_t since;         /* the step behind which the first round began */
	bool is_blocked;        /* does nothing but look again */
	bool had_last_try;      /* was let go on although nothing has changed */
	struct footprint reads; /* in the round in progress and those before it */
};

/** A task's step number `step` ended, in which it touched `footprint`; `stack` is what is live of
 * its stack now. Returns whether the task is blocked from here on. */
bool retry_note_step(struct retry *retry, uint64_t step, const struct footprint *footprint,
		     const uint8_t *stack, size_t stack_bytes);

/** A task's step changed something, or ended with sleep: whatever it does is no retry loop. */
static inline void retry_reset(struct retry *retry)
{
	retry->quiet = 0;
	retry->held = 0;
	retry->rounds = 0;
	retry->place = 0;
	retry->is_blocked = false;
	retry->had_last_try = false;
}

/** Does a step only look? One that gave an answer to the guest, or waited for one, does not. */
bool retry_is_quiet(const struct footprint *footprint);

/** Let a blocked task go round once more, unless it was let already. Returns whether it may. */
bool retry_try_again(struct retry *retry);

#endif
