// SPDX-License-Identifier: MIT
/* Random runs, most of which damage the image thoroughly.
 *
 * Stepping back equals starting afresh: a judge that goes from run to run with common beginnings
 * says the same as a new one for each run.
 *
 * Keeping count equals counting: after every operation the image is materialised and looked at by a
 * checker that knows nothing but the file's bytes, written as plainly as possible. */
#include "oracle/judge.h"
#include "tests/run_suite.h"
#include "tests/unit/oracle_world.h"

#include <check.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLUSTERS = 24, GUESTS = 8, RUNS = 400, EVENTS_MAX = 40 };
#define CLUSTER UINT64_C(512)

static uint64_t seed;

static uint32_t below(uint32_t bound)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 11) % bound);
}

/** What an entry could be, with luck. */
static uint64_t random_entry(void)
{
	uint64_t entry = (uint64_t)below(CLUSTERS) * CLUSTER;

	if (below(2) == 0)
		entry |= COPIED;
	if (below(8) == 0)
		entry |= 1;
	if (below(12) == 0)
		entry |= UINT64_C(1) << below(62);
	return below(6) == 0 ? 0 : entry;
}

static void random_operation(struct world *world)
{
	uint8_t noise[3 * CLUSTER];

	switch (below(12)) {
	case 0:
	case 1: world_l2(world, below(GUESTS), random_entry()); return;
	case 2:
	case 3:
	case 4: world_refcount(world, below(CLUSTERS), (uint16_t)below(3)); return;
	case 5: world_entry(world, AT_L1 * CLUSTER, random_entry()); return;
	case 6:
		world_entry(world, AT_REFTABLE * CLUSTER + 8 * (uint64_t)below(2), random_entry());
		return;
	case 7:
		for (size_t i = 0; i < sizeof(noise); i += 8) {
			uint64_t entry = htobe64(below(3) == 0 ? random_entry() : 0);

			memcpy(noise + i, &entry, 8);
		}
		world_write(world,
			    (uint64_t)below(CLUSTERS * CLUSTER / 64) * 64 %
					    (CLUSTERS * CLUSTER - 2000) +
				    CLUSTER,
			    noise, 1 + below(sizeof(noise)));
		return;
	case 8: world_effect(world, IO_PUNCH, below(CLUSTERS) * CLUSTER, 1 + below(900)); return;
	case 9:
		if (below(3) == 0)
			world_effect(world, IO_RESIZE, below(CLUSTERS * CLUSTER), 0);
		else
			world_effect(world, IO_ZERO, below(CLUSTERS) * CLUSTER, 1 + below(1500));
		return;
	case 10: {
		static const uint64_t fields[] = { 24, 36, 40, 48, 60, 64, 72, 72, 72, 96, 100, 0 };
		static const uint64_t values[] = { 0, 1, 2, 512, 1024, 1536, 2048, 4096, 104 };
		uint64_t field = fields[below(12)];
		uint8_t header[512];
		uint64_t value = values[below(9)];

		content_read(world->now, header, 512, 0);
		for (int i = 7; i >= 0; i--, value >>= 8)
			header[field + (unsigned)i] = (uint8_t)value;
		if (below(2) == 0)
			content_read(world->files[0].initial, header, 512, 0);
		world_write(world, 0, header, 512);
		return;
	}
	default:
		world_data(world, below(3) == 0 ? STAMP_OLD : 1 + below(3), below(GUESTS),
			   below(CLUSTERS), 0, 1);
		return;
	}
}

static void random_request(struct world *world, uint32_t *open, size_t *open_count)
{
	static const enum request_op ops[] = {
		REQUEST_WRITE,    REQUEST_WRITE,    REQUEST_WRITE, REQUEST_WRITE_ZEROES,
		REQUEST_DISCARD,  REQUEST_FLUSH,    REQUEST_FLUSH, REQUEST_READ,
		REQUEST_TRUNCATE, REQUEST_SNAPSHOT, REQUEST_CLOSE
	};

	if (*open_count > 0 && below(2) == 0) {
		size_t at = below((uint32_t)*open_count);

		if (world->invoked[open[at]].op == REQUEST_READ)
			world_answer(world, open[at], below(4) == 0 ? 1 + below(3) : STAMP_OLD);
		else
			world_ack(world, open[at], below(6) == 0 ? -5 : 0);
		open[at] = open[--*open_count];
		return;
	}
	if (world->requests >= 30)
		return;
	open[(*open_count)++] = world_invoke(world, ops[below(11)], below(GUESTS) * CLUSTER,
					     1 + below(3 * CLUSTER));
}

