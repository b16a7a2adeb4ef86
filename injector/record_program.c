// SPDX-License-Identifier: MIT
/* The program runs with the shared library preloaded; each of its processes writes a stream. When
 * the program has ended the streams are read, made into traces, checked against the files, and
 * removed. */
#include "injector/record_program.h"

#include "injector/gate_wire.h"
#include "injector/preload.h"
#include "injector/record_check.h"
#include "injector/record_streams.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIBRARY_NAME "libcowtip-injector.so"

enum {
	/** Between two looks at what a program has written: at first and when it was at least so
	 *  much; and the longest, when it is little. */
	FOLLOW_MILLISECONDS = 2,
	FOLLOW_BYTES = 128 * 1024,
	FOLLOW_MILLISECONDS_MAX = 100,
	/** Looks between two at which new streams are looked for. */
	TURNS_BETWEEN_FINDS = 50,
};

/** Environment of the program: ours, with what the library reads. */
struct environment {
	char **variables; /* owned, NULL at the end; the last own_count of them are owned, too */
	size_t count;
	size_t own_count;
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
	environment->variables = calloc(inherited + 11, sizeof(*environment->variables));
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
		/* What is linked before the forks is linked once. */
		environment_set(environment, "LD_BIND_NOW", "1", "");
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

/** Give the files of a stream that has no initial contents those that are known. */
static enum status add_known(struct trace *trace, const struct record_options *options,
			     struct why *why)
{
	for (size_t i = 0; i < trace->file_count; i++) {
		struct trace_file *file = &trace->files[i];
		size_t number = 0;
		while (number < options->known_count &&
		       strcmp(options->known[number].path, file->path) != 0)
			number++;
		if (number == options->known_count ||
		    content_size(options->known[number].initial) != content_size(file->initial))
			return why_set(why, STATUS_UNSUPPORTED,
				       "'%s' was opened, and nobody knows what it held",
				       file->path);
		content_free(file->initial);
		file->initial = content_view(options->known[number].initial);
		if (!file->initial)
			return why_set(why, STATUS_NO_MEMORY, "out of memory");
	}
	return STATUS_OK;
}

/** Decode a stream and keep what is worth it: a trace with at least one image. */
static enum status add_trace(struct record_result *result, const struct record_options *options,
			     struct record_streams *streams, size_t index, struct why *why)
{
	struct trace trace;

	trace_init(&trace);
	enum status status = record_streams_finish(streams, index, &trace, why);
	/* A process that was killed leaves no end mark. */
	if (status == STATUS_TRUNCATED)
		status = STATUS_OK;
	if (status == STATUS_OK && trace_setting(&trace, PRELOAD_KNOWN_SETTING))
		status = add_known(&trace, options, why);
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

/** Make traces of the streams of a program that has ended; remove these. */
static enum status collect(const struct record_options *options, struct record_streams *streams,
			   struct record_result *result, struct why *why)
{
	enum status status = record_streams_find(streams, why);

	for (size_t i = 0; i < streams->count && status == STATUS_OK; i++)
		status = add_trace(result, options, streams, i, why);
	record_streams_release(streams);
	return status;
}

/** Remove the sign that the library was there; there must be one. */
static enum status take_sign(const struct record_options *options, const struct record_run *run,
			     struct why *why)
{
	char sign[sizeof(run->prefix) + 16];

	snprintf(sign, sizeof(sign), "%s" PRELOAD_SIGN_SUFFIX, run->prefix);
	if (unlink(sign) == 0)
		return STATUS_OK;
	return why_set(why, STATUS_UNSUPPORTED,
		       "'%s' did not load the recorder: it is linked statically, or runs "
		       "with another user's rights",
		       options->argv[0]);
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
	struct record_streams streams;

	record_streams_init(&streams, run->prefix);
	streams.tail = run->tail;
	streams.tail_process = run->tail_process;
	enum status status = collect(options, &streams, result, why);
	return status == STATUS_OK ? record_verify(result, why) : status;
}

enum status record_verify(struct record_result *result, struct why *why)
{
	return record_check_final(result->traces, result->trace_count, why);
}

/** Read what the program's processes have written by now. Returns how long to wait for more. */
static int follow(struct record_streams *streams, unsigned turn, int milliseconds)
{
	/* Few processes write, and most of them begin early. */
	if (streams->count == 0 || turn % TURNS_BETWEEN_FINDS == 0)
		(void)!record_streams_find(streams, NULL);
	if (record_streams_advance(streams) >= FOLLOW_BYTES)
		return FOLLOW_MILLISECONDS;
	return milliseconds < FOLLOW_MILLISECONDS_MAX ? 2 * milliseconds : milliseconds;
}

/** Wait for the program's end, and read its streams meanwhile. */
static bool wait_for_end(pid_t process, struct record_streams *streams, int *wait_status)
{
	struct pollfd end = { .fd = pidfd_open(process, 0), .events = POLLIN };
	int milliseconds = FOLLOW_MILLISECONDS;

	for (unsigned turn = 0; end.fd >= 0 && poll(&end, 1, milliseconds) <= 0; turn++)
		milliseconds = follow(streams, turn, milliseconds);
	if (end.fd >= 0)
		close(end.fd);
	while (waitpid(process, wait_status, 0) < 0)
		if (errno != EINTR)
			return false;
	return true;
}

enum status record_finish(const struct record_options *options, const struct record_run *run,
			  struct record_result *result, struct why *why)
{
	struct record_streams streams;

	record_streams_init(&streams, run->prefix);
	if (!wait_for_end(run->process, &streams, &result->wait_status)) {
		int error = errno;
		record_streams_release(&streams);
		return why_set(why, STATUS_IO, "cannot wait for '%s': %s", options->argv[0],
			       strerror(error));
	}
	enum status status = collect(options, &streams, result, why);
	enum status sign_status = take_sign(options, run, status == STATUS_OK ? why : NULL);
	return status == STATUS_OK ? sign_status : status;
}

enum status record_program(const struct record_options *options, struct record_result *result,
			   struct why *why)
{
	struct record_run run;
	enum status status = record_start(options, &run, why);

	if (status == STATUS_OK)
		status = record_finish(options, &run, result, why);
	return status == STATUS_OK ? record_verify(result, why) : status;
}
