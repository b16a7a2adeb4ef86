// SPDX-License-Identifier: MIT
/* Who may have which memory: the map that audit.c explains. */
#include "engine/scheduler/audit_private.h"

#include "engine/scheduler/sched_private.h"
#include "engine/scheduler/touch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
	GRANULE_BYTES = 4,
	PAGE_BYTES = 4096,
	PAGE_GRANULES = PAGE_BYTES / GRANULE_BYTES,
	PAGES_MAX = 8192, /* a power of two; at most half of them are used */
	BINDS_MAX = UINT16_MAX,
	OBJECTS_MAX = 65536,
};

enum state {
	STATE_UNKNOWN,
	STATE_PRIVATE,
	STATE_BOUND,
	STATE_CONSTANT,
	STATE_SHARED,
	STATE_GIVEN, /* freed: the arena's business */
};

struct granule {
	uint32_t owner; /* PRIVATE: number of the task */
	uint16_t bind;  /* BOUND: index */
	uint8_t state;
	bool is_written; /* PRIVATE: by its owner */
};

struct page {
	uintptr_t number; /* 0: unused */
	struct granule *granules;
};

/** What bytes belong to. */
struct bind {
	uint32_t kind, instance;
	const uint8_t *address; /* of the first entry; NULL: all are one entry */
	uint64_t first;         /* entry; TOUCH_ALL: the object as a whole */
};

struct object {
	const void *address;
	size_t bytes;
};

/* The compiler's call-backs have no parameter for a map: there is one. */
static struct {
	struct page pages[PAGES_MAX];
	uint32_t page_count;
	struct granule *pool[PAGES_MAX / 2]; /* owned; kept from run to run */
	struct bind binds[BINDS_MAX];
	uint32_t bind_count; /* index 0 is not used */
	struct object objects[OBJECTS_MAX];
	uint32_t object_count;
} map;

void audit_map_forget(void)
{
	memset(map.pages, 0, sizeof(map.pages));
	map.page_count = 0;
	map.bind_count = 0;
	map.object_count = 0;
}

static struct page *find_page(uintptr_t number)
{
	size_t at = (size_t)(number * UINT64_C(0x9e3779b97f4a7c15) >> 51) % PAGES_MAX;
	while (map.pages[at].number && map.pages[at].number != number)
		at = (at + 1) % PAGES_MAX;
	return &map.pages[at];
}

/** The granule at `address`; NULL when nothing is known of its page and `make` is false. */
static struct granule *granule_at(const void *address, bool make)
{
	uintptr_t number = (uintptr_t)address / PAGE_BYTES;
	struct page *page = find_page(number);
	if (!page->number) {
		if (!make)
			return NULL;
		assert(map.page_count < PAGES_MAX / 2);
		struct granule **granules = &map.pool[map.page_count++];
		if (!*granules)
			*granules = malloc(PAGE_GRANULES * sizeof(**granules));
		assert(*granules);
		memset(*granules, 0, PAGE_GRANULES * sizeof(**granules));
		*page = (struct page){ .number = number, .granules = *granules };
	}
	return &page->granules[(uintptr_t)address % PAGE_BYTES / GRANULE_BYTES];
}

/** The first byte of the granule that `address` is in. */
static const uint8_t *granule_start(const void *address)
{
	return (const uint8_t *)address - (uintptr_t)address % GRANULE_BYTES;
}

/** Make bytes what `is` says. */
static void paint(const void *address, size_t bytes, const struct granule *is)
{
	const uint8_t *end = (const uint8_t *)address + bytes;
	for (const uint8_t *at = granule_start(address); at < end; at += GRANULE_BYTES)
		*granule_at(at, true) = *is;
}

/** [address, address + bytes) is accessed, all of it bound by `bind`. */
static void find_bound(const struct bind *bind, const void *address, size_t bytes, bool is_write,
		       const void *caller)
{
	struct finding finding = { .kind = FINDING_ACCESS,
				   .is_write = is_write,
				   .object_kind = bind->kind,
				   .instance = bind->instance,
				   .from = bind->first,
				   .to = bind->first + (bind->first != TOUCH_ALL),
				   .caller = caller };
	if (bind->address) {
		size_t distance = (size_t)((const uint8_t *)address - bind->address);
		finding.from = bind->first + distance / sizeof(uint64_t);
		finding.to = bind->first + (distance + bytes - 1) / sizeof(uint64_t) + 1;
	}
	audit_find(&finding);
}

static void find_fault(enum finding_kind kind, uint32_t owner, bool is_write, const void *caller)
{
	audit_find(&(struct finding){
		.kind = kind, .is_write = is_write, .owner = owner, .caller = caller });
}

/** Whose stack is it? NULL: nobody's. */
static const struct task *stack_owner(const struct sched *sched, const void *address)
{
	for (uint32_t i = 0; i < sched->live_count; i++)
		if (sched->live[i]->coro && coro_owns_address(sched->live[i]->coro, address))
			return sched->live[i];
	return NULL;
}

/** An access to memory of which nothing is known: nobody's stack and not the arena's. It is the
 * task's that comes first. */
static void meet(const uint8_t *at, bool is_write, const void *caller)
{
	const struct task *me = task_current();
	const struct task *owner = stack_owner(me->sched, at);
	if (owner) {
		find_fault(FINDING_STACK, owner->number, is_write, caller);
		return;
	}
	*granule_at(at, true) = (struct granule){ .owner = me->number,
						  .state = STATE_PRIVATE,
						  .is_written = is_write };
}

