// SPDX-License-Identifier: MIT
/* What recording costs: a command as it is, and under `cowtip record`, from its start to its end,
 * the trace checked and written. In turns, each on a new image, and of each the mean: how often the
 * command's threads meet is luck, so the fastest turn is the luckiest and says little of the
 * others.
 *
 * `qemu-img bench -w` twice: through the page cache, where a write costs no more than the copy of
 * it that a recording is; and past it, where it costs what the disk takes. What it writes is one
 * byte again and again, which a trace holds as one. So `qemu-img convert` as well, of as many bytes
 * that repeat nowhere: each is copied, compared and compressed. */
#include "injector/splitmix.h"
#include "traces/content.h"
#include "workloads/cli/bench.h"
#include "workloads/seconds.h"
#include "workloads/tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { REQUESTS = 20000, REQUEST_BYTES = 4096, TURNS = 8 };

#define IMAGE "bench.qcow2"
#define SOURCE "source.raw"

/* The recorder, which comes before the command; without these words it is the command alone. */
#define RECORDER "/proc/self/exe", "record", "--quiet", "--out", "traces", "--"
enum { RECORDER_WORDS = sizeof((const char *[]){ RECORDER }) / sizeof(const char *) };

static enum status one_turn(double *mean, const char *const *words, const char *folder,
			    struct why *why)
{
	static const char *const create[] = { "qemu-img", "create", "-q", "-f",
					      "qcow2",    IMAGE,    "1G", NULL };
	if (tool_run(create, folder, NULL) != 0)
		return why_set(why, STATUS_IO, "qemu-img cannot create an image in '%s'", folder);
	double started = seconds_now();
	if (tool_run(words, folder, NULL) != 0)
		return why_set(why, STATUS_IO, "qemu-img failed in '%s'", folder);
	*mean += (seconds_now() - started) / TURNS;
	return STATUS_OK;
}

static enum status measure(struct bench_overhead *overhead, const char *const *words,
			   const char *folder, struct why *why)
{
	enum status status = STATUS_OK;
	for (int turn = 0; turn < TURNS && status == STATUS_OK; turn++) {
		status = one_turn(&overhead->plain_seconds, words + RECORDER_WORDS, folder, why);
		if (status == STATUS_OK)
			status = one_turn(&overhead->recorded_seconds, words, folder, why);
	}
	overhead->ratio = bench_ratio(overhead->recorded_seconds, overhead->plain_seconds);
	return status;
}

static enum status measure_equal(struct bench_overhead *overhead, const char *cache,
				 uint64_t requests, const char *folder, struct why *why)
{
	char count[24];
	const char *const words[] = { RECORDER, "qemu-img", "bench", "-w",  "-f",  "qcow2",
				      "-c",     count,      "-t",    cache, IMAGE, NULL };
	snprintf(count, sizeof(count), "%" PRIu64, requests);
	return measure(overhead, words, folder, why);
}

/* A file of random bytes, as many as so many requests write. */
static enum status make_source(const char *folder, uint64_t requests, struct why *why)
{
	struct splitmix random = { 1 };
	uint64_t piece[REQUEST_BYTES / sizeof(uint64_t)];
	char path[BENCH_FOLDER_BYTES + sizeof(SOURCE)];
	enum status status = STATUS_OK;
	struct content *content = content_new(requests * sizeof(piece));
	if (!content)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	for (uint64_t i = 0; i < requests && status == STATUS_OK; i++) {
		for (size_t word = 0; word < sizeof(piece) / sizeof(*piece); word++)
			piece[word] = splitmix_next(&random);
		status = content_write(content, piece, sizeof(piece), i * sizeof(piece));
	}
	snprintf(path, sizeof(path), "%s/" SOURCE, folder);
	if (status == STATUS_OK)
		status = content_store(content, path, why);
	else
		why_set(why, status, "out of memory");
	content_free(content);
	return status;
}

static enum status measure_varied(struct bench_overhead *overhead, uint64_t requests,
				  const char *folder, struct why *why)
{
	static const char *const words[] = { RECORDER, "qemu-img", "convert", "-n",  "-f", "raw",
					     "-O",     "qcow2",    SOURCE,    IMAGE, NULL };
	enum status status = make_source(folder, requests, why);
	return status == STATUS_OK ? measure(overhead, words, folder, why) : status;
}

/* Can images in `folder` be opened past the page cache? Not on every file system. */
static bool has_direct(const char *folder)
{
	static const char *const probe[] = { "qemu-img", "bench", "-c",    "1",   "-t",
					     "none",     "-f",    "qcow2", IMAGE, NULL };
	return tool_run(probe, folder, NULL) == 0;
}

enum status bench_record(struct bench_record *record, uint64_t requests, struct why *why)
{
	static const char *const probe[] = { "qemu-img", "--version", NULL };
	static const char *const clean[] = { "rm", "-rf", IMAGE, SOURCE, "traces", NULL };
	char folder[BENCH_FOLDER_BYTES];
	*record = (struct bench_record){ .requests = requests && requests < REQUESTS ? requests
										     : REQUESTS };
	if (tool_run(probe, NULL, NULL) != 0) {
		record->why_none = "qemu-img cannot be run";
		return STATUS_OK;
	}
	enum status status = bench_make_folder(folder, why);
	if (status != STATUS_OK)
		return status;
	status = measure_equal(&record->cached, "writeback", record->requests, folder, why);
	record->has_direct = status == STATUS_OK && has_direct(folder);
	if (record->has_direct)
		status = measure_equal(&record->direct, "none", record->requests, folder, why);
	if (status == STATUS_OK)
		status = measure_varied(&record->varied, record->requests, folder, why);
	(void)tool_run(clean, folder, NULL);
	rmdir(folder);
	return status;
}

static void print_overhead(const char *what, const struct bench_overhead *overhead)
{
	printf("  %-28s %.2f s, recorded %.2f s: %.2f times\n", what, overhead->plain_seconds,
	       overhead->recorded_seconds, overhead->ratio);
}

void bench_record_print(const struct bench_record *record)
{
	if (record->why_none) {
		printf("recording a program: not measured: %s\n", record->why_none);
		return;
	}
	printf("qemu-img bench -w, %" PRIu64 " requests of %d bytes:\n", record->requests,
	       REQUEST_BYTES);
	print_overhead("through the page cache", &record->cached);
	if (record->has_direct)
		print_overhead("past it (-t none)", &record->direct);
	printf("qemu-img convert, %" PRIu64 " bytes that repeat nowhere:\n",
	       record->requests * REQUEST_BYTES);
	print_overhead("through the page cache", &record->varied);
}

static void json_overhead(struct json *json, const char *key, const struct bench_overhead *overhead)
{
	json_begin_object(json, key);
	json_seconds(json, "plain_seconds", overhead->plain_seconds);
	json_seconds(json, "recorded_seconds", overhead->recorded_seconds);
	json_seconds(json, "ratio", overhead->ratio);
	json_end_object(json);
}

void bench_record_json(struct json *json, const struct bench_record *record)
{
	if (record->why_none) {
		json_null(json, "record");
		return;
	}
	json_begin_object(json, "record");
	json_number(json, "requests", record->requests);
	json_overhead(json, "cached", &record->cached);
	if (record->has_direct)
		json_overhead(json, "direct", &record->direct);
	else
		json_null(json, "direct");
	json_overhead(json, "varied", &record->varied);
	json_end_object(json);
}
