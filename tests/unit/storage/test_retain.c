/* storage/retain.c: a day goes when both its end and its newest arrival are past retention; then
 * key, files and rows are gone, and late records begin it anew. */
#include "storage/store.h"

#include "base/fault.h"
#include "storage/retain.h"
#include "tests/lib/feed.h"

#include <unistd.h>

#define DAY NS_PER_DAY

static void init(struct feed *f)
{
    feed_init(f);
    f->opt.retention = 2 * DAY;
    time_set(FEED_DAY + NS_PER_H);
    feed_open(f);
}

static void fini(struct feed *f)
{
    feed_fini(f);
    time_unset();
}

/* One record of day `day` (0: FEED_DAY). */
static void put(struct feed *f, int day, const char *line)
{
    char text[128];

    (void)snprintf(text, sizeof(text), "R %lld app %s\n",
                   (long long)(FEED_DAY + day * DAY + NS_PER_MIN), line);
    assert_int_equal(feed_put(f, "t", text), STORE_STORED);
}

static void flush(struct feed *f)
{
    struct err err;

    if (store_flush(f->s, &err) != 0)
        fail_msg("flush: %s", err.text);
}

static void retire(struct feed *f, ts_ns now)
{
    struct err err;

    if (store_retire(f->s, now, &err) != 0)
        fail_msg("retire: %s", err.text);
}

static int count_entry(void *arg, int dir_fd, const char *name, struct err *err)
{
    unsigned *n = arg;
    int fd = -1;

    (void)err;
    if (strlen(name) == 8)
        (*n)++; /* a day */
    else if (file_open_dir(dir_fd, name, &fd, err) == 0) {
        (void)file_walk(fd, count_entry, arg, err);
        (void)close(fd);
    }
    return 0;
}

/* Directories of days, of all tenants. */
static unsigned days_on_disk(struct feed *f)
{
    unsigned n = 0;
    struct err err;
    int fd = -1;

    assert_int_equal(file_open_dir(f->dir, "data/tenants", &fd, &err), 0);
    assert_int_equal(file_walk(fd, count_entry, &n, &err), 0);
    (void)close(fd);
    return n;
}

static void a_day_goes_only_when_its_end_and_its_arrival_are_past(void **state)
{
    struct feed f;
    struct store_stats st;
    (void)state;

    init(&f);
    put(&f, 0, "today");
    put(&f, -5, "late"); /* of an old day, come now */
    flush(&f);
    assert_int_equal(days_on_disk(&f), 2);
    /* The old day's end is long past, its arrival is not. */
    retire(&f, FEED_DAY + NS_PER_H + 2 * DAY - 1);
    feed_check(&f, "t", "late\ntoday\n");
    retire(&f, FEED_DAY + NS_PER_H + 2 * DAY + NS_PER_MIN);
    feed_check(&f, "t", "today\n");
    assert_int_equal(days_on_disk(&f), 1);
    /* Today's arrival is past, its end (midnight) is not. */
    retire(&f, FEED_DAY + 3 * DAY - 1);
    feed_check(&f, "t", "today\n");
    retire(&f, FEED_DAY + 3 * DAY);
    feed_check(&f, "t", "");
    assert_int_equal(days_on_disk(&f), 0);
    store_stats(f.s, &st);
    assert_int_equal(st.partitions, 0);
    assert_int_equal(st.partitions_dropped, 2);
    feed_reopen(&f);
    feed_check(&f, "t", "");
    fini(&f);
}

static void note_forgotten(void *arg, struct str tenant)
{
    *(unsigned *)arg += str_eq(tenant, STR("t"));
}

static void what_was_made_of_a_dropped_day_is_to_be_forgotten(void **state)
{
    unsigned n = 0;
    struct feed f;
    (void)state;

    init(&f);
    f.opt.forget = note_forgotten;
    f.opt.forget_arg = &n;
    feed_reopen(&f);
    put(&f, -1, "yesterday");
    flush(&f);
    retire(&f, FEED_DAY + DAY);
    assert_int_equal(n, 0);
    retire(&f, FEED_DAY + NS_PER_H + 2 * DAY + NS_PER_MIN);
    feed_check(&f, "t", "");
    assert_int_equal(n, 1);
    fini(&f);
}

