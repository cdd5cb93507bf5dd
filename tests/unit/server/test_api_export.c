/* server/api_export.c: everything in order, slow readers, vanished ones, failures in the middle. */
#include "tests/unit/server/caller.h"

/* The numbers of lines in an export, which must come as 0, 1, 2 ... */
static size_t count_export(const struct call *d)
{
    struct str rest = buf_str(&d->body);
    size_t n = 0;

    while (rest.n > 0) {
        struct str line = str_cut(&rest, '\n');
        char want[32];
        (void)snprintf(want, sizeof(want), "\"line\":\"%07zu", n);
        if (str_find(line, str_of(want)) == SIZE_MAX)
            fail_msg("entry %zu is %.200s", n, line.p);
        n++;
    }
    return n;
}

/* ---- export ---- */

static void an_export_streams_everything_in_order(void **state)
{
    enum { LINES = 20000 };
    struct fixture *f = *state;
    struct call *d;

    for (size_t i = 0; i < LINES; i += 5000)
        push_lines(f, i, 5000, 40);
    d = call(f, &(struct request){.method = "GET",
                                  .target = "/api/v1/export?query={app=%22web%22}"
                                            "&direction=forward&" DAY,
                                  .token = ADMIN});
    assert_int_equal(d->status, 200);
    assert_string_equal(d->type, "application/x-ndjson");
    assert_int_equal(count_export(d), LINES);
    call_free(d);
    d = call(f, &(struct request){.method = "GET",
                                  .target = "/api/v1/export?query={app=%22web%22}"
                                            "&direction=forward&limit=10&" DAY,
                                  .token = ADMIN});
    assert_int_equal(count_export(d), 10);
    call_free(d);
    d = call(f, &(struct request){.method = "GET",
                                  .target = "/api/v1/export?query={app=%22none%22}&" DAY,
                                  .token = ADMIN});
    assert_int_equal(d->status, 200);
    assert_int_equal(d->body.n, 0);
    call_free(d);
}

/* Asks for pages of `limit` lines until there is none left; how many there were. */
static size_t walk_pages(struct fixture *f, const char *direction, size_t limit, bool *seen,
                         size_t n_seen)
{
    char cursor[200] = "", target[400];
    size_t pages = 0;

    do {
        struct str rest, line = STR("");
        struct call *d;
        size_t n = 0;
        (void)snprintf(target, sizeof(target),
                       "/api/v1/export?query={app=%%22web%%22}&direction=%s&limit=%zu&cursor=%s&%s",
                       direction, limit, cursor, DAY);
        d = call(f, &(struct request){.method = "GET", .target = target, .token = ADMIN});
        assert_int_equal(d->status, 200);
        cursor[0] = '\0';
        for (rest = buf_str(&d->body); rest.n > 0;) {
            size_t at;
            line = str_cut(&rest, '\n');
            at = str_find(line, STR("\"line\":\""));
            if (str_starts(line, STR("{\"cursor\":\""))) {
                assert_int_equal(rest.n, 0); /* it is the last line */
                (void)str_to_z(str_sub(line, 11, line.n - 13), cursor, sizeof(cursor));
                continue;
            }
            assert_true(at != SIZE_MAX);
            at = strtoul(line.p + at + 8, NULL, 10);
            assert_true(at < n_seen && !seen[at]);
            seen[at] = true;
            n++;
        }
        assert_true(n <= limit);
        pages++;
        call_free(d);
    } while (cursor[0] != '\0');
    return pages;
}

static void an_export_comes_in_pages(void **state)
{
    enum { LINES = 250 };
    struct fixture *f = *state;
    const char *const directions[] = {"forward", "backward"};

    push_lines(f, 0, LINES, 20);
    for (size_t i = 0; i < 2; i++) {
        bool seen[LINES] = {false};
        assert_int_equal(walk_pages(f, directions[i], 100, seen, LINES), 3);
        for (size_t k = 0; k < LINES; k++)
            assert_true(seen[k]);
    }
    check_get(f, "/api/v1/export?query={app=%22web%22}&cursor=nonsense&" DAY, 400,
              "'cursor': 'nonsense' is no cursor");
}

