// SPDX-License-Identifier: MIT
#include "injector/gate_program.h"

#include "injector/preload.h"
#include "injector/stream_tail.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	TAIL_BYTES = sizeof(struct stream_tail) + STREAM_TAIL_STAYING_BYTES,
	OUTPUT_CHUNK_BYTES = 1 << 16,
	/** Longer than the program takes to find out by itself that it does not rest. */
	PATIENCE_MILLISECONDS = (GATE_WIRE_REST_SECONDS + 5) * 1000,
};

static void close_end(int *end)
{
	if (*end >= 0)
		close(*end);
	*end = -1;
}

/* ---- the server ---- */

static void tail_path(char *path, size_t path_bytes, const char *prefix)
{
	snprintf(path, path_bytes, "%s" STREAM_TAIL_SUFFIX, prefix);
}

/** Make the tail of all runs. It is of no account when that fails: each makes its own. */
static struct stream_tail *make_tail(const char *prefix)
{
	char path[PATH_MAX];
	void *tail = MAP_FAILED;

	tail_path(path, sizeof(path), prefix);
	int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (file >= 0 && posix_fallocate(file, 0, TAIL_BYTES) == 0)
		tail = mmap(NULL, TAIL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (file >= 0)
		close(file);
	if (tail == MAP_FAILED)
		unlink(path);
	return tail == MAP_FAILED ? NULL : tail;
}

static void remove_tail(struct record_run *record, const char *prefix)
{
	char path[PATH_MAX];

	if (!record->tail)
		return;
	munmap(record->tail, TAIL_BYTES);
	record->tail = NULL;
	tail_path(path, sizeof(path), prefix);
	unlink(path);
}

enum status gated_server_start(struct gated_server *server, const struct record_options *options,
			       struct why *why)
{
	struct record_options serving = *options;
	int ends[2];

