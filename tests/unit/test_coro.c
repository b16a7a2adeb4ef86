// SPDX-License-Identifier: MIT
#include "engine/coroutine/coro.h"
#include "tests/run_suite.h"

#define UNW_LOCAL_ONLY
#include <check.h>
#include <libunwind.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char story[256];

static void tell(const char *what)
{
	strncat(story, what, sizeof(story) - strlen(story) - 1);
}

static void tell_thrice(void *argument)
{
	for (int i = 0; i < 3; i++) {
		tell(argument);
		coro_yield();
	}
	tell("end ");
}

START_TEST(a_coroutine_runs_from_yield_to_yield)
{
	char name[] = "a ";
	struct coro *co = coro_new(tell_thrice, name);
	ck_assert_ptr_nonnull(co);
	ck_assert_str_eq(story, "");
	while (coro_resume(co))
		tell("| ");
	ck_assert_str_eq(story, "a | a | a | end ");
	coro_free(co);
}
END_TEST

START_TEST(coroutines_take_turns_on_stacks_of_their_own)
{
	char names[3][3] = { "a ", "b ", "c " };
	struct coro *co[3];
	for (int i = 0; i < 3; i++)
		co[i] = coro_new(tell_thrice, names[i]);
	for (int round = 0; round < 4; round++)
		for (int i = 2; i >= 0; i--)
			ck_assert_int_eq(coro_resume(co[i]), round < 3);
	ck_assert_str_eq(story, "c b a c b a c b a end end end ");
	for (int i = 0; i < 3; i++)
		coro_free(co[i]);
}
END_TEST

static void check_alignment(void *argument)
{
	_Alignas(16) volatile char aligned[16] = { 0 };
	uintptr_t *remainder = argument;
	*remainder = (uintptr_t)aligned % 16 + (uintptr_t)__builtin_frame_address(0) % 16;
	/* printf() of a floating-point number saves vector registers on an aligned stack. */
	char text[32];
	snprintf(text, sizeof(text), "%.3f", 1.5 + aligned[3]);
	tell(text);
}

START_TEST(the_stack_is_aligned_for_calls)
{
	uintptr_t remainder = 99;
	struct coro *co = coro_new(check_alignment, &remainder);
	ck_assert(!coro_resume(co));
	ck_assert_uint_eq(remainder, 0);
	ck_assert_str_eq(story, "1.500");
	coro_free(co);
}
END_TEST

struct sums {
	uint64_t whole;
	double fractions;
};

static void sum_up(void *argument)
{
	/* More live values than there are preserved registers. */
	struct sums *sums = argument;
	uint64_t a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, h = 8;
	double x = 0.5, y = 0.25, z = 0.125;
	for (uint64_t i = 0; i < 100; i++) {
		coro_yield();
		a += i, b += a, c ^= b, d += c, e ^= d, f += e, g ^= f, h += g;
		x += y, y += z, z += 1.0;
	}
	sums->whole = a + b + c + d + e + f + g + h;
	sums->fractions = x + y + z;
}

START_TEST(values_in_registers_survive_switches)
{
	struct sums sums[4] = { { 0 } };
	struct coro *co[4];
	for (int i = 0; i < 4; i++)
		co[i] = coro_new(sum_up, &sums[i]);
	/* The first runs undisturbed, the others interleaved with each other. */
	while (coro_resume(co[0])) {
	}
	for (int step = 0; step <= 100; step++)
		for (int i = 1; i < 4; i++)
			coro_resume(co[i]);
	for (int i = 0; i < 4; i++) {
		ck_assert(sums[i].whole == sums[0].whole && sums[i].whole != 0);
		ck_assert(sums[i].fractions == sums[0].fractions && sums[i].fractions != 0);
		coro_free(co[i]);
	}
}
END_TEST

static void note_current(void *argument)
{
	struct coro **seen = argument;
	*seen = coro_current();
	coro_yield();
	const void *frame = __builtin_frame_address(0);
	ck_assert(coro_owns_address(coro_current(), frame));
	ck_assert(!coro_guards_address(coro_current(), frame));
}

START_TEST(the_running_coroutine_and_its_stack_are_known)
{
	int outside = 0;
	struct coro *seen = NULL;
	struct coro *co = coro_new(note_current, &seen);
	ck_assert_ptr_null(coro_current());
	ck_assert(coro_resume(co));
	ck_assert_ptr_eq(seen, co);
	ck_assert_ptr_null(coro_current());
	ck_assert(!coro_resume(co));
	ck_assert(!coro_owns_address(co, &outside));
	ck_assert(!coro_owns_address(co, NULL));
	coro_free(co);
}
END_TEST

static void abandon_deep(int depth)
{
	volatile char frame[100] = { (char)depth };
	if (depth < 0)
		return;
	if (depth == 0)
		coro_abandon();
	abandon_deep(depth - 1);
	tell(frame[0] ? "returned " : "");
}

static void abandon_after_yield(void *argument)
{
	(void)argument;
	coro_yield();
	abandon_deep(20);
}

