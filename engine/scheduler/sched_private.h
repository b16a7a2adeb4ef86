// SPDX-License-Identifier: MIT
/** What the scheduler's own files share: the task, the scheduler, and who calls whom. */
#ifndef ENGINE_SCHEDULER_SCHED_PRIVATE_H
#define ENGINE_SCHEDULER_SCHED_PRIVATE_H

#include "engine/coroutine/coro.h"
#include "engine/scheduler/sched.h"
#include "injector/gate.h"

enum task_state {
	TASK_READY,
	TASK_RUNNING,
	TASK_AT_GATE,  /* its I/O call may take effect when it is picked */
	TASK_SLEEPING, /* until task_wake() */
	TASK_DONE,
};

/** A task. Its memory stays until the run is over, its coroutine until it is done. */
struct task {
	struct sched *sched; /* borrowed */
	struct coro *coro;   /* owned; NULL once done */
	const char *name;    /* borrowed */
	void (*body)(void *argument);
	void *argument;
	uint32_t number; /* from 1, in order of spawn */
	enum task_state state;
	bool is_announced; /* a SWITCH event has told its name */

	/* While it sleeps: */
	enum wait_kind wait_kind;
	const char *object_name;
	uint32_t object_id;
	const struct task *holder; /* may be NULL */
	uint32_t stack;            /* label, 0: none */
};

enum { TASKS_PER_CHUNK = 64, SCHED_REPORT_BYTES = 4096 };

struct sched {
	struct sched_options options; /* of the run in progress or the last one */
	struct gate gate;
	struct task *current;  /* NULL between steps */
	struct task *switched; /* told by the last SWITCH event */
	uint64_t steps;

	/** Tasks that are not done, in order of number. */
	struct task *live[SCHED_TASKS_MAX];
	uint32_t live_count;

	/** All tasks of the run, task n in chunk (n - 1) / TASKS_PER_CHUNK; kept from run to run.
	 */
	struct task **chunks;
	uint32_t chunk_count;
	uint32_t task_count;

	/** The scheduler's CHOICE_RUN point: who is enabled. */
	uint32_t actors[SCHED_TASKS_MAX];
	struct task *enabled[SCHED_TASKS_MAX];

	char report[SCHED_REPORT_BYTES];
};

/** The scheduler whose sched_run() is in progress, NULL when there is none. */
extern struct sched *sched_running;

/** Fill in the call-backs of the scheduler's gate. */
void sched_init_gate(struct sched *sched);

/** Write the report on stuck or unfinished tasks: `headline`, then a clause for each. */
void sched_report_tasks(struct sched *sched, const char *headline);

/** Write the report on a death: the dead task's name, then `text`. */
void sched_report_death(struct sched *sched, const struct task *task, const char *text);

/** Append to the report what arena_is_intact() found. */
void sched_report_damage(struct sched *sched, const char *damage);

#endif
