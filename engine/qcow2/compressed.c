// SPDX-License-Identifier: MIT
/* Compressed clusters: raw deflate, without zlib's header. They are read and replaced, never
 * written. */
#include "engine/qcow2/events.h"
#include "engine/qcow2/read.h"
#include "engine/qcow2/vector.h"

#include <errno.h>
#include <zlib.h>

static void *inflate_take(void *arena, unsigned count, unsigned bytes)
{
	return arena_take(arena, (size_t)count * bytes);
}

static void inflate_give(void *arena, void *object)
{
	arena_give(arena, object);
}

static int inflate_cluster(struct qcow2 *image, uint8_t *from, size_t from_bytes, uint8_t *to)
{
	z_stream stream = { .next_in = from,
			    .avail_in = (uInt)from_bytes,
			    .next_out = to,
			    .avail_out = image->cluster_bytes,
			    .zalloc = inflate_take,
			    .zfree = inflate_give,
			    .opaque = image->arena };
	if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
		return -ENOMEM;
	int result = inflate(&stream, Z_FINISH);
	inflateEnd(&stream);
	if (result == Z_MEM_ERROR)
		return -ENOMEM;
	/* The span ends on a sector: bytes after the stream's end are somebody else's. */
	return (result == Z_STREAM_END || result == Z_BUF_ERROR) && stream.avail_out == 0 ? 0
											  : -EIO;
}

int compressed_read(struct qcow2 *image, uint64_t entry, size_t from, const struct iovec *vector,
		    int count)
{
	uint64_t host_offset, span;
	map_compressed_span(image, entry, &host_offset, &span);
	int result = -ENOMEM;
	uint8_t *packed = arena_take(image->arena, (size_t)span);
	uint8_t *cluster = arena_take(image->arena, image->cluster_bytes);
	if (packed && cluster) {
		QCOW2_EVENT(image, QCOW2_READ_COMPRESSED);
		result = file_read(&image->file, packed, (size_t)span, host_offset);
		if (result == 0)
			result = inflate_cluster(image, packed, (size_t)span, cluster);
		if (result == 0)
			vector_fill(vector, count, cluster + from, vector_bytes(vector, count));
	}
	arena_give(image->arena, packed);
	arena_give(image->arena, cluster);
	return result;
}
