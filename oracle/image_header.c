// SPDX-License-Identifier: MIT
/* Everything here reads bytes that may be anything. Each number is checked before the next is
 * computed from it; tables larger than the bounds in the header file count as "does not open",
 * which is also what the reference driver says of them. */
#include "oracle/image_header.h"

#include "oracle/bytes.h"

#include <string.h>

enum {
	HEADER_V2_BYTES = 72,
	HEADER_V3_BYTES = 104,
	HEADER_READ_BYTES = 112,
	BACKING_NAME_BYTES_MAX = 1023,
	SNAPSHOT_FIXED_BYTES = 40,
	SNAPSHOT_V3_EXTRA_BYTES = 16,
	SNAPSHOT_TABLE_BYTES_MAX = 4 * 1024 * 1024,
	AUTOCLEAR_AT = 88,
	BITMAPS_BYTES = 24,
};

#define MAGIC 0x514649fbU
#define EXTENSION_END 0U
#define EXTENSION_BITMAPS 0x23852875U
#define AUTOCLEAR_BITMAPS UINT64_C(1)
#define INCOMPATIBLE_KNOWN UINT64_C(0x1f)

static bool has_fatal_version(struct image_header *header, const uint8_t *raw)
{
	header->version = be32_load(raw + 4);
	header->cluster_bits = be32_load(raw + 20);
	if (be32_load(raw) != MAGIC)
		header->problem = HEADER_MAGIC;
	else if (header->version != 2 && header->version != 3)
		header->problem = HEADER_VERSION;
	else if (header->cluster_bits < 9 || header->cluster_bits > 21)
		header->problem = HEADER_CLUSTER_BITS;
	return header->problem != HEADER_GOOD;
}

static bool has_fatal_features(struct image_header *header, const struct image_source *source,
			       const uint8_t *raw)
{
	bool wants_data_file;

	header->refcount_order = 4;
	if (header->version >= 3) {
		header->incompatible = be64_load(raw + 72);
		header->refcount_order = be32_load(raw + 96);
	}
	wants_data_file = (header->incompatible & INCOMPATIBLE_DATA_FILE) != 0;
	header->has_data_file = source->has_data_file && wants_data_file;
	if (header->refcount_order > 6)
		header->problem = HEADER_REFCOUNT_ORDER;
	else if (source->has_data_file && !wants_data_file)
		header->problem = HEADER_UNSUPPORTED;
	else if (be32_load(raw + 32) != 0 || image_header_unsupported(header) != NULL)
		header->problem = HEADER_UNSUPPORTED;
	return header->problem != HEADER_GOOD;
}

static bool has_fatal_tables(struct image_header *header, const uint8_t *raw)
{
	uint64_t in_cluster = (UINT64_C(1) << header->cluster_bits) - 1;
	uint64_t reftable_bytes = (uint64_t)be32_load(raw + 56) << header->cluster_bits;

	header->l2_bits = header->cluster_bits - 3;
	header->size_bytes = be64_load(raw + 24);
	header->l1_entries = be32_load(raw + 36);
	header->l1_offset = be64_load(raw + 40);
	header->reftable_offset = be64_load(raw + 48);
	header->reftable_entries = reftable_bytes / 8;
	header->snapshot_count = be32_load(raw + 60);
	header->snapshots_offset = be64_load(raw + 64);
	if (header->size_bytes > INT64_MAX)
		header->problem = HEADER_SIZE;
	else if (header->l1_entries > IMAGE_L1_ENTRIES_MAX || header->l1_offset > ENTRY_OFFSET ||
		 (header->l1_offset & in_cluster) != 0 ||
		 (header->l1_entries > 0 && header->l1_offset == 0))
		header->problem = HEADER_L1_TABLE;
	else if (reftable_bytes == 0 || reftable_bytes > IMAGE_REFTABLE_BYTES_MAX ||
		 header->reftable_offset == 0 || header->reftable_offset > ENTRY_OFFSET ||
		 (header->reftable_offset & in_cluster) != 0)
		header->problem = HEADER_REFTABLE;
	return header->problem != HEADER_GOOD;
}

/** The first complaint wins. */
static void complain(struct image_header *header, enum header_problem problem)
{
	if (header->problem == HEADER_GOOD)
		header->problem = problem;
}

