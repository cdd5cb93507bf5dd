/*
 * storage/store_replay.c: a store is open, and decides right, before the records of its WAL are
 * back; then all of them are there, once, in order.
 */
#include "storage/store.h"

#include "base/fault.h"
#include "storage/block.h"
#include "storage/segment.h"
#include "storage/wal.h"
#include "tests/lib/feed.h"

#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

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

static int pass_over(void *arg, const struct wal_body *body, struct err *err)
{
    (void)arg;
    (void)body;
    (void)err;
    return 0;
}

/* Decoding waits here until a test lets it. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    unsigned open; /* how many may pass */
    bool starve;   /* the others hear that there is no memory, instead of waiting */
} gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false};

static int gated_decode(void *arg, const struct store_payload *p, struct batch **ret,
                        struct err *err)
{
    bool pass;

    (void)pthread_mutex_lock(&gate.mutex);
    while (gate.open == 0 && !gate.starve)
        (void)pthread_cond_wait(&gate.cond, &gate.mutex);
    pass = gate.open > 0;
    gate.open -= pass ? 1 : 0;
    (void)pthread_mutex_unlock(&gate.mutex);
    return pass ? feed_decode(arg, p, ret, err) : err_set(err, ERR_NOMEM, "none");
}

static void let(unsigned n, bool starve)
{
    (void)pthread_mutex_lock(&gate.mutex);
    gate.open = n;
    gate.starve = starve;
    (void)pthread_cond_broadcast(&gate.cond);
    (void)pthread_mutex_unlock(&gate.mutex);
}

static void open_gated(struct feed *f)
{
    struct err err;

    let(0, false);
    f->opt.decode = gated_decode;
    if (store_open(&f->opt, &f->s, &err) != 0)
        fail_msg("store_open: %s", err.text);
}

static void partial_of(struct feed *f, char ret[64])
{
    struct str t = STR("t");
    struct scan_request req = {.tenants = &t, .n_tenants = 1, .from = 0, .to = INT64_MAX};
    struct scan_stats st;
    struct scan *sc = NULL;
    struct err err;

    assert_int_equal(scan_open(f->s, &req, &sc, &err), 0);
    scan_stats(sc, &st);
    memcpy(ret, st.partial, 64);
    scan_close(&sc);
}

static void what_comes_during_a_replay_is_decided_right_and_stored(void **state)
{
    struct feed f;
    struct err err;
    char text[64];
    char reason[200];
    (void)state;

    feed_init(&f);
    f.opt.ballast_bytes = UINT64_MAX;
    feed_open(&f);
    assert_int_equal(feed_put(&f, "t", "P f 0 10 1\nR 5 a one\n"), STORE_STORED);
    assert_int_equal(feed_put(&f, "t", "P f 10 20 1\nR 5 a two\n"), STORE_STORED);
    assert_int_equal(feed_answer(feed_send(&f, "t", "foreign", "R 6 a three\n", "id"), NULL),
                     STORE_STORED);
    close_unflushed(&f);
    open_gated(&f);
    assert_int_equal(store_state(f.s, reason, sizeof(reason)), STORE_REPLAYING);
    assert_string_equal(reason, "replaying: 0 of 0 MB");
    assert_int_equal(feed_answer(feed_send(&f, "t", "peer", "P f 10 20 1\nR 5 a two\n", ""), NULL),
                     STORE_DUPLICATE); /* gated_decode is not asked: feed_send decodes itself */
    assert_int_equal(feed_answer(feed_send(&f, "t", "foreign", "R 6 a three\n", "id"), NULL),
                     STORE_DUPLICATE);
    assert_int_equal(feed_put(&f, "t", "P f 15 25 1\nR 5 a half\n"), STORE_REFUSED);
    assert_int_equal(feed_put(&f, "t", "P f 20 30 1\nR 5 a four\n"), STORE_STORED);
    feed_check(&f, "t", "four\n");
    partial_of(&f, text);
    assert_string_equal(text, "replaying: 0 of 0 MB");
    let(100, false);
    assert_int_equal(store_wait_replay(f.s, &err), 0);
    assert_int_equal(store_state(f.s, reason, sizeof(reason)), STORE_READY);
    assert_string_equal(reason, "");
    partial_of(&f, text);
    assert_string_equal(text, "");
    feed_check(&f, "t", "one\ntwo\nfour\nthree\n"); /* by time, then by number */
    assert_int_equal(store_flush(f.s, &err), 0);
    feed_check(&f, "t", "one\ntwo\nfour\nthree\n");
    feed_reopen(&f);
    feed_check(&f, "t", "one\ntwo\nfour\nthree\n");
    assert_int_equal(feed_put(&f, "t", "P f 20 30 1\nR 5 a four\n"), STORE_DUPLICATE);
    feed_fini(&f);
}

