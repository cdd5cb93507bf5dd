/*
 * storage/late.c, flush_days.c: records of many days wait for more of their day, those of a day
 * that cannot be written wait apart from all others, and each is there once whatever happens.
 */
#include "storage/store.h"

#include "base/fault.h"
#include "tests/lib/feed.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

/* Leave the store as a crash does: the flush at its end fails before it begins. */
static void close_unflushed(struct feed *f)
{
    fault_start("flush.begin");
    assert_true(fault_next());
    store_close(&f->s);
    while (fault_next()) /* disarm */
        ;
}

/* One chunk with a record on each of `days` days, the n-th of its file; big ones on the first 2. */
static void put_days(struct feed *f, unsigned n, unsigned days)
{
    struct buf b;
    char line[128];

    buf_init(&b, 1 << 20);
    (void)snprintf(line, sizeof(line), "P f %u %u %u\n", n, n + 1, days);
    buf_add_z(&b, line);
    for (unsigned d = 0; d < days; d++) {
        (void)snprintf(line, sizeof(line), "R %" PRId64 " a day %03u chunk %u%s\n",
                       FEED_DAY + d * NS_PER_DAY + n, d, n, d < 2 ? " and much more of it" : "");
        buf_add_z(&b, line);
    }
    buf_add_char(&b, '\0');
    assert_int_equal(feed_put(f, "t", b.p), STORE_STORED);
    buf_fini(&b);
}

/* All of `chunks` times `days` records, in order. */
static void check_days(struct feed *f, unsigned chunks, unsigned days)
{
    struct buf b;
    struct str rest;

    buf_init(&b, 16 << 20);
    assert_int_equal(feed_read(f, "t", &b), chunks * days);
    rest = buf_str(&b);
    for (unsigned d = 0; d < days; d++) {
        for (unsigned n = 0; n < chunks; n++) {
            char want[64];
            (void)snprintf(want, sizeof(want), "day %03u chunk %u", d, n);
            assert_true(str_starts(str_cut(&rest, '\n'), str_of(want)));
        }
    }
    buf_fini(&b);
}

/* The flush thread's own flush, which lets days wait: wait for it, a hang is the test's TIMEOUT. */
static void await_flushes(struct feed *f, uint64_t n)
{
    struct store_stats st;

    do {
        store_stats(f->s, &st);
        (void)usleep(1000);
    } while (st.flushes < n);
}

static void feed_late(struct feed *f)
{
    feed_init(f);
    f->opt.ballast_bytes = UINT64_MAX;
    f->opt.flush_age = 1; /* at once */
    f->opt.late_age = NS_PER_H;
    f->opt.late_bytes = 64 << 20;
    f->opt.late_partitions = 2;
    feed_open(f);
}

static void of_many_days_the_largest_are_written_and_the_rest_waits(void **state)
{
    struct feed f;
    struct store_stats st;
    (void)state;

    feed_late(&f);
    put_days(&f, 0, 40);
    await_flushes(&f, 1);
    store_stats(f.s, &st);
    assert_int_equal(st.segments, 2);
    assert_int_equal(st.late_days, 38);
    assert_int_equal(st.late_records, 38);
    assert_int_equal(st.head_records, 0);
    assert_true(st.late_bytes > 0);
    check_days(&f, 1, 40);
    put_days(&f, 1, 40);
    await_flushes(&f, 2);
    store_stats(f.s, &st);
    assert_int_equal(st.late_records, 76);
    check_days(&f, 2, 40);
    feed_reopen(&f); /* a close writes all of them */
    store_stats(f.s, &st);
    assert_int_equal(st.wal_replayed_frames, 0);
    assert_int_equal(st.late_records, 0);
    assert_int_equal(st.partitions, 40);
    check_days(&f, 2, 40);
    feed_fini(&f);
}

static void what_waits_is_replayed_and_nothing_else_of_its_chunk(void **state)
{
    struct feed f;
    struct store_stats st;
    struct err err;
    (void)state;

    feed_late(&f);
    put_days(&f, 0, 12);
    await_flushes(&f, 1);
    close_unflushed(&f);
    feed_open(&f);
    store_stats(f.s, &st);
    assert_int_equal(st.wal_replayed_frames, 1);
    assert_int_equal(st.late_records, 10);
    assert_int_equal(st.head_records, 0);
    check_days(&f, 1, 12);
    put_days(&f, 1, 12);
    await_flushes(&f, 1);
    check_days(&f, 2, 12);
    close_unflushed(&f); /* a part of two chunks waits */
    feed_open(&f);
    check_days(&f, 2, 12);
    assert_int_equal(store_flush(f.s, &err), 0);
    store_stats(f.s, &st);
    assert_int_equal(st.late_records, 0);
    assert_int_equal(st.late_days, 0);
    check_days(&f, 2, 12);
    close_unflushed(&f);
    feed_open(&f);
    store_stats(f.s, &st);
    assert_int_equal(st.late_records, 0);
    check_days(&f, 2, 12);
    feed_fini(&f);
}

