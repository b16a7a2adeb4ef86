// SPDX-License-Identifier: MIT
/** What a gated program and its controller say to each other: one question, one answer, over a
 *  socket that keeps messages whole. Both ends run on one machine, from one build. */
#ifndef INJECTOR_GATE_WIRE_H
#define INJECTOR_GATE_WIRE_H

#include <stdint.h>

/** The variables that name the descriptors of the sockets: of a gated program ("399:3", with the
 * flags of its order), and of the server that programs are forked from. */
#define GATE_WIRE_VARIABLE "COWTIP_GATE"
#define GATE_SERVER_VARIABLE "COWTIP_SERVER"

/** The variable that names the folder that a server removes when its controller is gone. */
#define GATE_FOLDER_VARIABLE "COWTIP_FOLDER"

enum {
	/** The descriptors: high, because low numbers are for the program. */
	GATE_WIRE_DESCRIPTOR = 399,
	GATE_SERVER_DESCRIPTOR = 398,
	/** Calls that can wait at a time: the thread pools of programs are smaller. */
	GATE_WIRE_CALLS_MAX = 128,
	/** The program has not come to rest in so many seconds: it never will. */
	GATE_WIRE_REST_SECONDS = 10,
	/** Times in a row that the program may wait for its own clock with nothing to be decided.
	 */
	GATE_WIRE_TIMERS_MAX = 1000,
	/** A failure point's name, the end included. */
	GATE_WIRE_POINT_BYTES = 32,
	/** Polls in a row that find nothing and do not wait. */
	GATE_WIRE_POLLS_MAX = 1000000,
};

enum gate_ask_kind {
	GATE_ASK_REST = 1, /* everything sleeps: who goes on? */
	GATE_ASK_RESTLESS, /* the program does not come to rest; it ends itself */
	GATE_ASK_TIMERS,   /* it only waits for its own clock, again and again; likewise */
	GATE_ASK_CROWD,    /* more calls wait than a message can hold; likewise */
	GATE_ASK_UNTOLD,   /* nobody says whether it rests; likewise */
	GATE_ASK_UNMARKED, /* it cannot be told from what it forks; likewise */
};

/** A call that waits. */
struct gate_wire_call {
	uint32_t op; /* enum io_op */
	uint32_t actor;
	uint32_t id; /* as in events */
	uint32_t file;
	uint32_t returns;                  /* it has taken effect, and would return */
	uint64_t host_offset, length;      /* bytes */
	uint64_t content;                  /* hash of what it writes */
	char point[GATE_WIRE_POINT_BYTES]; /* its failure point; "": it cannot fail */
};

/** From the program. The calls are in the order of their identity; there are no bytes behind the
 * last of them. */
struct gate_ask {
	uint32_t kind;           /* enum gate_ask_kind */
	uint32_t takes_command;  /* it would read its standard input, or a socket, now */
	uint32_t waits_for_room; /* it would write to a socket that is full */
	uint32_t count;
	struct gate_wire_call calls[GATE_WIRE_CALLS_MAX];
};

/** The answer: call number `call` goes on, or there is something to read now, or a signal was sent
 * and interrupts the wait. */
#define GATE_ANSWER_COMMAND UINT32_MAX
#define GATE_ANSWER_SIGNAL (UINT32_MAX - 1)
struct gate_answer {
	uint32_t call;
	int32_t error;  /* with which the call fails; 0: it does not */
	uint64_t bytes; /* to which a transfer is cut; 0: it is not */
};

/** What else waits at the gate. */
enum gate_order_flag {
	GATE_ORDER_ALL = 1 << 0,   /* calls of the main thread */
	GATE_ORDER_SPLIT = 1 << 1, /* calls that have taken effect, once more */
	/** Not what waits: what the files hold at first is known, and not recorded. */
	GATE_ORDER_KNOWN = 1 << 2,
};

/** To the server: start a run. With it come descriptors: the program's ends of its standard input,
 * of its standard output and error, and of its control socket, in this order. */
enum { GATE_BIRTH_DESCRIPTORS = 3 };
struct gate_order {
	int32_t processor; /* on which all threads take turns; -1: any */
	uint32_t flags;    /* set of GATE_ORDER bits */
};

/** From the server: it has forked a program; and, later: that has ended. */
struct gate_birth {
	int32_t process; /* -1: it could not */
};
struct gate_death {
	int32_t wait_status; /* as of waitpid(2) */
};

#endif
