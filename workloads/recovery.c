// SPDX-License-Identifier: MIT
/* Crashing, opening, crashing again.
 *
 *     run ----x  crash state with the dirty bit
 *             |
 *             +-- open, close --------------------> R   everything promised is there, all rules
 *                    |  each crash state of that         hold, nothing leaked, COPIED exact
 *                    x  (prefix, torn; losses)
 *                    |
 *                    +-- open, close -------------> R'  the same again
 *
 * and each R and R' is opened and closed once more, which must write nothing.
 *
 * The states come as places: a schedule, and where to cut its run. They are captured in batches in
 * a world of the workload; the repairs run in another one, whose script opens and closes, under the
 * recorder. There is nothing to choose in it: one task, no faults.
 *
 * Who judges? The oracle, with the log of the crashed run and those of the repairs joined
 * (recovery_log.c): so each state that a repair passes through is held against what the guest was
 * promised before the first crash. What the crash state itself shows is the sweep's business, and
 * is not reported again.
 *
 * On a disk that reorders there are too many states to repair each: those of oracle/loss.c are
 * repaired, where it is asked for such a disk; of repairs, which are short, in any case. What the
 * repair itself writes is judged for all that such a disk may leave of it, in any case, too: from
 * the crash on, because at a crash it was decided what is on disk.
 *
 * What is done once: states of equal contents and promises are repaired once, however they came
 * about. That loses nothing, because the crash states of the runs are all repaired with their
 * repairs crashed; only those of repairs are left out when they were met before, and for these
 * nothing follows. Equal images that come out are opened again once. */
#define XXH_INLINE_ALL
#include "workloads/recovery.h"

#include "oracle/bytes.h"
#include "oracle/persist.h"
#include "traces/memory.h"
#include "workloads/seconds.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum {
	BATCH = 64,
	TRAIL_BYTES = 160,
	HEADER_VERSION_LAST = 7,
	HEADER_INCOMPATIBLE_LAST = 79, /* header byte whose lowest bit is the dirty bit */
};

/* Recovery in progress. */
struct recovering {
	const struct workload *workload;
	const struct recovery_options *options;
	struct recovery_result *result;
	struct trace files; /* those of the crashed runs */
	struct judge *judge;
	struct world *world;      /* in which repairs run; NULL while states are captured */
	struct workload opening;  /* the workload without its commands; owns nothing */
	struct distinct repaired; /* images, with promises */
	struct distinct settled;  /* images that came out */
	double begun;             /* seconds_now() */
	/* The state at hand. */
	const struct dirty_state *place;
	const char *lost;        /* "" or what the first crash lost */
	char trail[TRAIL_BYTES]; /* "" or where in the first repair the second crash fell */
	size_t kept;             /* of its events: those that the log judged last began with, too */
};

/* ---- findings ---- */

/* Report that what came of the state at hand is not as it should be. `cause` may be NULL. */
__attribute__((format(printf, 4, 5))) static void report(struct recovering *recovering,
							 enum severity severity,
							 const struct verdict *cause,
							 const char *format, ...)
{
	struct recovery_result *result = recovering->result;
	const struct judge_dirty *state = &recovering->place->state;
	struct verdict verdict = {
		.rule = RULE_REPAIR_CONVERGES,
		.severity = severity,
		.model = state->model,
		.operation = state->operation,
		.sector = state->sector,
		.strict_only = cause && cause->strict_only,
		.guest_offset = cause ? cause->guest_offset : NOWHERE,
		.guest_place = cause ? cause->guest_place : 0,
		.host_offset = cause ? cause->host_offset : NOWHERE,
	};
	char what[VERDICT_MESSAGE_BYTES - TRAIL_BYTES - CRASHED_LOST_BYTES - 16];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	snprintf(verdict.message, sizeof(verdict.message), "opened again%s%s: %s", recovering->lost,
		 recovering->trail, what);
	for (size_t i = 0; i < result->violation_count; i++) {
		struct violation *known = &result->violations[i];
		if (known->verdict.severity == severity &&
		    known->verdict.strict_only == verdict.strict_only &&
		    known->verdict.guest_offset == verdict.guest_offset &&
		    known->verdict.host_offset == verdict.host_offset) {
			known->times++;
			return;
		}
	}
	result->violations = memory_grow(result->violations, &result->violation_capacity,
					 result->violation_count + 1, sizeof(*result->violations));
	result->violations[result->violation_count++] = (struct violation){
		.verdict = verdict,
		.schedule = memory_text(recovering->place->schedule,
					strlen(recovering->place->schedule)),
		.times = 1,
	};
}

