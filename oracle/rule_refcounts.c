// SPDX-License-Identifier: MIT
/* refcount-covers, copied-exact, leak-bounded: references, refcounts and COPIED flags agree.
 *
 * While the dirty bit is set (lazy refcounts) the refcounts mean nothing and nothing is said; the
 * flags of each cluster are kept all the same, so that the moment the bit is cleared is judged.
 *
 * How much may leak at a crash. A request that was not yet followed by an acknowledged flush may
 * have allocated what it has not linked, and unlinked what it has not freed. With C = guest
 * clusters that it touches, even in part, + 1, and T = L2 tables for them + 1:
 *
 *     write, write-zeroes, discard    2 C + 2 T
 *     truncate                        2 (clusters of the new L1 table + 1)
 *     snapshots, open (it may repair) the clusters of the file, as it was or is, + 16
 *     read, flush, close              0
 *
 * The bound is what leaked in the initial image, plus the sum over such requests (one that failed
 * stays in the sum for ever), plus 2 (clusters of the L1 and refcount tables) + 8 for tables that
 * are being moved or added. After a clean close nothing may leak that did not leak initially,
 * unless an I/O of the run failed: then the bound stands. */
#include "oracle/bitmaps.h"
#include "oracle/judge_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t clusters_for(const struct judge *judge, uint64_t bytes)
{
	uint64_t bits = judge->live.header.cluster_bits;

	return (bytes >> bits) + ((bytes & ((UINT64_C(1) << bits) - 1)) != 0);
}

uint64_t leak_cost_of(const struct judge *judge, const struct request *request)
{
	const struct image_header *header = &judge->live.header;
	uint64_t clusters;
	uint64_t l1_entries;

	if (!header->readable)
		return 0;
	clusters = ((request->to - request->from) >> header->cluster_bits) + 2;
	switch (request->op) {
	case REQUEST_READ:
	case REQUEST_FLUSH:
	case REQUEST_CLOSE: return 0;
	case REQUEST_WRITE:
	case REQUEST_WRITE_ZEROES:
	case REQUEST_DISCARD: return 2 * clusters + 2 * ((clusters >> header->l2_bits) + 2);
	case REQUEST_TRUNCATE:
		l1_entries = request->from >> (header->cluster_bits + header->l2_bits);
		return 2 * (clusters_for(judge, 8 * (l1_entries + 1)) + 1);
	case REQUEST_OPEN:
	case REQUEST_SNAPSHOT:
	case REQUEST_SNAPSHOT_APPLY:
	case REQUEST_SNAPSHOT_DELETE: return LEAKS_FILE;
	}
	return 0;
}

/** Nobody counts the clusters of an external data file. */
static uint64_t flags_of(const struct live *live, const struct cluster *cluster)
{
	uint64_t references = cluster_references(cluster);
	uint64_t active =
		cluster->active + (cluster->table != NULL ? cluster->table->l2_active : 0);
	uint64_t flags = 0;

	if (live->header.has_data_file != 0 &&
	    is_external(cluster->index << live->header.cluster_bits))
		return 0;
	if (cluster->refcount < references)
		flags |= CLUSTER_UNCOVERED;
	else if (cluster->refcount > references)
		flags |= CLUSTER_LEAKED;
	if (cluster->copied > 0 && cluster->refcount > 1)
		flags |= CLUSTER_COPIED;
	if (cluster->refcount == 1 && active > cluster->copied)
		flags |= CLUSTER_COPIED_MISSING;
	return flags;
}

static void count(struct judge *judge, uint64_t *counter, uint64_t flag, uint64_t old, uint64_t now)
{
	if (((old ^ now) & flag) == 0)
		return;
	journal_set(&judge->journal, counter, (now & flag) != 0 ? *counter + 1 : *counter - 1);
}

static void update_flags(struct judge *judge, struct cluster *cluster)
{
	struct live *live = &judge->live;
	uint64_t old = cluster->flags;
	uint64_t now = flags_of(live, cluster);

	if (now == old)
		return;
	journal_set(&judge->journal, &cluster->flags, now);
	count(judge, &live->uncovered, CLUSTER_UNCOVERED, old, now);
	count(judge, &live->leaked, CLUSTER_LEAKED, old, now);
	count(judge, &live->copied_wrong, CLUSTER_COPIED, old, now);
	count(judge, &live->copied_missing, CLUSTER_COPIED_MISSING, old, now);
}

static void report(struct judge *judge, const struct cluster *cluster)
{
	struct verdict verdict = { .guest_offset = NOWHERE };

	if ((cluster->flags & (CLUSTER_UNCOVERED | CLUSTER_COPIED)) == 0)
		return;
	verdict.host_offset = cluster->index << judge->live.header.cluster_bits;
	judge_recheck(judge, (struct recheck){ .kind = RECHECK_CLUSTER, .place = cluster->index });
	if ((cluster->flags & CLUSTER_UNCOVERED) != 0) {
		verdict.rule = RULE_REFCOUNT_COVERS;
		verdict.severity = SEVERITY_CORRUPTION;
		findings_add(&judge->findings, verdict.host_offset, &verdict,
			     "host cluster 0x%" PRIx64 " has refcount %" PRIu64 " and %" PRIu64
			     " references",
			     verdict.host_offset, cluster->refcount, cluster_references(cluster));
	}
	if ((cluster->flags & CLUSTER_COPIED) != 0) {
		verdict.rule = RULE_COPIED_EXACT;
		verdict.severity = SEVERITY_HAZARD;
		findings_add(&judge->findings, verdict.host_offset, &verdict,
			     "an %s entry says COPIED of host cluster 0x%" PRIx64
			     ", whose refcount is %" PRIu64,
			     cluster->data > 0 ? "L2" : "L1", verdict.host_offset,
			     cluster->refcount);
	}
}

