// SPDX-License-Identifier: MIT
/* When are two moments of two runs the same moment?
 *
 * When all that comes after is the same, whatever is picked: what the engine does, and what a judge
 * says of every crash and every answer from there on. So the hash covers
 *
 *     memory   every byte of the arena that is in use, freed objects included
 *     stacks   of suspended tasks, from the stack pointer up, registers included
 *     tasks    who is enabled, asleep, done; how many it spawned (its next child's number)
 *     files    contents, descriptors and their positions, faults that may still happen
 *     guest    how many requests are outstanding, who waits for them, what reads have delivered
 *     told     what the guest knows, see below; and what it asked for after a flush had failed
 *
 * What the guest knows is not in the engine's memory, and decides what a judge says: which requests
 * were invoked, which are complete and with what result, and, of two that concern the same bytes,
 * whether one was complete when the other was invoked. (That is the relation which steps keep that
 * are exchanged, see touch_history() in world_script.c; it needs no hash of reads' data, which are
 * in the guest's buffers.) Whatever else a judge counts follows from that and from the file.
 *
 * The other half of the work is done elsewhere: that two runs which lead to the same state lead to
 * the same bytes. Addresses of objects, tasks and stacks depend on nothing but their owner's own
 * history; dead parts of stacks are zeros (session_clear_stack(), coro_clear_dead()); numbers that
 * count what has happened so far (steps, I/Os, events) are in the log and the scheduler, and
 * nowhere that is hashed. Where that fails, one state counts as two: the search takes longer, and
 * nothing is lost.
 *
 * Addresses are hashed as they are. So hashes of two processes are not to be compared. */
/* The size of a hasher, so that it can stand on the stack. */
#define XXH_STATIC_LINKING_ONLY

#include "workloads/world_state.h"

#include "engine/coroutine/coro.h"
#include "engine/scheduler/sched_snapshot.h"
#include "injector/fault_point.h"
#include "injector/session.h"
#include "injector/watch.h"
#include "workloads/world_private.h"

#include <errno.h>
#include <xxhash.h>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h> /* the same functions, as wide as the processor can */
#endif

_Static_assert(sizeof(struct state_hash) == sizeof(XXH128_hash_t), "as many bits");

static void add(XXH3_state_t *hasher, const void *bytes, size_t count)
{
	(void)XXH3_128bits_update(hasher, bytes, count);
}

static void add_pool(void *context, uint32_t pool, const uint8_t *bytes, size_t count)
{
	const uint64_t head[] = { pool, count };
	add(context, head, sizeof(head));
	add(context, bytes, count);
}

static void add_stack(void *context, uint32_t task_number, const uint8_t *bytes, size_t count)
{
	add_pool(context, task_number, bytes, count);
}

static void add_task(void *context, const void *bytes, size_t count)
{
	add(context, bytes, count);
}

static void add_descriptor(void *context, int descriptor, const struct watched_open *open)
{
	const uint64_t words[] = { (uint64_t)descriptor, (uintptr_t)open, open->file,
				   (uint64_t)open->flags, open->position };
	add(context, words, sizeof(words));
}

/** Is it certain, without a look at the log, that no error was injected? */
static bool had_no_fault(const struct world *world)
{
	return fault_point_left() == world->options.faults_max && !world->workload->rule_count;
}

/** Did an injected error hit the image? A judge forgives some leaks then; not when a call was only
 * interrupted or cut short. */
static bool image_has_failed(const struct world *world)
{
	if (had_no_fault(world))
		return false;
	for (size_t i = 0; i < world->log.count; i++) {
		const struct event *event = &world->log.events[i];
		if (event->kind == EVENT_FAULT && event->file == 0 && event->result < 0 &&
		    event->result != -EINTR)
			return true;
	}
	return false;
}

static void add_files(XXH3_state_t *hasher, const struct world *world)
{
	for (uint16_t file = 0; file < session_file_count(); file++) {
		const struct page_hash hash = session_hash(file);
		add(hasher, &hash, sizeof(hash));
	}
	watch_visit_memory(add_descriptor, hasher);
	const uint64_t faults[] = { world->options.faults_max ? fault_point_left() : 0,
				    image_has_failed(world) };
	add(hasher, faults, sizeof(faults));
	if (world->workload->rule_count) {
		const struct fault_rules_state rules = fault_rules_state();
		add(hasher, &rules, sizeof(rules));
	}
}

static bool overlap(const struct event *a, const struct event *b)
{
	bool a_is_all = !world_event_has_range(a), b_is_all = !world_event_has_range(b);
	return a_is_all || b_is_all ||
	       (a->guest_offset < b->guest_offset + b->length &&
		b->guest_offset < a->guest_offset + a->length);
}

/** Of the requests complete before entry `index` of what was told, those that concern the same
 * bytes; in whatever order they were completed. */
static uint64_t complete_before(const struct world *world, size_t index)
{
	const struct event *events = world->log.events;
	const struct event *invoked = &events[world->told[index]];
	uint64_t sum = 0;
	for (size_t i = 0; i < index; i++) {
		const struct event *event = &events[world->told[i]];
		if (event->kind == EVENT_REQUEST_COMPLETED && overlap(event, invoked))
			sum += order_mixed(event->id);
	}
	return sum;
}

