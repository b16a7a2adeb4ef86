// SPDX-License-Identifier: MIT
#include "traces/status.h"

#include <stdarg.h>
#include <stdio.h>

const char *status_name(enum status status)
{
	switch (status) {
	case STATUS_OK: return "ok";
	case STATUS_NO_MEMORY: return "out of memory";
	case STATUS_IO: return "input/output error";
	case STATUS_USAGE: return "usage";
	case STATUS_BAD_INPUT: return "bad input";
	case STATUS_FOREIGN: return "foreign";
	case STATUS_NEWER: return "newer version";
	case STATUS_TRUNCATED: return "truncated";
	case STATUS_CORRUPT: return "corrupt";
	case STATUS_UNSUPPORTED: return "unsupported";
	case STATUS_DIVERGED: return "diverged";
	}
	return "?";
}

enum status why_set(struct why *why, enum status status, const char *format, ...)
{
	if (!why)
		return status;
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(why->text, sizeof(why->text), format, arguments);
	va_end(arguments);
	return status;
}
