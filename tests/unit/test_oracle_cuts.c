// SPDX-License-Identifier: MIT
/* Crash states of classes against crash states of runs.
 *
 * A tiny program is a few chains of steps with fixed events. Two steps conflict when they touch the
 * same sectors, or when one invokes and the other completes requests that overlap. All
 * interleavings are run, each judged by judge_run(): that is the reference. The first run of each
 * class is judged by judge_cuts(), with the beginning that it shares with the one before. Both must
 * see the same states and the same verdicts, and judge_cuts() must judge each state once. */
#include "oracle/bytes.h"
#include "oracle/distinct.h"
#include "oracle/judge.h"
#include "tests/run_suite.h"
#include "tests/unit/oracle_world.h"

#include <check.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_MAX = 10, CHAINS_MAX = 4, VERDICTS_MAX = 4096, INTERLEAVINGS_MAX = 1300 };
enum { GUESTS = 6, HOSTS = 14, WORLDS = 60, REORDERED_WORLDS = 80 };
#define CLUSTER UINT64_C(512)

static bool reordering; /* chains have I/Os under way, and flush the file */
static uint64_t seed;
static uint64_t world_seed; /* as printed; COWTIP_TEST_SEED repeats that world alone */

static uint32_t below(uint32_t bound)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 11) % bound);
}

/** A step of the program: events of world.log. */
struct part {
	uint32_t chain;
	size_t first, count;
};

/** What a verdict is about, and the weakest model that showed it. */
struct place {
	enum rule rule;
	bool at_end;
	uint64_t where;
	enum crash_model model;
};

struct places {
	struct place list[VERDICTS_MAX];
	size_t count;
};

struct program {
	struct world world; /* the events, in the order in which they were made up */
	struct part parts[STEPS_MAX];
	size_t part_count;
	uint32_t chain_count;
	/* The run at hand. */
	size_t order[STEPS_MAX];
	struct event_log log;
	struct world_class class;
	size_t kept_events;
	size_t last[STEPS_MAX]; /* order of the last run that was judged by its class */
	/* What was found. */
	struct judge *by_run;
	struct judge *by_class;
	struct distinct classes;
	struct distinct cuts;    /* that are crash states */
	struct distinct insides; /* cut and the step on top of it */
	uint64_t inside_states;
	uint64_t judged;
	uint64_t interleavings;
	struct places run_places;
	struct places class_places;
};

static uint64_t place_of(const struct verdict *verdict)
{
	if (verdict->rule == RULE_LEAK_BOUNDED)
		return 0;
	if (verdict->request != 0)
		return UINT64_C(1) << 62 | verdict->request;
	if (verdict->guest_offset != NOWHERE)
		return UINT64_C(1) << 61 | verdict->guest_offset / CLUSTER;
	return verdict->host_offset / 8;
}

/** Bytes that are wrong are called by one of two names, which depends on what had been asked for
 * when they were looked at: a mixture with zeros that somebody asked for, or plain stale. */
static enum rule rule_of(const struct verdict *verdict)
{
	if (verdict->rule == RULE_OLD_OR_NEW && verdict->guest_offset != NOWHERE)
		return RULE_COW_COMPLETE;
	return verdict->rule;
}

static void note(struct places *places, const struct judge_report *report)
{
	for (size_t i = 0; i < report->verdict_count; i++) {
		const struct verdict *verdict = &report->verdicts[i];
		struct place place = { rule_of(verdict), verdict->model == CRASH_NONE,
				       place_of(verdict), verdict->model };
		size_t at = 0;

		while (at < places->count && (places->list[at].rule != place.rule ||
					      places->list[at].at_end != place.at_end ||
					      places->list[at].where != place.where))
			at++;
		ck_assert_uint_lt(at, VERDICTS_MAX);
		if (at == places->count)
			places->list[places->count++] = place;
		else if (place.model < places->list[at].model)
			places->list[at].model = place.model;
	}
}

