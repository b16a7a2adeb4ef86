// SPDX-License-Identifier: MIT
#include "oracle/findings.h"

#include "oracle/heap.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void findings_init(struct findings *findings, struct journal *journal, size_t max)
{
	*findings = (struct findings){ .journal = journal, .max = max };
	/* Each may be said three times: reorder, torn, then prefix; old-or-new in two forms. */
	findings->capacity = 3 * max * (RULE_COUNT + 1);
	findings->list = heap_reserve(findings->capacity, sizeof(*findings->list));
}

void findings_release(struct findings *findings)
{
	heap_unreserve(findings->list, findings->capacity, sizeof(*findings->list));
	free(findings->visible);
}

static struct finding *find(const struct findings *findings, enum rule rule, uint64_t place)
{
	for (size_t i = 0; i < findings->count; i++) {
		struct finding *finding = &findings->list[i];

		if (finding->hidden == 0 && finding->verdict.rule == rule &&
		    finding->place == place)
			return finding;
	}
	return NULL;
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
		return known->verdict.model > CRASH_PREFIX &&
		       findings->now.model < known->verdict.model;
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
	if (known != NULL && findings->stay)
		known->hidden = 1;
	else if (known != NULL)
		journal_set(findings->journal, &known->hidden, 1);
	finding = &findings->list[findings->count++];
	*finding = (struct finding){ .verdict = *verdict, .place = place };
	finding->verdict.model = findings->now.model;
	finding->verdict.operation = findings->now.operation;
	finding->verdict.sector = findings->now.sector;
	finding->verdict.event = findings->now.event;
	va_start(arguments, format);
	vsnprintf(finding->verdict.message, sizeof(finding->verdict.message), format, arguments);
	va_end(arguments);
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