static void check_backing_name(struct image_header *header, const struct image_source *source,
			       const uint8_t *raw)
{
	uint64_t name_offset = be64_load(raw + 8);
	uint32_t name_bytes = be32_load(raw + 16);
	uint8_t name[BACKING_NAME_BYTES_MAX];

	if (name_offset == 0)
		return;
	header->has_backing = 1;
	if (name_bytes > BACKING_NAME_BYTES_MAX || name_offset > UINT32_MAX ||
	    name_offset + name_bytes > UINT64_C(1) << header->cluster_bits) {
		complain(header, HEADER_BACKING_NAME);
		return;
	}
	source->read(source->context, name, name_bytes, name_offset);
	header->backing_hash = bytes_hash(name, name_bytes);
}

/** The bitmaps extension, if the header says that it means something. */
static void read_bitmaps(struct image_header *header, const struct image_source *source,
			 uint64_t start, uint64_t bytes)
{
	uint8_t raw[BITMAPS_BYTES];
	uint8_t autoclear[8];

	source->read(source->context, autoclear, sizeof(autoclear), AUTOCLEAR_AT);
	if (header->version < 3 || bytes < sizeof(raw) ||
	    (be64_load(autoclear) & AUTOCLEAR_BITMAPS) == 0)
		return;
	source->read(source->context, raw, sizeof(raw), start);
	header->bitmap_count = be32_load(raw);
	header->bitmaps_bytes = be64_load(raw + 8);
	header->bitmaps_offset = be64_load(raw + 16);
}

static void check_extensions(struct image_header *header, const struct image_source *source,
			     uint64_t start, uint64_t end)
{
	uint8_t head[8];

	for (int i = 0; i < IMAGE_EXTENSIONS_MAX && start + sizeof(head) <= end; i++) {
		uint32_t type;
		uint64_t bytes;

		source->read(source->context, head, sizeof(head), start);
		type = be32_load(head);
		bytes = be32_load(head + 4);
		if (type == EXTENSION_END)
			return;
		start += sizeof(head);
		if (bytes > end - start) {
			complain(header, HEADER_EXTENSION);
			return;
		}
		if (type == EXTENSION_BITMAPS)
			read_bitmaps(header, source, start, bytes);
		start += (bytes + 7) & ~UINT64_C(7);
	}
}

static void check_snapshots(struct image_header *header)
{
	uint64_t in_cluster = (UINT64_C(1) << header->cluster_bits) - 1;

	if (header->snapshot_count == 0)
		return;
	if (header->snapshot_count <= IMAGE_SNAPSHOTS_MAX &&
	    header->snapshots_offset <= ENTRY_OFFSET && header->snapshots_offset != 0 &&
	    (header->snapshots_offset & in_cluster) == 0)
		return;
	complain(header, HEADER_SNAPSHOTS);
	header->snapshot_count = 0;
}

void image_header_parse(struct image_header *header, const struct image_source *source)
{
	uint8_t raw[HEADER_READ_BYTES];
	uint64_t cluster_bytes;
	uint64_t span_bits;
	uint64_t start = HEADER_V2_BYTES;
	uint64_t end;

	*header = (struct image_header){ 0 };
	source->read(source->context, raw, sizeof(raw), 0);
	if (has_fatal_version(header, raw) || has_fatal_features(header, source, raw) ||
	    has_fatal_tables(header, raw))
		return;
	header->readable = 1;
	cluster_bytes = UINT64_C(1) << header->cluster_bits;
	span_bits = header->cluster_bits + header->l2_bits;
	if ((header->incompatible & INCOMPATIBLE_CORRUPT) != 0)
		complain(header, HEADER_CORRUPT_BIT);
	if ((header->incompatible & ~INCOMPATIBLE_KNOWN) != 0)
		complain(header, HEADER_UNKNOWN_BITS);
	if (header->size_bytes > header->l1_entries << span_bits)
		complain(header, HEADER_L1_SHORT);
	if (header->version >= 3)
		start = be32_load(raw + 100);
	if (start < (header->version >= 3 ? HEADER_V3_BYTES : HEADER_V2_BYTES) ||
	    start > cluster_bytes || start % 8 != 0)
		complain(header, HEADER_LENGTH);
	check_backing_name(header, source, raw);
	end = be64_load(raw + 8);
	if (end == 0 || end > cluster_bytes)
		end = cluster_bytes;
	check_extensions(header, source, start, end);
	check_snapshots(header);
}