START_TEST(an_abandoned_coroutine_is_over_and_its_stack_is_good_again)
{
	for (int i = 0; i < 100; i++) {
		struct coro *co = coro_new(abandon_after_yield, NULL);
		ck_assert(coro_resume(co));
		ck_assert(!coro_resume(co));
		coro_free(co);
		uintptr_t remainder = 99;
		co = coro_new(check_alignment, &remainder);
		ck_assert(!coro_resume(co));
		coro_free(co);
		story[0] = '\0';
	}
}
END_TEST

static void note_stack(void *argument)
{
	*(uintptr_t *)argument = (uintptr_t)__builtin_frame_address(0);
}

START_TEST(equal_sequences_of_calls_get_equal_stacks)
{
	uintptr_t first[8] = { 0 };
	for (int round = 0; round < 3; round++) {
		struct coro *co[8];
		for (int i = 0; i < 8; i++) {
			uintptr_t address = 0;
			co[i] = coro_new(note_stack, &address);
			coro_resume(co[i]);
			if (round == 0)
				first[i] = address;
			ck_assert_uint_eq(address, first[i]);
		}
		/* Whatever the order in which they are given back. */
		for (int i = 0; i < 8; i++)
			coro_free(co[(i * (2 * round + 1)) % 8]);
	}
}
END_TEST

START_TEST(more_coroutines_than_the_pool_keeps_work_too)
{
	enum { COUNT = 700 };
	static struct coro *co[COUNT];
	char name[] = "";
	for (int i = 0; i < COUNT; i++) {
		co[i] = coro_new(tell_thrice, name);
		ck_assert_ptr_nonnull(co[i]);
		ck_assert(coro_resume(co[i]));
	}
	for (int i = 0; i < COUNT; i++) {
		ck_assert(coro_resume(co[i]));
		coro_free(co[i]);
	}
}
END_TEST

/** Pages of address space this process uses. */
static long mapped_pages(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long pages = -1;
	char line[128];
	if (file && fgets(line, sizeof(line), file))
		pages = strtol(line, NULL, 10);
	if (file)
		fclose(file);
	ck_assert_int_gt(pages, 0);
	return pages;
}

START_TEST(ten_thousand_coroutines_one_after_the_other_take_no_more_memory_than_ten)
{
	char name[] = "";
	long warm = 0;
	for (int i = 0; i < 10000; i++) {
		struct coro *co = coro_new(tell_thrice, name);
		for (int step = 0; step < i % 5; step++)
			coro_resume(co);
		coro_free(co);
		story[0] = '\0';
		if (i == 10)
			warm = mapped_pages();
	}
	ck_assert_int_le(mapped_pages(), warm + 64);
}
END_TEST

struct unwound {
	int last_step;
	int frames;
	char outermost[64];
};

static void unwind(void *argument)
{
	struct unwound *unwound = argument;
	unw_context_t context;
	unw_cursor_t cursor;
	unw_word_t displacement = 0;
	unw_getcontext(&context);
	unw_init_local(&cursor, &context);
	do {
		unwound->frames++;
		if (unw_get_proc_name(&cursor, unwound->outermost, sizeof(unwound->outermost),
				      &displacement))
			unwound->outermost[0] = '\0';
		unwound->last_step = unw_step(&cursor);
	} while (unwound->last_step > 0 && unwound->frames < 100);
}

START_TEST(unwinding_stops_at_the_first_frame)
{
	struct unwound unwound = { 0 };
	struct coro *co = coro_new(unwind, &unwound);
	ck_assert(!coro_resume(co));
	ck_assert_int_eq(unwound.last_step, 0);
	ck_assert_int_ge(unwound.frames, 2);
	ck_assert_int_le(unwound.frames, 4);
	ck_assert_str_eq(unwound.outermost, "coro_first_frame");
	coro_free(co);
}
END_TEST

START_TEST(a_free_of_nothing_is_allowed)
{
	coro_free(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("coro");
	TCase *tcase = tcase_create("coro");
	tcase_add_test(tcase, a_coroutine_runs_from_yield_to_yield);
	tcase_add_test(tcase, coroutines_take_turns_on_stacks_of_their_own);
	tcase_add_test(tcase, the_stack_is_aligned_for_calls);
	tcase_add_test(tcase, values_in_registers_survive_switches);
	tcase_add_test(tcase, the_running_coroutine_and_its_stack_are_known);
	tcase_add_test(tcase, an_abandoned_coroutine_is_over_and_its_stack_is_good_again);
	tcase_add_test(tcase, equal_sequences_of_calls_get_equal_stacks);
	tcase_add_test(tcase, more_coroutines_than_the_pool_keeps_work_too);
	tcase_add_test(tcase,
		       ten_thousand_coroutines_one_after_the_other_take_no_more_memory_than_ten);
	tcase_add_test(tcase, unwinding_stops_at_the_first_frame);
	tcase_add_test(tcase, a_free_of_nothing_is_allowed);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