/** An access to memory of a task. What its owner has only read becomes shared. */
static void enter(struct granule *granule, bool is_write, const void *caller)
{
	uint32_t me = task_current()->number;
	if (granule->owner == me) {
		granule->is_written |= is_write;
		return;
	}
	if (is_write || granule->is_written)
		find_fault(FINDING_PRIVATE, granule->owner, is_write, caller);
	else
		granule->state = STATE_SHARED;
}

static void access_granule(const uint8_t *at, bool is_write, const void *caller)
{
	struct granule *granule = granule_at(at, false);
	enum state state = granule ? (enum state)granule->state : STATE_UNKNOWN;
	switch (state) {
	case STATE_UNKNOWN: meet(at, is_write, caller); break;
	case STATE_PRIVATE: enter(granule, is_write, caller); break;
	case STATE_BOUND:
		find_bound(&map.binds[granule->bind], at, GRANULE_BYTES, is_write, caller);
		break;
	case STATE_CONSTANT:
	case STATE_SHARED:
		if (is_write)
			find_fault(FINDING_CONSTANT, 0, true, caller);
		break;
	case STATE_GIVEN: break;
	}
}

void audit_access(const void *address, size_t bytes, bool is_write, const void *caller)
{
	const struct task *me = audit_is_active() ? task_current() : NULL;
	if (!me || bytes == 0)
		return;
	bool is_mine = coro_owns_address(me->coro, address);
	const uint8_t *end = (const uint8_t *)address + bytes;
	for (const uint8_t *at = granule_start(address); at < end; at += GRANULE_BYTES) {
		const struct granule *granule = is_mine ? granule_at(at, false) : NULL;
		if (!is_mine || (granule && granule->state == STATE_BOUND))
			access_granule(at, is_write, caller);
	}
}

/* ---- who has what ---- */

void audit_taken(const void *object, size_t bytes)
{
	const struct task *me = audit_is_active() ? task_current() : NULL;
	if (!me)
		return;
	assert(map.object_count < OBJECTS_MAX);
	map.objects[map.object_count++] = (struct object){ object, bytes };
	/* Written, for the arena clears it. */
	paint(object, bytes,
	      &(struct granule){ .owner = me->number, .state = STATE_PRIVATE, .is_written = true });
}

void audit_given(const void *object, const void *caller)
{
	if (!audit_is_active())
		return;
	uint32_t i = map.object_count;
	while (i > 0 && map.objects[i - 1].address != object)
		i--;
	if (i == 0)
		return; /* a mistake that the arena sees */
	audit_access(object, map.objects[i - 1].bytes, true, caller);
	paint(object, map.objects[i - 1].bytes, &(struct granule){ .state = STATE_GIVEN });
	map.objects[i - 1] = map.objects[--map.object_count];
}

static bool bind_is(const struct bind *a, const struct bind *b)
{
	return a->kind == b->kind && a->instance == b->instance && a->address == b->address &&
	       a->first == b->first;
}

static void bind_bytes(const void *address, size_t bytes, const struct bind *bind)
{
	if (!audit_is_active())
		return;
	assert(granule_start(address) == address);
	const struct granule *known = granule_at(address, false);
	if (known && known->state == STATE_BOUND && bind_is(&map.binds[known->bind], bind))
		return;
	assert(map.bind_count + 1 < BINDS_MAX);
	map.binds[++map.bind_count] = *bind;
	paint(address, bytes,
	      &(struct granule){ .state = STATE_BOUND, .bind = (uint16_t)map.bind_count });
}

void audit_bind(const void *address, size_t bytes, uint32_t kind, uint32_t instance, uint64_t entry)
{
	bind_bytes(address, bytes,
		   &(struct bind){ .kind = kind, .instance = instance, .first = entry });
}

void audit_bind_entries(const uint64_t *entries, size_t count, uint32_t kind, uint32_t instance,
			uint64_t first)
{
	bind_bytes(entries, count * sizeof(*entries),
		   &(struct bind){ .kind = kind,
				   .instance = instance,
				   .address = (const uint8_t *)entries,
				   .first = first });
}

void audit_bind_constant(const void *address, size_t bytes)
{
	if (audit_is_active())
		paint(address, bytes, &(struct granule){ .state = STATE_CONSTANT });
}

void audit_own(const void *address, size_t bytes, uint32_t kind, uint32_t instance, uint64_t entry)
{
	const struct task *me = audit_is_active() ? task_current() : NULL;
	if (!me || !address)
		return;
	const void *caller = __builtin_return_address(0);
	const uint8_t *end = (const uint8_t *)address + bytes;
	bool was_others = false;
	for (const uint8_t *at = granule_start(address); at < end; at += GRANULE_BYTES) {
		struct granule *granule = granule_at(at, true);
		if (granule->state == STATE_PRIVATE)
			enter(granule, true, caller);
		else if (granule->state != STATE_UNKNOWN)
			was_others = true;
	}
	const struct bind place = { .kind = kind, .instance = instance, .first = entry };
	if (was_others)
		find_bound(&place, address, bytes, true, caller);
	paint(address, bytes,
	      &(struct granule){ .owner = me->number, .state = STATE_PRIVATE, .is_written = true });
}

void audit_hand_over(const void *address, size_t bytes, uint32_t task)
{
	if (!audit_is_active())
		return;
	audit_access(address, bytes, true, __builtin_return_address(0));
	paint(address, bytes,
	      &(struct granule){ .owner = task, .state = STATE_PRIVATE, .is_written = true });
}

void audit_unbind(const void *address, size_t bytes)
{
	if (audit_is_active())
		paint(address, bytes, &(struct granule){ .state = STATE_UNKNOWN });
}
