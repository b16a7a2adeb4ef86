// SPDX-License-Identifier: MIT
/* The program runs with the shared library preloaded; each of its processes writes a stream. When
 * the program has ended the streams are read, made into traces, checked against the files, and
 * removed. */
#include "injector/record_program.h"

#include "injector/gate_wire.h"
#include "injector/preload.h"
#include "injector/record_check.h"
#include "injector/stream_tail.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIBRARY_NAME "libcowtip-injector.so"

/** Environment of the program: ours, with what the library reads. */
struct environment {
	char **variables; /* owned, NULL at the end; the last own_count of them are owned, too */
	size_t count;
	size_t own_count;
};

/** Texts and paths found on the way. */
struct name_list {
	char **names; /* owned */
	size_t count;
};

void record_result_init(struct record_result *result)
{
	*result = (struct record_result){ 0 };
}

void record_result_release(struct record_result *result)
{
	for (size_t i = 0; i < result->trace_count; i++)
		trace_release(&result->traces[i]);
	free(result->traces);
	record_result_init(result);
}

bool record_find_library(char *path, size_t path_bytes)
{
	static const char *const places[] = { "", "../", "../lib/",
					      "../" INJECTOR_LIBRARY_DIR "/" };
	char folder[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", folder, sizeof(folder) - 1);

	if (length <= 0)
		return false;
	folder[length] = '\0';
	*(strrchr(folder, '/') + 1) = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int used = snprintf(path, path_bytes, "%s%s" LIBRARY_NAME, folder, places[i]);
		if (used > 0 && (size_t)used < path_bytes && access(path, R_OK) == 0)
			return true;
	}
	return false;
}

static bool begins_with(const char *text, const char *beginning)
{
	return strncmp(text, beginning, strlen(beginning)) == 0;
}

static void environment_release(struct environment *environment)
{
	for (size_t i = environment->count - environment->own_count; i < environment->count; i++)
		free(environment->variables[i]);
	free(environment->variables);
}

/** Append "name=value" followed by `rest`. */
static void environment_set(struct environment *environment, const char *name, const char *value,
			    const char *rest)
{
	char *variable = NULL;

	if (asprintf(&variable, "%s=%s%s", name, value, rest) < 0)
		abort();
	environment->variables[environment->count++] = variable;
	environment->own_count++;
	environment->variables[environment->count] = NULL;
}

/** The images as absolute paths, one a line: the program may change its folder. Gives a string. */
static char *join_images(const struct record_options *options)
{
	char folder[PATH_MAX];
	char *lines = NULL;
	size_t line_bytes = 0;
	FILE *stream = open_memstream(&lines, &line_bytes);

	if (!stream || !getcwd(folder, sizeof(folder)))
		abort();
	for (size_t i = 0; i < options->image_count; i++) {
		const char *image = options->images[i];
		fprintf(stream, "%s%s%s\n", image[0] == '/' ? "" : folder,
			image[0] == '/' ? "" : "/", image);
	}
	if (fclose(stream) != 0)
		abort();
	return lines;
}

static void environment_make(struct environment *environment, const struct record_options *options,
			     const char *library, const char *prefix)
{
	size_t inherited = 0;
	char preloads[PATH_MAX + 2] = "";
	char *images = join_images(options);

	while (environ[inherited])
		inherited++;
	*environment = (struct environment){ 0 };
	environment->variables = calloc(inherited + 10, sizeof(*environment->variables));
	if (!environment->variables)
		abort();
	for (size_t i = 0; i < inherited; i++) {
		if (begins_with(environ[i], "LD_PRELOAD="))
			snprintf(preloads, sizeof(preloads), ":%s", environ[i] + 11);
		else if (!begins_with(environ[i], PRELOAD_PREFIX_VARIABLE "=") &&
			 !begins_with(environ[i], PRELOAD_IMAGES_VARIABLE "=") &&
			 !begins_with(environ[i], PRELOAD_STACKS_VARIABLE "=") &&
			 !begins_with(environ[i], GATE_WIRE_VARIABLE "=") &&
			 !begins_with(environ[i], GATE_SERVER_VARIABLE "=") &&
			 !begins_with(environ[i], GATE_FOLDER_VARIABLE "="))
			environment->variables[environment->count++] = environ[i];
	}
	environment_set(environment, "LD_PRELOAD", library, preloads);
	environment_set(environment, PRELOAD_PREFIX_VARIABLE, prefix, "");
	environment_set(environment, PRELOAD_IMAGES_VARIABLE, images, "");
	environment_set(environment, PRELOAD_STACKS_VARIABLE, options->stacks ? "1" : "0", "");
	if (options->server > 0) {
		char number[16];
		snprintf(number, sizeof(number), "%d", GATE_SERVER_DESCRIPTOR);
		environment_set(environment, GATE_SERVER_VARIABLE, number, "");
		environment_set(environment, GATE_FOLDER_VARIABLE,
				options->folder ? options->folder : "", "");
	}
	free(images);
}

