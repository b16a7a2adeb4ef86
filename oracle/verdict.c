// SPDX-License-Identifier: MIT
#include "oracle/verdict.h"

#include <string.h>

struct rule_text {
	const char *name;
	const char *statement;
};

static const struct rule_text rule_texts[RULE_COUNT] = {
	[RULE_COW_COMPLETE] = { "cow-complete", "no reachable L2 entry points to a cluster holding "
						"a sector that is "
						"neither the guest's previous content nor data of "
						"a request covering "
						"it" },
	[RULE_OLD_OR_NEW] = { "old-or-new",
			      "every guest sector holds its last durable value or a later issued "
			      "one, never another sector's or a mixture" },
	[RULE_FLUSH_DURABLE] = { "flush-durable",
				 "after an acknowledged flush, every write acknowledged before it "
				 "was submitted is there" },
	[RULE_REFCOUNT_COVERS] = { "refcount-covers",
				   "each cluster's refcount is at least its number of references" },
	[RULE_COPIED_EXACT] = { "copied-exact",
				"COPIED is set only where the refcount is exactly one" },
	[RULE_NO_ALIAS] = { "no-alias",
			    "no cluster serves two purposes; offsets are aligned and inside the "
			    "file" },
	[RULE_OPENS] = { "opens",
			 "the image opens: header, tables and extensions are well-formed, the "
			 "corrupt bit is not set" },
	[RULE_LEAK_BOUNDED] = { "leak-bounded", "leaked clusters are at most those of requests in "
						"flight; none after "
						"a clean close" },
	[RULE_READ_LINEARIZABLE] = { "read-linearizable",
				     "every read returned values that a legal order of the "
				     "overlapping requests allows" },
	[RULE_ERROR_CONTAINED] = { "error-contained",
				   "a request that failed leaves each of its sectors old or new "
				   "and harms nothing else; no acknowledged data is lost" },
	[RULE_PROGRESS] = { "progress",
			    "no deadlock, livelock, assertion or memory error; every request "
			    "completes" },
	[RULE_REPAIR_CONVERGES] = { "repair-converges",
				    "from every crash state with the dirty bit, open with repair "
				    "satisfies all rules with no leaks, again after a crash inside "
				    "the repair; a second repair changes nothing" },
};

const char *rule_name(enum rule rule)
{
	return (unsigned)rule < RULE_COUNT ? rule_texts[rule].name : "?";
}

const char *rule_statement(enum rule rule)
{
	return (unsigned)rule < RULE_COUNT ? rule_texts[rule].statement : "?";
}

bool rule_parse(const char *text, enum rule *rule)
{
	for (unsigned i = 0; i < RULE_COUNT; i++) {
		if (strcmp(text, rule_texts[i].name) != 0)
			continue;
		*rule = (enum rule)i;
		return true;
	}
	return false;
}

const char *severity_name(enum severity severity)
{
	switch (severity) {
	case SEVERITY_LEAK: return "leak";
	case SEVERITY_HAZARD: return "hazard";
	case SEVERITY_CORRUPTION: return "corruption";
	}
	return "?";
}

const char *crash_model_name(enum crash_model model)
{
	switch (model) {
	case CRASH_NONE: return "none";
	case CRASH_PREFIX: return "prefix";
	case CRASH_TORN: return "torn";
	case CRASH_REORDER: return "reorder";
	}
	return "?";
}

bool crash_models_parse(const char *text, unsigned *models)
{
	unsigned found = 0;

	for (;;) {
		size_t length = strcspn(text, ",");

		if (length == 6 && memcmp(text, "prefix", 6) == 0)
			found |= CRASH_PREFIX;
		else if (length == 4 && memcmp(text, "torn", 4) == 0)
			found |= CRASH_TORN;
		else if (length == 7 && memcmp(text, "reorder", 7) == 0)
			found |= CRASH_REORDER;
		else
			return false;
		if (text[length] == '\0')
			break;
		text += length + 1;
	}
	*models = found;
	return true;
}
