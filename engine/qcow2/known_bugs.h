// SPDX-License-Identifier: MIT
/** The known bugs: real or possible mistakes that can be switched on, each a libfiu point
 * "engine/bug/<name>". */
#ifndef ENGINE_QCOW2_KNOWN_BUGS_H
#define ENGINE_QCOW2_KNOWN_BUGS_H

#include <stdbool.h>
#include <stddef.h>

/** The weakest model that shows a bug. In the first four order each includes those before it. */
enum bug_model {
	BUG_MODEL_NONE,    /* without any crash: a read, a hang, the contents after a clean close */
	BUG_MODEL_PREFIX,  /* a crash after some operations */
	BUG_MODEL_TORN,    /* a crash inside a write */
	BUG_MODEL_REORDER, /* a crash of a disk that reorders between two flushes */
	BUG_MODEL_FAULT,   /* needs an injected error */
	BUG_MODEL_RECOVERY,         /* only in the repair of a dirty image */
	BUG_MODEL_RECOVERY_REORDER, /* the same, and the disk must reorder what that writes */
};

struct known_bug {
	const char *name;
	const char *breaks;   /* what goes wrong, in one sentence */
	const char *rule;     /* the rule that finds it */
	const char *workload; /* a shipped workload that shows it */
	const char *source;   /* where the mistake comes from */
	bool in_2012;         /* the proposal of 2012 really had it: member of the group "2012" */
	enum bug_model
		weakest; /* that shows it in the workload: no rule is broken in a weaker one */
	const char *weakest_rule; /* the rule broken in the weakest model; NULL: `rule` */
};

/** As printed: none, prefix, torn, reorder, fault, recovery. */
const char *bug_model_name(enum bug_model model);

/** How many there are. */
size_t known_bug_count(void);

/** Bug number `index`, 0 .. known_bug_count() - 1. */
const struct known_bug *known_bug_at(size_t index);

#endif
