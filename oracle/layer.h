// SPDX-License-Identifier: MIT
/** A file of the backing chain as it was before the first event: what the guest reads there. */
#ifndef ORACLE_LAYER_H
#define ORACLE_LAYER_H

#include "oracle/image_header.h"
#include "oracle/inflate.h"
#include "traces/trace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LAYERS_MAX = 16 };

struct layer {
	const struct content *content;  /* borrowed */
	const struct content *external; /* borrowed; its external data file, or NULL */
	struct image_header header;     /* of a qcow2 layer; not readable for a raw one */
	bool is_qcow2;
	uint64_t size_bytes; /* of the virtual disk */
	size_t file;         /* index in the trace */
};

/** The chain, top first. layers[0] is the image under test. */
struct layers {
	struct layer layers[LAYERS_MAX];
	size_t count;
	struct inflater *inflater; /* borrowed */
};

/** Look at `files[0]` and its chain (borrowed). A top layer that does not parse is kept (not
 * readable). STATUS_UNSUPPORTED: names the feature, the chain loops or is too deep, a backing file
 * does not parse. */
MUST_USE enum status layers_init(struct layers *layers, struct inflater *inflater,
				 const struct trace_file *files, size_t file_count,
				 struct why *why);

/** Is file `file` of the trace one of the chain? */
bool layers_has_file(const struct layers *layers, size_t file);

/** The 512 bytes that the guest reads at `guest_offset` (a multiple of 512) from layer `top` down;
 * zeros beyond the end of the disk. NULL: they cannot be read (a compressed cluster that does not
 * inflate). Borrowed: a compressed sector until the next call, others until the files go. */
const uint8_t *layers_sector(const struct layers *layers, size_t top, uint64_t guest_offset);

/** Was that sector inflated? */
bool layers_sector_is_inflated(const struct layers *layers, size_t top, uint64_t guest_offset);

/** Find the first sector at or after `*guest_offset` and before `end` that layer `top` or one below
 * does not leave a hole (4096 bytes at a time, at most). False: none. */
bool layers_next_data(const struct layers *layers, size_t top, uint64_t *guest_offset,
		      uint64_t end);

#endif
