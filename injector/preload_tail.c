// SPDX-License-Identifier: MIT
/* Records on their way into the stream's file. A system call for each would cost more than what is
 * recorded, so they are gathered in a tail of fixed size, and written when it is full. The tail
 * lies in a file that is mapped and shared: when the program is killed it stays behind, and whoever
 * collects the stream puts it at its end.
 *
 * What holds at each instruction at which the program may be killed: the first `stream_bytes` bytes
 * of the stream's file, then the first `used` bytes of the tail, are all records put so far, the
 * last of them perhaps not whole. So bytes come before `used`; and when the tail was written,
 * `used` becomes 0 before `stream_bytes` grows.
 *
 * The tail's blocks are allocated beforehand: a store to a mapping on a full disk would end the
 * program. Where there is no tail (no room, a file system without shared mappings) records are
 * written one by one.
 *
 * A program that is run again and again keeps its tail from run to run: making a file and its pages
 * takes as long as some steps of it. That tail is large enough for most runs, and is not written in
 * the end: the controller has it mapped, too. */
#include "injector/io_call.h"
#include "injector/preload.h"
#include "injector/real.h"
#include "injector/stream_tail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/** A mapped tail, with room for so many bytes. */
struct mapping {
	struct stream_tail *tail; /* NULL: none */
	size_t room;
};

static struct mapping tail_in_use;
static struct mapping staying; /* where the server of this program finds it */
static bool is_ours;           /* the staying tail is for this process */
static uint64_t usual_bytes;   /* of the staying one, that the last run needed */
static uint64_t stream_bytes;  /* without a tail */

static struct mapping map_tail(int file, size_t room)
{
	void *mapped = mmap(NULL, sizeof(struct stream_tail) + room, PROT_READ | PROT_WRITE,
			    MAP_SHARED, file, 0);

	return mapped != MAP_FAILED ? (struct mapping){ mapped, room } : (struct mapping){ 0 };
}

void preload_tail_find(void)
{
	char path[PRELOAD_PATH_BYTES + 16];

	snprintf(path, sizeof(path), "%s" STREAM_TAIL_SUFFIX, preload.prefix);
	int file = real()->open(path, O_RDWR | O_CLOEXEC);
	if (file < 0)
		return;
	staying = map_tail(file, STREAM_TAIL_STAYING_BYTES);
	real()->close(file);
}

void preload_tail_take(void)
{
	is_ours = staying.tail != NULL;
	/* All at once: finding its pages one by one takes much longer. */
	if (is_ours && usual_bytes > 0)
		(void)madvise(staying.tail, sizeof(struct stream_tail) + usual_bytes,
			      MADV_POPULATE_WRITE);
}

void preload_tail_look(void)
{
	uint64_t used = staying.tail ? staying.tail->used : 0;

	usual_bytes = used <= staying.room ? used : 0;
}

void preload_tail_open(const char *stream_path)
{
	char path[PRELOAD_PATH_BYTES + 80];

	if (is_ours) {
		tail_in_use = staying;
		return;
	}
	snprintf(path, sizeof(path), "%s" STREAM_TAIL_SUFFIX, stream_path);
	int file = real()->open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (file < 0)
		return;
	if (real()->posix_fallocate(file, 0, sizeof(struct stream_tail) + STREAM_TAIL_BYTES) == 0)
		tail_in_use = map_tail(file, STREAM_TAIL_BYTES);
	real()->close(file);
}

void preload_tail_forget(void)
{
	if (tail_in_use.tail && !is_ours)
		munmap(tail_in_use.tail, sizeof(struct stream_tail) + tail_in_use.room);
	tail_in_use = (struct mapping){ 0 };
	is_ours = false;
	stream_bytes = 0;
}

/** Write all pieces at byte `place` of the stream. */
static enum status write_pieces(struct iovec *pieces, size_t piece_count, uint64_t place)
{
	size_t first = 0;

	while (first < piece_count) {
		ssize_t put = real()->pwritev(preload.stream, pieces + first,
					      (int)(piece_count - first), (off_t)place);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return STATUS_IO;
		place += (uint64_t)put;
		for (; first < piece_count && (size_t)put >= pieces[first].iov_len; first++)
			put -= (ssize_t)pieces[first].iov_len;
		if (first < piece_count) {
			pieces[first].iov_base = (uint8_t *)pieces[first].iov_base + put;
			pieces[first].iov_len -= (size_t)put;
		}
	}
	return STATUS_OK;
}

static enum status flush(void)
{
	struct stream_tail *tail = tail_in_use.tail;

	if (!tail || tail->used == 0)
		return STATUS_OK;
	uint64_t used = tail->used;
	struct iovec piece = io_piece(tail->bytes, (size_t)used);
	enum status status = write_pieces(&piece, 1, tail->stream_bytes);
	if (status != STATUS_OK)
		return status;
	__atomic_store_n(&tail->used, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&tail->stream_bytes, tail->stream_bytes + used, __ATOMIC_RELEASE);
	return STATUS_OK;
}

enum status preload_tail_end(void)
{
	return is_ours ? STATUS_OK : flush();
}

/** Put a record past the tail, which is empty. */
static enum status put_directly(const struct trace_span *spans, size_t span_count, uint64_t bytes)
{
	struct iovec pieces[TRACE_SPANS_MAX];
	struct stream_tail *tail = tail_in_use.tail;
	uint64_t *end = tail ? &tail->stream_bytes : &stream_bytes;

	for (size_t i = 0; i < span_count; i++)
		pieces[i] = io_piece(spans[i].bytes, spans[i].byte_count);
	enum status status = write_pieces(pieces, span_count, *end);
	if (status == STATUS_OK)
		__atomic_store_n(end, *end + bytes, __ATOMIC_RELEASE);
	return status;
}

enum status preload_tail_put(void *context, const struct trace_span *spans, size_t span_count)
{
	struct stream_tail *tail = tail_in_use.tail;
	uint64_t bytes = 0;

	(void)context;
	for (size_t i = 0; i < span_count; i++)
		bytes += spans[i].byte_count;
	if (!tail || bytes > tail_in_use.room - tail->used) {
		enum status status = flush();
		if (status != STATUS_OK)
			return status;
	}
	if (!tail || bytes > tail_in_use.room)
		return put_directly(spans, span_count, bytes);
	uint64_t used = tail->used;
	for (size_t i = 0; i < span_count; i++) {
		memcpy(tail->bytes + used, spans[i].bytes, spans[i].byte_count);
		used += spans[i].byte_count;
	}
	__atomic_store_n(&tail->used, used, __ATOMIC_RELEASE);
	return STATUS_OK;
}
