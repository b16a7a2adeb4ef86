// SPDX-License-Identifier: MIT
/* The generator against brute force that knows nothing of smallest lists: it joins every list with
 * its renamings, and counts the islands. */
#include "workloads/generate.h"

#include "tests/run_suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LISTS_MAX = 30000, CHOICES_MAX = 40 };

/* ---- brute force ---- */

/* All requests of an alphabet as (kind, clusters touched), and all lists of them as numbers. */
static struct generate_request choices[CHOICES_MAX];
static size_t choice_count;
static uint32_t islands[LISTS_MAX]; /* union-find over lists */

static void list_choices(unsigned kinds)
{
	choice_count = 0;
	for (uint32_t kind = 0; kind < GENERATE_KIND_COUNT; kind++) {
		for (uint32_t cluster = 0; cluster < GENERATE_CLUSTERS; cluster++) {
			bool fits = kind == GENERATE_FLUSH  ? cluster == 0
				    : kind == GENERATE_SPAN ? cluster + 1 < GENERATE_CLUSTERS
							    : true;
			if (kinds & 1U << kind && fits)
				choices[choice_count++] =
					(struct generate_request){ kind, cluster };
		}
	}
}

static uint32_t find_island(uint32_t list)
{
	while (islands[list] != list)
		list = islands[list];
	return list;
}

static uint32_t power_of(uint32_t base, uint32_t exponent)
{
	uint32_t result = 1;
	while (exponent--)
		result *= base;
	return result;
}

/* A list's renaming by a permutation of names; UINT32_MAX: there is none. A permutation is applied
 * as a whole, because on the way a span may be torn. */
static uint32_t renamed(uint32_t list, const uint32_t *names, uint32_t length)
{
	uint32_t result = 0, scale = 1;
	for (uint32_t i = 0; i < length; i++, list /= (uint32_t)choice_count) {
		struct generate_request request = choices[list % choice_count];
		size_t found = choice_count;
		uint32_t last = request.kind == GENERATE_SPAN ? names[request.cluster + 1] : 0;
		if (request.kind != GENERATE_FLUSH)
			request.cluster = names[request.cluster];
		if (request.kind == GENERATE_SPAN && last != request.cluster + 1)
			return UINT32_MAX;
		for (size_t k = 0; k < choice_count; k++)
			if (choices[k].kind == request.kind &&
			    choices[k].cluster == request.cluster)
				found = k;
		result += (uint32_t)found * scale;
		scale *= (uint32_t)choice_count;
	}
	return result;
}

static uint32_t touched_by(uint32_t list, uint32_t length, bool *changes)
{
	unsigned touched = 0;
	*changes = false;
	for (uint32_t i = 0; i < length; i++, list /= (uint32_t)choice_count) {
		const struct generate_request *request = &choices[list % choice_count];
		*changes |= request->kind != GENERATE_READ && request->kind != GENERATE_FLUSH;
		if (request->kind == GENERATE_FLUSH)
			continue;
		touched |= 1U << request->cluster;
		if (request->kind == GENERATE_SPAN)
			touched |= 2U << request->cluster;
	}
	return (uint32_t)__builtin_popcount(touched);
}

/* How many workloads there are of `length` requests: an island of lists counts once, with every
 * assignment of states to the clusters it touches, in every mode. */
