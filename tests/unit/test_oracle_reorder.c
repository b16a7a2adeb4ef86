// SPDX-License-Identifier: MIT
/* Deciding equals listing: random runs with few operations between flushes, most of which damage
 * the image; at every moment at which the judge decides what a crash may leave under `reorder`, all
 * these states are made, one by one, and each is judged by itself. The same rules must be broken in
 * the same places; and again when torn states are asked for, too, for these are among them. */
#include "oracle/judge.h"
#include "tests/run_suite.h"
#include "tests/unit/oracle_world.h"
#include "tests/unit/reorder_compare.h"
#include "tests/unit/reorder_lister.h"

#include <check.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where tidy runs put a second L2 table and a second refcount block. */
enum { AT_L2_TOO = 13, AT_BLOCK_TOO };
enum { CLUSTERS = 16, GUESTS = 6, RUNS = 25, LEAKY_RUNS = 50, EVENTS = 26, STATES_MAX = 384 };
/* States that each of a family is looked for among, and runs in which that is done. */
enum { COMPARED_MAX = 64, LOSING_RUNS = 6 };

static uint64_t seed;

static uint32_t below(uint32_t bound)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 11) % bound);
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

/** Write the whole L2 table with an entry changed. */
static void tidy_table(struct world *world)
{
	uint64_t entry = htobe64(tidy_entry(world));
	uint8_t table[1024];

	content_read(world->now, table, world->cluster_bytes, AT_L2 * world->cluster_bytes);
	memcpy(table + 8 * (size_t)below(GUESTS), &entry, sizeof(entry));
	world_write(world, AT_L2 * world->cluster_bytes, table, (uint32_t)world->cluster_bytes);
}

