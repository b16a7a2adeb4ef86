// SPDX-License-Identifier: MIT
#include "injector/backing_chain.h"

#include <limits.h>
#include <string.h>

bool backing_chain_peek(const struct content *content, struct qcow2_peek *peek, char *name)
{
	uint8_t head[QCOW2_PEEK_BYTES];
	uint64_t size = content_size(content);

	content_read(content, head, sizeof(head), 0);
	bool is_qcow2 = qcow2_peek(peek, head, size < sizeof(head) ? (size_t)size : sizeof(head));
	name[0] = '\0';
	if (is_qcow2 && peek->backing_bytes > 0 && peek->backing_bytes < QCOW2_PEEK_NAME_BYTES &&
	    peek->backing_offset < size) {
		content_read(content, name, peek->backing_bytes, peek->backing_offset);
		name[peek->backing_bytes] = '\0';
	}
	return is_qcow2;
}

uint16_t backing_chain_find(const struct trace *trace, const char *path)
{
	for (size_t i = 0; i < trace->file_count; i++)
		if (strcmp(trace->files[i].path, path) == 0)
			return (uint16_t)i;
	return TRACE_NO_BACKING;
}

enum status backing_chain_add(struct trace *trace, uint16_t file, const struct content *content,
			      struct why *why)
{
	char name[QCOW2_PEEK_NAME_BYTES];
	char path[PATH_MAX];
	struct qcow2_peek peek;
	bool has_backing = backing_chain_peek(content, &peek, name) && name[0] != '\0';

	while (has_backing && trace->files[file].backing == TRACE_NO_BACKING &&
	       trace->file_count < TRACE_FILES_MAX &&
	       qcow2_peek_resolve(path, sizeof(path), trace->files[file].path, name)) {
		struct content *loaded = NULL;
		uint16_t below = backing_chain_find(trace, path);
		bool raw = peek.backing_format == QCOW2_PEEK_RAW;
		if (below != TRACE_NO_BACKING) {
			trace->files[file].backing = below;
			break;
		}
		enum status status = content_load(&loaded, path, why);
		if (status != STATUS_OK)
			return status;
		bool is_qcow2 = !raw && backing_chain_peek(loaded, &peek, name);
		below = trace_add_file(trace, path,
				       is_qcow2 ? TRACE_FORMAT_QCOW2 : TRACE_FORMAT_RAW,
				       TRACE_NO_BACKING, loaded);
		trace->files[file].backing = below;
		file = below;
		has_backing = is_qcow2 && name[0] != '\0';
	}
	return STATUS_OK;
}
