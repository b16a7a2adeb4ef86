// SPDX-License-Identifier: MIT
/* A sweep executes the same small world a million times. So the initial contents are borrowed and
 * never copied; a page is copied when it is first changed, into a private page that is found by a
 * small open hash over the page number and taken from a stock that survives the run. Rewinding
 * empties the slots of the pages changed, nothing else.
 *
 * A private page may be a hole: the initial page has been zeroed as a whole. That takes no bytes,
 * so punching 2^62 bytes costs as much as there are pages in the range.
 *
 * Invariant Z: bytes at and beyond the size read as zeros in every page. Shrinking zeroes what it
 * cuts off, so growing only changes the size.
 *
 * While changes are tracked, every change first appends to the undo log what puts it back: old
 * bytes, an old size, "this page became private", "this page got bytes". Undoing them last to first
 * meets each table as it was when the entry was made; so what was appended to a table is its last
 * element again, and no entry needs more than that.
 *
 * The hash of the contents is a sum over the private pages: what the page reads as now, less what
 * it read as at first. A page is hashed again only when the hash is asked for and the page has
 * changed since. */
#include "injector/disk_memory.h"

#include "injector/snapshot_buffer.h"
#include "traces/event.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_BYTES = CONTENT_PAGE_BYTES, SLOTS_AT_FIRST = 256, STOCK_CHUNK_PAGES = 16 };

struct private_page {
	uint64_t index;
	uint32_t slot;          /* where the hash has it */
	uint8_t *bytes;         /* PAGE_BYTES from the stock; NULL: a hole */
	bool is_stale;          /* in the list of pages to hash again */
	bool is_hashed;         /* `first` is known */
	struct page_hash hash;  /* as last added to the sum: present less first */
	struct page_hash first; /* of the initial page */
};

enum undo_kind {
	UNDO_BYTES,     /* the old bytes stand in front of the entry */
	UNDO_SIZE,      /* the old size stands in front of it */
	UNDO_PRIVATE,   /* the page was not private */
	UNDO_NEW_BYTES, /* the page was a hole */
};

/** The end of an entry of the undo log. */
struct undo {
	uint32_t kind;   /* enum undo_kind */
	uint32_t number; /* of the page in disk_memory.pages */
	uint32_t from;   /* byte in the page */
	uint32_t count;  /* bytes in front of this */
};

struct disk_memory {
	struct disk disk;
	const struct content *initial; /* borrowed */
	uint64_t size;
	struct private_page *pages; /* owned; in order of first change */
	size_t page_count;
	size_t page_capacity;
	uint32_t *slots; /* owned; index into pages + 1, 0: empty; at most half are in use */
	uint32_t slot_mask;
	uint8_t **stock; /* owned; pages of bytes, the first stock_used of them in use */
	size_t stock_used;
	size_t stock_count;
	size_t stock_capacity;
	uint8_t **chunks; /* owned; what the pages of the stock were cut from */
	size_t chunk_count;
	bool is_tracked;
	struct snapshot_buffer log; /* undo log */
	struct page_hash sum;       /* of what each private page's `hash` says */
	uint32_t *stale; /* owned; numbers of the pages that are; page_capacity of them */
	size_t stale_count;
};

static struct disk_memory *memory_of(struct disk *disk)
{
	return (struct disk_memory *)disk;
}

