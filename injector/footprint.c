// SPDX-License-Identifier: MIT
#include "injector/footprint.h"

#include <string.h>

static uint32_t muted_kind; /* 0: none */

static uint64_t object_bit(uint32_t object)
{
	return UINT64_C(1) << (object * UINT32_C(0x9e3779b1) >> 26);
}

uint32_t footprint_instance(const char *name, uint32_t id)
{
	uint32_t hash = UINT32_C(0x811c9dc5) ^ id;
	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * UINT32_C(0x01000193);
	return hash ^ id << 12;
}

/** The mode that stands for both. */
static enum access_mode join(enum access_mode a, enum access_mode b)
{
	if (a == b)
		return a;
	bool is_mutex = a >= ACCESS_LOCK || b >= ACCESS_LOCK;
	return is_mutex ? ACCESS_LOCK : ACCESS_WRITE;
}

/** Make `access` cover [from, to) as well, if that adds nothing which was not touched. */
static bool extend(struct access *access, uint64_t from, uint64_t to, enum access_mode mode)
{
	if (access->from == from && access->to == to) {
		access->mode = join(access->mode, mode);
		return true;
	}
	if (access->mode == ACCESS_WRITE && access->from <= from && to <= access->to)
		return true;
	if (access->mode != mode || to < access->from || access->to < from)
		return false;
	if (from < access->from)
		access->from = from;
	if (access->to < to)
		access->to = to;
	return true;
}

void footprint_mute(uint32_t kind)
{
	muted_kind = kind;
}

void footprint_touch(struct footprint *footprint, uint32_t object, uint64_t from, uint64_t to,
		     enum access_mode mode)
{
	if (object >> 24 == muted_kind)
		return;
	footprint->objects |= object_bit(object);
	for (uint32_t i = 0; i < footprint->count; i++)
		if (footprint->accesses[i].object == object &&
		    extend(&footprint->accesses[i], from, to, mode))
			return;
	if (footprint->count == FOOTPRINT_ACCESSES_MAX) {
		footprint->everything = true;
		return;
	}
	footprint->accesses[footprint->count++] =
		(struct access){ .object = object, .mode = mode, .from = from, .to = to };
}

void footprint_unlock(struct footprint *footprint, uint32_t object)
{
	for (uint32_t i = 0; i < footprint->count; i++) {
		struct access *access = &footprint->accesses[i];
		if (access->object == object && access->mode == ACCESS_LOCK) {
			access->mode = ACCESS_READ;
			return;
		}
	}
	footprint_touch(footprint, object, 0, UINT64_MAX, ACCESS_UNLOCK);
}

void footprint_copy(struct footprint *to, const struct footprint *from)
{
	to->objects = from->objects;
	to->count = from->count;
	to->everything = from->everything;
	memcpy(to->accesses, from->accesses, from->count * sizeof(from->accesses[0]));
}

bool footprint_equal(const struct footprint *a, const struct footprint *b)
{
	if (a->count != b->count || a->everything != b->everything)
		return false;
	for (uint32_t i = 0; i < a->count; i++) {
		const struct access *one = &a->accesses[i];
		const struct access *other = &b->accesses[i];
		if (one->object != other->object || one->mode != other->mode ||
		    one->from != other->from || one->to != other->to)
			return false;
	}
	return true;
}

static bool modes_conflict(enum access_mode a, enum access_mode b)
{
	if (a == ACCESS_UNLOCK || b == ACCESS_UNLOCK)
		return false;
	return a != b || (a != ACCESS_READ && a != ACCESS_ADD);
}

bool footprint_conflict(const struct footprint *a, const struct footprint *b)
{
	if (a->everything || b->everything)
		return true;
	if (!(a->objects & b->objects))
		return false;
	for (uint32_t i = 0; i < a->count; i++) {
		const struct access *one = &a->accesses[i];
		for (uint32_t j = 0; j < b->count; j++) {
			const struct access *other = &b->accesses[j];
			if (one->object == other->object && one->from < other->to &&
			    other->from < one->to && modes_conflict(one->mode, other->mode))
				return true;
		}
	}
	return false;
}

void footprint_add(struct footprint *to, const struct footprint *more)
{
	to->everything |= more->everything;
	for (uint32_t i = 0; i < more->count; i++)
		footprint_touch(to, more->accesses[i].object, more->accesses[i].from,
				more->accesses[i].to, more->accesses[i].mode);
}

const struct access *footprint_find(const struct footprint *footprint, uint32_t object,
				    enum access_mode mode)
{
	for (uint32_t i = 0; i < footprint->count; i++)
		if (footprint->accesses[i].object == object && footprint->accesses[i].mode == mode)
			return &footprint->accesses[i];
	return NULL;
}
