// SPDX-License-Identifier: MIT
/** The known bugs: real or possible mistakes that can be switched on, each a libfiu point
 * "engine/bug/<name>". */
#ifndef ENGINE_QCOW2_KNOWN_BUGS_H
#define ENGINE_QCOW2_KNOWN_BUGS_H

#include <stdbool.h>
#include <stddef.h>

struct known_bug {
	const char *name;
	const char *breaks;   /* what goes wrong, in one sentence */
	const char *rule;     /* the rule that finds it */
	const char *workload; /* a shipped workload that shows it */
	const char *source;   /* where the mistake comes from */
	bool in_2012;         /* the proposal of 2012 really had it: member of the group "2012" */
};

/** How many there are. */
size_t known_bug_count(void);

/** Bug number `index`, 0 .. known_bug_count() - 1. */
const struct known_bug *known_bug_at(size_t index);

#endif
