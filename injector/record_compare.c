// SPDX-License-Identifier: MIT
/* A large file is compared by two threads, each half of it by one: whoever records a program waits
 * for it, and one thread keeps neither the memory nor a disk busy. */
#include "injector/record_compare.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

/** What is smaller is compared by one thread. */
enum { DIVIDED_BYTES = 8 * 1024 * 1024 };

/** A part of the file, and what became of it. */
struct part {
	const struct content *content;
	const char *path;
	uint64_t from, to;
	uint64_t difference;
	enum status status;
	struct why why;
};

static void *compare_part(void *argument)
{
	struct part *part = argument;

	part->status = content_compare(part->content, part->from, part->to, &part->difference,
				       part->path, &part->why);
	return NULL;
}

/** Compare both parts, side by side where that is possible. The second may be empty. */
static enum status compare_parts(struct part *first, struct part *second, struct why *why)
{
	pthread_t thread;
	bool divided = second->from < second->to;
	bool beside = divided && pthread_create(&thread, NULL, compare_part, second) == 0;

	compare_part(first);
	if (beside)
		pthread_join(thread, NULL);
	else if (divided)
		compare_part(second);
	if (first->status != STATUS_OK)
		return why_set(why, first->status, "%s", first->why.text);
	if (second->status != STATUS_OK)
		return why_set(why, second->status, "%s", second->why.text);
	return STATUS_OK;
}

enum status record_compare(const struct content *content, bool *equal, uint64_t *difference,
			   const char *path, struct why *why)
{
	struct stat facts;

	if (stat(path, &facts) < 0)
		return why_set(why, STATUS_IO, "cannot open '%s': %s", path, strerror(errno));
	uint64_t size = (uint64_t)facts.st_size;
	uint64_t middle = size / 2 / CONTENT_PAGE_BYTES * CONTENT_PAGE_BYTES;
	if (size < DIVIDED_BYTES)
		middle = size;
	struct part first = { content, path, 0, middle, UINT64_MAX, STATUS_OK, { "" } };
	struct part second = { content, path, middle, size, UINT64_MAX, STATUS_OK, { "" } };
	enum status status = compare_parts(&first, &second, why);
	uint64_t found =
		first.difference < second.difference ? first.difference : second.difference;
	uint64_t smaller = content_size(content) < size ? content_size(content) : size;
	*equal = found == UINT64_MAX && content_size(content) == size;
	*difference = found < smaller ? found : smaller;
	return status;
}
