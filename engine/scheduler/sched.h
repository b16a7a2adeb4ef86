// SPDX-License-Identifier: MIT
/** The deterministic scheduler: tasks (coroutines) take steps, and the choice point says whose is
 * next.
 *
 *  A step runs from one scheduling point to the next. Enabled at any time are the ready tasks and
 * the tasks whose I/O call waits at the gate, but for those in retry loops (retry.h); with two or
 * more the choice point is asked (CHOICE_RUN; options in order of task number). Waking never
 * switches: it makes ready. */
#ifndef ENGINE_SCHEDULER_SCHED_H
#define ENGINE_SCHEDULER_SCHED_H

#include "engine/memory/arena.h"
#include "injector/choice.h"
#include "traces/event.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Tasks that are not done, at most; a choice point has no more options. */
enum { SCHED_TASKS_MAX = CHOICE_OPTIONS_MAX };

/** Where other tasks may get a turn. */
enum sched_points {
	/** When an I/O call takes effect, at real waits, at task_yield() and spawn. */
	SCHED_POINTS_IO,
	/** And after the effect before the caller goes on, and at every lock. A task does not get
	 * to a mutex while that is held: it is simply not enabled. That loses no order of holders,
	 * for who queues could as well have come later. A point where the step has touched nothing
	 * yet is none. */
	SCHED_POINTS_ALL,
};

struct sched_options {
	/** Borrowed; NULL: always option 0, the enabled task with the lowest number. */
	struct choice *choice;
	/** Borrowed; checked for use of freed objects at every death and at the end. */
	struct arena *arena;
	/** Borrowed; where stack labels of dead and stuck tasks go; NULL: none. */
	struct trace *labels;
	enum sched_points points;
	uint64_t steps_max; /* livelock bound; 0: 100000 */
	/** Called between two steps, before the next one is chosen, when `steps` were taken; NULL:
	 * never. */
	void (*between_steps)(void *context, uint64_t steps);
	void *context; /* handed to it */
};

struct sched;
struct task;

/** A scheduler without tasks; installs itself as the injector's gate. Gives; NULL when memory is
 * short. */
struct sched *sched_new(void);

/** Free `sched` (not running) and remove its gate. NULL is allowed. */
void sched_free(struct sched *sched);

/** Add a ready task. `name` must outlive the run. Works before sched_run() and from inside tasks (a
 * scheduling point only in that the new task is ready). NULL when memory is short or
 * SCHED_TASKS_MAX tasks are not done.
 *
 * Numbers do not depend on the interleaving. Tasks spawned outside of tasks are 1, 2, ...; those
 * that task 1 spawns go on from there; the k-th that task p spawns is p + 1000 k. Only tasks for
 * which that leaves no room are numbered in order of spawn, from 100001. */
struct task *sched_spawn(struct sched *sched, const char *name, void (*body)(void *argument),
			 void *argument);

/** Let `task`, which has not run yet, take its second step only after `leader` took its own. For
 * tasks that do the same and differ in nothing but who they are: of all the orders that come from
 * each other by exchanging names, those are left in which the second steps stand in one order. (A
 * request is invoked in the first step, and takes its first lock in the second.) A task leads one
 * other at most. */
void task_follow(struct task *task, struct task *leader);

/** Run until no task is left, nothing can go on, a bound is reached, a task dies or the strategy
 * abandons. Records SWITCH, WAIT and END events in the session. Afterwards all tasks are freed:
 * call sched_spawn() and again.
 *
 * RUN_LEAKED: task 1 is done and others sleep for ever. RUN_LIVELOCK: the bound was reached, or all
 * that goes on are loops that look at what nobody changes. RUN_PRUNED: the choice was abandoned,
 * for whichever reason. */
enum run_end sched_run(struct sched *sched, const struct sched_options *options);

/** As sched_run(), from where sched_load() put the run back to. */
enum run_end sched_continue(struct sched *sched, const struct sched_options *options);

/** One paragraph on how the last run ended when it did not finish: the assertion that failed, or
 * the kind of standstill, and each stuck task, what it waits for, and who holds that. "" after
 * RUN_FINISHED. Owned by the scheduler. */
const char *sched_report(const struct sched *sched);

/** The scheduler that runs the current task; NULL outside. */
struct sched *sched_current(void);

/** The running task; NULL outside. Its number counts from 1. */
struct task *task_current(void);
uint32_t task_number(const struct task *task);
const char *task_name(const struct task *task);

/** Has the task's body returned? `task` must be of this run. */
bool task_is_done(const struct task *task);

/** A scheduling point: the task stays ready, others may go first. */
void task_yield(void);

/** As task_yield(), but under SCHED_POINTS_ALL not when the step has touched nothing yet. */
void task_yield_if_touched(void);

/** A scheduling point under SCHED_POINTS_ALL only. */
void task_yield_if_all_points(void);

/** Does the running task's scheduler use SCHED_POINTS_ALL? */
bool task_has_all_points(void);

/** A scheduling point that the task leaves when `*holder` is NULL: nobody holds the mutex, whose
 * instance in footprints is `object`. Names are as for task_wait(). */
void task_await(const struct task *const *holder, uint32_t object, const char *object_name,
		uint32_t object_id);

/** A scheduling point that the task leaves when `*count` is zero. Names are as for task_wait(). */
void task_await_zero(const uint32_t *count, const char *object_name, uint32_t object_id);

/** Sleep until task_wake(). `object_name` (a literal) says what for; `object_id` tells equal names
 * apart (0: not printed). */
void task_wait(enum wait_kind kind, const char *object_name, uint32_t object_id);

/** Make a sleeping task ready. Asserts that it sleeps. Never switches. */
void task_wake(struct task *task);

/** What a sleeping task waits for, or the running one (`task` NULL) is about to wait for, is held
 * by `holder` (may be NULL) now: whom a report blames. */
void task_blame(struct task *task, const struct task *holder);

/** Note for reports that the running task served the queue of this name; `woke`: somebody waited
 * there. Ignored outside of tasks. */
void task_note_wake(const char *object_name, uint32_t object_id, bool woke);

#endif
