// SPDX-License-Identifier: MIT
#include "tests/integration/invented.h"

#include "workloads/world.h"

#include <endian.h>
#include <string.h>

enum {
	TABLE_BYTES = 1024,
	ENTRIES = TABLE_BYTES / 8,
	OTHER_ENTRY = ENTRIES / 2,
	L1_OFFSET_AT = 40, /* in the header */
};

/* The image: two allocated clusters, so far apart that their entries are in different sectors. */
static const char workload_text[] = "#@ image size=128k cluster_size=1k\n"
				    "#@ prepare write -P 0x11 0 1k\n"
				    "#@ prepare write -P 0x22 64k 1k\n"
				    "flush\n";

static uint64_t read_number(const struct content *content, uint64_t host_offset)
{
	uint64_t number;
	content_read(content, &number, sizeof(number), host_offset);
	return be64toh(number);
}

static enum status take_image(struct trace *trace, struct why *why)
{
	struct workload workload;
	struct world *world = NULL;
	const struct world_options options = { .stamps = false };
	size_t count = 0;
	enum status status =
		workload_parse(&workload, "exchange", workload_text, strlen(workload_text), why);
	if (status == STATUS_OK)
		status = world_new(&world, &workload, &options, why);
	if (status != STATUS_OK)
		goto out;
	const struct trace_file *files = world_files(world, &count);
	struct content *initial = content_clone(files[0].initial);
	if (initial)
		trace_add_file(trace, files[0].path, files[0].format, TRACE_NO_BACKING, initial);
	else
		status = why_set(why, STATUS_NO_MEMORY, "out of memory");
out:
	world_free(world);
	workload_release(&workload);
	return status;
}

/* The three events of a call that succeeds. */
static void add_io(struct trace *trace, const struct event *io, const void *data)
{
	struct event event = *io;
	size_t bytes = data ? io->length : 0;
	event.actor = 1;
	event.kind = EVENT_IO_SUBMITTED;
	event_log_append(&trace->log, &event, data, bytes);
	event.result = (int32_t)bytes;
	event.kind = EVENT_IO_EFFECT;
	event_log_append(&trace->log, &event, data, bytes);
	event.kind = EVENT_IO_COMPLETED;
	event_log_append(&trace->log, &event, NULL, 0);
}

enum status invented_exchange(struct trace *trace, struct why *why)
{
	uint64_t table[ENTRIES];
	enum status status = take_image(trace, why);
	if (status != STATUS_OK)
		return status;
	const struct content *image = trace->files[0].initial;
	uint64_t l1_entry = read_number(image, read_number(image, L1_OFFSET_AT));
	uint64_t table_at = l1_entry & UINT64_C(0x00fffffffffffe00);
	content_read(image, table, sizeof(table), table_at);
	uint64_t first = table[0];
	table[0] = table[OTHER_ENTRY];
	table[OTHER_ENTRY] = first;
	trace_set_text(&trace->subject, "an invented program");
	const struct event write = {
		.op = IO_WRITE, .id = 1, .host_offset = table_at, .length = sizeof(table)
	};
	const struct event flush = { .op = IO_FLUSH, .id = 2 };
	const struct event end = { .kind = EVENT_END, .op = RUN_FINISHED };
	add_io(trace, &write, table);
	add_io(trace, &flush, NULL);
	event_log_append(&trace->log, &end, NULL, 0);
	trace->complete = true;
	return STATUS_OK;
}
