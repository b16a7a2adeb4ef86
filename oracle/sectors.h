// SPDX-License-Identifier: MIT
/** The image file in the crash state at hand: where the bytes of each sector are, never the bytes
 * themselves. */
#ifndef ORACLE_SECTORS_H
#define ORACLE_SECTORS_H

#include "oracle/bytes.h"
#include "oracle/image_header.h"
#include "oracle/journal.h"
#include "oracle/sparse.h"
#include "traces/content.h"

enum { PAGE_SECTORS = CONTENT_PAGE_BYTES / SECTOR_BYTES };

/** Where a sector's 512 bytes are: 0: zeros; odd: 2 * position in the log's bytes + 1; even: an
 * address in initial contents or in the bump store. */
typedef uint64_t sector_ref;

struct sector_page {
	uint64_t index; /* host offset / CONTENT_PAGE_BYTES */
	sector_ref refs[PAGE_SECTORS];
	uint64_t hashes[PAGE_SECTORS]; /* what each adds to the image's hash */
};

struct sectors {
	struct journal *journal;       /* borrowed */
	const struct content *initial; /* borrowed */
	/* Borrowed; what stands from IMAGE_EXTERNAL on, which ends nowhere; NULL: nothing does. */
	const struct content *external;
	const uint8_t *log_bytes; /* borrowed; moves from run to run */
	struct bump merged;       /* sectors of which an operation changed a part */
	struct sparse pages;      /* of struct sector_page */
	struct bump page_memory;
	uint64_t file_bytes;   /* journaled; of the image, not of its external data file */
	uint64_t content_hash; /* journaled; 0 = initial */
	bool hashing;
};

/** Begin with `initial` and `external`, which may be NULL (both borrowed). */
void sectors_init(struct sectors *sectors, struct journal *journal, const struct content *initial,
		  const struct content *external, bool hashing);
/** Free what `sectors` owns. */
void sectors_release(struct sectors *sectors);

/** Refer to 512 bytes of the log. */
sector_ref sector_ref_log(uint64_t log_position);
/** Refer to 512 bytes at an even address that does not move. */
sector_ref sector_ref_memory(const uint8_t *bytes);

/** The bytes behind a reference, borrowed until the next run. */
const uint8_t *sectors_bytes(const struct sectors *sectors, sector_ref ref);

/** Sector `sector_index` of the file; zero_sector beyond the end and in holes. */
const uint8_t *sectors_at(struct sectors *sectors, uint64_t sector_index);

/** Where the bytes of that sector are. */
sector_ref sectors_ref(struct sectors *sectors, uint64_t sector_index);

/** The big-endian number at `host_offset` (a multiple of 8). */
uint64_t sectors_be64(struct sectors *sectors, uint64_t host_offset);

/** Is the whole page of 4096 bytes a hole? */
bool sectors_page_is_hole(struct sectors *sectors, uint64_t page_index);

/** Read any bytes. */
void sectors_read(struct sectors *sectors, void *to, size_t bytes, uint64_t host_offset);

/** As an image_source, borrowed from `sectors`. */
struct image_source sectors_source(struct sectors *sectors);

/** Let a sector be `ref`. */
void sectors_set(struct sectors *sectors, uint64_t sector_index, sector_ref ref);

/** List the pages in [first_page, end_page) that may hold something, ascending. Gives `*pages` for
 * free(). Returns how many. */
size_t sectors_list_pages(struct sectors *sectors, uint64_t first_page, uint64_t end_page,
			  uint64_t **pages);

#endif
