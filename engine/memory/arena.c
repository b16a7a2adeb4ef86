// SPDX-License-Identifier: MIT
/* Memory that notices its own misuse, and whose addresses tell nothing about other tasks.
 *
 * The address space reserved is divided into pools, one for each task and one for all else:
 *
 *     | pool 1 | pool 2 | ... | pool 511 | pool 0, large | guard pages |
 *
 * Blocks are cut one after the other from the pool of the task that runs:
 *
 *     | header | object | red zone | slack | header | object | ...
 *
 * The header's last field, a mark, touches the object: writing just before the object destroys it.
 * The red zone behind the object holds a pattern. A freed object is filled with ARENA_POISON and
 * waits in its pool's first-in-first-out quarantine; a run is short, so within one run it
 * practically never leaves it. Reading a freed object gives poison, which as a pointer faults and
 * as a mark fails its assertion; writing to it is seen by the next arena_is_intact(), which walks
 * all blocks.
 *
 * The checks are plain byte patterns, not the shadow memory of a sanitizer: they are the same in
 * every build, and what they find ends the run, where a sanitizer would end the process.
 *
 * Addresses depend on nothing but the sequence of calls made while a pool was selected, so that two
 * runs which only exchange steps of different tasks leave equal bytes. An object may be freed by
 * another task than took it. Were its place reused then, the taker's addresses would depend on when
 * the other task ran; so such a place stays poisoned until the reset. What does not fit in a task's
 * pool is cut from pool 0, and there addresses do depend on who came first.
 *
 * An arena is reset once a run, ten thousand times a second. So a reset only moves the end marks of
 * the pools in use back; arena_take() clears what it hands out, and only below the highest byte
 * ever used, since pages that were never touched are zero. Loading a snapshot moves the same marks:
 * what was used since it was taken counts as touched, and is cleared when it is handed out again.
 *
 * What it does not see: a wild write that lands inside a live object or in slack, and a write that
 * puts the very pattern there that was expected.
 */
#include "engine/memory/arena.h"

#include "injector/io_call.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define TASK_POOL_BYTES ((size_t)8 << 20)
#define COMMON_POOL_BYTES ((size_t)4 << 30)
#define GUARD_BYTES ((size_t)64 << 10)
#define TASK_POOLS_BYTES ((ARENA_POOLS - 1) * TASK_POOL_BYTES)
#define RESERVE_BYTES (TASK_POOLS_BYTES + COMMON_POOL_BYTES)
#define TASK_QUARANTINE_BYTES_MAX ((size_t)4 << 20)
#define COMMON_QUARANTINE_BYTES_MAX ((size_t)64 << 20)
/* What a reset keeps for the next run; more goes back to the system. */
#define TASK_KEEP_BYTES ((size_t)1 << 20)
#define COMMON_KEEP_BYTES ((size_t)16 << 20)

