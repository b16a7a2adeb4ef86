// SPDX-License-Identifier: MIT
#include "engine/qcow2/format.h"

#include <endian.h>
#include <string.h>

uint16_t be16_get(const void *at)
{
	uint16_t value;
	memcpy(&value, at, sizeof(value));
	return be16toh(value);
}

uint32_t be32_get(const void *at)
{
	uint32_t value;
	memcpy(&value, at, sizeof(value));
	return be32toh(value);
}

uint64_t be64_get(const void *at)
{
	uint64_t value;
	memcpy(&value, at, sizeof(value));
	return be64toh(value);
}

void be16_put(void *at, uint16_t value)
{
	value = htobe16(value);
	memcpy(at, &value, sizeof(value));
}

void be32_put(void *at, uint32_t value)
{
	value = htobe32(value);
	memcpy(at, &value, sizeof(value));
}

void be64_put(void *at, uint64_t value)
{
	value = htobe64(value);
	memcpy(at, &value, sizeof(value));
}

static void decode_common(struct format_header *header, const uint8_t *bytes)
{
	*header = (struct format_header){
		.version = be32_get(bytes + 4),
		.backing_host_offset = be64_get(bytes + 8),
		.backing_bytes = be32_get(bytes + 16),
		.cluster_bits = be32_get(bytes + 20),
		.size_bytes = be64_get(bytes + FORMAT_AT_SIZE),
		.crypt_method = be32_get(bytes + 32),
		.l1_entries = be32_get(bytes + FORMAT_AT_L1),
		.l1_host_offset = be64_get(bytes + FORMAT_AT_L1 + 4),
		.refcount_table_host_offset = be64_get(bytes + FORMAT_AT_REFCOUNT_TABLE),
		.refcount_table_clusters = be32_get(bytes + FORMAT_AT_REFCOUNT_TABLE + 8),
		.snapshots = be32_get(bytes + FORMAT_AT_SNAPSHOTS),
		.snapshots_host_offset = be64_get(bytes + FORMAT_AT_SNAPSHOTS + 4),
		.refcount_order = FORMAT_REFCOUNT_ORDER,
		.header_bytes = FORMAT_V2_HEADER_BYTES,
	};
}

static enum status decode_v3(struct format_header *header, const uint8_t *bytes, size_t byte_count,
			     const char *path, struct why *why)
{
	if (byte_count < FORMAT_V3_HEADER_BYTES)
		return why_set(why, STATUS_CORRUPT, "'%s': the header is cut short", path);
	header->incompatible = be64_get(bytes + FORMAT_AT_INCOMPATIBLE);
	header->compatible = be64_get(bytes + 80);
	header->autoclear = be64_get(bytes + FORMAT_AT_AUTOCLEAR);
	header->refcount_order = be32_get(bytes + 96);
	header->header_bytes = be32_get(bytes + 100);
	if (header->header_bytes < FORMAT_V3_HEADER_BYTES || header->header_bytes % 8 != 0)
		return why_set(why, STATUS_CORRUPT, "'%s': header length %u is not legal", path,
			       header->header_bytes);
	if (header->header_bytes > FORMAT_V3_HEADER_BYTES && byte_count > FORMAT_V3_HEADER_BYTES)
		header->compression_type = bytes[FORMAT_V3_HEADER_BYTES];
	return STATUS_OK;
}

static enum status check_features(const struct format_header *header, const char *path,
				  struct why *why)
{
	static const struct {
		uint64_t bit;
		const char *name;
	} features[] = {
		{ FORMAT_INCOMPATIBLE_CORRUPT, "an image marked corrupt" },
		{ FORMAT_INCOMPATIBLE_DATA_FILE, "an external data file" },
		{ FORMAT_INCOMPATIBLE_COMPRESSION, "a compression type other than deflate" },
		{ FORMAT_INCOMPATIBLE_EXTENDED_L2, "extended L2 entries" },
	};
	uint64_t unknown = header->incompatible & ~FORMAT_INCOMPATIBLE_DIRTY;
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		if (header->incompatible & features[i].bit)
			return why_set(why, STATUS_UNSUPPORTED, "'%s': %s is not supported yet",
				       path, features[i].name);
		unknown &= ~features[i].bit;
	}
	if (unknown)
		return why_set(why, STATUS_UNSUPPORTED,
			       "'%s': unknown incompatible feature bits 0x%llx", path,
			       (unsigned long long)unknown);
	if (header->crypt_method != 0)
		return why_set(why, STATUS_UNSUPPORTED, "'%s': encryption is not supported yet",
			       path);
	if (header->refcount_order != FORMAT_REFCOUNT_ORDER)
		return why_set(why, STATUS_UNSUPPORTED,
			       "'%s': refcounts of other widths than 16 bits are not supported yet",
			       path);
	return STATUS_OK;
}

