// SPDX-License-Identifier: MIT
/** What lies under a watched file: one operation table, and a file each that fills it in. */
#ifndef INJECTOR_DISK_H
#define INJECTOR_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/** Implementations embed this first. */
struct disk {
	const struct disk_ops *ops;
};

/** Every operation returns -errno on failure. No range reaches beyond byte 2^63 - 1. */
struct disk_ops {
	/** Returns bytes read: fewer than asked for at the end of the file, 0 beyond it. */
	ssize_t (*read)(struct disk *disk, const struct iovec *vector, int count,
			uint64_t host_offset);
	/** Extends the file when needed. Returns bytes written, fewer than given when the device
	 * fills up. */
	ssize_t (*write)(struct disk *disk, const struct iovec *vector, int count,
			 uint64_t host_offset);
	/** `data_only`: fdatasync, else fsync. */
	int (*flush)(struct disk *disk, bool data_only);
	int (*resize)(struct disk *disk, uint64_t bytes);
	/** fallocate(2) with `mode`, one of those that disk_mode_op() knows. */
	int (*allocate)(struct disk *disk, int mode, uint64_t host_offset, uint64_t bytes);
	/** Size in bytes. */
	int64_t (*size)(struct disk *disk);
};

/** Which I/O is fallocate(2) with `mode`: IO_ALLOCATE, IO_ZERO or IO_PUNCH; 0 for modes that are
 * not supported (those that move data). */
unsigned disk_mode_op(int mode);

/** Does `mode` leave the size alone? */
bool disk_mode_keeps_size(int mode);

#endif
