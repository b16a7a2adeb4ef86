// SPDX-License-Identifier: MIT
/* What a bundle called "some" holds, in the folder some/:
 *
 *      some.trace.zst   the run: workload, settings, schedule, initial files, every event
 *      reproduce.sh     runs it again; needs nothing but cowtip
 *      workload.qio     what ran, for people and for `cowtip sweep`
 *      schedule.txt     in which order
 *      crash.qcow2      the image that the crash leaves, sparse; its backing file beside it
 *      story.txt        what happened, and which step decided it
 *      plain.sh         of stock qemu-io, where it can be: shows it without cowtip (plain.c);
 *      initial.qcow2    the image that it begins with
 *      versions.txt     of cowtip, the settings, and the build of each program and library in it
 *
 * Nothing in it tells when or by whom it was made. Images come first: whatever their names are,
 * what comes behind them is what is unpacked in the end. */
#include "workloads/cli/bundle.h"

#include "workloads/cli/crash_image.h"
#include "workloads/cli/output.h"
#include "workloads/cli/settings.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	MEMBER_BYTES = 512,
	CHUNK_BYTES = 1 << 20,
	BLOCK_BYTES = 10240,
	FILE_MODE = 0644,
	SCRIPT_MODE = 0755,
	MEMBERS_MAX = 1000,
	TRACE_BYTES_MAX = 1 << 30,
};

/* Of an image's length, not of what is stored of it. */
#define IMAGE_BYTES_MAX ((uint64_t)64 << 30)

/* A bundle being written. */
struct packing {
	struct archive *archive;
	const struct bundle *bundle;
	struct why *why;
};

static enum status fail(const struct packing *packing)
{
	const char *text = archive_error_string(packing->archive);
	return why_set(packing->why, STATUS_IO, "cannot write the bundle: %.300s",
		       text ? text : "no reason given");
}

/* Begin a member of `bytes` bytes; of the pages of `sparse` (may be NULL) only those that it stores
 * are written. */
static enum status begin_member(const struct packing *packing, const char *name, uint64_t bytes,
				unsigned mode, const struct content *sparse)
{
	char path[MEMBER_BYTES];
	struct archive_entry *entry = archive_entry_new();
	if (!entry)
		return why_set(packing->why, STATUS_NO_MEMORY, "out of memory");
	snprintf(path, sizeof(path), "%.200s/%.200s", packing->bundle->name, name);
	archive_entry_set_pathname(entry, path);
	archive_entry_set_size(entry, (int64_t)bytes);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, mode);
	archive_entry_set_mtime(entry, 0, 0);
	uint64_t page = 0;
	for (; sparse && content_next_page(sparse, &page); page++) {
		uint64_t from = page * CONTENT_PAGE_BYTES;
		uint64_t length =
			bytes - from < CONTENT_PAGE_BYTES ? bytes - from : CONTENT_PAGE_BYTES;
		archive_entry_sparse_add_entry(entry, (int64_t)from, (int64_t)length);
	}
	int result = archive_write_header(packing->archive, entry);
	archive_entry_free(entry);
	return result == ARCHIVE_OK ? STATUS_OK : fail(packing);
}

static enum status put_bytes(const struct packing *packing, const void *data, size_t bytes)
{
	const char *at = data;
	while (bytes) {
		la_ssize_t written = archive_write_data(packing->archive, at, bytes);
		if (written <= 0)
			return fail(packing);
		at += written;
		bytes -= (size_t)written;
	}
	return STATUS_OK;
}

static enum status put_text(const struct packing *packing, const char *name, const char *text,
			    unsigned mode)
{
	size_t bytes = strlen(text);
	enum status status = begin_member(packing, name, bytes, mode, NULL);
	return status == STATUS_OK ? put_bytes(packing, text, bytes) : status;
}

/* Holes are handed over, too, and skipped by the archive. */
static enum status put_content(const struct packing *packing, const char *name,
			       const struct content *content)
{
	uint64_t bytes = content_size(content);
	uint8_t *chunk = malloc(CHUNK_BYTES);
	if (!chunk)
		return why_set(packing->why, STATUS_NO_MEMORY, "out of memory");
	enum status status = begin_member(packing, name, bytes, FILE_MODE, content);
	for (uint64_t at = 0; at < bytes && status == STATUS_OK; at += CHUNK_BYTES) {
		size_t part = bytes - at < CHUNK_BYTES ? (size_t)(bytes - at) : CHUNK_BYTES;
		content_read(content, chunk, part, at);
		status = put_bytes(packing, chunk, part);
	}
	free(chunk);
	return status;
}

