// SPDX-License-Identifier: MIT
/* Deciding equals listing: random runs with few operations between flushes, most of which damage
 * the image; at every moment at which the judge decides what a crash may leave under `reorder`, all
 * these states are made, one by one, and each is judged by itself. The same rules must be broken in
 * the same places; and again when torn states are asked for, too, for these are among them. */
#include "oracle/judge.h"
#include "tests/run_suite.h"
#include "tests/unit/oracle_world.h"
#include "tests/unit/reorder_compare.h"

#include <check.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where tidy runs put a second L2 table and a second refcount block. */
enum { AT_L2_TOO = 13, AT_BLOCK_TOO };
enum { CLUSTERS = 16, GUESTS = 6, RUNS = 25, EVENTS = 26, STATES_MAX = 384 };

static uint64_t seed;

static uint32_t below(uint32_t bound)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 11) % bound);
}

/* Random runs. */

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

static void random_request(struct world *world, struct traffic *traffic)
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
	if (world->requests >= 4)
		op = REQUEST_FLUSH;
	if (world->requests < 40)
		traffic->requests[traffic->request_count++] = world_invoke(
			world, op, below(GUESTS) * world->cluster_bytes, 512 * (1 + below(3)));
}

static void random_event(struct world *world, struct traffic *traffic, bool tidy)
{
	switch (below(8)) {
	case 0:
	case 1: random_request(world, traffic); return;
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
		if (tidy)
			tidy_operation(world);
		else
			random_operation(world);
		if (below(3) > 0) {
			world->log.events[world->log.count - 1].id = ++traffic->ios;
			traffic->writes[traffic->write_count++] = traffic->ios;
		}
		return;
	}
}

static void random_world(struct world *world, bool tidy)
{
	struct traffic traffic = { .request_count = 0 };

	world_init(world, &(struct world_options){ .cluster_bits = 9 + below(2),
						   .guest_clusters = GUESTS,
						   .version = 2 + below(2),
						   .backing = below(2) == 0,
						   .dirty = below(4) == 0 });
	for (unsigned guest = 0; guest < GUESTS; guest++)
		if (below(2) == 0)
			world_map(world, guest, AT_DATA + guest);
	/* Contents are judged from the first request on. */
	world_flush(world);
	while (world->log.count < EVENTS)
		random_event(world, &traffic, tidy);
}

START_TEST(deciding_equals_listing)
{
	size_t states = 0, shown = 0;
	bool tidy = _i % 2 == 0;

	seed = UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)_i * 7919;
	for (int run = 0; run < RUNS; run++) {
		struct keys decided = { .count = 0 }, listed = { .count = 0 };
		struct keys with_torn = { .count = 0 };
		struct listed_run listing;
		struct world world;
		char name[64];

		snprintf(name, sizeof(name), "seed %llu run %d", (unsigned long long)seed, run);
		random_world(&world, tidy);
		listing = (struct listed_run){ .files = world.files,
					       .file_count = world.file_count,
					       .log = world.log,
					       .cluster_bytes = world.cluster_bytes,
					       .options = { .verdicts_max = 256 },
					       .states_max = STATES_MAX,
					       .volatile_max = SIZE_MAX };
		reorder_list(&listed, &listing);
		shown += reorder_decide(&decided, &listing, CRASH_REORDER);
		reorder_compare(&listing, &decided, &listed, tidy, name);
		reorder_decide(&with_torn, &listing, CRASH_TORN | CRASH_REORDER);
		reorder_compare(&listing, &with_torn, &listed, tidy, name);
		states += listing.states;
		world_release(&world);
	}
	ck_assert_uint_gt(states, 1000);
	ck_assert_uint_gt(shown, RUNS / 2);
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

int main(void)
{
	Suite *suite = suite_create("oracle_reorder");
	TCase *tests = tcase_create("reorder");

	tcase_set_timeout(tests, 200);
	tcase_add_loop_test(tests, every_sector_of_a_torn_write_is_reordered, 0, 4);
	tcase_add_loop_test(tests, deciding_equals_listing, 0, 12);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
