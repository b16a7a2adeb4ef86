// SPDX-License-Identifier: MIT
#include "injector/disk_file.h"

#include "injector/real.h"

#include <errno.h>

static int descriptor_of(struct disk *disk)
{
	return ((struct disk_file *)disk)->descriptor;
}

static int status_of(int result)
{
	return result < 0 ? -errno : 0;
}

/* A single buffer goes through pread and pwrite, as the program's call did most likely. */
static ssize_t file_read(struct disk *disk, const struct iovec *vector, int count,
			 uint64_t host_offset)
{
	int descriptor = descriptor_of(disk);
	off_t from = (off_t)host_offset;
	ssize_t got = count == 1
			      ? real()->pread(descriptor, vector->iov_base, vector->iov_len, from)
			      : real()->preadv(descriptor, vector, count, from);

	return got < 0 ? -errno : got;
}

static ssize_t file_write(struct disk *disk, const struct iovec *vector, int count,
			  uint64_t host_offset)
{
	int descriptor = descriptor_of(disk);
	off_t to = (off_t)host_offset;
	ssize_t put = count == 1 ? real()->pwrite(descriptor, vector->iov_base, vector->iov_len, to)
				 : real()->pwritev(descriptor, vector, count, to);

	return put < 0 ? -errno : put;
}

static int file_flush(struct disk *disk, bool data_only)
{
	int descriptor = descriptor_of(disk);

	return status_of(data_only ? real()->fdatasync(descriptor) : real()->fsync(descriptor));
}

static int file_resize(struct disk *disk, uint64_t bytes)
{
	return status_of(real()->ftruncate(descriptor_of(disk), (off_t)bytes));
}

static int file_allocate(struct disk *disk, int mode, uint64_t host_offset, uint64_t bytes)
{
	return status_of(
		real()->fallocate(descriptor_of(disk), mode, (off_t)host_offset, (off_t)bytes));
}

static int64_t file_size(struct disk *disk)
{
	struct stat status;

	return real()->fstat(descriptor_of(disk), &status) < 0 ? -errno : status.st_size;
}

static const struct disk_ops file_ops = {
	.read = file_read,
	.write = file_write,
	.flush = file_flush,
	.resize = file_resize,
	.allocate = file_allocate,
	.size = file_size,
};

void disk_file_init(struct disk_file *file, int descriptor)
{
	file->disk.ops = &file_ops;
	file->descriptor = descriptor;
}
