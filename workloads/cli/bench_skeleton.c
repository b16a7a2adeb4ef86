// SPDX-License-Identifier: MIT
/* The search beside a model checker, on a program so small that both can be given it: the model
 * bench/skeleton.pml as tasks on the real scheduler, statement for statement a step.
 *
 * The mutex is the engine's own. With every scheduling point in use a task in front of a held mutex
 * is not enabled, which loses no order of holders (sched.h); the model has that as PLAIN.
 *
 * Who holds the mutex when is all that can differ: the steps between taking and giving it back
 * touch what it protects, and the clusters that are written behind it are not the same. So the
 * classes are the orders in which `writers` take it `rounds` times each, and their number is known:
 * (writers * rounds)! / (rounds!)^writers. A search that reports another number is wrong, and is
 * not measured.
 *
 * Runs begin at their beginning: the snapshots belong to worlds. */
#include "workloads/cli/bench.h"

#include "engine/coroutine/co_mutex.h"
#include "engine/scheduler/sched.h"
#include "engine/scheduler/touch.h"
#include "injector/choice.h"
#include "injector/order.h"
#include "injector/strategy_dpor.h"
#include "injector/strategy_stateful.h"
#include "workloads/seconds.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

enum { WRITERS_MAX = 4, CLUSTERS_MAX = 8 };

static const struct {
	uint32_t writers, rounds;
} sizes[] = { { 2, 1 }, { 2, 2 }, { 3, 2 }, { WRITERS_MAX, 2 } };

enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

/* Where a writer is. */
enum place {
	PLACE_NEW,
	PLACE_BEFORE_MUTEX,
	PLACE_HAS_MUTEX,
	PLACE_HAS_READ,
	PLACE_HAS_TAKEN,
	PLACE_BEHIND_MUTEX
};

struct writer {
	struct program *program;
	uint8_t number; /* from 1 */
	uint8_t rounds_left;
	uint8_t cluster;
	uint8_t place;
};

struct program {
	struct co_mutex mutex;
	uint8_t first_free;
	uint8_t data[CLUSTERS_MAX]; /* of each cluster: who wrote it; 0: nobody */
	struct writer writers[WRITERS_MAX];
	uint32_t writer_count;
};

static void end_step(struct writer *writer, enum place place)
{
	writer->place = (uint8_t)place;
	task_yield_if_touched();
}

static void run_writer(void *argument)
{
	struct writer *writer = argument;
	struct program *program = writer->program;
	for (; writer->rounds_left > 0; writer->rounds_left--) {
		writer->place = PLACE_BEFORE_MUTEX;
		co_mutex_lock(&program->mutex);
		end_step(writer, PLACE_HAS_MUTEX);
		touch(TOUCH_CLUSTERS, 0, ACCESS_READ);
		writer->cluster = program->first_free;
		end_step(writer, PLACE_HAS_READ);
		touch(TOUCH_CLUSTERS, 0, ACCESS_WRITE);
		program->first_free = (uint8_t)(writer->cluster + 1);
		end_step(writer, PLACE_HAS_TAKEN);
		co_mutex_unlock(&program->mutex);
		end_step(writer, PLACE_BEHIND_MUTEX);
		touch_one(TOUCH_L2, 0, writer->cluster, ACCESS_WRITE);
		assert(!program->data[writer->cluster] && "no cluster is taken twice");
		program->data[writer->cluster] = writer->number;
		writer->cluster = 0;
	}
}

/* The state between two steps. Who holds the mutex is known from where the writers are. */
static struct state_hash hash_program(void *context)
{
	const struct program *program = context;
	uint64_t words[(1 + CLUSTERS_MAX + 3 * WRITERS_MAX + 7) / 8] = { 0 };
	uint8_t *bytes = (uint8_t *)words;
	*bytes++ = program->first_free;
	memcpy(bytes, program->data, CLUSTERS_MAX);
	bytes += CLUSTERS_MAX;
	for (uint32_t i = 0; i < program->writer_count; i++) {
		const struct writer *writer = &program->writers[i];
		*bytes++ = writer->rounds_left;
		*bytes++ = writer->cluster;
		*bytes++ = writer->place;
	}
	struct state_hash hash = { { 0, 0 } };
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		hash.words[0] = order_mixed(hash.words[0] ^ words[i]);
		hash.words[1] = order_mixed(hash.words[1] + words[i] + i + 1);
	}
	return hash;
}