static void *wait_for_replay(void *arg)
{
    struct err err;

    return store_wait_replay(arg, &err) < 0 ? arg : NULL;
}

/* It may never be over: on a full disk. */
static void who_waits_for_a_replay_hears_that_the_store_stops(void **state)
{
    pthread_t waits;
    void *failed = NULL;
    struct feed f;
    (void)state;

    feed_init(&f);
    f.opt.ballast_bytes = UINT64_MAX;
    feed_open(&f);
    assert_int_equal(feed_put(&f, "t", "R 5 a one\n"), STORE_STORED);
    close_unflushed(&f);
    open_gated(&f);
    assert_int_equal(pthread_create(&waits, NULL, wait_for_replay, f.s), 0);
    store_stop(f.s);
    assert_int_equal(pthread_join(waits, &failed), 0);
    assert_ptr_equal(failed, f.s);
    let(100, false);
    feed_reopen(&f);
    feed_check(&f, "t", "one\n");
    feed_fini(&f);
}

static void put_lines(struct feed *f, unsigned from, unsigned to)
{
    char *text = calloc(1, 4096);

    assert_non_null(text);
    for (unsigned i = from; i < to; i++) {
        (void)snprintf(text, 4096, "P f %u %u 1\nR %" PRId64 " a line %u %03000d\n", i, i + 1,
                       FEED_DAY + (int64_t)i, i, 0);
        assert_int_equal(feed_put(f, "t", text), STORE_STORED);
    }
    free(text);
}

static void check_lines(struct feed *f, unsigned n)
{
    struct buf b;
    struct str rest;

    buf_init(&b, 64 << 20);
    assert_int_equal(feed_read(f, "t", &b), n);
    rest = buf_str(&b);
    for (unsigned i = 0; i < n; i++) {
        char want[32];
        (void)snprintf(want, sizeof(want), "line %u ", i);
        assert_true(str_starts(str_cut(&rest, '\n'), str_of(want)));
    }
    buf_fini(&b);
}

static void a_store_that_closes_during_a_replay_loses_nothing(void **state)
{
    struct feed f;
    (void)state;

    for (unsigned passed = 0; passed < 4; passed++) {
        feed_init(&f);
        f.opt.ballast_bytes = UINT64_MAX;
        feed_open(&f);
        put_lines(&f, 0, 4);
        close_unflushed(&f);
        open_gated(&f);
        let(passed, true);
        put_lines(&f, 4, 6);
        assert_int_equal(store_state(f.s, NULL, 0), STORE_REPLAYING);
        store_close(&f.s);
        let(1000, false);
        feed_open(&f);
        check_lines(&f, 6);
        feed_reopen(&f);
        check_lines(&f, 6);
        feed_fini(&f);
    }
}

static void a_replay_that_does_not_fit_is_flushed_on_its_way(void **state)
{
    struct feed f;
    struct store_stats st;
    (void)state;

    feed_init(&f);
    f.opt.ballast_bytes = UINT64_MAX;
    feed_open(&f);
    put_lines(&f, 0, 100);
    close_unflushed(&f);
    f.opt.head_bytes = 64 << 10;
    feed_open(&f);
    store_stats(f.s, &st);
    assert_true(st.flushes > 0 && st.head_bytes <= 4 * f.opt.head_bytes);
    assert_int_equal(st.replay_done_bytes, st.replay_bytes);
    check_lines(&f, 100);
    put_lines(&f, 100, 110);
    feed_reopen(&f);
    check_lines(&f, 110);
    feed_fini(&f);
}

