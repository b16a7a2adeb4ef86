// SPDX-License-Identifier: MIT
/* Threads enter themselves when they are created (preload_gate.c), each on a seat that it keeps.
 * When some did not, the kernel's own list is read.
 *
 * Asking is most of what a step of the program costs. So the files are kept open, out of the way of
 * the program's own descriptors, and are opened when first asked for. They are those of /proc/TID,
 * not of /proc/PID/task/TID: when many threads of one process end together, the kernel takes long
 * to forget what was opened in their common folder. */
#include "injector/preload_threads.h"

#include "injector/real.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	ENTRIES_BYTES = 8192,
	PATH_BYTES = 64,
	DESCRIPTOR_LOWEST = 410,
	/** In place of a descriptor. */
	NOT_OPENED = -2,
	/** Times that the list was not whole before the kernel's own is read. */
	PATIENCE = 1000,
};

static const char *const fact_names[THREAD_FACTS] = { "schedstat", "syscall", "stat", "wchan" };

/** Where a thread enters itself. */
struct seat {
	long number; /* of the thread; 0: free */
	bool listed; /* main thread only */
	bool parked;
	bool roused; /* since it was last asked about; main thread only */
};

static struct {
	int folder;        /* descriptor of "task" */
	long links;        /* of the folder, beside one for each thread */
	bool stale;        /* somebody is gone */
	bool crowded;      /* there are more than can be listed */
	bool lost;         /* the program took one of the descriptors: open all anew */
	uint32_t patience; /* times that somebody was missing */
	struct thread_list list;
	struct seat seats[THREADS_MAX];
} known = { .folder = -1 };

/* Of the calling thread. */
static __thread long own_number;
static __thread uint32_t own_seat; /* 0: none */

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

void preload_threads_init(void)
{
	known.folder = open_kept("/proc/self/task", O_DIRECTORY);
	known.links = count_links() - 1;
}

struct thread_list *preload_threads(void)
{
	return &known.list;
}

bool preload_threads_are_told(void)
{
	return !known.crowded && known.folder >= 0;
}

/* ---- what they do ---- */

static int fact_file(struct thread *thread, enum thread_fact fact)
{
	char path[PATH_BYTES];

	if (thread->files[fact] == NOT_OPENED) {
		snprintf(path, sizeof(path), "/proc/%ld/%s", thread->number, fact_names[fact]);
		thread->files[fact] = open_kept(path, 0);
	}
	return thread->files[fact];
}

bool preload_threads_ask(struct thread *thread, enum thread_fact fact, char *text)
{
	ssize_t got = real()->pread(fact_file(thread, fact), text, THREAD_TEXT_BYTES - 1, 0);

	text[got > 0 ? got : 0] = '\0';
	known.stale |= got <= 0;
	return got > 0;
}

void preload_threads_park(uint32_t seat)
{
	if (seat != 0)
		__atomic_store_n(&known.seats[seat - 1].parked, true, __ATOMIC_RELEASE);
}

void preload_threads_rouse(uint32_t seat)
{
	if (seat == 0)
		return;
	known.seats[seat - 1].roused = true;
	__atomic_store_n(&known.seats[seat - 1].parked, false, __ATOMIC_RELEASE);
}

bool preload_threads_was_roused(const struct thread *thread)
{
	if (thread->seat == 0 || !known.seats[thread->seat - 1].roused)
		return false;
	known.seats[thread->seat - 1].roused = false;
	return true;
}

bool preload_threads_is_parked(const struct thread *thread)
{
	return thread->seat != 0 &&
	       __atomic_load_n(&known.seats[thread->seat - 1].parked, __ATOMIC_ACQUIRE);
}

/* ---- who is there ---- */

/** Leave a seat as nobody has sat on it: who takes it next is not parked. */
static void clear_seat(uint32_t number)
{
	if (number == 0)
		return;
	struct seat *seat = &known.seats[number - 1];
	seat->listed = seat->roused = false;
	__atomic_store_n(&seat->parked, false, __ATOMIC_RELEASE);
	__atomic_store_n(&seat->number, 0, __ATOMIC_RELEASE);
}

static void forget_thread(int index)
{
	struct thread *threads = known.list.threads;

	for (int fact = 0; fact < THREAD_FACTS; fact++)
		if (threads[index].files[fact] >= 0)
			real()->close(threads[index].files[fact]);
	clear_seat(threads[index].seat);
	threads[index] = threads[--known.list.count];
}

