// SPDX-License-Identifier: MIT
/* Runs of qemu-io at the gate, next to plain launches of it that do the same, and runs of qemu-nbd:
 * each on a fresh copy of the image, two writes and a flush. Nothing is judged. */
#include "injector/strategy.h"
#include "workloads/cli/bench.h"
#include "workloads/program.h"
#include "workloads/seconds.h"
#include "workloads/tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	/** Runs, and launches; in turns, because machines are faster and slower in turns, too. */
	RUNS = 300,
	TURNS = 5,
	NBD_RUNS = 100,
	PATH_BYTES = 256,
};

static const char text[] = "#@ image size=64k cluster_size=4k\n"
			   "aio_write -P 1 0 512\n"
			   "aio_write -P 2 8k 512\n"
			   "aio_flush\n"
			   "flush\n";

/* Random orders; adds to `*done` and `*seconds`. */
static enum status run_gated(struct program *program, uint64_t runs, uint64_t *done,
			     double *seconds, struct why *why)
{
	enum status status = STATUS_OK;
	struct choice choice;
	struct strategy *strategy = strategy_random_new(1, runs);
	if (!strategy)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	choice_init(&choice, strategy, NULL);
	double started = seconds_now();
	while (status == STATUS_OK && choice_begin(&choice)) {
		(void)program_run(program, &choice);
		status = program_status(program, why);
		++*done;
	}
	*seconds += seconds_now() - started;
	choice_release(&choice);
	strategy_free(strategy);
	return status;
}

static enum status run_plain(struct bench_gate *gate, const struct program *program, uint64_t runs,
			     struct why *why)
{
	static const char *const words[] = { "qemu-io",
					     "-t",
					     "writeback",
					     "-d",
					     "unmap",
					     "-f",
					     "qcow2",
					     "-c",
					     "aio_write -P 1 0 512",
					     "-c",
					     "aio_write -P 2 8k 512",
					     "-c",
					     "aio_flush",
					     "-c",
					     "flush",
					     "plain.qcow2",
					     NULL };
	char folder[BENCH_FOLDER_BYTES];
	char path[PATH_BYTES];
	size_t count = 0;
	const struct trace_file *files = program_files(program, &count);
	enum status status = bench_make_folder_in(folder, program_usual_folder(), why);
	if (status != STATUS_OK)
		return status;
	snprintf(path, sizeof(path), "%s/plain.qcow2", folder);
	double started = seconds_now();
	for (uint64_t i = 0; status == STATUS_OK && i < runs; i++) {
		gate->launches++;
		status = content_overwrite(files[0].initial, path, why);
		if (status == STATUS_OK && tool_run(words, folder, NULL) != 0)
			status = why_set(why, STATUS_IO, "qemu-io failed");
	}
	gate->launch_seconds += seconds_now() - started;
	unlink(path);
	rmdir(folder);
	return status;
}

static enum status run_served(struct bench_gate *gate, const struct workload *workload,
			      uint64_t runs, struct why *why)
{
	static const char *const probe[] = { "qemu-nbd", "--version", NULL };
	const struct program_options options = {
		.command = "qemu-nbd -f qcow2 --discard=unmap --socket={socket} {image}",
		.is_nbd = true,
	};
	struct program *program = NULL;
	if (tool_run(probe, NULL, NULL) != 0)
		return STATUS_OK;
	enum status status = program_new(&program, workload, &options, why);
	if (status == STATUS_OK)
		status = run_gated(program, runs, &gate->served, &gate->served_seconds, why);
	program_free(program);
	return status;
}

enum status bench_gate(struct bench_gate *gate, uint64_t runs, struct why *why)
{
	static const char *const probe[] = { "qemu-io", "--version", NULL };
	const struct program_options options = {
		.command = "qemu-io -t writeback -d unmap -f qcow2 {image}"
	};
	struct workload workload;
	struct program *program = NULL;
	*gate = (struct bench_gate){ 0 };
	if (tool_run(probe, NULL, NULL) != 0) {
		gate->why_none = "qemu-io cannot be run";
		return STATUS_OK;
	}
	if (!runs || runs > RUNS)
		runs = RUNS;
	enum status status = workload_parse(&workload, "gate", text, strlen(text), why);
	if (status == STATUS_OK)
		status = program_new(&program, &workload, &options, why);
	for (uint64_t turn = 1; turn <= TURNS && status == STATUS_OK; turn++) {
		uint64_t part = runs * turn / TURNS - gate->runs;
		if (part == 0)
			continue;
		status = run_gated(program, part, &gate->runs, &gate->seconds, why);
		if (status == STATUS_OK)
			status = run_plain(gate, program, part, why);
	}
	if (status == STATUS_OK)
		status = run_served(gate, &workload, runs < NBD_RUNS ? runs : NBD_RUNS, why);
	program_free(program);
	workload_release(&workload);
	return status;
}

static double ratio_of(const struct bench_gate *gate)
{
	return bench_ratio(bench_rate(gate->runs, gate->seconds),
			   bench_rate(gate->launches, gate->launch_seconds));
}

void bench_gate_print(const struct bench_gate *gate)
{
	if (gate->why_none) {
		printf("a program at the gate: not measured: %s\n", gate->why_none);
		return;
	}
	printf("qemu-io, two writes and a flush:\n"
	       "  %.0f runs/s at the gate, %.0f plain launches/s: %.2f times\n",
	       bench_rate(gate->runs, gate->seconds),
	       bench_rate(gate->launches, gate->launch_seconds), ratio_of(gate));
	if (gate->served)
		printf("  %.0f runs/s of qemu-nbd at the gate\n",
		       bench_rate(gate->served, gate->served_seconds));
}

void bench_gate_json(struct json *json, const struct bench_gate *gate)
{
	if (gate->why_none) {
		json_null(json, "gate");
		return;
	}
	json_begin_object(json, "gate");
	json_number(json, "runs", gate->runs);
	json_seconds(json, "runs_per_second", bench_rate(gate->runs, gate->seconds));
	json_number(json, "launches", gate->launches);
	json_seconds(json, "launches_per_second", bench_rate(gate->launches, gate->launch_seconds));
	json_seconds(json, "runs_per_launch", ratio_of(gate));
	json_number(json, "nbd_runs", gate->served);
	json_seconds(json, "nbd_runs_per_second", bench_rate(gate->served, gate->served_seconds));
	json_end_object(json);
}