enum {
	ALIGNMENT = 16,
	RED_ZONE_BYTES = 16,
	RED_ZONE_PATTERN = 0xfa,
	CLASS_SHIFT_MIN = 4,
	CLASS_COUNT = 112, /* enough for a block as large as the reserve */
	COMMON_POOL = 0,
	POOL_WORDS = ARENA_POOLS / 64,
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

/** What of a pool a snapshot holds, beside the bytes used. */
struct pool_state {
	uint8_t *used_end; /* first byte that no block uses */
	struct block *quarantine_first;
	struct block *quarantine_last;
	size_t quarantine_bytes;
	bool is_reusing; /* `reusable` is not empty */
};

struct pool {
	struct pool_state state;
	uint8_t *base;
	uint8_t *end;
	uint8_t *dirty_end; /* from here on memory has never been touched */
	struct block *reusable[CLASS_COUNT];
};

/** What of the arena a snapshot holds, beside the pools in use. */
struct arena_state {
	uint64_t used[POOL_WORDS]; /* bit n: pool n is in use */
	uint32_t selected;
	size_t live_bytes;
};

struct arena {
	uint8_t *base;
	struct arena_state state;
	struct pool pools[ARENA_POOLS];
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

/** Do the header's numbers agree with each other and with the space that is used? */
static bool header_is_sane(const struct pool *pool, const struct block *block)
{
	size_t left = (size_t)(pool->state.used_end - (const uint8_t *)block);
	size_t overhead = sizeof(struct block) + RED_ZONE_BYTES;
	if (block->mark != MARK_LIVE && block->mark != MARK_GIVEN && block->mark != MARK_REUSABLE)
		return false;
	return block->block_bytes <= left && block->block_bytes >= overhead &&
	       block->block_bytes % ALIGNMENT == 0 &&
	       block->object_bytes <= block->block_bytes - overhead;
}

static bool block_is_intact(const struct pool *pool, const struct block *block)
{
	return header_is_sane(pool, block) && red_zone_is_intact(block) &&
	       (block->mark == MARK_LIVE || is_poisoned(block));
}

/** The number of the pool that the address lies in. Asserts that it is in the reserve. */
static uint32_t pool_number(const struct arena *arena, const void *address)
{
	uintptr_t distance = (uintptr_t)address - (uintptr_t)arena->base;
	assert(distance < RESERVE_BYTES && "an object of this arena");
	return distance < TASK_POOLS_BYTES ? (uint32_t)(distance / TASK_POOL_BYTES) + 1
					   : COMMON_POOL;
}

/** The first pool in use from `*number` on; false when there is none. */
static bool next_used(const struct arena *arena, uint32_t *number)
{
	for (uint32_t word = *number / 64; word < POOL_WORDS; word++) {
		uint64_t bits = arena->state.used[word];
		if (word == *number / 64)
			bits &= UINT64_MAX << *number % 64;
		if (!bits)
			continue;
		*number = word * 64 + (uint32_t)__builtin_ctzll(bits);
		return true;
	}
	return false;
}

static void lay_out_pools(struct arena *arena)
{
	for (uint32_t number = 0; number < ARENA_POOLS; number++) {
		struct pool *pool = &arena->pools[number];
		bool is_common = number == COMMON_POOL;
		pool->base = arena->base +
			     (is_common ? TASK_POOLS_BYTES : (number - 1) * TASK_POOL_BYTES);
		pool->end = is_common ? arena->base + RESERVE_BYTES - GUARD_BYTES
				      : pool->base + TASK_POOL_BYTES;
		pool->dirty_end = pool->base;
		pool->state.used_end = pool->base;
	}
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
	lay_out_pools(arena);
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

/** Forget what lies in the pool; remember how far it was touched. */
static void empty_pool(struct pool *pool)
{
	if (pool->state.used_end > pool->dirty_end)
		pool->dirty_end = pool->state.used_end;
	if (pool->state.is_reusing)
		memset(pool->reusable, 0, sizeof(pool->reusable));
	pool->state = (struct pool_state){ .used_end = pool->base };
}

static void empty_pools(struct arena *arena)
{
	for (uint32_t number = 0; next_used(arena, &number); number++)
		empty_pool(&arena->pools[number]);
}

void arena_reset(struct arena *arena)
{
	for (uint32_t number = 0; next_used(arena, &number); number++) {
		struct pool *pool = &arena->pools[number];
		bool is_common = number == COMMON_POOL;
		uint8_t *keep_end = pool->base + (is_common ? COMMON_KEEP_BYTES : TASK_KEEP_BYTES);
		empty_pool(pool);
		if (pool->dirty_end > keep_end &&
		    !madvise(keep_end, (size_t)(pool->dirty_end - keep_end), MADV_DONTNEED))
			pool->dirty_end = keep_end;
	}
	arena->state = (struct arena_state){ .selected = COMMON_POOL };
}

void arena_select(struct arena *arena, uint32_t pool)
{
	arena->state.selected = pool < ARENA_POOLS ? pool : COMMON_POOL;
}

/** A block of the class that left the quarantine undamaged; NULL when there is none. A damaged one
 * stays where it is, for arena_is_intact() to find. */
static struct block *reuse_block(struct pool *pool, uint32_t class_index)
{
	struct block *block = pool->reusable[class_index];
	if (!block)
		return NULL;
	bool is_intact = block_is_intact(pool, block);
	pool->reusable[class_index] = is_intact ? block->next : NULL;
	return is_intact ? block : NULL;
}

/** The next piece of the pool; NULL when it is used up. */
static struct block *cut_block(struct pool *pool, size_t block_bytes)
{
	size_t left = (size_t)(pool->end - pool->state.used_end);
	if (block_bytes > left)
		return NULL;
	struct block *block = (struct block *)(void *)pool->state.used_end;
	pool->state.used_end += block_bytes;
	return block;
}

/** How many of the `bytes` bytes at `from` may be other than zero. */
static size_t touched_bytes(const struct pool *pool, const uint8_t *from, size_t bytes)
{
	ptrdiff_t touched = pool->dirty_end - from;
	if (touched <= 0)
		return 0;
	return (size_t)touched < bytes ? (size_t)touched : bytes;
}

/** A block whose bytes behind the header are all zeros; NULL when the pool is full. */
static struct block *take_from(struct pool *pool, size_t block_bytes, uint32_t class_index)
{
	size_t body_bytes = block_bytes - sizeof(struct block);
	struct block *block = reuse_block(pool, class_index);
	if (block) {
		memset(object_of(block), 0, body_bytes);
		return block;
	}
	block = cut_block(pool, block_bytes);
	if (!block)
		return NULL;
	/* Cleared even where nothing is to be: what a call leaves on the stack is part of a run's
	 * state, and how far earlier runs went is not. */
	memset(object_of(block), 0, touched_bytes(pool, object_of(block), body_bytes));
	return block;
}

void *arena_take(struct arena *arena, size_t bytes)
{
	if (bytes > RESERVE_BYTES || io_call_memory_fails())
		return NULL;
	uint32_t class_index = 0;
	size_t block_bytes = class_round(
		sizeof(struct block) + align_up(bytes, ALIGNMENT) + RED_ZONE_BYTES, &class_index);
	uint32_t number = arena->state.selected;
	struct block *block = take_from(&arena->pools[number], block_bytes, class_index);
	if (!block && number != COMMON_POOL) {
		number = COMMON_POOL;
		block = take_from(&arena->pools[number], block_bytes, class_index);
	}
	if (!block)
		return NULL;
	arena->state.used[number / 64] |= UINT64_C(1) << number % 64;
	*block = (struct block){ .block_bytes = block_bytes,
				 .object_bytes = bytes,
				 .class_index = class_index,
				 .mark = MARK_LIVE };
	memset(object_of(block) + bytes, RED_ZONE_PATTERN, red_zone_bytes(block));
	arena->state.live_bytes += bytes;
	return object_of(block);
}

/** Let the oldest blocks go while the quarantine is over its bound. A damaged one stays where it
 * is; when even its header is, so do all behind it. */
static void trim_quarantine(struct pool *pool, size_t bytes_max)
{
	struct pool_state *state = &pool->state;
	while (state->quarantine_bytes > bytes_max) {
		struct block *block = state->quarantine_first;
		if (!header_is_sane(pool, block) || !block->next) {
			state->quarantine_first = NULL;
			state->quarantine_last = NULL;
			state->quarantine_bytes = 0;
			return;
		}
		state->quarantine_first = block->next;
		state->quarantine_bytes -= block->block_bytes;
		if (!block_is_intact(pool, block))
			continue;
		block->mark = MARK_REUSABLE;
		block->next = pool->reusable[block->class_index];
		pool->reusable[block->class_index] = block;
		state->is_reusing = true;
	}
}

static void quarantine(struct pool *pool, struct block *block, size_t bytes_max)
{
	struct pool_state *state = &pool->state;
	if (state->quarantine_last)
		state->quarantine_last->next = block;
	else
		state->quarantine_first = block;
	state->quarantine_last = block;
	state->quarantine_bytes += block->block_bytes;
	trim_quarantine(pool, bytes_max);
}

void arena_give(struct arena *arena, void *object)
{
	if (!object)
		return;
	uint8_t *address = object;
	uint32_t number = pool_number(arena, object);
	struct pool *pool = &arena->pools[number];
	bool is_inside = address >= pool->base + sizeof(struct block) &&
			 address < pool->state.used_end && (uintptr_t)address % ALIGNMENT == 0;
	assert(is_inside && "an object of this arena");
	struct block *block = (struct block *)object - 1;
	assert(block->mark != MARK_GIVEN && "not freed before");
	assert(block->mark == MARK_LIVE && "a live object");
	assert(red_zone_is_intact(block) && "nothing was written past the object's end");
	memset(object, ARENA_POISON, block->object_bytes);
	block->mark = MARK_GIVEN;
	block->next = NULL;
	arena->state.live_bytes -= block->object_bytes;
	if (number == COMMON_POOL)
		quarantine(pool, block, COMMON_QUARANTINE_BYTES_MAX);
	else if (number == arena->state.selected)
		quarantine(pool, block, TASK_QUARANTINE_BYTES_MAX);
}

static bool pool_is_intact(const struct pool *pool, const void **object)
{
	const uint8_t *at = pool->base;
	while (at < pool->state.used_end) {
		const struct block *block = (const struct block *)(const void *)at;
		if (!block_is_intact(pool, block)) {
			*object = object_of_const(block);
			return false;
		}
		at += block->block_bytes;
	}
	return true;
}

bool arena_is_intact(const struct arena *arena, const void **object)
{
	*object = NULL;
	for (uint32_t number = 0; next_used(arena, &number); number++)
		if (!pool_is_intact(&arena->pools[number], object))
			return false;
	return true;
}

void arena_explain(const struct arena *arena, const void *object, char *text, size_t text_bytes)
{
	const struct block *block = object ? (const struct block *)object - 1 : NULL;
	if (!block)
		snprintf(text, text_bytes, "memory is damaged");
	else if (!header_is_sane(&arena->pools[pool_number(arena, object)], block))
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
	return arena->state.live_bytes;
}

static size_t pool_used_bytes(const struct pool *pool)
{
	return (size_t)(pool->state.used_end - pool->base);
}

void arena_visit(const struct arena *arena, arena_visitor *visit, void *context)
{
	for (uint32_t number = 0; next_used(arena, &number); number++) {
		const struct pool *pool = &arena->pools[number];
		visit(context, number, pool->base, pool_used_bytes(pool));
	}
}

void arena_save(const struct arena *arena, struct snapshot_buffer *buffer)
{
	snapshot_buffer_put(buffer, &arena->state, sizeof(arena->state));
	for (uint32_t number = 0; next_used(arena, &number); number++) {
		const struct pool *pool = &arena->pools[number];
		snapshot_buffer_put(buffer, &pool->state, sizeof(pool->state));
		if (pool->state.is_reusing)
			snapshot_buffer_put(buffer, pool->reusable, sizeof(pool->reusable));
		snapshot_buffer_put(buffer, pool->base, pool_used_bytes(pool));
	}
}

void arena_load(struct arena *arena, struct snapshot_buffer *buffer)
{
	empty_pools(arena);
	snapshot_buffer_get(buffer, &arena->state, sizeof(arena->state));
	for (uint32_t number = 0; next_used(arena, &number); number++) {
		struct pool *pool = &arena->pools[number];
		snapshot_buffer_get(buffer, &pool->state, sizeof(pool->state));
		if (pool->state.is_reusing)
			snapshot_buffer_get(buffer, pool->reusable, sizeof(pool->reusable));
		snapshot_buffer_get(buffer, pool->base, pool_used_bytes(pool));
	}
}
