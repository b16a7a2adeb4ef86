// SPDX-License-Identifier: MIT
/* Is the program at rest? The kernel's word for it, made atomic.
 *
 * The kernel tells of one thread at a time, and in between any of them may wake another:
 *
 *      we look at A: asleep    B wakes A, goes to sleep    we look at B: asleep      all asleep?
 *
 * So we count. Of each thread the kernel says
 *
 *      "schedstat"      how often it was given a processor: the number grows before it runs
 *      "syscall"        "running", but for a thread that waits for something and that the kernel
 *                       has seen off the processor and off its queue
 *      "stat"           its state: S for one that sleeps, D for one that waits for a disk and will
 *                       go on by itself, R for one that runs or was woken to run
 *      "wchan"          "0", but for a thread that waits, off the queue, and was not woken
 *
 * A thread is *settled* at count n when it was counted n times, then seen off the processor, then
 * in state S, then counted n times again. From the second to the last of these it did nothing, as
 * it would have been given a processor, and counted, first. It was not even woken: it would have
 * been in state R until it ran. (One that is being woken has a state that is neither, which
 * "syscall" does not tell from sleep; but it cannot become S without running.)
 *
 * It sleeps on as long as it is not woken: at any later time when "wchan" is not "0" and the count
 * is n still. So a look is
 *
 *      who has run since it was settled is settled anew
 *      ------------- moment M -------------
 *      of each: "wchan", and the count once more
 *
 * and when it succeeds, each slept from some time before M to some time after it. At M everybody
 * slept, and the only one who could have woken anybody, the calling thread, was busy here.
 *
 * "Everybody" is a list that must be whole. At M the kernel is asked how many threads there are
 * (the links of the folder "task"). As many as are on the list; and those on the list lived at M,
 * since they were there after it. So nobody else was.
 *
 * One that sleeps for a time (a timer) is at rest, and wakes later: the next question finds it.
 *
 * A thread that is *parked* is at rest without a question: it waits at the gate (preload_gate.c),
 * only the calling thread lets it go, and its signals wait as well. It may still be on its way to
 * sleep; nobody could notice.
 *
 * Where all threads are bound to one processor, as the server binds them (preload_server.c), it
 * takes far less. The kernel counts how often the calling thread was taken off the processor:
 *
 *      the calling thread's count
 *      ------------- moment M -------------
 *      of each: "wchan", and what it waits in
 *      the calling thread's count once more
 *
 * With equal counts nobody else had the processor in between, so nobody went to sleep in between:
 * who was seen asleep, and not woken, was so at M. Before the program binds a thread of its own in
 * another way, the short way is given up for good; likewise when it fails again and again, because
 * a kernel may keep to itself what threads wait in. That somebody outside rebinds a thread in the
 * middle of a run is not noticed.
 *
 * Kernels from 6.12 on leave a thread that went to sleep on the queue for a while, if it had more
 * than its share of the processor. Its "wchan" is "0" as if it would run. To answer for "syscall"
 * they must take it off first. */
#include "injector/preload_rest.h"

#include "injector/preload_threads.h"

#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum {
	/** Looks in a row at threads bound to one processor that failed before another way is
	 *  tried. */
	PATIENCE = 1000,
};

static struct {
	bool silent;     /* the kernel does not say what is needed */
	bool bound;      /* all threads to one processor */
	uint32_t failed; /* looks in a row at bound threads */
} rest;

void preload_rest_init(void)
{
	cpu_set_t processors;

	preload_threads_init();
	rest.bound = sched_getaffinity(0, sizeof(processors), &processors) == 0 &&
		     CPU_COUNT(&processors) == 1;
}

void preload_rest_unbind(void)
{
	__atomic_store_n(&rest.bound, false, __ATOMIC_RELEASE);
}

/* ---- what they do ---- */

/** How often was the thread given a processor? -1: it is gone. */
static int64_t count_arrivals(struct thread *thread)
{
	char text[THREAD_TEXT_BYTES];

	if (!preload_threads_ask(thread, FACT_COUNT, text))
		return -1;
	/* Time on the processor, time in the queue, how often. */
	const char *last = strrchr(text, ' ');
	return last ? strtoll(last, NULL, 10) : 0;
}

/** Does the thread wait, off the processor? */
static bool is_off(struct thread *thread)
{
	char text[THREAD_TEXT_BYTES];

	return preload_threads_ask(thread, FACT_CALL, text) && strncmp(text, "running", 7) != 0;
}

