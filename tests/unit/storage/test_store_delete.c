/* storage/store_delete.c, tombstone.c, hide.c: what a delete request hides, from whom, since when,
 * and what it must not touch. */
#include "storage/store.h"

#include "base/fault.h"
#include "storage/tombstone.h"
#include "tests/lib/feed.h"

#define AT(minutes) (FEED_DAY + (minutes)*NS_PER_MIN)

static void init(struct feed *f)
{
    feed_init(f);
    time_set(AT(600));
    feed_open(f);
}

static void fini(struct feed *f)
{
    feed_fini(f);
    time_unset();
}

static void put(struct feed *f, const char *tenant, int minute, const char *app, const char *line)
{
    char text[256];

    (void)snprintf(text, sizeof(text), "R %lld %s %s\n", (long long)AT(minute), app, line);
    assert_int_equal(feed_put(f, tenant, text), STORE_STORED);
}

static void flush(struct feed *f)
{
    struct err err;

    if (store_flush(f->s, &err) != 0)
        fail_msg("flush: %s", err.text);
}

/* Delete {app="<app>"} of tenant t over [from, to) minutes; `needle` (may be NULL) in the line. */
static int del(struct feed *f, const char *app, int from, int to, const char *needle,
               struct store_delete *d, struct err *err)
{
    struct str text = str_of(needle);
    struct store_delete_filter filter = {.text = &text, .n = 1};
    struct matcher m;
    int r;

    assert_int_equal(matcher_init(&m, MATCH_EQ, STR("app"), str_of(app), err), 0);
    *d = (struct store_delete){.query = str_of("as written"),
                               .user = str_of("admin"),
                               .matchers = &m,
                               .n_matchers = 1,
                               .filters = &filter,
                               .n_filters = needle != NULL,
                               .from = AT(from),
                               .to = AT(to)};
    r = store_delete_add(f->s, STR("t"), d, err);
    matcher_fini(&m);
    return r;
}

static struct store_delete must_del(struct feed *f, const char *app, int from, int to,
                                    const char *needle)
{
    struct store_delete d;
    struct err err;

    if (del(f, app, from, to, needle, &d, &err) != 0)
        fail_msg("delete: %s", err.text);
    return d;
}

/* Everything that follows is asked of records in memory, then of the same in a segment. */
static void check_both(struct feed *f, const char *lines)
{
    feed_check(f, "t", lines);
    flush(f);
    feed_check(f, "t", lines);
    feed_reopen(f);
    feed_check(f, "t", lines);
}

static void a_request_hides_its_streams_and_times_at_once(void **state)
{
    struct feed f;
    (void)state;

    init(&f);
    put(&f, "t", 1, "a", "a1");
    put(&f, "t", 2, "a", "a2");
    put(&f, "t", 2, "b", "b2");
    put(&f, "t", 3, "a", "a3");
    put(&f, "u", 2, "a", "another tenant's");
    (void)must_del(&f, "a", 2, 3, NULL);
    check_both(&f, "a1\nb2\na3\n");
    feed_check(&f, "u", "another tenant's\n");
    fini(&f);
}

static void a_line_filter_hides_only_the_lines_it_finds(void **state)
{
    struct feed f;
    (void)state;

    init(&f);
    put(&f, "t", 1, "a", "user 17 in");
    put(&f, "t", 2, "a", "user 4 in");
    put(&f, "t", 3, "a", "user 17 out");
    put(&f, "t", 3, "b", "user 17 in b");
    (void)must_del(&f, "a", 0, 100, "user 17");
    check_both(&f, "user 4 in\nuser 17 in b\n");
    fini(&f);
}

/* Deleted is what was there: the same request says nothing about what comes. */
static void what_arrives_later_is_not_hidden(void **state)
{
    struct feed f;
    (void)state;

    init(&f);
    put(&f, "t", 1, "a", "before");
    (void)must_del(&f, "a", 0, 100, NULL);
    put(&f, "t", 1, "a", "after");
    check_both(&f, "after\n"); /* one segment that holds both */
    put(&f, "t", 2, "a", "later still");
    check_both(&f, "after\nlater still\n");
    fini(&f);
}

static void several_requests_and_segments_add_up(void **state)
{
    struct feed f;
    (void)state;

    init(&f);
    put(&f, "t", 1, "a", "one");
    flush(&f);
    put(&f, "t", 2, "a", "two");
    flush(&f);
    put(&f, "t", 3, "a", "three");
    (void)must_del(&f, "a", 1, 2, NULL);
    (void)must_del(&f, "a", 3, 4, "thr");
    (void)must_del(&f, "a", 0, 100, "nowhere");
    check_both(&f, "two\n");
    fini(&f);
}

