// SPDX-License-Identifier: MIT
/* From a sweep's finding to a trace of a corpus: shrunk, with its critical step in words, and kept
 * unless the folder has one that is the same.
 *
 * The critical step is the one after which every continuation fails. Its number and addresses
 * depend on the workload; what happens in it does not, so that is what is compared:
 *
 *      "effect of a write, L2 table"       a step that decides
 *      "every run of write, discard"       none does: the workload always ends like this, and
 *                                          what the requests are is all there is to tell
 *      "crash: writes data"                it is not known: the last step before the crash
 *
 * It is kept in the trace as the setting `critical_step`. A trace that somebody put into the folder
 * may lack it; it is found out when a finding of the same rule, severity and subject comes up. */
#include "traces/memory.h"
#include "workloads/cli/campaign_findings.h"
#include "workloads/cli/corpus.h"
#include "workloads/cli/interrupt.h"
#include "workloads/cli/output.h"
#include "workloads/cli/replay.h"
#include "workloads/cli/roles.h"
#include "workloads/cli/shrink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	STEP_BYTES = 192,
	/* Beyond these a finding is kept as small as it is by then. */
	SHRINK_RUNS = 20000,
	SHRINK_RUNS_PROGRAM = 600,
	/* Of a budget of time, on top of it: one part in so many. */
	BUDGET_SHARE = 4,
	NUMBERS_MAX = 1 << 20,
};

#define CRITICAL_STEP "critical_step"

/* ---- the critical step in words ---- */

static const char *role_of(const struct trace *trace, const struct event *event)
{
	struct run_roles roles;
	run_roles_read(&roles, trace);
	const struct role_entry *entry =
		event->file ? NULL : run_roles_find(&roles, event->host_offset);
	const char *name = role_name(entry ? entry->role : ROLE_UNKNOWN);
	run_roles_release(&roles);
	return name;
}

static void describe_io(char *text, const char *phase, const struct trace *trace,
			const struct event *event)
{
	bool has_place = event->op == IO_READ || event->op == IO_WRITE;
	snprintf(text, STEP_BYTES, "%s %s%s%s", io_op_name(event->op), phase, has_place ? ", " : "",
		 has_place ? role_of(trace, event) : "");
}

/* What happens, without numbers. */
static void describe(char *text, const struct trace *trace, const struct event *event)
{
	const struct event_log *log = &trace->log;
	const char *error = event->result < 0 ? strerrorname_np(-event->result) : NULL;
	switch ((enum event_kind)event->kind) {
	case EVENT_REQUEST_INVOKED:
		snprintf(text, STEP_BYTES, "%s begins", request_op_name(event->op));
		break;
	case EVENT_REQUEST_COMPLETED:
		snprintf(text, STEP_BYTES, "%s completed", request_op_name(event->op));
		break;
	case EVENT_IO_SUBMITTED: describe_io(text, "submitted", trace, event); break;
	case EVENT_IO_EFFECT: describe_io(text, "effect", trace, event); break;
	case EVENT_IO_COMPLETED: describe_io(text, "completed", trace, event); break;
	case EVENT_FAULT:
		snprintf(text, STEP_BYTES, "%s fails, %s", io_op_name(event->op),
			 error ? error : "cut short");
		break;
	case EVENT_WAIT:
		snprintf(text, STEP_BYTES, "waits for %s %.*s", wait_kind_name(event->op),
			 (int)(event->data_bytes < 64 ? event->data_bytes : 64),
			 event->data_bytes ? (const char *)event_data(log, event) : "");
		break;
	case EVENT_SWITCH:
	case EVENT_CHOICE:
	case EVENT_END: snprintf(text, STEP_BYTES, "%s", event_kind_name(event->kind)); break;
	}
}

/* The event of the critical step, which shrinking knows by its line. NULL: it tells of none. */
static const struct event *find_event(const struct trace *trace, const char *line)
{
	char text[CRITICAL_EVENT_BYTES];
	for (size_t i = 0; i < trace->log.count && *line; i++) {
		event_format(text, sizeof(text), &trace->log, &trace->log.events[i]);
		if (strcmp(text, line) == 0)
			return &trace->log.events[i];
	}
	return NULL;
}

