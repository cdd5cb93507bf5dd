/*
 * tests/unit/collector/spool_world.h - a spool in a directory of the test's own, and what is in it.
 * Header only.
 */
#ifndef LOGQ_TESTS_UNIT_COLLECTOR_SPOOL_WORLD_H
#define LOGQ_TESTS_UNIT_COLLECTOR_SPOOL_WORLD_H

#include "base/log.h"
#include "collector/metrics.h"
#include "collector/spool.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"

static int dir;
static char path[TMPDIR_PATH_MAX];
static struct spool *s;
static struct err err;
static struct buf seen;

static inline int setup(void **state)
{
    (void)state;
    metrics_setup();
    log_set_level(LOG_LEVEL_ERROR);
    dir = tmpdir_open(path);
    buf_init(&seen, 1 << 20);
    assert_int_equal(spool_open(dir, "x", &s, &err), 0);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    spool_close(&s);
    buf_fini(&seen);
    tmpdir_close(dir);
    return 0;
}

/* For spool_replay: lines that come back are in `seen`, each with '\n'. */
static inline void take(void *arg, struct str line)
{
    (void)arg;
    buf_add_str(&seen, line);
    buf_add_char(&seen, '\n');
}

#endif
