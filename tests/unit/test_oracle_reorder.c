// SPDX-License-Identifier: MIT
/* Deciding equals listing: random runs with few operations between flushes, most of which damage
 * the image; at every moment at which the judge decides what a crash may leave under `reorder`, all
 * these states are made, one by one, and each is judged by itself. The same rules must be broken in
 * the same places. */
#include "oracle/judge.h"
#include "oracle/persist.h"
#include "tests/run_suite.h"
#include "tests/unit/oracle_world.h"
#include "tests/unit/reorder_lister.h"

#include <check.h>
#include <ctype.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where tidy runs put a second L2 table and a second refcount block. */
enum { AT_L2_TOO = 13, AT_BLOCK_TOO };
enum {
	CLUSTERS = 16,
	GUESTS = 6,
	RUNS = 25,
	LEAKY_RUNS = 50,
	EVENTS = 26,
	VOLATILE_MAX = 7,
	KEYS_MAX = 512
};

static uint64_t seed;

static uint32_t below(uint32_t bound)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 11) % bound);
}

/** What makes two verdicts the same: the rule, the place, and what kind of thing is wrong there. */
struct key {
	enum rule rule;
	uint64_t place;
	char kind[64];
};

struct keys {
	struct key list[KEYS_MAX];
	size_t moments[KEYS_MAX]; /* events before it, when listed */
	size_t count;
};

static void kind_of(char kind[64], const struct verdict *verdict)
{
	size_t used = 0;

	for (const char *at = verdict->message; *at != '\0' && used < 63; at++)
		if (isalpha((unsigned char)*at))
			kind[used++] = *at;
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
	key.place = verdict->host_offset / cluster_bytes;
	if (key.rule == RULE_LEAK_BOUNDED)
		key.place = 0;
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
	if (i < keys->count)
		return;
	keys->moments[i] = moment;
	keys->list[keys->count++] = key;
}

static bool has_key(const struct keys *keys, const struct key *key)
{
	for (size_t i = 0; i < keys->count; i++)
		if (memcmp(&keys->list[i], key, sizeof(*key)) == 0)
			return true;
	return false;
}

/* Random runs. */

enum kind { TIDY, WILD, LEAKY };

/** An entry for a guest cluster in a run whose tables stay tables. */
static uint64_t tidy_entry(const struct world *world)
{
	uint64_t entry = (AT_DATA + (uint64_t)below(5)) * world->cluster_bytes;

	if (below(2) == 0)
		entry |= COPIED;
	if (below(10) == 0)
		entry |= 1;
	if (below(10) == 0)
		entry += (uint64_t)(15 - AT_DATA) * world->cluster_bytes;
	return below(5) == 0 ? 0 : entry;
}

static void tidy_operation(struct world *world)
{
	uint64_t cluster = world->cluster_bytes;
	uint64_t at = AT_DATA + below(5);

	switch (below(16)) {
	case 0:
	case 1: world_l2(world, below(GUESTS), tidy_entry(world)); return;
	case 2:
		world_entry(world, AT_L2_TOO * cluster + 8 * (uint64_t)below(GUESTS),
			    tidy_entry(world));
		return;
	case 3:
	case 4:
	case 5: world_refcount(world, below(CLUSTERS), (uint16_t)below(3)); return;
	case 6:
		world_entry(world, AT_L1 * cluster,
			    (below(2) == 0 ? AT_L2 : AT_L2_TOO) * cluster |
				    (below(2) ? COPIED : 0));
		return;
	case 7:
		if (below(2) == 0)
			world_entry(world, AT_REFTABLE * cluster,
				    (below(2) == 0 ? AT_BLOCK : AT_BLOCK_TOO) * cluster);
		else
			world_entry(world, AT_BLOCK_TOO * cluster,
				    UINT64_C(0x0001000100010001) << below(2));
		return;
	case 8:
		world_effect(world, below(2) == 0 ? IO_PUNCH : IO_ZERO, at * cluster, cluster);
		return;
	case 9:
		if (below(2) == 0)
			world_effect(world, IO_RESIZE, (at + below(5)) * cluster, 0);
		else
			world_effect(world, IO_ALLOCATE, at * cluster, cluster);
		return;
	case 10:
		if (below(2) == 0) {
			uint8_t header[512];

			content_read(world->now, header, 512, 0);
			header[below(2) == 0 ? 79 : 31] ^= 1;
			world_write(world, 0, header, 512);
			return;
		}
		break;
	default: break;
	}
	world_data(world, below(4) == 0 ? STAMP_OLD : 1 + below(4), below(GUESTS), at, 0,
		   below(3) == 0 && cluster > 512 ? 2 : 1);
}

