// SPDX-License-Identifier: MIT
/* Two tables, indexed by descriptor. Finding is one load and needs no lock: a program that closes a
 * descriptor while another thread uses it is wrong already. What changes the tables takes the lock.
 * Open files are never given back to malloc, so that even such a program reads nothing freed. */
#include "injector/watch.h"

#include "injector/recorder.h"

#include <pthread.h>
#include <stdlib.h>

struct watched_open *watch_memory_table[WATCH_MEMORY_MAX];
struct watched_open *watch_real_table[WATCH_REAL_MAX];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct watched_open *free_opens;
static int memory_end; /* no number from here on is in use in watch_memory_table */

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

/** Let go of one reference; the caller holds the lock. */
static void drop_open(struct watched_open *open)
{
	if (--open->references > 0)
		return;
	recorder_closed(open);
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
	struct watched_open *open = take_open(file, flags);
	if (open) {
		open->disk = disk;
		open->in_memory = true;
		open->references = 1;
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
