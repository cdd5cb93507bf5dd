/*
 * storage/compact_pick.c and compact_pace.c: what is worth writing together and when, and how fast.
 */
#include "storage/compact_pace.h"
#include "storage/compact_pick.h"
#include "tests/lib/check.h"

#include <string.h>

enum { DAY = 20261121, ROWS = 200 };

/* Segments of a minute each, from 00:00 on, level 0. */
static void make_rows(struct catalog_row *rows, size_t n, enum segment_class class, uint64_t bytes)
{
    memset(rows, 0, n * sizeof(*rows));
    for (size_t i = 0; i < n; i++) {
        rows[i].class = class;
        rows[i].wal_from = i * 10;
        rows[i].wal_to = i * 10 + 10;
        rows[i].rows = 1;
        rows[i].raw_bytes = 10 * bytes;
        rows[i].stored_bytes = bytes;
        rows[i].min_received = time_of_day(DAY) + (ts_ns)i * NS_PER_MIN;
        rows[i].max_received = rows[i].min_received + NS_PER_S;
    }
}

static struct compact_rule rule_at(ts_ns since_midnight)
{
    return (struct compact_rule){
        .now = time_of_day(DAY) + since_midnight, .horizon = UINT64_MAX, .day = DAY};
}

static bool pick(const struct catalog_row *rows, size_t n, const struct compact_rule *rule,
                 struct compact_choice *ret)
{
    ts_ns next;

    memset(ret, 0, sizeof(*ret));
    return compact_pick(rows, n, rule, ret, &next);
}

static void an_hour_is_merged_a_minute_after_its_end(void **state)
{
    struct catalog_row rows[ROWS];
    struct compact_rule rule = rule_at(NS_PER_H);
    struct compact_choice c;
    ts_ns next = 0;

    (void)state;
    make_rows(rows, 50, SEGMENT_ORDINARY, 1000);
    assert_false(compact_pick(rows, 50, &rule, &c, &next));
    assert_true(next == time_of_day(DAY) + NS_PER_H + COMPACT_LATE);
    rule.now = next;
    assert_true(compact_pick(rows, 50, &rule, &c, &next));
    assert_true(c.first == 0 && c.n == 50 && !c.due);

    make_rows(rows, 90, SEGMENT_ORDINARY, 1000); /* of two hours: the second is still open */
    assert_true(pick(rows, 90, &rule, &c));
    assert_true(c.first == 0 && c.n == 60);
}

static void nothing_reaches_past_the_horizon(void **state)
{
    struct catalog_row rows[ROWS];
    struct compact_rule rule = rule_at(2 * NS_PER_H);
    struct compact_choice c;

    (void)state;
    make_rows(rows, 20, SEGMENT_ORDINARY, 1000);
    rule.horizon = 95;
    assert_true(pick(rows, 20, &rule, &c));
    assert_true(c.first == 0 && c.n == 9);
    rule.horizon = 5;
    assert_false(pick(rows, 20, &rule, &c));
}

static void what_was_written_anew_is_not_again(void **state)
{
    struct catalog_row rows[ROWS];
    struct compact_rule rule = rule_at(5 * NS_PER_H);
    struct compact_choice c;

    (void)state;
    make_rows(rows, 7, SEGMENT_ORDINARY, 1000);
    for (size_t i = 0; i < 7; i++)
        rows[i].level = 1;
    assert_false(pick(rows, 7, &rule, &c));
    rows[6].level = 0; /* one alone is worth it: for the encoding */
    assert_true(pick(rows, 7, &rule, &c));
    assert_true(c.first == 6 && c.n == 1);
    make_rows(rows, 1, SEGMENT_STRICT, 1000); /* but not a copy of one */
    assert_false(pick(rows, 1, &rule, &c));
}

