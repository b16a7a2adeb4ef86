// SPDX-License-Identifier: MIT
#include "engine/scheduler/death.h"

#include "engine/coroutine/co_mutex.h"
#include "engine/coroutine/co_queue.h"
#include "engine/memory/arena.h"
#include "injector/backtrace.h"
#include "injector/session.h"
#include "tests/unit/tasks.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sched *sched;
static struct arena *arena;
static struct trace labels;

static void setup(void)
{
	sched = sched_new();
	arena = arena_new();
	trace_init(&labels);
	ck_assert(sched && arena);
}

static void teardown(void)
{
	sched_free(sched);
	arena_free(arena);
	trace_release(&labels);
}

/* Ways to die. Volatile variables keep the compiler from seeing what comes. */

static volatile int zero;

static void fail_an_assertion(void)
{
	assert(zero == 1);
}

static void declare(void)
{
	death_declare("cluster %d is %s", 7, "wrong");
}

static void write_to(uintptr_t address)
{
	char *pointer = NULL;
	memcpy(&pointer, &address, sizeof(pointer));
	*(volatile char *)pointer = 1;
}

static void use_a_wild_pointer(void)
{
	write_to(0x1234);
}

static void use_a_far_pointer(void)
{
	write_to(0x123456789000);
}

struct link {
	struct link *next;
	char name[24];
};

static struct link *volatile list;

static void follow_a_freed_object(void)
{
	list = arena_take(arena, sizeof(*list));
	list->next = list;
	arena_give(arena, list);
	list->next->name[5] = 'x';
}

static void free_twice(void)
{
	void *object = arena_take(arena, 40);
	arena_give(arena, object);
	arena_give(arena, object);
	zero = 0;
}

static int overflow_the_stack(int depth)
{
	volatile char frame[300] = { (char)depth };
	if (depth < 0)
		return 0;
	return overflow_the_stack(depth + 1) + frame[0];
}

static void recurse(void)
{
	zero = overflow_the_stack(0);
}

static void wait_on_a_freed_queue(void)
{
	struct co_queue *queue = arena_take(arena, sizeof(*queue));
	co_queue_init(queue, "q", 0);
	arena_give(arena, queue);
	co_queue_wait(queue);
}

static void lock_a_mutex_never_initialised(void)
{
	co_mutex_lock(arena_take(arena, sizeof(struct co_mutex)));
}

static void write_to_a_freed_object(void)
{
	char *object = arena_take(arena, 40);
	arena_give(arena, object);
	object[7] = 'x';
}

static void write_past_an_object(void)
{
	char *object = arena_take(arena, 40);
	object[40 + zero] = 'x';
}

static void divide_by_zero(void)
{
	zero = 100 / zero;
}

static void call_abort(void)
{
	abort();
}

static void trap(void)
{
	__builtin_trap();
}

static const struct {
	const char *name;
	void (*die)(void);
	const char *report;  /* what the report holds */
	const char *instead; /* or this, where the compiler's checks come first */
} deaths[] = {
	{ "assertion", fail_an_assertion, "task 1 'victim': assertion 'zero == 1' failed at ",
	  NULL },
	{ "declared", declare, "task 1 'victim': cluster 7 is wrong", NULL },
	{ "wild pointer", use_a_wild_pointer, "memory fault at address 0x1234", NULL },
	{ "far pointer", use_a_far_pointer, "memory fault at a wild address", NULL },
	{ "poisoned pointer", follow_a_freed_object, DEATH_BY_POISON, NULL },
	{ "double free", free_twice, "not freed before", NULL },
	{ "stack overflow", recurse, "stack overflow", NULL },
	{ "freed queue", wait_on_a_freed_queue, "assertion 'is_live(queue)' failed", NULL },
	{ "no mutex", lock_a_mutex_never_initialised, "assertion 'is_live(mutex)' failed", NULL },
	{ "late write", write_to_a_freed_object, "somebody wrote to a freed object of 40 bytes",
	  NULL },
	{ "overrun", write_past_an_object, "somebody wrote past the end of an object of 40 bytes",
	  NULL },
	{ "division", divide_by_zero, "arithmetic fault", "division by zero" },
	{ "abort", call_abort, "abort() was called", NULL },
	{ "trap", trap, "illegal instruction", NULL },
};

enum { DEATHS = sizeof(deaths) / sizeof(deaths[0]) };

static struct co_mutex mutex;

static void victim(void *argument)
{
	const int *which = argument;
	co_mutex_lock(&mutex);
	task_yield();
	deaths[*which].die();
	co_mutex_unlock(&mutex);
}

static void bystander(void *argument)
{
	(void)argument;
	co_mutex_lock(&mutex);
	co_mutex_unlock(&mutex);
}

/** A run in which a task dies while it holds a lock and another waits for it. */
static enum run_end run_death(int which, struct trace *labelled)
{
	zero = 0;
	arena_reset(arena);
	co_mutex_init(&mutex, "m", 0);
	sched_spawn(sched, "victim", victim, &which);
	sched_spawn(sched, "bystander", bystander, NULL);
	struct sched_options options = { .arena = arena,
					 .labels = labelled,
					 .points = SCHED_POINTS_ALL };
	return sched_run(sched, &options);
}

