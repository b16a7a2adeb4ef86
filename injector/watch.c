// SPDX-License-Identifier: MIT
/* Two tables, indexed by descriptor. Finding is one load and needs no lock: a program that closes a
 * descriptor while another thread uses it is wrong already. What changes the tables takes the lock.
 * Open files are never given back to malloc, so that even such a program reads nothing freed.
 *
 * In-memory files are those of the built-in engine, which may be put back to an earlier moment of
 * its run, calls in flight with their pointers to open files included. So their open files lie in a
 * table, each at an address of its own, and that table is what a snapshot holds. */
#include "injector/watch.h"

#include "injector/recorder.h"

#include <pthread.h>
#include <stdlib.h>

struct watched_open *watch_memory_table[WATCH_MEMORY_MAX];
struct watched_open *watch_real_table[WATCH_REAL_MAX];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct watched_open *free_opens; /* of real files */
static struct watched_open memory_opens[WATCH_MEMORY_MAX];
static int memory_end; /* no number from here on is in use in the tables of in-memory files */

static struct watched_open *take_open(uint16_t file, int flags)
{
	struct watched_open *open = free_opens;

	if (open)
		free_opens = open->next_free;
	else
		open = malloc(sizeof(*open));
	if (open)
		*open = (struct watched_open){ .file = file, .flags = flags };
	return open;
}

/** The first open in-memory file that no descriptor refers to; NULL: all are in use. */
static struct watched_open *take_memory_open(void)
{
	for (int number = 0; number < WATCH_MEMORY_MAX; number++)
		if (memory_opens[number].references == 0)
			return &memory_opens[number];
	return NULL;
}

/** Let go of one reference; the caller holds the lock. */
static void drop_open(struct watched_open *open)
{
	if (--open->references > 0)
		return;
	recorder_closed(open);
	if (open->in_memory)
		return;
	open->next_free = free_opens;
	free_opens = open;
}

static void replace(struct watched_open **entry, struct watched_open *open)
{
	struct watched_open *before = *entry;

	if (open)
		open->references++;
	__atomic_store_n(entry, open, __ATOMIC_RELEASE);
	if (before)
		drop_open(before);
}

bool watch_add_real(int descriptor, uint16_t file, int flags)
{
	if (descriptor < 0 || descriptor >= WATCH_REAL_MAX)
		return false;
	pthread_mutex_lock(&lock);
	struct watched_open *open = take_open(file, flags);
	if (open) {
		disk_file_init(&open->own, descriptor);
		open->disk = &open->own.disk;
		replace(&watch_real_table[descriptor], open);
	}
	pthread_mutex_unlock(&lock);
	return open != NULL;
}

/** Enter `open` at the first free number from `lowest` on; the caller holds the lock. */
static int enter_memory(struct watched_open *open, int lowest)
{
	int first = lowest > WATCH_MEMORY_FIRST ? lowest - WATCH_MEMORY_FIRST : 0;

	for (int number = first; number < WATCH_MEMORY_MAX; number++) {
		if (watch_memory_table[number])
			continue;
		replace(&watch_memory_table[number], open);
		if (number >= memory_end)
			memory_end = number + 1;
		return WATCH_MEMORY_FIRST + number;
	}
	return -1;
}

int watch_add_memory(struct disk *disk, uint16_t file, int flags)
{
	int descriptor = -1;

	pthread_mutex_lock(&lock);
	struct watched_open *open = take_memory_open();
	if (open) {
		*open = (struct watched_open){ .disk = disk,
					       .file = file,
					       .in_memory = true,
					       .flags = flags,
					       .references = 1 };
		descriptor = enter_memory(open, WATCH_MEMORY_FIRST);
		drop_open(open);
	}
	pthread_mutex_unlock(&lock);
	return descriptor;
}

int watch_share_memory(struct watched_open *open, int lowest)
{
	pthread_mutex_lock(&lock);
	int descriptor = enter_memory(open, lowest);
	pthread_mutex_unlock(&lock);
	return descriptor;
}

void watch_remove(int descriptor)
{
	unsigned number = (unsigned)descriptor;
	struct watched_open **entry = NULL;

	if (number < WATCH_REAL_MAX)
		entry = &watch_real_table[number];
	else if (number - WATCH_MEMORY_FIRST < WATCH_MEMORY_MAX)
		entry = &watch_memory_table[number - WATCH_MEMORY_FIRST];
	if (!entry || !*entry)
		return;
	pthread_mutex_lock(&lock);
	replace(entry, NULL);
	pthread_mutex_unlock(&lock);
}

void watch_after_fork(void)
{
	static const pthread_mutex_t unlocked = PTHREAD_MUTEX_INITIALIZER;

	lock = unlocked;
}

void watch_remove_memory(void)
{
	pthread_mutex_lock(&lock);
	while (memory_end > 0)
		replace(&watch_memory_table[--memory_end], NULL);
	pthread_mutex_unlock(&lock);
}

/* An open file is found before the number of the highest descriptor that was ever in use: it was
 * the first free one when it was opened, and then each of those before it had a descriptor. */
void watch_save_memory(struct snapshot_buffer *buffer)
{
	size_t end = (size_t)memory_end;

	snapshot_buffer_put(buffer, &memory_end, sizeof(memory_end));
	snapshot_buffer_put(buffer, watch_memory_table, end * sizeof(struct watched_open *));
	snapshot_buffer_put(buffer, memory_opens, end * sizeof(memory_opens[0]));
}

void watch_visit_memory(watch_visitor *visit, void *context)
{
	for (int number = 0; number < memory_end; number++)
		if (watch_memory_table[number])
			visit(context, WATCH_MEMORY_FIRST + number, watch_memory_table[number]);
}

void watch_load_memory(struct snapshot_buffer *buffer)
{
	watch_remove_memory();
	snapshot_buffer_get(buffer, &memory_end, sizeof(memory_end));
	size_t end = (size_t)memory_end;
	snapshot_buffer_get(buffer, watch_memory_table, end * sizeof(struct watched_open *));
	snapshot_buffer_get(buffer, memory_opens, end * sizeof(memory_opens[0]));
}
