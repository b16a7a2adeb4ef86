// SPDX-License-Identifier: MIT
#include "workloads/cli/interrupt.h"

/* Global, because a signal handler has no other way to tell. */
static volatile sig_atomic_t was_interrupted;

static void note(int signal_number)
{
	was_interrupted = signal_number;
}

/* Without SA_RESTART: who waits is to look at the flag. */
static void install(int flags)
{
	struct sigaction action = { .sa_handler = note, .sa_flags = flags };
	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

const volatile sig_atomic_t *interrupt_catch(void)
{
	install((int)SA_RESETHAND);
	return &was_interrupted;
}

void interrupt_catch_always(void)
{
	install(0);
}
