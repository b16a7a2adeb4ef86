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
#include <stdlib.h>
#include <string.h>

enum {
	NODE_BITS = 6,
	NODE_SLOTS = 1 << NODE_BITS,
	/** 2^63 bytes are 2^51 pages; 9 levels of 6 bits reach 2^54. */
	LEVELS_MAX = 9,
	PAGE_BITS = 12,
};

_Static_assert(1 << PAGE_BITS == CONTENT_PAGE_BYTES, "page size");

struct node {
	uint64_t used;           /* bit n: slots[n] is not NULL */
	uint64_t borrowed;       /* bit n: slots[n] is a page that is not ours, only read from */
	void *slots[NODE_SLOTS]; /* owned; nodes, or pages on the lowest level */
};

struct content {
	uint64_t size;
	void *root;     /* owned; NULL: everything is a hole */
	unsigned shift; /* the tree covers page numbers below 2^shift */
};

const uint8_t content_zeros[CONTENT_PAGE_BYTES];

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
			if (!(node->borrowed >> slot & 1))
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

/* The lowest node over a page, made when missing; NULL when memory is short, or when the tree is a
 * single page. Nodes made on the way stay, empty ones too: they are found and used again. */
static struct node *make_node(struct content *content, uint64_t page_index)
{
	if (!grow_to_cover(content, page_index) || !content->shift)
		return NULL;
	if (!content->root)
		content->root = calloc(1, sizeof(struct node));
	struct node *node = content->root;
	for (unsigned shift = content->shift - NODE_BITS; shift && node; shift -= NODE_BITS) {
		uint64_t slot = (page_index >> shift) % NODE_SLOTS;
		if (!node->slots[slot]) {
			node->slots[slot] = calloc(1, sizeof(struct node));
			if (node->slots[slot])
				node->used |= UINT64_C(1) << slot;
		}
		node = node->slots[slot];
	}
	return node;
}

/* A page of our own in the place of one that is missing or borrowed. */
static uint8_t *own_page(struct node *node, uint64_t slot)
{
	uint8_t *page = calloc(1, CONTENT_PAGE_BYTES);
	if (!page)
		return NULL;
	if (node->slots[slot])
		memcpy(page, node->slots[slot], CONTENT_PAGE_BYTES);
	node->slots[slot] = page;
	node->used |= UINT64_C(1) << slot;
	node->borrowed &= ~(UINT64_C(1) << slot);
	return page;
}

/* The page to be written to, made when missing; NULL when memory is short. */
static uint8_t *make_page(struct content *content, uint64_t page_index)
{
	struct node *node = make_node(content, page_index);
	if (!node) {
		if (content->shift || page_index)
			return NULL;
		if (!content->root)
			content->root = calloc(1, CONTENT_PAGE_BYTES);
		return content->root;
	}
	uint64_t slot = page_index % NODE_SLOTS;
	if (node->slots[slot] && !(node->borrowed >> slot & 1))
		return node->slots[slot];
	return own_page(node, slot);
}

/* Let a page be the bytes at `source`, which stay whose they are. */
static bool borrow_page(struct content *content, uint64_t page_index, const uint8_t *source)
{
	struct node *node = make_node(content, page_index);
	uint64_t slot = page_index % NODE_SLOTS;
	if (!node) {
		uint8_t *page = make_page(content, page_index);
		if (page)
			memcpy(page, source, CONTENT_PAGE_BYTES);
		return page;
	}
	if (!(node->borrowed >> slot & 1))
		free(node->slots[slot]);
	/* Pages are const to all that read them, which the slot's type cannot say. */
	memcpy(&node->slots[slot], &source, sizeof(source));
	node->used |= UINT64_C(1) << slot;
	node->borrowed |= UINT64_C(1) << slot;
	return true;
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
		struct node *parent = depth ? *path[depth - 1] : NULL;
		uint64_t bit = parent ? UINT64_C(1) << (path[depth] - parent->slots) : 0;
		if (!parent || !(parent->borrowed & bit))
			free(*path[depth]);
		*path[depth] = NULL;
		if (!parent)
			return;
		parent->used &= ~bit;
		parent->borrowed &= ~bit;
		if (parent->used)
			return;
		depth--;
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

struct content *content_view(const struct content *from)
{
	struct content *to = content_new(from->size);
	for (uint64_t index = 0; to && content_next_page(from, &index); index++) {
		if (!borrow_page(to, index, content_page(from, index))) {
			content_free(to);
			return NULL;
		}
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
		memcpy(target, (page ? page : content_zeros) + slice.start, slice.bytes);
		target += slice.bytes;
		host_offset += slice.bytes;
		bytes -= slice.bytes;
	}
}

static bool write_slice(struct content *content, const uint8_t *source, struct slice slice,
			bool borrow)
{
	if (borrow && slice.bytes == CONTENT_PAGE_BYTES)
		return borrow_page(content, slice.page_index, source);
	uint8_t *page = make_page(content, slice.page_index);
	if (page)
		memcpy(page + slice.start, source, slice.bytes);
	return page;
}

static enum status write_bytes(struct content *content, const uint8_t *source, size_t bytes,
			       uint64_t host_offset, bool borrow)
{
	assert(host_offset <= INT64_MAX && bytes <= INT64_MAX - host_offset);
	while (bytes) {
		struct slice slice = first_slice(host_offset, bytes);
		if (!write_slice(content, source, slice, borrow))
			return STATUS_NO_MEMORY;
		source += slice.bytes;
		host_offset += slice.bytes;
		bytes -= slice.bytes;
		if (host_offset > content->size)
			content->size = host_offset;
	}
	return STATUS_OK;
}

enum status content_write(struct content *content, const void *from, size_t bytes,
			  uint64_t host_offset)
{
	return write_bytes(content, from, bytes, host_offset, false);
}

enum status content_borrow(struct content *content, const void *from, size_t bytes,
			   uint64_t host_offset)
{
	return write_bytes(content, from, bytes, host_offset, true);
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
	a = a ? a : content_zeros;
	b = b ? b : content_zeros;
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