/** Had a flush of the image failed before event `index` of the log? */
static bool flush_has_failed(const struct world *world, size_t index)
{
	if (had_no_fault(world))
		return false;
	for (size_t i = 0; i < index; i++) {
		const struct event *event = &world->log.events[i];
		if (event->kind == EVENT_IO_COMPLETED && event->op == IO_FLUSH &&
		    event->file == 0 && event->result < 0)
			return true;
	}
	return false;
}

/** The order of invocations, and that of completions, is of no matter: so it is a sum. */
static void add_told(XXH3_state_t *hasher, const struct world *world)
{
	uint64_t sums[2] = { 0 };
	for (size_t i = 0; i < world->told_count; i++) {
		const struct event *event = &world->log.events[world->told[i]];
		bool is_invoked = event->kind == EVENT_REQUEST_INVOKED;
		bool is_late = is_invoked && flush_has_failed(world, world->told[i]);
		const uint64_t words[] = { (uint64_t)event->id << 32 | event->kind,
					   (uint32_t)event->result,
					   is_invoked ? complete_before(world, i) : 0, is_late };
		const XXH128_hash_t hash = XXH3_128bits(words, sizeof(words));
		sums[0] += hash.low64;
		sums[1] += hash.high64;
	}
	add(hasher, sums, sizeof(sums));
}

/** Has the request begun, so that its buffer is this run's? */
static bool is_begun(const struct world *world, uint32_t id)
{
	for (size_t i = 0; i < world->told_count; i++)
		if (world->log.events[world->told[i]].id == id)
			return true;
	return false;
}

static void add_guest(XXH3_state_t *hasher, const struct world *world)
{
	const uint64_t words[] = { (uintptr_t)world->image, (uintptr_t)world->idle.first,
				   (uintptr_t)world->idle.last, world->outstanding };
	add(hasher, words, sizeof(words));
	for (size_t i = 0; i < world->requests.count; i++) {
		const struct world_request *request = &world->requests.items[i];
		if (request->command->op == REQUEST_READ && is_begun(world, request->id))
			add_pool(hasher, request->id, request->buffer,
				 (size_t)request->command->length);
	}
}

/** What is durable and what a sector may hold instead depends on all changes of the image, the
 * completions of them, and the flushes, in their order. */
static void add_flushes(XXH3_state_t *hasher, const struct world *world)
{
	for (size_t i = 0; world->options.flushes_matter && i < world->log.count; i++) {
		const struct event *event = &world->log.events[i];
		const uint64_t words[] = { (uint64_t)event->kind << 32 | event->op,
					   (uint64_t)event->id << 32 | (uint32_t)event->result,
					   event->host_offset, event->length };
		if (event->file != 0 || event->op == IO_READ ||
		    (event->kind != EVENT_IO_SUBMITTED && event->kind != EVENT_IO_EFFECT &&
		     event->kind != EVENT_IO_COMPLETED))
			continue;
		add(hasher, words, sizeof(words));
		if (event->kind == EVENT_IO_EFFECT && event->data_bytes > 0)
			add(hasher, event_data(&world->log, event), event->data_bytes);
	}
}

static void add_part(XXH3_state_t *hasher, const struct world *world, enum world_part part)
{
	switch (part) {
	case WORLD_PART_MEMORY: arena_visit(world->arena, add_pool, hasher); break;
	case WORLD_PART_STACKS: sched_visit_stacks(world->sched, add_stack, hasher); break;
	case WORLD_PART_TASKS: sched_visit_tasks(world->sched, add_task, hasher); break;
	case WORLD_PART_FILES:
		add_files(hasher, world);
		add_flushes(hasher, world);
		break;
	case WORLD_PART_GUEST: add_guest(hasher, world); break;
	case WORLD_PART_TOLD: add_told(hasher, world); break;
	case WORLD_PARTS: break;
	}
}

static struct state_hash digest(const XXH3_state_t *hasher)
{
	const XXH128_hash_t hash = XXH3_128bits_digest(hasher);
	return (struct state_hash){ { hash.low64, hash.high64 } };
}

struct state_hash world_state_part(const struct world *world, enum world_part part)
{
	XXH3_state_t hasher;
	(void)XXH3_128bits_reset(&hasher);
	add_part(&hasher, world, part);
	return digest(&hasher);
}

struct state_hash world_state_hash(const struct world *world)
{
	XXH3_state_t hasher;
	(void)XXH3_128bits_reset(&hasher);
	for (unsigned part = 0; part < WORLD_PARTS; part++)
		add_part(&hasher, world, (enum world_part)part);
	return digest(&hasher);
}

static struct state_hash hash_of(void *context)
{
	return world_state_hash(context);
}

struct state_source world_state_source(struct world *world)
{
	return (struct state_source){ .hash = hash_of, .context = world };
}

bool world_state_is_known(void)
{
	return coro_can_snapshot();
}
