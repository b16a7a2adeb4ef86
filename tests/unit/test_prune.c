// SPDX-License-Identifier: MIT
/* Pruning must lose nothing. Random small programs are explored in full, with sleep sets, and with
 * partial-order reduction in one piece and cut into jobs. The sets of all states in which a run can
 * end are compared, and so are the classes of runs.
 *
 * The programs have what makes pruning hard: steps whose footprint depends on what they read,
 * mutexes held over several steps or within one, actors that wait for one another, faults chosen
 * inside steps from menus of up to three with a bound on their number, steps that end the run.
 * Every value written depends on everything read before, so two runs end in the same state only
 * when they differ by exchanging independent steps. */
#include "injector/choice.h"
#include "injector/strategy_dpor.h"
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
	NOBODY = -1,
};

/* Objects in footprints. */
enum { OBJECT_BYTES = OBJECT_FIRST_OF_OTHERS, OBJECT_SHARED, OBJECT_ORDERED, OBJECT_MUTEX };

enum search_kind { SEARCH_PLAIN, SEARCH_PRUNED, SEARCH_DPOR };

enum step_kind {
	STEP_READ,
	STEP_WRITE,
	STEP_READ_THEN_MAYBE_SHARED, /* its footprint depends on what it reads */
	STEP_SHARED,
	STEP_ORDERED_WRITE,
	STEP_SET_FLAG,
	STEP_WAIT_FLAG,
	STEP_FAULTY_WRITE, /* goes wrong in one of up to three ways */
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
		uint32_t menu; /* faults that may strike it, from 1 */
	} steps[ACTORS_MAX][STEPS_MAX];
	/* The mutex is taken with the first of these steps and given back with the last. */
	unsigned hold_first[ACTORS_MAX], hold_last[ACTORS_MAX];
	bool holds[ACTORS_MAX];
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
	int holder;
	uint32_t steps;
	uint32_t flag_set_by[FLAGS]; /* step, from 1 */
	bool died;
};

/* The ends of all runs of a search. */
struct ends {
	uint64_t hashes[ENDS_MAX];
	size_t count;
	size_t runs;
	size_t given_up;
	uint64_t classes[ENDS_MAX]; /* hashes, sorted, each once */
	size_t class_count;
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
		program->holds[actor] = next_random(seed) % 2;
		program->hold_first[actor] =
			(unsigned)(next_random(seed) % program->step_count[actor]);
		program->hold_last[actor] =
			program->hold_first[actor] +
			(unsigned)(next_random(seed) %
				   (program->step_count[actor] - program->hold_first[actor]));
		for (unsigned i = 0; i < program->step_count[actor]; i++) {
			unsigned from = (unsigned)(next_random(seed) % BYTES);
			program->steps[actor][i].kind =
				(enum step_kind)(next_random(seed) % STEP_KINDS);
			program->steps[actor][i].from = from;
			program->steps[actor][i].to =
				from + 1 + (unsigned)(next_random(seed) % (BYTES - from));
			program->steps[actor][i].flag = (unsigned)(next_random(seed) % FLAGS);
			program->steps[actor][i].menu = 1 + (uint32_t)(next_random(seed) % 3);
		}
	}
}

static bool is_enabled(const struct program *program, const struct state *state, unsigned actor)
{
	if (state->next[actor] == program->step_count[actor])
		return false;
	if (program->holds[actor] && program->hold_first[actor] == state->next[actor] &&
	    state->holder != NOBODY)
		return false;
	return state->waits[actor] < 0 || state->flags[state->waits[actor]];
}

/* Which of the `menu` faults strikes; 0: none. */
static uint32_t fault(struct choice *choice, struct state *state, uint32_t menu)
{
	const struct choice_point point = { .kind = CHOICE_FAULT, .count = 1 + menu };

	if (state->faults_left == 0)
		return 0;
	uint32_t pick = choice_pick(choice, &point);
	if (pick == 0 || pick == CHOICE_ABANDON)
		return 0;
	state->faults_left--;
	return pick;
}

