// SPDX-License-Identifier: MIT
/** The qcow2 header, its extensions and the snapshot table, decoded from bytes that nobody
 * vouches for; and the layout of table entries. */
#ifndef ORACLE_IMAGE_HEADER_H
#define ORACLE_IMAGE_HEADER_H

#include "traces/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	IMAGE_L1_ENTRIES_MAX = 4 * 1024 * 1024,
	IMAGE_REFTABLE_BYTES_MAX = 8 * 1024 * 1024,
	IMAGE_SNAPSHOTS_MAX = 65536,
	IMAGE_SNAPSHOT_L1_ENTRIES_MAX = 2 * 1024 * 1024, /* of all snapshots together */
	IMAGE_EXTENSIONS_MAX = 256,
};

#define INCOMPATIBLE_DIRTY UINT64_C(1)
#define INCOMPATIBLE_CORRUPT UINT64_C(2)
#define INCOMPATIBLE_DATA_FILE UINT64_C(4)
#define INCOMPATIBLE_COMPRESSION UINT64_C(8)
#define INCOMPATIBLE_EXTENDED_L2 UINT64_C(16)

#define ENTRY_COPIED (UINT64_C(1) << 63)
#define ENTRY_COMPRESSED (UINT64_C(1) << 62)
#define ENTRY_ZERO UINT64_C(1)
#define ENTRY_OFFSET UINT64_C(0x00fffffffffffe00)
#define L1_RESERVED UINT64_C(0x7f000000000001ff)
#define L2_RESERVED UINT64_C(0x3f000000000001fe)
#define REFTABLE_OFFSET UINT64_C(0xfffffffffffffe00)
#define REFTABLE_RESERVED UINT64_C(0x1ff)

/** An external data file has the guest's data, the image what leads there. The two are one file
 * here: what is at byte n of the data file is at host offset IMAGE_EXTERNAL + n, where no image
 * reaches. */
#define IMAGE_EXTERNAL (UINT64_C(1) << 57)

/** Is the byte one of the external data file? */
static inline bool is_external(uint64_t host_offset)
{
	return host_offset >= IMAGE_EXTERNAL;
}

/** What is wrong with a header; the first thing found. From HEADER_FATAL on the image does not
 * open, and where its tables are cannot be told. */
enum header_problem {
	HEADER_GOOD,
	HEADER_CORRUPT_BIT,
	HEADER_UNKNOWN_BITS,
	HEADER_L1_SHORT,
	HEADER_LENGTH,
	HEADER_BACKING_NAME,
	HEADER_EXTENSION,
	HEADER_SNAPSHOTS,
	HEADER_FATAL,
	HEADER_MAGIC = HEADER_FATAL,
	HEADER_VERSION,
	HEADER_CLUSTER_BITS,
	HEADER_REFCOUNT_ORDER,
	HEADER_SIZE,
	HEADER_UNSUPPORTED,
	HEADER_L1_TABLE,
	HEADER_REFTABLE,
};

/** Decoded header. Words only, so that it can be journaled; bytes and host offsets as they stand in
 * the file. */
struct image_header {
	uint64_t readable; /* not fatal: the fields below mean something */
	uint64_t problem;  /* enum header_problem */
	uint64_t version;
	uint64_t cluster_bits;
	uint64_t l2_bits; /* log2 of entries in an L2 table */
	uint64_t refcount_order;
	uint64_t size_bytes; /* of the virtual disk */
	uint64_t l1_offset;
	uint64_t l1_entries;
	uint64_t reftable_offset;
	uint64_t reftable_entries;
	uint64_t snapshots_offset;
	uint64_t snapshot_count;
	uint64_t incompatible;
	uint64_t has_data_file; /* an external one, which is at hand */
	uint64_t has_backing;
	uint64_t backing_hash;   /* of the backing file's name */
	uint64_t bitmap_count;   /* 0 also when they are not consistent (autoclear bit 0) */
	uint64_t bitmaps_offset; /* their directory */
	uint64_t bitmaps_bytes;
};

enum { IMAGE_HEADER_WORDS = sizeof(struct image_header) / sizeof(uint64_t) };

/** Where the bytes of an image come from. What lies beyond the end reads as zeros. */
struct image_source {
	void (*read)(void *context, void *to, size_t bytes, uint64_t host_offset);
	void *context;
	bool has_data_file; /* bytes from IMAGE_EXTERNAL on are those of the external data file */
};

/** Decode whatever stands at the beginning of `source`. */
void image_header_parse(struct image_header *header, const struct image_source *source);

/** The feature that keeps this image from being judged, or NULL. */
const char *image_header_unsupported(const struct image_header *header);

/** One line, in qcow2 words, on `problem`. */
const char *header_problem_text(enum header_problem problem);

/** Where the L1 table of an internal snapshot is. */
struct image_snapshot {
	uint64_t l1_offset;
	uint64_t l1_entries;
};

/** Decode the snapshot table into `snapshots` (header->snapshot_count of them; at most
 * IMAGE_SNAPSHOTS_MAX). `*table_bytes` is the length of the table. Returns how many were good. */
size_t image_snapshots_parse(struct image_snapshot *snapshots, uint64_t *table_bytes,
			     const struct image_header *header, const struct image_source *source);

/** The snapshot of that name in the table. False: there is none, or the table does not parse up to
 * it. */
bool image_snapshot_find(struct image_snapshot *snapshot, const struct image_header *header,
			 const struct image_source *source, const uint8_t *name, size_t name_bytes);

/** What an L2 entry says of its guest cluster. */
enum mapping_kind { MAPPING_BACKING, MAPPING_ZERO, MAPPING_NORMAL, MAPPING_COMPRESSED };

struct mapping {
	enum mapping_kind kind;
	/* NORMAL, ZERO: the cluster, 0 for none; COMPRESSED: the first byte, not aligned. From
	 * IMAGE_EXTERNAL on: in the external data file. */
	uint64_t host_offset;
	uint64_t host_bytes; /* COMPRESSED: how many may belong to it */
};

/** Decode an L2 entry; a crooked address is rounded down to its cluster. */
struct mapping mapping_decode(const struct image_header *header, uint64_t l2_entry);

/** Do two L2 entries map their cluster differently, that is, not only differ in COPIED? */
bool mappings_differ(const struct image_header *header, uint64_t l2_entry, uint64_t other);

/** Does the entry set reserved bits, or point to an address that is not a cluster's? */
bool l1_entry_is_malformed(const struct image_header *header, uint64_t entry);
bool l2_entry_is_malformed(const struct image_header *header, uint64_t entry);
bool reftable_entry_is_malformed(const struct image_header *header, uint64_t entry);

#endif
