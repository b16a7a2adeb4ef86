// SPDX-License-Identifier: MIT
/* The order in which the driver writes, as text: one expected log for each ordering rule of
 * engine/README.md.
 *
 * Clusters are 2 KiB. A fresh image has its header at 0, the refcount table at 0x800, the refcount
 * block at 0x1000, the L1 table at 0x1800; the first cluster that is allocated is 0x2000. */
#include "injector/choice.h"
#include "tests/run_suite.h"
#include "workloads/world.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 8192 };

/* A world and its workload. */
struct scene {
	struct workload workload;
	struct world *world;
};

static void scene_open(struct scene *scene, const char *text)
{
	const struct world_options options = { .policy = QCOW2_CANCEL };
	struct why why;
	ck_assert_msg(workload_parse(&scene->workload, "test", text, strlen(text), &why) ==
			      STATUS_OK,
		      "%s", why.text);
	ck_assert_msg(world_new(&scene->world, &scene->workload, &options, &why) == STATUS_OK, "%s",
		      why.text);
}

static void scene_close(struct scene *scene)
{
	world_free(scene->world);
	workload_release(&scene->workload);
}

/* Run once, always taking option 0. Write what takes effect on the image: "0x2000+512 " for a
 * write, "flush " for a flush, "| " where a request is acknowledged. */
static void scene_run(struct scene *scene, char *order)
{
	struct schedule none;
	schedule_init(&none);
	struct strategy *strategy = strategy_replay_new(&none);
	struct choice choice;
	choice_init(&choice, strategy, NULL);
	ck_assert(choice_begin(&choice));
	enum run_end end = world_run(scene->world, &choice);
	ck_assert_msg(end == RUN_FINISHED, "%s", world_report(scene->world));
	const struct event_log *log = world_log(scene->world);
	order[0] = '\0';
	for (size_t i = 0; i < log->count; i++) {
		const struct event *event = &log->events[i];
		size_t used = strlen(order);
		bool effect = event->kind == EVENT_IO_EFFECT && event->file == 0;
		if (effect && event->op == IO_WRITE)
			snprintf(order + used, TEXT_BYTES - used, "0x%llx+%llu ",
				 (unsigned long long)event->host_offset,
				 (unsigned long long)event->length);
		else if (effect && event->op == IO_FLUSH)
			snprintf(order + used, TEXT_BYTES - used, "flush ");
		else if (event->kind == EVENT_REQUEST_COMPLETED)
			snprintf(order + used, TEXT_BYTES - used, "| ");
	}
	choice_end(&choice, end, 0);
	choice_release(&choice);
	strategy_free(strategy);
	schedule_release(&none);
}

static void run(char *order, const char *text)
{
	struct scene scene;
	scene_open(&scene, text);
	scene_run(&scene, order);
	scene_close(&scene);
}

enum { AT_INCOMPATIBLE = 72, AT_REFCOUNT_TABLE_CLUSTERS = 56 };

/* Write one number into the image from which runs begin. */
static void put(struct content *image, uint64_t host_offset, uint8_t number)
{
	const uint8_t raw[8] = { [7] = number };
	ck_assert_int_eq(content_write(image, raw, sizeof(raw), host_offset), STATUS_OK);
}

/* A new world of the same workload, which must have lost its commands, around `image` (takes). */
static void scene_reopen(struct scene *scene, struct content *image)
{
	const struct world_options options = { .policy = QCOW2_CANCEL };
	world_free(scene->world);
	ck_assert_int_eq(world_new(&scene->world, &scene->workload, &options, NULL), STATUS_OK);
	world_set_image(scene->world, image);
}

/* What repair and close do to the image that `text` leaves, with the dirty bit set and `damage`
 * done to it. */
