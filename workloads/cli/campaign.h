// SPDX-License-Identifier: MIT
/** A campaign: generated workloads swept one after the other, or some at a time. See campaign.c. */
#ifndef WORKLOADS_CLI_CAMPAIGN_H
#define WORKLOADS_CLI_CAMPAIGN_H

#include "workloads/cli/alphabet.h"
#include "workloads/cli/campaign_findings.h"

enum { CAMPAIGN_REASONS_MAX = 16, CAMPAIGN_REASON_BYTES = 160 };

/** Why workloads were refused, or went wrong: numbers left out, so that like ones are one. */
struct campaign_reason {
	char text[CAMPAIGN_REASON_BYTES];
	uint64_t workloads;
};

/** What was done, by this call and those before it. */
struct campaign_counts {
	uint64_t planned;    /* workloads of the alphabet, limit and shard */
	uint64_t impossible; /* of them, there can be no such image */
	uint64_t left_out;   /* not planned, because no such subject can have them */
	uint64_t ends[CAMPAIGN_END_COUNT];
	uint64_t runs, states;
	uint64_t with_findings;
	struct campaign_reason reasons[CAMPAIGN_REASONS_MAX];
	size_t reason_count;
	uint64_t other_reasons; /* workloads for which there was no room above */
};

struct campaign {
	const struct options *options; /* borrowed */
	struct generate_alphabet alphabet;
	struct alphabet_shard shard;
	struct campaign_counts counts;
	struct campaign_table table;
	double elapsed_seconds;   /* of this call */
	uint64_t traces_left_out; /* for --traces, of rows that are listed */

	/* Private. */
	struct generator *generator;
	struct campaign_journal journal;
	uint64_t end;     /* index behind the last workload */
	uint8_t *is_done; /* a bit for each */
	uint64_t next, resumed;
	enum status status; /* of what went wrong beside the subject */
	struct why why;
};

/** Read the options, open the journal, take over what it has. Release it also after failure. */
MUST_USE enum status campaign_open(struct campaign *campaign, const struct options *options,
				   struct why *why);

/** Sweep what is not done until all is, the budget ends or Ctrl-C is pressed. */
MUST_USE enum status campaign_run(struct campaign *campaign, struct why *why);
void campaign_release(struct campaign *campaign);

/** Workloads that are done, whatever came out. */
uint64_t campaign_done(const struct campaign *campaign);

#endif
