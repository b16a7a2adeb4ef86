// SPDX-License-Identifier: MIT
#include "injector/strategy.h"

void strategy_free(struct strategy *strategy)
{
	if (strategy)
		strategy->ops->free(strategy);
}
