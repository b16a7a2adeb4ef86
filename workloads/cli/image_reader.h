// SPDX-License-Identifier: MIT
/** Looking into the contents of an image: its header, its numbers, its refcounts. Trusts nothing.
 */
#ifndef WORKLOADS_CLI_IMAGE_READER_H
#define WORKLOADS_CLI_IMAGE_READER_H

#include "oracle/image_header.h"
#include "traces/content.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The 8 bytes at `host_offset`, as qcow2 has its numbers; 0 beyond the end. */
uint64_t image_u64(const struct content *image, uint64_t host_offset);

/** Are all of them 0? */
bool image_is_zeros(const uint8_t *bytes, size_t count);

/** Decode the header of `image`; look at `header->readable`. */
void image_read_header(struct image_header *header, const struct content *image);

/** The refcount of the cluster with byte `host_offset`; 0 where no block counts it. */
uint64_t image_refcount(const struct image_header *header, const struct content *image,
			uint64_t host_offset);

#endif
