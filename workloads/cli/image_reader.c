// SPDX-License-Identifier: MIT
#include "workloads/cli/image_reader.h"

#include <endian.h>

struct content_source {
	const struct content *content;
};

static void read_source(void *context, void *to, size_t bytes, uint64_t host_offset)
{
	const struct content_source *source = context;
	content_read(source->content, to, bytes, host_offset);
}

uint64_t image_u64(const struct content *image, uint64_t host_offset)
{
	uint64_t value = 0;
	content_read(image, &value, sizeof(value), host_offset);
	return be64toh(value);
}

bool image_is_zeros(const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (bytes[i])
			return false;
	return true;
}

void image_read_header(struct image_header *header, const struct content *image)
{
	struct content_source context = { image };
	struct image_source source = { .read = read_source, .context = &context };
	image_header_parse(header, &source);
}

/* A refcount has 2^order bits; those of less than a byte begin with the lowest bit. */
uint64_t image_refcount(const struct image_header *header, const struct content *image,
			uint64_t host_offset)
{
	uint64_t cluster = host_offset >> header->cluster_bits;
	uint64_t bits = (uint64_t)1 << header->refcount_order;
	uint64_t per_block = ((uint64_t)8 << header->cluster_bits) / bits;
	if (cluster / per_block >= header->reftable_entries)
		return 0;
	uint64_t block = image_u64(image, header->reftable_offset + cluster / per_block * 8) &
			 REFTABLE_OFFSET;
	if (!block)
		return 0;
	uint64_t bit = cluster % per_block * bits;
	uint8_t bytes[8] = { 0 };
	uint64_t value = 0;
	size_t count = bits < 8 ? 1 : (size_t)(bits / 8);
	content_read(image, bytes, count, block + bit / 8);
	for (size_t i = 0; i < count; i++)
		value = value << 8 | bytes[i];
	return bits < 8 ? value >> bit % 8 & (((uint64_t)1 << bits) - 1) : value;
}