/* Receive times never step back; what is old is a matter of the clock as it is now. */
static void a_clock_that_was_ahead_for_a_while_drops_nothing(void **state)
{
    struct feed f;
    struct store_stats st;
    (void)state;

    init(&f);
    time_set(FEED_DAY - 9 * DAY);
    feed_reopen(&f);
    put(&f, -9, "old");
    time_set(FEED_DAY + NS_PER_H);
    put(&f, 0, "today");
    time_set(FEED_DAY + 100 * DAY);
    put(&f, 1, "ahead");
    time_set(FEED_DAY + NS_PER_H);
    feed_reopen(&f); /* and looks at once what is over */
    do
        store_stats(f.s, &st);
    while (st.partitions_dropped == 0);
    retire(&f, FEED_DAY + NS_PER_H); /* behind the one under way */
    feed_check(&f, "t", "today\nahead\n");
    fini(&f);
}

static void a_day_with_records_in_the_head_stays(void **state)
{
    struct feed f;
    (void)state;

    init(&f);
    put(&f, -5, "first");
    flush(&f);
    put(&f, -5, "second"); /* in the head */
    retire(&f, FEED_DAY + 10 * DAY);
    feed_check(&f, "t", "first\nsecond\n");
    flush(&f);
    retire(&f, FEED_DAY + 10 * DAY);
    feed_check(&f, "t", "");
    fini(&f);
}

static void a_dropped_day_begins_anew_when_records_come(void **state)
{
    struct feed f;
    (void)state;

    init(&f);
    put(&f, -5, "old");
    flush(&f);
    retire(&f, FEED_DAY + 10 * DAY);
    feed_check(&f, "t", "");
    put(&f, -5, "new");
    feed_check(&f, "t", "new\n");
    flush(&f);
    feed_check(&f, "t", "new\n");
    feed_reopen(&f);
    feed_check(&f, "t", "new\n");
    fini(&f);
}

static void without_retention_everything_stays(void **state)
{
    struct feed f;
    (void)state;

    feed_init(&f);
    feed_open(&f);
    put(&f, -5000, "old");
    flush(&f);
    retire(&f, INT64_MAX);
    feed_check(&f, "t", "old\n");
    feed_fini(&f);
}

/* One record of stream `app` of tenant `t`. */
static void put_app(struct feed *f, const char *t, int day, const char *app, const char *line)
{
    char text[128];

    (void)snprintf(text, sizeof(text), "R %lld %s %s\n",
                   (long long)(FEED_DAY + day * DAY + NS_PER_MIN), app, line);
    assert_int_equal(feed_put(f, t, text), STORE_STORED);
}

static struct matcher app_is(const char *value)
{
    struct matcher m;
    struct err err;

    assert_int_equal(matcher_init(&m, MATCH_EQ, STR("app"), str_of(value), &err), 0);
    return m;
}

/* Of streams that `m` (NULL: all) names. */
static struct store_hold hold(struct feed *f, const struct matcher *m, ts_ns from, ts_ns to)
{
    struct store_hold h = {.query = STR("as written"),
                           .matchers = m,
                           .n_matchers = m == NULL ? 0 : 1,
                           .from = from,
                           .to = to,
                           .user = STR("counsel"),
                           .reason = STR("a case")};
    struct err err;

    if (store_hold_add(f->s, STR("t"), &h, &err) != 0)
        fail_msg("hold: %s", err.text);
    return h;
}

static void release(struct feed *f, const struct store_hold *h)
{
    struct err err;

    if (store_hold_release(f->s, STR("t"), str_of(h->id), &err) != 0)
        fail_msg("release: %s", err.text);
}

static int count_hold(void *arg, const struct store_hold *h)
{
    assert_true(str_eq(h->reason, STR("a case")) && str_eq(h->user, STR("counsel")));
    (*(unsigned *)arg)++;
    return 0;
}

static unsigned holds(struct feed *f)
{
    unsigned n = 0;

    assert_int_equal(store_holds(f->s, STR("t"), count_hold, &n), 0);
    return n;
}

