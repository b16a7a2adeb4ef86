// SPDX-License-Identifier: MIT
/** The scheduler between two steps as bytes, so that a run can be continued from the middle. */
#ifndef ENGINE_SCHEDULER_SCHED_SNAPSHOT_H
#define ENGINE_SCHEDULER_SCHED_SNAPSHOT_H

#include "engine/scheduler/sched.h"
#include "injector/snapshot_buffer.h"

/** Can the scheduler be saved as it is now? Not inside a step, not with AddressSanitizer, not while
 * stack labels are recorded, and not once a task has no slot of its own. */
bool sched_can_snapshot(const struct sched *sched);

/** Append all that the run in progress has changed to `buffer`: tasks, stacks, counters. Asserts
 * sched_can_snapshot(). */
void sched_save(const struct sched *sched, struct snapshot_buffer *buffer);

/** Make `sched` what it was: its present tasks are dropped, those saved stand where they stood.
 * Outside of steps; sched_continue() goes on from there. */
void sched_load(struct sched *sched, struct snapshot_buffer *buffer);

/** Told of `count` bytes that stand for what the scheduler knows of a task; borrowed. */
typedef void sched_task_visitor(void *context, const void *bytes, size_t count);

/** Call `visit` for all that decides how the scheduler goes on: for each task that is not done, in
 * order of number, and once for all that are. What only reports tell is not there: equal bytes do
 * not mean equal steps so far. */
void sched_visit_tasks(const struct sched *sched, sched_task_visitor *visit, void *context);

/** Told of the live part of a suspended task's stack, saved registers included; borrowed. */
typedef void sched_stack_visitor(void *context, uint32_t task_number, const uint8_t *bytes,
				 size_t count);

/** Call `visit` for each task that is not done, in order of number. */
void sched_visit_stacks(const struct sched *sched, sched_stack_visitor *visit, void *context);

#endif
