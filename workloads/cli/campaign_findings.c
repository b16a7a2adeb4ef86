// SPDX-License-Identifier: MIT
/* When are two findings one? Thousands of workloads show the same mistake, in other words: over
 * other clusters, in another cache mode, with another request beside. A finding's key is
 *
 *      rule, severity, crash or not      what is wrong
 *      the last step before the crash    "writes data", "writes an L2 table", ...: what should have
 *                                        waited, or come later; not where a promise was broken
 *      the requests                      kinds and clusters; which part of a cluster is written
 *                                        makes no difference
 *
 * Cluster states and modes are no part of it: they are collected, and say where the mistake shows.
 *
 * A finding is explained by another if that has the same key but for the requests, and its requests
 * are some of this one's, in the same order. What is left are the smallest lists of requests that
 * show it. That is a reading aid, not a proof that two causes are one: all findings are in the
 * journal.
 *
 * The trace that is kept of a row is that of its workload with the lowest index, so it does not
 * depend on the order in which workloads end. */
#include "workloads/cli/campaign_findings.h"

#include "oracle/judge.h"
#include "traces/memory.h"
#include "workloads/cli/crash_image.h"
#include "workloads/cli/roles.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the step ---- */

static enum role role_of(const struct trace *trace, uint64_t host_offset)
{
	struct run_roles roles;
	run_roles_read(&roles, trace);
	const struct role_entry *entry = run_roles_find(&roles, host_offset);
	enum role role = entry ? entry->role : ROLE_UNKNOWN;
	run_roles_release(&roles);
	return role;
}

void campaign_step(const struct trace *trace, const struct trace_finding *finding,
		   char step[CAMPAIGN_STEP_BYTES])
{
	step[0] = 0;
	if (strcmp(finding->model, crash_model_name(CRASH_NONE)) == 0)
		return;
	size_t index = crash_event(&trace->log, finding);
	const struct event *event = index < trace->log.count ? &trace->log.events[index] : NULL;
	const char *torn = finding->sector ? "half " : "";
	if (!event)
		snprintf(step, CAMPAIGN_STEP_BYTES, "at the beginning");
	else if (event->op == IO_WRITE)
		snprintf(step, CAMPAIGN_STEP_BYTES, "%swrites %s", torn,
			 role_name(role_of(trace, event->host_offset)));
	else
		snprintf(step, CAMPAIGN_STEP_BYTES, "%s%s", torn, io_op_name(event->op));
}

/* ---- keys ---- */

/* The list with all parts of a cluster alike. */
static struct generate_skeleton merged(const struct generate_skeleton *skeleton)
{
	struct generate_skeleton alike = *skeleton;
	for (uint32_t i = 0; i < alike.request_count; i++)
		if (alike.requests[i].kind == GENERATE_HEAD ||
		    alike.requests[i].kind == GENERATE_TAIL)
			alike.requests[i].kind = GENERATE_MIDDLE;
	generate_canonical(&alike);
	return alike;
}

static const char *crash_of(const struct campaign_finding *finding)
{
	if (strcmp(finding->model, crash_model_name(CRASH_NONE)) == 0)
		return "none";
	return strcmp(finding->model, crash_model_name(CRASH_REORDER)) == 0 ? "reordered" : "crash";
}

/* The step as far as it tells of the cause. What was promised and is not there was lost before. */
static const char *telling_step(const struct campaign_finding *finding)
{
	bool is_promise = strcmp(finding->rule, rule_name(RULE_FLUSH_DURABLE)) == 0 ||
			  strcmp(finding->rule, rule_name(RULE_ERROR_CONTAINED)) == 0;
	return is_promise ? "" : finding->step;
}

static void key_of(char key[CAMPAIGN_KEY_BYTES], const struct campaign_finding *finding,
		   const struct generate_skeleton *requests)
{
	char name[32];
	generate_skeleton_name(requests, name, sizeof(name));
	snprintf(key, CAMPAIGN_KEY_BYTES, "%.23s|%.15s|%s|%.47s|%s", finding->rule,
		 finding->severity, crash_of(finding), telling_step(finding), name);
}

static struct campaign_row *find_row(const struct campaign_table *table, const char *key)
{
	for (size_t i = 0; i < table->count; i++)
		if (strcmp(table->rows[i].key, key) == 0)
			return &table->rows[i];
	return NULL;
}

