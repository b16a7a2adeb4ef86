// SPDX-License-Identifier: MIT
/** Vectors of buffers: lengths, slices, filling. */
#ifndef ENGINE_QCOW2_VECTOR_H
#define ENGINE_QCOW2_VECTOR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum { VECTOR_PIECES_MAX = 64 }; /* buffers in one request */

/** Bytes in all buffers; SIZE_MAX when the sum overflows. */
size_t vector_bytes(const struct iovec *vector, int count);

/** Drop the first `bytes` bytes (and buffers that become empty). `bytes` is at most the vector's
 * length. */
void vector_advance(struct iovec **vector, int *count, size_t bytes);

/** Make `to` (VECTOR_PIECES_MAX long) show bytes `from` .. `from + bytes` of `vector`. Returns the
 * buffers used. */
int vector_slice(struct iovec *to, const struct iovec *vector, int count, size_t from,
		 size_t bytes);

/** Fill all buffers with zeros. */
void vector_zero(const struct iovec *vector, int count);

/** Copy a flat buffer into the vector, whose length is at least `bytes`. */
void vector_fill(const struct iovec *vector, int count, const void *from, size_t bytes);

#endif
