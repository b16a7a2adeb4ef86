// SPDX-License-Identifier: MIT
/* A search that is done in parts ends with the same certificate as one that is done in one piece,
 * because everything in the certificate is a set: classes, final states, crash states, and
 * violations by their place. Sets can be united in any order, and a member that two parts found
 * counts once. So nothing here asks who did which part, or when.
 *
 * What is not a set depends on the parts: how many runs were given up, how many crash images were
 * built. It is the same whenever the parts are; only a search that was interrupted has others.
 *
 * Of each violation the least is kept, by a total order (violation.h): again a choice that does not
 * depend on who came first.
 *
 * A job's weight is the part of the search that it is taken for. Whoever does a part of a job
 * leaves the rest of its weight to what remains open of it, in equal shares. The weights of all
 * open jobs are what is left to do: honest about weight, not about time, as in injector/estimate.c.
 */
#include "workloads/ledger.h"

#include "injector/order.h"
#include "traces/memory.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	VIOLATIONS_MAX = 4096,
	JOBS_MAX = 1 << 24,
	ATTEMPTS_MAX = 16,
};

void ledger_release(struct ledger *ledger)
{
	explore_sets_release(&ledger->sets);
	for (size_t i = 0; i < ledger->violation_count; i++)
		free(ledger->violations[i].schedule);
	for (size_t i = 0; i < ledger->job_count; i++)
		free(ledger->jobs[i].text);
	free(ledger->violations);
	free(ledger->jobs);
	*ledger = (struct ledger){ 0 };
}

void ledger_open(struct ledger *ledger, const char *text, double weight, uint32_t attempts)
{
	ledger->jobs = memory_grow(ledger->jobs, &ledger->job_capacity, ledger->job_count + 1,
				   sizeof(*ledger->jobs));
	ledger->jobs[ledger->job_count++] = (struct open_job){
		.text = memory_text(text, strlen(text)),
		.weight = weight,
		.attempts = attempts,
	};
}

struct open_job ledger_take(struct ledger *ledger, size_t index)
{
	struct open_job job = ledger->jobs[index];
	memmove(&ledger->jobs[index], &ledger->jobs[index + 1],
		(--ledger->job_count - index) * sizeof(job));
	return job;
}

/* Enter a violation; copies it. */
static void add_violation(struct ledger *ledger, const struct violation *violation)
{
	for (size_t i = 0; i < ledger->violation_count; i++) {
		struct violation *known = &ledger->violations[i];
		if (!violation_same_place(&known->verdict, &violation->verdict))
			continue;
		uint64_t times = known->times + violation->times;
		if (violation_precedes(violation, known)) {
			free(known->schedule);
			*known = *violation;
			known->schedule =
				memory_text(violation->schedule, strlen(violation->schedule));
		}
		known->times = times;
		return;
	}
	if (ledger->violation_count == VIOLATIONS_MAX)
		return;
	ledger->violations = memory_grow(ledger->violations, &ledger->violation_capacity,
					 ledger->violation_count + 1, sizeof(*ledger->violations));
	struct violation *added = &ledger->violations[ledger->violation_count++];
	*added = *violation;
	added->schedule = memory_text(violation->schedule, strlen(violation->schedule));
}

static void add_set(struct distinct *to, const struct distinct *more, uint64_t *checksum)
{
	for (size_t i = 0; i < more->capacity; i++)
		if (more->slots[i] && distinct_add(to, more->slots[i]) && checksum)
			*checksum += order_mixed(more->slots[i]);
}

static void add_sets(struct ledger *ledger, const struct explore_sets *sets)
{
	add_set(&ledger->sets.classes, &sets->classes, &ledger->class_checksum);
	add_set(&ledger->sets.ends, &sets->ends, &ledger->end_checksum);
	add_set(&ledger->sets.states, &sets->states, NULL);
	dirty_states_merge(&ledger->sets.dirty, &sets->dirty);
}

static void add_skipped(struct ledger *ledger, int rule, const char *reason)
{
	if (reason && !ledger->skipped[rule][0])
		snprintf(ledger->skipped[rule], LEDGER_LINE_BYTES, "%s", reason);
}

void ledger_enter(struct ledger *ledger, const struct explore_result *result,
		  const struct explore_sets *sets)
{
	ledger->interleavings += result->interleavings;
	ledger->states += result->states;
	ledger->judged += result->judged;
	ledger->decided = magnitude_add(ledger->decided, result->decided);
	ledger->slices++;
	add_sets(ledger, sets);
	for (size_t i = 0; i < result->violation_count; i++)
		add_violation(ledger, &result->violations[i]);
	for (int rule = 0; rule < RULE_COUNT; rule++)
		add_skipped(ledger, rule, result->skipped[rule]);
	if (result->complaint && !ledger->complaint[0])
		snprintf(ledger->complaint, sizeof(ledger->complaint), "%s", result->complaint);
}

