// SPDX-License-Identifier: MIT
#include "injector/disk.h"

#include "traces/event.h"

#include <linux/falloc.h>

unsigned disk_mode_op(int mode)
{
	switch (mode) {
	case 0:
	case FALLOC_FL_KEEP_SIZE: return IO_ALLOCATE;
	case FALLOC_FL_ZERO_RANGE:
	case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE: return IO_ZERO;
	case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE: return IO_PUNCH;
	default: return 0;
	}
}

bool disk_mode_keeps_size(int mode)
{
	return (mode & FALLOC_FL_KEEP_SIZE) != 0;
}
