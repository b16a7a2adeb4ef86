// SPDX-License-Identifier: MIT
/* Opening an image and its backing chain. Nothing in the file is trusted: sizes are bounded before
 * memory is taken, and what the driver does not support is refused by name. */
#include "engine/qcow2/alloc.h"
#include "engine/qcow2/events.h"
#include "engine/qcow2/image.h"
#include "engine/qcow2/repair.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum {
	L2_TABLES_CACHED = 16,
	REFCOUNT_BLOCKS_CACHED = 8,
	ALLOCATIONS_IN_FLIGHT = 256,
	L1_BYTES_MAX = 32 * 1024 * 1024,
	REFCOUNT_TABLE_BYTES_MAX = 64 * 1024 * 1024,
	PATH_BYTES_MAX = 4096,
};

static enum status fail_io(struct why *why, const char *what, const char *path, int error)
{
	return why_set(why, STATUS_IO, "cannot %s '%s': %s", what, path, strerror(-error));
}

/* Read a table of big-endian entries into host order. Gives `*table`. */
static enum status read_table(struct qcow2 *image, uint64_t **table, uint64_t host_offset,
			      uint64_t entries, struct why *why)
{
	*table = arena_take(image->arena, (size_t)entries * sizeof(uint64_t));
	if (!*table)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	int result =
		file_read(&image->file, *table, (size_t)entries * sizeof(uint64_t), host_offset);
	if (result < 0)
		return fail_io(why, "read tables of", "image", result);
	for (uint64_t i = 0; i < entries; i++)
		(*table)[i] = be64_get(&(*table)[i]);
	return STATUS_OK;
}

static enum status load_tables(struct qcow2 *image, const char *path, struct why *why)
{
	const struct format_header *header = &image->header;
	uint64_t covered = (uint64_t)image->cluster_bytes * image->l2_entries;
	uint64_t l1_needed = header->size_bytes / covered + (header->size_bytes % covered != 0);
	uint64_t table_bytes = (uint64_t)header->refcount_table_clusters * image->cluster_bytes;
	if (header->l1_entries < l1_needed)
		return why_set(why, STATUS_CORRUPT, "'%s': the L1 table is too short for the disk",
			       path);
	if (header->l1_entries > L1_BYTES_MAX / sizeof(uint64_t))
		return why_set(why, STATUS_UNSUPPORTED, "'%s': an L1 table above 32 MiB", path);
	if (table_bytes > REFCOUNT_TABLE_BYTES_MAX)
		return why_set(why, STATUS_UNSUPPORTED, "'%s': a refcount table above 64 MiB",
			       path);
	enum status status =
		read_table(image, &image->l1, header->l1_host_offset, header->l1_entries, why);
	if (status != STATUS_OK)
		return status;
	image->refcount_entries = table_bytes / sizeof(uint64_t);
	QCOW2_EVENT(image, QCOW2_REFTABLE_LOAD);
	status = read_table(image, &image->refcount_table, header->refcount_table_host_offset,
			    image->refcount_entries, why);
	for (uint64_t i = 0; i < image->refcount_entries && status == STATUS_OK; i++) {
		if (in_cluster(image, image->refcount_table[i]) != 0)
			return why_set(why, STATUS_CORRUPT,
				       "'%s': refcount table entry %llu is not aligned", path,
				       (unsigned long long)i);
	}
	return status;
}

/* The backing file's name and format, from the first cluster. */
struct backing_name {
	char path[PATH_BYTES_MAX];
	bool is_qcow2, is_raw; /* neither: not said */
};

static enum status read_extensions(const struct qcow2 *image, const uint8_t *cluster,
				   struct backing_name *name, const char *path, struct why *why)
{
	uint64_t at = image->header.header_bytes;
	while (at + 8 <= image->cluster_bytes) {
		uint32_t type = be32_get(cluster + at);
		uint64_t bytes = be32_get(cluster + at + 4);
		const uint8_t *data = cluster + at + 8;
		if (type == FORMAT_EXTENSION_END)
			return STATUS_OK;
		if (bytes > image->cluster_bytes - at - 8)
			return why_set(why, STATUS_CORRUPT,
				       "'%s': a header extension leaves the first cluster", path);
		if (type == FORMAT_EXTENSION_BACKING_FORMAT) {
			name->is_qcow2 = bytes == 5 && memcmp(data, "qcow2", 5) == 0;
			name->is_raw = bytes == 3 && memcmp(data, "raw", 3) == 0;
			if (!name->is_qcow2 && !name->is_raw)
				return why_set(why, STATUS_UNSUPPORTED,
					       "'%s': backing format '%.*s' is not supported", path,
					       (int)(bytes > 16 ? 16 : bytes), (const char *)data);
		}
		at += 8 + (bytes + 7) / 8 * 8;
		if (image->header.backing_host_offset && at >= image->header.backing_host_offset)
			return STATUS_OK;
	}
	return STATUS_OK;
}

