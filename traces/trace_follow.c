// SPDX-License-Identifier: MIT
#include "traces/trace_follow.h"

#include "traces/memory.h"
#include "traces/trace_decoder.h"
#include "traces/trace_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK_BYTES = 256 * 1024 };

struct trace_follower {
	int file;
	char *path;  /* owned */
	uint64_t at; /* bytes read so far */
	struct trace trace;
	struct trace_decoder decoder;
	enum status status; /* of reading and decoding so far; no more is read when not OK */
	struct why why;
	uint8_t chunk[CHUNK_BYTES];
};

struct trace_follower *trace_follower_open(const char *path)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	struct trace_follower *follower = file < 0 ? NULL : malloc(sizeof(*follower));

	if (!follower) {
		if (file >= 0)
			close(file);
		return NULL;
	}
	follower->file = file;
	follower->path = memory_text(path, strlen(path));
	follower->at = 0;
	follower->status = STATUS_OK;
	follower->why = (struct why){ "" };
	trace_init(&follower->trace);
	trace_decoder_init(&follower->decoder, &follower->trace, follower->path, &follower->why);
	return follower;
}

static void decode(struct trace_follower *follower, const uint8_t *bytes, size_t byte_count)
{
	follower->at += byte_count;
	if (follower->at > TRACE_STREAM_BYTES_MAX)
		follower->status = why_set(&follower->why, STATUS_CORRUPT,
					   "trace '%s': it is too large", follower->path);
	else
		follower->status = trace_decoder_feed(&follower->decoder, bytes, byte_count);
}

/** Decode the next chunk; false: there is none, or nothing more is to be read. */
static bool read_chunk(struct trace_follower *follower)
{
	if (follower->status != STATUS_OK)
		return false;
	ssize_t got = pread(follower->file, follower->chunk, CHUNK_BYTES, (off_t)follower->at);
	if (got < 0)
		follower->status = why_set(&follower->why, STATUS_IO, "cannot read '%s': %s",
					   follower->path, strerror(errno));
	if (got <= 0)
		return false;
	decode(follower, follower->chunk, (size_t)got);
	return follower->status == STATUS_OK;
}

uint64_t trace_follower_advance(struct trace_follower *follower)
{
	uint64_t before = follower->at;

	while (read_chunk(follower))
		continue;
	return follower->at - before;
}

bool trace_follower_add(struct trace_follower *follower, uint64_t place, const uint8_t *bytes,
			uint64_t byte_count)
{
	trace_follower_advance(follower);
	if (follower->status != STATUS_OK)
		return true;
	if (follower->at < place)
		return false;
	uint64_t known = follower->at - place;
	if (known < byte_count)
		decode(follower, bytes + known, byte_count - known);
	return true;
}

enum status trace_follower_finish(struct trace_follower *follower, struct trace *trace,
				  struct why *why)
{
	trace_follower_advance(follower);
	if (follower->status == STATUS_OK)
		follower->status = trace_decoder_finish(&follower->decoder);
	enum status status = follower->status;
	if (status != STATUS_OK)
		*why = follower->why;
	if (status == STATUS_OK || status == STATUS_TRUNCATED) {
		trace_release(trace);
		*trace = follower->trace;
		trace_init(&follower->trace);
	}
	trace_follower_free(follower);
	return status;
}

void trace_follower_free(struct trace_follower *follower)
{
	if (!follower)
		return;
	close(follower->file);
	trace_decoder_release(&follower->decoder);
	trace_release(&follower->trace);
	free(follower->path);
	free(follower);
}
