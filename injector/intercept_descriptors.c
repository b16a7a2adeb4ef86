// SPDX-License-Identifier: MIT
/* The calls by which descriptors come, go and multiply. A descriptor is forgotten before the kernel
 * frees its number, and known before the program learns it, so that no thread that gets the number
 * next is taken for the last one. */
#include "injector/intercept.h"

#include "injector/real.h"
#include "injector/recorder.h"
#include "traces/content.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool needs_mode(int flags)
{
	return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
}

static int open_at(int directory, const char *path, int flags, mode_t mode)
{
	int errno_before = errno;
	int descriptor;

	if (!recorder_open(&descriptor, directory, path, flags, mode)) {
		errno = errno_before;
		return real()->openat(directory, path, flags, mode);
	}
	if (descriptor >= 0)
		errno = errno_before;
	return descriptor;
}

INTERCEPT_EXPORT int open(const char *path, int flags, ...)
{
	va_list arguments;

	va_start(arguments, flags);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): the analyzer misses va_start() */
	mode_t mode = needs_mode(flags) ? va_arg(arguments, mode_t) : 0;
	va_end(arguments);
	return open_at(AT_FDCWD, path, flags, mode);
}

INTERCEPT_EXPORT int openat(int directory, const char *path, int flags, ...)
{
	va_list arguments;

	va_start(arguments, flags);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): the analyzer misses va_start() */
	mode_t mode = needs_mode(flags) ? va_arg(arguments, mode_t) : 0;
	va_end(arguments);
	return open_at(directory, path, flags, mode);
}

INTERCEPT_EXPORT int creat(const char *path, mode_t mode)
{
	return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

INTERCEPT_EXPORT int __open_2(const char *path, int flags)
{
	return open_at(AT_FDCWD, path, flags, 0);
}

INTERCEPT_EXPORT int __openat_2(int directory, const char *path, int flags)
{
	return open_at(directory, path, flags, 0);
}

/** `descriptor` is about to be closed, or was replaced. */
static void forget(int descriptor)
{
	if (watch_find(descriptor) && recorder_is_owner())
		watch_remove(descriptor);
}

/* Linux frees the number even when close(2) fails; so do we. */
INTERCEPT_EXPORT int close(int descriptor)
{
	const struct watched_open *open = watch_find(descriptor);

	if (recorder_owns(descriptor))
		return intercept_fail(EBADF);
	if (!open)
		return real()->close(descriptor);
	bool in_memory = open->in_memory;
	int error = io_call_ask(
		&(struct fault_call){ .point = "posix/io/oc/close", .kind = FAULT_CALL_CLOSE },
		open->file);
	forget(descriptor);
	int result = in_memory ? 0 : real()->close(descriptor);
	return error != 0 ? intercept_fail(error) : result;
}

/** Close the range but for the one descriptor in it that the injector needs. */
static int close_around(unsigned first, unsigned last, int flags)
{
	for (unsigned kept = first; kept <= last && kept < WATCH_REAL_MAX; kept++) {
		if (!recorder_owns((int)kept))
			continue;
		if (kept > first && real()->close_range(first, kept - 1, flags) < 0)
			return -1;
		if (kept == last)
			return 0;
		first = kept + 1;
	}
	return real()->close_range(first, last, flags);
}

INTERCEPT_EXPORT int close_range(unsigned first, unsigned last, int flags)
{
	bool closes = !(flags & (int)CLOSE_RANGE_CLOEXEC);

	for (unsigned number = first; closes && number <= last && number < WATCH_REAL_MAX; number++)
		forget((int)number);
	return close_around(first, last, flags);
}

/** `descriptor` was made by duplicating that of the real file `open`: watch it, too. */
static int share(const struct watched_open *open, int descriptor)
{
	if (open && descriptor >= 0 && recorder_is_owner() &&
	    !watch_add_real(descriptor, open->file, open->flags))
		recorder_gap("a descriptor is too high to be watched");
	return descriptor;
}

static int share_memory(struct watched_open *open, int lowest)
{
	int descriptor = watch_share_memory(open, lowest);

	return descriptor < 0 ? intercept_fail(EMFILE) : descriptor;
}

INTERCEPT_EXPORT int dup(int descriptor)
{
	struct watched_open *open = watch_find(descriptor);

	if (open && open->in_memory)
		return share_memory(open, WATCH_MEMORY_FIRST);
	return share(open, real()->dup(descriptor));
}

/** Make `to` ready to be replaced; an in-memory file cannot take a number of the kernel's. */
static bool may_replace(const struct watched_open *open, int from, int to)
{
	if (open && open->in_memory)
		return false;
	if (from != to && recorder_owns(to))
		recorder_move_away(to);
	return true;
}

INTERCEPT_EXPORT int dup2(int from, int to)
{
	struct watched_open *open = watch_find(from);

	if (!may_replace(open, from, to))
		return intercept_fail(EINVAL);
	int descriptor = real()->dup2(from, to);
	if (descriptor < 0 || from == to)
		return descriptor;
	forget(to);
	return share(open, descriptor);
}

INTERCEPT_EXPORT int dup3(int from, int to, int flags)
{
	struct watched_open *open = watch_find(from);

	if (!may_replace(open, from, to))
		return intercept_fail(EINVAL);
	int descriptor = real()->dup3(from, to, flags);
	if (descriptor < 0)
		return descriptor;
	forget(to);
	return share(open, descriptor);
}

/** fcntl(2) on an in-memory file, as far as a program that stores data needs it. Locks are granted:
 * nobody else has the file open. */
static int fcntl_memory(struct watched_open *open, int command, void *argument)
{
	switch (command) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC: return share_memory(open, (int)(intptr_t)argument);
	case F_GETFL: return open->flags & ~(O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC);
	case F_GETFD: return open->flags & O_CLOEXEC ? FD_CLOEXEC : 0;
	case F_SETFD:
	case F_SETFL:
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_SETLK:
	case F_OFD_SETLKW: return 0;
	case F_GETLK:
	case F_OFD_GETLK: ((struct flock *)argument)->l_type = F_UNLCK; return 0;
	default: return intercept_fail(EINVAL);
	}
}

