// SPDX-License-Identifier: MIT
#include "injector/strategy.h"

static bool ranges_overlap(const struct footprint *a, const struct footprint *b)
{
	return a->file == b->file && a->host_from < b->host_to && b->host_from < a->host_to;
}

bool footprint_conflict(const struct footprint *a, const struct footprint *b)
{
	if (a->everything || b->everything)
		return true;
	if (a->shared && b->shared)
		return true;
	if (a->ordered && b->ordered)
		return true;
	bool writes =
		(a->has_write && (b->has_write || b->has_read)) || (a->has_read && b->has_write);
	return writes && ranges_overlap(a, b);
}

void footprint_add(struct footprint *to, const struct footprint *more)
{
	to->everything |= more->everything;
	to->shared |= more->shared;
	to->ordered |= more->ordered;
	if (!more->has_read && !more->has_write)
		return;
	if (!to->has_read && !to->has_write) {
		to->file = more->file;
		to->host_from = more->host_from;
		to->host_to = more->host_to;
	} else if (to->file != more->file) {
		to->everything = true;
	} else {
		if (more->host_from < to->host_from)
			to->host_from = more->host_from;
		if (more->host_to > to->host_to)
			to->host_to = more->host_to;
	}
	to->has_read |= more->has_read;
	to->has_write |= more->has_write;
}

void strategy_free(struct strategy *strategy)
{
	if (strategy)
		strategy->ops->free(strategy);
}