static int count_stream(void *arg, const struct labels *l)
{
    (void)l;
    (*(unsigned *)arg)++;
    return 0;
}

static unsigned streams(struct feed *f)
{
    struct str t = STR("t");
    struct scan_request req = {.tenants = &t, .n_tenants = 1, .from = 0, .to = INT64_MAX};
    struct err err;
    unsigned n = 0;

    assert_int_equal(scan_streams(f->s, &req, count_stream, &n, &err), 0);
    return n;
}

static void a_stream_of_which_nothing_is_left_is_not_listed(void **state)
{
    struct feed f;
    (void)state;

    init(&f);
    put(&f, "t", 1, "a", "a");
    put(&f, "t", 1, "b", "b");
    put(&f, "t", 9, "b", "b again");
    flush(&f);
    (void)must_del(&f, "a", 0, 100, NULL);
    (void)must_del(&f, "b", 0, 5, NULL);
    assert_int_equal(streams(&f), 1);
    fini(&f);
}

static int note_delete(void *arg, const struct store_delete *d)
{
    struct buf *out = arg;

    buf_addf(out, "%s %.*s %.*s %lld %lld %d\n", d->id, STR_ARG(d->query), STR_ARG(d->user),
             (long long)((d->from - FEED_DAY) / NS_PER_MIN),
             (long long)((d->to - FEED_DAY) / NS_PER_MIN), (int)d->state);
    return 0;
}

static void check_list(struct feed *f, const char *want)
{
    struct buf b;

    buf_init(&b, 1 << 16);
    assert_int_equal(store_deletes(f->s, STR("t"), note_delete, &b), 0);
    check_str(buf_str(&b), want);
    buf_fini(&b);
}

static void requests_are_listed_and_outlive_a_restart(void **state)
{
    struct feed f;
    struct store_stats st;
    (void)state;

    init(&f);
    put(&f, "t", 1, "a", "a");
    (void)must_del(&f, "a", 0, 5, NULL);
    (void)must_del(&f, "a", 5, 9, "x");
    check_list(&f, "0000000000000001 as written admin 0 5 0\n"
                   "0000000000000002 as written admin 5 9 0\n");
    feed_reopen(&f);
    check_list(&f, "0000000000000001 as written admin 0 5 0\n"
                   "0000000000000002 as written admin 5 9 0\n");
    store_stats(f.s, &st);
    assert_int_equal(st.deletes, 2);
    fini(&f);
}

static void a_cancelled_request_shows_its_records_again(void **state)
{
    struct store_delete d;
    struct feed f;
    struct err err;
    (void)state;

    init(&f);
    put(&f, "t", 1, "a", "a");
    d = must_del(&f, "a", 0, 5, NULL);
    feed_check(&f, "t", "");
    assert_int_equal(store_delete_cancel(f.s, STR("u"), str_of(d.id), false, &err), ERR_GONE);
    assert_int_equal(store_delete_cancel(f.s, STR("t"), STR("00"), false, &err), ERR_GONE);
    assert_int_equal(store_delete_cancel(f.s, STR("t"), str_of(d.id), false, &err), 0);
    check_list(&f, "");
    check_both(&f, "a\n");
    fini(&f);
}

/* Whoever cancels the first one twice must not meet another's. */
static void a_cancelled_number_never_comes_again(void **state)
{
    struct store_delete one, two;
    struct feed f;
    struct err err;
    (void)state;

    init(&f);
    put(&f, "t", 1, "a", "a");
    one = must_del(&f, "a", 0, 5, NULL);
    assert_int_equal(store_delete_cancel(f.s, STR("t"), str_of(one.id), false, &err), 0);
    feed_reopen(&f);
    two = must_del(&f, "a", 0, 5, NULL);
    assert_string_equal(two.id, "0000000000000002");
    feed_reopen(&f);
    assert_int_equal(store_delete_cancel(f.s, STR("t"), str_of(one.id), false, &err), ERR_GONE);
    assert_int_equal(store_delete_cancel(f.s, STR("t"), str_of(two.id), false, &err), 0);
    fini(&f);
}

