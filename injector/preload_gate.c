// SPDX-License-Identifier: MIT
/* The gate inside a foreign program.
 *
 *      worker thread                 main thread                         controller
 *      pwrite() ... waits            ppoll(): nothing is ready
 *                                    all others sleep (preload_rest.c)
 *                                    "these wait; I would read" ------->  picks one
 *      goes on  <------------------  lets it go  <----------------------  "number 2"
 *      writes, tells main, sleeps    waits until all sleep, polls again
 *
 * So at any time one thread does something, and everything the program does between two answers
 * follows from the answers: nothing is left to the kernel's scheduler.
 *
 * Waking a worker makes two threads run. So whatever wakes one on the main thread
 * (pthread_cond_signal and its like, interposed here) returns only when all others sleep again. A
 * thread pool that has just signalled its only idle worker would otherwise still count it as idle
 * when the next call comes, and queue that one behind it: both orders of the two calls could not
 * happen any more, depending on luck.
 *
 * Only the main thread asks, and only when its event loop would sleep. Calls of the main thread
 * itself go straight through; or, when the controller wants all, it asks in front of each of them,
 * too, and lets others go before it when it is told so. With split completions a call waits once
 * more when it has taken effect. A program whose main thread waits elsewhere never asks; the
 * controller gives it up after a time.
 *
 * The recording is complete when the recorder's destructor has run. What the destructors of other
 * libraries would do behind it, nobody would see, and each of them touches pages that a fork has to
 * copy first: more than a tenth of a millisecond in all. So the process ends there, with the status
 * that it called exit(3) with and its streams flushed. */
#include "injector/preload_gate.h"

#include "injector/digest.h"
#include "injector/gate.h"
#include "injector/gate_wire.h"
#include "injector/intercept.h"
#include "injector/preload.h"
#include "injector/preload_rest.h"
#include "injector/preload_threads.h"
#include "injector/real.h"
#include "injector/recorder.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	MAIN_ACTOR = 1,
	EXIT_GIVEN_UP = 3,
	OUTPUT_BUFFER_BYTES = 1 << 15,
};

/** A call that waits; on its thread's stack. */
struct waiter {
	struct event submitted; /* as it will be recorded */
	uint64_t hash;          /* of what it writes */
	uint64_t arrival;
	bool returns;       /* it waits for the second time */
	const char *point;  /* may be NULL */
	struct fault fault; /* with which it may go on */
	uint32_t open;      /* the futex: 1 when it may go on */
	uint32_t seat;      /* of its thread */
	struct waiter *next;
};