/* ---- images ---- */

static uint64_t hash_image(const struct content *image)
{
	static const uint8_t zeros[CONTENT_PAGE_BYTES];
	uint64_t hash = mix(content_size(image), 1);
	for (uint64_t page = 0; content_next_page(image, &page); page++) {
		const uint8_t *bytes = content_page(image, page);
		if (memcmp(bytes, zeros, sizeof(zeros)) != 0)
			hash += XXH3_64bits_withSeed(bytes, CONTENT_PAGE_BYTES, page);
	}
	return hash;
}

static bool is_dirty(const struct content *image)
{
	uint8_t version = 0, incompatible = 0;
	content_read(image, &version, 1, HEADER_VERSION_LAST);
	content_read(image, &incompatible, 1, HEADER_INCOMPATIBLE_LAST);
	return version >= 3 && (incompatible & 1);
}

/* ---- opening and closing ---- */

/* Open and close `image` (borrowed) under the recorder. Returns the run's log, NULL when it went
 * wrong, which is reported. */
static const struct event_log *open_and_close(struct recovering *recovering,
					      const struct content *image)
{
	struct schedule none;
	struct choice choice;
	struct content *copy = content_clone(image);
	if (!copy)
		abort();
	world_set_image(recovering->world, copy);
	schedule_init(&none);
	struct strategy *strategy = strategy_replay_new(&none);
	choice_init(&choice, strategy, NULL);
	if (!choice_begin(&choice))
		abort();
	enum run_end end = world_run(recovering->world, &choice);
	choice_end(&choice, end, 0);
	choice_release(&choice);
	strategy_free(strategy);
	schedule_release(&none);
	if (end != RUN_FINISHED) {
		report(recovering, SEVERITY_CORRUPTION, NULL, "the repair ends in a %s: %.120s",
		       run_end_name(end), world_report(recovering->world));
		return NULL;
	}
	const struct event_log *log = world_log(recovering->world);
	const struct event *failed = NULL;
	for (size_t i = 0; i < log->count && !failed; i++)
		if (log->events[i].kind == EVENT_REQUEST_COMPLETED && log->events[i].result < 0)
			failed = &log->events[i];
	if (!failed)
		return log;
	if (failed->op == REQUEST_OPEN)
		report(recovering, SEVERITY_CORRUPTION, NULL, "%s",
		       world_open_failure(recovering->world));
	else
		report(recovering, SEVERITY_CORRUPTION, NULL, "closing fails: %s",
		       strerror(-failed->result));
	return NULL;
}

/* A second repair must change nothing. */
static void open_once_more(struct recovering *recovering, const struct content *image)
{
	if (!distinct_add(&recovering->settled, hash_image(image)))
		return;
	recovering->result->counts.finals++;
	const struct event_log *log = open_and_close(recovering, image);
	for (size_t i = 0; log && i < log->count; i++) {
		const struct event *event = &log->events[i];
		if (!judge_is_operation(event))
			continue;
		report(recovering, SEVERITY_HAZARD, NULL,
		       "repaired, it is not left alone by a second repair: %s of %" PRIu64
		       " bytes at host 0x%" PRIx64,
		       io_op_name(event->op), event->length, event->host_offset);
		return;
	}
}

/* ---- judging ---- */

/* What the judge says, without the list of what persisted: its operations are counted from the
 * beginning of a log that nobody has. */
static int message_bytes(const struct verdict *verdict)
{
	const char *list = strstr(verdict->message, PERSIST_LEAD);
	return (int)(list ? (size_t)(list - verdict->message) : strlen(verdict->message));
}

/* Hold the joined log from event `from` on, before which a crash fell, against the rules. */
static void judge_repair(struct recovering *recovering, const struct event_log *joined, size_t from)
{
	struct judge_report judged;
	judge_reopened(recovering->judge, joined, recovering->kept, from, &judged);
	for (size_t i = 0; i < judged.verdict_count; i++) {
		const struct verdict *verdict = &judged.verdicts[i];
		bool is_left_out = recovering->options->in_order && verdict->model == CRASH_REORDER;
		if (verdict->event >= from && !is_left_out)
			report(recovering, verdict->severity, verdict, "%s%s: %.*s",
			       verdict->model == CRASH_REORDER ? "the repair reordered, " : "",
			       rule_name(verdict->rule), message_bytes(verdict), verdict->message);
	}
	if (judged.leaked)
		report(recovering, SEVERITY_LEAK, NULL,
		       "%" PRIu64 " cluster%s leaked after the repair", judged.leaked,
		       judged.leaked == 1 ? " is" : "s are");
	if (judged.copied_missing)
		report(recovering, SEVERITY_LEAK, NULL,
		       "the repair leaves %" PRIu64
		       " cluster%s with refcount one and no COPIED flag",
		       judged.copied_missing, judged.copied_missing == 1 ? "" : "s");
}