static void after_a_day_only_force_cancels(void **state)
{
    struct store_delete d;
    struct feed f;
    struct err err;
    (void)state;

    init(&f);
    put(&f, "t", 1, "a", "a");
    d = must_del(&f, "a", 0, 5, NULL);
    time_set(AT(600) + STORE_DELETE_GRACE);
    assert_int_equal(store_delete_cancel(f.s, STR("t"), str_of(d.id), false, &err), ERR_INVALID);
    assert_int_equal(store_delete_cancel(f.s, STR("t"), str_of(d.id), true, &err), 0);
    fini(&f);
}

static void step(struct feed *f)
{
    struct err err;

    if (store_retire(f->s, time_now(), &err) != 0)
        fail_msg("retire: %s", err.text);
}

static void compact(struct feed *f)
{
    struct err err;

    if (store_compact(f->s, &err) != 0)
        fail_msg("compact: %s", err.text);
}

static uint64_t left_out(struct feed *f)
{
    struct store_stats st;

    store_stats(f->s, &st);
    return st.compacted_rows_left_out;
}

/* Records and the labels of streams that had no others, within a day of the request. */
static void the_bytes_go_when_it_cannot_be_taken_back_any_more(void **state)
{
    struct store_delete d;
    struct feed f;
    struct err err;
    (void)state;

    init(&f);
    put(&f, "t", 1, "a", "a");
    put(&f, "t", 1, "b", "user 17");
    put(&f, "t", 2, "b", "user 4");
    put(&f, "t", 2000, "b", "user 17, the day after");
    flush(&f);
    d = must_del(&f, "a", 0, 100, NULL);
    (void)must_del(&f, "b", 0, 3000, "user 17");
    step(&f);
    compact(&f);
    assert_int_equal(left_out(&f), 0); /* all of it could still be asked back */
    time_set(AT(600) + STORE_DELETE_GRACE);
    step(&f);
    feed_reopen(&f);
    step(&f); /* what is started is not done */
    check_list(&f, "0000000000000001 as written admin 0 100 1\n"
                   "0000000000000002 as written admin 0 3000 1\n");
    compact(&f);
    assert_int_equal(left_out(&f), 3);
    feed_check(&f, "t", "user 4\n");
    step(&f);
    check_list(&f, "0000000000000001 as written admin 0 100 2\n"
                   "0000000000000002 as written admin 0 3000 2\n");
    feed_check(&f, "t", "user 4\n"); /* and nothing hides any more */
    assert_int_equal(streams(&f), 1);
    assert_int_equal(store_delete_cancel(f.s, STR("t"), str_of(d.id), true, &err), ERR_INVALID);
    put(&f, "t", 1, "a", "anew");
    flush(&f);
    feed_check(&f, "t", "anew\nuser 4\n");
    fini(&f);
}

struct forgotten {
    unsigned n, others;
};

static void note_forgotten(void *arg, struct str tenant)
{
    struct forgotten *g = arg;

    g->n += str_eq(tenant, STR("t"));
    g->others += !str_eq(tenant, STR("t"));
}

static void what_was_made_of_the_records_is_to_be_forgotten(void **state)
{
    struct forgotten g = {0};
    struct store_delete d;
    struct feed f;
    struct err err;
    (void)state;

    feed_init(&f);
    time_set(AT(600));
    f.opt.forget = note_forgotten;
    f.opt.forget_arg = &g;
    feed_open(&f);
    put(&f, "t", 1, "a", "a");
    put(&f, "t", 1, "b", "b");
    put(&f, "u", 1, "a", "another tenant's");
    flush(&f);
    assert_int_equal(g.n, 0);
    d = must_del(&f, "a", 0, 5, NULL);
    assert_int_equal(g.n, 1); /* it hides */
    assert_int_equal(store_delete_cancel(f.s, STR("t"), str_of(d.id), false, &err), 0);
    assert_int_equal(g.n, 2);
    d = must_del(&f, "a", 0, 5, NULL);
    time_set(AT(600) + STORE_DELETE_GRACE);
    step(&f);
    g.n = 0;
    compact(&f);
    assert_int_equal(g.n, 1); /* its records are left out */
    step(&f);
    assert_int_equal(g.n, 2); /* it is processed */
    assert_int_equal(g.others, 0);
    fini(&f);
}

static void read_to_the_end(struct scan *sc)
{
    struct batch *b;
    struct err err;
    int r;

    while ((r = scan_next(sc, &b, &err)) == 0)
        batch_unref(&b);
    assert_int_equal(r, 1);
}

