// SPDX-License-Identifier: MIT
/* Contents from files, against files and into files. A file is read in chunks, its holes are passed
 * over, and each piece of it that lies in one page is visited. */
#include "traces/content.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK_BYTES = 64 * 1024 };

/* Bytes of a file that lie in one page. */
struct piece {
	const uint8_t *bytes;
	uint64_t host_offset;
	size_t count;
};

/* A stretch of a file that is walked over, and what is done with each piece of it. */
struct walk {
	uint64_t from, to;
	enum status (*visit)(struct walk *walk, const struct piece *piece);
	/* A hole; what lies behind the last data is one. */
	void (*visit_hole)(struct walk *walk, uint64_t from, uint64_t to);
	struct content *filled;         /* loading */
	const struct content *compared; /* comparing */
	uint64_t difference;            /* the first byte that differs; UINT64_MAX: none so far */
};

/* What lies in one page of the `count` bytes at `host_offset`, which are at `bytes`. */
static struct piece first_piece(const uint8_t *bytes, uint64_t host_offset, uint64_t count)
{
	size_t room = CONTENT_PAGE_BYTES - host_offset % CONTENT_PAGE_BYTES;
	return (struct piece){ bytes, host_offset, count < room ? (size_t)count : room };
}

/* The bytes of `file` from `from` up to `to`, which hold data. */
static enum status walk_data(struct walk *walk, int file, uint64_t from, uint64_t to,
			     uint8_t *chunk)
{
	while (from < to) {
		size_t wanted = to - from < CHUNK_BYTES ? (size_t)(to - from) : CHUNK_BYTES;
		ssize_t got = pread(file, chunk, wanted, (off_t)from);
		if (got < 0)
			return STATUS_IO;
		if (got == 0) { /* cut while we read: the rest is zeros */
			walk->visit_hole(walk, from, to);
			return STATUS_OK;
		}
		for (size_t done = 0; done < (size_t)got;) {
			struct piece piece =
				first_piece(chunk + done, from + done, (size_t)got - done);
			enum status status = walk->visit(walk, &piece);
			if (status != STATUS_OK)
				return status;
			done += piece.count;
		}
		from += (uint64_t)got;
	}
	return STATUS_OK;
}

