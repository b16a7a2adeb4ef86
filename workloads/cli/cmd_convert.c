// SPDX-License-Identifier: MIT
/* cowtip convert: a trace as a dm-log-writes log, a log as a trace. */
#include "traces/dm_log_writes.h"
#include "workloads/cli/commands.h"
#include "workloads/cli/input.h"
#include "workloads/cli/json.h"

#include <inttypes.h>
#include <string.h>

#define LOG_FORMAT "dm-log-writes"
#define TRACE_FORMAT "trace"

static bool ends_in(const char *text, const char *end)
{
	size_t text_bytes = strlen(text), end_bytes = strlen(end);
	return text_bytes > end_bytes && strcmp(text + text_bytes - end_bytes, end) == 0;
}

/* What OUT is to be: a literal; NULL: nobody said. */
static const char *format_of(const struct options *options)
{
	const char *path = options->positional[1];
	if (options->to)
		return strcmp(options->to, LOG_FORMAT) == 0     ? LOG_FORMAT
		       : strcmp(options->to, TRACE_FORMAT) == 0 ? TRACE_FORMAT
								: NULL;
	if (ends_in(path, ".log") || ends_in(path, ".dmlog"))
		return LOG_FORMAT;
	return ends_in(path, ".trace.zst") ? TRACE_FORMAT : NULL;
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

enum exit_code cmd_convert(const struct options *options)
{
	struct trace trace;
	struct why why = { "" };
	const char *format = format_of(options);
	trace_init(&trace);
	enum status status = STATUS_OK;
	if (!format)
		status = why_set(&why, STATUS_USAGE,
				 "convert: what is '%s' to be? .trace.zst, .log, .dmlog, or --to "
				 "trace|dm-log-writes",
				 options->positional[1]);
	if (status == STATUS_OK)
		status = input_read(&trace, options, "converting", &why);
	if (status == STATUS_OK)
		status = write_out(&trace, options, format, &why);
	trace_release(&trace);
	return status == STATUS_OK ? EXIT_CLEAN : exit_with(status, &why);
}
