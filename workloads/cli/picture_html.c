// SPDX-License-Identifier: MIT
/* The page of a finding. One file: styles, script and diagram stand in it. Without a script it
 * still shows everything but what belongs to the step in focus. */
#include "workloads/cli/picture.h"

#include "workloads/cli/crash_image.h"
#include "workloads/cli/damage.h"
#include "workloads/cli/markup.h"
#include "workloads/cli/page.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
	TILES_MAX = 2048,
	ALIKE_MIN = 8, /* so many sectors alike are one tile */
};

static void put(FILE *file, const char *element, const char *text)
{
	fprintf(file, "<%s>", element);
	markup_text(file, text);
	fprintf(file, "</%.*s>\n", (int)strcspn(element, " "), element);
}

static void write_verdict(FILE *file, const struct picture *picture)
{
	const struct trace_finding *finding = picture->finding;
	if (!finding) {
		fputs("<p class=\"verdict none\">Nothing wrong is recorded in this trace.</p>\n",
		      file);
		return;
	}
	fputs("<p class=\"verdict\"><strong>", file);
	markup_text(file, finding->rule);
	fputs("</strong> ", file);
	markup_format(file, "(%s): ", finding->severity);
	markup_text(file, finding->message);
	fputs("</p>\n", file);
}

static void write_story_line(FILE *file, const struct story_line *line)
{
	const char *kind = line->is_late ? "late" : line->is_key ? "matters" : "";
	fprintf(file, "<li class=\"%s\"><a href=\"#e%zu\" data-step=\"e%zu\">",
		line->is_main ? kind : "minor", line->event + 1, line->event + 1);
	if (line->is_late)
		fputs("not on disk: ", file);
	markup_text(file, line->text);
	fputs("</a></li>\n", file);
}

/* The story's lines, each with a link to its step; smaller ones are there on demand. */
static void write_story(FILE *file, const struct picture *picture)
{
	size_t minor = 0, keys = 0;
	for (size_t i = 0; i < picture->story.count; i++) {
		minor += !picture->story.lines[i].is_main;
		keys += picture->story.lines[i].is_key;
	}
	put(file, "h2 id=\"story\"", "What happened");
	if (keys)
		put(file, "p class=\"faint\"", "In bold: the steps that matter most.");
	if (minor)
		fprintf(file,
			"<button type=\"button\" id=\"more\" class=\"screen\" "
			"aria-expanded=\"false\" data-all=\"all %zu steps\">all %zu steps"
			"</button>\n",
			picture->story.count, picture->story.count);
	fputs("<ol class=\"story\">\n", file);
	for (size_t i = 0; i < picture->story.count; i++) {
		const struct story_line *line = &picture->story.lines[i];
		if (!line->is_late)
			write_story_line(file, line);
	}
	if (picture->story.crash[0]) {
		fputs("<li class=\"crash\">", file);
		markup_text(file, picture->story.crash);
		fputs("</li>\n", file);
	}
	for (size_t i = 0; i < picture->story.count; i++)
		if (picture->story.lines[i].is_late)
			write_story_line(file, &picture->story.lines[i]);
	fputs("</ol>\n", file);
}

/* What the marks and colours of the diagram mean. */
static void write_key(FILE *file)
{
	static const struct {
		enum role role;
		const char *name;
	} kinds[] = {
		{ ROLE_DATA, "data" },     { ROLE_L2, "L2 table" },
		{ ROLE_L1, "L1 table" },   { ROLE_REFBLOCK, "refcounts" },
		{ ROLE_HEADER, "header" }, { ROLE_UNKNOWN, "nothing refers to it" },
	};
	fputs("<p class=\"key\"><span>box: runs</span><span>dashed: waits or sleeps</span>"
	      "<span><i class=\"swatch owns\"></i>below a lane: has what another waits for</span>"
	      "<span>bar: a request under way</span><span>&#9661; write, &#9651; read, &#9474; "
	      "flush take effect</span><span>numbers: operations on the image</span>"
	      "<span>shaded: between two flushes</span><span>red: lost by the crash</span>",
	      file);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		fprintf(file, "<span><i class=\"swatch %s\"></i>%s</span>",
			role_class_name(kinds[i].role), kinds[i].name);
	fputs("</p>\n", file);
}