static enum status put_file(const struct packing *packing, const char *name, const char *path)
{
	FILE *file = fopen(path, "re");
	uint8_t *chunk = malloc(CHUNK_BYTES);
	enum status status = STATUS_OK;
	long bytes = -1;
	if (file && fseek(file, 0, SEEK_END) == 0)
		bytes = ftell(file);
	if (!file || !chunk || bytes < 0 || fseek(file, 0, SEEK_SET) != 0) {
		status = why_set(packing->why, STATUS_IO, "cannot read '%.300s': %s", path,
				 strerror(errno));
		goto out;
	}
	status = begin_member(packing, name, (uint64_t)bytes, FILE_MODE, NULL);
	for (size_t part; status == STATUS_OK && (part = fread(chunk, 1, CHUNK_BYTES, file)) > 0;)
		status = put_bytes(packing, chunk, part);
	if (status == STATUS_OK && ferror(file))
		status = why_set(packing->why, STATUS_IO, "cannot read '%.300s'", path);
out:
	free(chunk);
	if (file)
		fclose(file);
	return status;
}

/* ---- the members ---- */

static char *print_script(const struct bundle *bundle)
{
	char *text = NULL;
	const struct trace_finding *finding = &bundle->trace->findings[0];
	bool is_foreign = settings_trace_is_foreign(bundle->trace);
	if (asprintf(&text,
		     "#!/bin/sh\n"
		     "# %s (%s): runs the recorded schedule again and judges every crash of it.\n"
		     "# Needs %s. Exit status 1: it shows again; 0: it does not any more;\n"
		     "# 4: the run left its recording. To look at it: cowtip show %s.trace.zst\n"
		     "cd \"$(dirname \"$0\")\" && exec \"${COWTIP:-cowtip}\" replay \"$@\" "
		     "%s.trace.zst\n",
		     finding->rule, finding->severity,
		     is_foreign ? "cowtip and the program that it ran (versions.txt)"
				: "nothing but cowtip",
		     bundle->name, bundle->name) < 0)
		abort();
	return text;
}

static char *print_versions(const struct trace *trace)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *to = open_memstream(&text, &bytes);
	if (!to)
		abort();
	fprintf(to, "cowtip   %s\nsubject  %s\n", COWTIP_VERSION, trace->subject);
	for (size_t i = 0; i < trace->setting_count; i++)
		fprintf(to, "%-8s %s\n", trace->settings[i].key, trace->settings[i].value);
	for (size_t i = 0; i < trace->module_count; i++)
		fprintf(to, "module   %s build id %s\n", trace->modules[i].path,
			trace->modules[i].build_id);
	if (fclose(to) != 0)
		abort();
	return text;
}

static enum status put_given(const struct packing *packing, const char *name, char *text,
			     unsigned mode)
{
	enum status status = put_text(packing, name, text, mode);
	free(text);
	return status;
}

static enum status put_texts(const struct packing *packing)
{
	const struct bundle *bundle = packing->bundle;
	char *schedule = schedule_print(&bundle->trace->schedule);
	char *line = NULL;
	if (!schedule || asprintf(&line, "%s\n", schedule) < 0)
		abort();
	free(schedule);
	enum status status = put_given(packing, "reproduce.sh", print_script(bundle), SCRIPT_MODE);
	if (status == STATUS_OK && bundle->plain)
		status = put_text(packing, "plain.sh", bundle->plain, SCRIPT_MODE);
	if (status == STATUS_OK)
		status = put_text(packing, "story.txt", bundle->story, FILE_MODE);
	if (status == STATUS_OK)
		status = put_text(packing, "workload.qio", bundle->trace->workload, FILE_MODE);
	if (status == STATUS_OK)
		status = put_text(packing, "schedule.txt", line, FILE_MODE);
	if (status == STATUS_OK)
		status = put_given(packing, "versions.txt", print_versions(bundle->trace),
				   FILE_MODE);
	free(line);
	return status;
}

/* The crash image, and what backs it under the names that it knows. */
static enum status put_images(const struct packing *packing, bool *has_image)
{
	const struct trace *trace = packing->bundle->trace;
	struct content *image = NULL;
	enum status status = crash_image_of(&image, trace, &trace->findings[0], packing->why);
	if (status != STATUS_OK)
		return status;
	*has_image = content_size(image) <= IMAGE_BYTES_MAX;
	for (size_t i = 1; i < trace->file_count; i++)
		*has_image &= content_size(trace->files[i].initial) <= IMAGE_BYTES_MAX;
	if (*has_image)
		status = put_content(packing, "crash.qcow2", image);
	if (*has_image && status == STATUS_OK && packing->bundle->plain)
		status = put_content(packing, "initial.qcow2", trace->files[0].initial);
	for (size_t i = 1; *has_image && i < trace->file_count && status == STATUS_OK; i++)
		if (!strchr(trace->files[i].path, '/') && trace->files[i].path[0] != '.')
			status =
				put_content(packing, trace->files[i].path, trace->files[i].initial);
	content_free(image);
	return status;
}

