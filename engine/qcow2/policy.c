// SPDX-License-Identifier: MIT
#include "engine/qcow2/qcow2.h"

#include <string.h>

static const char *const policy_names[] = {
	[QCOW2_EAGER] = "eager",
	[QCOW2_DELAYED] = "delayed",
	[QCOW2_CANCEL] = "cancel",
};

bool qcow2_policy_parse(const char *text, enum qcow2_policy *policy)
{
	for (unsigned i = 0; i < sizeof(policy_names) / sizeof(policy_names[0]); i++) {
		if (strcmp(text, policy_names[i]) == 0) {
			*policy = (enum qcow2_policy)i;
			return true;
		}
	}
	return false;
}

const char *qcow2_policy_name(enum qcow2_policy policy)
{
	return policy_names[policy];
}
