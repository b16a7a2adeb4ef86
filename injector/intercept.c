// SPDX-License-Identifier: MIT
/* The door through which all I/O on watched files passes: libc's own names, defined by us.
 *
 *     program --- pwrite(3, ...) ---> our pwrite --- watched? no ---> the next pwrite (libc's)
 *                                          |
 *                                          yes
 *                                          v
 *                                     io_call_run: record, gate, fault, disk, record
 *
 * The same source is linked into our own programs, ahead of libc, and into the shared library that
 * is preloaded into other people's. What may surprise here:
 *
 *  - On 64-bit systems each call and its ...64 twin are the same function under two names. Both are
 *    defined, as aliases, because programs use either.
 *  - Any thread may come through here at any time, before constructors ran and inside a signal
 *    handler. So the way of an unwatched descriptor is a table look-up and a jump; it allocates
 *    nothing and takes no lock.
 *  - errno belongs to the program: it changes when the call fails, and only then.
 *  - libc's own inner calls (stdio, getaddrinfo) do not come through here: they are bound inside
 *    libc. Neither do direct system calls, memory mappings and io_uring. */
#include "injector/intercept.h"

#include "injector/real.h"
#include "injector/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

enum { COPY_CHUNK_BYTES = 1 << 20 };

ssize_t intercept_run(struct watched_open *open, const struct io_request *request)
{
	int errno_before = errno;
	ssize_t result = io_call_run(open, request);

	errno = result < 0 ? (int)-result : errno_before;
	return result < 0 ? -1 : result;
}

int intercept_fail(int error)
{
	errno = error;
	return -1;
}

static bool is_writable(const struct watched_open *open)
{
	return (open->flags & O_ACCMODE) != O_RDONLY;
}

static bool is_readable(const struct watched_open *open)
{
	return (open->flags & O_ACCMODE) != O_WRONLY;
}

/** Sum the lengths of a vector; false when it is not one that the kernel would take. */
static bool vector_length(const struct iovec *vector, int count, uint64_t *length)
{
	*length = 0;
	if (count < 0 || count > IOV_MAX)
		return false;
	for (int i = 0; i < count; i++) {
		if (vector[i].iov_len > (size_t)SSIZE_MAX - *length)
			return false;
		*length += vector[i].iov_len;
	}
	return true;
}

static int64_t size_of(const struct watched_open *open)
{
	return open->disk->ops->size(open->disk);
}

/** Read or write at a given place. */
static ssize_t transfer(struct watched_open *open, struct io_request *request, off_t host_offset)
{
	bool allowed = request->op == IO_READ ? is_readable(open) : is_writable(open);

	if (!allowed)
		return intercept_fail(EBADF);
	if (host_offset < 0 ||
	    !vector_length(request->vector, request->vector_count, &request->length))
		return intercept_fail(EINVAL);
	if (request->length == 0)
		return 0;
	request->host_offset = (uint64_t)host_offset;
	if (request->op == IO_WRITE && (open->flags & O_APPEND))
		request->host_offset = (uint64_t)size_of(open);
	if (request->length > (uint64_t)INT64_MAX - request->host_offset)
		return request->op == IO_READ ? intercept_fail(EINVAL) : intercept_fail(EFBIG);
	return intercept_run(open, request);
}

static off_t position_of(const struct watched_open *open)
{
	return open->in_memory ? (off_t)open->position
			       : real()->lseek(open->own.descriptor, 0, SEEK_CUR);
}

static void set_position(struct watched_open *open, off_t position)
{
	if (open->in_memory)
		open->position = (uint64_t)position;
	else
		real()->lseek(open->own.descriptor, position, SEEK_SET);
}

/** Read or write where the descriptor stands, and move it on. */
static ssize_t transfer_on(struct watched_open *open, struct io_request *request)
{
	off_t position = position_of(open);

	if (position < 0)
		return -1;
	ssize_t moved = transfer(open, request, position);
	if (moved > 0)
		set_position(open, (off_t)request->host_offset + moved);
	return moved;
}

