// SPDX-License-Identifier: MIT
/* The paragraph that says how a run ended. It is recorded in traces and compared between runs, so
 * it holds names and numbers of this run only, never an address.
 *
 * When tasks are left and none can go on, each waits for something, and most of these have a
 * holder, a task: who waits for whom is a graph in which everybody has one way out at most.
 *
 *     script -> write -> allocation 1 -> (a kick)       the chain ends: whom did nobody wake?
 *     a -> b -> a                                       no end: a deadlock
 *
 * So the kind of trouble is found by following the chains, and the report begins with where they
 * lead to (sleepers that a kick should have woken, then those for whom others wait); those who
 * merely wait behind come later:
 *
 *   deadlock           the chain comes back
 *   retry loop         it ends at a task that looks again and again (retry.c)
 *   abandoned lock     it ends at a task that is done
 *   lost wake-up       it ends at somebody asleep whom nobody is left to wake
 *
 * Of a sleeper at the end of a chain the report tells since which step it sleeps, and who served
 * its queue last: a wake-up that came before the sleep is the usual mistake.
 *
 * Holders are only compared until they prove to be tasks of this run: a lock may have been freed
 * under those who wait for it.
 */
#include "engine/scheduler/sched_private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/** Append to the report; what does not fit is cut. */
__attribute__((format(printf, 2, 3))) static void say(struct sched *sched, const char *format, ...)
{
	size_t used = strlen(sched->report);
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(sched->report + used, sizeof(sched->report) - used, format, arguments);
	va_end(arguments);
}

/* ---- who waits for whom ---- */

static bool is_waiting(const struct task *task)
{
	return task->state == TASK_SLEEPING || task->state == TASK_AT_LOCK ||
	       task->state == TASK_AT_LATCH;
}

static bool is_retrying(const struct task *task)
{
	bool is_kept_out = task->state == TASK_AT_LOCK && *task->awaited;
	return (task->retry.is_blocked || task->retry.had_last_try) && !is_kept_out;
}

const struct task *sched_holder_of(const struct sched *sched, const struct task *task)
{
	const struct task *holder = task->state == TASK_AT_LOCK ? *task->awaited : task->holder;
	const struct task *known = holder ? sched->newest : NULL;
	while (known && known != holder)
		known = known->older;
	return known;
}

static const struct task *holder_of(const struct sched *sched, const struct task *task)
{
	return is_waiting(task) ? sched_holder_of(sched, task) : NULL;
}

/** Follow the chain from a task that is not done: a task on the way round when it comes back, NULL
 * when it ends. */
static const struct task *find_cycle(const struct sched *sched, const struct task *task)
{
	for (uint32_t i = 0; i <= sched->live_count && task; i++)
		task = holder_of(sched, task);
	return task;
}

/** Does anybody wait for something that `task` holds? */
static bool is_waited_for(const struct sched *sched, const struct task *task)
{
	for (uint32_t i = 0; i < sched->live_count; i++)
		if (holder_of(sched, sched->live[i]) == task)
			return true;
	return false;
}

/** The last time that somebody served the queue in which `task` sleeps; NULL: nobody did, or not
 * lately. */
static const struct wake *find_wake(const struct sched *sched, const struct task *sleeper,
				    const struct task **waker)
{
	const struct wake *last = NULL;
	for (const struct task *task = sched->newest; task; task = task->older) {
		for (size_t i = 0; i < WAKES_KEPT; i++) {
			const struct wake *wake = &task->wakes[i];
			if (!wake->object_name || wake->object_id != sleeper->object_id ||
			    strcmp(wake->object_name, sleeper->object_name) != 0 ||
			    (last && wake->step <= last->step))
				continue;
			last = wake;
			*waker = task;
		}
	}
	return last;
}

/* ---- clauses ---- */

static void say_name(struct sched *sched, const struct task *task)
{
	if (!sched->blamed)
		sched->blamed = task;
	say(sched, "task %" PRIu32 " '%s'", task->number, task->name);
}

static void say_object(struct sched *sched, const struct task *task)
{
	if (task->wait_kind == WAIT_PARKED)
		say(sched, "is parked on '%s'", task->object_name);
	else
		say(sched, "waits for %s '%s'", wait_kind_name(task->wait_kind), task->object_name);
	if (task->object_id)
		say(sched, " %" PRIu32, task->object_id);
}

