// SPDX-License-Identifier: MIT
/* Footprints are checked, not believed.
 *
 * A search leaves out orders of steps whose footprints do not conflict. A footprint is what the
 * code says of itself; a line forgotten beside an access makes steps look exchangeable that are
 * not, and nobody notices: the runs left out cannot complain. So the compiler is made to tell of
 * every access, and each is looked up in a map of who may have it:
 *
 *     private    one task's: what it took from the arena, or touched first elsewhere; nobody
 *                else gets there. Its own stack is.
 *     bound      part of an object: the step must declare that it touches that part
 *     constant   nobody changes it any more
 *     shared     elsewhere than in the arena: has been read by several tasks; as constant
 *
 * The map has an entry for each four bytes (a granule), in pages that are made when first used, and
 * is forgotten with every run. Accesses are collected during the step and compared at its end, for
 * a declaration may stand behind the access. An object as a whole may be read by who touches any
 * part of it, and changed by who touches all of it: so any two of them that do not commute meet.
 *
 * When tasks hand memory to each other that is said, too, and checked as far as it can be: to own
 * what was bound takes a write of an object that all who could get there look at; to hand over
 * takes to own.
 *
 * Not seen: what functions do that are compiled without call-backs (the scheduler, the arena, the
 * injector, the C library but for the functions in audit_calls.h); at which point of an I/O its
 * bytes are really moved; an access that is declared in the wrong mode, when that mode allows it
 * (an update said to commute that does not). The last is what exchanging steps shows.
 */
#include "engine/scheduler/audit.h"

#include "engine/scheduler/audit_private.h"
#include "engine/scheduler/sched_private.h"
#include "engine/scheduler/touch.h"
#include "injector/backtrace.h"

#include <assert.h>
#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	FINDINGS_MAX = 16384, /* of a step */
	REPEATS = 16,         /* how far back an equal finding is looked for */
	COMPLAINT_BYTES = 512,
	PLACE_BYTES = 256,
	PLACES_MAX = 64,
};

/** Where something is declared. */
struct place {
	const void *caller;
	bool is_muted;
};

/* The compiler's call-backs have no parameter for an audit: there is one. */
static struct {
	bool active;
	struct finding findings[FINDINGS_MAX];
	uint32_t finding_count;
	const struct task *task; /* whose findings they are */
	struct audit_counts counts;
	const char *muted_function; /* borrowed; NULL: none */
	uint32_t muted_kind;
	enum access_mode muted_mode;
	struct place places[PLACES_MAX]; /* that declare the like */
	uint32_t place_count, places_judged;
	char complaint[COMPLAINT_BYTES];
} audit;

static const char *const kind_names[] = {
	[TOUCH_MUTEX] = "TOUCH_MUTEX",
	[TOUCH_RWLOCK] = "TOUCH_RWLOCK",
	[TOUCH_QUEUE] = "TOUCH_QUEUE",
	[TOUCH_TASK] = "TOUCH_TASK",
	[TOUCH_SPAWN] = "TOUCH_SPAWN",
	[TOUCH_WORLD] = "TOUCH_WORLD",
	[TOUCH_LEADER] = "TOUCH_LEADER",
	[TOUCH_LIST] = "TOUCH_LIST",
	[TOUCH_EXTENT] = "TOUCH_EXTENT",
	[TOUCH_PROGRESS] = "TOUCH_PROGRESS",
	[TOUCH_URGENCY] = "TOUCH_URGENCY",
	[TOUCH_DRAINS] = "TOUCH_DRAINS",
	[TOUCH_FAILURES] = "TOUCH_FAILURES",
	[TOUCH_TASKS] = "TOUCH_TASKS",
	[TOUCH_L1] = "TOUCH_L1",
	[TOUCH_L2] = "TOUCH_L2",
	[TOUCH_SLOTS] = "TOUCH_SLOTS",
	[TOUCH_RECENT] = "TOUCH_RECENT",
	[TOUCH_DIRTY] = "TOUCH_DIRTY",
	[TOUCH_DEBTS] = "TOUCH_DEBTS",
	[TOUCH_CLUSTERS] = "TOUCH_CLUSTERS",
	[TOUCH_HOLDS] = "TOUCH_HOLDS",
	[TOUCH_HEADER] = "TOUCH_HEADER",
};

bool audit_is_active(void)
{
	return audit.active && task_current();
}

static bool is_same_object(const struct finding *a, const struct finding *b)
{
	return a->kind == b->kind && a->is_write == b->is_write &&
	       a->object_kind == b->object_kind && a->instance == b->instance;
}

void audit_find(const struct finding *finding)
{
	uint32_t least = audit.finding_count < REPEATS ? 0 : audit.finding_count - REPEATS;
	for (uint32_t i = audit.finding_count; i > least; i--) {
		struct finding *known = &audit.findings[i - 1];
		if (!is_same_object(known, finding))
			continue;
		if (known->to == finding->from && finding->from != finding->to)
			known->to = finding->to;
		if (known->from <= finding->from && finding->to <= known->to)
			return;
	}
	assert(audit.finding_count < FINDINGS_MAX);
	audit.task = task_current();
	audit.findings[audit.finding_count++] = *finding;
}

/** Does an access of `mode` allow to read, or to write? A mutex that is taken and given back within
 * a step is declared as read, so all modes allow all of it. A latch is counted down by unlocking:
 * who reads it has waited for all that do. */
static bool mode_allows(uint32_t kind, enum access_mode mode, bool is_write)
{
	if (kind == TOUCH_MUTEX)
		return true;
	if (mode == ACCESS_UNLOCK)
		return kind == TOUCH_WORLD;
	return !is_write || mode != ACCESS_READ;
}

