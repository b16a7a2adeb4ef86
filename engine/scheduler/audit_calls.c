// SPDX-License-Identifier: MIT
/* What audited code calls: the compiler's call-backs (those of its thread sanitizer, whose run-time
 * library is not linked), and stand-ins for functions that access memory behind its back. */
#include "engine/scheduler/audit_calls.h"

#include "engine/scheduler/audit.h"

#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef pread
#undef pwrite
#undef preadv
#undef pwritev
#undef arena_take
#undef arena_give

#define CALLER __builtin_return_address(0)

/* NOLINTBEGIN(readability-identifier-naming): the call-backs' names are the compiler's */
#define CALL_BACK(name, bytes, is_write)                                                           \
	void name(const void *address);                                                            \
	void name(const void *address)                                                             \
	{                                                                                          \
		audit_access(address, bytes, is_write, CALLER);                                    \
	}

CALL_BACK(__tsan_read1, 1, false)
CALL_BACK(__tsan_read2, 2, false)
CALL_BACK(__tsan_read4, 4, false)
CALL_BACK(__tsan_read8, 8, false)
CALL_BACK(__tsan_read16, 16, false)
CALL_BACK(__tsan_write1, 1, true)
CALL_BACK(__tsan_write2, 2, true)
CALL_BACK(__tsan_write4, 4, true)
CALL_BACK(__tsan_write8, 8, true)
CALL_BACK(__tsan_write16, 16, true)
CALL_BACK(__tsan_unaligned_read2, 2, false)
CALL_BACK(__tsan_unaligned_read4, 4, false)
CALL_BACK(__tsan_unaligned_read8, 8, false)
CALL_BACK(__tsan_unaligned_read16, 16, false)
CALL_BACK(__tsan_unaligned_write2, 2, true)
CALL_BACK(__tsan_unaligned_write4, 4, true)
CALL_BACK(__tsan_unaligned_write8, 8, true)
CALL_BACK(__tsan_unaligned_write16, 16, true)

void __tsan_read_range(const void *address, size_t bytes);
void __tsan_read_range(const void *address, size_t bytes)
{
	audit_access(address, bytes, false, CALLER);
}

void __tsan_write_range(const void *address, size_t bytes);
void __tsan_write_range(const void *address, size_t bytes)
{
	audit_access(address, bytes, true, CALLER);
}

void __tsan_func_entry(const void *caller);
void __tsan_func_entry(const void *caller)
{
	(void)caller;
}

void __tsan_func_exit(void);
void __tsan_func_exit(void)
{
}

void __tsan_init(void);
void __tsan_init(void)
{
}

/* NOLINTEND(readability-identifier-naming) */

void *audited_memcpy(void *to, const void *from, size_t bytes)
{
	audit_access(from, bytes, false, CALLER);
	audit_access(to, bytes, true, CALLER);
	return memcpy(to, from, bytes);
}

void *audited_memmove(void *to, const void *from, size_t bytes)
{
	audit_access(from, bytes, false, CALLER);
	audit_access(to, bytes, true, CALLER);
	return memmove(to, from, bytes);
}

void *audited_memset(void *to, int value, size_t bytes)
{
	audit_access(to, bytes, true, CALLER);
	return memset(to, value, bytes);
}

int audited_memcmp(const void *a, const void *b, size_t bytes)
{
	audit_access(a, bytes, false, CALLER);
	audit_access(b, bytes, false, CALLER);
	return memcmp(a, b, bytes);
}

/* I/O leaves the step; the bytes are looked at where the task last knew what was in them: before it
 * writes them to the file, after it read them from there. */

ssize_t audited_pread(int descriptor, void *to, size_t bytes, off_t at)
{
	ssize_t got = pread(descriptor, to, bytes, at);
	if (got > 0)
		audit_access(to, (size_t)got, true, CALLER);
	return got;
}

ssize_t audited_pwrite(int descriptor, const void *from, size_t bytes, off_t at)
{
	audit_access(from, bytes, false, CALLER);
	return pwrite(descriptor, from, bytes, at);
}

ssize_t audited_preadv(int descriptor, const struct iovec *vector, int count, off_t at)
{
	ssize_t got = preadv(descriptor, vector, count, at);
	size_t left = got > 0 ? (size_t)got : 0;
	for (int i = 0; i < count && left > 0; i++) {
		size_t part = vector[i].iov_len < left ? vector[i].iov_len : left;
		audit_access(vector[i].iov_base, part, true, CALLER);
		left -= part;
	}
	return got;
}

ssize_t audited_pwritev(int descriptor, const struct iovec *vector, int count, off_t at)
{
	for (int i = 0; i < count; i++)
		audit_access(vector[i].iov_base, vector[i].iov_len, false, CALLER);
	return pwritev(descriptor, vector, count, at);
}

void *audited_arena_take(struct arena *arena, size_t bytes)
{
	void *object = arena_take(arena, bytes);
	if (object)
		audit_taken(object, bytes);
	return object;
}

void audited_arena_give(struct arena *arena, void *object)
{
	if (object)
		audit_given(object, CALLER);
	arena_give(arena, object);
}
