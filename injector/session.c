// SPDX-License-Identifier: MIT
#include "injector/session.h"

#include "injector/backtrace.h"
#include "injector/disk_memory.h"
#include "injector/fault_point.h"
#include "injector/gate.h"
#include "injector/real.h"
#include "injector/recorder.h"
#include "injector/stack_wipe.h"
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
	uint64_t initial_bytes;     /* size when a run begins; 0: not known */
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
	footprint_clear(&session.footprint);
	fault_point_begin(options->choice, &options->faults);
	fault_rules_begin(options->rules, options->rule_count);
}

void session_end(void)
{
	assert(session.active);
	session.active = false;
	fault_point_end();
	fault_rules_end();
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

	enum status status = memory ? watch_path(path, memory, file) : STATUS_NO_MEMORY;
	if (status == STATUS_OK)
		session.files[*file].initial_bytes = content_size(initial);
	return status;
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

void session_track(bool is_tracked)
{
	for (uint16_t file = 0; file < session.file_count; file++)
		if (session.files[file].memory)
			disk_memory_track(session.files[file].memory, is_tracked);
}

bool session_can_snapshot(void)
{
	for (uint16_t file = 0; file < session.file_count; file++)
		if (!session.files[file].memory)
			return false;
	return true;
}

/** What of a session is neither a descriptor nor a file. */
struct session_state {
	uint32_t io_count;
	uint32_t faults_left;
	struct fault_rules_state rules;
};

void session_save(struct snapshot_buffer *buffer)
{
	assert(session.active && session_can_snapshot());
	const struct session_state state = { .io_count = session.io_count,
					     .faults_left = fault_point_left(),
					     .rules = fault_rules_state() };
	snapshot_buffer_put(buffer, &state, sizeof(state));
	watch_save_memory(buffer);
	for (uint16_t file = 0; file < session.file_count; file++) {
		size_t mark = disk_memory_mark(session.files[file].memory);
		snapshot_buffer_put(buffer, &mark, sizeof(mark));
	}
}

void session_load(struct snapshot_buffer *buffer)
{
	struct session_state state;

	assert(session.active);
	snapshot_buffer_get(buffer, &state, sizeof(state));
	session.io_count = state.io_count;
	fault_point_set_left(state.faults_left);
	fault_rules_set_state(&state.rules);
	watch_load_memory(buffer);
	for (uint16_t file = 0; file < session.file_count; file++) {
		size_t mark = 0;
		snapshot_buffer_get(buffer, &mark, sizeof(mark));
		disk_memory_rollback(session.files[file].memory, mark);
	}
}

uint16_t session_file_count(void)
{
	return session.file_count;
}

struct page_hash session_hash(uint16_t file)
{
	assert(file < session.file_count && session.files[file].memory);
	return disk_memory_hash(session.files[file].memory);
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

__attribute__((noinline)) static void record(const struct event *event, const void *data,
					     size_t data_bytes)
{
	size_t index = event_log_append(session.options.log, event, data, data_bytes);

	if (event->actor == 0)
		session.options.log->events[index].actor = gate_actor();
}

void session_record(const struct event *event, const void *data, size_t data_bytes)
{
	if (!session.active)
		return;
	record(event, data, data_bytes);
	session_clear_stack();
}

/* A stack is part of a run's state. Where a function's variables lie that it has not set yet, there
 * is what an earlier call left: the number of events in the log, say, or an address of the heap.
 * Two runs that lead to the same state would be told apart by it. */
void session_clear_stack(void)
{
	if (session.options.clears_stacks)
		stack_wipe();
}

void recorder_clear_stack(void)
{
	session_clear_stack();
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
	if (session.options.labels)
		event->stack = backtrace_label_caller(session.options.labels);
}

/* The number of an I/O tells how many there were before. An I/O under way is on its caller's stack,
 * which is to depend on nothing but what the caller did: so the number is nowhere but in the log.
 * An actor has at most one I/O under way, and its last submission is its own. What was not
 * submitted, such as a failed open, gets a number at once. */
static uint32_t number_of(const struct event *event)
{
	const struct event_log *log = session.options.log;

	if (event->kind != EVENT_IO_SUBMITTED && event->op != 0)
		for (size_t i = log->count; i-- > 0;)
			if (log->events[i].kind == EVENT_IO_SUBMITTED &&
			    log->events[i].actor == event->actor)
				return log->events[i].id;
	return ++session.io_count;
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

__attribute__((noinline)) void recorder_append(const struct event *event,
					       const struct iovec *vector, size_t data_bytes)
{
	struct event numbered = *event;
	const void *data = NULL;

	numbered.id = number_of(event);
	if (data_bytes > 0)
		data = vector->iov_len >= data_bytes ? vector->iov_base
						     : gather(vector, data_bytes);
	event_log_append(session.options.log, &numbered, data, data_bytes);
}

/* One thread runs at a time here: coroutines, no threads. */
void recorder_hold(void)
{
}

void recorder_let_go(void)
{
}

void recorder_begin_effect(const struct watched_open *open, const struct io_request *request)
{
	(void)open;
	(void)request;
}

void recorder_end_effect(void)
{
}

static uint64_t present_size(const struct watched_open *open)
{
	int64_t size = open->disk->ops->size(open->disk);

	return size < 0 ? 0 : (uint64_t)size;
}

/** Sectors are written as a whole: bytes next to a write count as written. */
enum { SECTOR_BYTES = 512 };

static void touch_bytes(const struct watched_open *open, uint64_t from, uint64_t to,
			enum access_mode mode)
{
	footprint_touch(&session.footprint, footprint_object(OBJECT_FILE, open->file), from, to,
			mode);
}

static void touch_size(const struct watched_open *open, uint64_t from, uint64_t to,
		       enum access_mode mode)
{
	footprint_touch(&session.footprint, footprint_object(OBJECT_FILE_SIZE, open->file), from,
			to, mode);
}

/** The file was that long when the run began, and has been since: that it is so tells nothing about
 * who came first. 0 once it was cut off. */
static uint64_t settled_size(const struct watched_open *open)
{
	uint64_t initial = session.files[open->file].initial_bytes;

	return present_size(open) < initial ? 0 : initial;
}

/* The size is touched byte by byte: is the file long enough to have it? Two calls that make the
 * file longer commute: the longer one wins. What such a call touches must not depend on whether the
 * other came first, so it touches all bytes beyond those that the file had at the beginning. Who
 * looks at the size, or reads where the file ended, sees which came first. The effect of a flush
 * has no footprint: it changes no bytes. What it covers is another object, and a crash that keeps
 * what took effect does not ask for that. */
void recorder_touch_effect(const struct watched_open *open, const struct io_request *request)
{
	uint64_t from = request->host_offset / SECTOR_BYTES * SECTOR_BYTES;
	uint64_t end = request->host_offset + request->length;
	uint64_t to = (end + SECTOR_BYTES - 1) / SECTOR_BYTES * SECTOR_BYTES;

	switch (request->op) {
	case IO_READ:
		touch_bytes(open, request->host_offset, end, ACCESS_READ);
		touch_size(open, request->host_offset, end, ACCESS_READ);
		break;
	case IO_WRITE:
		touch_bytes(open, from, to, ACCESS_WRITE);
		if (end > settled_size(open))
			touch_size(open, settled_size(open), end, ACCESS_ADD);
		break;
	case IO_FLUSH: break;
	case IO_RESIZE:
	case IO_ZERO:
	case IO_PUNCH:
	case IO_ALLOCATE:
		touch_bytes(open, from, request->op == IO_RESIZE ? UINT64_MAX : to, ACCESS_WRITE);
		touch_size(open, 0, UINT64_MAX, ACCESS_WRITE);
		break;
	}
}

/* A flush that is asked for afterwards cannot succeed honestly, one that was asked for before can.
 * So a failed flush is to what the guest sees what a completed request is. */
void recorder_touch_failed_flush(void)
{
	footprint_touch(&session.footprint, footprint_object(OBJECT_HISTORY, 0), 0, UINT64_MAX,
			ACCESS_READ);
}

static void touch_epoch(const struct watched_open *open, uint64_t byte, enum access_mode mode)
{
	footprint_touch(&session.footprint, footprint_object(OBJECT_EPOCH, open->file), byte,
			byte + 1, mode);
}

void recorder_touch_submitted(const struct watched_open *open, enum io_op op)
{
	if (session.options.flushes_matter && op == IO_FLUSH)
		touch_epoch(open, 0, ACCESS_ADD);
}

void recorder_touch_completed(const struct watched_open *open, enum io_op op, int64_t result)
{
	if (!session.options.flushes_matter || op == IO_READ)
		return;
	if (op == IO_FLUSH)
		touch_epoch(open, 1, result < 0 ? ACCESS_WRITE : ACCESS_READ);
	else
		touch_epoch(open, 0, ACCESS_READ);
}

int recorder_planned_fault(const struct watched_open *open, const struct io_request *request)
{
	bool is_image = session.active && open->file == 0;

	if (__builtin_expect(!fault_rules_armed, 1) || !is_image)
		return 0;
	return fault_rules_ask(request->op, request->host_offset, request->length);
}

void recorder_touch_size(const struct watched_open *open)
{
	uint64_t size = present_size(open);

	/* The last byte is there, the next is not. */
	touch_size(open, size > 0 ? size - 1 : 0, UINT64_MAX, ACCESS_READ);
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
	int error = io_call_ask(
		&(struct fault_call){ .point = "posix/io/oc/open", .kind = FAULT_CALL_OPEN }, file);
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