static void a_held_day_stays_until_it_is_released(void **state)
{
    struct store_hold h;
    struct feed f;
    struct err err;
    (void)state;

    init(&f);
    f.opt.max_bytes = 1; /* not even room for one */
    put(&f, -5, "held");
    put(&f, -4, "old");
    flush(&f);
    h = hold(&f, NULL, FEED_DAY - 5 * DAY, FEED_DAY - 4 * DAY);
    retire(&f, FEED_DAY + 40 * DAY);
    feed_check(&f, "t", "held\n");
    feed_reopen(&f);
    assert_int_equal(holds(&f), 1);
    retire(&f, FEED_DAY + 40 * DAY);
    feed_check(&f, "t", "held\n");
    assert_int_equal(store_hold_release(f.s, STR("t"), STR("0123"), &err), ERR_GONE);
    assert_int_equal(store_hold_release(f.s, STR("u"), str_of(h.id), &err), ERR_GONE);
    release(&f, &h);
    assert_int_equal(holds(&f), 0);
    retire(&f, FEED_DAY + 40 * DAY);
    feed_check(&f, "t", "");
    assert_int_equal(days_on_disk(&f), 0);
    fini(&f);
}

/* A store without retention that holds a record of stream `app` and one of `other`. */
static void init_two(struct feed *f)
{
    feed_init(f);
    time_set(FEED_DAY + NS_PER_H);
    feed_open(f);
    put(f, 0, "wanted");
    put_app(f, "t", 0, "other", "other");
    flush(f);
}

/* Ask to delete what m names in [FEED_DAY, to). */
static int delete (struct feed *f, const struct matcher *m, ts_ns to, struct err *err)
{
    struct store_delete d = {.query = STR("x"),
                             .user = STR("admin"),
                             .matchers = m,
                             .n_matchers = 1,
                             .from = FEED_DAY,
                             .to = to};

    return store_delete_add(f->s, STR("t"), &d, err);
}

static void compact(struct feed *f)
{
    struct err err;

    if (store_compact(f->s, &err) != 0)
        fail_msg("compact: %s", err.text);
}

/* All that there is to do about requests, and all the time `lines` are seen. */
static void settle(struct feed *f, const char *lines)
{
    for (int i = 0; i < 4; i++) {
        retire(f, time_now());
        feed_check(f, "t", lines);
        compact(f);
        feed_check(f, "t", lines);
    }
}

static void check_erased(struct feed *f, unsigned waiting, unsigned left_out)
{
    struct store_stats st;

    store_stats(f->s, &st);
    assert_int_equal(st.deletes, waiting);
    assert_int_equal(st.compacted_rows_left_out, left_out);
}

/* One that was made before goes on hiding, and destroys when the hold is over. */
static void delete_requests_wait_for_a_hold(void **state)
{
    struct matcher m = app_is("app");
    struct store_hold h;
    struct feed f;
    struct err err;
    (void)state;

    init_two(&f);
    assert_int_equal(delete (&f, &m, FEED_DAY + DAY, &err), 0);
    time_set(FEED_DAY + DAY);
    retire(&f, time_now()); /* started: its segments are due */
    h = hold(&f, NULL, FEED_DAY, FEED_DAY + DAY);
    assert_int_equal(delete (&f, &m, FEED_DAY + DAY, &err), ERR_DENIED);
    assert_non_null(strstr(err.text, h.id));
    settle(&f, "other\n");
    check_erased(&f, 1, 0);
    release(&f, &h);
    settle(&f, "other\n");
    check_erased(&f, 0, 1);
    fini(&f);
    matcher_fini(&m);
}

/* A hold is about whole days: what is deleted of another hour of one stays hidden, too. */
static void a_hold_on_another_hour_does_not_bring_back_what_was_deleted(void **state)
{
    struct matcher m = app_is("app");
    struct store_hold h;
    struct feed f;
    struct err err;
    (void)state;

    init_two(&f);
    h = hold(&f, NULL, FEED_DAY + 20 * NS_PER_H, FEED_DAY + 21 * NS_PER_H);
    assert_int_equal(delete (&f, &m, FEED_DAY + NS_PER_H, &err), 0);
    time_set(FEED_DAY + DAY);
    settle(&f, "other\n");
    check_erased(&f, 1, 0);
    release(&f, &h);
    settle(&f, "other\n");
    check_erased(&f, 0, 1);
    fini(&f);
    matcher_fini(&m);
}

