// SPDX-License-Identifier: MIT
/** Which descriptors are watched, and what each stands for. */
#ifndef INJECTOR_WATCH_H
#define INJECTOR_WATCH_H

#include "injector/disk.h"
#include "injector/disk_file.h"
#include "injector/snapshot_buffer.h"

#include <stddef.h>
#include <stdint.h>

enum {
	/** Descriptors of in-memory files are numbers that the kernel never hands out. */
	WATCH_MEMORY_FIRST = 1 << 30,
	WATCH_MEMORY_MAX = 1024,
	/** Real descriptors from here on are not watched. */
	WATCH_REAL_MAX = 1 << 16,
};

/** What a descriptor stands for. In-memory files: what open(2) made, shared by the descriptors that
 * dup(2) makes of it. Real files: one for each descriptor; what they share, the kernel knows. */
struct watched_open {
	struct disk *disk;    /* borrowed; &own.disk for real files */
	struct disk_file own; /* real files */
	uint16_t file;        /* number of the file; what it means is the recorder's matter */
	bool in_memory;       /* its descriptors are from WATCH_MEMORY_FIRST on */
	int flags;            /* as given to open(2) */
	unsigned references;  /* descriptors */
	uint64_t position;    /* in-memory files: where read(2) and write(2) go on */
	struct watched_open *next_free;
};

extern struct watched_open *watch_memory_table[WATCH_MEMORY_MAX];
extern struct watched_open *watch_real_table[WATCH_REAL_MAX];

/** What `descriptor` stands for; NULL: it is not watched. The one test that each call of the
 * program pays. */
static inline struct watched_open *watch_find(int descriptor)
{
	unsigned number = (unsigned)descriptor;

	if (number < WATCH_REAL_MAX)
		return __atomic_load_n(&watch_real_table[number], __ATOMIC_ACQUIRE);
	number -= WATCH_MEMORY_FIRST;
	return number < WATCH_MEMORY_MAX ? watch_memory_table[number] : NULL;
}

/** Watch the real `descriptor`. False when memory is short or the number is too high. */
bool watch_add_real(int descriptor, uint16_t file, int flags);

/** A new descriptor of an in-memory file; -1 when memory is short or all are in use. */
int watch_add_memory(struct disk *disk, uint16_t file, int flags);

/** A new descriptor of the in-memory file `open`, not below `lowest`; -1 when all are in use. */
int watch_share_memory(struct watched_open *open, int lowest);

/** Forget `descriptor`; nothing happens when it is not watched. */
void watch_remove(int descriptor);

/** A forked child begins with the lock open, whoever held it. */
void watch_after_fork(void);

/** Forget all descriptors of in-memory files. */
void watch_remove_memory(void);

/** Append to `buffer` what the descriptors of in-memory files stand for, positions included. */
void watch_save_memory(struct snapshot_buffer *buffer);

/** Told of what a descriptor stands for. */
typedef void watch_visitor(void *context, int descriptor, const struct watched_open *open);

/** Call `visit` for each descriptor of an in-memory file, in ascending order. */
void watch_visit_memory(watch_visitor *visit, void *context);

/** Make them what they were: the same open files at the same addresses. */
void watch_load_memory(struct snapshot_buffer *buffer);

#endif
