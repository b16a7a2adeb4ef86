// SPDX-License-Identifier: MIT
#include "workloads/cli/alphabet.h"

#include "workloads/cli/output.h"
#include "workloads/language_words.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct generate_word alphabet_caches[2] = { { "writeback", 0, "" },
						  { "writethrough", 0, "" } };
const struct generate_word alphabet_lazy[2] = { { "off", 0, "" }, { "on", 0, "" } };

static enum status take_set(const char *option, const char *text, const struct generate_word *words,
			    size_t count, unsigned *set, struct why *why)
{
	if (!text || generate_parse_set(text, words, count, set))
		return STATUS_OK;
	char *known = NULL;
	size_t bytes = 0;
	FILE *file = open_memstream(&known, &bytes);
	if (!file)
		abort();
	alphabet_print_set(file, ~0U, words, count);
	fclose(file);
	why_set(why, STATUS_USAGE, "--%s '%.80s': words of these are wanted: %s", option, text,
		known);
	free(known);
	return STATUS_USAGE;
}

/* Two numbers with `between` between them. */
static bool parse_pair(const char *text, const char *between, uint64_t *first, uint64_t *second)
{
	const char *at = strstr(text, between);
	char head[24];
	if (!at || (size_t)(at - text) >= sizeof(head))
		return false;
	memcpy(head, text, (size_t)(at - text));
	head[at - text] = 0;
	return count_parse(head, UINT32_MAX, first) &&
	       count_parse(at + strlen(between), UINT32_MAX, second);
}

static enum status take_requests(struct generate_alphabet *alphabet, const char *text,
				 struct why *why)
{
	uint64_t least = 0, most = 0;
	if (!text)
		return STATUS_OK;
	bool is_good = parse_pair(text, "..", &least, &most);
	if (!is_good && (is_good = count_parse(text, UINT32_MAX, &least)))
		most = least;
	if (!is_good || !least || least > most || most > GENERATE_REQUESTS_MAX)
		return why_set(why, STATUS_USAGE, "--requests '%.80s': A..B, from 1 to %d", text,
			       GENERATE_REQUESTS_MAX);
	alphabet->requests_min = (uint32_t)least;
	alphabet->requests_max = (uint32_t)most;
	return STATUS_OK;
}

static enum status take_shard(struct alphabet_shard *shard, const char *text, struct why *why)
{
	*shard = (struct alphabet_shard){ 0, 1 };
	if (!text)
		return STATUS_OK;
	if (!parse_pair(text, "/", &shard->part, &shard->parts) || !shard->part ||
	    shard->part > shard->parts)
		return why_set(why, STATUS_USAGE, "--shard '%.80s': I/N, I from 1 to N", text);
	shard->part--;
	return STATUS_OK;
}

enum status alphabet_take(struct generate_alphabet *alphabet, struct alphabet_shard *shard,
			  const struct options *options, struct why *why)
{
	*alphabet = generate_everything;
	enum status status = take_requests(alphabet, options->requests, why);
	if (status == STATUS_OK)
		status = take_set("kinds", options->kinds, generate_kinds, GENERATE_KIND_COUNT,
				  &alphabet->kinds, why);
	if (status == STATUS_OK)
		status = take_set("states", options->states, generate_states, GENERATE_STATE_COUNT,
				  &alphabet->states, why);
	if (status == STATUS_OK)
		status = take_set("caches", options->caches, alphabet_caches, 2, &alphabet->caches,
				  why);
	if (status == STATUS_OK)
		status = take_set("lazy", options->lazy, alphabet_lazy, 2, &alphabet->lazy, why);
	return status == STATUS_OK ? take_shard(shard, options->shard, why) : status;
}

void alphabet_print_set(FILE *file, unsigned set, const struct generate_word *words, size_t count)
{
	const char *comma = "";
	for (size_t i = 0; i < count; i++) {
		if (!(set & 1U << i))
			continue;
		fprintf(file, "%s%s", comma, words[i].name);
		comma = ",";
	}
}

char *alphabet_text(const struct generate_alphabet *alphabet)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *file = open_memstream(&text, &bytes);
	if (!file)
		abort();
	fprintf(file, "requests=%" PRIu32 "..%" PRIu32 " kinds=", alphabet->requests_min,
		alphabet->requests_max);
	alphabet_print_set(file, alphabet->kinds, generate_kinds, GENERATE_KIND_COUNT);
	fputs(" states=", file);
	alphabet_print_set(file, alphabet->states, generate_states, GENERATE_STATE_COUNT);
	fputs(" caches=", file);
	alphabet_print_set(file, alphabet->caches, alphabet_caches, 2);
	fputs(" lazy=", file);
	alphabet_print_set(file, alphabet->lazy, alphabet_lazy, 2);
	if (fclose(file) != 0)
		abort();
	return text;
}

enum status generated_store(char *path, const struct generated *generated, const char *folder,
			    struct why *why)
{
	struct output output;
	snprintf(path, OUTPUT_PATH_BYTES, "%.3900s/%s.qio", folder, generated->name);
	enum status status = output_begin(&output, path, why);
	if (status != STATUS_OK)
		return status;
	char *text = generated_text(generated);
	fputs(text, output.file);
	free(text);
	return output_finish(&output, why);
}
