// SPDX-License-Identifier: MIT
/* A program that is run again and again is loaded and linked once.
 *
 * When our constructor runs, the program's libraries are there and linked, and nothing of its own
 * has run. As a server we stay in this constructor: each message of the controller brings the
 * descriptors of a run; a fork takes them, leaves the constructor, and becomes the program, while
 * the server waits for its end and tells. No thread has been started, so the fork is the whole
 * program.
 *
 * The server outlives a controller that was killed: it ends the program, and removes what the
 * controller would have. */
#include "injector/gate_wire.h"
#include "injector/preload.h"
#include "injector/preload_gate.h"
#include "injector/real.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ORPHANS_BYTES = 256 };

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
	static int32_t present = -1;
	cpu_set_t one;

	if (number < 0 || number >= CPU_SETSIZE || number == present)
		return;
	CPU_ZERO(&one);
	CPU_SET((size_t)number, &one);
	if (sched_setaffinity(0, sizeof(one), &one) == 0)
		present = number;
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
	unsetenv(GATE_FOLDER_VARIABLE);
	unsetenv("LD_BIND_NOW");
	/* Nor does it find the files as they were. */
	snprintf(number, sizeof(number), "%d:%u", GATE_WIRE_DESCRIPTOR,
		 flags & ~(unsigned)GATE_ORDER_KNOWN);
	setenv(GATE_WIRE_VARIABLE, number, 1);
	preload.known = (flags & GATE_ORDER_KNOWN) != 0;
	preload_tail_take();
	preload_gate_init();
}

/** Wait until the program has ended. When the controller has, the program is to follow. */
static int wait_for_end(pid_t process)
{
	int wait_status = 0;
	struct pollfd ends[] = { { .fd = pidfd_open(process, 0), .events = POLLIN },
				 { .fd = GATE_SERVER_DESCRIPTOR } };

	while (ends[0].fd >= 0 && poll(ends, 2, -1) < 0 && errno == EINTR)
		continue;
	if (ends[1].revents)
		kill(process, SIGKILL);
	while (waitpid(process, &wait_status, 0) < 0 && errno == EINTR)
		continue;
	if (ends[0].fd >= 0)
		real()->close(ends[0].fd);
	return wait_status;
}

/** End what the program has left running: orphans become children of ours. */
static void end_orphans(void)
{
	char numbers[ORPHANS_BYTES];
	pid_t gone;

	for (;;) {
		do
			gone = waitpid(-1, NULL, WNOHANG);
		while (gone > 0 || (gone < 0 && errno == EINTR));
		if (gone < 0)
			return;
		int file = real()->open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
		ssize_t got = file < 0 ? -1 : real()->read(file, numbers, sizeof(numbers) - 1);
		if (file >= 0)
			real()->close(file);
		if (got <= 0)
			return;
		numbers[got] = '\0';
		pid_t orphan = (pid_t)strtol(numbers, NULL, 10);
		kill(orphan, SIGKILL);
		while (waitpid(orphan, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
}

/** Remove the controller's folder: it has only files. */
static void remove_folder(const char *path)
{
	const struct dirent *entry;
	DIR *folder = path && *path ? opendir(path) : NULL;

	if (!folder)
		return;
	while ((entry = readdir(folder)))
		unlinkat(dirfd(folder), entry->d_name, 0);
	closedir(folder);
	rmdir(path);
}

/** Serve. Returns in forks only. */
static void serve(void)
{
	int ends[GATE_BIRTH_DESCRIPTORS];
	struct gate_order order;
	struct gate_death death;

	prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L);
	preload_tail_find();
	preload_gate_find();
	/* Threads that take turns need no memory of their own: three system calls less for each. */
	mallopt(M_ARENA_MAX, 1);
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
		death.wait_status = wait_for_end(process);
		preload_tail_look();
		end_orphans();
		if (send(GATE_SERVER_DESCRIPTOR, &death, sizeof(death), MSG_NOSIGNAL) < 0)
			break;
	}
	remove_folder(getenv(GATE_FOLDER_VARIABLE));
	_exit(0);
}

__attribute__((constructor)) static void serve_if_asked(void)
{
	preload_init();
	if (preload.on && getenv(GATE_SERVER_VARIABLE))
		serve();
}
