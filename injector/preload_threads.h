// SPDX-License-Identifier: MIT
/** The threads of a foreign program: who there is, and what the kernel tells of each. The calling
 *  thread is the main one, which is not on the list, where nothing else is said. */
#ifndef INJECTOR_PRELOAD_THREADS_H
#define INJECTOR_PRELOAD_THREADS_H

#include <stdbool.h>
#include <stdint.h>

/** What is asked: the files "schedstat", "syscall", "stat" and "wchan" of /proc. */
enum thread_fact { FACT_COUNT, FACT_CALL, FACT_STATE, FACT_WAIT, THREAD_FACTS };

enum {
	THREADS_MAX = 256,
	/** Of an answer, the end included. */
	THREAD_TEXT_BYTES = 512,
};

struct thread {
	long number;
	uint32_t seat;           /* on which it entered itself; 0: it did not */
	int files[THREAD_FACTS]; /* descriptors; -2: not opened yet, -1: it is gone */
	int64_t arrivals;        /* how often it was given a processor, when last counted */
	bool settled;            /* at this count */
	bool listed;             /* by the kernel, when last asked */
};

struct thread_list {
	int count;
	struct thread threads[THREADS_MAX];
};

/** Called once, while there is no other thread. */
void preload_threads_init(void);

/** The calling thread, which is new, enters itself. */
void preload_threads_enter(void);

/** The seat of the calling thread; 0: it has none. */
uint32_t preload_threads_seat(void);

/** The thread that sits there, if any, does nothing from now on that anybody could notice until it
 * is roused; its signals wait. By itself. */
void preload_threads_park(uint32_t seat);

/** It is about to be woken. */
void preload_threads_rouse(uint32_t seat);

/** Was it roused since this was last asked? */
bool preload_threads_was_roused(const struct thread *thread);

/** Does it sit parked? */
bool preload_threads_is_parked(const struct thread *thread);

/** Those who are known. */
struct thread_list *preload_threads(void);

/** Make the list whole; false: it is not, yet. */
bool preload_threads_complete(void);

/** Ask the kernel, now; false: the thread is gone. `text` has room for THREAD_TEXT_BYTES. */
bool preload_threads_ask(struct thread *thread, enum thread_fact fact, char *text);

/** False: the kernel does not say which threads there are, or there are too many. */
bool preload_threads_are_told(void);

/** Is `descriptor` one of those by which the kernel is asked? */
bool preload_threads_own(int descriptor);

/** One of them is about to be the program's, for something else. From any thread. */
void preload_threads_lose(void);

#endif
