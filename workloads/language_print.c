// SPDX-License-Identifier: MIT
#include "workloads/language_print.h"

#include "injector/fault_menu.h"
#include "workloads/language_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KILOBYTE = 1024, DEFAULT_CLUSTER_BYTES = 64 << 10 };

static void print_size(FILE *to, const char *before, uint64_t bytes)
{
	if (bytes && bytes % KILOBYTE == 0)
		fprintf(to, "%s%" PRIu64 "k", before, bytes / KILOBYTE);
	else
		fprintf(to, "%s%" PRIu64, before, bytes);
}

static void print_image(FILE *to, const struct workload_image *image)
{
	print_size(to, "#@ image size=", image->size_bytes);
	if (image->cluster_bytes != DEFAULT_CLUSTER_BYTES)
		print_size(to, " cluster_size=", image->cluster_bytes);
	if (image->version == 2)
		fputs(" compat=0.10", to);
	if (image->lazy_refcounts)
		fputs(" lazy_refcounts=on", to);
	if (image->backing == WORKLOAD_BACKING_PATTERN)
		fputs(" backing=pattern", to);
	if (image->backing == WORKLOAD_BACKING_FILE)
		fprintf(to, " backing=%s backing_fmt=%s", image->backing_path,
			image->backing_format);
	if (image->backing == WORKLOAD_BACKING_PATTERN && image->backing_bytes != image->size_bytes)
		print_size(to, " backing_size=", image->backing_bytes);
	for (size_t i = 0; i < image->backing_zeros_count; i++) {
		print_size(to, i ? "," : " backing_zeros=", image->backing_zeros[i].from);
		print_size(to, "-", image->backing_zeros[i].to);
	}
	if (image->allocate_from)
		print_size(to, " allocate_from=", image->allocate_from);
	if (image->allocations_max)
		fprintf(to, " allocations_max=%" PRIu32, image->allocations_max);
	fputc('\n', to);
}

static void print_faults(FILE *to, const struct workload *workload)
{
	char kinds[FAULT_KINDS_BYTES];
	fprintf(to, "#@ faults %" PRIu32, workload->faults);
	if (workload->fault_points || workload->fault_kinds)
		fprintf(to, " %s", workload->fault_points ? workload->fault_points : "*");
	if (workload->fault_kinds) {
		fault_kinds_text(workload->fault_kinds, kinds, sizeof(kinds));
		fprintf(to, " %s", kinds);
	}
	fputc('\n', to);
}

static void print_range(FILE *to, const struct workload_command *command)
{
	print_size(to, " ", command->guest_offset);
	for (size_t i = 0; i < command->piece_count; i++)
		print_size(to, " ", command->pieces[i]);
	if (!command->piece_count)
		print_size(to, " ", command->length);
}

/* What begins with a word of qemu-io and ends with a range. */
static void print_transfer(FILE *to, const struct workload_command *command, const char *word)
{
	bool is_zero = command->op == REQUEST_WRITE_ZEROES;
	bool has_pattern =
		command->op == REQUEST_WRITE || (command->op == REQUEST_READ && command->verifies);
	fprintf(to, "%s%s%s", command->is_async ? "aio_" : "", word,
		command->piece_count ? "v" : "");
	if (command->quiet)
		fputs(" -q", to);
	if (command->compressed)
		fputs(" -c", to);
	if (is_zero)
		fprintf(to, " -z%s", command->unmap ? " -u" : "");
	if (has_pattern)
		fprintf(to, " -P 0x%02x", command->pattern);
	print_range(to, command);
}

/* `before` stands in front of what is a directive, not a command. */
static void print_command(FILE *to, const struct workload_command *command, const char *before)
{
	switch (command->op) {
	case REQUEST_READ: print_transfer(to, command, "read"); break;
	case REQUEST_WRITE:
	case REQUEST_WRITE_ZEROES: print_transfer(to, command, "write"); break;
	case REQUEST_DISCARD: print_transfer(to, command, "discard"); break;
	case REQUEST_FLUSH: fputs(command->waits_for_all ? "aio_flush" : "flush", to); break;
	case REQUEST_TRUNCATE: print_size(to, "truncate ", command->guest_offset); break;
	case REQUEST_SNAPSHOT: fprintf(to, "%ssnapshot %s", before, command->name); break;
	case REQUEST_SNAPSHOT_APPLY:
		fprintf(to, "%ssnapshot-apply %s", before, command->name);
		break;
	case REQUEST_SNAPSHOT_DELETE:
		fprintf(to, "%ssnapshot-delete %s", before, command->name);
		break;
	case REQUEST_OPEN:
	case REQUEST_CLOSE: break;
	}
}

void workload_print_command(FILE *to, const struct workload_command *command)
{
	print_command(to, command, "#@ ");
}

static void print_all(FILE *to, const struct workload *workload)
{
	if (workload->summary && *workload->summary)
		fprintf(to, "# %s\n", workload->summary);
	print_image(to, &workload->image);
	for (size_t i = 0; i < workload->prepare_count; i++) {
		fputs("#@ prepare ", to);
		if (workload->prepare[i].op == REQUEST_CLOSE)
			fputs("reopen", to);
		print_command(to, &workload->prepare[i], "");
		fputc('\n', to);
	}
	if (workload->policy)
		fprintf(to, "#@ policy %s\n", workload->policy);
	if (workload->cache)
		fprintf(to, "#@ cache %s\n", workload->cache);
	if (workload->crash)
		fprintf(to, "#@ crash %s\n", workload->crash);
	if (workload->has_faults)
		print_faults(to, workload);
	for (size_t i = 0; i < workload->rule_count; i++)
		rule_print(to, &workload->rules[i]);
	for (size_t i = 0; i < workload->bug_count; i++)
		fprintf(to, "#@ bug %s\n", workload->bugs[i]);
	if (workload->expects_clean)
		fputs("#@ expect clean\n", to);
	for (size_t i = 0; i < workload->expect_count; i++)
		fprintf(to, "#@ expect %s\n", workload->expects[i]);
	for (size_t i = 0; i < workload->command_count; i++) {
		workload_print_command(to, &workload->commands[i]);
		fputc('\n', to);
	}
}

char *workload_print(const struct workload *workload)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *to = open_memstream(&text, &bytes);
	if (!to)
		abort();
	print_all(to, workload);
	if (fclose(to) != 0)
		abort();
	return text;
}