/* Runs in which many clusters may leak: tables stay tables, and a single sector of one may change
 * many counts. Two refcount blocks, and two L2 tables that name the same clusters now and then. */

/** The first data cluster that a refcount block, or an L2 table now and then, speaks of. */
static uint64_t leaky_base(uint32_t block)
{
	return block == 0 ? 20 : 270;
}

/** What one operation makes of some clusters, counted by one block and named by one table. */
struct leaky_range {
	uint32_t block, table;
	uint64_t first, count; /* slots */
	uint64_t shift;        /* from slots to clusters */
};

static void leaky_refcounts(struct world *world, const struct leaky_range *range, uint16_t value)
{
	uint64_t at = (range->block == 0 ? AT_BLOCK : AT_BLOCK_TOO) * world->cluster_bytes;
	uint64_t base = (leaky_base(range->block) + range->shift) % 256;
	uint16_t refcount = htobe16(value);
	uint8_t sector[512];

	content_read(world->now, sector, 512, at);
	for (uint64_t i = range->first; i < range->first + range->count; i++)
		memcpy(sector + 2 * (base + i), &refcount, 2);
	world_write(world, at, sector, 512);
}

static void leaky_entries(struct world *world, const struct leaky_range *range, bool maps)
{
	uint64_t at = (range->table == 0 ? AT_L2 : AT_L2_TOO) * world->cluster_bytes;
	uint64_t base = leaky_base(range->block) + range->shift;
	uint8_t sector[512];

	content_read(world->now, sector, 512, at);
	for (uint64_t i = range->first; i < range->first + range->count; i++) {
		uint64_t entry = htobe64(maps ? (base + i) * world->cluster_bytes : 0);

		memcpy(sector + 8 * i, &entry, 8);
	}
	world_write(world, at, sector, 512);
}

/** Allocate or free, as an engine does: counts go up first and come down last. */
static void leaky_allocation(struct world *world)
{
	uint32_t part = below(4);
	const struct leaky_range range = { .block = part % 2,
					   .table = part / 2,
					   .first = UINT64_C(10) * part,
					   .count = 7 + below(4) };
	uint64_t cluster = leaky_base(range.block) + range.first;
	uint64_t block = (range.block == 0 ? AT_BLOCK : AT_BLOCK_TOO) * world->cluster_bytes;
	uint64_t table = (range.table == 0 ? AT_L2 : AT_L2_TOO) * world->cluster_bytes;
	uint8_t refcount[2], entry[8];

	content_read(world->now, refcount, 2, block + 2 * (cluster % 256));
	content_read(world->now, entry, 8, table + 8 * range.first);
	if (refcount[1] == 0)
		leaky_refcounts(world, &range, 1);
	else if (entry[6] == 0 && entry[5] == 0)
		leaky_entries(world, &range, true);
	else if (below(2) == 0)
		leaky_entries(world, &range, false);
	else
		leaky_refcounts(world, &range, 0);
}

static void leaky_operation(struct world *world)
{
	uint64_t cluster = world->cluster_bytes;

	switch (below(20)) {
	case 0:
		world_entry(world, AT_L1 * cluster + 8,
			    below(2) == 0 ? 0 : AT_L2_TOO * cluster | COPIED);
		return;
	case 1:
		world_entry(world, AT_REFTABLE * cluster + 8,
			    below(2) == 0 ? 0 : AT_BLOCK_TOO * cluster);
		return;
	case 2: world_effect(world, IO_RESIZE, (AT_L2_TOO + below(8)) * cluster, 0); return;
	default: break;
	}
	if (below(3) > 0) {
		leaky_allocation(world);
		return;
	}
	const struct leaky_range range = { .block = below(2),
					   .table = below(2),
					   .first = below(30),
					   .count = 3 + below(8),
					   .shift = below(3) };

	if (below(2) == 0)
		leaky_refcounts(world, &range, (uint16_t)below(3));
	else
		leaky_entries(world, &range, below(2) == 0);
}

static void make_leaky(struct world *world)
{
	uint64_t cluster = world->cluster_bytes;

	world_poke(world, AT_L1 * cluster + 8, AT_L2_TOO * cluster | COPIED, 8);
	world_poke(world, AT_REFTABLE * cluster + 8, AT_BLOCK_TOO * cluster, 8);
	world_poke(world, AT_BLOCK * cluster + 2 * AT_L2_TOO, 1, 2);
	world_poke(world, AT_BLOCK * cluster + 2 * AT_BLOCK_TOO, 1, 2);
	world_poke(world, AT_BLOCK_TOO * cluster, 0, 2);
	world_poke(world, AT_L2_TOO * cluster, 0, 8);
}

