// SPDX-License-Identifier: MIT
/* Retry loops without progress.
 *
 *     for (;;) {                          A round: from a scheduling point back to the same point.
 *             if (somebody_is_done())     Its steps only looked; the stack is what it was, byte
 *                     break;              for byte. So the round has changed nothing at all, and
 *             task_yield();               the next one does the same, unless somebody else has
 *     }                                   changed what this one looked at.
 *
 * A search that lets such a task run whenever it could never ends, and every run ends at the bound
 * on steps. So after RETRY_ROUNDS rounds the task is *blocked*: it is not enabled until a step of
 * another task conflicts with what its rounds have read. (Such a step between two rounds begins the
 * count anew.) When nobody but blocked tasks is left, the run is a livelock, and that is the proof.
 *
 * Why no result is lost. Take any run and strike out every round of this kind. All other steps do
 * what they did, for a round has changed nothing that they look at, nor the state in which its own
 * task goes on. What is left is a run in which nobody was ever blocked, and it ends in the same
 * way, with the same writes in the same order. The search has that run among those which it may
 * make: to look once, later, is a way to go of every run in which the task looked early and again.
 * A task that is released goes on behind the step that released it, as one that was woken; it could
 * not have done other than look in vain before it.
 *
 * What stands between is a task that holds a mutex for a part of each round: blocked there, it
 * would block others who could help it. So rounds begin and end only where what it holds is what it
 * held before they began. The state of mutexes counts as nothing that is read: to find a mutex free
 * that was taken and given back meanwhile tells nothing.
 *
 * What is not seen: memory of the task's own that is neither on its stack nor in a footprint, such
 * as a count of tries in a request. Who counts there and gives up in the end must touch() the
 * count. To be safe from a line that is missing, a blocked task is let go round once more before a
 * run is called a livelock. Loops whose rounds write, or take a mutex that has a queue
 * (SCHED_POINTS_IO), are left to the bound on steps.
 *
 * Cost: a step that changes something pays one test. The stack is looked at from the second quiet
 * step in a row; where a round begins is moved on as their number doubles (Brent's way to find a
 * cycle), so that steps which lead into the loop do not count. */
#include "engine/scheduler/retry.h"

#include "engine/scheduler/touch.h"

#include <string.h>

static uint32_t kind_of(const struct access *access)
{
	return access->object >> 24;
}

bool retry_is_quiet(const struct footprint *footprint)
{
	if (footprint->everything)
		return false;
	for (uint32_t i = 0; i < footprint->count; i++) {
		const struct access *access = &footprint->accesses[i];
		if (access->mode == ACCESS_ADD || access->mode == ACCESS_WRITE ||
		    kind_of(access) == OBJECT_HISTORY)
			return false;
	}
	return true;
}

/* The redzones that AddressSanitizer keeps on a stack are part of what it looks like. */
__attribute__((no_sanitize("address"))) static uint64_t hash_stack(const uint8_t *stack,
								   size_t bytes)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ bytes;
	for (size_t i = 0; i + sizeof(uint64_t) <= bytes; i += sizeof(uint64_t)) {
		uint64_t word;
		__builtin_memcpy(&word, stack + i, sizeof(word));
		hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 29;
	}
	return hash ? hash : 1;
}

/** Add what a quiet step read, and count the mutexes that it took and gave back. */
static void note_accesses(struct retry *retry, const struct footprint *footprint)
{
	for (uint32_t i = 0; i < footprint->count; i++) {
		const struct access *access = &footprint->accesses[i];
		if (access->mode == ACCESS_LOCK)
			retry->held++;
		else if (access->mode == ACCESS_UNLOCK && retry->held > 0)
			retry->held--;
		else if (kind_of(access) != TOUCH_MUTEX)
			footprint_touch(&retry->reads, access->object, access->from, access->to,
					ACCESS_READ);
	}
}

static void begin_round(struct retry *retry, uint64_t step, uint64_t place)
{
	retry->place = place;
	retry->since = step;
	retry->rounds = 0;
	footprint_clear(&retry->reads);
}

static bool is_power_of_two(uint32_t number)
{
	return (number & (number - 1)) == 0;
}

bool retry_note_step(struct retry *retry, uint64_t step, const struct footprint *footprint,
		     const uint8_t *stack, size_t stack_bytes)
{
	retry->quiet++;
	note_accesses(retry, footprint);
	if (retry->quiet < 2 || retry->held > 0)
		return false;
	uint64_t place = hash_stack(stack, stack_bytes);
	if (place == retry->place)
		retry->rounds++;
	else if (!retry->place || is_power_of_two(retry->quiet))
		begin_round(retry, step, place);
	retry->is_blocked = retry->rounds >= RETRY_ROUNDS;
	return retry->is_blocked;
}

bool retry_try_again(struct retry *retry)
{
	if (!retry->is_blocked || retry->had_last_try)
		return false;
	retry->had_last_try = true;
	retry->is_blocked = false;
	retry->rounds = RETRY_ROUNDS - 1;
	return true;
}
