// SPDX-License-Identifier: MIT
#include "engine/qcow2/file.h"

#include "engine/qcow2/events.h"
#include "engine/qcow2/vector.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int file_open(struct file *file, const char *path, enum file_mode mode)
{
	static const int flags[] = {
		[FILE_READ_ONLY] = O_RDONLY | O_CLOEXEC,
		[FILE_READ_WRITE] = O_RDWR | O_CLOEXEC,
		[FILE_CREATE] = O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC,
	};
	do
		file->descriptor = open(path, flags[mode], 0644);
	while (file->descriptor < 0 && errno == EINTR);
	return file->descriptor < 0 ? -errno : 0;
}

int file_close(struct file *file)
{
	if (file->descriptor < 0)
		return 0;
	int result = close(file->descriptor);
	file->descriptor = -1;
	return result < 0 ? -errno : 0;
}

int64_t file_size(struct file *file)
{
	off_t end = lseek(file->descriptor, 0, SEEK_END);
	return end < 0 ? -errno : end;
}

int file_resize(struct file *file, uint64_t bytes)
{
	int result;
	do
		result = ftruncate(file->descriptor, (off_t)bytes);
	while (result < 0 && errno == EINTR);
	return result < 0 ? -errno : 0;
}

int file_read(struct file *file, void *to, size_t bytes, uint64_t host_offset)
{
	uint8_t *next = to;
	while (bytes > 0) {
		ssize_t got = pread(file->descriptor, next, bytes, (off_t)host_offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		next += got;
		host_offset += (uint64_t)got;
		bytes -= (size_t)got;
	}
	memset(next, 0, bytes);
	return 0;
}

int file_readv(struct file *file, struct iovec *vector, int count, uint64_t host_offset)
{
	while (count > 0) {
		ssize_t got = preadv(file->descriptor, vector, count, (off_t)host_offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		host_offset += (uint64_t)got;
		vector_advance(&vector, &count, (size_t)got);
	}
	vector_zero(vector, count);
	return 0;
}

int file_write(struct file *file, const void *from, size_t bytes, uint64_t host_offset)
{
	const uint8_t *next = from;
	while (bytes > 0) {
		FAULT_EVENT(QCOW2_PWRITEV);
		ssize_t put = pwrite(file->descriptor, next, bytes, (off_t)host_offset);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return put < 0 ? -errno : -EIO;
		next += put;
		host_offset += (uint64_t)put;
		bytes -= (size_t)put;
	}
	return 0;
}

int file_writev(struct file *file, struct iovec *vector, int count, uint64_t host_offset)
{
	while (count > 0) {
		FAULT_EVENT(QCOW2_PWRITEV);
		ssize_t put = pwritev(file->descriptor, vector, count, (off_t)host_offset);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return put < 0 ? -errno : -EIO;
		host_offset += (uint64_t)put;
		vector_advance(&vector, &count, (size_t)put);
	}
	return 0;
}

int file_flush(struct file *file)
{
	int result;
	do
		result = fdatasync(file->descriptor);
	while (result < 0 && errno == EINTR);
	return result < 0 ? -errno : 0;
}
