// SPDX-License-Identifier: MIT
/* cowtip show: a trace for a person, told or drawn; or the image that a crash leaves, for other
 * tools. */
#include "injector/backtrace.h"
#include "workloads/cli/again.h"
#include "workloads/cli/commands.h"
#include "workloads/cli/crash_image.h"
#include "workloads/cli/data_file.h"
#include "workloads/cli/input.h"
#include "workloads/cli/output.h"
#include "workloads/cli/picture.h"
#include "workloads/cli/report.h"
#include "workloads/cli/story.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EVENT_TEXT_BYTES = 200, FRAME_TEXT_BYTES = 256, OTHERS_MAX = 4 };

static void print_header(const struct trace *trace)
{
	char *schedule = schedule_print(&trace->schedule);
	printf("subject  %s%s\n", trace->subject, trace->complete ? "" : " (recording is cut off)");
	for (size_t i = 0; i < trace->setting_count; i++)
		printf("%-8s %s\n", trace->settings[i].key, trace->settings[i].value);
	for (size_t i = 0; i < trace->file_count; i++)
		printf("file %zu   %s (%s, %" PRIu64 " bytes)\n", i, trace->files[i].path,
		       trace->files[i].format == TRACE_FORMAT_QCOW2 ? "qcow2" : "raw",
		       content_size(trace->files[i].initial));
	if (schedule && *trace->workload)
		printf("schedule %s\n", schedule);
	printf("events   %zu\n", trace->log.count);
	free(schedule);
}

static void print_stack(const struct trace *trace, uint32_t label)
{
	if (!label || label > trace->stack_count)
		return;
	const struct trace_stack *stack = &trace->stacks[label - 1];
	for (uint32_t i = 0; i < stack->count; i++) {
		char text[FRAME_TEXT_BYTES];
		backtrace_symbolise(text, sizeof(text), trace, &stack->frames[i]);
		printf("            %s\n", text);
	}
}

static void print_events(const struct trace *trace, bool with_stacks)
{
	for (size_t i = 0; i < trace->log.count; i++) {
		char text[EVENT_TEXT_BYTES];
		event_format(text, sizeof(text), &trace->log, &trace->log.events[i]);
		printf("%6zu  %s\n", i + 1, text);
		if (with_stacks)
			print_stack(trace, trace->log.events[i].stack);
	}
}

/* What the story does not say; with everything else it shall fit on a screen. */
static void print_other_findings(const struct trace *trace)
{
	puts("\nalso wrong in this run:");
	for (size_t i = 1; i < trace->finding_count && i <= OTHERS_MAX; i++) {
		struct report_item item = { .finding = trace->findings[i] };
		report_print(&item);
	}
	if (trace->finding_count > OTHERS_MAX + 1)
		printf("  and %zu more: --json has them\n", trace->finding_count - OTHERS_MAX - 1);
}

static void print_text(const struct trace *trace, const struct options *options)
{
	if (!options->quiet)
		print_header(trace);
	char *story = story_tell(trace, trace->finding_count ? &trace->findings[0] : NULL);
	printf("\n%s", story);
	free(story);
	if (trace->finding_count > 1)
		print_other_findings(trace);
	if (options->events || options->stacks) {
		putchar('\n');
		print_events(trace, options->stacks);
	}
}

static void json_event(struct json *json, const struct trace *trace, const struct event *event)
{
	char text[EVENT_TEXT_BYTES];
	event_format(text, sizeof(text), &trace->log, event);
	json_begin_object(json, NULL);
	json_text(json, "kind", event_kind_name(event->kind));
	json_number(json, "op", event->op);
	json_number(json, "file", event->file);
	json_number(json, "actor", event->actor);
	json_number(json, "id", event->id);
	json_number(json, "offset", event->host_offset);
	json_number(json, "length", event->length);
	json_text(json, "text", text);
	json_end_object(json);
}

static void print_json(const struct trace *trace)
{
	struct json json = { .file = stdout };
	char *schedule = schedule_print(&trace->schedule);
	json_begin_object(&json, NULL);
	json_text(&json, "command", "show");
	json_text(&json, "subject", trace->subject);
	json_text(&json, "workload", trace->workload);
	json_bool(&json, "complete", trace->complete);
	json_begin_list(&json, "settings");
	for (size_t i = 0; i < trace->setting_count; i++) {
		json_begin_object(&json, NULL);
		json_text(&json, "key", trace->settings[i].key);
		json_text(&json, "value", trace->settings[i].value);
		json_end_object(&json);
	}
	json_end_list(&json);
	json_text(&json, "schedule", schedule);
	json_begin_list(&json, "violations");
	for (size_t i = 0; i < trace->finding_count; i++) {
		struct report_item item = { .finding = trace->findings[i], .schedule = schedule };
		report_json(&json, &item);
	}
	json_end_list(&json);
	json_begin_list(&json, "events");
	for (size_t i = 0; i < trace->log.count; i++)
		json_event(&json, trace, &trace->log.events[i]);
	json_end_list(&json);
	json_end_object(&json);
	free(schedule);
}

/* Where the user wants it; NULL: not said. */
static const char *output_path(const struct options *options)
{
	return options->output ? options->output : options->positional[1];
}

