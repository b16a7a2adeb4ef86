// SPDX-License-Identifier: MIT
#include "workloads/cli/import_report.h"

#include "traces/memory.h"
#include "traces/trace.h"
#include "workloads/cli/json.h"
#include "workloads/cli/output.h"
#include "workloads/import.h"
#include "workloads/import_lazyfs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A text that was read. */
struct report {
	const char *path; /* borrowed */
	char *text;       /* owned */
	size_t bytes;
};

static enum status take_script(struct import *import, const struct report *report, struct why *why)
{
	if (import_kind_of(report->text, report->bytes) == IMPORT_SCRIPT)
		return import_script(import, report->path, report->text, report->bytes, why);
	return why_set(why, STATUS_USAGE,
		       "convert: '%s' holds faults and no requests: name a script or workload, and "
		       "this one with --inject",
		       report->path);
}

/* A crash of LazyFS is one of a model's states; a sweep judges all of them. */
static enum status take_crashes(struct import *import, const struct report *report, struct why *why)
{
	struct lazyfs_entry *entries = NULL;
	size_t count = 0;
	enum status status =
		lazyfs_read(&entries, &count, report->path, report->text, report->bytes, why);
	for (size_t i = 0; i < count; i++) {
		const struct lazyfs_entry *entry = &entries[i];
		bool is_crash = entry->type != LAZYFS_CLEAR_CACHE || entry->crashes;
		if (!is_crash) {
			import_note(import, report->path, entry->line,
				    "%s: left out, the program goes on: that is no crash",
				    lazyfs_type_name(entry->type));
			continue;
		}
		import_note(import, report->path, entry->line,
			    "%s: among the states of model reorder, which are judged at every "
			    "place; alone: cowtip check TRACE --inject %.100s",
			    lazyfs_type_name(entry->type), report->path);
		trace_set_text(&import->workload.crash, "prefix,torn,reorder");
	}
	free(entries);
	return status;
}

static enum status take_faults(struct import *import, const struct report *report, struct why *why)
{
	switch (import_kind_of(report->text, report->bytes)) {
	case IMPORT_BLKDEBUG:
		return import_blkdebug(import,
				       &(struct import_text){ .name = report->path,
							      .text = report->text,
							      .byte_count = report->bytes },
				       why);
	case IMPORT_LAZYFS: return take_crashes(import, report, why);
	case IMPORT_SCRIPT: break;
	}
	return why_set(why, STATUS_BAD_INPUT,
		       "'%s': neither a blkdebug configuration nor LazyFS entries", report->path);
}

static enum status take_file(struct import *import, const char *path,
			     enum status (*take)(struct import *, const struct report *,
						 struct why *),
			     struct why *why)
{
	struct report report = { .path = path };
	enum status status = workload_read_text(path, &report.text, &report.bytes, why);
	if (status == STATUS_OK)
		status = take(import, &report, why);
	free(report.text);
	return status;
}

/* The configuration that the script names, beside it. */
static enum status take_config(struct import *import, const char *script, struct why *why)
{
	const char *slash = strrchr(script, '/');
	int folder_bytes = slash && import->config[0] != '/' ? (int)(slash - script + 1) : 0;
	char *beside = NULL;
	if (asprintf(&beside, "%.*s%s", folder_bytes, script, import->config) < 0)
		abort();
	FILE *file = fopen(beside, "re");
	enum status status = STATUS_OK;
	if (file) {
		fclose(file);
		status = take_file(import, beside, take_faults, why);
	} else {
		import_note(import, script, 1,
			    "blkdebug's '%.200s' is not here: left out (--inject)", import->config);
	}
	free(beside);
	return status;
}

static void print_json(const struct options *options, const struct import *import)
{
	struct json json = { .file = stdout };
	json_begin_object(&json, NULL);
	json_text(&json, "command", "convert");
	json_text(&json, "in", options->positional[0]);
	json_text(&json, "out", options->positional[1]);
	json_text(&json, "format", "workload");
	json_number(&json, "requests", import->workload.command_count);
	json_begin_list(&json, "notes");
	for (const char *note = import->notes ? import->notes : ""; *note;) {
		const char *end = strchr(note, '\n');
		char *line = memory_text(note, (size_t)(end - note));
		json_text(&json, NULL, line);
		free(line);
		note = end + 1;
	}
	json_end_list(&json);
	json_end_object(&json);
}

static enum status write_workload(const struct import *import, const struct options *options,
				  struct why *why)
{
	const char *path = options->positional[1];
	struct output output;
	enum status status = output_begin(&output, path, why);
	if (status != STATUS_OK)
		return status;
	char *text = import_print(import);
	fputs(text, output.file);
	free(text);
	status = output_finish(&output, why);
	if (status != STATUS_OK)
		return status;
	if (options->json)
		print_json(options, import);
	else if (!options->quiet)
		printf("%s: %zu requests\n", path, import->workload.command_count);
	return STATUS_OK;
}

static void tell(const struct import *import)
{
	for (const char *note = import->notes ? import->notes : ""; *note;) {
		const char *end = strchr(note, '\n') + 1;
		fprintf(stderr, "cowtip: %.*s", (int)(end - note), note);
		note = end;
	}
}

enum status import_report(const struct options *options, struct why *why)
{
	struct import import = { 0 };
	const char *script = options->positional[0];
	enum status status = take_file(&import, script, take_script, why);
	if (status == STATUS_OK && import.config && !options->injected_count)
		status = take_config(&import, script, why);
	for (size_t i = 0; i < options->injected_count && status == STATUS_OK; i++)
		status = take_file(&import, options->injected[i], take_faults, why);
	if (status == STATUS_OK)
		status = write_workload(&import, options, why);
	if (status == STATUS_OK)
		tell(&import);
	import_release(&import);
	return status;
}
