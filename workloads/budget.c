// SPDX-License-Identifier: MIT
#include "workloads/explore.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BUDGET_WORD_BYTES = 16 };

/* "60s", "1.5e3runs": a number without sign, then a word. */
static bool number_parse(const char *text, double *number, const char **unit)
{
	char digits[BUDGET_WORD_BYTES + 16];
	size_t bytes = strspn(text, "0123456789.");
	if (bytes && (text[bytes] == 'e' || text[bytes] == 'E')) {
		size_t exponent = strspn(text + bytes + 1, "0123456789");
		bytes += exponent ? 1 + exponent : 0;
	}
	if (!bytes || bytes >= sizeof(digits))
		return false;
	memcpy(digits, text, bytes);
	digits[bytes] = 0;
	char *end = NULL;
	errno = 0;
	*number = strtod(digits, &end);
	*unit = text + bytes;
	return !errno && !*end && isfinite(*number);
}

enum status budget_parse(struct budget *budget, const char *text, struct why *why)
{
	static const double most = 1e18; /* well inside 64 bits */
	double number = 0;
	const char *unit = NULL;
	if (!number_parse(text, &number, &unit) || number <= 0 || number > most)
		return why_set(why, STATUS_USAGE,
			       "budget '%s': a positive number and a unit are wanted, as 60s, "
			       "10000runs or 1e9states",
			       text);
	bool is_whole = (double)(uint64_t)number >= number;
	if (strcmp(unit, "s") == 0)
		budget->seconds = number;
	else if (strcmp(unit, "m") == 0)
		budget->seconds = 60 * number;
	else if (strcmp(unit, "h") == 0)
		budget->seconds = 3600 * number;
	else if (strcmp(unit, "runs") == 0 && is_whole)
		budget->runs = (uint64_t)number;
	else if (strcmp(unit, "states") == 0 && is_whole)
		budget->states = (uint64_t)number;
	else
		return why_set(
			why, STATUS_USAGE,
			"budget '%s': the unit is s, m, h, runs or states, the last two with "
			"a whole number",
			text);
	return STATUS_OK;
}
