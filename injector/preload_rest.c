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
 * since they were there after it. So nobody else was. Threads enter themselves when they are
 * created (preload_gate.c); when some did not, the folder is read.
 *
 * One that sleeps for a time (a timer) is at rest, and wakes later: the next question finds it.
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
 * Looking is most of what a step costs. So the files are kept open, out of the way of the program's
 * own descriptors. They are those of /proc/TID, not of /proc/PID/task/TID: when many threads of one
 * process end together, the kernel takes long to forget what was opened in their common folder. */
#include "injector/preload_rest.h"

#include "injector/real.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	THREADS_MAX = 256,
	ENTRIES_BYTES = 8192,
	LABEL_BYTES = 64,
	TEXT_BYTES = 512,
	DESCRIPTOR_LOWEST = 410,
	/** Looks at which the list was not whole before the folder is read; looks at threads bound
	 *  to one processor that failed before another way is tried. */
	PATIENCE = 1000,
};

/** What is asked of a thread. */
enum fact { FACT_COUNT, FACT_CALL, FACT_STATE, FACT_WAIT, FACTS };

static const char *const fact_names[FACTS] = { "schedstat", "syscall", "stat", "wchan" };

/** A thread of the program. */
struct thread {
	long number;
	int files[FACTS];  /* descriptors */
	uint64_t arrivals; /* how often it was given a processor, when last counted */
	bool settled;      /* at this count */
	bool listed;       /* by the kernel, when last asked */
};

/* All of them but the calling one, as far as is known. */
static struct {
	int folder;        /* descriptor of "task" */
	long links;        /* of the folder, beside one for each thread */
	bool stale;        /* somebody is gone */
	bool silent;       /* the kernel does not say what is needed */
	bool lost;         /* the program took one of the descriptors: open all anew */
	bool bound;        /* all threads to one processor */
	uint32_t patience; /* looks at which somebody was missing */
	uint32_t failed;   /* looks in a row at bound threads */
	int count;
	struct thread threads[THREADS_MAX];
	long born[THREADS_MAX]; /* threads that entered themselves; 0: free */
} known = { .folder = -1 };

/** Open a file of /proc under a high number; -1: it is not there. */
static int open_kept(const char *path, int flags)
{
	int low = real()->open(path, O_RDONLY | O_CLOEXEC | flags, 0);
	int high = low < 0 ? -1 : real()->fcntl(low, F_DUPFD_CLOEXEC, (long)DESCRIPTOR_LOWEST);

	if (high < 0)
		return low;
	real()->close(low);
	return high;
}

/** How many links has the folder? One more for each thread. */
static long count_links(void)
{
	struct stat status;

	return real()->fstat(known.folder, &status) == 0 ? (long)status.st_nlink : -1;
}

void preload_rest_init(void)
{
	cpu_set_t processors;

	known.folder = open_kept("/proc/self/task", O_DIRECTORY);
	known.links = count_links() - 1;
	known.bound = sched_getaffinity(0, sizeof(processors), &processors) == 0 &&
		      CPU_COUNT(&processors) == 1;
}

void preload_rest_unbind(void)
{
	__atomic_store_n(&known.bound, false, __ATOMIC_RELEASE);
}

/** Read a small file of /proc anew; false: what it tells of is gone. */
static bool ask_kernel(const struct thread *thread, enum fact fact, char *text, size_t text_bytes)
{
	ssize_t got = real()->pread(thread->files[fact], text, text_bytes - 1, 0);

	text[got > 0 ? got : 0] = '\0';
	known.stale |= got <= 0;
	return got > 0;
}

/* ---- who is there ---- */

static void forget_thread(int index)
{
	for (int fact = 0; fact < FACTS; fact++)
		if (known.threads[index].files[fact] >= 0)
			real()->close(known.threads[index].files[fact]);
	known.threads[index] = known.threads[--known.count];
}

/** Put thread `number` on the list, if it is not there. */
static void add_thread(long number)
{
	char path[LABEL_BYTES];

	for (int i = 0; i < known.count; i++) {
		if (known.threads[i].number == number) {
			known.threads[i].listed = true;
			return;
		}
	}
	if (known.count == THREADS_MAX) {
		known.silent = true;
		return;
	}
	struct thread *thread = &known.threads[known.count++];
	*thread = (struct thread){ .number = number, .listed = true };
	for (int fact = 0; fact < FACTS; fact++) {
		snprintf(path, sizeof(path), "/proc/%ld/%s", number, fact_names[fact]);
		thread->files[fact] = open_kept(path, 0);
	}
}

