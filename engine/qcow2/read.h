// SPDX-License-Identifier: MIT
/** Reading guest data through the backing chain. */
#ifndef ENGINE_QCOW2_READ_H
#define ENGINE_QCOW2_READ_H

#include "engine/qcow2/map.h"

/** Where guest bytes come from. */
enum source_kind { SOURCE_ZERO, SOURCE_HOST, SOURCE_COMPRESSED };

struct source {
	enum source_kind kind;
	struct qcow2 *image;  /* layer that has the data; for SOURCE_HOST of a raw backing file: the
				 layer above it */
	struct file *file;    /* SOURCE_HOST */
	uint64_t host_offset; /* SOURCE_HOST */
	uint64_t entry;       /* SOURCE_COMPRESSED: the L2 entry */
	uint64_t bytes;       /* for how long this holds, at most what was asked for */
};

/** Find the source of guest bytes [guest_offset, guest_offset + bytes) of the linked state of
 * `image` (in-flight allocations are not looked at). Needs the lock of `image` only; a backing
 * image's own lock is taken and released. 0 or -errno. */
int source_find(struct qcow2 *image, uint64_t guest_offset, uint64_t bytes, struct source *source);

/** Read from a source, whose `bytes` may have been cut since. 0 or -errno. */
int source_read(const struct source *source, uint64_t guest_offset, const struct iovec *vector,
		int count);

/** Read one compressed cluster (raw deflate) and put bytes [from, from + bytes) of it into the
 * vector. 0 or -errno. */
int compressed_read(struct qcow2 *image, uint64_t entry, size_t from, const struct iovec *vector,
		    int count);

#endif
