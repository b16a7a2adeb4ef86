// SPDX-License-Identifier: MIT
/* Memory that notices its own misuse.
 *
 * Blocks are cut one after the other from a reserved range of addresses:
 *
 *     | header | object | red zone | slack | header | object | ...        | guard pages |
 *
 * The header's last field, a mark, touches the object: writing just before the object destroys it.
 * The red zone behind the object holds a pattern. A freed object is filled with ARENA_POISON and
 * waits in a first-in-first-out quarantine; a run is short, so within one run it practically never
 * leaves it. Reading a freed object gives poison, which as a pointer faults and as a mark fails its
 * assertion; writing to it is seen by the next arena_is_intact(), which walks all blocks.
 *
 * The checks are plain byte patterns, not the shadow memory of a sanitizer: they are the same in
 * every build, and what they find ends the run, where a sanitizer would end the process.
 *
 * An arena is reset once a run, ten thousand times a second. So a reset only moves the end mark
 * back; arena_take() clears what it hands out, and only below the highest byte ever used, since
 * pages that were never touched are zero. Addresses depend on nothing but the sequence of calls.
 *
 * What it does not see: a wild write that lands inside a live object or in slack, and a write that
 * puts the very pattern there that was expected.
 */
#include "engine/memory/arena.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define RESERVE_BYTES ((size_t)4 << 30)
#define GUARD_BYTES ((size_t)64 << 10)
#define QUARANTINE_BYTES_MAX ((size_t)64 << 20)
/* What a reset keeps for the next run; more goes back to the system. */
#define KEEP_BYTES ((size_t)16 << 20)

enum {
	ALIGNMENT = 16,
	RED_ZONE_BYTES = 16,
	RED_ZONE_PATTERN = 0xfa,
	CLASS_SHIFT_MIN = 4,
	CLASS_COUNT = 112, /* enough for a block as large as the reserve */
};

enum block_mark {
	MARK_LIVE = 0x6c697665,
	MARK_GIVEN = 0x67697665,    /* in quarantine */
	MARK_REUSABLE = 0x72657573, /* left the quarantine; still poisoned */
};

/** Stands before every object. */
struct block {
	size_t block_bytes; /* this header, object, red zone and slack */
	size_t object_bytes;
	struct block *next; /* in the quarantine or in a list of reusable blocks */
	uint32_t class_index;
	uint32_t mark; /* enum block_mark; last, so that it touches the object */
};

_Static_assert(sizeof(struct block) % ALIGNMENT == 0, "objects follow the header directly");

struct arena {
	uint8_t *base;
	uint8_t *used_end;  /* first byte that no block uses */
	uint8_t *dirty_end; /* from here on memory has never been touched */
	struct block *quarantine_first;
	struct block *quarantine_last;
	size_t quarantine_bytes;
	size_t live_bytes;
	struct block *reusable[CLASS_COUNT];
};

static bool bytes_are(const uint8_t *bytes, size_t count, uint8_t value)
{
	return count == 0 || (bytes[0] == value && memcmp(bytes, bytes + 1, count - 1) == 0);
}

static size_t align_up(size_t bytes, size_t unit)
{
	return (bytes + unit - 1) & ~(unit - 1);
}

/** Round `bytes` (at least 2) up to one of four sizes per power of two. */
static size_t class_round(size_t bytes, uint32_t *class_index)
{
	unsigned exponent = 63U - (unsigned)__builtin_clzll(bytes - 1);
	unsigned shift = exponent < CLASS_SHIFT_MIN + 2 ? CLASS_SHIFT_MIN : exponent - 2;
	size_t rounded = align_up(bytes, (size_t)1 << shift);
	*class_index = (shift - CLASS_SHIFT_MIN) * 4 + (uint32_t)(rounded >> shift);
	return rounded;
}

static uint8_t *object_of(struct block *block)
{
	return (uint8_t *)(block + 1);
}