/* "write, discard" */
static void list_requests(char *text, const struct workload *workload)
{
	size_t used = (size_t)snprintf(text, STEP_BYTES, "every run of ");
	for (size_t i = 0; i < workload->command_count && used < STEP_BYTES - 32; i++)
		if (!workload->commands[i].waits_for_all)
			used += (size_t)snprintf(text + used, STEP_BYTES - used, "%s%s",
						 i ? ", " : "",
						 request_op_name(workload->commands[i].op));
}

static void put_step(char *text, const struct shrink *shrink)
{
	const struct trace *trace = &shrink->best.again.trace;
	const struct critical *critical = &shrink->critical;
	const struct event *event =
		shrink->has_critical ? find_event(trace, critical->event) : NULL;
	char crash[CAMPAIGN_STEP_BYTES];
	if (event) {
		describe(text, trace, event);
	} else if (shrink->has_critical && critical->step == 0) {
		list_requests(text, &shrink->best.workload);
	} else {
		campaign_step(trace, &trace->findings[0], crash);
		snprintf(text, STEP_BYTES, "crash: %s", crash[0] ? crash : "none");
	}
}

char *corpus_key(const struct trace *trace)
{
	const char *step = trace_setting(trace, CRITICAL_STEP);
	const char *program = trace_setting(trace, "program");
	const char *bugs = trace_setting(trace, "bug");
	char *key = NULL;
	if (!trace->finding_count || !step)
		return NULL;
	program = program ? program : trace_setting(trace, "nbd");
	if (asprintf(&key, "%s|%s|%s|%s", trace->findings[0].rule, trace->findings[0].severity,
		     program ? program
		     : bugs  ? bugs
			     : "",
		     step) < 0)
		abort();
	return key;
}

/* ---- making it small ---- */

/* The best run once more, without the stack labels that shrinking gave it. */
static void drop_stacks(struct shrink *shrink)
{
	struct schedule schedule;
	schedule_init(&schedule);
	schedule_copy(&schedule, &shrink->best.again.trace.schedule);
	shrink->best.settings.world.stacks = false;
	(void)!shrink_run_schedule(shrink, &shrink->best, &schedule);
	schedule_release(&schedule);
}

enum status corpus_make_small(struct trace *small, const struct trace *trace,
			      const struct options *options, struct shrink_budget *budget,
			      struct why *why)
{
	char step[STEP_BYTES];
	struct shrink shrink = { .trace = trace, .options = options, .budget = *budget };
	enum status status = shrink_all(&shrink, why);
	if (status == STATUS_OK) {
		drop_stacks(&shrink);
		put_step(step, &shrink);
		*small = shrink.best.again.trace;
		trace_init(&shrink.best.again.trace);
		trace_add_setting(small, CRITICAL_STEP, step);
	}
	shrink_release(&shrink);
	return status;
}

/* ---- adding it ---- */

/* Findings on their way into the folder. */
struct adding {
	struct corpus *corpus;
	const struct options *options;
	struct shrink_budget budget; /* of time, for all of them */
	struct progress progress;
};

static enum status make_small(struct adding *adding, struct trace *small, const struct trace *trace,
			      struct why *why)
{
	struct shrink_budget budget = adding->budget;
	budget.limit.runs = settings_trace_is_foreign(trace) ? SHRINK_RUNS_PROGRAM : SHRINK_RUNS;
	return corpus_make_small(small, trace, adding->options, &budget, why);
}

/* Find out the key of a known trace that does not tell; "" when that cannot be found out. */
static void learn_key(struct adding *adding, struct corpus_trace *known)
{
	struct trace trace, small;
	struct why why;
	trace_init(&trace);
	trace_init(&small);
	if (replay_read(&trace, known->path, &why) == STATUS_OK &&
	    make_small(adding, &small, &trace, &why) == STATUS_OK)
		known->key = corpus_key(&small);
	if (!known->key)
		trace_set_text(&known->key, "");
	trace_release(&small);
	trace_release(&trace);
}

/* Does the folder have a trace of this key that may show it? One that no longer does is no reason
 * to leave out one that does. */
static bool is_known(struct adding *adding, const char *key, const char *rule)
{
	struct corpus *corpus = adding->corpus;
	for (size_t i = 0; i < corpus->known_count; i++) {
		struct corpus_trace *known = &corpus->known[i];
		if (strcmp(known->rule, rule) != 0 || known->outcome == CORPUS_GONE)
			continue;
		if (!known->key)
			learn_key(adding, known);
		if (strcmp(known->key, key) == 0)
			return true;
	}
	for (size_t i = 0; i < corpus->added_count; i++)
		if (strcmp(corpus->added[i].key, key) == 0)
			return true;
	return false;
}