INTERCEPT_EXPORT ssize_t pread(int descriptor, void *to, size_t bytes, off_t host_offset)
{
	struct watched_open *open = watch_find(descriptor);

	if (!open)
		return real()->pread(descriptor, to, bytes, host_offset);
	const struct iovec piece = { .iov_base = to, .iov_len = bytes };
	struct io_request request = {
		.op = IO_READ, .point = "posix/io/rw/pread", .vector = &piece, .vector_count = 1
	};
	return transfer(open, &request, host_offset);
}

INTERCEPT_EXPORT ssize_t pwrite(int descriptor, const void *from, size_t bytes, off_t host_offset)
{
	struct watched_open *open = watch_find(descriptor);

	if (!open)
		return real()->pwrite(descriptor, from, bytes, host_offset);
	const struct iovec piece = io_piece(from, bytes);
	struct io_request request = {
		.op = IO_WRITE, .point = "posix/io/rw/pwrite", .vector = &piece, .vector_count = 1
	};
	return transfer(open, &request, host_offset);
}

INTERCEPT_EXPORT ssize_t preadv(int descriptor, const struct iovec *vector, int count,
				off_t host_offset)
{
	struct watched_open *open = watch_find(descriptor);

	if (!open)
		return real()->preadv(descriptor, vector, count, host_offset);
	struct io_request request = { .op = IO_READ,
				      .point = "posix/io/rw/preadv",
				      .vector = vector,
				      .vector_count = count };
	return transfer(open, &request, host_offset);
}

INTERCEPT_EXPORT ssize_t pwritev(int descriptor, const struct iovec *vector, int count,
				 off_t host_offset)
{
	struct watched_open *open = watch_find(descriptor);

	if (!open)
		return real()->pwritev(descriptor, vector, count, host_offset);
	struct io_request request = { .op = IO_WRITE,
				      .point = "posix/io/rw/pwritev",
				      .vector = vector,
				      .vector_count = count };
	return transfer(open, &request, host_offset);
}

INTERCEPT_EXPORT ssize_t preadv2(int descriptor, const struct iovec *vector, int count,
				 off_t host_offset, int flags)
{
	struct watched_open *open = watch_find(descriptor);

	if (!open)
		return real()->preadv2(descriptor, vector, count, host_offset, flags);
	if (flags & ~RWF_HIPRI)
		return intercept_fail(EOPNOTSUPP);
	return host_offset == -1 ? readv(descriptor, vector, count)
				 : preadv(descriptor, vector, count, host_offset);
}

INTERCEPT_EXPORT ssize_t pwritev2(int descriptor, const struct iovec *vector, int count,
				  off_t host_offset, int flags)
{
	struct watched_open *open = watch_find(descriptor);

	if (!open)
		return real()->pwritev2(descriptor, vector, count, host_offset, flags);
	if (flags & ~(RWF_HIPRI | RWF_DSYNC | RWF_SYNC))
		return intercept_fail(EOPNOTSUPP);
	ssize_t put = host_offset == -1 ? writev(descriptor, vector, count)
					: pwritev(descriptor, vector, count, host_offset);
	if (put > 0 && (flags & (RWF_DSYNC | RWF_SYNC)) && fdatasync(descriptor) < 0)
		return -1;
	return put;
}

INTERCEPT_EXPORT ssize_t read(int descriptor, void *to, size_t bytes)
{
	struct watched_open *open = watch_find(descriptor);

	if (!open)
		return real()->read(descriptor, to, bytes);
	const struct iovec piece = { .iov_base = to, .iov_len = bytes };
	struct io_request request = {
		.op = IO_READ, .point = "posix/io/rw/read", .vector = &piece, .vector_count = 1
	};
	return transfer_on(open, &request);
}

INTERCEPT_EXPORT ssize_t write(int descriptor, const void *from, size_t bytes)
{
	struct watched_open *open = watch_find(descriptor);

	if (!open)
		return real()->write(descriptor, from, bytes);
	const struct iovec piece = io_piece(from, bytes);
	struct io_request request = {
		.op = IO_WRITE, .point = "posix/io/rw/write", .vector = &piece, .vector_count = 1
	};
	return transfer_on(open, &request);
}

