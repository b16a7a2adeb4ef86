// SPDX-License-Identifier: MIT
/* cowtip list: what there is, one line each. */
#include "engine/qcow2/events.h"
#include "engine/qcow2/known_bugs.h"
#include "injector/fault_menu.h"
#include "oracle/verdict.h"
#include "workloads/cli/commands.h"
#include "workloads/cli/json.h"
#include "workloads/cli/manual.h"
#include "workloads/cli/settings.h"
#include "workloads/language.h"

#include <string.h>

/* Up to this many columns a line. */
enum { COLUMNS_MAX = 6 };

/* A table in progress: text lines, or objects of a JSON list. */
struct listing {
	bool as_json;
	struct json json;
	const char *const *keys; /* of the columns; the first is printed without its key */
	size_t column_count;
	int width; /* of the first column */
	bool is_long;
};

/* One row; columns beyond the listing's are NULL. */
struct row {
	const char *columns[COLUMNS_MAX];
};

static void list_row(struct listing *listing, const struct row *row)
{
	if (listing->as_json) {
		json_begin_object(&listing->json, NULL);
		for (size_t i = 0; i < listing->column_count; i++)
			json_text(&listing->json, listing->keys[i], row->columns[i]);
		json_end_object(&listing->json);
		return;
	}
	printf("%-*s  %s\n", listing->width, row->columns[0], row->columns[1]);
	if (listing->column_count == 2)
		return;
	printf("%*s", listing->width + 2, "");
	for (size_t i = 2; i < listing->column_count; i++)
		printf("%s%s %s", i == 2 ? "" : "; ", listing->keys[i], row->columns[i]);
	putchar('\n');
}

static void list_rules(struct listing *listing)
{
	static const char *const keys[] = { "rule", "statement", "page" };
	listing->keys = keys;
	listing->column_count = listing->is_long ? 3 : 2;
	listing->width = 18;
	for (int rule = 0; rule < RULE_COUNT; rule++) {
		const char *name = rule_name((enum rule)rule);
		char page[64];
		snprintf(page, sizeof(page), "rules/%s", name);
		if (listing->is_long && !listing->as_json)
			printf("%s%s", rule ? "\n" : "", manual_text(page));
		else
			list_row(listing, &(struct row){ { name, rule_statement((enum rule)rule),
							   manual_text(page) } });
	}
}

static void list_bugs(struct listing *listing)
{
	static const char *const keys[] = { "bug",      "breaks",        "found by",
					    "shown by", "weakest model", "from" };
	listing->keys = keys;
	listing->column_count = 6;
	listing->width = 26;
	for (size_t i = 0; i < known_bug_count(); i++) {
		const struct known_bug *bug = known_bug_at(i);
		list_row(listing, &(struct row){ { bug->name, bug->breaks, bug->rule, bug->workload,
						   bug_model_name(bug->weakest), bug->source } });
	}
	static const struct row group = {
		{ "2012", "a group: all that the proposal's patch really had",
		  "the rules of its members", "their workloads", "that of each member",
		  "the proposal, under our reconstruction" }
	};
	list_row(listing, &group);
}

static void list_strategies(struct listing *listing)
{
	static const char *const keys[] = { "strategy", "explanation" };
	listing->keys = keys;
	listing->column_count = 2;
	listing->width = 8;
	const struct settings_strategy_row *known = NULL;
	for (size_t i = 0; (known = settings_strategy_row(i)); i++)
		list_row(listing, &(struct row){ { known->name, known->explanation } });
}

static void list_workloads(struct listing *listing)
{
	static const char *const keys[] = { "workload", "summary" };
	listing->keys = keys;
	listing->column_count = 2;
	listing->width = 32;
	const struct shipped_workload *shipped = NULL;
	for (size_t i = 0; (shipped = workload_shipped(i)); i++) {
		struct workload workload;
		struct why why = { "" };
		enum status status = workload_load(&workload, shipped->name, &why);
		list_row(listing,
			 &(struct row){ { shipped->name,
					  status == STATUS_OK ? workload.summary : why.text } });
		workload_release(&workload);
	}
}

static void list_faults(struct listing *listing)
{
	static const char *const keys[] = { "point", "explanation" };
	static const struct row rows[] = {
		{ { "posix/io/rw/pread", "a read at a place of the file: eio, eintr" } },
		{ { "posix/io/rw/pread/reduce", "the same moves fewer bytes: short" } },
		{ { "posix/io/rw/preadv", "a read into a vector: eio, eintr" } },
		{ { "posix/io/rw/preadv/reduce", "the same moves fewer bytes: short" } },
		{ { "posix/io/rw/pwrite", "a write at a place of the file: eio, enospc, eintr" } },
		{ { "posix/io/rw/pwrite/reduce", "the same moves fewer bytes: short" } },
		{ { "posix/io/rw/pwritev", "a write from a vector: eio, enospc, eintr" } },
		{ { "posix/io/rw/pwritev/reduce", "the same moves fewer bytes: short" } },
		{ { "posix/io/rw/ftruncate", "changing the file's size: eio, enospc" } },
		{ { "posix/io/rw/fallocate", "zeroing or punching a range: eio, enospc" } },
		{ { "posix/io/sync/fdatasync", "a flush: fsync" } },
		{ { "posix/io/sync/fsync", "the same for fsync(2): fsync" } },
		{ { "posix/io/oc/open", "opening a file: open, eintr" } },
		{ { "posix/io/oc/close", "closing it: eio" } },
		{ { "libc/mm/malloc", "an allocation of the engine's: memory" } },
	};
	const struct fault_kind_row *kind = NULL;
	listing->keys = keys;
	listing->column_count = 2;
	listing->width = 26;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		list_row(listing, &rows[i]);
	for (size_t i = 0; (kind = fault_kind_row(i)); i++) {
		char name[24];
		snprintf(name, sizeof(name), "kind %s", kind->name);
		list_row(listing, &(struct row){ { name, kind->explanation } });
	}
}

static void list_events(struct listing *listing)
{
	static const char *const keys[] = { "event", "explanation" };
	const char *name, *about = NULL;
	listing->keys = keys;
	listing->column_count = 2;
	listing->width = 28;
	for (size_t i = 0; (name = qcow2_event_at(i, &about)); i++)
		list_row(listing, &(struct row){ { name, about } });
}

enum exit_code cmd_list(const struct options *options)
{
	static const struct {
		const char *name;
		void (*list)(struct listing *listing);
	} lists[] = {
		{ "rules", list_rules },           { "bugs", list_bugs },
		{ "strategies", list_strategies }, { "workloads", list_workloads },
		{ "faults", list_faults },         { "events", list_events },
	};
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct listing listing = { .as_json = options->json,
					   .json = { .file = stdout },
					   .is_long = options->list_long };
		if (strcmp(options->positional[0], lists[i].name) != 0)
			continue;
		if (options->json) {
			json_begin_object(&listing.json, NULL);
			json_text(&listing.json, "command", "list");
			json_begin_list(&listing.json, lists[i].name);
		}
		lists[i].list(&listing);
		if (options->json) {
			json_end_list(&listing.json);
			json_end_object(&listing.json);
		}
		return EXIT_CLEAN;
	}
	struct why why;
	why_set(&why, STATUS_USAGE,
		"list: '%s' is none of rules, bugs, strategies, workloads, faults, events",
		options->positional[0]);
	return exit_with(STATUS_USAGE, &why);
}
