// SPDX-License-Identifier: MIT
/* Reading: an in-flight allocation whose data is written, else the L2 table, else the backing
 * chain.
 *
 * The chain is walked with a loop, layer by layer, each layer cutting the length to where its
 * answer changes. A host range of the image itself is held while it is read without the lock, so
 * that it is not given to somebody else meanwhile. */
#include "engine/qcow2/read.h"

#include "engine/qcow2/alloc.h"
#include "engine/qcow2/events.h"
#include "engine/qcow2/l2meta.h"
#include "engine/qcow2/vector.h"

#include <errno.h>

static void source_zero(struct source *source, uint64_t bytes)
{
	*source = (struct source){ .kind = SOURCE_ZERO, .bytes = bytes };
}

static void source_raw(struct source *source, struct qcow2 *layer, uint64_t guest_offset,
		       uint64_t bytes)
{
	uint64_t end = layer->raw.size_bytes;
	if (guest_offset >= end) {
		source_zero(source, bytes);
		return;
	}
	*source =
		(struct source){ .kind = SOURCE_HOST,
				 .image = layer,
				 .file = &layer->raw.file,
				 .host_offset = guest_offset,
				 .bytes = bytes < end - guest_offset ? bytes : end - guest_offset };
}

/* What one layer's own tables say. With the layer's lock. */
static int find_in_layer(struct qcow2 *layer, uint64_t guest_offset, uint64_t bytes,
			 struct mapping *mapping)
{
	touch(TOUCH_HEADER, layer->depth, ACCESS_READ);
	if (guest_offset >= layer->size_bytes) {
		*mapping = (struct mapping){ .kind = MAPPING_ZERO, .bytes = bytes };
		return 0;
	}
	if (bytes > layer->size_bytes - guest_offset)
		bytes = layer->size_bytes - guest_offset;
	return map_lookup(layer, guest_offset, bytes, mapping);
}

int source_find(struct qcow2 *image, uint64_t guest_offset, uint64_t bytes, struct source *source)
{
	struct qcow2 *layer = image;
	struct mapping mapping;
	for (;;) {
		if (layer != image)
			co_mutex_lock(&layer->lock);
		int result = find_in_layer(layer, guest_offset, bytes, &mapping);
		if (layer != image)
			co_mutex_unlock(&layer->lock);
		if (result < 0)
			return result;
		bytes = mapping.bytes;
		if (mapping.kind != MAPPING_UNALLOCATED || !layer->backing)
			break;
		layer = layer->backing;
	}
	switch (mapping.kind) {
	case MAPPING_ZERO:
	case MAPPING_ZERO_ALLOCATED: source_zero(source, bytes); break;
	case MAPPING_UNALLOCATED: source_raw(source, layer, guest_offset, bytes); break;
	case MAPPING_NORMAL:
		*source = (struct source){ .kind = SOURCE_HOST,
					   .image = layer,
					   .file = &layer->file,
					   .host_offset = mapping.host_offset,
					   .bytes = bytes };
		break;
	case MAPPING_COMPRESSED:
		*source = (struct source){ .kind = SOURCE_COMPRESSED,
					   .image = layer,
					   .entry = mapping.entry,
					   .bytes = bytes };
		break;
	}
	return 0;
}

int source_read(const struct source *source, uint64_t guest_offset, const struct iovec *vector,
		int count)
{
	struct iovec slice[VECTOR_PIECES_MAX];
	switch (source->kind) {
	case SOURCE_ZERO: vector_zero(vector, count); return 0;
	case SOURCE_HOST:
		count = vector_slice(slice, vector, count, 0, vector_bytes(vector, count));
		QCOW2_EVENT(source->image,
			    source->file == &source->image->file ? QCOW2_READ : QCOW2_READ_BACKING);
		return file_readv(source->file, slice, count, source->host_offset);
	case SOURCE_COMPRESSED:
		return compressed_read(source->image, source->entry,
				       (size_t)in_cluster(source->image, guest_offset), vector,
				       count);
	}
	return -EIO;
}

/* Host bytes of the image itself that reading `source` touches; 0 bytes: none. */
static void source_span(const struct qcow2 *image, const struct source *source,
			uint64_t *host_offset, uint64_t *bytes)
{
	*host_offset = source->host_offset;
	*bytes = 0;
	if (source->image != image)
		return;
	if (source->kind == SOURCE_COMPRESSED)
		map_compressed_span(image, source->entry, host_offset, bytes);
	else if (source->kind == SOURCE_HOST && source->file == &image->file)
		*bytes = source->bytes;
}

/* Read the first piece of [guest_offset, guest_offset + bytes) that has a common source; `*bytes`
 * becomes its length. */
static int read_piece(struct qcow2 *image, uint64_t guest_offset, uint64_t *bytes,
		      const struct iovec *vector, int count, size_t done)
{
	struct source source;
	struct io_hold hold;
	int result = 0;
	co_mutex_lock(&image->lock);
	const struct l2meta *meta = l2meta_for_read(image, guest_offset, bytes);
	if (meta)
		source = (struct source){ .kind = SOURCE_HOST,
					  .image = image,
					  .file = &image->file,
					  .host_offset = l2meta_host(meta, guest_offset),
					  .bytes = *bytes };
	else
		result = source_find(image, guest_offset, *bytes, &source);
	if (result < 0) {
		co_mutex_unlock(&image->lock);
		return result;
	}
	uint64_t held_offset, held_bytes;
	source_span(image, &source, &held_offset, &held_bytes);
	hold_begin(image, &hold, held_offset, held_bytes, false);
	co_mutex_unlock(&image->lock);
	*bytes = source.bytes;
	struct iovec slice[VECTOR_PIECES_MAX];
	count = vector_slice(slice, vector, count, done, (size_t)*bytes);
	result = source_read(&source, guest_offset, slice, count);
	hold_end(image, &hold);
	return result;
}

int qcow2_readv(struct qcow2 *image, uint64_t guest_offset, const struct iovec *vector, int count)
{
	size_t bytes = vector_bytes(vector, count);
	touch(TOUCH_HEADER, image->depth, ACCESS_READ);
	if (count > VECTOR_PIECES_MAX || guest_offset > image->size_bytes ||
	    bytes > image->size_bytes - guest_offset)
		return -EINVAL;
	size_t done = 0;
	while (done < bytes) {
		uint64_t piece = bytes - done;
		int result = read_piece(image, guest_offset + done, &piece, vector, count, done);
		if (result < 0)
			return result;
		done += (size_t)piece;
	}
	return 0;
}
