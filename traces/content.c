// SPDX-License-Identifier: MIT
/* Pages hang in a radix tree over the page number, 64 slots a node:
 *
 *     levels 0            levels 1                   levels 2
 *     page 0 only         pages 0..63                pages 0..4095
 *     root = page         root = node -> page        root = node -> node -> page
 *
 * The tree is as high as the highest page stored asks for, so the images that a sweep lives on
 * (256 KiB and less) are found with one shift and one load, and a terabyte with five. Every node
 * has a bit set of the slots in use: that makes the next stored page a matter of counting zero
 * bits, in ascending order, and an empty node known at once. A hash table would find a page as
 * fast, but would have to sort to list them.
 *
 * Invariant Z: bytes of a stored page that lie beyond the size are zeros. It makes growing the file
 * a change of one number. content_resize() keeps it when it cuts; nothing else writes there. */
#include "traces/content.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	NODE_BITS = 6,
	NODE_SLOTS = 1 << NODE_BITS,
	/** 2^63 bytes are 2^51 pages; 9 levels of 6 bits reach 2^54. */
	LEVELS_MAX = 9,
	PAGE_BITS = 12,
	/** Read and written at a time. */
	CHUNK_BYTES = 64 * 1024,
};

_Static_assert(1 << PAGE_BITS == CONTENT_PAGE_BYTES, "page size");

struct node {
	uint64_t used;           /* bit n: slots[n] is not NULL */
	void *slots[NODE_SLOTS]; /* owned; nodes, or pages on the lowest level */
};

struct content {
	uint64_t size;
	void *root;     /* owned; NULL: everything is a hole */
	unsigned shift; /* the tree covers page numbers below 2^shift */
};

static const uint8_t zero_page[CONTENT_PAGE_BYTES];

struct content *content_new(uint64_t size)
{
	assert(size <= INT64_MAX);
	struct content *content = calloc(1, sizeof(*content));
	if (content)
		content->size = size;
	return content;
}

/* Depth is at most LEVELS_MAX. */
static void free_subtree(void *at, unsigned shift)
{
	if (at && shift) {
		struct node *node = at;
		for (unsigned slot = 0; slot < NODE_SLOTS; slot++)
			free_subtree(node->slots[slot], shift - NODE_BITS);
	}
	free(at);
}

void content_free(struct content *content)
{
	if (content)
		free_subtree(content->root, content->shift);
	free(content);
}

uint64_t content_size(const struct content *content)
{
	return content->size;
}

const uint8_t *content_page(const struct content *content, uint64_t page_index)
{
	unsigned shift = content->shift;
	if (page_index >> shift)
		return NULL;
	const void *at = content->root;
	while (shift && at) {
		shift -= NODE_BITS;
		at = ((const struct node *)at)->slots[(page_index >> shift) % NODE_SLOTS];
	}
	return at;
}

bool content_next_page(const struct content *content, uint64_t *page_index)
{
	uint64_t index = *page_index;
	while (index >> content->shift == 0) {
		const void *at = content->root;
		unsigned shift = content->shift;
		while (shift && at) {
			const struct node *node = at;
			uint64_t slot = (index >> (shift - NODE_BITS)) % NODE_SLOTS;
			uint64_t later = node->used >> slot;
			if (!later)
				break;
			shift -= NODE_BITS;
			unsigned skipped = (unsigned)__builtin_ctzll(later);
			if (skipped)
				index = ((index >> shift) + skipped) << shift;
			at = node->slots[slot + skipped];
		}
		if (at && !shift) {
			*page_index = index;
			return true;
		}
		/* Nothing more in this subtree: on to the one behind it. */
		index = ((index >> shift) + 1) << shift;
	}
	return false;
}

/* Put levels on top until the tree covers `page_index`. */
static bool grow_to_cover(struct content *content, uint64_t page_index)
{
	while (page_index >> content->shift) {
		if (content->root) {
			struct node *top = calloc(1, sizeof(*top));
			if (!top)
				return false;
			top->slots[0] = content->root;
			top->used = 1;
			content->root = top;
		}
		content->shift += NODE_BITS;
	}
	return true;
}

/* The page to be written to, made when missing; NULL when memory is short. Nodes made on the way
 * stay, empty ones too: they are found and used again. */
static uint8_t *make_page(struct content *content, uint64_t page_index)
{
	if (!grow_to_cover(content, page_index))
		return NULL;
	unsigned shift = content->shift;
	void **link = &content->root;
	while (shift) {
		if (!*link)
			*link = calloc(1, sizeof(struct node));
		struct node *node = *link;
		if (!node)
			return NULL;
		shift -= NODE_BITS;
		uint64_t slot = (page_index >> shift) % NODE_SLOTS;
		if (!node->slots[slot]) {
			node->slots[slot] =
				calloc(1, shift ? sizeof(struct node) : CONTENT_PAGE_BYTES);
			if (!node->slots[slot])
				return NULL;
			node->used |= UINT64_C(1) << slot;
		}
		link = &node->slots[slot];
	}
	if (!*link)
		*link = calloc(1, CONTENT_PAGE_BYTES);
	return *link;
}

