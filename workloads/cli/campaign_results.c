// SPDX-License-Identifier: MIT
/* A case must have a name that stays what it is from one run in CI to the next, or whoever reads
 * the results sees old failures as new ones. So a finding is called what its row is known by: the
 * requests, the rule and the last step; the workload that showed it first is in the details. */
#include "workloads/cli/campaign_results.h"

#include "traces/memory.h"
#include "workloads/cli/results.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Cases under construction. */
struct results {
	struct result_case *cases;       /* owned */
	struct result_failure *failures; /* owned */
	size_t count;
	char **texts; /* owned, and what they are: all that cases and failures borrow */
	size_t text_count, text_capacity;
};

/* Takes `text`; returns it, borrowed. */
static const char *keep(struct results *results, char *text)
{
	results->texts = memory_grow(results->texts, &results->text_capacity,
				     results->text_count + 1, sizeof(*results->texts));
	results->texts[results->text_count++] = text;
	return text;
}

static char *case_name(const struct campaign_row *row)
{
	char *requests = campaign_requests_text(&row->requests);
	char *name = NULL;
	if (asprintf(&name, "%s: %s%s%s", requests, row->rule, row->step[0] ? ", " : "",
		     row->step) < 0)
		abort();
	free(requests);
	return name;
}

static void add_row(struct results *results, const struct campaign_row *row)
{
	struct result_failure *failure = &results->failures[results->count];
	char *text = NULL;
	if (asprintf(&text, "workload %s.qio, %" PRIu64 " in all\nschedule %s\ntrace %s\n",
		     row->name, row->workloads, row->finding.schedule,
		     row->finding.trace[0] ? row->finding.trace : "none") < 0)
		abort();
	*failure = (struct result_failure){ .type = row->rule,
					    .message = row->finding.message,
					    .text = keep(results, text) };
	results->cases[results->count++] = (struct result_case){
		.name = keep(results, case_name(row)), .failures = failure, .failure_count = 1
	};
}

/* The campaign as a whole. */
static void add_whole(struct results *results, const struct campaign *campaign)
{
	const struct campaign_counts *counts = &campaign->counts;
	uint64_t wanted = counts->planned - counts->impossible;
	uint64_t wrong = counts->ends[CAMPAIGN_WRONG], done = campaign_done(campaign);
	uint64_t bounded = counts->ends[CAMPAIGN_BOUNDED];
	struct result_case *test = &results->cases[results->count++];
	char *text = NULL;
	*test = (struct result_case){ .name = keep(results, alphabet_text(&campaign->alphabet)),
				      .seconds = campaign->elapsed_seconds };
	if (wrong) {
		if (asprintf(&text, "the search went wrong in %" PRIu64 " workloads", wrong) < 0)
			abort();
		test->error = keep(results, text);
	} else if (bounded || done < wanted) {
		if (asprintf(&text,
			     "%" PRIu64 " of %" PRIu64 " workloads were not swept, %" PRIu64
			     " not to their end",
			     wanted - done, wanted, bounded) < 0)
			abort();
		test->skipped = keep(results, text);
	}
}

enum status campaign_results_write(const struct campaign *campaign, struct why *why)
{
	const struct campaign_table *table = &campaign->table;
	struct results results = {
		.cases = calloc(table->count + 1, sizeof(*results.cases)),
		.failures = calloc(table->count + 1, sizeof(*results.failures)),
	};
	if (!results.cases || !results.failures)
		abort();
	add_whole(&results, campaign);
	for (size_t i = 0; i < table->count; i++)
		if (!table->rows[i].is_explained)
			add_row(&results, &table->rows[i]);
	enum status status = results_write(campaign->options, "cowtip.campaign", results.cases,
					   results.count, why);
	for (size_t i = 0; i < results.text_count; i++)
		free(results.texts[i]);
	free(results.texts);
	free(results.cases);
	free(results.failures);
	return status;
}
