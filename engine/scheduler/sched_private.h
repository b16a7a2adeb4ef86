// SPDX-License-Identifier: MIT
/** What the scheduler's own files share: the task, the scheduler, and who calls whom. */
#ifndef ENGINE_SCHEDULER_SCHED_PRIVATE_H
#define ENGINE_SCHEDULER_SCHED_PRIVATE_H

#include "engine/coroutine/coro.h"
#include "engine/scheduler/retry.h"
#include "engine/scheduler/sched.h"
#include "injector/gate.h"

enum task_state {
	TASK_READY,
	TASK_RUNNING,
	TASK_AT_GATE,  /* its I/O call may take effect when it is picked */
	TASK_AT_LOCK,  /* ready as soon as nobody holds what it awaits */
	TASK_AT_LATCH, /* ready as soon as the count that it awaits is zero */
	TASK_SLEEPING, /* until task_wake() */
	TASK_DONE,
};

enum { WAKES_KEPT = 8 };

/** That a task served a queue, whether or not somebody waited there. */
struct wake {
	const char *object_name; /* NULL: none */
	uint32_t object_id;
	uint32_t woken; /* how many, in the step */
	uint64_t step;
};

/** A task. Its memory stays until the run is over, its coroutine until it is done. */
struct task {
	struct sched *sched; /* borrowed */
	struct coro *coro;   /* owned; NULL once done */
	const char *name;    /* borrowed */
	void (*body)(void *argument);
	void *argument;
	uint32_t number;     /* see sched_spawn() */
	uint32_t slot;       /* its place below SCHED_SLOTS, or SCHED_SLOTS: none */
	uint32_t children;   /* tasks that it spawned */
	uint64_t enabled_by; /* the step that spawned it or woke it last, from 1; 0: none since its
				last step */
	enum task_state state;
	bool is_announced; /* a SWITCH event has told its name */
	uint64_t ran_at;   /* its last step, from 1; 0: none yet */

	struct task *older; /* spawned before it in this run */

	uint64_t taken;            /* steps, this one included */
	const struct task *leader; /* see task_follow(); NULL: none */
	bool is_leader;

	const struct task *const *awaited; /* at a lock: enabled when this is NULL */
	uint32_t awaited_object;           /* the lock's instance in footprints */
	const uint32_t *awaited_count;     /* at a latch */

	/* While it sleeps or is at a lock: */
	enum wait_kind wait_kind;
	const char *object_name;
	uint32_t object_id;
	const struct task *holder; /* may be NULL */
	uint32_t stack;            /* label, 0: none */

	struct wake wakes[WAKES_KEPT]; /* of different queues, the last of each */
	struct retry retry;
};

enum { TASKS_PER_CHUNK = 64, SCHED_SLOTS = 512, SCHED_REPORT_BYTES = 4096 };

struct sched {
	struct sched_options options; /* of the run in progress or the last one */
	struct gate gate;
	struct task *current;  /* NULL between steps */
	struct task *switched; /* told by the last SWITCH event */
	uint64_t steps;

	/** Tasks that are not done, in order of number. */
	struct task *live[SCHED_TASKS_MAX];
	uint32_t live_count;

	/** Tasks that have a slot. */
	struct task slots[SCHED_SLOTS];

	/** Tasks without a slot, in order of spawn, TASKS_PER_CHUNK to a chunk; kept from run to
	 * run. */
	struct task **chunks;
	uint32_t chunk_count;
	uint32_t unslotted;

	uint32_t roots;      /* tasks that no task spawned */
	struct task *first;  /* the first of these */
	struct task *newest; /* the last that was spawned; the list of all begins here */

	/** The scheduler's CHOICE_RUN point: who is enabled. */
	uint32_t actors[SCHED_TASKS_MAX];
	struct task *enabled[SCHED_TASKS_MAX];

	const struct task *blamed; /* whom the report on a standstill names first */
	char report[SCHED_REPORT_BYTES];
};

/** The scheduler whose sched_run() is in progress, NULL when there is none. */
extern struct sched *sched_running;

/** Fill in the call-backs of the scheduler's gate. */
void sched_init_gate(struct sched *sched);

/** Write the report on a run in which tasks are left and none can go on. Returns what it is:
 * RUN_DEADLOCK, RUN_LEAKED or RUN_LIVELOCK. */
enum run_end sched_report_stuck(struct sched *sched);

/** Write the report on a run that went on for `steps_max` steps. */
void sched_report_endless(struct sched *sched, uint64_t steps_max);

/** Can the task be picked? */
bool task_is_enabled(const struct task *task);

/** Who has what a waiting task wants; NULL: nobody that is known. It may be done. */
const struct task *sched_holder_of(const struct sched *sched, const struct task *task);

/** Record what a task that is about to wait, or waits, waits for. */
void task_record_wait(const struct task *task);

/** Write the report on a death: the dead task's name, then `text`. */
void sched_report_death(struct sched *sched, const struct task *task, const char *text);

/** Append to the report what arena_is_intact() found. */
void sched_report_damage(struct sched *sched, const char *damage);

#endif
