// SPDX-License-Identifier: MIT
#include "workloads/guest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { STAMP_HEAD_BYTES = 48 };

/* The next of a fixed sequence of numbers (xorshift): a sector's bytes must be derived from what it
 * is, and look like nothing else. */
static uint64_t next_number(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Make `sector` start with `head` and go on with one number derived from `seed` and, in its last
 * byte, where it stands: no two sectors share a piece, and a trace of them compresses well. */
static void stamp(uint8_t *sector, const char head[STAMP_HEAD_BYTES], uint64_t seed)
{
	uint64_t state = (seed + 1) * 0x9e3779b97f4a7c15U;
	uint64_t number = next_number(&state) << 8;
	memcpy(sector, head, STAMP_HEAD_BYTES);
	for (size_t at = STAMP_HEAD_BYTES; at < GUEST_SECTOR_BYTES; at += sizeof(number)) {
		number = (number & ~UINT64_C(0xff)) | (at / sizeof(number));
		memcpy(sector + at, &number, sizeof(number));
	}
}

/* A byte of a partly covered sector. At one position the bytes of 256 requests are all different.
 */
static uint8_t loose_byte(const struct guest_data *data, uint64_t guest_byte)
{
	return (uint8_t)((uint64_t)data->request * 0x3b + guest_byte * 0x65 +
			 (guest_byte >> 9) * 0x17);
}

void guest_fill_stamped(uint8_t *to, size_t bytes, const struct guest_data *data)
{
	uint64_t end = data->guest_offset + bytes;
	for (uint64_t at = data->guest_offset; at < end;) {
		uint8_t *here = to + (at - data->guest_offset);
		if (at % GUEST_SECTOR_BYTES || end - at < GUEST_SECTOR_BYTES) {
			*here = loose_byte(data, at++);
			continue;
		}
		uint64_t sector = at / GUEST_SECTOR_BYTES;
		char head[STAMP_HEAD_BYTES] = { 0 };
		snprintf(head, sizeof(head), "guest request %" PRIu32 " sector %" PRIu64 " %02x",
			 data->request, sector, data->pattern);
		stamp(here, head, sector << 20 ^ (uint64_t)data->request << 8 ^ data->pattern);
		at += GUEST_SECTOR_BYTES;
	}
}

struct content *guest_backing_pattern(uint64_t bytes)
{
	struct content *content = content_new(bytes);
	uint64_t sectors = (bytes + GUEST_SECTOR_BYTES - 1) / GUEST_SECTOR_BYTES;
	for (uint64_t sector = 0; content && sector < sectors; sector++) {
		uint8_t data[GUEST_SECTOR_BYTES];
		char head[STAMP_HEAD_BYTES] = { 0 };
		snprintf(head, sizeof(head), "backing sector %" PRIu64, sector);
		stamp(data, head, sector << 20);
		uint64_t host_offset = sector * GUEST_SECTOR_BYTES;
		uint64_t left = bytes - host_offset;
		size_t now = left < GUEST_SECTOR_BYTES ? (size_t)left : GUEST_SECTOR_BYTES;
		if (content_write(content, data, now, host_offset) != STATUS_OK) {
			content_free(content);
			content = NULL;
		}
	}
	return content;
}
