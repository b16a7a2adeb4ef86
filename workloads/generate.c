// SPDX-License-Identifier: MIT
/* Every workload of one to three requests, up to symmetry.
 *
 * A workload is a list of requests over three neighbouring guest clusters (the skeleton), a state
 * for each cluster that is touched, a cache mode, and lazy refcounts or not.
 *
 * Symmetry. Which guest cluster is called 0 makes no difference, as long as those that one request
 * spans stay neighbours in their order. So of all lists that are renamings of one another only the
 * smallest is kept: requests are compared by kind, then by cluster. A renaming that leaves the list
 * as it is leaves every touched cluster where it is, because requests stand in an order. So nothing
 * is left to be symmetric, and each kept list goes with every assignment of states.
 *
 *      lists with a renaming in common     one skeleton     x states ^ touched clusters x modes
 *
 * Lists in which nothing is changed (reads and flushes) are left out.
 *
 * Order. Workloads lie in levels: (requests, all touched clusters in one state or not). A level is
 * walked with a stride near the golden section of its size and prime to it, so that its first
 * thousand are spread over all of it. First come one and two requests with clusters in one state,
 * then one workload of each other level in turn. */
#include "workloads/generate.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
	RENAMINGS = 6,
	LEVELS_MAX = 2 * GENERATE_REQUESTS_MAX,
};

const struct generate_word generate_kinds[GENERATE_KIND_COUNT] = {
	[GENERATE_WRITE] = { "write", 'w', "write a whole cluster" },
	[GENERATE_HEAD] = { "head", 'h', "write the first quarter of one" },
	[GENERATE_MIDDLE] = { "middle", 'm', "write the middle half of one" },
	[GENERATE_TAIL] = { "tail", 't', "write the last half of one" },
	[GENERATE_SPAN] = { "span", 'x', "write across the boundary of two" },
	[GENERATE_ZERO] = { "zero", 'z', "write -z" },
	[GENERATE_UNMAP] = { "unmap", 'u', "write -z -u" },
	[GENERATE_DISCARD] = { "discard", 'd', "discard" },
	[GENERATE_COMPRESSED] = { "compressed", 'c', "write -c" },
	[GENERATE_READ] = { "read", 'r', "read a whole cluster" },
	[GENERATE_FLUSH] = { "flush", 'f', "flush" },
};

const struct generate_word generate_states[GENERATE_STATE_COUNT] = {
	[GENERATE_BACKING] = { "backing", 'b', "unallocated over backing data" },
	[GENERATE_BACKING_ZERO] = { "backing-zero", 'o', "unallocated over a hole" },
	[GENERATE_BEYOND] = { "beyond", 'e', "unallocated behind the backing file's end" },
	[GENERATE_NORMAL] = { "normal", 'n', "data" },
	[GENERATE_SNAPSHOT] = { "snapshot", 's', "data that a snapshot shares" },
	[GENERATE_ZERO_PLAIN] = { "zero", 'z', "zeros without a host cluster" },
	[GENERATE_ZERO_ALLOCATED] = { "zero-allocated", 'a', "zeros with a host cluster" },
	[GENERATE_ALONE] = { "compressed", 'c', "compressed, alone in its host cluster" },
	[GENERATE_SHARING] = { "compressed-sharing", 'j', "compressed, sharing it" },
	[GENERATE_FREED] = { "freed", 'f', "zeros; its host cluster is free, stale bytes left" },
};

const struct generate_alphabet generate_everything = {
	.requests_min = 1,
	.requests_max = GENERATE_REQUESTS_MAX,
	.kinds = (1U << GENERATE_KIND_COUNT) - 1,
	.states = (1U << GENERATE_STATE_COUNT) - 1,
	.caches = 3,
	.lazy = 3,
};

/* Skeletons that have as many requests and touched clusters. */
struct group {
	uint32_t requests, clusters;
	size_t first, count; /* in the list of skeletons */
};

enum { GROUPS_MAX = GENERATE_REQUESTS_MAX * GENERATE_CLUSTERS };

/* Workloads of as many requests, with their clusters in one state, or not. */
struct level {
	uint32_t requests;
	bool is_uniform;
	uint64_t size, stride;
};

struct generator {
	struct generate_alphabet alphabet;
	enum generate_state states[GENERATE_STATE_COUNT]; /* those of the alphabet */
	uint32_t state_count;
	uint32_t mode_count;
	struct generate_skeleton *skeletons; /* owned; by group */
	size_t skeleton_count, skeleton_capacity;
	struct group groups[GROUPS_MAX];
	size_t group_count;
	struct level levels[LEVELS_MAX];
	size_t level_count;
	uint64_t count;
};