/* Who reads while the segments are written anew brings pieces of the old ones into memory. */
static void nothing_of_it_is_left_in_memory_when_it_is_processed(void **state)
{
    const struct str t = STR("t");
    const struct scan_request req = {
        .tenants = &t, .n_tenants = 1, .from = 0, .to = INT64_MAX, .need_line = true};
    struct store_stats st;
    struct scan *sc;
    struct feed f;
    struct err err;
    (void)state;

    init(&f);
    put(&f, "t", 1, "a", "a");
    put(&f, "t", 1, "b", "b");
    flush(&f);
    (void)must_del(&f, "a", 0, 5, NULL);
    time_set(AT(600) + STORE_DELETE_GRACE);
    step(&f);
    assert_int_equal(scan_open(f.s, &req, &sc, &err), 0);
    compact(&f);
    read_to_the_end(sc);
    scan_close(&sc);
    store_stats(f.s, &st);
    assert_true(st.cache_entries > 0);
    put(&f, "u", 1, "a", "a");
    flush(&f);
    put(&f, "u", 2, "a", "b");
    flush(&f);
    compact(&f); /* an exchange, and with it goes the file that waited for its reader */
    step(&f);
    check_list(&f, "0000000000000001 as written admin 0 5 2\n");
    store_stats(f.s, &st);
    assert_int_equal(st.cache_entries, 0);
    feed_check(&f, "t", "b\n");
    fini(&f);
}

/* A segment that comes into being behind the marking would be nobody's business. */
static void a_request_is_not_started_before_its_records_are_in_segments(void **state)
{
    struct feed f;
    (void)state;

    init(&f);
    put(&f, "t", 1, "b", "b");
    flush(&f);
    put(&f, "t", 1, "a", "a");
    (void)must_del(&f, "a", 0, 100, NULL);
    time_set(AT(600) + STORE_DELETE_GRACE);
    step(&f);
    flush(&f);
    for (int i = 0; i < 3; i++) {
        compact(&f);
        step(&f);
        feed_check(&f, "t", "b\n");
    }
    check_list(&f, "0000000000000001 as written admin 0 100 2\n");
    assert_int_equal(left_out(&f), 1);
    fini(&f);
}

/* What compaction does for one request takes nothing of another that is young. */
static void a_young_request_keeps_its_bytes(void **state)
{
    struct store_delete d;
    struct feed f;
    struct err err;
    (void)state;

    init(&f);
    put(&f, "t", 1, "a", "a");
    put(&f, "t", 1, "b", "b");
    put(&f, "t", 1, "c", "c");
    flush(&f);
    (void)must_del(&f, "a", 0, 100, NULL);
    time_set(AT(600) + STORE_DELETE_GRACE);
    d = must_del(&f, "b", 0, 100, NULL);
    step(&f);
    compact(&f);
    step(&f);
    assert_int_equal(left_out(&f), 1);
    feed_check(&f, "t", "c\n");
    assert_int_equal(store_delete_cancel(f.s, STR("t"), str_of(d.id), false, &err), 0);
    feed_check(&f, "t", "b\nc\n");
    fini(&f);
}

/* Chunks of one stream {app="a", source="auditd"}. */
static int decode_audit(void *arg, const struct store_payload *p, struct batch **ret,
                        struct err *err)
{
    struct label v[] = {{STR("app"), STR("a")}, {STR("source"), STR("auditd")}};
    struct labels l = {v, 2};
    struct batch *b = batch_new(NULL, 1 << 20);
    struct record rec = {.ts = AT(1), .line = STR("who did what")};
    int r = batch_stream(b, &l, &rec.stream, err);

    (void)arg;
    (void)p;
    if (r == 0)
        r = batch_add(b, &rec, err);
    *ret = b;
    return r;
}

static void evidence_is_refused_and_never_hidden(void **state)
{
    struct store_delete d;
    struct feed f;
    struct err err;
    (void)state;

    init(&f);
    put(&f, "t", 1, "a", "a");
    flush(&f); /* its chunk is not replayed */
    (void)must_del(&f, "a", 0, 5, NULL);
    f.make = decode_audit;
    put(&f, "t", 1, "a", "");
    assert_int_equal(del(&f, "a", 0, 5, NULL, &d, &err), ERR_DENIED);
    flush(&f);
    assert_int_equal(del(&f, "a", 0, 5, NULL, &d, &err), ERR_DENIED);
    assert_int_equal(del(&f, "a", 2, 5, NULL, &d, &err), 0); /* not at that time */
    feed_check(&f, "t", "who did what\n");
    fini(&f);
}