static void behave(void *argument)
{
	(void)argument;
	char *object = arena_take(arena, 100);
	co_mutex_lock(&mutex);
	task_yield();
	co_mutex_unlock(&mutex);
	if (object[99])
		ck_abort_msg("memory of an earlier run shows through");
	arena_give(arena, object);
}

static enum run_end run_good(void)
{
	arena_reset(arena);
	co_mutex_init(&mutex, "m", 0);
	for (int i = 0; i < 3; i++)
		sched_spawn(sched, "good", behave, NULL);
	struct sched_options options = { .arena = arena, .points = SCHED_POINTS_ALL };
	return sched_run(sched, &options);
}

static bool report_is(int which)
{
	const char *report = sched_report(sched);
	return strstr(report, deaths[which].report) ||
	       (deaths[which].instead && strstr(report, deaths[which].instead));
}

START_TEST(every_kind_of_death_ends_the_run_and_is_named)
{
	ck_assert_int_eq(run_death(_i, NULL), RUN_DIED);
	ck_assert_msg(report_is(_i), "%s: '%s'", deaths[_i].name, sched_report(sched));
	char first[512];
	snprintf(first, sizeof(first), "%s", sched_report(sched));
	ck_assert_int_eq(run_good(), RUN_FINISHED);
	ck_assert_str_eq(sched_report(sched), "");
	ck_assert_int_eq(run_death(_i, NULL), RUN_DIED);
	ck_assert_str_eq(sched_report(sched), first);
}
END_TEST

/** Pages of memory in use, and of address space. */
static void count_pages(long *mapped, long *resident)
{
	char line[128] = "";
	FILE *file = fopen("/proc/self/statm", "r");
	ck_assert_ptr_nonnull(file);
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), file));
	fclose(file);
	char *rest = NULL;
	*mapped = strtol(line, &rest, 10);
	*resident = strtol(rest, NULL, 10);
}

START_TEST(ten_thousand_deaths_leave_nothing_behind)
{
	long mapped = 0, resident = 0, mapped_warm = 0, resident_warm = 0;
	for (int i = 0; i < 10000; i++) {
		/* Check itself takes memory for each assertion: only ask it to report a failure. */
		if (run_death(_i, NULL) != RUN_DIED || !report_is(_i))
			ck_abort_msg("%s: '%s'", deaths[_i].name, sched_report(sched));
		if (run_good() != RUN_FINISHED)
			ck_abort_msg("after %s: '%s'", deaths[_i].name, sched_report(sched));
		if (i == 500)
			count_pages(&mapped_warm, &resident_warm);
	}
	count_pages(&mapped, &resident);
	ck_assert_msg(mapped <= mapped_warm + 64, "%s: %ld to %ld pages mapped", deaths[_i].name,
		      mapped_warm, mapped);
	ck_assert_msg(resident <= resident_warm + 512, "%s: %ld to %ld pages resident",
		      deaths[_i].name, resident_warm, resident);
}
END_TEST

static void loop_forever(void *argument)
{
	(void)argument;
	while (!zero) {
	}
}

START_TEST(a_step_without_end_dies)
{
	zero = 0;
	sched_spawn(sched, "loop", loop_forever, NULL);
	struct sched_options options = { .labels = &labels };
	ck_assert_int_eq(sched_run(sched, &options), RUN_DIED);
	ck_assert_str_eq(sched_report(sched), "task 1 'loop': a step did not end within two "
					      "seconds of processor time");
	ck_assert_uint_gt(labels.stack_count, 0);
}
END_TEST

/** Does a frame of stack `label` belong to `function`? */
static bool stack_shows(uint32_t label, const char *function)
{
	const struct trace_stack *stack = &labels.stacks[label - 1];
	for (uint32_t i = 0; i < stack->count; i++) {
		char text[256];
		backtrace_symbolise(text, sizeof(text), &labels, &stack->frames[i]);
		if (strstr(text, function))
			return true;
	}
	return false;
}

/** Die with labels on; the stack label of the END event. */
static uint32_t end_label(int which)
{
	struct event_log log;
	event_log_init(&log);
	session_begin(&(struct session_options){ .log = &log });
	ck_assert_int_eq(run_death(which, &labels), RUN_DIED);
	session_end();
	const struct event *last = &log.events[log.count - 1];
	ck_assert_int_eq(last->kind, EVENT_END);
	ck_assert_int_eq(last->op, RUN_DIED);
	ck_assert(event_data(&log, last) &&
		  !memcmp(event_data(&log, last), sched_report(sched), last->data_bytes));
	uint32_t label = last->stack;
	event_log_release(&log);
	return label;
}