static enum status walk_file(struct walk *walk, int file, uint8_t *chunk)
{
	uint64_t at = walk->from;
	while (at < walk->to) {
		off_t data = lseek(file, (off_t)at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			break; /* holes up to the end */
		off_t hole = data < 0 ? -1 : lseek(file, data, SEEK_HOLE);
		uint64_t from = hole < 0 ? at : (uint64_t)data;
		if (from >= walk->to)
			break;
		uint64_t to = hole < 0 || (uint64_t)hole > walk->to ? walk->to : (uint64_t)hole;
		walk->visit_hole(walk, at, from);
		enum status status = walk_data(walk, file, from, to, chunk);
		if (status != STATUS_OK)
			return status;
		at = to;
	}
	walk->visit_hole(walk, at, walk->to);
	return STATUS_OK;
}

static enum status open_regular(int *file, uint64_t *size, const char *path, struct why *why)
{
	struct stat facts;
	*file = open(path, O_RDONLY | O_CLOEXEC);
	if (*file < 0 || fstat(*file, &facts) < 0)
		return why_set(why, STATUS_IO, "cannot open '%s': %s", path, strerror(errno));
	if (!S_ISREG(facts.st_mode))
		return why_set(why, STATUS_IO, "cannot read '%s': not a regular file", path);
	*size = (uint64_t)facts.st_size;
	/* Advice: what is not in the page cache is read much faster, in larger pieces. */
	(void)posix_fadvise(*file, 0, 0, POSIX_FADV_SEQUENTIAL);
	return STATUS_OK;
}

/* Walk over the stretch. It has no contents when there was no memory for them. */
static enum status walk_opened(struct walk *walk, int file, const char *path, struct why *why)
{
	uint8_t *chunk = malloc(CHUNK_BYTES);
	enum status status = STATUS_NO_MEMORY;
	if (chunk && (walk->filled || walk->compared))
		status = walk_file(walk, file, chunk);
	if (status == STATUS_IO)
		why_set(why, status, "cannot read '%s': %s", path, strerror(errno));
	else if (status != STATUS_OK)
		why_set(why, status, "cannot read '%s': out of memory", path);
	free(chunk);
	return status;
}

static enum status load_piece(struct walk *walk, const struct piece *piece)
{
	if (memcmp(piece->bytes, content_zeros, piece->count) == 0)
		return STATUS_OK;
	return content_write(walk->filled, piece->bytes, piece->count, piece->host_offset);
}

static void leave_hole(struct walk *walk, uint64_t from, uint64_t to)
{
	(void)walk;
	(void)from;
	(void)to;
}

enum status content_load(struct content **content, const char *path, struct why *why)
{
	struct walk walk = { .visit = load_piece, .visit_hole = leave_hole };
	int file = -1;
	*content = NULL;
	enum status status = open_regular(&file, &walk.to, path, why);
	if (status == STATUS_OK) {
		walk.filled = content_new(walk.to);
		status = walk_opened(&walk, file, path, why);
	}
	if (file >= 0)
		close(file);
	if (status == STATUS_OK)
		*content = walk.filled;
	else
		content_free(walk.filled);
	return status;
}

static enum status compare_piece(struct walk *walk, const struct piece *piece)
{
	const uint8_t *page = content_page(walk->compared, piece->host_offset / CONTENT_PAGE_BYTES);
	const uint8_t *ours = page ? page + piece->host_offset % CONTENT_PAGE_BYTES : content_zeros;
	if (walk->difference != UINT64_MAX || memcmp(ours, piece->bytes, piece->count) == 0)
		return STATUS_OK;
	size_t at = 0;
	while (ours[at] == piece->bytes[at])
		at++;
	walk->difference = piece->host_offset + at;
	return STATUS_OK;
}

/* Only pages that are stored need to be looked at. */
static void compare_hole(struct walk *walk, uint64_t from, uint64_t to)
{
	uint64_t index = from / CONTENT_PAGE_BYTES;
	for (; from < to && content_next_page(walk->compared, &index); index++) {
		uint64_t start = index * CONTENT_PAGE_BYTES;
		if (start >= to)
			return;
		if (start < from)
			start = from;
		struct piece piece = first_piece(content_zeros, start, to - start);
		compare_piece(walk, &piece);
	}
}

enum status content_compare(const struct content *content, uint64_t from, uint64_t to,
			    uint64_t *difference, const char *path, struct why *why)
{
	struct walk walk = { .from = from,
			     .to = to,
			     .visit = compare_piece,
			     .visit_hole = compare_hole,
			     .compared = content,
			     .difference = UINT64_MAX };
	int file = -1;
	uint64_t size;
	enum status status = open_regular(&file, &size, path, why);
	if (status == STATUS_OK)
		status = walk_opened(&walk, file, path, why);
	if (file >= 0)
		close(file);
	*difference = walk.difference;
	return status;
}

/* Write the whole of `bytes` at `host_offset`. */
static bool store_bytes(int file, const uint8_t *bytes, size_t count, uint64_t host_offset)
{
	while (count) {
		ssize_t stored = pwrite(file, bytes, count, (off_t)host_offset);
		if (stored < 0)
			return false;
		bytes += stored;
		host_offset += (uint64_t)stored;
		count -= (size_t)stored;
	}
	return true;
}

static bool store_pages(const struct content *content, int file)
{
	for (uint64_t index = 0; content_next_page(content, &index); index++) {
		uint64_t start = index * CONTENT_PAGE_BYTES;
		if (start >= content_size(content))
			break;
		uint64_t room = content_size(content) - start;
		size_t bytes = room < CONTENT_PAGE_BYTES ? (size_t)room : CONTENT_PAGE_BYTES;
		if (!store_bytes(file, content_page(content, index), bytes, start))
			return false;
	}
	return true;
}

/* A file to be written from its beginning; negative: errno says why not. */
static int open_to_store(const char *path)
{
	return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
}

/* Write all to `file`, which is empty, and close it; a negative one was not opened. Returns 0 or an
 * errno. */
static int store_and_close(const struct content *content, int file)
{
	if (file < 0)
		return errno;
	bool stored =
		ftruncate(file, (off_t)content_size(content)) == 0 && store_pages(content, file);
	int error = stored ? 0 : errno;
	if (close(file) < 0 && stored)
		error = errno;
	return error;
}

static enum status explain_store(int error, const char *path, struct why *why)
{
	if (error)
		return why_set(why, STATUS_IO, "cannot write '%s': %s", path, strerror(error));
	return STATUS_OK;
}

enum status content_store(const struct content *content, const char *path, struct why *why)
{
	char *temporary = NULL;
	if (asprintf(&temporary, "%s.tmp", path) < 0)
		return why_set(why, STATUS_NO_MEMORY, "cannot write '%s': out of memory", path);
	int file = open_to_store(temporary);
	int error = store_and_close(content, file);
	if (!error && rename(temporary, path) < 0)
		error = errno;
	if (error && file >= 0)
		unlink(temporary);
	free(temporary);
	return explain_store(error, path, why);
}

enum status content_overwrite(const struct content *content, const char *path, struct why *why)
{
	return explain_store(store_and_close(content, open_to_store(path)), path, why);
}
