// SPDX-License-Identifier: MIT
#include "workloads/cli/picture.h"

#include <stdlib.h>

void picture_read(struct picture *picture, const struct trace *trace)
{
	*picture = (struct picture){
		.trace = trace,
		.finding = trace->finding_count ? &trace->findings[0] : NULL,
	};
	chart_read(&picture->chart, trace, picture->finding, CHART_COLUMNS_MAX);
	story_read(&picture->story, trace, picture->finding);
	run_roles_read(&picture->roles, trace);
	picture->sentences = calloc(trace->log.count + 1, sizeof(*picture->sentences));
	if (!picture->sentences)
		abort();
	for (size_t i = 0; i < picture->story.count; i++)
		picture->sentences[picture->story.lines[i].event] = picture->story.lines[i].text;
}

void picture_release(struct picture *picture)
{
	chart_release(&picture->chart);
	story_release(&picture->story);
	run_roles_release(&picture->roles);
	free(picture->sentences);
	*picture = (struct picture){ 0 };
}