/** Is all of `a` in `b`? */
static void check_places(const struct places *a, const struct places *b, const char *what)
{
	for (size_t i = 0; i < a->count; i++) {
		const struct place *place = &a->list[i];
		size_t at = 0;

		while (at < b->count &&
		       (b->list[at].rule != place->rule || b->list[at].at_end != place->at_end ||
			b->list[at].where != place->where || b->list[at].model != place->model))
			at++;
		ck_assert_msg(at < b->count, "seed 0x%llx, %s: %s %s at 0x%llx",
			      (unsigned long long)world_seed, what, rule_name(place->rule),
			      crash_model_name(place->model), (unsigned long long)place->where);
	}
}

/* Making programs up. */

static uint64_t random_mapping(void)
{
	uint64_t entry = (AT_DATA + below(HOSTS - AT_DATA)) * CLUSTER | COPIED;

	return below(4) == 0 ? 0 : entry;
}

static void random_table(struct world *world)
{
	uint8_t header[512];

	switch (below(10)) {
	case 0:
	case 1:
	case 2:
	case 3: world_l2(world, below(GUESTS), random_mapping()); return;
	case 4:
	case 5:
	case 6: world_refcount(world, AT_DATA + below(HOSTS - AT_DATA), (uint16_t)below(3)); return;
	case 7:
		world_entry(world, AT_L1 * CLUSTER, below(3) == 0 ? 0 : AT_L2 * CLUSTER | COPIED);
		return;
	default:
		content_read(world->now, header, 512, 0);
		header[79] = (uint8_t)below(2);
		header[30] = (uint8_t)(2 * (1 + below(GUESTS + 2)));
		world_write(world, 0, header, 512);
		return;
	}
}

static void random_operation(struct world *world, uint32_t who)
{
	uint32_t host = AT_DATA + below(HOSTS - AT_DATA);
	uint8_t wide[4 * 512];

	switch (below(12)) {
	case 0:
	case 1:
	case 2:
	case 3: random_table(world); return;
	case 4:
		content_read(world->now, wide, sizeof(wide), 512);
		for (size_t at = 0; at < sizeof(wide); at += 8) {
			uint64_t entry = htobe64(random_mapping());

			if (at / 512 == 3 && at % 512 < UINT64_C(8) * GUESTS && below(3) == 0)
				memcpy(wide + at, &entry, 8);
		}
		wide[513 + UINT64_C(2) * host] = (uint8_t)below(3);
		world_write(world, 512, wide, sizeof(wide));
		return;
	case 5: world_effect(world, IO_ZERO, host * CLUSTER, 1 + below(900)); return;
	case 6: world_effect(world, IO_PUNCH, host * CLUSTER, 1 + below(900)); return;
	case 7:
		if (below(3) == 0)
			world_effect(world, IO_RESIZE, (AT_DATA + below(10)) * CLUSTER, 0);
		else
			world_effect(world, IO_ALLOCATE, host * CLUSTER, 900);
		return;
	default: {
		uint32_t guest = below(GUESTS);
		unsigned sectors = 1 + below(3);

		/* Clusters have one sector; the builder counts sectors of the first one. */
		world_data(world, below(4) == 0 ? 0 : who, guest, host, 0, sectors);
		return;
	}
	}
}

static uint32_t random_invocation(struct world *world)
{
	static const enum request_op ops[] = { REQUEST_WRITE,   REQUEST_WRITE,
					       REQUEST_WRITE,   REQUEST_FLUSH,
					       REQUEST_FLUSH,   REQUEST_READ,
					       REQUEST_DISCARD, REQUEST_WRITE_ZEROES,
					       REQUEST_TRUNCATE };
	enum request_op op = ops[below(sizeof(ops) / sizeof(*ops))];
	uint64_t from = below(GUESTS) * CLUSTER;
	uint64_t length = (1 + below(2)) * CLUSTER;

	if (op == REQUEST_FLUSH)
		return world_invoke(world, op, 0, 0);
	if (op == REQUEST_WRITE && below(4) == 0)
		return world_invoke(world, op, from + 100, length);
	if (op == REQUEST_TRUNCATE)
		return world_invoke(world, op, (1 + below(GUESTS + 2)) * CLUSTER, 0);
	return world_invoke(world, op, from, length);
}