static const uint8_t *object_of_const(const struct block *block)
{
	return (const uint8_t *)(block + 1);
}

/** From the object's end to the next multiple of 16, and RED_ZONE_BYTES more. */
static size_t red_zone_bytes(const struct block *block)
{
	return align_up(block->object_bytes, ALIGNMENT) - block->object_bytes + RED_ZONE_BYTES;
}

static bool red_zone_is_intact(const struct block *block)
{
	return bytes_are(object_of_const(block) + block->object_bytes, red_zone_bytes(block),
			 RED_ZONE_PATTERN);
}

static bool is_poisoned(const struct block *block)
{
	return bytes_are(object_of_const(block), block->object_bytes, ARENA_POISON);
}

/** Do the header's numbers agree with each other and with the space up to `used_end`? */
static bool header_is_sane(const struct arena *arena, const struct block *block)
{
	size_t left = (size_t)(arena->used_end - (const uint8_t *)block);
	size_t overhead = sizeof(struct block) + RED_ZONE_BYTES;
	if (block->mark != MARK_LIVE && block->mark != MARK_GIVEN && block->mark != MARK_REUSABLE)
		return false;
	return block->block_bytes <= left && block->block_bytes >= overhead &&
	       block->block_bytes % ALIGNMENT == 0 &&
	       block->object_bytes <= block->block_bytes - overhead;
}

static bool block_is_intact(const struct arena *arena, const struct block *block)
{
	return header_is_sane(arena, block) && red_zone_is_intact(block) &&
	       (block->mark == MARK_LIVE || is_poisoned(block));
}

struct arena *arena_new(void)
{
	struct arena *arena = calloc(1, sizeof(*arena));
	if (!arena)
		return NULL;
	void *base = mmap(NULL, RESERVE_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED) {
		free(arena);
		return NULL;
	}
	arena->base = base;
	arena->used_end = base;
	arena->dirty_end = base;
	if (mprotect(arena->base + RESERVE_BYTES - GUARD_BYTES, GUARD_BYTES, PROT_NONE)) {
		arena_free(arena);
		return NULL;
	}
	return arena;
}

void arena_free(struct arena *arena)
{
	if (!arena)
		return;
	munmap(arena->base, RESERVE_BYTES);
	free(arena);
}

void arena_reset(struct arena *arena)
{
	uint8_t *keep_end = arena->base + KEEP_BYTES;
	if (arena->used_end > arena->dirty_end)
		arena->dirty_end = arena->used_end;
	if (arena->dirty_end > keep_end &&
	    !madvise(keep_end, (size_t)(arena->dirty_end - keep_end), MADV_DONTNEED))
		arena->dirty_end = keep_end;
	arena->used_end = arena->base;
	arena->quarantine_first = NULL;
	arena->quarantine_last = NULL;
	arena->quarantine_bytes = 0;
	arena->live_bytes = 0;
	memset(arena->reusable, 0, sizeof(arena->reusable));
}

/** A block of the class that left the quarantine undamaged; NULL when there is none. A damaged one
 * stays where it is, for arena_is_intact() to find. */
static struct block *reuse_block(struct arena *arena, uint32_t class_index)
{
	struct block *block = arena->reusable[class_index];
	if (!block)
		return NULL;
	bool is_intact = block_is_intact(arena, block);
	arena->reusable[class_index] = is_intact ? block->next : NULL;
	return is_intact ? block : NULL;
}

/** The next piece of the reserve; NULL when it is used up. */
static struct block *cut_block(struct arena *arena, size_t block_bytes)
{
	size_t left = (size_t)(arena->base + RESERVE_BYTES - GUARD_BYTES - arena->used_end);
	if (block_bytes > left)
		return NULL;
	struct block *block = (struct block *)(void *)arena->used_end;
	arena->used_end += block_bytes;
	return block;
}

