// SPDX-License-Identifier: MIT
/* `#@ inject` and `#@ set-state`: blkdebug's rules, one a line, with its words. */
#include "engine/qcow2/events.h"
#include "workloads/language_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ERRNO_MAX = 4095, RULE_STATE_MAX = 1000000 };

/* blkdebug's iotypes; what the engine does of it: it has no call that zeroes or discards. */
static const struct {
	const char *name;
	unsigned ops;
} iotypes[] = {
	{ "read", 1U << IO_READ },         { "write", 1U << IO_WRITE },
	{ "write-zeroes", 1U << IO_ZERO }, { "discard", 1U << IO_PUNCH },
	{ "flush", 1U << IO_FLUSH },       { "block-status", 0 },
};

enum { IOTYPE_COUNT = sizeof(iotypes) / sizeof(iotypes[0]) };

/* Without an iotype: the first five. */
#define OPS_DEFAULT                                                                                \
	(1U << IO_READ | 1U << IO_WRITE | 1U << IO_ZERO | 1U << IO_PUNCH | 1U << IO_FLUSH)

void rule_init(struct fault_rule *rule)
{
	*rule = (struct fault_rule){ .error = EIO,
				     .ops = OPS_DEFAULT,
				     .sector = FAULT_RULE_ANY_SECTOR };
}

enum status rule_take_event(const struct parser *parser, struct fault_rule *rule, const char *name,
			    bool *has_step)
{
	char printable[PRINTABLE_BYTES];
	enum qcow2_event event = QCOW2_L1_UPDATE;
	enum qcow2_event_known known = qcow2_event_find(name, &event);
	rule->event = (uint8_t)event;
	*has_step = known == QCOW2_EVENT_IS_STEP;
	if (known == QCOW2_EVENT_IS_UNKNOWN)
		return parser_fail(parser, "unknown event '%s'", word_printable(printable, name));
	return STATUS_OK;
}

static enum status take_number(const struct parser *parser, const char *key, const char *value,
			       uint64_t most, uint64_t *number)
{
	char printable[PRINTABLE_BYTES];
	if (count_parse(value, most, number))
		return STATUS_OK;
	return parser_fail(parser, "%s='%s': a number up to %" PRIu64 " is wanted", key,
			   word_printable(printable, value), most);
}

static enum status take_switch(const struct parser *parser, const char *key, const char *value,
			       bool *is_on)
{
	char printable[PRINTABLE_BYTES];
	*is_on = strcmp(value, "on") == 0;
	if (*is_on || strcmp(value, "off") == 0)
		return STATUS_OK;
	return parser_fail(parser, "%s='%s': on or off is wanted", key,
			   word_printable(printable, value));
}

static enum status take_iotype(const struct parser *parser, const char *value, unsigned *ops)
{
	char printable[PRINTABLE_BYTES];
	for (size_t i = 0; i < IOTYPE_COUNT; i++) {
		if (strcmp(value, iotypes[i].name) != 0)
			continue;
		*ops = iotypes[i].ops;
		return STATUS_OK;
	}
	return parser_fail(parser,
			   "iotype='%s': read, write, write-zeroes, discard, flush or block-status "
			   "is wanted",
			   word_printable(printable, value));
}

enum status rule_take_key(const struct parser *parser, struct fault_rule *rule, const char *key,
			  const char *value)
{
	char printable[PRINTABLE_BYTES];
	bool is_on = false;
	uint64_t number = 0;
	enum status status;
	if (strcmp(key, "iotype") == 0)
		return take_iotype(parser, value, &rule->ops);
	if (strcmp(key, "once") == 0)
		return take_switch(parser, key, value, &rule->once);
	/* At once or later: every order is run. */
	if (strcmp(key, "immediately") == 0)
		return take_switch(parser, key, value, &is_on);
	if (strcmp(key, "sector") == 0)
		return take_number(parser, key, value, INT64_MAX / FAULT_RULE_SECTOR_BYTES,
				   &rule->sector);
	bool is_errno = strcmp(key, "errno") == 0;
	if (!is_errno && strcmp(key, "state") != 0)
		return parser_fail(parser, "unknown key '%s'", word_printable(printable, key));
	status = take_number(parser, key, value, is_errno ? ERRNO_MAX : RULE_STATE_MAX, &number);
	if (status == STATUS_OK && is_errno && number == 0)
		return parser_fail(parser, "errno='0': no error");
	if (is_errno)
		rule->error = (int)number;
	else
		rule->state = (uint32_t)number;
	return status;
}

