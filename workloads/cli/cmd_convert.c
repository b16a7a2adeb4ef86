// SPDX-License-Identifier: MIT
/* cowtip convert: a trace as a dm-log-writes log, a log as a trace, a report as a workload. */
#include "traces/dm_log_writes.h"
#include "workloads/cli/commands.h"
#include "workloads/cli/import_report.h"
#include "workloads/cli/input.h"
#include "workloads/cli/json.h"

#include <inttypes.h>
#include <string.h>

#define LOG_FORMAT "dm-log-writes"
#define TRACE_FORMAT "trace"
#define WORKLOAD_FORMAT "workload"

static bool ends_in(const char *text, const char *end)
{
	size_t text_bytes = strlen(text), end_bytes = strlen(end);
	return text_bytes > end_bytes && strcmp(text + text_bytes - end_bytes, end) == 0;
}

/* What OUT is to be: a literal; NULL: nobody said. */
static const char *format_of(const struct options *options)
{
	static const struct {
		const char *format, *ending;
	} rows[] = {
		{ LOG_FORMAT, ".log" },
		{ LOG_FORMAT, ".dmlog" },
		{ TRACE_FORMAT, ".trace.zst" },
		{ WORKLOAD_FORMAT, ".qio" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (options->to ? strcmp(options->to, rows[i].format) == 0
				: ends_in(options->positional[1], rows[i].ending))
			return rows[i].format;
	return NULL;
}

static void print_losses(const struct dm_log_written *written)
{
	if (written->shrinks)
		printf("  lost: %" PRIu64 " truncations to a smaller size (the bytes are "
		       "discarded)\n",
		       written->shrinks);
	if (written->other_files)
		printf("  lost: %" PRIu64 " operations on other files\n", written->other_files);
	if (written->promised_too_much)
		printf("  promised too much: %" PRIu64 " writes stand before a flush that did not "
		       "cover them\n",
		       written->promised_too_much);
}

static void print_json(const struct options *options, const char *format, const struct trace *trace,
		       const struct dm_log_written *written)
{
	struct json json = { .file = stdout };
	json_begin_object(&json, NULL);
	json_text(&json, "command", "convert");
	json_text(&json, "in", options->positional[0]);
	json_text(&json, "out", options->positional[1]);
	json_text(&json, "format", format);
	json_number(&json, "events", trace->log.count);
	json_number(&json, "entries", written->entries);
	json_number(&json, "other_files", written->other_files);
	json_number(&json, "shrinks", written->shrinks);
	json_number(&json, "promised_too_much", written->promised_too_much);
	json_end_object(&json);
}

static enum status write_out(struct trace *trace, const struct options *options, const char *format,
			     struct why *why)
{
	const char *path = options->positional[1];
	struct dm_log_written written = { 0 };
	uint32_t sector_bytes =
		options->sector_bytes ? options->sector_bytes : DM_LOG_SECTOR_BYTES_DEFAULT;
	bool to_log = strcmp(format, LOG_FORMAT) == 0;
	enum status status;
	if (!trace->file_count)
		return why_set(why, STATUS_BAD_INPUT, "'%s' has no files", options->positional[0]);
	if (to_log)
		status = dm_log_write(trace, &written, path, sector_bytes, why);
	else
		status = trace_write(trace, path, why);
	if (status != STATUS_OK)
		return status;
	if (options->json) {
		print_json(options, format, trace, &written);
	} else if (!options->quiet) {
		if (to_log)
			printf("%s: %" PRIu64 " entries\n", path, written.entries);
		else
			printf("%s: %zu events\n", path, trace->log.count);
		print_losses(&written);
	}
	return STATUS_OK;
}

static enum status convert_trace(const struct options *options, const char *format, struct why *why)
{
	struct trace trace;
	if (options->injected_count)
		return why_set(why, STATUS_USAGE,
			       "convert: --inject is for workloads, '%s' is none",
			       options->positional[1]);
	trace_init(&trace);
	enum status status = input_read(&trace, options, "converting", why);
	if (status == STATUS_OK)
		status = write_out(&trace, options, format, why);
	trace_release(&trace);
	return status;
}

enum exit_code cmd_convert(const struct options *options)
{
	struct why why = { "" };
	const char *format = format_of(options);
	enum status status;
	if (!format)
		status = why_set(&why, STATUS_USAGE,
				 "convert: what is '%s' to be? .trace.zst, .log, .dmlog, .qio, or "
				 "--to trace|dm-log-writes|workload",
				 options->positional[1]);
	else if (strcmp(format, WORKLOAD_FORMAT) == 0)
		status = import_report(options, &why);
	else
		status = convert_trace(options, format, &why);
	return status == STATUS_OK ? EXIT_CLEAN : exit_with(status, &why);
}