static void touch(struct footprint *footprint, uint32_t kind, unsigned from, unsigned to,
		  enum access_mode mode)
{
	footprint_touch(footprint, footprint_object(kind, 0), from, to, mode);
}

static void read_bytes(struct state *state, unsigned actor, struct footprint *footprint,
		       unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		state->locals[actor] = mix(state->locals[actor], state->bytes[i] + i);
	touch(footprint, OBJECT_BYTES, from, to, ACCESS_READ);
}

static void write_bytes(struct state *state, unsigned actor, struct footprint *footprint,
			unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		state->bytes[i] = mix(state->locals[actor], i);
	touch(footprint, OBJECT_BYTES, from, to, ACCESS_WRITE);
}

static void use_shared(struct state *state, unsigned actor, struct footprint *footprint)
{
	state->shared = mix(state->shared, state->locals[actor]);
	state->locals[actor] = mix(state->locals[actor], state->shared);
	touch(footprint, OBJECT_SHARED, 0, 1, ACCESS_WRITE);
}

/* A write with a menu of one to three faults: an error (it tries elsewhere, which may go wrong as
 * well), being cut short, being repeated as if nothing had been. Each touches something else. */
static void faulty_write(const struct program *program, struct state *state, unsigned actor,
			 struct choice *choice, struct footprint *footprint)
{
	unsigned number = state->next[actor] - 1;
	unsigned from = program->steps[actor][number].from;
	unsigned to = program->steps[actor][number].to;
	uint32_t menu = program->steps[actor][number].menu;
	uint32_t struck = fault(choice, state, menu);

	if (struck != 1) {
		if (struck == 2)
			write_bytes(state, actor, footprint, from, from + 1);
		if (struck == 3)
			use_shared(state, actor, footprint);
		write_bytes(state, actor, footprint, from, to);
		return;
	}
	state->locals[actor] = mix(state->locals[actor], 99);
	struck = fault(choice, state, menu);
	if (struck == 0)
		write_bytes(state, actor, footprint, 0, 1);
	else
		state->locals[actor] = mix(state->locals[actor], 76 + struck);
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
	if (program->holds[actor] && number == program->hold_first[actor]) {
		touch(footprint, OBJECT_MUTEX, 0, 1, ACCESS_LOCK);
		state->holder = (int)actor;
	}
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
		touch(footprint, OBJECT_ORDERED, 0, 1, ACCESS_WRITE);
		write_bytes(state, actor, footprint, from, to);
		break;
	case STEP_SET_FLAG:
		if (!state->flags[flag])
			state->flag_set_by[flag] = state->steps;
		state->flags[flag] = true;
		use_shared(state, actor, footprint);
		break;
	case STEP_WAIT_FLAG:
		state->waits[actor] = (int)flag;
		use_shared(state, actor, footprint);
		break;
	case STEP_FAULTY_WRITE: faulty_write(program, state, actor, choice, footprint); break;
	case STEP_FAULTY_DEATH:
		state->died = fault(choice, state, 1 + flag) == 1;
		read_bytes(state, actor, footprint, from, to);
		break;
	case STEP_NOTHING:
	case STEP_KINDS: break;
	}
	if (program->holds[actor] && number == program->hold_last[actor]) {
		footprint_unlock(footprint, footprint_object(OBJECT_MUTEX, 0));
		state->holder = NOBODY;
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

/* The run is over: who waits for the mutex in vain? */
static void tell_stuck(const struct program *program, const struct state *state,
		       struct choice *choice)
{
	for (unsigned actor = 0; actor < program->actor_count; actor++)
		if (state->holder != NOBODY && program->holds[actor] &&
		    state->next[actor] < program->step_count[actor] &&
		    state->next[actor] == program->hold_first[actor])
			choice_stuck(choice, actor + 1, footprint_object(OBJECT_MUTEX, 0));
}

/* Execute steps until nobody can go on; false when the run was abandoned. */
static bool run_steps(const struct program *program, struct choice *choice, struct state *state)
{
	*state = (struct state){ .waits = { -1, -1, -1 },
				 .faults_left = program->faults_max,
				 .holder = NOBODY };
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
		struct footprint footprint;
		int waits = state->waits[actors[pick] - 1];
		footprint_clear(&footprint);
		state->steps++;
		step(program, state, actors[pick] - 1, choice, &footprint);
		if (choice->abandoned)
			return false;
		footprint.everything |= state->died;
		choice_step_done(choice, &footprint, waits < 0 ? 0 : state->flag_set_by[waits]);
		if (state->died)
			return true;
	}
}

