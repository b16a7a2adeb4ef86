// SPDX-License-Identifier: MIT
#include "injector/gate_program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
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

enum status gated_start(struct gated_run *run, const struct record_options *options,
			struct why *why)
{
	int input[2] = { -1, -1 }, output[2] = { -1, -1 }, control[2] = { -1, -1 };
	struct record_options gated = *options;
	struct record_gate gate;
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
	gate = (struct record_gate){ .input = input[0],
				     .output = output[1],
				     .control = control[1] };
	gated.gate = &gate;
	status = record_start(&gated, &run->record, why);
	run->started = status == STATUS_OK;
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
	}
	return why_set(why, STATUS_UNSUPPORTED, "the program asks what nobody knows");
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
		drain_output(run);
		if (ends[1].revents & POLLHUP)
			ends[1].fd = -1;
		if (!(ends[0].revents & (POLLIN | POLLHUP)))
			continue;
		if (got != (ssize_t)sizeof(run->ask))
			return STATUS_OK;
		*state = GATED_RESTS;
		return judge_question(run, why);
	}
}

static void answer(struct gated_run *run, uint32_t call)
{
	const struct gate_answer answer = { .call = call };

	/* A program that has died meanwhile shows at the next wait. */
	(void)!send(run->control, &answer, sizeof(answer), MSG_NOSIGNAL);
}

void gated_let_go(struct gated_run *run, uint32_t call)
{
	answer(run, call);
}

void gated_feed(struct gated_run *run, const char *text)
{
	if (!text)
		close_end(&run->input);
	/* Shorter than what a socket takes at once, and this one is empty. */
	else if (send(run->input, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
		gated_kill(run);
	answer(run, GATE_ANSWER_COMMAND);
}

void gated_kill(struct gated_run *run)
{
	if (run->started)
		kill(run->record.process, SIGKILL);
}

enum status gated_finish(struct gated_run *run, const struct record_options *options,
			 struct record_result *result, struct why *why)
{
	enum status status = STATUS_OK;

	close_end(&run->input);
	close_end(&run->control);
	if (run->started)
		status = record_finish(options, &run->record, result, why);
	close_end(&run->said);
	free(run->output);
	*run = (struct gated_run){ .input = -1, .said = -1, .control = -1 };
	return status;
}
