// SPDX-License-Identifier: MIT
/* The `#@` lines: what qemu-io has no word for. To qemu-io they are comments. */
#include "engine/qcow2/qcow2.h"
#include "injector/fault_menu.h"
#include "oracle/verdict.h"
#include "workloads/bugs.h"
#include "workloads/language_private.h"

#include <stdlib.h>
#include <string.h>

enum {
	SECTOR_BYTES = 512,
	CLUSTER_BYTES_MIN = 512,
	CLUSTER_BYTES_MAX = 2 << 20,
	SNAPSHOT_NAME_BYTES_MAX = 255,
	FAULTS_MAX = 64,
	ALLOCATIONS_MAX = 65536,
	BUGS_MAX = 64,
};

/* A word taken apart at its first '='. */
struct option {
	const char *key;
	const char *value;
};

static enum status bad_value(const struct parser *parser, const struct option *option,
			     const char *wanted)
{
	char printable[PRINTABLE_BYTES];
	return parser_fail(parser, "%s='%s': %s is wanted", option->key,
			   word_printable(printable, option->value), wanted);
}

static enum status take_bytes(const struct parser *parser, const struct option *option,
			      uint64_t *bytes)
{
	uint64_t parsed = 0;
	if (!size_parse(option->value, &parsed) || parsed > INT64_MAX - (SECTOR_BYTES - 1))
		return bad_value(parser, option, "a size");
	*bytes = (parsed + SECTOR_BYTES - 1) / SECTOR_BYTES * SECTOR_BYTES;
	return STATUS_OK;
}

static enum status option_size(const struct parser *parser, const struct option *option)
{
	return take_bytes(parser, option, &parser->workload->image.size_bytes);
}

static enum status option_backing_size(const struct parser *parser, const struct option *option)
{
	return take_bytes(parser, option, &parser->workload->image.backing_bytes);
}

/* "4k-8k,16k-20k" (changed: split in place): where the pattern has holes. */
static enum status option_backing_zeros(const struct parser *parser, const struct option *option)
{
	struct workload_image *image = &parser->workload->image;
	char *copy = text_copy(option->value);
	char *rest = copy;
	for (char *range = strsep(&rest, ","); range; range = strsep(&rest, ",")) {
		char *from = strsep(&range, "-");
		struct option ends[] = { { option->key, from }, { option->key, range } };
		struct workload_range zeros = { 0 };
		enum status status = STATUS_OK;
		if (!range || image->backing_zeros_count == WORKLOAD_BACKING_ZEROS_MAX)
			status = bad_value(parser, option, "FROM-TO[,FROM-TO ...], at most four,");
		if (status == STATUS_OK)
			status = take_bytes(parser, &ends[0], &zeros.from);
		if (status == STATUS_OK)
			status = take_bytes(parser, &ends[1], &zeros.to);
		if (status == STATUS_OK && zeros.from >= zeros.to)
			status = bad_value(parser, option, "FROM below TO");
		if (status != STATUS_OK) {
			free(copy);
			return status;
		}
		image->backing_zeros[image->backing_zeros_count++] = zeros;
	}
	free(copy);
	return STATUS_OK;
}

static enum status option_allocate_from(const struct parser *parser, const struct option *option)
{
	return take_bytes(parser, option, &parser->workload->image.allocate_from);
}

static enum status option_allocations_max(const struct parser *parser, const struct option *option)
{
	uint64_t count = 0;
	if (!count_parse(option->value, ALLOCATIONS_MAX, &count) || count == 0)
		return bad_value(parser, option, "a number from 1 to 65536");
	parser->workload->image.allocations_max = (uint32_t)count;
	return STATUS_OK;
}

