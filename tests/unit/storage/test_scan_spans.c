/* storage/scan_spans.c: a span's state changes with everything that scans of it could see. */
#include "storage/scan.h"

#include "tests/lib/feed.h"

#define AT(minutes) (FEED_DAY + (minutes)*NS_PER_MIN)

static void init(struct feed *f)
{
    feed_init(f);
    time_set(AT(600));
}

static void fini(struct feed *f)
{
    feed_fini(f);
    time_unset();
}

static void put(struct feed *f, const char *tenant, int minute, const char *app)
{
    char text[256];

    (void)snprintf(text, sizeof(text), "R %lld %s line\n", (long long)AT(minute), app);
    assert_int_equal(feed_put(f, tenant, text), STORE_STORED);
}

static void flush(struct feed *f)
{
    struct err err;

    if (store_flush(f->s, &err) != 0)
        fail_msg("flush: %s", err.text);
}

/* The state of [from, to) minutes of tenant t. */
static uint64_t state_of(struct feed *f, int from, int to)
{
    struct str tenant = STR("t");
    struct scan_request req = {.tenants = &tenant, .n_tenants = 1};
    struct scan_span span = {.from = AT(from), .to = AT(to)};
    struct err err;

    assert_int_equal(scan_spans(f->s, &req, &span, 1, &err), 0);
    return span.state;
}

static void what_is_in_memory_has_no_state_and_a_flush_changes_it(void **state)
{
    struct feed f;
    uint64_t first;
    (void)state;

    init(&f);
    feed_open(&f);
    put(&f, "t", 10, "a");
    assert_int_equal(state_of(&f, 0, 20), 0);
    flush(&f);
    first = state_of(&f, 0, 20);
    assert_int_not_equal(first, 0);
    assert_int_equal(state_of(&f, 0, 20), first);
    put(&f, "t", 30, "a");
    assert_int_equal(state_of(&f, 0, 20), first); /* it lies behind the span */
    assert_int_equal(state_of(&f, 0, 31), 0);
    flush(&f);
    assert_int_equal(state_of(&f, 0, 20), first); /* on disk, too */
    assert_int_not_equal(state_of(&f, 0, 31), first);
    put(&f, "t", 11, "a");
    assert_int_equal(state_of(&f, 0, 20), 0);
    flush(&f);
    assert_int_not_equal(state_of(&f, 0, 20), 0);
    assert_int_not_equal(state_of(&f, 0, 20), first);
    fini(&f);
}

static void days_and_tenants_stand_for_themselves(void **state)
{
    enum { DAY = 24 * 60 };
    struct feed f;
    uint64_t first;
    uint64_t both;
    (void)state;

    init(&f);
    feed_open(&f);
    put(&f, "t", 10 - DAY, "a");
    put(&f, "t", 10, "a");
    flush(&f);
    first = state_of(&f, -DAY, 0);
    both = state_of(&f, -DAY, DAY);
    put(&f, "u", 10 - DAY, "a");
    put(&f, "t", 11, "a");
    flush(&f);
    assert_int_equal(state_of(&f, -DAY, 0), first);
    assert_int_not_equal(state_of(&f, -DAY, DAY), both);
    fini(&f);
}

static void a_delete_request_changes_it_and_so_does_its_end(void **state)
{
    struct store_delete d = {.query = STR("{}"), .user = STR("admin"), .from = 0, .to = INT64_MAX};
    struct matcher m;
    struct feed f;
    struct err err;
    uint64_t first;
    uint64_t hidden;
    (void)state;

    init(&f);
    feed_open(&f);
    put(&f, "t", 10, "a");
    flush(&f);
    first = state_of(&f, 0, 20);
    assert_int_equal(matcher_init(&m, MATCH_EQ, STR("app"), STR("a"), &err), 0);
    d.matchers = &m;
    d.n_matchers = 1;
    assert_int_equal(store_delete_add(f.s, STR("t"), &d, &err), 0);
    matcher_fini(&m);
    hidden = state_of(&f, 0, 20);
    assert_int_not_equal(hidden, first);
    assert_int_not_equal(hidden, 0);
    assert_int_equal(store_delete_cancel(f.s, STR("t"), str_of(d.id), false, &err), 0);
    assert_int_not_equal(state_of(&f, 0, 20), hidden);
    assert_int_not_equal(state_of(&f, 0, 20), first); /* what was read meanwhile lacked records */
    fini(&f);
}

static void what_may_expire_has_no_state(void **state)
{
    static const struct store_retention_rule RULE = {.period = 3 * NS_PER_DAY};
    enum { DAY = 24 * 60 };
    struct feed f;
    (void)state;

    init(&f);
    f.opt.retention_rules = &RULE;
    f.opt.n_retention_rules = 1;
    feed_open(&f);
    put(&f, "t", 10, "a");
    flush(&f);
    assert_int_not_equal(state_of(&f, 0, 20), 0);
    assert_int_equal(state_of(&f, -3 * DAY, 20), 0);
    time_set(AT(600) + 3 * NS_PER_DAY);
    assert_int_equal(state_of(&f, 0, 20), 0);
    fini(&f);
}

CHECK_MAIN(cmocka_unit_test(what_is_in_memory_has_no_state_and_a_flush_changes_it),
           cmocka_unit_test(days_and_tenants_stand_for_themselves),
           cmocka_unit_test(a_delete_request_changes_it_and_so_does_its_end),
           cmocka_unit_test(what_may_expire_has_no_state))
