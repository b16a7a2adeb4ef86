// SPDX-License-Identifier: MIT
/** What the guest writes: bytes that say whose they are, so that an oracle knows whose data it
 * looks at. */
#ifndef WORKLOADS_GUEST_H
#define WORKLOADS_GUEST_H

#include "traces/content.h"

#include <stddef.h>
#include <stdint.h>

enum { GUEST_SECTOR_BYTES = 512 };

/** Whose bytes, and where. */
struct guest_data {
	uint32_t request;      /* id, from 1 */
	uint8_t pattern;       /* of the command */
	uint64_t guest_offset; /* of the first byte */
};

/** Fill `to` with what the request carries: every whole aligned sector a stamp (request, guest
 * sector, pattern, and bytes derived from these: no two sectors of a run are equal), bytes of a
 * sector only partly covered derived from request and position. */
void guest_fill_stamped(uint8_t *to, size_t bytes, const struct guest_data *data);

/** A raw backing file of `bytes` bytes in which every sector starts with "backing" and its number,
 * the rest is derived from the number. Never all zeros, all different. Gives; NULL when memory is
 * short. */
struct content *guest_backing_pattern(uint64_t bytes);

#endif
