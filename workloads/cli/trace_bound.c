// SPDX-License-Identifier: MIT
#include "workloads/cli/trace_bound.h"

#include "workloads/language_words.h"

#include <sys/stat.h>
#include <unistd.h>

enum status trace_bound_parse(struct trace_bound *bound, const char *text, struct why *why)
{
	if (count_parse(text, UINT32_MAX, &bound->files)) {
		bound->has_files = true;
		return STATUS_OK;
	}
	if (!size_parse(text, &bound->bytes))
		return why_set(why, STATUS_USAGE,
			       "--traces '%s': a number of files, or a size with a suffix, 16M",
			       text);
	bound->has_bytes = true;
	return STATUS_OK;
}

bool trace_bound_keeps(struct trace_bound *bound, const char *path)
{
	struct stat file;
	if (stat(path, &file) != 0)
		return false;
	uint64_t bytes = (uint64_t)file.st_size;
	if ((bound->has_files && bound->files == 0) || (bound->has_bytes && bound->bytes < bytes)) {
		(void)unlink(path);
		return false;
	}
	bound->files -= bound->has_files;
	bound->bytes -= bound->has_bytes ? bytes : 0;
	return true;
}