static bool is_asleep(struct thread *thread)
{
	char text[THREAD_TEXT_BYTES];

	if (!preload_threads_ask(thread, FACT_STATE, text))
		return false;
	/* Its name, in parentheses, may have any letters. */
	const char *name_end = strrchr(text, ')');
	return name_end && strncmp(name_end, ") S", 3) == 0;
}

/** Does the thread, which is settled, still wait? */
static bool was_not_woken(struct thread *thread)
{
	char text[THREAD_TEXT_BYTES];

	/* A kernel that keeps the names of its functions to itself always says "0". */
	return preload_threads_ask(thread, FACT_WAIT, text) &&
	       (text[0] != '0' || is_asleep(thread));
}

/** True: the thread is settled. */
static bool settle(struct thread *thread)
{
	if (thread->settled)
		return true;
	thread->arrivals = count_arrivals(thread);
	if (!is_off(thread) || !is_asleep(thread))
		return false;
	int64_t arrivals = count_arrivals(thread);
	/* Nobody goes to sleep who never ran. */
	rest.silent |= arrivals == 0;
	thread->settled = arrivals == thread->arrivals;
	return thread->settled;
}

/** True: the thread, which was settled, is so still. */
static bool is_settled(struct thread *thread)
{
	thread->settled = was_not_woken(thread) && count_arrivals(thread) == thread->arrivals;
	return thread->settled;
}

/** If the thread has run since it was settled, it is no more. */
static void notice_run(struct thread *thread)
{
	thread->settled = thread->settled && count_arrivals(thread) == thread->arrivals;
}

/** How often was the calling thread taken off the processor? */
static long count_absences(void)
{
	struct rusage usage = { 0 };

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw + usage.ru_nivcsw;
}

/** Does who waits in this function of the kernel wait for no disk? Others are asked for their
 * state, which takes longer. */
static bool is_idle_wait(const char *function)
{
	return strncmp(function, "futex_", 6) == 0 || strcmp(function, "hrtimer_nanosleep") == 0;
}

/** What does the thread, off the queue and not woken, wait in? "0": it does not. */
static void find_wait(struct thread *thread, char *function)
{
	if (!preload_threads_ask(thread, FACT_WAIT, function))
		memcpy(function, "0", sizeof("0"));
}

/** Does the thread sleep, off the queue and not woken? */
static bool is_waiting(struct thread *thread)
{
	char function[THREAD_TEXT_BYTES];

	/* Who was let go has used the processor, and is likely to linger on the queue. */
	if (preload_threads_was_roused(thread) && !is_off(thread))
		return false;
	find_wait(thread, function);
	if (function[0] == '0' && is_off(thread))
		find_wait(thread, function);
	return function[0] != '0' && (is_idle_wait(function) || is_asleep(thread));
}

/** Do all sleep, who are bound to our processor? */
static bool do_bound_rest(bool has_woken)
{
	struct thread_list *list = preload_threads();

	/* Who was woken does not run before we are off. */
	if (has_woken)
		sched_yield();
	long absences = count_absences();
	bool rests = preload_threads_complete();
	for (int i = 0; i < list->count && rests; i++)
		rests = preload_threads_is_parked(&list->threads[i]) ||
			is_waiting(&list->threads[i]);
	rests = rests && count_absences() == absences;
	rest.failed = rests ? 0 : rest.failed + 1;
	if (rest.failed > PATIENCE)
		preload_rest_unbind();
	return rests;
}

/** Do all sleep, wherever they run? */
static bool do_free_rest(bool has_woken)
{
	/* Who has run since the last look is found by the first turn at the latest, and settled by
	 * the second. To count first is quicker when somebody has. */
	enum { TURNS = 2 };
	struct thread_list *list = preload_threads();
	bool rests = false;

	for (int i = 0; i < list->count && has_woken; i++)
		notice_run(&list->threads[i]);

	for (int turn = 0; turn < TURNS && !rests; turn++) {
		rests = true;
		for (int i = 0; i < list->count && rests; i++)
			rests = preload_threads_is_parked(&list->threads[i]) ||
				settle(&list->threads[i]);
		if (!preload_threads_complete() || !rests)
			return false;
		for (int i = 0; i < list->count; i++)
			rests &= preload_threads_is_parked(&list->threads[i]) ||
				 is_settled(&list->threads[i]);
	}
	return rests && preload_rest_is_told();
}

bool preload_rest_reached(bool has_woken)
{
	return __atomic_load_n(&rest.bound, __ATOMIC_ACQUIRE) ? do_bound_rest(has_woken)
							      : do_free_rest(has_woken);
}

bool preload_rest_is_told(void)
{
	return !rest.silent && preload_threads_are_told();
}
