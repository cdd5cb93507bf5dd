/*
 * tests/unit/collector/journal_input_world.h - a collector whose reader of the journal is the test.
 * Header only.
 */
#ifndef LOGQ_TESTS_UNIT_COLLECTOR_JOURNAL_INPUT_WORLD_H
#define LOGQ_TESTS_UNIT_COLLECTOR_JOURNAL_INPUT_WORLD_H

#include "tests/unit/collector/collector_world.h"
#include "tests/unit/collector/journal_world.h"

#include <sys/socket.h>

#define JOURNALD   "  - {type: journald}\n"
#define NOISE      "rules: [{name: noise, if: {line: noise}, then: drop}]\n"
#define JAVA       "  - {type: journald, multiline: {format: java}}\n"
#define SPOOL_FILE "state/spool/journald/00000001.jsonl"

static int reader;                     /* our end; -1: none */
static char place[JOURNAL_CURSOR_MAX]; /* where the worker wants to begin */

static inline int setup(void **state)
{
    (void)world_setup(state);
    w.server.show_labels = true;
    reader = -1;
    return 0;
}

static inline void close_reader(void)
{
    if (reader >= 0)
        (void)close(reader);
    reader = -1;
}

static inline int teardown(void **state)
{
    world_die();
    close_reader();
    return world_teardown(state);
}

/* Another reader, which is told where to begin. */
static inline void attach(void)
{
    struct journal_frame f;
    char bytes[1024];
    size_t used = 0;
    ssize_t n;
    int pair[2];

    close_reader();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    collector_set_journal(w.collector, pair[0]);
    reader = pair[1];
    n = recv(reader, bytes, sizeof(bytes), 0);
    assert_true(n > 0);
    assert_int_equal(journal_frame_take((struct str){bytes, (size_t)n}, &f, &used, &err), 0);
    assert_int_equal(f.type, JOURNAL_START);
    (void)str_to_z(f.v[JOURNAL_CURSOR], place, sizeof(place));
}

static inline void begin(const char *more, const char *inputs)
{
    world_start(more, inputs);
    attach();
}

static inline void again(const char *more, const char *inputs)
{
    world_die();
    begin(more, inputs);
}

static inline void say(struct journal_frame f)
{
    struct buf b;

    buf_init(&b, 2 * JOURNAL_FRAME_MAX);
    journal_frame_put(&b, &f);
    assert_int_equal(send(reader, b.p, b.n, MSG_NOSIGNAL), (ssize_t)b.n);
    buf_fini(&b);
}

#endif
