// SPDX-License-Identifier: MIT
/** A 64-bit digest of what a read returned: equal bytes, equal digest; not cryptographic. */
#ifndef INJECTOR_DIGEST_H
#define INJECTOR_DIGEST_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/** Digest of the first `bytes` bytes of `vector`, however it is cut into pieces. */
uint64_t digest_vector(const struct iovec *vector, size_t bytes);

#endif