void *arena_take(struct arena *arena, size_t bytes)
{
	if (bytes > RESERVE_BYTES)
		return NULL;
	uint32_t class_index = 0;
	size_t block_bytes = class_round(
		sizeof(struct block) + align_up(bytes, ALIGNMENT) + RED_ZONE_BYTES, &class_index);
	size_t dirty_bytes = bytes;
	struct block *block = reuse_block(arena, class_index);
	if (!block) {
		block = cut_block(arena, block_bytes);
		if (!block)
			return NULL;
		ptrdiff_t touched = arena->dirty_end - object_of(block);
		if (touched < (ptrdiff_t)bytes)
			dirty_bytes = touched > 0 ? (size_t)touched : 0;
	}
	*block = (struct block){ .block_bytes = block_bytes,
				 .object_bytes = bytes,
				 .class_index = class_index,
				 .mark = MARK_LIVE };
	memset(object_of(block), 0, dirty_bytes);
	memset(object_of(block) + bytes, RED_ZONE_PATTERN, red_zone_bytes(block));
	arena->live_bytes += bytes;
	return object_of(block);
}

/** Let the oldest blocks go while the quarantine is over its bound. A damaged one stays where it
 * is; when even its header is, so do all behind it. */
static void trim_quarantine(struct arena *arena)
{
	while (arena->quarantine_bytes > QUARANTINE_BYTES_MAX) {
		struct block *block = arena->quarantine_first;
		if (!header_is_sane(arena, block) || !block->next) {
			arena->quarantine_first = NULL;
			arena->quarantine_last = NULL;
			arena->quarantine_bytes = 0;
			return;
		}
		arena->quarantine_first = block->next;
		arena->quarantine_bytes -= block->block_bytes;
		if (!block_is_intact(arena, block))
			continue;
		block->mark = MARK_REUSABLE;
		block->next = arena->reusable[block->class_index];
		arena->reusable[block->class_index] = block;
	}
}

void arena_give(struct arena *arena, void *object)
{
	if (!object)
		return;
	uint8_t *address = object;
	bool is_inside = address >= arena->base + sizeof(struct block) &&
			 address < arena->used_end && (uintptr_t)address % ALIGNMENT == 0;
	assert(is_inside && "an object of this arena");
	struct block *block = (struct block *)object - 1;
	assert(block->mark != MARK_GIVEN && "not freed before");
	assert(block->mark == MARK_LIVE && "a live object");
	assert(red_zone_is_intact(block) && "nothing was written past the object's end");
	memset(object, ARENA_POISON, block->object_bytes);
	block->mark = MARK_GIVEN;
	block->next = NULL;
	if (arena->quarantine_last)
		arena->quarantine_last->next = block;
	else
		arena->quarantine_first = block;
	arena->quarantine_last = block;
	arena->quarantine_bytes += block->block_bytes;
	arena->live_bytes -= block->object_bytes;
	trim_quarantine(arena);
}

bool arena_is_intact(const struct arena *arena, const void **object)
{
	*object = NULL;
	const uint8_t *at = arena->base;
	while (at < arena->used_end) {
		const struct block *block = (const struct block *)(const void *)at;
		if (!block_is_intact(arena, block)) {
			*object = object_of_const(block);
			return false;
		}
		at += block->block_bytes;
	}
	return true;
}

void arena_explain(const struct arena *arena, const void *object, char *text, size_t text_bytes)
{
	const struct block *block = (const struct block *)object - 1;
	if (!object)
		snprintf(text, text_bytes, "memory is damaged");
	else if (!header_is_sane(arena, block))
		snprintf(text, text_bytes, "somebody wrote in front of an object");
	else if (!red_zone_is_intact(block))
		snprintf(text, text_bytes, "somebody wrote past the end of an object of %zu bytes",
			 block->object_bytes);
	else
		snprintf(text, text_bytes, "somebody wrote to a freed object of %zu bytes",
			 block->object_bytes);
}

size_t arena_live_bytes(const struct arena *arena)
{
	return arena->live_bytes;
}
