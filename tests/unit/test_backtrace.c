// SPDX-License-Identifier: MIT
#include "injector/backtrace.h"
#include "tests/run_suite.h"

#include <check.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

static struct trace trace;
static volatile sig_atomic_t sink;
static uint32_t signal_label;

static void setup(void)
{
	trace_init(&trace);
}

static void teardown(void)
{
	trace_release(&trace);
}

static const char *name_of(uint32_t label, uint32_t frame)
{
	static char text[256];

	ck_assert_uint_gt(label, 0);
	ck_assert_uint_lt(frame, trace.stacks[label - 1].count);
	backtrace_symbolise(text, sizeof(text), &trace, &trace.stacks[label - 1].frames[frame]);
	return text;
}

static bool begins_with(const char *text, const char *beginning)
{
	return strncmp(text, beginning, strlen(beginning)) == 0;
}

__attribute__((noinline)) static uint32_t label_here(unsigned skip)
{
	uint32_t label = backtrace_label(&trace, skip);

	sink++;
	return label;
}

__attribute__((noinline)) static uint32_t outer_function(unsigned skip)
{
	uint32_t label = label_here(skip);

	sink++;
	return label;
}

START_TEST(labels_name_functions_from_the_innermost_outwards)
{
	uint32_t label = outer_function(0);

	ck_assert_msg(begins_with(name_of(label, 0), "label_here+0x"), "%s", name_of(label, 0));
	ck_assert_msg(begins_with(name_of(label, 1), "outer_function+0x"), "%s", name_of(label, 1));
	ck_assert_ptr_nonnull(strstr(name_of(label, 1), "(test_backtrace.c:"));
	label = outer_function(1);
	ck_assert_msg(begins_with(name_of(label, 0), "outer_function+0x"), "%s", name_of(label, 0));
}
END_TEST

START_TEST(equal_stacks_have_one_label)
{
	uint32_t labels[3];

	/* A volatile counter keeps the loop a loop: one place that calls. */
	for (volatile int i = 0; i < 3; i++)
		labels[i] = outer_function(0);
	ck_assert_uint_eq(labels[0], labels[1]);
	ck_assert_uint_eq(labels[1], labels[2]);
	ck_assert_uint_ne(outer_function(0), labels[0]);
}
END_TEST

__attribute__((noinline)) static uint32_t deep(unsigned depth)
{
	uint32_t label = depth == 0 ? backtrace_label(&trace, 0) : deep(depth - 1);

	sink++;
	return label;
}

START_TEST(deep_stacks_are_cut)
{
	uint32_t label = deep(100);

	ck_assert_uint_eq(trace.stacks[label - 1].count, TRACE_FRAMES_MAX);
	ck_assert_uint_eq(backtrace_label(&trace, 1000), 0);
}
END_TEST

static void on_signal(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	signal_label = backtrace_label_signal(&trace, context);
}

__attribute__((noinline)) static void interrupted_function(void)
{
	raise(SIGUSR1);
	sink++;
}

START_TEST(a_signal_handler_sees_the_interrupted_stack)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };

	sigaction(SIGUSR1, &action, NULL);
	interrupted_function();
	bool found = false;
	for (uint32_t i = 0; i < trace.stacks[signal_label - 1].count; i++)
		found |= begins_with(name_of(signal_label, i), "interrupted_function+0x");
	ck_assert(found);
}
END_TEST

START_TEST(what_cannot_be_named_is_shown_as_module_and_address)
{
	const struct trace_frame frame = { .module =
						   trace_add_module(&trace, "/no/such/lib.so", ""),
					   .address = 0x1234 };
	const struct trace_frame stray = { .module = 77, .address = 0x99 };
	char text[64];

	backtrace_symbolise(text, sizeof(text), &trace, &frame);
	ck_assert_str_eq(text, "lib.so+0x1234");
	backtrace_symbolise(text, sizeof(text), &trace, &stray);
	ck_assert_str_eq(text, "?+0x99");
	/* The file is there, but is another build. */
	uint32_t label = outer_function(0);
	struct trace_module *module = &trace.modules[trace.stacks[label - 1].frames[0].module];
	trace_set_text(&module->build_id, "00112233");
	ck_assert_msg(begins_with(name_of(label, 0), "test_backtrace+0x"), "%s", name_of(label, 0));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("backtrace");
	TCase *tests = tcase_create("backtrace");

	tcase_set_timeout(tests, 30);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, labels_name_functions_from_the_innermost_outwards);
	tcase_add_test(tests, equal_stacks_have_one_label);
	tcase_add_test(tests, deep_stacks_are_cut);
	tcase_add_test(tests, a_signal_handler_sees_the_interrupted_stack);
	tcase_add_test(tests, what_cannot_be_named_is_shown_as_module_and_address);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
