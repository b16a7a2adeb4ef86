// SPDX-License-Identifier: MIT
/* libfiu says whether a point is enabled; asking it costs about 100 ns, twice what an in-memory
 * write costs. Most runs have no point enabled, so two flags, one for points of calls and one for
 * known bugs, say whether asking is worth it.
 *
 * The flags must not miss points that others enable: the program through fiu_enable(), a person
 * through fiu-run or fiu-ctrl. All of these end in one of libfiu's fiu_enable functions, which are
 * therefore defined here, in front of libfiu's own (libfiu calls them through the dynamic linker,
 * too): they set the flag and go on. A flag set by others is never cleared; that costs time only.
 */
#define FIU_ENABLE 1

#include "injector/fault_point.h"

#include "injector/fault_arm.h"
#include "injector/recorder.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <fiu-control.h>
#include <fiu.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALL_PREFIX "posix/io/"
#define MEMORY_PREFIX "libc/mm/"
#define BUG_PREFIX "engine/bug/"

enum { BUGS_MAX = 64, POINT_NAME_BYTES = 96 };

bool known_bugs_armed;
bool fault_calls_armed;
__thread struct fault_asked fault_asked;

static bool calls_armed_by_others;
static bool bugs_armed_by_others;

/* Known bugs that known_bug_enable() switched on. */
static char bugs[BUGS_MAX][POINT_NAME_BYTES];
static size_t bug_count;

/** Can `name`, which may end in `*`, stand for a point that begins with `prefix`? */
static bool may_begin_with(const char *name, const char *prefix)
{
	size_t length = strlen(name);
	size_t prefix_length = strlen(prefix);

	if (length > 0 && name[length - 1] == '*')
		length--;
	return strncmp(name, prefix, length < prefix_length ? length : prefix_length) == 0;
}

static void arm_for_others(const char *name)
{
	calls_armed_by_others |=
		may_begin_with(name, CALL_PREFIX) || may_begin_with(name, MEMORY_PREFIX);
	bugs_armed_by_others |= may_begin_with(name, BUG_PREFIX);
	fault_calls_armed |= calls_armed_by_others;
	known_bugs_armed |= bugs_armed_by_others;
}

/** Store the address of libfiu's own `name` in the function pointer at `pointer`. */
static void find_next(void *pointer, const char *name)
{
	void *address = dlsym(RTLD_NEXT, name);

	memcpy(pointer, &address, sizeof(address));
}

FAULT_EXPORT int fiu_enable(const char *name, int failnum, void *failinfo, unsigned flags)
{
	static int (*next)(const char *, int, void *, unsigned);

	if (!next)
		find_next(&next, "fiu_enable");
	arm_for_others(name);
	return next(name, failnum, failinfo, flags);
}

FAULT_EXPORT int fiu_enable_random(const char *name, int failnum, void *failinfo, unsigned flags,
				   float probability)
{
	static int (*next)(const char *, int, void *, unsigned, float);

	if (!next)
		find_next(&next, "fiu_enable_random");
	arm_for_others(name);
	return next(name, failnum, failinfo, flags, probability);
}

int fault_enable_external(const char *name, external_cb_t *decide)
{
	static int (*next)(const char *, int, void *, unsigned, external_cb_t *);

	if (!next)
		find_next(&next, "fiu_enable_external");
	return next(name, 1, NULL, 0, decide);
}

FAULT_EXPORT int fiu_enable_external(const char *name, int failnum, void *failinfo, unsigned flags,
				     external_cb_t *external_cb)
{
	static int (*next)(const char *, int, void *, unsigned, external_cb_t *);

	if (!next)
		find_next(&next, "fiu_enable_external");
	arm_for_others(name);
	return next(name, failnum, failinfo, flags, external_cb);
}

FAULT_EXPORT int fiu_enable_stack(const char *name, int failnum, void *failinfo, unsigned flags,
				  void *func, int func_pos_in_stack)
{
	static int (*next)(const char *, int, void *, unsigned, void *, int);

	if (!next)
		find_next(&next, "fiu_enable_stack");
	arm_for_others(name);
	return next(name, failnum, failinfo, flags, func, func_pos_in_stack);
}

FAULT_EXPORT int fiu_enable_stack_by_name(const char *name, int failnum, void *failinfo,
					  unsigned flags, const char *func_name,
					  int func_pos_in_stack)
{
	static int (*next)(const char *, int, void *, unsigned, const char *, int);

	if (!next)
		find_next(&next, "fiu_enable_stack_by_name");
	arm_for_others(name);
	return next(name, failnum, failinfo, flags, func_name, func_pos_in_stack);
}

void fault_point_init(void)
{
	fiu_init(0);
}

void fault_arm_calls(bool armed)
{
	fault_calls_armed = armed || calls_armed_by_others;
}

/** The number that a point enabled by others carries; 0: none. */
static uint64_t failinfo(void)
{
	intptr_t number = (intptr_t)fiu_failinfo();

	return number > 0 ? (uint64_t)number : 0;
}

static struct fault ask_for_error(const struct fault_call *call)
{
	struct fault fault = { 0 };

	if (!fiu_fail(call->point))
		return fault;
	fault = fault_asked.taken;
	if (fault.error == 0 && fault.bytes == 0)
		fault.error = failinfo() - 1 < 4095 ? (int)failinfo() : EIO;
	return fault;
}

static struct fault ask_for_cut(const struct fault_call *call)
{
	char name[POINT_NAME_BYTES];
	struct fault fault = { 0 };

	snprintf(name, sizeof(name), "%s/reduce", call->point);
	if (!fiu_fail(name))
		return fault;
	fault = fault_asked.taken;
	return fault.error == 0 && fault.bytes == 0 ? fault_cut(call, failinfo()) : fault;
}

struct fault fault_point_ask(const struct fault_call *call)
{
	struct fault fault = { 0 };

	if (__builtin_expect(!fault_calls_armed, 1))
		return fault;
	fault_asked = (struct fault_asked){ .call = call };
	fault = ask_for_error(call);
	bool is_transfer = call->kind == FAULT_CALL_READ || call->kind == FAULT_CALL_WRITE;
	if (fault.error == 0 && fault.bytes == 0 && is_transfer)
		fault = ask_for_cut(call);
	fault_asked = (struct fault_asked){ 0 };
	return fault;
}

void known_bug_enable(const char *name)
{
	assert(bug_count < BUGS_MAX);
	char *point = bugs[bug_count];
	bool has_prefix = strncmp(name, BUG_PREFIX, strlen(BUG_PREFIX)) == 0;
	int length = snprintf(point, POINT_NAME_BYTES, "%s%s", has_prefix ? "" : BUG_PREFIX, name);

	assert(length > 0 && length < POINT_NAME_BYTES);
	for (size_t i = 0; i < bug_count; i++)
		if (strcmp(bugs[i], point) == 0)
			return;
	static int (*next)(const char *, int, void *, unsigned);
	if (!next)
		find_next(&next, "fiu_enable");
	fault_point_init();
	if (next(point, 1, NULL, 0) != 0)
		abort();
	bug_count++;
	known_bugs_armed = true;
}

void known_bugs_disable(void)
{
	while (bug_count > 0)
		fiu_disable(bugs[--bug_count]);
	known_bugs_armed = bugs_armed_by_others;
}

bool known_bug_is_on(const char *point)
{
	bool is_on = fiu_fail(point) != 0;

	recorder_clear_stack();
	return is_on;
}
