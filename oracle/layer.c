// SPDX-License-Identifier: MIT
/* The oracle's reader for files that do not change: the image before the first event, and the files
 * it stands on. A raw file is its own virtual disk; in a qcow2 file each guest cluster is looked up
 * in the L1 and L2 tables, and falls through to the layer below when it is not allocated.
 *
 * Tables are read where they lie: entries are aligned to 8 bytes, so none crosses a page. */
#include "oracle/layer.h"

#include "oracle/bytes.h"

enum { PAGE_BYTES = CONTENT_PAGE_BYTES };

static void content_source_read(void *context, void *to, size_t bytes, uint64_t host_offset)
{
	const struct layer *layer = context;

	if (layer->external != NULL && is_external(host_offset))
		content_read(layer->external, to, bytes, host_offset - IMAGE_EXTERNAL);
	else
		content_read(layer->content, to, bytes, host_offset);
}

static uint64_t be64_at(const struct layer *layer, uint64_t host_offset)
{
	const uint8_t *page = content_page(layer->content, host_offset / PAGE_BYTES);

	return page == NULL ? 0 : be64_load(page + host_offset % PAGE_BYTES);
}

static enum status layer_init(struct layer *layer, const struct trace_file *file, bool is_top,
			      struct why *why)
{
	struct image_source source = { content_source_read, layer, file->external != NULL };
	const char *feature;

	*layer = (struct layer){ .content = file->initial,
				 .external = file->external,
				 .is_qcow2 = file->format == TRACE_FORMAT_QCOW2,
				 .size_bytes = content_size(file->initial) };
	if (!layer->is_qcow2)
		return STATUS_OK;
	image_header_parse(&layer->header, &source);
	layer->size_bytes = layer->header.readable ? layer->header.size_bytes : 0;
	feature = image_header_unsupported(&layer->header);
	if (feature != NULL)
		return why_set(why, STATUS_UNSUPPORTED, "cannot judge '%s': %s", file->path,
			       feature);
	if (!is_top && !layer->header.readable)
		return why_set(why, STATUS_UNSUPPORTED, "cannot read backing file '%s': %s",
			       file->path,
			       header_problem_text((enum header_problem)layer->header.problem));
	return STATUS_OK;
}

enum status layers_init(struct layers *layers, struct inflater *inflater,
			const struct trace_file *files, size_t file_count, struct why *why)
{
	size_t at = 0;

	*layers = (struct layers){ .inflater = inflater };
	do {
		enum status status;

		if (layers->count == LAYERS_MAX)
			return why_set(why, STATUS_UNSUPPORTED,
				       "cannot judge '%s': its backing chain is too deep or a loop",
				       files[0].path);
		status = layer_init(&layers->layers[layers->count], &files[at], layers->count == 0,
				    why);
		if (status != STATUS_OK)
			return status;
		layers->layers[layers->count++].file = at;
		at = files[at].backing;
	} while (at != TRACE_NO_BACKING && at < file_count);
	return STATUS_OK;
}

bool layers_has_file(const struct layers *layers, size_t file)
{
	for (size_t i = 0; i < layers->count; i++)
		if (layers->layers[i].file == file)
			return true;
	return false;
}

static uint64_t l2_table(const struct layer *layer, uint64_t guest_cluster)
{
	uint64_t l1_index = guest_cluster >> layer->header.l2_bits;

	if (l1_index >= layer->header.l1_entries)
		return 0;
	return (be64_at(layer, layer->header.l1_offset + 8 * l1_index) & ENTRY_OFFSET) >>
	       layer->header.cluster_bits << layer->header.cluster_bits;
}

static struct mapping layer_mapping(const struct layer *layer, uint64_t guest_cluster)
{
	uint64_t table = l2_table(layer, guest_cluster);
	uint64_t slot = guest_cluster & ((UINT64_C(1) << layer->header.l2_bits) - 1);

	if (table == 0)
		return (struct mapping){ .kind = MAPPING_BACKING };
	return mapping_decode(&layer->header, be64_at(layer, table + 8 * slot));
}

static const uint8_t *host_sector(const struct layer *layer, uint64_t host_offset)
{
	bool is_outside = layer->external != NULL && is_external(host_offset);
	uint64_t at = is_outside ? host_offset - IMAGE_EXTERNAL : host_offset;
	const uint8_t *page =
		content_page(is_outside ? layer->external : layer->content, at / PAGE_BYTES);

	return page == NULL ? zero_sector : page + at % PAGE_BYTES;
}

