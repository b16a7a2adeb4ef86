// SPDX-License-Identifier: MIT
/* Any bytes as an image: the engine opens it or says why not, reads, writes, flushes and closes,
 * and may fail wherever it likes; but it must come to an end, and not die. An assertion that bytes
 * of an image can reach is a bug of the engine, found here because a dead run aborts.
 *
 * Input: u8 policy, u8 where to write, u8 what to do, u8 snapshot or truncate too, then the image.
 * A backing file may be "backing.raw", or the image itself; other names are looked for where the
 * fuzzer runs, but never in other folders. */
#include "engine/qcow2/qcow2.h"
#include "engine/scheduler/sched.h"
#include "injector/session.h"
#include "traces/content.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IMAGE_PATH "disk.qcow2"
#define BACKING_PATH "backing.raw"

enum {
	OPTION_BYTES = 4,
	IMAGE_BYTES_MAX = 256 * 1024,
	BACKING_BYTES = 4096,
	READ_BYTES = 16 * 1024, /* at the beginning and at the end of the disk */
	CLUSTER_BITS_MAX = 14,  /* larger clusters are only slower */
	STEPS_MAX = 250000,
	/* Header bytes, big-endian. */
	AT_BACKING_OFFSET = 8,
	AT_BACKING_BYTES = 16,
	AT_CLUSTER_BITS = 20,
	AT_L1_ENTRIES = 36,
	L1_ENTRIES_MAX = 1024,
};

struct input {
	const uint8_t *bytes; /* the image, borrowed */
	size_t byte_count;
	uint8_t policy, place, work, extra;
};

/* One input at a time, as the injector has one set of watched files. */
static struct arena *arena;
static struct sched *sched;
static uint8_t buffer[READ_BYTES];

static uint64_t number_at(const struct input *input, size_t at, size_t bytes)
{
	uint64_t value = 0;
	for (size_t i = 0; i < bytes; i++)
		value = value << 8 | (at + i < input->byte_count ? input->bytes[at + i] : 0);
	return value;
}

/* Does the backing file's name lead into another folder? */
static bool leads_elsewhere(const struct input *input)
{
	uint64_t start = number_at(input, AT_BACKING_OFFSET, 8);
	uint64_t bytes = number_at(input, AT_BACKING_BYTES, 4);
	if (start >= input->byte_count)
		return false;
	if (bytes > input->byte_count - start)
		bytes = input->byte_count - start;
	return memchr(input->bytes + start, '/', (size_t)bytes) != NULL;
}

static void read_some(struct qcow2 *image, uint64_t size_bytes)
{
	uint64_t bytes = size_bytes < READ_BYTES ? size_bytes : READ_BYTES;
	struct iovec vector = { buffer, (size_t)bytes };
	if (bytes == 0)
		return;
	(void)!qcow2_readv(image, 0, &vector, 1);
	vector = (struct iovec){ buffer, (size_t)bytes };
	(void)!qcow2_readv(image, size_bytes - bytes, &vector, 1);
}

/* Change [guest_offset, guest_offset + bytes), which lies inside the disk. */
static void change(struct qcow2 *image, unsigned way, uint64_t guest_offset, uint64_t bytes)
{
	struct iovec vector = { buffer, (size_t)bytes };
	switch (way % 5) {
	case 0: (void)!qcow2_write_zeroes(image, guest_offset, bytes, true); break;
	case 1: (void)!qcow2_discard(image, guest_offset, bytes); break;
	default: (void)!qcow2_writev(image, guest_offset, &vector, 1); break;
	}
}

static void write_some(struct qcow2 *image, const struct input *input, uint64_t size_bytes)
{
	uint64_t place = (uint64_t)input->place * 512;
	for (unsigned i = 0; i < 4; i++) {
		uint64_t guest_offset = size_bytes > place ? place : 0;
		uint64_t bytes = 512U << (input->work >> i & 3);
		if (bytes > size_bytes - guest_offset)
			bytes = size_bytes - guest_offset;
		if (bytes > 0)
			change(image, input->work + i, guest_offset, bytes);
		place = i == 1 && size_bytes > 4096 ? size_bytes - 4096 : place + bytes;
		if (i == 2)
			(void)!qcow2_flush(image);
	}
}

static void use_image(void *argument)
{
	const struct input *input = argument;
	struct qcow2_options options = { .arena = arena,
					 .policy = (enum qcow2_policy)(input->policy % 3),
					 .read_only = input->policy & 0x80,
					 .l2_tables_cached = 2,
					 .refcount_blocks_cached = 2 };
	struct qcow2 *image = NULL;
	struct why why = { "" };
	if (qcow2_open(&image, IMAGE_PATH, &options, &why) != STATUS_OK)
		return;
	uint64_t size_bytes = qcow2_facts(image).size_bytes;
	read_some(image, size_bytes);
	if (!options.read_only && size_bytes > 0) {
		write_some(image, input, size_bytes);
		/* A snapshot visits every L1 entry: millions of them are slow, and no fault. */
		if (input->extra & 1 && number_at(input, AT_L1_ENTRIES, 4) <= L1_ENTRIES_MAX)
			(void)!qcow2_snapshot_create(image, "fuzz");
		if (input->extra & 2 && size_bytes < UINT32_MAX)
			(void)!qcow2_truncate(image, size_bytes + 65536);
		write_some(image, input, size_bytes);
		read_some(image, size_bytes);
	}
	(void)!qcow2_close(image);
}

static void run(const struct input *input)
{
	const struct sched_options options = { .arena = arena, .steps_max = STEPS_MAX };
	struct input copy = *input;
	arena_reset(arena);
	session_rewind();
	if (!sched_spawn(sched, "fuzz", use_image, &copy))
		abort();
	enum run_end end = sched_run(sched, &options);
	if (end == RUN_FINISHED)
		return;
	fprintf(stderr, "the run ended in: %s: %s\n", run_end_name(end), sched_report(sched));
	abort();
}

static struct content *content_of(const void *bytes, size_t byte_count)
{
	struct content *content = content_new(byte_count);
	if (!content || content_write(content, bytes, byte_count, 0) != STATUS_OK)
		abort();
	return content;
}

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint16_t file;
	if (size < OPTION_BYTES || size > IMAGE_BYTES_MAX)
		return 0;
	struct input input = { .bytes = data + OPTION_BYTES,
			       .byte_count = size - OPTION_BYTES,
			       .policy = data[0],
			       .place = data[1],
			       .work = data[2],
			       .extra = data[3] };
	if (leads_elsewhere(&input) || number_at(&input, AT_CLUSTER_BITS, 4) > CLUSTER_BITS_MAX)
		return 0;
	if (!arena) {
		arena = arena_new();
		sched = sched_new();
		assert(arena && sched);
	}
	memset(buffer, 0xab, sizeof(buffer));
	struct content *image = content_of(input.bytes, input.byte_count);
	struct content *backing = content_of(buffer, BACKING_BYTES);
	if (session_watch_memory(IMAGE_PATH, image, &file) != STATUS_OK ||
	    session_watch_memory(BACKING_PATH, backing, &file) != STATUS_OK)
		abort();
	run(&input);
	session_unwatch_all();
	content_free(backing);
	content_free(image);
	return 0;
}
