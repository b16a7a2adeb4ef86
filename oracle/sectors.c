// SPDX-License-Identifier: MIT
#include "oracle/sectors.h"

#include "oracle/heap.h"

#include <stdlib.h>

#define EXTERNAL_PAGE (IMAGE_EXTERNAL / CONTENT_PAGE_BYTES)

void sectors_init(struct sectors *sectors, struct journal *journal, const struct content *initial,
		  const struct content *external, bool hashing)
{
	*sectors = (struct sectors){ .journal = journal,
				     .initial = initial,
				     .external = external,
				     .hashing = hashing,
				     .file_bytes = content_size(initial) };
}

void sectors_release(struct sectors *sectors)
{
	bump_release(&sectors->merged);
	bump_release(&sectors->page_memory);
	sparse_release(&sectors->pages);
}

sector_ref sector_ref_log(uint64_t log_position)
{
	return 2 * log_position + 1;
}

sector_ref sector_ref_memory(const uint8_t *bytes)
{
	return (sector_ref)(uintptr_t)bytes;
}

const uint8_t *sectors_bytes(const struct sectors *sectors, sector_ref ref)
{
	if (ref == 0)
		return zero_sector;
	if (ref % 2 == 1)
		return sectors->log_bytes + ref / 2;
	return (const uint8_t *)(uintptr_t)ref; // NOLINT(performance-no-int-to-ptr): made above
}

/** The bytes of a page before the first event; NULL for a hole. */
static const uint8_t *initial_page(const struct sectors *sectors, uint64_t page_index)
{
	if (page_index < EXTERNAL_PAGE)
		return content_page(sectors->initial, page_index);
	return sectors->external == NULL
		       ? NULL
		       : content_page(sectors->external, page_index - EXTERNAL_PAGE);
}

static struct sector_page *page_new(struct sectors *sectors, uint64_t page_index)
{
	const uint8_t *bytes = initial_page(sectors, page_index);
	struct sector_page *page = bump_alloc(&sectors->page_memory, sizeof(*page));

	*page = (struct sector_page){ .index = page_index };
	for (size_t i = 0; bytes != NULL && i < PAGE_SECTORS; i++) {
		const uint8_t *sector = bytes + i * SECTOR_BYTES;

		if (bytes_are_zero(sector, SECTOR_BYTES))
			continue;
		page->refs[i] = sector_ref_memory(sector);
		if (sectors->hashing)
			page->hashes[i] = mix(page_index * PAGE_SECTORS + i, sector_hash(sector));
	}
	sparse_add(&sectors->pages, page_index, page);
	return page;
}

/** The page's node; NULL for a hole that was never written. */
static struct sector_page *page_find(struct sectors *sectors, uint64_t page_index)
{
	struct sector_page *page = sparse_find(&sectors->pages, page_index);

	if (page != NULL || initial_page(sectors, page_index) == NULL)
		return page;
	return page_new(sectors, page_index);
}

const uint8_t *sectors_at(struct sectors *sectors, uint64_t sector_index)
{
	const struct sector_page *page = page_find(sectors, sector_index / PAGE_SECTORS);

	if (page == NULL)
		return zero_sector;
	return sectors_bytes(sectors, page->refs[sector_index % PAGE_SECTORS]);
}

sector_ref sectors_ref(struct sectors *sectors, uint64_t sector_index)
{
	const struct sector_page *page = page_find(sectors, sector_index / PAGE_SECTORS);

	return page == NULL ? 0 : page->refs[sector_index % PAGE_SECTORS];
}

uint64_t sectors_be64(struct sectors *sectors, uint64_t host_offset)
{
	return be64_load(sectors_at(sectors, host_offset / SECTOR_BYTES) +
			 host_offset % SECTOR_BYTES);
}

bool sectors_page_is_hole(struct sectors *sectors, uint64_t page_index)
{
	return page_find(sectors, page_index) == NULL;
}

void sectors_read(struct sectors *sectors, void *to, size_t bytes, uint64_t host_offset)
{
	uint8_t *out = to;

	while (bytes > 0) {
		size_t start = (size_t)(host_offset % SECTOR_BYTES);
		size_t part = SECTOR_BYTES - start < bytes ? SECTOR_BYTES - start : bytes;

		memcpy(out, sectors_at(sectors, host_offset / SECTOR_BYTES) + start, part);
		out += part;
		bytes -= part;
		host_offset += part;
	}
}

static void source_read(void *context, void *to, size_t bytes, uint64_t host_offset)
{
	sectors_read(context, to, bytes, host_offset);
}

struct image_source sectors_source(struct sectors *sectors)
{
	return (struct image_source){ source_read, sectors, sectors->external != NULL };
}

void sectors_set(struct sectors *sectors, uint64_t sector_index, sector_ref ref)
{
	struct sector_page *page = page_find(sectors, sector_index / PAGE_SECTORS);
	size_t at = (size_t)(sector_index % PAGE_SECTORS);

	if (page == NULL)
		page = page_new(sectors, sector_index / PAGE_SECTORS);
	if (page->refs[at] == ref)
		return;
	if (sectors->hashing) {
		uint64_t hash = sector_hash(sectors_bytes(sectors, ref));

		hash = hash == 0 ? 0 : mix(sector_index, hash);
		journal_set(sectors->journal, &sectors->content_hash,
			    sectors->content_hash + hash - page->hashes[at]);
		journal_set(sectors->journal, &page->hashes[at], hash);
	}
	journal_set(sectors->journal, &page->refs[at], ref);
}

static int compare_numbers(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a;
	uint64_t right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

/** The first page at or after `*page_index` that was no hole. False: none. */
static bool next_initial_page(const struct sectors *sectors, uint64_t *page_index)
{
	uint64_t outside = *page_index > EXTERNAL_PAGE ? *page_index - EXTERNAL_PAGE : 0;

	if (*page_index < EXTERNAL_PAGE && content_next_page(sectors->initial, page_index))
		return true;
	if (sectors->external == NULL || !content_next_page(sectors->external, &outside))
		return false;
	*page_index = EXTERNAL_PAGE + outside;
	return true;
}

size_t sectors_list_pages(struct sectors *sectors, uint64_t first_page, uint64_t end_page,
			  uint64_t **pages)
{
	size_t capacity = 0;
	size_t count = 0;

	*pages = NULL;
	for (uint64_t at = first_page; next_initial_page(sectors, &at) && at < end_page; at++) {
		*pages = heap_grow(*pages, &capacity, count + 1, sizeof(**pages));
		(*pages)[count++] = at;
	}
	for (size_t i = 0; i < sectors->pages.capacity; i++) {
		const struct sector_page *page = sectors->pages.slots[i].value;

		if (page == NULL || page->index < first_page || page->index >= end_page ||
		    initial_page(sectors, page->index) != NULL)
			continue;
		*pages = heap_grow(*pages, &capacity, count + 1, sizeof(**pages));
		(*pages)[count++] = page->index;
	}
	if (count > 0)
		qsort(*pages, count, sizeof(**pages), compare_numbers);
	return count;
}
