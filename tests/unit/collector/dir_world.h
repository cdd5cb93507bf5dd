/*
 * tests/unit/collector/dir_world.h - a directory of the test's own, metrics from zero, an arena.
 *
 * For tests of a module that needs no more; a test's own setup calls dir_setup first, and its
 * teardown dir_teardown last.
 */
#ifndef LOGQ_TESTS_UNIT_COLLECTOR_DIR_WORLD_H
#define LOGQ_TESTS_UNIT_COLLECTOR_DIR_WORLD_H

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "collector/metrics.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"

#include <stdio.h>
#include <string.h>

static int dir;
static char root[TMPDIR_PATH_MAX];
static struct arena *a;
static struct err err;

static inline int dir_setup(void **state)
{
    (void)state;
    metrics_setup();
    dir = tmpdir_open(root);
    a = arena_new(NULL, 1 << 20);
    return 0;
}

static inline int dir_teardown(void **state)
{
    (void)state;
    arena_free(&a);
    tmpdir_close(dir);
    return 0;
}

/* A file, and the directories that it is in. */
static inline void put_file(const char *path, const char *text)
{
    const char *slash = strrchr(path, '/');
    char folder[256];

    if (slash != NULL) {
        (void)snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
        assert_int_equal(file_make_dirs(dir, folder, 0700, &err), 0);
    }
    assert_int_equal(file_replace(dir, path, 0600, str_of(text), &err), 0);
}

#endif