/** A server gets its socket, nothing to read, and a group of its own, so that a key pressed on the
 * terminal is for us alone. False when memory is short. */
static bool set_up_server(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes,
			  int server)
{
	if (server <= 0)
		return true;
	return posix_spawn_file_actions_adddup2(actions, server, GATE_SERVER_DESCRIPTOR) == 0 &&
	       posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0) ==
		       0 &&
	       posix_spawnattr_setpgroup(attributes, 0) == 0 &&
	       posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP) == 0;
}

static enum status spawn_program(const struct record_options *options, const char *library,
				 struct record_run *run, struct why *why)
{
	struct environment environment;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;

	if (posix_spawn_file_actions_init(&actions) != 0)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	if (posix_spawnattr_init(&attributes) != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	}
	environment_make(&environment, options, library, run->prefix);
	int error = ENOMEM;
	if (set_up_server(&actions, &attributes, options->server))
		error = posix_spawnp(&run->process, options->argv[0], &actions, &attributes,
				     options->argv, environment.variables);
	environment_release(&environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	if (error != 0)
		return why_set(why, STATUS_IO, "cannot run '%s': %s", options->argv[0],
			       strerror(error));
	return STATUS_OK;
}

static void list_release(struct name_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->names[i]);
	free(list->names);
}

static void list_add(struct name_list *list, const char *folder, const char *name)
{
	char **names = realloc(list->names, (list->count + 1) * sizeof(*names));

	if (!names || asprintf(&names[list->count], "%s/%s", folder, name) < 0)
		abort();
	list->names = names;
	list->count++;
}

static int compare_names(const void *a, const void *b)
{
	const char *const *left = a;
	const char *const *right = b;

	return strverscmp(*left, *right);
}

/** All files "<prefix>.*.stream", in order of process number. */
static enum status list_streams(struct name_list *list, const char *prefix, struct why *why)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(prefix, '/');
	const char *name = slash + 1;
	size_t name_bytes = strlen(name);
	const struct dirent *entry;

	*list = (struct name_list){ 0 };
	snprintf(folder, sizeof(folder), "%.*s", (int)(slash - prefix), prefix);
	DIR *directory = opendir(folder[0] != '\0' ? folder : "/");
	if (!directory)
		return why_set(why, STATUS_IO, "cannot read folder '%s': %s", folder,
			       strerror(errno));
	while ((entry = readdir(directory))) {
		size_t length = strlen(entry->d_name);
		if (length > name_bytes + 8 && strncmp(entry->d_name, name, name_bytes) == 0 &&
		    entry->d_name[name_bytes] == '.' &&
		    strcmp(entry->d_name + length - 7, ".stream") == 0)
			list_add(list, folder, entry->d_name);
	}
	closedir(directory);
	if (list->count > 0)
		qsort(list->names, list->count, sizeof(*list->names), compare_names);
	return STATUS_OK;
}

/** Put what a process had gathered and not written yet to the end of its stream, in whatever way it
 * ended. */
static enum status add_tail(const char *stream_path, struct why *why)
{
	char path[PATH_MAX + 16];
	struct stream_tail tail;
	enum status status = STATUS_OK;

	snprintf(path, sizeof(path), "%s" STREAM_TAIL_SUFFIX, stream_path);
	int from = open(path, O_RDONLY | O_CLOEXEC);
	if (from < 0)
		return STATUS_OK;
	int to = open(stream_path, O_WRONLY | O_CLOEXEC);
	bool is_whole = to >= 0 && read(from, &tail, sizeof(tail)) == (ssize_t)sizeof(tail) &&
			tail.used <= STREAM_TAIL_BYTES && tail.stream_bytes <= INT64_MAX &&
			pwrite(to, tail.bytes, (size_t)tail.used, (off_t)tail.stream_bytes) ==
				(ssize_t)tail.used;
	if (!is_whole)
		status = why_set(why, STATUS_IO, "cannot finish the recording '%s'", stream_path);
	close(from);
	if (to >= 0)
		close(to);
	unlink(path);
	return status;
}

