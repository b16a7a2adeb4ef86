// SPDX-License-Identifier: MIT
/** Big-endian numbers, sectors of zeros, and the hashes that count distinct crash states. */
#ifndef ORACLE_BYTES_H
#define ORACLE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/** The judge's grain: a table sector holds 64 entries, a guest sector is judged as one value. */
enum { SECTOR_BYTES = 512, SECTOR_BITS = 9, SECTOR_ENTRIES = SECTOR_BYTES / 8 };

/** 512 zero bytes. Every sector known to be zero points here. */
extern const uint8_t zero_sector[SECTOR_BYTES];

/** A big-endian number, at any address. */
static inline uint16_t be16_load(const uint8_t *from)
{
	return (uint16_t)(from[0] << 8 | from[1]);
}

/** A big-endian number, at any address. */
static inline uint32_t be32_load(const uint8_t *from)
{
	return (uint32_t)be16_load(from) << 16 | be16_load(from + 2);
}

/** A big-endian number, at any address. (Compilers make one load of it.) */
static inline uint64_t be64_load(const uint8_t *from)
{
	return (uint64_t)from[0] << 56 | (uint64_t)from[1] << 48 | (uint64_t)from[2] << 40 |
	       (uint64_t)from[3] << 32 | (uint64_t)from[4] << 24 | (uint64_t)from[5] << 16 |
	       (uint64_t)from[6] << 8 | from[7];
}

/** Eight bytes in this machine's order: good for comparing only. */
static inline uint64_t word_load(const uint8_t *from)
{
	uint64_t value;

	memcpy(&value, from, sizeof(value));
	return value;
}

/** Are the first `bytes` bytes zero? */
bool bytes_are_zero(const uint8_t *from, size_t bytes);

/** 64 well-mixed bits of two numbers. */
static inline uint64_t mix(uint64_t a, uint64_t b)
{
	__extension__ typedef unsigned __int128 wide;
	wide product =
		(wide)(a ^ UINT64_C(0x9e3779b97f4a7c15)) * (wide)(b ^ UINT64_C(0xe7037ed1a0b428db));

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/** Hash of a sector's contents; 0 for zeros. */
uint64_t sector_hash(const uint8_t *sector);

/** Hash of any number of bytes. */
uint64_t bytes_hash(const uint8_t *from, size_t bytes);

#endif
