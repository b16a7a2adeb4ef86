// SPDX-License-Identifier: MIT
/* The recorder's life in a foreign program: when it begins, what a fork does to it, when it ends.
 *
 * The stream is written by preload_tail.c: when the program is killed, what was recorded is on
 * file. It is begun when the first file is watched, so a program that opens no image leaves no
 * stream; that the library was there at all is told by an empty file "<prefix>.loaded".
 *
 * A forked child goes on with descriptors that are watched already. It gets a stream of its own,
 * with the files as they are at its first call. A child of vfork(2) shares our memory and must not
 * change it: recorder_is_owner() tells. */
#include "injector/preload.h"

#include "injector/io_call.h"
#include "injector/preload_gate.h"
#include "injector/preload_threads.h"
#include "injector/real.h"
#include "injector/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STREAM_DESCRIPTOR_LOWEST = 400, NAMES_PER_PROCESS = 1000, SUBJECT_BYTES = 4096 };

struct preload_state preload = { .stream = -1 };

/* Held for moments only: a thread that finds it taken looks again for a while before it sleeps. */
static pthread_mutex_t lock = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static __thread int lock_depth;
static __thread int cancel_depth;
static __thread int cancel_state;

void preload_defer_cancel(void)
{
	if (cancel_depth++ == 0)
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
}

void preload_allow_cancel(void)
{
	if (--cancel_depth == 0)
		pthread_setcancelstate(cancel_state, NULL);
}

/* A thread cancelled inside a write(2) would take the lock with it. */
void preload_lock(void)
{
	if (lock_depth == 0) {
		preload_defer_cancel();
		pthread_mutex_lock(&lock);
	}
	lock_depth++;
}

void preload_unlock(void)
{
	if (--lock_depth > 0)
		return;
	pthread_mutex_unlock(&lock);
	preload_allow_cancel();
}

void preload_wait(pthread_cond_t *condition)
{
	pthread_cond_wait(condition, &lock);
}

void recorder_hold(void)
{
	preload_lock();
}

void recorder_let_go(void)
{
	preload_unlock();
}

static void forget_stream(void)
{
	if (preload.stream >= 0)
		real()->close(preload.stream);
	preload_tail_forget();
	preload.stream = -1;
	preload.problem = false;
	preload.known = false;
	preload.events = 0;
	preload.process = getpid();
	for (uint16_t file = 0; file < preload.file_count; file++)
		preload.files[file].declared = false;
}

static void after_fork_in_child(void)
{
	static const pthread_mutex_t unlocked = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;

	lock = unlocked;
	watch_after_fork();
	preload_ranges_after_fork();
	forget_stream();
	if (--lock_depth == 0)
		preload_allow_cancel();
}

/** Leave the empty file that tells that the library is there. */
static void leave_sign(void)
{
	char path[PRELOAD_PATH_BYTES + 16];

	snprintf(path, sizeof(path), "%s" PRELOAD_SIGN_SUFFIX, preload.prefix);
	int sign = real()->open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (sign >= 0)
		real()->close(sign);
}

static void init(void)
{
	const char *prefix = getenv(PRELOAD_PREFIX_VARIABLE);
	const char *images = getenv(PRELOAD_IMAGES_VARIABLE);
	const char *stacks = getenv(PRELOAD_STACKS_VARIABLE);

	preload.process = getpid();
	if (!prefix || prefix[0] == '\0' || strlen(prefix) >= sizeof(preload.prefix))
		return;
	memcpy(preload.prefix, prefix, strlen(prefix) + 1);
	preload.images = images && images[0] != '\0' ? images : NULL;
	preload.stacks = stacks && strcmp(stacks, "1") == 0;
	preload.on = true;
	leave_sign();
	pthread_atfork(preload_lock, preload_unlock, after_fork_in_child);
	preload_gate_init();
}

__attribute__((constructor)) void preload_init(void)
{
	pthread_once(&once, init);
}

static const struct trace_sink sink = { .put = preload_tail_put };