static enum status option_cluster_size(const struct parser *parser, const struct option *option)
{
	uint64_t bytes = 0;
	if (!size_parse(option->value, &bytes) || bytes < CLUSTER_BYTES_MIN ||
	    bytes > CLUSTER_BYTES_MAX || (bytes & (bytes - 1)))
		return bad_value(parser, option, "a power of two from 512 to 2M");
	parser->workload->image.cluster_bytes = (uint32_t)bytes;
	return STATUS_OK;
}

static enum status option_compat(const struct parser *parser, const struct option *option)
{
	bool is_old = strcmp(option->value, "0.10") == 0 || strcmp(option->value, "v2") == 0;
	bool is_new = strcmp(option->value, "1.1") == 0 || strcmp(option->value, "v3") == 0;
	if (!is_old && !is_new)
		return bad_value(parser, option, "0.10 or 1.1");
	parser->workload->image.version = is_old ? 2 : 3;
	return STATUS_OK;
}

static enum status option_lazy_refcounts(const struct parser *parser, const struct option *option)
{
	bool on = strcmp(option->value, "on") == 0;
	if (!on && strcmp(option->value, "off") != 0)
		return bad_value(parser, option, "on or off");
	parser->workload->image.lazy_refcounts = on;
	return STATUS_OK;
}

static enum status option_backing(const struct parser *parser, const struct option *option)
{
	struct workload_image *image = &parser->workload->image;
	image->backing = WORKLOAD_BACKING_FILE;
	if (strcmp(option->value, "none") == 0)
		image->backing = WORKLOAD_BACKING_NONE;
	else if (strcmp(option->value, "pattern") == 0)
		image->backing = WORKLOAD_BACKING_PATTERN;
	else if (!*option->value)
		return bad_value(parser, option, "none, pattern or a file");
	else
		image->backing_path = text_copy(option->value);
	return STATUS_OK;
}

static enum status option_backing_fmt(const struct parser *parser, const struct option *option)
{
	if (strcmp(option->value, "raw") != 0 && strcmp(option->value, "qcow2") != 0)
		return bad_value(parser, option, "raw or qcow2");
	parser->workload->image.backing_format = text_copy(option->value);
	return STATUS_OK;
}

/* Options of qemu-img that we know with one value only. */
static enum status option_fixed(const struct parser *parser, const struct option *option)
{
	static const struct option fixed[] = {
		{ "refcount_bits", "16" }, { "preallocation", "off" },
		{ "extended_l2", "off" },  { "compression_type", "zlib" },
		{ "encryption", "off" },   { "data_file_raw", "off" },
	};
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (strcmp(option->key, fixed[i].key) == 0 &&
		    strcmp(option->value, fixed[i].value) == 0)
			return STATUS_OK;
	char printable[PRINTABLE_BYTES];
	return parser_fail(parser, "image option %s='%s' is not supported yet", option->key,
			   word_printable(printable, option->value));
}

struct option_spec {
	const char *key;
	enum status (*take)(const struct parser *parser, const struct option *option);
};

static const struct option_spec image_options[] = {
	{ "size", option_size },
	{ "cluster_size", option_cluster_size },
	{ "compat", option_compat },
	{ "lazy_refcounts", option_lazy_refcounts },
	{ "backing", option_backing },
	{ "backing_fmt", option_backing_fmt },
	{ "backing_size", option_backing_size },
	{ "backing_zeros", option_backing_zeros },
	{ "allocate_from", option_allocate_from },
	{ "allocations_max", option_allocations_max },
	{ "refcount_bits", option_fixed },
	{ "preallocation", option_fixed },
	{ "extended_l2", option_fixed },
	{ "compression_type", option_fixed },
	{ "encryption", option_fixed },
	{ "encrypt.format", option_fixed },
	{ "data_file", option_fixed },
	{ "data_file_raw", option_fixed },
};

enum { IMAGE_OPTION_COUNT = sizeof(image_options) / sizeof(image_options[0]) };

