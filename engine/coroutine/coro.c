// SPDX-License-Identifier: MIT
/* Coroutines with their own stacks.
 *
 *     | guard, no access | stack, grows down  <-- stack_pointer ... coro_main, coro_first_frame |
 *
 * coro_switch() (coro_<machine>.S) pushes the registers that a callee must preserve, parks the
 * stack pointer and pops the same set from the other stack. A fresh coroutine's stack is prepared
 * so that this pop enters coro_first_frame, whose unwind information says "no caller": an unwinder
 * stops there instead of reading what lies above.
 *
 * The floating-point control words (mxcsr, x87, fpcr) are callee-saved too and are NOT switched:
 * nothing in this program changes them, and saving them would double the price of a switch. A
 * coroutine that changes the rounding mode changes it for all.
 *
 * Stacks are recycled in a pool, because mapping one costs a thousand times what preparing one
 * does. The creator says which stack of the pool it wants, its slot, so that a coroutine's
 * addresses can be made to depend on what it is and not on when it was created. Stacks beyond the
 * pool are mapped and unmapped each time.
 *
 * A suspended coroutine is its stack from the parked stack pointer up, the registers being there,
 * and a few words in struct coro. Stacks of the pool stay where they are while the process lives,
 * so putting those bytes back continues the coroutine from where it was, any number of times, with
 * all pointers into its stack still good. What lies below the stack pointer is dead: it is not
 * saved, and coro_clear_dead() wipes it when bytes of uninitialised variables must not tell what
 * ran there before. With AddressSanitizer this does not work: part of the variables are on its side
 * stack, and the marks between the others would have to be saved too.
 *
 * AddressSanitizer keeps its own idea of where the stack is and marks the gaps between variables.
 * So every switch is announced to it; when a coroutine ends, it is told that the stack it leaves is
 * dead; and when a stack is given back with frames still on it (abandoned, or freed while
 * suspended), the marks of those frames are wiped.
 */
#include "engine/coroutine/coro.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if !defined(__x86_64__) && !defined(__aarch64__)
#error "no coro_switch() for this machine"
#endif

#if defined(__SANITIZE_ADDRESS__)
#define CORO_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CORO_ASAN 1
#endif
#endif

#ifdef CORO_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define CORO_UNINSTRUMENTED __attribute__((no_sanitize("address")))
#else
#define CORO_UNINSTRUMENTED
#endif

enum {
	GUARD_BYTES = 64 * 1024,
	MAPPING_BYTES = GUARD_BYTES + CORO_STACK_BYTES,
	POOL_WORDS = CORO_SLOTS / 64,
#if defined(__x86_64__)
	SAVED_WORDS = 7, /* r15 r14 r13 r12 rbx rbp, return address: as coro_x86_64.S pops them */
	RETURN_WORD = 6,
#else
	SAVED_WORDS = 20, /* x19..x30, d8..d15: as coro_aarch64.S loads them */
	RETURN_WORD = 11,
#endif
};

struct coro {
	void *stack_pointer;         /* parked, while suspended */
	void *resumer_stack_pointer; /* parked, while running */
	void (*body)(void *argument);
	void *argument;
	uint8_t *mapping; /* owned; guard area, then the stack */
	uint32_t slot;    /* in the pool; CORO_SLOTS: in none */
	bool is_alive;
	void *fake_stack;          /* AddressSanitizer's side stack, while suspended */
	const void *resumer_stack; /* bounds of the resumer's stack, as AddressSanitizer told */
	size_t resumer_stack_bytes;
};

/* Globals, because the running coroutine is a fact of the machine, not of an object; and because a
 * signal handler has nothing else to go by. */
static struct coro *current;
static struct coro *pool[CORO_SLOTS];
static uint64_t pool_busy[POOL_WORDS];

/** Park the stack pointer in `*parked` and continue where `stack_pointer` was parked. */
void coro_switch(void **parked, void *stack_pointer);

