// SPDX-License-Identifier: MIT
#include "injector/session.h"

#include "injector/backtrace.h"
#include "injector/disk_memory.h"
#include "injector/fault_point.h"
#include "injector/gate.h"
#include "injector/real.h"
#include "injector/recorder.h"
#include "injector/watch.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/** A file watched by name. */
struct watched_file {
	char *path;                 /* owned */
	struct disk_memory *memory; /* owned; NULL: the real file */
};

/* The POSIX calls have no parameter for a session: the one in progress is found here. */
static struct {
	bool active;
	struct session_options options;
	uint32_t io_count;          /* I/Os begun in this run */
	struct footprint footprint; /* of the step in progress */
	struct watched_file files[TRACE_FILES_MAX];
	uint16_t file_count;
	uint8_t *gathered; /* owned; the bytes of a vector side by side */
	size_t gathered_capacity;
} session;

void session_begin(const struct session_options *options)
{
	assert(!session.active);
	assert(options->log);
	session.active = true;
	session.options = *options;
	session.io_count = 0;
	session.footprint = (struct footprint){ 0 };
	fault_point_begin(options->choice,
			  options->fault_points ? options->fault_points : "posix/io/*",
			  options->faults_max);
}

void session_end(void)
{
	assert(session.active);
	session.active = false;
	fault_point_end();
}

bool session_active(void)
{
	return session.active;
}

static enum status watch_path(const char *path, struct disk_memory *memory, uint16_t *file)
{
	char *copy = strdup(path);

	if (!copy || session.file_count == TRACE_FILES_MAX) {
		free(copy);
		disk_memory_free(memory);
		return STATUS_NO_MEMORY;
	}
	*file = session.file_count++;
	session.files[*file] = (struct watched_file){ .path = copy, .memory = memory };
	return STATUS_OK;
}

enum status session_watch_memory(const char *path, const struct content *initial, uint16_t *file)
{
	struct disk_memory *memory = disk_memory_new(initial);

	return memory ? watch_path(path, memory, file) : STATUS_NO_MEMORY;
}

enum status session_watch_real(const char *path, uint16_t *file)
{
	return watch_path(path, NULL, file);
}

void session_rewind(void)
{
	watch_remove_memory();
	for (uint16_t file = 0; file < session.file_count; file++)
		if (session.files[file].memory)
			disk_memory_rewind(session.files[file].memory);
}

struct content *session_content(uint16_t file)
{
	assert(file < session.file_count && session.files[file].memory);
	return disk_memory_content(session.files[file].memory);
}

void session_unwatch_all(void)
{
	watch_remove_memory();
	for (int descriptor = 0; descriptor < WATCH_REAL_MAX; descriptor++)
		watch_remove(descriptor);
	for (uint16_t file = 0; file < session.file_count; file++) {
		free(session.files[file].path);
		disk_memory_free(session.files[file].memory);
	}
	session.file_count = 0;
}

size_t session_record(const struct event *event, const void *data, size_t data_bytes)
{
	if (!session.active)
		return SIZE_MAX;
	size_t index = event_log_append(session.options.log, event, data, data_bytes);
	if (event->actor == 0)
		session.options.log->events[index].actor = gate_actor();
	return index;
}

struct footprint *session_footprint(void)
{
	return &session.footprint;
}

bool recorder_is_on(void)
{
	return session.active;
}

void recorder_begin_call(struct event *event)
{
	event->actor = gate_actor();
	event->id = ++session.io_count;
	if (session.options.labels)
		event->stack = backtrace_label_caller(session.options.labels);
}

/** Lay the first `bytes` bytes of `vector` side by side. */
static const void *gather(const struct iovec *vector, size_t bytes)
{
	size_t done = 0;

	if (session.gathered_capacity < bytes) {
		free(session.gathered);
		session.gathered = malloc(bytes);
		if (!session.gathered)
			abort();
		session.gathered_capacity = bytes;
	}
	for (; done < bytes; vector++) {
		size_t part = vector->iov_len < bytes - done ? vector->iov_len : bytes - done;
		if (part > 0)
			memcpy(session.gathered + done, vector->iov_base, part);
		done += part;
	}
	return session.gathered;
}

