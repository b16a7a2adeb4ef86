// SPDX-License-Identifier: MIT
/* Images that the built-in engine cannot make, because it does not compress: qemu-img creates them,
 * qemu-io runs the `#@ prepare` commands, one process for all up to the next snapshot or `reopen`.
 *
 * That one process matters: compressed clusters of one session share a host cluster, those of
 * different sessions do not. qemu-io runs with `-d ignore`, so that what `write -z -u` frees keeps
 * its stale bytes in the file; a discard would do nothing, and is refused. */
#include "workloads/program_private.h"
#include "workloads/tool.h"
#include "workloads/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SAID_PATH "said.txt"

enum { OPTIONS_BYTES = 160, PATH_BYTES = 512, SAID_BYTES = 160 };

/** What a tool said last, for a message. */
static void read_said(const char *folder, char said[SAID_BYTES])
{
	char path[PATH_BYTES], line[SAID_BYTES];
	FILE *file;

	snprintf(said, SAID_BYTES, "nothing");
	snprintf(path, sizeof(path), "%s/" SAID_PATH, folder);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = 0;
		if (line[0])
			snprintf(said, SAID_BYTES, "%s", line);
	}
	if (file)
		fclose(file);
}

static enum status run_tool(const char *const *words, const struct workload *workload,
			    const char *folder, struct why *why)
{
	char said[SAID_BYTES];
	int result = tool_run(words, folder, SAID_PATH);

	if (result == 0)
		return STATUS_OK;
	if (result < 0)
		return why_set(why, STATUS_IO,
			       "%s: its image takes '%s', which cannot be run: it compresses",
			       workload->name, words[0]);
	read_said(folder, said);
	return why_set(why, STATUS_BAD_INPUT, "%s: preparing the image: '%s' said: %s",
		       workload->name, words[0], said);
}

static enum status create(const struct workload *workload, bool is_backed, const char *folder,
			  struct why *why)
{
	const struct workload_image *image = &workload->image;
	const char *format = image->backing_format ? image->backing_format : "raw";
	const char *words[16] = { "qemu-img", "create", "-q", "-f", "qcow2", "-o" };
	char options[OPTIONS_BYTES], size[32];
	size_t count = 6;

	snprintf(options, sizeof(options), "cluster_size=%" PRIu32 ",compat=%s,lazy_refcounts=%s",
		 image->cluster_bytes, image->version == 2 ? "0.10" : "1.1",
		 image->lazy_refcounts ? "on" : "off");
	snprintf(size, sizeof(size), "%" PRIu64, image->size_bytes);
	words[count++] = options;
	if (is_backed) {
		words[count++] = "-b";
		words[count++] = strcmp(format, "raw") == 0 ? WORLD_BACKING_RAW_PATH
							    : WORLD_BACKING_QCOW2_PATH;
		words[count++] = "-F";
		words[count++] = format;
	}
	words[count++] = WORLD_IMAGE_PATH;
	words[count++] = size;
	return run_tool(words, workload, folder, why);
}

/** Does a qemu-io end in front of this command? */
static bool ends_session(const struct workload_command *command)
{
	switch (command->op) {
	case REQUEST_SNAPSHOT:
	case REQUEST_SNAPSHOT_APPLY:
	case REQUEST_SNAPSHOT_DELETE:
	case REQUEST_OPEN:
	case REQUEST_CLOSE: return true;
	case REQUEST_READ:
	case REQUEST_WRITE:
	case REQUEST_WRITE_ZEROES:
	case REQUEST_DISCARD:
	case REQUEST_FLUSH:
	case REQUEST_TRUNCATE: return false;
	}
	return false;
}

