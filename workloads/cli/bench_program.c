// SPDX-License-Identifier: MIT
#include "workloads/cli/bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

double bench_rate(uint64_t count, double seconds)
{
	return bench_ratio((double)count, seconds);
}

double bench_ratio(double a, double b)
{
	return b > 0 ? a / b : 0;
}

enum status bench_make_folder(char folder[BENCH_FOLDER_BYTES], struct why *why)
{
	const char *parent = getenv("TMPDIR");
	return bench_make_folder_in(folder, parent && *parent ? parent : "/tmp", why);
}

enum status bench_make_folder_in(char folder[BENCH_FOLDER_BYTES], const char *parent,
				 struct why *why)
{
	int length = snprintf(folder, BENCH_FOLDER_BYTES, "%s/cowtip-bench-XXXXXX", parent);
	if (length >= BENCH_FOLDER_BYTES)
		errno = ENAMETOOLONG;
	else if (mkdtemp(folder))
		return STATUS_OK;
	return why_set(why, STATUS_IO, "cannot create a folder in '%s': %s", parent,
		       strerror(errno));
}