/* Repair the image of `crashed`, which `crashes` crashes made, and judge it. Gives the repair's log
 * in `repair` (initialised, empty). False: it went wrong. */
static bool repair_and_judge(struct recovering *recovering, const struct crashed *crashed,
			     uint32_t crashes, struct event_log *repair)
{
	struct recovery_counts *counts = &recovering->result->counts;
	struct event_log joined;
	counts->repairs++;
	counts->first += crashes == 1;
	counts->reordered += crashes == 1 && recovering->place->state.model == CRASH_REORDER;
	counts->second += crashes > 1;
	const struct event_log *log = open_and_close(recovering, crashed->image);
	if (!log)
		return false;
	recovery_log_copy(repair, log);
	struct content *after = world_image(recovering->world);
	if (!after)
		abort();
	event_log_init(&joined);
	recovery_log_copy(&joined, &crashed->log);
	recovery_log_append(&joined, repair, crashes, repair->count, 0);
	judge_repair(recovering, &joined, crashed->judged);
	if (is_dirty(after))
		report(recovering, SEVERITY_CORRUPTION, NULL, "still dirty after open and close");
	else
		open_once_more(recovering, after);
	event_log_release(&joined);
	content_free(after);
	return true;
}

/* ---- the second crash ---- */

/* The first repair, in which the second crash falls. */
struct repairing {
	struct recovering *recovering;
	const struct crashed *first;
	const struct event_log *log; /* the repair's */
	struct content *image;       /* before the operation at hand */
	uint64_t operations;         /* before it */
};

/* Repair what the second crash left, unless the same was repaired before. */
static void repair_again(struct recovering *recovering, const struct crashed *crashed)
{
	uint64_t hash = mix(hash_image(crashed->image), recovering->place->state.promises);
	struct event_log repair;
	event_log_init(&repair);
	recovering->result->counts.states++;
	if (distinct_add(&recovering->repaired, hash))
		(void)!repair_and_judge(recovering, crashed, 2, &repair);
	recovering->trail[0] = '\0';
	event_log_release(&repair);
}

/* Crash in operation `index` of the repair: behind it (`bytes` 0), or inside, after `sectors`. */
static void crash_at(const struct repairing *repairing, size_t index, uint64_t bytes,
		     uint32_t sectors)
{
	struct recovering *recovering = repairing->recovering;
	struct event operation = repairing->log->events[index];
	struct crashed crashed = { .image = content_clone(repairing->image) };
	if (bytes)
		operation.result = (int32_t)bytes;
	if (!crashed.image || trace_apply(crashed.image, repairing->log, &operation) != STATUS_OK)
		abort();
	event_log_init(&crashed.log);
	recovery_log_copy(&crashed.log, &repairing->first->log);
	recovery_log_append(&crashed.log, repairing->log, 1, bytes ? index : index + 1, bytes);
	if (sectors)
		snprintf(recovering->trail, sizeof(recovering->trail),
			 ", crashed after operation %" PRIu64
			 " of the repair and %u sectors of the next, and again",
			 repairing->operations, sectors);
	else
		snprintf(recovering->trail, sizeof(recovering->trail),
			 ", crashed after operation %" PRIu64 " of the repair, and again",
			 repairing->operations + 1);
	crashed.judged = crashed.log.count;
	repair_again(recovering, &crashed);
	crashed_release(&crashed);
}

static void tear(const struct repairing *repairing, size_t index)
{
	const struct recovery_options *options = repairing->recovering->options;
	const struct event *event = &repairing->log->events[index];
	uint64_t grain = options->sector_bytes ? options->sector_bytes : 512;
	if (!(options->models & CRASH_TORN) || event->op != IO_WRITE)
		return;
	uint64_t end = event->host_offset + (uint64_t)event->result;
	uint32_t sectors = 0;
	for (uint64_t at = (event->host_offset / grain + 1) * grain; at < end; at += grain)
		crash_at(repairing, index, at - event->host_offset, ++sectors);
}