/* Free a page, and the nodes that it leaves empty. */
static void drop_page(struct content *content, uint64_t page_index)
{
	void **path[LEVELS_MAX + 1];
	unsigned depth = 0;
	unsigned shift = content->shift;
	path[0] = &content->root;
	while (shift && *path[depth]) {
		struct node *node = *path[depth];
		shift -= NODE_BITS;
		path[++depth] = &node->slots[(page_index >> shift) % NODE_SLOTS];
	}
	for (;;) {
		free(*path[depth]);
		*path[depth] = NULL;
		if (depth-- == 0)
			return;
		struct node *parent = *path[depth];
		parent->used &= ~(UINT64_C(1) << (path[depth + 1] - parent->slots));
		if (parent->used)
			return;
	}
}

struct content *content_clone(const struct content *from)
{
	struct content *to = content_new(from->size);
	for (uint64_t index = 0; to && content_next_page(from, &index); index++) {
		uint8_t *page = make_page(to, index);
		if (!page) {
			content_free(to);
			return NULL;
		}
		memcpy(page, content_page(from, index), CONTENT_PAGE_BYTES);
	}
	return to;
}

/* The part of a range that lies in one page. */
struct slice {
	uint64_t page_index;
	size_t start;
	size_t bytes;
};

static struct slice first_slice(uint64_t host_offset, uint64_t bytes)
{
	size_t start = host_offset % CONTENT_PAGE_BYTES;
	size_t room = CONTENT_PAGE_BYTES - start;
	return (struct slice){ host_offset / CONTENT_PAGE_BYTES, start,
			       bytes < room ? (size_t)bytes : room };
}

void content_read(const struct content *content, void *to, size_t bytes, uint64_t host_offset)
{
	uint8_t *target = to;
	while (bytes) {
		struct slice slice = first_slice(host_offset, bytes);
		const uint8_t *page = content_page(content, slice.page_index);
		memcpy(target, (page ? page : zero_page) + slice.start, slice.bytes);
		target += slice.bytes;
		host_offset += slice.bytes;
		bytes -= slice.bytes;
	}
}

enum status content_write(struct content *content, const void *from, size_t bytes,
			  uint64_t host_offset)
{
	assert(host_offset <= INT64_MAX && bytes <= INT64_MAX - host_offset);
	const uint8_t *source = from;
	while (bytes) {
		struct slice slice = first_slice(host_offset, bytes);
		uint8_t *page = make_page(content, slice.page_index);
		if (!page)
			return STATUS_NO_MEMORY;
		memcpy(page + slice.start, source, slice.bytes);
		source += slice.bytes;
		host_offset += slice.bytes;
		bytes -= slice.bytes;
		if (host_offset > content->size)
			content->size = host_offset;
	}
	return STATUS_OK;
}

/* Zero from `from` up to `to`, whatever the size is. */
static void zero_range(struct content *content, uint64_t from, uint64_t to)
{
	uint64_t index = from / CONTENT_PAGE_BYTES;
	for (; content_next_page(content, &index); index++) {
		uint64_t page_start = index * CONTENT_PAGE_BYTES;
		if (page_start >= to)
			return;
		uint64_t first = from > page_start ? from - page_start : 0;
		uint64_t last =
			to - page_start < CONTENT_PAGE_BYTES ? to - page_start : CONTENT_PAGE_BYTES;
		if (last - first == CONTENT_PAGE_BYTES) {
			drop_page(content, index);
			continue;
		}
		struct slice slice = { index, (size_t)first, (size_t)(last - first) };
		memset(make_page(content, slice.page_index) + slice.start, 0, slice.bytes);
	}
}

enum status content_zero(struct content *content, uint64_t host_offset, uint64_t bytes)
{
	if (host_offset >= content->size)
		return STATUS_OK;
	uint64_t room = content->size - host_offset;
	zero_range(content, host_offset, host_offset + (bytes < room ? bytes : room));
	return STATUS_OK;
}

void content_resize(struct content *content, uint64_t size)
{
	assert(size <= INT64_MAX);
	if (size < content->size)
		zero_range(content, size, UINT64_MAX); /* Z */
	content->size = size;
}

/* First byte in which two pages differ; NULL stands for zeros. CONTENT_PAGE_BYTES: none. */
static size_t page_difference(const uint8_t *a, const uint8_t *b)
{
	a = a ? a : zero_page;
	b = b ? b : zero_page;
	if (a == b || memcmp(a, b, CONTENT_PAGE_BYTES) == 0)
		return CONTENT_PAGE_BYTES;
	size_t at = 0;
	while (a[at] == b[at])
		at++;
	return at;
}

bool content_equal(const struct content *a, const struct content *b, uint64_t *difference)
{
	uint64_t smaller = a->size < b->size ? a->size : b->size;
	uint64_t first = UINT64_MAX;
	for (uint64_t index = 0; first == UINT64_MAX; index++) {
		uint64_t in_a = index;
		uint64_t in_b = index;
		bool more_a = content_next_page(a, &in_a);
		bool more_b = content_next_page(b, &in_b);
		if (!more_a && !more_b)
			break;
		index = more_a && (!more_b || in_a < in_b) ? in_a : in_b;
		size_t at = page_difference(content_page(a, index), content_page(b, index));
		if (at < CONTENT_PAGE_BYTES)
			first = index * CONTENT_PAGE_BYTES + at;
	}
	if (first == UINT64_MAX && a->size == b->size)
		return true;
	if (difference)
		*difference = first < smaller ? first : smaller;
	return false;
}

