// SPDX-License-Identifier: MIT
/** The audit: does every access to memory that tasks share stand in the footprint of its step?
 *
 *  In the audit build (COWTIP_AUDIT) the compiler tells of every access, and what is bound with
 * touch_bind() and its like (touch.h) is compared with what the step declared. In other builds only
 * this header is left. */
#ifndef ENGINE_SCHEDULER_AUDIT_H
#define ENGINE_SCHEDULER_AUDIT_H

#include "injector/footprint.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(COWTIP_AUDIT)
enum { AUDIT_IS_ON = 1 };
#define AUDIT_EXEMPT __attribute__((noinline, no_sanitize("thread")))
#else
enum { AUDIT_IS_ON = 0 };
/** A function whose accesses need no declaration: what it finds cannot depend on the order of
 * independent steps. Its comment says why. */
#define AUDIT_EXEMPT
#endif

/** Begin to audit a run: everything that was known is forgotten. */
void audit_begin(void);

/** The step in progress has ended and declared `footprint`. */
void audit_step_done(const struct footprint *footprint);

/** The run is over. NULL, or one line on the first access that was not declared; valid until the
 * next audit_begin(). */
const char *audit_end(void);

/** What the audit has done so far. */
struct audit_counts {
	uint64_t steps;
	uint64_t accesses;       /* of shared memory, each part once a step */
	uint64_t everything;     /* steps that conflict with every other: nothing to compare */
	uint32_t footprint_peak; /* the longest footprint */
};

/** Since the process began. */
struct audit_counts audit_counts(void);

/** Leave the declarations of `kind` (enum touch_kind) in `mode` that `function` (borrowed) makes
 * out of footprints, to see whether they are missed. NULL: none. */
void audit_mute(const char *function, uint32_t kind, enum access_mode mode);

/** Is a declaration left out that is made at `caller`? */
bool audit_is_muted(const void *caller, uint32_t kind, enum access_mode mode);

/** The running task reads or writes `bytes` bytes; `caller` is where. */
void audit_access(const void *address, size_t bytes, bool is_write, const void *caller);

/** An object of the arena was taken by the running task, and is about to be given back. */
void audit_taken(const void *object, size_t bytes);
void audit_given(const void *object, const void *caller);

/** See touch_bind() and its like. Kinds are enum touch_kind. */
void audit_bind(const void *address, size_t bytes, uint32_t kind, uint32_t instance,
		uint64_t entry);
void audit_bind_entries(const uint64_t *entries, size_t count, uint32_t kind, uint32_t instance,
			uint64_t first);
void audit_bind_constant(const void *address, size_t bytes);
void audit_own(const void *address, size_t bytes, uint32_t kind, uint32_t instance, uint64_t entry);
void audit_hand_over(const void *address, size_t bytes, uint32_t task);
void audit_unbind(const void *address, size_t bytes);

#endif
