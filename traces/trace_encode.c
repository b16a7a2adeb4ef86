// SPDX-License-Identifier: MIT
/* A whole trace, record by record, always in the same order: same trace, same bytes. */
#include "traces/trace_stream.h"

#include <string.h>

/* One page of initial contents, left out when it is all zeros. */
static enum status put_page(const struct trace_sink *sink, const struct content *content,
			    uint16_t file, uint64_t index)
{
	const uint8_t *page = content_page(content, index);
	if (memcmp(page, content_zeros, CONTENT_PAGE_BYTES) == 0)
		return STATUS_OK;
	uint64_t start = index * CONTENT_PAGE_BYTES;
	uint64_t room = content_size(content) - start;
	struct trace_span span = { page,
				   room < CONTENT_PAGE_BYTES ? (size_t)room : CONTENT_PAGE_BYTES };
	return trace_put_initial(sink, file, start, &span);
}

static enum status put_file(const struct trace_sink *sink, const struct trace_file *file,
			    uint16_t number)
{
	enum status status = trace_put_file(sink, file, content_size(file->initial));
	uint64_t index = 0;
	for (; status == STATUS_OK && content_next_page(file->initial, &index); index++)
		status = put_page(sink, file->initial, number, index);
	return status;
}

/* What has to be known before the first event. */
static enum status put_setup(const struct trace_sink *sink, const struct trace *trace)
{
	enum status status = trace_put_begin(sink, trace->subject);
	for (size_t i = 0; i < trace->setting_count && status == STATUS_OK; i++)
		status = trace_put_setting(sink, trace->settings[i].key, trace->settings[i].value);
	if (status == STATUS_OK && trace->workload[0])
		status = trace_put_workload(sink, trace->workload);
	if (status == STATUS_OK)
		status = trace_put_schedule(sink, &trace->schedule);
	for (size_t i = 0; i < trace->file_count && status == STATUS_OK; i++)
		status = put_file(sink, &trace->files[i], (uint16_t)i);
	for (size_t i = 0; i < trace->module_count && status == STATUS_OK; i++)
		status = trace_put_module(sink, &trace->modules[i]);
	for (size_t i = 0; i < trace->stack_count && status == STATUS_OK; i++)
		status = trace_put_stack(sink, &trace->stacks[i]);
	return status;
}

enum status trace_encode(const struct trace *trace, const struct trace_sink *sink)
{
	enum status status = put_setup(sink, trace);
	for (size_t i = 0; i < trace->log.count && status == STATUS_OK; i++) {
		const struct event *event = &trace->log.events[i];
		struct trace_span data = { event_data(&trace->log, event), event->data_bytes };
		status = trace_put_event(sink, event, &data, event->data_bytes ? 1 : 0);
	}
	for (size_t i = 0; i < trace->finding_count && status == STATUS_OK; i++)
		status = trace_put_finding(sink, &trace->findings[i]);
	if (status == STATUS_OK && trace->complete)
		status = trace_put_end(sink, trace->log.count);
	return status;
}
