// SPDX-License-Identifier: MIT
/** State saved as one run of bytes, to be loaded in the order in which it was saved. */
#ifndef INJECTOR_SNAPSHOT_BUFFER_H
#define INJECTOR_SNAPSHOT_BUFFER_H

#include <stddef.h>
#include <stdint.h>

/** The caller's; all zeros is an empty one. Saving into it again and again allocates nothing once
 * it is large enough. */
struct snapshot_buffer {
	/** Owned. */
	uint8_t *bytes;
	size_t used;
	size_t capacity;
	/** What snapshot_buffer_get() returns next. */
	size_t read;
};

/** Free what `buffer` owns; it is empty afterwards. */
void snapshot_buffer_release(struct snapshot_buffer *buffer);

/** Forget the contents, keep the memory: saving begins. */
void snapshot_buffer_clear(struct snapshot_buffer *buffer);

/** Back to the first byte: loading begins. */
void snapshot_buffer_rewind(struct snapshot_buffer *buffer);

/** Room for `count` more bytes, to be filled by the caller; valid until the next call. Aborts when
 * memory is short: a state saved in part would be a lie. */
uint8_t *snapshot_buffer_extend(struct snapshot_buffer *buffer, size_t count);

/** Append `count` bytes at `from`. */
void snapshot_buffer_put(struct snapshot_buffer *buffer, const void *from, size_t count);

/** Copy the next `count` bytes to `to`. Asserts that they were put. */
void snapshot_buffer_get(struct snapshot_buffer *buffer, void *to, size_t count);

#endif