const char *image_header_unsupported(const struct image_header *header)
{
	if ((header->incompatible & INCOMPATIBLE_DATA_FILE) != 0 && !header->has_data_file)
		return "external data file";
	if ((header->incompatible & INCOMPATIBLE_EXTENDED_L2) != 0)
		return "extended L2 entries";
	if ((header->incompatible & INCOMPATIBLE_COMPRESSION) != 0)
		return "compression other than deflate";
	if (header->problem == HEADER_UNSUPPORTED)
		return "encryption";
	return NULL;
}

const char *header_problem_text(enum header_problem problem)
{
	switch (problem) {
	case HEADER_GOOD: return "the header is good";
	case HEADER_CORRUPT_BIT: return "the corrupt bit is set";
	case HEADER_UNKNOWN_BITS: return "an unknown incompatible feature bit is set";
	case HEADER_L1_SHORT: return "the L1 table is too short for the virtual size";
	case HEADER_LENGTH: return "header_length is out of range";
	case HEADER_BACKING_NAME: return "the backing file name lies outside the first cluster";
	case HEADER_EXTENSION: return "a header extension runs over the end of its area";
	case HEADER_SNAPSHOTS: return "the snapshot table does not parse";
	case HEADER_MAGIC: return "the magic is not that of qcow2";
	case HEADER_VERSION: return "the version is neither 2 nor 3";
	case HEADER_CLUSTER_BITS: return "cluster_bits is not 9 to 21";
	case HEADER_REFCOUNT_ORDER: return "refcount_order is not 0 to 6";
	case HEADER_SIZE: return "the virtual size is out of range";
	case HEADER_UNSUPPORTED:
		return "a feature is switched on that the image did not have, "
		       "or off";
	case HEADER_L1_TABLE: return "the L1 table's offset or size is out of range";
	case HEADER_REFTABLE: return "the refcount table's offset or size is out of range";
	}
	return "?";
}

/** An entry of the snapshot table. */
struct snapshot_entry {
	struct image_snapshot snapshot;
	uint64_t name_at; /* bytes behind the beginning of the table */
	size_t name_bytes;
	uint64_t end; /* where the next one begins */
};

/** Decode the entry at byte `at` of the table. False: it is not sound. */
static bool read_snapshot_entry(struct snapshot_entry *entry, const struct image_header *header,
				const struct image_source *source, uint64_t at)
{
	uint64_t in_cluster = (UINT64_C(1) << header->cluster_bits) - 1;
	uint8_t raw[SNAPSHOT_FIXED_BYTES];
	uint64_t extra_bytes;

	source->read(source->context, raw, sizeof(raw), header->snapshots_offset + at);
	entry->snapshot.l1_offset = be64_load(raw);
	entry->snapshot.l1_entries = be32_load(raw + 8);
	extra_bytes = be32_load(raw + 36);
	entry->name_at = at + SNAPSHOT_FIXED_BYTES + extra_bytes + be16_load(raw + 12);
	entry->name_bytes = be16_load(raw + 14);
	entry->end = (entry->name_at + entry->name_bytes + 7) & ~UINT64_C(7);
	return entry->snapshot.l1_offset <= ENTRY_OFFSET &&
	       (entry->snapshot.l1_offset & in_cluster) == 0 &&
	       entry->snapshot.l1_entries <= IMAGE_L1_ENTRIES_MAX &&
	       (entry->snapshot.l1_offset != 0 || entry->snapshot.l1_entries == 0) &&
	       (header->version < 3 || extra_bytes >= SNAPSHOT_V3_EXTRA_BYTES);
}

size_t image_snapshots_parse(struct image_snapshot *snapshots, uint64_t *table_bytes,
			     const struct image_header *header, const struct image_source *source)
{
	uint64_t entries = 0;
	uint64_t at = 0;
	size_t count = 0;

	*table_bytes = 0;
	while (count < header->snapshot_count) {
		struct snapshot_entry entry;
		bool is_sound = read_snapshot_entry(&entry, header, source, at);

		snapshots[count] = entry.snapshot;
		entries += entry.snapshot.l1_entries;
		*table_bytes = at + SNAPSHOT_FIXED_BYTES;
		if (!is_sound || entries > IMAGE_SNAPSHOT_L1_ENTRIES_MAX ||
		    entry.end > SNAPSHOT_TABLE_BYTES_MAX)
			return count;
		at = entry.end;
		*table_bytes = at;
		count++;
	}
	return count;
}