/* A relative name is relative to the folder of the image that names it. */
static enum status resolve_path(struct backing_name *name, const char *text, size_t bytes,
				const char *path, struct why *why)
{
	const char *colon = memchr(text, ':', bytes);
	const char *slash = memchr(text, '/', bytes);
	if (colon && (!slash || colon < slash))
		return why_set(why, STATUS_UNSUPPORTED,
			       "'%s': backing file '%.*s' is not a plain path", path, (int)bytes,
			       text);
	const char *folder_end = strrchr(path, '/');
	size_t folder = 0;
	if (text[0] != '/' && folder_end)
		folder = (size_t)(folder_end - path) + 1;
	if (folder + bytes >= sizeof(name->path))
		return why_set(why, STATUS_UNSUPPORTED, "'%s': the backing file's path is too long",
			       path);
	memcpy(name->path, path, folder);
	memcpy(name->path + folder, text, bytes);
	name->path[folder + bytes] = '\0';
	return STATUS_OK;
}

static enum status read_backing_name(struct qcow2 *image, struct backing_name *name,
				     const char *path, struct why *why)
{
	memset(name, 0, sizeof(*name));
	uint8_t *cluster = arena_take(image->arena, image->cluster_bytes);
	if (!cluster)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	enum status status = STATUS_OK;
	int result = file_read(&image->file, cluster, image->cluster_bytes, 0);
	if (result < 0)
		status = fail_io(why, "read", path, result);
	if (status == STATUS_OK)
		status = read_extensions(image, cluster, name, path, why);
	if (status == STATUS_OK && image->header.backing_host_offset)
		status = resolve_path(name,
				      (const char *)cluster + image->header.backing_host_offset,
				      image->header.backing_bytes, path, why);
	arena_give(image->arena, cluster);
	return status;
}

/* Without a stated format, the magic decides. */
static enum status open_raw(struct qcow2 *image, struct backing_name *name, struct why *why)
{
	int result = file_open(&image->raw.file, name->path, FILE_READ_ONLY);
	if (result < 0)
		return fail_io(why, "open backing file", name->path, result);
	int64_t size = file_size(&image->raw.file);
	if (size < 0)
		return fail_io(why, "get the size of", name->path, (int)size);
	image->raw.size_bytes = (uint64_t)size;
	uint8_t magic[4] = { 0 };
	if (!name->is_raw)
		result = file_read(&image->raw.file, magic, sizeof(magic), 0);
	if (result < 0)
		return fail_io(why, "read", name->path, result);
	if (be32_get(magic) == FORMAT_MAGIC) {
		name->is_qcow2 = true;
		file_close(&image->raw.file);
	}
	return STATUS_OK;
}

static struct qcow2 *layer_new(const struct qcow2_options *options, bool read_only, uint32_t depth)
{
	struct qcow2 *image = arena_take(options->arena, sizeof(*image));
	if (!image)
		return NULL;
	image->arena = options->arena;
	image->policy = options->policy;
	image->read_only = read_only;
	image->background.count_max =
		options->allocations_max ? options->allocations_max : ALLOCATIONS_IN_FLIGHT;
	image->file.descriptor = -1;
	image->raw.file.descriptor = -1;
	image->depth = depth;
	co_mutex_init(&image->lock, "engine lock", depth);
	co_queue_init(&image->background.finished, "end of background work", depth);
	co_queue_init(&image->allocator.unheld, "end of in-place writes", depth);
	return image;
}

/* Nobody shares the image yet, and a clean one opens without a step for this. */
static bool is_dirty(const struct qcow2 *image)
{
	return image->header.incompatible & FORMAT_INCOMPATIBLE_DIRTY;
}

