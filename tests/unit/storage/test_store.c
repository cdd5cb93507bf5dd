/*
 * storage/store*.c, flush.c: acknowledged means durable, durable means there once, whatever fails
 * in between.  Dying in between: test_store_crash.c.
 */
#include "storage/store.h"

#include "base/fault.h"
#include "base/file.h"
#include "storage/db.h"
#include "tests/lib/feed.h"

#include <sqlite3.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#define DAY2 (FEED_DAY + NS_PER_DAY)

/* "P f <start> <start + 10> 1" and a record that names it, on one of two days. */
static const char *chunk(char *ret, size_t cap, unsigned i)
{
    int64_t ts = (i % 2 == 0 ? FEED_DAY : DAY2) + (int64_t)i;

    (void)snprintf(ret, cap, "P f %u %u 1\nR %" PRId64 " app line %u\n", i * 10, i * 10 + 10, ts,
                   i);
    return ret;
}

static void what_was_appended_is_searchable_before_and_after_a_flush(void **state)
{
    struct feed f;
    struct store_stats st;
    struct err err;
    (void)state;

    feed_init(&f);
    feed_open(&f);
    assert_int_equal(feed_put(&f, "t", "R 3 a three\nR 1 a one\n"), STORE_STORED);
    assert_int_equal(feed_put(&f, "t", "R 2 b two\n"), STORE_STORED);
    assert_int_equal(feed_put(&f, "other", "R 9 a not yours\n"), STORE_STORED);
    feed_check(&f, "t", "one\ntwo\nthree\n");
    assert_int_equal(f.observed, 4);
    assert_int_equal(store_flush(f.s, &err), 0);
    store_stats(f.s, &st);
    assert_int_equal(st.head_records, 0);
    assert_int_equal(st.records, 4);
    assert_int_equal(st.last_seq, 4);
    assert_int_equal(st.partitions, 2); /* a tenant's day each */
    assert_int_equal(st.segments, 2);
    feed_check(&f, "t", "one\ntwo\nthree\n");
    assert_int_equal(feed_put(&f, "t", "R 4 b four\n"), STORE_STORED);
    feed_check(&f, "t", "one\ntwo\nthree\nfour\n");
    feed_check(&f, "other", "not yours\n");
    feed_check(&f, "nobody", "");
    feed_fini(&f);
}

static void a_reopen_shows_the_same_flushed_or_not(void **state)
{
    struct feed f;
    struct store_stats st;
    (void)state;

    feed_init(&f);
    feed_open(&f);
    assert_int_equal(feed_put(&f, "t", "R 1 a one\n"), STORE_STORED);
    feed_reopen(&f); /* flushed by the close */
    store_stats(f.s, &st);
    assert_int_equal(st.wal_replayed_frames, 0);
    assert_int_equal(st.last_seq, 1);
    feed_check(&f, "t", "one\n");
    assert_int_equal(feed_put(&f, "t", "R 2 a two\n"), STORE_STORED);
    feed_reopen(&f);
    feed_check(&f, "t", "one\ntwo\n");
    feed_fini(&f);
}

/* Leave the store as a crash does: the flush at its end fails before it begins.  Without
 * ballast, so it is not tried twice. */
static void close_unflushed(struct feed *f)
{
    fault_start("flush.begin");
    assert_true(fault_next());
    store_close(&f->s);
    while (fault_next()) /* disarm */
        ;
}

static void a_replay_brings_back_records_ranges_and_identities(void **state)
{
    struct feed f;
    struct store_stats st;
    struct err err;
    (void)state;

    feed_init(&f);
    f.opt.ballast_bytes = UINT64_MAX;
    feed_open(&f);
    assert_int_equal(feed_put(&f, "t", "P f 0 10 1\nR 1 a one\n"), STORE_STORED);
    assert_int_equal(feed_answer(feed_send(&f, "t", "foreign", "R 2 a two\n", "id 1"), NULL),
                     STORE_STORED);
    close_unflushed(&f);
    feed_open(&f);
    store_stats(f.s, &st);
    assert_int_equal(st.wal_replayed_frames, 2);
    feed_check(&f, "t", "one\ntwo\n");
    assert_int_equal(feed_put(&f, "t", "P f 0 10 1\nR 1 a one\n"), STORE_DUPLICATE);
    assert_int_equal(feed_answer(feed_send(&f, "t", "foreign", "R 2 a two\n", "id 1"), NULL),
                     STORE_DUPLICATE);
    assert_int_equal(feed_put(&f, "t", "R 3 a three\n"), STORE_STORED);
    assert_int_equal(store_flush(f.s, &err), 0);
    feed_reopen(&f); /* now out of meta.db */
    assert_int_equal(feed_put(&f, "t", "P f 0 10 1\nR 1 a one\n"), STORE_DUPLICATE);
    assert_int_equal(feed_answer(feed_send(&f, "t", "foreign", "R 2 a two\n", "id 1"), NULL),
                     STORE_DUPLICATE);
    feed_check(&f, "t", "one\ntwo\nthree\n");
    store_stats(f.s, &st);
    assert_int_equal(st.duplicate_chunks, 2);
    assert_int_equal(st.last_seq, 3);
    feed_fini(&f);
}