/* Crash behind operation `index` on a disk that reorders: `image` is what all operations make. */
static void lose_at(const struct repairing *repairing, size_t index, const struct content *image)
{
	struct recovering *recovering = repairing->recovering;
	size_t crash = repairing->first->log.count;
	const struct judge_loss *losses = NULL;
	struct event_log joined;
	event_log_init(&joined);
	recovery_log_copy(&joined, &repairing->first->log);
	recovery_log_append(&joined, repairing->log, 1, index + 1, 0);
	size_t count = judge_stand(recovering->judge, &joined, joined.count, crash, &losses);
	struct crashed *crashed = calloc(count + 1, sizeof(*crashed));
	if (!crashed)
		abort();
	for (size_t i = 0; i < count; i++) {
		crashed[i].image = content_clone(image);
		if (!crashed[i].image)
			abort();
		event_log_init(&crashed[i].log);
		recovery_log_copy(&crashed[i].log, &joined);
		if (!crashed_lose(&crashed[i], recovering->judge, &losses[i], crash))
			abort();
	}
	for (size_t i = 0; i < count; i++) {
		snprintf(recovering->trail, sizeof(recovering->trail),
			 ", crashed after operation %" PRIu64 " of the repair%s, and again",
			 repairing->operations + 1, crashed[i].lost);
		repair_again(recovering, &crashed[i]);
		crashed_release(&crashed[i]);
	}
	free(crashed);
	event_log_release(&joined);
}

/* Crash in every way that a repair can crash. */
static void crash_everywhere(struct recovering *recovering, const struct crashed *first,
			     const struct event_log *log)
{
	struct repairing repairing = {
		.recovering = recovering,
		.first = first,
		.log = log,
		.image = content_clone(first->image),
	};
	if (!repairing.image)
		abort();
	for (size_t i = 0; i < log->count; i++) {
		const struct event *event = &log->events[i];
		if (!judge_is_operation(event))
			continue;
		tear(&repairing, i);
		crash_at(&repairing, i, 0, 0);
		if (trace_apply(repairing.image, log, event) != STATUS_OK)
			abort();
		if (!recovering->options->in_order)
			lose_at(&repairing, i, repairing.image);
		repairing.operations++;
	}
	content_free(repairing.image);
}

/* ---- all states ---- */

static void recover(struct recovering *recovering, const struct dirty_state *place,
		    const struct crashed *crashed)
{
	struct event_log repair;
	event_log_init(&repair);
	recovering->place = place;
	recovering->lost = crashed->lost;
	recovering->trail[0] = '\0';
	recovering->kept = 0;
	distinct_add(&recovering->repaired, mix(hash_image(crashed->image), place->state.promises));
	bool is_good = repair_and_judge(recovering, crashed, 1, &repair);
	recovering->kept = is_good ? crashed->log.count : 0;
	if (is_good && recovering->options->depth > 1)
		crash_everywhere(recovering, crashed, &repair);
	event_log_release(&repair);
}

static double seconds_spent(const struct recovering *recovering)
{
	return seconds_now() - recovering->begun;
}

static const char *bound_reached(const struct recovering *recovering)
{
	const struct recovery_options *options = recovering->options;
	if (options->stop && *options->stop)
		return "interrupted while repairing crash states";
	if (options->seconds > 0 && seconds_spent(recovering) >= options->seconds)
		return "the budget of time ended while repairing crash states";
	return NULL;
}

/* Execute the run that leads to `place`, and cut it there. */
static enum status capture(struct recovering *recovering, struct world *world,
			   const struct dirty_state *place, struct crashed *crashed,
			   struct why *why)
{
	struct schedule schedule;
	struct choice choice;
	schedule_init(&schedule);
	enum status status = schedule_parse(&schedule, place->schedule, why);
	if (status != STATUS_OK)
		goto out;
	struct strategy *strategy = strategy_replay_new(&schedule);
	choice_init(&choice, strategy, NULL);
	if (!choice_begin(&choice))
		abort();
	enum run_end end = world_run(world, &choice);
	choice_end(&choice, end, 0);
	choice_release(&choice);
	strategy_free(strategy);
	if (!crashed_from_reordered(crashed, recovering->judge, world_log(world),
				    recovering->files.files[0].initial, &place->state) ||
	    !is_dirty(crashed->image)) {
		char text[160];
		snprintf(text, sizeof(text),
			 "a dirty crash state did not show again under schedule %.100s",
			 place->schedule);
		free(recovering->result->complaint);
		recovering->result->complaint = memory_text(text, strlen(text));
	}
out:
	schedule_release(&schedule);
	return status;
}

