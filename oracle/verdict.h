// SPDX-License-Identifier: MIT
/** Verdicts: which rule a run or one of its crash states breaks, where, and how bad that is. */
#ifndef ORACLE_VERDICT_H
#define ORACLE_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Permanent; the names are `cow-complete`, `old-or-new`, ... */
enum rule {
	RULE_COW_COMPLETE,
	RULE_OLD_OR_NEW,
	RULE_FLUSH_DURABLE,
	RULE_REFCOUNT_COVERS,
	RULE_COPIED_EXACT,
	RULE_NO_ALIAS,
	RULE_OPENS,
	RULE_LEAK_BOUNDED,
	RULE_READ_LINEARIZABLE,
	RULE_ERROR_CONTAINED,
	RULE_PROGRESS,
	RULE_REPAIR_CONVERGES, /* not judged by a judge: it takes an engine that repairs */
	RULE_COUNT
};

enum severity { SEVERITY_LEAK, SEVERITY_HAZARD, SEVERITY_CORRUPTION };

/** Crash models; a set is the OR of their bits. */
enum crash_model {
	CRASH_NONE = 0, /* the run itself, or its end: no crash */
	CRASH_PREFIX = 1,
	CRASH_TORN = 2,
	CRASH_REORDER = 4,
};

enum { VERDICT_MESSAGE_BYTES = 640 };

#define NOWHERE UINT64_MAX /* an offset that does not apply */

struct verdict {
	enum rule rule;
	enum severity severity;
	enum crash_model model; /* the weakest that shows it */
	uint64_t operation;     /* the crash falls after this many operations that changed the file,
				   from 0 */
	uint32_t sector;        /* CRASH_TORN: sectors of operation + 1 that persisted; else 0 */
	size_t event;           /* index of the event after which it shows */
	uint32_t request;       /* request it is about, 0: none */
	bool strict_only;       /* the lax form of old-or-new allows it */
	uint64_t guest_offset;  /* or NOWHERE */
	/* With a guest_offset: what is found here is the same violation. Of what a crash leaves:
	 * the guest cluster's offset, wherever in it is the first sector that shows it. */
	uint64_t guest_place;
	uint64_t host_offset; /* or NOWHERE */
	/* In qcow2 words; CRASH_REORDER: ends with " (persisted: LIST)", see oracle/persist.h;
	 * RULE_REPAIR_CONVERGES says what was lost. */
	char message[VERDICT_MESSAGE_BYTES];
};

/** As printed, "cow-complete"; "?" when out of range. */
const char *rule_name(enum rule rule);

/** What the rule demands, in one sentence. */
const char *rule_statement(enum rule rule);

/** False when `text` names no rule. */
bool rule_parse(const char *text, enum rule *rule);

/** As printed: leak, hazard, corruption. */
const char *severity_name(enum severity severity);
/** As printed: none, prefix, torn, reorder. */
const char *crash_model_name(enum crash_model model);

/** Parse "prefix,torn,reorder" into a set. False: unknown name. */
bool crash_models_parse(const char *text, unsigned *models);

#endif
