// SPDX-License-Identifier: MIT
/* Pruning must lose nothing. Random small programs are explored twice, with and without sleep sets,
 * and the sets of all states in which a run can end are compared.
 *
 * The programs have what makes pruning hard: steps whose footprint depends on what they read,
 * actors that wait for one another, faults decided inside steps with a bound on their number, steps
 * that end the run. Every value written depends on everything read before, so two runs end in the
 * same state only when they differ by exchanging independent steps. */
#include "injector/choice.h"
#include "injector/strategy.h"
#include "tests/run_suite.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ACTORS_MAX = 3,
	STEPS_MAX = 4,
	BYTES = 4,
	FLAGS = 2,
	ENDS_MAX = 1 << 16,
	RUNS_MAX = 3000,
	PROGRAMS = 3000,
};

enum step_kind {
	STEP_READ,
	STEP_WRITE,
	STEP_READ_THEN_MAYBE_SHARED, /* its footprint depends on what it reads */
	STEP_SHARED,
	STEP_ORDERED_WRITE,
	STEP_SET_FLAG,
	STEP_WAIT_FLAG,
	STEP_FAULTY_WRITE, /* may fail, and then tries elsewhere, which may fail as well */
	STEP_FAULTY_DEATH, /* may fail, and then the run ends inside the step */
	STEP_NOTHING,
	STEP_KINDS,
};

struct program {
	unsigned actor_count;
	unsigned step_count[ACTORS_MAX];
	struct {
		enum step_kind kind;
		unsigned from;
		unsigned to;
		unsigned flag;
	} steps[ACTORS_MAX][STEPS_MAX];
	unsigned faults_max;
};

struct state {
	uint64_t bytes[BYTES];
	uint64_t shared;
	uint64_t ordered;
	bool flags[FLAGS];
	uint64_t locals[ACTORS_MAX];
	unsigned next[ACTORS_MAX];
	int waits[ACTORS_MAX]; /* flag, -1: none */
	unsigned faults_left;
	bool died;
};

/* The ends of all runs of a search. */
struct ends {
	uint64_t hashes[ENDS_MAX];
	size_t count;
	size_t runs;
};

static uint64_t next_random(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
	return *seed >> 33;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	a = ((a << 5 | a >> 59) + b + 12345) * UINT64_C(0x9e3779b97f4a7c15);
	return a ^ (a >> 29);
}

static void generate(struct program *program, uint64_t *seed)
{
	memset(program, 0, sizeof(*program));
	program->actor_count = 2 + (unsigned)(next_random(seed) % (ACTORS_MAX - 1));
	program->faults_max = (unsigned)(next_random(seed) % 3);
	for (unsigned actor = 0; actor < program->actor_count; actor++) {
		program->step_count[actor] = 1 + (unsigned)(next_random(seed) % STEPS_MAX);
		for (unsigned i = 0; i < program->step_count[actor]; i++) {
			unsigned from = (unsigned)(next_random(seed) % BYTES);
			program->steps[actor][i].kind =
				(enum step_kind)(next_random(seed) % STEP_KINDS);
			program->steps[actor][i].from = from;
			program->steps[actor][i].to =
				from + 1 + (unsigned)(next_random(seed) % (BYTES - from));
			program->steps[actor][i].flag = (unsigned)(next_random(seed) % FLAGS);
		}
	}
}

static bool is_enabled(const struct program *program, const struct state *state, unsigned actor)
{
	if (state->next[actor] == program->step_count[actor])
		return false;
	return state->waits[actor] < 0 || state->flags[state->waits[actor]];
}

static bool fails(struct choice *choice, struct state *state)
{
	static const struct choice_point point = { .kind = CHOICE_FAULT, .count = 2 };

	if (state->faults_left == 0 || choice_pick(choice, &point) != 1)
		return false;
	state->faults_left--;
	return true;
}

static void touch_range(struct footprint *footprint, bool write, unsigned from, unsigned to)
{
	const struct footprint more = {
		.has_read = !write, .has_write = write, .host_from = from, .host_to = to
	};
	footprint_add(footprint, &more);
}