void preload_rest_enter(void)
{
	long number = syscall(SYS_gettid);

	for (int i = 0; i < THREADS_MAX; i++) {
		long nobody = 0;
		if (__atomic_compare_exchange_n(&known.born[i], &nobody, number, false,
						__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			return;
	}
}

/** Put those who entered themselves on the list. */
static void take_born(void)
{
	for (int i = 0; i < THREADS_MAX; i++) {
		long number = __atomic_load_n(&known.born[i], __ATOMIC_ACQUIRE);
		if (number == 0)
			continue;
		add_thread(number);
		__atomic_store_n(&known.born[i], 0, __ATOMIC_RELEASE);
	}
}

static void drop_dead(void)
{
	char text[TEXT_BYTES];

	for (int i = known.count; i-- > 0;)
		if (!ask_kernel(&known.threads[i], FACT_COUNT, text, sizeof(text)))
			forget_thread(i);
}

/** What the kernel fills a directory's listing with. */
struct entry {
	uint64_t number;
	int64_t next;
	uint16_t bytes;
	uint8_t type;
	char name[];
};

/** List the threads as the kernel does. */
static void list_threads(void)
{
	_Alignas(struct entry) char entries[ENTRIES_BYTES];
	long self = syscall(SYS_gettid);
	long got;

	for (int i = 0; i < known.count; i++)
		known.threads[i].listed = false;
	real()->lseek(known.folder, 0, SEEK_SET);
	while ((got = syscall(SYS_getdents64, known.folder, entries, sizeof(entries))) > 0) {
		for (long at = 0; at < got;) {
			const struct entry *entry = (const void *)(entries + at);
			long thread = strtol(entry->name, NULL, 10);
			if (thread > 0 && thread != self)
				add_thread(thread);
			at += entry->bytes;
		}
	}
	for (int i = known.count; i-- > 0;)
		if (!known.threads[i].listed)
			forget_thread(i);
}

static void open_anew(void)
{
	known.count = 0;
	known.folder = open_kept("/proc/self/task", O_DIRECTORY);
	list_threads();
}

/** Are as many threads on the list as there are, the calling one besides? */
static bool is_list_whole(void)
{
	return !known.stale && known.links + 1 + known.count == count_links();
}

/** Make the list whole; false: not yet. */
static bool complete_list(void)
{
	if (__atomic_exchange_n(&known.lost, false, __ATOMIC_ACQ_REL))
		open_anew();
	if (is_list_whole())
		return true;
	take_born();
	drop_dead();
	known.stale = false;
	if (is_list_whole()) {
		known.patience = 0;
		return true;
	}
	if (++known.patience % PATIENCE == 0)
		list_threads();
	return false;
}

/* ---- what they do ---- */

/** How often was the thread given a processor? 0: it is gone. */
static uint64_t count_arrivals(const struct thread *thread)
{
	char text[TEXT_BYTES];

	if (!ask_kernel(thread, FACT_COUNT, text, sizeof(text)))
		return 0;
	/* Time on the processor, time in the queue, how often. */
	const char *last = strrchr(text, ' ');
	return last ? strtoull(last, NULL, 10) : 0;
}

/** Does the thread wait, off the processor? */
static bool is_off(const struct thread *thread)
{
	char text[TEXT_BYTES];

	return ask_kernel(thread, FACT_CALL, text, sizeof(text)) &&
	       strncmp(text, "running", 7) != 0;
}

static bool is_asleep(const struct thread *thread)
{
	char text[TEXT_BYTES];

	if (!ask_kernel(thread, FACT_STATE, text, sizeof(text)))
		return false;
	/* Its name, in parentheses, may have any letters. */
	const char *name_end = strrchr(text, ')');
	return name_end && strncmp(name_end, ") S", 3) == 0;
}

/** Does the thread, which is settled, still wait? */
static bool was_not_woken(const struct thread *thread)
{
	char text[TEXT_BYTES];

	/* A kernel that keeps the names of its functions to itself always says "0". */
	return ask_kernel(thread, FACT_WAIT, text, sizeof(text)) &&
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
	uint64_t arrivals = count_arrivals(thread);
	/* Nobody goes to sleep who never ran. */
	known.silent |= arrivals == 0 && !known.stale;
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

/** Does the thread sleep, off the queue and not woken? */
static bool is_waiting(const struct thread *thread)
{
	char text[TEXT_BYTES];

	return ask_kernel(thread, FACT_WAIT, text, sizeof(text)) && text[0] != '0' &&
	       (is_idle_wait(text) || is_asleep(thread));
}

/** Do all sleep, who are bound to our processor? */
static bool do_bound_rest(bool has_woken)
{
	/* Who was woken does not run before we are off. */
	if (has_woken)
		sched_yield();
	long absences = count_absences();
	bool rests = complete_list();
	for (int i = 0; i < known.count && rests; i++)
		rests = is_waiting(&known.threads[i]);
	rests = rests && count_absences() == absences;
	known.failed = rests ? 0 : known.failed + 1;
	if (known.failed > PATIENCE)
		preload_rest_unbind();
	return rests;
}

bool preload_rest_reached(bool has_woken)
{
	if (__atomic_load_n(&known.bound, __ATOMIC_ACQUIRE))
		return do_bound_rest(has_woken);
	/* Who has run since the last look is found by the first turn at the latest, and settled by
	 * the second. To count first is quicker when somebody has. */
	enum { TURNS = 2 };
	bool rests = false;

	for (int i = 0; i < known.count && has_woken; i++)
		notice_run(&known.threads[i]);

	for (int turn = 0; turn < TURNS && !rests; turn++) {
		rests = true;
		for (int i = 0; i < known.count && rests; i++)
			rests = settle(&known.threads[i]);
		if (!complete_list() || !rests)
			return false;
		for (int i = 0; i < known.count; i++)
			rests &= is_settled(&known.threads[i]);
	}
	return rests && !known.silent;
}

bool preload_rest_is_told(void)
{
	return !known.silent && known.folder >= 0;
}

bool preload_rest_owns(int descriptor)
{
	bool owns = descriptor >= 0 && descriptor == known.folder;

	if (descriptor < DESCRIPTOR_LOWEST)
		return false;
	for (int i = 0; i < known.count && !owns; i++)
		for (int fact = 0; fact < FACTS; fact++)
			owns |= known.threads[i].files[fact] == descriptor;
	return owns;
}

void preload_rest_lose(void)
{
	__atomic_store_n(&known.lost, true, __ATOMIC_RELEASE);
}
