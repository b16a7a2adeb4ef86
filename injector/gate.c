// SPDX-License-Identifier: MIT
#include "injector/gate.h"

#include <stddef.h>

/* There is one gate because there is one run at a time. */
static const struct gate *installed;

void gate_install(const struct gate *gate)
{
	installed = gate;
}

const struct gate *gate_installed(void)
{
	return installed;
}

uint32_t gate_actor(void)
{
	return installed ? installed->actor(installed->context) : 0;
}
