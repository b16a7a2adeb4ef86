// SPDX-License-Identifier: MIT
/** Tests that make a sample by themselves, and go on for patient people: `test_x N` until N were
 * made, or for as many seconds as COWTIP_LONG_SECONDS says. */
#ifndef TESTS_INTEGRATION_PATIENCE_H
#define TESTS_INTEGRATION_PATIENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

struct patience {
	size_t wanted;      /* 0: a sample */
	double seconds_max; /* 0: no limit */
	struct timespec began;
};

/** What the command line and the environment say. */
void patience_init(struct patience *patience, int argc, char **argv);

/** The clock starts. */
void patience_begin(struct patience *patience);

/** Is time over? Never for a sample. */
bool patience_is_over(const struct patience *patience);

/** If it is, say how many of those that were wanted ("runs", ...) there are, and check that there
 * are any. */
void patience_report(const struct patience *patience, size_t made, const char *what);

/** After how long the test is to be given up. */
double patience_timeout_seconds(const struct patience *patience);

#endif
