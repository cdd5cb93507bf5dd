/*
 * base/priority.h - which threads go first where they share cores.
 *
 * A niced thread has less of a core, but what wakes up beside it may still wait until its turn is
 * over, and the kernel looks at turns once a tick: 4 ms, at each of the four wake-ups of an ack.
 * Linux 6.12 and later let a thread choose how long its turns are, and one with shorter turns takes
 * the core as soon as it wakes up, if it has not had its share and nobody is late with his.  With
 * many threads about, somebody is: so who does very little is a real-time thread where that is
 * allowed, and no longer than it does little.
 */
#ifndef LOGQ_BASE_PRIORITY_H
#define LOGQ_BASE_PRIORITY_H

#include "base/time.h"

#include <stdbool.h>

enum priority {
    PRIORITY_PROMPT, /* very little work that somebody waits for: the shortest turns */
    PRIORITY_BULK,   /* much work that somebody waits for: long turns, nice 5 */
    PRIORITY_LATER,  /* work that gives way: long turns, nice 10 */
};

/* The calling thread, from now on; threads that it starts have turns of the usual length.  A hint:
 * what the kernel refuses, or is too old for, stays as it is, and nobody gets nicer than asked. */
void priority_set(enum priority p);

/* Of one thread that is PRIORITY_PROMPT; begins as zeros. */
struct priority_pace {
    dur_ns began, cpu; /* of this tenth of a second: when, and the thread's time until then */
    bool real;
    bool refused;
};

/*
 * The calling thread is about to wait.  It is a real-time one (SCHED_RR, the lowest priority) from
 * its first call on, but not for the rest of a tenth of a second of which it has worked a fifth;
 * then its turns are as they were.  Where the kernel refuses that (no CAP_SYS_NICE, RLIMIT_RTPRIO
 * 0), or somebody has chosen another policy for it, nothing changes.  Threads that it starts are
 * none.
 */
void priority_pace(struct priority_pace *p);

#endif
