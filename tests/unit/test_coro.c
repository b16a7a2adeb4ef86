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
	struct coro *co = coro_new(tell_thrice, name, 0);
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
		co[i] = coro_new(tell_thrice, names[i], (uint32_t)i);
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
	struct coro *co = coro_new(check_alignment, &remainder, 0);
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
		co[i] = coro_new(sum_up, &sums[i], (uint32_t)i);
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
	struct coro *co = coro_new(note_current, &seen, 0);
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
		struct coro *co = coro_new(abandon_after_yield, NULL, 0);
		ck_assert(coro_resume(co));
		ck_assert(!coro_resume(co));
		coro_free(co);
		uintptr_t remainder = 99;
		co = coro_new(check_alignment, &remainder, 0);
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

START_TEST(equal_slots_are_equal_stacks_whatever_the_order)
{
	uintptr_t first[8] = { 0 };
	for (int round = 0; round < 3; round++) {
		struct coro *co[8];
		for (int nth = 0; nth < 8; nth++) {
			uintptr_t address = 0;
			int i = nth ^ round;
			co[i] = coro_new(note_stack, &address, (uint32_t)i);
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
		co[i] = coro_new(tell_thrice, name, (uint32_t)i);
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
		struct coro *co = coro_new(tell_thrice, name, 0);
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
	struct coro *co = coro_new(unwind, &unwound, 0);
	ck_assert(!coro_resume(co));
	ck_assert_int_eq(unwound.last_step, 0);
	ck_assert_int_ge(unwound.frames, 2);
	ck_assert_int_le(unwound.frames, 4);
	ck_assert_str_eq(unwound.outermost, "coro_first_frame");
	coro_free(co);
}
END_TEST

/** Adds up, on its own stack only, what it is asked for. */
struct adder {
	int asked;
	long total;
};

static void add_up(void *argument)
{
	struct adder *adder = argument;
	long parts[300] = { 0 };
	long *last = &parts[299];
	for (;;) {
		for (int i = 0; i < 299; i++)
			parts[i] += adder->asked;
		*last += adder->asked;
		adder->total = 0;
		for (int i = 0; i < 300; i++)
			adder->total += parts[i];
		coro_yield();
	}
}

static long ask(struct coro *co, struct adder *adder, int number)
{
	adder->asked = number;
	ck_assert(coro_resume(co));
	return adder->total;
}

START_TEST(a_loaded_coroutine_goes_on_from_where_it_was_saved)
{
	struct snapshot_buffer early = { 0 }, late = { 0 };
	struct adder adder = { 0 };
	if (!coro_can_snapshot()) {
		fputs("skipped: no snapshots of stacks with AddressSanitizer\n", stderr);
		return;
	}
	struct coro *co = coro_new(add_up, &adder, 9);
	ck_assert(coro_is_pooled(co));
	ck_assert_int_eq(ask(co, &adder, 1), 300);
	coro_save(co, &early);
	ck_assert_int_eq(ask(co, &adder, 2), 900);
	coro_save(co, &late);
	ck_assert_int_eq(ask(co, &adder, 4), 2100);
	for (int round = 0; round < 3; round++) {
		coro_free(co);
		/* Somebody else has the stack meanwhile. */
		struct adder other = { 0 };
		co = coro_new(add_up, &other, 9);
		ck_assert_int_eq(ask(co, &other, 7), 2100);
		coro_free(co);
		struct snapshot_buffer *buffer = round % 2 ? &early : &late;
		snapshot_buffer_rewind(buffer);
		co = coro_load(buffer);
		ck_assert_int_eq(ask(co, &adder, 10), round % 2 ? 3300 : 3900);
	}
	coro_free(co);
	snapshot_buffer_release(&early);
	snapshot_buffer_release(&late);
}
END_TEST

START_TEST(a_fresh_coroutine_can_be_saved_and_loaded_too)
{
	char name[] = "a ";
	struct snapshot_buffer buffer = { 0 };
	if (!coro_can_snapshot()) {
		fputs("skipped: no snapshots of stacks with AddressSanitizer\n", stderr);
		return;
	}
	struct coro *co = coro_new(tell_thrice, name, 0);
	coro_save(co, &buffer);
	for (int round = 0; round < 2; round++) {
		while (coro_resume(co))
			tell("| ");
		coro_free(co);
		snapshot_buffer_rewind(&buffer);
		co = coro_load(&buffer);
	}
	coro_free(co);
	ck_assert_str_eq(story, "a | a | a | end a | a | a | end ");
	snapshot_buffer_release(&buffer);
}
END_TEST

static void leave_and_return(void *argument)
{
	volatile char below[4000];
	for (size_t i = 0; i < sizeof(below); i++)
		below[i] = *(char *)argument;
}

static void call_and_yield(void *argument)
{
	leave_and_return(argument);
	coro_yield();
}

START_TEST(what_lies_below_the_stack_pointer_can_be_wiped)
{
	char mark = 0x77;
	if (!coro_can_snapshot()) {
		fputs("skipped: no snapshots of stacks with AddressSanitizer\n", stderr);
		return;
	}
	struct coro *co = coro_new(call_and_yield, &mark, 3);
	ck_assert(coro_resume(co));
	size_t live_bytes = 0;
	const uint8_t *live = coro_live_stack(co, &live_bytes);
	ck_assert(coro_owns_address(co, live));
	ck_assert_uint_lt(live_bytes, 1024);
	uint8_t *copy = malloc(live_bytes);
	memcpy(copy, live, live_bytes);
	ck_assert_int_eq(live[-2000], mark);
	coro_clear_dead(co);
	for (int i = 1; i <= CORO_DEAD_BYTES; i++)
		ck_assert_int_eq(live[-i], 0);
	ck_assert_mem_eq(copy, live, live_bytes);
	ck_assert(!coro_resume(co));
	coro_free(co);
	free(copy);
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
	tcase_add_test(tcase, equal_slots_are_equal_stacks_whatever_the_order);
	tcase_add_test(tcase, more_coroutines_than_the_pool_keeps_work_too);
	tcase_add_test(tcase,
		       ten_thousand_coroutines_one_after_the_other_take_no_more_memory_than_ten);
	tcase_add_test(tcase, unwinding_stops_at_the_first_frame);
	tcase_add_test(tcase, a_loaded_coroutine_goes_on_from_where_it_was_saved);
	tcase_add_test(tcase, a_fresh_coroutine_can_be_saved_and_loaded_too);
	tcase_add_test(tcase, what_lies_below_the_stack_pointer_can_be_wiped);
	tcase_add_test(tcase, a_free_of_nothing_is_allowed);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