/** May a task have forgotten that it served a queue? */
static bool has_forgotten(const struct sched *sched)
{
	for (const struct task *task = sched->newest; task; task = task->older) {
		size_t used = 0;
		while (used < WAKES_KEPT && task->wakes[used].object_name)
			used++;
		if (used == WAKES_KEPT)
			return true;
	}
	return false;
}

static void say_last_wake(struct sched *sched, const struct task *sleeper)
{
	const struct task *waker = NULL;
	const struct wake *wake = find_wake(sched, sleeper, &waker);
	if (wake)
		say(sched, " (which task %" PRIu32 " '%s' woke in step %" PRIu64 "%s)",
		    waker->number, waker->name, wake->step,
		    wake->woken ? "" : ", when nobody waited there");
	else if (!has_forgotten(sched))
		say(sched, " (which nobody ever woke)");
}

static void say_wait(struct sched *sched, const struct task *task)
{
	const struct task *holder = holder_of(sched, task);
	say_object(sched, task);
	if (holder)
		say(sched, " held by task %" PRIu32 " '%s'%s", holder->number, holder->name,
		    holder->state == TASK_DONE ? ", which is done" : "");
	else if (task->wait_kind == WAIT_WRITE_LOCK)
		say(sched, " held by readers");
	else if (task->wait_kind == WAIT_READ_LOCK)
		say(sched, " behind one who waits to write");
}

static void say_task(struct sched *sched, const struct task *task)
{
	say_name(sched, task);
	say(sched, " ");
	if (is_waiting(task)) {
		say_wait(sched, task);
		if (holder_of(sched, task))
			return;
		say(sched, " since step %" PRIu64, task->ran_at);
		if (task->wait_kind == WAIT_QUEUE || task->wait_kind == WAIT_PARKED)
			say_last_wake(sched, task);
	} else if (is_retrying(task)) {
		say(sched,
		    "looks again and again since step %" PRIu64 " at what nobody is left to change",
		    task->retry.since);
	} else {
		say(sched, "%s",
		    task->state == TASK_AT_GATE ? "has an I/O call pending" : "is ready");
	}
}

/** The clauses so far: who was named, by place in the list of live tasks. */
struct clauses {
	bool named[SCHED_TASKS_MAX];
	bool any;
};

static void say_clause(struct sched *sched, struct clauses *clauses, uint32_t place)
{
	if (clauses->named[place])
		return;
	say(sched, clauses->any ? "; " : ": ");
	say_task(sched, sched->live[place]);
	clauses->named[place] = true;
	clauses->any = true;
}

/** Every task of a cycle, beginning with the lowest number. */
static void say_cycle(struct sched *sched, struct clauses *clauses, const struct task *member)
{
	const struct task *first = member;
	for (const struct task *task = holder_of(sched, member); task != member;
	     task = holder_of(sched, task))
		if (task->number < first->number)
			first = task;
	say(sched, clauses->any ? "; " : ": ");
	clauses->any = true;
	say_name(sched, first);
	const struct task *task = first;
	do {
		uint32_t place = 0;
		while (sched->live[place] != task)
			place++;
		clauses->named[place] = true;
		say(sched, task == first ? " " : ", which ");
		say_wait(sched, task);
		task = holder_of(sched, task);
	} while (task != first);
}

/* ---- the kind of a standstill ---- */

#define RETRY_LOOP "retry loop without progress"

/** Name those who go round. */
static void say_cycles(struct sched *sched, struct clauses *clauses)
{
	for (uint32_t i = 0; i < sched->live_count; i++) {
		const struct task *member = find_cycle(sched, sched->live[i]);
		uint32_t place = 0;
		if (!member)
			continue;
		while (sched->live[place] != member)
			place++;
		if (!clauses->named[place])
			say_cycle(sched, clauses, member);
	}
}

enum { RANKS = 5 };

/** How near the cause a task is, which is not on a cycle; 0: at it. */
static unsigned rank(const struct sched *sched, const struct task *task)
{
	const struct task *holder = holder_of(sched, task);
	if (is_retrying(task) || (holder && holder->state == TASK_DONE))
		return 0;
	if (holder)
		return RANKS - 1;
	if (task->wait_kind == WAIT_PARKED)
		return 1;
	return is_waited_for(sched, task) ? 2 : 3;
}