/* An image from the engine names its backing file without a folder: put it beside. */
static enum status store_backing(const struct trace *trace, const char *output, struct why *why)
{
	const char *slash = strrchr(output, '/');
	int folder_bytes = slash ? (int)(slash - output + 1) : 0;
	enum status status = STATUS_OK;
	for (size_t i = 1; i < trace->file_count && status == STATUS_OK; i++) {
		const struct trace_file *file = &trace->files[i];
		char path[4096];
		if (strchr(file->path, '/'))
			continue;
		snprintf(path, sizeof(path), "%.*s%s", folder_bytes, output, file->path);
		if (access(path, F_OK) == 0)
			fprintf(stderr, "cowtip: '%s' is there already and left alone\n", path);
		else
			status = content_store(file->initial, path, why);
	}
	return status;
}

/* The external data file goes where the image looks for it: beside it. Never over another one. */
static enum status store_data_file(const struct trace *trace, const struct crash_place *place,
				   const char *output, struct why *why)
{
	char name[DATA_FILE_NAME_BYTES], path[4096 + DATA_FILE_NAME_BYTES];
	const char *slash = strrchr(output, '/');
	struct content *content = NULL;
	if (!trace->files[0].external || !data_file_name(name, trace->files[0].initial))
		return STATUS_OK;
	const char *last = strrchr(name, '/');
	snprintf(path, sizeof(path), "%.*s%s", slash ? (int)(slash - output + 1) : 0, output,
		 last ? last + 1 : name);
	if (access(path, F_OK) == 0)
		return why_set(why, STATUS_USAGE,
			       "'%s' is there already: the image's external data file would be "
			       "written there; --output in another folder",
			       path);
	enum status status = crash_data_file(&content, trace, place, why);
	if (status == STATUS_OK)
		status = content_store(content, path, why);
	content_free(content);
	return status;
}

static enum status write_image(const struct trace *trace, const struct options *options,
			       struct why *why)
{
	struct crash_place place = { .persist = options->persist };
	struct content *content = NULL;
	char name[64];
	snprintf(name, sizeof(name), "crash-%s.qcow2", options->image_at);
	const char *output = output_path(options) ? output_path(options) : name;
	enum status status = crash_place_parse(&place, options->image_at, why);
	if (status == STATUS_OK)
		status = crash_image(&content, trace, &place, why);
	if (status == STATUS_OK)
		status = store_data_file(trace, &place, output, why);
	if (status == STATUS_OK)
		status = content_store(content, output, why);
	if (status == STATUS_OK)
		status = store_backing(trace, output, why);
	if (status == STATUS_OK && !options->quiet)
		printf("%s\n", output);
	content_free(content);
	return status;
}

static enum status write_picture(FILE *file, const struct trace *trace,
				 const struct options *options, struct why *why)
{
	struct picture picture;
	enum status status = STATUS_OK;
	picture_read(&picture, trace);
	if (options->html)
		status = picture_html(file, &picture, why);
	else if (options->svg)
		picture_svg(file, &picture, PICTURE_ALONE);
	else
		picture_perfetto(file, &picture);
	picture_release(&picture);
	return status;
}

static enum status draw(const struct trace *trace, const struct options *options, struct why *why)
{
	struct output output;
	const char *path = output_path(options);
	if (!path)
		return write_picture(stdout, trace, options, why);
	enum status status = output_begin(&output, path, why);
	if (status != STATUS_OK)
		return status;
	status = write_picture(output.file, trace, options, why);
	if (status == STATUS_OK)
		return output_finish(&output, why);
	output_cancel(&output);
	return status;
}

static enum status check_options(const struct options *options, struct why *why)
{
	unsigned forms = (unsigned)(options->json + options->html + options->svg +
				    options->perfetto + (options->image_at != NULL));
	bool writes_file = forms == 1 && !options->json;
	if (forms > 1)
		return why_set(why, STATUS_USAGE,
			       "show: one of --json, --html, --svg, --perfetto and --image-at");
	if (output_path(options) && !writes_file)
		return why_set(why, STATUS_USAGE,
			       "show: '%s': --html, --svg, --perfetto or --image-at is wanted, "
			       "to write there",
			       output_path(options));
	if (options->persist && !options->image_at)
		return why_set(why, STATUS_USAGE, "show: --persist needs --image-at");
	return STATUS_OK;
}

enum exit_code cmd_show(const struct options *options)
{
	struct trace trace;
	struct why why = { "" };
	trace_init(&trace);
	enum status status = check_options(options, &why);
	if (status == STATUS_OK)
		status = input_read(&trace, options, "showing", &why);
	if (status == STATUS_OK && options->image_at)
		status = write_image(&trace, options, &why);
	else if (status == STATUS_OK && options->json)
		print_json(&trace);
	else if (status == STATUS_OK && (options->html || options->svg || options->perfetto))
		status = draw(&trace, options, &why);
	else if (status == STATUS_OK)
		print_text(&trace, options);
	enum exit_code code = status == STATUS_OK ? EXIT_CLEAN : exit_with(status, &why);
	trace_release(&trace);
	return code;
}