static void read_bytes(struct state *state, unsigned actor, struct footprint *footprint,
		       unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		state->locals[actor] = mix(state->locals[actor], state->bytes[i] + i);
	touch_range(footprint, false, from, to);
}

static void write_bytes(struct state *state, unsigned actor, struct footprint *footprint,
			unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		state->bytes[i] = mix(state->locals[actor], i);
	touch_range(footprint, true, from, to);
}

static void use_shared(struct state *state, unsigned actor, struct footprint *footprint)
{
	state->shared = mix(state->shared, state->locals[actor]);
	state->locals[actor] = mix(state->locals[actor], state->shared);
	footprint->shared = true;
}

/* Run the next step of `actor`. */
static void step(const struct program *program, struct state *state, unsigned actor,
		 struct choice *choice, struct footprint *footprint)
{
	unsigned number = state->next[actor]++;
	unsigned from = program->steps[actor][number].from;
	unsigned to = program->steps[actor][number].to;
	unsigned flag = program->steps[actor][number].flag;

	state->waits[actor] = -1;
	state->locals[actor] = mix(state->locals[actor], number + 1);
	switch (program->steps[actor][number].kind) {
	case STEP_READ: read_bytes(state, actor, footprint, from, to); break;
	case STEP_WRITE: write_bytes(state, actor, footprint, from, to); break;
	case STEP_READ_THEN_MAYBE_SHARED:
		read_bytes(state, actor, footprint, from, to);
		if (state->locals[actor] % 2 == 0)
			use_shared(state, actor, footprint);
		break;
	case STEP_SHARED: use_shared(state, actor, footprint); break;
	case STEP_ORDERED_WRITE:
		state->ordered = mix(state->ordered, state->locals[actor]);
		footprint->ordered = true;
		write_bytes(state, actor, footprint, from, to);
		break;
	case STEP_SET_FLAG:
		state->flags[flag] = true;
		use_shared(state, actor, footprint);
		break;
	case STEP_WAIT_FLAG:
		state->waits[actor] = (int)flag;
		use_shared(state, actor, footprint);
		break;
	case STEP_FAULTY_WRITE:
		if (!fails(choice, state)) {
			write_bytes(state, actor, footprint, from, to);
			break;
		}
		state->locals[actor] = mix(state->locals[actor], 99);
		if (!fails(choice, state))
			write_bytes(state, actor, footprint, 0, 1);
		else
			state->locals[actor] = mix(state->locals[actor], 77);
		break;
	case STEP_FAULTY_DEATH:
		state->died = fails(choice, state);
		read_bytes(state, actor, footprint, from, to);
		break;
	case STEP_NOTHING:
	case STEP_KINDS: break;
	}
}

static uint64_t state_hash(const struct state *state)
{
	uint64_t hash = state->died;

	for (unsigned i = 0; i < BYTES; i++)
		hash = mix(hash, state->bytes[i]);
	hash = mix(mix(hash, state->shared), state->ordered);
	for (unsigned i = 0; i < ACTORS_MAX; i++)
		hash = mix(mix(hash, state->locals[i]), state->next[i]);
	return hash;
}

/* Execute one run; false when it was abandoned. */
static bool run(const struct program *program, struct choice *choice, struct state *state)
{
	*state = (struct state){ .waits = { -1, -1, -1 }, .faults_left = program->faults_max };
	for (unsigned actor = 0; actor < program->actor_count; actor++)
		state->locals[actor] = actor + 1;
	for (;;) {
		uint32_t actors[ACTORS_MAX];
		struct choice_point point = { .kind = CHOICE_RUN, .actors = actors };
		for (unsigned actor = 0; actor < program->actor_count; actor++)
			if (is_enabled(program, state, actor))
				actors[point.count++] = actor + 1;
		if (point.count == 0)
			return true;
		uint32_t pick = choice_pick(choice, &point);
		if (pick == CHOICE_ABANDON)
			return false;
		struct footprint footprint = { 0 };
		step(program, state, actors[pick] - 1, choice, &footprint);
		if (choice->abandoned)
			return false;
		if (state->died)
			return true;
		choice_step_done(choice, &footprint);
	}
}