static void random_event(struct world *world, uint32_t *open, size_t *open_count)
{
	if (below(3) == 0)
		random_request(world, open, open_count);
	else
		random_operation(world);
}

static void random_world(struct world *world)
{
	world_init(world, &(struct world_options){ .cluster_bits = 9,
						   .guest_clusters = GUESTS,
						   .version = 2 + below(2),
						   .backing = below(2) == 0,
						   .dirty = below(4) == 0 });
	for (unsigned guest = 0; guest < GUESTS; guest++)
		if (below(2) == 0)
			world_map(world, guest, AT_DATA + guest);
}

static void same_report(const struct judge_report *a, const struct judge_report *b, uint64_t start,
			unsigned run)
{
	ck_assert_msg(a->verdict_count == b->verdict_count &&
			      a->counts.states == b->counts.states && a->leaked == b->leaked &&
			      a->copied_missing == b->copied_missing &&
			      a->operations == b->operations,
		      "seed %llu run %u: %zu verdicts, %llu states; afresh %zu, %llu",
		      (unsigned long long)start, run, a->verdict_count,
		      (unsigned long long)a->counts.states, b->verdict_count,
		      (unsigned long long)b->counts.states);
	for (size_t i = 0; i < a->verdict_count; i++) {
		const struct verdict *x = &a->verdicts[i];
		const struct verdict *y = &b->verdicts[i];

		ck_assert_msg(x->rule == y->rule && x->severity == y->severity &&
				      x->model == y->model && x->operation == y->operation &&
				      x->sector == y->sector && x->event == y->event &&
				      x->guest_offset == y->guest_offset &&
				      x->host_offset == y->host_offset &&
				      strcmp(x->message, y->message) == 0,
			      "seed %llu run %u verdict %zu: '%s' but afresh '%s'",
			      (unsigned long long)start, run, i, x->message, y->message);
	}
}

/** Cut the run back to `keep` events and add others. */
static void next_run(struct world *world, size_t keep)
{
	uint32_t open[64];
	size_t open_count = 0;
	struct event_log *log = &world->log;
	size_t events = keep + below(EVENTS_MAX);

	content_free(world->now);
	world->now = content_clone(world->files[0].initial);
	world->requests = 0;
	log->byte_count = keep < log->count ? log->events[keep].data_start : log->byte_count;
	log->count = keep;
	for (size_t i = 0; i < keep; i++) {
		const struct event *event = &log->events[i];

		ck_assert_int_eq(trace_apply(world->now, log, event), STATUS_OK);
		if (event->kind == EVENT_REQUEST_INVOKED) {
			world->requests = event->id;
			world->invoked[event->id] = *event;
			open[open_count++] = event->id;
		}
		for (size_t k = 0; event->kind == EVENT_REQUEST_COMPLETED && k < open_count; k++)
			if (open[k] == event->id)
				open[k--] = open[--open_count];
	}
	while (log->count < events)
		random_event(world, open, &open_count);
	if (below(4) == 0)
		world_end(world, RUN_FINISHED, NULL);
}

START_TEST(stepping_back_equals_starting_afresh)
{
	uint64_t start = UINT64_C(0x1234567) + (uint64_t)_i * 7919;
	struct world world;
	struct judge *judge;
	struct judge_report report;

	seed = start;
	random_world(&world);
	ck_assert_int_eq(
		judge_new(&judge, world.files, world.file_count, &world.judge_options, NULL),
		STATUS_OK);
	/* The other judge cannot step back. */
	world.judge_options.once = true;
	for (unsigned run = 0; run < RUNS / 10; run++) {
		size_t keep = world.log.count > 0 ? below((uint32_t)world.log.count + 1) : 0;

		next_run(&world, keep);
		judge_run(judge, &world.log, keep, &report);
		world_judge(&world);
		same_report(&report, &world.report, start, run);
	}
	judge_free(judge);
	world_release(&world);
}
END_TEST