/* As much of a long run as can be read on paper. */
static void write_printed(FILE *file, const struct picture *picture)
{
	struct picture printed = *picture;
	chart_read(&printed.chart, picture->trace, picture->finding, CHART_COLUMNS_PRINTED);
	fputs("<div class=\"printed\">\n", file);
	picture_svg(file, &printed, PICTURE_PRINTED);
	fputs("</div>\n", file);
	chart_release(&printed.chart);
}

static void write_diagram(FILE *file, const struct picture *picture)
{
	put(file, "h2 id=\"diagram\"", "Who did what, and when it reached the disk");
	bool is_wide = picture->chart.mark_count > CHART_COLUMNS_PRINTED;
	fprintf(file, "<div class=\"scroll%s\">\n", is_wide ? " screen" : "");
	picture_svg(file, picture, PICTURE_IN_PAGE);
	fputs("</div>\n", file);
	if (is_wide)
		write_printed(file, picture);
	write_key(file);
	fputs("<pre id=\"detail\" aria-live=\"polite\">Point at a step, or move through them with "
	      "Tab and the arrow keys.</pre>\n",
	      file);
}

static void write_tile(FILE *file, const struct picture *picture, const struct roles *roles,
		       const struct damage *damage, uint64_t host_offset)
{
	const struct role_entry *role = roles_find(roles, host_offset);
	enum role kind = role ? role->role : ROLE_UNKNOWN;
	bool is_faulty =
		damage->has_guest && damage->crash.data_host == host_offset && host_offset != 0;
	if (picture->finding && picture->finding->host_offset != UINT64_MAX)
		is_faulty |= picture->finding->host_offset / damage->cluster_bytes ==
			     host_offset / damage->cluster_bytes;
	fprintf(file, "<div class=\"tile %s%s\"><b>0x%" PRIx64 "</b><small>", role_class_name(kind),
		is_faulty ? " faulty" : "", host_offset);
	markup_text(file, role_name(kind));
	if (kind == ROLE_DATA || kind == ROLE_L2)
		fprintf(file, ", guest 0x%" PRIx64, role->guest_offset);
	fputs("</small></div>\n", file);
}

static void write_map(FILE *file, const struct picture *picture, const struct damage *damage,
		      const struct content *crash)
{
	struct roles roles;
	uint64_t clusters =
		(content_size(crash) + damage->cluster_bytes - 1) / damage->cluster_bytes;
	roles_read(&roles, crash);
	put(file, "h2 id=\"map\"",
	    finding_has_crash(picture->finding) ? "The image after the crash"
						: "The image at the end of the run");
	fputs("<div class=\"tiles\">\n", file);
	for (uint64_t i = 0; i < clusters && i < TILES_MAX; i++)
		write_tile(file, picture, &roles, damage, i * damage->cluster_bytes);
	fputs("</div>\n", file);
	if (clusters > TILES_MAX)
		fprintf(file, "<p class=\"faint\">%" PRIu64 " more clusters are not drawn</p>\n",
			clusters - TILES_MAX);
	roles_release(&roles);
}

static void write_value(FILE *file, uint64_t host_offset, uint64_t entry)
{
	fprintf(file,
		"<td>0x%016" PRIx64 "<br><span class=\"faint\">at host 0x%" PRIx64 "</span></td>",
		entry, host_offset);
}

