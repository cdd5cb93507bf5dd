/* storage/catalog_summary.c, and meta.db's copy of it: days that cannot match are not opened, and
 * what the summary says is what the catalog would. */
#include "storage/catalog_summary.h"

#include "tests/lib/feed.h"

static void init(struct feed *f)
{
    feed_init(f);
    time_set(FEED_DAY + NS_PER_H);
    feed_open(f);
}

static void fini(struct feed *f)
{
    feed_fini(f);
    time_unset();
}

static void put(struct feed *f, int day, const char *app)
{
    char text[256];

    (void)snprintf(text, sizeof(text), "R %lld %s line\n",
                   (long long)(FEED_DAY + day * NS_PER_DAY + NS_PER_MIN), app);
    assert_int_equal(feed_put(f, "t", text), STORE_STORED);
}

static void flush(struct feed *f)
{
    struct err err;

    if (store_flush(f->s, &err) != 0)
        fail_msg("flush: %s", err.text);
}

/* Records found by one matcher on app; *opened: days that were opened for it. */
static size_t find(struct feed *f, enum match_op op, const char *value, uint64_t *opened)
{
    struct str t = STR("t");
    struct matcher m;
    struct scan_request req = {
        .tenants = &t, .n_tenants = 1, .matchers = &m, .n_matchers = 1, .to = INT64_MAX};
    struct scan_stats st;
    struct scan *sc = NULL;
    struct batch *b = NULL;
    struct err err;
    size_t n = 0;

    assert_int_equal(matcher_init(&m, op, STR("app"), str_of(value), &err), 0);
    assert_int_equal(scan_open(f->s, &req, &sc, &err), 0);
    while (scan_next(sc, &b, &err) == 0) {
        n += b->n_records;
        batch_unref(&b);
    }
    scan_stats(sc, &st);
    *opened = st.partitions;
    scan_close(&sc);
    matcher_fini(&m);
    return n;
}

static void days_that_cannot_match_are_not_opened(void **state)
{
    struct feed f;
    uint64_t opened;
    (void)state;

    init(&f);
    put(&f, -2, "a");
    put(&f, -1, "b");
    put(&f, 0, "c");
    flush(&f);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(find(&f, MATCH_EQ, "b", &opened), 1);
        assert_int_equal(opened, 1);
        assert_int_equal(find(&f, MATCH_EQ, "none", &opened), 0);
        assert_int_equal(opened, 0);
        assert_int_equal(find(&f, MATCH_RE, "[ac]", &opened), 2);
        assert_int_equal(opened, 2);
        assert_int_equal(find(&f, MATCH_NE, "a", &opened), 2);
        assert_int_equal(opened, 3); /* a stream without app would match */
        feed_reopen(&f);
    }
    put(&f, -2, "none"); /* a stream that comes later is in it */
    flush(&f);
    assert_int_equal(find(&f, MATCH_EQ, "none", &opened), 1);
    assert_int_equal(opened, 1);
    fini(&f);
}

static int note_text(void *arg, struct str text)
{
    struct buf *b = arg;

    buf_add_str(b, text);
    buf_add_char(b, ' ');
    return 0;
}

static void check_labels(struct feed *f, const char *name, const char *want)
{
    struct str t = STR("t");
    struct scan_request req = {.tenants = &t, .n_tenants = 1, .to = INT64_MAX};
    struct buf b;
    struct err err;

    buf_init(&b, 1 << 20);
    if (scan_labels(f->s, &req, str_of(name), note_text, &b, &err) != 0)
        fail_msg("%s", err.text);
    check_str(buf_str(&b), want);
    buf_fini(&b);
}

/* With the catalog gone from under it, whoever opened the day would say so. */
static void listings_of_whole_days_open_no_catalog(void **state)
{
    char command[TMPDIR_PATH_MAX + 64];
    struct feed f;
    (void)state;

    init(&f);
    put(&f, -1, "b");
    put(&f, -1, "a");
    flush(&f);
    store_close(&f.s);
    (void)snprintf(command, sizeof(command), "rm -r '%s'/tenants/*/*", f.data);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    assert_int_equal(system(command), 0);
    feed_open(&f);
    check_labels(&f, "", "app ");
    check_labels(&f, "app", "a b ");
    check_labels(&f, "none", "");
    fini(&f);
}

static void a_label_with_many_values_is_asked_of_the_catalog(void **state)
{
    struct feed f;
    uint64_t opened;
    (void)state;

    init(&f);
    for (int i = 0; i < 70; i++) {
        char app[16];
        (void)snprintf(app, sizeof(app), "app-%d", i);
        put(&f, -1, app);
    }
    flush(&f);
    assert_int_equal(find(&f, MATCH_EQ, "none", &opened), 0);
    assert_int_equal(opened, 1);
    assert_int_equal(find(&f, MATCH_EQ, "app-69", &opened), 1);
    fini(&f);
}

/* {a="1", b="2"}: one name known, one with too many values; then every cut and flipped byte. */
static void damage_means_perhaps(void **state)
{
    static const char PLAIN[] = "\1\2\1a\1\0011\1b\0";
    struct str s = {PLAIN, sizeof(PLAIN) - 1};
    struct matcher m;
    struct err err;
    struct buf out;
    (void)state;

    buf_init(&out, 1 << 10);
    assert_int_equal(matcher_init(&m, MATCH_EQ, STR("a"), STR("2"), &err), 0);
    assert_false(catalog_summary_may_match(s, &m, 1));
    assert_int_equal(catalog_summary_each(s, STR("a"), note_text, &out), 0);
    check_str(buf_str(&out), "1 ");
    assert_int_equal(catalog_summary_each(s, STR("b"), note_text, &out), 1);
    assert_int_equal(catalog_summary_each(s, STR("c"), note_text, &out), 0);
    assert_true(catalog_summary_may_match((struct str){PLAIN, 1}, &m, 1));
    for (size_t n = 0; n < s.n; n++)
        for (unsigned v = 0; v < 256; v++) {
            char copy[sizeof(PLAIN)];
            memcpy(copy, PLAIN, sizeof(PLAIN));
            copy[n] = (char)v;
            (void)catalog_summary_may_match((struct str){copy, s.n}, &m, 1);
            buf_clear(&out);
            (void)catalog_summary_each((struct str){copy, s.n}, STR(""), note_text, &out);
            (void)catalog_summary_each((struct str){copy, n}, STR("a"), note_text, &out);
        }
    matcher_fini(&m);
    buf_fini(&out);
}

CHECK_MAIN(cmocka_unit_test(days_that_cannot_match_are_not_opened),
           cmocka_unit_test(listings_of_whole_days_open_no_catalog),
           cmocka_unit_test(a_label_with_many_values_is_asked_of_the_catalog),
           cmocka_unit_test(damage_means_perhaps))