static void run_repair(char *order, const char *text, void (*damage)(struct content *image))
{
	struct scene scene;
	scene_open(&scene, text);
	scene_run(&scene, order);
	struct content *image = world_image(scene.world);
	ck_assert_ptr_nonnull(image);
	put(image, AT_INCOMPATIBLE, 1);
	damage(image);
	size_t command_count = scene.workload.command_count;
	scene.workload.command_count = 0;
	scene_reopen(&scene, image);
	scene_run(&scene, order);
	scene.workload.command_count = command_count; /* to be released */
	ck_assert_str_eq(world_open_failure(scene.world), "");
	scene_close(&scene);
}

START_TEST(a_first_write_is_linked_after_its_refcounts_and_data)
{
	char order[TEXT_BYTES];
	run(order, "#@ image size=16k cluster_size=2k backing=pattern\n"
		   "write 0 512\n"
		   "flush\n");
	ck_assert_str_eq(order, "| "
				"0x2000+512 | "      /* the guest's data; acknowledged */
				"0x2200+1536 "       /* tail COW */
				"0x1000+2048 flush " /* O1: refcounts before ... */
				"0x2800+2048 flush " /* O7: ... the new, empty L2 table ... */
				"0x1800+8 flush "    /* ... before the L1 entry */
				"flush 0x2800+2048 flush | " /* O2: data before the L2 entry */
				"flush | ");                 /* close */
}
END_TEST

START_TEST(a_discarded_cluster_loses_its_refcount_after_its_entry)
{
	char order[TEXT_BYTES];
	run(order, "#@ image size=16k cluster_size=2k\n"
		   "#@ prepare write 0 2k\n"
		   "discard 0 2k\n"
		   "flush\n");
	ck_assert_str_eq(order, "| | "
				"0x2800+2048 flush "   /* O3: the L2 table no longer points to it */
				"0x1000+2048 flush | " /* then the refcount block */
				"flush | ");
}
END_TEST

START_TEST(a_discarded_cluster_is_not_reused_before_a_flush)
{
	char order[TEXT_BYTES];
	run(order, "#@ image size=16k cluster_size=2k\n"
		   "#@ prepare write 0 2k\n"
		   "discard 0 2k\n"
		   "write 4k 2k\n" /* O4: 0x2000 is free, and not taken */
		   "flush\n"
		   "write 6k 2k\n" /* now it is */
		   "flush\n");
	ck_assert_ptr_nonnull(strstr(order, "| | 0x3000+2048 | "));
	ck_assert_ptr_nonnull(strstr(order, "flush | 0x2000+2048 | "));
}
END_TEST

START_TEST(a_new_table_does_not_overtake_its_refcount_behind_an_unlink)
{
	char order[TEXT_BYTES];
	/* A table of 64 entries reaches to 32 KiB. */
	run(order, "#@ image size=33k cluster_size=512\n"
		   "#@ prepare write 0 512\n"
		   "discard 0 512\n"
		   "write 32k 512\n");
	ck_assert_str_eq(order, "| | "
				"0xc00+512 | "     /* the guest's data; acknowledged */
				"0xa00+512 flush " /* O3: the discarded entry */
				"0x400+512 flush " /* O1: refcounts before ... */
				"0xe00+512 flush " /* O7: ... the new L2 table ... */
				"0x608+8 flush "   /* ... before the L1 entry */
				"flush 0xe00+512 flush | ");
}
END_TEST

START_TEST(the_dirty_bit_comes_first_and_goes_last)
{
	char order[TEXT_BYTES];
	run(order, "#@ image size=16k cluster_size=2k lazy_refcounts=on\n"
		   "write 0 2k\n"
		   "flush\n");
	ck_assert_str_eq(order, "| "
				"0x2000+2048 | "
				"0x48+8 flush "      /* O8: the dirty bit */
				"0x2800+2048 flush " /* L2 table, without waiting for refcounts */
				"0x1800+8 flush "
				"flush 0x2800+2048 flush | "
				"0x1000+2048 flush " /* close: refcounts ... */
				"0x48+8 flush | ");  /* O9: ... then the bit is cleared */
}
END_TEST

