// SPDX-License-Identifier: MIT
#include "workloads/cli/progress.h"
#include "workloads/seconds.h"

#include <inttypes.h>
#include <stdio.h>

#define EVERY_SECONDS 0.2

enum { LEFT_BYTES = 32 };

/* "42 s", "3:05 min", "12:34 h". */
static const char *duration(char *text, double seconds)
{
	uint64_t whole = seconds < 1e9 ? (uint64_t)seconds : (uint64_t)1e9;
	if (whole < 100)
		snprintf(text, LEFT_BYTES, "%" PRIu64 " s", whole);
	else if (whole < 6000)
		snprintf(text, LEFT_BYTES, "%" PRIu64 ":%02" PRIu64 " min", whole / 60, whole % 60);
	else
		snprintf(text, LEFT_BYTES, "%" PRIu64 ":%02" PRIu64 " h", whole / 3600,
			 whole / 60 % 60);
	return text;
}

void progress_show(struct progress *progress, const struct progress_figures *figures)
{
	if (!progress->is_shown)
		return;
	if (!progress->has_begun) {
		progress->has_begun = true;
		progress->first_runs = figures->runs;
		progress->first_done = figures->done;
		progress->begun = seconds_now();
	}
	double now = seconds_now() - progress->begun;
	if (now < progress->next_seconds)
		return;
	progress->next_seconds = now + EVERY_SECONDS;
	double gained = figures->done - progress->first_done;
	fprintf(stderr, "\r\033[K%.24s", progress->name);
	if (figures->done > 0 && gained > 0) {
		char left[LEFT_BYTES];
		fprintf(stderr, "  %.1f %%, about %s left", 100 * figures->done,
			duration(left, now * (1 - figures->done) / gained));
	}
	if (now > 0)
		fprintf(stderr, "  %.0f runs/s",
			(double)(figures->runs - progress->first_runs) / now);
	fprintf(stderr, "  %" PRIu64 " classes  %" PRIu64 " images  %zu violations",
		figures->classes, figures->states, figures->violations);
	fflush(stderr);
}

void progress_clear(const struct progress *progress)
{
	if (progress->is_shown && progress->has_begun)
		fputs("\r\033[K", stderr);
}