static void complete(struct world *world, uint32_t id)
{
	static const uint32_t whose[] = { 0, STAMP_OLD, STAMP_BACKING, 1, 2, 3 };

	if (world->invoked[id].op == REQUEST_READ)
		world_answer(world, id, whose[below(6)]);
	else
		world_ack(world, id, below(6) == 0 ? -5 : 0);
}

/** An I/O that a chain has under way. */
struct pending {
	uint32_t id; /* 0: none */
	enum io_op op;
};

static uint32_t ios;

static void append_io(struct world *world, enum event_kind kind, const struct pending *io)
{
	const struct event event = {
		.kind = (uint8_t)kind,
		.op = (uint8_t)io->op,
		.id = io->id,
		.result = kind == EVENT_IO_COMPLETED && io->op == IO_FLUSH && below(5) == 0 ? -5 : 0
	};

	event_log_append(&world->log, &event, NULL, 0);
}

/** An I/O of a chain begins, or the one under way completes. */
static void random_io(struct world *world, struct pending *io, uint32_t who)
{
	if (io->id != 0) {
		append_io(world, EVENT_IO_COMPLETED, io);
		io->id = 0;
		return;
	}
	*io = (struct pending){ ++ios, below(2) == 0 ? IO_FLUSH : IO_WRITE };
	if (io->op == IO_FLUSH) {
		append_io(world, EVENT_IO_SUBMITTED, io);
		return;
	}
	random_operation(world, who);
	world->log.events[world->log.count - 1].id = io->id;
}

/** One event of a chain that has the request `*open` under way (0: none). `*who` is whose data it
 * knows. */
static void random_event(struct world *world, uint32_t *open, uint32_t *who, struct pending *io)
{
	uint32_t kind = below(8);

	if (reordering && below(2) == 0) {
		random_io(world, io, *who);
	} else if (*open == 0 && kind < 4) {
		*open = random_invocation(world);
		if (world->invoked[*open].op == REQUEST_WRITE)
			*who = *open;
	} else if (*open != 0 && kind < 3) {
		complete(world, *open);
		*open = 0;
	} else if (kind == 7) {
		struct event nothing = { .kind = EVENT_SWITCH, .actor = 1 };

		event_log_append(&world->log, &nothing, NULL, 0);
	} else {
		random_operation(world, *who);
	}
}

static uint64_t count_interleavings(const uint32_t *lengths, uint32_t chains)
{
	uint64_t count = 1;
	uint64_t placed = 0;

	for (uint32_t c = 0; c < chains; c++)
		for (uint64_t i = 1; i <= lengths[c]; i++)
			count = count * ++placed / i;
	return count;
}

static void program_init(struct program *program)
{
	uint32_t lengths[CHAINS_MAX];
	uint32_t open[CHAINS_MAX] = { 0 };
	uint32_t who[CHAINS_MAX] = { 0 };
	struct pending io[CHAINS_MAX] = { { 0 } };
	size_t total;

	memset(program, 0, sizeof(*program));
	do {
		program->chain_count = 2 + below(CHAINS_MAX - 1);
		total = 0;
		for (uint32_t c = 0; c < program->chain_count; c++)
			total += lengths[c] = 1 + below(5);
	} while (total > STEPS_MAX || total < 4 ||
		 count_interleavings(lengths, program->chain_count) > INTERLEAVINGS_MAX);
	world_init(&program->world, &(struct world_options){ .cluster_bits = 9,
							     .guest_clusters = GUESTS,
							     .backing = below(2) == 0 });
	for (uint32_t g = 0; g < GUESTS; g += 2)
		world_map(&program->world, g, AT_DATA + g);
	world_flush(&program->world); /* before all steps: without requests little is judged */
	while (program->part_count < total) {
		uint32_t c = below(program->chain_count);
		struct part part = { c, program->world.log.count, 0 };

		if (lengths[c] == 0)
			continue;
		lengths[c]--;
		for (uint32_t i = below(4) == 0 ? 2 : 1; i > 0; i--)
			random_event(&program->world, &open[c], &who[c], &io[c]);
		part.count = program->world.log.count - part.first;
		program->parts[program->part_count++] = part;
	}
}