/* New days come at all times, and have no marks to lose. */
static void a_delete_request_ends_while_new_days_begin(void **state)
{
    struct matcher m = app_is("app");
    struct feed f;
    struct err err;
    (void)state;

    init_two(&f);
    assert_int_equal(delete (&f, &m, FEED_DAY + DAY, &err), 0);
    time_set(FEED_DAY + DAY);
    for (int i = 0; i < 5; i++) {
        retire(&f, time_now());
        compact(&f);
        put_app(&f, "u", -1 - i, "other", "new");
        flush(&f);
    }
    check_erased(&f, 0, 1);
    feed_check(&f, "t", "other\n");
    fini(&f);
    matcher_fini(&m);
}

/* A hold that is over before anybody looked at the request again took the marks off, too. */
static void a_short_hold_does_not_bring_back_what_was_deleted(void **state)
{
    struct matcher m = app_is("app");
    struct store_hold h;
    struct feed f;
    struct err err;
    (void)state;

    init_two(&f);
    assert_int_equal(delete (&f, &m, FEED_DAY + DAY, &err), 0);
    time_set(FEED_DAY + DAY);
    retire(&f, time_now()); /* started: its segments are due */
    h = hold(&f, NULL, FEED_DAY, FEED_DAY + DAY);
    compact(&f);
    release(&f, &h);
    settle(&f, "other\n");
    check_erased(&f, 0, 1);
    fini(&f);
    matcher_fini(&m);
}

/* Its day stays; other streams of it go, and so do days that have none of it. */
static void a_hold_on_a_stream_keeps_that_stream_alone(void **state)
{
    struct matcher m = app_is("app");
    struct store_hold h;
    struct feed f;
    (void)state;

    init(&f);
    put(&f, -5, "held");
    put_app(&f, "t", -5, "other", "beside");
    put_app(&f, "t", -4, "other", "another day");
    flush(&f);
    h = hold(&f, &m, FEED_DAY - 9 * DAY, FEED_DAY);
    feed_reopen(&f);
    assert_int_equal(holds(&f), 1);
    time_set(FEED_DAY + 40 * DAY);
    retire(&f, time_now());
    feed_check(&f, "t", "held\nbeside\n");
    for (int i = 0; i < 3; i++) { /* told once: it is not written anew again and again */
        retire(&f, time_now());
        compact(&f);
        check_erased(&f, 0, 1);
    }
    feed_check(&f, "t", "held\n");
    release(&f, &h);
    retire(&f, time_now());
    assert_int_equal(days_on_disk(&f), 0);
    fini(&f);
    matcher_fini(&m);
}

static void a_held_stream_is_no_room(void **state)
{
    struct matcher m = app_is("app");
    struct store_hold h;
    struct feed f;
    struct err err;
    (void)state;

    feed_init(&f);
    f.opt.max_bytes = 1; /* not even room for one */
    time_set(FEED_DAY + NS_PER_H);
    feed_open(&f);
    put_app(&f, "t", -6, "other", "oldest");
    put(&f, -5, "held");
    put_app(&f, "t", -4, "other", "old");
    put(&f, -3, "held");
    put_app(&f, "t", -2, "other", "new");
    flush(&f);
    h = hold(&f, &m, FEED_DAY - 9 * DAY, FEED_DAY);
    retire(&f, time_now());
    feed_check(&f, "t", "held\nheld\n");
    assert_int_equal(retain_make_room(f.s, time_now(), &err), 1);
    release(&f, &h);
    assert_int_equal(retain_make_room(f.s, time_now(), &err), 0);
    feed_check(&f, "t", "held\n");
    retire(&f, time_now());
    feed_check(&f, "t", "");
    fini(&f);
    matcher_fini(&m);
}

static void other_streams_of_a_held_day_may_be_deleted(void **state)
{
    struct matcher m = app_is("app");
    struct matcher other = app_is("other");
    struct store_hold h;
    struct feed f;
    struct err err;
    (void)state;

    init_two(&f);
    h = hold(&f, &m, FEED_DAY, FEED_DAY + DAY);
    assert_int_equal(delete (&f, &m, FEED_DAY + DAY, &err), ERR_DENIED);
    assert_non_null(strstr(err.text, h.id));
    assert_non_null(strstr(err.text, "app=\"app\""));
    assert_int_equal(delete (&f, &other, FEED_DAY + DAY, &err), 0);
    time_set(FEED_DAY + DAY);
    settle(&f, "wanted\n");
    check_erased(&f, 0, 1);
    fini(&f);
    matcher_fini(&m);
    matcher_fini(&other);
}

