// SPDX-License-Identifier: MIT
/* A case must have a name that stays what it is from one run in CI to the next, or whoever reads
 * the results sees old failures as new ones. So a finding is called what its row is known by: the
 * requests, the rule and the last step; the workload that showed it first is in the details. */
#include "workloads/cli/campaign_results.h"

#include "workloads/cli/results.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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

/* Gives `name`, and `text` of the failure. */
static void take_row(struct result_case *test, struct result_failure *failure,
		     const struct campaign_row *row)
{
	char *text = NULL;
	if (asprintf(&text, "workload %s.qio, %" PRIu64 " in all\nschedule %s\ntrace %s\n",
		     row->name, row->workloads, row->finding.schedule,
		     row->finding.trace[0] ? row->finding.trace : "none") < 0)
		abort();
	*failure = (struct result_failure){ .type = row->rule,
					    .message = row->finding.message,
					    .text = text };
	*test = (struct result_case){ .name = case_name(row),
				      .failures = failure,
				      .failure_count = 1 };
}

/* The campaign as a whole. Gives `error` or `skipped`. */
static void take_whole(struct result_case *test, const struct campaign *campaign, char *name)
{
	const struct campaign_counts *counts = &campaign->counts;
	uint64_t wanted = counts->planned - counts->impossible;
	uint64_t wrong = counts->ends[CAMPAIGN_WRONG], done = campaign_done(campaign);
	uint64_t bounded = counts->ends[CAMPAIGN_BOUNDED];
	char *text = NULL;
	if (wrong && asprintf(&text, "the search went wrong in %" PRIu64 " workloads", wrong) < 0)
		abort();
	*test = (struct result_case){ .name = name,
				      .seconds = campaign->elapsed_seconds,
				      .error = text };
	if (wrong || (!bounded && done == wanted))
		return;
	if (asprintf(&text,
		     "%" PRIu64 " of %" PRIu64 " workloads were not swept, %" PRIu64
		     " not to their end",
		     wanted - done, wanted, bounded) < 0)
		abort();
	test->skipped = text;
}

enum status campaign_results_write(const struct campaign *campaign, struct why *why)
{
	const struct campaign_table *table = &campaign->table;
	struct result_case *cases = calloc(table->count + 1, sizeof(*cases));
	struct result_failure *failures = calloc(table->count + 1, sizeof(*failures));
	char *name = alphabet_text(&campaign->alphabet);
	size_t count = 1;
	if (!cases || !failures)
		abort();
	take_whole(&cases[0], campaign, name);
	for (size_t i = 0; i < table->count; i++)
		if (!table->rows[i].is_explained) {
			take_row(&cases[count], &failures[count], &table->rows[i]);
			count++;
		}
	enum status status = results_write(campaign->options, "cowtip.campaign", cases, count, why);
	for (size_t i = 0; i < count; i++) {
		free((char *)(uintptr_t)cases[i].name);
		free((char *)(uintptr_t)cases[i].error);
		free((char *)(uintptr_t)cases[i].skipped);
		free((char *)(uintptr_t)failures[i].text);
	}
	free(cases);
	free(failures);
	return status;
}