static void parts_are_stored_once_dropped_twice_and_refused_by_halves(void **state)
{
    struct feed f;
    struct store_range r[4];
    struct store_stats st;
    struct err err;
    (void)state;

    feed_init(&f);
    feed_open(&f);
    assert_int_equal(feed_put(&f, "t", "P f 10 20 1\nR 2 a b\n"), STORE_STORED);
    /* Of two parts the second is known: only the first is stored. */
    assert_int_equal(feed_put(&f, "t", "P f 0 10 1\nR 1 a a\nP f 10 20 1\nR 2 a b\n"),
                     STORE_STORED);
    feed_check(&f, "t", "a\nb\n");
    assert_int_equal(feed_answer(feed_send(&f, "t", "peer", "P f 15 25 1\nR 3 a c\n", ""), &err),
                     STORE_REFUSED);
    assert_int_equal(err.code, ERR_EXISTS);
    /* The refused one left nothing: also not its first, good part. */
    assert_int_equal(feed_put(&f, "t", "P g 0 5 1\nR 4 a d\nP f 15 25 1\nR 3 a c\n"),
                     STORE_REFUSED);
    assert_int_equal(store_ranges(f.s, STR("peer"), STR("g"), r, 4), 0);
    assert_int_equal(feed_put(&f, "t", "P g 0 5 1\nR 4 a d\n"), STORE_STORED);
    /* Twice in one chunk. */
    assert_int_equal(feed_put(&f, "t", "P h 0 5 1\nR 5 a e\nP h 0 5 1\nR 5 a e\n"), STORE_STORED);
    /* A range without records counts as well. */
    assert_int_equal(feed_put(&f, "t", "P h 5 9 0\n"), STORE_STORED);
    assert_int_equal(feed_put(&f, "t", "P h 5 9 0\n"), STORE_DUPLICATE);
    feed_check(&f, "t", "a\nb\nd\ne\n");
    assert_int_equal(store_ranges(f.s, STR("peer"), STR("f"), r, 4), 1);
    assert_true(r[0].start == 0 && r[0].end == 20);
    assert_int_equal(store_ranges(f.s, STR("peer"), STR("h"), r, 4), 1);
    assert_true(r[0].start == 0 && r[0].end == 9);
    /* Another peer's file of the same name is another file. */
    assert_int_equal(feed_answer(feed_send(&f, "t", "peer2", "P f 15 25 1\nR 3 a c\n", ""), NULL),
                     STORE_STORED);
    store_stats(f.s, &st);
    assert_int_equal(st.refused_chunks, 2);
    assert_int_equal(st.duplicate_parts, 3);
    feed_fini(&f);
}

static void a_part_that_may_be_twice_is_stored_whole_unless_it_is_known(void **state)
{
    struct feed f;
    struct store_range r[4];
    struct store_stats st;
    struct err err;
    (void)state;

    feed_init(&f);
    feed_open(&f);
    assert_int_equal(feed_put(&f, "t", "P f 10 20 1\nR 1 a a\nP f 30 40 1\nR 2 a b\n"),
                     STORE_STORED);
    assert_int_equal(feed_answer(feed_send(&f, "t", "peer", "P f 0 35 1\nR 3 a c\n", ""), &err),
                     STORE_REFUSED);
    assert_int_equal(err.code, ERR_EXISTS);
    assert_int_equal(feed_put(&f, "t", "T f 0 35 1\nR 3 a c\nT f 30 45 1\nR 4 a d\n"),
                     STORE_STORED);
    feed_check(&f, "t", "a\nb\nc\nd\n");
    store_stats(f.s, &st);
    assert_int_equal(st.twice_bytes, 10 + 5 + 10);
    assert_int_equal(feed_put(&f, "t", "T f 0 35 1\nR 3 a c\nT f 30 45 1\nR 4 a d\n"),
                     STORE_DUPLICATE);
    assert_int_equal(feed_put(&f, "t", "P f 0 45 1\nR 3 a c\n"), STORE_DUPLICATE);
    assert_int_equal(store_ranges(f.s, STR("peer"), STR("f"), r, 4), 1);
    assert_int_equal(r[0].start, 0);
    assert_int_equal(r[0].end, 45);
    feed_reopen(&f);
    assert_int_equal(feed_put(&f, "t", "T f 0 45 1\nR 3 a c\n"), STORE_DUPLICATE);
    feed_check(&f, "t", "a\nb\nc\nd\n");
    feed_fini(&f);
}

