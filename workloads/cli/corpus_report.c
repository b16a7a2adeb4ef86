// SPDX-License-Identifier: MIT
#include "workloads/cli/corpus.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How many had this outcome. */
static size_t count_of(const struct corpus *corpus, enum corpus_outcome outcome)
{
	size_t count = 0;
	for (size_t i = 0; i < corpus->known_count; i++)
		count += corpus->known[i].outcome == outcome;
	return count;
}

static bool is_violation(const struct corpus_trace *known)
{
	return known->outcome == CORPUS_SHOWS || known->outcome == CORPUS_BREAKS;
}

enum exit_code corpus_exit(const struct corpus *corpus)
{
	if (count_of(corpus, CORPUS_SHOWS) || count_of(corpus, CORPUS_BREAKS))
		return EXIT_VIOLATED;
	if (count_of(corpus, CORPUS_DIVERGED))
		return EXIT_DIVERGED;
	return count_of(corpus, CORPUS_SKIPPED) || corpus->left ? EXIT_BUDGET : EXIT_CLEAN;
}

const char *corpus_outcome_text(enum corpus_outcome outcome)
{
	switch (outcome) {
	case CORPUS_SKIPPED: return "not run";
	case CORPUS_CLEAN: return "still clean";
	case CORPUS_GONE: return "no longer shows";
	case CORPUS_SHOWS: return "still shows";
	case CORPUS_BREAKS: return "was clean, now breaks";
	case CORPUS_DIVERGED: return "diverged";
	}
	return "?";
}

void corpus_print_known(const struct corpus_trace *known, bool quiet)
{
	bool is_news = is_violation(known) || known->outcome == CORPUS_DIVERGED;
	bool has_rule = is_violation(known) || known->outcome == CORPUS_GONE;
	if (quiet && !is_news)
		return;
	printf("known: %s: %s%s%s%s%s\n", known->path, corpus_outcome_text(known->outcome),
	       has_rule ? " " : "", has_rule ? known->rule : "", known->why ? ": " : "",
	       known->why ? known->why : "");
	fflush(stdout);
}

void corpus_print_end(const struct corpus *corpus)
{
	const char *before = " (";
	printf("\ncorpus %s: %zu known", corpus->folder, corpus->known_count);
	for (enum corpus_outcome outcome = CORPUS_SKIPPED; outcome <= CORPUS_DIVERGED; outcome++) {
		if (!count_of(corpus, outcome))
			continue;
		printf("%s%s: %zu", before, corpus_outcome_text(outcome),
		       count_of(corpus, outcome));
		before = ", ";
	}
	printf("%s; %zu of what was found added, %zu known already", *before == ',' ? ")" : "",
	       corpus->added_count, corpus->duplicates);
	if (corpus->left)
		printf(", %zu left out: %s", corpus->left, corpus->why_left);
	putchar('\n');
	for (size_t i = 0; i < corpus->added_count; i++)
		printf("  new: %s: %s\n", corpus->added[i].path, corpus->added[i].step);
}

void corpus_json(struct json *json, const struct corpus *corpus)
{
	if (!corpus->folder)
		return;
	json_begin_object(json, "corpus");
	json_text(json, "folder", corpus->folder);
	json_begin_list(json, "known");
	for (size_t i = 0; i < corpus->known_count; i++) {
		const struct corpus_trace *known = &corpus->known[i];
		json_begin_object(json, NULL);
		json_text(json, "trace", known->path);
		json_text(json, "rule", known->rule[0] ? known->rule : NULL);
		json_text(json, "message", known->message[0] ? known->message : NULL);
		json_text(json, "outcome", corpus_outcome_text(known->outcome));
		json_text(json, "why", known->why);
		json_end_object(json);
	}
	json_end_list(json);
	json_begin_list(json, "added");
	for (size_t i = 0; i < corpus->added_count; i++) {
		const struct corpus_addition *added = &corpus->added[i];
		json_begin_object(json, NULL);
		json_text(json, "trace", added->path);
		json_text(json, "rule", added->rule);
		json_text(json, "critical_step", added->step);
		json_text(json, "from", added->from);
		json_end_object(json);
	}
	json_end_list(json);
	json_number(json, "duplicates", corpus->duplicates);
	json_number(json, "left_out", corpus->left);
	json_text(json, "why_left_out", corpus->why_left);
	json_end_object(json);
}

void corpus_cases(const struct corpus *corpus, struct result_case *cases)
{
	for (size_t i = 0; i < corpus->known_count; i++) {
		const struct corpus_trace *known = &corpus->known[i];
		struct result_failure *failure = calloc(1, sizeof(*failure));
		if (!failure)
			abort();
		*failure = (struct result_failure){ .type = known->rule,
						    .message = known->message,
						    .text = known->why };
		cases[i] = (struct result_case){
			.name = known->path,
			.file = known->path,
			.seconds = known->seconds,
			.error = known->outcome == CORPUS_DIVERGED ? known->why : NULL,
			.skipped = known->outcome == CORPUS_SKIPPED ? known->why : NULL,
			.failures = failure,
			.failure_count = is_violation(known),
		};
	}
}