/** What a fresh coroutine returns into; calls coro_main(). */
void coro_first_frame(void);
void coro_main(void);

static void before_switch(void **fake_stack, const void *stack, size_t stack_bytes)
{
#ifdef CORO_ASAN
	__sanitizer_start_switch_fiber(fake_stack, stack, stack_bytes);
#else
	(void)fake_stack, (void)stack, (void)stack_bytes;
#endif
}

static void after_switch(void *fake_stack, const void **stack, size_t *stack_bytes)
{
#ifdef CORO_ASAN
	__sanitizer_finish_switch_fiber(fake_stack, stack, stack_bytes);
#else
	(void)fake_stack, (void)stack, (void)stack_bytes;
#endif
}

static uint8_t *stack_of(const struct coro *co)
{
	return co->mapping + GUARD_BYTES;
}

/** Tell AddressSanitizer that no frame is left on the stack of `co`. */
CORO_UNINSTRUMENTED static void forget_frames(struct coro *co)
{
#ifdef CORO_ASAN
	__asan_unpoison_memory_region(stack_of(co), CORO_STACK_BYTES);
	if (!co->fake_stack)
		return;
	/* Only leaving a coroutine frees its side stack: pretend to enter and to leave it. */
	void *own = NULL;
	const void *stack = NULL;
	size_t stack_bytes = 0;
	before_switch(&own, stack_of(co), CORO_STACK_BYTES);
	after_switch(co->fake_stack, &stack, &stack_bytes);
	before_switch(NULL, stack, stack_bytes);
	after_switch(own, NULL, NULL);
	co->fake_stack = NULL;
#else
	(void)co;
#endif
}

static void unmap(struct coro *co)
{
	munmap(co->mapping, MAPPING_BYTES);
	free(co);
}

