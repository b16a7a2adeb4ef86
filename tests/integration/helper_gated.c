// SPDX-License-Identifier: MIT
/* A program that behaves badly at the gate, each way under its name (`both`, `hidden`, `unbound`,
 * `signal` and `farewell` behave well).
 *
 * usage: helper_gated MODE IMAGE      reads commands as qemu-io does; the first makes it misbehave
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>
#include <unistd.h>

static void *spin(void *nothing)
{
	volatile unsigned turns = 0;
	(void)nothing;
	for (;;)
		turns++;
	return NULL;
}

/* Wait for a command like an event loop; false: there are no more. */
static int next_command(void)
{
	char line[200];
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	while (poll(&input, 1, -1) < 0)
		;
	return read(STDIN_FILENO, line, sizeof(line)) > 0;
}

static int image, finished[2];

static void *write_beside(void *nothing)
{
	(void)nothing;
	if (pwrite(image, "t", 1, 70000) != 1 || write(finished[1], "", 1) != 1)
		abort();
	return NULL;
}

static int write_beside_hidden(void *nothing)
{
	write_beside(nothing);
	return 0;
}

/* A worker writes, and the main thread; then an event loop waits for the worker. `is_hidden`: libc
 * makes the thread by itself, past pthread_create(). */
static void write_from_both(int is_hidden)
{
	pthread_t thread;
	thrd_t hidden;
	struct pollfd end;
	if (pipe(finished) != 0)
		abort();
	if (is_hidden ? thrd_create(&hidden, write_beside_hidden, NULL) != thrd_success
		      : pthread_create(&thread, NULL, write_beside, NULL) != 0)
		abort();
	if (pwrite(image, "m", 1, 70001) != 1)
		abort();
	end = (struct pollfd){ .fd = finished[0], .events = POLLIN };
	while (poll(&end, 1, -1) < 1)
		;
	if (is_hidden)
		thrd_join(hidden, NULL);
	else
		pthread_join(thread, NULL);
	puts("wrote 512/512 bytes at offset 0");
}

/* Let all threads run on any processor. */
static void unbind(void)
{
	cpu_set_t all;
	CPU_ZERO(&all);
	for (size_t number = 0; number < CPU_SETSIZE; number++)
		CPU_SET(number, &all);
	if (sched_setaffinity(0, sizeof(all), &all) != 0)
		abort();
}

static void write_in_handler(int number)
{
	(void)number;
	if (pwrite(image, "s", 1, 70002) != 1)
		abort();
}

/* A signal comes to a worker that waits with a write. */
static void interrupt_write(void)
{
	static pthread_cond_t nobody = PTHREAD_COND_INITIALIZER;
	const struct sigaction action = { .sa_handler = write_in_handler };
	pthread_t thread;
	struct pollfd end;
	if (pipe(finished) != 0 || sigaction(SIGUSR1, &action, NULL) != 0 ||
	    pthread_create(&thread, NULL, write_beside, NULL) != 0)
		abort();
	/* Returns when the worker has come so far. */
	pthread_cond_signal(&nobody);
	pthread_kill(thread, SIGUSR1);
	end = (struct pollfd){ .fd = finished[0], .events = POLLIN };
	while (poll(&end, 1, -1) < 1)
		;
	pthread_join(thread, NULL);
	puts("wrote 512/512 bytes at offset 0");
}

/* What is written into it stays in memory until libc flushes it. */
static FILE *diary;

static void write_at_exit(void)
{
	fputs("at exit\n", diary);
}

__attribute__((destructor)) static void write_at_end(void)
{
	if (diary)
		fputs("in the end\n", diary);
}

/* Leave a good deal to be done behind main(). */
static void say_farewell(void)
{
	const char *path = getenv("HELPER_DIARY");
	diary = path ? fopen(path, "w") : NULL;
	if (!diary || atexit(write_at_exit) != 0)
		abort();
	fputs("before\n", diary);
	puts("wrote 512/512 bytes at offset 0");
}

static void misbehave(const char *mode)
{
	pthread_t thread;
	struct pollfd nothing = { .fd = -1 };
	if (strcmp(mode, "spin") == 0)
		pthread_create(&thread, NULL, spin, NULL);
	else if (strcmp(mode, "abort") == 0)
		abort();
	else if (strcmp(mode, "leave") == 0)
		exit(7);
	else if (strcmp(mode, "lie") == 0)
		puts("wrote 512/512 bytes at offset 77");
	else if (strcmp(mode, "dumb") == 0)
		puts("I do not know that word");
	else if (strcmp(mode, "both") == 0)
		write_from_both(0);
	else if (strcmp(mode, "hidden") == 0)
		write_from_both(1);
	else if (strcmp(mode, "unbound") == 0) {
		unbind();
		write_from_both(0);
	} else if (strcmp(mode, "signal") == 0)
		interrupt_write();
	else if (strcmp(mode, "farewell") == 0)
		say_farewell();
	else if (strcmp(mode, "stuck") == 0)
		poll(&nothing, 1, -1);
	else if (strcmp(mode, "timer") == 0)
		for (;;)
			poll(&nothing, 1, 1);
	else if (strcmp(mode, "busy") == 0)
		for (;;)
			poll(&nothing, 1, 0);
}

int main(int argc, char **argv)
{
	image = argc == 3 ? open(argv[2], O_RDWR) : -1;
	if (image < 0)
		return 1;
	while (next_command())
		misbehave(argv[1]);
	return 0;
}
