// SPDX-License-Identifier: MIT
/* The calls are looked up behind us in the order of libraries (RTLD_NEXT), not taken from libc by
 * name: between us and libc there may be others who have their reasons, such as a sanitizer, or
 * libfiu's own preload library. Two threads that race here store the same pointers. */
#include "injector/real.h"

#include <dlfcn.h>
#include <string.h>

struct real_calls real_calls_found;
bool real_calls_ready;

/** Store the address of `name` in the function pointer at `pointer`. ISO C has no cast for that. */
static void find(void *pointer, const char *name)
{
	void *address = dlsym(RTLD_NEXT, name);

	memcpy(pointer, &address, sizeof(address));
}

void real_calls_find(void)
{
	struct real_calls *calls = &real_calls_found;

	find(&calls->open, "open");
	find(&calls->openat, "openat");
	find(&calls->close, "close");
	find(&calls->close_range, "close_range");
	find(&calls->dup, "dup");
	find(&calls->dup2, "dup2");
	find(&calls->dup3, "dup3");
	find(&calls->fcntl, "fcntl64");
	find(&calls->fstat, "fstat");
	find(&calls->lseek, "lseek64");
	find(&calls->read, "read");
	find(&calls->write, "write");
	find(&calls->readv, "readv");
	find(&calls->writev, "writev");
	find(&calls->pread, "pread64");
	find(&calls->pwrite, "pwrite64");
	find(&calls->preadv, "preadv64");
	find(&calls->pwritev, "pwritev64");
	find(&calls->preadv2, "preadv64v2");
	find(&calls->pwritev2, "pwritev64v2");
	find(&calls->fsync, "fsync");
	find(&calls->fdatasync, "fdatasync");
	find(&calls->ftruncate, "ftruncate64");
	find(&calls->fallocate, "fallocate64");
	find(&calls->posix_fallocate, "posix_fallocate64");
	find(&calls->copy_file_range, "copy_file_range");
	__atomic_store_n(&real_calls_ready, true, __ATOMIC_RELEASE);
}