static uint64_t random_entry(const struct world *world)
{
	uint64_t entry = (AT_L2 + (uint64_t)below(CLUSTERS - AT_L2)) * world->cluster_bytes;

	if (below(2) == 0)
		entry |= COPIED;
	if (below(10) == 0)
		entry |= 1;
	if (below(20) == 0)
		entry |= UINT64_C(1) << (56 + below(6));
	if (below(20) == 0)
		entry = below(2) == 0 ? AT_L1 * world->cluster_bytes : 0x40;
	if (below(20) == 0)
		entry += (uint64_t)below(8) * world->cluster_bytes;
	return below(5) == 0 ? 0 : entry;
}

static void random_header(struct world *world)
{
	uint8_t header[512];

	content_read(world->now, header, 512, 0);
	switch (below(5)) {
	case 0: header[79] ^= 1; break;
	case 1: header[47] ^= 0x02; break;
	case 2: header[31] ^= 0x10; break;
	case 3: header[43 - 4] ^= 0x02; break;
	default: content_read(world->files[0].initial, header, 512, 0); break;
	}
	world_write(world, 0, header, 512);
}

static void random_operation(struct world *world)
{
	uint64_t cluster = world->cluster_bytes;

	switch (below(14)) {
	case 0:
	case 1:
	case 2: world_l2(world, below(GUESTS), random_entry(world)); return;
	case 3:
	case 4:
	case 5: world_refcount(world, below(CLUSTERS), (uint16_t)below(3)); return;
	case 6: world_entry(world, AT_L1 * cluster, random_entry(world)); return;
	case 7:
		if (below(4) == 0)
			world_entry(world, AT_REFTABLE * cluster, random_entry(world));
		else
			world_entry(world,
				    (AT_L2 + (uint64_t)below(CLUSTERS - AT_L2)) * cluster +
					    8 * (uint64_t)below(GUESTS),
				    random_entry(world));
		return;
	case 8:
		if (below(2) == 0)
			world_effect(world, IO_PUNCH, (AT_L2 + below(CLUSTERS)) * cluster, cluster);
		else
			world_effect(world, IO_ZERO, (AT_L2 + below(CLUSTERS)) * cluster, cluster);
		return;
	case 9:
		if (below(2) == 0)
			world_effect(world, IO_RESIZE, (AT_L2 + below(CLUSTERS)) * cluster, 0);
		else
			world_effect(world, IO_ALLOCATE, (AT_L2 + below(CLUSTERS)) * cluster,
				     cluster);
		return;
	case 10:
		if (below(2) == 0) {
			random_header(world);
			return;
		}
		break;
	default: break;
	}
	world_data(world, below(4) == 0 ? STAMP_OLD : 1 + below(4), below(GUESTS),
		   AT_DATA + below(CLUSTERS - AT_DATA), 0, below(3) == 0 ? 2 : 1);
}

struct traffic {
	uint32_t requests[64];
	size_t request_count;
	uint32_t writes[64]; /* numbers of I/Os under way */
	size_t write_count;
	uint32_t flushes[64];
	size_t flush_count;
	uint32_t ios;
};

static void io_event(struct world *world, enum event_kind kind, enum io_op op, uint32_t id,
		     int32_t result)
{
	const struct event event = {
		.kind = (uint8_t)kind, .op = (uint8_t)op, .id = id, .result = result
	};

	event_log_append(&world->log, &event, NULL, 0);
}

static uint32_t take(uint32_t *list, size_t *count)
{
	size_t at = below((uint32_t)*count);
	uint32_t taken = list[at];

	list[at] = list[--*count];
	return taken;
}

static void random_request(struct world *world, struct traffic *traffic, enum kind kind)
{
	static const enum request_op ops[] = { REQUEST_WRITE,        REQUEST_WRITE,
					       REQUEST_WRITE_ZEROES, REQUEST_FLUSH,
					       REQUEST_DISCARD,      REQUEST_FLUSH,
					       REQUEST_TRUNCATE };
	enum request_op op = ops[below(7)];

	if (traffic->request_count > 0 && below(3) > 0) {
		world_ack(world, take(traffic->requests, &traffic->request_count),
			  below(8) == 0 ? -5 : 0);
		return;
	}
	/* Others may leak more than the tables can. */
	if (world->requests >= 4 || (kind == LEAKY && below(5) > 0))
		op = REQUEST_FLUSH;
	/* While it is under way, it may leak as many clusters as the file has. */
	if (kind == LEAKY && below(4) == 0)
		op = REQUEST_OPEN;
	if (world->requests < 40)
		traffic->requests[traffic->request_count++] = world_invoke(
			world, op, below(GUESTS) * world->cluster_bytes, 512 * (1 + below(3)));
}

