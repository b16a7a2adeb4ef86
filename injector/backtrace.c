// SPDX-License-Identifier: MIT
#include "injector/backtrace.h"

#include "injector/unwind.h"

#include <string.h>

/* Frames of this file and of unwind.c that no label shows. */
enum { OWN_FRAMES = 1, ADDRESSES_MAX = TRACE_FRAMES_MAX + 8 };

/** Make `addresses` a label of `trace`; 0 when none lies in a module. */
static uint32_t label(struct trace *trace, const uintptr_t *addresses, size_t count)
{
	struct trace_stack stack;

	memset(&stack, 0, sizeof(stack));
	for (size_t i = 0; i < count && stack.count < TRACE_FRAMES_MAX; i++) {
		int number = unwind_module_number(addresses[i]);
		if (number < 0)
			continue;
		const struct unwind_module *module = unwind_module(number);
		struct trace_frame *frame = &stack.frames[stack.count++];
		frame->module = trace_add_module(trace, module->path, module->build_id);
		frame->address = addresses[i] - module->base;
	}
	return stack.count > 0 ? trace_add_stack(trace, &stack) : 0;
}

__attribute__((noinline)) uint32_t backtrace_label(struct trace *trace, unsigned skip)
{
	uintptr_t addresses[ADDRESSES_MAX];
	size_t count = unwind_addresses(addresses, ADDRESSES_MAX);
	size_t skipped = (size_t)skip + OWN_FRAMES;

	return skipped < count ? label(trace, addresses + skipped, count - skipped) : 0;
}

uint32_t backtrace_label_caller(struct trace *trace)
{
	uintptr_t addresses[ADDRESSES_MAX];
	size_t count = unwind_callers(addresses, ADDRESSES_MAX);

	return label(trace, addresses, count);
}

uint32_t backtrace_label_signal(struct trace *trace, void *ucontext)
{
	uintptr_t addresses[ADDRESSES_MAX];
	size_t count = unwind_addresses_signal(addresses, ADDRESSES_MAX, ucontext);

	return label(trace, addresses, count);
}