/* The plain checker: reads the file, walks everything, knows no history. */

/* As many as a refcount table of one cluster counts. */
enum { PLAIN_CLUSTERS = 64 * 256 };

struct plain {
	const struct content *image;
	uint32_t references[PLAIN_CLUSTERS];
	uint32_t active[PLAIN_CLUSTERS]; /* L2 entries, uncompressed */
	uint32_t l2[PLAIN_CLUSTERS];     /* L1 entries */
	uint32_t copied[PLAIN_CLUSTERS];
	uint32_t roles[PLAIN_CLUSTERS]; /* set of tables */
	uint32_t packed[PLAIN_CLUSTERS];
	bool malformed;
	bool far; /* something refers to what cannot be counted, far beyond the end */
};

static uint64_t number(const struct content *image, uint64_t host_offset, unsigned bytes)
{
	uint8_t raw[8] = { 0 };
	uint64_t value = 0;

	content_read(image, raw, bytes, host_offset);
	for (unsigned i = 0; i < bytes; i++)
		value = value << 8 | raw[i];
	return value;
}

static void refer(struct plain *plain, uint64_t cluster)
{
	if (cluster < PLAIN_CLUSTERS)
		plain->references[cluster]++;
	else
		plain->far = true;
}

static void plain_l2(struct plain *plain, uint64_t table)
{
	for (uint64_t i = 0; i < CLUSTER / 8; i++) {
		uint64_t entry = number(plain->image, table + 8 * i, 8);
		uint64_t host_offset = entry & UINT64_C(0xfffffffffffe00);

		if ((entry >> 62 & 1) != 0) {
			uint64_t first = (entry & ((UINT64_C(1) << 61) - 1)) / CLUSTER;
			uint64_t bytes = ((entry >> 61 & 1) + 1) * 512 - entry % 512;
			uint64_t last = ((entry & ((UINT64_C(1) << 61) - 1)) + bytes - 1) / CLUSTER;

			plain->malformed |= entry >> 63 != 0;
			for (; first <= last; first++) {
				refer(plain, first);
				if (first < PLAIN_CLUSTERS)
					plain->packed[first] = 1;
			}
			continue;
		}
		plain->malformed |= (entry & UINT64_C(0x3f000000000001fe)) != 0 ||
				    (number(plain->image, 4, 4) == 2 && (entry & 1) != 0);
		if (host_offset == 0)
			continue;
		refer(plain, host_offset / CLUSTER);
		if (host_offset / CLUSTER < PLAIN_CLUSTERS) {
			plain->active[host_offset / CLUSTER]++;
			plain->copied[host_offset / CLUSTER] += entry >> 63 != 0;
		}
	}
}

/** Returns the set of rules (bits) that the image breaks; UINT32_MAX when it is beyond this
 * checker. */
