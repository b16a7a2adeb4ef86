// SPDX-License-Identifier: MIT
/** The qcow2 format in numbers: header, table entries, big-endian access. The engine's only encoder
 * and decoder. Source: the format's specification, docs/interop/qcow2 of the reference
 * implementation. */
#ifndef ENGINE_QCOW2_FORMAT_H
#define ENGINE_QCOW2_FORMAT_H

#include "traces/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	FORMAT_MAGIC = 0x514649fb,
	FORMAT_V2_HEADER_BYTES = 72,
	FORMAT_V3_HEADER_BYTES = 104,
	FORMAT_WRITTEN_HEADER_BYTES = 112, /* what we write for version 3 */
	FORMAT_CLUSTER_BITS_MIN = 9,
	FORMAT_CLUSTER_BITS_MAX = 21,
	FORMAT_BACKING_NAME_MAX = 1023,
	FORMAT_REFCOUNT_ORDER = 4, /* 16-bit refcounts */
	FORMAT_SECTOR_BYTES = 512,
	FORMAT_SNAPSHOTS_MAX = 65536,
};

/* Header bytes that are written alone. Each field, or pair of fields, lies inside one sector. */
enum {
	FORMAT_AT_SIZE = 24,
	FORMAT_AT_L1 = 36,             /* entries (4), host offset (8) */
	FORMAT_AT_REFCOUNT_TABLE = 48, /* host offset (8), clusters (4) */
	FORMAT_AT_SNAPSHOTS = 60,      /* number (4), host offset (8) */
	FORMAT_AT_INCOMPATIBLE = 72,
	FORMAT_AT_AUTOCLEAR = 88,
};

#define FORMAT_INCOMPATIBLE_DIRTY UINT64_C(1)
#define FORMAT_INCOMPATIBLE_CORRUPT UINT64_C(2)
#define FORMAT_INCOMPATIBLE_DATA_FILE UINT64_C(4)
#define FORMAT_INCOMPATIBLE_COMPRESSION UINT64_C(8)
#define FORMAT_INCOMPATIBLE_EXTENDED_L2 UINT64_C(16)
#define FORMAT_COMPATIBLE_LAZY UINT64_C(1)

#define FORMAT_EXTENSION_END UINT32_C(0)
#define FORMAT_EXTENSION_BACKING_FORMAT UINT32_C(0xe2792aca)
#define FORMAT_EXTENSION_DATA_FILE UINT32_C(0x44415441)

/* L1 and L2 entries. */
#define ENTRY_COPIED (UINT64_C(1) << 63)     /* refcount is exactly one */
#define ENTRY_COMPRESSED (UINT64_C(1) << 62) /* L2 only */
#define ENTRY_ZERO UINT64_C(1)               /* L2 of version 3 only: reads as zeros */
#define ENTRY_HOST_MASK UINT64_C(0x00fffffffffffe00)

/** The header, in host byte order. Version 2 headers have the defaults of version 3's additions. */
struct format_header {
	uint32_t version;
	uint64_t backing_host_offset; /* of the backing file's name; 0: none */
	uint32_t backing_bytes;
	uint32_t cluster_bits;
	uint64_t size_bytes; /* of the virtual disk */
	uint32_t crypt_method;
	uint32_t l1_entries;
	uint64_t l1_host_offset;
	uint64_t refcount_table_host_offset;
	uint32_t refcount_table_clusters;
	uint32_t snapshots;
	uint64_t snapshots_host_offset;
	uint64_t incompatible;
	uint64_t compatible;
	uint64_t autoclear;
	uint32_t refcount_order;
	uint32_t header_bytes;
	uint8_t compression_type;
};

/** Decode and check the header in the first `byte_count` bytes of a file; it may say dirty.
 * STATUS_FOREIGN: not qcow2; STATUS_UNSUPPORTED: legal, names the feature; STATUS_CORRUPT:
 * contradicts itself. `path` is used in messages. */
MUST_USE enum status format_decode_header(struct format_header *header, const uint8_t *bytes,
					  size_t byte_count, const char *path, struct why *why);

/** Encode `header` into `bytes` (FORMAT_WRITTEN_HEADER_BYTES long, zeroed first). Returns the bytes
 * used. */
size_t format_encode_header(uint8_t *bytes, const struct format_header *header);

/** Read a big-endian number, at any alignment. */
uint16_t be16_get(const void *at);
/** As be16_get(), 32 bits. */
uint32_t be32_get(const void *at);
/** As be16_get(), 64 bits. */
uint64_t be64_get(const void *at);
/** Write a big-endian number, at any alignment. */
void be16_put(void *at, uint16_t value);
/** As be16_put(), 32 bits. */
void be32_put(void *at, uint32_t value);
/** As be16_put(), 64 bits. */
void be64_put(void *at, uint64_t value);

#endif
