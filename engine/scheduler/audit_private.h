// SPDX-License-Identifier: MIT
/** What the audit's two files share. */
#ifndef ENGINE_SCHEDULER_AUDIT_PRIVATE_H
#define ENGINE_SCHEDULER_AUDIT_PRIVATE_H

#include "engine/scheduler/audit.h"

/** What is to be answered for. */
enum finding_kind { FINDING_ACCESS, FINDING_PRIVATE, FINDING_CONSTANT, FINDING_STACK };

/** An access to be answered for at the end of the step. */
struct finding {
	enum finding_kind kind;
	bool is_write;
	uint32_t owner;       /* PRIVATE, STACK: whose memory it is */
	uint32_t object_kind; /* ACCESS ... */
	uint32_t instance;
	uint64_t from, to; /* TOUCH_ALL, TOUCH_ALL: the object as a whole */
	const void *caller;
};

/** Is a run being audited, and does a task run? */
bool audit_is_active(void);

/** Note `finding` (copied) until the end of the step. */
void audit_find(const struct finding *finding);

/** Forget what memory is known of. */
void audit_map_forget(void);

#endif