/* ---- words ---- */

bool generate_parse_set(const char *text, const struct generate_word *words, size_t count,
			unsigned *set)
{
	unsigned parsed = 0;
	do {
		size_t bytes = strcspn(text, ",");
		size_t found = count;
		for (size_t i = 0; i < count; i++)
			if (strlen(words[i].name) == bytes &&
			    strncmp(words[i].name, text, bytes) == 0)
				found = i;
		if (found == count)
			return false;
		parsed |= 1U << found;
		text += bytes;
	} while (*text++ == ',');
	*set = parsed;
	return true;
}

/* ---- skeletons ---- */

static const uint32_t renamings[RENAMINGS][GENERATE_CLUSTERS] = {
	{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
};

/* Rename the clusters of a list. False: a request would span clusters that are no neighbours. */
static bool rename_clusters(struct generate_skeleton *skeleton, const uint32_t *renaming)
{
	for (uint32_t i = 0; i < skeleton->request_count; i++) {
		struct generate_request *request = &skeleton->requests[i];
		uint32_t cluster = request->cluster;
		if (request->kind == GENERATE_FLUSH)
			continue;
		if (request->kind == GENERATE_SPAN &&
		    renaming[cluster + 1] != renaming[cluster] + 1)
			return false;
		request->cluster = renaming[cluster];
	}
	return true;
}

static int compare_lists(const struct generate_skeleton *a, const struct generate_skeleton *b)
{
	for (uint32_t i = 0; i < a->request_count; i++) {
		const struct generate_request *x = &a->requests[i], *y = &b->requests[i];
		if (x->kind != y->kind)
			return x->kind < y->kind ? -1 : 1;
		if (x->cluster != y->cluster)
			return x->cluster < y->cluster ? -1 : 1;
	}
	return 0;
}

static bool is_smallest(const struct generate_skeleton *skeleton)
{
	for (size_t i = 0; i < RENAMINGS; i++) {
		struct generate_skeleton renamed = *skeleton;
		if (rename_clusters(&renamed, renamings[i]) &&
		    compare_lists(&renamed, skeleton) < 0)
			return false;
	}
	return true;
}

void generate_canonical(struct generate_skeleton *skeleton)
{
	const struct generate_skeleton given = *skeleton;
	for (size_t i = 0; i < RENAMINGS; i++) {
		struct generate_skeleton renamed = given;
		if (rename_clusters(&renamed, renamings[i]) &&
		    compare_lists(&renamed, skeleton) < 0)
			*skeleton = renamed;
	}
}

static bool changes(const struct generate_skeleton *skeleton)
{
	for (uint32_t i = 0; i < skeleton->request_count; i++)
		if (skeleton->requests[i].kind != GENERATE_READ &&
		    skeleton->requests[i].kind != GENERATE_FLUSH)
			return true;
	return false;
}

static uint32_t count_clusters(const struct generate_skeleton *skeleton)
{
	unsigned touched = 0;
	for (uint32_t i = 0; i < skeleton->request_count; i++) {
		const struct generate_request *request = &skeleton->requests[i];
		if (request->kind == GENERATE_FLUSH)
			continue;
		touched |= (request->kind == GENERATE_SPAN ? 3U : 1U) << request->cluster;
	}
	/* The smallest renaming touches the first clusters. */
	assert((touched & (touched + 1)) == 0);
	return (uint32_t)__builtin_popcount(touched);
}

static void keep(struct generator *generator, const struct generate_skeleton *skeleton)
{
	if (generator->skeleton_count == generator->skeleton_capacity) {
		size_t capacity = 2 * generator->skeleton_capacity + 256;
		generator->skeletons =
			realloc(generator->skeletons, capacity * sizeof(*generator->skeletons));
		if (!generator->skeletons)
			abort();
		generator->skeleton_capacity = capacity;
	}
	generator->skeletons[generator->skeleton_count++] = *skeleton;
}

/* All requests that there are; returns how many. */
static size_t list_requests(const struct generate_alphabet *alphabet,
			    struct generate_request *requests)
{
	size_t count = 0;
	for (uint32_t kind = 0; kind < GENERATE_KIND_COUNT; kind++) {
		uint32_t clusters = kind == GENERATE_FLUSH  ? 1
				    : kind == GENERATE_SPAN ? GENERATE_CLUSTERS - 1
							    : GENERATE_CLUSTERS;
		for (uint32_t i = 0; alphabet->kinds & 1U << kind && i < clusters; i++)
			requests[count++] = (struct generate_request){ kind, i };
	}
	return count;
}

/* Go through all lists of `length` requests, and keep the smallest of each set of renamings. */
static void list_skeletons(struct generator *generator, uint32_t length)
{
	struct generate_request all[GENERATE_KIND_COUNT * GENERATE_CLUSTERS];
	size_t count = list_requests(&generator->alphabet, all);
	uint64_t lists = 1;
	for (uint32_t i = 0; i < length; i++)
		lists *= count;
	for (uint64_t number = 0; number < lists; number++) {
		struct generate_skeleton skeleton = { .request_count = length };
		uint64_t rest = number;
		for (uint32_t i = length; i-- > 0; rest /= count)
			skeleton.requests[i] = all[rest % count];
		if (!changes(&skeleton) || !is_smallest(&skeleton))
			continue;
		skeleton.cluster_count = count_clusters(&skeleton);
		keep(generator, &skeleton);
	}
}

static int compare_sizes(const void *left, const void *right)
{
	const struct generate_skeleton *a = left, *b = right;
	if (a->request_count != b->request_count)
		return a->request_count < b->request_count ? -1 : 1;
	if (a->cluster_count != b->cluster_count)
		return a->cluster_count < b->cluster_count ? -1 : 1;
	return compare_lists(a, b);
}

static void group_skeletons(struct generator *generator)
{
	if (generator->skeleton_count)
		qsort(generator->skeletons, generator->skeleton_count,
		      sizeof(*generator->skeletons), compare_sizes);
	for (size_t i = 0; i < generator->skeleton_count; i++) {
		const struct generate_skeleton *skeleton = &generator->skeletons[i];
		struct group *group = &generator->groups[generator->group_count];
		if (!i || group[-1].requests != skeleton->request_count ||
		    group[-1].clusters != skeleton->cluster_count) {
			*group = (struct group){ skeleton->request_count, skeleton->cluster_count,
						 i, 0 };
			generator->group_count++;
		}
		generator->groups[generator->group_count - 1].count++;
	}
}

/* ---- levels ---- */

static uint64_t power(uint64_t base, uint32_t exponent)
{
	uint64_t result = 1;
	while (exponent--)
		result *= base;
	return result;
}

/* How many assignments of states the skeletons of `group` have in a level. */
static uint64_t assignments_of(const struct generator *generator, const struct group *group,
			       bool is_uniform)
{
	uint64_t all = power(generator->state_count, group->clusters);
	return is_uniform ? generator->state_count : all - generator->state_count;
}

static uint64_t level_part(const struct generator *generator, const struct group *group,
			   const struct level *level)
{
	if (group->requests != level->requests)
		return 0;
	return group->count * assignments_of(generator, group, level->is_uniform) *
	       generator->mode_count;
}

static uint64_t greatest_divisor(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t rest = a % b;
		a = b;
		b = rest;
	}
	return a;
}