/* Open one file, without what lies below it. */
static enum status open_layer(struct qcow2 *image, const char *path,
			      const struct qcow2_options *options, struct why *why)
{
	uint8_t bytes[FORMAT_WRITTEN_HEADER_BYTES];
	int result =
		file_open(&image->file, path, image->read_only ? FILE_READ_ONLY : FILE_READ_WRITE);
	if (result < 0)
		return fail_io(why, "open", path, result);
	result = file_read(&image->file, bytes, sizeof(bytes), 0);
	if (result < 0)
		return fail_io(why, "read", path, result);
	enum status status = format_decode_header(&image->header, bytes, sizeof(bytes), path, why);
	if (status == STATUS_OK && is_dirty(image) && (image->read_only || options->no_repair))
		status = why_set(why, STATUS_UNSUPPORTED,
				 "'%s': dirty refcounts: open it for writing to repair it", path);
	if (status != STATUS_OK)
		return status;
	image->cluster_bytes = 1u << image->header.cluster_bits;
	image->l2_entries = image->cluster_bytes / (uint32_t)sizeof(uint64_t);
	image->block_entries = image->cluster_bytes / (uint32_t)sizeof(uint16_t);
	image->size_bytes = image->header.size_bytes;
	allocator_init(image, options->allocate_from);
	uint32_t tables = options->l2_tables_cached ? options->l2_tables_cached : L2_TABLES_CACHED;
	uint32_t blocks = options->refcount_blocks_cached ? options->refcount_blocks_cached
							  : REFCOUNT_BLOCKS_CACHED;
	if (cache_init(&image->l2_cache, image, tables) < 0 ||
	    cache_init(&image->refcount_cache, image, blocks) < 0)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	return load_tables(image, path, why);
}

/* Open what lies below `image`: a raw file is its own, a qcow2 one becomes `image->backing`, still
 * without what is below that. */
static enum status open_below(struct qcow2 *image, struct backing_name *name,
			      const struct qcow2_options *options, struct why *why)
{
	enum status status = STATUS_OK;
	if (!name->is_qcow2)
		status = open_raw(image, name, why);
	if (status != STATUS_OK || !name->is_qcow2)
		return status;
	image->backing = layer_new(options, true, image->depth + 1);
	if (!image->backing)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	return open_layer(image->backing, name->path, options, why);
}

/* A writer clears the autoclear bits that it does not keep up to date, before anything else. */
static enum status clear_autoclear(struct qcow2 *image, const char *path, struct why *why)
{
	if (image->read_only)
		return STATUS_OK;
	int result = image_clear_autoclear(image);
	return result < 0 ? fail_io(why, "write", path, result) : STATUS_OK;
}

static enum status open_chain(struct qcow2 *image, const char *path,
			      const struct qcow2_options *options, struct why *why)
{
	struct backing_name *name = arena_take(options->arena, sizeof(*name));
	struct qcow2 *layer = image;
	if (!name)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	enum status status = open_layer(image, path, options, why);
	for (int depth = 1; status == STATUS_OK && layer; depth++) {
		status = read_backing_name(layer, name, path, why);
		if (status != STATUS_OK || !layer->header.backing_host_offset)
			break;
		if (depth >= IMAGE_CHAIN_MAX)
			status = why_set(why, STATUS_UNSUPPORTED,
					 "'%s': a backing chain of more than %d files", path,
					 IMAGE_CHAIN_MAX);
		else
			status = open_below(layer, name, options, why);
		path = name->path;
		layer = layer->backing;
	}
	return status;
}

enum status qcow2_open(struct qcow2 **image, const char *path, const struct qcow2_options *options,
		       struct why *why)
{
	struct qcow2 *opened = layer_new(options, options->read_only, 0);
	if (!opened)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	enum status status = open_chain(opened, path, options, why);
	if (status == STATUS_OK && is_dirty(opened))
		status = image_repair(opened, path, why);
	if (status == STATUS_OK)
		status = clear_autoclear(opened, path, why);
	if (status != STATUS_OK) {
		opened->read_only = true; /* nothing to write back */
		(void)!qcow2_close(opened);
		return status;
	}
	for (const struct qcow2 *layer = opened; layer; layer = layer->backing)
		image_share(layer);
	*image = opened;
	return STATUS_OK;
}

struct qcow2_facts qcow2_facts(const struct qcow2 *image)
{
	return (struct qcow2_facts){
		.size_bytes = image->size_bytes,
		.cluster_bytes = image->cluster_bytes,
		.version = image->header.version,
		.lazy_refcounts = image->header.compatible & FORMAT_COMPATIBLE_LAZY,
		.has_backing = image->header.backing_host_offset != 0,
		.snapshots = image->header.snapshots,
	};
}
