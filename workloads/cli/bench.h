// SPDX-License-Identifier: MIT
/** What `cowtip bench` measures, one part each; cmd_bench.c puts them together. */
#ifndef WORKLOADS_CLI_BENCH_H
#define WORKLOADS_CLI_BENCH_H

#include "oracle/magnitude.h"
#include "workloads/cli/json.h"
#include "workloads/cli/options.h"
#include "workloads/language.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** `count` in a second; 0 when no time passed. */
double bench_rate(uint64_t count, double seconds);

/** How many times `b` is `a`; 0 when `b` is 0. */
double bench_ratio(double a, double b);

enum { BENCH_FOLDER_BYTES = 200 };

/** Make a folder for files that are removed again, in $TMPDIR or /tmp: its name goes to `folder`.
 * STATUS_IO. */
MUST_USE enum status bench_make_folder(char folder[BENCH_FOLDER_BYTES], struct why *why);
/** As bench_make_folder(), in `parent`. */
MUST_USE enum status bench_make_folder_in(char folder[BENCH_FOLDER_BYTES], const char *parent,
					  struct why *why);

/** Crash states as files, looked at by `qemu-img check`. */
struct bench_checks {
	uint64_t checks;
	double seconds;
	const char *why_none; /* a literal; NULL: there were some */
};

/** Materialise crash states of one run of the workload called `name`, and check them. */
MUST_USE enum status bench_checks(struct bench_checks *checks, const char *name,
				  const struct options *options, struct why *why);

/** Runs of a world, executed and not judged. */
struct bench_search {
	uint64_t executions; /* those given up included */
	uint64_t completed;
	double seconds;
	bool complete; /* the search came to its end */
};

/** Two searches of one world that differ in one thing. */
struct bench_pair {
	char workload[WORKLOAD_NAME_BYTES];
	struct bench_search with, without;
};

/** Searches beside each other. */
struct bench_searches {
	struct bench_pair reduction; /* partial-order reduction; without it every order */
	struct bench_pair snapshots; /* the same runs; without them each from its beginning */
	struct bench_pair requests;  /* of two requests, again and again: dpor, and every order */
};

/** Measure them, the first two in the workload called `name` (NULL: in worlds of the bench's own),
 * bounded by the budget of `options`. */
MUST_USE enum status bench_searches(struct bench_searches *searches, const char *name,
				    const struct options *options, struct why *why);

/** What allocating writes have in common, reduced to its locks: the model skeleton.pml. */
struct bench_skeleton {
	uint32_t writers;
	uint32_t rounds;
	uint64_t orders; /* how many classes there are: orders of holders of the mutex */
	/* One run of each class: */
	struct bench_search dpor;
	uint64_t dpor_steps;
	/* Every state once: */
	struct bench_search stateful;
	uint64_t states;
	uint64_t transitions;
};

/** Search the largest skeleton of no more than `runs_max` (0: any number) classes, in our own
 * tasks. */
MUST_USE enum status bench_skeleton(struct bench_skeleton *skeleton, uint64_t runs_max,
				    struct why *why);

enum { BENCH_SPIN_RUNS = 4 };

/** One verifier made by Spin. */
struct bench_spin_run {
	bool queues;  /* the mutex is FIFO; false: who comes to it held is not enabled */
	bool reduces; /* Spin's partial-order reduction */
	uint64_t states;
	uint64_t transitions;
	double seconds; /* as the verifier says; compiling it not included */
};

/** Spin on the same skeleton. */
struct bench_spin {
	struct bench_spin_run runs[BENCH_SPIN_RUNS];
	const char *why_none; /* a literal; NULL: they are there */
};

/** Let Spin go through the skeleton of that size. That Spin is missing is no error. */
MUST_USE enum status bench_spin(struct bench_spin *spin, uint32_t writers, uint32_t rounds,
				struct why *why);

/** The shortest time that a verifier with reduction took. */
double bench_spin_seconds(const struct bench_spin *spin);

/** A long log of small writes on a disk of 10 GiB, judged whole. */
struct bench_recording {
	unsigned models; /* set of crash_model bits */
	uint64_t operations;
	uint64_t states;
	struct magnitude decided; /* states under `reorder` that its decisions stand for */
	double seconds;           /* of judging */
	size_t verdicts;          /* none, if all is well */
	uint64_t memory_bytes;    /* most that the process had: log, disk and judge */
};

/** Let the engine make a million operations (few with a budget of runs), and judge them in a
 * process of its own. STATUS_IO. */
MUST_USE enum status bench_recording(struct bench_recording *recording, unsigned models,
				     const struct options *options, struct why *why);

/** Unmodified programs at the gate, and one of them launched plainly. */
struct bench_gate {
	uint64_t runs; /* of qemu-io */
	double seconds;
	uint64_t served; /* runs of qemu-nbd; 0: it cannot be run */
	double served_seconds;
	uint64_t launches; /* of qemu-io */
	double launch_seconds;
	const char *why_none; /* a literal; NULL: it was measured */
};

/** Run qemu-io `runs` times each way (0: as often as is good), and qemu-nbd at the gate. That they
 * are missing is no error. */
MUST_USE enum status bench_gate(struct bench_gate *gate, uint64_t runs, struct why *why);

/** The figures as text, and as an object of their own. */
void bench_gate_print(const struct bench_gate *gate);
void bench_gate_json(struct json *json, const struct bench_gate *gate);

/** A command, and the same under `cowtip record`: each the mean of some turns. */
struct bench_overhead {
	double plain_seconds;
	double recorded_seconds;
	double ratio;
};

/** `qemu-img bench -w` and its recording; `qemu-img convert` and its. */
struct bench_record {
	uint64_t requests;
	struct bench_overhead cached; /* through the page cache */
	struct bench_overhead direct; /* past it */
	bool has_direct;              /* the file system of $TMPDIR can */
	struct bench_overhead varied; /* of as many bytes that repeat nowhere, converted */
	const char *why_none;         /* a literal; NULL: it was measured */
};

/** Measure them with so many requests (0: as many as is good). That qemu-img is missing is no
 * error.
 */
MUST_USE enum status bench_record(struct bench_record *record, uint64_t requests, struct why *why);
void bench_record_print(const struct bench_record *record);
void bench_record_json(struct json *json, const struct bench_record *record);

/** The model for Spin. */
extern const char bench_model[];

#endif