static void program_release(struct program *program)
{
	judge_free(program->by_run);
	judge_free(program->by_class);
	event_log_release(&program->log);
	distinct_release(&program->classes);
	distinct_release(&program->cuts);
	distinct_release(&program->insides);
	world_release(&program->world);
}

/* Running programs. */

static bool event_matters(const struct event *event)
{
	if (reordering && (event->kind == EVENT_IO_SUBMITTED || event->kind == EVENT_IO_COMPLETED))
		return true;
	return event->kind == EVENT_REQUEST_INVOKED || event->kind == EVENT_REQUEST_COMPLETED ||
	       judge_is_operation(event);
}

static bool part_matters(const struct program *program, size_t part)
{
	for (size_t i = 0; i < program->parts[part].count; i++)
		if (event_matters(&program->world.log.events[program->parts[part].first + i]))
			return true;
	return false;
}

/** Crash states inside a step; does its last event make one? */
static uint64_t states_inside(const struct program *program, size_t part, bool *ends_in_state)
{
	uint64_t count = 0;
	bool pending = false;

	for (size_t i = 0; i < program->parts[part].count; i++) {
		const struct event *event =
			&program->world.log.events[program->parts[part].first + i];

		if (!event_matters(event))
			continue;
		count += pending;
		if (event->kind == EVENT_IO_EFFECT && event->op == IO_WRITE)
			count += (event->host_offset + event->length - 1) / 512 -
				 event->host_offset / 512;
		pending = event->kind == EVENT_IO_EFFECT ||
			  (event->kind == EVENT_REQUEST_COMPLETED && event->op == REQUEST_FLUSH &&
			   event->result >= 0);
	}
	*ends_in_state = pending;
	return count;
}

static void append_part(struct event_log *log, const struct program *program,
			const struct part *part)
{
	for (size_t i = 0; i < part->count; i++) {
		const struct event *event = &program->world.log.events[part->first + i];

		event_log_append(log, event, event_data(&program->world.log, event),
				 event->data_bytes);
	}
}

/** What precedes the first step. */
static const struct part preamble = { .count = 2 };

/** Write the log and the class of program->order. */
static void run(struct program *program)
{
	struct event end = { .kind = EVENT_END, .op = RUN_FINISHED };

	event_log_reset(&program->log);
	append_part(&program->log, program, &preamble);
	world_class_init(&program->class, program->chain_count);
	for (size_t i = 0; i < program->part_count; i++) {
		const struct part *part = &program->parts[program->order[i]];

		append_part(&program->log, program, part);
		world_class_add(&program->class, &program->log, part->count, part->chain);
	}
	event_log_append(&program->log, &end, NULL, 0);
}

/** Count what the run at hand passes through. */
static void count_states(struct program *program)
{
	uint64_t hash = 0;

	for (size_t i = 0; i < program->part_count; i++) {
		uint64_t weight = mix(program->class.steps[i].hash, 1);
		size_t before = program->insides.count;
		bool ends_in_state;
		uint64_t inside = states_inside(program, program->order[i], &ends_in_state);

		if (!part_matters(program, program->order[i]))
			continue;
		distinct_add(&program->insides, mix(hash, weight));
		if (program->insides.count > before)
			program->inside_states += inside;
		hash += weight;
		if (ends_in_state)
			distinct_add(&program->cuts, hash);
	}
}

