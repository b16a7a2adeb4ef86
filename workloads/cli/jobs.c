// SPDX-License-Identifier: MIT
/* One process a workload, because the injector and the engine know one world at a time, and because
 * a subject that takes its process down must not take the others with it.
 *
 * A child leaves its outcome in an anonymous file that the parent made for it: the summary and the
 * verdicts as they lie in memory (the reader is the same program), strings with their length before
 * them. A file, because a pipe would make a child that is done wait for its reader. Children end in
 * any order; the order of results is that of the names.
 *
 * Shares of a budget: runs and states are split evenly beforehand, so that they do not depend on
 * how many processes there are; time is what is left, over what is left to do. */
#include "workloads/cli/jobs.h"
#include "workloads/seconds.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STRING_BYTES_MAX = 64 << 20, VIOLATIONS_MAX = 4096 };

struct child {
	pid_t pid;  /* 0: not started, or ended */
	FILE *file; /* owned; its outcome is left here */
};

/* Jobs in progress. */
struct crew {
	const struct jobs *jobs;
	struct child *children; /* owned; one a job, in order */
	size_t started, ended;
	double begun; /* seconds_now() */
};

static void clear_progress(const struct jobs *jobs)
{
	if (jobs->shows_progress)
		fputs("\r\033[K", stderr);
}

static uint64_t even_share(uint64_t total, size_t count)
{
	uint64_t share = total / count;
	return total && !share ? 1 : share;
}

/* What job number `index`, begun now, may use. */
static struct budget share_of_budget(const struct crew *crew, size_t index)
{
	const struct jobs *jobs = crew->jobs;
	const struct budget *total = &jobs->options->budget;
	struct budget share = {
		.runs = even_share(total->runs, jobs->count),
		.states = even_share(total->states, jobs->count),
	};
	if (total->seconds <= 0)
		return share;
	double left = total->seconds - (seconds_now() - crew->begun);
	size_t jobs_left = jobs->count - index;
	size_t hands = jobs->at_a_time < jobs_left ? jobs->at_a_time : jobs_left;
	share.seconds = left * (double)hands / (double)jobs_left;
	if (share.seconds < 0.001)
		share.seconds = 0.001;
	return share;
}

static void run_one(const struct crew *crew, size_t index, struct sweep_outcome *outcome)
{
	const struct jobs *jobs = crew->jobs;
	struct progress progress = {
		.name = jobs->names[index] ? jobs->names[index] : "resumed",
		.is_shown = jobs->shows_progress && jobs->at_a_time == 1,
	};
	const struct sweep_plan plan = {
		.budget = share_of_budget(crew, index),
		.jobs = jobs->workers,
		.progress = &progress,
		.is_alone = jobs->count == 1,
	};
	sweep_workload(outcome, jobs->names[index], jobs->options, &plan);
}

static void send_string(FILE *file, const char *text)
{
	uint64_t bytes = text ? strlen(text) + 1 : 0;
	fwrite(&bytes, sizeof(bytes), 1, file);
	if (text)
		fwrite(text, 1, bytes, file);
}

static void send_outcome(FILE *file, const struct sweep_outcome *outcome)
{
	uint64_t count = outcome->violation_count;
	fwrite(&outcome->summary, sizeof(outcome->summary), 1, file);
	fwrite(&count, sizeof(count), 1, file);
	for (size_t i = 0; i < outcome->violation_count; i++) {
		const struct sweep_violation *violation = &outcome->violations[i];
		fwrite(violation, sizeof(*violation), 1, file);
		send_string(file, violation->schedule);
		send_string(file, violation->trace_path);
	}
	send_string(file, outcome->story);
}

static bool receive_string(FILE *file, char **text)
{
	uint64_t bytes = 0;
	*text = NULL;
	if (fread(&bytes, sizeof(bytes), 1, file) != 1 || bytes > STRING_BYTES_MAX)
		return false;
	if (!bytes)
		return true;
	*text = malloc(bytes);
	if (!*text)
		abort();
	if (fread(*text, 1, bytes, file) != bytes) {
		(*text)[0] = 0;
		return false;
	}
	(*text)[bytes - 1] = 0;
	return true;
}