void ledger_add(struct ledger *ledger, const struct ledger *part)
{
	ledger->interleavings += part->interleavings;
	ledger->blocked += part->blocked;
	ledger->trials += part->trials;
	ledger->states += part->states;
	ledger->judged += part->judged;
	ledger->decided = magnitude_add(ledger->decided, part->decided);
	ledger->slices += part->slices;
	ledger->lost += part->lost;
	add_sets(ledger, &part->sets);
	for (size_t i = 0; i < part->violation_count; i++)
		add_violation(ledger, &part->violations[i]);
	for (int rule = 0; rule < RULE_COUNT; rule++)
		add_skipped(ledger, rule, part->skipped[rule]);
	for (size_t i = 0; i < part->job_count; i++)
		ledger_open(ledger, part->jobs[i].text, part->jobs[i].weight,
			    part->jobs[i].attempts);
	if (!ledger->complaint[0])
		memcpy(ledger->complaint, part->complaint, sizeof(ledger->complaint));
}

bool ledger_is_complete(const struct ledger *ledger)
{
	return !ledger->job_count && !ledger->lost && !ledger->complaint[0];
}

uint64_t ledger_duplicates(const struct ledger *ledger)
{
	return ledger->interleavings - ledger->sets.classes.count;
}

double ledger_done(const struct ledger *ledger, double busy)
{
	double left = busy;
	for (size_t i = 0; i < ledger->job_count; i++)
		left += ledger->jobs[i].weight;
	return left < 1 ? 1 - left : 0;
}

/* ---- bytes ---- */

/* The counters, in the order in which they are packed. */
enum { COUNTERS = 7 };

static void list_counters(struct ledger *ledger, uint64_t *counters[COUNTERS])
{
	uint64_t *list[COUNTERS] = {
		&ledger->interleavings, &ledger->blocked, &ledger->trials, &ledger->states,
		&ledger->judged,        &ledger->slices,  &ledger->lost,
	};
	memcpy(counters, list, sizeof(list));
}

static void pack_violation(struct pack *pack, const struct violation *violation)
{
	const struct verdict *verdict = &violation->verdict;
	pack_text(pack, violation->schedule);
	pack_number(pack, violation->cut_size);
	pack_number(pack, violation->cut_hash);
	pack_number(pack, violation->times);
	pack_number(pack, verdict->rule);
	pack_number(pack, verdict->severity);
	pack_number(pack, verdict->model);
	pack_number(pack, verdict->operation);
	pack_number(pack, verdict->sector);
	pack_number(pack, verdict->event);
	pack_number(pack, verdict->request);
	pack_number(pack, verdict->strict_only);
	pack_number(pack, verdict->guest_offset);
	pack_number(pack, verdict->guest_place);
	pack_number(pack, verdict->host_offset);
	pack_text(pack, verdict->message);
}

static void unpack_violation(struct unpack *unpack, struct ledger *ledger)
{
	struct violation violation = { .schedule = unpack_text(unpack) };
	struct verdict *verdict = &violation.verdict;
	violation.cut_size = unpack_number(unpack, UINT64_MAX);
	violation.cut_hash = unpack_number(unpack, UINT64_MAX);
	violation.times = unpack_number(unpack, UINT64_MAX);
	verdict->rule = (enum rule)unpack_number(unpack, RULE_COUNT - 1);
	verdict->severity = (enum severity)unpack_number(unpack, SEVERITY_CORRUPTION);
	verdict->model = (enum crash_model)unpack_number(unpack, CRASH_REORDER);
	verdict->operation = unpack_number(unpack, UINT64_MAX);
	verdict->sector = (uint32_t)unpack_number(unpack, UINT32_MAX);
	verdict->event = (size_t)unpack_number(unpack, SIZE_MAX);
	verdict->request = (uint32_t)unpack_number(unpack, UINT32_MAX);
	verdict->strict_only = unpack_number(unpack, 1) != 0;
	verdict->guest_offset = unpack_number(unpack, UINT64_MAX);
	verdict->guest_place = unpack_number(unpack, UINT64_MAX);
	verdict->host_offset = unpack_number(unpack, UINT64_MAX);
	unpack_short_text(unpack, verdict->message, sizeof(verdict->message));
	if (!unpack->failed)
		add_violation(ledger, &violation);
	free(violation.schedule);
}

