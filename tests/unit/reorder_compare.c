// SPDX-License-Identifier: MIT
#include "tests/unit/reorder_compare.h"

#include "tests/unit/reorder_lister.h"

#include <check.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATES_WANTED = 1 << 10 /* from here on a flush is kept */ };

uint64_t reorder_random(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random >> 11;
}

static bool completes_flush(const struct event *event)
{
	return event->kind == EVENT_IO_COMPLETED && event->op == IO_FLUSH && event->file == 0 &&
	       event->result >= 0;
}

/** Is there so much to be lost that a flush had better complete? */
static bool is_wide(struct lister *lister, size_t volatile_max)
{
	return lister_volatile(lister) + 1 >= volatile_max ||
	       lister_states(lister, STATES_WANTED) == SIZE_MAX;
}

size_t reorder_take_flushes(struct listed_run *run, const struct event_log *from, uint64_t *random,
			    uint64_t share)
{
	struct lister *lister = malloc(sizeof(*lister));
	size_t taken = 0;

	ck_assert_ptr_nonnull(lister);
	event_log_init(&run->log);
	lister_init(lister, run->files[0].initial, &run->log, run->options.sector_bytes);
	for (size_t i = 0; i < from->count; i++) {
		const struct event *event = &from->events[i];

		if (event->kind == EVENT_REQUEST_COMPLETED && event->op == REQUEST_SNAPSHOT)
			break;
		if (completes_flush(event) && reorder_random(random) % 4 < share &&
		    !is_wide(lister, run->volatile_max)) {
			taken++;
			continue;
		}
		event_log_append(&run->log, event, event_data(from, event), event->data_bytes);
		lister_step(lister, run->log.count - 1);
	}
	lister_release(lister);
	free(lister);
	return taken;
}

/** The message without its numbers, and without the state that it was seen in. */
static void kind_of(char kind[64], const struct verdict *verdict)
{
	const char *end = strstr(verdict->message, " (persisted:");
	size_t used = 0;

	for (const char *at = verdict->message; *at != '\0' && at != end && used < 63; at++) {
		if (strncmp(at, "0x", 2) == 0)
			at += 1 + strspn(at + 2, "0123456789abcdef");
		else if (isalpha((unsigned char)*at))
			kind[used++] = *at;
	}
	kind[used] = '\0';
}

static void add_key(struct keys *keys, const struct verdict *verdict, uint64_t cluster_bytes,
		    size_t moment)
{
	struct key key;
	size_t i = 0;

	memset(&key, 0, sizeof(key)); /* padding is compared, too */
	key.rule = verdict->rule;
	if (verdict->model == CRASH_NONE || verdict->rule > RULE_LEAK_BOUNDED)
		return;
	/* Which of the two is said depends on what was asked for since. */
	if (key.rule == RULE_OLD_OR_NEW)
		key.rule = RULE_COW_COMPLETE;
	/* Leaks are one finding a run. */
	key.place = key.rule == RULE_LEAK_BOUNDED ? 0 : verdict->host_offset / cluster_bytes;
	if (verdict->guest_offset != NOWHERE)
		key.place = verdict->guest_offset / cluster_bytes;
	if (key.rule == RULE_NO_ALIAS && strstr(verdict->message, "beyond") != NULL)
		memcpy(key.kind, "beyond", 7);
	if (key.rule == RULE_NO_ALIAS && strstr(verdict->message, "reserved") != NULL) {
		memcpy(key.kind, "malformed", 10);
		key.place = verdict->host_offset;
	}
	if (key.rule == RULE_OPENS)
		kind_of(key.kind, verdict);
	while (i < keys->count && memcmp(&keys->list[i], &key, sizeof(key)) != 0)
		i++;
	ck_assert_uint_lt(i, KEYS_MAX);
	if (i == keys->count) {
		keys->list[keys->count++] = key;
		keys->moments[i] = moment;
		keys->reordered[i] = true;
	}
	if (moment < keys->moments[i])
		keys->moments[i] = moment;
	keys->reordered[i] &= verdict->model == CRASH_REORDER;
}

/** Where it is in the list; the end of the list: nowhere. */
static size_t find_key(const struct keys *keys, const struct key *key)
{
	size_t i = 0;

	while (i < keys->count && memcmp(&keys->list[i], key, sizeof(*key)) != 0)
		i++;
	return i;
}

/** Does `b` have it, and at the same moment where both tell of the first one? */
static bool has_same(const struct keys *a, size_t index, const struct keys *b)
{
	size_t at = find_key(b, &a->list[index]);

	if (at == b->count)
		return false;
	return !(a->reordered[index] || b->reordered[at]) || a->moments[index] == b->moments[at];
}

