// SPDX-License-Identifier: MIT
/* cowtip campaign: what was done, and what was found. */
#include "workloads/cli/campaign.h"
#include "workloads/cli/campaign_results.h"
#include "workloads/cli/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t wanted_of(const struct campaign_counts *counts)
{
	return counts->planned - counts->impossible;
}

/* Of what nobody can say whether it is clean: how much, and why. */
static void print_unjudged(const struct campaign_counts *counts)
{
	uint64_t unjudged = counts->ends[CAMPAIGN_REFUSED] + counts->ends[CAMPAIGN_WRONG];
	if (unjudged)
		printf("workloads that could not be judged: %" PRIu64 "\n", unjudged);
	for (size_t i = 0; i < counts->reason_count; i++)
		printf("  %" PRIu64 ": %s\n", counts->reasons[i].workloads,
		       counts->reasons[i].text);
	if (counts->other_reasons)
		printf("  %" PRIu64 ": other reasons\n", counts->other_reasons);
}

static void print_counts(const struct campaign *campaign, size_t distinct)
{
	const struct campaign_counts *counts = &campaign->counts;
	char *alphabet = alphabet_text(&campaign->alphabet);
	printf("%s%" PRIu64 " workloads: %s\n", distinct ? "\n" : "", counts->planned, alphabet);
	free(alphabet);
	if (counts->left_out)
		printf("  %" PRIu64 " more are left out: the subject cannot have them (compressed "
		       "clusters need a program, writethrough a {cache} in its command)\n",
		       counts->left_out);
	printf("  %" PRIu64 " exhausted, %" PRIu64 " stopped after --each runs, %" PRIu64
	       " refused, %" PRIu64 " went wrong, %" PRIu64 " impossible, %" PRIu64
	       " not swept yet\n",
	       counts->ends[CAMPAIGN_EXHAUSTED], counts->ends[CAMPAIGN_BOUNDED],
	       counts->ends[CAMPAIGN_REFUSED], counts->ends[CAMPAIGN_WRONG], counts->impossible,
	       wanted_of(counts) - campaign_done(campaign));
	printf("%" PRIu64 " runs, %" PRIu64 " crash states; %" PRIu64
	       " workloads with findings, %zu findings that nothing smaller explains\n",
	       counts->runs, counts->states, counts->with_findings, distinct);
	if (campaign->traces_left_out)
		printf("  traces of %" PRIu64 " of them were left out (--traces)\n",
		       campaign->traces_left_out);
	print_unjudged(counts);
}

static void print_json(const struct campaign *campaign)
{
	const struct campaign_counts *counts = &campaign->counts;
	struct json json = { .file = stdout };
	char *alphabet = alphabet_text(&campaign->alphabet);
	json_begin_object(&json, NULL);
	json_text(&json, "command", "campaign");
	json_text(&json, "program", campaign->options->subject);
	json_text(&json, "nbd", campaign->options->server);
	json_text(&json, "alphabet", alphabet);
	free(alphabet);
	json_begin_object(&json, "workloads");
	json_number(&json, "planned", counts->planned);
	json_number(&json, "impossible", counts->impossible);
	json_number(&json, "left_out", counts->left_out);
	for (int i = 0; i < CAMPAIGN_END_COUNT; i++)
		json_number(&json, campaign_end_name((enum campaign_end)i), counts->ends[i]);
	json_number(&json, "not_swept", wanted_of(counts) - campaign_done(campaign));
	json_number(&json, "with_findings", counts->with_findings);
	json_end_object(&json);
	json_begin_list(&json, "reasons");
	for (size_t i = 0; i < counts->reason_count; i++) {
		json_begin_object(&json, NULL);
		json_text(&json, "reason", counts->reasons[i].text);
		json_number(&json, "workloads", counts->reasons[i].workloads);
		json_end_object(&json);
	}
	json_end_list(&json);
	json_number(&json, "runs", counts->runs);
	json_number(&json, "crash_states", counts->states);
	campaign_table_json(&campaign->table, &json);
	json_number(&json, "traces_left_out", campaign->traces_left_out);
	json_number(&json, "resumed", campaign->resumed);
	json_seconds(&json, "elapsed_seconds", campaign->elapsed_seconds);
	json_text(&json, "folder", options_folder(campaign->options));
	json_end_object(&json);
}

static enum exit_code exit_of(const struct campaign *campaign)
{
	const struct campaign_counts *counts = &campaign->counts;
	uint64_t swept = counts->ends[CAMPAIGN_EXHAUSTED] + counts->ends[CAMPAIGN_BOUNDED];
	if (campaign->table.count)
		return EXIT_VIOLATED;
	if (counts->ends[CAMPAIGN_WRONG])
		return EXIT_DIVERGED;
	bool is_reached = campaign_done(campaign) >= wanted_of(counts);
	/* Nothing was looked at. */
	if (!swept && wanted_of(counts) && is_reached)
		return EXIT_BAD;
	/* What was refused may be anything: nobody shall read 0 as "all of it is clean". */
	bool is_whole = !counts->ends[CAMPAIGN_BOUNDED] && !counts->ends[CAMPAIGN_REFUSED];
	return is_reached && is_whole ? EXIT_CLEAN : EXIT_BUDGET;
}

enum exit_code cmd_campaign(const struct options *options)
{
	struct campaign campaign;
	struct why why = { "" };
	enum exit_code code = EXIT_CLEAN;
	enum status status = campaign_open(&campaign, options, &why);
	if (status == STATUS_OK && campaign.resumed && !options->quiet)
		fprintf(stderr, "cowtip: going on behind %" PRIu64 " workloads in '%s'\n",
			campaign.resumed, options_folder(options));
	if (status == STATUS_OK)
		status = campaign_run(&campaign, &why);
	if (status != STATUS_OK) {
		code = exit_with(status, &why);
	} else if (options->json) {
		print_json(&campaign);
	} else if (!options->tap) {
		size_t distinct = campaign_table_print(&campaign.table);
		if (!options->quiet)
			print_counts(&campaign, distinct);
	}
	if (status == STATUS_OK) {
		code = exit_of(&campaign);
		status = campaign_results_write(&campaign, &why);
		if (status != STATUS_OK)
			code = exit_with(status, &why);
	}
	campaign_release(&campaign);
	return code;
}
