// SPDX-License-Identifier: MIT
/* A worker is a fork of the program: it has the workload and the settings already. What crosses the
 * channel is a number of bytes and then as many, packed: a job and a budget one way, a status and a
 * ledger the other. The worker keeps nothing between two slices but its world, so it may die at any
 * time: either its result has arrived as a whole, or the job is still to be done. */
#include "workloads/cli/worker.h"

#include "workloads/cli/interrupt.h"
#include "workloads/world_snapshot.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LENGTH_BYTES = 8, MESSAGE_BYTES_MAX = 1 << 30 };

static bool write_bytes(int channel, const uint8_t *bytes, size_t count)
{
	while (count) {
		ssize_t written = send(channel, bytes, count, MSG_NOSIGNAL);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		bytes += written;
		count -= (size_t)written;
	}
	return true;
}

static bool read_bytes(int channel, uint8_t *bytes, size_t count)
{
	while (count) {
		ssize_t got = read(channel, bytes, count);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		bytes += got;
		count -= (size_t)got;
	}
	return true;
}

static bool send_message(int channel, const struct pack *message)
{
	struct pack length = { 0 };
	pack_number(&length, message->count);
	bool is_good = write_bytes(channel, length.bytes, length.count) &&
		       write_bytes(channel, message->bytes, message->count);
	pack_release(&length);
	return is_good;
}

/* Gives what `message` owns; false: the other side is gone. */
static bool receive_message(int channel, struct pack *message)
{
	uint8_t length[LENGTH_BYTES];
	*message = (struct pack){ 0 };
	if (!read_bytes(channel, length, sizeof(length)))
		return false;
	struct unpack header = { .bytes = length, .count = sizeof(length) };
	message->count = (size_t)unpack_number(&header, MESSAGE_BYTES_MAX);
	message->bytes = malloc(message->count + 1);
	if (!message->bytes)
		abort();
	if (!header.failed && read_bytes(channel, message->bytes, message->count))
		return true;
	pack_release(message);
	return false;
}

/* ---- in the worker ---- */

/* Do the job that `message` asks for. */
static enum status do_job(struct world *world, const struct worker_task *task,
			  const struct pack *message, struct ledger *part, struct why *why)
{
	struct unpack order = { .bytes = message->bytes, .count = message->count };
	struct open_job job = { .text = unpack_text(&order) };
	job.weight = unpack_real(&order);
	struct slice_options options = {
		.models = task->settings->models,
		.sector_bytes = task->settings->sector_bytes,
		.list_dirty = task->settings->recovery > 0,
		.executions = task->executions,
		.stop = task->stop,
	};
	options.budget.runs = unpack_number(&order, UINT64_MAX);
	options.budget.states = unpack_number(&order, UINT64_MAX);
	options.budget.seconds = unpack_real(&order);
	enum status status = slice_explore(world, &job, &options, part, why);
	free(job.text);
	return status;
}

static bool send_result(int channel, enum status status, const struct why *why,
			const struct ledger *part)
{
	struct pack message = { 0 };
	pack_number(&message, status);
	pack_text(&message, why->text);
	ledger_pack(part, &message);
	bool is_good = send_message(channel, &message);
	pack_release(&message);
	return is_good;
}

/* Do jobs until the channel is closed. */
static void work(int channel, const struct worker_task *task)
{
	struct world *world = NULL;
	struct pack message;
	struct why why = { "" };
	struct world_options options = task->settings->world;
	options.snapshot_every = WORLD_SNAPSHOTS_EVERY;
	if (task->stop)
		interrupt_catch_always();
	settings_enable_bugs(task->settings);
	enum status status = world_new(&world, task->workload, &options, &why);
	while (receive_message(channel, &message)) {
		struct ledger part = { 0 };
		if (status == STATUS_OK)
			status = do_job(world, task, &message, &part, &why);
		bool is_heard = send_result(channel, status, &why, &part);
		pack_release(&message);
		ledger_release(&part);
		/* Somebody told this process alone to end. */
		if (!is_heard || (task->stop && *task->stop))
			break;
	}
	world_free(world);
}

/* ---- in the one that it works for ---- */

enum status worker_start(struct worker *worker, const struct worker_task *task,
			 const struct worker *others, size_t other_count, struct why *why)
{
	int ends[2];
	*worker = (struct worker){ 0 };
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return why_set(why, STATUS_IO, "cannot start a process: %s", strerror(errno));
	fflush(NULL);
	pid_t pid = fork();
	if (pid < 0) {
		int error = errno;
		close(ends[0]);
		close(ends[1]);
		return why_set(why, STATUS_IO, "cannot start a process: %s", strerror(error));
	}
	if (pid == 0) {
		/* Whoever waits for the answers may die, too. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ends[0]);
		for (size_t i = 0; i < other_count; i++)
			if (others[i].pid)
				close(others[i].channel);
		work(ends[1], task);
		_exit(EXIT_SUCCESS);
	}
	close(ends[1]);
	worker->pid = pid;
	worker->channel = ends[0];
	return STATUS_OK;
}

bool worker_give(struct worker *worker, const struct open_job *job, const struct budget *budget)
{
	struct pack message = { 0 };
	worker->job = *job;
	worker->budget = *budget;
	worker->is_busy = true;
	pack_text(&message, job->text);
	pack_real(&message, job->weight);
	pack_number(&message, budget->runs);
	pack_number(&message, budget->states);
	pack_real(&message, budget->seconds);
	bool is_heard = send_message(worker->channel, &message);
	pack_release(&message);
	return is_heard;
}

enum status worker_collect(struct worker *worker, struct ledger *ledger, struct forecast *forecast,
			   struct why *why)
{
	struct pack message;
	struct ledger part = { 0 };
	if (!receive_message(worker->channel, &message))
		return why_set(why, STATUS_IO, "a worker died");
	struct unpack answer = { .bytes = message.bytes, .count = message.count };
	enum status status = (enum status)unpack_number(&answer, STATUS_DIVERGED);
	unpack_short_text(&answer, why->text, sizeof(why->text));
	bool is_good = ledger_unpack(&part, &answer);
	pack_release(&message);
	if (!is_good)
		return why_set(why, STATUS_IO, "a worker's answer makes no sense");
	forecast_learn(forecast, &worker->job, &part);
	ledger_add(ledger, &part);
	ledger_release(&part);
	free(worker->job.text);
	worker->job = (struct open_job){ 0 };
	worker->is_busy = false;
	return status == STATUS_IO ? STATUS_BAD_INPUT : status;
}

void worker_interrupt(const struct worker *worker)
{
	if (worker->pid)
		kill(worker->pid, SIGTERM);
}

void worker_end(struct worker *worker)
{
	if (!worker->pid)
		return;
	close(worker->channel);
	while (waitpid(worker->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(worker->job.text);
	*worker = (struct worker){ 0 };
}