static uint32_t plain_check(const struct content *image)
{
	static struct plain plain;
	uint64_t l1 = number(image, 40, 8);
	uint64_t l1_entries = number(image, 36, 4);
	uint64_t reftable = number(image, 48, 8);
	bool dirty = number(image, 4, 4) == 3 && (number(image, 72, 8) & 1) != 0;
	uint32_t broken = 0;

	plain = (struct plain){ .image = image };
	refer(&plain, 0);
	plain.roles[0] |= 1;
	refer(&plain, l1 / CLUSTER);
	plain.roles[l1 / CLUSTER] |= 2;
	refer(&plain, reftable / CLUSTER);
	plain.roles[reftable / CLUSTER] |= 4;
	for (uint64_t i = 0; i < CLUSTER / 8; i++) {
		uint64_t entry = number(image, reftable + 8 * i, 8);
		uint64_t block = entry / CLUSTER;

		plain.malformed |= (entry & 0x1ff) != 0;
		if (block == 0)
			continue;
		refer(&plain, block);
		if (block >= PLAIN_CLUSTERS)
			return UINT32_MAX;
		if ((plain.roles[block] & 8) != 0)
			broken |= 1U << RULE_NO_ALIAS;
		plain.roles[block] |= 8;
	}
	for (uint64_t i = 0; i < l1_entries; i++) {
		uint64_t entry = number(image, l1 + 8 * i, 8);
		uint64_t table = entry & UINT64_C(0xfffffffffffe00);

		plain.malformed |= (entry & UINT64_C(0x7f000000000001ff)) != 0;
		if (table == 0)
			continue;
		if (table / CLUSTER >= PLAIN_CLUSTERS)
			return UINT32_MAX;
		refer(&plain, table / CLUSTER);
		plain.l2[table / CLUSTER]++;
		plain.copied[table / CLUSTER] += entry >> 63 != 0;
		plain.roles[table / CLUSTER] |= 16;
		plain_l2(&plain, table);
	}
	for (uint64_t cluster = 0; cluster < PLAIN_CLUSTERS; cluster++) {
		uint64_t block;
		uint64_t refcount = 0;
		unsigned purposes = (unsigned)__builtin_popcount(plain.roles[cluster]) +
				    plain.packed[cluster] + (plain.active[cluster] > 0);

		if (plain.references[cluster] + plain.roles[cluster] == 0)
			continue;
		block = number(image, reftable + cluster / (CLUSTER / 2) * 8, 8) / CLUSTER *
			CLUSTER;
		if (block != 0)
			refcount = number(image, block + cluster % (CLUSTER / 2) * 2, 2);
		if (!dirty && refcount < plain.references[cluster])
			broken |= 1U << RULE_REFCOUNT_COVERS;
		if (!dirty && plain.copied[cluster] > 0 && refcount > 1)
			broken |= 1U << RULE_COPIED_EXACT;
		if (purposes > 1 || plain.active[cluster] > 1 || plain.l2[cluster] > 1 ||
		    (plain.references[cluster] > 0 && cluster * CLUSTER >= content_size(image)))
			broken |= 1U << RULE_NO_ALIAS;
	}
	if (plain.far)
		broken |= 1U << RULE_NO_ALIAS | (dirty ? 0 : 1U << RULE_REFCOUNT_COVERS);
	if (plain.malformed)
		broken |= 1U << RULE_NO_ALIAS;
	return broken;
}

/** Are the parts of the header that this checker takes for granted as they were? */
static bool plain_can(const struct world *world)
{
	uint8_t now[112];
	uint8_t initial[112];

	content_read(world->now, now, sizeof(now), 0);
	content_read(world->files[0].initial, initial, sizeof(initial), 0);
	now[79] &= (uint8_t)~1U;
	initial[79] &= (uint8_t)~1U;
	return memcmp(now, initial, sizeof(now)) == 0;
}

static uint32_t rules_of(const struct judge_report *report, size_t event)
{
	const uint32_t plain_rules =
		1U << RULE_REFCOUNT_COVERS | 1U << RULE_COPIED_EXACT | 1U << RULE_NO_ALIAS;
	uint32_t rules = 0;

	for (size_t i = 0; i < report->verdict_count; i++)
		if (report->verdicts[i].event <= event)
			rules |= 1U << report->verdicts[i].rule;
	return rules & plain_rules;
}

START_TEST(keeping_count_equals_counting)
{
	uint64_t start = UINT64_C(0x7654321) + (uint64_t)_i * 104729;
	unsigned compared = 0;

	seed = start;
	for (unsigned run = 0; run < RUNS / 10; run++) {
		struct world world;
		uint32_t seen;

		random_world(&world);
		world.judge_options.models = CRASH_PREFIX;
		world.judge_options.verdicts_max = 1000;
		seen = plain_check(world.now);
		world_judge(&world);
		ck_assert_uint_eq(seen, rules_of(&world.report, SIZE_MAX));
		/* Each state is judged as the first of a judge that starts there, and as the last
		 * of one that walked there: what is broken now was reported then or before. */
		for (unsigned i = 0; i < EVENTS_MAX; i++) {
			uint32_t now;

			random_operation(&world);
			if (!plain_can(&world))
				break;
			now = plain_check(world.now);
			if (now == UINT32_MAX)
				break;
			seen |= now;
			compared++;
			world_judge(&world);
			ck_assert_msg(rules_of(&world.report, SIZE_MAX) == seen,
				      "seed %llu run %u event %u: the judge sees %x, counting %x",
				      (unsigned long long)start, run, i,
				      rules_of(&world.report, SIZE_MAX), seen);
		}
		world_release(&world);
	}
	ck_assert_uint_gt(compared, RUNS / 10);
}
END_TEST

