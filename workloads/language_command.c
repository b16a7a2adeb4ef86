// SPDX-License-Identifier: MIT
/* qemu-io's commands: one table, one walk over the words.
 *
 * The table holds qemu-io's own option letters, so that an option which it knows and we do not is
 * refused by name ("not supported yet"), and one that nobody knows is refused as a mistake. Options
 * may stand anywhere on the line and may be joined (-zu, -P0x11), as getopt allows there. */
#include "workloads/language_private.h"

#include <stdlib.h>
#include <string.h>

/* As qemu-io: no single request is longer. */
#define REQUEST_BYTES_MAX ((uint64_t)2147483136)

enum { PIECES_MAX = 1024, SECTOR_BYTES = 512 };

enum shape {
	SHAPE_NOTHING,
	SHAPE_RANGE,  /* offset length */
	SHAPE_PIECES, /* offset length [length ...] */
	SHAPE_SIZE,   /* the new size */
	SHAPE_SLEEP,  /* milliseconds; no effect: there is no time here */
	SHAPE_QUIT,
	SHAPE_REFUSED, /* qemu-io knows it, we do not */
};

struct command_spec {
	const char *name;
	const char *alias;
	const char *options; /* qemu-io's letters; a ':' follows those with an argument */
	enum shape shape;
	enum request_op op;
	bool is_async;
	bool waits_for_all;
};

static const struct command_spec command_specs[] = {
	{ "read", "r", "bCl:pP:qs:v", SHAPE_RANGE, REQUEST_READ, false, false },
	{ "readv", NULL, "CP:qv", SHAPE_PIECES, REQUEST_READ, false, false },
	{ "aio_read", NULL, "CP:iqv", SHAPE_PIECES, REQUEST_READ, true, false },
	{ "aio_readv", NULL, "CP:iqv", SHAPE_PIECES, REQUEST_READ, true, false },
	{ "write", "w", "bcCdfnpP:qs:uz", SHAPE_RANGE, REQUEST_WRITE, false, false },
	{ "writev", NULL, "CfqP:", SHAPE_PIECES, REQUEST_WRITE, false, false },
	{ "aio_write", NULL, "CfiP:quz", SHAPE_PIECES, REQUEST_WRITE, true, false },
	{ "aio_writev", NULL, "CfiP:q", SHAPE_PIECES, REQUEST_WRITE, true, false },
	{ "flush", "f", "", SHAPE_NOTHING, REQUEST_FLUSH, false, false },
	{ "aio_flush", NULL, "", SHAPE_NOTHING, REQUEST_FLUSH, false, true },
	{ "discard", "d", "Cq", SHAPE_RANGE, REQUEST_DISCARD, false, false },
	{ "aio_discard", NULL, "Cq", SHAPE_RANGE, REQUEST_DISCARD, true, false },
	{ "truncate", "t", "m:", SHAPE_SIZE, REQUEST_TRUNCATE, false, false },
	{ "sleep", NULL, "", SHAPE_SLEEP, REQUEST_FLUSH, false, false },
	{ "quit", "q", "", SHAPE_QUIT, REQUEST_FLUSH, false, false },
	{ "abort", NULL, "", SHAPE_REFUSED, REQUEST_FLUSH, false, false },
	{ "alloc", NULL, "", SHAPE_REFUSED, REQUEST_FLUSH, false, false },
	{ "break", NULL, "", SHAPE_REFUSED, REQUEST_FLUSH, false, false },
	{ "close", "c", "", SHAPE_REFUSED, REQUEST_FLUSH, false, false },
	{ "help", "?", "", SHAPE_REFUSED, REQUEST_FLUSH, false, false },
	{ "info", "i", "", SHAPE_REFUSED, REQUEST_FLUSH, false, false },
	{ "length", "l", "", SHAPE_REFUSED, REQUEST_FLUSH, false, false },
	{ "map", NULL, "", SHAPE_REFUSED, REQUEST_FLUSH, false, false },
	{ "open", "o", "", SHAPE_REFUSED, REQUEST_FLUSH, false, false },
	{ "remove_break", NULL, "", SHAPE_REFUSED, REQUEST_FLUSH, false, false },
	{ "reopen", NULL, "", SHAPE_REFUSED, REQUEST_FLUSH, false, false },
	{ "resume", NULL, "", SHAPE_REFUSED, REQUEST_FLUSH, false, false },
	{ "sigraise", NULL, "", SHAPE_REFUSED, REQUEST_FLUSH, false, false },
	{ "wait_break", NULL, "", SHAPE_REFUSED, REQUEST_FLUSH, false, false },
};

/* Options without effect on what reaches the image: -C and -v change qemu-io's output, -p is kept
 * there for old scripts, -i asks for an invalid request in its statistics only. */
