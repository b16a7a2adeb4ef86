// SPDX-License-Identifier: MIT
/** The journal of a campaign: one line for each workload that is done, with a checksum, so that a
 * campaign that was killed goes on where it was. See campaign_journal.c. */
#ifndef WORKLOADS_CLI_CAMPAIGN_JOURNAL_H
#define WORKLOADS_CLI_CAMPAIGN_JOURNAL_H

#include "traces/status.h"
#include "workloads/language.h"

#include <stddef.h>
#include <stdint.h>

enum campaign_end {
	CAMPAIGN_EXHAUSTED, /* every order was run */
	CAMPAIGN_BOUNDED,   /* as many runs as one workload may take */
	CAMPAIGN_REFUSED,   /* the subject cannot be told it */
	CAMPAIGN_WRONG,     /* the search went wrong: not repeatable, or its process died */
	CAMPAIGN_END_COUNT
};

/** What was found in a workload, once for each rule and step. */
struct campaign_finding {
	char *rule, *severity, *model; /* owned, like all here */
	char *step;                    /* the last operation in front of the crash; "" without */
	char *schedule;
	char *message;
	char *trace; /* its file in the campaign's folder; "": not kept */
};

/** A workload that is done. */
struct campaign_entry {
	uint64_t index; /* of the generator */
	char name[WORKLOAD_NAME_BYTES];
	enum campaign_end end;
	uint64_t runs, states;
	char *reason;                      /* owned; why it was refused or went wrong; "" */
	struct campaign_finding *findings; /* owned */
	size_t finding_count;
};

/** "exhausted", ... */
const char *campaign_end_name(enum campaign_end end);

/** Append a finding (copies; NULL is ""). Returns it. */
struct campaign_finding *campaign_entry_add(struct campaign_entry *entry,
					    const struct campaign_finding *finding);
void campaign_entry_release(struct campaign_entry *entry);

/** The line of an entry, with its newline. Gives; free(). */
char *campaign_entry_line(const struct campaign_entry *entry);

/** The entry of a line without its newline. STATUS_CORRUPT: it is not what was written. */
MUST_USE enum status campaign_entry_parse(struct campaign_entry *entry, const char *line,
					  struct why *why);

struct campaign_journal {
	int file;
};

/** Whose journal is opened, and who wants what it has. All borrowed. */
struct campaign_reader {
	const char *path;
	const char *settings;                                            /* one line */
	void (*take)(void *context, const struct campaign_entry *entry); /* entry: for the call */
	void *context;
};

/** Open or create the journal of a campaign with these settings, and hand over each entry that it
 * has. Nobody else may have it open. STATUS_BAD_INPUT: in use, or of other settings;
 * STATUS_FOREIGN, STATUS_CORRUPT: no journal, or damaged, with the number of the line. A last line
 * that a kill cut short is removed. */
MUST_USE enum status campaign_journal_open(struct campaign_journal *journal,
					   const struct campaign_reader *reader, struct why *why);

/** Append an entry. STATUS_IO. */
MUST_USE enum status campaign_journal_add(struct campaign_journal *journal,
					  const struct campaign_entry *entry, struct why *why);
void campaign_journal_close(struct campaign_journal *journal);

#endif