static bool is_dirty(const struct judge *judge)
{
	return (judge->live.header.incompatible & INCOMPATIBLE_DIRTY) != 0;
}

void rule_refcounts_keep(struct judge *judge)
{
	const struct live_work *work = &judge->live.work;

	for (size_t i = 0; i < work->cluster_count; i++)
		update_flags(judge, work->clusters[i]);
}

void rule_refcounts(struct judge *judge)
{
	const uint64_t bad = CLUSTER_UNCOVERED | CLUSTER_COPIED;
	const struct live_work *work = &judge->live.work;
	struct cluster **clusters;
	size_t cluster_count;

	if (is_dirty(judge) || judge->live.uncovered + judge->live.copied_wrong == 0)
		return;
	for (size_t i = 0; i < work->cluster_count; i++)
		report(judge, work->clusters[i]);
	if (!work->header)
		return;
	/* The dirty bit may have been cleared a moment ago: look at everything. */
	clusters = live_clusters_with(&judge->live, bad, &cluster_count);
	for (size_t i = 0; i < cluster_count; i++)
		report(judge, clusters[i]);
	free(clusters);
}

bool rule_leaks_count(const struct judge *judge)
{
	return judge->live.header.readable && !is_dirty(judge);
}

uint64_t rule_leaks_bound(const struct judge *judge, uint64_t file_bytes)
{
	const struct image_header *header = &judge->live.header;
	uint64_t tables = clusters_for(judge, 8 * header->l1_entries) +
			  clusters_for(judge, 8 * header->reftable_entries);
	uint64_t initial_bytes = content_size(judge->layers.layers[0].content);
	/* What was cut off may be counted still. */
	uint64_t file =
		clusters_for(judge, file_bytes > initial_bytes ? file_bytes : initial_bytes) + 16;

	return judge->initial_leaks + judge->history.leak_cost + judge->history.leak_files * file +
	       2 * tables + 8;
}

/** Clusters that are leaked in the state as it is. */
struct leaks {
	uint64_t count;
	uint64_t first; /* cluster; NOWHERE: not known */
};

/** Count leaks where there are bitmaps, whose clusters have references that are not in the books.
 */
static struct leaks leaks_beside_bitmaps(struct judge *judge)
{
	struct image_source source = sectors_source(&judge->live.sectors);
	struct leaks leaks = { .first = NOWHERE };
	struct bitmap_clusters bitmaps;
	size_t count;
	struct cluster **clusters = live_clusters_with(&judge->live, CLUSTER_LEAKED, &count);

	if (!bitmaps_list(&bitmaps, &judge->live.header, &source)) {
		journal_set(&judge->journal, &judge->bitmaps_lost, 1);
		count = 0;
	}
	for (size_t i = 0; i < count; i++) {
		const struct cluster *cluster = clusters[i];

		if (cluster->refcount <=
		    cluster_references(cluster) + bitmaps_count(&bitmaps, cluster->index))
			continue;
		if (leaks.count++ == 0)
			leaks.first = cluster->index;
	}
	bitmaps_release(&bitmaps);
	free(clusters);
	return leaks;
}

uint64_t judge_leaked(struct judge *judge)
{
	if (judge->live.header.bitmap_count == 0 || judge->live.leaked == 0)
		return judge->live.leaked;
	return leaks_beside_bitmaps(judge).count;
}

/** The leaks, if there are more than `bound`; else none. */
static struct leaks leaks_beyond(struct judge *judge, uint64_t bound)
{
	struct leaks leaks = { judge->live.leaked, NOWHERE };
	struct cluster **clusters;
	size_t count;

	if (leaks.count <= bound)
		return (struct leaks){ 0, NOWHERE };
	if (judge->live.header.bitmap_count != 0) {
		leaks = leaks_beside_bitmaps(judge);
		return leaks.count > bound ? leaks : (struct leaks){ 0, NOWHERE };
	}
	clusters = live_clusters_with(&judge->live, CLUSTER_LEAKED, &count);
	if (count > 0)
		leaks.first = clusters[0]->index;
	free(clusters);
	return leaks;
}

void rule_leaks(struct judge *judge)
{
	bool at_end = judge->findings.now.model == CRASH_NONE;
	bool is_foreign = judge->history.count == 0;
	uint64_t bound = judge->initial_leaks;
	struct verdict verdict = { .rule = RULE_LEAK_BOUNDED,
				   .severity = SEVERITY_LEAK,
				   .guest_offset = NOWHERE,
				   .host_offset = NOWHERE };
	struct leaks leaks;

	if (judge->live.leaked <= bound || !rule_leaks_count(judge) || (is_foreign && !at_end))
		return;
	if (!at_end || judge->history.io_failed != 0 || (judge->history.closed == 0 && !is_foreign))
		bound = rule_leaks_bound(judge, judge->live.sectors.file_bytes);
	if (judge->live.leaked <= bound)
		return;
	judge_recheck(judge, (struct recheck){ .kind = RECHECK_HEADER });
	if (!findings_wants(&judge->findings, RULE_LEAK_BOUNDED, at_end))
		return;
	leaks = leaks_beyond(judge, bound);
	if (leaks.count == 0)
		return;
	if (leaks.first != NOWHERE)
		verdict.host_offset = leaks.first << judge->live.header.cluster_bits;
	findings_add(&judge->findings, at_end, &verdict,
		     "%" PRIu64 " clusters are leaked, the first at host 0x%" PRIx64
		     "; at most %" PRIu64 " may be %s",
		     leaks.count, verdict.host_offset, bound,
		     at_end ? "at the end of the run" : "while these requests are not flushed");
}