static void many_of_one_level_become_one_of_the_next(void **state)
{
    struct catalog_row rows[ROWS];
    struct compact_rule rule = rule_at(5 * NS_PER_H);
    struct compact_choice c;

    (void)state;
    make_rows(rows, COMPACT_MANY + 1, SEGMENT_ORDINARY, 1000);
    for (size_t i = 0; i <= COMPACT_MANY; i++)
        rows[i].level = i == 0 ? 2 : 1;
    assert_true(pick(rows, COMPACT_MANY + 1, &rule, &c));
    assert_true(c.first == 1 && c.n == COMPACT_MANY);
    for (size_t i = 1; i <= COMPACT_MANY; i++)
        rows[i].stored_bytes = COMPACT_STORED_MAX / 7; /* together too large */
    assert_false(pick(rows, COMPACT_MANY + 1, &rule, &c));
}

static void a_day_that_is_over_becomes_few(void **state)
{
    struct catalog_row rows[ROWS];
    struct compact_rule rule = rule_at(NS_PER_DAY + COMPACT_DAY_LATE - 1);
    struct compact_choice c;
    ts_ns next;

    (void)state;
    make_rows(rows, 3, SEGMENT_ORDINARY, 1000);
    for (size_t i = 0; i < 3; i++)
        rows[i].level = (uint32_t)(1 + i);
    assert_false(compact_pick(rows, 3, &rule, &c, &next));
    assert_true(next == rule.now + 1);
    rule.now = next;
    assert_true(pick(rows, 3, &rule, &c));
    assert_true(c.first == 0 && c.n == 3);
    rows[0].stored_bytes = 100000; /* for the sake of a few stragglers? */
    assert_true(pick(rows, 3, &rule, &c));
    assert_true(c.first == 1 && c.n == 2);
}

static void many_of_an_open_hour_do_not_wait(void **state)
{
    struct catalog_row rows[ROWS];
    struct compact_rule rule = rule_at(NS_PER_MIN);
    struct compact_choice c;

    (void)state;
    make_rows(rows, 30, SEGMENT_ORDINARY, 4 << 20); /* 40 MB raw each */
    for (size_t i = 0; i < 30; i++)
        rows[i].max_received = time_of_day(DAY) + (ts_ns)i;
    assert_false(pick(rows, 9, &rule, &c));
    assert_true(pick(rows, 30, &rule, &c));
    assert_true(c.n >= COMPACT_MANY && c.n < 30);
    make_rows(rows, 100, SEGMENT_ORDINARY, 100);
    for (size_t i = 0; i < 100; i++)
        rows[i].max_received = time_of_day(DAY) + (ts_ns)i;
    assert_true(pick(rows, 100, &rule, &c));
    assert_int_equal(c.n, COMPACT_INPUTS);
}

static void classes_are_never_mixed_nor_damage_touched(void **state)
{
    struct catalog_row rows[ROWS];
    struct compact_rule rule = rule_at(5 * NS_PER_H);
    struct compact_choice c;

    (void)state;
    make_rows(rows, 5, SEGMENT_ORDINARY, 1000);
    make_rows(rows + 5, 5, SEGMENT_STRICT, 1000);
    assert_true(pick(rows, 10, &rule, &c));
    assert_true(c.first == 0 && c.n == 5);
    for (size_t i = 0; i < 5; i++)
        rows[i].todo = CATALOG_ALONE;
    assert_true(pick(rows, 10, &rule, &c));
    assert_true(c.first == 5 && c.n == 5);
    rows[7].todo = CATALOG_ALONE;
    assert_true(pick(rows, 10, &rule, &c));
    assert_true(c.first == 5 && c.n == 2);
}

static void deleted_rows_make_a_segment_due(void **state)
{
    struct catalog_row rows[ROWS];
    struct compact_rule rule = rule_at(NS_PER_MIN);
    struct compact_choice c;

    (void)state;
    make_rows(rows, 3, SEGMENT_ORDINARY, 1000);
    rows[1].todo = CATALOG_DUE;
    rows[1].level = 3;
    assert_true(pick(rows, 3, &rule, &c));
    assert_true(c.first == 1 && c.n == 1 && c.due);
    rows[1].class = SEGMENT_STRICT;
    assert_false(pick(rows, 3, &rule, &c));
}