/** Run commands from number `first` on in one qemu-io; `*next` is the one behind them. */
static enum status run_session(const struct workload *workload, size_t first, size_t *next,
			       const char *folder, struct why *why)
{
	enum { COMMANDS_MAX = (TOOL_WORDS_MAX - 10) / 2 };
	const char *words[TOOL_WORDS_MAX] = { "qemu-io", "-t", "writeback", "-d",
					      "ignore",  "-f", "qcow2" };
	char *texts[COMMANDS_MAX];
	size_t count = 7, text_count = 0, at = first;

	for (; at < workload->prepare_count && text_count < COMMANDS_MAX; at++) {
		const struct workload_command *command = &workload->prepare[at];
		if (ends_session(command))
			break;
		char *text = program_spelled(command, false);
		text[strcspn(text, "\n")] = 0;
		texts[text_count++] = text;
		words[count++] = "-c";
		words[count++] = text;
	}
	words[count] = WORLD_IMAGE_PATH;
	enum status status = text_count ? run_tool(words, workload, folder, why) : STATUS_OK;
	for (size_t i = 0; i < text_count; i++)
		free(texts[i]);
	*next = at;
	return status;
}

static enum status run_snapshot(const struct workload *workload,
				const struct workload_command *command, const char *folder,
				struct why *why)
{
	const char *option = command->op == REQUEST_SNAPSHOT         ? "-c"
			     : command->op == REQUEST_SNAPSHOT_APPLY ? "-a"
								     : "-d";
	const char *words[] = { "qemu-img",    "snapshot",       option,
				command->name, WORLD_IMAGE_PATH, NULL };

	/* `reopen` is done by ending the session. */
	return command->op == REQUEST_CLOSE ? STATUS_OK : run_tool(words, workload, folder, why);
}

static enum status run_commands(const struct workload *workload, const char *folder,
				struct why *why)
{
	enum status status = STATUS_OK;

	for (size_t i = 0; i < workload->prepare_count && status == STATUS_OK; i++)
		if (workload->prepare[i].op == REQUEST_DISCARD)
			status = why_set(why, STATUS_BAD_INPUT,
					 "%s:%" PRIu32 ": prepare: 'discard' beside a compressed "
					 "write: say 'write -z -u'",
					 workload->name, workload->prepare[i].line);
	for (size_t i = 0; i < workload->prepare_count && status == STATUS_OK;) {
		if (ends_session(&workload->prepare[i]))
			status = run_snapshot(workload, &workload->prepare[i++], folder, why);
		else
			status = run_session(workload, i, &i, folder, why);
	}
	return status;
}

/** Load a file that was made, and remove it. */
static enum status take_file(struct content **content, const char *folder, const char *name,
			     struct why *why)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	enum status status = content ? content_load(content, path, why) : STATUS_OK;
	unlink(path);
	return status;
}

enum status program_prepare(struct trace *files, const struct workload *workload,
			    const char *folder, struct why *why)
{
	const char *format = workload->image.backing_format;
	bool is_qcow2 = format && strcmp(format, "qcow2") == 0;
	const char *backing_name = is_qcow2 ? WORLD_BACKING_QCOW2_PATH : WORLD_BACKING_RAW_PATH;
	struct content *backing = NULL, *image = NULL;
	char path[PATH_BYTES];

	enum status status = world_backing_content(workload, &backing, why);
	if (status != STATUS_OK)
		return status;
	snprintf(path, sizeof(path), "%s/%s", folder, backing_name);
	if (backing)
		status = content_store(backing, path, why);
	if (status == STATUS_OK)
		status = create(workload, backing != NULL, folder, why);
	if (status == STATUS_OK)
		status = run_commands(workload, folder, why);
	if (status == STATUS_OK)
		status = take_file(&image, folder, WORLD_IMAGE_PATH, why);
	else
		(void)take_file(NULL, folder, WORLD_IMAGE_PATH, NULL);
	(void)take_file(NULL, folder, backing_name, NULL);
	(void)take_file(NULL, folder, SAID_PATH, NULL);
	if (status != STATUS_OK) {
		content_free(backing);
		return status;
	}
	trace_add_file(files, WORLD_IMAGE_PATH, TRACE_FORMAT_QCOW2, backing ? 1 : TRACE_NO_BACKING,
		       image);
	if (backing)
		trace_add_file(files, backing_name,
			       is_qcow2 ? TRACE_FORMAT_QCOW2 : TRACE_FORMAT_RAW, TRACE_NO_BACKING,
			       backing);
	return STATUS_OK;
}
