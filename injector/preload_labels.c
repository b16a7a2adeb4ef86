// SPDX-License-Identifier: MIT
/* Stack labels of a foreign program. A stack is unwound before the lock is taken and looked up
 * under it; labels live in a table of fixed size, because nothing here may call malloc.
 *
 * A thread comes from the same few places again and again. It keeps the last ones it came from,
 * with their labels, so that it need not ask for the lock; and where it stands at the very same
 * place of its stack, it need not unwind either. */
#include "injector/preload_labels.h"

#include "injector/preload.h"
#include "injector/unwind.h"

#include <string.h>

enum {
	LABEL_SLOTS = 1 << 13,
	LABELS_MAX = LABEL_SLOTS / 2,
	/** Stacks that a thread keeps. */
	KNOWN_STACKS = 4,
	/** So often a thread's stack is unwound in the way that lets it be known again. One that
	 *  comes from elsewhere after that is better served by libunwind's own memory. */
	TAKES_MAX = 16,
};

/* Which module of the stream a loaded module is, plus one; 0: not declared. */
static uint32_t module_labels[UNWIND_MODULES_MAX];
static uint32_t module_count;

static struct {
	struct trace_stack stack;
	uint32_t label; /* 0: free */
} labels[LABEL_SLOTS];
static uint32_t label_count;
static pid_t labels_of; /* the process whose stream has them */

/** A stack that this thread came with. */
struct known_stack {
	uintptr_t addresses[TRACE_FRAMES_MAX];
	size_t count;
	pid_t process; /* in whose stream it is; 0: free */
	uint32_t label;
	struct unwind_taken taken;
};

static __thread struct known_stack known_stacks[KNOWN_STACKS];
static __thread unsigned next_known; /* the one that gives way next */
static __thread unsigned takes;

/** Number of the module in the stream; declares it when it is new. */
static uint32_t module_label(const struct trace_sink *sink, int number)
{
	if (module_labels[number] == 0) {
		const struct unwind_module *module = unwind_module(number);
		struct trace_module declared;
		const char *path = module->path;
		const char *build_id = module->build_id;
		/* The encoder only reads the texts, which the type cannot say. */
		memcpy(&declared.path, &path, sizeof(path));
		memcpy(&declared.build_id, &build_id, sizeof(build_id));
		if (trace_put_module(sink, &declared) != STATUS_OK)
			preload.on = false;
		module_labels[number] = ++module_count;
	}
	return module_labels[number] - 1;
}

static void make_stack(struct trace_stack *stack, const struct trace_sink *sink,
		       const uintptr_t *addresses, size_t count)
{
	memset(stack, 0, sizeof(*stack));
	for (size_t i = 0; i < count && stack->count < TRACE_FRAMES_MAX; i++) {
		int number = unwind_module_number(addresses[i]);
		if (number < 0)
			continue;
		struct trace_frame *frame = &stack->frames[stack->count++];
		frame->module = module_label(sink, number);
		frame->address = addresses[i] - unwind_module(number)->base;
	}
}

static bool is_same_stack(const struct trace_stack *a, const struct trace_stack *b)
{
	bool same = a->count == b->count;

	for (uint32_t i = 0; same && i < a->count; i++)
		same = a->frames[i].module == b->frames[i].module &&
		       a->frames[i].address == b->frames[i].address;
	return same;
}

/** Label of `stack` in the stream, declared when it is new; 0 when the table is full. */
static uint32_t stack_label(const struct trace_sink *sink, const struct trace_stack *stack)
{
	uint64_t hash = stack->count;

	if (stack->count == 0)
		return 0;
	for (uint32_t i = 0; i < stack->count; i++)
		hash = (hash ^ stack->frames[i].address) * UINT64_C(0x9e3779b97f4a7c15) >> 7;
	size_t slot = hash % LABEL_SLOTS;
	while (labels[slot].label != 0 && !is_same_stack(&labels[slot].stack, stack))
		slot = (slot + 1) % LABEL_SLOTS;
	if (labels[slot].label == 0) {
		if (label_count == LABELS_MAX)
			return 0;
		if (trace_put_stack(sink, stack) != STATUS_OK)
			preload.on = false;
		labels[slot].stack = *stack;
		labels[slot].label = ++label_count;
	}
	return labels[slot].label;
}

/** A forked child begins a stream in which nothing is declared. */
static void forget_foreign_labels(void)
{
	if (labels_of == preload.process)
		return;
	labels_of = preload.process;
	if (label_count > 0)
		memset(labels, 0, sizeof(labels));
	memset(module_labels, 0, sizeof(module_labels));
	label_count = 0;
	module_count = 0;
}

/** The label of the stack with these return addresses; 0: none can be given. */
static uint32_t find_label(const uintptr_t *addresses, size_t count)
{
	uint32_t label = 0;

	preload_lock();
	const struct trace_sink *sink = preload.on ? preload_sink() : NULL;
	if (sink) {
		struct trace_stack stack;
		forget_foreign_labels();
		make_stack(&stack, sink, addresses, count);
		label = stack_label(sink, &stack);
	}
	preload_unlock();
	return label;
}

/** The known stack on which the function with this frame stands; NULL: none. */
static const struct known_stack *find_again(const void *frame)
{
	for (size_t i = 0; i < KNOWN_STACKS; i++)
		if (known_stacks[i].process == preload.process &&
		    unwind_is_again(&known_stacks[i].taken, frame))
			return &known_stacks[i];
	return NULL;
}

/** The known stack with these return addresses; NULL: none. */
static struct known_stack *find_known(const uintptr_t *addresses, size_t count)
{
	for (size_t i = 0; i < KNOWN_STACKS; i++)
		if (known_stacks[i].process == preload.process && known_stacks[i].count == count &&
		    memcmp(known_stacks[i].addresses, addresses, count * sizeof(*addresses)) == 0)
			return &known_stacks[i];
	return NULL;
}

static struct known_stack *add_known(const uintptr_t *addresses, size_t count)
{
	struct known_stack *known = &known_stacks[next_known++ % KNOWN_STACKS];

	known->label = find_label(addresses, count);
	memcpy(known->addresses, addresses, count * sizeof(*addresses));
	known->count = count;
	known->process = preload.process;
	known->taken.count = 0;
	return known;
}

uint32_t preload_label_caller(const void *frame)
{
	uintptr_t addresses[TRACE_FRAMES_MAX];
	struct unwind_taken taken = { 0 };
	const struct known_stack *again = find_again(frame);
	size_t count;

	if (again)
		return again->label;
	if (takes < TAKES_MAX) {
		takes++;
		count = unwind_callers_taken(addresses, TRACE_FRAMES_MAX, &taken, frame);
	} else {
		count = unwind_callers(addresses, TRACE_FRAMES_MAX);
	}
	if (count == 0)
		return 0;
	struct known_stack *known = find_known(addresses, count);
	if (!known)
		known = add_known(addresses, count);
	if (taken.count > 0)
		known->taken = taken;
	return known->label;
}
