// SPDX-License-Identifier: MIT
/** Sparse bytes: the contents of a file of which only written pages take memory. */
#ifndef TRACES_CONTENT_H
#define TRACES_CONTENT_H

#include "traces/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CONTENT_PAGE_BYTES = 4096 };

struct content;

/** What a page that is not stored reads as. */
extern const uint8_t content_zeros[CONTENT_PAGE_BYTES];

/** A file of `size` zero bytes. Gives; free with content_free(). NULL when memory is short. */
struct content *content_new(uint64_t size);

/** A deep copy. Gives. NULL when memory is short. */
struct content *content_clone(const struct content *from);

/** A copy that borrows the pages of `from` as content_borrow() does: good until `from` changes or
 *  goes. Gives. NULL when memory is short. */
struct content *content_view(const struct content *from);

/** Free `content`; NULL is allowed. */
void content_free(struct content *content);

/** Size in bytes, 0 .. 2^63-1. */
uint64_t content_size(const struct content *content);

/** Copy `bytes` bytes at `host_offset` to `to`; what lies in a hole or beyond the end is zeros. */
void content_read(const struct content *content, void *to, size_t bytes, uint64_t host_offset);

/** Store bytes, extending the file when needed. host_offset + bytes must not exceed 2^63-1.
 *  STATUS_NO_MEMORY leaves a prefix stored. */
MUST_USE enum status content_write(struct content *content, const void *from, size_t bytes,
				   uint64_t host_offset);

/** As content_write(), but whole pages are borrowed from `from` until they are overwritten or
 *  `content` goes: nothing is copied that need not be. */
MUST_USE enum status content_borrow(struct content *content, const void *from, size_t bytes,
				    uint64_t host_offset);

/** Make a range read as zeros; frees whole pages; the size is unchanged (bytes beyond it are
 *  ignored). The cost depends on the pages stored in the range, not on its length. */
MUST_USE enum status content_zero(struct content *content, uint64_t host_offset, uint64_t bytes);

/** Change the size (at most 2^63-1); a cut tail reads as zeros if the file grows again. */
void content_resize(struct content *content, uint64_t size);

/** The page that holds byte `page_index` * CONTENT_PAGE_BYTES, borrowed until the content changes;
 *  NULL for a hole (zeros). */
const uint8_t *content_page(const struct content *content, uint64_t page_index);

/** Find the first stored page at or after `*page_index`; false (`*page_index` unchanged) when there
 *  is none. Ascending order. */
bool content_next_page(const struct content *content, uint64_t *page_index);

/** Do both read the same and have the same size? On false `*difference` (may be NULL) is the first
 *  differing byte, or the smaller size. */
bool content_equal(const struct content *a, const struct content *b, uint64_t *difference);

/** Read a regular file (holes and pages of zeros stay holes) into new contents. Gives `*content`,
 *  NULL on failure. STATUS_IO with a line in `why`. */
MUST_USE enum status content_load(struct content **content, const char *path, struct why *why);

/** Do the bytes from `from` up to `to` of the regular file at `path` read as those of `content`?
 *  `*difference` is the first that does not, UINT64_MAX when all do. Beyond either end are zeros.
 *  Several threads may compare the same contents. STATUS_IO with a line in `why`. */
MUST_USE enum status content_compare(const struct content *content, uint64_t from, uint64_t to,
				     uint64_t *difference, const char *path, struct why *why);

/** Write to `path` as a sparse file: to "<path>.tmp" first, then renamed. STATUS_IO with a line in
 *  `why`; "<path>.tmp" is gone then. Not synced to disk. */
MUST_USE enum status content_store(const struct content *content, const char *path,
				   struct why *why);

/** The same into the file at `path` itself, which stays the same file; half of it when that fails.
 */
MUST_USE enum status content_overwrite(const struct content *content, const char *path,
				       struct why *why);

#endif
