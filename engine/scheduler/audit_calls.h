// SPDX-License-Identifier: MIT
/** Included in front of every audited file: calls that access memory without the compiler's
 * telling. */
#ifndef ENGINE_SCHEDULER_AUDIT_CALLS_H
#define ENGINE_SCHEDULER_AUDIT_CALLS_H

#include "engine/memory/arena.h"

#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/** Each does what the function does that it stands for, and tells the audit. */
void *audited_memcpy(void *to, const void *from, size_t bytes);
void *audited_memmove(void *to, const void *from, size_t bytes);
void *audited_memset(void *to, int value, size_t bytes);
int audited_memcmp(const void *a, const void *b, size_t bytes);
ssize_t audited_pread(int descriptor, void *to, size_t bytes, off_t at);
ssize_t audited_pwrite(int descriptor, const void *from, size_t bytes, off_t at);
ssize_t audited_preadv(int descriptor, const struct iovec *vector, int count, off_t at);
ssize_t audited_pwritev(int descriptor, const struct iovec *vector, int count, off_t at);
void *audited_arena_take(struct arena *arena, size_t bytes);
void audited_arena_give(struct arena *arena, void *object);

/* NOLINTBEGIN(readability-identifier-naming): the names are those of the functions replaced */
#define memcpy audited_memcpy
#define memmove audited_memmove
#define memset audited_memset
#define memcmp audited_memcmp
#define pread audited_pread
#define pwrite audited_pwrite
#define preadv audited_preadv
#define pwritev audited_pwritev
#define arena_take audited_arena_take
#define arena_give audited_arena_give
/* NOLINTEND(readability-identifier-naming) */

#endif
