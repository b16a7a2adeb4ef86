// SPDX-License-Identifier: MIT
#include "workloads/cli/output.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum status output_begin(struct output *output, const char *path, struct why *why)
{
	*output = (struct output){ 0 };
	int bytes = snprintf(output->temporary, sizeof(output->temporary), "%s.tmp", path);
	if (bytes < 0 || (size_t)bytes >= sizeof(output->temporary))
		return why_set(why, STATUS_IO, "file name is too long: '%.200s...'", path);
	snprintf(output->path, sizeof(output->path), "%s", path);
	output->file = fopen(output->temporary, "we");
	if (!output->file)
		return why_set(why, STATUS_IO, "cannot create '%.300s': %s", output->temporary,
			       strerror(errno));
	return STATUS_OK;
}

enum status output_finish(struct output *output, struct why *why)
{
	bool failed = ferror(output->file) != 0;
	failed |= fclose(output->file) != 0;
	output->file = NULL;
	failed = failed || rename(output->temporary, output->path) != 0;
	if (!failed)
		return STATUS_OK;
	int error = errno;
	unlink(output->temporary);
	return why_set(why, STATUS_IO, "cannot write '%.300s': %s", output->path, strerror(error));
}

void output_cancel(struct output *output)
{
	fclose(output->file);
	output->file = NULL;
	unlink(output->temporary);
}

enum status output_make_folder(const char *path, struct why *why)
{
	char part[OUTPUT_PATH_BYTES];
	size_t bytes = strlen(path);
	if (!bytes || bytes >= sizeof(part))
		return why_set(why, STATUS_IO, "folder name is empty or too long");
	for (size_t i = 1; i <= bytes; i++) {
		if (path[i] != '/' && path[i])
			continue;
		memcpy(part, path, i);
		part[i] = 0;
		if (mkdir(part, 0777) != 0 && errno != EEXIST)
			return why_set(why, STATUS_IO, "cannot create folder '%.300s': %s", part,
				       strerror(errno));
	}
	struct stat about;
	if (stat(path, &about) != 0 || !S_ISDIR(about.st_mode))
		return why_set(why, STATUS_IO, "'%.300s' is no folder", path);
	return STATUS_OK;
}

bool output_shows_progress(bool quiet)
{
	return !quiet && isatty(STDERR_FILENO);
}