#define SILENT_OPTIONS "Cvp"

/* A command line taken apart. */
struct command_line {
	const struct command_spec *spec;
	const char *positional[WORDS_MAX];
	size_t positional_count;
	const char *pattern; /* NULL: no -P */
	bool zeroes, unmap, compressed, quiet;
};

static const struct command_spec *spec_find(const char *name)
{
	for (size_t i = 0; i < sizeof(command_specs) / sizeof(command_specs[0]); i++) {
		const struct command_spec *spec = &command_specs[i];
		if (strcmp(name, spec->name) == 0 ||
		    (spec->alias && strcmp(name, spec->alias) == 0))
			return spec;
	}
	return NULL;
}

/* One option letter whose argument, if it takes one, is `argument`. */
static enum status take_option(struct parser *parser, struct command_line *line, char letter,
			       const char *argument)
{
	if (strchr(SILENT_OPTIONS, letter))
		return STATUS_OK;
	switch (letter) {
	case 'q': line->quiet = true; return STATUS_OK;
	case 'z': line->zeroes = true; return STATUS_OK;
	case 'u': line->unmap = true; return STATUS_OK;
	case 'c': line->compressed = true; return STATUS_OK;
	case 'P': line->pattern = argument; return STATUS_OK;
	default: break;
	}
	return parser_fail(parser, "option '-%c' of '%s' is not supported yet", letter,
			   line->spec->name);
}

/* A word that begins with '-': its letters, and perhaps the argument that ends it or is the next
 * word. Moves `*index` over a word taken as argument. */
static enum status take_option_word(struct parser *parser, struct command_line *line,
				    const struct words *words, size_t *index)
{
	char printable[PRINTABLE_BYTES];
	for (const char *at = words->word[*index] + 1; *at; at++) {
		const char *known = *at == ':' ? NULL : strchr(line->spec->options, *at);
		if (!known)
			return parser_fail(parser, "'%s' has no option '%s'", line->spec->name,
					   word_printable(printable, words->word[*index]));
		if (known[1] != ':') {
			enum status status = take_option(parser, line, *at, NULL);
			if (status != STATUS_OK)
				return status;
			continue;
		}
		if (!at[1] && *index + 1 >= words->count)
			return parser_fail(parser, "option '-%c' of '%s' needs an argument", *at,
					   line->spec->name);
		return take_option(parser, line, *at, at[1] ? at + 1 : words->word[++*index]);
	}
	return STATUS_OK;
}

/* Sort the words behind the command into options and positional ones. */
static enum status take_apart(struct parser *parser, struct command_line *line,
			      const struct words *words)
{
	bool options_end = false;
	for (size_t i = 1; i < words->count; i++) {
		const char *word = words->word[i];
		if (options_end || word[0] != '-' || !word[1]) {
			line->positional[line->positional_count++] = word;
		} else if (strcmp(word, "--") == 0) {
			options_end = true;
		} else {
			enum status status = take_option_word(parser, line, words, &i);
			if (status != STATUS_OK)
				return status;
		}
	}
	return STATUS_OK;
}

static enum status take_size(struct parser *parser, const char *what, const char *text,
			     uint64_t *bytes)
{
	char printable[PRINTABLE_BYTES];
	if (size_parse(text, bytes))
		return STATUS_OK;
	return parser_fail(parser,
			   "'%s' is no %s: a number with an optional k, M, G or T is wanted",
			   word_printable(printable, text), what);
}

static enum status take_lengths(struct parser *parser, const struct command_line *line,
				struct workload_command *command)
{
	size_t count = line->positional_count - 1;
	if (count > PIECES_MAX)
		return parser_fail(parser, "more than %d lengths", PIECES_MAX);
	uint64_t pieces[PIECES_MAX];
	for (size_t i = 0; i < count; i++) {
		enum status status =
			take_size(parser, "length", line->positional[i + 1], &pieces[i]);
		if (status != STATUS_OK)
			return status;
		if (pieces[i] > REQUEST_BYTES_MAX - command->length)
			return parser_fail(parser, "a request cannot be longer than %llu bytes",
					   (unsigned long long)REQUEST_BYTES_MAX);
		command->length += pieces[i];
	}
	if (count == 1)
		return STATUS_OK;
	command->pieces = malloc(count * sizeof(*pieces));
	if (!command->pieces)
		abort();
	memcpy(command->pieces, pieces, count * sizeof(*pieces));
	command->piece_count = count;
	return STATUS_OK;
}