/* Copy the bytes of `file` from `from` up to `to`, which hold data, as far as they are not zeros.
 */
static enum status load_range(struct content *content, int file, uint64_t from, uint64_t to,
			      uint8_t *chunk)
{
	while (from < to) {
		size_t wanted = to - from < CHUNK_BYTES ? (size_t)(to - from) : CHUNK_BYTES;
		ssize_t got = pread(file, chunk, wanted, (off_t)from);
		if (got < 0)
			return STATUS_IO;
		if (got == 0)
			return STATUS_OK; /* cut while we read: the rest is zeros */
		for (size_t done = 0; done < (size_t)got;) {
			struct slice slice = first_slice(from + done, (size_t)got - done);
			if (memcmp(chunk + done, zero_page, slice.bytes) != 0) {
				enum status status = content_write(content, chunk + done,
								   slice.bytes, from + done);
				if (status != STATUS_OK)
					return status;
			}
			done += slice.bytes;
		}
		from += (uint64_t)got;
	}
	return STATUS_OK;
}

/* Walk over the data of `file`, leaving its holes out. */
static enum status load_file(struct content *content, int file, uint8_t *chunk)
{
	uint64_t at = 0;
	while (at < content->size) {
		off_t data = lseek(file, (off_t)at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			return STATUS_OK; /* holes up to the end */
		off_t hole = data < 0 ? -1 : lseek(file, data, SEEK_HOLE);
		uint64_t from = hole < 0 ? at : (uint64_t)data;
		uint64_t to =
			hole < 0 || (uint64_t)hole > content->size ? content->size : (uint64_t)hole;
		enum status status = load_range(content, file, from, to, chunk);
		if (status != STATUS_OK)
			return status;
		at = to;
	}
	return STATUS_OK;
}

enum status content_load(struct content **content, const char *path, struct why *why)
{
	*content = NULL;
	enum status status = STATUS_OK;
	struct content *loaded = NULL;
	uint8_t *chunk = NULL;
	struct stat facts;
	int file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0 || fstat(file, &facts) < 0) {
		status = why_set(why, STATUS_IO, "cannot open '%s': %s", path, strerror(errno));
		goto out;
	}
	if (!S_ISREG(facts.st_mode)) {
		status = why_set(why, STATUS_IO, "cannot read '%s': not a regular file", path);
		goto out;
	}
	loaded = content_new((uint64_t)facts.st_size);
	chunk = malloc(CHUNK_BYTES);
	status = loaded && chunk ? load_file(loaded, file, chunk) : STATUS_NO_MEMORY;
	if (status == STATUS_IO)
		why_set(why, status, "cannot read '%s': %s", path, strerror(errno));
	else if (status != STATUS_OK)
		why_set(why, status, "cannot read '%s': out of memory", path);
out:
	if (file >= 0)
		close(file);
	free(chunk);
	if (status == STATUS_OK)
		*content = loaded;
	else
		content_free(loaded);
	return status;
}

/* Write the whole of `bytes` at `host_offset`. */
static bool store_bytes(int file, const uint8_t *bytes, size_t count, uint64_t host_offset)
{
	while (count) {
		ssize_t stored = pwrite(file, bytes, count, (off_t)host_offset);
		if (stored < 0)
			return false;
		bytes += stored;
		host_offset += (uint64_t)stored;
		count -= (size_t)stored;
	}
	return true;
}

static bool store_pages(const struct content *content, int file)
{
	for (uint64_t index = 0; content_next_page(content, &index); index++) {
		uint64_t start = index * CONTENT_PAGE_BYTES;
		if (start >= content->size)
			break;
		uint64_t room = content->size - start;
		size_t bytes = room < CONTENT_PAGE_BYTES ? (size_t)room : CONTENT_PAGE_BYTES;
		if (!store_bytes(file, content_page(content, index), bytes, start))
			return false;
	}
	return true;
}

enum status content_store(const struct content *content, const char *path, struct why *why)
{
	char *temporary = NULL;
	if (asprintf(&temporary, "%s.tmp", path) < 0)
		return why_set(why, STATUS_NO_MEMORY, "cannot write '%s': out of memory", path);
	int file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	bool stored = file >= 0 && ftruncate(file, (off_t)content->size) == 0 &&
		      store_pages(content, file);
	int error = errno;
	if (file >= 0 && close(file) < 0 && stored) {
		stored = false;
		error = errno;
	}
	if (stored && rename(temporary, path) < 0) {
		stored = false;
		error = errno;
	}
	if (!stored && file >= 0)
		unlink(temporary);
	free(temporary);
	if (!stored)
		return why_set(why, STATUS_IO, "cannot write '%s': %s", path, strerror(error));
	return STATUS_OK;
}
