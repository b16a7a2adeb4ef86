// SPDX-License-Identifier: MIT
/* What a run changes in a scheduler, and nothing else: the options are the caller's and given anew,
 * the gate never changes, and the report is written when a run ends.
 *
 * Tasks are pointed at by number's places, which stay: from the engine's memory, from stacks, from
 * each other. So each goes back to where it was, done ones included, for task_is_done() may still
 * be asked. A task spawned after the snapshot needs no undoing: it is in no list any more, and
 * whoever gets its place fills it in anew. */
#include "engine/scheduler/sched_snapshot.h"

#include "engine/scheduler/sched_private.h"
#include "injector/order.h"

#include <assert.h>
#include <stddef.h>

/** The part of struct sched that a run changes. */
struct sched_state {
	uint64_t steps;
	struct task *switched;
	struct task *first;
	struct task *newest;
	uint32_t roots;
	uint32_t spawned;
	uint32_t live_count;
};

bool sched_can_snapshot(const struct sched *sched)
{
	return coro_can_snapshot() && !sched->current && !sched->options.labels &&
	       !sched->unslotted;
}

static uint32_t count_spawned(const struct sched *sched)
{
	uint32_t count = 0;
	for (const struct task *task = sched->newest; task; task = task->older)
		count++;
	return count;
}

/** The list of accesses, which is most of a task, is seldom in use. */
static void save_task(const struct task *task, struct snapshot_buffer *buffer)
{
	const struct footprint *reads = &task->retry.reads;
	snapshot_buffer_put(buffer, &task->slot, sizeof(task->slot));
	snapshot_buffer_put(buffer, task, offsetof(struct task, retry.reads.accesses));
	snapshot_buffer_put(buffer, reads->accesses, reads->count * sizeof(reads->accesses[0]));
}

static void load_task(struct sched *sched, struct snapshot_buffer *buffer)
{
	uint32_t slot = 0;
	snapshot_buffer_get(buffer, &slot, sizeof(slot));
	struct task *task = &sched->slots[slot];
	struct footprint *reads = &task->retry.reads;
	snapshot_buffer_get(buffer, task, offsetof(struct task, retry.reads.accesses));
	snapshot_buffer_get(buffer, reads->accesses, reads->count * sizeof(reads->accesses[0]));
}

void sched_save(const struct sched *sched, struct snapshot_buffer *buffer)
{
	assert(sched_can_snapshot(sched));
	const struct sched_state state = { .steps = sched->steps,
					   .switched = sched->switched,
					   .first = sched->first,
					   .newest = sched->newest,
					   .roots = sched->roots,
					   .spawned = count_spawned(sched),
					   .live_count = sched->live_count };
	snapshot_buffer_put(buffer, &state, sizeof(state));
	for (const struct task *task = sched->newest; task; task = task->older)
		save_task(task, buffer);
	snapshot_buffer_put(buffer, sched->live, state.live_count * sizeof(struct task *));
	for (uint32_t i = 0; i < state.live_count; i++)
		coro_save(sched->live[i]->coro, buffer);
}

void sched_load(struct sched *sched, struct snapshot_buffer *buffer)
{
	struct sched_state state;
	assert(!sched->current);
	for (uint32_t i = 0; i < sched->live_count; i++)
		coro_free(sched->live[i]->coro);
	snapshot_buffer_get(buffer, &state, sizeof(state));
	sched->steps = state.steps;
	sched->switched = state.switched;
	sched->first = state.first;
	sched->newest = state.newest;
	sched->roots = state.roots;
	sched->unslotted = 0;
	sched->live_count = state.live_count;
	sched->report[0] = '\0';
	for (uint32_t i = 0; i < state.spawned; i++)
		load_task(sched, buffer);
	snapshot_buffer_get(buffer, sched->live, state.live_count * sizeof(struct task *));
	for (uint32_t i = 0; i < state.live_count; i++)
		sched->live[i]->coro = coro_load(buffer);
}

/** What counts of a task. No byte of it is padding. */
struct task_state_bytes {
	uint32_t number;
	uint32_t state;
	uint32_t children;
	uint32_t wait_kind;                /* while it sleeps */
	const struct task *const *awaited; /* while it is at a lock */
	const uint32_t *awaited_count;     /* while it is at a latch */
	void (*body)(void *argument);
	void *argument;
	/* Of its retry loop: */
	uint32_t quiet;
	uint32_t held;
	uint32_t rounds;
	uint32_t flags;
	uint64_t place;
};

/** The accesses by which a task's retry loop is known, once there may be one. */
static void visit_retry(const struct task *task, sched_task_visitor *visit, void *context)
{
	const struct footprint *reads = &task->retry.reads;
	if (!task->retry.place)
		return;
	visit(context, reads->accesses, reads->count * sizeof(reads->accesses[0]));
	visit(context, &reads->everything, sizeof(reads->everything));
}

static void visit_task(const struct task *task, sched_task_visitor *visit, void *context)
{
	const struct retry *retry = &task->retry;
	const struct task_state_bytes state = {
		.number = task->number,
		.state = task->state,
		.children = task->children,
		.wait_kind = task->state == TASK_SLEEPING ? task->wait_kind : 0,
		.awaited = task->state == TASK_AT_LOCK ? task->awaited : NULL,
		.awaited_count = task->state == TASK_AT_LATCH ? task->awaited_count : NULL,
		.body = task->body,
		.argument = task->argument,
		.quiet = retry->quiet,
		.held = retry->held,
		.rounds = retry->rounds,
		.flags = (uint32_t)retry->is_blocked << 1 | (uint32_t)retry->had_last_try,
		.place = retry->place,
	};
	visit(context, &state, sizeof(state));
	visit_retry(task, visit, context);
}

void sched_visit_tasks(const struct sched *sched, sched_task_visitor *visit, void *context)
{
	for (uint32_t i = 0; i < sched->live_count; i++)
		visit_task(sched->live[i], visit, context);
	/* In which order the others came and went is of no matter: a sum says which they are. */
	uint64_t done = 0;
	for (const struct task *task = sched->newest; task; task = task->older)
		if (task->state == TASK_DONE)
			done += order_mixed((uint64_t)task->number << 32 | task->children);
	const uint64_t counts[] = { done, sched->roots, sched->unslotted };
	visit(context, counts, sizeof(counts));
}

void sched_visit_stacks(const struct sched *sched, sched_stack_visitor *visit, void *context)
{
	for (uint32_t i = 0; i < sched->live_count; i++) {
		size_t count = 0;
		const uint8_t *bytes = coro_live_stack(sched->live[i]->coro, &count);
		visit(context, sched->live[i]->number, bytes, count);
	}
}