static void tidy_operation(struct world *world)
{
	uint64_t cluster = world->cluster_bytes;
	uint64_t at = AT_DATA + below(5);

	switch (below(16)) {
	case 0: tidy_table(world); return;
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

/** Cut the run off before its newest state leaks, which would hide what reordering shows. */
static void cut_before_leaks(struct world *world)
{
	world->judge_options = (struct judge_options){ .models = CRASH_PREFIX };
	world_judge(world);
	for (size_t i = 0; i < world->report.verdict_count; i++)
		if (world->report.verdicts[i].rule == RULE_LEAK_BOUNDED)
			world->log.count = world->report.verdicts[i].event;
}

/** How many verdicts of leaks there are. */
static size_t count_leaks(const struct keys *keys)
{
	size_t count = 0;

	for (size_t i = 0; i < keys->count; i++)
		count += keys->list[i].rule == RULE_LEAK_BOUNDED && keys->reordered[i];
	return count;
}

START_TEST(deciding_equals_listing)
{
	size_t states = 0, shown = 0, leaky = 0;
	enum kind kind = _i >= 12 ? LEAKY : _i % 2 == 0 ? TIDY : WILD;

	seed = UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)_i * 7919;
	for (int run = 0; run < (kind == LEAKY ? LEAKY_RUNS : RUNS); run++) {
		struct keys decided = { .count = 0 }, listed = { .count = 0 };
		struct keys with_torn = { .count = 0 };
		struct listed_run listing;
		struct world world;
		char name[64];

		snprintf(name, sizeof(name), "seed %llu run %d", (unsigned long long)seed, run);
		random_world(&world, kind);
		if (kind == LEAKY)
			cut_before_leaks(&world);
		listing = (struct listed_run){ .files = world.files,
					       .file_count = world.file_count,
					       .log = world.log,
					       .cluster_bytes = world.cluster_bytes,
					       .options = { .verdicts_max = 256,
							    .once = run % 2 == 0 },
					       .states_max = STATES_MAX,
					       .volatile_max = SIZE_MAX };
		reorder_list(&listed, &listing);
		shown += reorder_decide(&decided, &listing, CRASH_REORDER);
		reorder_compare(&listing, &decided, &listed, kind != WILD, name);
		reorder_decide(&with_torn, &listing, CRASH_TORN | CRASH_REORDER);
		reorder_compare(&listing, &with_torn, &listed, kind != WILD, name);
		states += listing.states;
		leaky += count_leaks(&decided);
		world_release(&world);
	}
	ck_assert_uint_gt(states, 1000);
	ck_assert_uint_gt(shown, RUNS / 2);
	ck_assert(kind != LEAKY || leaky > RUNS / 5);
}
END_TEST

/** Link guest clusters 0 and 64 in one write of the whole L2 table. The data of guest cluster
 * `lost` may not be there yet, the other's are. */
static void link_two(struct world *world, unsigned lost)
{
	static const unsigned guests[] = { 0, 64 };
	uint8_t table[1024] = { 0 };
	uint32_t ids[2];

	world_init(world, &(struct world_options){
				  .cluster_bits = 10, .guest_clusters = 128, .backing = true });
	for (unsigned i = 0; i < 2; i++) {
		uint64_t entry = htobe64((AT_DATA + i) * world->cluster_bytes | COPIED);

		memcpy(table + 8 * (size_t)guests[i], &entry, sizeof(entry));
		world_poke(world, AT_BLOCK * world->cluster_bytes + 2 * (AT_DATA + i), 1, 2);
		ids[i] = world_invoke(world, REQUEST_WRITE, guests[i] * world->cluster_bytes,
				      world->cluster_bytes);
	}
	world_effect(world, IO_RESIZE, CLUSTERS * world->cluster_bytes, 0);
	world_data(world, ids[1 - lost], guests[1 - lost], AT_DATA + 1 - lost, 0, 2);
	io_event(world, EVENT_IO_SUBMITTED, IO_FLUSH, 1, 0);
	io_event(world, EVENT_IO_COMPLETED, IO_FLUSH, 1, 0);
	world_data(world, ids[lost], guests[lost], AT_DATA + lost, 0, 2);
	world_write(world, AT_L2 * world->cluster_bytes, table, sizeof(table));
}

/* Loop: which models are asked for, and which sector of a write of two needs what may be lost. The
 * torn state has the first one in place and shows nothing. */
START_TEST(every_sector_of_a_torn_write_is_reordered)
{
	unsigned lost = (unsigned)_i % 2;
	const struct verdict *verdict;
	struct world world;

	link_two(&world, lost);
	world.judge_options.models = CRASH_REORDER | (_i / 2 == 0 ? 0 : CRASH_TORN);
	verdict = world_expect_only(&world, RULE_COW_COMPLETE);
	ck_assert_int_eq(verdict->model, CRASH_REORDER);
	ck_assert_uint_eq(verdict->operation, world.report.operations);
	ck_assert_uint_eq(verdict->guest_offset, 64 * lost * world.cluster_bytes);
	world_release(&world);
}
END_TEST

/* What a repair is tried on: some of these states (oracle/loss.c). */

/** Is `image` one of the states that a crash may leave now? */
static bool is_listed(const struct lister *lister, size_t states, const struct content *image)
{
	bool found = false;

	for (size_t i = 0; i < states && !found; i++) {
		struct content *state = lister_state(lister, i);

		found = content_equal(state, image, NULL);
		content_free(state);
	}
	return found;
}

/** Hold what may be lost behind the first `events` events against the lister, which stands there.
 * Returns how many states that are. */
static size_t compare_losses(struct judge *judge, struct lister *lister, const struct world *world,
			     size_t events, size_t crash)
{
	const struct judge_loss *losses;
	size_t states = lister_states(lister, COMPARED_MAX);
	size_t count = judge_stand(judge, &world->log, events, crash, &losses);
	size_t operations = lister_volatile(lister);

	ck_assert_uint_eq(count, operations > 0 ? 2 * operations + 1 : 0);
	if (states > COMPARED_MAX)
		return 0;
	for (size_t i = 0; i < count; i++) {
		struct content *image = content_clone(lister->now);

		ck_assert_ptr_nonnull(image);
		ck_assert(judge_lose(judge, &losses[i], image));
		ck_assert_msg(is_listed(lister, states, image),
			      "seed %llu, event %zu: kind %d, operation %u of %u",
			      (unsigned long long)seed, events, losses[i].kind, losses[i].number,
			      losses[i].actor);
		content_free(image);
	}
	return count;
}

/** Is the event about an I/O that began before event `crash`? */
static bool is_of_before(const struct event_log *log, size_t index, size_t crash)
{
	const struct event *event = &log->events[index];

	for (size_t i = 0; i < crash; i++)
		if (log->events[i].kind >= EVENT_IO_SUBMITTED &&
		    log->events[i].kind <= EVENT_IO_COMPLETED && event->id != 0 &&
		    log->events[i].id == event->id)
			return event->kind == EVENT_IO_COMPLETED;
	return false;
}

/** Walk through a run that crashed before event `crash`, 0: did not. Returns how many states were
 * compared. */
static size_t lose_everywhere(const struct world *world, size_t crash)
{
	struct judge_options options = world->judge_options;
	struct content *begin = content_clone(world->files[0].initial);
	struct lister lister;
	struct judge *judge;
	size_t compared = 0;

	options.models = CRASH_REORDER;
	ck_assert_int_eq(judge_new(&judge, world->files, world->file_count, &options, NULL),
			 STATUS_OK);
	for (size_t i = 0; i < crash; i++)
		if (world->log.events[i].file == 0)
			ck_assert_int_eq(trace_apply(begin, &world->log, &world->log.events[i]),
					 STATUS_OK);
	lister_init(&lister, begin, &world->log, 512);
	for (size_t i = crash; i < world->log.count; i++) {
		if (is_of_before(&world->log, i, crash))
			continue;
		lister_step(&lister, i);
		if (judge_is_operation(&world->log.events[i]))
			compared += compare_losses(judge, &lister, world, i + 1,
						   crash > 0 ? crash : SIZE_MAX);
	}
	lister_release(&lister);
	judge_free(judge);
	content_free(begin);
	return compared;
}

START_TEST(what_a_repair_is_tried_on_are_states_that_a_crash_may_leave)
{
	size_t compared = 0;

	seed = UINT64_C(0x2545f4914f6cdd1d) + (uint64_t)_i * 104729;
	for (int run = 0; run < LOSING_RUNS; run++) {
		struct world world;

		random_world(&world, _i % 2 == 0 ? TIDY : WILD);
		compared += lose_everywhere(&world, 0);
		/* At a crash it is decided what is on disk. */
		compared += lose_everywhere(&world, 1 + below(EVENTS - 1));
		world_release(&world);
	}
	ck_assert_uint_gt(compared, 200);
}
END_TEST

/** The first byte of sector `at` of what all operations of the world leave, less `loss`; and the
 * file's size. */
static uint8_t byte_without(struct judge *judge, const struct world *world,
			    const struct judge_loss *loss, uint64_t at, uint64_t *bytes)
{
	struct content *image = content_clone(world->now);
	uint8_t byte;

	ck_assert_ptr_nonnull(image);
	ck_assert(judge_lose(judge, loss, image));
	content_read(image, &byte, 1, at * 512);
	*bytes = content_size(image);
	content_free(image);
	return byte;
}

START_TEST(one_operation_is_lost_or_all_others_or_all)
{
	/* Without the first, with it alone, and so on; then without all. */
	static const struct {
		char first, second; /* in two sectors */
		bool is_longer;     /* by the third operation */
	} wanted[] = { { '2', '2', true },  { '1', '0', false }, { '1', '0', true },
		       { '2', '2', false }, { '2', '2', false }, { '0', '0', true },
		       { '0', '0', false } };
	enum { SECTOR = 2 * AT_DATA, BYTES = 1024 };
	uint8_t data[BYTES];
	const struct judge_loss *losses;
	struct judge *judge;
	struct world world;
	uint64_t short_bytes, bytes;

	world_init(&world, &(struct world_options){ .cluster_bits = 9, .guest_clusters = GUESTS });
	world.judge_options = (struct judge_options){ .models = CRASH_REORDER };
	world_write(&world, (uint64_t)SECTOR * 512, memset(data, '0', BYTES), BYTES);
	io_event(&world, EVENT_IO_SUBMITTED, IO_FLUSH, 1, 0);
	io_event(&world, EVENT_IO_COMPLETED, IO_FLUSH, 1, 0);
	short_bytes = content_size(world.now);
	world_write(&world, (uint64_t)SECTOR * 512, memset(data, '1', 512), 512);
	world_write(&world, (uint64_t)SECTOR * 512, memset(data, '2', BYTES), BYTES);
	world_write(&world, short_bytes, memset(data, '3', 512), 512);
	ck_assert_int_eq(
		judge_new(&judge, world.files, world.file_count, &world.judge_options, NULL),
		STATUS_OK);
	size_t count = judge_stand(judge, &world.log, world.log.count, SIZE_MAX, &losses);
	ck_assert_uint_eq(count, sizeof(wanted) / sizeof(wanted[0]));
	for (size_t i = 0; i < count; i++) {
		ck_assert_int_eq(byte_without(judge, &world, &losses[i], SECTOR, &bytes),
				 wanted[i].first);
		ck_assert_int_eq(byte_without(judge, &world, &losses[i], SECTOR + 1, &bytes),
				 wanted[i].second);
		ck_assert_uint_eq(bytes, short_bytes + (wanted[i].is_longer ? 512 : 0));
	}
	judge_free(judge);
	world_release(&world);
}
END_TEST

/** How many verdicts of a crash model there are behind event `from`. */
static size_t count_verdicts(const struct judge_report *report, enum crash_model model, size_t from)
{
	size_t count = 0;

	for (size_t i = 0; i < report->verdict_count; i++)
		count += report->verdicts[i].model == model && report->verdicts[i].event >= from;
	return count;
}

START_TEST(after_a_crash_only_what_comes_then_is_reordered_and_judged)
{
	struct judge_report whole, reopened;
	struct judge *judge;
	struct world world;
	size_t crash;

	world_init(&world, &(struct world_options){ .cluster_bits = 9, .guest_clusters = GUESTS });
	world.judge_options = (struct judge_options){ .models = CRASH_REORDER };
	ck_assert_int_eq(
		judge_new(&judge, world.files, world.file_count, &world.judge_options, NULL),
		STATUS_OK);
	world_data(&world, STAMP_OLD, 0, AT_DATA, 0, 1);
	world_refcount(&world, AT_DATA, 1);
	crash = world.log.count;
	world_l2(&world, 0, AT_DATA * world.cluster_bytes | COPIED);
	/* That entry may overtake this refcount, unless a crash came between. */
	judge_run(judge, &world.log, 0, &whole);
	ck_assert_uint_gt(count_verdicts(&whole, CRASH_REORDER, 0), 0);
	judge_reopened(judge, &world.log, 0, crash, &reopened);
	ck_assert_uint_eq(reopened.verdict_count, 0);
	/* What comes before it is not judged, what comes behind it is. */
	world_l2(&world, 1, (AT_DATA + 1) * world.cluster_bytes | COPIED);
	judge_reopened(judge, &world.log, 0, crash, &reopened);
	ck_assert_uint_gt(count_verdicts(&reopened, CRASH_PREFIX, crash), 0);
	judge_reopened(judge, &world.log, 0, world.log.count, &reopened);
	ck_assert_uint_eq(reopened.verdict_count, 0);
	judge_free(judge);
	world_release(&world);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("oracle_reorder");
	TCase *tests = tcase_create("reorder");
	TCase *losses = tcase_create("losses");

	tcase_set_timeout(tests, 200);
	tcase_add_loop_test(tests, every_sector_of_a_torn_write_is_reordered, 0, 4);
	tcase_add_loop_test(tests, deciding_equals_listing, 0, 15);
	tcase_set_timeout(losses, 200);
	tcase_add_loop_test(losses, what_a_repair_is_tried_on_are_states_that_a_crash_may_leave, 0,
			    4);
	tcase_add_test(losses, one_operation_is_lost_or_all_others_or_all);
	tcase_add_test(losses, after_a_crash_only_what_comes_then_is_reordered_and_judged);
	suite_add_tcase(suite, tests);
	suite_add_tcase(suite, losses);
	return run_suite(suite);
}
