// SPDX-License-Identifier: MIT
#include "engine/qcow2/vector.h"

#include <assert.h>
#include <string.h>

size_t vector_bytes(const struct iovec *vector, int count)
{
	size_t bytes = 0;
	for (int i = 0; i < count; i++) {
		if (__builtin_add_overflow(bytes, vector[i].iov_len, &bytes))
			return SIZE_MAX;
	}
	return bytes;
}

void vector_advance(struct iovec **vector, int *count, size_t bytes)
{
	while (*count > 0 && bytes >= (*vector)->iov_len) {
		bytes -= (*vector)->iov_len;
		(*vector)++;
		(*count)--;
	}
	assert(*count > 0 || bytes == 0);
	if (bytes > 0) {
		(*vector)->iov_base = (uint8_t *)(*vector)->iov_base + bytes;
		(*vector)->iov_len -= bytes;
	}
}

int vector_slice(struct iovec *to, const struct iovec *vector, int count, size_t from, size_t bytes)
{
	int used = 0;
	for (int i = 0; i < count && bytes > 0; i++) {
		if (from >= vector[i].iov_len) {
			from -= vector[i].iov_len;
			continue;
		}
		size_t piece = vector[i].iov_len - from;
		if (piece > bytes)
			piece = bytes;
		assert(used < VECTOR_PIECES_MAX);
		to[used].iov_base = (uint8_t *)vector[i].iov_base + from;
		to[used].iov_len = piece;
		used++;
		from = 0;
		bytes -= piece;
	}
	assert(bytes == 0);
	return used;
}

void vector_zero(const struct iovec *vector, int count)
{
	for (int i = 0; i < count; i++)
		memset(vector[i].iov_base, 0, vector[i].iov_len);
}

void vector_fill(const struct iovec *vector, int count, const void *from, size_t bytes)
{
	const uint8_t *next = from;
	for (int i = 0; i < count && bytes > 0; i++) {
		size_t piece = vector[i].iov_len < bytes ? vector[i].iov_len : bytes;
		memcpy(vector[i].iov_base, next, piece);
		next += piece;
		bytes -= piece;
	}
}