static void what_waits_is_written_when_it_is_much_or_old_or_holds_the_wal(void **state)
{
    struct store_stats st;
    (void)state;

    for (int why = 0; why < 3; why++) {
        struct feed f;
        char *big = calloc(1, 3 << 20);
        assert_non_null(big);
        feed_init(&f);
        f.opt.ballast_bytes = UINT64_MAX;
        f.opt.flush_age = 1;
        f.opt.late_age = why == 1 ? NS_PER_MS : NS_PER_H;
        f.opt.late_bytes = why == 0 ? 1 : 64 << 20;
        f.opt.late_partitions = 2;
        feed_open(&f);
        put_days(&f, 0, 12);
        if (why == 2) {
            await_flushes(&f, 1);
            for (unsigned i = 0; i < 6; i++) { /* past wal_bytes of 4 MB, on one day */
                int n = sprintf(big, "R %" PRId64 " b ", FEED_DAY + 99);
                memset(big + n, 'x', 1 << 20);
                memcpy(big + n + (1 << 20), "\n", 2);
                assert_int_equal(feed_put(&f, "other", big), STORE_STORED);
            }
        }
        do {
            store_stats(f.s, &st);
            (void)usleep(1000);
        } while (st.flushes == 0 || st.late_records != 0);
        check_days(&f, 1, 12);
        feed_fini(&f);
        free(big);
    }
}

/* Each point of a flush that lets days wait fails once, or the process is gone there. */
static void flushes_that_fail_beside_days_that_wait_cost_nothing(void **state)
{
    static const char *const POINTS[] = {"segment.",     "catalog.", "partition.",
                                         "flush.commit", "meta.",    "flush.begin"};
    (void)state;

    for (size_t p = 0; p < sizeof(POINTS) / sizeof(*POINTS); p++) {
        for (unsigned n = 0; n < 4; n++) {
            struct feed f;
            struct err err;

            feed_late(&f);
            put_days(&f, 0, 6);
            await_flushes(&f, 1);
            fault_start(POINTS[p]);
            for (unsigned i = 0; i <= n; i++)
                (void)fault_next();
            put_days(&f, 1, 6);
            check_days(&f, 2, 6);
            (void)store_flush(f.s, &err);
            while (fault_next())
                ;
            check_days(&f, 2, 6);
            close_unflushed(&f);
            feed_open(&f);
            check_days(&f, 2, 6);
            put_days(&f, 2, 6);
            check_days(&f, 3, 6);
            assert_int_equal(store_flush(f.s, &err), 0);
            check_days(&f, 3, 6);
            feed_reopen(&f);
            check_days(&f, 3, 6);
            feed_fini(&f);
        }
    }
}

/* ---- days that cannot be written ---- */

/* A file stands where the directory of the tenant's day should be: path of it. */
static void day_path(struct feed *f, unsigned day, char ret[512])
{
    char command[1024], tenant[64] = "";
    FILE *ls;

    (void)snprintf(command, sizeof(command), "ls %s/tenants", f->data);
    ls = popen(command, "r");
    assert_non_null(ls);
    assert_non_null(fgets(tenant, sizeof(tenant), ls));
    (void)pclose(ls);
    tenant[strcspn(tenant, "\n")] = '\0';
    (void)snprintf(ret, 512, "%s/tenants/%s/%08d", f->data, tenant,
                   (int)time_day(FEED_DAY + day * NS_PER_DAY));
}

static void put_day(struct feed *f, unsigned n, unsigned day)
{
    char text[128];

    (void)snprintf(text, sizeof(text), "P g %u %u 1\nR %" PRId64 " a day %03u chunk %u\n", n, n + 1,
                   FEED_DAY + day * NS_PER_DAY + n, day, n);
    assert_int_equal(feed_put(f, "t", text), STORE_STORED);
}

