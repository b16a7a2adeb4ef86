// SPDX-License-Identifier: MIT
/** Pictures of a run: the space-time diagram as SVG, the page around it, and the same for
 * ui.perfetto.dev. None of them needs a network, or is different when drawn twice. */
#ifndef WORKLOADS_CLI_PICTURE_H
#define WORKLOADS_CLI_PICTURE_H

#include "workloads/cli/chart.h"
#include "workloads/cli/roles.h"
#include "workloads/cli/story.h"

#include <stdio.h>

/** What all pictures of a run need. Zero-initialised: nothing. */
struct picture {
	const struct trace *trace; /* borrowed */
	const struct trace_finding
		*finding; /* borrowed; what the picture is about; NULL: nothing */
	struct chart chart;
	struct story story;
	struct run_roles roles;
	const char **sentences; /* owned; of each event, borrowed from the story; NULL: none */
};

/** Look at `trace` (borrowed until picture_release()) with its first finding, if it has one. */
void picture_read(struct picture *picture, const struct trace *trace);
void picture_release(struct picture *picture);

enum picture_use {
	PICTURE_ALONE,   /* a file of its own, with its styles */
	PICTURE_IN_PAGE, /* whose script explains the steps */
	PICTURE_PRINTED, /* nobody points at steps */
};

/** The diagram: an <svg> element. */
void picture_svg(FILE *file, const struct picture *picture, enum picture_use use);

/** One self-contained page: what is wrong, the story, the diagram, a map of the image, the faulty
 * cluster and its entries. STATUS_NO_MEMORY; STATUS_BAD_INPUT: the trace cannot be applied. */
MUST_USE enum status picture_html(FILE *file, const struct picture *picture, struct why *why);

/** Trace events in JSON. A microsecond is a moment of the run. */
void picture_perfetto(FILE *file, const struct picture *picture);

#endif
