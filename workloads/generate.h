// SPDX-License-Identifier: MIT
/** Bounded-exhaustive workloads: every list of a few requests over a few guest clusters, in every
 * state of these, up to symmetry. See generate.c. */
#ifndef WORKLOADS_GENERATE_H
#define WORKLOADS_GENERATE_H

#include "traces/status.h"
#include "workloads/language.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GENERATE_REQUESTS_MAX = 3, GENERATE_CLUSTERS = 3 };

/** What a request does, and to which part of its cluster. */
enum generate_kind {
	GENERATE_WRITE,      /* the whole cluster */
	GENERATE_HEAD,       /* write its first quarter, */
	GENERATE_MIDDLE,     /* its middle half, */
	GENERATE_TAIL,       /* its last half */
	GENERATE_SPAN,       /* write the last half of it and the first half of the next */
	GENERATE_ZERO,       /* write -z */
	GENERATE_UNMAP,      /* write -z -u */
	GENERATE_DISCARD,    /* discard */
	GENERATE_COMPRESSED, /* write -c */
	GENERATE_READ,       /* the whole cluster */
	GENERATE_FLUSH,      /* of no cluster */
	GENERATE_KIND_COUNT
};

/** What a guest cluster is before the first request. */
enum generate_state {
	GENERATE_BACKING,        /* unallocated, data in the backing file */
	GENERATE_BACKING_ZERO,   /* unallocated, a hole in the backing file */
	GENERATE_BEYOND,         /* unallocated, behind the end of the backing file */
	GENERATE_NORMAL,         /* data of its own */
	GENERATE_SNAPSHOT,       /* data that a snapshot shares */
	GENERATE_ZERO_PLAIN,     /* reads as zeros, no host cluster */
	GENERATE_ZERO_ALLOCATED, /* reads as zeros, keeps its host cluster */
	GENERATE_ALONE,          /* compressed, alone in its host cluster */
	GENERATE_SHARING,        /* compressed, another one in its host cluster */
	GENERATE_FREED,          /* reads as zeros; its host cluster is free, stale bytes left */
	GENERATE_STATE_COUNT
};

/** Names as the command line has them, and the letter in a workload's name. */
struct generate_word {
	const char *name;
	char letter;
	const char *explanation;
};
extern const struct generate_word generate_kinds[GENERATE_KIND_COUNT];
extern const struct generate_word generate_states[GENERATE_STATE_COUNT];

/** What workloads are made of; each set is the OR of `1 << member`. */
struct generate_alphabet {
	uint32_t requests_min, requests_max; /* 1 to GENERATE_REQUESTS_MAX */
	unsigned kinds;
	unsigned states;
	unsigned caches; /* 1: writeback, 2: writethrough, 3: both */
	unsigned lazy;   /* 1: off, 2: on, 3: both */
};

/** All of it. */
extern const struct generate_alphabet generate_everything;

/** Take words between commas as a set. False: unknown word, or none. */
bool generate_parse_set(const char *text, const struct generate_word *words, size_t count,
			unsigned *set);

struct generate_request {
	enum generate_kind kind;
	uint32_t cluster; /* the (first) one it touches; 0 for a flush */
};

/** A list of requests: one of each set of lists that differ only in the names of clusters. */
struct generate_skeleton {
	struct generate_request requests[GENERATE_REQUESTS_MAX];
	uint32_t request_count;
	uint32_t cluster_count; /* clusters 0 to that are touched */
};

/** One workload. */
struct generated {
	struct generate_skeleton skeleton;
	enum generate_state states[GENERATE_CLUSTERS];
	bool writethrough;
	bool lazy;
	const char *impossible; /* a literal: why there can be no such image; NULL: there can */
	char name[WORKLOAD_NAME_BYTES];
};

struct generator;

/** All workloads of an alphabet, which is borrowed. Gives; generator_free(). */
struct generator *generator_new(const struct generate_alphabet *alphabet);
void generator_free(struct generator *generator);

/** How many there are, impossible ones included. */
uint64_t generator_count(const struct generator *generator);

/** Number `index`, below the count. The order is one that an interrupted user profits from: few
 * requests and like clusters first, and then spread over all the rest. */
void generator_at(const struct generator *generator, uint64_t index, struct generated *generated);

/** Why there can be no such image: a literal; NULL: there can. */
const char *generated_impossible(const struct generated *generated);

/** Fill in the name. */
void generated_name(struct generated *generated);

/** The text of a possible workload. Gives; free(). */
char *generated_text(const struct generated *generated);

/** Rename the clusters of a list so that it is the smallest that it can be. */
void generate_canonical(struct generate_skeleton *skeleton);

/** "w0-d1", of a list of requests. */
void generate_skeleton_name(const struct generate_skeleton *skeleton, char *name,
			    size_t name_bytes);

/** Workloads of so many requests that touch so many clusters. */
struct generate_family {
	uint32_t requests, clusters;
	uint64_t skeletons, workloads, impossible;
};

/** Number `index` from 0; false behind the last. */
bool generator_family(const struct generator *generator, size_t index,
		      struct generate_family *family);

#endif
