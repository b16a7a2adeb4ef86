// SPDX-License-Identifier: MIT
/* I/O that goes past the file calls would leave holes in a recording, and pass the gate.
 *
 * What a program can do without is refused, as by a kernel or a file system that does not have it:
 *
 *      io_uring, Linux AIO          ENOSYS, when they are set up, by whatever name
 *      POSIX AIO                    ENOSYS; libc's threads would call past us
 *      sendfile, splice             EINVAL, when they write to a watched file
 *      FICLONE and its like         EOPNOTSUPP, likewise
 *
 * A program that has another way takes it (QEMU's event loop does), and one that was told to use
 * them and nothing else says so.
 *
 * What cannot be refused without breaking the program is let through, and the recording has a gap
 * that names it: a shared mapping of a watched file for writing, and direct system calls on a
 * watched descriptor. The run fails with that line.
 *
 * What a program does without any function of a library (a system call of its own machine code)
 * shows when the recording is compared with the file, if it changes the file. */
#include "injector/intercept.h"

#include "injector/preload.h"
#include "injector/preload_rest.h"
#include "injector/real.h"

#include <aio.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LINE_BYTES = 160, ARGUMENTS = 6 };

int io_setup(int events, void *context);
int io_uring_setup(unsigned entries, void *parameters);
int io_uring_queue_init(unsigned entries, void *ring, unsigned flags);
int io_uring_queue_init_params(unsigned entries, void *ring, void *parameters);
int io_uring_queue_init_mem(unsigned entries, void *ring, void *parameters, void *memory,
			    size_t bytes);

/** Store the address of the library's own `name` in the function pointer at `pointer`. */
static bool find(void *pointer, const char *name)
{
	void *address = dlsym(RTLD_NEXT, name);

	memcpy(pointer, &address, sizeof(address));
	return address != NULL;
}

static bool is_recording(void)
{
	preload_init();
	return preload.on;
}

/** The same, unless the call is to be refused: then false. */
static bool find_allowed(void *pointer, const char *name)
{
	return !is_recording() && find(pointer, name);
}

static bool is_watched(int descriptor)
{
	return watch_find(descriptor) != NULL && is_recording();
}

/* ---- refused ---- */

INTERCEPT_EXPORT int io_setup(int events, void *context)
{
	int (*next)(int, void *);

	return find_allowed(&next, "io_setup") ? next(events, context) : -ENOSYS;
}

INTERCEPT_EXPORT int io_uring_setup(unsigned entries, void *parameters)
{
	int (*next)(unsigned, void *);

	return find_allowed(&next, "io_uring_setup") ? next(entries, parameters) : -ENOSYS;
}

INTERCEPT_EXPORT int io_uring_queue_init(unsigned entries, void *ring, unsigned flags)
{
	int (*next)(unsigned, void *, unsigned);

	return find_allowed(&next, "io_uring_queue_init") ? next(entries, ring, flags) : -ENOSYS;
}

INTERCEPT_EXPORT int io_uring_queue_init_params(unsigned entries, void *ring, void *parameters)
{
	int (*next)(unsigned, void *, void *);

	return find_allowed(&next, "io_uring_queue_init_params") ? next(entries, ring, parameters)
								 : -ENOSYS;
}

INTERCEPT_EXPORT int io_uring_queue_init_mem(unsigned entries, void *ring, void *parameters,
					     void *memory, size_t bytes)
{
	int (*next)(unsigned, void *, void *, void *, size_t);

	return find_allowed(&next, "io_uring_queue_init_mem")
		       ? next(entries, ring, parameters, memory, bytes)
		       : -ENOSYS;
}

INTERCEPT_EXPORT int aio_read(struct aiocb *request)
{
	int (*next)(struct aiocb *);

	return find_allowed(&next, "aio_read") ? next(request) : intercept_fail(ENOSYS);
}

INTERCEPT_EXPORT int aio_write(struct aiocb *request)
{
	int (*next)(struct aiocb *);

	return find_allowed(&next, "aio_write") ? next(request) : intercept_fail(ENOSYS);
}

INTERCEPT_EXPORT int aio_fsync(int kind, struct aiocb *request)
{
	int (*next)(int, struct aiocb *);

	return find_allowed(&next, "aio_fsync") ? next(kind, request) : intercept_fail(ENOSYS);
}

INTERCEPT_EXPORT int lio_listio(int mode, struct aiocb *const *restrict requests, int count,
				struct sigevent *restrict signal)
{
	int (*next)(int, struct aiocb *const *, int, struct sigevent *);