/* Of a request for both streams the held one is spared, and it waits for that. */
static void a_request_for_a_held_stream_among_others_waits(void **state)
{
    struct matcher m = app_is("app");
    struct store_hold h;
    struct matcher both;
    struct feed f;
    struct err err;
    (void)state;

    assert_int_equal(matcher_init(&both, MATCH_RE, STR("app"), STR(".+"), &err), 0);
    init_two(&f);
    assert_int_equal(delete (&f, &both, FEED_DAY + DAY, &err), 0);
    time_set(FEED_DAY + DAY);
    retire(&f, time_now()); /* started: its segments are due */
    h = hold(&f, &m, FEED_DAY, FEED_DAY + DAY);
    settle(&f, "");
    check_erased(&f, 1, 1);
    release(&f, &h);
    settle(&f, "");
    check_erased(&f, 0, 2);
    fini(&f);
    matcher_fini(&m);
    matcher_fini(&both);
}

/* Streams of one day are kept for 2, 7 (short) and 20 days (long). */
static void a_day_goes_with_its_longest_stream_and_hides_the_shorter(void **state)
{
    struct matcher longer = app_is("long");
    struct matcher shorter = app_is("short");
    const struct store_retention_rule rules[] = {
        {.tenant = STR_INIT("t"), .matchers = &longer, .n_matchers = 1, .period = 20 * DAY},
        {.matchers = &shorter, .n_matchers = 1, .period = 7 * DAY},
    };
    struct feed f;
    (void)state;

    feed_init(&f);
    f.opt.retention = 2 * DAY;
    f.opt.retention_rules = rules;
    f.opt.n_retention_rules = 2;
    time_set(FEED_DAY + NS_PER_H);
    feed_open(&f);
    put_app(&f, "t", 0, "app", "plain");
    put_app(&f, "t", 0, "short", "a week");
    put_app(&f, "t", 0, "long", "three weeks");
    put_app(&f, "u", 0, "long", "not for this tenant");
    put_app(&f, "u", 0, "short", "a week");
    flush(&f);
    time_set(FEED_DAY + 2 * DAY + 23 * NS_PER_H);
    feed_check(&f, "t", "plain\na week\nthree weeks\n");
    time_set(FEED_DAY + 3 * DAY); /* its end is two days ago */
    retire(&f, time_now());
    assert_int_equal(days_on_disk(&f), 2);
    feed_check(&f, "t", "a week\nthree weeks\n");
    feed_check(&f, "u", "a week\n");
    time_set(FEED_DAY + 8 * DAY);
    feed_check(&f, "t", "three weeks\n");
    retire(&f, time_now());
    assert_int_equal(days_on_disk(&f), 1); /* u's has none that is kept longer */
    time_set(FEED_DAY + 21 * DAY);
    retire(&f, time_now());
    assert_int_equal(days_on_disk(&f), 0);
    fini(&f);
    matcher_fini(&longer);
    matcher_fini(&shorter);
}

static void streams_that_are_over_are_left_out_of_a_day_that_stays(void **state)
{
    struct matcher longer = app_is("long");
    const struct store_retention_rule rule = {
        .matchers = &longer, .n_matchers = 1, .period = 20 * DAY};
    struct feed f;
    struct store_stats st;
    (void)state;

    feed_init(&f);
    f.opt.retention = 2 * DAY;
    f.opt.retention_rules = &rule;
    f.opt.n_retention_rules = 1;
    time_set(FEED_DAY + NS_PER_H);
    feed_open(&f);
    put_app(&f, "t", 0, "app", "plain");
    put_app(&f, "t", 0, "long", "three weeks");
    flush(&f);
    time_set(FEED_DAY + 5 * DAY);
    for (int i = 0; i < 3; i++) { /* told once: it is not written anew again and again */
        retire(&f, time_now());
        compact(&f);
        store_stats(f.s, &st);
        assert_int_equal(st.compacted_rows_left_out, 1);
        assert_int_equal(st.compacted_segments, 1);
    }
    feed_check(&f, "t", "three weeks\n");
    fini(&f);
    matcher_fini(&longer);
}

