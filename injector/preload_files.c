// SPDX-License-Identifier: MIT
/* Which files of a foreign program are recorded, and what was in them.
 *
 * With a list of images: those, by identity (device and inode), whatever path the program takes.
 * Without: every regular file that the program opens for writing and that is a qcow2 image by its
 * magic number, or empty. Whether an empty file becomes an image shows at the end; whoever reads
 * the stream drops those that did not.
 *
 * Initial contents are read at the first opening for writing, before the program can change them.
 * That is why O_TRUNC is taken out of the flags: the file is opened, read, and then cut, as a
 * change like any other. A qcow2 image brings its backing chain along, each file with its contents.
 */
#include "injector/preload.h"

#include "injector/real.h"
#include "injector/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	CAPTURE_BYTES = 1 << 18,
	CHAIN_MAX = 16,
	/** Empty files that may become images leave this many places for those that are. */
	PLACES_KEPT = 24,
};

static uint8_t captured[CAPTURE_BYTES];

/** The number of the file with this identity; TRACE_FILES_MAX when it is not known. */
static uint16_t find_known(const struct stat *status)
{
	uint16_t file = 0;

	while (file < preload.file_count && (preload.files[file].device != status->st_dev ||
					     preload.files[file].inode != status->st_ino))
		file++;
	return file < preload.file_count ? file : TRACE_FILES_MAX;
}