/* One "key=value" (changed: split in place) of `#@ image`. `seen` has a bit an option. */
static enum status take_image_option(const struct parser *parser, char *word, unsigned *seen)
{
	char printable[PRINTABLE_BYTES];
	char *equals = strchr(word, '=');
	if (!equals)
		return parser_fail(parser, "'%s': options of '#@ image' are written key=value",
				   word_printable(printable, word));
	*equals = 0;
	struct option option = { word, equals + 1 };
	for (unsigned i = 0; i < IMAGE_OPTION_COUNT; i++) {
		if (strcmp(word, image_options[i].key) != 0)
			continue;
		if (*seen & 1U << i)
			return parser_fail(parser, "image option '%s' is given twice", word);
		*seen |= 1U << i;
		return image_options[i].take(parser, &option);
	}
	return parser_fail(parser, "unknown image option '%s'", word_printable(printable, word));
}

static enum status check_image(const struct parser *parser)
{
	const struct workload_image *image = &parser->workload->image;
	if (!image->size_bytes)
		return parser_fail(parser, "'#@ image' says no size=, or 0");
	if (image->lazy_refcounts && image->version < 3)
		return parser_fail(parser, "lazy_refcounts=on needs compat=1.1");
	bool has_file = image->backing == WORKLOAD_BACKING_FILE;
	if (has_file && !image->backing_format)
		return parser_fail(parser, "a backing file needs backing_fmt=raw or qcow2");
	if (!has_file && image->backing_format && strcmp(image->backing_format, "raw") != 0)
		return parser_fail(parser, "backing_fmt=qcow2 needs backing=FILE");
	bool has_pattern = image->backing == WORKLOAD_BACKING_PATTERN;
	if (image->backing_bytes && !has_pattern)
		return parser_fail(parser, "backing_size= needs backing=pattern");
	if (image->backing_zeros_count && !has_pattern)
		return parser_fail(parser, "backing_zeros= needs backing=pattern");
	uint64_t pattern_bytes = image->backing_bytes ? image->backing_bytes : image->size_bytes;
	if (has_pattern && pattern_bytes > WORKLOAD_PATTERN_BYTES_MAX)
		return parser_fail(parser, "backing=pattern is at most %d MiB: say backing_size=",
				   WORKLOAD_PATTERN_BYTES_MAX >> 20);
	return STATUS_OK;
}

static enum status directive_image(struct parser *parser, const struct words *words)
{
	unsigned seen = 0;
	if (parser->has_image)
		return parser_fail(parser, "'#@ image' is given twice");
	parser->has_image = true;
	for (size_t i = 1; i < words->count; i++) {
		enum status status = take_image_option(parser, words->word[i], &seen);
		if (status != STATUS_OK)
			return status;
	}
	enum status status = check_image(parser);
	struct workload_image *image = &parser->workload->image;
	if (status == STATUS_OK && image->backing == WORKLOAD_BACKING_PATTERN &&
	    !image->backing_bytes)
		image->backing_bytes = image->size_bytes;
	return status;
}

static enum status directive_policy(struct parser *parser, const struct words *words)
{
	char printable[PRINTABLE_BYTES];
	enum qcow2_policy policy = QCOW2_EAGER;
	if (parser->workload->policy)
		return parser_fail(parser, "'#@ policy' is given twice");
	if (!qcow2_policy_parse(words->word[1], &policy))
		return parser_fail(parser,
				   "unknown policy '%s': eager, delayed or cancel is wanted",
				   word_printable(printable, words->word[1]));
	parser->workload->policy = text_copy(words->word[1]);
	return STATUS_OK;
}

static enum status directive_cache(struct parser *parser, const struct words *words)
{
	char printable[PRINTABLE_BYTES];
	const char *mode = words->word[1];
	if (parser->workload->cache)
		return parser_fail(parser, "'#@ cache' is given twice");
	if (strcmp(mode, "writeback") != 0 && strcmp(mode, "writethrough") != 0)
		return parser_fail(parser,
				   "unknown cache mode '%s': writeback or writethrough is wanted",
				   word_printable(printable, mode));
	parser->workload->cache = text_copy(mode);
	return STATUS_OK;
}