START_TEST(a_death_has_the_stack_of_where_it_happened)
{
	const struct {
		int which;
		const char *function;
	} expected[] = { { 0, "fail_an_assertion" },
			 { 1, "declare" },
			 { 2, "use_a_wild_pointer" },
			 { 5, "free_twice" } };
	for (size_t i = 0; i < 4; i++) {
		uint32_t label = end_label(expected[i].which);
		ck_assert_uint_gt(label, 0);
		ck_assert_msg(stack_shows(label, expected[i].function), "%s", expected[i].function);
		ck_assert(stack_shows(label, "victim"));
		ck_assert(!stack_shows(label, "sched_run"));
		ck_assert_int_eq(run_good(), RUN_FINISHED);
	}
}
END_TEST

START_TEST(a_stack_overflow_has_a_stack_too)
{
	uint32_t label = end_label(6);
	ck_assert_uint_gt(label, 0);
	ck_assert(stack_shows(label, "overflow_the_stack"));
}
END_TEST

START_TEST(signal_handlers_are_put_back_after_a_run)
{
	const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGVTALRM };
	struct sigaction before[6], after;
	for (int i = 0; i < 6; i++)
		sigaction(signals[i], NULL, &before[i]);
	run_death(0, NULL);
	run_good();
	run_death(2, NULL);
	for (int i = 0; i < 6; i++) {
		sigaction(signals[i], NULL, &after);
		ck_assert(after.sa_sigaction == before[i].sa_sigaction);
	}
}
END_TEST

static void print_schedule(void)
{
	fputs("repeat with s1:0123\n", stderr);
}

START_TEST(an_assertion_outside_tasks_prints_the_schedule_and_aborts)
{
	int ends[2];
	ck_assert_int_eq(pipe(ends), 0);
	pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		dup2(ends[1], STDERR_FILENO);
		death_set_schedule_printer(print_schedule);
		fail_an_assertion();
		_exit(0);
	}
	close(ends[1]);
	char text[512] = "";
	ssize_t bytes = read(ends[0], text, sizeof(text) - 1);
	ck_assert_int_gt(bytes, 0);
	while (bytes < (ssize_t)sizeof(text) - 1) {
		ssize_t more = read(ends[0], text + bytes, sizeof(text) - 1 - (size_t)bytes);
		if (more <= 0)
			break;
		bytes += more;
	}
	close(ends[0]);
	int status = 0;
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	ck_assert_ptr_nonnull(strstr(text, "assertion 'zero == 1' failed at "));
	ck_assert_ptr_nonnull(strstr(text, "repeat with s1:0123\n"));
}
END_TEST

static uint32_t fail_in_pick(struct strategy *strategy, const struct choice_point *point)
{
	(void)strategy;
	(void)point;
	use_a_wild_pointer();
	return 0;
}

static bool begin_run(struct strategy *strategy)
{
	(void)strategy;
	return true;
}

START_TEST(a_fault_between_steps_is_the_program_s_own)
{
	static const struct strategy_ops ops = { .begin = begin_run, .pick = fail_in_pick };
	struct strategy strategy = { .ops = &ops };
	struct choice choice;
	choice_init(&choice, &strategy, NULL);
	pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
		co_mutex_init(&mutex, "m", 0);
		sched_spawn(sched, "a", bystander, NULL);
		sched_spawn(sched, "b", bystander, NULL);
		struct sched_options options = { .choice = &choice };
		sched_run(sched, &options);
		_exit(0);
	}
	int status = 0;
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
	choice_release(&choice);
}
END_TEST

START_TEST(poison_is_recognised_with_a_member_s_offset_and_nothing_else_is)
{
	ck_assert(death_is_poison(UINT64_C(0xdbdbdbdbdbdbdbdb)));
	ck_assert(death_is_poison(UINT64_C(0xdbdbdbdbdbdbdbe3)));
	ck_assert(death_is_poison(UINT64_C(0xdbdbdbdbdbdbfbdb)));
	ck_assert(death_is_poison(UINT64_C(0x00dbdbdbdbdbdbdb)));
	ck_assert(!death_is_poison(0));
	ck_assert(!death_is_poison(0xdb));
	ck_assert(!death_is_poison(0xdbdbdbdb));
	ck_assert(!death_is_poison(UINT64_C(0x00007fffdbdbdbdb)));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("death");
	TCase *tcase = tcase_create("death");
	tcase_set_timeout(tcase, 100);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, every_kind_of_death_ends_the_run_and_is_named, 0, DEATHS);
	tcase_add_loop_test(tcase, ten_thousand_deaths_leave_nothing_behind, 0, DEATHS);
	tcase_add_test(tcase, a_step_without_end_dies);
	tcase_add_test(tcase, a_death_has_the_stack_of_where_it_happened);
	tcase_add_test(tcase, a_stack_overflow_has_a_stack_too);
	tcase_add_test(tcase, signal_handlers_are_put_back_after_a_run);
	tcase_add_test(tcase, an_assertion_outside_tasks_prints_the_schedule_and_aborts);
	tcase_add_test(tcase, a_fault_between_steps_is_the_program_s_own);
	tcase_add_test(tcase, poison_is_recognised_with_a_member_s_offset_and_nothing_else_is);
	return run_case(suite, tcase);
}