/* As long as something is chosen: to the end, and never more than once for each level. */
static void it_comes_to_an_end(void **state)
{
    struct catalog_row rows[ROWS];
    struct compact_rule rule = rule_at(2 * NS_PER_DAY);
    struct compact_choice c;
    uint64_t written = 0;
    size_t n = ROWS;

    (void)state;
    make_rows(rows, n, SEGMENT_ORDINARY, 1 << 20);
    while (pick(rows, n, &rule, &c)) {
        struct catalog_row *at = &rows[c.first];
        for (size_t i = 1; i < c.n; i++) {
            at->stored_bytes += at[i].stored_bytes;
            at->raw_bytes += at[i].raw_bytes;
            at->level = at[i].level > at->level ? at[i].level : at->level;
        }
        at->level++;
        written += at->stored_bytes;
        n -= c.n - 1;
        memmove(at + 1, at + c.n, (n - c.first - 1) * sizeof(*at));
    }
    assert_true(n <= 2);
    assert_true(written <= UINT64_C(4) * ROWS << 20);
}

/* ---- pace ---- */

#define MB (UINT64_C(1) << 20)

static void only_busy_ingest_slows_it_down(void **state)
{
    struct compact_pace p = {0};
    dur_ns now = NS_PER_S;
    dur_ns cpu = 0;
    uint64_t in = 0;

    (void)state;
    for (unsigned i = 0; i < 100; i++, now += NS_PER_S / 4) /* 80 MB/s */
        compact_pace_sample(&p, now, in += 20 * MB);
    assert_true(p.busy);
    compact_pace_begin(&p, now, cpu);
    now += NS_PER_S;
    cpu += NS_PER_S; /* a second of CPU: three more are to be waited */
    assert_in_range((uint64_t)compact_pace_wait(&p, now, cpu, 0), 2900 * NS_PER_MS,
                    3100 * NS_PER_MS);
    now += 3 * NS_PER_S;
    assert_int_equal(compact_pace_wait(&p, now, cpu, 0), 0);
    now += NS_PER_S;
    assert_in_range((uint64_t)compact_pace_wait(&p, now, cpu, 100000000), 3900 * NS_PER_MS,
                    4100 * NS_PER_MS); /* 100 MB in a second, 20 of them earned */
    for (unsigned i = 0; i < 100; i++, now += NS_PER_S / 4) /* a tenth of that */
        compact_pace_sample(&p, now, in += 2 * MB);
    assert_false(p.busy);
    assert_int_equal(compact_pace_wait(&p, now, cpu + NS_PER_S, 900000000), 0);
}

static void a_slow_stream_counts_once_the_fast_one_is_forgotten(void **state)
{
    struct compact_pace p = {0};
    dur_ns now = NS_PER_S;
    uint64_t in = 0;

    (void)state;
    for (unsigned i = 0; i < 100; i++, now += NS_PER_S)
        compact_pace_sample(&p, now, in += 50 * MB);
    for (unsigned i = 0; i < 100; i++, now += NS_PER_S)
        compact_pace_sample(&p, now, in += MB);
    assert_false(p.busy);
    for (unsigned i = 0; i < 24 * 60; i++, now += NS_PER_MIN)
        compact_pace_sample(&p, now, in += 60 * MB);
    assert_true(p.busy);
}

CHECK_MAIN(cmocka_unit_test(an_hour_is_merged_a_minute_after_its_end),
           cmocka_unit_test(nothing_reaches_past_the_horizon),
           cmocka_unit_test(what_was_written_anew_is_not_again),
           cmocka_unit_test(many_of_one_level_become_one_of_the_next),
           cmocka_unit_test(a_day_that_is_over_becomes_few),
           cmocka_unit_test(many_of_an_open_hour_do_not_wait),
           cmocka_unit_test(classes_are_never_mixed_nor_damage_touched),
           cmocka_unit_test(deleted_rows_make_a_segment_due), cmocka_unit_test(it_comes_to_an_end),
           cmocka_unit_test(only_busy_ingest_slows_it_down),
           cmocka_unit_test(a_slow_stream_counts_once_the_fast_one_is_forgotten))
