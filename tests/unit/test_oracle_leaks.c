// SPDX-License-Identifier: MIT
/* leak-bounded under `reorder`, by hand: what only a reordering disk leaks, what it cannot leak at
 * once, the bound in a smaller file, and where the judge says that it does not know.
 *
 * With one cluster of L1 table and one of refcount table, 12 clusters may be leaked when nothing
 * is under way. */
#include "tests/run_suite.h"
#include "tests/unit/oracle_world.h"

#include <check.h>
#include <endian.h>
#include <string.h>

enum { BOUND = 12, FIRST = 20 };

static struct world world;

/** A world whose tables are of `cluster_bits`; a flush begins the judging of leaks. */
static void begin(uint32_t cluster_bits)
{
	world_init(&world, &(struct world_options){ .cluster_bits = cluster_bits,
						    .guest_clusters = 1U << (cluster_bits - 3) });
	world.judge_options = (struct judge_options){ .models = CRASH_PREFIX | CRASH_REORDER,
						      .verdicts_max = 1000 };
	world_flush(&world);
}

static void count(uint8_t sector[512], uint64_t first, uint64_t clusters, uint16_t refcount)
{
	uint16_t big = htobe16(refcount);

	for (uint64_t i = first; i < first + clusters; i++)
		memcpy(sector + 2 * i, &big, 2);
}

/** Give clusters a refcount, by one operation. */
static void write_counts(uint64_t first, uint64_t clusters, uint16_t refcount)
{
	uint64_t at = AT_BLOCK * world.cluster_bytes;
	uint8_t sector[512];

	content_read(world.now, sector, 512, at);
	count(sector, first, clusters, refcount);
	world_write(&world, at, sector, 512);
}

/** The verdict on leaks; NULL: none. */
static const struct verdict *leak_verdict(void)
{
	world_judge(&world);
	for (size_t i = 0; i < world.report.verdict_count; i++)
		if (world.report.verdicts[i].rule == RULE_LEAK_BOUNDED)
			return &world.report.verdicts[i];
	return NULL;
}

/** Refcounts and the table that uses them, by one operation of three sectors. */
static void allocate(uint64_t clusters)
{
	uint8_t tables[3 * 512];
	uint64_t at = AT_BLOCK * UINT64_C(512);

	ck_assert_int_eq(AT_L2, AT_BLOCK + 2);
	content_read(world.now, tables, sizeof(tables), at);
	count(tables, FIRST, clusters, 1);
	for (uint64_t i = 0; i < clusters; i++) {
		uint64_t entry = htobe64((FIRST + i) * 512);

		memcpy(tables + 1024 + 8 * i, &entry, 8);
	}
	world_write(&world, at, tables, sizeof(tables));
}

START_TEST(counts_may_persist_without_the_table_that_uses_them)
{
	const struct verdict *verdict;

	begin(9);
	allocate(BOUND);
	ck_assert_ptr_null(leak_verdict());
	world_release(&world);
	begin(9);
	allocate(BOUND + 1);
	verdict = leak_verdict();
	ck_assert_ptr_nonnull(verdict);
	ck_assert_int_eq(verdict->model, CRASH_REORDER);
	ck_assert_str_eq(verdict->message,
			 "13 clusters are leaked, the first at host 0x2800; at most 12 may be "
			 "while these requests are not flushed (persisted: 0x800=0)");
	world_release(&world);
}
END_TEST

START_TEST(two_versions_of_one_sector_do_not_leak_at_once)
{
	enum { CLUSTERS = 10 };

	begin(9);
	write_counts(FIRST, CLUSTERS, 1);
	write_counts(FIRST, CLUSTERS, 0);
	write_counts(FIRST + CLUSTERS, CLUSTERS, 1);
	ck_assert_ptr_null(leak_verdict());
	ck_assert_ptr_null(world.report.skipped[RULE_LEAK_BOUNDED]);
	world_release(&world);
}
END_TEST

START_TEST(a_file_that_may_be_smaller_may_leak_less)
{
	uint64_t now;
	const struct verdict *verdict;

	begin(9);
	now = content_size(world.now) / 512;
	/* While it is under way it may leak as many clusters as the file has, and 16. */
	world_invoke(&world, REQUEST_SNAPSHOT_DELETE, 0, 0);
	world_effect(&world, IO_ALLOCATE, (now + 9) * 512, 512);
	write_counts(FIRST, now + 16 + BOUND, 1);
	ck_assert_ptr_null(leak_verdict());
	write_counts(FIRST + now + 16 + BOUND, 1, 1);
	verdict = leak_verdict();
	ck_assert_ptr_nonnull(verdict);
	ck_assert_int_eq(verdict->model, CRASH_REORDER);
	ck_assert_ptr_nonnull(strstr(verdict->message, " (persisted: size="));
	world_release(&world);
}
END_TEST

/* Each sector of an L2 table of four unlinks one cluster after another, never two at a time; and
 * one that all of them name. */

enum { SECTORS = 4, ENTRIES = 64, COMMON = FIRST };

static uint64_t own_cluster(uint64_t sector, uint64_t entry)
{
	return COMMON + 1 + sector * ENTRIES / 4 + entry;
}

static void unlink_one(uint64_t sector, uint64_t entry, uint64_t entries)
{
	uint64_t words[ENTRIES] = { htobe64(COMMON * world.cluster_bytes) };

	for (uint64_t i = 1; i < entries; i++)
		words[i] = htobe64(own_cluster(sector, i) * world.cluster_bytes);
	if (entry < entries)
		words[entry] = 0;
	world_write(&world, AT_L2 * world.cluster_bytes + 512 * sector, words, sizeof(words));
}

static void map(uint64_t sector, uint64_t entry, uint64_t cluster, uint16_t refcount)
{
	world_poke(&world, AT_BLOCK * world.cluster_bytes + 2 * cluster, refcount, 2);
	world_poke(&world, AT_L2 * world.cluster_bytes + 512 * sector + 8 * entry,
		   cluster * world.cluster_bytes, 8);
}

static void unlink_in_turn(uint64_t entries)
{
	begin(11);
	for (uint64_t sector = 0; sector < SECTORS; sector++) {
		map(sector, 0, COMMON, SECTORS);
		for (uint64_t i = 1; i < entries; i++)
			map(sector, i, own_cluster(sector, i), 1);
	}
	for (uint64_t sector = 0; sector < SECTORS; sector++)
		for (uint64_t i = 0; i <= entries; i++)
			unlink_one(sector, i, entries);
}

START_TEST(what_is_not_decided_is_said_to_be)
{
	/* 7^4 combinations, each made: 5 leak at once, by themselves 21 could. */
	unlink_in_turn(6);
	ck_assert_ptr_null(leak_verdict());
	ck_assert_ptr_null(world.report.skipped[RULE_LEAK_BOUNDED]);
	world_release(&world);
	unlink_in_turn(12);
	ck_assert_ptr_null(leak_verdict());
	ck_assert_ptr_nonnull(world.report.skipped[RULE_LEAK_BOUNDED]);
	ck_assert_ptr_null(world.report.skipped[RULE_NO_ALIAS]);
	world_release(&world);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("oracle_leaks");
	TCase *tests = tcase_create("leaks");

	tcase_set_timeout(tests, 100);
	tcase_add_test(tests, counts_may_persist_without_the_table_that_uses_them);
	tcase_add_test(tests, two_versions_of_one_sector_do_not_leak_at_once);
	tcase_add_test(tests, a_file_that_may_be_smaller_may_leak_less);
	tcase_add_test(tests, what_is_not_decided_is_said_to_be);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