static void put_large(struct feed *f, unsigned n)
{
    const size_t room = BLOCK_ROW_ALONE + 64;
    char *text = malloc(room);

    assert_non_null(text);
    memset(text, '.', room);
    memcpy(text + room - 2, "\n", 2);
    for (unsigned i = 0; i < n; i++) {
        int k = snprintf(text, 64, "R %" PRId64 " a ", FEED_DAY + (int64_t)i);
        text[k] = '.';
        assert_int_equal(feed_put(f, "t", text), STORE_STORED);
    }
    free(text);
}

/* Rows that have blocks of their own.  The memory for a second block says how they are encoded. */
static void what_a_replay_waits_for_is_encoded_side_by_side(void **state)
{
    struct mem_budget quiet = {.name = "quiet"};
    struct mem_budget replay = {.name = "replay"};
    struct store_stats st;
    struct feed f;
    struct err err;
    (void)state;

    feed_init(&f);
    f.opt.ballast_bytes = UINT64_MAX;
    f.opt.budget = &quiet;
    f.opt.wal_bytes = 32 << 20; /* so that it is not what makes them flush */
    feed_open(&f);
    put_large(&f, 3);
    assert_int_equal(store_flush(f.s, &err), 0);
    put_large(&f, 6);
    close_unflushed(&f);
    assert_true(quiet.peak < SEGMENT_BLOCK_MEMORY);
    f.opt.budget = &replay;
    f.opt.head_bytes = 1 << 20;
    feed_open(&f);
    store_stats(f.s, &st);
    assert_true(st.flushes > 0);
    assert_true(replay.peak >= SEGMENT_BLOCK_MEMORY);
    feed_fini(&f);
    assert_int_equal(replay.used, 0);
}

/* The new records are more than all that heads may have: what is old must still come back. */
static void a_large_request_during_a_replay_does_not_stop_it(void **state)
{
    enum { LINES = 100, LINE = 3000 };
    char *text = calloc(LINES, LINE + 64);
    size_t n = 0;
    struct feed f;
    struct err err;
    (void)state;

    assert_non_null(text);
    feed_init(&f);
    f.opt.ballast_bytes = UINT64_MAX;
    feed_open(&f);
    put_lines(&f, 0, 10);
    close_unflushed(&f);
    f.opt.head_bytes = 16 << 10;
    open_gated(&f);
    for (int i = 0; i < LINES; i++)
        n += (size_t)snprintf(text + n, LINE + 64, "R %" PRId64 " a line %d %0*d\n",
                              FEED_DAY + 10 + (int64_t)i, 10 + i, LINE, 0);
    assert_int_equal(feed_put(&f, "t", text), STORE_STORED);
    let(1000, false);
    assert_int_equal(store_wait_replay(f.s, &err), 0);
    check_lines(&f, 10 + LINES);
    feed_fini(&f);
    free(text);
}

static void flushes_that_fail_during_a_replay_cost_nothing(void **state)
{
    static const char *const POINTS[] = {"segment.", "catalog.", "flush.commit", "meta."};
    (void)state;

    for (size_t p = 0; p < sizeof(POINTS) / sizeof(*POINTS); p++) {
        for (unsigned n = 0; n < 3; n++) {
            struct feed f;

            feed_init(&f);
            f.opt.ballast_bytes = UINT64_MAX;
            feed_open(&f);
            put_lines(&f, 0, 60);
            close_unflushed(&f);
            f.opt.head_bytes = 64 << 10;
            fault_start(POINTS[p]);
            for (unsigned i = 0; i <= n; i++)
                (void)fault_next();
            feed_open(&f);
            while (fault_next())
                ;
            check_lines(&f, 60);
            feed_reopen(&f);
            check_lines(&f, 60);
            feed_fini(&f);
        }
    }
}

static int broken_decode(void *arg, const struct store_payload *p, struct batch **ret,
                         struct err *err)
{
    (void)arg;
    (void)p;
    (void)ret;
    return err_set(err, ERR_CORRUPT, "no such payload");
}

/* No line is there but the one that tells of the gap, which is stored at its own time. */
static void only_a_gap(struct feed *f)
{
    struct buf b;
    size_t n;

    buf_init(&b, 1 << 20);
    n = feed_read(f, "t", &b);
    assert_in_range(n, 0, 1);
    assert_true(n == 0 || str_starts(buf_str(&b), STR("{\"gap\":{\"source\":\"wal\",")));
    buf_fini(&b);
}

