// SPDX-License-Identifier: MIT
#include "oracle/bytes.h"

const uint8_t zero_sector[SECTOR_BYTES] = { 0 };

bool bytes_are_zero(const uint8_t *from, size_t bytes)
{
	for (; bytes >= 8; bytes -= 8, from += 8)
		if (word_load(from) != 0)
			return false;
	for (; bytes > 0; bytes--, from++)
		if (*from != 0)
			return false;
	return true;
}

uint64_t sector_hash(const uint8_t *sector)
{
	uint64_t lane_a = 1;
	uint64_t lane_b = 2;

	if (sector == zero_sector || (word_load(sector) == 0 && bytes_are_zero(sector, 512)))
		return 0;
	for (size_t at = 0; at < SECTOR_BYTES; at += 32) {
		lane_a = mix(lane_a ^ word_load(sector + at), word_load(sector + at + 8));
		lane_b = mix(lane_b ^ word_load(sector + at + 16), word_load(sector + at + 24));
	}
	return mix(lane_a, lane_b) | 1;
}

uint64_t bytes_hash(const uint8_t *from, size_t bytes)
{
	uint64_t hash = bytes;

	for (; bytes >= 8; bytes -= 8, from += 8)
		hash = mix(hash, word_load(from));
	for (; bytes > 0; bytes--, from++)
		hash = mix(hash, *from);
	return hash;
}
