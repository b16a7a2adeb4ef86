// SPDX-License-Identifier: MIT
#include "engine/memory/arena.h"
#include "tests/run_suite.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct arena *arena;

static void setup(void)
{
	arena = arena_new();
	ck_assert_ptr_nonnull(arena);
}

static void teardown(void)
{
	arena_free(arena);
}

static bool all_are(const uint8_t *bytes, size_t count, uint8_t value)
{
	for (size_t i = 0; i < count; i++)
		if (bytes[i] != value)
			return false;
	return true;
}

static void assert_intact(void)
{
	const void *object = NULL;
	ck_assert(arena_is_intact(arena, &object));
}

static void assert_damaged(const void *expected_object, const char *expected_text)
{
	const void *object = NULL;
	char text[128];
	ck_assert(!arena_is_intact(arena, &object));
	ck_assert_ptr_eq(object, expected_object);
	arena_explain(arena, object, text, sizeof(text));
	ck_assert_str_eq(text, expected_text);
}

START_TEST(every_small_object_is_zero_aligned_and_wholly_usable)
{
	for (size_t bytes = 0; bytes < 600; bytes++) {
		uint8_t *object = arena_take(arena, bytes);
		ck_assert_ptr_nonnull(object);
		ck_assert_uint_eq((uintptr_t)object % 16, 0);
		ck_assert(all_are(object, bytes, 0));
		memset(object, 0x5a, bytes);
	}
	assert_intact();
}
END_TEST

START_TEST(equal_calls_after_a_reset_give_equal_addresses_and_zeros)
{
	void *first[64];
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < 64; i++) {
			uint8_t *object = arena_take(arena, i * 37);
			ck_assert(all_are(object, i * 37, 0));
			memset(object, 0xff, i * 37);
			if (round == 0)
				first[i] = object;
			ck_assert_ptr_eq(object, first[i]);
			if (i % 3 == 0)
				arena_give(arena, object);
		}
		assert_intact();
		arena_reset(arena);
		ck_assert_uint_eq(arena_live_bytes(arena), 0);
	}
}
END_TEST

START_TEST(memory_is_zero_where_a_shorter_run_ended_and_a_longer_one_goes_on)
{
	memset(arena_take(arena, 1000), 0xff, 1000);
	memset(arena_take(arena, 100000), 0xff, 100000);
	arena_reset(arena);
	memset(arena_take(arena, 10), 0xff, 10);
	arena_reset(arena);
	/* Begins inside what was dirty and reaches beyond it. */
	ck_assert(all_are(arena_take(arena, 300000), 300000, 0));
}
END_TEST

START_TEST(a_large_run_gives_memory_back_and_reads_zeros_again)
{
	size_t bytes = (size_t)40 << 20;
	memset(arena_take(arena, bytes), 0xff, bytes);
	arena_reset(arena);
	ck_assert(all_are(arena_take(arena, bytes), bytes, 0));
}
END_TEST

START_TEST(a_freed_object_is_poison_and_its_place_is_not_reused_within_a_run)
{
	uint8_t *object = arena_take(arena, 100);
	arena_give(arena, object);
	ck_assert(all_are(object, 100, ARENA_POISON));
	for (int i = 0; i < 1000; i++) {
		uint8_t *other = arena_take(arena, 100);
		ck_assert(other >= object + 100 || other + 100 <= object);
		arena_give(arena, other);
	}
	assert_intact();
}
END_TEST

START_TEST(any_write_to_a_freed_object_is_found)
{
	for (size_t at = 0; at < 40; at++) {
		arena_reset(arena);
		arena_take(arena, 8);
		uint8_t *object = arena_take(arena, 40);
		arena_take(arena, 8);
		arena_give(arena, object);
		assert_intact();
		object[at] ^= 1;
		assert_damaged(object, "somebody wrote to a freed object of 40 bytes");
	}
}
END_TEST

START_TEST(a_write_past_any_object_s_end_is_found)
{
	for (size_t bytes = 0; bytes < 70; bytes++) {
		arena_reset(arena);
		uint8_t *object = arena_take(arena, bytes);
		arena_take(arena, 8);
		char expected[128];
		snprintf(expected, sizeof(expected),
			 "somebody wrote past the end of an object of %zu bytes", bytes);
		for (size_t past = 0; past < 16; past++) {
			object[bytes + past] ^= 1;
			assert_damaged(object, expected);
			object[bytes + past] ^= 1;
			assert_intact();
		}
	}
}
END_TEST

