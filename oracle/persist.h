// SPDX-License-Identifier: MIT
/** The words for a state that a crash may leave under `reorder`, and the image that they describe.
 *
 *  A list of items, separated by commas. Every sector and the size are the newest, but
 *
 *      0x3000=5        the sector at host 0x3000 is what it was after operation 5, 0: at first
 *      0x3000+4096=5   the 4096 bytes from there are
 *      size=24576      the file ends there, what lies behind is lost */
#ifndef ORACLE_PERSIST_H
#define ORACLE_PERSIST_H

#include "traces/content.h"
#include "traces/event.h"

#include <stdint.h>

/** The list stands at the end of a verdict's message, between this and a closing bracket. */
#define PERSIST_LEAD " (persisted: "

/** The list in a verdict's message; NULL: it has none. Gives; free(). */
char *persist_list_of(const char *message);

/** The image after the first `operations` operations of the log, of which `list` persisted. Gives
 * `*content`. STATUS_USAGE: the list does not parse, or names an operation that comes later. */
MUST_USE enum status persist_image(struct content **content, const struct content *initial,
				   const struct event_log *log, uint64_t operations,
				   const char *list, struct why *why);

#endif