/** A verdict's cut, run alone, must show it. */
static void check_cut(struct program *program, const struct verdict *verdict,
		      const struct judge_cut *cut)
{
	struct judge_report report;
	struct judge *judge;
	struct event_log log;
	struct places seen = { .count = 0 };
	struct event end = { .kind = EVENT_END, .op = RUN_FINISHED };
	uint64_t where = place_of(verdict);
	uint64_t operations = 0;
	bool found = false;

	event_log_init(&log);
	append_part(&log, program, &preamble);
	for (size_t i = 0; i < cut->step_count; i++)
		append_part(&log, program, &program->parts[program->order[cut->steps[i]]]);
	for (size_t i = 0; i < log.count; i++)
		operations += judge_is_operation(&log.events[i]);
	if (verdict->model == CRASH_NONE && cut->step_count == program->part_count)
		event_log_append(&log, &end, NULL, 0);
	ck_assert_uint_le(verdict->operation + (verdict->model == CRASH_TORN), operations);
	ck_assert_int_eq(judge_new(&judge, program->world.files, program->world.file_count,
				   &program->world.judge_options, NULL),
			 STATUS_OK);
	judge_run(judge, &log, 0, &report);
	note(&seen, &report);
	for (size_t i = 0; i < seen.count; i++)
		found |= seen.list[i].rule == rule_of(verdict) && seen.list[i].where == where &&
			 seen.list[i].model <= verdict->model;
	ck_assert_msg(found, "seed 0x%llx: the cut of '%s' does not show it",
		      (unsigned long long)world_seed, verdict->message);
	judge_free(judge);
	event_log_release(&log);
}

static void judge_class_of_run(struct program *program)
{
	struct judge_class class = program->class.class;
	struct judge_report report;

	if (program->classes.count > 1)
		while (class.kept_steps < program->part_count &&
		       program->order[class.kept_steps] == program->last[class.kept_steps])
			class.kept_steps++;
	memcpy(program->last, program->order, sizeof(program->last));
	judge_cuts(program->by_class, &program->log, &class, &report);
	program->judged += report.counts.judged;
	ck_assert_uint_ge(report.counts.states, report.counts.judged);
	note(&program->class_places, &report);
	for (size_t i = 0; i < report.verdict_count && i < 4; i++)
		check_cut(program, &report.verdicts[i], &report.cuts[i]);
}

static void judge_interleaving(struct program *program)
{
	struct judge_report report;
	uint64_t class = 0;
	size_t before = program->classes.count;

	program->interleavings++;
	run(program);
	count_states(program);
	judge_run(program->by_run, &program->log, program->kept_events, &report);
	note(&program->run_places, &report);
	program->kept_events = SIZE_MAX;
	for (size_t i = 0; i < program->part_count; i++)
		class += mix(program->class.steps[i].hash, 3);
	distinct_add(&program->classes, class);
	if (program->classes.count > before)
		judge_class_of_run(program);
}

/** Judge every interleaving that begins with the first `depth` steps of program->order. */
static void interleave(struct program *program, size_t depth, uint32_t taken)
{
	uint32_t tried = 0;
	size_t events = preamble.count;

	if (depth == program->part_count) {
		judge_interleaving(program);
		return;
	}
	for (size_t i = 0; i < depth; i++)
		events += program->parts[program->order[i]].count;
	for (size_t i = 0; i < program->part_count; i++) {
		uint32_t chain = UINT32_C(1) << program->parts[i].chain;

		if ((taken >> i & 1) != 0 || (tried & chain) != 0)
			continue;
		tried |= chain;
		program->order[depth] = i;
		if (events < program->kept_events)
			program->kept_events = events;
		interleave(program, depth + 1, taken | UINT32_C(1) << i);
	}
}

