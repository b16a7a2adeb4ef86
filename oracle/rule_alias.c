// SPDX-License-Identifier: MIT
/* no-alias: a host cluster serves one purpose, and every address is one that a cluster of this file
 * can have.
 *
 * Sharing that is no alias: an L2 table and the clusters below it between the active table and
 * snapshots; one cluster between compressed ones. Beyond the end of the file means wholly beyond:
 * a last cluster that the file holds in part reads as zeros behind its end. */
#include "oracle/judge_state.h"

#include <inttypes.h>
#include <stdio.h>

/** One purpose of a cluster. */
struct purpose {
	const char *name;
	uint64_t users; /* that exclude each other */
};

enum { PURPOSES = 8 };

static void purposes_of(struct purpose purposes[PURPOSES], const struct cluster *cluster)
{
	const struct table_use none = { 0 };
	const struct table_use *table = cluster->table != NULL ? cluster->table : &none;
	uint64_t shared_data = cluster->data > cluster->active ? 1 : 0;
	uint64_t shared_l2 = table->l2_other > 0 ? 1 : 0;

	purposes[0] = (struct purpose){ "the header", table->header };
	purposes[1] = (struct purpose){ "an L1 table", table->l1 };
	purposes[2] = (struct purpose){ "the refcount table", table->reftable };
	purposes[3] = (struct purpose){ "a refcount block", table->block };
	purposes[4] = (struct purpose){ "an L2 table",
					table->l2_active > 0 ? table->l2_active : shared_l2 };
	purposes[5] = (struct purpose){ "the snapshot table", table->snapshot_table };
	purposes[6] = (struct purpose){ "guest data",
					cluster->active > 0 ? cluster->active : shared_data };
	purposes[7] = (struct purpose){ "compressed data", cluster->packed > 0 ? 1 : 0 };
}

static void check_purposes(struct judge *judge, const struct cluster *cluster,
			   const struct verdict *verdict)
{
	struct purpose purposes[PURPOSES];
	const struct purpose *first = NULL;
	const struct purpose *second = NULL;

	purposes_of(purposes, cluster);
	for (size_t i = 0; i < PURPOSES && second == NULL; i++) {
		if (purposes[i].users == 0)
			continue;
		if (first != NULL || purposes[i].users > 1)
			second = &purposes[i];
		if (first == NULL)
			first = &purposes[i];
	}
	if (second == NULL)
		return;
	judge_recheck(judge, (struct recheck){ .kind = RECHECK_CLUSTER, .place = cluster->index });
	if (!findings_wants(&judge->findings, RULE_NO_ALIAS, verdict->host_offset))
		return;
	if (first != second)
		findings_add(&judge->findings, verdict->host_offset, verdict,
			     "host cluster 0x%" PRIx64 " is %s and %s", verdict->host_offset,
			     first->name, second->name);
	else
		findings_add(&judge->findings, verdict->host_offset, verdict,
			     "host cluster 0x%" PRIx64 " is %s for %" PRIu64
			     " entries at the same time",
			     verdict->host_offset, first->name, first->users);
}

/** What a cluster that is referred to is, in a word. */
static const char *main_purpose(const struct cluster *cluster)
{
	struct purpose purposes[PURPOSES];

	purposes_of(purposes, cluster);
	for (size_t i = 0; i < PURPOSES; i++)
		if (purposes[i].users > 0)
			return purposes[i].name;
	return "referred to";
}

static void check_end(struct judge *judge, const struct cluster *cluster,
		      const struct verdict *verdict)
{
	uint64_t place = verdict->host_offset | 1;

	if (verdict->host_offset < judge->live.sectors.file_bytes ||
	    is_external(verdict->host_offset) || cluster_references(cluster) == 0)
		return;
	judge_recheck(judge, (struct recheck){ .kind = RECHECK_CLUSTER, .place = cluster->index });
	if (!findings_wants(&judge->findings, RULE_NO_ALIAS, place))
		return;
	findings_add(&judge->findings, place, verdict,
		     "host cluster 0x%" PRIx64
		     " is %s and lies beyond the end of the file (0x%" PRIx64 ")",
		     verdict->host_offset, main_purpose(cluster), judge->live.sectors.file_bytes);
}

static const char *entry_name(enum entry_kind kind)
{
	switch (kind) {
	case ENTRY_L1: return "L1";
	case ENTRY_L2: return "L2";
	case ENTRY_REFTABLE: return "refcount table";
	}
	return "?";
}

/** Is the place still an entry of that kind, and malformed? */
static bool entry_is_malformed(struct judge *judge, const struct entry_place *place)
{
	const struct image_header *header = &judge->live.header;
	uint64_t entry = sectors_be64(&judge->live.sectors, place->host_offset);
	const struct cluster *cluster =
		live_cluster(&judge->live, place->host_offset >> header->cluster_bits);

	if (cluster == NULL || cluster->table == NULL)
		return false;
	switch (place->kind) {
	case ENTRY_L1: return cluster->table->l1 > 0 && l1_entry_is_malformed(header, entry);
	case ENTRY_L2: return cluster->table->weight > 0 && l2_entry_is_malformed(header, entry);
	case ENTRY_REFTABLE:
		return cluster->table->reftable > 0 && reftable_entry_is_malformed(header, entry);
	}
	return false;
}

static void check_entry(struct judge *judge, const struct entry_place *place)
{
	uint64_t key = place->host_offset | 2;
	struct verdict verdict = { .rule = RULE_NO_ALIAS,
				   .severity = SEVERITY_CORRUPTION,
				   .guest_offset = NOWHERE,
				   .host_offset = place->host_offset };

	if (!entry_is_malformed(judge, place))
		return;
	judge_recheck(judge, (struct recheck){ .kind = RECHECK_ENTRY,
					       .entry = place->kind,
					       .place = place->host_offset });
	if (!findings_wants(&judge->findings, RULE_NO_ALIAS, key))
		return;
	findings_add(&judge->findings, key, &verdict,
		     "the %s entry at host 0x%" PRIx64 " (0x%016" PRIx64
		     ") sets reserved bits or points into the middle of a cluster",
		     entry_name(place->kind), place->host_offset,
		     sectors_be64(&judge->live.sectors, place->host_offset));
}

void rule_alias(struct judge *judge)
{
	const struct live_work *work = &judge->live.work;

	for (size_t i = 0; i < work->cluster_count; i++) {
		const struct cluster *cluster = work->clusters[i];
		struct verdict verdict = { .rule = RULE_NO_ALIAS,
					   .severity = SEVERITY_CORRUPTION,
					   .guest_offset = NOWHERE };

		verdict.host_offset = cluster->index << judge->live.header.cluster_bits;
		check_purposes(judge, cluster, &verdict);
		check_end(judge, cluster, &verdict);
	}
	for (size_t i = 0; i < work->entry_count; i++)
		check_entry(judge, &work->entries[i]);
}