static struct {
	const bool *on; /* NULL: no; one page, which a fork does not inherit */
	unsigned flags; /* set of GATE_ORDER bits */
	pid_t main_thread;
	pthread_mutex_t lock; /* for `waiting` and `arrivals` */
	struct waiter *waiting;
	uint64_t arrivals;
	bool used[GATE_WIRE_CALLS_MAX + 1]; /* lanes; main thread only */
	uint32_t polls, timers;             /* in a row */
	bool exits_are_noted;               /* exit(3) will come to note_exit() */
	bool exits;                         /* it was called, with `exit_status` */
	int exit_status;
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Of the calling thread: the call that it is about to wait with, and the names under which the last
 * one went through. */
static __thread struct event arriving;
static __thread uint32_t signed_actor, signed_id;
static __thread struct fault arranged;
static __thread pid_t own_thread;

static bool is_main_thread(void)
{
	if (own_thread == 0)
		own_thread = (pid_t)syscall(SYS_gettid);
	return own_thread == gate.main_thread;
}

static bool is_on(void)
{
	return gate.on && *gate.on;
}

static bool is_gated_main(void)
{
	return is_on() && is_main_thread();
}

bool preload_gate_holds(void)
{
	return is_on() && !is_main_thread();
}

bool preload_gate_owns(int descriptor)
{
	return is_on() && (descriptor == GATE_WIRE_DESCRIPTOR || preload_threads_own(descriptor));
}

bool preload_gate_sign(struct event *event)
{
	if (!preload_gate_holds())
		return true;
	if (event->kind == EVENT_IO_SUBMITTED) {
		arriving = *event;
		return false;
	}
	event->actor = signed_actor;
	event->id = signed_id;
	return true;
}

/* ---- the calls that wait ---- */

static void ask_in_call(void);

static uint64_t content_hash(const struct io_call *call)
{
	return call->op == IO_WRITE ? digest_vector(call->vector, (size_t)call->length) : 0;
}

static void enter_gate(struct waiter *waiter)
{
	pthread_mutex_lock(&gate.lock);
	waiter->arrival = ++gate.arrivals;
	waiter->next = gate.waiting;
	gate.waiting = waiter;
	pthread_mutex_unlock(&gate.lock);
}

/** Sleep until the main thread lets the call go. Signals are handled then. */
static void sleep_at_gate(struct waiter *waiter)
{
	sigset_t all, usual;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &usual);
	waiter->seat = preload_threads_seat();
	enter_gate(waiter);
	preload_threads_park(waiter->seat);
	while (!__atomic_load_n(&waiter->open, __ATOMIC_ACQUIRE))
		syscall(SYS_futex, &waiter->open, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	pthread_sigmask(SIG_SETMASK, &usual, NULL);
}

/** Wait for the controller's word: the main thread asks for it on the thread's behalf, or, when it
 * is the main thread itself, here. */
static void wait_for_turn(struct waiter *waiter)
{
	if (!is_main_thread()) {
		sleep_at_gate(waiter);
		return;
	}
	enter_gate(waiter);
	while (!waiter->open)
		ask_in_call();
}

static void wait_at_gate(void *context, const struct io_call *call)
{
	struct waiter waiter = { .submitted = arriving,
				 .hash = content_hash(call),
				 .point = call->point };

	(void)context;
	/* The main thread has recorded its call's submission already, under its own name. */
	if (is_main_thread())
		waiter.submitted = (struct event){ .op = (uint8_t)call->op,
						   .actor = MAIN_ACTOR,
						   .file = call->file,
						   .host_offset = call->host_offset,
						   .length = call->length };
	wait_for_turn(&waiter);
	signed_actor = waiter.submitted.actor;
	signed_id = waiter.submitted.id;
	arranged = waiter.fault;
}

/** The call took effect: it may return, or waits once more, under the same name. */
static void wait_to_return(void *context, const struct io_call *call)
{
	(void)context;
	if (!(gate.flags & GATE_ORDER_SPLIT))
		return;
	struct waiter waiter = { .submitted = { .op = (uint8_t)call->op,
						.actor = signed_actor,
						.id = signed_id,
						.file = call->file,
						.host_offset = call->host_offset,
						.length = call->length },
				 .hash = content_hash(call),
				 .returns = true };
	wait_for_turn(&waiter);
}

static struct fault take_fault(void *context)
{
	(void)context;
	return arranged;
}

static uint32_t held_actor(void *context)
{
	(void)context;
	if (preload_gate_holds())
		return MAIN_ACTOR + 1;
	return (gate.flags & GATE_ORDER_ALL) && is_gated_main() ? MAIN_ACTOR : 0;
}

/** The order of identities: what the call is, never who makes it. The last resort is the order of
 * arrival, which only decides between calls that do the same. */
static int compare_waiters(const void *a, const void *b)
{
	const struct waiter *left = *(struct waiter *const *)a;
	const struct waiter *right = *(struct waiter *const *)b;
	const struct event *one = &left->submitted, *two = &right->submitted;

	if (one->op != two->op)
		return one->op < two->op ? -1 : 1;
	if (left->returns != right->returns)
		return right->returns ? -1 : 1;
	if (one->file != two->file)
		return one->file < two->file ? -1 : 1;
	if (one->host_offset != two->host_offset)
		return one->host_offset < two->host_offset ? -1 : 1;
	if (one->length != two->length)
		return one->length < two->length ? -1 : 1;
	if (left->hash != right->hash)
		return left->hash < right->hash ? -1 : 1;
	return left->arrival < right->arrival ? -1 : 1;
}

/* ---- the main thread ---- */

/** Say why, and end: nothing that follows would be worth anything. */
_Noreturn static void give_up(enum gate_ask_kind kind)
{
	const struct gate_ask ask = { .kind = (uint32_t)kind };

	(void)!send(GATE_WIRE_DESCRIPTOR, &ask, offsetof(struct gate_ask, calls), MSG_NOSIGNAL);
	_exit(EXIT_GIVEN_UP);
}

/** Wait until all other threads sleep. The clock decides only when to give up. `has_woken`: some
 * were woken just now. */
static void settle(bool has_woken)
{
	struct timespec begun = { 0 }, now;

	while (!preload_rest_reached(has_woken)) {
		if (!preload_rest_is_told())
			give_up(GATE_ASK_UNTOLD);
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (begun.tv_sec == 0)
			begun = now;
		if (now.tv_sec - begun.tv_sec > GATE_WIRE_REST_SECONDS)
			give_up(GATE_ASK_RESTLESS);
		sched_yield();
	}
}

/** The lowest lane that no waiting call has. */
static uint32_t take_lane(void)
{
	uint32_t lane = 0;

	while (gate.used[lane])
		lane++;
	gate.used[lane] = true;
	return MAIN_ACTOR + 1 + lane;
}

/** All that wait, in the order of their identity; record those that are new. */
static size_t gather(struct waiter **waiters)
{
	size_t count = 0;

	pthread_mutex_lock(&gate.lock);
	for (struct waiter *at = gate.waiting; at; at = at->next) {
		if (count == GATE_WIRE_CALLS_MAX)
			give_up(GATE_ASK_CROWD);
		waiters[count++] = at;
	}
	pthread_mutex_unlock(&gate.lock);
	qsort(waiters, count, sizeof(struct waiter *), compare_waiters);
	for (size_t i = 0; i < count; i++) {
		struct event *event = &waiters[i]->submitted;
		if (event->actor != 0)
			continue;
		event->id = preload_next_id();
		event->actor = take_lane();
		recorder_append(event, NULL, 0);
	}
	return count;
}

static void let_go(struct waiter *waiter)
{
	struct waiter **link = &gate.waiting;

	pthread_mutex_lock(&gate.lock);
	while (*link != waiter)
		link = &(*link)->next;
	*link = waiter->next;
	pthread_mutex_unlock(&gate.lock);
	if (waiter->submitted.actor != MAIN_ACTOR &&
	    (waiter->returns || !(gate.flags & GATE_ORDER_SPLIT)))
		gate.used[waiter->submitted.actor - MAIN_ACTOR - 1] = false;
	preload_threads_rouse(waiter->seat);
	__atomic_store_n(&waiter->open, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &waiter->open, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	settle(true);
}

static struct gate_wire_call on_wire(const struct waiter *waiter)
{
	const struct event *event = &waiter->submitted;
	struct gate_wire_call call = { .op = event->op,
				       .actor = event->actor,
				       .id = event->id,
				       .file = event->file,
				       .returns = waiter->returns,
				       .host_offset = event->host_offset,
				       .length = event->length,
				       .content = waiter->hash };

	if (waiter->point)
		snprintf(call.point, sizeof(call.point), "%s", waiter->point);
	return call;
}

/** What the main thread waits for, as far as it comes from outside. */
struct wishes {
	bool input; /* its standard input, or what a client sends */
	bool room;  /* to send something to a client */
};

/** Receive the answer. A signal that the controller sent before it is handled by then. */
static bool hear(struct gate_answer *answer)
{
	ssize_t got;

	do
		got = recv(GATE_WIRE_DESCRIPTOR, answer, sizeof(*answer), 0);
	while (got < 0 && errno == EINTR);
	return got == (ssize_t)sizeof(*answer);
}

/** What exit(3) runs, with its argument. */
static void note_exit(int status, void *nothing)
{
	(void)nothing;
	gate.exits = true;
	gate.exit_status = status;
}

void preload_gate_leave(void)
{
	if (!is_on() || !gate.exits)
		return;
	fflush(NULL);
	_exit(gate.exit_status);
}

/** Ask, and do as we are told. A controller that is gone means the end. Returns the answer. */
static uint32_t ask(struct waiter *const *waiters, size_t count, const struct wishes *wishes)
{
	static struct gate_ask question;
	size_t bytes = offsetof(struct gate_ask, calls) + count * sizeof(question.calls[0]);
	struct gate_answer answer;
	const struct event mark = { .kind = EVENT_SWITCH, .actor = MAIN_ACTOR };

	/* By now main() runs: what it calls exit(3) with comes here before any destructor. */
	if (!gate.exits_are_noted)
		gate.exits_are_noted = on_exit(note_exit, NULL) == 0;
	question.kind = GATE_ASK_REST;
	question.takes_command = wishes->input;
	question.waits_for_room = wishes->room;
	question.count = (uint32_t)count;
	for (size_t i = 0; i < count; i++)
		question.calls[i] = on_wire(waiters[i]);
	/* Where the controller's own events belong in the recording. */
	recorder_append(&mark, NULL, 0);
	fflush(stdout);
	if (send(GATE_WIRE_DESCRIPTOR, &question, bytes, MSG_NOSIGNAL) != (ssize_t)bytes ||
	    !hear(&answer))
		_exit(EXIT_GIVEN_UP);
	if (answer.call >= count)
		return answer.call;
	waiters[answer.call]->fault =
		(struct fault){ .error = answer.error, .bytes = answer.bytes };
	let_go(waiters[answer.call]);
	return answer.call;
}

/** The main thread is about to do I/O itself, and waits like all others. */
static void ask_in_call(void)
{
	const struct wishes none = { false, false };
	struct waiter *waiters[GATE_WIRE_CALLS_MAX];

	settle(false);
	size_t count = gather(waiters);
	ask(waiters, count, &none);
}

/** What became of a rest. */
enum decision { DECIDED, UNDECIDED, INTERRUPTED };

/** At rest: let the controller decide. UNDECIDED: there is nothing to decide, and the program may
 * wait for its clock. */
static enum decision decide(const struct wishes *wishes, bool has_timeout)
{
	struct waiter *waiters[GATE_WIRE_CALLS_MAX];
	size_t count = gather(waiters);

	if (count == 0 && !wishes->input && has_timeout) {
		if (++gate.timers > GATE_WIRE_TIMERS_MAX)
			give_up(GATE_ASK_TIMERS);
		return UNDECIDED;
	}
	gate.timers = 0;
	return ask(waiters, count, wishes) == GATE_ANSWER_SIGNAL ? INTERRUPTED : DECIDED;
}

static bool is_socket(int descriptor)
{
	int type;
	socklen_t bytes = sizeof(type);

	return getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &bytes) == 0;
}

static struct wishes find_wishes(const struct pollfd *files, nfds_t count)
{
	struct wishes wishes = { false, false };