void ledger_pack(const struct ledger *ledger, struct pack *pack)
{
	struct ledger copy = *ledger;
	uint64_t *counters[COUNTERS];
	list_counters(&copy, counters);
	for (size_t i = 0; i < COUNTERS; i++)
		pack_number(pack, *counters[i]);
	pack_real(pack, ledger->seconds);
	pack_real(pack, ledger->decided.log2_more);
	pack_set(pack, &ledger->sets.classes);
	pack_set(pack, &ledger->sets.ends);
	pack_set(pack, &ledger->sets.states);
	dirty_states_pack(&ledger->sets.dirty, pack);
	pack_number(pack, ledger->violation_count);
	for (size_t i = 0; i < ledger->violation_count; i++)
		pack_violation(pack, &ledger->violations[i]);
	pack_number(pack, ledger->job_count);
	for (size_t i = 0; i < ledger->job_count; i++) {
		pack_text(pack, ledger->jobs[i].text);
		pack_real(pack, ledger->jobs[i].weight);
		pack_number(pack, ledger->jobs[i].attempts);
	}
	pack_text(pack, ledger->complaint);
	for (int rule = 0; rule < RULE_COUNT; rule++)
		pack_text(pack, ledger->skipped[rule]);
}

bool ledger_unpack(struct ledger *ledger, struct unpack *unpack)
{
	struct explore_sets sets = { 0 };
	uint64_t *counters[COUNTERS];
	list_counters(ledger, counters);
	for (size_t i = 0; i < COUNTERS; i++)
		*counters[i] = unpack_number(unpack, UINT64_MAX);
	ledger->seconds = unpack_real(unpack);
	ledger->decided.log2_more = unpack_real(unpack);
	unpack_set(unpack, &sets.classes);
	unpack_set(unpack, &sets.ends);
	unpack_set(unpack, &sets.states);
	dirty_states_unpack(&sets.dirty, unpack);
	add_sets(ledger, &sets);
	explore_sets_release(&sets);
	uint64_t violations = unpack_number(unpack, VIOLATIONS_MAX);
	for (uint64_t i = 0; i < violations && !unpack->failed; i++)
		unpack_violation(unpack, ledger);
	uint64_t jobs = unpack_number(unpack, JOBS_MAX);
	for (uint64_t i = 0; i < jobs && !unpack->failed; i++) {
		char *text = unpack_text(unpack);
		double weight = unpack_real(unpack);
		ledger_open(ledger, text, weight, (uint32_t)unpack_number(unpack, ATTEMPTS_MAX));
		free(text);
	}
	unpack_short_text(unpack, ledger->complaint, sizeof(ledger->complaint));
	for (int rule = 0; rule < RULE_COUNT; rule++)
		unpack_short_text(unpack, ledger->skipped[rule], LEDGER_LINE_BYTES);
	if (!unpack->failed && ledger->interleavings >= ledger->sets.classes.count)
		return true;
	ledger_release(ledger);
	return false;
}

/* ---- the result ---- */

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* The worst first, then by rule and place: an order that does not tell who found them when. */
static int compare_violations(const void *a, const void *b)
{
	const struct verdict *x = &((const struct violation *)a)->verdict;
	const struct verdict *y = &((const struct violation *)b)->verdict;
	int order = compare_numbers(y->severity, x->severity);
	order = order ? order : compare_numbers(x->rule, y->rule);
	order = order ? order : compare_numbers(x->guest_offset, y->guest_offset);
	order = order ? order : compare_numbers(x->host_offset, y->host_offset);
	return order ? order : compare_numbers(x->strict_only, y->strict_only);
}

void ledger_result(const struct ledger *ledger, const char *why_incomplete,
		   struct explore_result *result)
{
	*result = (struct explore_result){
		.interleavings = ledger->interleavings,
		.pruned = ledger->blocked + ledger->trials,
		.classes = ledger->sets.classes.count,
		.class_checksum = ledger->class_checksum,
		.duplicates = ledger_duplicates(ledger),
		.states = ledger->states,
		.judged = ledger->judged,
		.decided = ledger->decided,
		.distinct = ledger->sets.states.count,
		.distinct_checksum = ledger->sets.states.checksum,
		.ends = ledger->sets.ends.count,
		.end_checksum = ledger->end_checksum,
		.complete = ledger_is_complete(ledger),
		.done = ledger_done(ledger, 0),
		.elapsed_seconds = ledger->seconds,
	};
	if (!result->complete)
		result->why_incomplete = ledger->complaint[0] ? "the search went wrong"
					 : ledger->lost       ? "a worker died twice of one job"
							      : why_incomplete;
	if (ledger->complaint[0])
		result->complaint = memory_text(ledger->complaint, strlen(ledger->complaint));
	for (int rule = 0; rule < RULE_COUNT; rule++)
		result->skipped[rule] = ledger->skipped[rule][0] ? ledger->skipped[rule] : NULL;
	result->violations = calloc(ledger->violation_count + 1, sizeof(*result->violations));
	if (!result->violations)
		abort();
	for (size_t i = 0; i < ledger->violation_count; i++) {
		struct violation *copy = &result->violations[result->violation_count++];
		*copy = ledger->violations[i];
		copy->schedule = memory_text(copy->schedule, strlen(copy->schedule));
	}
	qsort(result->violations, result->violation_count, sizeof(*result->violations),
	      compare_violations);
}
