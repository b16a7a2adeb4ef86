// SPDX-License-Identifier: MIT
/* The rules are those of blkdebug, so that a configuration means here what it means there: an event
 * puts the rules that it makes active in the place of those that were; a rule stays active for
 * every call that follows, also for calls that no event stands before; of several that fit a call
 * the first one counts.
 *
 * Which rules are active is shared by all tasks, so who changes it, and who looks at it, says so in
 * the step's footprint: which of two requests meets a rule that works once is a matter of order. */
#include "injector/fault_rules.h"

#include "injector/session.h"

#include <assert.h>

bool fault_rules_armed;

static struct {
	const struct fault_rule *rules; /* borrowed */
	size_t count;
	struct fault_rules_state now;
} run;

void fault_rules_begin(const struct fault_rule *rules, size_t count)
{
	assert(count <= FAULT_RULES_MAX);
	run.rules = rules;
	run.count = count;
	run.now = (struct fault_rules_state){ .state = 1 };
	fault_rules_armed = count > 0;
}

void fault_rules_end(void)
{
	fault_rules_armed = false;
	run.rules = NULL;
	run.count = 0;
}

static void touch_rules(enum access_mode mode)
{
	footprint_touch(session_footprint(), footprint_object(OBJECT_FAULT_RULES, 0), 0, 1, mode);
}

static bool is_met(const struct fault_rule *rule, size_t index, uint8_t event)
{
	return rule->event == event && !(run.now.spent & UINT32_C(1) << index) &&
	       (!rule->state || rule->state == run.now.state);
}

void fault_rules_event(uint8_t event)
{
	uint32_t met = 0, new_state = 0;
	bool concerns = false;

	if (!session_active())
		return;
	for (size_t i = 0; i < run.count; i++) {
		const struct fault_rule *rule = &run.rules[i];
		concerns |= rule->event == event;
		if (!is_met(rule, i, event))
			continue;
		if (!rule->new_state)
			met |= UINT32_C(1) << i;
		else if (!new_state)
			new_state = rule->new_state;
	}
	if (concerns)
		touch_rules(ACCESS_WRITE);
	if (met)
		run.now.active = met;
	if (new_state)
		run.now.state = new_state;
	session_clear_stack();
}

static bool fits(const struct fault_rule *rule, enum io_op op, uint64_t host_offset,
		 uint64_t length)
{
	if (!(rule->ops & 1U << op))
		return false;
	if (rule->sector == FAULT_RULE_ANY_SECTOR)
		return true;
	uint64_t at = rule->sector * FAULT_RULE_SECTOR_BYTES;
	return at >= host_offset && at - host_offset < length;
}

int fault_rules_ask(enum io_op op, uint64_t host_offset, uint64_t length)
{
	touch_rules(ACCESS_READ);
	for (size_t i = 0; i < run.count; i++) {
		const struct fault_rule *rule = &run.rules[i];
		uint32_t bit = UINT32_C(1) << i;
		if (!(run.now.active & bit) || !fits(rule, op, host_offset, length))
			continue;
		if (rule->once) {
			touch_rules(ACCESS_WRITE);
			run.now.active &= ~bit;
			run.now.spent |= bit;
		}
		return rule->error;
	}
	return 0;
}

struct fault_rules_state fault_rules_state(void)
{
	return run.now;
}

void fault_rules_set_state(const struct fault_rules_state *state)
{
	run.now = *state;
}