/* The plain reader: what the guest would read, and what it might. */

enum { WIDE_GUESTS = 80 }; /* two L1 entries */

/** Read guest sector `sector`. False: compressed, not for this reader. */
static bool plain_read(const struct world *world, const struct content *image, uint64_t sector,
		       uint8_t bytes[512])
{
	uint64_t l1 = number(image, AT_L1 * CLUSTER + sector / 64 * 8, 8);
	uint64_t table = l1 & UINT64_C(0xfffffffffffe00);
	uint64_t entry = table == 0 ? 0 : number(image, table + sector % 64 * 8, 8);

	memset(bytes, 0, 512);
	if ((entry >> 62 & 1) != 0)
		return false;
	if ((entry & 1) != 0 && number(image, 4, 4) == 3)
		return true;
	if ((entry & UINT64_C(0xfffffffffffe00)) != 0)
		content_read(image, bytes, 512, entry & UINT64_C(0xfffffffffffe00));
	else if (world->file_count > 1)
		content_read(world->files[1].initial, bytes, 512, sector * 512);
	return true;
}

/** One request of the plain history; times are event indices, 0: never. */
struct plain_request {
	const struct event *event;
	size_t invoked, completed, durable;
	bool failed;
};

static size_t plain_history(const struct world *world, struct plain_request requests[64])
{
	size_t count = 0;

	for (size_t i = 0; i < world->log.count; i++) {
		const struct event *event = &world->log.events[i];

		if (event->kind == EVENT_REQUEST_INVOKED)
			requests[count++] = (struct plain_request){ event, i + 1, 0, 0, false };
		if (event->kind != EVENT_REQUEST_COMPLETED)
			continue;
		for (size_t k = 0; k < count; k++) {
			if (requests[k].event->id != event->id)
				continue;
			requests[k].completed = i + 1;
			requests[k].failed = event->result < 0;
			for (size_t d = 0; d < count && event->op == REQUEST_FLUSH; d++)
				if (!requests[k].failed && !requests[d].failed &&
				    requests[d].completed != 0 &&
				    requests[d].completed < requests[k].invoked)
					requests[d].durable = i + 1;
		}
	}
	return count;
}

static bool covers(const struct plain_request *request, uint64_t sector)
{
	uint64_t from = request->event->guest_offset / 512;

	return (request->event->op == REQUEST_WRITE ||
		request->event->op == REQUEST_WRITE_ZEROES) &&
	       from <= sector && sector < from + request->event->length / 512;
}

/** Is a value that was complete at `completed` (0: under way) replaced by something promised? */
static bool replaced(const struct plain_request *requests, size_t count, uint64_t sector,
		     size_t completed, bool is_initial)
{
	for (size_t d = 0; d < count; d++)
		if (covers(&requests[d], sector) && requests[d].durable != 0 &&
		    (is_initial || (completed != 0 && requests[d].invoked > completed)))
			return true;
	return false;
}

static bool plain_allows(const struct world *world, const struct plain_request *requests,
			 size_t count, uint64_t sector, const uint8_t bytes[512])
{
	uint8_t value[512];

	for (size_t i = 0; i < count; i++) {
		const struct event *event = requests[i].event;

		if (!covers(&requests[i], sector))
			continue;
		memset(value, 0, 512);
		if (event->op == REQUEST_WRITE)
			memcpy(value,
			       event_data(&world->log, event) + sector * 512 - event->guest_offset,
			       512);
		if (memcmp(value, bytes, 512) == 0 &&
		    !replaced(requests, count, sector, requests[i].completed, false))
			return true;
	}
	plain_read(world, world->files[0].initial, sector, value);
	return memcmp(value, bytes, 512) == 0 && !replaced(requests, count, sector, 0, true);
}