static int compare_numbers(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a;
	uint64_t right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

/** Gives the fingerprints in ascending order, for free(). */
static uint64_t *fingerprints(const struct judge *judge, size_t *count)
{
	const uint64_t *slots;
	size_t slot_count = judge_fingerprints(judge, &slots);
	uint64_t *list = calloc(slot_count, sizeof(*list));

	*count = 0;
	for (size_t i = 0; i < slot_count; i++)
		if (slots[i] != 0)
			list[(*count)++] = slots[i];
	qsort(list, *count, sizeof(*list), compare_numbers);
	return list;
}

static void check_fingerprints(const struct program *program)
{
	size_t run_count;
	size_t class_count;
	uint64_t *of_runs = fingerprints(program->by_run, &run_count);
	uint64_t *of_classes = fingerprints(program->by_class, &class_count);
	size_t missing = 0;

	for (size_t i = 0; i < run_count; i++)
		missing += bsearch(&of_runs[i], of_classes, class_count, sizeof(*of_classes),
				   compare_numbers) == NULL;
	ck_assert_msg(missing == 0 && class_count == run_count,
		      "seed 0x%llx: %zu of %zu states missing, %zu are too many",
		      (unsigned long long)world_seed, missing, run_count,
		      class_count - (run_count - missing));
	free(of_runs);
	free(of_classes);
}

static struct program program; /* too large for a stack */

static struct {
	uint64_t interleavings;
	uint64_t classes;
	uint64_t verdicts;
	uint64_t reordered;
} totals;

static void compare(uint64_t chosen)
{
	seed = world_seed = chosen;
	program_init(&program);
	program.world.judge_options.verdicts_max = 100;
	program.world.judge_options.models |= reordering ? CRASH_REORDER : 0;
	ck_assert_int_eq(judge_new(&program.by_run, program.world.files, program.world.file_count,
				   &program.world.judge_options, NULL),
			 STATUS_OK);
	ck_assert_int_eq(judge_new(&program.by_class, program.world.files, program.world.file_count,
				   &program.world.judge_options, NULL),
			 STATUS_OK);
	interleave(&program, 0, 0);
	check_fingerprints(&program);
	check_places(&program.run_places, &program.class_places, "missing");
	check_places(&program.class_places, &program.run_places, "too many");
	ck_assert_uint_eq(program.judged, 2 + program.cuts.count + program.inside_states);
	totals.interleavings += program.interleavings;
	totals.classes += program.classes.count;
	totals.verdicts += program.class_places.count;
	for (size_t i = 0; i < program.class_places.count; i++)
		totals.reordered += program.class_places.list[i].model == CRASH_REORDER;
	program_release(&program);
}

START_TEST(classes_show_what_all_their_runs_show_reordered)
{
	reordering = true;
	for (uint64_t i = 0; i < REORDERED_WORLDS; i++)
		compare(mix((uint64_t)_i * REORDERED_WORLDS + i, 0xc1));
	ck_assert_uint_gt(totals.interleavings, 2 * totals.classes);
	ck_assert_uint_gt(totals.verdicts, WORLDS);
	/* Most programs are so wrong that a weaker model shows it. */
	ck_assert_uint_gt(totals.reordered, 1);
}
END_TEST

START_TEST(classes_show_what_all_their_runs_show)
{
	const char *wanted = getenv("COWTIP_TEST_SEED");

	if (wanted != NULL)
		compare(strtoull(wanted, NULL, 0));
	for (uint64_t i = 0; wanted == NULL && i < WORLDS; i++)
		compare(mix((uint64_t)_i * WORLDS + i, 0xc0));
	/* The worlds are not all trivial: classes have several runs, worlds several classes. */
	if (wanted == NULL) {
		ck_assert_uint_gt(totals.interleavings, 2 * totals.classes);
		ck_assert_uint_gt(totals.classes, (uint64_t)2 * WORLDS);
		ck_assert_uint_gt(totals.verdicts, WORLDS);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("oracle_cuts");
	TCase *random = tcase_create("random");

	tcase_set_timeout(random, 100);
	tcase_add_loop_test(random, classes_show_what_all_their_runs_show, 0, 4);
	tcase_add_loop_test(random, classes_show_what_all_their_runs_show_reordered, 0, 4);
	suite_add_tcase(suite, random);
	return run_suite(suite);
}
