// SPDX-License-Identifier: MIT
/** What can go wrong in the world outside: one enum, and one line of text: what, where, why. */
#ifndef TRACES_STATUS_H
#define TRACES_STATUS_H

/** Put before a function whose result must be looked at. */
#define MUST_USE __attribute__((warn_unused_result))

enum status {
	STATUS_OK,          /* it worked */
	STATUS_NO_MEMORY,   /* an allocation failed */
	STATUS_IO,          /* the operating system refused: file missing, disk full, ... */
	STATUS_USAGE,       /* the command line makes no sense */
	STATUS_BAD_INPUT,   /* a file's text makes no sense (workload, schedule, image) */
	STATUS_FOREIGN,     /* not a file of the expected kind */
	STATUS_NEWER,       /* of the expected kind, written by a newer version */
	STATUS_TRUNCATED,   /* ends too early; what was read so far is good */
	STATUS_CORRUPT,     /* contradicts itself or its checksum */
	STATUS_UNSUPPORTED, /* legal, and not supported yet */
	STATUS_DIVERGED,    /* a replay left its recording */
};

enum { WHY_BYTES = 512 };

/** One line for a person: what failed first, subject in quotes, no full stop. */
struct why {
	char text[WHY_BYTES];
};

/** Return the stable name of `status`, e.g. "truncated". Never NULL. */
const char *status_name(enum status status);

/** Store a formatted line in `why` (may be NULL; cut when too long) and return `status`, so that
 *  `return why_set(why, STATUS_IO, "cannot open '%s': %s", path, strerror(errno));` is one line. */
enum status why_set(struct why *why, enum status status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
