/*
 * tests/unit/collector/journal_world.h - entries of a journal that tests make up.  Header only.
 */
#ifndef LOGQ_TESTS_UNIT_COLLECTOR_JOURNAL_WORLD_H
#define LOGQ_TESTS_UNIT_COLLECTOR_JOURNAL_WORLD_H

#include "collector/journal_frame.h"

#include <stdio.h>
#include <string.h>

/* The cursor of the `no`-th entry. */
static inline const char *journal_cursor(unsigned no)
{
    static _Thread_local char text[8][JOURNAL_CURSOR_MAX];
    static _Thread_local unsigned turn;
    char *p = text[turn++ % 8];

    (void)snprintf(p, JOURNAL_CURSOR_MAX,
                   "s=8b3c9a1d2e4f40718a9b0c1d2e3f4051;i=%x;b=0123456789abcdef0123456789abcdef;"
                   "m=%x;t=5d0e0b5fdc8%02x;x=%x",
                   no, 1000 + no, no & 0xff, 77 * no);
    return p;
}

/* Entry `no` of container `name`. */
static inline struct journal_frame journal_entry(unsigned no, const char *name, const char *text)
{
    struct journal_frame f = {
        .type = JOURNAL_ENTRY, .time = INT64_C(1700000000000000000) + no, .total = strlen(text)};

    f.v[JOURNAL_CURSOR] = str_of(journal_cursor(no));
    f.v[JOURNAL_MESSAGE] = str_of(text);
    f.v[JOURNAL_ID] = STR("4f5e6a7b8c9d");
    f.v[JOURNAL_NAME] = str_of(name);
    f.v[JOURNAL_PRIORITY] = STR("6");
    f.v[JOURNAL_COMM] = STR("conmon");
    return f;
}

/* The same, and more follows. */
static inline struct journal_frame journal_piece(unsigned no, const char *name, const char *text)
{
    struct journal_frame f = journal_entry(no, name, text);

    f.v[JOURNAL_PARTIAL] = STR("true");
    return f;
}

#endif
