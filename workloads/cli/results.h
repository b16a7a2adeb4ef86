// SPDX-License-Identifier: MIT
/** Results for machines that run tests: one case a workload or trace, one failure a violation. As a
 * JUnit report, as TAP, as annotations of GitHub Actions. */
#ifndef WORKLOADS_CLI_RESULTS_H
#define WORKLOADS_CLI_RESULTS_H

#include "workloads/cli/options.h"

#include <stddef.h>

struct result_failure {
	const char *type;    /* the rule */
	const char *message; /* one line */
	const char *text;    /* details; NULL: none */
};

struct result_case {
	const char *name;
	const char *file; /* that it was read from; NULL: none */
	double seconds;
	const char *error;   /* the case could not be run: why; NULL: it was */
	const char *skipped; /* nothing was found, and not everything was looked at: why; NULL */
	struct result_failure *failures; /* borrowed */
	size_t failure_count;
};

/** Write what `options` ask for: --junit FILE (its suite is called `suite`), --tap on stdout; and,
 * where the environment says that GitHub Actions runs this, annotations on stderr. STATUS_IO. */
MUST_USE enum status results_write(const struct options *options, const char *suite,
				   const struct result_case *cases, size_t case_count,
				   struct why *why);

/** Write a JUnit report to `path`. STATUS_IO. */
MUST_USE enum status junit_write(const char *path, const char *suite,
				 const struct result_case *cases, size_t case_count,
				 struct why *why);

#endif