START_TEST(a_shared_l2_table_is_copied_before_it_is_changed)
{
	char order[TEXT_BYTES];
	run(order, "#@ image size=16k cluster_size=2k\n"
		   "#@ prepare write 0 2k\n"
		   "#@ prepare snapshot one\n"
		   "write 0 512\n"
		   "flush\n");
	/* 0x3000 and 0x3800: the snapshot's L1 table and the snapshot table. */
	ck_assert_str_eq(order,
			 "| "
			 "0x4000+512 | "        /* new cluster: 0x2000 is shared */
			 "0x4200+1536 "         /* tail COW from it */
			 "0x1000+2048 flush "   /* O1 */
			 "0x4800+2048 flush "   /* O7: copy of the L2 table */
			 "0x1800+8 flush "      /* L1 entry */
			 "0x1000+2048 flush "   /* refcounts of both new, before the entry (O1) */
			 "0x4800+2048 flush "   /* L2 entry, before ... */
			 "0x1000+2048 flush | " /* O3: ... 0x2000 loses a reference */
			 "flush | ");
}
END_TEST

START_TEST(a_longer_refcount_table_is_durable_before_the_header_points_to_it)
{
	char order[TEXT_BYTES];
	/* The table's one cluster reaches to 512 MiB. */
	run(order, "#@ image size=16k cluster_size=2k allocate_from=512m\n"
		   "write 0 2k\n"
		   "flush\n");
	const char *expected =
		"| "
		"0x20000000+2048 "       /* the block that covers the new area, itself included */
		"0x20000800+4096 flush " /* O6: the new table ... */
		"0x30+12 flush ";        /* ... before the header */
	ck_assert_msg(strncmp(order, expected, strlen(expected)) == 0, "%s", order);
}
END_TEST

START_TEST(a_new_refcount_block_is_durable_before_the_table_points_to_it)
{
	char order[TEXT_BYTES];
	/* The first block reaches to 2 MiB. */
	run(order, "#@ image size=16k cluster_size=2k allocate_from=2m\n"
		   "write 0 2k\n"
		   "flush\n");
	const char *expected = "| "
			       "0x200000+2048 flush " /* O5: the block ... */
			       "0x808+8 "             /* ... before the table's entry */
			       "0x200800+2048 | ";    /* the guest's data */
	ck_assert_msg(strncmp(order, expected, strlen(expected)) == 0, "%s", order);
}
END_TEST

START_TEST(a_longer_l1_table_is_durable_before_the_header_points_to_it)
{
	char order[TEXT_BYTES];
	/* With 512-byte clusters an L1 cluster reaches to 2 MiB; header, tables: 0, 0x200, 0x400,
	 * 0x600. */
	run(order, "#@ image size=32k cluster_size=512\n"
		   "truncate 4m\n");
	ck_assert_str_eq(order, "| "
				"0x400+512 flush "  /* refcounts of the new table */
				"0x800+1024 flush " /* O6: the table ... */
				"0x24+12 flush "    /* ... before the header */
				"flush "
				"0x18+8 flush " /* then the size */
				"| "
				"0x400+512 flush | ");
}
END_TEST

static void lose_refcounts(struct content *image)
{
	ck_assert_int_eq(content_zero(image, 0x1000, 2048), STATUS_OK);
}

START_TEST(a_repair_writes_refcounts_before_it_clears_the_dirty_bit)
{
	char order[TEXT_BYTES];
	run_repair(order,
		   "#@ image size=16k cluster_size=2k\n"
		   "write 0 2k\n",
		   lose_refcounts);
	ck_assert_str_eq(order, "0x1000+2048 flush " /* O11 */
				"0x48+8 flush | "    /* O12 */
				"flush | ");         /* close */
}
END_TEST

static void lose_block(struct content *image)
{
	put(image, 0x800, 0);
}