/** Readers look at file 0: let it be an image that was changed, or at least an image. */
static void put_image_first(struct trace *trace)
{
	uint16_t image = 0;

	if (!trace_next_changed_image(trace, &image)) {
		image = 0;
		while (image < trace->file_count &&
		       trace->files[image].format != TRACE_FORMAT_QCOW2)
			image++;
	}
	if (image < trace->file_count)
		trace_swap_files(trace, 0, image);
}

/** Decode a stream and keep what is worth it: a trace with at least one image. */
static enum status add_trace(struct record_result *result, const struct record_options *options,
			     const char *path, struct why *why)
{
	struct trace trace;

	trace_init(&trace);
	enum status status = add_tail(path, why);
	if (status == STATUS_OK)
		status = trace_read(&trace, path, why);
	/* A process that was killed leaves no end mark. */
	if (status == STATUS_TRUNCATED)
		status = STATUS_OK;
	if (status == STATUS_OK)
		status = record_check_trim(&trace, options->images, options->image_count, why);
	if (status != STATUS_OK || trace.file_count == 0) {
		trace_release(&trace);
		return status;
	}
	put_image_first(&trace);
	struct trace *traces = realloc(result->traces, (result->trace_count + 1) * sizeof(*traces));
	if (!traces)
		abort();
	result->traces = traces;
	result->traces[result->trace_count++] = trace;
	return STATUS_OK;
}

static enum status collect(const struct record_options *options, const char *prefix,
			   struct record_result *result, struct why *why)
{
	char sign[PATH_MAX + 16];
	struct name_list streams;
	enum status status = list_streams(&streams, prefix, why);

	if (status != STATUS_OK)
		return status;
	for (size_t i = 0; i < streams.count && status == STATUS_OK; i++)
		status = add_trace(result, options, streams.names[i], why);
	for (size_t i = 0; i < streams.count; i++)
		unlink(streams.names[i]);
	list_release(&streams);
	snprintf(sign, sizeof(sign), "%s.loaded", prefix);
	if (unlink(sign) != 0 && status == STATUS_OK)
		return why_set(why, STATUS_UNSUPPORTED,
			       "'%s' did not load the recorder: it is linked statically, or runs "
			       "with another user's rights",
			       options->argv[0]);
	return status;
}

enum status record_start(const struct record_options *options, struct record_run *run,
			 struct why *why)
{
	char found[PATH_MAX];
	char library[PATH_MAX];
	char folder[PATH_MAX] = "";

	if (!options->library && !record_find_library(found, sizeof(found)))
		return why_set(why, STATUS_IO, "cannot find '%s'", LIBRARY_NAME);
	const char *given = options->library ? options->library : found;
	if (!realpath(given, library))
		return why_set(why, STATUS_IO, "cannot find '%s': %s", given, strerror(errno));
	/* The program may change its folder, the library must find the place all the same. */
	if (options->prefix[0] != '/' && !getcwd(folder, sizeof(folder)))
		return why_set(why, STATUS_IO, "cannot find the present folder: %s",
			       strerror(errno));
	int length = snprintf(run->prefix, sizeof(run->prefix), "%s%s%s", folder,
			      folder[0] != '\0' ? "/" : "", options->prefix);
	if (length < 0 || (size_t)length >= sizeof(run->prefix))
		return why_set(why, STATUS_USAGE, "the path '%s' is too long", options->prefix);
	return spawn_program(options, library, run, why);
}

enum status record_collect(const struct record_options *options, const struct record_run *run,
			   struct record_result *result, struct why *why)
{
	enum status status = collect(options, run->prefix, result, why);

	if (status == STATUS_OK)
		status = record_check_final(result->traces, result->trace_count, why);
	return status;
}

enum status record_finish(const struct record_options *options, const struct record_run *run,
			  struct record_result *result, struct why *why)
{
	while (waitpid(run->process, &result->wait_status, 0) < 0)
		if (errno != EINTR)
			return why_set(why, STATUS_IO, "cannot wait for '%s': %s", options->argv[0],
				       strerror(errno));
	return record_collect(options, run, result, why);
}

enum status record_program(const struct record_options *options, struct record_result *result,
			   struct why *why)
{
	struct record_run run;
	enum status status = record_start(options, &run, why);

	return status == STATUS_OK ? record_finish(options, &run, result, why) : status;
}
