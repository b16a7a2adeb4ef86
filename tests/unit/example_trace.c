// SPDX-License-Identifier: MIT
#include "tests/unit/example_trace.h"

#include "traces/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static enum status collect(void *context, const struct trace_span *spans, size_t span_count)
{
	struct collected *collected = context;
	for (size_t i = 0; i < span_count; i++) {
		if (!spans[i].byte_count)
			continue;
		collected->bytes = memory_grow(collected->bytes, &collected->capacity,
					       collected->byte_count + spans[i].byte_count, 1);
		memcpy(collected->bytes + collected->byte_count, spans[i].bytes,
		       spans[i].byte_count);
		collected->byte_count += spans[i].byte_count;
	}
	size_t ends_max = sizeof(collected->ends) / sizeof(collected->ends[0]);
	if (collected->put_count < ends_max)
		collected->ends[collected->put_count] = collected->byte_count;
	collected->put_count++;
	return STATUS_OK;
}

struct trace_sink collecting_sink(struct collected *collected)
{
	return (struct trace_sink){ .put = collect, .context = collected };
}

static struct content *stamped(uint64_t size, uint64_t host_offset, uint8_t stamp)
{
	uint8_t sector[512];
	memset(sector, stamp, sizeof(sector));
	struct content *content = content_new(size);
	if (!content || content_write(content, sector, sizeof(sector), host_offset) != STATUS_OK)
		abort();
	return content;
}

static void add_events(struct trace *trace)
{
	static const uint8_t guest_data[1024] = { 0x11, 0x22, 0x33 };
	static const char name[] = "writer";
	const struct {
		struct event event;
		const void *data;
		size_t data_bytes;
	} list[] = {
		{ { .kind = EVENT_SWITCH, .actor = 1 }, name, strlen(name) },
		{ { .kind = EVENT_REQUEST_INVOKED,
		    .op = REQUEST_WRITE,
		    .actor = 1,
		    .id = 1,
		    .guest_offset = 0x1000,
		    .length = 1024 },
		  guest_data,
		  sizeof(guest_data) },
		{ { .kind = EVENT_CHOICE, .op = CHOICE_RUN, .actor = 2, .id = 3, .result = 2 },
		  NULL,
		  0 },
		{ { .kind = EVENT_WAIT, .op = WAIT_MUTEX, .actor = 2, .result = 1, .stack = 1 },
		  "table lock",
		  10 },
		{ { .kind = EVENT_IO_SUBMITTED,
		    .op = IO_WRITE,
		    .actor = 1,
		    .id = 1,
		    .host_offset = 0x5000,
		    .length = 512,
		    .stack = 2 },
		  guest_data,
		  512 },
		{ { .kind = EVENT_IO_EFFECT,
		    .op = IO_WRITE,
		    .actor = 1,
		    .id = 1,
		    .host_offset = 0x5000,
		    .length = 512,
		    .result = 512 },
		  guest_data,
		  512 },
		{ { .kind = EVENT_IO_COMPLETED,
		    .op = IO_READ,
		    .file = 1,
		    .actor = 1,
		    .id = 2,
		    .host_offset = UINT64_C(1) << 40,
		    .length = 512,
		    .result = 512,
		    .digest = UINT64_C(0xfedcba9876543210) },
		  NULL,
		  0 },
		{ { .kind = EVENT_FAULT, .op = IO_FLUSH, .actor = 1, .id = 3, .result = -EIO },
		  "posix/io/sync/fdatasync",
		  23 },
		{ { .kind = EVENT_REQUEST_COMPLETED,
		    .op = REQUEST_WRITE,
		    .actor = 1,
		    .id = 1,
		    .result = INT32_MIN },
		  NULL,
		  0 },
		{ { .kind = EVENT_END, .op = RUN_FINISHED }, NULL, 0 },
	};
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		event_log_append(&trace->log, &list[i].event, list[i].data, list[i].data_bytes);
}

