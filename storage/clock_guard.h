/*
 * storage/clock_guard.h - a wall clock that does not run away.
 *
 * Everything that deletes by age believes a clock, and a clock that was set forward is the cheapest
 * way to destroy what is stored; a receive time of the year 2040 would also stay for good, since
 * receive times never step back.  So a step forward of more than `jump` against the boot clock is
 * not believed: time goes on as before, and nothing is retired, until the wall clock is back, or
 * has stayed where it is for `settle`.  Thread-safe.
 */
#ifndef LOGQ_STORAGE_CLOCK_GUARD_H
#define LOGQ_STORAGE_CLOCK_GUARD_H

#include "base/time.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* What outlives the process: on the same boot the next one goes on with it. */
struct clock_guard_state {
    char boot[40];   /* id of the boot */
    int64_t trusted; /* wall less boot clock */
};

struct clock_guard {
    pthread_mutex_t mutex; /* guards all; nothing is called under it */
    dur_ns jump, settle;   /* jump 0: every clock is believed */
    char boot_id[40];
    int64_t trusted; /* what is believed: wall less boot clock */
    int64_t anchor;  /* what was believed when the hour began, and when that was */
    dur_ns anchor_at;
    int64_t seen; /* what is not believed */
    dur_ns since; /* boot clock, when that was seen first; 0: nothing is suspect */
    dur_ns (*boot_clock)(void);
};

/* `before` (may be NULL): what the last process left. */
void clock_guard_init(struct clock_guard *g, dur_ns jump, dur_ns settle,
                      const struct clock_guard_state *before);
void clock_guard_fini(struct clock_guard *g);
/* The time that is believed.  *suspect (may be NULL): the wall clock says another. */
ts_ns clock_guard_now(struct clock_guard *g, bool *suspect);
void clock_guard_state(struct clock_guard *g, struct clock_guard_state *ret);
/* How far ahead the clock is that is not believed; 0: none. */
dur_ns clock_guard_ahead(struct clock_guard *g);

#endif