static bool receive_outcome(FILE *file, struct sweep_outcome *outcome)
{
	uint64_t count = 0;
	*outcome = (struct sweep_outcome){ 0 };
	if (fread(&outcome->summary, sizeof(outcome->summary), 1, file) != 1 ||
	    fread(&count, sizeof(count), 1, file) != 1 || count > VIOLATIONS_MAX)
		return false;
	outcome->violations = calloc(count + 1, sizeof(*outcome->violations));
	if (!outcome->violations)
		abort();
	for (uint64_t i = 0; i < count; i++) {
		struct sweep_violation violation;
		if (fread(&violation, sizeof(violation), 1, file) != 1)
			return false;
		bool is_good = receive_string(file, &violation.schedule);
		violation.trace_path = NULL;
		is_good = is_good && receive_string(file, &violation.trace_path);
		outcome->violations[outcome->violation_count++] = violation;
		if (!is_good)
			return false;
	}
	return receive_string(file, &outcome->story);
}

/* Start the next child. One that cannot be started leaves nothing, and is blamed for it. */
static void start(struct crew *crew)
{
	size_t index = crew->started++;
	struct child *child = &crew->children[index];
	int descriptor = memfd_create("cowtip-outcome", MFD_CLOEXEC);
	fflush(NULL);
	child->file = descriptor < 0 ? NULL : fdopen(descriptor, "w+");
	pid_t pid = child->file ? fork() : -1;
	if (pid < 0)
		crew->ended++;
	else
		child->pid = pid;
	if (pid != 0)
		return;
	struct sweep_outcome outcome;
	run_one(crew, index, &outcome);
	send_outcome(child->file, &outcome);
	_exit(fclose(child->file) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* What became of a child that left no outcome. */
static void blame(struct sweep_outcome *outcome, const char *name, int wait_status)
{
	sweep_outcome_release(outcome);
	struct sweep_summary *summary = &outcome->summary;
	snprintf(summary->workload, sizeof(summary->workload), "%.63s", name);
	if (WIFSIGNALED(wait_status))
		summary->status = why_set(&summary->why, STATUS_IO,
					  "the process that swept '%s' was ended by signal %d",
					  name, WTERMSIG(wait_status));
	else
		summary->status = why_set(&summary->why, STATUS_IO,
					  "the process that swept '%s' left no result", name);
}

/* Take over what child `index` left. */
static void collect(struct crew *crew, size_t index, int wait_status, struct sweep_outcome *outcome)
{
	struct child *child = &crew->children[index];
	bool is_good = child->file && wait_status == 0;
	if (is_good) {
		rewind(child->file);
		is_good = receive_outcome(child->file, outcome);
	}
	if (!is_good)
		blame(outcome, crew->jobs->names[index], wait_status);
	if (child->file)
		fclose(child->file);
	*child = (struct child){ 0 };
}

/* Wait until any child ends, and collect it. */
static void collect_next(struct crew *crew, struct sweep_outcome *outcomes)
{
	int wait_status = 0;
	pid_t pid = waitpid(-1, &wait_status, 0);
	if (pid < 0 && errno == EINTR)
		return;
	for (size_t i = 0; i < crew->started; i++) {
		if (crew->children[i].pid != pid || pid <= 0)
			continue;
		collect(crew, i, wait_status, &outcomes[i]);
		crew->ended++;
		if (crew->jobs->shows_progress)
			fprintf(stderr, "\r%zu of %zu workloads ", crew->ended, crew->jobs->count);
		return;
	}
}

static void run_in_processes(struct crew *crew, struct sweep_outcome *outcomes)
{
	const struct jobs *jobs = crew->jobs;
	/* Whoever started us may have ignored it, and then there would be nothing to wait for. */
	signal(SIGCHLD, SIG_DFL);
	while (crew->ended < jobs->count) {
		while (crew->started < jobs->count &&
		       crew->started - crew->ended < jobs->at_a_time) {
			start(crew);
			size_t index = crew->started - 1;
			if (!crew->children[index].pid)
				collect(crew, index, EXIT_FAILURE << 8, &outcomes[index]);
		}
		if (crew->ended < crew->started)
			collect_next(crew, outcomes);
	}
}

void jobs_run(const struct jobs *jobs, struct sweep_outcome *outcomes)
{
	struct crew crew = { .jobs = jobs };
	assert(jobs->count && jobs->at_a_time);
	crew.children = calloc(jobs->count, sizeof(*crew.children));
	if (!crew.children)
		abort();
	crew.begun = seconds_now();
	if (jobs->at_a_time > 1)
		run_in_processes(&crew, outcomes);
	for (size_t i = 0; jobs->at_a_time == 1 && i < jobs->count; i++)
		run_one(&crew, i, &outcomes[i]);
	clear_progress(jobs);
	free(crew.children);
}
