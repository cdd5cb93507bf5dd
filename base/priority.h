/*
 * base/priority.h - which threads go first where they share cores.
 *
 * A niced thread has less of a core, but what wakes up beside it may still wait until its turn is
 * over, and the kernel looks at turns once a tick: 4 ms, at each of the four wake-ups of an ack.
 * Linux 6.12 and later let a thread choose how long its turns are, and one with shorter turns takes
 * the core as soon as it wakes up.  A loop keeps the usual length: beside long ones that is short,
 * and with shorter ones it would lose the core in the midst of its own work.
 */
#ifndef LOGQ_BASE_PRIORITY_H
#define LOGQ_BASE_PRIORITY_H

enum priority {
    PRIORITY_PROMPT, /* very little work that somebody waits for: the shortest turns */
    PRIORITY_BULK,   /* much work that somebody waits for: long turns, nice 5 */
    PRIORITY_LATER,  /* work that gives way: long turns, nice 10 */
};

/* The calling thread, from now on; threads that it starts have turns of the usual length.  A hint:
 * what the kernel refuses, or is too old for, stays as it is, and nobody gets nicer than asked. */
void priority_set(enum priority p);

#endif