/* Without a cursor in the answer the first page would pass for the last. */
static void pages_do_not_go_with_dedup(void **state)
{
    struct fixture *f = *state;

    push_lines(f, 0, 10, 20);
    check_get(f, "/api/v1/export?query={app=%22web%22}|dedup&limit=1&" DAY, 200, "\"line\"");
    check_get(f, "/api/v1/export?query={app=%22web%22}|dedup&limit=1&cursor=&" DAY, 400,
              "'cursor' does not go with dedup");
    check_get(f, "/loki/api/v1/query_range?query={app=%22web%22}|dedup&limit=1&cursor=&" DAY, 400,
              "'cursor' does not go with dedup");
    check_get(f, "/loki/api/v1/query_range?query=1%2B1&cursor=&" DAY, 400, "goes with log queries");
}

static void errors_of_an_export_are_json(void **state)
{
    struct fixture *f = *state;

    check_get(f, "/api/v1/export", 400, "\"errorType\":\"bad_data\"");
    check_get(f, "/api/v1/export?query={app=%22web%22}%20|", 400, "\"line\":1,\"column\":");
    check_get(f, "/api/v1/export?query={a=%22b%22}&start=x", 400, "\"status\":\"error\"");
    check_get(f, "/api/v1/export?query=1%2B1", 400, "log queries");
    check_get(f, "/api/v1/export?query={a=%22b%22}&after_seq=3", 400, "direction=forward");
    check_get(f, "/api/v1/export?query={a=%22b%22}&limit=-1", 400, "is no number");
    check_get(f, "/api/v1/export?query={a=%22b%22}&form=", 200, NULL);
    check_get(f, "/api/v1/export?query={a=%22b%22}&form=exakt", 400,
              "'form': 'exakt' is no form of lines");
    f->w->server.conf.query.length = NS_PER_H;
    check_get(f, "/api/v1/export?query={a=%22b%22}&since=2h", 400, "\"errorType\":\"bad_data\"");
    f->w->server.conf.query.length = 0;
    f->w->server.conf.query.memory_bytes = 1;
    push_lines(f, 0, 1, 20);
    check_get(f, "/api/v1/export?query={app=%22web%22}&" DAY, 503, "\"errorType\":\"unavailable\"");
}

/* The query fails behind the first entry, in front of the first full piece: the entry comes, then
 * the error, and the answer is visibly not whole. */
static void an_export_that_fails_in_the_middle_says_so(void **state)
{
    enum { OTHERS = 3000 /* more than a scan gives at once, but few pass */ };
    struct fixture *f = *state;
    struct request first = push_of(
        STR("{\"streams\":[{\"stream\":{\"app\":\"web\"},\"values\":[[\"1768003200000000000\","
            "\"0000000 error\"]]}]}"));
    struct call *d;
    struct err err;

    check(f, &first, 204, NULL);
    push_lines(f, 1, OTHERS, 7);
    push_lines(f, (size_t)(2 * NS_PER_DAY), 1, 900000);
    assert_int_equal(store_flush(f->w->server.store, &err), 0);
    f->w->server.conf.query.memory_bytes = 3 << 19; /* not enough for the last line */
    d = start(f, &(struct request){.method = "GET",
                                   .target = "/api/v1/export?query={app=%22web%22}%20|"
                                             "%20regexp%20%22(?P%3Cx%3Eerror)%22%20|%20x=%22error"
                                             "%22&direction=forward"
                                             "&start=1768003200&end=1768262400",
                                   .token = ADMIN});
    WAIT_FOR(f->w->loop, d->done);
    buf_add_char(&d->body, '\0');
    assert_int_equal(d->status, 200);
    assert_int_not_equal(d->err.code, 0); /* cut */
    assert_non_null(strstr(d->body.p, "0000000 error"));
    assert_non_null(strstr(d->body.p, "\n{\"error\":"));
    call_free(d);
}

enum { BIG_LINES = 1500, BIG_LINE = 16000, BIG_PER_PUSH = 50 };

static void push_much(struct fixture *f)
{
    for (size_t i = 0; i < BIG_LINES; i += BIG_PER_PUSH)
        push_lines(f, i, BIG_PER_PUSH, BIG_LINE);
}

static const struct request MUCH = {
    .method = "GET",
    .target = "/api/v1/export?query={app=%22web%22}&direction=forward&" DAY,
    .token = ADMIN};

/* How often can /ready be asked before `d` is done?  At most `most` times. */
static unsigned turns_until_done(struct fixture *f, const struct call *d, unsigned most)
{
    unsigned n = 0;

    for (; n < most && !d->done; n++)
        check_get(f, "/ready", 200, NULL);
    return n;
}

