/* SPDX-License-Identifier: MIT */
/* What allocating writes have in common, as a model for Spin: WRITERS processes, each of which
 * ROUNDS times takes a mutex, reads the first free cluster, moves that on, gives the mutex back
 * and writes into its cluster. `cowtip bench` lets Spin and its own search (bench_skeleton.c: the
 * same steps as tasks on the scheduler) go through all orders of this.
 *
 * The mutex is the engine's: who finds it held queues, and unlocking hands it to the longest
 * waiter. With PLAIN nobody queues; who comes to a held mutex cannot go on until it is free. That
 * is what the search does with every scheduling point in use: it has the same orders of holders
 * in fewer states. */
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif

byte owner;          /* who holds the mutex; 0: nobody */
byte queue[WRITERS]; /* who waits for it, the oldest first; 0: nobody */
byte first_free;
byte data[WRITERS * ROUNDS]; /* of each cluster: who wrote it; 0: nobody */

#define ME (_pid + 1)

active [WRITERS] proctype writer()
{
	byte rounds_left = ROUNDS, cluster, index;
	skip; /* a step of its own, as in the scheduler: to come to where the mutex is */
	/* A writer that is done stands before the loop for ever, which is how it may end. */
end:
	do
#ifdef PLAIN
	:: d_step { rounds_left > 0 && owner == 0 -> owner = ME };
#else
	:: d_step {
			rounds_left > 0;
			if
			:: owner == 0 -> owner = ME
			:: else ->
				do
				:: queue[index] != 0 -> index++
				:: else -> break
				od;
				queue[index] = ME;
				index = 0
			fi
		};
		owner == ME;
#endif
		cluster = first_free;
		first_free = cluster + 1;
#ifdef PLAIN
		owner = 0;
#else
		d_step {
			owner = queue[0];
			do
			:: index + 1 < WRITERS -> queue[index] = queue[index + 1]; index++
			:: else -> break
			od;
			queue[index] = 0;
			index = 0
		};
#endif
		d_step {
			assert(data[cluster] == 0);
			data[cluster] = ME;
			cluster = 0;
			rounds_left--
		}
	od
}
