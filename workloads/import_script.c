// SPDX-License-Identifier: MIT
/* What people paste into a bug report, as a workload.
 *
 *      qemu-img create -f qcow2 -o cluster_size=4k x.qcow2 1M     ->  #@ image size=1M
 * cluster_size=4k qemu-io -c 'write 0 64k' x.qcow2                           ->  #@ prepare write 0
 * 64k qemu-io -c 'break write_aio A' -c 'aio_write 0 64k' ...    ->  aio_write 0 64k
 *
 * Sessions of qemu-io are collected first, because only the last one that changes the image is the
 * workload. Breakpoints force one order of what is under way; a sweep runs all orders, that one
 * among them, so they are left out. So is whatever else has no counterpart, each with a line that
 * says so; and what a workload must say and the report does not is assumed, and that is said. */
#include "oracle/image_header.h"
#include "traces/content.h"
#include "traces/memory.h"
#include "workloads/import_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CLUSTER_BYTES_ASSUMED = 64 << 10 };

/* ---- commands ---- */

/* Commands of qemu-io that have no counterpart, and why that is no loss, or which. */
static const struct {
	const char *name;
	const char *why;
	bool ends; /* nothing behind it is executed */
} left_out[] = {
	{ "break", "left out, a sweep runs every order, that which it forces among them", false },
	{ "wait_break", "left out, as the breakpoint is", false },
	{ "resume", "left out, as the breakpoint is", false },
	{ "remove_break", "left out, as the breakpoint is", false },
	{ "sigraise", "left out with what follows, a sweep crashes at every place", true },
	{ "abort", "left out with what follows, a sweep crashes at every place", true },
	{ "close", "left out, a run ends by closing the image", false },
	{ "open", "left out, a run has one image and one session", false },
	{ "reopen", "left out, a run has one image and one session", false },
	{ "map", "left out, it only prints", false },
	{ "alloc", "left out, it only prints", false },
	{ "length", "left out, it only prints", false },
	{ "info", "left out, it only prints", false },
	{ "help", "left out, it only prints", false },
};

enum { LEFT_OUT_COUNT = sizeof(left_out) / sizeof(left_out[0]) };

static size_t find_left_out(const char *word)
{
	size_t i = 0;
	while (i < LEFT_OUT_COUNT && strcmp(word, left_out[i].name) != 0)
		i++;
	return i;
}

static bool is_discard(const char *word)
{
	return strcmp(word, "discard") == 0 || strcmp(word, "d") == 0 ||
	       strcmp(word, "aio_discard") == 0;
}

static bool begins_any(const char *word, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(word, names[i]) == 0)
			return true;
	return false;
}

/* Do the commands change the image, as far as their names tell? */
static bool session_changes(const struct session *session)
{
	static const char *const looks[] = { "read",  "r",     "readv",  "aio_read", "aio_readv",
					     "flush", "f",     "quit",   "q",        "aio_flush",
					     "map",   "alloc", "length", "l",        "info",
					     "i",     "help",  "close",  "sleep" };
	for (size_t i = 0; i < session->count && !session->changes_nothing; i++) {
		const char *text = session->lines[i].text;
		text += strspn(text, " ");
		char *word = memory_text(text, strcspn(text, " "));
		bool looks_only = !*word || *word == '#' ||
				  begins_any(word, looks, sizeof(looks) / sizeof(looks[0]));
		free(word);
		if (!looks_only)
			return true;
	}
	return false;
}

/* One command of the session. `*ended`: nothing behind it is executed. */
static enum status take_line(struct script *script, const struct session *session,
			     const struct session_line *line, bool is_workload, bool *ended)
{
	struct parser *parser = &script->parser;
	struct words words;
	char *copy = memory_text(line->text, strlen(line->text));
	enum status status = STATUS_OK;
	parser->line = line->line;
	if (!words_split(&words, copy)) {
		status = parser_fail(parser, "more than %d words", WORDS_MAX);
	} else if (words.count && words.word[0][0] != '#') {
		char *word = words.word[0];
		size_t row = find_left_out(word);
		bool is_async = strncmp(word, "aio_", 4) == 0;
		if (row < LEFT_OUT_COUNT) {
			*ended = left_out[row].ends;
			import_note(script->import, script->name, line->line, "'%.80s': %s",
				    line->text, left_out[row].why);
		} else if (session->ignores_discards && is_discard(word)) {
			import_note(script->import, script->name, line->line,
				    "'%.80s': left out, under -d ignore it does nothing",
				    line->text);
		} else if (is_workload) {
			status = parse_command(parser, &parser->script, &words);
		} else if (strcmp(word, "aio_flush") != 0) {
			/* Before the recording one comes after the other. */
			words.word[0] = word + (is_async ? 4 : 0);
			status = parse_command(parser, &parser->prepare, &words);
		}
	}
	free(copy);
	return status;
}

