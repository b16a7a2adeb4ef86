// SPDX-License-Identifier: MIT
/* Judging one image that somebody has, as a state that a crash in a run may have left.
 *
 * The run's requests are told to the history, its operations are not applied: the image takes their
 * place in one transition, and then everything is looked at, not only what that touched. */
#include "oracle/judge_state.h"

#include <assert.h>
#include <stdlib.h>

/** The bytes of the image, which does not move while the judge looks at it. */
static sector_ref ref_of(const struct content *image, uint64_t sector_index)
{
	const uint8_t *page = content_page(image, sector_index / PAGE_SECTORS);
	const uint8_t *sector;

	if (page == NULL)
		return 0;
	sector = page + sector_index % PAGE_SECTORS * SECTOR_BYTES;
	return bytes_are_zero(sector, SECTOR_BYTES) ? 0 : sector_ref_memory(sector);
}

static void put_page(struct judge *judge, const struct content *image, uint64_t page)
{
	for (uint64_t at = page * PAGE_SECTORS; at < (page + 1) * PAGE_SECTORS; at++) {
		sector_ref ref = ref_of(image, at);

		if (memcmp(sectors_at(&judge->live.sectors, at),
			   sectors_bytes(&judge->live.sectors, ref), SECTOR_BYTES) != 0)
			live_set_sector(&judge->live, at, ref);
	}
}

/** Let the image in hand be `image`, and everything be on the work list. */
static void take_image(struct judge *judge, const struct content *image)
{
	struct live *live = &judge->live;
	uint64_t end = live->sectors.file_bytes / CONTENT_PAGE_BYTES + 1;
	struct cluster **clusters;
	uint64_t *pages;
	size_t count;

	live_begin(live);
	count = sectors_list_pages(&live->sectors, 0, end, &pages);
	for (size_t i = 0; i < count; i++)
		put_page(judge, image, pages[i]);
	free(pages);
	for (uint64_t page = 0; content_next_page(image, &page); page++)
		put_page(judge, image, page);
	live_set_size(live, content_size(image));
	live_settle(live);
	clusters = live_clusters_with(live, 0, &count);
	for (size_t i = 0; i < count; i++)
		live_touch(live, clusters[i]);
	free(clusters);
	live->work.header = true;
	live->work.whole_guest = true;
}

void judge_image(struct judge *judge, const struct event_log *log, size_t event_count,
		 const struct content *image, struct judge_report *report)
{
	uint64_t operations = 0;

	judge_begin_again(judge, log);
	judge->quiet = judge->image_is_given = true;
	for (size_t i = 0; i < event_count; i++) {
		operations += judge_is_operation(&log->events[i]);
		judge_apply(judge, i);
	}
	journal_set(&judge->journal, &judge->operations, operations);
	judge->quiet = judge->image_is_given = false;
	take_image(judge, image);
	judge_set_moment(judge, CRASH_PREFIX, 0);
	judge_crash_state(judge);
	*report = (struct judge_report){ .verdict_count = findings_visible(&judge->findings),
					 .operations = operations,
					 .leaked = judge_leaked(judge),
					 .copied_missing = judge->live.copied_missing,
					 .counts = { .states = 1, .judged = 1 } };
	report->verdicts = judge->findings.visible;
	judge_explain_skipped(judge, report);
	judge_go_back(judge, &judge->start);
}