	for (nfds_t i = 0; i < count; i++) {
		if (files[i].fd != STDIN_FILENO && !is_socket(files[i].fd))
			continue;
		wishes.input |= (files[i].events & POLLIN) != 0;
		wishes.room |= (files[i].events & POLLOUT) != 0;
	}
	return wishes;
}

/* ---- the calls that are interposed ---- */

/** libc's own, which are called in the end. */
static struct next_calls {
	bool ready;
	int (*ppoll)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
	int (*poll)(struct pollfd *, nfds_t, int);
	int (*pthread_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	int (*pthread_cond_signal)(pthread_cond_t *);
	int (*pthread_cond_broadcast)(pthread_cond_t *);
	int (*pthread_setaffinity_np)(pthread_t, size_t, const cpu_set_t *);
	int (*pthread_attr_setaffinity_np)(pthread_attr_t *, size_t, const cpu_set_t *);
	int (*sem_post)(sem_t *);
} next_found;

/** Store the address of libc's `name` in the function pointer at `pointer`, in the present version
 * where there are several. */
static void find(void *pointer, const char *name)
{
	void *address = dlvsym(RTLD_NEXT, name, "GLIBC_2.3.2");

	if (!address)
		address = dlsym(RTLD_NEXT, name);
	memcpy(pointer, &address, sizeof(address));
}

/* Two threads that race here store the same pointers. */
void preload_gate_find(void)
{
	find(&next_found.ppoll, "ppoll");
	find(&next_found.poll, "poll");
	find(&next_found.pthread_create, "pthread_create");
	find(&next_found.pthread_cond_signal, "pthread_cond_signal");
	find(&next_found.pthread_cond_broadcast, "pthread_cond_broadcast");
	find(&next_found.pthread_setaffinity_np, "pthread_setaffinity_np");
	find(&next_found.pthread_attr_setaffinity_np, "pthread_attr_setaffinity_np");
	find(&next_found.sem_post, "sem_post");
	__atomic_store_n(&next_found.ready, true, __ATOMIC_RELEASE);
}

static const struct next_calls *next(void)
{
	if (!__atomic_load_n(&next_found.ready, __ATOMIC_ACQUIRE))
		preload_gate_find();
	return &next_found;
}

static int gated_poll(struct pollfd *files, nfds_t count, const struct timespec *timeout,
		      const sigset_t *signals)
{
	static const struct timespec at_once = { 0 };
	bool waits = !timeout || timeout->tv_sec != 0 || timeout->tv_nsec != 0;
	bool rests = false; /* and only the gate's own code has run on this thread since */

	for (;;) {
		int ready = next()->ppoll(files, count, &at_once, signals);
		if (ready != 0 || !waits) {
			gate.polls = ready != 0 ? 0 : gate.polls + 1;
			if (gate.polls > GATE_WIRE_POLLS_MAX)
				give_up(GATE_ASK_RESTLESS);
			return ready;
		}
		gate.polls = 0;
		if (!rests) {
			settle(false);
			ready = next()->ppoll(files, count, &at_once, signals);
			if (ready != 0)
				return ready;
		}
		const struct wishes wishes = find_wishes(files, count);
		switch (decide(&wishes, timeout != NULL)) {
		case DECIDED: rests = true; break;
		case UNDECIDED: return next()->ppoll(files, count, timeout, signals);
		case INTERRUPTED: errno = EINTR; return -1;
		}
	}
}

INTERCEPT_EXPORT int ppoll(struct pollfd *files, nfds_t count, const struct timespec *timeout,
			   const sigset_t *signals)
{
	return is_gated_main() ? gated_poll(files, count, timeout, signals)
			       : next()->ppoll(files, count, timeout, signals);
}

INTERCEPT_EXPORT int poll(struct pollfd *files, nfds_t count, int milliseconds)
{
	const struct timespec timeout = { .tv_sec = milliseconds / 1000,
					  .tv_nsec = milliseconds % 1000 * 1000000L };

	if (!is_gated_main())
		return next()->poll(files, count, milliseconds);
	return ppoll(files, count, milliseconds < 0 ? NULL : &timeout, NULL);
}

/** How a thread begins: on the heap, until it has begun. */
struct birth {
	void *(*start)(void *);
	void *argument;
};

static void *be_born(void *argument)
{
	const struct birth birth = *(const struct birth *)argument;

	free(argument);
	preload_threads_enter();
	return birth.start(birth.argument);
}

INTERCEPT_EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
				    void *(*start)(void *), void *argument)
{
	if (!is_on())
		return next()->pthread_create(thread, attributes, start, argument);
	struct birth *birth = malloc(sizeof(*birth));
	if (!birth)
		return EAGAIN;
	*birth = (struct birth){ start, argument };
	int error = next()->pthread_create(thread, attributes, be_born, birth);
	if (error != 0)
		free(birth);
	return error;
}

INTERCEPT_EXPORT int pthread_cond_signal(pthread_cond_t *condition)
{
	int result = next()->pthread_cond_signal(condition);
	if (is_gated_main())
		settle(true);
	return result;
}

INTERCEPT_EXPORT int pthread_cond_broadcast(pthread_cond_t *condition)
{
	int result = next()->pthread_cond_broadcast(condition);
	if (is_gated_main())
		settle(true);
	return result;
}

/* Whoever binds a thread to processors undoes what the server did. */

INTERCEPT_EXPORT int sched_setaffinity(pid_t thread, size_t bytes, const cpu_set_t *processors)
{
	return (int)syscall(SYS_sched_setaffinity, thread, bytes, processors);
}

INTERCEPT_EXPORT int pthread_setaffinity_np(pthread_t thread, size_t bytes,
					    const cpu_set_t *processors)
{
	preload_rest_unbind();
	return next()->pthread_setaffinity_np(thread, bytes, processors);
}

INTERCEPT_EXPORT int pthread_attr_setaffinity_np(pthread_attr_t *attributes, size_t bytes,
						 const cpu_set_t *processors)
{
	preload_rest_unbind();
	return next()->pthread_attr_setaffinity_np(attributes, bytes, processors);
}

INTERCEPT_EXPORT int sem_post(sem_t *semaphore)
{
	int result = next()->sem_post(semaphore);
	if (is_gated_main())
		settle(true);
	return result;
}

/** In this process alone; what it forks is not gated. */
static void switch_on(void)
{
	size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
	bool *on = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (on == MAP_FAILED || madvise(on, bytes, MADV_WIPEONFORK) != 0)
		give_up(GATE_ASK_UNMARKED);
	*on = true;
	gate.on = on;
}

void preload_gate_init(void)
{
	static const struct gate closed = { .actor = held_actor,
					    .before_effect = wait_at_gate,
					    .fault = take_fault,
					    .before_return = wait_to_return };
	const char *descriptor = getenv(GATE_WIRE_VARIABLE);

	char *colon = NULL;

	if (!descriptor || strtol(descriptor, &colon, 10) != GATE_WIRE_DESCRIPTOR)
		return;
	gate.flags = *colon == ':' ? (unsigned)strtoul(colon + 1, NULL, 10) : 0;
	gate.main_thread = getpid();
	preload_rest_init();
	switch_on();
	/* What the program says is read at each rest, in as few pieces as possible. */
	setvbuf(stdout, NULL, _IOFBF, OUTPUT_BUFFER_BYTES);
	gate_install(&closed);
}
