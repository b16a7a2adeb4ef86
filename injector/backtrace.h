// SPDX-License-Identifier: MIT
/** Stack labels: return addresses when recorded, function names only when shown. */
#ifndef INJECTOR_BACKTRACE_H
#define INJECTOR_BACKTRACE_H

#include "traces/trace.h"

/** Record the caller's stack in `trace` (libunwind); `skip` innermost frames are left out. Returns
 * its label, 0 when nothing could be unwound. */
uint32_t backtrace_label(struct trace *trace, unsigned skip);

/** As backtrace_label(), beginning with the code that made the intercepted call in progress. */
uint32_t backtrace_label_caller(struct trace *trace);

/** As backtrace_label(), for the context that a signal handler was given (ucontext_t). */
uint32_t backtrace_label_signal(struct trace *trace, void *ucontext);

/** Name a frame: "function+0x12 (file.c:34)" as far as the module's symbols and debug information
 * tell, else "module+0x1234". Opens the module with libdw; never fails. */
void backtrace_symbolise(char *text, size_t text_bytes, const struct trace *trace,
			 const struct trace_frame *frame);

#endif
