// SPDX-License-Identifier: MIT
/* A generated workload as text: where its clusters lie, what makes them what they are, and the
 * requests. Clusters of 4 KiB, because a hole in a file is one for the system only in whole pages.
 */
#include "workloads/generate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	CLUSTER_BYTES = 4096,
	IMAGE_CLUSTERS = 16,
	NEIGHBOUR_CLUSTER = 8,   /* shares its host cluster with a compressed one */
	PATTERN_PREPARED = 0x10, /* and the number of the cluster */
	PATTERN_NEIGHBOUR = 0x18,
	PATTERN_REQUEST = 0x21, /* and the number of the request */
};

/* Where each cluster lies on the disk: in the order of their names, but for those behind the end of
 * the backing file, which are behind all others if no request keeps them from it. The disk's first
 * cluster is none of them, so there is always a backing file. */
static void lay_out(const struct generated *generated, uint32_t *positions)
{
	const struct generate_skeleton *skeleton = &generated->skeleton;
	uint32_t next = 1;
	bool spans = false;
	for (uint32_t i = 0; i < skeleton->request_count; i++)
		spans |= skeleton->requests[i].kind == GENERATE_SPAN;
	for (uint32_t beyond = 0; beyond < 2; beyond++)
		for (uint32_t i = 0; i < skeleton->cluster_count; i++)
			if ((generated->states[i] == GENERATE_BEYOND) == (beyond == 1))
				positions[i] = next++;
	for (uint32_t i = 0; i < skeleton->cluster_count && spans; i++)
		positions[i] = 1 + i;
}

static bool needs_backing(enum generate_state state)
{
	return state == GENERATE_BACKING || state == GENERATE_BACKING_ZERO;
}

/* How many clusters the backing file has; those of `generated` that lie behind it say. */
static uint32_t backing_clusters(const struct generated *generated, const uint32_t *positions)
{
	uint32_t clusters = IMAGE_CLUSTERS;
	for (uint32_t i = 0; i < generated->skeleton.cluster_count; i++)
		if (generated->states[i] == GENERATE_BEYOND && positions[i] < clusters)
			clusters = positions[i];
	return clusters;
}

const char *generated_impossible(const struct generated *generated)
{
	uint32_t positions[GENERATE_CLUSTERS];
	lay_out(generated, positions);
	uint32_t backed = backing_clusters(generated, positions);
	for (uint32_t i = 0; i < generated->skeleton.cluster_count; i++)
		if (needs_backing(generated->states[i]) && positions[i] >= backed)
			return "no backing file begins behind its end";
	return NULL;
}

void generate_skeleton_name(const struct generate_skeleton *skeleton, char *name, size_t name_bytes)
{
	size_t used = 0;
	name[0] = 0;
	for (uint32_t i = 0; i < skeleton->request_count && used < name_bytes; i++) {
		const struct generate_request *request = &skeleton->requests[i];
		char letter = generate_kinds[request->kind].letter;
		const char *dash = i ? "-" : "";
		used += (size_t)(request->kind == GENERATE_FLUSH
					 ? snprintf(name + used, name_bytes - used, "%s%c", dash,
						    letter)
					 : snprintf(name + used, name_bytes - used, "%s%c%" PRIu32,
						    dash, letter, request->cluster));
	}
}

void generated_name(struct generated *generated)
{
	char requests[32], letters[GENERATE_CLUSTERS + 1] = { 0 };
	generate_skeleton_name(&generated->skeleton, requests, sizeof(requests));
	for (uint32_t i = 0; i < generated->skeleton.cluster_count; i++)
		letters[i] = generate_states[generated->states[i]].letter;
	snprintf(generated->name, sizeof(generated->name), "%s_%s_%s%s", requests, letters,
		 generated->writethrough ? "wt" : "wb", generated->lazy ? "_lazy" : "");
}

static void print_header(FILE *file, const struct generated *generated, const uint32_t *positions)
{
	const struct generate_skeleton *skeleton = &generated->skeleton;
	uint32_t backed = backing_clusters(generated, positions);
	const char *comma = "";
	fprintf(file, "#");
	for (uint32_t i = 0; i < skeleton->request_count; i++)
		fprintf(file, "%s %s", comma, generate_kinds[skeleton->requests[i].kind].name),
			comma = ",";
	fprintf(file, "; clusters:");
	for (uint32_t i = 0; i < skeleton->cluster_count; i++)
		fprintf(file, " %s", generate_states[generated->states[i]].name);
	fprintf(file,
		"\n#@ image size=%dk cluster_size=%dk backing=pattern backing_size=%" PRIu32 "k",
		IMAGE_CLUSTERS * CLUSTER_BYTES / 1024, CLUSTER_BYTES / 1024,
		backed * CLUSTER_BYTES / 1024);
	comma = " backing_zeros=";
	for (uint32_t i = 0; i < skeleton->cluster_count; i++) {
		if (generated->states[i] != GENERATE_BACKING_ZERO)
			continue;
		fprintf(file, "%s%" PRIu32 "k-%" PRIu32 "k", comma,
			positions[i] * CLUSTER_BYTES / 1024,
			(positions[i] + 1) * CLUSTER_BYTES / 1024);
		comma = ",";
	}
	fprintf(file, " lazy_refcounts=%s\n", generated->lazy ? "on" : "off");
	if (generated->writethrough)
		fprintf(file, "#@ cache writethrough\n");
}

