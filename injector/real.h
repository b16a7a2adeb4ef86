// SPDX-License-Identifier: MIT
/** The C library's own file calls, which the injector's definitions hide. */
#ifndef INJECTOR_REAL_H
#define INJECTOR_REAL_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

/** One pointer for each call; what the library does not have is NULL. */
struct real_calls {
	int (*open)(const char *path, int flags, ...);
	int (*openat)(int directory, const char *path, int flags, ...);
	int (*close)(int descriptor);
	int (*close_range)(unsigned first, unsigned last, int flags);
	int (*dup)(int descriptor);
	int (*dup2)(int from, int to);
	int (*dup3)(int from, int to, int flags);
	int (*fcntl)(int descriptor, int command, ...);
	int (*fstat)(int descriptor, struct stat *status);
	off_t (*lseek)(int descriptor, off_t host_offset, int whence);
	ssize_t (*read)(int descriptor, void *to, size_t bytes);
	ssize_t (*write)(int descriptor, const void *from, size_t bytes);
	ssize_t (*readv)(int descriptor, const struct iovec *vector, int count);
	ssize_t (*writev)(int descriptor, const struct iovec *vector, int count);
	ssize_t (*pread)(int descriptor, void *to, size_t bytes, off_t host_offset);
	ssize_t (*pwrite)(int descriptor, const void *from, size_t bytes, off_t host_offset);
	ssize_t (*preadv)(int descriptor, const struct iovec *vector, int count, off_t host_offset);
	ssize_t (*pwritev)(int descriptor, const struct iovec *vector, int count,
			   off_t host_offset);
	ssize_t (*preadv2)(int descriptor, const struct iovec *vector, int count, off_t host_offset,
			   int flags);
	ssize_t (*pwritev2)(int descriptor, const struct iovec *vector, int count,
			    off_t host_offset, int flags);
	int (*fsync)(int descriptor);
	int (*fdatasync)(int descriptor);
	int (*ftruncate)(int descriptor, off_t bytes);
	int (*fallocate)(int descriptor, int mode, off_t host_offset, off_t bytes);
	int (*posix_fallocate)(int descriptor, off_t host_offset, off_t bytes);
	ssize_t (*copy_file_range)(int from, off_t *from_offset, int to, off_t *to_offset,
				   size_t bytes, unsigned flags);
};

/* Offsets are 64 bits wide here, so that each call and its ...64 twin are one. */
_Static_assert(sizeof(off_t) == 8, "a 64-bit off_t is assumed");

extern struct real_calls real_calls_found;
extern bool real_calls_ready;

/** Look the calls up; done by real() when needed. */
void real_calls_find(void);

/** The calls. Works before constructors have run, and in any thread. */
static inline const struct real_calls *real(void)
{
	if (!__atomic_load_n(&real_calls_ready, __ATOMIC_ACQUIRE))
		real_calls_find();
	return &real_calls_found;
}

#endif