INTERCEPT_EXPORT ssize_t readv(int descriptor, const struct iovec *vector, int count)
{
	struct watched_open *open = watch_find(descriptor);

	if (!open)
		return real()->readv(descriptor, vector, count);
	struct io_request request = {
		.op = IO_READ, .point = "posix/io/rw/readv", .vector = vector, .vector_count = count
	};
	return transfer_on(open, &request);
}

INTERCEPT_EXPORT ssize_t writev(int descriptor, const struct iovec *vector, int count)
{
	struct watched_open *open = watch_find(descriptor);

	if (!open)
		return real()->writev(descriptor, vector, count);
	struct io_request request = { .op = IO_WRITE,
				      .point = "posix/io/rw/writev",
				      .vector = vector,
				      .vector_count = count };
	return transfer_on(open, &request);
}

INTERCEPT_EXPORT int fsync(int descriptor)
{
	struct watched_open *open = watch_find(descriptor);

	if (!open)
		return real()->fsync(descriptor);
	const struct io_request request = { .op = IO_FLUSH, .point = "posix/io/sync/fsync" };
	return (int)intercept_run(open, &request);
}

INTERCEPT_EXPORT int fdatasync(int descriptor)
{
	struct watched_open *open = watch_find(descriptor);

	if (!open)
		return real()->fdatasync(descriptor);
	const struct io_request request = { .op = IO_FLUSH,
					    .point = "posix/io/sync/fdatasync",
					    .data_only = true };
	return (int)intercept_run(open, &request);
}

INTERCEPT_EXPORT int ftruncate(int descriptor, off_t bytes)
{
	struct watched_open *open = watch_find(descriptor);

	if (!open)
		return real()->ftruncate(descriptor, bytes);
	if (bytes < 0 || !is_writable(open))
		return intercept_fail(EINVAL);
	const struct io_request request = { .op = IO_RESIZE,
					    .point = "posix/io/rw/ftruncate",
					    .host_offset = (uint64_t)bytes };
	return (int)intercept_run(open, &request);
}

static int allocate(struct watched_open *open, int mode, off_t host_offset, off_t bytes)
{
	unsigned op = disk_mode_op(mode);

	if (op == 0)
		return intercept_fail(EOPNOTSUPP);
	if (!is_writable(open))
		return intercept_fail(EBADF);
	if (host_offset < 0 || bytes <= 0)
		return intercept_fail(EINVAL);
	if (bytes > INT64_MAX - host_offset)
		return intercept_fail(EFBIG);
	const struct io_request request = { .op = (enum io_op)op,
					    .point = "posix/io/rw/fallocate",
					    .host_offset = (uint64_t)host_offset,
					    .length = (uint64_t)bytes,
					    .mode = mode };
	return (int)intercept_run(open, &request);
}

INTERCEPT_EXPORT int fallocate(int descriptor, int mode, off_t host_offset, off_t bytes)
{
	struct watched_open *open = watch_find(descriptor);

	if (!open)
		return real()->fallocate(descriptor, mode, host_offset, bytes);
	return allocate(open, mode, host_offset, bytes);
}

/* Unlike its relatives this one returns the error and leaves errno alone. */
INTERCEPT_EXPORT int posix_fallocate(int descriptor, off_t host_offset, off_t bytes)
{
	struct watched_open *open = watch_find(descriptor);

	if (!open)
		return real()->posix_fallocate(descriptor, host_offset, bytes);
	int errno_before = errno;
	int error = allocate(open, 0, host_offset, bytes) < 0 ? errno : 0;
	errno = errno_before;
	return error;
}