static void a_day_that_cannot_be_written_stops_nobody_else(void **state)
{
    struct feed f;
    struct store_stats st;
    struct err err;
    char path[512];
    (void)state;

    feed_init(&f);
    f.opt.ballast_bytes = UINT64_MAX;
    feed_open(&f);
    put_day(&f, 0, 0);
    assert_int_equal(store_flush(f.s, &err), 0);
    day_path(&f, 1, path);
    assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
    put_day(&f, 1, 0);
    put_day(&f, 2, 1);
    put_day(&f, 3, 2);
    assert_true(store_flush(f.s, &err) < 0);
    assert_non_null(strstr(err.text, "flush day 20260111"));
    store_stats(f.s, &st);
    assert_int_equal(st.stuck_days, 1);
    assert_int_equal(st.head_records, 0);
    assert_int_equal(st.late_records, 1);
    assert_int_equal(st.segments, 3);
    assert_int_equal(st.flush_failures, 1);
    assert_int_equal(store_state(f.s, NULL, 0), STORE_READY);
    feed_check(&f, "t", "day 000 chunk 0\nday 000 chunk 1\nday 001 chunk 2\nday 002 chunk 3\n");
    put_day(&f, 4, 1); /* joins it */
    assert_true(store_flush(f.s, &err) < 0);
    close_unflushed(&f); /* and stays in the WAL */
    feed_open(&f);
    feed_check(&f, "t",
               "day 000 chunk 0\nday 000 chunk 1\nday 001 chunk 2\nday 001 chunk 4\n"
               "day 002 chunk 3\n");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(store_flush(f.s, &err), 0);
    store_stats(f.s, &st);
    assert_int_equal(st.stuck_days, 0);
    assert_int_equal(st.late_records, 0);
    feed_reopen(&f);
    store_stats(f.s, &st);
    assert_int_equal(st.wal_replayed_frames, 0);
    feed_check(&f, "t",
               "day 000 chunk 0\nday 000 chunk 1\nday 001 chunk 2\nday 001 chunk 4\n"
               "day 002 chunk 3\n");
    feed_fini(&f);
}

/* What is stuck is cut out of a chunk whose other records are written. */
static void little_memory_does_not_let_a_stuck_day_hold_up_the_others(void **state)
{
    struct mem_budget little = {.name = "test", .limit = 1000};
    struct feed f;
    struct store_stats st;
    struct err err;
    char path[512];
    (void)state;

    feed_init(&f);
    f.opt.ballast_bytes = UINT64_MAX;
    f.opt.budget = &little;
    feed_open(&f);
    put_day(&f, 0, 0);
    assert_int_equal(store_flush(f.s, &err), 0);
    day_path(&f, 1, path);
    assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
    put_days(&f, 1, 3);
    assert_true(store_flush(f.s, &err) < 0);
    assert_non_null(strstr(err.text, "flush day 20260111"));
    store_stats(f.s, &st);
    assert_int_equal(st.stuck_days, 1);
    assert_int_equal(st.late_records, 1);
    assert_int_equal(st.head_records, 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(store_flush(f.s, &err), 0);
    feed_fini(&f);
}

static void too_much_that_cannot_be_written_is_said_and_stops_answers(void **state)
{
    struct feed f;
    struct feed_chunk *c;
    struct err err;
    char path[512], reason[300];
    char text[4096];
    (void)state;

    feed_init(&f);
    f.opt.ballast_bytes = UINT64_MAX;
    f.opt.head_bytes = 32 << 10;
    feed_open(&f);
    put_day(&f, 0, 0);
    assert_int_equal(store_flush(f.s, &err), 0);
    day_path(&f, 1, path);
    assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
    for (unsigned i = 1; store_state(f.s, reason, sizeof(reason)) == STORE_READY; i++) {
        (void)snprintf(text, sizeof(text), "R %" PRId64 " a %03000u\n", FEED_DAY + NS_PER_DAY, i);
        c = feed_send(&f, "t", "peer", text, "");
        while (!feed_is_answered(c) && store_state(f.s, NULL, 0) == STORE_READY)
            (void)store_flush(f.s, &err);
        if (!feed_is_answered(c))
            break;
        (void)feed_answer(c, NULL);
        c = NULL;
    }
    assert_int_equal(store_state(f.s, reason, sizeof(reason)), STORE_BROKEN);
    assert_non_null(strstr(reason, "too much waits for days that cannot be written: flush day"));
    if (c == NULL)
        c = feed_send(&f, "t", "peer", "R 1 a after\n", "");
    assert_false(feed_is_answered(c));
    assert_int_equal(unlink(path), 0);
    (void)store_flush(f.s, &err);
    assert_int_equal(feed_answer(c, NULL), STORE_STORED);
    assert_int_equal(store_flush(f.s, &err), 0);
    assert_int_equal(store_state(f.s, reason, sizeof(reason)), STORE_READY);
    feed_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_many_days_the_largest_are_written_and_the_rest_waits),
        cmocka_unit_test(what_waits_is_replayed_and_nothing_else_of_its_chunk),
        cmocka_unit_test(what_waits_is_written_when_it_is_much_or_old_or_holds_the_wal),
        cmocka_unit_test(flushes_that_fail_beside_days_that_wait_cost_nothing),
        cmocka_unit_test(a_day_that_cannot_be_written_stops_nobody_else),
        cmocka_unit_test(little_memory_does_not_let_a_stuck_day_hold_up_the_others),
        cmocka_unit_test(too_much_that_cannot_be_written_is_said_and_stops_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
