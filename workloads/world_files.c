// SPDX-License-Identifier: MIT
/* The initial image: created and prepared by the engine itself, with its simplest policy, first
 * come, first served, and nobody looking on. Everything lives in memory under fixed names, so that
 * a trace names no path of the machine it was made on. */
#include "injector/session.h"
#include "workloads/guest.h"
#include "workloads/world_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define IMAGE_PATH WORLD_IMAGE_PATH
#define BACKING_RAW_PATH WORLD_BACKING_RAW_PATH
#define BACKING_QCOW2_PATH WORLD_BACKING_QCOW2_PATH

enum { PREPARE_FIRST_ID = 1000001 }; /* ids of prepare's requests: no request of a run has them */

/* What the task that prepares the image needs and tells. */
struct preparation {
	struct world *world;
	struct world_requests requests;
	const struct workload_command *failed; /* NULL: opening or closing failed */
	int result;
	struct why why;
};

static struct qcow2 *open_image(struct preparation *preparation)
{
	struct qcow2_options options = { .arena = preparation->world->arena,
					 .policy = QCOW2_EAGER };
	struct qcow2 *image = NULL;
	preparation->failed = NULL;
	if (qcow2_open(&image, IMAGE_PATH, &options, &preparation->why) != STATUS_OK)
		preparation->result = -1;
	return image;
}

static void prepare_task(void *argument)
{
	struct preparation *preparation = argument;
	struct qcow2 *image = open_image(preparation);
	for (size_t i = 0; i < preparation->requests.count && !preparation->result; i++) {
		const struct world_request *request = &preparation->requests.items[i];
		bool is_reopen = request->command->op == REQUEST_CLOSE;
		preparation->failed = request->command;
		preparation->result =
			is_reopen ? qcow2_close(image) : world_request_execute(request, image);
		if (is_reopen)
			image = preparation->result ? NULL : open_image(preparation);
	}
	int result = image ? qcow2_close(image) : 0;
	if (preparation->result)
		return;
	preparation->failed = NULL;
	preparation->result = result;
	if (result)
		why_set(&preparation->why, STATUS_IO, "closing gave '%s'", strerror(-result));
}

static enum status run_prepare_task(struct preparation *preparation, struct why *why)
{
	struct world *world = preparation->world;
	struct sched_options options = { .arena = world->arena, .points = SCHED_POINTS_IO };
	arena_reset(world->arena);
	if (!sched_spawn(world->sched, "prepare", prepare_task, preparation))
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	enum run_end end = sched_run(world->sched, &options);
	const char *name = world->workload->name;
	if (end != RUN_FINISHED)
		return why_set(why, STATUS_BAD_INPUT, "%s: preparing the image ended in a %s: %s",
			       name, run_end_name(end), sched_report(world->sched));
	if (preparation->failed)
		return why_set(why, STATUS_BAD_INPUT, "%s:%" PRIu32 ": prepare: %s", name,
			       preparation->failed->line, strerror(-preparation->result));
	if (preparation->result)
		return why_set(why, STATUS_BAD_INPUT, "%s: prepare: %s", name,
			       preparation->why.text);
	return STATUS_OK;
}

static enum status prepare_image(struct world *world, struct why *why)
{
	const struct workload *workload = world->workload;
	struct preparation preparation = { .world = world };
	if (!workload->prepare_count)
		return STATUS_OK;
	enum status status = world_requests_init(&preparation.requests, workload, workload->prepare,
						 workload->prepare_count, why);
	if (status == STATUS_OK) {
		world_requests_fill(&preparation.requests, PREPARE_FIRST_ID, world->options.stamps);
		status = run_prepare_task(&preparation, why);
	}
	world_requests_release(&preparation.requests);
	return status;
}

/* Does a qcow2 file name a backing file of its own? */
static bool has_own_backing(const struct content *content)
{
	uint8_t name_offset[8];
	content_read(content, name_offset, sizeof(name_offset), 8);
	for (size_t i = 0; i < sizeof(name_offset); i++)
		if (name_offset[i])
			return true;
	return false;
}

