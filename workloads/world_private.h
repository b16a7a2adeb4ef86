// SPDX-License-Identifier: MIT
/** What the parts of a world share. */
#ifndef WORKLOADS_WORLD_PRIVATE_H
#define WORKLOADS_WORLD_PRIVATE_H

#include "engine/coroutine/co_queue.h"
#include "workloads/world.h"

#include <sys/uio.h>

enum {
	WORLD_NAME_BYTES = 40,
	WORLD_REPORT_BYTES = 4096,
	WORLD_DATA_BYTES_MAX = 64 << 20, /* of all requests of a workload together */
};

/** A command made ready: its bytes are laid out once, and only sent again in every run. */
struct world_request {
	struct world *world;                    /* borrowed; NULL in the prepare list */
	const struct workload_command *command; /* borrowed */
	uint32_t id;                            /* of the request; 0 for aio_flush, which is none */
	char name[WORLD_NAME_BYTES];            /* of its task */
	uint8_t *buffer;                        /* owned; what is written, or where a read goes */
	struct iovec *vector;                   /* owned; pieces of the buffer */
	int vector_count;
};

/** The commands of one list, made ready. */
struct world_requests {
	struct world_request *items; /* owned */
	size_t count;
};

struct world_snapshots;

struct world {
	const struct workload *workload; /* borrowed */
	struct world_options options;
	char *fault_points; /* owned; NULL: all */
	struct arena *arena;
	struct sched *sched;
	struct trace files;  /* its files are the world's; nothing else in it is used */
	struct trace labels; /* modules and stacks of the last run, when stacks are recorded */
	struct event_log log;
	struct schedule last_schedule; /* of the last run */
	struct world_requests requests;
	uint32_t close_id;    /* of the request that closes the image */
	struct qcow2 *image;  /* open image of the run in progress */
	struct co_queue idle; /* the script, waiting for outstanding requests */
	uint32_t outstanding; /* asynchronous requests begun and not ended */
	/* What the guest did and learnt: events of requests, by index in the log. Room for two of
	 * each request. */
	uint32_t *told; /* owned */
	size_t told_count;
	char complaint[160];
	char open_failure[160];
	struct world_snapshots *snapshots; /* owned; NULL: every run starts at its beginning */
	const struct choice *snapshots_of; /* whose last run they are of; only compared */
};

/** Lay out `count` commands. STATUS_BAD_INPUT: more data than
 * WORLD_DATA_BYTES_MAX. */
MUST_USE enum status world_requests_init(struct world_requests *requests,
					 const struct workload *workload,
					 const struct workload_command *commands, size_t count,
					 struct why *why);
void world_requests_release(struct world_requests *requests);

/** Number the requests from `first_id` and fill what they write. Returns the next id. */
uint32_t world_requests_fill(struct world_requests *requests, uint32_t first_id, bool stamps);

/** Do two asynchronous requests differ in nothing but who they are (and their pattern byte)? */
bool world_requests_are_alike(const struct world_request *a, const struct world_request *b);

/** Do what the request says, without recording. Inside a task. 0 or -errno. */
int world_request_execute(const struct world_request *request, struct qcow2 *image);

/** Does the event tell of a request that concerns its guest range, and not the disk as a whole? */
bool world_event_has_range(const struct event *event);

/** The body of task 1: open, the commands, close. `argument` is the world. */
void world_script(void *argument);

/** Make the world's files: create the image, run the prepare commands. */
MUST_USE enum status world_build_files(struct world *world, struct why *why);

#endif