static void requests_that_say_nothing_are_refused(void **state)
{
    struct store_delete d = {.to = 1};
    struct feed f;
    struct err err;
    (void)state;

    init(&f);
    assert_int_equal(store_delete_add(f.s, STR("t"), &d, &err), ERR_INVALID);
    assert_int_equal(del(&f, "a", 1, 2, NULL, &d, &err), ERR_GONE);
    put(&f, "t", 1, "a", "a");
    assert_int_equal(del(&f, "a", 2, 2, NULL, &d, &err), ERR_INVALID);
    feed_check(&f, "t", "a\n");
    fini(&f);
}

static void a_request_that_is_not_durable_hides_nothing(void **state)
{
    unsigned failed = 0;
    (void)state;

    FAULT_EACH("delete.") {
        struct store_delete d;
        struct feed f;
        struct err err;

        init(&f);
        put(&f, "t", 1, "a", "a");
        if (del(&f, "a", 0, 5, NULL, &d, &err) != 0) {
            failed++;
            assert_int_equal(err.code, ERR_IO);
            feed_check(&f, "t", "a\n");
            check_list(&f, "");
            (void)must_del(&f, "a", 0, 5, NULL);
        }
        feed_check(&f, "t", "");
        fini(&f);
    }
    assert_int_equal(failed, 1);
}

/* Any cut and any changed byte of a stored request is refused or gives some request: no crash. */
static void damaged_bytes_are_refused(void **state)
{
    struct str texts[] = {STR_INIT("one"), STR_INIT("t(w)o")};
    struct store_delete_filter filter = {.regexp = true, .text = texts, .n = 2};
    struct tombstone *t = NULL;
    struct matcher m;
    struct store_delete d = {.query = STR_INIT("{a=\"b\"}"),
                             .matchers = &m,
                             .n_matchers = 1,
                             .filters = &filter,
                             .n_filters = 1,
                             .to = 77};
    struct buf b;
    struct err err;
    (void)state;

    assert_int_equal(matcher_init(&m, MATCH_RE, STR("a"), STR("b|c"), &err), 0);
    assert_int_equal(tombstone_new(7, 8, &d, 9, &t, &err), 0);
    buf_init(&b, 1 << 16);
    tombstone_put(t, STORE_DELETE_PROCESSED, &b);
    tombstone_unref(&t);
    assert_int_equal(tombstone_get(7, buf_str(&b), &t, &err), 0);
    assert_int_equal(tombstone_state(t), STORE_DELETE_PROCESSED);
    assert_int_equal(tombstone_seq(t), 9);
    assert_true(tombstone_hits_line(t, STR("the two of us")));
    assert_false(tombstone_hits_line(t, STR("neither")));
    tombstone_unref(&t);
    for (size_t n = 0; n < b.n; n++)
        assert_int_not_equal(tombstone_get(7, (struct str){b.p, n}, &t, &err), 0);
    for (size_t i = 0; i < b.n; i++)
        for (int bit = 0; bit < 8; bit++) {
            b.p[i] = (char)(b.p[i] ^ 1 << bit);
            if (tombstone_get(7, buf_str(&b), &t, &err) == 0)
                tombstone_unref(&t);
            b.p[i] = (char)(b.p[i] ^ 1 << bit);
        }
    buf_fini(&b);
    matcher_fini(&m);
}

CHECK_MAIN(cmocka_unit_test(a_request_hides_its_streams_and_times_at_once),
           cmocka_unit_test(a_line_filter_hides_only_the_lines_it_finds),
           cmocka_unit_test(what_arrives_later_is_not_hidden),
           cmocka_unit_test(several_requests_and_segments_add_up),
           cmocka_unit_test(a_stream_of_which_nothing_is_left_is_not_listed),
           cmocka_unit_test(requests_are_listed_and_outlive_a_restart),
           cmocka_unit_test(a_cancelled_request_shows_its_records_again),
           cmocka_unit_test(a_cancelled_number_never_comes_again),
           cmocka_unit_test(after_a_day_only_force_cancels),
           cmocka_unit_test(the_bytes_go_when_it_cannot_be_taken_back_any_more),
           cmocka_unit_test(what_was_made_of_the_records_is_to_be_forgotten),
           cmocka_unit_test(nothing_of_it_is_left_in_memory_when_it_is_processed),
           cmocka_unit_test(a_request_is_not_started_before_its_records_are_in_segments),
           cmocka_unit_test(a_young_request_keeps_its_bytes),
           cmocka_unit_test(evidence_is_refused_and_never_hidden),
           cmocka_unit_test(requests_that_say_nothing_are_refused),
           cmocka_unit_test(a_request_that_is_not_durable_hides_nothing),
           cmocka_unit_test(damaged_bytes_are_refused))