static enum status check_tables(const struct format_header *header, const char *path,
				struct why *why)
{
	uint64_t in_cluster = (UINT64_C(1) << header->cluster_bits) - 1;
	if (header->l1_host_offset & in_cluster || header->l1_host_offset == 0)
		return why_set(why, STATUS_CORRUPT, "'%s': L1 table offset 0x%llx is not legal",
			       path, (unsigned long long)header->l1_host_offset);
	if (header->refcount_table_host_offset & in_cluster ||
	    header->refcount_table_host_offset == 0 || header->refcount_table_clusters == 0)
		return why_set(why, STATUS_CORRUPT, "'%s': refcount table at 0x%llx is not legal",
			       path, (unsigned long long)header->refcount_table_host_offset);
	if (header->snapshots > FORMAT_SNAPSHOTS_MAX)
		return why_set(why, STATUS_UNSUPPORTED,
			       "'%s': more than %d internal snapshots are not supported", path,
			       FORMAT_SNAPSHOTS_MAX);
	if (header->snapshots > 0 &&
	    (header->snapshots_host_offset & in_cluster || header->snapshots_host_offset == 0))
		return why_set(why, STATUS_CORRUPT,
			       "'%s': snapshot table offset 0x%llx is not legal", path,
			       (unsigned long long)header->snapshots_host_offset);
	if (header->backing_host_offset != 0 &&
	    (header->backing_bytes > FORMAT_BACKING_NAME_MAX ||
	     header->backing_host_offset + header->backing_bytes > in_cluster + 1))
		return why_set(why, STATUS_CORRUPT,
			       "'%s': the backing file's name does not fit the first cluster",
			       path);
	return STATUS_OK;
}

enum status format_decode_header(struct format_header *header, const uint8_t *bytes,
				 size_t byte_count, const char *path, struct why *why)
{
	if (byte_count < 8 || be32_get(bytes) != FORMAT_MAGIC)
		return why_set(why, STATUS_FOREIGN, "'%s' is not a qcow2 image", path);
	if (byte_count < FORMAT_V2_HEADER_BYTES)
		return why_set(why, STATUS_CORRUPT, "'%s': the header is cut short", path);
	decode_common(header, bytes);
	if (header->version != 2 && header->version != 3)
		return why_set(why, STATUS_UNSUPPORTED, "'%s': qcow2 version %u is not supported",
			       path, header->version);
	if (header->cluster_bits < FORMAT_CLUSTER_BITS_MIN ||
	    header->cluster_bits > FORMAT_CLUSTER_BITS_MAX)
		return why_set(why, STATUS_CORRUPT, "'%s': cluster_bits %u is not legal", path,
			       header->cluster_bits);
	if (header->size_bytes > INT64_MAX)
		return why_set(why, STATUS_CORRUPT, "'%s': the virtual size is not legal", path);
	enum status status = STATUS_OK;
	if (header->version == 3)
		status = decode_v3(header, bytes, byte_count, path, why);
	if (status == STATUS_OK)
		status = check_features(header, path, why);
	if (status == STATUS_OK)
		status = check_tables(header, path, why);
	return status;
}

size_t format_encode_header(uint8_t *bytes, const struct format_header *header)
{
	memset(bytes, 0, FORMAT_WRITTEN_HEADER_BYTES);
	be32_put(bytes, FORMAT_MAGIC);
	be32_put(bytes + 4, header->version);
	be64_put(bytes + 8, header->backing_host_offset);
	be32_put(bytes + 16, header->backing_bytes);
	be32_put(bytes + 20, header->cluster_bits);
	be64_put(bytes + FORMAT_AT_SIZE, header->size_bytes);
	be32_put(bytes + 32, header->crypt_method);
	be32_put(bytes + FORMAT_AT_L1, header->l1_entries);
	be64_put(bytes + FORMAT_AT_L1 + 4, header->l1_host_offset);
	be64_put(bytes + FORMAT_AT_REFCOUNT_TABLE, header->refcount_table_host_offset);
	be32_put(bytes + FORMAT_AT_REFCOUNT_TABLE + 8, header->refcount_table_clusters);
	be32_put(bytes + FORMAT_AT_SNAPSHOTS, header->snapshots);
	be64_put(bytes + FORMAT_AT_SNAPSHOTS + 4, header->snapshots_host_offset);
	if (header->version == 2)
		return FORMAT_V2_HEADER_BYTES;
	be64_put(bytes + FORMAT_AT_INCOMPATIBLE, header->incompatible);
	be64_put(bytes + 80, header->compatible);
	be64_put(bytes + FORMAT_AT_AUTOCLEAR, header->autoclear);
	be32_put(bytes + 96, header->refcount_order);
	be32_put(bytes + 100, FORMAT_WRITTEN_HEADER_BYTES);
	bytes[FORMAT_V3_HEADER_BYTES] = header->compression_type;
	return FORMAT_WRITTEN_HEADER_BYTES;
}
