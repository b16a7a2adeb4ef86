// SPDX-License-Identifier: MIT
#include "oracle/findings.h"

#include "oracle/heap.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void findings_init(struct findings *findings, struct journal *journal, size_t max)
{
	*findings = (struct findings){ .journal = journal, .max = max, .trial = SIZE_MAX };
	/* Each may be said three times: reorder, torn, then prefix; old-or-new in two forms. */
	findings->capacity = 3 * max * (RULE_COUNT + 1);
	findings->list = heap_reserve(findings->capacity, sizeof(*findings->list));
}

void findings_release(struct findings *findings)
{
	heap_unreserve(findings->list, findings->capacity, sizeof(*findings->list));
	free(findings->visible);
}

bool cut_rank_before(const struct cut_rank *a, const struct cut_rank *b)
{
	return a->size != b->size ? a->size < b->size : a->hash < b->hash;
}

static struct finding *find_from(const struct findings *findings, size_t first, size_t end,
				 enum rule rule, uint64_t place)
{
	for (size_t i = first; i < end; i++) {
		struct finding *finding = &findings->list[i];

		if (finding->hidden == 0 && finding->verdict.rule == rule &&
		    finding->place == place)
			return finding;
	}
	return NULL;
}

/** What was said of it: on trial, else before. */
static struct finding *find(const struct findings *findings, enum rule rule, uint64_t place)
{
	struct finding *known = NULL;
	size_t end = findings->count < findings->trial ? findings->count : findings->trial;

	if (end < findings->count)
		known = find_from(findings, end, findings->count, rule, place);
	return known != NULL ? known : find_from(findings, 0, end, rule, place);
}

const struct cut_rank *findings_rank(const struct findings *findings)
{
	switch (findings->now.model) {
	case CRASH_NONE: return &findings->now.past;
	case CRASH_TORN: return &findings->now.inside;
	case CRASH_PREFIX:
	case CRASH_REORDER: break;
	}
	return &findings->now.cut;
}

/** Is what would be said now better than what is known? */
static bool is_better(const struct findings *findings, const struct finding *known)
{
	if (findings->now.model != known->verdict.model)
		return findings->now.model < known->verdict.model;
	return cut_rank_before(findings_rank(findings), &known->rank);
}

/* A rule that is broken in many places must not silence another one, nor its strict form the lax
 * one. */
static bool has_room(const struct findings *findings, enum rule rule, bool strict_only)
{
	size_t count = 0;

	for (size_t i = 0; i < findings->count; i++) {
		const struct verdict *verdict = &findings->list[i].verdict;

		count += findings->list[i].hidden == 0 && verdict->rule == rule &&
			 verdict->strict_only == strict_only;
	}
	return count < findings->max;
}

bool findings_wants(const struct findings *findings, enum rule rule, uint64_t place)
{
	const struct finding *known = find(findings, rule, place);
	bool strict_only = rule == RULE_OLD_OR_NEW && (place & PLACE_STRICT_ONLY) != 0;

	if (findings->muted != 0)
		return false;
	if (known != NULL)
		return is_better(findings, known);
	return has_room(findings, rule, strict_only);
}

void findings_add(struct findings *findings, uint64_t place, const struct verdict *verdict,
		  const char *format, ...)
{
	struct finding *known = find(findings, verdict->rule, place);
	struct finding *finding;
	va_list arguments;

	if (!findings_wants(findings, verdict->rule, place) ||
	    findings->count == findings->capacity)
		return;
	if (known != NULL && findings->stay && findings->trial == SIZE_MAX) {
		finding = known;
	} else {
		if (known != NULL && !findings->stay)
			journal_set(findings->journal, &known->hidden, 1);
		finding = &findings->list[findings->count++];
	}
	findings->has_new = true;
	*finding = (struct finding){ .verdict = *verdict,
				     .place = place,
				     .rank = *findings_rank(findings),
				     .is_new = true };
	finding->verdict.model = findings->now.model;
	finding->verdict.operation = findings->now.operation;
	finding->verdict.sector = findings->now.sector;
	finding->verdict.event = findings->now.event;
	va_start(arguments, format);
	vsnprintf(finding->verdict.message, sizeof(finding->verdict.message), format, arguments);
	va_end(arguments);
}

void findings_forget(struct findings *findings, size_t count)
{
	findings->count = count;
	for (size_t i = 0; i < count; i++)
		findings->list[i].is_new = true;
	findings->has_new = count > 0;
}

void findings_begin_trial(struct findings *findings)
{
	findings->trial = findings->count;
}

void findings_end_trial(struct findings *findings)
{
	const struct finding *last = &findings->list[findings->count - 1];
	struct finding *known =
		find_from(findings, 0, findings->count - 1, last->verdict.rule, last->place);

	findings->trial = SIZE_MAX;
	if (known == NULL)
		return;
	*known = *last;
	findings->count--;
}

size_t findings_visible(struct findings *findings)
{
	size_t count = 0;

	findings->visible = heap_grow(findings->visible, &findings->visible_capacity,
				      findings->count, sizeof(*findings->visible));
	for (size_t i = 0; i < findings->count; i++)
		if (findings->list[i].hidden == 0)
			findings->visible[count++] = findings->list[i].verdict;
	return count;
}
