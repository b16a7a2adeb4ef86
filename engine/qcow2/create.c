// SPDX-License-Identifier: MIT
/* Creating an empty image: header, refcount table, one or more refcount blocks, L1 table, in this
 * order in the file. */
#include "engine/qcow2/file.h"
#include "engine/qcow2/format.h"
#include "engine/qcow2/qcow2.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CLUSTER_BYTES = 64 * 1024, L1_ENTRIES_MAX = 4 * 1024 * 1024 };

/** Where everything lies, in clusters. */
struct layout {
	uint64_t cluster_bytes;
	uint64_t table_clusters, blocks, l1_clusters;
	uint64_t l1_entries;
	uint64_t total;
};

static void plan_layout(struct layout *layout, uint64_t size_bytes, uint64_t cluster_bytes)
{
	uint64_t covered = cluster_bytes * (cluster_bytes / sizeof(uint64_t));
	uint64_t block_entries = cluster_bytes / sizeof(uint16_t);
	layout->cluster_bytes = cluster_bytes;
	layout->l1_entries = size_bytes / covered + (size_bytes % covered != 0);
	layout->l1_clusters =
		(layout->l1_entries * sizeof(uint64_t) + cluster_bytes - 1) / cluster_bytes;
	if (layout->l1_clusters == 0)
		layout->l1_clusters = 1;
	layout->blocks = 0;
	do {
		layout->blocks++;
		layout->table_clusters =
			(layout->blocks * sizeof(uint64_t) + cluster_bytes - 1) / cluster_bytes;
		layout->total = 1 + layout->table_clusters + layout->blocks + layout->l1_clusters;
	} while (layout->total > layout->blocks * block_entries);
}

static enum status check_options(const struct qcow2_create_options *options, uint64_t cluster_bytes,
				 uint32_t version, struct why *why)
{
	bool is_power = (cluster_bytes & (cluster_bytes - 1)) == 0;
	if (!is_power || cluster_bytes < (1u << FORMAT_CLUSTER_BITS_MIN) ||
	    cluster_bytes > (1u << FORMAT_CLUSTER_BITS_MAX))
		return why_set(why, STATUS_BAD_INPUT,
			       "cluster size %llu is not a power of two from 512 to 2M",
			       (unsigned long long)cluster_bytes);
	if (version != 2 && version != 3)
		return why_set(why, STATUS_BAD_INPUT, "qcow2 version %u does not exist", version);
	if (version == 2 && options->lazy_refcounts)
		return why_set(why, STATUS_BAD_INPUT, "lazy refcounts need version 3");
	if (options->size_bytes % FORMAT_SECTOR_BYTES != 0)
		return why_set(why, STATUS_BAD_INPUT, "size %llu is not a multiple of 512",
			       (unsigned long long)options->size_bytes);
	uint64_t limit = L1_ENTRIES_MAX * (cluster_bytes * (cluster_bytes / sizeof(uint64_t)));
	if (options->size_bytes > limit)
		return why_set(why, STATUS_BAD_INPUT,
			       "size %llu needs an L1 table above 32 MiB with this cluster size",
			       (unsigned long long)options->size_bytes);
	if (!options->backing_path)
		return STATUS_OK;
	if (!options->backing_format || (strcmp(options->backing_format, "raw") != 0 &&
					 strcmp(options->backing_format, "qcow2") != 0))
		return why_set(why, STATUS_BAD_INPUT,
			       "a backing file needs its format, raw or qcow2");
	size_t name = strlen(options->backing_path);
	if (name > FORMAT_BACKING_NAME_MAX || name + 160 > cluster_bytes)
		return why_set(why, STATUS_BAD_INPUT, "the backing file's path is too long");
	return STATUS_OK;
}

/* The first cluster: header, backing format, end of extensions, backing name. */
static void fill_header(uint8_t *cluster, const struct qcow2_create_options *options,
			const struct layout *layout, uint32_t version)
{
	struct format_header header = {
		.version = version,
		.cluster_bits = (uint32_t)__builtin_ctzll(layout->cluster_bytes),
		.size_bytes = options->size_bytes,
		.l1_entries = (uint32_t)layout->l1_entries,
		.l1_host_offset =
			(1 + layout->table_clusters + layout->blocks) * layout->cluster_bytes,
		.refcount_table_host_offset = layout->cluster_bytes,
		.refcount_table_clusters = (uint32_t)layout->table_clusters,
		.compatible = options->lazy_refcounts ? FORMAT_COMPATIBLE_LAZY : 0,
		.refcount_order = FORMAT_REFCOUNT_ORDER,
	};
	uint8_t scratch[FORMAT_WRITTEN_HEADER_BYTES];
	size_t at = format_encode_header(scratch, &header);
	if (options->backing_path) {
		size_t format = strlen(options->backing_format);
		size_t name = strlen(options->backing_path);
		be32_put(cluster + at, FORMAT_EXTENSION_BACKING_FORMAT);
		be32_put(cluster + at + 4, (uint32_t)format);
		memcpy(cluster + at + 8, options->backing_format, format);
		at += 8 + (format + 7) / 8 * 8;
		header.backing_host_offset = at + 8;
		header.backing_bytes = (uint32_t)name;
		memcpy(cluster + header.backing_host_offset, options->backing_path, name);
	}
	memcpy(cluster, scratch, format_encode_header(scratch, &header));
}

static int write_image(struct file *file, const struct qcow2_create_options *options,
		       const struct layout *layout, uint32_t version)
{
	uint64_t cluster_bytes = layout->cluster_bytes;
	uint64_t meta_clusters = 1 + layout->table_clusters + layout->blocks;
	uint8_t *bytes = calloc(meta_clusters, cluster_bytes);
	if (!bytes)
		return -ENOMEM;
	uint8_t *table = bytes + cluster_bytes;
	uint8_t *blocks = table + layout->table_clusters * cluster_bytes;
	for (uint64_t i = 0; i < layout->blocks; i++)
		be64_put(table + i * sizeof(uint64_t),
			 (1 + layout->table_clusters + i) * cluster_bytes);
	for (uint64_t i = 0; i < layout->total; i++)
		be16_put(blocks + i * sizeof(uint16_t), 1);
	fill_header(bytes, options, layout, version);
	int result = file_resize(file, layout->total * cluster_bytes);
	if (result == 0)
		result =
			file_write(file, table, (meta_clusters - 1) * cluster_bytes, cluster_bytes);
	if (result == 0)
		result = file_flush(file);
	if (result == 0) /* the header last: before it there is no image */
		result = file_write(file, bytes, cluster_bytes, 0);
	if (result == 0)
		result = file_flush(file);
	free(bytes);
	return result;
}

enum status qcow2_create(const char *path, const struct qcow2_create_options *options,
			 struct why *why)
{
	uint64_t cluster_bytes = options->cluster_bytes ? options->cluster_bytes : CLUSTER_BYTES;
	uint32_t version = options->version ? options->version : 3;
	enum status status = check_options(options, cluster_bytes, version, why);
	if (status != STATUS_OK)
		return status;
	struct layout layout;
	plan_layout(&layout, options->size_bytes, cluster_bytes);
	struct file file;
	int result = file_open(&file, path, FILE_CREATE);
	if (result == 0) {
		result = write_image(&file, options, &layout, version);
		int closed = file_close(&file);
		if (result == 0)
			result = closed;
	}
	if (result < 0)
		return why_set(why, STATUS_IO, "cannot create '%s': %s", path, strerror(-result));
	return STATUS_OK;
}
