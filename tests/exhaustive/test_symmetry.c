// SPDX-License-Identifier: MIT
/* Requests that are alike: one order of their first locks stands for all.
 *
 * Renaming them makes an interleaving of an interleaving, so what is left out must come back when
 * the names in what is left are exchanged. Held against the search without symmetry: the ends of
 * runs are the same but for names, both ways; the same rules are broken at the same places; and
 * with k requests alike the classes are at least the k!-th part. (More are left only where first
 * locks are taken and given back in one step, and so are not ordered by themselves.) */
#include "injector/fault_point.h"
#include "injector/strategy_dpor.h"
#include "tests/exhaustive/searches.h"
#include "tests/run_suite.h"
#include "workloads/guest.h"
#include "workloads/world_snapshot.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS_MAX = 60000, ALIKE_MAX = 3, FIRST_ID = 2, NAMES_MAX = 6, SECTORS_MAX = 512 };

struct alike {
	const char *name;
	const char *bug; /* NULL: none */
	uint64_t count;  /* requests that are alike, numbered from FIRST_ID */
	bool exactly;    /* their first locks are ordered in every class */
	const char *text;
};

#define HEAD                                                                                       \
	"#@ image size=8k cluster_size=4k backing=pattern\n"                                       \
	"#@ policy cancel\n"

static const struct alike worlds[] = {
	{ "two-writes", NULL, 2, true, HEAD "aio_write 0 1k\naio_write 0 1k\nflush\n" },
	{ "two-writes-beside", NULL, 2, true,
	  HEAD "aio_write 1k 1k\naio_write 1k 1k\naio_write 0 1k\naio_flush\n" },
	{ "two-discards", NULL, 2, true,
	  HEAD "aio_write 0 4k\naio_discard 0 4k\naio_discard 0 4k\naio_flush\n" },
	{ "two-reads", NULL, 2, false, HEAD "aio_write 0 1k\naio_read 0 2k\naio_read 0 2k\n" },
	{ "two-writes-unlocked", "no-rwlock", 2, false,
	  HEAD "write 0 1k\naio_write 1k 1k\naio_write 1k 1k\nflush\n" },
	{ "three-writes", NULL, 3, false,
	  HEAD "write 0 1k\naio_write 0 1k\naio_write 0 1k\naio_write 0 1k\naio_flush\n" },
};

enum { WORLDS = sizeof(worlds) / sizeof(worlds[0]) };

/* All ways to exchange the names of three; of two, the first two. */
static const uint32_t names[NAMES_MAX][ALIKE_MAX] = { { 0, 1, 2 }, { 1, 0, 2 }, { 0, 2, 1 },
						      { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };

static uint64_t factorial(uint64_t count)
{
	return count < 2 ? 1 : count * factorial(count - 1);
}

/** Whose data stands in a sector: its request, or 0. */
static uint32_t owner_of(const uint8_t *sector)
{
	char head[GUEST_SECTOR_BYTES + 1] = { 0 };
	unsigned request = 0;
	memcpy(head, sector, GUEST_SECTOR_BYTES);
	return sscanf(head, "guest request %u ", &request) == 1 ? request : 0;
}

/* The image at the end of a run, whatever the names: the least of its hashes over all of them. */
static uint64_t nameless_end(const struct world *world, uint64_t count)
{
	struct content *image = world_image(world);
	uint64_t sectors = content_size(image) / GUEST_SECTOR_BYTES;
	uint64_t least = UINT64_MAX;
	ck_assert_uint_le(sectors, SECTORS_MAX);
	for (size_t n = 0; n < factorial(count); n++) {
		uint64_t hash = 1;
		for (uint64_t s = 0; s < sectors; s++) {
			uint8_t sector[GUEST_SECTOR_BYTES];
			content_read(image, sector, sizeof(sector), s * sizeof(sector));
			uint32_t owner = owner_of(sector);
			bool is_alike = owner >= FIRST_ID && owner < FIRST_ID + count;
			uint64_t value = is_alike ? names[n][owner - FIRST_ID] : owner;
			for (size_t i = 0; !owner && i < sizeof(sector); i++)
				value = value * 31 + sector[i];
			hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
			hash ^= hash >> 29;
		}
		least = hash < least ? hash : least;
	}
	content_free(image);
	return least;
}

/* The ends of all runs, one of each class. */
static void collect_ends(struct distinct *ends, const struct workload *workload,
			 const struct world_options *options, uint64_t count)
{
	struct why why = { "" };
	struct world *world;
	struct order order;
	struct choice choice;
	ck_assert_msg(world_new(&world, workload, options, &why) == STATUS_OK, "%s", why.text);
	order_init(&order);
	struct strategy *strategy = strategy_dpor_new(&order, NULL);
	choice_init(&choice, strategy, NULL);
	choice.order = &order;
	while (choice_begin(&choice)) {
		enum run_end end = world_run(world, &choice);
		choice_end(&choice, end, 0);
		if (end == RUN_FINISHED)
			distinct_add(ends, nameless_end(world, count));
	}
	choice_release(&choice);
	strategy_free(strategy);
	order_release(&order);
	world_free(world);
}

START_TEST(what_is_left_out_has_other_names_only)
{
	const struct alike *alike = &worlds[_i];
	struct workload workload;
	struct why why = { "" };
	struct outcome every, some;
	struct distinct ends = { 0 }, some_ends = { 0 };
	enum status status =
		workload_parse(&workload, alike->name, alike->text, strlen(alike->text), &why);
	ck_assert_msg(status == STATUS_OK, "%s", why.text);
	struct world_options options = { .policy = QCOW2_CANCEL,
					 .points = SCHED_POINTS_ALL,
					 .stamps = true };
	known_bugs_disable();
	if (alike->bug)
		known_bug_enable(alike->bug);
	search(&every, SEARCH_DPOR, &workload, &options, RUNS_MAX);
	collect_ends(&ends, &workload, &options, alike->count);
	options.symmetry = true;
	search(&some, SEARCH_DPOR, &workload, &options, RUNS_MAX);
	collect_ends(&some_ends, &workload, &options, alike->count);
	known_bugs_disable();
	printf("%s: %" PRIu64 " classes, %" PRIu64 " with symmetry; %" PRIu64
	       " ends but for names\n",
	       alike->name, every.classes, some.classes, ends.count);
	ck_assert(every.complete && some.complete);
	ck_assert_uint_lt(some.classes, every.classes);
	ck_assert_uint_ge(some.classes * factorial(alike->count), every.classes);
	if (alike->exactly)
		ck_assert_uint_eq(some.classes * factorial(alike->count), every.classes);
	ck_assert_uint_gt(ends.count, 0);
	ck_assert_uint_eq(ends.count, some_ends.count);
	ck_assert_uint_eq(ends.checksum, some_ends.checksum);
	ck_assert_str_eq(every.found, some.found);
	ck_assert(!alike->bug == !every.found[0]);
	distinct_release(&ends);
	distinct_release(&some_ends);
	workload_release(&workload);
}
END_TEST

int main(void)
{
	fault_point_init();
	Suite *suite = suite_create("symmetry");
	TCase *alike = tcase_create("alike");
	tcase_set_timeout(alike, 300);
	tcase_add_loop_test(alike, what_is_left_out_has_other_names_only, 0, WORLDS);
	suite_add_tcase(suite, alike);
	return run_suite(suite);
}