START_TEST(a_repair_makes_a_block_durable_before_the_table_points_to_it)
{
	char order[TEXT_BYTES];
	run_repair(order,
		   "#@ image size=16k cluster_size=2k\n"
		   "write 0 2k\n",
		   lose_block);
	ck_assert_str_eq(order, "0x1000+2048 flush " /* the cluster that the block had is free */
				"0x800+8 flush "     /* O11 */
				"0x48+8 flush | "    /* O12 */
				"flush | ");
}
END_TEST

/* As if nobody had ever made the table two clusters long. */
static void shorten_table(struct content *image)
{
	const uint8_t one[4] = { [3] = 1 };
	ck_assert_int_eq(content_write(image, one, sizeof(one), AT_REFCOUNT_TABLE_CLUSTERS),
			 STATUS_OK);
}

START_TEST(a_repair_makes_a_longer_table_durable_before_the_header_points_to_it)
{
	char order[TEXT_BYTES];
	/* The table's one cluster reaches to 512 MiB. */
	run_repair(order,
		   "#@ image size=16k cluster_size=2k allocate_from=512m\n"
		   "write 0 2k\n",
		   shorten_table);
	ck_assert_ptr_nonnull(strstr(order, "+4096 flush 0x30+12 flush 0x48+8 flush | flush | "));
}
END_TEST

START_TEST(an_applied_snapshot_is_counted_before_the_l1_table_changes)
{
	char order[TEXT_BYTES];
	/* 0x2000, 0x2800: data and L2 table; 0x3000, 0x3800: the snapshot's L1 table, its table. */
	run(order, "#@ image size=8k cluster_size=2k\n"
		   "#@ prepare write 0 2k\n"
		   "#@ prepare snapshot one\n"
		   "#@ snapshot-apply one\n");
	ck_assert_str_eq(order, "| "
				"0x1000+2048 flush " /* O13: refcounts ... */
				"0x1800+8 flush | "  /* ... before the L1 table */
				"0x1000+2048 flush | ");
}
END_TEST

START_TEST(a_deleted_snapshot_is_let_go_of_before_its_refcounts_fall)
{
	char order[TEXT_BYTES];
	run(order, "#@ image size=8k cluster_size=2k\n"
		   "#@ prepare write 0 2k\n"
		   "#@ prepare snapshot one\n"
		   "#@ snapshot-delete one\n");
	ck_assert_str_eq(order, "| "
				"flush 0x3c+12 flush " /* O14: the header ... */
				"0x1000+2048 flush "   /* ... before the refcounts */
				"0x1800+8 flush | "    /* O15: these before COPIED */
				"0x2800+2048 flush | ");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("qcow2_order");
	TCase *order = tcase_create("order");
	tcase_add_test(order, a_first_write_is_linked_after_its_refcounts_and_data);
	tcase_add_test(order, a_discarded_cluster_loses_its_refcount_after_its_entry);
	tcase_add_test(order, a_discarded_cluster_is_not_reused_before_a_flush);
	tcase_add_test(order, a_new_table_does_not_overtake_its_refcount_behind_an_unlink);
	tcase_add_test(order, the_dirty_bit_comes_first_and_goes_last);
	tcase_add_test(order, a_shared_l2_table_is_copied_before_it_is_changed);
	tcase_add_test(order, a_longer_refcount_table_is_durable_before_the_header_points_to_it);
	tcase_add_test(order, a_new_refcount_block_is_durable_before_the_table_points_to_it);
	tcase_add_test(order, a_longer_l1_table_is_durable_before_the_header_points_to_it);
	tcase_add_test(order, a_repair_writes_refcounts_before_it_clears_the_dirty_bit);
	tcase_add_test(order, a_repair_makes_a_block_durable_before_the_table_points_to_it);
	tcase_add_test(order, a_repair_makes_a_longer_table_durable_before_the_header_points_to_it);
	tcase_add_test(order, an_applied_snapshot_is_counted_before_the_l1_table_changes);
	tcase_add_test(order, a_deleted_snapshot_is_let_go_of_before_its_refcounts_fall);
	suite_add_tcase(suite, order);
	return run_suite(suite);
}