static enum status directive_crash(struct parser *parser, const struct words *words)
{
	char printable[PRINTABLE_BYTES];
	unsigned models = 0;
	if (parser->workload->crash)
		return parser_fail(parser, "'#@ crash' is given twice");
	if (!crash_models_parse(words->word[1], &models))
		return parser_fail(parser, "unknown crash model in '%s'",
				   word_printable(printable, words->word[1]));
	parser->workload->crash = text_copy(words->word[1]);
	return STATUS_OK;
}

static enum status directive_faults(struct parser *parser, const struct words *words)
{
	struct workload *workload = parser->workload;
	char printable[PRINTABLE_BYTES];
	uint64_t faults = 0;
	if (workload->has_faults)
		return parser_fail(parser, "'#@ faults' is given twice");
	if (!count_parse(words->word[1], FAULTS_MAX, &faults))
		return parser_fail(parser, "'%s' is no number of faults (0 .. %d)",
				   word_printable(printable, words->word[1]), FAULTS_MAX);
	if (words->count > 3 && !fault_kinds_parse(words->word[3], &workload->fault_kinds))
		return parser_fail(parser,
				   "unknown kind of fault in '%s' (see 'cowtip list faults')",
				   word_printable(printable, words->word[3]));
	workload->has_faults = true;
	workload->faults = (uint32_t)faults;
	if (words->count > 2)
		workload->fault_points = text_copy(words->word[2]);
	return STATUS_OK;
}

static enum status directive_bug(struct parser *parser, const struct words *words)
{
	struct workload *workload = parser->workload;
	char printable[PRINTABLE_BYTES];
	const char *name = words->word[1];
	if (!bugs_is_known(name))
		return parser_fail(parser, "unknown bug '%s' (see 'cowtip list bugs')",
				   word_printable(printable, name));
	if (workload->bug_count == BUGS_MAX)
		return parser_fail(parser, "more than %d bugs", BUGS_MAX);
	char **bugs = realloc(workload->bugs, (workload->bug_count + 1) * sizeof(*bugs));
	if (!bugs)
		abort();
	workload->bugs = bugs;
	workload->bugs[workload->bug_count++] = text_copy(name);
	return STATUS_OK;
}

static enum status directive_expect(struct parser *parser, const struct words *words)
{
	struct workload *workload = parser->workload;
	char printable[PRINTABLE_BYTES];
	const char *what = words->word[1];
	bool is_clean = strcmp(what, "clean") == 0;
	enum rule rule = RULE_COUNT;
	if (!is_clean && !rule_parse(what, &rule))
		return parser_fail(parser, "unknown rule '%s' (see 'cowtip list rules')",
				   word_printable(printable, what));
	if (workload->expects_clean || (is_clean && workload->expect_count))
		return parser_fail(parser, "'#@ expect clean' must be the only expectation");
	if (is_clean) {
		workload->expects_clean = true;
		return STATUS_OK;
	}
	if (workload->expect_count == WORKLOAD_EXPECTS_MAX)
		return parser_fail(parser, "more than %d expected rules", WORKLOAD_EXPECTS_MAX);
	workload->expects[workload->expect_count++] = text_copy(what);
	return STATUS_OK;
}

static const struct {
	const char *name;
	enum request_op op;
} snapshot_words[] = {
	{ "snapshot", REQUEST_SNAPSHOT },
	{ "snapshot-apply", REQUEST_SNAPSHOT_APPLY },
	{ "snapshot-delete", REQUEST_SNAPSHOT_DELETE },
};

/* What a directive, or the word behind `#@ prepare`, does with a snapshot. False: nothing. */
static bool snapshot_op(const char *word, enum request_op *op)
{
	for (size_t i = 0; i < sizeof(snapshot_words) / sizeof(snapshot_words[0]); i++) {
		if (strcmp(word, snapshot_words[i].name) != 0)
			continue;
		*op = snapshot_words[i].op;
		return true;
	}
	return false;
}