/* Is there a row of some, not all, of the requests? */
static bool has_smaller(const struct campaign_table *table, const struct campaign_finding *finding,
			const struct generate_skeleton *requests)
{
	unsigned all = (1U << requests->request_count) - 1;
	for (unsigned kept = 1; kept < all; kept++) {
		struct generate_skeleton some = { .request_count = 0 };
		char key[CAMPAIGN_KEY_BYTES];
		for (uint32_t i = 0; i < requests->request_count; i++)
			if (kept & 1U << i)
				some.requests[some.request_count++] = requests->requests[i];
		generate_canonical(&some);
		key_of(key, finding, &some);
		if (find_row(table, key))
			return true;
	}
	return false;
}

bool campaign_table_wants(const struct campaign_table *table, const struct generated *generated,
			  uint64_t index, const struct campaign_finding *finding)
{
	const struct generate_skeleton requests = merged(&generated->skeleton);
	char key[CAMPAIGN_KEY_BYTES];
	key_of(key, finding, &requests);
	const struct campaign_row *row = find_row(table, key);
	return (!row || index < row->first) && !has_smaller(table, finding, &requests);
}

/* ---- rows ---- */

static struct campaign_row *add_row(struct campaign_table *table, const char *key,
				    const struct campaign_finding *finding)
{
	table->rows =
		memory_grow(table->rows, &table->capacity, table->count + 1, sizeof(*table->rows));
	struct campaign_row *row = &table->rows[table->count++];
	*row = (struct campaign_row){ .first = UINT64_MAX };
	snprintf(row->key, sizeof(row->key), "%s", key);
	snprintf(row->rule, sizeof(row->rule), "%s", finding->rule);
	snprintf(row->severity, sizeof(row->severity), "%s", finding->severity);
	snprintf(row->crash, sizeof(row->crash), "%s", crash_of(finding));
	snprintf(row->step, sizeof(row->step), "%s", telling_step(finding));
	return row;
}

static void release_finding(struct campaign_finding *finding)
{
	free(finding->schedule);
	free(finding->message);
	free(finding->trace);
	*finding = (struct campaign_finding){ 0 };
}

/* The texts of a row's finding that its key does not have. */
static void copy_finding(struct campaign_finding *to, const struct campaign_finding *from)
{
	trace_set_text(&to->schedule, from->schedule);
	trace_set_text(&to->message, from->message);
	trace_set_text(&to->trace, from->trace);
}

static void note_modes(struct campaign_row *row, const struct generated *generated)
{
	for (uint32_t i = 0; i < generated->skeleton.cluster_count; i++)
		row->states |= 1U << generated->states[i];
	row->caches |= generated->writethrough ? 2U : 1U;
	row->lazy |= generated->lazy ? 2U : 1U;
}

void campaign_table_enter(struct campaign_table *table, const struct generated *generated,
			  const struct campaign_entry *entry,
			  void (*drop)(void *context, const char *trace), void *context)
{
	const struct generate_skeleton requests = merged(&generated->skeleton);
	for (size_t i = 0; i < entry->finding_count; i++) {
		const struct campaign_finding *finding = &entry->findings[i];
		char key[CAMPAIGN_KEY_BYTES];
		key_of(key, finding, &requests);
		struct campaign_row *row = find_row(table, key);
		if (!row)
			row = add_row(table, key, finding);
		row->requests = requests;
		note_modes(row, generated);
		row->workloads++;
		if (entry->index >= row->first)
			continue;
		if (drop && row->finding.trace && row->finding.trace[0])
			drop(context, row->finding.trace);
		row->first = entry->index;
		snprintf(row->name, sizeof(row->name), "%s", entry->name);
		copy_finding(&row->finding, finding);
	}
}

static int severity_rank(const struct campaign_row *row)
{
	for (int severity = SEVERITY_CORRUPTION; severity > SEVERITY_LEAK; severity--)
		if (strcmp(row->severity, severity_name((enum severity)severity)) == 0)
			return severity;
	return SEVERITY_LEAK;
}

static int compare_rows(const void *left, const void *right)
{
	const struct campaign_row *a = left, *b = right;
	int difference = severity_rank(b) - severity_rank(a);
	if (!difference)
		difference = strcmp(a->rule, b->rule);
	if (!difference)
		difference = (int)a->requests.request_count - (int)b->requests.request_count;
	return difference ? difference : strcmp(a->key, b->key);
}

