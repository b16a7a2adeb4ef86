// SPDX-License-Identifier: MIT
/** The gate: where a watched call waits until it may take effect.
 *
 *  The injector calls the installed gate; a scheduler of coroutines installs one that switches to
 * another coroutine, a foreign program's gate blocks the thread. Without a gate every call goes
 * straight through. */
#ifndef INJECTOR_GATE_H
#define INJECTOR_GATE_H

#include "injector/fault_menu.h"
#include "traces/event.h"

#include <stdint.h>
#include <sys/uio.h>

/** A watched call on its way. Lives on the caller's stack. */
struct io_call {
	enum io_op op;
	const char *point;          /* its failure point, libfiu's name; NULL: none */
	uint16_t file;              /* index of the watched file */
	uint64_t host_offset;       /* bytes */
	uint64_t length;            /* bytes */
	const struct iovec *vector; /* IO_WRITE: what is written; borrowed */
};

struct gate {
	void *context;
	/** Who is calling (coroutine number from 1); 0 outside of any. */
	uint32_t (*actor)(void *context);
	/** Return when `call` may take effect. */
	void (*before_effect)(void *context, const struct io_call *call);
	/** What goes wrong with the call that before_effect() just let go; nothing: the failure
	 * points are asked. May be NULL: nothing ever. */
	struct fault (*fault)(void *context);
	/** `call` took effect: return when its caller may go on. */
	void (*before_return)(void *context, const struct io_call *call);
};

/** Install `gate` (borrowed until replaced); NULL removes it. */
void gate_install(const struct gate *gate);

/** The installed gate, NULL for none. */
const struct gate *gate_installed(void);

/** Who is calling, as the installed gate says; 0 without a gate. */
uint32_t gate_actor(void);

#endif
