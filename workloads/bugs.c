// SPDX-License-Identifier: MIT
#include "workloads/bugs.h"

#include "engine/qcow2/known_bugs.h"
#include "injector/fault_point.h"

#include <assert.h>
#include <string.h>

#define GROUP_2012 "2012"

bool bugs_is_known(const char *name)
{
	bool is_known = strcmp(name, GROUP_2012) == 0;
	for (size_t i = 0; i < known_bug_count() && !is_known; i++)
		is_known = strcmp(name, known_bug_at(i)->name) == 0;
	return is_known;
}

void bugs_enable(const char *name)
{
	assert(bugs_is_known(name));
	bool is_group = strcmp(name, GROUP_2012) == 0;
	for (size_t i = 0; i < known_bug_count(); i++) {
		const struct known_bug *bug = known_bug_at(i);
		if (is_group ? bug->in_2012 : strcmp(name, bug->name) == 0)
			known_bug_enable(bug->name);
	}
}