void example_trace(struct trace *trace)
{
	trace_init(trace);
	trace_set_text(&trace->subject, "engine");
	trace_set_text(&trace->workload, "#@ image size=64k\naio_write -P 0x11 0 1k\nflush\n");
	trace_add_setting(trace, "policy", "cancel");
	trace_add_setting(trace, "empty", "");
	for (uint32_t i = 0; i < 300; i++)
		schedule_append(&trace->schedule, i % 3, i % 2 ? 0 : 3 + i);
	trace_add_file(trace, "/tmp/a.qcow2", TRACE_FORMAT_QCOW2, 1, stamped(5120, 4608, 0x51));
	trace_add_file(trace, "base image.raw", TRACE_FORMAT_RAW, TRACE_NO_BACKING,
		       stamped((UINT64_C(1) << 40) + 519, UINT64_C(1) << 40, 0x52));
	trace_add_module(trace, "/usr/bin/qemu-io", "0123456789abcdef");
	trace_add_module(trace, "libc.so.6", "");
	struct trace_stack stack = { .count = 2, .frames = { { 0, 0x1234 }, { 1, UINT64_MAX } } };
	trace_add_stack(trace, &stack);
	stack.count = TRACE_FRAMES_MAX;
	trace_add_stack(trace, &stack);
	add_events(trace);
	static char rule[] = "cow-complete", severity[] = "corruption", model[] = "torn";
	static char message[] = "L2 entry 3 points at a cluster whose tail was never copied";
	struct trace_finding finding = {
		.rule = rule,
		.severity = severity,
		.message = message,
		.model = model,
		.operation = 2,
		.sector = 1,
		.guest_offset = UINT64_MAX,
		.host_offset = 0x5000,
	};
	trace_add_finding(trace, &finding);
	finding.strict_only = true;
	trace_add_finding(trace, &finding);
	trace->complete = true;
}

static const char *lists_difference(const struct trace *a, const struct trace *b)
{
	for (size_t i = 0; i < a->setting_count; i++) {
		if (strcmp(a->settings[i].key, b->settings[i].key) != 0 ||
		    strcmp(a->settings[i].value, b->settings[i].value) != 0)
			return "settings";
	}
	for (size_t i = 0; i < a->schedule.count; i++) {
		if (a->schedule.steps[i].pick != b->schedule.steps[i].pick ||
		    a->schedule.steps[i].count != b->schedule.steps[i].count)
			return "schedule";
	}
	for (size_t i = 0; i < a->file_count; i++) {
		const struct trace_file *in_a = &a->files[i];
		const struct trace_file *in_b = &b->files[i];
		if (strcmp(in_a->path, in_b->path) != 0 || in_a->format != in_b->format ||
		    in_a->backing != in_b->backing ||
		    !content_equal(in_a->initial, in_b->initial, NULL))
			return "files";
	}
	for (size_t i = 0; i < a->module_count; i++) {
		if (strcmp(a->modules[i].path, b->modules[i].path) != 0 ||
		    strcmp(a->modules[i].build_id, b->modules[i].build_id) != 0)
			return "modules";
	}
	for (size_t i = 0; i < a->stack_count; i++) {
		if (a->stacks[i].count != b->stacks[i].count)
			return "stacks";
		for (uint32_t k = 0; k < a->stacks[i].count; k++) {
			if (a->stacks[i].frames[k].module != b->stacks[i].frames[k].module ||
			    a->stacks[i].frames[k].address != b->stacks[i].frames[k].address)
				return "frames";
		}
	}
	return NULL;
}

static const char *findings_difference(const struct trace *a, const struct trace *b)
{
	for (size_t i = 0; i < a->finding_count; i++) {
		const struct trace_finding *in_a = &a->findings[i];
		const struct trace_finding *in_b = &b->findings[i];
		if (strcmp(in_a->rule, in_b->rule) != 0 ||
		    strcmp(in_a->severity, in_b->severity) != 0 ||
		    strcmp(in_a->message, in_b->message) != 0 ||
		    strcmp(in_a->model, in_b->model) != 0 || in_a->operation != in_b->operation ||
		    in_a->sector != in_b->sector || in_a->guest_offset != in_b->guest_offset ||
		    in_a->host_offset != in_b->host_offset ||
		    in_a->strict_only != in_b->strict_only)
			return "findings";
	}
	return NULL;
}

const char *trace_difference(const struct trace *a, const struct trace *b)
{
	if (strcmp(a->subject, b->subject) != 0 || strcmp(a->workload, b->workload) != 0)
		return "texts";
	if (a->setting_count != b->setting_count || a->schedule.count != b->schedule.count ||
	    a->file_count != b->file_count || a->module_count != b->module_count ||
	    a->stack_count != b->stack_count || a->finding_count != b->finding_count)
		return "counts";
	const char *difference = lists_difference(a, b);
	if (!difference)
		difference = findings_difference(a, b);
	if (difference)
		return difference;
	if (event_log_difference(&a->log, &b->log) != SIZE_MAX)
		return "events";
	for (size_t i = 0; i < a->log.count; i++) {
		if (a->log.events[i].stack != b->log.events[i].stack)
			return "stack labels";
	}
	return a->complete == b->complete ? NULL : "completeness";
}
