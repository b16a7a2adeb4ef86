// SPDX-License-Identifier: MIT
/** 128-bit hashes of pages that can be summed up, so that the hash of many pages need not be
 * computed anew when one of them changes. Not cryptographic. */
#ifndef INJECTOR_PAGE_HASH_H
#define INJECTOR_PAGE_HASH_H

#include "traces/content.h"

#include <stdint.h>

/** All zeros: the hash of zeros, and of nothing. */
struct page_hash {
	uint64_t words[2];
};

/** Hash of the CONTENT_PAGE_BYTES bytes of page `index`; zero when they are zeros or NULL. */
struct page_hash page_hash_of(uint64_t index, const uint8_t *bytes);

/** Hash of one number, e.g. a size. */
struct page_hash page_hash_of_number(uint64_t number);

/** Add to a sum, or take out of it. */
void page_hash_add(struct page_hash *sum, const struct page_hash *hash);
void page_hash_subtract(struct page_hash *sum, const struct page_hash *hash);

#endif
