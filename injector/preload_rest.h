// SPDX-License-Identifier: MIT
/** Is a foreign program at rest? See preload_rest.c. For its main thread alone. */
#ifndef INJECTOR_PRELOAD_REST_H
#define INJECTOR_PRELOAD_REST_H

#include <stdbool.h>

/** Called once, while there is no other thread. */
void preload_rest_init(void);

/** Threads are about to be bound to processors in another way than the server's. From any thread.
 */
void preload_rest_unbind(void);

/** Does every thread but the calling one sleep? When it returns true there was a moment during the
 * call at which all of them did. `has_woken`: some of them have probably run since the last call.
 */
bool preload_rest_reached(bool has_woken);

/** False: nobody will ever know, because the kernel does not say what is needed, or there are too
 * many threads. */
bool preload_rest_is_told(void);

#endif
