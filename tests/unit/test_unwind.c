// SPDX-License-Identifier: MIT
#include "injector/unwind.h"
#include "tests/run_suite.h"

#include <check.h>
#include <pthread.h>
#include <string.h>

enum { ADDRESSES = 24, TURNS = 3 };

static volatile int sink; /* keeps calls from being the last thing that their caller does */
static struct unwind_taken taken;

/* What a call knows of where it stands. */
struct standing {
	bool is_again;
	size_t address_count;
	uintptr_t addresses[ADDRESSES];
};

static struct standing standing;

__attribute__((noinline)) static void ask(void)
{
	const void *frame = __builtin_frame_address(0);

	standing.is_again = unwind_is_again(&taken, frame);
	if (!standing.is_again)
		standing.address_count =
			unwind_callers_taken(standing.addresses, ADDRESSES, &taken, frame);
	sink++;
}

__attribute__((noinline)) static void ask_from_here(void)
{
	ask();
	sink++;
}

__attribute__((noinline)) static void ask_from_there(void)
{
	ask();
	sink++;
}

START_TEST(a_thread_at_the_same_place_is_known_again)
{
	taken.count = 0;
	for (volatile int i = 0; i < TURNS; i++) {
		ask_from_here();
		ck_assert_int_eq(standing.is_again, i > 0);
	}
}
END_TEST

START_TEST(another_caller_is_another_place)
{
	taken.count = 0;
	for (volatile int i = 0; i < TURNS; i++) {
		ask_from_here();
		ck_assert(!standing.is_again);
		ask_from_there();
		ck_assert(!standing.is_again);
	}
}
END_TEST

static void *ask_in_thread(void *context)
{
	(void)context;
	ask_from_here();
	return NULL;
}

/* It stands in the same calls, elsewhere. */
START_TEST(another_thread_is_another_place)
{
	pthread_t thread;

	taken.count = 0;
	ask_from_here();
	ck_assert_int_eq(pthread_create(&thread, NULL, ask_in_thread, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert(!standing.is_again);
}
END_TEST

__attribute__((noinline)) static void compare_ways(void)
{
	uintptr_t addresses[2][ADDRESSES];
	const void *frame = __builtin_frame_address(0);
	size_t count = unwind_callers(addresses[0], ADDRESSES);
	size_t again = unwind_callers_taken(addresses[1], ADDRESSES, &taken, frame);

	ck_assert_uint_gt(count, 2);
	ck_assert_uint_eq(count, again);
	/* The first is this function, at two places. */
	ck_assert_mem_eq(addresses[0] + 1, addresses[1] + 1, (count - 1) * sizeof(uintptr_t));
	ck_assert_uint_gt(taken.count, 0);
	ck_assert_mem_eq(taken.addresses, addresses[0] + 1, taken.count * sizeof(uintptr_t));
}

START_TEST(both_ways_of_unwinding_find_the_same)
{
	compare_ways();
	sink++;
}
END_TEST

__attribute__((noinline)) static void ask_at_depth(int depth)
{
	if (depth > 0)
		ask_at_depth(depth - 1);
	else
		ask();
	sink++;
}

START_TEST(a_stack_too_deep_to_be_kept_is_never_known)
{
	taken.count = 0;
	for (volatile int i = 0; i < TURNS; i++) {
		ask_at_depth(2 * UNWIND_TAKEN_MAX);
		ck_assert(!standing.is_again);
		ck_assert_uint_eq(standing.address_count, ADDRESSES);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("unwind");
	TCase *tests = tcase_create("unwind");

	tcase_add_test(tests, a_thread_at_the_same_place_is_known_again);
	tcase_add_test(tests, another_caller_is_another_place);
	tcase_add_test(tests, another_thread_is_another_place);
	tcase_add_test(tests, both_ways_of_unwinding_find_the_same);
	tcase_add_test(tests, a_stack_too_deep_to_be_kept_is_never_known);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
