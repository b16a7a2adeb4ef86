// SPDX-License-Identifier: MIT
/* Is the program at rest? The kernel's word for it, made atomic.
 *
 * The kernel tells of one thread at a time, and in between any of them may wake another:
 *
 *      we look at A: asleep    B wakes A, goes to sleep    we look at B: asleep      all asleep?
 *
 * So we look twice, and count. Each thread's count of context switches grows when it leaves the
 * processor. Between the looks, which we take of each thread in turn,
 *
 *      first look       state: sleeping;                                         count n
 *      second look      off the processor ("/proc/self/task/N/syscall" says more than "running",
 *                       which the kernel says of a thread that it has seen off it);
 *                       then state: sleeping;                                    count n
 *
 * a thread did not run: to be off the processor at the second look it would have had to leave it,
 * and its count would be n + 1. So each of them slept from its first look to its second. All of
 * these spans contain the moment between the two rounds. At that moment everybody slept, and the
 * only one who could have woken anybody, the calling thread, was busy here.
 *
 * A thread may also make another one, behind our back when the list of threads was read before, and
 * go to sleep before its first look. The new one is in the list then: it is read once more in the
 * end, and must be the same.
 *
 * (The state alone is not enough: a thread calls itself sleeping shortly before it leaves the
 * processor, and may think better of it. Where a kernel is built without the file "syscall" the
 * states and counts have to do.)
 *
 * A thread that waits for a disk is not at rest (state D): it will go on by itself. One that sleeps
 * for a time (a timer) is, and wakes later: the next question finds it. */
#include "injector/preload_gate.h"

#include "injector/real.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	THREADS_MAX = 256,
	STATUS_BYTES = 4096,
	ENTRIES_BYTES = 8192,
	LABEL_BYTES = 64,
	LINE_BYTES = 256
};

/** A thread as it was at the first look. */
struct sleeper {
	long thread;
	uint64_t switches;
};

/** Read a small file of /proc into `text`; false: it is gone. */
static bool read_small(char *text, size_t text_bytes, const char *path)
{
	int file = real()->open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = file < 0 ? -1 : real()->read(file, text, text_bytes - 1);

	if (file >= 0)
		real()->close(file);
	text[got > 0 ? got : 0] = '\0';
	return got > 0;
}

static uint64_t number_behind(const char *text, const char *label)
{
	const char *at = strstr(text, label);

	return at ? strtoull(at + strlen(label), NULL, 10) : 0;
}

/** Look at one thread: how often it left the processor. False: it does not sleep. A thread that is
 * gone sleeps well. */
static bool look(long thread, uint64_t *switches)
{
	char path[LABEL_BYTES];
	char text[STATUS_BYTES];

	*switches = 0;
	snprintf(path, sizeof(path), "/proc/self/task/%ld/status", thread);
	if (!read_small(text, sizeof(text), path))
		return true;
	const char *state = strstr(text, "\nState:\t");
	*switches = number_behind(text, "\nvoluntary_ctxt_switches:\t") +
		    number_behind(text, "\nnonvoluntary_ctxt_switches:\t");
	return state && (state[8] == 'S' || state[8] == 'Z' || state[8] == 'X');
}

/** Has the kernel seen the thread off the processor? */
static bool is_off_processor(long thread)
{
	char path[LABEL_BYTES];
	char text[LINE_BYTES];

	snprintf(path, sizeof(path), "/proc/self/task/%ld/syscall", thread);
	return !read_small(text, sizeof(text), path) || strncmp(text, "running", 7) != 0;
}

/** What the kernel fills a directory's listing with. */
struct entry {
	uint64_t number;
	int64_t next;
	uint16_t bytes;
	uint8_t type;
	char name[];
};

/** The program's threads but the calling one. Returns how many; -1: too many, or unknown. */
static int list_threads(struct sleeper *sleepers)
{
	_Alignas(struct entry) char entries[ENTRIES_BYTES];
	long self = syscall(SYS_gettid);
	int count = 0;
	int folder = real()->open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (;;) {
		long got =
			folder < 0 ? -1 : syscall(SYS_getdents64, folder, entries, sizeof(entries));
		if (got <= 0) {
			count = got < 0 ? -1 : count;
			break;
		}
		for (long at = 0; at < got && count < THREADS_MAX;) {
			const struct entry *entry = (const void *)(entries + at);
			long thread = strtol(entry->name, NULL, 10);
			if (thread > 0 && thread != self)
				sleepers[count++].thread = thread;
			at += entry->bytes;
		}
	}
	if (folder >= 0)
		real()->close(folder);
	return count < THREADS_MAX ? count : -1;
}

/** Are these all threads, still? */
static bool is_still_all(const struct sleeper *sleepers, int count)
{
	struct sleeper now[THREADS_MAX];
	bool is_equal = list_threads(now) == count;

	for (int i = 0; i < count && is_equal; i++)
		is_equal = now[i].thread == sleepers[i].thread;
	return is_equal;
}

bool preload_rest_reached(void)
{
	struct sleeper sleepers[THREADS_MAX];
	int count = list_threads(sleepers);
	bool rests = count >= 0;

	for (int i = 0; i < count && rests; i++)
		rests = look(sleepers[i].thread, &sleepers[i].switches);
	for (int i = 0; i < count && rests; i++) {
		uint64_t switches = 0;
		rests = is_off_processor(sleepers[i].thread) &&
			look(sleepers[i].thread, &switches) && switches == sleepers[i].switches;
	}
	return rests && is_still_all(sleepers, count);
}
