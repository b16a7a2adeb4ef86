// SPDX-License-Identifier: MIT
/* Run a fuzz target over files that are there already, one after the other: what libFuzzer does
 * with a list of files, for builds without libFuzzer. Arguments: files, or folders of files. */
#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t byte_count);

/* Returns how many files were run: 1, or 0 when this one could not be read. */
static unsigned run_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct stat facts;
	if (!file || fstat(fileno(file), &facts) < 0) {
		perror(path);
		if (file)
			fclose(file);
		return 0;
	}
	/* A block of exactly that size, so that a sanitizer sees a step past the end. */
	size_t byte_count = (size_t)facts.st_size;
	uint8_t *bytes = malloc(byte_count ? byte_count : 1);
	unsigned ran = 0;
	if (bytes && fread(bytes, 1, byte_count, file) == byte_count) {
		LLVMFuzzerTestOneInput(bytes, byte_count);
		ran = 1;
	}
	free(bytes);
	fclose(file);
	return ran;
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Files in order of name. Returns how many were run; SIZE_MAX when one was not. */
static size_t run_folder(const char *path)
{
	struct dirent **entries = NULL;
	int count = scandir(path, &entries, is_visible, alphasort);
	if (count < 0) {
		perror(path);
		return SIZE_MAX;
	}
	size_t ran = 0;
	for (int i = 0; i < count; i++) {
		char *name = NULL;
		if (asprintf(&name, "%s/%s", path, entries[i]->d_name) >= 0)
			ran += run_file(name);
		free(name);
		free(entries[i]);
	}
	free(entries);
	return ran == (size_t)count ? ran : SIZE_MAX;
}

int main(int count, char **arguments)
{
	size_t total = 0;
	for (int i = 1; i < count; i++) {
		struct stat facts;
		bool is_folder = stat(arguments[i], &facts) == 0 && S_ISDIR(facts.st_mode);
		size_t ran = is_folder ? run_folder(arguments[i]) : run_file(arguments[i]);
		if (ran == 0 || ran == SIZE_MAX) {
			fprintf(stderr, "%s: nothing to run, or not all of it\n", arguments[i]);
			return 1;
		}
		total += ran;
	}
	printf("%zu inputs\n", total);
	return total == 0;
}
