/* tests/lib/wait.h - turn a loop on the test's own thread until something has happened. */
#ifndef LOGQ_TESTS_LIB_WAIT_H
#define LOGQ_TESTS_LIB_WAIT_H

#include "base/time.h"
#include "tests/lib/check.h"
#include "wire/loop.h"

#include <stdio.h>
#include <uv.h>

enum { WAIT_S = 60 }; /* only a hang gets there */

static inline void wait_tick(void *arg)
{
    (void)arg;
}

static inline void wait_check(struct loop *l, bool (*done)(void *arg), void *arg, const char *what)
{
    dur_ns end = time_mono() + WAIT_S * NS_PER_S;
    struct loop_timer *t =
        loop_timer_new(l, wait_tick, NULL); /* so that a dead loop cannot hang us */

    loop_timer_start(t, 100, 100);
    while (!done(arg) && time_mono() < end)
        (void)uv_run(loop_uv(l), UV_RUN_ONCE);
    loop_timer_free(&t);
    if (!done(arg))
        fail_msg("waited in vain for: %s", what);
}

static inline bool wait_flag_set(void *arg)
{
    return *(const bool *)arg;
}

#define WAIT_FOR(l, flag) wait_check((l), wait_flag_set, &(flag), #flag)

#endif