START_TEST(a_write_in_front_of_an_object_is_found)
{
	arena_take(arena, 8);
	uint8_t *object = arena_take(arena, 8);
	object[-1] ^= 0xff;
	assert_damaged(object, "somebody wrote in front of an object");
}
END_TEST

START_TEST(live_bytes_are_those_taken_and_not_given)
{
	void *a = arena_take(arena, 100);
	void *b = arena_take(arena, 23);
	ck_assert_uint_eq(arena_live_bytes(arena), 123);
	arena_give(arena, a);
	ck_assert_uint_eq(arena_live_bytes(arena), 23);
	arena_give(arena, NULL);
	arena_give(arena, b);
	ck_assert_uint_eq(arena_live_bytes(arena), 0);
}
END_TEST

START_TEST(what_leaves_the_quarantine_is_reused_as_zeros)
{
	const size_t bytes = (size_t)1 << 20;
	uint8_t *lowest = arena_take(arena, bytes);
	uint8_t *highest = lowest;
	for (int i = 0; i < 400; i++) {
		uint8_t *object = arena_take(arena, bytes);
		ck_assert(all_are(object, bytes, 0));
		arena_give(arena, object);
		highest = object > highest ? object : highest;
	}
	/* Not 400 MiB, but what the quarantine holds and a few. */
	ck_assert_uint_le((size_t)(highest - lowest), (size_t)80 << 20);
	ck_assert_uint_ge((size_t)(highest - lowest), (size_t)48 << 20);
	assert_intact();
}
END_TEST

START_TEST(damage_is_still_known_when_the_quarantine_overflows)
{
	const size_t bytes = (size_t)1 << 20;
	uint8_t *damaged = arena_take(arena, bytes);
	arena_give(arena, damaged);
	damaged[5] = 0;
	for (int i = 0; i < 200; i++)
		arena_give(arena, arena_take(arena, bytes));
	assert_damaged(damaged, "somebody wrote to a freed object of 1048576 bytes");
}
END_TEST

START_TEST(a_full_arena_says_so_and_works_on)
{
	ck_assert_ptr_null(arena_take(arena, SIZE_MAX));
	ck_assert_ptr_null(arena_take(arena, (size_t)5 << 30));
	size_t taken = 0;
	while (arena_take(arena, (size_t)256 << 20))
		taken++;
	ck_assert_uint_ge(taken, 10);
	ck_assert_uint_le(taken, 15);
	ck_assert_ptr_nonnull(arena_take(arena, 16));
	arena_reset(arena);
	ck_assert_ptr_nonnull(arena_take(arena, (size_t)256 << 20));
}
END_TEST

/** Deterministic numbers; the seed is printed when a test fails. */
static uint32_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33);
}

START_TEST(random_use_never_mixes_objects_up)
{
	enum { SLOTS = 100, ROUNDS = 20000 };
	struct {
		uint8_t *bytes;
		size_t count;
		uint8_t fill;
	} slots[SLOTS] = { 0 };
	uint64_t seed = (uint64_t)_i + 1;
	uint64_t state = seed;
	for (int round = 0; round < ROUNDS; round++) {
		uint32_t slot = next_random(&state) % SLOTS;
		if (slots[slot].bytes) {
			ck_assert_msg(
				all_are(slots[slot].bytes, slots[slot].count, slots[slot].fill),
				"seed %llu, round %d", (unsigned long long)seed, round);
			arena_give(arena, slots[slot].bytes);
			slots[slot].bytes = NULL;
			continue;
		}
		size_t count = next_random(&state) % (round % 50 ? 3000 : 300000);
		slots[slot].count = count;
		slots[slot].bytes = arena_take(arena, count);
		ck_assert_ptr_nonnull(slots[slot].bytes);
		ck_assert_msg(all_are(slots[slot].bytes, count, 0), "seed %llu, round %d",
			      (unsigned long long)seed, round);
		slots[slot].fill = (uint8_t)next_random(&state);
		memset(slots[slot].bytes, slots[slot].fill, count);
	}
	assert_intact();
}
END_TEST

enum { TASKS = 4, CALLS = 300 };

/** One task's calls: what it takes next, and what it has. */
struct taker {
	uint64_t state;
	uint8_t *objects[CALLS];
	size_t taken;
	size_t given;
};

static void take_or_give(struct taker *taker, uint32_t pool)
{
	arena_select(arena, pool);
	if (next_random(&taker->state) % 3 == 0 && taker->given < taker->taken) {
		arena_give(arena, taker->objects[taker->given++]);
		return;
	}
	size_t bytes = next_random(&taker->state) % 2000;
	uint8_t *object = arena_take(arena, bytes);
	ck_assert(all_are(object, bytes, 0));
	memset(object, (int)pool, bytes);
	taker->objects[taker->taken++] = object;
}