/** Put the data of `descriptor` as initial contents; holes are left out. */
static bool put_contents(const struct trace_sink *sink, uint16_t file, int descriptor, off_t size)
{
	off_t at = 0;

	while (at < size) {
		off_t data = real()->lseek(descriptor, at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			return true;
		if (data > at)
			at = data / CONTENT_PAGE_BYTES * CONTENT_PAGE_BYTES;
		ssize_t got = real()->pread(descriptor, captured, CAPTURE_BYTES, at);
		if (got <= 0)
			return got == 0;
		if (got > size - at)
			got = (ssize_t)(size - at);
		const struct trace_span span = { captured, (size_t)got };
		if (trace_put_initial(sink, file, (uint64_t)at, &span) != STATUS_OK)
			return false;
		at += got;
	}
	return true;
}

static void declare_file(const struct trace_sink *sink, uint16_t number)
{
	struct preload_file *file = &preload.files[number];
	const struct trace_file declared = { .path = file->path,
					     .format = (uint16_t)file->format,
					     .backing = file->backing };
	int descriptor = real()->open(file->path, O_RDONLY | O_CLOEXEC);
	struct stat status = { 0 };
	bool same = descriptor >= 0 && real()->fstat(descriptor, &status) == 0 &&
		    status.st_dev == file->device && status.st_ino == file->inode;

	file->declared = true;
	uint64_t size = same ? (uint64_t)status.st_size : 0;
	if (trace_put_file(sink, &declared, size) != STATUS_OK ||
	    (same && !preload.known && !put_contents(sink, number, descriptor, status.st_size)))
		preload_problem("the initial contents of a file could not be written");
	if (!same)
		preload_problem("the initial contents of a file could not be read");
	if (descriptor >= 0)
		real()->close(descriptor);
}

void preload_declare_files(void)
{
	for (uint16_t number = 0; number < preload.file_count && preload.on; number++) {
		const struct trace_sink *sink =
			preload.files[number].declared ? NULL : preload_sink();
		if (sink && !preload.files[number].declared)
			declare_file(sink, number);
	}
}

/** Look at the beginning of the file at `path`. False: it cannot be read or is no qcow2 image.
 * `backing_name` is "" when there is none. */
static bool peek_at(const char *path, struct qcow2_peek *peek, struct stat *status,
		    char *backing_name)
{
	uint8_t head[QCOW2_PEEK_BYTES];
	int descriptor = real()->open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool is_qcow2 = false;

	*peek = (struct qcow2_peek){ 0 };
	backing_name[0] = '\0';
	if (descriptor < 0)
		return false;
	ssize_t got = -1;
	if (real()->fstat(descriptor, status) == 0 && S_ISREG(status->st_mode))
		got = real()->pread(descriptor, head, sizeof(head), 0);
	if (got >= 0)
		is_qcow2 = qcow2_peek(peek, head, (size_t)got);
	if (is_qcow2 && peek->backing_bytes > 0 && peek->backing_bytes < QCOW2_PEEK_NAME_BYTES) {
		got = real()->pread(descriptor, backing_name, peek->backing_bytes,
				    (off_t)peek->backing_offset);
		backing_name[got > 0 ? got : 0] = '\0';
	}
	real()->close(descriptor);
	return is_qcow2;
}

/** Enter a file into the list; TRACE_FILES_MAX when the list is full. */
static uint16_t enter_file(const char *path, const struct stat *status, bool is_qcow2,
			   uint16_t backing)
{
	if (preload.file_count == TRACE_FILES_MAX) {
		preload_problem("more files than a trace can hold");
		return TRACE_FILES_MAX;
	}
	struct preload_file *file = &preload.files[preload.file_count];
	file->device = status->st_dev;
	file->inode = status->st_ino;
	file->backing = backing;
	file->format = is_qcow2 ? TRACE_FORMAT_QCOW2 : TRACE_FORMAT_RAW;
	file->declared = false;
	snprintf(file->path, sizeof(file->path), "%s", path);
	return preload.file_count++;
}

/** A file of a backing chain, top first. */
struct chain_link {
	char path[PRELOAD_PATH_BYTES];
	struct stat status;
	bool is_qcow2;
};

/** Find the backing file of the image in `link`. True: its path is in `next`, with `*raw` when its
 * contents are guest data, whatever they look like. */
static bool follow_chain(struct chain_link *link, struct chain_link *next, bool *raw)
{
	char name[QCOW2_PEEK_NAME_BYTES];
	struct qcow2_peek peek;

	if (*raw) {
		(void)stat(link->path, &link->status);
		return false;
	}
	link->is_qcow2 = peek_at(link->path, &peek, &link->status, name);
	*raw = peek.backing_format == QCOW2_PEEK_RAW;
	return name[0] != '\0' &&
	       qcow2_peek_resolve(next->path, PRELOAD_PATH_BYTES, link->path, name);
}

/** Enter the image at `path` and, before it, the files it is backed by. */
static uint16_t enter_chain(const char *path)
{
	static struct chain_link chain[CHAIN_MAX + 1]; /* used under the lock */
	uint16_t below = TRACE_NO_BACKING;
	size_t count = 0;
	bool raw = false;

	snprintf(chain[0].path, PRELOAD_PATH_BYTES, "%s", path);
	for (bool more = true; more && count < CHAIN_MAX;) {
		struct chain_link *link = &chain[count];
		link->status = (struct stat){ 0 };
		link->is_qcow2 = false;
		more = follow_chain(link, link + 1, &raw);
		if (!S_ISREG(link->status.st_mode))
			break;
		below = find_known(&link->status);
		if (below != TRACE_FILES_MAX)
			break;
		below = TRACE_NO_BACKING;
		count++;
	}
	while (count-- > 0) {
		const struct chain_link *link = &chain[count];
		below = enter_file(link->path, &link->status, link->is_qcow2, below);
		if (below == TRACE_FILES_MAX)
			break;
	}
	return below;
}

/** Is the file one of those in COWTIP_IMAGES? */
static bool is_named(const struct stat *status)
{
	char path[PRELOAD_PATH_BYTES];
	struct stat named;

	for (const char *line = preload.images; line && *line != '\0';) {
		size_t length = strcspn(line, "\n");
		if (length > 0 && length < sizeof(path)) {
			memcpy(path, line, length);
			path[length] = '\0';
			if (stat(path, &named) == 0 && named.st_dev == status->st_dev &&
			    named.st_ino == status->st_ino)
				return true;
		}
		line += length + (line[length] == '\n');
	}
	return false;
}

/** A path by which the file behind `descriptor` can be opened later: as the program named it, made
 * absolute when it is relative. */
static void path_of(char *path, size_t path_bytes, int descriptor, const char *given)
{
	char link[64];

	if (given[0] == '/') {
		snprintf(path, path_bytes, "%s", given);
		return;
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", descriptor);
	ssize_t length = readlink(link, path, path_bytes - 1);
	if (length > 0)
		path[length] = '\0';
	else
		snprintf(path, path_bytes, "%s", given);
}

/** The number under which the file just opened for writing is recorded; TRACE_FILES_MAX: it is not.
 */
static uint16_t watch_opened(int descriptor, const char *given, const struct stat *status,
			     int flags)
{
	char path[PRELOAD_PATH_BYTES];
	char name[QCOW2_PEEK_NAME_BYTES];
	struct qcow2_peek peek;
	struct stat seen;
	uint16_t file = find_known(status);

	if (file != TRACE_FILES_MAX)
		return file;
	path_of(path, sizeof(path), descriptor, given);
	bool is_qcow2 = peek_at(path, &peek, &seen, name);
	if (preload.images ? is_named(status) : is_qcow2) {
		file = enter_chain(path);
	} else if (!preload.images && (status->st_size == 0 || (flags & O_TRUNC)) &&
		   preload.file_count < TRACE_FILES_MAX - PLACES_KEPT) {
		/* What it held before was no image: begin with the empty file. */
		if (status->st_size > 0 && real()->ftruncate(descriptor, 0) < 0)
			return TRACE_FILES_MAX;
		file = enter_file(path, status, false, TRACE_NO_BACKING);
	}
	preload_declare_files();
	return file;
}

static bool is_writable(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH);
}

static int refuse(int descriptor, int error)
{
	real()->close(descriptor);
	errno = error;
	return -1;
}

/** Cut a freshly opened file off, as O_TRUNC asks. Returns `descriptor`, or -1 with errno. */
static int truncate_opened(int descriptor)
{
	static const struct io_request request = { .op = IO_RESIZE };
	struct watched_open *open = watch_find(descriptor);
	struct stat status;

	if (real()->fstat(descriptor, &status) == 0 &&
	    (!S_ISREG(status.st_mode) || status.st_size == 0))
		return descriptor;
	if (!open)
		return real()->ftruncate(descriptor, 0) < 0 ? refuse(descriptor, errno)
							    : descriptor;
	ssize_t result = io_call_run(open, &request);
	if (result == 0)
		return descriptor;
	watch_remove(descriptor);
	return refuse(descriptor, (int)-result);
}

bool recorder_open(int *result, int directory, const char *path, int flags, mode_t mode)
{
	struct stat status;
	bool writable = is_writable(flags);

	preload_init();
	if (!preload.on || !recorder_is_owner() || (flags & O_PATH) ||
	    (!writable && preload.file_count == 0))
		return false;
	int cut = writable ? O_TRUNC : 0;
	int descriptor = real()->openat(directory, path, flags & ~cut, mode);
	*result = descriptor;
	if (descriptor < 0 || real()->fstat(descriptor, &status) < 0)
		return true;
	preload_lock();
	uint16_t file = TRACE_FILES_MAX;
	if (S_ISREG(status.st_mode))
		file = writable ? watch_opened(descriptor, path, &status, flags)
				: find_known(&status);
	preload_unlock();
	if (file != TRACE_FILES_MAX) {
		int error = io_call_ask(&(struct fault_call){ .point = "posix/io/oc/open",
							      .kind = FAULT_CALL_OPEN },
					file);
		if (error != 0) {
			*result = refuse(descriptor, error);
			return true;
		}
		if (!watch_add_real(descriptor, file, flags))
			preload_problem("a descriptor is too high to be watched");
	}
	if (flags & cut)
		*result = truncate_opened(descriptor);
	return true;
}