/* What makes a cluster what it is to be, but for snapshots. */
static void print_prepare(FILE *file, enum generate_state state, uint32_t position)
{
	uint32_t k = position * CLUSTER_BYTES / 1024, length = CLUSTER_BYTES / 1024;
	unsigned pattern = PATTERN_PREPARED + position;
	switch (state) {
	case GENERATE_BACKING:
	case GENERATE_BACKING_ZERO:
	case GENERATE_BEYOND:
	case GENERATE_SNAPSHOT:
	case GENERATE_STATE_COUNT: return;
	case GENERATE_ZERO_PLAIN: break;
	case GENERATE_ALONE:
	case GENERATE_SHARING:
		fprintf(file, "#@ prepare reopen\n#@ prepare write -c -P 0x%x %uk %uk\n", pattern,
			k, length);
		if (state == GENERATE_SHARING)
			fprintf(file, "#@ prepare write -c -P 0x%x %uk %uk\n",
				PATTERN_NEIGHBOUR + position,
				(NEIGHBOUR_CLUSTER + position) * length, length);
		fprintf(file, "#@ prepare reopen\n");
		return;
	case GENERATE_NORMAL:
	case GENERATE_ZERO_ALLOCATED:
	case GENERATE_FREED:
		fprintf(file, "#@ prepare write -P 0x%x %uk %uk\n", pattern, k, length);
		break;
	}
	if (state != GENERATE_NORMAL)
		fprintf(file, "#@ prepare write -z%s %uk %uk\n",
			state == GENERATE_FREED ? " -u" : "", k, length);
}

/* Snapshots first: what is written afterwards belongs to none. */
static void print_all_prepare(FILE *file, const struct generated *generated,
			      const uint32_t *positions)
{
	bool is_shared = false;
	for (uint32_t i = 0; i < generated->skeleton.cluster_count; i++) {
		if (generated->states[i] != GENERATE_SNAPSHOT)
			continue;
		print_prepare(file, GENERATE_NORMAL, positions[i]);
		is_shared = true;
	}
	if (is_shared)
		fprintf(file, "#@ prepare snapshot before\n");
	for (uint32_t i = 0; i < generated->skeleton.cluster_count; i++)
		print_prepare(file, generated->states[i], positions[i]);
}

static void print_write(FILE *file, uint32_t number, uint32_t guest_offset, uint32_t length)
{
	fprintf(file, "aio_write -P 0x%x %u %u\n", PATTERN_REQUEST + number, guest_offset, length);
}

static void print_request(FILE *file, enum generate_kind kind, uint32_t number, uint32_t position)
{
	const uint32_t cluster = CLUSTER_BYTES, quarter = CLUSTER_BYTES / 4;
	uint32_t at = position * cluster;
	unsigned pattern = PATTERN_REQUEST + number;
	switch (kind) {
	case GENERATE_WRITE: print_write(file, number, at, cluster); break;
	case GENERATE_HEAD: print_write(file, number, at, quarter); break;
	case GENERATE_MIDDLE: print_write(file, number, at + quarter, 2 * quarter); break;
	case GENERATE_TAIL: print_write(file, number, at + 2 * quarter, 2 * quarter); break;
	case GENERATE_SPAN: print_write(file, number, at + 2 * quarter, cluster); break;
	case GENERATE_ZERO: fprintf(file, "aio_write -z %u %u\n", at, cluster); break;
	case GENERATE_UNMAP: fprintf(file, "aio_write -z -u %u %u\n", at, cluster); break;
	case GENERATE_DISCARD: fprintf(file, "aio_discard %u %u\n", at, cluster); break;
	case GENERATE_COMPRESSED:
		fprintf(file, "write -c -P 0x%x %u %u\n", pattern, at, cluster);
		break;
	case GENERATE_READ: fprintf(file, "aio_read %u %u\n", at, cluster); break;
	case GENERATE_FLUSH: fprintf(file, "flush\n"); break;
	case GENERATE_KIND_COUNT: break;
	}
}

char *generated_text(const struct generated *generated)
{
	uint32_t positions[GENERATE_CLUSTERS];
	char *text = NULL;
	size_t bytes = 0;
	FILE *file = open_memstream(&text, &bytes);
	if (!file)
		abort();
	lay_out(generated, positions);
	print_header(file, generated, positions);
	print_all_prepare(file, generated, positions);
	for (uint32_t i = 0; i < generated->skeleton.request_count; i++) {
		const struct generate_request *request = &generated->skeleton.requests[i];
		bool has_place = request->kind != GENERATE_FLUSH;
		print_request(file, request->kind, i, has_place ? positions[request->cluster] : 0);
	}
	if (fclose(file) != 0)
		abort();
	return text;
}