static enum status take_session_lines(struct script *script, const struct session *session,
				      bool is_workload)
{
	enum status status = STATUS_OK;
	bool ended = false;
	for (size_t i = 0; i < session->count && status == STATUS_OK && !ended; i++)
		status = take_line(script, session, &session->lines[i], is_workload, &ended);
	struct parser *parser = &script->parser;
	if (status == STATUS_OK && !is_workload && workload_compresses(parser->workload))
		status = parser_add(parser, &parser->prepare,
				    &(struct workload_command){ .op = REQUEST_CLOSE });
	return status;
}

/* ---- the image ---- */

static enum status image_directive(struct script *script, uint32_t line, const char *text)
{
	struct words words;
	char *copy = memory_text(text, strlen(text));
	script->parser.line = line;
	enum status status = words_split(&words, copy)
				     ? parse_directive(&script->parser, &words)
				     : parser_fail(&script->parser, "too many options");
	free(copy);
	return status;
}

/* A plain file that can be read; nothing that would have to be waited for. */
static bool is_file(const char *path)
{
	struct stat status;
	return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, R_OK) == 0;
}

/* What stands for the backing file. Gives. */
static char *backing_words(struct script *script, const struct created *image)
{
	const struct created *base = script_find_created(script, image->backing);
	bool is_here = !base && image->backing && is_file(image->backing);
	char *words = NULL;
	int length = 0;
	if (!image->backing) {
		length = asprintf(&words, "%s", "");
	} else if (is_here) {
		length = asprintf(&words, " backing=%s backing_fmt=%s", image->backing,
				  image->backing_format ? image->backing_format : "raw");
	} else {
		import_note(script->import, script->name, image->line,
			    "backing file '%.80s': a pattern stands for it, every sector of which "
			    "is different",
			    image->backing);
		bool says_size = base && base->size && image->size;
		length = says_size
				 ? asprintf(&words, " backing=pattern backing_size=%s", base->size)
				 : asprintf(&words, " backing=pattern");
	}
	if (length < 0)
		abort();
	return words;
}

static enum status image_from_created(struct script *script, const struct created *image)
{
	const struct created *base = script_find_created(script, image->backing);
	const char *size = image->size ? image->size : base ? base->size : NULL;
	script->parser.line = image->line;
	if (!size)
		return parser_fail(&script->parser,
				   "qemu-img create: the size of '%.80s' is not said", image->name);
	char *backing = backing_words(script, image);
	char *text = NULL;
	if (asprintf(&text, "image size=%s%s%s", size, image->options ? image->options : "",
		     backing) < 0)
		abort();
	enum status status = image_directive(script, image->line, text);
	free(text);
	free(backing);
	return status;
}

static void read_content(void *context, void *to, size_t bytes, uint64_t host_offset)
{
	content_read(context, to, bytes, host_offset);
}

/* The image that the report names is here: size and clusters are its. False: it is not. */
static bool image_from_file(struct script *script, const char *name, uint32_t line, char **text)
{
	struct content *content = NULL;
	struct image_header header = { 0 };
	struct why why;
	if (!name || !is_file(name) || content_load(&content, name, &why) != STATUS_OK)
		return false;
	const struct image_source source = { .read = read_content, .context = content };
	image_header_parse(&header, &source);
	content_free(content);
	if (!header.readable)
		return false;
	if (asprintf(text, "image size=%" PRIu64 " cluster_size=%" PRIu64 "%s", header.size_bytes,
		     UINT64_C(1) << header.cluster_bits,
		     header.version == 2 ? " compat=0.10" : "") < 0)
		abort();
	import_note(script->import, script->name, line,
		    "'%.80s' says how large the image is; what it holds is not carried over", name);
	return true;
}

static uint64_t end_of(const struct workload_command *commands, size_t count, uint64_t end)
{
	for (size_t i = 0; i < count; i++) {
		bool grows = commands[i].op == REQUEST_TRUNCATE;
		uint64_t here = grows ? 0 : commands[i].guest_offset + commands[i].length;
		if (end < here)
			end = here;
	}
	return end;
}

