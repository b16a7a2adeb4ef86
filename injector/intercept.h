// SPDX-License-Identifier: MIT
/** The POSIX calls that the injector defines in place of libc's; see intercept.c. Prototypes of
 * those which no system header declares. */
#ifndef INJECTOR_INTERCEPT_H
#define INJECTOR_INTERCEPT_H

#include "injector/io_call.h"
#include "injector/watch.h"

#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

/** Put before a definition that replaces libc's: seen from outside the shared library, and in a
 * section of its own, by which unwind_callers() tells the program's frames from ours. */
#define INTERCEPT_EXPORT __attribute__((visibility("default"), section("cowtip_intercept")))

/** Put before the declaration of a second name for such a definition. */
#define INTERCEPT_TWIN(name) __attribute__((visibility("default"), alias(#name)))

/** Run `request` as a system call would: -1 and errno on failure, errno unchanged on success. */
ssize_t intercept_run(struct watched_open *open, const struct io_request *request);

/** Set errno; returns -1. */
int intercept_fail(int error);

/* What programs compiled with _FORTIFY_SOURCE call.
 * NOLINTBEGIN(readability-identifier-naming): libc chose the names */
/** open(2) of a program that was compiled with _FORTIFY_SOURCE; never creates. */
int __open_2(const char *path, int flags);
/** See __open_2(). */
int __open64_2(const char *path, int flags);
/** openat(2), as __open_2(). */
int __openat_2(int directory, const char *path, int flags);
/** See __openat_2(). */
int __openat64_2(int directory, const char *path, int flags);
/** read(2) into an object of `room` bytes. */
ssize_t __read_chk(int descriptor, void *to, size_t bytes, size_t room);
/** pread(2) into an object of `room` bytes. */
ssize_t __pread_chk(int descriptor, void *to, size_t bytes, off_t host_offset, size_t room);
/** See __pread_chk(). */
ssize_t __pread64_chk(int descriptor, void *to, size_t bytes, off_t host_offset, size_t room);
/* NOLINTEND(readability-identifier-naming) */

#endif