static uint64_t brute_force(const struct generate_alphabet *alphabet, uint32_t length)
{
	static const uint32_t names[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
					      { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
	uint64_t count = 0;
	list_choices(alphabet->kinds);
	uint32_t lists = power_of((uint32_t)choice_count, length);
	ck_assert_uint_le(lists, LISTS_MAX);
	for (uint32_t i = 0; i < lists; i++)
		islands[i] = i;
	for (uint32_t i = 0; i < lists; i++) {
		for (size_t k = 0; k < 6; k++) {
			uint32_t other = renamed(i, names[k], length);
			if (other != UINT32_MAX)
				islands[find_island(other)] = find_island(i);
		}
	}
	for (uint32_t i = 0; i < lists; i++) {
		bool changes = false;
		uint32_t touched = touched_by(i, length, &changes);
		if (find_island(i) != i || !changes)
			continue;
		uint32_t states = (uint32_t)__builtin_popcount(alphabet->states);
		count += (uint64_t)power_of(states, touched) *
			 (uint64_t)__builtin_popcount(alphabet->caches) *
			 (uint64_t)__builtin_popcount(alphabet->lazy);
	}
	return count;
}

/* ---- tests ---- */

START_TEST(there_are_as_many_workloads_as_brute_force_finds)
{
	static const struct generate_alphabet alphabets[] = {
		{ 1, 1, 1U << GENERATE_WRITE, 1, 1, 1 },
		{ 1, 3, 1U << GENERATE_WRITE, 3, 1, 1 },
		{ 2, 2, 1U << GENERATE_WRITE | 1U << GENERATE_SPAN, 3, 3, 1 },
		{ 1, 3, 1U << GENERATE_WRITE | 1U << GENERATE_SPAN, 7, 1, 3 },
		{ 1, 3, 1U << GENERATE_DISCARD | 1U << GENERATE_READ | 1U << GENERATE_FLUSH, 5, 2,
		  3 },
		{ 3, 3, (1U << GENERATE_KIND_COUNT) - 1, 1023, 3, 3 },
	};
	for (size_t i = 0; i < sizeof(alphabets) / sizeof(alphabets[0]); i++) {
		const struct generate_alphabet *alphabet = &alphabets[i];
		struct generator *generator = generator_new(alphabet);
		uint64_t wanted = 0, families = 0;
		struct generate_family family;
		for (uint32_t k = alphabet->requests_min; k <= alphabet->requests_max; k++)
			wanted += brute_force(alphabet, k);
		for (size_t k = 0; generator_family(generator, k, &family); k++)
			families += family.workloads;
		ck_assert_uint_eq(generator_count(generator), wanted);
		ck_assert_uint_eq(families, wanted);
		generator_free(generator);
	}
}
END_TEST

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Every index another name; and as many impossible ones as the families say. */
START_TEST(every_workload_comes_once)
{
	const struct generate_alphabet alphabet = {
		.requests_min = 1,
		.requests_max = 3,
		.kinds = 1U << GENERATE_WRITE | 1U << GENERATE_SPAN | 1U << GENERATE_FLUSH,
		.states = 1U << GENERATE_BACKING | 1U << GENERATE_BEYOND | 1U << GENERATE_NORMAL,
		.caches = 3,
		.lazy = 3,
	};
	struct generator *generator = generator_new(&alphabet);
	uint64_t count = generator_count(generator), impossible = 0, wanted = 0;
	struct generate_family family;
	char(*names)[WORKLOAD_NAME_BYTES] = calloc(count, sizeof(*names));
	ck_assert_ptr_nonnull(names);
	for (uint64_t i = 0; i < count; i++) {
		struct generated generated;
		generator_at(generator, i, &generated);
		memcpy(names[i], generated.name, sizeof(names[i]));
		impossible += generated.impossible != NULL;
	}
	qsort(names, count, sizeof(*names), compare_names);
	for (uint64_t i = 1; i < count; i++)
		ck_assert_str_ne(names[i - 1], names[i]);
	for (size_t k = 0; generator_family(generator, k, &family); k++)
		wanted += family.impossible;
	ck_assert_uint_gt(impossible, 0);
	ck_assert_uint_eq(impossible, wanted);
	free(names);
	generator_free(generator);
}
END_TEST

/* Spread over all of them: each text is a workload with as many commands as requests. */
START_TEST(every_text_is_a_workload)
{
	struct generator *generator = generator_new(&generate_everything);
	uint64_t count = generator_count(generator);
	for (uint64_t i = 0; i < count; i += 1009) {
		struct generated generated;
		struct workload workload;
		struct why why = { "" };
		generator_at(generator, i, &generated);
		if (generated.impossible)
			continue;
		char *text = generated_text(&generated);
		enum status status =
			workload_parse(&workload, generated.name, text, strlen(text), &why);
		ck_assert_msg(status == STATUS_OK, "%s: %s\n%s", generated.name, why.text, text);
		ck_assert_uint_eq(workload.command_count, generated.skeleton.request_count);
		ck_assert(workload.image.lazy_refcounts == generated.lazy);
		ck_assert((workload.cache != NULL) == generated.writethrough);
		ck_assert_str_eq(workload.name, generated.name);
		workload_release(&workload);
		free(text);
	}
	generator_free(generator);
}
END_TEST

START_TEST(a_state_is_what_it_is_called)
{
	const struct generated generated = {
		.skeleton = { .requests = { { GENERATE_SPAN, 0 }, { GENERATE_COMPRESSED, 2 } },
			      .request_count = 2,
			      .cluster_count = 3 },
		.states = { GENERATE_BACKING_ZERO, GENERATE_SNAPSHOT, GENERATE_SHARING },
		.writethrough = true,
		.lazy = true,
	};
	char *text = generated_text(&generated);
	ck_assert_str_eq(text,
			 "# span, compressed; clusters: backing-zero snapshot compressed-sharing\n"
			 "#@ image size=64k cluster_size=4k backing=pattern backing_size=64k "
			 "backing_zeros=4k-8k lazy_refcounts=on\n"
			 "#@ cache writethrough\n"
			 "#@ prepare write -P 0x12 8k 4k\n"
			 "#@ prepare snapshot before\n"
			 "#@ prepare reopen\n"
			 "#@ prepare write -c -P 0x13 12k 4k\n"
			 "#@ prepare write -c -P 0x1b 44k 4k\n"
			 "#@ prepare reopen\n"
			 "aio_write -P 0x21 6144 4096\n"
			 "write -c -P 0x22 12288 4096\n");
	free(text);
}
END_TEST

START_TEST(words_between_commas_are_a_set)
{
	unsigned set = 0;
	ck_assert(generate_parse_set("flush,write", generate_kinds, GENERATE_KIND_COUNT, &set));
	ck_assert_uint_eq(set, 1U << GENERATE_FLUSH | 1U << GENERATE_WRITE);
	ck_assert(!generate_parse_set("writ", generate_kinds, GENERATE_KIND_COUNT, &set));
	ck_assert(!generate_parse_set("write,", generate_kinds, GENERATE_KIND_COUNT, &set));
	ck_assert(!generate_parse_set("", generate_kinds, GENERATE_KIND_COUNT, &set));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("generate");
	TCase *tests = tcase_create("generate");

	tcase_add_test(tests, there_are_as_many_workloads_as_brute_force_finds);
	tcase_add_test(tests, every_workload_comes_once);
	tcase_add_test(tests, every_text_is_a_workload);
	tcase_add_test(tests, a_state_is_what_it_is_called);
	tcase_add_test(tests, words_between_commas_are_a_set);
	tcase_set_timeout(tests, 100);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