static void add_level(struct generator *generator, uint32_t requests, bool is_uniform)
{
	struct level level = { .requests = requests, .is_uniform = is_uniform };
	for (size_t i = 0; i < generator->group_count; i++)
		level.size += level_part(generator, &generator->groups[i], &level);
	if (!level.size)
		return;
	assert(level.size < UINT32_MAX); /* index times stride fits */
	level.stride = level.size * 618 / 1000 + 1;
	while (greatest_divisor(level.stride, level.size) != 1)
		level.stride++;
	generator->levels[generator->level_count++] = level;
	generator->count += level.size;
}

struct generator *generator_new(const struct generate_alphabet *alphabet)
{
	struct generator *generator = calloc(1, sizeof(*generator));
	if (!generator)
		abort();
	assert(alphabet->requests_min && alphabet->requests_max <= GENERATE_REQUESTS_MAX);
	generator->alphabet = *alphabet;
	generator->mode_count = (uint32_t)(__builtin_popcount(alphabet->caches) *
					   __builtin_popcount(alphabet->lazy));
	for (uint32_t state = 0; state < GENERATE_STATE_COUNT; state++)
		if (alphabet->states & 1U << state)
			generator->states[generator->state_count++] = state;
	for (uint32_t i = alphabet->requests_min; i <= alphabet->requests_max; i++)
		list_skeletons(generator, i);
	group_skeletons(generator);
	for (uint32_t i = alphabet->requests_min; i <= alphabet->requests_max; i++) {
		add_level(generator, i, true);
		add_level(generator, i, false);
	}
	return generator;
}