/** Copy at most one chunk through `buffer`, moving the offsets as copy_file_range(2) does. */
static ssize_t copy_chunk(int from, off_t *from_offset, int to, off_t *to_offset,
			  const struct iovec *buffer)
{
	ssize_t got = from_offset ? pread(from, buffer->iov_base, buffer->iov_len, *from_offset)
				  : read(from, buffer->iov_base, buffer->iov_len);
	if (got <= 0)
		return got;
	struct watched_open *open = watch_find(to);
	const struct iovec piece = { .iov_base = buffer->iov_base, .iov_len = (size_t)got };
	struct io_request request = { .op = IO_WRITE,
				      .point = "posix/io/rw/copy_file_range",
				      .vector = &piece,
				      .vector_count = 1 };
	ssize_t put;
	if (!open)
		put = to_offset ? real()->pwrite(to, piece.iov_base, piece.iov_len, *to_offset)
				: real()->write(to, piece.iov_base, piece.iov_len);
	else
		put = to_offset ? transfer(open, &request, *to_offset)
				: transfer_on(open, &request);
	if (put > 0 && from_offset)
		*from_offset += put;
	if (put > 0 && to_offset)
		*to_offset += put;
	if (!from_offset && put < got)
		lseek(from, (put > 0 ? put : 0) - got, SEEK_CUR);
	return put;
}

/* The bytes of a copy must be seen to be recorded, so a watched file gets them through a buffer. A
 * copy may be shorter than asked for: one chunk a call is enough. */
INTERCEPT_EXPORT ssize_t copy_file_range(int from, off_t *from_offset, int to, off_t *to_offset,
					 size_t bytes, unsigned flags)
{
	if (!watch_find(from) && !watch_find(to))
		return real()->copy_file_range(from, from_offset, to, to_offset, bytes, flags);
	if (flags != 0)
		return intercept_fail(EINVAL);
	struct iovec buffer = { .iov_len = bytes < COPY_CHUNK_BYTES ? bytes : COPY_CHUNK_BYTES };
	buffer.iov_base = malloc(buffer.iov_len + 1);
	if (!buffer.iov_base)
		return intercept_fail(ENOMEM);
	ssize_t copied = copy_chunk(from, from_offset, to, to_offset, &buffer);
	int error = errno;
	free(buffer.iov_base);
	errno = error;
	return copied;
}

/* The object sizes that _FORTIFY_SOURCE passes are the program's affair: libc checks them, and
 * terminates it, when the call is none of ours. */
INTERCEPT_EXPORT ssize_t __read_chk(int descriptor, void *to, size_t bytes, size_t room)
{
	if (bytes > room)
		abort();
	return read(descriptor, to, bytes);
}

INTERCEPT_EXPORT ssize_t __pread_chk(int descriptor, void *to, size_t bytes, off_t host_offset,
				     size_t room)
{
	if (bytes > room)
		abort();
	return pread(descriptor, to, bytes, host_offset);
}

INTERCEPT_TWIN(__pread_chk)
ssize_t __pread64_chk(int descriptor, void *to, size_t bytes, off_t host_offset, size_t room);
INTERCEPT_TWIN(pread) ssize_t pread64(int descriptor, void *to, size_t bytes, off64_t host_offset);
INTERCEPT_TWIN(pwrite)
ssize_t pwrite64(int descriptor, const void *from, size_t bytes, off64_t host_offset);
INTERCEPT_TWIN(preadv)
ssize_t preadv64(int descriptor, const struct iovec *vector, int count, off64_t host_offset);
INTERCEPT_TWIN(pwritev)
ssize_t pwritev64(int descriptor, const struct iovec *vector, int count, off64_t host_offset);
INTERCEPT_TWIN(preadv2)
ssize_t preadv64v2(int descriptor, const struct iovec *vector, int count, off64_t host_offset,
		   int flags);
INTERCEPT_TWIN(pwritev2)
ssize_t pwritev64v2(int descriptor, const struct iovec *vector, int count, off64_t host_offset,
		    int flags);
INTERCEPT_TWIN(ftruncate) int ftruncate64(int descriptor, off64_t bytes);
INTERCEPT_TWIN(fallocate)
int fallocate64(int descriptor, int mode, off64_t host_offset, off64_t bytes);
INTERCEPT_TWIN(posix_fallocate)
int posix_fallocate64(int descriptor, off64_t host_offset, off64_t bytes);
