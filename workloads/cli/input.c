// SPDX-License-Identifier: MIT
#include "workloads/cli/input.h"

#include "injector/backing_chain.h"
#include "traces/dm_log_writes.h"
#include "traces/trace_check.h"
#include "workloads/cli/data_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum input_kind { INPUT_TRACE, INPUT_LOG, INPUT_IMAGE };

/* What the file begins as. What cannot be read is left to whoever reads it. */
static enum input_kind kind_of(const char *path)
{
	static const uint8_t image_magic[] = { 'Q', 'F', 'I', 0xfb };
	uint8_t magic[DM_LOG_MAGIC_BYTES];
	FILE *file = fopen(path, "re");
	if (!file)
		return INPUT_TRACE;
	size_t bytes = fread(magic, 1, sizeof(magic), file);
	fclose(file);
	if (dm_log_is(magic, bytes))
		return INPUT_LOG;
	bool is_image = bytes >= sizeof(image_magic) &&
			memcmp(magic, image_magic, sizeof(image_magic)) == 0;
	return is_image ? INPUT_IMAGE : INPUT_TRACE;
}

/* File 0: the image before the log; and the files that back it. A file that is empty is an image in
 * the making. */
static enum status add_image(struct trace *trace, const char *path, bool must_be_qcow2,
			     struct why *why)
{
	char name[QCOW2_PEEK_NAME_BYTES];
	struct qcow2_peek peek;
	struct content *content = NULL;
	enum status status = content_load(&content, path, why);
	if (status != STATUS_OK)
		return status;
	bool is_qcow2 = backing_chain_peek(content, &peek, name) || !content_size(content);
	if (!is_qcow2 && must_be_qcow2) {
		content_free(content);
		return why_set(why, STATUS_BAD_INPUT, "'%s' is no qcow2 image", path);
	}
	trace_add_file(trace, path, is_qcow2 ? TRACE_FORMAT_QCOW2 : TRACE_FORMAT_RAW,
		       TRACE_NO_BACKING, content);
	if (is_qcow2)
		status = backing_chain_add(trace, 0, content, why);
	const char *problem = status == STATUS_OK ? trace_backing_problem(trace) : NULL;
	return problem ? why_set(why, STATUS_BAD_INPUT, "'%s': %s", path, problem) : status;
}

/* What a reader of the verdict should know of the log. */
static void tell(const struct dm_log_facts *facts, const char *path)
{
	if (facts->dialect_is_guess)
		fprintf(stderr,
			"cowtip: log '%s' does not tell whose it is: read as QEMU's (--dialect)\n",
			path);
	if (facts->entries_behind)
		fprintf(stderr,
			"cowtip: log '%s': its super block counts %" PRIu64
			" entries; what looks like %" PRIu64 " more was not read\n",
			path, facts->entries, facts->entries_behind);
}

static enum status read_log(struct trace *trace, const char *path, const struct options *options,
			    struct why *why)
{
	bool must_be_qcow2 = strcmp(options->command, "convert") != 0;
	enum dm_log_dialect dialect = DM_LOG_DIALECT_AUTO;
	struct dm_log_facts facts;
	if (options->dialect && !dm_log_dialect_parse(options->dialect, &dialect))
		return why_set(why, STATUS_USAGE, "unknown dialect '%s': kernel, qemu or auto",
			       options->dialect);
	if (options->image_count != 1)
		return why_set(why, STATUS_USAGE,
			       "'%s' is a dm-log-writes log: --image must name the image as it was "
			       "before",
			       path);
	enum status status = add_image(trace, options->images[0], must_be_qcow2, why);
	if (status != STATUS_OK)
		return status;
	status = dm_log_read(trace, &facts, path, dialect, why);
	if (status != STATUS_OK && status != STATUS_TRUNCATED)
		return status;
	trace_set_text(&trace->subject, "a dm-log-writes log");
	trace_add_setting(trace, "dialect", dm_log_dialect_name(facts.dialect));
	tell(&facts, path);
	return status;
}

/* An image alone: the one state that there is. */
static enum status read_image(struct trace *trace, const char *path, const struct options *options,
			      struct why *why)
{
	if (strcmp(options->command, "check") != 0)
		return why_set(why, STATUS_USAGE,
			       "'%s' is a qcow2 image: only 'check' takes one, %s a trace or log",
			       path, options->command);
	enum status status = add_image(trace, path, true, why);
	trace_set_text(&trace->subject, INPUT_IMAGE_SUBJECT);
	return status;
}

enum status input_read(struct trace *trace, const struct options *options, const char *doing,
		       struct why *why)
{
	const char *path = options->positional[0];
	enum input_kind kind = kind_of(path);
	enum status status;
	if (kind == INPUT_LOG)
		status = read_log(trace, path, options, why);
	else if (options->image_count || options->dialect)
		status = why_set(
			why, STATUS_USAGE,
			"'%s' is no dm-log-writes log: --image and --dialect are for those", path);
	else if (kind == INPUT_IMAGE)
		status = read_image(trace, path, options, why);
	else
		status = trace_read(trace, path, why);
	if (status == STATUS_TRUNCATED) {
		fprintf(stderr, "cowtip: %s: %s what is there\n", why->text, doing);
		status = STATUS_OK;
	}
	/* A log has one file only. */
	if (status == STATUS_OK && strcmp(options->command, "convert") != 0)
		data_file_join(trace);
	return status;
}