/** How far behind `at` does the footprint cover what `finding` did? `at`: not at all. */
static uint64_t covered_to(const struct footprint *footprint, const struct finding *finding,
			   uint64_t at)
{
	uint32_t object = footprint_object(finding->object_kind, finding->instance);
	for (uint32_t i = 0; i < footprint->count; i++) {
		const struct access *access = &footprint->accesses[i];
		if (access->object == object && access->from <= at && at < access->to &&
		    mode_allows(finding->object_kind, access->mode, finding->is_write))
			return access->to;
	}
	return at;
}

static bool is_touched(const struct footprint *footprint, const struct finding *finding)
{
	uint32_t object = footprint_object(finding->object_kind, finding->instance);
	for (uint32_t i = 0; i < footprint->count; i++)
		if (footprint->accesses[i].object == object &&
		    mode_allows(finding->object_kind, footprint->accesses[i].mode, false))
			return true;
	return false;
}

static bool is_declared(const struct footprint *footprint, const struct finding *finding)
{
	if (finding->kind != FINDING_ACCESS)
		return false;
	bool is_whole = finding->from == TOUCH_ALL;
	if (is_whole && !finding->is_write)
		return is_touched(footprint, finding);
	uint64_t at = is_whole ? 0 : finding->from;
	while (at < finding->to) {
		uint64_t next = covered_to(footprint, finding, at);
		if (next == at)
			return false;
		at = next;
	}
	return true;
}

/** Name a place in the program. */
static void name_place(char *text, const void *place)
{
	Dl_info info;
	struct trace modules;
	snprintf(text, PLACE_BYTES, "%p", place);
	if (!dladdr(place, &info))
		return;
	trace_init(&modules);
	const struct trace_frame frame = {
		.module = trace_add_module(&modules, "/proc/self/exe", ""),
		.address = (uintptr_t)place - (uintptr_t)info.dli_fbase,
	};
	backtrace_symbolise(text, PLACE_BYTES, &modules, &frame);
	trace_release(&modules);
}

static void describe(const struct finding *finding, char *text, size_t text_bytes)
{
	char entry[64] = "";
	switch (finding->kind) {
	case FINDING_ACCESS:
		if (finding->from != TOUCH_ALL)
			snprintf(entry, sizeof(entry), " entry %" PRIu64, finding->from);
		snprintf(text, text_bytes, "%s %" PRIu32 "%s", kind_names[finding->object_kind],
			 finding->instance, entry);
		break;
	case FINDING_PRIVATE:
		snprintf(text, text_bytes, "memory of task %" PRIu32 " that is bound to nothing",
			 finding->owner);
		break;
	case FINDING_CONSTANT: snprintf(text, text_bytes, "memory that is constant"); break;
	case FINDING_STACK:
		snprintf(text, text_bytes, "the stack of task %" PRIu32, finding->owner);
		break;
	}
}

static void complain(const struct finding *finding)
{
	char what[128], place[PLACE_BYTES];
	describe(finding, what, sizeof(what));
	name_place(place, finding->caller);
	snprintf(audit.complaint, sizeof(audit.complaint),
		 "audit: task %" PRIu32 " '%s' %s %s at %s, its step declares no such %s",
		 audit.task->number, audit.task->name, finding->is_write ? "writes" : "reads", what,
		 place, finding->is_write ? "write" : "access");
}

/** Name the places that have declared what may be muted. Not done where they declare: a task's
 * stack is too small for it. */
static void judge_places(void)
{
	for (; audit.places_judged < audit.place_count; audit.places_judged++) {
		struct place *place = &audit.places[audit.places_judged];
		size_t length = strlen(audit.muted_function);
		char name[PLACE_BYTES];
		name_place(name, place->caller);
		place->is_muted =
			strncmp(name, audit.muted_function, length) == 0 && name[length] == '+';
	}
}

void audit_step_done(const struct footprint *footprint)
{
	audit.counts.steps++;
	if (footprint->count > audit.counts.footprint_peak)
		audit.counts.footprint_peak = footprint->count;
	audit.counts.everything += footprint->everything;
	audit.counts.accesses += audit.finding_count;
	for (uint32_t i = 0; i < audit.finding_count; i++) {
		if (footprint->everything || audit.complaint[0])
			break;
		if (!is_declared(footprint, &audit.findings[i]))
			complain(&audit.findings[i]);
	}
	audit.finding_count = 0;
	judge_places();
}

void audit_begin(void)
{
	audit_map_forget();
	audit.finding_count = 0;
	audit.complaint[0] = '\0';
	audit.active = true;
}

const char *audit_end(void)
{
	audit.active = false;
	return audit.complaint[0] ? audit.complaint : NULL;
}

struct audit_counts audit_counts(void)
{
	return audit.counts;
}

void audit_mute(const char *function, uint32_t kind, enum access_mode mode)
{
	audit.muted_function = function;
	audit.muted_kind = kind;
	audit.muted_mode = mode;
	audit.place_count = 0;
	audit.places_judged = 0;
}

bool audit_is_muted(const void *caller, uint32_t kind, enum access_mode mode)
{
	if (!audit.muted_function || kind != audit.muted_kind || mode != audit.muted_mode)
		return false;
	uint32_t i = 0;
	while (i < audit.place_count && audit.places[i].caller != caller)
		i++;
	if (i < audit.place_count)
		return audit.places[i].is_muted;
	assert(i < PLACES_MAX);
	audit.places[audit.place_count++] = (struct place){ .caller = caller };
	return false;
}
