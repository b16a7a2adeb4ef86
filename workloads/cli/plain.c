// SPDX-License-Identifier: MIT
/* A finding in a foreign program is easier to believe without the tool that found it. What cowtip
 * forces at its gate, a breakpoint of blkdebug often can, too:
 *
 *      break write_aio A       stop whoever comes to write guest data
 *      aio_write ...           this one
 *      wait_break A            and go on when it has stopped;
 *      discard ... write ...   others overtake it
 *      resume A
 *
 * There are few such scripts of a small workload: one asynchronous command, one of a few events,
 * one place to resume. Each is tried, and so is the same without a breakpoint; the first that does
 * harm only because of its breakpoint is the one. A request that others wait for makes qemu-io
 * stand still, so every try has its time.
 *
 * What it does not do: crashes, and races that take two requests stopped at once. */
#include "workloads/cli/plain.h"

#include "workloads/language_print.h"

#include <errno.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define IMAGE_WORD "{image}"
/* Nothing that a shell would take for more than a letter. */
#define PLAIN_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 ._/={},:+-"

extern char **environ;

enum { PATH_BYTES = 512, CHECKED_BYTES = 512 };

/* Where a request may be stopped. */
static const char *const events[] = { "write_aio", "cow_write", "cow_read", "l2_update" };

enum { EVENT_COUNT = sizeof(events) / sizeof(events[0]) };

/* A search for the script. */
struct plain {
	const struct trace *trace;
	const struct workload *workload;
	const char *program;   /* its command line */
	uint64_t guest_offset; /* of the sector that is looked at */
	uint8_t pattern;       /* what it must be filled with */
	char folder[PATH_BYTES];
};

/* Stop command `stopped` at `event`, and let it go on behind command `last`. */
struct stop {
	const char *event; /* NULL: nobody is stopped */
	size_t stopped, last;
};

static bool is_plain_qemu_io(const char *program)
{
	size_t bytes = strcspn(program, " ");
	const char *base = program + bytes;
	while (base > program && base[-1] != '/')
		base--;
	return strspn(program, PLAIN_LETTERS) == strlen(program) &&
	       strncmp(base, "qemu-io ", strlen("qemu-io ")) == 0 && strstr(program, IMAGE_WORD);
}

/* What the sector holds when each command waits for the one before. False: it cannot be said so
 * easily. */
static bool find_pattern(const struct workload *workload, uint64_t guest_offset, uint8_t *pattern)
{
	bool is_known = false;
	for (size_t i = 0; i < workload->command_count; i++) {
		const struct workload_command *command = &workload->commands[i];
		bool covers =
			command->guest_offset <= guest_offset &&
			command->guest_offset + command->length >= guest_offset + CHECKED_BYTES;
		if (command->op == REQUEST_DISCARD && covers)
			is_known = false;
		if ((command->op != REQUEST_WRITE && command->op != REQUEST_WRITE_ZEROES) ||
		    !covers)
			continue;
		*pattern = command->op == REQUEST_WRITE ? command->pattern : 0;
		is_known = true;
	}
	return is_known;
}

/* ---- a script ---- */

static void print_commands(FILE *to, const struct workload *workload, const struct stop *stop)
{
	for (size_t i = 0; i < workload->command_count; i++) {
		bool is_stopped = stop->event && i == stop->stopped;
		if (is_stopped)
			fprintf(to, "-c 'break %s A' ", stop->event);
		fputs("-c '", to);
		workload_print_command(to, &workload->commands[i]);
		fputs("' ", to);
		if (is_stopped)
			fputs("-c 'wait_break A' ", to);
		if (stop->event && i == stop->last)
			fputs("-c 'resume A' ", to);
	}
	fputs("-c aio_flush ", to);
}

/* Gives. */
static char *print_script(const struct plain *plain, const struct stop *stop)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *to = open_memstream(&text, &bytes);
	if (!to)
		abort();
	const char *program = plain->program;
	const char *image = strstr(program, IMAGE_WORD);
	fprintf(to,
		"#!/bin/sh\n"
		"# Plain qemu-io, without cowtip: a breakpoint of blkdebug forces the order that "
		"breaks\n"
		"# %s. Exit status 1: the sector at %" PRIu64
		" is not what the last request on it wrote.\n"
		"cd \"$(dirname \"$0\")\" && cp initial.qcow2 plain.qcow2 || exit 2\n"
		"timeout \"${1:-60}\" %.*s",
		plain->trace->findings[0].rule, plain->guest_offset, (int)(image - program),
		program);
	print_commands(to, plain->workload, stop);
	fprintf(to,
		"blkdebug::plain.qcow2%s || exit 2\n"
		"qemu-io -r -f qcow2 -c 'read -P 0x%02x %" PRIu64 " %d' plain.qcow2 || exit 1\n",
		image + strlen(IMAGE_WORD), plain->pattern, plain->guest_offset, CHECKED_BYTES);
	if (fclose(to) != 0)
		abort();
	return text;
}

/* ---- trying it ---- */

static void path_of(const struct plain *plain, char *path, const char *name)
{
	snprintf(path, 2 * PATH_BYTES, "%s/%.255s", plain->folder, name);
}

