// SPDX-License-Identifier: MIT
/* Deaths that end a run and not the process.
 *
 * A search runs an engine with bugs in it, on purpose, thousands of times a second. When one of
 * those runs fails an assertion or follows a freed pointer, that is a result to report, and the
 * search goes on. So while a run is in progress
 *
 *   - a failed assert() comes to __assert_fail() below, which replaces the C library's;
 *   - SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT are caught on a stack of their own, because the
 *     task's stack may be what overflowed;
 *   - a timer of processor time looks twice a second whether the same step still runs.
 *
 * Inside a task each of them writes down what happened and abandons the coroutine: control is back
 * in sched_run(), which drops the whole run. Nothing on the dead stack is unwound or cleaned up;
 * whatever the run owned lives in its arena and in the scheduler, and both are reset as a whole.
 * Outside tasks nothing is caught: the program itself is broken, and the default holds.
 *
 * Leaving a signal handler without returning from it is safe here because the handlers are
 * installed with SA_NODEFER and an empty mask (no signal stays blocked), because the kernel tells
 * by the stack pointer alone whether the alternate stack is in use, and because the interrupted
 * code was the task's own. The exception is the timer: it may strike inside the C library, which
 * is then left as it was. It is a safety net for steps that never end; it only decides that the
 * run is dead, and what it needs afterwards (the stack label) is made from a copy of the
 * interrupted registers, on the scheduler's stack.
 *
 * A fault while the death is being written down abandons at once, with what is known.
 *
 * The message is recorded and compared between runs, so it shows an address only when that is the
 * same in every process: a small one, or poison.
 *
 * What it does not catch: damage that AddressSanitizer itself reports, and a second thread.
 */
#include "engine/scheduler/death.h"

#include "engine/coroutine/coro.h"
#include "engine/memory/arena.h"
#include "injector/backtrace.h"

#include <assert.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>

#if !defined(__x86_64__) && !defined(__aarch64__)
#error "no register names for this machine"
#endif

enum {
	SIGNAL_STACK_BYTES = 256 * 1024,
	TICK_MICROSECONDS = 500 * 1000,
	TICKS_MAX = 4, /* that see the same step */
	SMALL_ADDRESS_BITS = 32,
};

static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGVTALRM };
enum { SIGNALS = sizeof(signals) / sizeof(signals[0]) };

/* Global because a signal handler and __assert_fail() get no argument of ours. */
static struct {
	bool is_armed;
	bool is_held;         /* handlers stay between runs */
	bool is_dying;        /* the death is being written down */
	bool has_died;        /* `last` is valid */
	bool has_context;     /* `context` is to be labelled */
	unsigned still_ticks; /* timer ticks that saw the step `seen_step` */
	uint64_t seen_step;
	const uint64_t *steps; /* borrowed */
	struct trace *labels;  /* borrowed */
	struct death last;
	ucontext_t context; /* registers of the death that a signal told */
	void *signal_stack; /* owned; mapped once, kept */
	stack_t old_stack;
	struct sigaction old_actions[SIGNALS];
	struct itimerval old_timer;
	void (*print_schedule)(void);
} death;

/* AddressSanitizer, told that a function does not return, looks up the bounds of the thread's stack
 * to wipe its marks: slowly, with memory of its own. coro_free() wipes ours; it need not know. */
#define UNINSTRUMENTED __attribute__((no_sanitize("address")))

UNINSTRUMENTED __attribute__((noreturn)) static void abandon(void)
{
	death.is_dying = false;
	death.has_died = true;
	coro_abandon();
}

/** Inside a task of an armed run? */
static bool can_abandon(void)
{
	return death.is_armed && coro_current();
}

__attribute__((noreturn)) static void die_outside(const char *text)
{
	fprintf(stderr, "cowtip: %s\n", text);
	if (death.print_schedule) {
		void (*print)(void) = death.print_schedule;
		death.print_schedule = NULL;
		print();
	}
	abort();
}

/** Not inlined: the stack label leaves out exactly this frame and its caller's. */
__attribute__((noreturn, noinline, format(printf, 1, 0))) static void declare(const char *format,
									      va_list arguments)
{
	if (!can_abandon()) {
		char text[sizeof(death.last.text)];
		vsnprintf(text, sizeof(text), format, arguments);
		die_outside(text);
	}
	if (death.is_dying)
		abandon();
	death.is_dying = true;
	vsnprintf(death.last.text, sizeof(death.last.text), format, arguments);
	if (death.labels)
		death.last.stack = backtrace_label(death.labels, 2);
	abandon();
}

__attribute__((noinline)) void death_declare(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	declare(format, arguments);
}

/** Takes the place of the C library's function of this name: every assert() of the program ends
 * here. */
void __assert_fail(const char *assertion, const char *file, unsigned int line, const char *function)
{
	death_declare("assertion '%s' failed at %s:%u in %s", assertion, file, line, function);
}

bool death_is_poison(uint64_t word)
{
	const uint64_t poison = UINT64_C(0x0101010101010101) * ARENA_POISON;
	const uint64_t mask = UINT64_C(0x00ffffffffff0000);
	return (word & mask) == (poison & mask) || (word & mask) == (poison >> 3 & mask);
}

/** Does a register hold a poisoned pointer? Asked when the machine does not tell the address. */
static bool registers_hold_poison(const ucontext_t *context)
{
#if defined(__x86_64__)
	const greg_t *registers = context->uc_mcontext.gregs;
	const int count = REG_RIP + 1;
#else
	const unsigned long long *registers = context->uc_mcontext.regs;
	const int count = 31;
#endif
	for (int i = 0; i < count; i++)
		if (death_is_poison((uint64_t)registers[i]))
			return true;
	return false;
}