struct image {
	uint32_t pools[TASKS + 1];
	size_t counts[TASKS + 1];
	uint8_t *bytes[TASKS + 1];
	size_t count;
};

static void add_to_image(void *context, uint32_t pool, const uint8_t *bytes, size_t count)
{
	struct image *image = context;
	ck_assert_uint_le(image->count, TASKS);
	image->pools[image->count] = pool;
	image->counts[image->count] = count;
	image->bytes[image->count] = malloc(count);
	memcpy(image->bytes[image->count++], bytes, count);
}

static void check_image(void *context, uint32_t pool, const uint8_t *bytes, size_t count)
{
	struct image *image = context;
	ck_assert_uint_eq(image->pools[image->count], pool);
	ck_assert_uint_eq(image->counts[image->count], count);
	ck_assert_mem_eq(image->bytes[image->count], bytes, count);
	image->count++;
}

static void free_image(struct image *image)
{
	for (size_t i = 0; i < image->count; i++)
		free(image->bytes[i]);
	image->count = 0;
}

START_TEST(a_task_s_bytes_depend_on_its_own_calls_whatever_the_interleaving)
{
	struct image image = { 0 };
	for (uint64_t interleaving = 0; interleaving < 30; interleaving++) {
		static struct taker takers[TASKS];
		uint64_t state = interleaving;
		size_t left[TASKS];
		arena_reset(arena);
		for (size_t i = 0; i < TASKS; i++) {
			takers[i] = (struct taker){ .state = i };
			left[i] = CALLS;
		}
		for (size_t calls = (size_t)TASKS * CALLS; calls > 0; calls--) {
			size_t i = next_random(&state) % TASKS;
			while (left[i] == 0)
				i = (i + 1) % TASKS;
			left[i]--;
			take_or_give(&takers[i], (uint32_t)i + 1);
		}
		assert_intact();
		if (interleaving == 0)
			arena_visit(arena, add_to_image, &image);
		image.count = 0;
		arena_visit(arena, check_image, &image);
	}
	free_image(&image);
}
END_TEST

START_TEST(what_another_task_frees_does_not_move_what_is_taken_later)
{
	const size_t bytes = (size_t)1 << 20;
	uint8_t *without[6], *with[6];
	for (int round = 0; round < 2; round++) {
		uint8_t **seen = round ? with : without;
		arena_reset(arena);
		for (int i = 0; i < 6; i++) {
			arena_select(arena, 1);
			seen[i] = arena_take(arena, bytes);
			arena_select(arena, 2);
			if (round)
				arena_give(arena, seen[i]);
		}
	}
	ck_assert_mem_eq(without, with, sizeof(with));
	assert_intact();
	with[2][7] = 0;
	assert_damaged(with[2], "somebody wrote to a freed object of 1048576 bytes");
}
END_TEST

START_TEST(what_does_not_fit_in_a_pool_comes_from_the_common_one)
{
	const size_t bytes = (size_t)3 << 20;
	arena_select(arena, 511);
	uint8_t *first = arena_take(arena, bytes);
	uint8_t *second = arena_take(arena, bytes);
	uint8_t *third = arena_take(arena, bytes);
	arena_select(arena, 0);
	uint8_t *common = arena_take(arena, 16);
	ck_assert_ptr_nonnull(third);
	ck_assert(first < second && second < third && third < common);
	ck_assert_uint_lt((size_t)(common - third), bytes + ((size_t)1 << 20));
	ck_assert_uint_gt((size_t)(third - second), bytes + 512);
	arena_select(arena, 511);
	arena_give(arena, third);
	arena_give(arena, common);
	arena_give(arena, first);
	assert_intact();
	arena_reset(arena);
	ck_assert(all_are(arena_take(arena, bytes), bytes, 0));
}
END_TEST

