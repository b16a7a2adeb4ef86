// SPDX-License-Identifier: MIT
#include "tests/integration/subject.h"

#include "engine/scheduler/sched.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct script {
	const char *path;
	enum qcow2_policy policy;
	struct arena *arena;
	const struct subject_step *steps;
	size_t count;
	char failure[256];
};

static int do_write(struct qcow2 *image, const struct subject_step *step)
{
	uint8_t *bytes = malloc(step->length);
	memset(bytes, step->pattern, step->length);
	/* Three uneven pieces, so that vectors are exercised. */
	size_t third = step->length / 3;
	struct iovec vector[] = { { bytes, third },
				  { bytes + third, third },
				  { bytes + 2 * third, step->length - 2 * third } };
	int result = qcow2_writev(image, step->guest_offset, vector, 3);
	free(bytes);
	return result;
}

static int do_step(struct qcow2 *image, const struct subject_step *step)
{
	struct iovec data = { step->data, step->length };
	switch (step->op) {
	case REQUEST_READ: return qcow2_readv(image, step->guest_offset, &data, 1);
	case REQUEST_WRITE: return do_write(image, step);
	case REQUEST_WRITE_ZEROES:
		return qcow2_write_zeroes(image, step->guest_offset, step->length, step->unmap);
	case REQUEST_DISCARD: return qcow2_discard(image, step->guest_offset, step->length);
	case REQUEST_FLUSH: return qcow2_flush(image);
	case REQUEST_TRUNCATE: return qcow2_truncate(image, step->guest_offset);
	case REQUEST_SNAPSHOT: return qcow2_snapshot_create(image, "taken");
	case REQUEST_SNAPSHOT_APPLY: return qcow2_snapshot_apply(image, "taken");
	case REQUEST_SNAPSHOT_DELETE: return qcow2_snapshot_delete(image, "taken");
	case REQUEST_OPEN:
	case REQUEST_CLOSE: break;
	}
	return -1;
}

static void body(void *argument)
{
	struct script *script = argument;
	struct qcow2_options options = { .arena = script->arena, .policy = script->policy };
	struct qcow2 *image;
	struct why why;
	if (qcow2_open(&image, script->path, &options, &why) != STATUS_OK) {
		snprintf(script->failure, sizeof(script->failure), "open: %.200s", why.text);
		return;
	}
	for (size_t i = 0; i < script->count && !script->failure[0]; i++) {
		int result = do_step(image, &script->steps[i]);
		if (result < 0)
			snprintf(script->failure, sizeof(script->failure), "step %zu (%s): %s", i,
				 request_op_name(script->steps[i].op), strerror(-result));
	}
	int result = qcow2_close(image);
	if (result < 0 && !script->failure[0])
		snprintf(script->failure, sizeof(script->failure), "close: %s", strerror(-result));
}

const char *subject_run(const char *path, enum qcow2_policy policy,
			const struct subject_step *steps, size_t count)
{
	static struct script script;
	script = (struct script){ .path = path, .policy = policy, .steps = steps, .count = count };
	script.arena = arena_new();
	struct sched *sched = sched_new();
	struct sched_options options = { .arena = script.arena, .steps_max = UINT64_MAX };
	sched_spawn(sched, "script", body, &script);
	enum run_end end = sched_run(sched, &options);
	if (end != RUN_FINISHED && !script.failure[0])
		snprintf(script.failure, sizeof(script.failure), "%s: %.200s", run_end_name(end),
			 sched_report(sched));
	sched_free(sched);
	arena_free(script.arena);
	return script.failure;
}
