// SPDX-License-Identifier: MIT
/** How much of a search is done: classes that samples have not shown yet, and the part of a search
 * tree that was walked. Arithmetic only; see estimate.c. */
#ifndef INJECTOR_ESTIMATE_H
#define INJECTOR_ESTIMATE_H

#include "traces/schedule.h"

#include <stddef.h>
#include <stdint.h>

/** How often a class was seen. */
struct distinct_class {
	uint64_t hash;
	uint64_t times; /* 0: this place is free */
};

/** Sampled runs, told apart by the hashes of their classes. Initialise with
 * distinct_estimate_init(). */
struct distinct_estimate {
	uint64_t runs;
	uint64_t distinct;              /* classes seen */
	uint64_t singletons;            /* classes seen once */
	uint64_t doubletons;            /* classes seen twice */
	struct distinct_class *classes; /* owned; open addressing */
	size_t class_capacity;          /* a power of two; 0: none yet */
};

/** No runs. */
void distinct_estimate_init(struct distinct_estimate *estimate);
/** Free what `estimate` owns; it is empty afterwards. */
void distinct_estimate_release(struct distinct_estimate *estimate);

/** A run ended whose class has the hash `class_hash`. */
void distinct_estimate_add(struct distinct_estimate *estimate, uint64_t class_hash);

/** How many classes there are at least, those not seen included: Chao's lower bound, in its
 * bias-corrected form. Never below `distinct`. */
double distinct_estimate_classes(const struct distinct_estimate *estimate);

/** The probability, about, that a further run shows a class not seen before: Good and Turing's
 * estimate. 1 before the first run. */
double distinct_estimate_unseen(const struct distinct_estimate *estimate);

/** A node on the path to the last leaf. */
struct tree_node {
	uint32_t branch;   /* which branch the path takes */
	uint32_t branches; /* known so far */
	uint32_t finished; /* branches walked to their ends */
};

/** An exhaustive depth-first search, told leaf by leaf. Initialise with tree_estimate_init(). */
struct tree_estimate {
	struct tree_node *path; /* owned */
	size_t depth;
	size_t capacity;
	uint64_t leaves;
};

/** No leaves. */
void tree_estimate_init(struct tree_estimate *estimate);
/** Free what `estimate` owns; it is empty afterwards. */
void tree_estimate_release(struct tree_estimate *estimate);

/** The search finished the leaf at the end of `path`. Each of its `depth` steps gives a node's
 * branch as `pick` (any number, another for another branch) and as `count` how many branches of the
 * node are to be walked, as far as known now. Nodes above may have more branches than when they
 * were last told. A branch that was left must not be taken again. */
void tree_estimate_add(struct tree_estimate *estimate, const struct schedule_step *path,
		       size_t depth);

/** The part of the tree that is done, 0 to 1: the weights of its finished leaves. It falls when
 * branches become known. 1 after the last leaf. */
double tree_estimate_fraction(const struct tree_estimate *estimate);

/** How many leaves the tree has, about. 0 before the first. */
double tree_estimate_leaves(const struct tree_estimate *estimate);

/** Seconds that the rest takes, about, when the part done took `elapsed_seconds`. INFINITY while
 * nothing is done. */
double tree_estimate_seconds_left(const struct tree_estimate *estimate, double elapsed_seconds);

#endif
