// SPDX-License-Identifier: MIT
/* cowtip generate: the workloads of an alphabet as files, or how many there are. */
#include "workloads/cli/alphabet.h"
#include "workloads/cli/commands.h"
#include "workloads/cli/json.h"
#include "workloads/cli/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { FILES_MAX = 200000 };

/* How many were written, and how many there can be no image of. */
struct written {
	uint64_t files, impossible;
};

static void print_families(const struct generator *generator)
{
	struct generate_family family;
	uint64_t impossible = 0;
	printf("%8s %8s %12s %14s %14s\n", "requests", "clusters", "lists", "workloads",
	       "impossible");
	for (size_t i = 0; generator_family(generator, i, &family); i++) {
		printf("%8" PRIu32 " %8" PRIu32 " %12" PRIu64 " %14" PRIu64 " %14" PRIu64 "\n",
		       family.requests, family.clusters, family.skeletons, family.workloads,
		       family.impossible);
		impossible += family.impossible;
	}
	printf("%" PRIu64 " workloads, %" PRIu64 " of them impossible\n",
	       generator_count(generator), impossible);
}

static void json_families(struct json *json, const struct generator *generator)
{
	struct generate_family family;
	json_begin_list(json, "families");
	for (size_t i = 0; generator_family(generator, i, &family); i++) {
		json_begin_object(json, NULL);
		json_number(json, "requests", family.requests);
		json_number(json, "clusters", family.clusters);
		json_number(json, "lists", family.skeletons);
		json_number(json, "workloads", family.workloads);
		json_number(json, "impossible", family.impossible);
		json_end_object(json);
	}
	json_end_list(json);
	json_number(json, "workloads", generator_count(generator));
}

static enum status write_files(const struct generator *generator, struct written *written,
			       const struct options *options, const struct alphabet_shard *shard,
			       struct why *why)
{
	uint64_t end = generator_count(generator);
	if (options->limit && options->limit < end)
		end = options->limit;
	if (end / shard->parts > FILES_MAX)
		return why_set(why, STATUS_USAGE,
			       "that would be %" PRIu64
			       " files, more than %d: say --limit, --shard, "
			       "or fewer words",
			       end / shard->parts, FILES_MAX);
	const char *folder = options_folder(options);
	enum status status = output_make_folder(folder, why);
	for (uint64_t i = shard->part; i < end && status == STATUS_OK; i += shard->parts) {
		struct generated generated;
		char path[OUTPUT_PATH_BYTES];
		generator_at(generator, i, &generated);
		if (generated.impossible) {
			written->impossible++;
			continue;
		}
		status = generated_store(path, &generated, folder, why);
		written->files += status == STATUS_OK;
	}
	return status;
}

static void print_json(const struct generator *generator, const struct written *written,
		       const struct options *options)
{
	struct json json = { .file = stdout };
	json_begin_object(&json, NULL);
	json_text(&json, "command", "generate");
	json_families(&json, generator);
	json_number(&json, "written", written->files);
	json_text(&json, "folder", options->count ? NULL : options_folder(options));
	json_end_object(&json);
}

enum exit_code cmd_generate(const struct options *options)
{
	struct generate_alphabet alphabet;
	struct alphabet_shard shard;
	struct why why = { "" };
	struct written written = { 0 };
	enum status status = alphabet_take(&alphabet, &shard, options, &why);
	if (status != STATUS_OK)
		return exit_with(status, &why);
	struct generator *generator = generator_new(&alphabet);
	if (!options->count)
		status = write_files(generator, &written, options, &shard, &why);
	if (status == STATUS_OK && options->json)
		print_json(generator, &written, options);
	else if (status == STATUS_OK && options->count)
		print_families(generator);
	else if (status == STATUS_OK && !options->quiet)
		printf("%" PRIu64 " workloads written to '%s', of %" PRIu64 "; %" PRIu64
		       " left out because there is no such image\n",
		       written.files, options_folder(options), generator_count(generator),
		       written.impossible);
	generator_free(generator);
	return status == STATUS_OK ? EXIT_CLEAN : exit_with(status, &why);
}