void campaign_table_sort(struct campaign_table *table)
{
	if (table->count)
		qsort(table->rows, table->count, sizeof(*table->rows), compare_rows);
	for (size_t i = 0; i < table->count; i++) {
		struct campaign_row *row = &table->rows[i];
		const struct campaign_finding finding = {
			.rule = row->rule,
			.severity = row->severity,
			/* Any model that crash_of() makes the same of. */
			.model = strcmp(row->crash, "crash") == 0  ? (char[]){ "prefix" }
				 : strcmp(row->crash, "none") == 0 ? (char[]){ "none" }
								   : (char[]){ "reorder" },
			.step = row->step,
		};
		row->is_explained = has_smaller(table, &finding, &row->requests);
	}
}

void campaign_table_release(struct campaign_table *table)
{
	for (size_t i = 0; i < table->count; i++)
		release_finding(&table->rows[i].finding);
	free(table->rows);
	*table = (struct campaign_table){ 0 };
}

/* ---- what is said of them ---- */

char *campaign_requests_text(const struct generate_skeleton *requests)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *file = open_memstream(&text, &bytes);
	if (!file)
		abort();
	for (uint32_t i = 0; i < requests->request_count; i++) {
		const struct generate_request *request = &requests->requests[i];
		const char *word = request->kind == GENERATE_MIDDLE
					   ? "part"
					   : generate_kinds[request->kind].name;
		fprintf(file, "%s%s", i ? ", " : "", word);
		if (request->kind != GENERATE_FLUSH)
			fprintf(file, " %" PRIu32, request->cluster);
	}
	if (fclose(file) != 0)
		abort();
	return text;
}

static void states_text(unsigned states, char text[GENERATE_STATE_COUNT + 1])
{
	size_t used = 0;
	for (size_t i = 0; i < GENERATE_STATE_COUNT; i++)
		if (states & 1U << i)
			text[used++] = generate_states[i].letter;
	text[used] = 0;
}

size_t campaign_table_print(const struct campaign_table *table)
{
	size_t told = 0;
	for (size_t i = 0; i < table->count; i++) {
		const struct campaign_row *row = &table->rows[i];
		char states[GENERATE_STATE_COUNT + 1];
		if (row->is_explained)
			continue;
		if (!told++)
			printf("%-10s  %-17s  %-9s  %-26s  %-32s  %-10s  %9s  %s\n", "severity",
			       "rule", "crash", "last step", "requests", "clusters", "workloads",
			       "first");
		char *requests = campaign_requests_text(&row->requests);
		states_text(row->states, states);
		printf("%-10s  %-17s  %-9s  %-26s  %-32s  %-10s  %9" PRIu64 "  %s\n", row->severity,
		       row->rule, row->crash, row->step, requests, states, row->workloads,
		       row->name);
		free(requests);
	}
	return told;
}

static void json_row(struct json *json, const struct campaign_row *row)
{
	char *requests = campaign_requests_text(&row->requests);
	json_begin_object(json, NULL);
	json_text(json, "rule", row->rule);
	json_text(json, "severity", row->severity);
	json_text(json, "crash", row->crash);
	json_text(json, "step", row->step[0] ? row->step : NULL);
	json_text(json, "requests", requests);
	json_begin_list(json, "states");
	for (size_t i = 0; i < GENERATE_STATE_COUNT; i++)
		if (row->states & 1U << i)
			json_text(json, NULL, generate_states[i].name);
	json_end_list(json);
	json_bool(json, "writeback", row->caches & 1);
	json_bool(json, "writethrough", row->caches & 2);
	json_bool(json, "lazy", row->lazy & 2);
	json_bool(json, "not_lazy", row->lazy & 1);
	json_number(json, "workloads", row->workloads);
	json_text(json, "first", row->name);
	json_number(json, "index", row->first);
	json_text(json, "schedule", row->finding.schedule);
	json_text(json, "message", row->finding.message);
	json_text(json, "trace", row->finding.trace[0] ? row->finding.trace : NULL);
	json_end_object(json);
	free(requests);
}

size_t campaign_table_json(const struct campaign_table *table, struct json *json)
{
	size_t told = 0;
	json_begin_list(json, "findings");
	for (size_t i = 0; i < table->count; i++) {
		if (table->rows[i].is_explained)
			continue;
		json_row(json, &table->rows[i]);
		told++;
	}
	json_end_list(json);
	return told;
}