/** The program's command line, with spaces between the arguments. */
static void read_subject(char *subject, size_t subject_bytes)
{
	int file = real()->open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t got = file < 0 ? 0 : real()->read(file, subject, subject_bytes - 1);

	if (file >= 0)
		real()->close(file);
	if (got < 0)
		got = 0;
	while (got > 0 && subject[got - 1] == '\0')
		got--;
	for (ssize_t i = 0; i < got; i++)
		if (subject[i] == '\0')
			subject[i] = ' ';
	subject[got] = '\0';
}

/** Create the stream's file. A process that called exec(2) finds the name taken. */
static int create_stream(void)
{
	char path[PRELOAD_PATH_BYTES + 64];
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
	int stream = -1;

	for (int number = 0; stream < 0 && number < NAMES_PER_PROCESS; number++) {
		char suffix[16] = "";
		if (number > 0)
			snprintf(suffix, sizeof(suffix), ".%d", number);
		snprintf(path, sizeof(path), "%s.%ld%s.stream", preload.prefix, (long)getpid(),
			 suffix);
		stream = real()->open(path, flags, 0600);
		if (stream < 0 && errno != EEXIST)
			return -1;
	}
	if (stream < 0)
		return -1;
	preload_tail_open(path);
	/* Low numbers are for the program: it may count on what it gets. */
	int high = real()->fcntl(stream, F_DUPFD_CLOEXEC, (long)STREAM_DESCRIPTOR_LOWEST);
	if (high < 0)
		return stream;
	real()->close(stream);
	return high;
}

/** The recording cannot go on. Nobody may take what there is for all there was. */
static void give_up(const char *what)
{
	char line[PRELOAD_PATH_BYTES + 128];
	int length = snprintf(line, sizeof(line), "cowtip: cannot record to '%s.*': %s: %s\n",
			      preload.prefix, what, strerror(errno));

	preload.on = false;
	if (length > 0)
		(void)!real()->write(STDERR_FILENO, line, (size_t)length);
}

const struct trace_sink *preload_sink(void)
{
	char subject[SUBJECT_BYTES];

	if (preload.stream >= 0)
		return &sink;
	preload.stream = create_stream();
	if (preload.stream < 0) {
		give_up("create");
		return NULL;
	}
	read_subject(subject, sizeof(subject));
	if (trace_put_begin(&sink, subject) != STATUS_OK ||
	    (preload.known &&
	     trace_put_setting(&sink, PRELOAD_KNOWN_SETTING, "yes") != STATUS_OK)) {
		give_up("write");
		return NULL;
	}
	preload_declare_files();
	return preload.on ? &sink : NULL;
}

void preload_problem(const char *text)
{
	preload_lock();
	if (preload.on && !preload.problem && preload_sink()) {
		preload.problem = true;
		if (trace_put_setting(&sink, PRELOAD_PROBLEM_SETTING, text) != STATUS_OK)
			give_up("write");
	}
	preload_unlock();
}

__attribute__((destructor)) static void end(void)
{
	preload_lock();
	if (preload.on && preload.stream >= 0 && preload.process == getpid()) {
		/* The program ended by itself: what it leaves behind is what it meant to leave. */
		struct event finished = { .kind = EVENT_END, .op = RUN_FINISHED };
		if (trace_put_event(&sink, &finished, NULL, 0) != STATUS_OK ||
		    trace_put_end(&sink, preload.events + 1) != STATUS_OK ||
		    preload_tail_end() != STATUS_OK)
			give_up("write");
		preload.on = false;
	}
	preload_unlock();
	preload_gate_leave();
}

bool recorder_owns(int descriptor)
{
	return descriptor >= 0 && (descriptor == preload.stream || preload_gate_owns(descriptor));
}

void recorder_move_away(int descriptor)
{
	preload_lock();
	if (descriptor >= 0 && descriptor == preload.stream) {
		int other =
			real()->fcntl(descriptor, F_DUPFD_CLOEXEC, (long)STREAM_DESCRIPTOR_LOWEST);
		preload.stream = other;
		if (other < 0)
			give_up("move descriptor");
	}
	if (preload_threads_own(descriptor))
		preload_threads_lose();
	preload_unlock();
}

bool recorder_is_owner(void)
{
	return !preload.on || preload.process == getpid();
}