/** Does the entry have that name? */
static bool is_named(const struct snapshot_entry *entry, const struct image_header *header,
		     const struct image_source *source, const uint8_t *name, size_t name_bytes)
{
	uint8_t text[UINT8_MAX + 1];

	if (entry->name_bytes != name_bytes || name_bytes > sizeof(text))
		return false;
	if (name_bytes == 0)
		return true;
	source->read(source->context, text, name_bytes, header->snapshots_offset + entry->name_at);
	return memcmp(text, name, name_bytes) == 0;
}

bool image_snapshot_find(struct image_snapshot *snapshot, const struct image_header *header,
			 const struct image_source *source, const uint8_t *name, size_t name_bytes)
{
	uint64_t at = 0;

	for (uint64_t i = 0; i < header->snapshot_count; i++) {
		struct snapshot_entry entry;

		if (!read_snapshot_entry(&entry, header, source, at) ||
		    entry.end > SNAPSHOT_TABLE_BYTES_MAX)
			return false;
		if (is_named(&entry, header, source, name, name_bytes)) {
			*snapshot = entry.snapshot;
			return true;
		}
		at = entry.end;
	}
	return false;
}

struct mapping mapping_decode(const struct image_header *header, uint64_t l2_entry)
{
	struct mapping mapping = { .kind = MAPPING_BACKING };

	if ((l2_entry & ENTRY_COMPRESSED) != 0) {
		uint64_t x = 62 - (header->cluster_bits - 8);
		uint64_t sectors = (l2_entry & ~(ENTRY_COPIED | ENTRY_COMPRESSED)) >> x;

		mapping.kind = MAPPING_COMPRESSED;
		mapping.host_offset = l2_entry & ((UINT64_C(1) << x) - 1);
		mapping.host_bytes =
			(sectors + 1) * SECTOR_BYTES - mapping.host_offset % SECTOR_BYTES;
		return mapping;
	}
	mapping.host_offset = (l2_entry & ENTRY_OFFSET) >> header->cluster_bits
								   << header->cluster_bits;
	/* There a cluster may be the first of the file, and COPIED tells it from none. */
	if (header->has_data_file &&
	    (mapping.host_offset != 0 || (l2_entry & (ENTRY_COPIED | ENTRY_ZERO)) == ENTRY_COPIED))
		mapping.host_offset += IMAGE_EXTERNAL;
	if (header->version >= 3 && (l2_entry & ENTRY_ZERO) != 0)
		mapping.kind = MAPPING_ZERO;
	else if (mapping.host_offset != 0)
		mapping.kind = MAPPING_NORMAL;
	return mapping;
}

bool mappings_differ(const struct image_header *header, uint64_t l2_entry, uint64_t other)
{
	uint64_t difference = l2_entry ^ other;

	if (header->has_data_file)
		return difference != 0;
	return (difference & ~ENTRY_COPIED) != 0;
}

static bool is_misaligned(const struct image_header *header, uint64_t host_offset)
{
	return (host_offset & ((UINT64_C(1) << header->cluster_bits) - 1)) != 0;
}

bool l1_entry_is_malformed(const struct image_header *header, uint64_t entry)
{
	return (entry & L1_RESERVED) != 0 || is_misaligned(header, entry & ENTRY_OFFSET);
}

bool l2_entry_is_malformed(const struct image_header *header, uint64_t entry)
{
	if ((entry & ENTRY_COMPRESSED) != 0)
		return (entry & ENTRY_COPIED) != 0;
	if ((entry & L2_RESERVED) != 0 || (header->version < 3 && (entry & ENTRY_ZERO) != 0))
		return true;
	return is_misaligned(header, entry & ENTRY_OFFSET);
}

bool reftable_entry_is_malformed(const struct image_header *header, uint64_t entry)
{
	return (entry & REFTABLE_RESERVED) != 0 || is_misaligned(header, entry & REFTABLE_OFFSET);
}
