// SPDX-License-Identifier: MIT
/* Inflating is a thousand times dearer than anything else the judge does, and it is asked for the
 * same cluster again and again: once for each of its sectors. So the last few results are kept,
 * with the compressed bytes they came from; an entry is used again only if those are equal byte by
 * byte, wherever they lie now. */
#include "oracle/inflate.h"

#include "oracle/bytes.h"
#include "oracle/heap.h"

#include <stdlib.h>
#include <zlib.h>

enum { SLOTS = 8, CLUSTER_BYTES_MAX = 2 << 20 };

struct inflate_slot {
	uint8_t *packed; /* owned */
	size_t packed_bytes, packed_capacity;
	uint8_t *plain; /* owned */
	size_t plain_bytes, plain_capacity;
	bool is_good;
};

struct inflater {
	struct inflate_slot slots[SLOTS];
	struct inflate_slot fresh; /* compressed bytes as they are now */
	z_stream stream;
	bool has_stream;
};

struct inflater *inflater_new(void)
{
	return heap_new(1, sizeof(struct inflater));
}

static void slot_release(struct inflate_slot *slot)
{
	free(slot->packed);
	free(slot->plain);
}

void inflater_free(struct inflater *inflater)
{
	if (inflater == NULL)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		slot_release(&inflater->slots[i]);
	slot_release(&inflater->fresh);
	if (inflater->has_stream)
		inflateEnd(&inflater->stream);
	free(inflater);
}

/** The stream may be followed by padding: only the plain side must be complete. */
static bool run_stream(struct inflater *inflater, struct inflate_slot *slot)
{
	enum { RAW_DEFLATE_WINDOW = -12 };
	z_stream *stream = &inflater->stream;
	int result;

	if (!inflater->has_stream) {
		if (inflateInit2(stream, RAW_DEFLATE_WINDOW) != Z_OK)
			return false;
		inflater->has_stream = true;
	} else if (inflateReset(stream) != Z_OK) {
		return false;
	}
	stream->next_in = slot->packed;
	stream->avail_in = (uInt)slot->packed_bytes;
	stream->next_out = slot->plain;
	stream->avail_out = (uInt)slot->plain_bytes;
	result = inflate(stream, Z_FINISH);
	return (result == Z_STREAM_END || result == Z_BUF_ERROR || result == Z_OK) &&
	       stream->avail_out == 0;
}

const uint8_t *inflater_cluster(struct inflater *inflater, const struct image_source *source,
				const struct mapping *mapping, size_t cluster_bytes)
{
	struct inflate_slot *fresh = &inflater->fresh;
	struct inflate_slot *slot;
	struct inflate_slot swap;

	/* Deflate never needs more than this; a hostile descriptor may claim it. */
	fresh->packed_bytes = (size_t)mapping->host_bytes;
	if (fresh->packed_bytes > 2 * (size_t)CLUSTER_BYTES_MAX)
		fresh->packed_bytes = 2 * (size_t)CLUSTER_BYTES_MAX;
	fresh->packed = heap_grow(fresh->packed, &fresh->packed_capacity, fresh->packed_bytes, 1);
	source->read(source->context, fresh->packed, fresh->packed_bytes, mapping->host_offset);
	slot = &inflater->slots[bytes_hash(fresh->packed, fresh->packed_bytes) % SLOTS];
	if (slot->plain_bytes == cluster_bytes && slot->packed_bytes == fresh->packed_bytes &&
	    memcmp(slot->packed, fresh->packed, fresh->packed_bytes) == 0)
		return slot->is_good ? slot->plain : NULL;
	swap = *slot;
	*slot = *fresh;
	*fresh = swap;
	slot->plain = heap_grow(slot->plain, &slot->plain_capacity, cluster_bytes, 1);
	slot->plain_bytes = cluster_bytes;
	slot->is_good = run_stream(inflater, slot);
	return slot->is_good ? slot->plain : NULL;
}