static enum status assume_image(struct script *script, const struct session *session)
{
	const struct workload *workload = script->parser.workload;
	char *text = NULL;
	if (!image_from_file(script, session->image, session->line, &text)) {
		uint64_t end = end_of(workload->prepare, workload->prepare_count, 1);
		end = end_of(workload->commands, workload->command_count, end);
		end = (end + CLUSTER_BYTES_ASSUMED - 1) / CLUSTER_BYTES_ASSUMED *
		      CLUSTER_BYTES_ASSUMED;
		if (asprintf(&text, "image size=%" PRIu64, end) < 0)
			abort();
		import_note(script->import, script->name, session->line,
			    "no 'qemu-img create': an empty image of %" PRIu64
			    " bytes, clusters of 64k, is assumed",
			    end);
	}
	enum status status = image_directive(script, session->line, text);
	free(text);
	return status;
}

/* ---- all together ---- */

/* The last session that changes an image which is, as far as one can see, qcow2. */
static const struct session *find_workload(const struct script *script)
{
	const struct session *last = NULL;
	for (size_t i = 0; i < script->session_count; i++) {
		const struct session *session = &script->sessions[i];
		const struct created *image = script_find_created(script, session->image);
		if ((!image || image->is_qcow2) && (!last || session_changes(session)))
			last = session;
	}
	return last;
}

static bool same_image(const struct session *a, const struct session *b)
{
	return (!a->image && !b->image) ||
	       (a->image && b->image && strcmp(a->image, b->image) == 0);
}

/* A session that is not the workload. */
static enum status take_other(struct script *script, const struct session *session,
			      const struct session *workload)
{
	const char *why = session > workload               ? "what looks at the image afterwards"
			  : session->changes_nothing       ? "-s: what changes nothing"
			  : !same_image(session, workload) ? "what is done to another image"
							   : NULL;
	if (!why)
		return take_session_lines(script, session, false);
	import_note(script->import, script->name, session->line, "qemu-io: left out, %s", why);
	return STATUS_OK;
}

static enum status take_sessions(struct script *script)
{
	const struct session *workload = find_workload(script);
	enum status status = STATUS_OK;
	if (!workload)
		return parser_fail(&script->parser, "there is no qemu-io with commands in it");
	for (size_t i = 0; i < script->session_count && status == STATUS_OK; i++) {
		const struct session *session = &script->sessions[i];
		status = session == workload ? take_session_lines(script, session, true)
					     : take_other(script, session, workload);
	}
	if (status != STATUS_OK)
		return status;
	if (!script->parser.workload->command_count) {
		script->parser.line = workload->line;
		return parser_fail(&script->parser, "no command is left to run");
	}
	char printable[PRINTABLE_BYTES];
	if (asprintf(&script->parser.workload->summary, "Imported from %s",
		     word_printable(printable, script->name)) < 0)
		abort();
	/* Without -t qemu-io writes through. */
	script->parser.workload->cache =
		text_copy(workload->cache ? workload->cache : "writethrough");
	if (workload->config && script->config.text)
		status = import_blkdebug(script->import, &script->config, script->parser.why);
	else if (workload->config)
		script->import->config = text_copy(workload->config);
	if (status != STATUS_OK)
		return status;
	if (!workload->config && script->config.text)
		import_note(
			script->import, script->name, script->config.lines_before,
			"blkdebug's configuration: left out, the image is not opened through it");
	const struct created *image = script_find_created(script, workload->image);
	status = image ? image_from_created(script, image) : assume_image(script, workload);
	return status == STATUS_OK ? parser_finish(&script->parser) : status;
}

enum status import_script(struct import *import, const char *name, const char *text,
			  size_t byte_count, struct why *why)
{
	*import = (struct import){ 0 };
	text = byte_count ? text : "";
	if (script_has_word(text, byte_count, "#@", true))
		return workload_parse(&import->workload, name, text, byte_count, why);
	struct script *script = calloc(1, sizeof(*script));
	if (!script)
		abort();
	script->import = import;
	script->name = name;
	parser_init(&script->parser, &import->workload, name, why);
	enum status status = STATUS_OK;
	if (byte_count > WORKLOAD_TEXT_BYTES_MAX)
		status = parser_fail(&script->parser, "longer than %d bytes",
				     WORKLOAD_TEXT_BYTES_MAX);
	if (status == STATUS_OK)
		status = script_read(script, text, byte_count);
	if (status == STATUS_OK)
		status = take_sessions(script);
	script_free(script);
	return status;
}
