// SPDX-License-Identifier: MIT
#include "engine/scheduler/touch.h"

#include "injector/session.h"

#include <stdio.h>

void touch_range(enum touch_kind kind, uint32_t instance, uint64_t from, uint64_t to,
		 enum access_mode mode)
{
	if (AUDIT_IS_ON && audit_is_muted(__builtin_return_address(0), kind, mode))
		return;
	footprint_touch(session_footprint(), footprint_object(kind, instance), from, to, mode);
}

void touch_everything(const char *what)
{
	static bool told;
	session_footprint()->everything = true;
	if (!told)
		fprintf(stderr, "cowtip: %s: conflicts with every step\n", what);
	told = true;
}
