// SPDX-License-Identifier: MIT
/** A process that explores slices for another one. */
#ifndef WORKLOADS_CLI_WORKER_H
#define WORKLOADS_CLI_WORKER_H

#include "workloads/cli/settings.h"
#include "workloads/forecast.h"
#include "workloads/slice.h"

#include <sys/types.h>

/** What a worker works on; all borrowed, and its own copy once it has been started. */
struct worker_task {
	const struct workload *workload;
	const struct settings *settings;
	const volatile sig_atomic_t *stop; /* looked at in the worker; NULL: cannot be stopped */
	uint64_t executions;               /* of a slice */
};

/** Zero-initialised: there is none. */
struct worker {
	pid_t pid;   /* 0: there is none */
	int channel; /* to it and from it */
	bool is_busy;
	struct open_job job;  /* owned while it is busy: what it does */
	struct budget budget; /* and how much of it */
};

/** Start it. `others` (count of them) are the workers whose channels it must not keep. STATUS_IO.
 */
MUST_USE enum status worker_start(struct worker *worker, const struct worker_task *task,
				  const struct worker *others, size_t other_count, struct why *why);

/** Give it a slice of `job` (taken) to do. False: it is dead. */
MUST_USE bool worker_give(struct worker *worker, const struct open_job *job,
			  const struct budget *budget);

/** Wait for its result, add it to `ledger` and learn from it; it is not busy any more. STATUS_IO:
 * it died, and `job` is still its to give back; others: what went wrong in it. */
MUST_USE enum status worker_collect(struct worker *worker, struct ledger *ledger,
				    struct forecast *forecast, struct why *why);

/** Let it finish the run in progress and send what it has. */
void worker_interrupt(const struct worker *worker);

/** End it, and wait for its end. */
void worker_end(struct worker *worker);

#endif