enum status world_backing_content(const struct workload *workload, struct content **content,
				  struct why *why)
{
	const struct workload_image *image = &workload->image;
	enum status status = STATUS_OK;
	*content = NULL;
	switch (image->backing) {
	case WORKLOAD_BACKING_NONE: return STATUS_OK;
	case WORKLOAD_BACKING_PATTERN:
		*content = guest_backing_pattern(image->backing_bytes);
		for (size_t i = 0; i < image->backing_zeros_count && status == STATUS_OK; i++) {
			const struct workload_range *zeros = &image->backing_zeros[i];
			if (*content)
				status = content_zero(*content, zeros->from,
						      zeros->to - zeros->from);
		}
		return *content && status == STATUS_OK
			       ? STATUS_OK
			       : why_set(why, STATUS_NO_MEMORY, "out of memory");
	case WORKLOAD_BACKING_FILE: break;
	}
	status = content_load(content, image->backing_path, why);
	if (status != STATUS_OK)
		return status;
	bool is_qcow2 = image->backing_format && strcmp(image->backing_format, "qcow2") == 0;
	if (is_qcow2 && has_own_backing(*content)) {
		content_free(*content);
		*content = NULL;
		return why_set(why, STATUS_UNSUPPORTED,
			       "backing file '%s' has a backing file of its own: not supported yet",
			       image->backing_path);
	}
	return STATUS_OK;
}

static enum status create_image(struct world *world, const char *backing_path,
				const char *backing_format, struct why *why)
{
	const struct workload_image *image = &world->workload->image;
	struct qcow2_create_options options = {
		.size_bytes = image->size_bytes,
		.cluster_bytes = image->cluster_bytes,
		.version = image->version,
		.lazy_refcounts = image->lazy_refcounts,
		.backing_path = backing_path,
		.backing_format = backing_format,
	};
	enum status status = qcow2_create(IMAGE_PATH, &options, why);
	return status == STATUS_OK ? prepare_image(world, why) : status;
}

/* Create and prepare the image over `backing` (may be NULL), in memory. Gives `*image`. */
static enum status build_image(struct world *world, const struct content *backing,
			       struct content **image, struct why *why)
{
	const char *format = world->workload->image.backing_format;
	bool is_qcow2 = format && strcmp(format, "qcow2") == 0;
	const char *backing_path = is_qcow2 ? BACKING_QCOW2_PATH : BACKING_RAW_PATH;
	uint16_t image_file = 0, backing_file = 0;
	struct content *nothing = content_new(0);
	if (!nothing)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	session_unwatch_all();
	enum status status = session_watch_memory(IMAGE_PATH, nothing, &image_file);
	if (status == STATUS_OK && backing)
		status = session_watch_memory(backing_path, backing, &backing_file);
	session_rewind();
	if (status == STATUS_OK)
		status = create_image(world, backing ? backing_path : NULL,
				      backing ? (is_qcow2 ? "qcow2" : "raw") : NULL, why);
	else
		why_set(why, status, "out of memory");
	*image = status == STATUS_OK ? session_content(image_file) : NULL;
	session_unwatch_all();
	content_free(nothing);
	if (status == STATUS_OK && !*image)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	return status;
}

enum status world_build_files(struct world *world, struct why *why)
{
	struct content *backing = NULL, *image = NULL;
	const char *format = world->workload->image.backing_format;
	enum trace_format backing_format =
		format && strcmp(format, "qcow2") == 0 ? TRACE_FORMAT_QCOW2 : TRACE_FORMAT_RAW;
	enum status status = world_backing_content(world->workload, &backing, why);
	if (status == STATUS_OK)
		status = build_image(world, backing, &image, why);
	if (status != STATUS_OK) {
		content_free(backing);
		return status;
	}
	trace_add_file(&world->files, IMAGE_PATH, TRACE_FORMAT_QCOW2,
		       backing ? 1 : TRACE_NO_BACKING, image);
	if (backing)
		trace_add_file(&world->files,
			       backing_format == TRACE_FORMAT_QCOW2 ? BACKING_QCOW2_PATH
								    : BACKING_RAW_PATH,
			       backing_format, TRACE_NO_BACKING, backing);
	return STATUS_OK;
}
