// SPDX-License-Identifier: MIT
/* A program that is run again and again is loaded and linked once.
 *
 * When our constructor runs, the program's libraries are there and linked, and nothing of its own
 * has run. As a server we stay in this constructor: each message of the controller brings the
 * descriptors of a run; a fork takes them, leaves the constructor, and becomes the program, while
 * the server waits for its end and tells. No thread has been started, so the fork is the whole
 * program. */
#include "injector/gate_wire.h"
#include "injector/preload.h"
#include "injector/preload_gate.h"
#include "injector/real.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/** Receive the order of the next run, and its descriptors; false: there is none. */
static bool receive_order(struct gate_order *order, int *ends)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(GATE_BIRTH_DESCRIPTORS * sizeof(int))];
	} control;
	struct iovec piece = { .iov_base = order, .iov_len = sizeof(*order) };
	struct msghdr message = { .msg_iov = &piece,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };

	if (recvmsg(GATE_SERVER_DESCRIPTOR, &message, 0) != (ssize_t)sizeof(*order))
		return false;
	const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (!header || header->cmsg_type != SCM_RIGHTS ||
	    header->cmsg_len != CMSG_LEN(GATE_BIRTH_DESCRIPTORS * sizeof(int)))
		return false;
	memcpy(ends, CMSG_DATA(header), GATE_BIRTH_DESCRIPTORS * sizeof(int));
	return true;
}

static void close_ends(const int *ends)
{
	for (int i = 0; i < GATE_BIRTH_DESCRIPTORS; i++)
		real()->close(ends[i]);
}

/** Go to processor `number`, with all that is born from now on; anywhere when there is no such. */
static void move_to_processor(int32_t number)
{
	cpu_set_t one;

	if (number < 0 || number >= CPU_SETSIZE)
		return;
	CPU_ZERO(&one);
	CPU_SET((size_t)number, &one);
	(void)!sched_setaffinity(0, sizeof(one), &one);
}

/** In the fork: become the program, behind the gate. */
static void become_program(const int *ends, unsigned flags)
{
	char number[32];

	real()->dup2(ends[0], STDIN_FILENO);
	real()->dup2(ends[1], STDOUT_FILENO);
	real()->dup2(ends[1], STDERR_FILENO);
	real()->dup2(ends[2], GATE_WIRE_DESCRIPTOR);
	close_ends(ends);
	real()->close(GATE_SERVER_DESCRIPTOR);
	/* What it may exec(2) is no server but behind the same gate. */
	unsetenv(GATE_SERVER_VARIABLE);
	snprintf(number, sizeof(number), "%d:%u", GATE_WIRE_DESCRIPTOR, flags);
	setenv(GATE_WIRE_VARIABLE, number, 1);
	preload_leave_sign();
	preload_gate_init();
}

/** Serve. Returns in forks only. */
static void serve(void)
{
	int ends[GATE_BIRTH_DESCRIPTORS];
	struct gate_order order;
	struct gate_death death;

	while (receive_order(&order, ends)) {
		move_to_processor(order.processor);
		pid_t process = fork();
		if (process == 0) {
			become_program(ends, order.flags);
			return;
		}
		const struct gate_birth birth = { .process = process };
		close_ends(ends);
		if (send(GATE_SERVER_DESCRIPTOR, &birth, sizeof(birth), MSG_NOSIGNAL) < 0)
			break;
		if (process < 0)
			continue;
		while (waitpid(process, &death.wait_status, 0) < 0 && errno == EINTR)
			continue;
		if (send(GATE_SERVER_DESCRIPTOR, &death, sizeof(death), MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(0);
}

__attribute__((constructor)) static void serve_if_asked(void)
{
	preload_init();
	if (preload.on && getenv(GATE_SERVER_VARIABLE))
		serve();
}