static void nonsense_is_refused_with_a_reason(void **state)
{
    static const char *const CHUNKS[] = {
        "P f 10 9 1\nR 1 a a\n",                       /* backwards */
        "P f 10 10 1\nR 1 a a\n",                      /* a record of nothing */
        "P f 0 10 2\nR 1 a a\n",                       /* more records than there are */
        "P f 0 10 2\nR 1 a a\nP f 10 20 1\nR 1 a b\n", /* runs overlap */
    };
    char tenant[200] = "";
    struct feed f;
    struct err err;
    (void)state;

    feed_init(&f);
    feed_open(&f);
    for (size_t i = 0; i < sizeof(CHUNKS) / sizeof(*CHUNKS); i++) {
        assert_int_equal(feed_answer(feed_send(&f, "t", "peer", CHUNKS[i], ""), &err),
                         STORE_REFUSED);
        assert_int_equal(err.code, ERR_INVALID);
    }
    memset(tenant, 'x', 151);
    assert_int_equal(feed_put(&f, tenant, "R 1 a a\n"), STORE_REFUSED);
    assert_int_equal(feed_put(&f, "", "R 1 a a\n"), STORE_REFUSED);
    tenant[150] = '\0';
    assert_int_equal(feed_put(&f, tenant, "R 1 a a\n"), STORE_STORED);
    feed_fini(&f);
}

static void an_answer_comes_only_after_the_sync(void **state)
{
    struct feed f;
    struct store_stats before, after;
    (void)state;

    feed_init(&f);
    feed_open(&f);
    for (int i = 0; i < 20; i++) {
        char text[64];
        (void)snprintf(text, sizeof(text), "R %d a x\n", i + 1);
        store_stats(f.s, &before);
        assert_int_equal(feed_put(&f, "t", text), STORE_STORED);
        store_stats(f.s, &after);
        assert_true(after.wal_syncs > before.wal_syncs);
        assert_int_equal(after.head_records, before.head_records + 1);
    }
    feed_fini(&f);
}

static void one_failed_sync_goes_to_a_new_file_unseen(void **state)
{
    struct feed f;
    struct store_stats st;
    (void)state;

    feed_init(&f);
    f.opt.ballast_bytes = UINT64_MAX;
    feed_open(&f);
    assert_int_equal(feed_put(&f, "t", "P f 0 1 1\nR 1 a one\n"), STORE_STORED);
    fault_start("wal.sync");
    assert_true(fault_next());
    assert_int_equal(feed_put(&f, "t", "P f 1 2 1\nR 2 a two\n"), STORE_STORED);
    while (fault_next())
        ;
    store_stats(f.s, &st);
    assert_int_equal(st.wal_files, 2);
    assert_int_equal(store_state(f.s, NULL, 0), STORE_READY);
    close_unflushed(&f);
    feed_open(&f);
    feed_check(&f, "t", "one\ntwo\n"); /* not twice */
    feed_fini(&f);
}

static void a_full_disk_stops_answers_and_nothing_is_lost_when_it_ends(void **state)
{
    struct feed f;
    struct feed_chunk *c;
    struct store_stats st;
    char reason[200] = "";
    (void)state;

    feed_init(&f);
    f.opt.min_free = 2.0; /* never */
    feed_open(&f);
    assert_int_equal(feed_put(&f, "t", "R 1 a one\n"), STORE_STORED);
    fault_start("wal.write"); /* says ENOSPC */
    assert_true(fault_next());
    c = feed_send(&f, "t", "peer", "R 2 a two\n", "");
    while (store_state(f.s, reason, sizeof(reason)) != STORE_FULL)
        ; /* a hang is the test's TIMEOUT */
    assert_non_null(strstr(reason, "disk full"));
    feed_check(&f, "t", "one\n"); /* queries go on */
    assert_false(feed_is_answered(c));
    while (fault_next())
        ;
    store_close(&f.s); /* gives up: no room ever came */
    assert_int_equal(feed_answer(c, NULL), STORE_FAILED);
    f.opt.min_free = 1e-9;
    feed_open(&f);
    fault_start("wal.write");
    assert_true(fault_next());
    assert_int_equal(feed_put(&f, "t", "R 3 a three\n"), STORE_STORED); /* after one retry */
    while (fault_next())
        ;
    assert_int_equal(store_state(f.s, reason, sizeof(reason)), STORE_READY);
    assert_string_equal(reason, "");
    store_stats(f.s, &st);
    assert_int_equal(st.records, 1);
    feed_check(&f, "t", "one\nthree\n");
    feed_fini(&f);
}