	*server = (struct gated_server){ .socket = -1 };
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return why_set(why, STATUS_IO, "cannot make a socket: %s", strerror(errno));
	serving.server = ends[1];
	/* Before the server looks for it. */
	server->record.tail = make_tail(options->prefix);
	enum status status = record_start(&serving, &server->record, why);
	close(ends[1]);
	server->socket = ends[0];
	server->started = status == STATUS_OK;
	if (!server->started) {
		close_end(&server->socket);
		remove_tail(&server->record, options->prefix);
	}
	return status;
}

void gated_server_stop(struct gated_server *server)
{
	char sign[sizeof(server->record.prefix) + 16];

	if (!server->started)
		return;
	close_end(&server->socket);
	kill(server->record.process, SIGKILL);
	while (waitpid(server->record.process, NULL, 0) < 0 && errno == EINTR)
		continue;
	remove_tail(&server->record, server->record.prefix);
	snprintf(sign, sizeof(sign), "%s" PRELOAD_SIGN_SUFFIX, server->record.prefix);
	unlink(sign);
	*server = (struct gated_server){ .socket = -1 };
}

/** Hand the order and the program's three ends over. */
static bool send_order(int socket, struct gate_order order, const int *ends)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(GATE_BIRTH_DESCRIPTORS * sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec piece = { .iov_base = &order, .iov_len = sizeof(order) };
	struct msghdr message = { .msg_iov = &piece,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(GATE_BIRTH_DESCRIPTORS * sizeof(int));
	memcpy(CMSG_DATA(header), ends, GATE_BIRTH_DESCRIPTORS * sizeof(int));
	return sendmsg(socket, &message, MSG_NOSIGNAL) == (ssize_t)sizeof(order);
}

/** Receive a message of the server; false: it is gone, or says nothing. */
static bool hear_server(const struct gated_server *server, void *message, size_t bytes)
{
	struct pollfd end = { .fd = server->socket, .events = POLLIN };
	int ready;

	do
		ready = poll(&end, 1, PATIENCE_MILLISECONDS);
	while (ready < 0 && errno == EINTR);
	return ready > 0 && recv(server->socket, message, bytes, 0) == (ssize_t)bytes;
}

/** There is no server: the program went its own way, or died before its first instruction. */
static enum status explain_no_server(struct gated_server *server,
				     const struct record_options *options, struct why *why)
{
	struct record_result result;

	record_result_init(&result);
	kill(server->record.process, SIGKILL);
	enum status status = record_finish(options, &server->record, &result, why);
	if (status == STATUS_OK)
		status = record_verify(&result, why);
	record_result_release(&result);
	server->started = false;
	close_end(&server->socket);
	remove_tail(&server->record, server->record.prefix);
	if (status != STATUS_OK)
		return status;
	return why_set(why, STATUS_UNSUPPORTED, "'%s' ended before its first instruction",
		       options->argv[0]);
}

/* ---- a run ---- */

/** Controller and program take turns, so they share the processor on which we are: waking somebody
 * on another takes longer than most steps. Returns its number; -1: it is not known. */
static int32_t stay_on_processor(struct gated_run *run)
{
	cpu_set_t one;
	int present = sched_getcpu();

	CPU_ZERO(&run->processors);
	if (present < 0 || present >= CPU_SETSIZE ||
	    sched_getaffinity(0, sizeof(run->processors), &run->processors) != 0)
		return -1;
	CPU_ZERO(&one);
	CPU_SET((size_t)present, &one);
	return sched_setaffinity(0, sizeof(one), &one) == 0 ? present : -1;
}

static void leave_processor(struct gated_run *run)
{
	if (CPU_COUNT(&run->processors) > 0)
		(void)!sched_setaffinity(0, sizeof(run->processors), &run->processors);
}

enum status gated_start(struct gated_run *run, struct gated_server *server,
			const struct record_options *options, struct why *why)
{
	return gated_start_with(run, server, options, 0, why);
}

enum status gated_start_with(struct gated_run *run, struct gated_server *server,
			     const struct record_options *options, unsigned flags, struct why *why)
{
	int input[2] = { -1, -1 }, output[2] = { -1, -1 }, control[2] = { -1, -1 };
	struct gate_birth birth = { .process = -1 };
	enum status status = STATUS_OK;

	*run = (struct gated_run){ .input = -1, .said = -1, .control = -1 };
	/* Its input is a socket because a pipe without a reader would end us. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, input) < 0 ||
	    pipe2(output, O_CLOEXEC) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) < 0 ||
	    fcntl(output[0], F_SETFL, O_NONBLOCK) < 0) {
		status = why_set(why, STATUS_IO, "cannot make a pipe: %s", strerror(errno));
		goto out;
	}
	const int ends[GATE_BIRTH_DESCRIPTORS] = { input[0], output[1], control[1] };
	const struct gate_order order = {
		.processor = stay_on_processor(run),
		.flags = flags | (options->known_count > 0 ? (unsigned)GATE_ORDER_KNOWN : 0)
	};
	if (server->record.tail)
		server->record.tail->used = server->record.tail->stream_bytes = 0;
	if (!send_order(server->socket, order, ends) || !hear_server(server, &birth, sizeof(birth)))
		status = explain_no_server(server, options, why);
	else if (birth.process < 0)
		status = why_set(why, STATUS_IO, "cannot start '%s' once more", options->argv[0]);
	else
		run->process = server->record.tail_process = birth.process;
out:
	close_end(&input[0]);
	close_end(&output[1]);
	close_end(&control[1]);
	run->input = input[1];
	run->said = output[0];
	run->control = control[0];
	return status;
}

/** Append what the program has said to the step's output. */
static void drain_output(struct gated_run *run)
{
	for (;;) {
		if (run->output_capacity - run->output_bytes < OUTPUT_CHUNK_BYTES + 1) {
			run->output_capacity = 2 * run->output_capacity + 2 * OUTPUT_CHUNK_BYTES;
			run->output = realloc(run->output, run->output_capacity);
			if (!run->output)
				abort();
		}
		ssize_t got = read(run->said, run->output + run->output_bytes, OUTPUT_CHUNK_BYTES);
		if (got < 0 && errno == EINTR)
			continue;
		run->output_bytes += got > 0 ? (size_t)got : 0;
		run->output[run->output_bytes] = '\0';
		if (got <= 0)
			return;
	}
}

static enum status judge_question(const struct gated_run *run, struct why *why)
{
	switch ((enum gate_ask_kind)run->ask.kind) {
	case GATE_ASK_REST: return STATUS_OK;
	case GATE_ASK_RESTLESS:
		return why_set(why, STATUS_UNSUPPORTED,
			       "the program does not come to rest: a thread of it runs on and on");
	case GATE_ASK_TIMERS:
		return why_set(why, STATUS_UNSUPPORTED,
			       "the program does not come to rest: it waits for its clock, again "
			       "and again");
	case GATE_ASK_CROWD:
		return why_set(why, STATUS_UNSUPPORTED,
			       "more than %d calls of the program wait at a time",
			       GATE_WIRE_CALLS_MAX);
	case GATE_ASK_UNTOLD:
		return why_set(why, STATUS_UNSUPPORTED,
			       "this kernel does not say when a thread sleeps "
			       "(/proc/PID/task/TID/syscall and schedstat), or the program has too "
			       "many threads");
	case GATE_ASK_UNMARKED:
		return why_set(why, STATUS_UNSUPPORTED,
			       "the program cannot be told from what it forks: there is no memory, "
			       "or the kernel does not know MADV_WIPEONFORK (Linux 4.14)");
	}
	return why_set(why, STATUS_UNSUPPORTED, "the program asks what nobody knows");
}

/** Is it a question of `bytes` bytes, as many as its count of calls says? */
static bool is_whole(const struct gate_ask *ask, ssize_t bytes)
{
	return bytes >= (ssize_t)offsetof(struct gate_ask, calls) &&
	       ask->count <= GATE_WIRE_CALLS_MAX &&
	       (size_t)bytes ==
		       offsetof(struct gate_ask, calls) + ask->count * sizeof(ask->calls[0]);
}

enum status gated_wait(struct gated_run *run, enum gated_state *state, struct why *why)
{
	struct pollfd ends[] = { { .fd = run->control, .events = POLLIN },
				 { .fd = run->said, .events = POLLIN } };

	run->output_bytes = 0;
	*state = GATED_ENDED;
	for (;;) {
		int ready = poll(ends, 2, PATIENCE_MILLISECONDS);
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			return why_set(why, STATUS_UNSUPPORTED,
				       "the program does not come to rest: its main thread does "
				       "not wait in its event loop");
		/* What was said before a question is there before the question is. */
		ssize_t got = ends[0].revents & (POLLIN | POLLHUP)
				      ? recv(run->control, &run->ask, sizeof(run->ask), 0)
				      : -1;
		if (ends[1].revents & POLLIN)
			drain_output(run);
		if (ends[1].revents & POLLHUP)
			ends[1].fd = -1;
		if (!(ends[0].revents & (POLLIN | POLLHUP)))
			continue;
		if (!is_whole(&run->ask, got))
			return STATUS_OK;
		*state = GATED_RESTS;
		return judge_question(run, why);
	}
}

static void answer(struct gated_run *run, const struct gate_answer *answer)
{
	/* A program that has died meanwhile shows at the next wait. */
	(void)!send(run->control, answer, sizeof(*answer), MSG_NOSIGNAL);
}

void gated_let_go(struct gated_run *run, uint32_t call)
{
	answer(run, &(struct gate_answer){ .call = call });
}

void gated_let_fail(struct gated_run *run, uint32_t call, const struct fault *fault)
{
	answer(run,
	       &(struct gate_answer){ .call = call, .error = fault->error, .bytes = fault->bytes });
}

void gated_feed(struct gated_run *run, const char *text)
{
	if (!text)
		close_end(&run->input);
	/* Shorter than what a socket takes at once, and this one is empty. */
	else if (send(run->input, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
		gated_kill(run);
	gated_go_on(run);
}

void gated_go_on(struct gated_run *run)
{
	answer(run, &(struct gate_answer){ .call = GATE_ANSWER_COMMAND });
}

void gated_terminate(struct gated_run *run)
{
	if (run->process > 0)
		kill(run->process, SIGTERM);
	answer(run, &(struct gate_answer){ .call = GATE_ANSWER_SIGNAL });
}

void gated_kill(struct gated_run *run)
{
	if (run->process > 0)
		kill(run->process, SIGKILL);
}

enum status gated_finish(struct gated_run *run, struct gated_server *server,
			 const struct record_options *options, struct record_result *result,
			 struct why *why)
{
	enum status status = STATUS_OK;
	struct gate_death death = { 0 };

	close_end(&run->input);
	close_end(&run->control);
	if (run->process > 0) {
		if (!hear_server(server, &death, sizeof(death)))
			status = explain_no_server(server, options, why);
		result->wait_status = death.wait_status;
	}
	leave_processor(run);
	if (run->process > 0 && status == STATUS_OK)
		status = record_collect(options, &server->record, result, why);
	close_end(&run->said);
	free(run->output);
	*run = (struct gated_run){ .input = -1, .said = -1, .control = -1 };
	return status;
}
