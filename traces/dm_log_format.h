// SPDX-License-Identifier: MIT
/** Numbers of the dm-log-writes format, version 1, for its reader and its writer. */
#ifndef TRACES_DM_LOG_FORMAT_H
#define TRACES_DM_LOG_FORMAT_H

#include <stdint.h>

/** The magic number; its bytes in a file begin with "rhswfsj". */
#define DM_LOG_MAGIC UINT64_C(0x6a736677736872)

enum {
	DM_LOG_VERSION = 1,
	/* The super block: one sector. */
	DM_LOG_AT_MAGIC = 0,
	DM_LOG_AT_VERSION = 8,
	DM_LOG_AT_ENTRIES = 16,
	DM_LOG_AT_SECTOR_BYTES = 24,
	/** What lies behind may be garbage. */
	DM_LOG_SUPER_BYTES = 28,
	/* An entry: one sector, then its data. */
	DM_LOG_AT_SECTOR = 0,
	DM_LOG_AT_SECTORS = 8,
	DM_LOG_AT_FLAGS = 16,
	DM_LOG_AT_TEXT_BYTES = 24,
	DM_LOG_HEADER_BYTES = 32,
	/** Sector sizes are powers of two from here ... */
	DM_LOG_SECTOR_BYTES_MIN = 32,
	/** ... to here. */
	DM_LOG_SECTOR_BYTES_MAX = 8 << 20,
};

enum dm_log_flag {
	DM_LOG_FLUSH = 1,
	DM_LOG_FUA = 2,
	DM_LOG_DISCARD = 4,
	DM_LOG_MARK = 8,
	DM_LOG_METADATA = 16,
	DM_LOG_FLAGS = 31,
};

/** The 64-bit little-endian number at `bytes`. */
static inline uint64_t dm_log_get(const uint8_t *bytes)
{
	uint64_t value = 0;
	for (int i = 7; i >= 0; i--)
		value = value << 8 | bytes[i];
	return value;
}

/** Store the low `count` bytes of `value` at `bytes`, least significant first. */
static inline void dm_log_put(uint8_t *bytes, uint64_t value, int count)
{
	for (int i = 0; i < count; i++)
		bytes[i] = (uint8_t)(value >> 8 * i);
}

#endif
