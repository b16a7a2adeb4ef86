// SPDX-License-Identifier: MIT
/* Two questions to a search that is not over.
 *
 * "How many classes has a sampler not seen?" The classes seen once tell of those not seen at all
 * (Good 1953, after Turing): of n runs f1 were the only ones of their class, and the next run is
 * new with probability about f1 / n. With f2 classes seen twice, at least
 * distinct + (n-1)/n * f1 (f1-1) / (2 (f2+1)) classes exist (Chao 1984). Both take the runs for
 * independent draws from one distribution. Samplers that learn (pos, pct) draw almost so; for an
 * exhaustive search the figures mean nothing. The bound says "at least" for good reason: any number
 * of classes may be too rare to be noticed.
 *
 * "How much of the tree is walked?" A leaf weighs the product of 1 / branches over the nodes above
 * it (Knuth 1975); the weights of all leaves add up to 1, whatever the tree's shape, and those of
 * the finished leaves to the part done. A reduction finds branches while it walks, and a weight
 * once added would be wrong afterwards. So no sum is kept, but the path to the last leaf with, at
 * each node, how many branches are known and how many are finished:
 *
 *     part(node) = (finished + part(the branch being walked)) / branches
 *
 * Branches can be found only at nodes on the path, since the rest of the tree is done or not begun;
 * the next leaf brings the new numbers. The part done is honest about weight, not about time:
 * subtrees differ in size, and the first one walked may be the smallest. */
#include "injector/estimate.h"

#include "injector/splitmix.h"
#include "traces/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES_FIRST = 256 };

void distinct_estimate_init(struct distinct_estimate *estimate)
{
	memset(estimate, 0, sizeof(*estimate));
}

void distinct_estimate_release(struct distinct_estimate *estimate)
{
	free(estimate->classes);
	distinct_estimate_init(estimate);
}

/** The place of `hash`, or the free one that it would get. */
static struct distinct_class *find_class(const struct distinct_estimate *estimate, uint64_t hash)
{
	size_t mask = estimate->class_capacity - 1;
	size_t place = (size_t)splitmix_mix(hash) & mask;

	while (estimate->classes[place].times > 0 && estimate->classes[place].hash != hash)
		place = (place + 1) & mask;
	return &estimate->classes[place];
}

/** Keep at least half of the places free. */
static void make_room(struct distinct_estimate *estimate)
{
	struct distinct_class *old = estimate->classes;
	size_t old_capacity = estimate->class_capacity;

	if (2 * (estimate->distinct + 1) <= old_capacity)
		return;
	estimate->class_capacity = 0;
	estimate->classes =
		memory_grow(NULL, &estimate->class_capacity,
			    old_capacity ? 2 * old_capacity : CLASSES_FIRST, sizeof(*old));
	memset(estimate->classes, 0, estimate->class_capacity * sizeof(*old));
	for (size_t i = 0; i < old_capacity; i++)
		if (old[i].times > 0)
			*find_class(estimate, old[i].hash) = old[i];
	free(old);
}

void distinct_estimate_add(struct distinct_estimate *estimate, uint64_t class_hash)
{
	make_room(estimate);
	struct distinct_class *found = find_class(estimate, class_hash);
	found->hash = class_hash;
	found->times++;
	estimate->runs++;
	estimate->distinct += found->times == 1;
	estimate->singletons += found->times == 1;
	estimate->singletons -= found->times == 2;
	estimate->doubletons += found->times == 2;
	estimate->doubletons -= found->times == 3;
}

double distinct_estimate_classes(const struct distinct_estimate *estimate)
{
	double once = (double)estimate->singletons;
	double twice = (double)estimate->doubletons;
	double runs = (double)estimate->runs;

	if (estimate->singletons == 0)
		return (double)estimate->distinct;
	return (double)estimate->distinct +
	       (runs - 1) / runs * once * (once - 1) / (2 * (twice + 1));
}

double distinct_estimate_unseen(const struct distinct_estimate *estimate)
{
	if (estimate->runs == 0)
		return 1;
	return (double)estimate->singletons / (double)estimate->runs;
}

void tree_estimate_init(struct tree_estimate *estimate)
{
	memset(estimate, 0, sizeof(*estimate));
}

void tree_estimate_release(struct tree_estimate *estimate)
{
	free(estimate->path);
	tree_estimate_init(estimate);
}

/** There are at least the branches that were walked and the one being walked. */
static void node_set_branches(struct tree_node *node, uint32_t branches)
{
	node->branches = branches > node->finished ? branches : node->finished + 1;
}

void tree_estimate_add(struct tree_estimate *estimate, const struct schedule_step *path,
		       size_t depth)
{
	size_t common = 0;

	while (common < estimate->depth && common < depth &&
	       estimate->path[common].branch == path[common].pick) {
		node_set_branches(&estimate->path[common], path[common].count);
		common++;
	}
	size_t kept = common;
	if (common < estimate->depth && common < depth) {
		struct tree_node *fork = &estimate->path[common];
		fork->branch = path[common].pick;
		fork->finished++;
		node_set_branches(fork, path[common].count);
		kept++;
	}
	estimate->path =
		memory_grow(estimate->path, &estimate->capacity, depth, sizeof(*estimate->path));
	for (size_t i = kept; i < depth; i++) {
		estimate->path[i] = (struct tree_node){ .branch = path[i].pick };
		node_set_branches(&estimate->path[i], path[i].count);
	}
	estimate->depth = depth;
	estimate->leaves++;
}

double tree_estimate_fraction(const struct tree_estimate *estimate)
{
	double part = estimate->leaves > 0;

	for (size_t i = estimate->depth; i-- > 0;)
		part = (estimate->path[i].finished + part) / estimate->path[i].branches;
	return part;
}

double tree_estimate_leaves(const struct tree_estimate *estimate)
{
	if (estimate->leaves == 0)
		return 0;
	return (double)estimate->leaves / tree_estimate_fraction(estimate);
}

double tree_estimate_seconds_left(const struct tree_estimate *estimate, double elapsed_seconds)
{
	double part = tree_estimate_fraction(estimate);

	return part > 0 ? elapsed_seconds * (1 - part) / part : INFINITY;
}