static enum status check_counts(struct parser *parser, const struct command_line *line)
{
	static const struct {
		size_t least, most;
		const char *wanted;
	} counts[] = {
		[SHAPE_NOTHING] = { 0, 0, "no argument" },
		[SHAPE_RANGE] = { 2, 2, "an offset and a length" },
		[SHAPE_PIECES] = { 2, WORDS_MAX, "an offset and one or more lengths" },
		[SHAPE_SIZE] = { 1, 1, "the new size" },
		[SHAPE_SLEEP] = { 1, 1, "a number of milliseconds" },
		[SHAPE_QUIT] = { 0, 0, "no argument" },
		[SHAPE_REFUSED] = { 0, WORDS_MAX, "" },
	};
	size_t count = line->positional_count;
	enum shape shape = line->spec->shape;
	if (count >= counts[shape].least && count <= counts[shape].most)
		return STATUS_OK;
	return parser_fail(parser, "'%s' takes %s", line->spec->name, counts[shape].wanted);
}

/* -z, -u and -P: which go together is as in qemu-io. */
static enum status apply_options(struct parser *parser, const struct command_line *line,
				 struct workload_command *command)
{
	const char *name = line->spec->name;
	char printable[PRINTABLE_BYTES];
	command->quiet = line->quiet;
	command->pattern = 0xcd;
	if (line->unmap && !line->zeroes)
		return parser_fail(parser, "option '-u' of '%s' needs '-z'", name);
	if (line->compressed && line->zeroes)
		return parser_fail(parser, "options '-c' and '-z' of '%s' exclude each other",
				   name);
	if (line->zeroes && line->pattern)
		return parser_fail(parser, "options '-z' and '-P' of '%s' exclude each other",
				   name);
	if (line->zeroes && line->positional_count != 2)
		return parser_fail(parser, "'%s -z' takes an offset and a length", name);
	if (line->pattern && !pattern_parse(line->pattern, &command->pattern))
		return parser_fail(parser, "'%s' is no pattern byte (0 .. 255)",
				   word_printable(printable, line->pattern));
	if (line->zeroes)
		command->op = REQUEST_WRITE_ZEROES;
	command->unmap = line->unmap;
	command->compressed = line->compressed;
	command->verifies = command->op == REQUEST_READ && line->pattern;
	return STATUS_OK;
}

static enum status take_arguments(struct parser *parser, const struct command_line *line,
				  struct workload_command *command)
{
	uint64_t milliseconds = 0;
	enum status status = STATUS_OK;
	switch (line->spec->shape) {
	case SHAPE_RANGE:
	case SHAPE_PIECES:
		status = take_size(parser, "offset", line->positional[0], &command->guest_offset);
		if (status != STATUS_OK)
			return status;
		return take_lengths(parser, line, command);
	case SHAPE_SIZE:
		status = take_size(parser, "size", line->positional[0], &command->guest_offset);
		if (status == STATUS_OK && command->guest_offset % SECTOR_BYTES)
			return parser_fail(parser, "the new size must be a multiple of 512");
		return status;
	case SHAPE_SLEEP: return take_size(parser, "number", line->positional[0], &milliseconds);
	case SHAPE_QUIT: parser->has_quit = true; return STATUS_OK;
	case SHAPE_REFUSED:
		return parser_fail(parser, "command '%s' is not supported yet", line->spec->name);
	case SHAPE_NOTHING: return STATUS_OK;
	}
	return STATUS_OK;
}

enum status parse_command(struct parser *parser, struct command_list *list,
			  const struct words *words)
{
	char printable[PRINTABLE_BYTES];
	struct command_line line = { .spec = spec_find(words->word[0]) };
	if (!line.spec)
		return parser_fail(parser, "unknown command '%s'",
				   word_printable(printable, words->word[0]));
	struct workload_command command = {
		.op = line.spec->op,
		.is_async = line.spec->is_async,
		.waits_for_all = line.spec->waits_for_all,
	};
	bool had_quit = parser->has_quit;
	enum status status = STATUS_OK;
	if (line.spec->shape != SHAPE_REFUSED)
		status = take_apart(parser, &line, words);
	if (status == STATUS_OK)
		status = check_counts(parser, &line);
	if (status == STATUS_OK)
		status = apply_options(parser, &line, &command);
	if (status == STATUS_OK)
		status = take_arguments(parser, &line, &command);
	if (status == STATUS_OK && list == &parser->prepare &&
	    (command.is_async || command.waits_for_all || parser->has_quit != had_quit))
		status = parser_fail(parser,
				     "'%s' makes no sense in '#@ prepare', whose commands "
				     "run one after the other",
				     line.spec->name);
	bool runs =
		line.spec->shape != SHAPE_SLEEP && (list == &parser->prepare || !parser->has_quit);
	if (status == STATUS_OK && runs)
		status = parser_add(parser, list, &command);
	if (status != STATUS_OK || !runs)
		command_release(&command);
	return status;
}
