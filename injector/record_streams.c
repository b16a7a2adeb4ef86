// SPDX-License-Identifier: MIT
#include "injector/record_streams.h"

#include "injector/stream_tail.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STREAM_SUFFIX ".stream"

void record_streams_init(struct record_streams *streams, const char *prefix)
{
	*streams = (struct record_streams){ .prefix = prefix };
}

void record_streams_release(struct record_streams *streams)
{
	for (size_t i = 0; i < streams->count; i++) {
		unlink(streams->streams[i].path);
		trace_follower_free(streams->streams[i].follower);
		free(streams->streams[i].path);
	}
	free(streams->streams);
	record_streams_init(streams, NULL);
}

static int compare_streams(const void *a, const void *b)
{
	const struct record_stream *left = a, *right = b;

	return strverscmp(left->path, right->path);
}

/** Enter a stream, if it is not known yet. */
static void enter(struct record_streams *streams, const char *folder, const char *name)
{
	char *path = NULL;

	if (asprintf(&path, "%s/%s", folder, name) < 0)
		abort();
	for (size_t i = 0; i < streams->count; i++) {
		if (strcmp(streams->streams[i].path, path) == 0) {
			free(path);
			return;
		}
	}
	streams->streams =
		realloc(streams->streams, (streams->count + 1) * sizeof(*streams->streams));
	if (!streams->streams)
		abort();
	streams->streams[streams->count++] = (struct record_stream){ .path = path };
}

/** Is `name` "<prefix>.*.stream"? */
static bool is_stream(const char *name, const char *prefix)
{
	size_t length = strlen(name), prefix_bytes = strlen(prefix);
	size_t suffix_bytes = strlen(STREAM_SUFFIX);

	return length > prefix_bytes + suffix_bytes + 1 &&
	       strncmp(name, prefix, prefix_bytes) == 0 && name[prefix_bytes] == '.' &&
	       strcmp(name + length - suffix_bytes, STREAM_SUFFIX) == 0;
}

enum status record_streams_find(struct record_streams *streams, struct why *why)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(streams->prefix, '/');
	const struct dirent *entry;

	snprintf(folder, sizeof(folder), "%.*s", (int)(slash - streams->prefix), streams->prefix);
	DIR *directory = opendir(folder[0] != '\0' ? folder : "/");
	if (!directory)
		return why_set(why, STATUS_IO, "cannot read folder '%s': %s", folder,
			       strerror(errno));
	while ((entry = readdir(directory)))
		if (is_stream(entry->d_name, slash + 1))
			enter(streams, folder, entry->d_name);
	closedir(directory);
	if (streams->count > 0)
		qsort(streams->streams, streams->count, sizeof(*streams->streams), compare_streams);
	return STATUS_OK;
}

uint64_t record_streams_advance(struct record_streams *streams)
{
	uint64_t byte_count = 0;

	for (size_t i = 0; i < streams->count; i++) {
		struct record_stream *stream = &streams->streams[i];
		if (!stream->follower)
			stream->follower = trace_follower_open(stream->path);
		if (stream->follower)
			byte_count += trace_follower_advance(stream->follower);
	}
	return byte_count;
}

static enum status no_end(const char *stream_path, const char *cause, struct why *why)
{
	return why_set(why, STATUS_IO, "cannot finish the recording '%s': %s", stream_path, cause);
}

/** Read the tail beside a stream, and remove it. Gives; NULL with STATUS_OK: there is none. */
static enum status take_tail(const char *stream_path, struct stream_tail **tail, struct why *why)
{
	enum { BYTES = sizeof(**tail) + STREAM_TAIL_BYTES };
	char path[PATH_MAX + 16];

	*tail = NULL;
	snprintf(path, sizeof(path), "%s" STREAM_TAIL_SUFFIX, stream_path);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return errno == ENOENT ? STATUS_OK : no_end(stream_path, strerror(errno), why);
	*tail = malloc(BYTES);
	if (!*tail)
		abort();
	ssize_t got = read(file, *tail, BYTES);
	int error = errno;
	close(file);
	unlink(path);
	if (got == BYTES)
		return STATUS_OK;
	return no_end(stream_path, got < 0 ? strerror(error) : "its tail is too short", why);
}

/** Is the server's tail that of the stream at `path`? */
static bool is_for(const struct record_streams *streams, const char *path)
{
	char name[64];

	if (!streams->tail)
		return false;
	snprintf(name, sizeof(name), ".%ld" STREAM_SUFFIX, (long)streams->tail_process);
	return strcmp(path + strlen(streams->prefix), name) == 0;
}

/** Read what a process had gathered and not written yet, in whatever way it ended. */
static enum status add_tail(const struct record_streams *streams, struct record_stream *stream,
			    struct why *why)
{
	struct stream_tail *taken = NULL;
	bool is_staying = is_for(streams, stream->path);
	enum status status = is_staying ? STATUS_OK : take_tail(stream->path, &taken, why);
	const struct stream_tail *tail = is_staying ? streams->tail : taken;
	uint64_t room = is_staying ? STREAM_TAIL_STAYING_BYTES : STREAM_TAIL_BYTES;

	if (status == STATUS_OK && tail && tail->used > room)
		status = no_end(stream->path, "its tail holds more than it has room for", why);
	else if (status == STATUS_OK && tail &&
		 !trace_follower_add(stream->follower, tail->stream_bytes, tail->bytes, tail->used))
		status = no_end(stream->path, "bytes before its tail are missing", why);
	free(taken);
	return status;
}

enum status record_streams_finish(struct record_streams *streams, size_t index, struct trace *trace,
				  struct why *why)
{
	struct record_stream *stream = &streams->streams[index];

	if (!stream->follower)
		stream->follower = trace_follower_open(stream->path);
	if (!stream->follower)
		return why_set(why, STATUS_IO, "cannot open '%s': %s", stream->path,
			       strerror(errno));
	enum status status = add_tail(streams, stream, why);
	if (status != STATUS_OK)
		return status;
	status = trace_follower_finish(stream->follower, trace, why);
	stream->follower = NULL;
	return status;
}