enum status rule_take_new_state(const struct parser *parser, struct fault_rule *rule,
				const char *value)
{
	uint64_t number = 0;
	enum status status = take_number(parser, "new_state", value, RULE_STATE_MAX, &number);
	if (status == STATUS_OK && number == 0)
		return parser_fail(parser, "new_state='0': a state from 1 on is wanted");
	rule->new_state = (uint32_t)number;
	return status;
}

const char *rule_without_effect(const struct fault_rule *rule)
{
	const unsigned engine = 1U << IO_READ | 1U << IO_WRITE | 1U << IO_FLUSH;
	if (rule->new_state)
		return NULL;
	if (rule->error == EINTR)
		return "the engine repeats a call that was interrupted";
	return rule->ops & engine ? NULL : "the engine makes no such calls";
}

enum status rule_add(const struct parser *parser, const struct fault_rule *rule)
{
	struct workload *workload = parser->workload;
	if (workload->rule_count == FAULT_RULES_MAX)
		return parser_fail(parser, "more than %d faults", FAULT_RULES_MAX);
	workload->rules[workload->rule_count++] = *rule;
	return STATUS_OK;
}

/* The event, with an error when the engine has no step for it. */
static enum status take_step(const struct parser *parser, struct fault_rule *rule, const char *name)
{
	bool has_step = false;
	enum status status = rule_take_event(parser, rule, name, &has_step);
	if (status != STATUS_OK || has_step)
		return status;
	return parser_fail(parser, "event '%s': the engine has no such step", name);
}

enum status directive_inject(struct parser *parser, const struct words *words)
{
	struct fault_rule rule;
	char printable[PRINTABLE_BYTES];
	rule_init(&rule);
	enum status status = take_step(parser, &rule, words->word[1]);
	for (size_t i = 2; i < words->count && status == STATUS_OK; i++) {
		char *equals = strchr(words->word[i], '=');
		if (!equals && strcmp(words->word[i], "once") != 0)
			return parser_fail(parser, "'%s': key=value or once is wanted",
					   word_printable(printable, words->word[i]));
		if (equals)
			*equals = 0;
		status = rule_take_key(parser, &rule, words->word[i], equals ? equals + 1 : "on");
	}
	if (status != STATUS_OK)
		return status;
	const char *problem = rule_without_effect(&rule);
	return problem ? parser_fail(parser, "'#@ inject': %s", problem) : rule_add(parser, &rule);
}

enum status directive_set_state(struct parser *parser, const struct words *words)
{
	struct fault_rule rule;
	rule_init(&rule);
	enum status status = take_step(parser, &rule, words->word[1]);
	if (status == STATUS_OK)
		status = rule_take_key(parser, &rule, "state", words->word[2]);
	if (status == STATUS_OK)
		status = rule_take_new_state(parser, &rule, words->word[3]);
	return status == STATUS_OK ? rule_add(parser, &rule) : status;
}

void rule_print(FILE *to, const struct fault_rule *rule)
{
	const char *event = qcow2_event_name((enum qcow2_event)rule->event);
	if (rule->new_state) {
		fprintf(to, "#@ set-state %s %" PRIu32 " %" PRIu32 "\n", event, rule->state,
			rule->new_state);
		return;
	}
	fprintf(to, "#@ inject %s errno=%d", event, rule->error);
	if (rule->state)
		fprintf(to, " state=%" PRIu32, rule->state);
	for (size_t i = 0; i < IOTYPE_COUNT; i++)
		if (rule->ops == iotypes[i].ops)
			fprintf(to, " iotype=%s", iotypes[i].name);
	if (rule->sector != FAULT_RULE_ANY_SECTOR)
		fprintf(to, " sector=%" PRIu64, rule->sector);
	fputs(rule->once ? " once\n" : "\n", to);
}