void generator_free(struct generator *generator)
{
	if (!generator)
		return;
	free(generator->skeletons);
	free(generator);
}

uint64_t generator_count(const struct generator *generator)
{
	return generator->count;
}

/* ---- one workload ---- */

/* Is the level walked to its end before others begin? */
static bool comes_first(const struct level *level)
{
	return level->is_uniform && level->requests < GENERATE_REQUESTS_MAX;
}

/* Find the level of workload `index`, which becomes its place there. */
static const struct level *find_level(const struct generator *generator, uint64_t *index)
{
	const struct level *active[LEVELS_MAX];
	size_t count = 0;
	for (size_t i = 0; i < generator->level_count; i++) {
		const struct level *level = &generator->levels[i];
		if (!comes_first(level))
			active[count++] = level;
		else if (*index < level->size)
			return level;
		else
			*index -= level->size;
	}
	/* In turn, until the smallest that is left has no more. */
	for (uint64_t done = 0;;) {
		uint64_t least = UINT64_MAX;
		for (size_t i = 0; i < count; i++)
			least = active[i]->size < least ? active[i]->size : least;
		assert(count);
		uint64_t block = (least - done) * count;
		if (*index < block) {
			const struct level *level = active[*index % count];
			*index = done + *index / count;
			return level;
		}
		*index -= block;
		done = least;
		size_t kept = 0;
		for (size_t i = 0; i < count; i++)
			if (active[i]->size > done)
				active[kept++] = active[i];
		count = kept;
	}
}

/* Assignment `number` of states to `clusters` clusters: all alike, or not all alike. */
static void assign(const struct generator *generator, struct generated *generated, uint64_t number,
		   bool is_uniform)
{
	uint32_t clusters = generated->skeleton.cluster_count, base = generator->state_count;
	if (is_uniform) {
		for (uint32_t i = 0; i < clusters; i++)
			generated->states[i] = generator->states[number];
		return;
	}
	/* Number in base `base`; those of equal digits, multiples of 1...1, are skipped. */
	uint64_t ones = 0;
	for (uint32_t i = 0; i < clusters; i++)
		ones = ones * base + 1;
	number += 1 + number / (ones - 1);
	for (uint32_t i = clusters; i-- > 0; number /= base)
		generated->states[i] = generator->states[number % base];
}

void generator_at(const struct generator *generator, uint64_t index, struct generated *generated)
{
	*generated = (struct generated){ 0 };
	assert(index < generator->count);
	const struct level *level = find_level(generator, &index);
	uint64_t place = index * level->stride % level->size;
	const struct group *group = generator->groups;
	for (; place >= level_part(generator, group, level); group++)
		place -= level_part(generator, group, level);
	uint32_t mode = (uint32_t)(place % generator->mode_count);
	uint64_t assignments = assignments_of(generator, group, level->is_uniform);
	place /= generator->mode_count;
	generated->skeleton = generator->skeletons[group->first + place / assignments];
	assign(generator, generated, place % assignments, level->is_uniform);
	unsigned lazy = generator->alphabet.lazy, caches = generator->alphabet.caches;
	uint32_t lazy_modes = lazy == 3 ? 2 : 1;
	generated->lazy = lazy == 3 ? mode % 2 == 1 : lazy == 2;
	generated->writethrough = caches == 3 ? mode / lazy_modes == 1 : caches == 2;
	generated->impossible = generated_impossible(generated);
	generated_name(generated);
}

bool generator_family(const struct generator *generator, size_t index,
		      struct generate_family *family)
{
	if (index >= generator->group_count)
		return false;
	const struct group *group = &generator->groups[index];
	uint64_t assignments = power(generator->state_count, group->clusters);
	*family = (struct generate_family){
		.requests = group->requests,
		.clusters = group->clusters,
		.skeletons = group->count,
		.workloads = group->count * assignments * generator->mode_count,
	};
	for (size_t i = 0; i < group->count; i++) {
		struct generated generated = { .skeleton = generator->skeletons[group->first + i] };
		for (uint64_t number = 0; number < assignments; number++) {
			uint64_t rest = number;
			for (uint32_t k = group->clusters; k-- > 0; rest /= generator->state_count)
				generated.states[k] =
					generator->states[rest % generator->state_count];
			if (generated_impossible(&generated))
				family->impossible += generator->mode_count;
		}
	}
	return true;
}
