// SPDX-License-Identifier: MIT
/* Some known bugs keep more than three requests when they are shrunk. Can they do with fewer? All
 * lists of three requests of an alphabet are searched here, to the last state, with the bug
 * switched on: none may break the bug's rule. That is a sample of them; `test_fewest_requests N`
 * goes through N of each bug's, which is all of them if N is large enough.
 *
 *      guest cluster 0   |  A  |  B  |    C    |      pieces that requests write, as they may be
 *      guest cluster 1   |         D           |      head, middle and tail of an allocation
 *
 * Requests that data goes with do not wait for one another: whatever can happen when they do is one
 * of these runs, too. What is not asynchronous in the language waits. The state of cluster 0 is
 * prepared, so no request is needed for that.
 *
 * That the alphabet is rich enough is shown by four of its requests, which break the rule. */
#include "tests/integration/patience.h"
#include "tests/integration/shipped.h"

#include "injector/fault_point.h"
#include "injector/strategy_stateful.h"
#include "tests/run_suite.h"
#include "workloads/bugs.h"
#include "workloads/world_snapshot.h"
#include "workloads/world_state.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	REQUESTS = 3,
	TEXT_BYTES = 1024,
	SAMPLE = 60,
	STRIDE = 7919, /* a prime: a part of all is spread over all */
};

/* A word may need a snapshot to be there, which only some states have. */
static const struct letter {
	const char *text;
	bool needs_snapshot;
} letters[] = {
	{ "aio_write 0 512", false },       /* A */
	{ "aio_write 512 512", false },     /* B */
	{ "aio_write 1k 1k", false },       /* C */
	{ "aio_write 0 2k", false },        /* all of cluster 0 */
	{ "aio_write 1536 1k", false },     /* across the boundary */
	{ "aio_write 2k 2k", false },       /* D */
	{ "aio_write -z -u 0 2k", false },  /* gives the cluster up */
	{ "aio_discard 0 2k", false },      /* the same */
	{ "aio_read 0 2k", false },         /* what was written and not linked, too */
	{ "flush", false },                 /* hurries all, and lets go of what is free */
	{ "#@ snapshot new", false },       /* shares what there is */
	{ "#@ snapshot-apply old", true },  /* gives up all that is newer */
	{ "#@ snapshot-delete old", true }, /* gives up all that is older */
};

static const struct state {
	const char *text;
	bool has_snapshot;
} states[] = {
	{ "", false },                                                /* in the backing file */
	{ "#@ prepare write 0 2k\n", false },                         /* its own */
	{ "#@ prepare write 0 2k\n#@ prepare snapshot old\n", true }, /* shared */
	{ "#@ prepare snapshot old\n#@ prepare write 0 2k\n", true }, /* its own, the
									 snapshot's another */
};

/* A plain image; a list that is full with two allocations in it; the dirty bit. */
static const char *const images[] = { "", " allocations_max=2", " lazy_refcounts=on" };

enum {
	LETTERS = sizeof(letters) / sizeof(letters[0]),
	STATES = sizeof(states) / sizeof(states[0]),
	IMAGES = sizeof(images) / sizeof(images[0]),
};

/* Only policy cancel has children, of which the first two speak. */
static const struct question {
	const char *bug;
	enum rule rule;
	enum qcow2_policy policies[3];
	size_t policy_count;
	size_t state;      /* of the four requests that break the rule, */
	size_t witness[4]; /* which are these letters */
} questions[] = {
	{ "zombie", RULE_READ_LINEARIZABLE, { QCOW2_CANCEL }, 1, 0, { 0, 1, 7, 8 } },
	{ "fair-rwlock", RULE_PROGRESS, { QCOW2_CANCEL }, 1, 0, { 0, 1, 2, 9 } },
	{ "reuse-while-written",
	  RULE_READ_LINEARIZABLE,
	  { QCOW2_EAGER, QCOW2_DELAYED, QCOW2_CANCEL },
	  3,
	  1,
	  { 3, 7, 9, 5 } },
};

/* One workload. */
struct asked {
	const struct question *question;
	size_t image, state, policy; /* indices */
	size_t words[4];
	size_t word_count;
};

static void print_text(char *text, const struct asked *asked)
{
	int end =
		snprintf(text, TEXT_BYTES, "#@ image size=4k cluster_size=2k backing=pattern%s\n%s",
			 images[asked->image], states[asked->state].text);
	for (size_t i = 0; i < asked->word_count; i++)
		end += snprintf(text + end, TEXT_BYTES - (size_t)end, "%s\n",
				letters[asked->words[i]].text);
}