static void a_period_of_zero_keeps_a_day_for_ever(void **state)
{
    struct matcher m = app_is("keep");
    const struct store_retention_rule rule = {.matchers = &m, .n_matchers = 1};
    struct feed f;
    (void)state;

    feed_init(&f);
    f.opt.retention = 2 * DAY;
    f.opt.retention_rules = &rule;
    f.opt.n_retention_rules = 1;
    time_set(FEED_DAY + NS_PER_H);
    feed_open(&f);
    put_app(&f, "t", 0, "keep", "for ever");
    put_app(&f, "t", 0, "app", "two days");
    put_app(&f, "t", 1, "app", "two days");
    flush(&f);
    time_set(FEED_DAY + 5000 * DAY);
    retire(&f, time_now());
    assert_int_equal(days_on_disk(&f), 1);
    feed_check(&f, "t", "for ever\n");
    fini(&f);
    matcher_fini(&m);
}

static uint64_t stored(struct feed *f)
{
    struct store_stats st;

    store_stats(f->s, &st);
    return st.segment_bytes;
}

static void over_max_bytes_the_oldest_days_go_but_never_today(void **state)
{
    struct feed f;
    struct store_stats st;
    uint64_t one;
    (void)state;

    feed_init(&f);
    time_set(FEED_DAY + NS_PER_H);
    feed_open(&f);
    put_app(&f, "t", 0, "app", "today");
    flush(&f);
    one = stored(&f);
    put_app(&f, "u", -3, "app", "three days ago");
    put_app(&f, "t", -2, "app", "two days ago");
    put_app(&f, "t", -1, "app", "yesterday");
    store_close(&f.s);
    f.opt.max_bytes = 2 * one + one / 2;
    feed_open(&f);
    retire(&f, time_now());
    feed_check(&f, "u", "");
    feed_check(&f, "t", "yesterday\ntoday\n");
    store_stats(f.s, &st);
    assert_int_equal(st.partitions_dropped_size, 2);
    store_close(&f.s);
    f.opt.max_bytes = 1;
    feed_open(&f);
    retire(&f, time_now());
    feed_check(&f, "t", "today\n");
    fini(&f);
}

static void a_tenants_max_bytes_is_its_own(void **state)
{
    const struct store_retention_rule rule = {.tenant = STR_INIT("u"), .max_bytes = 1};
    struct feed f;
    (void)state;

    feed_init(&f);
    f.opt.retention_rules = &rule;
    f.opt.n_retention_rules = 1;
    time_set(FEED_DAY + NS_PER_H);
    feed_open(&f);
    put_app(&f, "t", -2, "app", "t's");
    put_app(&f, "u", -2, "app", "old");
    put_app(&f, "u", 0, "app", "today");
    flush(&f);
    retire(&f, time_now());
    feed_check(&f, "t", "t's\n");
    feed_check(&f, "u", "today\n");
    fini(&f);
}

static void the_flush_thread_retires_by_itself_at_start(void **state)
{
    struct feed f;
    struct store_stats st;
    (void)state;

    init(&f);
    put(&f, -5, "old");
    store_close(&f.s);
    time_set(FEED_DAY + 10 * DAY);
    feed_open(&f);
    do /* a hang is the test's TIMEOUT */
        store_stats(f.s, &st);
    while (st.partitions_dropped == 0);
    feed_check(&f, "t", "");
    fini(&f);
}

/* Wherever it stops, the day is never half there for a reader, and the next one, in this life of
 * the store or the next, finishes it. */