static const uint8_t *inflated_sector(const struct layers *layers, const struct layer *layer,
				      const struct mapping *mapping, uint64_t in_cluster)
{
	struct layer copy = *layer;
	struct image_source source = { content_source_read, &copy, layer->external != NULL };
	size_t cluster_bytes = (size_t)1 << layer->header.cluster_bits;
	const uint8_t *plain = inflater_cluster(layers->inflater, &source, mapping, cluster_bytes);

	return plain == NULL ? NULL : plain + in_cluster;
}

/** What the layer that decides says of a sector; NULL: none does, or the disk ends before it. */
static const struct layer *deciding_layer(const struct layers *layers, size_t top,
					  uint64_t guest_offset, struct mapping *mapping)
{
	for (size_t at = top; at < layers->count; at++) {
		const struct layer *layer = &layers->layers[at];

		*mapping = (struct mapping){ .kind = MAPPING_NORMAL };
		if (guest_offset >= layer->size_bytes)
			return NULL;
		if (layer->is_qcow2)
			*mapping = layer_mapping(layer, guest_offset >> layer->header.cluster_bits);
		if (mapping->kind != MAPPING_BACKING)
			return layer;
	}
	return NULL;
}

const uint8_t *layers_sector(const struct layers *layers, size_t top, uint64_t guest_offset)
{
	struct mapping mapping;
	const struct layer *layer = deciding_layer(layers, top, guest_offset, &mapping);
	uint64_t in_cluster;

	if (layer == NULL)
		return zero_sector;
	if (!layer->is_qcow2)
		return host_sector(layer, guest_offset);
	in_cluster = guest_offset & ((UINT64_C(1) << layer->header.cluster_bits) - 1);
	switch (mapping.kind) {
	case MAPPING_BACKING:
	case MAPPING_ZERO: return zero_sector;
	case MAPPING_NORMAL: return host_sector(layer, mapping.host_offset + in_cluster);
	case MAPPING_COMPRESSED: return inflated_sector(layers, layer, &mapping, in_cluster);
	}
	return NULL;
}

bool layers_sector_is_inflated(const struct layers *layers, size_t top, uint64_t guest_offset)
{
	struct mapping mapping;

	return deciding_layer(layers, top, guest_offset, &mapping) != NULL &&
	       mapping.kind == MAPPING_COMPRESSED;
}

/** The first mapped cluster of a qcow2 layer, as layers_next_data(). */
static bool next_mapped(const struct layer *layer, uint64_t *guest_offset, uint64_t end)
{
	uint64_t bits = layer->header.cluster_bits;
	uint64_t l2_bits = layer->header.l2_bits;
	uint64_t at = *guest_offset >> bits;

	while (at << bits < end && at << bits < layer->size_bytes) {
		uint64_t table = l2_table(layer, at);
		uint64_t in_page = PAGE_BYTES / 8 - 1;
		uint64_t slot = at & ((UINT64_C(1) << l2_bits) - 1);

		if (table == 0) {
			at = ((at >> l2_bits) + 1) << l2_bits;
		} else if (content_page(layer->content, (table + 8 * slot) / PAGE_BYTES) == NULL) {
			uint64_t in_table = (UINT64_C(1) << l2_bits) - 1;

			at = (at | (in_page < in_table ? in_page : in_table)) + 1;
		} else if (be64_at(layer, table + 8 * slot) != 0) {
			if (at << bits > *guest_offset)
				*guest_offset = at << bits;
			return *guest_offset < end;
		} else {
			at++;
		}
	}
	return false;
}

static bool next_page(const struct layer *layer, uint64_t *guest_offset, uint64_t end)
{
	uint64_t page = *guest_offset / PAGE_BYTES;

	if (!content_next_page(layer->content, &page))
		return false;
	if (page * PAGE_BYTES > *guest_offset)
		*guest_offset = page * PAGE_BYTES;
	return *guest_offset < end;
}

bool layers_next_data(const struct layers *layers, size_t top, uint64_t *guest_offset, uint64_t end)
{
	uint64_t nearest = end;

	for (size_t at = top; at < layers->count; at++) {
		const struct layer *layer = &layers->layers[at];
		uint64_t found = *guest_offset;

		if ((layer->is_qcow2 ? next_mapped(layer, &found, nearest)
				     : next_page(layer, &found, nearest)) &&
		    found < nearest)
			nearest = found;
	}
	*guest_offset = nearest;
	return nearest < end;
}
