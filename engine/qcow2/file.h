// SPDX-License-Identifier: MIT
/** The image file: the only place of the engine that makes system calls. Every call may suspend the
 * calling task. */
#ifndef ENGINE_QCOW2_FILE_H
#define ENGINE_QCOW2_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/** Embedded; `descriptor` is -1 while closed. */
struct file {
	int descriptor;
};

/** What to open `path` for. */
enum file_mode { FILE_READ_ONLY, FILE_READ_WRITE, FILE_CREATE };

/** Open `path`; FILE_CREATE makes or empties it. 0 or -errno. */
int file_open(struct file *file, const char *path, enum file_mode mode);

/** Close; 0 or -errno. Closing a closed file does nothing. */
int file_close(struct file *file);

/** The size in bytes, or -errno. */
int64_t file_size(struct file *file);

/** Change the size. 0 or -errno. */
int file_resize(struct file *file, uint64_t bytes);

/** Fill `to`; bytes beyond the end of the file are zeros. 0 or -errno. */
int file_read(struct file *file, void *to, size_t bytes, uint64_t host_offset);

/** As file_read(), into a vector (changed: it is used up). */
int file_readv(struct file *file, struct iovec *vector, int count, uint64_t host_offset);

/** Write all bytes, or fail having written any part of them. 0 or -errno. */
int file_write(struct file *file, const void *from, size_t bytes, uint64_t host_offset);

/** As file_write(), from a vector (changed: it is used up). */
int file_writev(struct file *file, struct iovec *vector, int count, uint64_t host_offset);

/** Make what has been written durable. 0 or -errno. */
int file_flush(struct file *file);

#endif