static void random_event(struct world *world, struct traffic *traffic, enum kind kind)
{
	switch (below(8)) {
	case 0:
	case 1: random_request(world, traffic, kind); return;
	case 2:
		if (traffic->write_count > 0)
			io_event(world, EVENT_IO_COMPLETED, IO_WRITE,
				 take(traffic->writes, &traffic->write_count), 0);
		return;
	case 3:
		if (traffic->flush_count > 0 && below(2) == 0) {
			io_event(world, EVENT_IO_COMPLETED, IO_FLUSH,
				 take(traffic->flushes, &traffic->flush_count),
				 below(6) == 0 ? -5 : 0);
			return;
		}
		traffic->flushes[traffic->flush_count++] = ++traffic->ios;
		io_event(world, EVENT_IO_SUBMITTED, IO_FLUSH, traffic->ios, 0);
		return;
	default:
		if (kind == TIDY)
			tidy_operation(world);
		else if (kind == WILD)
			random_operation(world);
		else
			leaky_operation(world);
		if (below(3) > 0) {
			world->log.events[world->log.count - 1].id = ++traffic->ios;
			traffic->writes[traffic->write_count++] = traffic->ios;
		}
		return;
	}
}

static void random_world(struct world *world, enum kind kind)
{
	struct traffic traffic = { .request_count = 0 };

	world_init(world, &(struct world_options){ .cluster_bits = kind == LEAKY ? 9 : 9 + below(2),
						   .guest_clusters = kind == LEAKY ? 100 : GUESTS,
						   .version = 2 + below(2),
						   .backing = below(2) == 0,
						   .dirty = kind != LEAKY && below(4) == 0 });
	world->judge_options =
		(struct judge_options){ .models = CRASH_REORDER, .verdicts_max = 256 };
	for (unsigned guest = 0; guest < GUESTS; guest++)
		if (below(2) == 0 && kind != LEAKY)
			world_map(world, guest, AT_DATA + guest);
	if (kind == LEAKY)
		make_leaky(world);
	/* Contents are judged from the first request on. */
	world_flush(world);
	while (world->log.count < EVENTS)
		random_event(world, &traffic, kind);
}

/* Listing. */

static bool is_moment(const struct event *event)
{
	return judge_is_operation(event) || (event->kind == EVENT_REQUEST_COMPLETED &&
					     event->op == REQUEST_FLUSH && event->result >= 0);
}

/** Judge every state after the first `events` events. Returns how many; SIZE_MAX: too many. */
static size_t list_moment(struct keys *keys, struct lister *lister, struct judge *judge,
			  const struct world *world, size_t events)
{
	size_t states = lister_states(lister);

	for (size_t i = 0; states != SIZE_MAX && i < states; i++) {
		struct content *image = lister_state(lister, i);
		struct judge_report report;

		judge_image(judge, &world->log, events, image, &report);
		for (size_t v = 0; v < report.verdict_count; v++)
			add_key(keys, &report.verdicts[v], world->cluster_bytes, events);
		content_free(image);
	}
	return states;
}

/** List what all states of the run show; where there are too many, the run is cut off. */
static void list_run(struct keys *keys, struct world *world, size_t *states)
{
	struct judge_options options = world->judge_options;
	struct lister lister;
	struct judge *judge;
	struct why why;

	options.models = CRASH_PREFIX;
	ck_assert_int_eq(judge_new(&judge, world->files, world->file_count, &options, &why),
			 STATUS_OK);
	lister_init(&lister, world->files[0].initial, &world->log);
	for (size_t i = 0; i < world->log.count; i++) {
		size_t count;

		lister_step(&lister, i);
		if (!is_moment(&world->log.events[i]))
			continue;
		count = list_moment(keys, &lister, judge, world, i + 1);
		if (count == SIZE_MAX)
			world->log.count = i;
		else
			*states += count;
	}
	lister_release(&lister);
	judge_free(judge);
}

