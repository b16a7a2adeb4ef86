// SPDX-License-Identifier: MIT
/* Faults of a run, enumerated. libfiu's "external" points ask a callback whether to fail; ours asks
 * the choice point. Option 0 is no fault, option 1 is EIO. A run whose faults are used up asks
 * nothing any more: the rest of it has no such decisions. */
#include "injector/fault_arm.h"
#include "injector/fault_point.h"

#include <assert.h>
#include <errno.h>
#include <fiu-control.h>
#include <stdlib.h>
#include <string.h>

/* libfiu's callback has no parameter for a context. */
static struct {
	struct choice *choice; /* borrowed */
	char *pattern;         /* owned; NULL: nothing is enabled */
	uint32_t faults_left;
} run;

static int decide(const char *name, int *failnum, void **failinfo, unsigned *flags)
{
	static const struct choice_point point = { .kind = CHOICE_FAULT, .count = 2 };

	(void)name;
	(void)failnum;
	(void)flags;
	if (run.faults_left == 0 || choice_pick(run.choice, &point) != 1)
		return 0;
	run.faults_left--;
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): libfiu passes error numbers as pointers */
	*failinfo = (void *)(intptr_t)EIO;
	return 1;
}

void fault_point_begin(struct choice *choice, const char *pattern, uint32_t faults_max)
{
	assert(!run.pattern);
	if (!choice || faults_max == 0)
		return;
	fault_point_init();
	run.choice = choice;
	run.faults_left = faults_max;
	run.pattern = strdup(pattern);
	if (!run.pattern || fault_enable_external(run.pattern, decide) != 0)
		abort();
	fault_arm_calls(true);
}

void fault_point_end(void)
{
	if (!run.pattern)
		return;
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
