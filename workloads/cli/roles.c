// SPDX-License-Identifier: MIT
#include "workloads/cli/roles.h"

#include "traces/memory.h"
#include "workloads/cli/image_reader.h"

#include <stdlib.h>
#include <string.h>

#define OFFSET_MASK 0x00fffffffffffe00U
#define COMPRESSED ((uint64_t)1 << 62)
#define QCOW2_MAGIC 0x514649fbU

enum {
	CLUSTER_BITS_MIN = 9,
	CLUSTER_BITS_MAX = 21,
	TABLE_ENTRIES_MAX = 1 << 20, /* of one table looked at; more are left out */
	ROLES_MAX = 1 << 22,
	VISITED_MAX = 1 << 26,
};

static uint32_t read_u32(const struct content *content, uint64_t host_offset)
{
	return (uint32_t)(image_u64(content, host_offset) >> 32);
}

static void add(struct roles *roles, uint64_t host_offset, enum role role, uint64_t guest_offset)
{
	if (roles->count == ROLES_MAX) {
		roles->is_cut = true;
		return;
	}
	roles->entries = memory_grow(roles->entries, &roles->capacity, roles->count + 1,
				     sizeof(*roles->entries));
	roles->entries[roles->count++] = (struct role_entry){
		.cluster = host_offset >> roles->cluster_bits,
		.role = role,
		.guest_offset = guest_offset,
	};
}

static void add_l2_table(struct roles *roles, const struct content *content, uint64_t table_offset,
			 uint64_t guest_offset)
{
	uint64_t entries = ((uint64_t)1 << roles->cluster_bits) / sizeof(uint64_t);
	add(roles, table_offset, ROLE_L2, guest_offset);
	roles->is_cut |= roles->visited > VISITED_MAX;
	if (roles->is_cut)
		return;
	roles->visited += entries;
	for (uint64_t i = 0; i < entries; i++) {
		uint64_t entry = image_u64(content, table_offset + i * sizeof(uint64_t));
		uint64_t data_offset = entry & OFFSET_MASK;
		if (data_offset && !(entry & COMPRESSED))
			add(roles, data_offset, ROLE_DATA,
			    guest_offset + (i << roles->cluster_bits));
	}
}

static void add_l1_table(struct roles *roles, const struct content *content, uint64_t table_offset,
			 uint32_t entries)
{
	uint64_t table_bytes = entries * sizeof(uint64_t);
	unsigned mapped_bits = 2 * roles->cluster_bits - 3;
	for (uint64_t at = 0; at < table_bytes; at += (uint64_t)1 << roles->cluster_bits)
		add(roles, table_offset + at, ROLE_L1, 0);
	for (uint64_t i = 0; i < entries; i++) {
		uint64_t l2_offset =
			image_u64(content, table_offset + i * sizeof(uint64_t)) & OFFSET_MASK;
		if (l2_offset && l2_offset < content_size(content))
			add_l2_table(roles, content, l2_offset, i << mapped_bits);
	}
}

static void add_reftable(struct roles *roles, const struct content *content, uint64_t table_offset,
			 uint64_t clusters)
{
	uint64_t cluster_bytes = (uint64_t)1 << roles->cluster_bits;
	/* Refcounts are 16 bits wide unless the header says otherwise, which is rare enough for a
	 * story to call the counted range by another number. */
	unsigned counted_bits = 2 * roles->cluster_bits - 1;
	uint64_t entries = clusters * cluster_bytes / sizeof(uint64_t);
	for (uint64_t i = 0; i < clusters; i++)
		add(roles, table_offset + i * cluster_bytes, ROLE_REFTABLE, 0);
	for (uint64_t i = 0; i < entries && i < TABLE_ENTRIES_MAX; i++) {
		uint64_t block_offset =
			image_u64(content, table_offset + i * sizeof(uint64_t)) & OFFSET_MASK;
		if (block_offset)
			add(roles, block_offset, ROLE_REFBLOCK, i << counted_bits);
	}
}

static int compare_entries(const void *left, const void *right)
{
	const struct role_entry *a = left, *b = right;
	if (a->cluster != b->cluster)
		return a->cluster < b->cluster ? -1 : 1;
	return (int)a->role - (int)b->role;
}

void roles_read(struct roles *roles, const struct content *content)
{
	*roles = (struct roles){ 0 };
	uint32_t cluster_bits = read_u32(content, 20);
	uint32_t l1_entries = read_u32(content, 36);
	uint32_t reftable_clusters = read_u32(content, 56);
	bool is_readable = read_u32(content, 0) == QCOW2_MAGIC &&
			   cluster_bits >= CLUSTER_BITS_MIN && cluster_bits <= CLUSTER_BITS_MAX &&
			   l1_entries <= TABLE_ENTRIES_MAX &&
			   reftable_clusters <= TABLE_ENTRIES_MAX;
	if (!is_readable)
		return;
	roles->cluster_bits = cluster_bits;
	add(roles, 0, ROLE_HEADER, 0);
	add_l1_table(roles, content, image_u64(content, 40) & OFFSET_MASK, l1_entries);
	add_reftable(roles, content, image_u64(content, 48) & OFFSET_MASK, reftable_clusters);
	qsort(roles->entries, roles->count, sizeof(*roles->entries), compare_entries);
}

void roles_release(struct roles *roles)
{
	free(roles->entries);
	*roles = (struct roles){ 0 };
}

const struct role_entry *roles_find(const struct roles *roles, uint64_t host_offset)
{
	uint64_t cluster = roles->cluster_bits ? host_offset >> roles->cluster_bits : 0;
	size_t low = 0, high = roles->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (roles->entries[middle].cluster < cluster)
			low = middle + 1;
		else
			high = middle;
	}
	bool found = low < roles->count && roles->entries[low].cluster == cluster;
	return found ? &roles->entries[low] : NULL;
}

void run_roles_read(struct run_roles *roles, const struct trace *trace)
{
	*roles = (struct run_roles){ 0 };
	if (!trace->file_count)
		return;
	struct content *final = trace_final_content(trace, 0);
	if (!final)
		abort();
	roles_read(&roles->before, trace->files[0].initial);
	roles_read(&roles->after, final);
	content_free(final);
}

void run_roles_release(struct run_roles *roles)
{
	roles_release(&roles->before);
	roles_release(&roles->after);
}

const struct role_entry *run_roles_find(const struct run_roles *roles, uint64_t host_offset)
{
	const struct role_entry *role = roles_find(&roles->after, host_offset);
	return role ? role : roles_find(&roles->before, host_offset);
}

const char *role_name(enum role role)
{
	switch (role) {
	case ROLE_UNKNOWN: return "an unused cluster";
	case ROLE_HEADER: return "the header";
	case ROLE_L1: return "the L1 table";
	case ROLE_L2: return "an L2 table";
	case ROLE_REFTABLE: return "the refcount table";
	case ROLE_REFBLOCK: return "a refcount block";
	case ROLE_DATA: return "data";
	}
	return "?";
}

const char *role_class_name(enum role role)
{
	switch (role) {
	case ROLE_UNKNOWN: return "unknown";
	case ROLE_HEADER: return "header";
	case ROLE_L1: return "l1";
	case ROLE_L2: return "l2";
	case ROLE_REFTABLE:
	case ROLE_REFBLOCK: return "refs";
	case ROLE_DATA: return "data";
	}
	return "?";
}