static int compare_hashes(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* All ends that a search reaches, sorted, each once. False when there are more runs than
 * RUNS_MAX. */
static bool search(const struct program *program, bool prune, struct ends *ends)
{
	struct strategy *strategy = strategy_dfs_new(prune);
	struct choice choice;

	ends->count = ends->runs = 0;
	choice_init(&choice, strategy, NULL);
	while (ends->runs <= RUNS_MAX && choice_begin(&choice)) {
		struct state state;
		if (run(program, &choice, &state))
			ends->hashes[ends->count++] = state_hash(&state);
		ends->runs += !choice.abandoned;
		choice_end(&choice, RUN_FINISHED, 0);
	}
	ck_assert_ptr_null(strategy->ops->complaint(strategy));
	bool complete = strategy->ops->is_complete(strategy);
	choice_release(&choice);
	strategy_free(strategy);
	qsort(ends->hashes, ends->count, sizeof(ends->hashes[0]), compare_hashes);
	size_t kept = 0;
	for (size_t i = 0; i < ends->count; i++)
		if (i == 0 || ends->hashes[i] != ends->hashes[i - 1])
			ends->hashes[kept++] = ends->hashes[i];
	ends->count = kept;
	return complete;
}

START_TEST(pruning_reaches_every_end_that_plain_search_reaches)
{
	static struct ends plain;
	static struct ends pruned;
	uint64_t seed = 20261122;
	size_t plain_runs = 0;
	size_t pruned_runs = 0;
	size_t classes = 0;

	for (unsigned number = 0; number < PROGRAMS;) {
		struct program program;
		uint64_t program_seed = seed;
		generate(&program, &seed);
		if (!search(&program, false, &plain))
			continue;
		number++;
		ck_assert(search(&program, true, &pruned));
		ck_assert_msg(pruned.count == plain.count,
			      "program seed %" PRIu64 ": %zu ends with pruning, %zu without",
			      program_seed, pruned.count, plain.count);
		ck_assert_msg(memcmp(pruned.hashes, plain.hashes,
				     plain.count * sizeof(plain.hashes[0])) == 0,
			      "program seed %" PRIu64 ": other ends", program_seed);
		ck_assert_uint_le(pruned.runs, plain.runs);
		plain_runs += plain.runs;
		pruned_runs += pruned.runs;
		classes += plain.count;
	}
	printf("%d programs: %zu runs without pruning, %zu with, %zu ends\n", PROGRAMS, plain_runs,
	       pruned_runs, classes);
	ck_assert_uint_lt(pruned_runs, plain_runs / 4);
}
END_TEST

START_TEST(independent_actors_need_one_run)
{
	static struct ends ends;
	struct program program = { .actor_count = 3, .step_count = { 1, 1, 1 } };

	for (unsigned actor = 0; actor < 3; actor++) {
		program.steps[actor][0].kind = STEP_WRITE;
		program.steps[actor][0].from = actor;
		program.steps[actor][0].to = actor + 1;
	}
	ck_assert(search(&program, false, &ends));
	ck_assert_uint_eq(ends.runs, 6);
	ck_assert(search(&program, true, &ends));
	ck_assert_uint_eq(ends.runs, 1);
}
END_TEST

START_TEST(ordered_steps_need_every_order)
{
	static struct ends ends;
	struct program program = { .actor_count = 3, .step_count = { 2, 2, 2 } };

	for (unsigned actor = 0; actor < 3; actor++)
		for (unsigned i = 0; i < 2; i++) {
			program.steps[actor][i].kind = STEP_ORDERED_WRITE;
			program.steps[actor][i].from = actor;
			program.steps[actor][i].to = actor + 1;
		}
	ck_assert(search(&program, true, &ends));
	ck_assert_uint_eq(ends.runs, 90);
	ck_assert_uint_eq(ends.count, 90);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("prune");
	TCase *tests = tcase_create("prune");

	tcase_set_timeout(tests, 100);
	tcase_add_test(tests, pruning_reaches_every_end_that_plain_search_reaches);
	tcase_add_test(tests, independent_actors_need_one_run);
	tcase_add_test(tests, ordered_steps_need_every_order);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