static void a_drop_that_stops_half_way_is_finished(void **state)
{
    (void)state;

    for (int reopen = 0; reopen < 2; reopen++) {
        unsigned stopped = 0;
        FAULT_EACH("retain.") {
            struct feed f;
            struct store_stats st;
            struct err err;

            init(&f);
            put(&f, -5, "old");
            put(&f, 5, "kept");
            flush(&f);
            if (store_retire(f.s, FEED_DAY + 4 * DAY, &err) != 0) {
                stopped++;
                feed_check(&f, "t", "kept\n");
                if (reopen)
                    feed_reopen(&f);
                else
                    retire(&f, FEED_DAY + 4 * DAY);
            }
            /* The flush thread looks once when it starts, and may be the one who finishes: then the
             * life before a reopen has counted it. */
            store_stats(f.s, &st);
            assert_in_range(st.partitions_dropped, reopen ? 0 : 1, 1);
            feed_check(&f, "t", "kept\n");
            assert_int_equal(days_on_disk(&f), 1);
            fini(&f);
        }
        assert_int_equal(stopped, 3);
    }
}

/* It is tried again later, and nobody sees it meanwhile. */
static void a_day_that_cannot_be_removed_does_not_keep_the_store_shut(void **state)
{
    struct feed f;
    struct err err;
    (void)state;

    init(&f);
    put(&f, -5, "old");
    put(&f, 5, "kept");
    flush(&f);
    fault_start("retain.going");
    assert_true(fault_next());
    assert_true(store_retire(f.s, FEED_DAY + 4 * DAY, &err) < 0);
    store_close(&f.s);
    while (fault_next())
        ;
    fault_start("retain.shredded");
    assert_true(fault_next());
    assert_int_equal(store_open(&f.opt, &f.s, &err), 0);
    while (fault_next())
        ;
    feed_check(&f, "t", "kept\n");
    retire(&f, FEED_DAY + 4 * DAY);
    assert_int_equal(days_on_disk(&f), 1);
    fini(&f);
}

/* What is left of it lies under another key. */
static void late_records_of_a_half_gone_day_begin_it_anew(void **state)
{
    unsigned stopped = 0;
    (void)state;

    FAULT_EACH("retain.") {
        struct feed f;
        struct err err;

        init(&f);
        put(&f, -5, "old");
        flush(&f);
        if (store_retire(f.s, FEED_DAY + 4 * DAY, &err) != 0)
            stopped++;
        put(&f, -5, "late");
        flush(&f);
        feed_check(&f, "t", "late\n");
        feed_reopen(&f);
        feed_check(&f, "t", "late\n");
        assert_int_equal(days_on_disk(&f), 1);
        fini(&f);
    }
    assert_true(stopped > 2);
}

CHECK_MAIN(cmocka_unit_test(a_held_day_stays_until_it_is_released),
           cmocka_unit_test(delete_requests_wait_for_a_hold),
           cmocka_unit_test(a_hold_on_another_hour_does_not_bring_back_what_was_deleted),
           cmocka_unit_test(a_short_hold_does_not_bring_back_what_was_deleted),
           cmocka_unit_test(a_delete_request_ends_while_new_days_begin),
           cmocka_unit_test(a_hold_on_a_stream_keeps_that_stream_alone),
           cmocka_unit_test(a_held_stream_is_no_room),
           cmocka_unit_test(other_streams_of_a_held_day_may_be_deleted),
           cmocka_unit_test(a_request_for_a_held_stream_among_others_waits),
           cmocka_unit_test(a_day_that_cannot_be_removed_does_not_keep_the_store_shut),
           cmocka_unit_test(late_records_of_a_half_gone_day_begin_it_anew),
           cmocka_unit_test(a_day_goes_only_when_its_end_and_its_arrival_are_past),
           cmocka_unit_test(what_was_made_of_a_dropped_day_is_to_be_forgotten),
           cmocka_unit_test(a_clock_that_was_ahead_for_a_while_drops_nothing),
           cmocka_unit_test(a_day_with_records_in_the_head_stays),
           cmocka_unit_test(a_dropped_day_begins_anew_when_records_come),
           cmocka_unit_test(without_retention_everything_stays),
           cmocka_unit_test(a_day_goes_with_its_longest_stream_and_hides_the_shorter),
           cmocka_unit_test(streams_that_are_over_are_left_out_of_a_day_that_stays),
           cmocka_unit_test(a_period_of_zero_keeps_a_day_for_ever),
           cmocka_unit_test(over_max_bytes_the_oldest_days_go_but_never_today),
           cmocka_unit_test(a_tenants_max_bytes_is_its_own),
           cmocka_unit_test(the_flush_thread_retires_by_itself_at_start),
           cmocka_unit_test(a_drop_that_stops_half_way_is_finished))