/* Number `number` of all. False: there is no such workload. */
static bool choose(struct asked *asked, const struct question *question, uint64_t number)
{
	*asked = (struct asked){ .question = question, .word_count = REQUESTS };
	asked->image = number % IMAGES;
	number /= IMAGES;
	asked->state = number % STATES;
	number /= STATES;
	asked->policy = number % question->policy_count;
	number /= question->policy_count;
	for (size_t i = 0; i < REQUESTS; i++, number /= LETTERS)
		asked->words[i] = number % LETTERS;
	for (size_t i = 0; i < REQUESTS; i++)
		if (letters[asked->words[i]].needs_snapshot && !states[asked->state].has_snapshot)
			return false;
	return true;
}

static uint64_t count_all(const struct question *question)
{
	uint64_t count = IMAGES * STATES * question->policy_count;
	for (size_t i = 0; i < REQUESTS; i++)
		count *= LETTERS;
	return count;
}

/* Search all runs. False: the workload makes no sense (a snapshot that is gone already). */
static bool search(const struct asked *asked, struct explore_result *result)
{
	char text[TEXT_BYTES];
	struct workload workload;
	struct world *world = NULL;
	struct why why = { "" };
	print_text(text, asked);
	if (workload_parse(&workload, "asked", text, strlen(text), &why) != STATUS_OK)
		return false;
	const struct world_options options = { .policy = asked->question->policies[asked->policy],
					       .points = SCHED_POINTS_ALL,
					       .stamps = true,
					       .snapshot_every = WORLD_SNAPSHOTS_EVERY };
	const struct explore_options judging = { .models = CRASH_PREFIX };
	ck_assert_msg(world_new(&world, &workload, &options, &why) == STATUS_OK, "%s in:\n%s",
		      why.text, text);
	const struct state_source source = world_state_source(world);
	struct strategy *strategy = strategy_stateful_new(&source, 0);
	ck_assert_msg(explore(world, strategy, &judging, result, &why) == STATUS_OK, "%s in:\n%s",
		      why.text, text);
	ck_assert_msg(result->complete && !result->complaint, "not complete:\n%s", text);
	strategy_free(strategy);
	world_free(world);
	workload_release(&workload);
	return true;
}

static bool breaks(const struct explore_result *result, enum rule rule)
{
	for (size_t i = 0; i < result->violation_count; i++)
		if (result->violations[i].verdict.rule == rule)
			return true;
	return false;
}

static struct patience patience;

static bool can_tell_states_apart(void)
{
	if (!world_state_is_known())
		printf("skipped: states cannot be told apart in this build\n");
	return world_state_is_known();
}

START_TEST(four_requests_break_the_rule)
{
	const struct question *question = &questions[_i];
	struct asked asked = { .question = question,
			       .state = question->state,
			       .policy = question->policy_count - 1,
			       .word_count = 4 };
	struct explore_result result;
	if (!can_tell_states_apart())
		return;
	memcpy(asked.words, question->witness, sizeof(asked.words));
	bugs_enable(question->bug);
	ck_assert(search(&asked, &result));
	ck_assert(breaks(&result, question->rule));
	explore_result_release(&result);
	known_bugs_disable();
}
END_TEST

START_TEST(no_three_requests_break_the_rule)
{
	const struct question *question = &questions[_i];
	uint64_t all = count_all(question), sense = 0, runs = 0, at = 0;
	uint64_t wanted = patience.wanted && patience.wanted < all ? patience.wanted : all;
	if (!can_tell_states_apart())
		return;
	if (!patience.wanted)
		wanted = SAMPLE;
	bugs_enable(question->bug);
	patience_begin(&patience);
	for (; at < wanted && !patience_is_over(&patience); at++) {
		struct asked asked;
		struct explore_result result;
		char text[TEXT_BYTES];
		if (!choose(&asked, question, at * STRIDE % all) || !search(&asked, &result))
			continue;
		print_text(text, &asked);
		ck_assert_msg(!breaks(&result, question->rule), "%s needs three only:\n%s",
			      question->bug, text);
		sense++;
		runs += result.interleavings + result.pruned;
		explore_result_release(&result);
	}
	known_bugs_disable();
	printf("%s: %" PRIu64 " of %" PRIu64 " lists, %" PRIu64 " of them workloads, %" PRIu64
	       " runs: none breaks %s\n",
	       question->bug, at, all, sense, runs, rule_name(question->rule));
	patience_report(&patience, (size_t)sense, "workloads");
}
END_TEST

int main(int argc, char **argv)
{
	patience_init(&patience, argc, argv);
	fault_point_init();
	Suite *suite = suite_create("fewest_requests");
	TCase *tests = tcase_create("fewest_requests");
	tcase_set_timeout(tests, patience_timeout_seconds(&patience));
	int count = (int)(sizeof(questions) / sizeof(questions[0]));
	tcase_add_loop_test(tests, four_requests_break_the_rule, 0, count);
	tcase_add_loop_test(tests, no_three_requests_break_the_rule, 0, count);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
