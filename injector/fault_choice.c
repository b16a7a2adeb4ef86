// SPDX-License-Identifier: MIT
/* Faults of a run, enumerated. libfiu's "external" points ask a callback whether to fail; ours asks
 * the choice point. Option 0 is no fault, option k the k-th of the call's menu (fault_menu.c). A
 * run whose faults are used up asks nothing any more: the rest of it has no such decisions.
 *
 * A transfer has two points, "<point>" for errors and "<point>/reduce" for being cut short, and
 * libfiu is asked about both. When the run's pattern covers both, the first one decides for both:
 * one call, one choice. */
#include "injector/fault_arm.h"
#include "injector/fault_point.h"

#include <assert.h>
#include <fiu-control.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVERY_POINT "*"
#define BUG_PREFIX "engine/bug/"

/* What stands for every point: "*" would be known bugs, too. */
static const char *const every_point[] = { "posix/io/*", "libc/mm/*" };

/* libfiu's callback has no parameter for a context. */
static struct {
	struct choice *choice; /* borrowed */
	char *pattern;         /* owned; NULL: nothing is enabled */
	unsigned kinds;
	uint32_t faults_left;
} run;

static bool has_suffix(const char *name, const char *suffix)
{
	size_t length = strlen(name);
	size_t suffix_length = strlen(suffix);

	return length > suffix_length && strcmp(name + length - suffix_length, suffix) == 0;
}

/** What may be chosen now that libfiu asks about point `name` of the call. */
static void offered(struct fault_menu *menu, const char *name)
{
	char cut[FAULT_POINT_BYTES];
	bool is_cut = has_suffix(name, FAULT_CUT_SUFFIX);

	snprintf(cut, sizeof(cut), "%s" FAULT_CUT_SUFFIX, fault_asked.call->point);
	fault_menu_of(menu, fault_asked.call, run.kinds, !is_cut,
		      is_cut || fault_pattern_matches(run.pattern, cut));
}

static int decide(const char *name, int *failnum, void **failinfo, unsigned *flags)
{
	struct fault_menu menu;

	(void)failnum;
	(void)failinfo;
	(void)flags;
	if (run.faults_left == 0 || !fault_asked.call || fault_asked.is_decided ||
	    strncmp(name, BUG_PREFIX, strlen(BUG_PREFIX)) == 0)
		return 0;
	fault_asked.is_decided = true;
	offered(&menu, name);
	if (menu.count == 0)
		return 0;
	const struct choice_point point = { .kind = CHOICE_FAULT, .count = 1 + menu.count };
	uint32_t pick = choice_pick(run.choice, &point);
	if (pick == 0 || pick > menu.count)
		return 0;
	run.faults_left--;
	fault_asked.taken = menu.faults[pick - 1];
	return 1;
}

static bool is_every_point(const char *pattern)
{
	return strcmp(pattern, EVERY_POINT) == 0;
}

static void enable(const char *pattern)
{
	if (fault_enable_external(pattern, decide) != 0)
		abort();
}

void fault_options_to_trace(const struct fault_options *options, struct trace *trace)
{
	char kinds[FAULT_KINDS_BYTES];
	char number[16];

	snprintf(number, sizeof(number), "%" PRIu32, options->faults_max);
	trace_add_setting(trace, "faults", number);
	if (options->points)
		trace_add_setting(trace, "fault_points", options->points);
	fault_kinds_text(options->kinds ? options->kinds : FAULT_KINDS_ALL, kinds, sizeof(kinds));
	if (options->faults_max)
		trace_add_setting(trace, "fault_kinds", kinds);
}

void fault_point_begin(struct choice *choice, const struct fault_options *options)
{
	assert(!run.pattern);
	if (!choice || options->faults_max == 0)
		return;
	fault_point_init();
	run.choice = choice;
	run.faults_left = options->faults_max;
	run.kinds = options->kinds ? options->kinds : FAULT_KINDS_ALL;
	run.pattern = strdup(options->points ? options->points : EVERY_POINT);
	if (!run.pattern)
		abort();
	if (is_every_point(run.pattern))
		for (size_t i = 0; i < sizeof(every_point) / sizeof(every_point[0]); i++)
			enable(every_point[i]);
	else
		enable(run.pattern);
	fault_arm_calls(true);
}

void fault_point_end(void)
{
	if (!run.pattern)
		return;
	if (is_every_point(run.pattern))
		for (size_t i = 0; i < sizeof(every_point) / sizeof(every_point[0]); i++)
			fiu_disable(every_point[i]);
	else
		fiu_disable(run.pattern);
	free(run.pattern);
	run.pattern = NULL;
	run.choice = NULL;
	fault_arm_calls(false);
}

uint32_t fault_point_left(void)
{
	return run.faults_left;
}

void fault_point_set_left(uint32_t faults_left)
{
	run.faults_left = faults_left;
}