void recorder_append(const struct event *event, const struct iovec *vector, size_t data_bytes)
{
	const void *data = NULL;

	if (data_bytes > 0)
		data = vector->iov_len >= data_bytes ? vector->iov_base
						     : gather(vector, data_bytes);
	event_log_append(session.options.log, event, data, data_bytes);
}

/* One thread runs at a time here: coroutines, no threads. */
void recorder_lock(void)
{
}

void recorder_unlock(void)
{
}

static uint64_t present_size(const struct watched_open *open)
{
	int64_t size = open->disk->ops->size(open->disk);

	return size < 0 ? 0 : (uint64_t)size;
}

/* A change of size is a change of all that lies between the old and the new end, and a look at the
 * size reads all that lies behind it: so extending conflicts with reading there and with looking.
 */
void recorder_touch_effect(const struct watched_open *open, const struct io_request *request)
{
	struct footprint footprint = { .file = open->file,
				       .host_from = request->host_offset,
				       .host_to = request->host_offset + request->length };

	if (request->op == IO_FLUSH) {
		session.footprint.ordered = true;
		return;
	}
	footprint.has_read = request->op == IO_READ;
	footprint.has_write = footprint.ordered = !footprint.has_read;
	if (footprint.has_write) {
		uint64_t size = present_size(open);
		if (request->op == IO_RESIZE)
			footprint.host_to = UINT64_MAX;
		if (size < footprint.host_to && size < footprint.host_from)
			footprint.host_from = size;
	}
	footprint_add(&session.footprint, &footprint);
}

void recorder_touch_ordered(void)
{
	session.footprint.ordered = true;
}

void recorder_touch_size(const struct watched_open *open)
{
	const struct footprint footprint = { .has_read = true,
					     .file = open->file,
					     .host_from = present_size(open),
					     .host_to = UINT64_MAX };

	footprint_add(&session.footprint, &footprint);
}

/** The file watched as `path`; TRACE_FILES_MAX when none is. */
static uint16_t find_file(const char *path)
{
	uint16_t file = 0;

	while (file < session.file_count && strcmp(session.files[file].path, path) != 0)
		file++;
	return file < session.file_count ? file : TRACE_FILES_MAX;
}

/** Cut a freshly opened file off, as O_TRUNC asks: a change of the file like any other. Returns
 * `descriptor`, or -1 with errno when that failed. */
static int truncate_opened(int descriptor)
{
	static const struct io_request request = { .op = IO_RESIZE };
	struct watched_open *open = watch_find(descriptor);

	if (present_size(open) == 0)
		return descriptor;
	ssize_t result = io_call_run(open, &request);
	if (result == 0)
		return descriptor;
	close(descriptor);
	errno = (int)-result;
	return -1;
}

static int open_memory(uint16_t file, int flags)
{
	if ((flags & O_CREAT) && (flags & O_EXCL)) {
		errno = EEXIST;
		return -1;
	}
	struct disk *disk = disk_memory_disk(session.files[file].memory);
	int descriptor = watch_add_memory(disk, file, flags);
	if (descriptor < 0)
		errno = EMFILE;
	return descriptor;
}

static int open_real(uint16_t file, const char *path, int flags, mode_t mode)
{
	int descriptor = real()->open(path, flags & ~O_TRUNC, mode);

	if (descriptor >= 0 && !watch_add_real(descriptor, file, flags)) {
		real()->close(descriptor);
		errno = EMFILE;
		return -1;
	}
	return descriptor;
}

bool recorder_open(int *result, int directory, const char *path, int flags, mode_t mode)
{
	if (session.file_count == 0 || (directory != AT_FDCWD && path[0] != '/'))
		return false;
	uint16_t file = find_file(path);
	if (file == TRACE_FILES_MAX)
		return false;
	int error = io_call_ask("posix/io/oc/open", file);
	if (error != 0) {
		errno = error;
		*result = -1;
		return true;
	}
	*result = session.files[file].memory ? open_memory(file, flags)
					     : open_real(file, path, flags, mode);
	if (*result >= 0 && (flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY)
		*result = truncate_opened(*result);
	return true;
}

void recorder_closed(struct watched_open *open)
{
	(void)open;
}

void recorder_gap(const char *text)
{
	(void)text;
}

bool recorder_is_owner(void)
{
	return true;
}

bool recorder_owns(int descriptor)
{
	(void)descriptor;
	return false;
}

void recorder_move_away(int descriptor)
{
	(void)descriptor;
}
