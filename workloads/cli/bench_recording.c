// SPDX-License-Identifier: MIT
/* A long recording: small writes here and there on a large disk, judged after every operation.
 *
 * The engine writes it, a chunk of requests at a time between opening and closing the image, and
 * the log keeps what a recording of a foreign program has: I/O, no requests. All of it happens in a
 * process of its own, whose memory is what the judge needs for such a log. */
#include "engine/qcow2/qcow2.h"
#include "engine/scheduler/sched.h"
#include "injector/session.h"
#include "injector/splitmix.h"
#include "oracle/judge.h"
#include "workloads/cli/bench.h"
#include "workloads/seconds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define IMAGE_PATH "recording.qcow2"
#define DISK_BYTES (UINT64_C(10) << 30)

enum {
	CLUSTER_BYTES = 65536,
	CLUSTERS = 1024, /* of the disk that are written to */
	WRITE_BYTES = 512,
	CHUNK = 20000, /* requests from open to close */
	REQUESTS_A_FLUSH = 1000,
	OPERATIONS = 1000000,
	OPERATIONS_BOUNDED = 2000, /* when there is a budget */
};

/** What the task of a chunk works with. */
struct writer {
	struct arena *arena;
	struct splitmix random;
	int result; /* 0 or -errno */
};

/* Any sector of one of the clusters, which lie all over the disk. */
static uint64_t next_place(struct splitmix *random)
{
	uint64_t cluster = splitmix_below(random, CLUSTERS);
	uint64_t sector = splitmix_below(random, CLUSTER_BYTES / WRITE_BYTES);
	return cluster * (DISK_BYTES / CLUSTERS) + sector * WRITE_BYTES;
}

static void write_chunk(void *argument)
{
	struct writer *writer = argument;
	const struct qcow2_options options = { .arena = writer->arena, .policy = QCOW2_EAGER };
	struct qcow2 *image = NULL;
	uint8_t data[WRITE_BYTES];
	struct iovec vector = { data, sizeof(data) };
	if (qcow2_open(&image, IMAGE_PATH, &options, NULL) != STATUS_OK) {
		writer->result = -EIO;
		return;
	}
	for (int i = 1; i <= CHUNK && !writer->result; i++) {
		memset(data, i % 255 + 1, sizeof(data));
		writer->result = qcow2_writev(image, next_place(&writer->random), &vector, 1);
		if (i % REQUESTS_A_FLUSH == 0 && !writer->result)
			writer->result = qcow2_flush(image);
	}
	int result = qcow2_close(image);
	writer->result = writer->result ? writer->result : result;
}

static uint64_t count_operations(const struct event_log *log, size_t from)
{
	uint64_t count = 0;
	for (size_t i = from; i < log->count; i++)
		count += judge_is_operation(&log->events[i]);
	return count;
}

/* Let the engine write until there are so many operations. */
static enum status record(struct event_log *log, uint64_t operations, struct why *why)
{
	struct writer writer = { .arena = arena_new(), .random = { 1 } };
	struct sched *sched = sched_new();
	const struct sched_options options = { .arena = writer.arena, .steps_max = UINT64_MAX };
	uint64_t count = 0;
	while (count < operations && !writer.result) {
		size_t before = log->count;
		arena_reset(writer.arena);
		session_begin(&(struct session_options){ .log = log });
		if (!sched_spawn(sched, "writer", write_chunk, &writer) ||
		    sched_run(sched, &options) != RUN_FINISHED)
			writer.result = -EIO;
		session_end();
		/* The end of a chunk is not the end of the recording. */
		if (log->count && log->events[log->count - 1].kind == EVENT_END)
			log->count--;
		count += count_operations(log, before);
	}
	sched_free(sched);
	arena_free(writer.arena);
	return writer.result ? why_set(why, STATUS_IO, "the recording could not be made: %s",
				       strerror(-writer.result))
			     : STATUS_OK;
}

static enum status judge_recording(struct bench_recording *recording, const struct content *initial,
				   const struct event_log *log, struct why *why)
{
	char path[] = IMAGE_PATH;
	struct content *copy = content_clone(initial);
	const struct trace_file file = { .path = path,
					 .format = TRACE_FORMAT_QCOW2,
					 .backing = TRACE_NO_BACKING,
					 .initial = copy };
	const struct judge_options options = { .models = recording->models, .once = true };
	struct judge_report report;
	struct judge *judge = NULL;
	enum status status = copy ? judge_new(&judge, &file, 1, &options, why)
				  : why_set(why, STATUS_NO_MEMORY, "out of memory");
	if (status == STATUS_OK) {
		double started = seconds_now();
		judge_run(judge, log, 0, &report);
		recording->seconds = seconds_now() - started;
		recording->operations = report.operations;
		recording->states = report.counts.states;
		recording->decided = report.counts.decided;
		recording->verdicts = report.verdict_count;
	}
	judge_free(judge);
	content_free(copy);
	return status;
}

static enum status measure(struct bench_recording *recording, uint64_t operations, struct why *why)
{
	static const struct qcow2_create_options image = { .size_bytes = DISK_BYTES,
							   .cluster_bytes = CLUSTER_BYTES };
	struct content *nothing = content_new(0);
	struct content *initial = NULL;
	struct event_log log;
	uint16_t file = 0;
	event_log_init(&log);
	session_unwatch_all();
	enum status status = nothing ? session_watch_memory(IMAGE_PATH, nothing, &file)
				     : why_set(why, STATUS_NO_MEMORY, "out of memory");
	if (status == STATUS_OK)
		status = qcow2_create(IMAGE_PATH, &image, why);
	if (status == STATUS_OK)
		initial = session_content(file);
	if (status == STATUS_OK)
		status = record(&log, operations, why);
	session_unwatch_all();
	if (status == STATUS_OK)
		status = judge_recording(recording, initial, &log, why);
	event_log_release(&log);
	content_free(initial);
	content_free(nothing);
	return status;
}

/** What the child tells. */
struct answer {
	enum status status;
	struct why why;
	struct bench_recording recording;
};

enum status bench_recording(struct bench_recording *recording, unsigned models,
			    const struct options *options, struct why *why)
{
	uint64_t operations = options->budget.runs ? OPERATIONS_BOUNDED : OPERATIONS;
	struct answer answer = { .status = STATUS_IO, .recording = { .models = models } };
	struct rusage usage = { 0 };
	int ends[2];
	if (pipe(ends) != 0)
		return why_set(why, STATUS_IO, "cannot make a pipe: %s", strerror(errno));
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		answer.status = measure(&answer.recording, operations, &answer.why);
		_exit(write(ends[1], &answer, sizeof(answer)) == sizeof(answer) ? 0 : 1);
	}
	close(ends[1]);
	bool is_whole = pid > 0 && read(ends[0], &answer, sizeof(answer)) == sizeof(answer);
	close(ends[0]);
	while (pid > 0 && wait4(pid, NULL, 0, &usage) < 0 && errno == EINTR)
		;
	if (!is_whole)
		return why_set(why, STATUS_IO, "the process that judges a recording died");
	*recording = answer.recording;
	recording->memory_bytes = (uint64_t)usage.ru_maxrss * 1024;
	return answer.status == STATUS_OK ? STATUS_OK
					  : why_set(why, answer.status, "%s", answer.why.text);
}
