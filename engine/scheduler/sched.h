// SPDX-License-Identifier: MIT
/** The deterministic scheduler: tasks (coroutines) take steps, and the choice point says whose is
 * next.
 *
 *  A step runs from one scheduling point to the next. Enabled at any time are the ready tasks and
 * the tasks whose I/O call waits at the gate; with two or more the choice point is asked
 * (CHOICE_RUN; options in order of task number). Waking never switches: it makes ready. */
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
	/** And after the effect before the caller goes on, and at every lock. */
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
};

struct sched;
struct task;

/** A scheduler without tasks; installs itself as the injector's gate. Gives; NULL when memory is
 * short. */
struct sched *sched_new(void);

/** Free `sched` (not running) and remove its gate. NULL is allowed. */
void sched_free(struct sched *sched);

/** Add a ready task. `name` must outlive the run. Works before sched_run() and from inside tasks (a
 * scheduling point only in that the new task is ready). Tasks are numbered from 1. NULL when memory
 * is short or SCHED_TASKS_MAX tasks are not done. */
struct task *sched_spawn(struct sched *sched, const char *name, void (*body)(void *argument),
			 void *argument);

/** Run until no task is left, nothing can go on, a bound is reached, a task dies or the strategy
 * abandons. Records SWITCH, WAIT and END events in the session. Afterwards all tasks are freed:
 * call sched_spawn() and again.
 *
 * RUN_LEAKED: task 1 is done and others sleep for ever. RUN_PRUNED: the choice was abandoned, for
 * whichever reason. */
enum run_end sched_run(struct sched *sched, const struct sched_options *options);

/** One paragraph on how the last run ended when it did not finish: the assertion that failed, or
 * each stuck task, what it waits for, and who holds that. "" after RUN_FINISHED. Owned by the
 * scheduler. */
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

/** A scheduling point under SCHED_POINTS_ALL only. */
void task_yield_if_all_points(void);

/** Sleep until task_wake(). `object_name` (a literal) says what for; `object_id` tells equal names
 * apart (0: not printed); `holder` (may be NULL) is whom a report blames. */
void task_wait(enum wait_kind kind, const char *object_name, uint32_t object_id,
	       const struct task *holder);

/** Make a sleeping task ready. Asserts that it sleeps. Never switches. */
void task_wake(struct task *task);

/** Say that the current step touches memory that tasks share. Locks and queues call it themselves.
 */
void task_touch_shared(void);

/** Say that the current step does something whose order is observed. */
void task_touch_ordered(void);

#endif