static uint32_t slot_of(const struct disk_memory *memory, uint64_t index)
{
	return (uint32_t)((index * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & memory->slot_mask;
}

static void note_undo(struct disk_memory *memory, const struct undo *undo, const void *before)
{
	if (!memory->is_tracked)
		return;
	snapshot_buffer_put(&memory->log, before, undo->count);
	snapshot_buffer_put(&memory->log, undo, sizeof(*undo));
}

static void set_size(struct disk_memory *memory, uint64_t size)
{
	const struct undo undo = { .kind = UNDO_SIZE, .count = sizeof(memory->size) };

	note_undo(memory, &undo, &memory->size);
	memory->size = size;
}

static void make_stale(struct disk_memory *memory, struct private_page *page)
{
	if (page->is_stale)
		return;
	page->is_stale = true;
	memory->stale[memory->stale_count++] = (uint32_t)(page - memory->pages);
}

static struct private_page *find_private(const struct disk_memory *memory, uint64_t index)
{
	uint32_t slot = slot_of(memory, index);

	for (; memory->slots[slot] != 0; slot = (slot + 1) & memory->slot_mask) {
		struct private_page *page = &memory->pages[memory->slots[slot] - 1];
		if (page->index == index)
			return page;
	}
	return NULL;
}

/** The bytes that page `index` reads as; NULL: zeros. */
static const uint8_t *find_bytes(const struct disk_memory *memory, uint64_t index)
{
	const struct private_page *page = find_private(memory, index);

	return page ? page->bytes : content_page(memory->initial, index);
}

static void enter_slot(struct disk_memory *memory, size_t number)
{
	struct private_page *page = &memory->pages[number];
	uint32_t slot = slot_of(memory, page->index);

	while (memory->slots[slot] != 0)
		slot = (slot + 1) & memory->slot_mask;
	memory->slots[slot] = (uint32_t)number + 1;
	page->slot = slot;
}

/** Make room for one more private page; false when memory is short. */
static bool reserve_page(struct disk_memory *memory)
{
	if (memory->page_count < memory->page_capacity)
		return true;
	size_t slot_count = memory->page_capacity == 0 ? SLOTS_AT_FIRST : 4 * memory->page_capacity;
	if (slot_count > UINT32_MAX / 2)
		return false;
	uint32_t *slots = calloc(slot_count, sizeof(*slots));
	struct private_page *pages =
		realloc(memory->pages, slot_count / 2 * sizeof(*memory->pages));
	if (pages)
		memory->pages = pages;
	uint32_t *stale = realloc(memory->stale, slot_count / 2 * sizeof(*stale));
	if (stale)
		memory->stale = stale;
	if (!slots || !pages || !stale) {
		free(slots);
		return false;
	}
	free(memory->slots);
	memory->slots = slots;
	memory->slot_mask = (uint32_t)slot_count - 1;
	memory->page_capacity = slot_count / 2;
	for (size_t number = 0; number < memory->page_count; number++)
		enter_slot(memory, number);
	return true;
}

/** Cut a new chunk into pages for the stock; false when memory is short. */
static bool grow_stock(struct disk_memory *memory)
{
	size_t chunk_bytes = (size_t)STOCK_CHUNK_PAGES * PAGE_BYTES;

	if (memory->stock_count + STOCK_CHUNK_PAGES > memory->stock_capacity) {
		size_t capacity = 2 * memory->stock_capacity + 4 * (size_t)STOCK_CHUNK_PAGES;
		uint8_t **stock = realloc(memory->stock, capacity * sizeof(*stock));
		if (!stock)
			return false;
		memory->stock = stock;
		uint8_t **chunks =
			realloc(memory->chunks, capacity / STOCK_CHUNK_PAGES * sizeof(*chunks));
		if (!chunks)
			return false;
		memory->chunks = chunks;
		memory->stock_capacity = capacity;
	}
	uint8_t *chunk = malloc(chunk_bytes);
	if (!chunk)
		return false;
	memory->chunks[memory->chunk_count++] = chunk;
	for (size_t i = 0; i < STOCK_CHUNK_PAGES; i++)
		memory->stock[memory->stock_count++] = chunk + i * (size_t)PAGE_BYTES;
	return true;
}

/** Bytes for a page, not initialised; NULL when memory is short. */
static uint8_t *take_bytes(struct disk_memory *memory)
{
	if (memory->stock_used == memory->stock_count && !grow_stock(memory))
		return NULL;
	return memory->stock[memory->stock_used++];
}

/** Page `index` as a private page, a hole when it was not private yet; NULL when memory is short.
 */
static struct private_page *make_private(struct disk_memory *memory, uint64_t index)
{
	if (!reserve_page(memory))
		return NULL;
	size_t number = memory->page_count++;
	const struct undo undo = { .kind = UNDO_PRIVATE, .number = (uint32_t)number };
	note_undo(memory, &undo, NULL);
	memory->pages[number] = (struct private_page){ .index = index };
	enter_slot(memory, number);
	make_stale(memory, &memory->pages[number]);
	return &memory->pages[number];
}

/** The private page's bytes [from, to) are about to be changed. */
static void before_change(struct disk_memory *memory, struct private_page *page, size_t from,
			  size_t to)
{
	const struct undo undo = { .kind = UNDO_BYTES,
				   .number = (uint32_t)(page - memory->pages),
				   .from = (uint32_t)from,
				   .count = (uint32_t)(to - from) };

	note_undo(memory, &undo, page->bytes + from);
	make_stale(memory, page);
}

/** Bytes of page `index`, of which the caller changes [from, to). NULL when memory is short. */
static uint8_t *bytes_to_change(struct disk_memory *memory, uint64_t index, size_t from, size_t to)
{
	struct private_page *page = find_private(memory, index);

	if (page && page->bytes) {
		before_change(memory, page, from, to);
		return page->bytes;
	}
	const uint8_t *before = page ? NULL : content_page(memory->initial, index);
	uint8_t *bytes = take_bytes(memory);
	if (!bytes)
		return NULL;
	if (!page)
		page = make_private(memory, index);
	if (!page) {
		memory->stock_used--;
		return NULL;
	}
	const struct undo undo = { .kind = UNDO_NEW_BYTES,
				   .number = (uint32_t)(page - memory->pages) };
	note_undo(memory, &undo, NULL);
	page->bytes = bytes;
	make_stale(memory, page);
	if (from == 0 && to == PAGE_BYTES)
		return bytes;
	if (before)
		memcpy(bytes, before, PAGE_BYTES);
	else
		memset(bytes, 0, PAGE_BYTES);
	return bytes;
}

static size_t bytes_to_page_end(uint64_t host_offset, size_t bytes)
{
	size_t left = PAGE_BYTES - (size_t)(host_offset % PAGE_BYTES);

	return bytes < left ? bytes : left;
}

static void read_range(const struct disk_memory *memory, uint8_t *to, size_t bytes,
		       uint64_t host_offset)
{
	while (bytes > 0) {
		size_t part = bytes_to_page_end(host_offset, bytes);
		const uint8_t *page = find_bytes(memory, host_offset / PAGE_BYTES);
		if (page)
			memcpy(to, page + host_offset % PAGE_BYTES, part);
		else
			memset(to, 0, part);
		to += part;
		host_offset += part;
		bytes -= part;
	}
}

static ssize_t memory_read(struct disk *disk, const struct iovec *vector, int count,
			   uint64_t host_offset)
{
	struct disk_memory *memory = memory_of(disk);
	size_t done = 0;

	for (int i = 0; i < count && host_offset + done < memory->size; i++) {
		uint64_t left = memory->size - host_offset - done;
		size_t part = vector[i].iov_len < left ? vector[i].iov_len : (size_t)left;
		read_range(memory, vector[i].iov_base, part, host_offset + done);
		done += part;
	}
	return (ssize_t)done;
}

/** Returns bytes written, fewer than `bytes` when memory is short. */
static size_t write_range(struct disk_memory *memory, const uint8_t *from, size_t bytes,
			  uint64_t host_offset)
{
	size_t done = 0;

	while (done < bytes) {
		uint64_t at = host_offset + done;
		size_t part = bytes_to_page_end(at, bytes - done);
		size_t first = (size_t)(at % PAGE_BYTES);
		uint8_t *page = bytes_to_change(memory, at / PAGE_BYTES, first, first + part);
		if (!page)
			break;
		memcpy(page + first, from + done, part);
		done += part;
	}
	return done;
}

static ssize_t memory_write(struct disk *disk, const struct iovec *vector, int count,
			    uint64_t host_offset)
{
	struct disk_memory *memory = memory_of(disk);
	size_t done = 0;

	for (int i = 0; i < count; i++) {
		size_t put = write_range(memory, vector[i].iov_base, vector[i].iov_len,
					 host_offset + done);
		done += put;
		if (put < vector[i].iov_len) {
			if (done == 0)
				return -ENOSPC;
			break;
		}
	}
	if (done > 0 && host_offset + done > memory->size)
		set_size(memory, host_offset + done);
	return (ssize_t)done;
}

static int memory_flush(struct disk *disk, bool data_only)
{
	(void)disk;
	(void)data_only;
	return 0;
}

/** Zero a private page that has bytes. */
static void zero_private(struct disk_memory *memory, struct private_page *page)
{
	before_change(memory, page, 0, PAGE_BYTES);
	memset(page->bytes, 0, PAGE_BYTES);
}

/** Make page `index` read as zeros; false when memory is short. */
static bool zero_page(struct disk_memory *memory, uint64_t index)
{
	struct private_page *page = find_private(memory, index);

	if (page && page->bytes)
		zero_private(memory, page);
	else if (!page && content_page(memory->initial, index))
		return make_private(memory, index) != NULL;
	return true;
}

/** Zero the bytes [from, to) of page `index`; false when memory is short. */
static bool zero_part(struct disk_memory *memory, uint64_t index, size_t from, size_t to)
{
	if (from >= to || !find_bytes(memory, index))
		return true;
	uint8_t *page = bytes_to_change(memory, index, from, to);
	if (!page)
		return false;
	memset(page + from, 0, to - from);
	return true;
}

/** Zero the whole pages [first, end): the private ones and those of the initial contents. */
static bool zero_pages(struct disk_memory *memory, uint64_t first, uint64_t end)
{
	if (end - first <= memory->page_count) {
		for (uint64_t index = first; index < end; index++)
			if (!zero_page(memory, index))
				return false;
		return true;
	}
	for (size_t number = 0; number < memory->page_count; number++) {
		struct private_page *page = &memory->pages[number];
		if (page->index >= first && page->index < end && page->bytes)
			zero_private(memory, page);
	}
	uint64_t index = first;
	for (; content_next_page(memory->initial, &index) && index < end; index++)
		if (!zero_page(memory, index))
			return false;
	return true;
}

/** Make [from, to) read as zeros; -ENOMEM leaves a part of it done. */
static int zero_range(struct disk_memory *memory, uint64_t from, uint64_t to)
{
	if (from >= to)
		return 0;
	uint64_t first = from / PAGE_BYTES;
	uint64_t last = (to - 1) / PAGE_BYTES;
	size_t head = (size_t)(from % PAGE_BYTES);
	size_t tail = (size_t)((to - 1) % PAGE_BYTES) + 1;

	if (first == last && (head != 0 || tail != PAGE_BYTES))
		return zero_part(memory, first, head, tail) ? 0 : -ENOMEM;
	bool done = true;
	if (head != 0)
		done = zero_part(memory, first++, head, PAGE_BYTES);
	if (tail != PAGE_BYTES)
		done = done && zero_part(memory, last, 0, tail);
	else
		last++;
	if (first < last)
		done = done && zero_pages(memory, first, last);
	return done ? 0 : -ENOMEM;
}

static int memory_resize(struct disk *disk, uint64_t bytes)
{
	struct disk_memory *memory = memory_of(disk);

	if (bytes < memory->size) {
		int error = zero_range(memory, bytes, memory->size);
		if (error < 0)
			return error;
	}
	set_size(memory, bytes);
	return 0;
}

static int memory_allocate(struct disk *disk, int mode, uint64_t host_offset, uint64_t bytes)
{
	struct disk_memory *memory = memory_of(disk);
	uint64_t end = host_offset + bytes;

	if (disk_mode_op(mode) != IO_ALLOCATE) {
		uint64_t zero_end = end < memory->size ? end : memory->size;
		int error = zero_range(memory, host_offset, zero_end);
		if (error < 0)
			return error;
	}
	if (!disk_mode_keeps_size(mode) && end > memory->size)
		set_size(memory, end);
	return 0;
}

static int64_t memory_size(struct disk *disk)
{
	return (int64_t)memory_of(disk)->size;
}

static const struct disk_ops memory_ops = {
	.read = memory_read,
	.write = memory_write,
	.flush = memory_flush,
	.resize = memory_resize,
	.allocate = memory_allocate,
	.size = memory_size,
};

struct disk_memory *disk_memory_new(const struct content *initial)
{
	struct disk_memory *memory = calloc(1, sizeof(*memory));

	if (!memory)
		return NULL;
	memory->disk.ops = &memory_ops;
	memory->initial = initial;
	memory->size = content_size(initial);
	if (!reserve_page(memory)) {
		disk_memory_free(memory);
		return NULL;
	}
	return memory;
}

void disk_memory_free(struct disk_memory *memory)
{
	if (!memory)
		return;
	for (size_t i = 0; i < memory->chunk_count; i++)
		free(memory->chunks[i]);
	snapshot_buffer_release(&memory->log);
	free(memory->stale);
	free(memory->chunks);
	free(memory->stock);
	free(memory->slots);
	free(memory->pages);
	free(memory);
}

struct disk *disk_memory_disk(struct disk_memory *memory)
{
	return &memory->disk;
}

void disk_memory_rewind(struct disk_memory *memory)
{
	for (size_t number = 0; number < memory->page_count; number++)
		memory->slots[memory->pages[number].slot] = 0;
	memory->page_count = 0;
	memory->stock_used = 0;
	memory->size = content_size(memory->initial);
	snapshot_buffer_clear(&memory->log);
	memory->sum = (struct page_hash){ { 0 } };
	memory->stale_count = 0;
}

void disk_memory_track(struct disk_memory *memory, bool is_tracked)
{
	memory->is_tracked = is_tracked;
	snapshot_buffer_clear(&memory->log);
}

size_t disk_memory_mark(const struct disk_memory *memory)
{
	return memory->log.used;
}

/** The private page made last is private no longer. Pages leave in the reverse order of entering,
 * so no probe for another page ever passed its slot. */
static void undo_private(struct disk_memory *memory, const struct private_page *page)
{
	assert(page == &memory->pages[memory->page_count - 1]);
	memory->slots[page->slot] = 0;
	page_hash_subtract(&memory->sum, &page->hash);
	/* Mostly it is the list's last, too. */
	for (size_t i = memory->stale_count; page->is_stale && i-- > 0;) {
		if (memory->stale[i] != memory->page_count - 1)
			continue;
		memory->stale[i] = memory->stale[--memory->stale_count];
		break;
	}
	memory->page_count--;
}

/** `before` is what stands in front of the entry. */
static void undo_change(struct disk_memory *memory, const struct undo *undo, const uint8_t *before)
{
	struct private_page *page = &memory->pages[undo->number];

	switch ((enum undo_kind)undo->kind) {
	case UNDO_BYTES:
		memcpy(page->bytes + undo->from, before, undo->count);
		make_stale(memory, page);
		break;
	case UNDO_SIZE: memcpy(&memory->size, before, sizeof(memory->size)); break;
	case UNDO_PRIVATE: undo_private(memory, page); break;
	case UNDO_NEW_BYTES:
		assert(page->bytes == memory->stock[memory->stock_used - 1]);
		memory->stock_used--;
		page->bytes = NULL;
		make_stale(memory, page);
		break;
	}
}

void disk_memory_rollback(struct disk_memory *memory, size_t mark)
{
	struct snapshot_buffer *log = &memory->log;

	assert(memory->is_tracked && mark <= log->used);
	while (log->used > mark) {
		struct undo undo;
		const uint8_t *end = log->bytes + log->used - sizeof(undo);
		memcpy(&undo, end, sizeof(undo));
		undo_change(memory, &undo, end - undo.count);
		log->used -= sizeof(undo) + undo.count;
	}
	assert(log->used == mark);
}

static void hash_again(struct disk_memory *memory, struct private_page *page)
{
	if (!page->is_hashed)
		page->first = page_hash_of(page->index, content_page(memory->initial, page->index));
	page->is_hashed = true;
	page->is_stale = false;
	page_hash_subtract(&memory->sum, &page->hash);
	page->hash = page_hash_of(page->index, page->bytes);
	page_hash_subtract(&page->hash, &page->first);
	page_hash_add(&memory->sum, &page->hash);
}

struct page_hash disk_memory_hash(struct disk_memory *memory)
{
	while (memory->stale_count > 0)
		hash_again(memory, &memory->pages[memory->stale[--memory->stale_count]]);
	struct page_hash hash = memory->sum;
	const struct page_hash size = page_hash_of_number(memory->size);
	page_hash_add(&hash, &size);
	return hash;
}

struct content *disk_memory_content(const struct disk_memory *memory)
{
	struct content *content = content_clone(memory->initial);

	if (!content)
		return NULL;
	enum status status = STATUS_OK;
	content_resize(content, memory->size);
	for (size_t number = 0; number < memory->page_count && status == STATUS_OK; number++) {
		const struct private_page *page = &memory->pages[number];
		uint64_t from = page->index * PAGE_BYTES;
		if (from >= memory->size)
			continue;
		uint64_t left = memory->size - from;
		size_t bytes = left < PAGE_BYTES ? (size_t)left : PAGE_BYTES;
		status = page->bytes ? content_write(content, page->bytes, bytes, from)
				     : content_zero(content, from, bytes);
	}
	if (status == STATUS_OK)
		return content;
	content_free(content);
	return NULL;
}
