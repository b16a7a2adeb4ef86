// SPDX-License-Identifier: MIT
/* Spin, where it is installed: it makes a C program out of the model, a verifier, which is compiled
 * for safety properties alone (its fastest kind) and run, with and without Spin's partial-order
 * reduction, and with both kinds of mutex. All of it happens in a folder of its own, which is
 * removed. Seconds are those that the verifier counts for itself. */
#include "workloads/cli/bench.h"
#include "workloads/tool.h"

#include "workloads/cli/output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MODEL_NAME "skeleton.pml"
#define OUTPUT_NAME "output"

enum { PATH_BYTES = 256, OUTPUT_LINE_BYTES = 512 };

static enum status store_model(const char *folder, struct why *why)
{
	char path[PATH_BYTES];
	struct output output;
	snprintf(path, sizeof(path), "%s/" MODEL_NAME, folder);
	enum status status = output_begin(&output, path, why);
	if (status != STATUS_OK)
		return status;
	fputs(bench_model, output.file);
	return output_finish(&output, why);
}

static void remove_folder(const char *folder)
{
	static const char *const names[] = { MODEL_NAME, OUTPUT_NAME, "pan",   "pan.b", "pan.c",
					     "pan.h",    "pan.m",     "pan.p", "pan.t" };
	char path[PATH_BYTES];
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		unlink(path);
	}
	rmdir(folder);
}

/* What the verifier said. False: it is not that of a complete search without errors. */
static bool read_output(struct bench_spin_run *run, FILE *file)
{
	char line[OUTPUT_LINE_BYTES];
	bool is_clean = false, is_timed = false;
	while (fgets(line, sizeof(line), file)) {
		uint64_t number = 0;
		int end = 0;
		if (strstr(line, "errors: 0"))
			is_clean = true;
		if (strstr(line, "max search depth too small"))
			return false;
		if (sscanf(line, "%" SCNu64 " states, stored%n", &number, &end) == 1 && end)
			run->states = number;
		if (sscanf(line, "%" SCNu64 " transitions%n", &number, &end) == 1 && end)
			run->transitions = number;
		if (sscanf(line, "pan: elapsed time %lf seconds", &run->seconds) == 1)
			is_timed = true;
	}
	return is_clean && is_timed && run->states && run->transitions;
}

static enum status take_output(struct bench_spin_run *run, const char *folder, struct why *why)
{
	char path[PATH_BYTES];
	snprintf(path, sizeof(path), "%s/" OUTPUT_NAME, folder);
	FILE *file = fopen(path, "r");
	if (!file)
		return why_set(why, STATUS_IO, "cannot open '%s': %s", path, strerror(errno));
	bool is_good = read_output(run, file);
	fclose(file);
	return is_good ? STATUS_OK
		       : why_set(why, STATUS_BAD_INPUT, "spin's verifier did not finish");
}

/* Make, compile and run one verifier; its model and size are those of `definitions`. */
static enum status measure(struct bench_spin *spin, struct bench_spin_run *run, const char *folder,
			   const char *const definitions[2], struct why *why)
{
	const char *const make[] = { "spin",
				     "-a",
				     definitions[0],
				     definitions[1],
				     run->queues ? "-DQUEUES" : "-DPLAIN",
				     MODEL_NAME,
				     NULL };
	const char *const compile[] = {
		"gcc", "-O2", "-w",    "-DSAFETY", run->reduces ? "-O2" : "-DNOREDUCE",
		"-o",  "pan", "pan.c", NULL
	};
	const char *const verify[] = { "./pan", "-m100000", NULL };
	int made = tool_run(make, folder, NULL);
	if (made < 0)
		spin->why_none = "spin is not installed (apt-get install spin)";
	else if (tool_run(compile, folder, NULL) < 0)
		spin->why_none = "gcc is not installed (apt-get install gcc)";
	if (spin->why_none)
		return STATUS_OK;
	if (tool_run(verify, folder, OUTPUT_NAME) != 0)
		return why_set(why, STATUS_BAD_INPUT, "spin's verifier could not be run");
	return take_output(run, folder, why);
}

enum status bench_spin(struct bench_spin *spin, uint32_t writers, uint32_t rounds, struct why *why)
{
	char folder[BENCH_FOLDER_BYTES];
	char sizes[2][32];
	const char *const definitions[2] = { sizes[0], sizes[1] };
	*spin = (struct bench_spin){ 0 };
	snprintf(sizes[0], sizeof(sizes[0]), "-DWRITERS=%" PRIu32, writers);
	snprintf(sizes[1], sizeof(sizes[1]), "-DROUNDS=%" PRIu32, rounds);
	enum status status = bench_make_folder(folder, why);
	if (status != STATUS_OK)
		return status;
	status = store_model(folder, why);
	for (size_t i = 0; i < BENCH_SPIN_RUNS && status == STATUS_OK && !spin->why_none; i++) {
		spin->runs[i].queues = i / 2;
		spin->runs[i].reduces = i % 2 == 0;
		status = measure(spin, &spin->runs[i], folder, definitions, why);
	}
	remove_folder(folder);
	return status;
}

double bench_spin_seconds(const struct bench_spin *spin)
{
	double least = spin->runs[0].seconds;
	for (size_t i = 1; i < BENCH_SPIN_RUNS; i++)
		if (spin->runs[i].reduces && spin->runs[i].seconds < least)
			least = spin->runs[i].seconds;
	return least;
}
