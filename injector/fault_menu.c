// SPDX-License-Identifier: MIT
/* What can go wrong with a call.
 *
 * Every option multiplies the runs of a search, so there are few: each error that a caller may have
 * to treat in its own way once, and of a transfer that is cut short two lengths, not all: about
 * half of its sectors, and all but the last.
 *
 * A transfer is cut where two sectors of the file meet. A sector is written as a whole or not at
 * all, here as in every crash model: a caller who overwrites one entry of a table could not protect
 * itself against half an entry. And it is read as a whole: who reads half a sector, and the other
 * half after a write to it, has read what was never there, and could do nothing about it. So a
 * transfer inside one sector is never short. */
#include "injector/fault_menu.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { SECTOR_BYTES = 512 };

static const struct fault_kind_row rows[] = {
	{ "eio", FAULT_EIO, "a read, a write, a change of size or a close fails with EIO" },
	{ "enospc", FAULT_ENOSPC, "a write or a change of size fails with ENOSPC" },
	{ "eintr", FAULT_EINTR, "a read, a write or an open fails with EINTR: it may be repeated" },
	{ "short", FAULT_SHORT,
	  "a read or a write moves half of its sectors, or all but the last" },
	{ "fsync", FAULT_FSYNC,
	  "a flush fails with EIO: what it was to make durable may be lost, although a later one "
	  "succeeds" },
	{ "open", FAULT_OPEN, "an open fails with EIO" },
	{ "memory", FAULT_MEMORY, "the engine asks for memory and gets none" },
};

const struct fault_kind_row *fault_kind_row(size_t index)
{
	return index < sizeof(rows) / sizeof(rows[0]) ? &rows[index] : NULL;
}

static unsigned kind_of(const char *name, size_t bytes)
{
	const struct fault_kind_row *row = NULL;

	if (bytes == 3 && memcmp(name, "all", bytes) == 0)
		return FAULT_KINDS_ALL;
	for (size_t i = 0; (row = fault_kind_row(i)); i++)
		if (strlen(row->name) == bytes && memcmp(row->name, name, bytes) == 0)
			return row->kind;
	return 0;
}

bool fault_kinds_parse(const char *text, unsigned *kinds)
{
	*kinds = 0;
	for (;;) {
		size_t bytes = strcspn(text, ",");
		unsigned kind = kind_of(text, bytes);
		if (kind == 0)
			return false;
		*kinds |= kind;
		if (text[bytes] == '\0')
			return true;
		text += bytes + 1;
	}
}

void fault_kinds_text(unsigned kinds, char *text, size_t text_bytes)
{
	const struct fault_kind_row *row = NULL;

	text[0] = '\0';
	for (size_t i = 0; (row = fault_kind_row(i)); i++) {
		size_t used = strlen(text);
		if (kinds & row->kind)
			snprintf(text + used, text_bytes - used, "%s%s", used ? "," : "",
				 row->name);
	}
}

struct fault fault_cut(const struct fault_call *call, uint64_t bytes)
{
	bool is_transfer = call->kind == FAULT_CALL_READ || call->kind == FAULT_CALL_WRITE;
	uint64_t wanted = bytes != 0 ? bytes : call->length / 2;
	uint64_t into_sector = (call->host_offset + wanted) % SECTOR_BYTES;

	/* Down to where a sector begins, or, in the first one, up to where it ends. */
	if (into_sector < wanted)
		wanted -= into_sector;
	else
		wanted += SECTOR_BYTES - into_sector;
	return (struct fault){ .bytes = is_transfer && wanted < call->length ? wanted : 0 };
}

static void add(struct fault_menu *menu, bool is_wanted, struct fault fault)
{
	if (is_wanted && (fault.error != 0 || fault.bytes != 0))
		menu->faults[menu->count++] = fault;
}

static void add_errors(struct fault_menu *menu, enum fault_call_kind call, unsigned kinds)
{
	static const unsigned eio_of[] = {
		[FAULT_CALL_READ] = FAULT_EIO,   [FAULT_CALL_WRITE] = FAULT_EIO,
		[FAULT_CALL_RESIZE] = FAULT_EIO, [FAULT_CALL_FLUSH] = FAULT_FSYNC,
		[FAULT_CALL_OPEN] = FAULT_OPEN,  [FAULT_CALL_CLOSE] = FAULT_EIO,
		[FAULT_CALL_MEMORY] = 0,
	};
	bool is_read = call == FAULT_CALL_READ;
	bool is_write = call == FAULT_CALL_WRITE;

	add(menu, kinds & eio_of[call], (struct fault){ .error = EIO });
	add(menu, (is_write || call == FAULT_CALL_RESIZE) && (kinds & FAULT_ENOSPC),
	    (struct fault){ .error = ENOSPC });
	add(menu, (is_read || is_write || call == FAULT_CALL_OPEN) && (kinds & FAULT_EINTR),
	    (struct fault){ .error = EINTR });
	add(menu, call == FAULT_CALL_MEMORY && (kinds & FAULT_MEMORY),
	    (struct fault){ .error = ENOMEM });
}

void fault_menu_of(struct fault_menu *menu, const struct fault_call *call, unsigned kinds,
		   bool errors, bool cuts)
{
	menu->count = 0;
	if (errors)
		add_errors(menu, call->kind, kinds);
	if (!cuts || !(kinds & FAULT_SHORT))
		return;
	struct fault half = fault_cut(call, 0);
	struct fault most = { 0 };
	if (call->length > 1)
		most = fault_cut(call, call->length - 1);
	add(menu, true, half);
	add(menu, most.bytes != half.bytes, most);
}

bool fault_pattern_matches(const char *pattern, const char *name)
{
	size_t length = strlen(pattern);

	if (length > 0 && pattern[length - 1] == '*')
		return strncmp(pattern, name, length - 1) == 0;
	return strcmp(pattern, name) == 0;
}

void fault_menu_matching(struct fault_menu *menu, const struct fault_call *call, unsigned kinds,
			 const char *pattern)
{
	char cut[FAULT_POINT_BYTES];

	snprintf(cut, sizeof(cut), "%s" FAULT_CUT_SUFFIX, call->point);
	fault_menu_of(menu, call, kinds, fault_pattern_matches(pattern, call->point),
		      fault_pattern_matches(pattern, cut));
}

enum fault_call_kind fault_menu_kind(enum io_op op)
{
	switch (op) {
	case IO_READ: return FAULT_CALL_READ;
	case IO_WRITE: return FAULT_CALL_WRITE;
	case IO_FLUSH: return FAULT_CALL_FLUSH;
	case IO_RESIZE:
	case IO_ZERO:
	case IO_PUNCH:
	case IO_ALLOCATE: return FAULT_CALL_RESIZE;
	}
	return FAULT_CALL_RESIZE;
}