/* A name in the folder that nothing has yet: the n-th of this workload and rule. */
static enum status free_path(char *path, const struct corpus *corpus, const char *workload,
			     const char *rule, struct why *why)
{
	for (unsigned number = 1; number <= NUMBERS_MAX; number++) {
		snprintf(path, OUTPUT_PATH_BYTES, "%.3800s/%.63s-%.31s-%u.trace.zst",
			 corpus->folder, workload, rule, number);
		if (access(path, F_OK) != 0)
			return STATUS_OK;
	}
	return why_set(why, STATUS_IO, "folder '%.300s' is full", corpus->folder);
}

static enum status keep(struct adding *adding, const struct trace *small, char *key,
			const char *workload, const char *from, struct why *why)
{
	struct corpus *corpus = adding->corpus;
	const char *rule = small->findings[0].rule;
	char path[OUTPUT_PATH_BYTES];
	enum status status = free_path(path, corpus, workload, rule, why);
	if (status == STATUS_OK)
		status = trace_write(small, path, why);
	if (status != STATUS_OK)
		return status;
	corpus->added = memory_grow(corpus->added, &corpus->added_capacity, corpus->added_count + 1,
				    sizeof(*corpus->added));
	struct corpus_addition *added = &corpus->added[corpus->added_count++];
	*added = (struct corpus_addition){ 0 };
	trace_set_text(&added->path, path);
	trace_set_text(&added->rule, rule);
	trace_set_text(&added->step, trace_setting(small, CRITICAL_STEP));
	trace_set_text(&added->key, key);
	trace_set_text(&added->from, from);
	return STATUS_OK;
}

/* One trace of a sweep of `workload`. */
static enum status add_trace(struct adding *adding, const char *workload, const char *path,
			     struct why *why)
{
	struct trace trace, small;
	struct why why_not;
	char *key = NULL;
	trace_init(&trace);
	trace_init(&small);
	enum status status = trace_read(&trace, path, why);
	if (status != STATUS_OK)
		goto out;
	if (make_small(adding, &small, &trace, &why_not) == STATUS_OK)
		key = corpus_key(&small);
	if (!key) {
		adding->corpus->left++;
		adding->corpus->why_left = "they did not show again";
	} else if (is_known(adding, key, small.findings[0].rule)) {
		adding->corpus->duplicates++;
	} else {
		status = keep(adding, &small, key, workload, path, why);
	}
out:
	progress_clear(&adding->progress);
	free(key);
	trace_release(&small);
	trace_release(&trace);
	return status;
}

static enum status add_outcome(struct adding *adding, const struct sweep_outcome *outcome,
			       struct why *why)
{
	struct corpus *corpus = adding->corpus;
	enum status status = STATUS_OK;
	for (size_t i = 0; i < outcome->violation_count && status == STATUS_OK; i++) {
		const char *path = outcome->violations[i].trace_path;
		if (path && shrink_budget_is_left(&adding->budget)) {
			status = add_trace(adding, outcome->summary.workload, path, why);
			continue;
		}
		corpus->left++;
		corpus->why_left = path ? adding->budget.why_ended : "they have no trace";
	}
	return status;
}

enum status corpus_add(struct corpus *corpus, const struct sweep_outcome *outcomes,
		       size_t outcome_count, const struct options *options, struct why *why)
{
	/* Settings are those of the traces. */
	const struct options own = { .command = options->command,
				     .image_folder = options->image_folder };
	struct adding adding = {
		.corpus = corpus,
		.options = &own,
		.budget = { .limit.seconds = options->budget.seconds / BUDGET_SHARE,
			    .stop = interrupt_catch(),
			    .progress = &adding.progress },
		.progress = { .name = "new traces",
			      .is_shown = output_shows_progress(options->quiet) },
	};
	enum status status = STATUS_OK;
	shrink_budget_begin(&adding.budget);
	for (size_t i = 0; i < outcome_count && status == STATUS_OK; i++)
		status = add_outcome(&adding, &outcomes[i], why);
	return status;
}