/* Take over the files that the runs begin with, and make a judge for them. */
static enum status take_files(struct recovering *recovering, const struct world *world,
			      struct why *why)
{
	size_t count = 0;
	const struct trace_file *files = world_files(world, &count);
	const struct judge_options options = { .models =
						       recovering->options->models | CRASH_REORDER,
					       .sector_bytes = recovering->options->sector_bytes,
					       .verdicts_max = VIOLATION_VERDICTS_MAX };
	if (recovering->judge)
		return STATUS_OK;
	for (size_t i = 0; i < count; i++) {
		struct content *initial = content_clone(files[i].initial);
		if (!initial)
			return why_set(why, STATUS_NO_MEMORY, "out of memory");
		trace_add_file(&recovering->files, files[i].path, files[i].format, files[i].backing,
			       initial);
	}
	return judge_new(&recovering->judge, recovering->files.files, count, &options, why);
}

static enum status capture_all(struct recovering *recovering, const struct dirty_state *places,
			       struct crashed *crashed, size_t count, struct why *why)
{
	struct world *world = NULL;
	struct world_options options = *recovering->options->world;
	options.snapshot_every = 0;
	options.stacks = false;
	if (recovering->judge) {
		options.files = recovering->files.files;
		options.file_count = recovering->files.file_count;
	}
	enum status status = world_new(&world, recovering->workload, &options, why);
	if (status == STATUS_OK)
		status = take_files(recovering, world, why);
	for (size_t i = 0; i < count && status == STATUS_OK; i++)
		status = capture(recovering, world, &places[i], &crashed[i], why);
	world_free(world);
	return status;
}

static enum status recover_all(struct recovering *recovering, const struct dirty_state *places,
			       const struct crashed *crashed, size_t count, struct why *why)
{
	struct world_options options = *recovering->options->world;
	options.snapshot_every = 0;
	options.stacks = false;
	options.faults_max = 0;
	options.files = recovering->files.files;
	options.file_count = recovering->files.file_count;
	enum status status = world_new(&recovering->world, &recovering->opening, &options, why);
	for (size_t i = 0; i < count && status == STATUS_OK; i++) {
		recovering->result->why_incomplete = bound_reached(recovering);
		if (recovering->result->why_incomplete)
			break;
		recover(recovering, &places[i], &crashed[i]);
	}
	world_free(recovering->world);
	recovering->world = NULL;
	return status;
}

static enum status do_batch(struct recovering *recovering, const struct dirty_state *places,
			    size_t count, struct why *why)
{
	struct crashed crashed[BATCH] = { 0 };
	struct recovery_result *result = recovering->result;
	enum status status = capture_all(recovering, places, crashed, count, why);
	if (status == STATUS_OK && !result->complaint)
		status = recover_all(recovering, places, crashed, count, why);
	for (size_t i = 0; i < count; i++)
		crashed_release(&crashed[i]);
	return status;
}

enum status recovery_sweep(const struct workload *workload, const struct dirty_states *places,
			   const struct recovery_options *options, struct recovery_result *result,
			   struct why *why)
{
	struct recovering recovering = {
		.workload = workload, .options = options, .result = result, .opening = *workload
	};
	enum status status = STATUS_OK;
	*result = (struct recovery_result){ 0 };
	recovering.opening.command_count = 0;
	recovering.opening.rule_count = 0; /* a report's faults are the run's, not the repair's */
	trace_init(&recovering.files);
	recovering.begun = seconds_now();
	for (size_t at = 0; at < places->count && status == STATUS_OK; at += BATCH) {
		size_t count = places->count - at < BATCH ? places->count - at : BATCH;
		status = do_batch(&recovering, &places->items[at], count, why);
		if (result->why_incomplete || result->complaint)
			break;
	}
	if (places->is_cut && !result->why_incomplete)
		result->why_incomplete = "more dirty crash states than are kept";
	if (result->complaint)
		result->why_incomplete = "a crash state did not show again";
	result->complete = !result->why_incomplete;
	result->counts.distinct = recovering.repaired.count;
	result->elapsed_seconds = seconds_spent(&recovering);
	distinct_release(&recovering.repaired);
	distinct_release(&recovering.settled);
	judge_free(recovering.judge);
	trace_release(&recovering.files);
	return status;
}

void recovery_result_release(struct recovery_result *result)
{
	for (size_t i = 0; i < result->violation_count; i++)
		free(result->violations[i].schedule);
	free(result->violations);
	free(result->complaint);
	*result = (struct recovery_result){ 0 };
}