static enum status make_folder(struct plain *plain, struct why *why)
{
	const char *above = getenv("TMPDIR");
	snprintf(plain->folder, sizeof(plain->folder), "%.300s/cowtip-plain-XXXXXX",
		 above && *above ? above : "/tmp");
	if (!mkdtemp(plain->folder))
		return why_set(why, STATUS_IO, "cannot make a folder like '%.300s': %s",
			       plain->folder, strerror(errno));
	char path[2 * PATH_BYTES];
	path_of(plain, path, "initial.qcow2");
	enum status status = content_store(plain->trace->files[0].initial, path, why);
	for (size_t i = 1; i < plain->trace->file_count && status == STATUS_OK; i++) {
		path_of(plain, path, plain->trace->files[i].path);
		status = content_store(plain->trace->files[i].initial, path, why);
	}
	return status;
}

static void remove_folder(const struct plain *plain)
{
	static const char *const names[] = { "initial.qcow2", "plain.qcow2", "plain.sh" };
	char path[2 * PATH_BYTES];
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		path_of(plain, path, names[i]);
		unlink(path);
	}
	for (size_t i = 1; i < plain->trace->file_count; i++) {
		path_of(plain, path, plain->trace->files[i].path);
		unlink(path);
	}
	rmdir(plain->folder);
}

/* Run it, quietly, and for four seconds at most. Returns its exit status; -1: it did not end by
 * itself. */
static int run_script(char *path)
{
	char *const argv[] = { (char[]){ "sh" }, path, (char[]){ "4" }, NULL };
	posix_spawn_file_actions_t actions;
	pid_t child = 0;
	int wait_status = 0;
	if (posix_spawn_file_actions_init(&actions) != 0)
		return -1;
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", 0, 0);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", 1, 0);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", 1, 0);
	int error = posix_spawnp(&child, "sh", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (error != 0)
		return -1;
	while (waitpid(child, &wait_status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
}

/* Does the script with `stop` end with `wanted`? Then it is given in `*script` (may be NULL). */
static enum status try_stop(const struct plain *plain, const struct stop *stop, int wanted,
			    char **script, bool *is_so, struct why *why)
{
	char path[2 * PATH_BYTES];
	char *text = print_script(plain, stop);
	path_of(plain, path, "plain.sh");
	FILE *file = fopen(path, "we");
	bool is_written = file && fputs(text, file) >= 0;
	is_written = file && fclose(file) == 0 && is_written;
	if (!is_written) {
		free(text);
		return why_set(why, STATUS_IO, "cannot write '%.300s': %s", path, strerror(errno));
	}
	*is_so = run_script(path) == wanted;
	if (*is_so && script)
		*script = text;
	else
		free(text);
	return STATUS_OK;
}

/* The stop that comes behind `*stop`: other places to go on first, the last of them before the
 * others, then other events, then other commands. False: there is none. */
static bool next_stop(const struct plain *plain, struct stop *stop, size_t *event)
{
	const struct workload *workload = plain->workload;
	if (stop->event && stop->last > stop->stopped + 1) {
		stop->last--;
		return true;
	}
	if (stop->event && ++*event == EVENT_COUNT) {
		*event = 0;
		stop->stopped++;
	}
	while (stop->stopped < workload->command_count &&
	       !workload->commands[stop->stopped].is_async)
		stop->stopped++;
	stop->event = events[*event];
	stop->last = workload->command_count - 1;
	return stop->stopped + 1 < workload->command_count;
}

static enum status search(const struct plain *plain, char **script, struct why *why)
{
	struct stop stop = { 0 };
	size_t event = 0;
	bool is_so = false;
	/* Without a breakpoint nothing must be wrong. */
	enum status status = try_stop(plain, &stop, 0, NULL, &is_so, why);
	if (status != STATUS_OK || !is_so)
		return status;
	is_so = false;
	while (status == STATUS_OK && !is_so && next_stop(plain, &stop, &event))
		status = try_stop(plain, &stop, 1, script, &is_so, why);
	return status;
}

static bool are_names_plain(const struct trace *trace)
{
	for (size_t i = 1; i < trace->file_count; i++)
		if (strchr(trace->files[i].path, '/') || trace->files[i].path[0] == '.')
			return false;
	return true;
}

enum status plain_script(char **script, const struct trace *trace, const struct workload *workload,
			 struct why *why)
{
	const struct trace_finding *finding = &trace->findings[0];
	struct plain plain = {
		.trace = trace,
		.workload = workload,
		.program = trace_setting(trace, "program"),
		.guest_offset = finding->guest_offset,
	};
	*script = NULL;
	if (!plain.program || !is_plain_qemu_io(plain.program) || !are_names_plain(trace) ||
	    strcmp(finding->model, "none") != 0 || finding->guest_offset == UINT64_MAX)
		return STATUS_OK;
	plain.guest_offset -= plain.guest_offset % CHECKED_BYTES;
	if (!find_pattern(workload, plain.guest_offset, &plain.pattern))
		return STATUS_OK;
	enum status status = make_folder(&plain, why);
	if (status == STATUS_OK)
		status = search(&plain, script, why);
	remove_folder(&plain);
	return status;
}