static void a_full_disk_drops_the_oldest_days_where_that_is_configured(void **state)
{
    struct feed f;
    struct feed_chunk *c;
    struct store_stats st;
    struct err err;
    char text[64];
    (void)state;

    feed_init(&f);
    feed_open(&f);
    (void)snprintf(text, sizeof(text), "R %" PRId64 " a old\n", FEED_DAY);
    assert_int_equal(feed_put(&f, "t", text), STORE_STORED);
    (void)snprintf(text, sizeof(text), "R %" PRId64 " !a evidence\n", FEED_DAY - NS_PER_DAY);
    assert_int_equal(feed_put(&f, "t", text), STORE_STORED);
    (void)snprintf(text, sizeof(text), "R %" PRId64 " a today\n", time_now());
    assert_int_equal(feed_put(&f, "t", text), STORE_STORED);
    assert_int_equal(store_flush(f.s, &err), 0);
    store_close(&f.s);
    f.opt.min_free = 2.0; /* never enough */
    f.opt.drop_oldest = true;
    feed_open(&f);
    feed_check(&f, "t", "evidence\nold\ntoday\n");
    fault_start("wal.write"); /* says ENOSPC */
    assert_true(fault_next());
    c = feed_send(&f, "t", "peer", "R 2 a two\n", "");
    do
        store_stats(f.s, &st); /* a hang is the test's TIMEOUT */
    while (st.partitions_dropped_full == 0);
    while (fault_next())
        ;
    feed_check(&f, "t", "evidence\ntoday\n");
    store_close(&f.s);
    assert_int_equal(feed_answer(c, NULL), STORE_FAILED);
    feed_open(&f);
    store_stats(f.s, &st);
    assert_int_equal(st.partitions, 2);
    feed_fini(&f);
}

/* Every point of one family fails once, in a store of its own: what is read never changes. */
static void a_flush_that_fails_changes_nothing_and_the_next_one_goes_on(void **state)
{
    static const char *const POINTS[] = {"segment.", "catalog.", "partition.", "flush.commit",
                                         "meta."};
    static const char WANT[] = "line 0\nline 2\nline 1\nline 3\n"; /* two days */
    unsigned failed = 0;
    (void)state;

    for (size_t p = 0; p < sizeof(POINTS) / sizeof(*POINTS); p++) {
        FAULT_EACH(POINTS[p]) {
            struct feed f;
            struct err err;
            char text[128];

            feed_init(&f);
            f.opt.ballast_bytes = UINT64_MAX;
            feed_open(&f);
            for (unsigned i = 0; i < 4; i++)
                assert_int_equal(feed_put(&f, "t", chunk(text, sizeof(text), i)), STORE_STORED);
            if (store_flush(f.s, &err) != 0) {
                failed++;
                feed_check(&f, "t", WANT);
                assert_int_equal(feed_put(&f, "t", chunk(text, sizeof(text), 0)), STORE_DUPLICATE);
                assert_int_equal(store_flush(f.s, &err), 0);
            }
            assert_int_equal(store_state(f.s, NULL, 0), STORE_READY);
            feed_check(&f, "t", WANT);
            feed_reopen(&f);
            feed_check(&f, "t", WANT);
            assert_int_equal(feed_put(&f, "t", chunk(text, sizeof(text), 3)), STORE_DUPLICATE);
            feed_fini(&f);
        }
    }
    assert_true(failed >= 4);
}

static void an_open_that_fails_can_be_tried_again(void **state)
{
    static const char *const POINTS[] = {"db.", "file.", "crypt."};
    unsigned failed = 0;
    (void)state;

    for (size_t p = 0; p < sizeof(POINTS) / sizeof(*POINTS); p++) {
        struct feed f;
        struct err err;

        feed_init(&f);
        FAULT_EACH(POINTS[p]) {
            if (store_open(&f.opt, &f.s, &err) != 0) {
                failed++;
                assert_null(f.s);
                feed_open(&f);
            }
            store_close(&f.s);
        }
        feed_fini(&f);
    }
    assert_true(failed >= 5); /* db.* say that the disk is full: tried again without ballast */
}

static void two_stores_do_not_share_a_directory(void **state)
{
    struct feed f;
    struct store *second = NULL;
    struct err err;
    char pid[24];
    (void)state;

    feed_init(&f);
    feed_open(&f);
    assert_int_equal(store_open(&f.opt, &second, &err), ERR_EXISTS);
    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    assert_non_null(strstr(err.text, pid));
    feed_fini(&f);
}