static void a_payload_that_does_not_decode_stops_acceptance(void **state)
{
    struct feed f;
    struct err err;
    char reason[200];
    (void)state;

    feed_init(&f);
    f.opt.ballast_bytes = UINT64_MAX;
    feed_open(&f);
    put_lines(&f, 0, 2);
    close_unflushed(&f);
    f.opt.decode = broken_decode;
    assert_int_equal(store_open(&f.opt, &f.s, &err), 0);
    assert_int_equal(store_wait_replay(f.s, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, ".wal"));
    assert_int_equal(store_state(f.s, reason, sizeof(reason)), STORE_BROKEN);
    assert_string_equal(reason, err.text);
    assert_int_equal(feed_put(&f, "t", "P f 7 8 1\nR 5 a x\n"), STORE_FAILED);
    assert_int_equal(store_flush(f.s, &err), ERR_CORRUPT);
    store_close(&f.s);
    f.opt.recover = true; /* then it is a gap */
    feed_open(&f);
    only_a_gap(&f);
    assert_int_equal(feed_put(&f, "t", "P f 0 1 1\nR 5 a x\n"), STORE_DUPLICATE);
    feed_reopen(&f);
    store_close(&f.s);
    f.opt.decode = feed_decode;
    f.opt.recover = false;
    feed_open(&f);
    feed_fini(&f);
}

/* A body behind the WAL's last that nobody can read. */
static void add_garbage(struct feed *f)
{
    struct wal_options opt = {.file_bytes = 1 << 20, .recover = false};
    struct str body = STR("this is no entry");
    char path[TMPDIR_PATH_MAX + 32];
    struct keyring *keys = NULL;
    struct wal *w = NULL;
    uint8_t key[KEY_BYTES];
    uint64_t pos;
    struct err err;

    (void)snprintf(path, sizeof(path), "%s/keyring.db", f->data);
    assert_int_equal(keyring_open(path, f->master, &keys, &err), 0);
    assert_int_equal(keyring_wal(keys, key, &err), 0);
    keyring_close(&keys);
    (void)snprintf(path, sizeof(path), "%s/wal", f->data);
    assert_int_equal(file_open_dir(AT_FDCWD, path, &opt.dir_fd, &err), 0);
    opt.key = key;
    assert_int_equal(wal_open(&opt, &w, &err), 0);
    assert_int_equal(wal_replay(w, pass_over, NULL, &err), 0);
    assert_int_equal(wal_append(w, &body, 1, &pos, &err), 0);
    assert_int_equal(wal_sync(w, &err), 0);
    wal_close(&w);
    (void)close(opt.dir_fd);
}

static void a_gap_is_told_once(void **state)
{
    struct feed f;
    struct err err;
    struct buf b;
    (void)state;

    feed_init(&f);
    f.opt.ballast_bytes = UINT64_MAX;
    feed_open(&f);
    put_lines(&f, 0, 2);
    close_unflushed(&f);
    add_garbage(&f);
    assert_int_equal(store_open(&f.opt, &f.s, &err), ERR_CORRUPT);
    f.opt.recover = true;
    feed_open(&f);
    assert_int_equal(feed_put(&f, "t", "P f 2 3 1\nR 5 a done\n"), STORE_STORED);
    feed_reopen(&f); /* whatever the replay sent is answered */
    buf_init(&b, 1 << 20);
    assert_int_equal(feed_read(&f, "t", &b), 4);
    buf_fini(&b);
    feed_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_waits_for_a_replay_hears_that_the_store_stops),
        cmocka_unit_test(what_comes_during_a_replay_is_decided_right_and_stored),
        cmocka_unit_test(a_store_that_closes_during_a_replay_loses_nothing),
        cmocka_unit_test(a_large_request_during_a_replay_does_not_stop_it),
        cmocka_unit_test(a_replay_that_does_not_fit_is_flushed_on_its_way),
        cmocka_unit_test(what_a_replay_waits_for_is_encoded_side_by_side),
        cmocka_unit_test(flushes_that_fail_during_a_replay_cost_nothing),
        cmocka_unit_test(a_payload_that_does_not_decode_stops_acceptance),
        cmocka_unit_test(a_gap_is_told_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
