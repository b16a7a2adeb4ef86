// SPDX-License-Identifier: MIT
/* The paragraph that says how a run ended. It is recorded in traces and compared between runs, so
 * it holds names and numbers of this run only, never an address.
 */
#include "engine/scheduler/sched_private.h"

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

static void say_wait(struct sched *sched, const struct task *task)
{
	if (task->wait_kind == WAIT_PARKED)
		say(sched, "is parked on '%s'", task->object_name);
	else
		say(sched, "waits for %s '%s'", wait_kind_name(task->wait_kind), task->object_name);
	if (task->object_id)
		say(sched, " %u", task->object_id);
	if (task->holder)
		say(sched, ", held by task %u '%s'", task->holder->number, task->holder->name);
}

static void say_task(struct sched *sched, const struct task *task)
{
	say(sched, "task %u '%s' ", task->number, task->name);
	switch (task->state) {
	case TASK_READY:
	case TASK_RUNNING: say(sched, "is ready"); break;
	case TASK_AT_GATE: say(sched, "has an I/O call pending"); break;
	case TASK_SLEEPING: say_wait(sched, task); break;
	case TASK_DONE: say(sched, "is done"); break;
	}
}

void sched_report_tasks(struct sched *sched, const char *headline)
{
	say(sched, "%s", headline);
	for (uint32_t i = 0; i < sched->live_count; i++) {
		say(sched, i ? "; " : ": ");
		say_task(sched, sched->live[i]);
	}
}

void sched_report_death(struct sched *sched, const struct task *task, const char *text)
{
	say(sched, "task %u '%s': %s", task->number, task->name, text);
}

void sched_report_damage(struct sched *sched, const char *damage)
{
	say(sched, "%s%s", sched->report[0] ? "; and " : "", damage);
}