/* Execute one run; false when it was abandoned. */
static bool run(const struct program *program, struct choice *choice, struct state *state)
{
	bool ended = run_steps(program, choice, state);
	tell_stuck(program, state, choice);
	return ended;
}

static int compare_hashes(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static size_t sort_once(uint64_t *hashes, size_t count)
{
	size_t kept = 0;
	qsort(hashes, count, sizeof(hashes[0]), compare_hashes);
	for (size_t i = 0; i < count; i++)
		if (i == 0 || hashes[i] != hashes[i - 1])
			hashes[kept++] = hashes[i];
	return kept;
}

static struct strategy *strategy_of(enum search_kind kind, const struct order *order,
				    const struct dpor_job *job)
{
	if (kind == SEARCH_DPOR)
		return strategy_dpor_new(order, job);
	return strategy_dfs_new(kind == SEARCH_PRUNED);
}

/* Add what a search, or a job of at most `slice` runs of it, reaches. The strategy is not freed. */
static struct strategy *search_more(const struct program *program, enum search_kind kind,
				    const struct dpor_job *job, size_t slice, struct order *order,
				    struct ends *ends)
{
	struct strategy *strategy = strategy_of(kind, order, job);
	struct choice choice;

	choice_init(&choice, strategy, NULL);
	choice.order = order;
	size_t own_runs = 0; /* trials do not count, or a short slice would get nowhere */
	while (own_runs < slice && ends->runs <= RUNS_MAX && choice_begin(&choice)) {
		struct state state;
		bool ended = run(program, &choice, &state);
		bool is_redundant = choice_is_redundant(&choice);
		if (ended && !is_redundant) {
			ends->hashes[ends->count++] = state_hash(&state);
			ends->classes[ends->class_count++] = order->class_hash;
		}
		ends->runs += !is_redundant;
		ends->given_up += is_redundant;
		choice_end(&choice, RUN_FINISHED, 0);
		own_runs += kind != SEARCH_DPOR || !strategy_dpor_is_trial(strategy);
	}
	ck_assert_ptr_null(strategy->ops->complaint(strategy));
	choice_release(&choice);
	return strategy;
}

/* All ends that a search reaches, sorted, each once. False when there are more runs than
 * RUNS_MAX. */
static bool search(const struct program *program, enum search_kind kind, struct ends *ends)
{
	struct order order;
	order_init(&order);
	ends->count = ends->runs = ends->class_count = ends->given_up = 0;
	struct strategy *strategy = search_more(program, kind, NULL, SIZE_MAX, &order, ends);
	bool complete = !strategy->ops->begin(strategy) && strategy->ops->is_complete(strategy);
	strategy_free(strategy);
	order_release(&order);
	ends->count = sort_once(ends->hashes, ends->count);
	ends->class_count = sort_once(ends->classes, ends->class_count);
	return complete;
}

/* Jobs still to be done. */
struct jobs {
	struct dpor_job list[1024];
	size_t count;
};

static void take_job(void *context, const struct dpor_job *job)
{
	struct jobs *jobs = context;
	ck_assert_uint_lt(jobs->count, 1024);
	struct dpor_job *copy = &jobs->list[jobs->count++];
	*copy = *job;
	schedule_init(&copy->prefix);
	schedule_copy(&copy->prefix, &job->prefix);
}

/* As search() with SEARCH_DPOR, in jobs of at most `slice` runs each. */
static void search_in_jobs(const struct program *program, size_t slice, struct ends *ends)
{
	static struct jobs jobs;
	struct order order;
	bool is_first = true;
	order_init(&order);
	ends->count = ends->runs = ends->class_count = ends->given_up = 0;
	jobs.count = 0;
	while (is_first || jobs.count > 0) {
		struct dpor_job job = { 0 };
		if (!is_first)
			job = jobs.list[--jobs.count];
		struct strategy *strategy = search_more(
			program, SEARCH_DPOR, is_first ? NULL : &job, slice, &order, ends);
		strategy_dpor_hand_back(strategy, take_job, &jobs);
		strategy_free(strategy);
		if (!is_first)
			schedule_release(&job.prefix);
		is_first = false;
	}
	order_release(&order);
	ends->count = sort_once(ends->hashes, ends->count);
	ends->class_count = sort_once(ends->classes, ends->class_count);
}

static void compare(const struct ends *some, const struct ends *all, uint64_t program_seed,
		    const char *what)
{
	ck_assert_msg(some->count == all->count &&
			      memcmp(some->hashes, all->hashes, all->count * sizeof(uint64_t)) == 0,
		      "program seed %" PRIu64 ", %s: %zu ends instead of %zu, or others",
		      program_seed, what, some->count, all->count);
	ck_assert_msg(some->class_count == all->class_count &&
			      memcmp(some->classes, all->classes,
				     all->class_count * sizeof(uint64_t)) == 0,
		      "program seed %" PRIu64 ", %s: %zu classes instead of %zu, or others",
		      program_seed, what, some->class_count, all->class_count);
}

START_TEST(pruning_reaches_every_end_that_plain_search_reaches)
{
	static struct ends plain, pruned, reduced, in_jobs;
	uint64_t seed = 20261122;
	size_t plain_runs = 0, pruned_runs = 0, reduced_runs = 0, given_up = 0, classes = 0;

	for (unsigned number = 0; number < PROGRAMS;) {
		struct program program;
		uint64_t program_seed = seed;
		generate(&program, &seed);
		if (!search(&program, SEARCH_PLAIN, &plain))
			continue;
		number++;
		ck_assert(search(&program, SEARCH_PRUNED, &pruned));
		compare(&pruned, &plain, program_seed, "sleep sets");
		ck_assert_uint_le(pruned.runs, plain.runs);
		ck_assert(search(&program, SEARCH_DPOR, &reduced));
		compare(&reduced, &plain, program_seed, "dpor");
		ck_assert_uint_eq(reduced.runs, reduced.class_count);
		search_in_jobs(&program, 1 + program_seed % 5, &in_jobs);
		compare(&in_jobs, &plain, program_seed, "dpor in jobs");
		ck_assert_uint_eq(in_jobs.runs, in_jobs.class_count);
		plain_runs += plain.runs;
		pruned_runs += pruned.runs;
		reduced_runs += reduced.runs;
		given_up += reduced.given_up;
		classes += plain.class_count;
	}
	printf("%d programs: %zu runs in full, %zu with sleep sets, %zu with dpor, which gave %zu "
	       "up; %zu classes\n",
	       PROGRAMS, plain_runs, pruned_runs, reduced_runs, given_up, classes);
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
	ck_assert(search(&program, SEARCH_PLAIN, &ends));
	ck_assert_uint_eq(ends.runs, 6);
	ck_assert(search(&program, SEARCH_PRUNED, &ends));
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
	ck_assert(search(&program, SEARCH_PRUNED, &ends));
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