static void write_entry_row(FILE *file, const char *when, const struct damage_entry *entry)
{
	fprintf(file, "<tr><th scope=\"row\">%s</th>", when);
	if (!entry->is_readable) {
		fputs("<td colspan=\"4\">cannot be read</td></tr>\n", file);
		return;
	}
	write_value(file, entry->l1_host, entry->l1_entry);
	if (!entry->l2_host) {
		fputs("<td>no L2 table</td><td>as in the backing file</td><td></td></tr>\n", file);
		return;
	}
	write_value(file, entry->l2_host, entry->l2_entry);
	if (entry->is_zero && !entry->data_host)
		fputs("<td>reads as zeros</td><td></td>", file);
	else if (!entry->data_host)
		fputs("<td>unallocated: as in the backing file</td><td></td>", file);
	else
		fprintf(file, "<td>%shost 0x%" PRIx64 "%s%s</td><td>%" PRIu64 "</td>",
			entry->is_compressed ? "compressed, " : "", entry->data_host,
			entry->is_zero ? ", reads as zeros" : "",
			entry->l2_entry >> 63 ? ", COPIED" : "", entry->refcount);
	fputs("</tr>\n", file);
}

static void write_entries(FILE *file, const struct picture *picture, const struct damage *damage)
{
	char title[80];
	snprintf(title, sizeof(title), "Guest cluster 0x%" PRIx64, damage->guest_offset);
	put(file, "h2 id=\"entries\"", title);
	fputs("<table><tr><th></th><th scope=\"col\">L1 entry</th><th scope=\"col\">L2 entry</th>"
	      "<th scope=\"col\">that is</th><th scope=\"col\">refcount</th></tr>\n",
	      file);
	write_entry_row(file, "before the run", &damage->before);
	if (finding_has_crash(picture->finding))
		write_entry_row(file, "after the crash", &damage->crash);
	write_entry_row(file, "end of the run", &damage->end);
	fputs("</table>\n", file);
}

static const char *source_class(enum sector_source source)
{
	switch (source) {
	case SOURCE_PREVIOUS: return "previous";
	case SOURCE_REQUEST: return "request";
	case SOURCE_ZEROS: return "zeros";
	case SOURCE_STALE: return "stale";
	case SOURCE_STRANGER: return "stranger";
	case SOURCE_UNKNOWN: return "nobody";
	}
	return "?";
}

/* Do both say the same, the second so many sectors further on? Without stamps a stranger's place is
 * that of the request. */
static bool continues(const struct damage_sector *first, const struct damage_sector *second,
		      size_t sectors)
{
	uint64_t guest_offset = first->guest_offset;
	return first->source == second->source && first->request == second->request &&
	       first->is_partial == second->is_partial &&
	       (first->source != SOURCE_STRANGER || second->guest_offset == guest_offset ||
		second->guest_offset == guest_offset + sectors * 512);
}

/* `count` sectors of which the same can be said. */
static void write_sectors_alike(FILE *file, const struct damage *damage, size_t index, size_t count)
{
	const struct damage_sector *sector = &damage->sectors[index];
	fprintf(file, "<div class=\"tile sector %s\"><b>sector", source_class(sector->source));
	if (count > 1)
		fprintf(file, "s %zu to %zu</b> <span class=\"faint\">from", index,
			index + count - 1);
	else
		fprintf(file, " %zu</b> <span class=\"faint\">", index);
	fprintf(file, " guest 0x%" PRIx64 "</span><small>", damage->guest_offset + index * 512);
	if (sector->source == SOURCE_REQUEST)
		fprintf(file, "data of request %" PRIu32 "%s", sector->request,
			sector->is_partial ? ", in part" : "");
	else if (sector->source == SOURCE_STRANGER)
		fprintf(file, "request %" PRIu32 "'s, for guest 0x%" PRIx64 "%s", sector->request,
			sector->guest_offset, count > 1 ? " and on" : "");
	else
		markup_text(file, sector_source_name(sector->source));
	fputs("</small></div>\n", file);
}

