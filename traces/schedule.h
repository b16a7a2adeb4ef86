// SPDX-License-Identifier: MIT
/** A schedule: the picks of one run at its choice points, and their short printable form.
 *
 *  Only points with two or more options are in a schedule. The text form is `s1:` and one symbol a
 *  pick: 0-9 a-z for 0..35, `(n)` for larger ones; a pick repeated k >= 4 times is `<symbol>*<k>.`;
 *  trailing zeros are left out, because a run that goes past its schedule takes option 0. `s1:`
 *  alone is the all-zero schedule. */
#ifndef TRACES_SCHEDULE_H
#define TRACES_SCHEDULE_H

#include "traces/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SCHEDULE_PICKS_MAX = 1 << 20 };

struct schedule_step {
	/** 0 .. count - 1 */
	uint32_t pick;
	/** Options there were; 0 when not known (parsed from text). */
	uint32_t count;
};

/** Picks in order. Owned by whoever initialised it. */
struct schedule {
	/** Owned. */
	struct schedule_step *steps;
	size_t count;
	size_t capacity;
};

/** Make `schedule` empty; owns nothing yet. */
void schedule_init(struct schedule *schedule);

/** Free what `schedule` owns; it is empty afterwards. */
void schedule_release(struct schedule *schedule);

/** Forget all steps, keep the memory. */
void schedule_reset(struct schedule *schedule);

/** Append one pick. Aborts when memory is short or SCHEDULE_PICKS_MAX is passed. */
void schedule_append(struct schedule *schedule, uint32_t pick, uint32_t count);

/** Make `to` (initialised) equal to `from`. */
void schedule_copy(struct schedule *to, const struct schedule *from);

/** The printable form. Gives a string for free(); NULL when memory is short. */
char *schedule_print(const struct schedule *schedule);

/** Parse the printable form into `schedule` (initialised; replaced). STATUS_BAD_INPUT names the
 *  column; `schedule` is empty then. Any repetition 1 .. SCHEDULE_PICKS_MAX is accepted, and so are
 *  trailing zeros. */
MUST_USE enum status schedule_parse(struct schedule *schedule, const char *text, struct why *why);

#endif