static enum status add_snapshot(struct parser *parser, struct command_list *list,
				const struct words *words)
{
	char printable[PRINTABLE_BYTES];
	struct workload_command command = { .line = 0 };
	if (!snapshot_op(words->word[0], &command.op) || words->count != 2)
		return parser_fail(parser, "'%s' takes a name",
				   word_printable(printable, words->word[0]));
	if (strlen(words->word[1]) > SNAPSHOT_NAME_BYTES_MAX)
		return parser_fail(parser, "snapshot name '%s' is longer than %d bytes",
				   word_printable(printable, words->word[1]),
				   SNAPSHOT_NAME_BYTES_MAX);
	if (list == &parser->script && parser->has_quit)
		return STATUS_OK;
	command.name = text_copy(words->word[1]);
	enum status status = parser_add(parser, list, &command);
	if (status != STATUS_OK)
		command_release(&command);
	return status;
}

static enum status directive_snapshot(struct parser *parser, const struct words *words)
{
	return add_snapshot(parser, &parser->script, words);
}

static enum status directive_prepare(struct parser *parser, const struct words *words)
{
	struct words rest = { .count = words->count - 1 };
	memcpy(rest.word, words->word + 1, rest.count * sizeof(rest.word[0]));
	enum request_op op;
	if (snapshot_op(rest.word[0], &op))
		return add_snapshot(parser, &parser->prepare, &rest);
	if (strcmp(rest.word[0], "reopen") == 0 && rest.count == 1)
		return parser_add(parser, &parser->prepare,
				  &(struct workload_command){ .op = REQUEST_CLOSE });
	return parse_command(parser, &parser->prepare, &rest);
}

static const struct {
	const char *name;
	size_t least, most; /* words behind the name */
	const char *usage;
	enum status (*take)(struct parser *parser, const struct words *words);
} directives[] = {
	{ "image", 1, WORDS_MAX, "key=value ...", directive_image },
	{ "policy", 1, 1, "eager|delayed|cancel", directive_policy },
	{ "cache", 1, 1, "writeback|writethrough", directive_cache },
	{ "crash", 1, 1, "MODEL[,MODEL]", directive_crash },
	{ "faults", 1, 3, "K [POINT-PATTERN [KINDS]]", directive_faults },
	{ "inject", 1, 8, "EVENT [errno=N] [state=N] [iotype=TYPE] [sector=N] [once]",
	  directive_inject },
	{ "set-state", 3, 3, "EVENT STATE NEW-STATE", directive_set_state },
	{ "bug", 1, 1, "NAME", directive_bug },
	{ "expect", 1, 1, "clean|RULE", directive_expect },
	{ "prepare", 1, WORDS_MAX, "COMMAND", directive_prepare },
	{ "snapshot", 1, 1, "NAME", directive_snapshot },
	{ "snapshot-apply", 1, 1, "NAME", directive_snapshot },
	{ "snapshot-delete", 1, 1, "NAME", directive_snapshot },
};

enum status parse_directive(struct parser *parser, const struct words *words)
{
	char printable[PRINTABLE_BYTES];
	if (!words->count)
		return parser_fail(parser, "'#@' without a directive");
	for (size_t i = 0; i < sizeof(directives) / sizeof(directives[0]); i++) {
		if (strcmp(words->word[0], directives[i].name) != 0)
			continue;
		if (words->count - 1 < directives[i].least || words->count - 1 > directives[i].most)
			return parser_fail(parser, "usage: #@ %s %s", directives[i].name,
					   directives[i].usage);
		return directives[i].take(parser, words);
	}
	return parser_fail(parser, "unknown directive '%s'",
			   word_printable(printable, words->word[0]));
}