	return find_allowed(&next, "lio_listio") ? next(mode, requests, count, signal)
						 : intercept_fail(ENOSYS);
}

INTERCEPT_EXPORT ssize_t sendfile(int to, int from, off_t *host_offset, size_t bytes)
{
	static ssize_t (*next)(int, int, off_t *, size_t);

	if (is_watched(to))
		return intercept_fail(EINVAL);
	return next || find(&next, "sendfile") ? next(to, from, host_offset, bytes)
					       : intercept_fail(ENOSYS);
}

INTERCEPT_EXPORT ssize_t splice(int from, off64_t *from_offset, int to, off64_t *to_offset,
				size_t bytes, unsigned flags)
{
	static ssize_t (*next)(int, off64_t *, int, off64_t *, size_t, unsigned);

	if (is_watched(to))
		return intercept_fail(EINVAL);
	return next || find(&next, "splice") ? next(from, from_offset, to, to_offset, bytes, flags)
					     : intercept_fail(ENOSYS);
}

INTERCEPT_EXPORT int ioctl(int descriptor, unsigned long request, ...)
{
	static int (*next)(int, unsigned long, void *);
	va_list arguments;

	va_start(arguments, request);
	void *argument = va_arg(arguments, void *);
	va_end(arguments);
	if ((request == FICLONE || request == FICLONERANGE) && is_watched(descriptor))
		return intercept_fail(EOPNOTSUPP);
	return next || find(&next, "ioctl") ? next(descriptor, request, argument)
					    : intercept_fail(ENOSYS);
}

/* ---- let through, with a gap ---- */

INTERCEPT_EXPORT void *mmap(void *address, size_t bytes, int protection, int flags, int descriptor,
			    off_t host_offset)
{
	static void *(*next)(void *, size_t, int, int, int, off_t);
	bool is_shared = flags & MAP_SHARED; /* MAP_SHARED_VALIDATE has its bit */

	if (is_shared && (protection & PROT_WRITE) && is_watched(descriptor))
		preload_problem("it was mapped for writing (mmap, MAP_SHARED), and what is written "
				"to memory cannot be seen: have the program use write calls");
	if (!next && !find(&next, "mmap")) {
		errno = ENOSYS;
		return MAP_FAILED;
	}
	return next(address, bytes, protection, flags, descriptor, host_offset);
}

INTERCEPT_TWIN(mmap)
void *mmap64(void *address, size_t bytes, int protection, int flags, int descriptor,
	     off64_t host_offset);
INTERCEPT_TWIN(sendfile)
ssize_t sendfile64(int to, int from, off64_t *host_offset, size_t bytes);

/** Which argument of a system call is the descriptor of a file that it reads, changes or flushes?
 * -1: none. */
static int file_argument(long number)
{
	static const long first[] = {
		SYS_read,   SYS_write,     SYS_pread64,   SYS_pwrite64,  SYS_readv,
		SYS_writev, SYS_preadv,    SYS_pwritev,   SYS_preadv2,   SYS_pwritev2,
		SYS_fsync,  SYS_fdatasync, SYS_ftruncate, SYS_fallocate, SYS_sendfile,
	};

	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++)
		if (first[i] == number)
			return 0;
	return number == SYS_copy_file_range || number == SYS_splice ? 2 : -1;
}

INTERCEPT_EXPORT long syscall(long number, ...)
{
	static long (*next)(long, ...);
	long given[ARGUMENTS];
	char line[LINE_BYTES];
	va_list arguments;
	int file = file_argument(number);

	va_start(arguments, number);
	for (int i = 0; i < ARGUMENTS; i++)
		given[i] = va_arg(arguments, long);
	va_end(arguments);
	if ((number == SYS_io_uring_setup || number == SYS_io_setup) && is_recording())
		return intercept_fail(ENOSYS);
	if (number == SYS_sched_setaffinity)
		preload_rest_unbind();
	if (file >= 0 && is_watched((int)given[file])) {
		snprintf(line, sizeof(line),
			 "it was used by a direct system call (syscall, number %ld), which cannot "
			 "be held: have the program call libc's function",
			 number);
		preload_problem(line);
	}
	if (!next && !find(&next, "syscall"))
		return intercept_fail(ENOSYS);
	return next(number, given[0], given[1], given[2], given[3], given[4], given[5]);
}