static void explain(const struct world *world, const struct keys *keys, const char *who)
{
	char line[200];

	for (size_t i = 0; i < keys->count; i++)
		fprintf(stderr, "%s: %s %llx %s, %zu events\n", who, rule_name(keys->list[i].rule),
			(unsigned long long)keys->list[i].place, keys->list[i].kind,
			keys->moments[i]);
	for (size_t i = 0; i < world->log.count; i++) {
		event_format(line, sizeof(line), &world->log, &world->log.events[i]);
		fprintf(stderr, "%zu %s id %u\n", i, line, world->log.events[i].id);
	}
	for (size_t i = 0; i < world->report.verdict_count; i++)
		fprintf(stderr, "%s after %llu, %s: %s\n",
			rule_name(world->report.verdicts[i].rule),
			(unsigned long long)world->report.verdicts[i].operation,
			crash_model_name(world->report.verdicts[i].model),
			world->report.verdicts[i].message);
}

static void compare(const struct world *world, const struct keys *decided,
		    const struct keys *listed, uint64_t start, int run, enum kind kind)
{
	for (int side = kind == WILD ? 1 : 0; side < 2; side++) {
		const struct keys *a = side == 0 ? listed : decided;
		const struct keys *b = side == 0 ? decided : listed;

		for (size_t i = 0; i < a->count; i++) {
			if (has_key(b, &a->list[i]))
				continue;
			explain(world, decided, "decided");
			explain(world, listed, "listed");
			ck_abort_msg("seed %llu run %d: %s at %llx (%s) was only %s",
				     (unsigned long long)start, run, rule_name(a->list[i].rule),
				     (unsigned long long)a->list[i].place, a->list[i].kind,
				     side == 0 ? "listed" : "decided");
		}
	}
}

/** Cut the run off before its newest state leaks, which would hide what reordering shows. */
static void cut_before_leaks(struct world *world)
{
	const struct judge_options options = world->judge_options;

	world->judge_options.models = CRASH_PREFIX;
	world_judge(world);
	world->judge_options = options;
	for (size_t i = 0; i < world->report.verdict_count; i++)
		if (world->report.verdicts[i].rule == RULE_LEAK_BOUNDED)
			world->log.count = world->report.verdicts[i].event;
}

/** Leaks are one finding a run: it must come at the first moment at which listing has it. */
static void compare_leaks(const struct world *world, const struct keys *listed, uint64_t start,
			  int run)
{
	size_t moment = 0;

	for (size_t i = 0; i < listed->count; i++)
		if (listed->list[i].rule == RULE_LEAK_BOUNDED)
			moment = listed->moments[i];
	for (size_t i = 0; i < world->report.verdict_count; i++) {
		const struct verdict *verdict = &world->report.verdicts[i];

		/* What a weaker model says later takes the place of what this one said. */
		if (verdict->rule == RULE_LEAK_BOUNDED && verdict->model == CRASH_REORDER)
			ck_assert_msg(verdict->event + 1 == moment,
				      "seed %llu run %d: leaks decided after %zu events, listed "
				      "after %zu",
				      (unsigned long long)start, run, verdict->event + 1, moment);
	}
}

START_TEST(deciding_equals_listing)
{
	size_t states = 0, shown = 0, leaky = 0;
	enum kind kind = _i >= 12 ? LEAKY : _i % 2 == 0 ? TIDY : WILD;

	seed = UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)_i * 7919;
	for (int run = 0; run < (kind == LEAKY ? LEAKY_RUNS : RUNS); run++) {
		uint64_t start = seed;
		struct keys decided = { .count = 0 }, listed = { .count = 0 };
		struct world world;

		random_world(&world, kind);
		if (kind == LEAKY)
			cut_before_leaks(&world);
		list_run(&listed, &world, &states);
		world.judge_options.once = run % 2 == 0;
		world_judge(&world);
		for (size_t i = 0; i < world.report.verdict_count; i++) {
			const struct verdict *verdict = &world.report.verdicts[i];

			add_key(&decided, verdict, world.cluster_bytes, verdict->event);
			shown += verdict->model == CRASH_REORDER;
			leaky += verdict->model == CRASH_REORDER &&
				 verdict->rule == RULE_LEAK_BOUNDED;
		}
		ck_assert_ptr_null(world.report.skipped[RULE_NO_ALIAS]);
		ck_assert_ptr_null(world.report.skipped[RULE_LEAK_BOUNDED]);
		compare(&world, &decided, &listed, start, run, kind);
		if (kind != WILD)
			compare_leaks(&world, &listed, start, run);
		world_release(&world);
	}
	ck_assert_uint_gt(states, 1000);
	ck_assert_uint_gt(shown, RUNS / 2);
	ck_assert(kind != LEAKY || leaky > RUNS / 5);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("oracle_reorder");
	TCase *tests = tcase_create("reorder");

	tcase_set_timeout(tests, 200);
	tcase_add_loop_test(tests, deciding_equals_listing, 0, 15);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
