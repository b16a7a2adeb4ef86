// SPDX-License-Identifier: MIT
/** What one step touched, and whether two steps can be exchanged. */
#ifndef INJECTOR_FOOTPRINT_H
#define INJECTOR_FOOTPRINT_H

#include <stdbool.h>
#include <stdint.h>

/** How an object was touched. */
enum access_mode {
	ACCESS_READ,  /* looked at; commutes with reads */
	ACCESS_ADD,   /* updated in a way that commutes with other such updates; not with reads */
	ACCESS_WRITE, /* commutes with nothing */
	/** A mutex taken, and still held when the step ends. Taken and given back within one step
	 * it is a read: the step asks that the mutex be free and leaves it free. */
	ACCESS_LOCK,
	/** A mutex given back that an earlier step took. No conflict with anything: who takes the
	 * mutex next could not have come before. The same for a latch: who reads it, waited for
	 * all who unlock it. */
	ACCESS_UNLOCK,
};

/** One access. */
struct access {
	uint32_t object; /* footprint_object() */
	enum access_mode mode;
	uint64_t from, to; /* which part: entries, bytes; meaning is the object's */
};

enum { FOOTPRINT_ACCESSES_MAX = 30 };

/** All that a step touched. Zero bytes: nothing. Two steps of different actors are independent iff
 * exchanging them changes neither what the engine does nor anything that an oracle looks at. */
struct footprint {
	uint64_t objects; /* bit set that has a bit for each object: quick to compare */
	uint32_t count;
	bool everything; /* more was touched than the list can say: conflicts with every step */
	struct access accesses[FOOTPRINT_ACCESSES_MAX];
};

/** Kinds of objects that the injector itself touches; those of others begin at
 * OBJECT_FIRST_OF_OTHERS. */
enum object_kind {
	OBJECT_FILE = 1,  /* bytes of watched file `instance` */
	OBJECT_FILE_SIZE, /* its size */
	/** What the guest saw happen in which order; guest bytes. Completions read, invocations
	 * add: a completion and an invocation do not commute, two of a kind do. */
	OBJECT_HISTORY,
	/** What a flush of watched file `instance` covers, where that matters. Byte 0: completions
	 * of changes read, submissions of flushes add: the two do not commute. Byte 1: flushes that
	 * succeed read, flushes that fail write, because what a failed one should have covered is
	 * not covered by the next. */
	OBJECT_EPOCH,
	OBJECT_FAULT_RULES, /* which rules of a report are active */
	OBJECT_FIRST_OF_OTHERS,
};

/** The name of instance `instance` (its low 24 bits count) of a kind of object. Two objects of one
 * name only make steps seem dependent that are not; mutexes need names of their own. */
static inline uint32_t footprint_object(uint32_t kind, uint32_t instance)
{
	return kind << 24 | (instance & 0xffffff);
}

/** An instance number for footprint_object() made of a name and a number. */
uint32_t footprint_instance(const char *name, uint32_t id);

/** Note an access to [from, to) of `object`. */
void footprint_touch(struct footprint *footprint, uint32_t object, uint64_t from, uint64_t to,
		     enum access_mode mode);

/** From now on forget every access to objects of this kind; 0: to none. For tests only: they ask
 * whether a declaration that is missing would be noticed. */
void footprint_mute(uint32_t kind);

/** Note that the mutex `object` was given back. */
void footprint_unlock(struct footprint *footprint, uint32_t object);

/** Forget all accesses. */
static inline void footprint_clear(struct footprint *footprint)
{
	footprint->objects = 0;
	footprint->count = 0;
	footprint->everything = false;
}

/** Was nothing touched? */
static inline bool footprint_is_empty(const struct footprint *footprint)
{
	return footprint->count == 0 && !footprint->everything;
}

/** Copy what is in use. */
void footprint_copy(struct footprint *to, const struct footprint *from);

/** Do both touch the same, noted in the same order? */
bool footprint_equal(const struct footprint *a, const struct footprint *b);

/** Can the two steps not be exchanged? */
bool footprint_conflict(const struct footprint *a, const struct footprint *b);

/** Make `to` cover all that `more` touched as well. */
void footprint_add(struct footprint *to, const struct footprint *more);

/** The access by which the step uses mutex `object`: ACCESS_LOCK, ACCESS_READ or ACCESS_UNLOCK;
 * NULL: not at all. */
const struct access *footprint_find(const struct footprint *footprint, uint32_t object,
				    enum access_mode mode);

#endif