static void write_sectors(FILE *file, const struct damage *damage)
{
	char title[80];
	if (damage->why_no_sectors.text[0]) {
		fputs("<p class=\"faint\">Whose data its sectors hold cannot be told: ", file);
		markup_text(file, damage->why_no_sectors.text);
		fputs("</p>\n", file);
	}
	if (!damage->sectors)
		return;
	snprintf(title, sizeof(title), "Host cluster 0x%" PRIx64 ", sector by sector",
		 damage->crash.data_host);
	put(file, "h2 id=\"sectors\"", title);
	fputs("<div class=\"tiles\">\n", file);
	size_t tiles = 0;
	for (size_t i = 0, count = 1; i < damage->sector_count; i += count) {
		const struct damage_sector *first = &damage->sectors[i];
		for (count = 1; i + count < damage->sector_count &&
				continues(first, &damage->sectors[i + count], count);)
			count++;
		if (count < ALIKE_MIN)
			count = 1;
		if (tiles++ < TILES_MAX)
			write_sectors_alike(file, damage, i, count);
	}
	fputs("</div>\n", file);
	if (tiles > TILES_MAX)
		fprintf(file, "<p class=\"faint\">%zu more ranges are not drawn</p>\n",
			tiles - TILES_MAX);
}

static void write_scope(FILE *file, const struct trace *trace)
{
	char *schedule = schedule_print(&trace->schedule);
	put(file, "h2 id=\"run\"", "The run");
	fputs("<table>\n<tr><th scope=\"row\">subject</th><td>", file);
	markup_text(file, trace->subject);
	fputs("</td></tr>\n", file);
	for (size_t i = 0; i < trace->setting_count; i++) {
		fputs("<tr><th scope=\"row\">", file);
		markup_text(file, trace->settings[i].key);
		fputs("</th><td>", file);
		markup_text(file, trace->settings[i].value);
		fputs("</td></tr>\n", file);
	}
	if (schedule && *trace->workload) {
		fputs("<tr><th scope=\"row\">schedule</th><td>", file);
		markup_text(file, schedule);
		fputs("</td></tr>\n", file);
	}
	fputs("</table>\n", file);
	if (*trace->workload)
		put(file, "pre", trace->workload);
	free(schedule);
}

static void write_findings(FILE *file, const struct trace *trace)
{
	if (trace->finding_count < 2)
		return;
	put(file, "h2 id=\"findings\"", "Everything that is wrong in this run");
	fputs("<ul>\n", file);
	for (size_t i = 0; i < trace->finding_count; i++) {
		const struct trace_finding *finding = &trace->findings[i];
		fputs("<li><b>", file);
		markup_text(file, finding->rule);
		fputs("</b> ", file);
		markup_format(file, "(%s, %s, after operation %" PRIu64 "): ", finding->severity,
			      finding->model, finding->operation);
		markup_text(file, finding->message);
		fputs("</li>\n", file);
	}
	fputs("</ul>\n", file);
}

static void write_head(FILE *file, const struct picture *picture)
{
	const char *rule = picture->finding ? picture->finding->rule : "a run";
	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta "
	      "name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta "
	      "name=\"color-scheme\" content=\"light dark\">\n<title>cowtip: ",
	      file);
	markup_text(file, rule);
	fprintf(file, "</title>\n<style>\n%s%s%s</style>\n</head>\n<body>\n", page_theme_css,
		page_page_css, page_chart_css);
	fputs("<h1>cowtip: ", file);
	markup_text(file, rule);
	fputs("</h1>\n", file);
}

enum status picture_html(FILE *file, const struct picture *picture, struct why *why)
{
	const struct trace *trace = picture->trace;
	struct content *crash = NULL;
	struct damage damage = { 0 };
	enum status status = STATUS_OK;
	if (trace->file_count)
		status = crash_image_of(&crash, trace, picture->finding, why);
	if (status == STATUS_OK && crash)
		status = damage_read(&damage, trace, picture->finding, crash, why);
	if (status != STATUS_OK)
		goto out;
	write_head(file, picture);
	write_verdict(file, picture);
	write_story(file, picture);
	write_diagram(file, picture);
	if (damage.has_guest) {
		write_entries(file, picture, &damage);
		write_sectors(file, &damage);
	}
	if (damage.cluster_bytes)
		write_map(file, picture, &damage, crash);
	write_findings(file, trace);
	write_scope(file, trace);
	fprintf(file, "<script>\n%s</script>\n</body>\n</html>\n", page_page_js);
out:
	damage_release(&damage);
	content_free(crash);
	return status;
}