static void a_slow_reader_slows_the_query_and_gets_it_all(void **state)
{
    struct fixture *f = *state;
    struct request slow = MUCH;
    struct call *d;
    unsigned turns;

    push_much(f);
    d = start(f, &MUCH);
    turns = turns_until_done(f, d, 100000);
    assert_int_equal(count_export(d), BIG_LINES);
    call_free(d);
    assert_int_equal(metric_get(METRIC_QUERY_SECONDS), 1);
    slow.pause = true;
    d = start(f, &slow);
    WAIT_FOR(f->w->loop, d->has_body);
    (void)turns_until_done(f, d, 2 * turns + 10);
    assert_int_equal(metric_get(METRIC_QUERY_SECONDS), 1); /* the query waits for its reader */
    d->pause = false;
    http_client_resume(d->c);
    finish(d);
    assert_int_equal(count_export(d), BIG_LINES);
    assert_int_equal(metric_get(METRIC_QUERY_SECONDS), 2);
    call_free(d);
}

static void a_reader_that_goes_away_frees_the_worker(void **state)
{
    struct fixture *f = *state;
    struct request gone = MUCH;
    struct call *d;

    push_much(f);
    gone.cancel = true;
    d = start(f, &gone);
    WAIT_FOR(f->w->loop, d->done);
    call_free(d);
    wait_metric(f, METRIC_QUERY_CANCELLED, 1);
    d = call(f, &MUCH); /* by the only worker */
    assert_int_equal(count_export(d), BIG_LINES);
    call_free(d);
}

/* Exports that nobody reads keep exports waiting, and turn away those that are too many, but not
 * queries. */
static void when_too_many_exports_wait_it_is_429(void **state)
{
    struct fixture *f = *state;
    struct request slow = MUCH;
    struct call *reading, *waiting;

    push_much(f);
    slow.pause = true;
    reading = start(f, &slow);
    WAIT_FOR(f->w->loop, reading->has_body);
    waiting = start(f, &MUCH);
    wait_metric(f, METRIC_QUERIES, 2);
    check_get(f, "/api/v1/export?query={a=%22b%22}", 429, "\"errorType\":\"unavailable\"");
    check_get(f, "/loki/api/v1/labels?" DAY, 200, "app");
    reading->pause = false;
    http_client_resume(reading->c);
    finish(reading);
    finish(waiting);
    assert_int_equal(count_export(reading), BIG_LINES);
    assert_int_equal(count_export(waiting), BIG_LINES);
    call_free(reading);
    call_free(waiting);
}

/* A push at the store, a query and an export in their queues, an export that streams: none may be
 * touched after it was freed, whoever frees it. */
static void a_stop_in_the_middle_frees_everything_once(void **state)
{
    struct fixture *f = *state;
    struct request push = push_of(STR(ONE_LINE)), slow = MUCH;
    struct call *calls[4];

    push_much(f);
    block_worker(f, 8);
    slow.pause = true;
    calls[0] = start(f, &slow);
    WAIT_FOR(f->w->loop, calls[0]->has_body);
    world_shut(f->w, true);
    calls[1] = start(f, &push);
    wait_check(f->w->loop, world_is_waiting, f->w, "the push to be durable");
    calls[2] = start(f, &(struct request){.method = "GET",
                                          .target = "/loki/api/v1/query_range?query={a=%22b%22}",
                                          .token = ADMIN});
    calls[3] = start(f, &MUCH);
    wait_metric(f, METRIC_QUERIES, 3);
    api_cut(f->api);
    loop_stop(f->w->loop);
    loop_run(f->w->loop); /* until it has stopped: from here on nobody can post to it */
    stop(f);
    loop_free(&f->w->loop); /* the clients hear of it */
    for (size_t i = 0; i < 4; i++) {
        assert_true(calls[i]->done);
        call_free(calls[i]);
    }
}

CHECK_MAIN(T(an_export_streams_everything_in_order), T(an_export_comes_in_pages),
           T(pages_do_not_go_with_dedup), T(errors_of_an_export_are_json),
           T(an_export_that_fails_in_the_middle_says_so),
           T(a_slow_reader_slows_the_query_and_gets_it_all),
           T(a_reader_that_goes_away_frees_the_worker), T(when_too_many_exports_wait_it_is_429),
           T(a_stop_in_the_middle_frees_everything_once))
