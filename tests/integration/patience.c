// SPDX-License-Identifier: MIT
#include "tests/integration/patience.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { SAMPLE_TIMEOUT_SECONDS = 500, LONG_TIMEOUT_SECONDS = 3500 };

void patience_init(struct patience *patience, int argc, char **argv)
{
	const char *seconds = getenv("COWTIP_LONG_SECONDS");
	*patience = (struct patience){ .wanted = 0 };
	if (argc < 2)
		return;
	patience->wanted = strtoul(argv[1], NULL, 10);
	patience->seconds_max = seconds ? strtod(seconds, NULL) : 0;
}

void patience_begin(struct patience *patience)
{
	clock_gettime(CLOCK_MONOTONIC, &patience->began);
}

bool patience_is_over(const struct patience *patience)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	double seconds = (double)(now.tv_sec - patience->began.tv_sec) +
			 (double)(now.tv_nsec - patience->began.tv_nsec) * 1e-9;
	return patience->seconds_max > 0 && seconds > patience->seconds_max;
}

void patience_report(const struct patience *patience, size_t made, const char *what)
{
	if (patience_is_over(patience)) {
		printf("time is over: %zu of %zu %s\n", made, patience->wanted, what);
		ck_assert_uint_gt(made, 0);
	}
	fflush(stdout);
}

double patience_timeout_seconds(const struct patience *patience)
{
	return patience->wanted > 0 ? LONG_TIMEOUT_SECONDS : SAMPLE_TIMEOUT_SECONDS;
}
