// SPDX-License-Identifier: MIT
/* Events of a foreign program to its stream. Threads are numbered in order of appearance. A stack
 * is unwound before the lock is taken and looked up under it; labels live in a table of fixed size,
 * because nothing here may call malloc. */
#include "injector/preload.h"

#include "injector/preload_gate.h"
#include "injector/recorder.h"
#include "injector/unwind.h"

#include <stdlib.h>
#include <string.h>

enum { LABEL_SLOTS = 1 << 13, LABELS_MAX = LABEL_SLOTS / 2 };

static uint32_t actor_count;
static uint32_t io_count;
static __thread uint32_t own_actor;

/* Which module of the stream a loaded module is, plus one; 0: not declared. */
static uint32_t module_labels[UNWIND_MODULES_MAX];
static uint32_t module_count;

static struct {
	struct trace_stack stack;
	uint32_t label; /* 0: free */
} labels[LABEL_SLOTS];
static uint32_t label_count;
static pid_t labels_of; /* the process whose stream has them */

/** The stack that this thread came with last: most often it comes with the same again. */
static __thread struct {
	uintptr_t addresses[TRACE_FRAMES_MAX];
	size_t count;
	pid_t process; /* in whose stream it is */
	uint32_t label;
} last_stack;

bool recorder_is_on(void)
{
	return preload.on;
}

static uint32_t actor_number(void)
{
	if (own_actor == 0)
		own_actor = __atomic_add_fetch(&actor_count, 1, __ATOMIC_RELAXED);
	return own_actor;
}

uint32_t preload_next_id(void)
{
	return __atomic_add_fetch(&io_count, 1, __ATOMIC_RELAXED);
}

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
	memset(labels, 0, sizeof(labels));
	memset(module_labels, 0, sizeof(module_labels));
	label_count = 0;
	module_count = 0;
}

static bool is_last_stack(const uintptr_t *addresses, size_t count)
{
	return last_stack.process == preload.process && last_stack.count == count &&
	       memcmp(last_stack.addresses, addresses, count * sizeof(*addresses)) == 0;
}

/** Make these return addresses the thread's last stack, with its label. */
static void label_stack(const uintptr_t *addresses, size_t count)
{
	preload_lock();
	const struct trace_sink *sink = preload.on ? preload_sink() : NULL;
	last_stack.label = 0;
	if (sink) {
		struct trace_stack stack;
		forget_foreign_labels();
		make_stack(&stack, sink, addresses, count);
		last_stack.label = stack_label(sink, &stack);
	}
	memcpy(last_stack.addresses, addresses, count * sizeof(*addresses));
	last_stack.count = count;
	last_stack.process = preload.process;
	preload_unlock();
}

/* Nobody looks at the stacks of a foreign program's threads. */
void recorder_clear_stack(void)
{
}

void recorder_begin_call(struct event *event)
{
	uintptr_t addresses[TRACE_FRAMES_MAX];
	size_t count = preload.stacks ? unwind_callers(addresses, TRACE_FRAMES_MAX) : 0;

	/* A held call is named when it has arrived, in an order that can be repeated. */
	if (!preload_gate_holds()) {
		event->actor = actor_number();
		event->id = preload_next_id();
	}
	if (count != 0 && !is_last_stack(addresses, count))
		label_stack(addresses, count);
	event->stack = count != 0 ? last_stack.label : 0;
}

/** Cut `vector` to its first `data_bytes` bytes. Returns how many spans that takes; 0: more than a
 * record may have. */
static size_t make_spans(struct trace_span *spans, const struct iovec *vector, size_t data_bytes)
{
	size_t count = 0;

	for (; data_bytes > 0; vector++) {
		size_t part = vector->iov_len < data_bytes ? vector->iov_len : data_bytes;
		if (part == 0)
			continue;
		if (count == TRACE_SPANS_MAX - 2)
			return 0;
		spans[count++] = (struct trace_span){ vector->iov_base, part };
		data_bytes -= part;
	}
	return count;
}

void recorder_append(const struct event *event, const struct iovec *vector, size_t data_bytes)
{
	struct trace_span spans[TRACE_SPANS_MAX];
	struct event whole = *event;
	size_t span_count = make_spans(spans, vector, data_bytes);

	whole.data_bytes = (uint32_t)data_bytes;
	if (!preload_gate_sign(&whole))
		return;
	preload_lock();
	const struct trace_sink *sink = preload.on ? preload_sink() : NULL;
	if (sink && data_bytes > 0 && span_count == 0)
		preload_problem("a write came in too many pieces");
	else if (sink && trace_put_event(sink, &whole, spans, span_count) == STATUS_OK)
		preload.events++;
	else if (sink)
		preload_problem("an event could not be written");
	preload_unlock();
}

void recorder_gap(const char *text)
{
	preload_problem(text);
}

/* Footprints serve a search, which a recording is not. */
void recorder_touch_effect(const struct watched_open *open, const struct io_request *request)
{
	(void)open;
	(void)request;
}

void recorder_touch_failed_flush(void)
{
}

void recorder_touch_submitted(const struct watched_open *open, enum io_op op)
{
	(void)open;
	(void)op;
}

void recorder_touch_completed(const struct watched_open *open, enum io_op op, int64_t result)
{
	(void)open;
	(void)op;
	(void)result;
}

int recorder_planned_fault(const struct watched_open *open, const struct io_request *request)
{
	(void)open;
	(void)request;
	return 0;
}

void recorder_touch_size(const struct watched_open *open)
{
	(void)open;
}

void recorder_closed(struct watched_open *open)
{
	(void)open;
}