START_TEST(a_loaded_arena_is_what_it_was_and_goes_on_like_it)
{
	struct snapshot_buffer buffer = { 0 };
	struct image saved = { 0 }, ended = { 0 };
	struct taker takers[TASKS], takers_saved[TASKS];
	for (size_t i = 0; i < TASKS; i++)
		takers[i] = (struct taker){ .state = i };
	for (int call = 0; call < CALLS / 2; call++)
		for (uint32_t i = 0; i < TASKS - 1; i++)
			take_or_give(&takers[i], i);
	size_t live_bytes = arena_live_bytes(arena);
	arena_visit(arena, add_to_image, &saved);
	arena_save(arena, &buffer);
	memcpy(takers_saved, takers, sizeof(takers));
	for (int round = 0; round < 3; round++) {
		if (round > 0) {
			/* Something else was done since, with other objects, in other pools. */
			for (int call = 0; call < CALLS; call++) {
				arena_select(arena, (uint32_t)call % 7);
				memset(arena_take(arena, 900), 0xff, 900);
			}
			memcpy(takers, takers_saved, sizeof(takers));
			snapshot_buffer_rewind(&buffer);
			arena_load(arena, &buffer);
			saved.count = 0;
			arena_visit(arena, check_image, &saved);
			ck_assert_uint_eq(arena_live_bytes(arena), live_bytes);
			assert_intact();
		}
		for (int call = 0; call < CALLS / 2; call++)
			for (uint32_t i = 0; i < TASKS; i++)
				take_or_give(&takers[i], i);
		if (round == 0)
			arena_visit(arena, add_to_image, &ended);
		ended.count = 0;
		arena_visit(arena, check_image, &ended);
		assert_intact();
	}
	free_image(&saved);
	free_image(&ended);
	snapshot_buffer_release(&buffer);
}
END_TEST

START_TEST(a_loaded_arena_reuses_what_it_would_have_reused)
{
	const size_t bytes = (size_t)1 << 20;
	struct snapshot_buffer buffer = { 0 };
	uint8_t *seen[8];
	arena_select(arena, 3);
	for (int i = 0; i < 5; i++)
		arena_give(arena, arena_take(arena, bytes));
	arena_save(arena, &buffer);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 8; i++) {
			uint8_t *object = arena_take(arena, bytes);
			ck_assert(all_are(object, bytes, 0));
			if (round == 0)
				seen[i] = object;
			ck_assert_ptr_eq(object, seen[i]);
			arena_give(arena, object);
		}
		snapshot_buffer_rewind(&buffer);
		arena_load(arena, &buffer);
	}
	assert_intact();
	snapshot_buffer_release(&buffer);
}
END_TEST

START_TEST(a_double_free_dies)
{
	void *object = arena_take(arena, 24);
	arena_give(arena, object);
	arena_give(arena, object);
}
END_TEST

START_TEST(freeing_what_is_no_object_dies)
{
	uint8_t *object = arena_take(arena, 64);
	arena_give(arena, object + 16);
}
END_TEST

START_TEST(freeing_an_overrun_object_dies)
{
	uint8_t *object = arena_take(arena, 24);
	object[24] = 1;
	arena_give(arena, object);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("arena");
	TCase *tcase = tcase_create("arena");
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, every_small_object_is_zero_aligned_and_wholly_usable);
	tcase_add_test(tcase, equal_calls_after_a_reset_give_equal_addresses_and_zeros);
	tcase_add_test(tcase, memory_is_zero_where_a_shorter_run_ended_and_a_longer_one_goes_on);
	tcase_add_test(tcase, a_large_run_gives_memory_back_and_reads_zeros_again);
	tcase_add_test(tcase, a_freed_object_is_poison_and_its_place_is_not_reused_within_a_run);
	tcase_add_test(tcase, any_write_to_a_freed_object_is_found);
	tcase_add_test(tcase, a_write_past_any_object_s_end_is_found);
	tcase_add_test(tcase, a_write_in_front_of_an_object_is_found);
	tcase_add_test(tcase, live_bytes_are_those_taken_and_not_given);
	tcase_add_test(tcase, what_leaves_the_quarantine_is_reused_as_zeros);
	tcase_add_test(tcase, damage_is_still_known_when_the_quarantine_overflows);
	tcase_add_test(tcase, a_full_arena_says_so_and_works_on);
	tcase_add_test(tcase, a_task_s_bytes_depend_on_its_own_calls_whatever_the_interleaving);
	tcase_add_test(tcase, what_another_task_frees_does_not_move_what_is_taken_later);
	tcase_add_test(tcase, what_does_not_fit_in_a_pool_comes_from_the_common_one);
	tcase_add_test(tcase, a_loaded_arena_is_what_it_was_and_goes_on_like_it);
	tcase_add_test(tcase, a_loaded_arena_reuses_what_it_would_have_reused);
	tcase_add_loop_test(tcase, random_use_never_mixes_objects_up, 0, 4);
	tcase_add_test_raise_signal(tcase, a_double_free_dies, SIGABRT);
	tcase_add_test_raise_signal(tcase, freeing_what_is_no_object_dies, SIGABRT);
	tcase_add_test_raise_signal(tcase, freeing_an_overrun_object_dies, SIGABRT);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
