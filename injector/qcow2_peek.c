// SPDX-License-Identifier: MIT
#include "injector/qcow2_peek.h"

#include <stdio.h>
#include <string.h>

enum {
	HEADER_V2_BYTES = 72,
	HEADER_LENGTH_AT = 100,
};

static uint32_t get32(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

static uint64_t get64(const uint8_t *bytes)
{
	return (uint64_t)get32(bytes) << 32 | get32(bytes + 4);
}

static enum qcow2_peek_format format_named(const uint8_t *name, size_t bytes)
{
	if (bytes == 3 && memcmp(name, "raw", 3) == 0)
		return QCOW2_PEEK_RAW;
	if (bytes == 5 && memcmp(name, "qcow2", 5) == 0)
		return QCOW2_PEEK_QCOW2;
	return QCOW2_PEEK_UNSAID;
}

/** Walk the header extensions from `at` on for the backing file's format. */
static enum qcow2_peek_format find_backing_format(const uint8_t *head, size_t head_bytes, size_t at)
{
	while (at + 8 <= head_bytes) {
		uint32_t type = get32(head + at);
		uint32_t bytes = get32(head + at + 4);
		if (type == 0 || bytes > head_bytes - at - 8)
			break;
		if (type == UINT32_C(0xe2792aca))
			return format_named(head + at + 8, bytes);
		at += 8 + ((size_t)bytes + 7) / 8 * 8;
	}
	return QCOW2_PEEK_UNSAID;
}

bool qcow2_peek(struct qcow2_peek *peek, const uint8_t *head, size_t head_bytes)
{
	static const uint8_t magic[] = { 'Q', 'F', 'I', 0xfb };

	*peek = (struct qcow2_peek){ 0 };
	if (head_bytes < HEADER_V2_BYTES || memcmp(head, magic, sizeof(magic)) != 0)
		return false;
	uint32_t version = get32(head + 4);
	if (version < 2)
		return false;
	peek->backing_offset = get64(head + 8);
	peek->backing_bytes = peek->backing_offset == 0 ? 0 : get32(head + 16);
	size_t extensions = HEADER_V2_BYTES;
	if (version > 2 && head_bytes >= HEADER_LENGTH_AT + 4)
		extensions = get32(head + HEADER_LENGTH_AT);
	peek->backing_format = find_backing_format(head, head_bytes, extensions);
	return true;
}

bool qcow2_peek_resolve(char *path, size_t path_bytes, const char *image_path, const char *name)
{
	if (strncmp(name, "file:", 5) == 0)
		name += 5;
	const char *colon = strchr(name, ':');
	const char *slash = strchr(name, '/');
	if (name[0] == '\0' || (colon && (!slash || colon < slash)))
		return false;
	const char *end = name[0] == '/' ? NULL : strrchr(image_path, '/');
	int folder_bytes = end ? (int)(end - image_path) + 1 : 0;
	int length = snprintf(path, path_bytes, "%.*s%s", folder_bytes, image_path, name);
	return length > 0 && (size_t)length < path_bytes;
}
