// SPDX-License-Identifier: MIT
/** What can go wrong with a call: the menu from which one fault of a run is chosen. */
#ifndef INJECTOR_FAULT_MENU_H
#define INJECTOR_FAULT_MENU_H

#include "traces/event.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Kinds of faults; a set is the OR of their bits. */
enum fault_kind {
	FAULT_EIO = 1 << 0,    /* a read, a write, a change of size or a close fails with EIO */
	FAULT_ENOSPC = 1 << 1, /* a write or a change of size fails with ENOSPC */
	FAULT_EINTR = 1 << 2, /* a read, a write or an open fails with EINTR, and may be repeated */
	FAULT_SHORT = 1 << 3, /* a read or a write moves fewer bytes than asked for */
	FAULT_FSYNC = 1 << 4, /* a flush fails with EIO: what it was to make durable may be lost */
	FAULT_OPEN = 1 << 5,  /* an open fails with EIO */
	FAULT_MEMORY = 1 << 6, /* an allocation of the engine's fails */
	FAULT_KINDS_ALL = (1 << 7) - 1,
	/* What a recording had that does not say its kinds. */
	FAULT_KINDS_UNSAID = FAULT_EIO | FAULT_FSYNC | FAULT_OPEN,
};

/** What a call does, as far as its faults go. */
enum fault_call_kind {
	FAULT_CALL_READ,
	FAULT_CALL_WRITE,
	FAULT_CALL_RESIZE, /* ftruncate, fallocate */
	FAULT_CALL_FLUSH,
	FAULT_CALL_OPEN,
	FAULT_CALL_CLOSE,
	FAULT_CALL_MEMORY,
};

/** A call that may fail. */
struct fault_call {
	const char *point; /* libfiu's name, e.g. "posix/io/rw/pwrite"; borrowed */
	enum fault_call_kind kind;
	uint64_t host_offset, length; /* bytes, of a read or a write */
};

/** What goes wrong: an error, or a transfer that is cut short. Neither: nothing. */
struct fault {
	int error;      /* errno, 0: none */
	uint64_t bytes; /* moved instead of all; 0: all */
};

/** Behind a point's name: the point of being cut short. */
#define FAULT_CUT_SUFFIX "/reduce"

enum {
	FAULT_MENU_MAX = 8,
	FAULT_POINT_BYTES = 96, /* of a point's name */
	FAULT_KINDS_BYTES = 80, /* of the names of all kinds, with commas */
};

struct fault_menu {
	struct fault faults[FAULT_MENU_MAX];
	uint32_t count;
};

/** Which faults of `kinds` the call may have, always in the same order, EIO first. `errors` and
 * `cuts`: those of point "<point>", those of "<point>/reduce". */
void fault_menu_of(struct fault_menu *menu, const struct fault_call *call, unsigned kinds,
		   bool errors, bool cuts);

/** As fault_menu_of(), of the faults whose points match `pattern`: a name of points, a trailing `*`
 * allowed. */
void fault_menu_matching(struct fault_menu *menu, const struct fault_call *call, unsigned kinds,
			 const char *pattern);

/** Does the point `name` match? */
bool fault_pattern_matches(const char *pattern, const char *name);

/** What kind of call an I/O is. */
enum fault_call_kind fault_menu_kind(enum io_op op);

/** A transfer that is cut to `bytes` bytes (0: about half), or nearly so: it is cut where two
 * sectors of the file meet and nowhere else. None if there is no such place, or no transfer. */
struct fault fault_cut(const struct fault_call *call, uint64_t bytes);

/** A kind in words. */
struct fault_kind_row {
	const char *name; /* "eio" */
	unsigned kind;
	const char *explanation;
};

/** Number `index`, from 0; NULL behind the last. */
const struct fault_kind_row *fault_kind_row(size_t index);

/** Parse "eio,short" or "all" into a set. False: unknown name. */
bool fault_kinds_parse(const char *text, unsigned *kinds);

/** The set as fault_kinds_parse() takes it. */
void fault_kinds_text(unsigned kinds, char *text, size_t text_bytes);

#endif
