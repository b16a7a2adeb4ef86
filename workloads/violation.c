// SPDX-License-Identifier: MIT
#include "workloads/violation.h"

#include <string.h>

bool violation_same_place(const struct verdict *a, const struct verdict *b)
{
	if (a->rule != b->rule || a->severity != b->severity || a->strict_only != b->strict_only ||
	    (a->guest_offset == NOWHERE) != (b->guest_offset == NOWHERE))
		return false;
	return a->guest_offset != NOWHERE ? a->guest_place == b->guest_place
					  : a->host_offset == b->host_offset;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare_schedules(const char *a, const char *b)
{
	int order = compare_numbers(strlen(a), strlen(b));
	return order ? order : strcmp(a, b);
}

bool violation_precedes(const struct violation *a, const struct violation *b)
{
	int order = compare_numbers(a->verdict.model, b->verdict.model);
	order = order ? order : compare_numbers(a->cut_size, b->cut_size);
	order = order ? order : compare_numbers(a->cut_hash, b->cut_hash);
	if (order || !a->schedule)
		return order < 0;
	order = compare_schedules(a->schedule, b->schedule);
	order = order ? order : compare_numbers(a->verdict.operation, b->verdict.operation);
	order = order ? order : compare_numbers(a->verdict.sector, b->verdict.sector);
	return (order ? order : compare_numbers(a->verdict.host_offset, b->verdict.host_offset)) <
	       0;
}