static enum status put_all(const struct packing *packing, bool *has_image)
{
	char name[MEMBER_BYTES];
	snprintf(name, sizeof(name), "%.180s.trace.zst", packing->bundle->name);
	enum status status = put_images(packing, has_image);
	if (status == STATUS_OK)
		status = put_texts(packing);
	if (status == STATUS_OK)
		status = put_file(packing, name, packing->bundle->trace_path);
	if (status == STATUS_OK && archive_write_close(packing->archive) != ARCHIVE_OK)
		status = fail(packing);
	return status;
}

enum status bundle_write(const struct bundle *bundle, const char *path, bool *has_image,
			 struct why *why)
{
	struct output output;
	struct packing packing = { .archive = archive_write_new(), .bundle = bundle, .why = why };
	if (!packing.archive)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	enum status status = output_begin(&output, path, why);
	if (status != STATUS_OK) {
		archive_write_free(packing.archive);
		return status;
	}
	if (archive_write_set_format_pax_restricted(packing.archive) != ARCHIVE_OK ||
	    archive_write_add_filter_zstd(packing.archive) != ARCHIVE_OK ||
	    /* No padding behind the compressed stream: zstd would not know what to do with it. */
	    archive_write_set_bytes_in_last_block(packing.archive, 1) != ARCHIVE_OK ||
	    archive_write_open_FILE(packing.archive, output.file) != ARCHIVE_OK)
		status = fail(&packing);
	if (status == STATUS_OK)
		status = put_all(&packing, has_image);
	archive_write_free(packing.archive);
	if (status == STATUS_OK)
		return output_finish(&output, why);
	output_cancel(&output);
	return status;
}

/* ---- and back ---- */

static bool ends_with(const char *text, const char *end)
{
	size_t bytes = strlen(text), end_bytes = strlen(end);
	return bytes >= end_bytes && strcmp(text + bytes - end_bytes, end) == 0;
}

bool bundle_is_named(const char *path)
{
	return ends_with(path, ".tar.zst") || ends_with(path, ".tar");
}

/* Find the first trace among the members. */
static bool find_trace(struct archive *archive)
{
	struct archive_entry *entry = NULL;
	for (size_t i = 0; i < MEMBERS_MAX; i++) {
		if (archive_read_next_header(archive, &entry) != ARCHIVE_OK)
			return false;
		const char *name = archive_entry_pathname(entry);
		if (name && archive_entry_filetype(entry) == AE_IFREG &&
		    ends_with(name, ".trace.zst"))
			return true;
	}
	return false;
}

/* All bytes of the present member. Gives. */
static enum status read_member(struct archive *archive, char **bytes, size_t *count,
			       struct why *why)
{
	size_t room = CHUNK_BYTES;
	*bytes = malloc(room);
	*count = 0;
	for (;;) {
		la_ssize_t part =
			*bytes ? archive_read_data(archive, *bytes + *count, room - *count) : -1;
		if (part < 0)
			return why_set(why, STATUS_CORRUPT,
				       "the trace in the bundle cannot be read");
		*count += (size_t)part;
		if (part == 0 && *count < room)
			return STATUS_OK;
		if (*count < room)
			continue;
		if (room >= TRACE_BYTES_MAX)
			return why_set(why, STATUS_CORRUPT, "the trace in the bundle is too large");
		room *= 2;
		char *larger = realloc(*bytes, room);
		if (!larger)
			return why_set(why, STATUS_NO_MEMORY, "out of memory");
		*bytes = larger;
	}
}

enum status bundle_read_trace(struct trace *trace, const char *path, struct why *why)
{
	struct archive *archive = archive_read_new();
	char *bytes = NULL;
	size_t count = 0;
	enum status status = STATUS_OK;
	if (!archive)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	archive_read_support_filter_zstd(archive);
	archive_read_support_format_tar(archive);
	if (archive_read_open_filename(archive, path, BLOCK_BYTES) != ARCHIVE_OK)
		status = why_set(why, STATUS_IO, "cannot open '%.300s': %.100s", path,
				 archive_error_string(archive));
	else if (!find_trace(archive))
		status = why_set(why, STATUS_FOREIGN,
				 "'%.300s' is no bundle of cowtip: no trace "
				 "is in it",
				 path);
	if (status == STATUS_OK)
		status = read_member(archive, &bytes, &count, why);
	if (status == STATUS_OK)
		status = trace_read_memory(trace, bytes, count, path, why);
	free(bytes);
	archive_read_free(archive);
	return status;
}