static void damage_in_the_wal_stops_the_start_and_recovery_leaves_a_gap_record(void **state)
{
    struct feed f;
    struct store_stats st;
    struct err err;
    struct buf b;
    int fd;
    (void)state;

    feed_init(&f);
    f.opt.ballast_bytes = UINT64_MAX;
    feed_open(&f);
    assert_int_equal(feed_put(&f, "t", "R 1 a one\n"), STORE_STORED);
    assert_int_equal(feed_put(&f, "t", "R 2 a two\n"), STORE_STORED);
    assert_int_equal(feed_put(&f, "t", "R 3 a three\n"), STORE_STORED);
    close_unflushed(&f);
    fd = openat(f.dir, "data/wal/0000000000000001.wal", O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "damage", 6, 128 + 200), 6); /* in the second frame */
    (void)close(fd);
    assert_int_equal(store_open(&f.opt, &f.s, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, "0000000000000001.wal"));
    f.opt.recover = true;
    feed_open(&f);
    store_stats(f.s, &st);
    assert_int_equal(st.wal_skipped_frames, 1);
    while (st.flushes == 0) /* the gap record is stored, then the damaged file let go */
        store_stats(f.s, &st);
    f.opt.recover = false;
    feed_reopen(&f);
    buf_init(&b, 1 << 20);
    assert_int_equal(feed_read(&f, "t", &b), 3);
    assert_int_equal(str_find(buf_str(&b), STR("one\nthree\n")), 0);
    assert_true(str_find(buf_str(&b), STR("{\"gap\":{\"source\":\"wal\"")) != SIZE_MAX);
    buf_fini(&b);
    feed_fini(&f);
}

static void a_long_wal_is_flushed_and_trimmed_by_itself(void **state)
{
    struct feed f;
    struct store_stats st;
    char *text = malloc(1 << 20);
    (void)state;

    feed_init(&f);
    feed_open(&f);
    for (int i = 0; i < 12; i++) {
        int n = snprintf(text, 64, "R %d a ", i + 1);
        memset(text + n, 'x', 600000);
        text[n + 600000] = '\0';
        assert_int_equal(feed_put(&f, "t", text), STORE_STORED);
    }
    do
        store_stats(f.s, &st);
    while (st.flushes == 0 || st.wal_bytes > f.opt.wal_bytes);
    feed_fini(&f);
    free(text);
}

static void appends_wait_while_the_head_is_over_its_bound(void **state)
{
    struct feed f;
    struct feed_chunk *c[40];
    char *text = malloc(1 << 20);
    struct store_stats st;
    (void)state;

    feed_init(&f);
    f.opt.head_bytes = 1 << 20;
    feed_open(&f);
    for (int i = 0; i < 40; i++) {
        int n = snprintf(text, 64, "R %d a ", i + 1);
        memset(text + n, 'x', 400000);
        text[n + 400000] = '\0';
        c[i] = feed_send(&f, "t", "peer", text, "");
    }
    for (int i = 0; i < 40; i++) {
        assert_int_equal(feed_answer(c[i], NULL), STORE_STORED);
        store_stats(f.s, &st);
        assert_true(st.head_bytes < 4 * f.opt.head_bytes);
    }
    assert_true(st.flushes >= 2);
    feed_fini(&f);
    free(text);
}

static void a_chunk_of_many_days_is_stored_and_found(void **state)
{
    struct feed f;
    struct store_stats st;
    struct err err;
    struct buf text, back;
    (void)state;

    feed_init(&f);
    feed_open(&f);
    buf_init(&text, 1 << 20);
    buf_init(&back, 1 << 20);
    for (int i = 0; i < 60; i++)
        buf_addf(&text, "R %lld a line %d\n", (long long)(FEED_DAY + i * NS_PER_DAY), i);
    buf_add_char(&text, '\0');
    assert_int_equal(feed_put(&f, "t", text.p), STORE_STORED);
    assert_int_equal(store_flush(f.s, &err), 0);
    store_stats(f.s, &st);
    assert_int_equal(st.partitions, 60);
    assert_int_equal(feed_read(&f, "t", &back), 60);
    buf_fini(&text);
    buf_fini(&back);
    feed_fini(&f);
}

/* As a bad sector does it: the catalog of the only day there is answers by SQLITE_CORRUPT from now
 * on, in connections that are open, too. */
