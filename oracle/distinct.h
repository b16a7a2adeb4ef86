// SPDX-License-Identifier: MIT
/** A set of 64-bit fingerprints, for counting different crash states. Lives across runs. */
#ifndef ORACLE_DISTINCT_H
#define ORACLE_DISTINCT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Zero-initialised: empty. */
struct distinct {
	uint64_t *slots; /* owned; 0: free */
	size_t capacity; /* a power of two, at most half in use */
	size_t count;
	uint64_t checksum; /* sum of mixed fingerprints: equal for equal sets */
};

/** Free the set; it is empty afterwards. */
void distinct_release(struct distinct *distinct);

/** Add a fingerprint. False when it is there already. */
bool distinct_add(struct distinct *distinct, uint64_t fingerprint);

#endif
