// SPDX-License-Identifier: MIT
/** A JUnit report: one test case a workload or trace, one failure a violation. */
#ifndef WORKLOADS_CLI_JUNIT_H
#define WORKLOADS_CLI_JUNIT_H

#include "traces/status.h"

#include <stddef.h>

struct junit_failure {
	const char *type;    /* the rule */
	const char *message; /* one line */
	const char *text;    /* details; NULL: none */
};

struct junit_case {
	const char *name;
	double seconds;
	const char *error;   /* the case could not be run: why; NULL: it was */
	const char *skipped; /* nothing was found, and not everything was looked at: why; NULL */
	struct junit_failure *failures; /* borrowed */
	size_t failure_count;
};

/** Write the report of `suite` to `path`. STATUS_IO. */
MUST_USE enum status junit_write(const char *path, const char *suite,
				 const struct junit_case *cases, size_t case_count,
				 struct why *why);

#endif
