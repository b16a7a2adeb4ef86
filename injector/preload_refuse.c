// SPDX-License-Identifier: MIT
/* I/O that goes past the file calls would leave holes in a recording: io_uring and Linux AIO hand
 * requests to the kernel through shared memory or a system call of their own. While recording,
 * their set-up fails with ENOSYS, as on a kernel without them. A program that has another way takes
 * it (QEMU's event loop does), and one that was told to use them and nothing else says so. */
#include "injector/intercept.h"

#include "injector/preload.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

int io_setup(int events, void *context);
int io_uring_queue_init(unsigned entries, void *ring, unsigned flags);
int io_uring_queue_init_params(unsigned entries, void *ring, void *parameters);

/** Store the address of the library's own `name` in the function pointer at `pointer`. False:
 * refuse the call. */
static bool find_allowed(void *pointer, const char *name)
{
	preload_init();
	if (preload.on)
		return false;
	void *address = dlsym(RTLD_NEXT, name);
	memcpy(pointer, &address, sizeof(address));
	return address != NULL;
}

INTERCEPT_EXPORT int io_setup(int events, void *context)
{
	int (*next)(int, void *);

	return find_allowed(&next, "io_setup") ? next(events, context) : -ENOSYS;
}

INTERCEPT_EXPORT int io_uring_queue_init(unsigned entries, void *ring, unsigned flags)
{
	int (*next)(unsigned, void *, unsigned);

	return find_allowed(&next, "io_uring_queue_init") ? next(entries, ring, flags) : -ENOSYS;
}

INTERCEPT_EXPORT int io_uring_queue_init_params(unsigned entries, void *ring, void *parameters)
{
	int (*next)(unsigned, void *, void *);

	return find_allowed(&next, "io_uring_queue_init_params") ? next(entries, ring, parameters)
								 : -ENOSYS;
}