static const char *kind_of(const struct sched *sched)
{
	bool is_cycle = false, is_retry = false, is_abandoned = false;
	for (uint32_t i = 0; i < sched->live_count; i++) {
		const struct task *holder = holder_of(sched, sched->live[i]);
		is_cycle |= find_cycle(sched, sched->live[i]) != NULL;
		is_retry |= is_retrying(sched->live[i]);
		is_abandoned |= holder && holder->state == TASK_DONE;
	}
	if (is_cycle)
		return "deadlock";
	if (is_retry)
		return RETRY_LOOP;
	return is_abandoned ? "abandoned lock" : "lost wake-up";
}

enum run_end sched_report_stuck(struct sched *sched)
{
	struct clauses clauses = { .any = false };
	const char *kind = kind_of(sched);
	bool is_left = sched->first->state == TASK_DONE;
	sched->blamed = NULL;
	for (uint32_t i = 0; i < sched->live_count; i++)
		if (sched->live[i]->state == TASK_AT_LOCK)
			task_record_wait(sched->live[i]);
	say(sched, "%s%s", kind, is_left ? " after the end of the script" : "");
	say_cycles(sched, &clauses);
	for (unsigned i = 0; i < RANKS; i++)
		for (uint32_t place = 0; place < sched->live_count; place++)
			if (rank(sched, sched->live[place]) == i)
				say_clause(sched, &clauses, place);
	if (strcmp(kind, RETRY_LOOP) == 0)
		return RUN_LIVELOCK;
	return is_left ? RUN_LEAKED : RUN_DEADLOCK;
}

/* ---- the bound on steps ---- */

/** The step since which a task is what it is. */
static uint64_t since(const struct task *task)
{
	bool was_woken = !is_waiting(task) && task->enabled_by > task->ran_at;
	return was_woken ? task->enabled_by : task->ran_at;
}

/** Was the task passed over for the last half of the steps? */
static bool is_passed_over(const struct task *task, uint64_t steps_max)
{
	bool is_queued =
		is_waiting(task) && task->wait_kind != WAIT_QUEUE && task->wait_kind != WAIT_PARKED;
	return (is_queued || task_is_enabled(task)) && since(task) <= steps_max / 2;
}

/** Name one that never got on. */
static void say_starved(struct sched *sched, const struct task *task, uint64_t steps_max)
{
	say_name(sched, task);
	say(sched, " ");
	if (task_is_enabled(task))
		say(sched, "has been ready");
	else
		say_wait(sched, task);
	say(sched, " since step %" PRIu64 " of %" PRIu64 "%s", since(task), steps_max,
	    task_is_enabled(task) ? " and was never chosen" : "");
}

void sched_report_endless(struct sched *sched, uint64_t steps_max)
{
	struct clauses clauses = { .any = false };
	uint32_t ready = 0, passed = 0;
	sched->blamed = NULL;
	for (uint32_t i = 0; i < sched->live_count; i++) {
		if (!is_passed_over(sched->live[i], steps_max))
			continue;
		passed++;
		ready += task_is_enabled(sched->live[i]);
	}
	if (passed == 0)
		say(sched, "the bound of %" PRIu64 " steps was reached", steps_max);
	else
		say(sched, ready > 1 ? "unfair schedule" : "starvation");
	for (uint32_t i = 0; i < sched->live_count; i++) {
		if (!is_passed_over(sched->live[i], steps_max))
			continue;
		say(sched, clauses.any ? "; " : ": ");
		say_starved(sched, sched->live[i], steps_max);
		clauses.named[i] = true;
		clauses.any = true;
	}
	for (uint32_t i = 0; i < sched->live_count; i++)
		say_clause(sched, &clauses, i);
}

void sched_report_death(struct sched *sched, const struct task *task, const char *text)
{
	say(sched, "task %" PRIu32 " '%s': %s", task->number, task->name, text);
}

void sched_report_damage(struct sched *sched, const char *damage)
{
	say(sched, "%s%s", sched->report[0] ? "; and " : "", damage);
}