static void damage_catalog(struct feed *f, const char *tenant)
{
    char path[TMPDIR_PATH_MAX + 128];
    sqlite3 *db;

    (void)snprintf(path, sizeof(path), "%s/tenants/%s/20260110/catalog.db", f->data, tenant);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "PRAGMA writable_schema=ON;"
                                  "UPDATE sqlite_schema SET rootpage=99999 WHERE name='segments';"
                                  "PRAGMA schema_version=99",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int note_name(void *arg, int dir_fd, const char *name, struct err *err)
{
    (void)dir_fd;
    (void)err;
    if (name[0] != '.')
        (void)snprintf(arg, 32, "%s", name);
    return 0;
}

static int count_aside(void *arg, int dir_fd, const char *name, struct err *err)
{
    (void)dir_fd;
    (void)err;
    *(unsigned *)arg += strncmp(name, "catalog.db.damaged-", 19) == 0 ? 1 : 0;
    return 0;
}

static void hear(void *arg, const char *event, const char *text)
{
    char(*heard)[400] = arg;

    (void)snprintf(*heard, sizeof(*heard), "%s %s", event, text);
}

static void a_catalog_that_goes_bad_stops_nobody(void **state)
{
    struct feed f;
    struct store_stats st;
    struct err err;
    char tenant[32] = "", path[128], heard[400] = "";
    unsigned aside = 0;
    int fd;
    (void)state;

    feed_init(&f);
    f.opt.notice = hear;
    f.opt.notice_arg = &heard;
    feed_open(&f);
    assert_int_equal(feed_put(&f, "t", "P f 0 10 1\nR 1768003200000000001 a one\n"), STORE_STORED);
    assert_int_equal(store_flush(f.s, &err), 0);
    assert_int_equal(file_open_dir(f.dir, "data/tenants", &fd, &err), 0);
    assert_int_equal(file_walk(fd, note_name, tenant, &err), 0);
    (void)close(fd);
    damage_catalog(&f, tenant);
    assert_int_equal(feed_put(&f, "t", "P f 10 20 1\nR 1768003200000000002 a two\n"), STORE_STORED);
    if (store_flush(f.s, &err) != 0)
        fail_msg("%s", err.text);
    feed_check(&f, "t", "one\ntwo\n");
    store_stats(f.s, &st);
    assert_int_equal(st.catalogs_rebuilt, 1);
    assert_int_equal(st.head_records, 0);
    assert_non_null(strstr(heard, "catalog.rebuilt set aside as catalog.db.damaged-"));
    (void)snprintf(path, sizeof(path), "data/tenants/%s/20260110", tenant);
    assert_int_equal(file_open_dir(f.dir, path, &fd, &err), 0);
    assert_int_equal(file_walk(fd, count_aside, &aside, &err), 0);
    (void)close(fd);
    assert_int_equal(aside, 1);
    feed_reopen(&f);
    feed_check(&f, "t", "one\ntwo\n");
    assert_int_equal(feed_put(&f, "t", "P f 0 10 1\nR 1768003200000000001 a one\n"),
                     STORE_DUPLICATE);
    feed_fini(&f);
}

static size_t lines_of(struct feed *f, const char *app)
{
    struct str t = STR("t");
    struct matcher m;
    struct scan_request req = {.tenants = &t,
                               .n_tenants = 1,
                               .from = 0,
                               .to = INT64_MAX,
                               .matchers = &m,
                               .n_matchers = 1,
                               .order = SCAN_FORWARD};
    struct scan *sc = NULL;
    struct batch *b = NULL;
    struct err err;
    size_t n = 0;

    assert_int_equal(matcher_init(&m, MATCH_EQ, STR("app"), str_of(app), &err), 0);
    assert_int_equal(scan_open(f->s, &req, &sc, &err), 0);
    while (scan_next(sc, &b, &err) == 0) {
        n += b->n_records;
        batch_unref(&b);
    }
    scan_close(&sc);
    matcher_fini(&m);
    return n;
}

/* Delete the stream {app="b"}, with its bytes. */
static void delete_b(struct feed *f)
{
    struct matcher m;
    struct store_delete d = {.query = STR("x"),
                             .user = STR("admin"),
                             .matchers = &m,
                             .n_matchers = 1,
                             .from = 0,
                             .to = INT64_MAX};
    struct err err;

    assert_int_equal(matcher_init(&m, MATCH_EQ, STR("app"), STR("b"), &err), 0);
    assert_int_equal(store_delete_add(f->s, STR("t"), &d, &err), 0);
    matcher_fini(&m);
    time_set(FEED_DAY + 2 * STORE_DELETE_GRACE);
    assert_int_equal(store_retire(f->s, time_now(), &err), 0);
    assert_int_equal(store_compact(f->s, &err), 0);
    assert_int_equal(store_retire(f->s, time_now(), &err), 0);
}

/* One stream goes, the catalog is made again without it, another one comes: as many as before, but
 * not the same. */
static void a_new_catalog_has_its_labels_in_short_again(void **state)
{
    struct feed f;
    struct err err;
    char tenant[32] = "";
    int fd;
    (void)state;

    feed_init(&f);
    time_set(FEED_DAY);
    feed_open(&f);
    assert_int_equal(feed_put(&f, "t", "R 1768003200000000001 a one\n"), STORE_STORED);
    assert_int_equal(store_flush(f.s, &err), 0);
    assert_int_equal(feed_put(&f, "t", "R 1768003200000000002 b two\n"), STORE_STORED);
    assert_int_equal(store_flush(f.s, &err), 0);
    assert_int_equal(file_open_dir(f.dir, "data/tenants", &fd, &err), 0);
    assert_int_equal(file_walk(fd, note_name, tenant, &err), 0);
    (void)close(fd);
    delete_b(&f);
    damage_catalog(&f, tenant);
    assert_int_equal(feed_put(&f, "t", "R 1768003200000000003 c three\n"), STORE_STORED);
    assert_int_equal(store_flush(f.s, &err), 0);
    assert_int_equal(lines_of(&f, "a"), 1);
    assert_int_equal(lines_of(&f, "b"), 0);
    assert_int_equal(lines_of(&f, "c"), 1);
    feed_fini(&f);
    time_unset();
}

static int collect(void *arg, struct str key, struct str value)
{
    buf_addf(arg, "%.*s=%.*s ", STR_ARG(key), STR_ARG(value));
    return str_eq(value, STR("stop")) ? 1 : 0;
}

static void small_values_keep_their_order_and_survive(void **state)
{
    struct feed f;
    struct buf b;
    struct err err;
    (void)state;

    feed_init(&f);
    feed_open(&f);
    buf_init(&b, 100);
    assert_int_equal(store_kv_get(f.s, "x", STR("k"), &b, &err), 1);
    assert_int_equal(store_kv_put(f.s, "x", STR("b"), STR("2"), &err), 0);
    assert_int_equal(store_kv_put(f.s, "x", STR("a"), STR("1"), &err), 0);
    assert_int_equal(store_kv_put(f.s, "y", STR("c"), STR("9"), &err), 0);
    assert_int_equal(store_kv_put(f.s, "x", STR("b"), STR("3"), &err), 0);
    feed_reopen(&f);
    assert_int_equal(store_kv_each(f.s, "x", collect, &b, &err), 0);
    check_str(buf_str(&b), "a=1 b=3 ");
    buf_clear(&b);
    assert_int_equal(store_kv_get(f.s, "y", STR("c"), &b, &err), 0);
    check_str(buf_str(&b), "9");
    assert_int_equal(store_kv_put(f.s, "x", STR("a"), STR("stop"), &err), 0);
    buf_clear(&b);
    assert_int_equal(store_kv_each(f.s, "x", collect, &b, &err), 0);
    check_str(buf_str(&b), "a=stop ");
    assert_int_equal(store_kv_delete(f.s, "x", STR("a"), &err), 0);
    assert_int_equal(store_kv_delete(f.s, "x", STR("a"), &err), 0);
    assert_int_equal(store_kv_get(f.s, "x", STR("a"), &b, &err), 1);
    buf_fini(&b);
    feed_fini(&f);
}

static void small_values_lie_sealed_and_bound_to_their_place(void **state)
{
    struct feed f;
    struct buf b, file;
    struct db *db = NULL;
    struct err err;
    char path[TMPDIR_PATH_MAX + 32];
    (void)state;

    feed_init(&f);
    feed_open(&f);
    buf_init(&b, 1000);
    buf_init(&file, 16 << 20);
    assert_int_equal(store_kv_put(f.s, "x", STR("a"), STR("a-secret-of-the-tenant"), &err), 0);
    assert_int_equal(store_kv_put(f.s, "x", STR("b"), STR("another"), &err), 0);
    store_close(&f.s);
    (void)snprintf(path, sizeof(path), "%s/meta.db", f.data);
    assert_int_equal(file_read(AT_FDCWD, path, &file, &err), 0);
    assert_true(str_find(buf_str(&file), STR("a-secret-of-the-tenant")) == SIZE_MAX);
    /* exchange the two rows' values */
    assert_int_equal(db_open(path, "", 1, &db, &err), 0);
    assert_int_equal(db_exec(db,
                             "UPDATE kv SET value = (SELECT k.value FROM kv k WHERE k.key <> kv.key"
                             " AND k.space = 'x') WHERE space = 'x'",
                             &err),
                     0);
    db_close(&db);
    feed_open(&f);
    assert_int_equal(store_kv_get(f.s, "x", STR("a"), &b, &err), ERR_CORRUPT);
    buf_fini(&b);
    buf_fini(&file);
    feed_fini(&f);
}

static void the_receive_time_never_steps_back(void **state)
{
    struct feed f;
    (void)state;

    feed_init(&f);
    time_set(FEED_DAY + 100);
    feed_open(&f);
    assert_true(store_receive_time(f.s) == FEED_DAY + 100);
    time_set(FEED_DAY + 50);
    assert_true(store_receive_time(f.s) == FEED_DAY + 100);
    assert_int_equal(feed_put(&f, "t", "R 1 a a\n"), STORE_STORED);
    feed_reopen(&f);
    assert_true(store_receive_time(f.s) == FEED_DAY + 100);
    time_unset();
    feed_fini(&f);
}

struct overlaps {
    char text[512];
    size_t n;
};

static int write_overlap(void *arg, struct str peer, struct str file_id,
                         const struct store_range *range)
{
    struct overlaps *o = arg;

    o->n += (size_t)snprintf(o->text + o->n, sizeof(o->text) - o->n, "%.*s %llu-%llu ",
                             STR_ARG(file_id), (unsigned long long)range->start,
                             (unsigned long long)range->end);
    assert_true(peer.n > 0);
    return 0;
}

static void check_overlaps(struct feed *f, const char *wanted)
{
    struct overlaps o = {.n = 0};
    struct store_stats st;
    size_t n = 0;

    assert_int_equal(store_overlaps(f->s, write_overlap, &o), 0);
    assert_string_equal(o.text, wanted);
    for (const char *p = wanted; (p = strchr(p, '-')) != NULL; p++)
        n++;
    store_stats(f->s, &st);
    assert_int_equal(st.overlaps, n);
}

static void ranges_that_another_server_may_have_are_remembered(void **state)
{
    struct feed f;
    struct err err;
    (void)state;

    feed_init(&f);
    feed_open(&f);
    check_overlaps(&f, "");
    assert_int_equal(feed_put(&f, "t", "P f 0 10 1\nR 1 a one\n"), STORE_STORED);
    assert_int_equal(feed_put(&f, "t", "T f 10 20 1\nR 2 a two\n"), STORE_STORED);
    assert_int_equal(feed_put(&f, "t", "T f 0 10 1\nR 1 a one\n"), STORE_DUPLICATE);
    check_overlaps(&f, "f 10-20 "); /* what was here already was not stored by it */
    feed_reopen(&f);
    check_overlaps(&f, "f 10-20 "); /* from the WAL */
    assert_int_equal(feed_put(&f, "t", "T f 20 30 1\nR 3 a three\nP f 30 40 1\nR 4 a four\n"),
                     STORE_STORED);
    check_overlaps(&f, "f 10-30 ");
    assert_int_equal(store_flush(f.s, &err), 0);
    feed_reopen(&f);
    check_overlaps(&f, "f 10-30 "); /* from meta.db */
    feed_check(&f, "t", "one\ntwo\nthree\nfour\n");
    feed_fini(&f);
}

CHECK_MAIN(cmocka_unit_test(what_was_appended_is_searchable_before_and_after_a_flush),
           cmocka_unit_test(a_reopen_shows_the_same_flushed_or_not),
           cmocka_unit_test(a_replay_brings_back_records_ranges_and_identities),
           cmocka_unit_test(parts_are_stored_once_dropped_twice_and_refused_by_halves),
           cmocka_unit_test(a_part_that_may_be_twice_is_stored_whole_unless_it_is_known),
           cmocka_unit_test(ranges_that_another_server_may_have_are_remembered),
           cmocka_unit_test(nonsense_is_refused_with_a_reason),
           cmocka_unit_test(an_answer_comes_only_after_the_sync),
           cmocka_unit_test(one_failed_sync_goes_to_a_new_file_unseen),
           cmocka_unit_test(a_full_disk_stops_answers_and_nothing_is_lost_when_it_ends),
           cmocka_unit_test(a_full_disk_drops_the_oldest_days_where_that_is_configured),
           cmocka_unit_test(a_flush_that_fails_changes_nothing_and_the_next_one_goes_on),
           cmocka_unit_test(an_open_that_fails_can_be_tried_again),
           cmocka_unit_test(two_stores_do_not_share_a_directory),
           cmocka_unit_test(damage_in_the_wal_stops_the_start_and_recovery_leaves_a_gap_record),
           cmocka_unit_test(a_long_wal_is_flushed_and_trimmed_by_itself),
           cmocka_unit_test(appends_wait_while_the_head_is_over_its_bound),
           cmocka_unit_test(a_chunk_of_many_days_is_stored_and_found),
           cmocka_unit_test(a_catalog_that_goes_bad_stops_nobody),
           cmocka_unit_test(a_new_catalog_has_its_labels_in_short_again),
           cmocka_unit_test(small_values_keep_their_order_and_survive),
           cmocka_unit_test(small_values_lie_sealed_and_bound_to_their_place),
           cmocka_unit_test(the_receive_time_never_steps_back))