/** Does the event change what a crash may leave, or what was promised then? */
static bool is_moment(const struct event *event)
{
	return judge_is_operation(event) ||
	       (event->kind == EVENT_REQUEST_COMPLETED && event->result >= 0 &&
		(event->op == REQUEST_FLUSH || event->op == REQUEST_CLOSE));
}

/** Judge every state after the first `events` events. False: too many. */
static bool list_moment(struct keys *keys, struct listed_run *run, struct lister *lister,
			struct judge *judge, size_t events)
{
	size_t window = lister_volatile(lister);
	size_t states =
		window > run->volatile_max ? SIZE_MAX : lister_states(lister, run->states_max);

	if (states == SIZE_MAX)
		return false;

	for (size_t i = 0; i < states; i++) {
		struct content *image = lister_state(lister, i);
		struct judge_report report;

		judge_image(judge, &run->log, events, image, &report);
		for (size_t v = 0; v < report.verdict_count; v++)
			add_key(keys, &report.verdicts[v], run->cluster_bytes, events);
		content_free(image);
	}
	run->states += states;
	run->moments++;
	if (window > run->window)
		run->window = window;
	return true;
}

void reorder_list(struct keys *keys, struct listed_run *run)
{
	struct judge_options options = run->options;
	struct lister *lister = malloc(sizeof(*lister));
	struct judge *judge;
	struct why why;

	ck_assert_ptr_nonnull(lister);
	options.models = CRASH_PREFIX;
	ck_assert_int_eq(judge_new(&judge, run->files, run->file_count, &options, &why), STATUS_OK);
	lister_init(lister, run->files[0].initial, &run->log,
		    options.sector_bytes == 0 ? 512 : options.sector_bytes);
	for (size_t i = 0; i < run->log.count; i++) {
		lister_step(lister, i);
		if (is_moment(&run->log.events[i]) && !list_moment(keys, run, lister, judge, i + 1))
			run->log.count = i;
	}
	lister_release(lister);
	free(lister);
	judge_free(judge);
}

size_t reorder_decide(struct keys *keys, struct listed_run *run, unsigned models)
{
	struct judge_options options = run->options;
	struct judge_report report;
	struct judge *judge;
	struct why why;
	size_t shown = 0;

	options.models = models;
	ck_assert_int_eq(judge_new(&judge, run->files, run->file_count, &options, &why), STATUS_OK);
	judge_run(judge, &run->log, 0, &report);
	for (size_t i = 0; i < report.verdict_count; i++) {
		const struct verdict *verdict = &report.verdicts[i];

		add_key(keys, verdict, run->cluster_bytes, verdict->event + 1);
		shown += verdict->model == CRASH_REORDER;
	}
	ck_assert_ptr_null(report.skipped[RULE_NO_ALIAS]);
	run->leaks_skipped |= report.skipped[RULE_LEAK_BOUNDED] != NULL;
	ck_assert(run->may_skip_leaks || !run->leaks_skipped);
	judge_free(judge);
	return shown;
}

static void explain(const struct listed_run *run, const struct keys *keys, const char *who)
{
	for (size_t i = 0; i < keys->count; i++)
		fprintf(stderr, "%s: %s %llx %s, %zu events\n", who, rule_name(keys->list[i].rule),
			(unsigned long long)keys->list[i].place, keys->list[i].kind,
			keys->moments[i]);
	for (size_t i = 0; i < run->log.count; i++) {
		char line[200];

		event_format(line, sizeof(line), &run->log, &run->log.events[i]);
		fprintf(stderr, "%zu %s id %u\n", i, line, run->log.events[i].id);
	}
}

void reorder_compare(const struct listed_run *run, const struct keys *decided,
		     const struct keys *listed, bool exact, const char *name)
{
	for (int side = exact ? 0 : 1; side < 2; side++) {
		const struct keys *a = side == 0 ? listed : decided;
		const struct keys *b = side == 0 ? decided : listed;

		for (size_t i = 0; i < a->count; i++) {
			if (exact ? has_same(a, i, b) : find_key(b, &a->list[i]) < b->count)
				continue;
			/* What was not decided may be so, and what was is true. */
			if (run->leaks_skipped && a->list[i].rule == RULE_LEAK_BOUNDED &&
			    (side == 0 || find_key(b, &a->list[i]) < b->count))
				continue;
			explain(run, decided, "decided");
			explain(run, listed, "listed");
			ck_abort_msg("%s: %s at %llx (%s) was only %s, or at another moment", name,
				     rule_name(a->list[i].rule),
				     (unsigned long long)a->list[i].place, a->list[i].kind,
				     side == 0 ? "listed" : "decided");
		}
	}
}