/** Did the signal interrupt the running coroutine itself, not the code that switches to it? */
static bool was_on_its_stack(const ucontext_t *context)
{
#if defined(__x86_64__)
	uintptr_t stack_pointer = (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
#else
	uintptr_t stack_pointer = (uintptr_t)context->uc_mcontext.sp;
#endif
	const void *address = NULL;
	memcpy(&address, &stack_pointer, sizeof(address));
	return coro_owns_address(coro_current(), address);
}

static void describe_memory_fault(const siginfo_t *info, const ucontext_t *context)
{
	uint64_t address = (uint64_t)(uintptr_t)info->si_addr;
	/* x86-64 does not tell the address when it is not canonical. */
	bool is_known = info->si_code > 0 && info->si_code != SI_KERNEL;
	char *text = death.last.text;
	size_t bytes = sizeof(death.last.text);
	if (is_known && coro_guards_address(coro_current(), info->si_addr))
		snprintf(text, bytes, "stack overflow");
	else if (is_known ? death_is_poison(address) : registers_hold_poison(context))
		snprintf(text, bytes, "%s", DEATH_BY_POISON);
	else if (is_known && !(address >> SMALL_ADDRESS_BITS))
		snprintf(text, bytes, "memory fault at address 0x%llx",
			 (unsigned long long)address);
	else
		snprintf(text, bytes, "memory fault at a wild address");
}

static void describe(int number, const siginfo_t *info, const ucontext_t *context)
{
	const char *text = "";
	switch (number) {
	case SIGSEGV:
	case SIGBUS: describe_memory_fault(info, context); return;
	case SIGFPE: text = "arithmetic fault (division by zero or overflow)"; break;
	case SIGILL: text = "illegal instruction"; break;
	case SIGABRT: text = "abort() was called"; break;
	case SIGVTALRM: text = "a step did not end within two seconds of processor time"; break;
	}
	snprintf(death.last.text, sizeof(death.last.text), "%s", text);
}

/** One tick of the timer: has the step in progress been seen too often? */
static bool step_is_endless(const ucontext_t *context)
{
	if (!can_abandon())
		return false;
	if (!was_on_its_stack(context) || death.seen_step != *death.steps) {
		death.seen_step = *death.steps;
		death.still_ticks = 0;
		return false;
	}
	return ++death.still_ticks >= TICKS_MAX;
}

/** A fault that is not a task's: let it happen again as if nobody had listened. */
static void pass_on(int number)
{
	for (size_t i = 0; i < SIGNALS; i++)
		if (signals[i] == number)
			sigaction(number, &death.old_actions[i], NULL);
	if (number == SIGABRT)
		die_outside("aborted");
}

UNINSTRUMENTED static void on_signal(int number, siginfo_t *info, void *raw_context)
{
	const ucontext_t *context = raw_context;
	if (number == SIGVTALRM && !step_is_endless(context))
		return;
	if (!can_abandon()) {
		pass_on(number);
		return;
	}
	if (death.is_dying)
		abandon();
	death.is_dying = true;
	describe(number, info, context);
	death.context = *context;
	death.has_context = true;
	abandon();
}

static void map_signal_stack(void)
{
	void *stack = mmap(NULL, SIGNAL_STACK_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	assert(stack != MAP_FAILED && "address space for a signal stack");
	death.signal_stack = stack;
}

static void install_handlers(void)
{
	if (!death.signal_stack)
		map_signal_stack();
	const stack_t stack = { .ss_sp = death.signal_stack, .ss_size = SIGNAL_STACK_BYTES };
	sigaltstack(&stack, &death.old_stack);
	struct sigaction action = { .sa_sigaction = on_signal,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTART };
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < SIGNALS; i++)
		sigaction(signals[i], &action, &death.old_actions[i]);
	getitimer(ITIMER_VIRTUAL, &death.old_timer);
}

static void put_handlers_back(void)
{
	setitimer(ITIMER_VIRTUAL, &death.old_timer, NULL);
	for (size_t i = 0; i < SIGNALS; i++)
		sigaction(signals[i], &death.old_actions[i], NULL);
	sigaltstack(&death.old_stack, NULL);
}

void death_arm(struct trace *labels, const uint64_t *steps)
{
	assert(!death.is_armed);
	if (!death.is_held)
		install_handlers();
	death.has_died = false;
	death.has_context = false;
	death.last.stack = 0;
	death.labels = labels;
	death.steps = steps;
	death.seen_step = *steps;
	death.still_ticks = 0;
	/* Set anew also when it runs: a process that was forked since has none. */
	const struct timeval tick = { .tv_usec = TICK_MICROSECONDS };
	const struct itimerval timer = { .it_interval = tick, .it_value = tick };
	setitimer(ITIMER_VIRTUAL, &timer, NULL);
	death.is_armed = true;
}

void death_disarm(void)
{
	assert(death.is_armed);
	death.is_armed = false;
	if (!death.is_held)
		put_handlers_back();
}

void death_hold(void)
{
	assert(!death.is_armed && !death.is_held);
	install_handlers();
	death.is_held = true;
}

void death_let_go(void)
{
	assert(!death.is_armed);
	if (death.is_held)
		put_handlers_back();
	death.is_held = false;
}

const struct death *death_last(void)
{
	if (!death.has_died)
		return NULL;
	if (death.has_context && death.labels)
		death.last.stack = backtrace_label_signal(death.labels, &death.context);
	death.has_context = false;
	return &death.last;
}

void death_set_schedule_printer(void (*print)(void))
{
	death.print_schedule = print;
}