static bool begin(struct program *program, struct sched *sched,
		  const struct bench_skeleton *skeleton)
{
	*program = (struct program){ .writer_count = skeleton->writers };
	co_mutex_init(&program->mutex, "skeleton", 0);
	for (uint32_t i = 0; i < skeleton->writers; i++) {
		struct writer *writer = &program->writers[i];
		*writer = (struct writer){ .program = program,
					   .number = (uint8_t)(i + 1),
					   .rounds_left = (uint8_t)skeleton->rounds };
		if (!sched_spawn(sched, "writer", run_writer, writer))
			return false;
	}
	return true;
}

/* A search: what runs, under which strategy. */
struct search {
	struct program *program;
	struct sched *sched;
	struct choice choice;
	uint64_t steps; /* of completed runs */
};

static enum status run_all(struct bench_search *result, struct search *search,
			   const struct bench_skeleton *skeleton, struct why *why)
{
	double started = seconds_now();
	while (choice_begin(&search->choice)) {
		if (!begin(search->program, search->sched, skeleton))
			return why_set(why, STATUS_NO_MEMORY, "out of memory");
		const struct sched_options options = { .choice = &search->choice,
						       .points = SCHED_POINTS_ALL };
		enum run_end end = sched_run(search->sched, &options);
		bool is_redundant = choice_is_redundant(&search->choice);
		if (end != RUN_FINISHED && !is_redundant)
			return why_set(why, STATUS_DIVERGED, "the skeleton went wrong: %s",
				       sched_report(search->sched));
		result->executions++;
		result->completed += !is_redundant;
		if (search->choice.order)
			search->steps += search->choice.order->count;
		choice_end(&search->choice, end, 0);
	}
	result->seconds = seconds_now() - started;
	result->complete = search->choice.strategy->ops->is_complete(search->choice.strategy);
	return STATUS_OK;
}

static enum status search_classes(struct bench_skeleton *skeleton, struct search *search,
				  struct why *why)
{
	struct order order;
	order_init(&order);
	struct strategy *strategy = strategy_dpor_new(&order, NULL);
	if (!strategy)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	choice_init(&search->choice, strategy, NULL);
	search->choice.order = &order;
	enum status status = run_all(&skeleton->dpor, search, skeleton, why);
	skeleton->dpor_steps = search->steps;
	if (status == STATUS_OK && skeleton->dpor.completed != skeleton->orders)
		status = why_set(why, STATUS_DIVERGED,
				 "the skeleton has %" PRIu64 " orders; the search ran %" PRIu64,
				 skeleton->orders, skeleton->dpor.completed);
	choice_release(&search->choice);
	strategy_free(strategy);
	order_release(&order);
	return status;
}

static enum status search_states(struct bench_skeleton *skeleton, struct search *search,
				 struct why *why)
{
	const struct state_source source = { .hash = hash_program, .context = search->program };
	struct strategy *strategy = strategy_stateful_new(&source, 0);
	if (!strategy)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	choice_init(&search->choice, strategy, NULL);
	enum status status = run_all(&skeleton->stateful, search, skeleton, why);
	const struct stateful_counts counts = strategy_stateful_counts(strategy);
	skeleton->states = counts.states;
	skeleton->transitions = counts.transitions;
	choice_release(&search->choice);
	strategy_free(strategy);
	return status;
}

/* In how many orders can the mutex be taken? Few enough for any number. */
static uint64_t count_orders(uint32_t writers, uint32_t rounds)
{
	uint64_t orders = 1;
	for (uint32_t writer = 1; writer < writers; writer++)
		for (uint32_t round = 1; round <= rounds; round++)
			orders = orders * (writer * rounds + round) / round;
	return orders;
}

enum status bench_skeleton(struct bench_skeleton *skeleton, uint64_t runs_max, struct why *why)
{
	size_t size = SIZES - 1;
	while (size > 0 && runs_max &&
	       count_orders(sizes[size].writers, sizes[size].rounds) > runs_max)
		size--;
	*skeleton = (struct bench_skeleton){
		.writers = sizes[size].writers,
		.rounds = sizes[size].rounds,
		.orders = count_orders(sizes[size].writers, sizes[size].rounds),
	};
	struct program program;
	struct search search = { .program = &program, .sched = sched_new() };
	if (!search.sched)
		return why_set(why, STATUS_NO_MEMORY, "out of memory");
	enum status status = search_classes(skeleton, &search, why);
	if (status == STATUS_OK)
		status = search_states(skeleton, &search, why);
	sched_free(search.sched);
	return status;
}