/** Put thread `number` on the list, if it is not there. */
static void add_thread(long number, uint32_t seat)
{
	struct thread *threads = known.list.threads;

	for (int i = 0; i < known.list.count; i++) {
		if (threads[i].number == number) {
			threads[i].listed = true;
			if (threads[i].seat == 0)
				threads[i].seat = seat;
			return;
		}
	}
	if (known.list.count == THREADS_MAX) {
		known.crowded = true;
		return;
	}
	struct thread *thread = &threads[known.list.count++];
	*thread = (struct thread){ .number = number, .seat = seat, .listed = true };
	for (int fact = 0; fact < THREAD_FACTS; fact++)
		thread->files[fact] = NOT_OPENED;
}

void preload_threads_enter(void)
{
	own_number = syscall(SYS_gettid);
	for (uint32_t i = 0; i < THREADS_MAX && own_seat == 0; i++) {
		long nobody = 0;
		if (__atomic_compare_exchange_n(&known.seats[i].number, &nobody, own_number, false,
						__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			own_seat = i + 1;
	}
}

uint32_t preload_threads_seat(void)
{
	/* It was given to somebody else if the thread was taken for dead. */
	return own_seat != 0 && __atomic_load_n(&known.seats[own_seat - 1].number,
						__ATOMIC_ACQUIRE) == own_number
		       ? own_seat
		       : 0;
}

/** Put those who entered themselves on the list. */
static void list_seated(void)
{
	for (uint32_t i = 0; i < THREADS_MAX; i++) {
		long number = __atomic_load_n(&known.seats[i].number, __ATOMIC_ACQUIRE);
		if (number == 0 || known.seats[i].listed)
			continue;
		known.seats[i].listed = true;
		add_thread(number, i + 1);
	}
}

static void drop_dead(void)
{
	char text[THREAD_TEXT_BYTES];

	for (int i = known.list.count; i-- > 0;)
		if (!preload_threads_ask(&known.list.threads[i], FACT_WAIT, text))
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
static void list_as_kernel(void)
{
	_Alignas(struct entry) char entries[ENTRIES_BYTES];
	long self = syscall(SYS_gettid);
	long got;

	for (int i = 0; i < known.list.count; i++)
		known.list.threads[i].listed = false;
	real()->lseek(known.folder, 0, SEEK_SET);
	while ((got = syscall(SYS_getdents64, known.folder, entries, sizeof(entries))) > 0) {
		for (long at = 0; at < got;) {
			const struct entry *entry = (const void *)(entries + at);
			long number = strtol(entry->name, NULL, 10);
			if (number > 0 && number != self)
				add_thread(number, 0);
			at += entry->bytes;
		}
	}
	for (int i = known.list.count; i-- > 0;)
		if (!known.list.threads[i].listed)
			forget_thread(i);
}

static void open_anew(void)
{
	for (uint32_t i = 0; i < THREADS_MAX; i++)
		known.seats[i].listed = false;
	known.list.count = 0;
	known.folder = open_kept("/proc/self/task", O_DIRECTORY);
	list_seated();
	list_as_kernel();
}

/** Are as many threads on the list as there are, the calling one besides? */
static bool is_list_whole(void)
{
	return !known.stale && known.links + 1 + known.list.count == count_links();
}

bool preload_threads_complete(void)
{
	if (__atomic_exchange_n(&known.lost, false, __ATOMIC_ACQ_REL))
		open_anew();
	if (is_list_whole())
		return true;
	list_seated();
	drop_dead();
	known.stale = false;
	if (is_list_whole()) {
		known.patience = 0;
		return true;
	}
	if (++known.patience % PATIENCE == 0)
		list_as_kernel();
	return false;
}

/* ---- the descriptors ---- */

bool preload_threads_own(int descriptor)
{
	bool owns = descriptor >= 0 && descriptor == known.folder;

	if (descriptor < DESCRIPTOR_LOWEST)
		return false;
	for (int i = 0; i < known.list.count && !owns; i++)
		for (int fact = 0; fact < THREAD_FACTS; fact++)
			owns |= known.list.threads[i].files[fact] == descriptor;
	return owns;
}

void preload_threads_lose(void)
{
	__atomic_store_n(&known.lost, true, __ATOMIC_RELEASE);
}