/** Note the guest clusters (of one sector each) that read wrong. False: not for this reader. */
static bool plain_contents(const struct world *world, bool bad[WIDE_GUESTS])
{
	struct plain_request requests[64];
	size_t count = plain_history(world, requests);
	uint8_t bytes[512];

	for (uint64_t sector = 0; sector < WIDE_GUESTS; sector++) {
		if (!plain_read(world, world->now, sector, bytes))
			return false;
		bad[sector] |= !plain_allows(world, requests, count, sector, bytes);
	}
	return true;
}

static void random_guest_event(struct world *world, uint32_t open[64], size_t *open_count)
{
	static const enum request_op ops[] = { REQUEST_WRITE, REQUEST_WRITE_ZEROES, REQUEST_WRITE,
					       REQUEST_FLUSH, REQUEST_FLUSH };

	switch (below(6)) {
	case 0:
	case 1:
		if (*open_count > 0) {
			size_t at = below((uint32_t)*open_count);

			world_ack(world, open[at], below(6) == 0 ? -5 : 0);
			open[at] = open[--*open_count];
		} else if (world->requests < 20) {
			open[(*open_count)++] =
				world_invoke(world, ops[below(5)], 512 * (uint64_t)below(70),
					     512 * (uint64_t)(1 + below(9)));
		}
		return;
	case 2: world_l2(world, below(WIDE_GUESTS) % 64, random_entry()); return;
	case 3:
		if (below(3) == 0)
			world_entry(world, AT_L1 * CLUSTER + 8 * (uint64_t)below(2),
				    below(3) == 0 ? 0
						  : (uint64_t)(4 + below(6)) * CLUSTER | COPIED);
		return;
	case 4: world_data(world, below(3), below(70), 4 + below(20), 0, 1); return;
	default:
		world_data(world, 1 + below(world->requests + 1), below(70), 4 + below(20), 0, 1);
		return;
	}
}

START_TEST(contents_are_what_a_plain_reader_finds)
{
	uint64_t start = UINT64_C(0x2468ace) + (uint64_t)_i * 15485863;
	unsigned compared = 0;

	seed = start;
	for (unsigned run = 0; run < RUNS / 10; run++) {
		bool bad[WIDE_GUESTS] = { false };
		struct world world;
		uint32_t open[64];
		size_t open_count = 0;

		world_init(&world, &(struct world_options){ .cluster_bits = 9,
							    .guest_clusters = WIDE_GUESTS,
							    .backing = below(2) == 0 });
		for (unsigned guest = 0; guest < 6; guest++)
			world_map(&world, guest, AT_DATA + guest);
		world.judge_options.models = CRASH_PREFIX;
		world.judge_options.verdicts_max = 1000;
		world_invoke(&world, REQUEST_FLUSH, 0, 0);
		for (unsigned i = 0; i < EVENTS_MAX; i++) {
			bool seen[WIDE_GUESTS] = { false };

			random_guest_event(&world, open, &open_count);
			if (!plain_contents(&world, bad))
				break;
			world_judge(&world);
			for (size_t v = 0; v < world.report.verdict_count; v++) {
				const struct verdict *verdict = &world.report.verdicts[v];

				if (verdict->rule <= RULE_FLUSH_DURABLE)
					seen[verdict->guest_offset / 512] = true;
			}
			for (unsigned guest = 0; guest < WIDE_GUESTS; guest++)
				ck_assert_msg(
					seen[guest] == bad[guest],
					"seed %llu run %u event %u guest %u: judge %d, reader %d",
					(unsigned long long)start, run, i, guest, seen[guest],
					bad[guest]);
			compared++;
		}
		world_release(&world);
	}
	ck_assert_uint_gt(compared, RUNS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("oracle_random");
	TCase *tests = tcase_create("random");

	tcase_set_timeout(tests, 100);
	tcase_add_loop_test(tests, stepping_back_equals_starting_afresh, 0, 12);
	tcase_add_loop_test(tests, keeping_count_equals_counting, 0, 8);
	tcase_add_loop_test(tests, contents_are_what_a_plain_reader_finds, 0, 10);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
