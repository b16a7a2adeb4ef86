// SPDX-License-Identifier: MIT
/* What a search has not explored, as jobs for others. See strategy_dpor.c. */
#include "injector/dpor_private.h"

#include <assert.h>
#include <string.h>

static void list_sleeper(struct dpor_job *job, uint32_t actor, uint64_t picks)
{
	assert(job->sleeper_count < DPOR_SLEEPERS_MAX);
	job->sleepers[job->sleeper_count++] = (struct dpor_sleeper){ actor, picks };
}

static bool is_explored(const struct dpor *dpor, const struct dpor_node *node, uint32_t actor)
{
	for (uint32_t i = 0; i < node->count; i++)
		if (dpor_option(dpor, node, i)->actor == actor)
			return dpor_option(dpor, node, i)->explored;
	return false;
}

/** Extend the way to a node by its option `pick`, beside which everything explored sleeps. */
static void hand_back_actor(struct dpor *dpor, struct dpor_job *job, const struct dpor_node *node,
			    uint32_t pick)
{
	uint32_t actor = dpor_option(dpor, node, pick)->actor;
	schedule_append(&job->prefix, pick, node->count);
	job->last_run = job->prefix.count - 1;
	job->sleeper_count = 0;
	for (uint32_t i = 0; i < node->count; i++) {
		const struct option *option = dpor_option(dpor, node, i);
		if (i != pick && option->explored)
			list_sleeper(job, option->actor, DPOR_ALL);
	}
	for (size_t i = 0; i < node->sleeper_count; i++) {
		uint32_t index = dpor->sleepers[node->sleepers + i];
		const struct variant *variant = &dpor->variants[index];
		bool slept_before = index < node->variants || variant->is_trial;
		if (slept_before &&
		    (variant->actor == actor || !is_explored(dpor, node, variant->actor)))
			list_sleeper(job, variant->actor, variant->picks);
	}
}

/** Who takes the jobs. */
struct taker {
	void (*take)(void *context, const struct dpor_job *job);
	void *context;
};

/** All that a node has not begun, each as a job; `way` leads to the node. */
static void hand_back_rest(struct dpor *dpor, const struct dpor_node *node,
			   const struct dpor_job *way, const struct taker *taker)
{
	struct dpor_job job = *way;
	schedule_init(&job.prefix);
	for (uint32_t i = 0; i < node->count && !node->closed; i++) {
		job.last_run = way->last_run;
		job.sleeper_count = way->sleeper_count;
		memcpy(job.sleepers, way->sleepers, sizeof(job.sleepers));
		schedule_copy(&job.prefix, &way->prefix);
		if (node->kind == CHOICE_FAULT) {
			if (i <= node->pick)
				continue;
			schedule_append(&job.prefix, i, node->count);
		} else {
			struct option *option = dpor_option(dpor, node, i);
			if (option->asleep || option->explored)
				continue;
			hand_back_actor(dpor, &job, node, i);
			option->explored = true;
		}
		taker->take(taker->context, &job);
	}
	schedule_release(&job.prefix);
}

/** Go one node further on the way of the present run. */
static void extend_way(struct dpor *dpor, struct dpor_job *way, const struct dpor_node *node)
{
	if (node->count == 1)
		return;
	if (node->kind == CHOICE_RUN)
		hand_back_actor(dpor, way, node, node->pick);
	else
		schedule_append(&way->prefix, node->pick, node->count);
}

void strategy_dpor_hand_back(struct strategy *strategy,
			     void (*take)(void *context, const struct dpor_job *job), void *context)
{
	struct dpor *dpor = (struct dpor *)strategy;
	const struct taker taker = { take, context };
	struct dpor_job way = { 0 }, next = { 0 };
	schedule_init(&way.prefix);
	schedule_init(&next.prefix);
	bool has_begun = dpor->begun;
	bool has_work = dpor_begin(strategy);
	dpor->over = true;
	if (has_work && (!has_begun || dpor->is_trial)) {
		take(context, &dpor->job);
		has_work = false;
	}
	for (size_t i = 0; i < dpor->node_count && has_work; i++) {
		const struct dpor_node *node = &dpor->nodes[i];
		/* Those handed back here sleep in what is handed back after them, not on the way,
		 * which comes before them. */
		extend_way(dpor, &next, node);
		if (i + 1 == dpor->node_count)
			take(context, &next);
		hand_back_rest(dpor, node, &way, &taker);
		extend_way(dpor, &way, node);
		way.sleeper_count = next.sleeper_count;
		memcpy(way.sleepers, next.sleepers, sizeof(way.sleepers));
	}
	while (dpor->node_count > 0)
		dpor_pop(dpor);
	schedule_release(&way.prefix);
	schedule_release(&next.prefix);
}