INTERCEPT_EXPORT int fcntl(int descriptor, int command, ...)
{
	struct watched_open *open = watch_find(descriptor);
	va_list arguments;

	va_start(arguments, command);
	void *argument = va_arg(arguments, void *);
	va_end(arguments);
	if (open && open->in_memory)
		return fcntl_memory(open, command, argument);
	int result = real()->fcntl(descriptor, command, argument);
	bool duplicates = command == F_DUPFD || command == F_DUPFD_CLOEXEC;
	if (open && command == F_SETFL && result == 0)
		open->flags = (open->flags & ~O_APPEND) | ((int)(intptr_t)argument & O_APPEND);
	return duplicates ? share(open, result) : result;
}

INTERCEPT_EXPORT int fstat(int descriptor, struct stat *status)
{
	const struct watched_open *open = watch_find(descriptor);

	if (!open)
		return real()->fstat(descriptor, status);
	recorder_touch_size(open);
	if (!open->in_memory)
		return real()->fstat(descriptor, status);
	*status = (struct stat){ .st_mode = S_IFREG | 0644,
				 .st_nlink = 1,
				 .st_ino = (ino_t)open->file + 1,
				 .st_blksize = CONTENT_PAGE_BYTES,
				 .st_size = open->disk->ops->size(open->disk) };
	status->st_blocks = (status->st_size + 511) / 512;
	return 0;
}

INTERCEPT_EXPORT int fstat64(int descriptor, struct stat64 *status)
{
	/* The same structure under two names. */
	_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "a 64-bit off_t is assumed");
	return fstat(descriptor, (struct stat *)(void *)status);
}

static off_t seek_memory(struct watched_open *open, off_t host_offset, int whence)
{
	int64_t size = open->disk->ops->size(open->disk);
	int64_t position;

	switch (whence) {
	case SEEK_SET: position = 0; break;
	case SEEK_CUR: position = (int64_t)open->position; break;
	case SEEK_END: position = size; break;
	case SEEK_DATA:
	case SEEK_HOLE:
		/* As a file system without holes: all data up to the end. */
		if (host_offset < 0 || host_offset >= size)
			return intercept_fail(ENXIO);
		position = whence == SEEK_DATA ? 0 : size - host_offset;
		break;
	default: return intercept_fail(EINVAL);
	}
	if (__builtin_add_overflow(position, host_offset, &position) || position < 0)
		return intercept_fail(EINVAL);
	open->position = (uint64_t)position;
	return position;
}

INTERCEPT_EXPORT off_t lseek(int descriptor, off_t host_offset, int whence)
{
	struct watched_open *open = watch_find(descriptor);

	if (!open)
		return real()->lseek(descriptor, host_offset, whence);
	if (whence != SEEK_SET && whence != SEEK_CUR)
		recorder_touch_size(open);
	return open->in_memory ? seek_memory(open, host_offset, whence)
			       : real()->lseek(descriptor, host_offset, whence);
}

INTERCEPT_TWIN(open) int open64(const char *path, int flags, ...);
INTERCEPT_TWIN(openat) int openat64(int directory, const char *path, int flags, ...);
INTERCEPT_TWIN(creat) int creat64(const char *path, mode_t mode);
INTERCEPT_TWIN(__open_2) int __open64_2(const char *path, int flags);
INTERCEPT_TWIN(__openat_2) int __openat64_2(int directory, const char *path, int flags);
INTERCEPT_TWIN(lseek) off64_t lseek64(int descriptor, off64_t host_offset, int whence);
INTERCEPT_TWIN(fcntl) int fcntl64(int descriptor, int command, ...);