static struct coro *map(uint32_t slot)
{
	struct coro *co = calloc(1, sizeof(*co));
	if (!co)
		return NULL;
	void *mapping = mmap(NULL, MAPPING_BYTES, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (mapping == MAP_FAILED) {
		free(co);
		return NULL;
	}
	co->mapping = mapping;
	co->slot = slot;
	if (mprotect(mapping, GUARD_BYTES, PROT_NONE)) {
		unmap(co);
		return NULL;
	}
	return co;
}

/** The bit of `slot` in its word of pool_busy. */
static uint64_t slot_bit(uint32_t slot)
{
	return UINT64_C(1) << slot % 64;
}

/** The stack of `slot`, now busy, or one that is in no pool. */
static struct coro *take_stack(uint32_t slot)
{
	if (slot >= CORO_SLOTS)
		return map(CORO_SLOTS);
	assert(!(pool_busy[slot / 64] & slot_bit(slot)) && "a free slot");
	if (!pool[slot])
		pool[slot] = map(slot);
	if (pool[slot])
		pool_busy[slot / 64] |= slot_bit(slot);
	return pool[slot];
}

void coro_main(void)
{
	struct coro *co = current;
	after_switch(NULL, &co->resumer_stack, &co->resumer_stack_bytes);
	co->body(co->argument);
	coro_abandon();
}

struct coro *coro_new(void (*body)(void *argument), void *argument, uint32_t slot)
{
	struct coro *co = take_stack(slot);
	if (!co)
		return NULL;
	/* After the pop the stack pointer is at the mapping's end, aligned to 16 as a call needs.
	 */
	uintptr_t *words = (uintptr_t *)(void *)(co->mapping + MAPPING_BYTES) - SAVED_WORDS;
	for (int i = 0; i < SAVED_WORDS; i++)
		words[i] = 0;
	words[RETURN_WORD] = (uintptr_t)coro_first_frame;
	co->stack_pointer = words;
	co->body = body;
	co->argument = argument;
	co->is_alive = true;
	return co;
}

bool coro_resume(struct coro *co)
{
	assert(!current && "only outside coroutines");
	assert(co->is_alive);
	void *own_fake_stack = NULL;
	current = co;
	before_switch(&own_fake_stack, stack_of(co), CORO_STACK_BYTES);
	coro_switch(&co->resumer_stack_pointer, co->stack_pointer);
	after_switch(own_fake_stack, NULL, NULL);
	current = NULL;
	return co->is_alive;
}

void coro_yield(void)
{
	struct coro *co = current;
	assert(co && "only inside a coroutine");
	before_switch(&co->fake_stack, co->resumer_stack, co->resumer_stack_bytes);
	coro_switch(&co->stack_pointer, co->resumer_stack_pointer);
	after_switch(co->fake_stack, &co->resumer_stack, &co->resumer_stack_bytes);
	co->fake_stack = NULL;
}

struct coro *coro_current(void)
{
	return current;
}

CORO_UNINSTRUMENTED void coro_abandon(void)
{
	struct coro *co = current;
	co->is_alive = false;
	before_switch(NULL, co->resumer_stack, co->resumer_stack_bytes);
	coro_switch(&co->stack_pointer, co->resumer_stack_pointer);
	__builtin_unreachable();
}

void coro_free(struct coro *co)
{
	if (!co)
		return;
	assert(co != current);
	forget_frames(co);
	if (co->slot == CORO_SLOTS)
		unmap(co);
	else
		pool_busy[co->slot / 64] &= ~slot_bit(co->slot);
}

bool coro_owns_address(const struct coro *co, const void *address)
{
	const uint8_t *byte = address;
	return byte >= co->mapping && byte < co->mapping + MAPPING_BYTES;
}

bool coro_guards_address(const struct coro *co, const void *address)
{
	const uint8_t *byte = address;
	return byte >= co->mapping && byte < stack_of(co);
}

/** The first byte behind the stack of `co`. */
static uint8_t *stack_end(const struct coro *co)
{
	return co->mapping + MAPPING_BYTES;
}

const uint8_t *coro_live_stack(const struct coro *co, size_t *count)
{
	assert(co != current && co->is_alive);
	const uint8_t *first = co->stack_pointer;
	*count = (size_t)(stack_end(co) - first);
	return first;
}

void coro_clear_dead(const struct coro *co)
{
	uint8_t *end = co->stack_pointer;
	size_t free_bytes = (size_t)(end - stack_of(co));
	size_t count = free_bytes < CORO_DEAD_BYTES ? free_bytes : CORO_DEAD_BYTES;
	assert(co != current && coro_can_snapshot());
	memset(end - count, 0, count);
}

bool coro_can_snapshot(void)
{
#ifdef CORO_ASAN
	return false;
#else
	return true;
#endif
}

bool coro_is_pooled(const struct coro *co)
{
	return co->slot < CORO_SLOTS;
}

/** What of a suspended coroutine is not on its stack. */
struct coro_state {
	void *stack_pointer;
	void (*body)(void *argument);
	void *argument;
	uint32_t slot;
};

void coro_save(const struct coro *co, struct snapshot_buffer *buffer)
{
	assert(coro_can_snapshot() && coro_is_pooled(co));
	size_t count = 0;
	const uint8_t *live = coro_live_stack(co, &count);
	const struct coro_state state = { .stack_pointer = co->stack_pointer,
					  .body = co->body,
					  .argument = co->argument,
					  .slot = co->slot };
	snapshot_buffer_put(buffer, &state, sizeof(state));
	snapshot_buffer_put(buffer, live, count);
}

struct coro *coro_load(struct snapshot_buffer *buffer)
{
	struct coro_state state;
	snapshot_buffer_get(buffer, &state, sizeof(state));
	struct coro *co = take_stack(state.slot);
	assert(co && "a stack that was there before is there still");
	co->stack_pointer = state.stack_pointer;
	co->body = state.body;
	co->argument = state.argument;
	co->is_alive = true;
	size_t count = 0;
	coro_live_stack(co, &count);
	snapshot_buffer_get(buffer, co->stack_pointer, count);
	return co;
}
