/* Unit tests of wire/http: requests, refusals, deadlines. */
#include "wire/http.h"

#include "tests/lib/certs.h"
#include "tests/lib/tmpdir.h"
#include "tests/unit/wire/http_world.h"

static void a_request_reaches_the_handler_and_the_answer_the_client(void **state)
{
    struct world *w = start(NULL);
    struct caller c;

    (void)state;
    call(w, &c);
    say(&c,
        "POST /sh%6Fw?q=a+b&q=c HTTP/1.1\r\nHost: x\r\nUser-Agent: test\r\nContent-Type: "
        "application/x-www-form-urlencoded; charset=utf-8\r\nContent-Length: 8\r\n\r\nz=%31&y=");
    expect(&c, "POST /show|z=1|y=|q=a b|q=c|body=z=%31&y=|agent=test|peer=127.0.0.1:");
    expect(&c, "HTTP/1.1 200 OK\r\n");
    expect(&c, "Content-Type: text/plain\r\n");
    expect(&c, "X-Content-Type-Options: nosniff\r\n");
    expect(&c, "X-Echo: two  Set-Cookie: no\r\n"); /* one header, whatever the value says */
    expect_not(&c, "Connection:");
    hang_up(&c);
    stop(&w);
}

static void a_form_may_be_put_too(void **state)
{
    struct world *w = start(NULL);
    struct caller c;

    (void)state;
    call(w, &c);
    say(&c, "PUT /show HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            "Content-Length: 5\r\n\r\nz=%31");
    expect(&c, "PUT /show|z=1|body=z=%31|");
    hang_up(&c);
    stop(&w);
}

static void a_connection_serves_many_requests(void **state)
{
    struct world *w = start(NULL);
    struct caller c;

    (void)state;
    call(w, &c);
    for (int i = 0; i < 3; i++) {
        say(&c, "GET /show HTTP/1.1\r\nHost: x\r\n\r\n");
        expect(&c, "GET /show|body=|agent=|peer=127.0.0.1:");
        buf_clear(&c.in);
    }
    say(&c, "GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(&c, "HTTP/1.1 204 No Content\r\n");
    expect_not(&c, "Content-Length");
    buf_clear(&c.in);
    say(&c, "GET /show HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    WAIT_FOR(w->loop, c.closed);
    assert_int_equal(c.why.code, 0);
    expect(&c, "Connection: close\r\n");
    assert_int_equal(w->handled, 5);
    buf_fini(&c.in);
    stop(&w);
}

static void head_gets_the_length_without_the_body(void **state)
{
    struct world *w = start(NULL);
    struct caller c;

    (void)state;
    call(w, &c);
    say(&c, "HEAD /absent HTTP/1.1\r\nHost: x\r\n\r\nHEAD /chunks HTTP/1.1\r\nHost: x\r\n\r\n"
            "GET /show HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(&c, "GET /show|");
    expect(&c, "Content-Length: 13\r\n");
    expect_not(&c, "no such path");
    expect(&c, "Transfer-Encoding: chunked\r\n");
    expect_not(&c, "[1,");
    hang_up(&c);
    stop(&w);
}

static void an_answer_in_chunks(void **state)
{
    struct world *w = start(NULL);
    struct caller c;

    (void)state;
    call(w, &c);
    say(&c, "GET /chunks HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(&c, "Transfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n");
    buf_clear(&c.in);
    say(&c, "GET /show HTTP/1.1\r\nHost: x\r\n\r\n"); /* the connection goes on */
    expect(&c, "GET /show|");
    hang_up(&c);
    ask(w, &c, "GET /chunks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"); /* knows no chunks */
    expect(&c, "Connection: close\r\n");
    expect(&c, "\r\n\r\n[1,2]");
    expect_not(&c, "chunked");
    buf_fini(&c.in);
    stop(&w);
}

static void pipelined_requests_are_answered_one_at_a_time_in_order(void **state)
{
    struct world *w = start(NULL);
    struct caller c;
    struct buf many;
    size_t first, last;

    (void)state;
    call(w, &c);
    say(&c, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\nGET /show?n=1 HTTP/1.1\r\nHost: x\r\n\r\n"
            "POST /show?n=2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /show?n=3 "
            "HTTP/1.1\r\n");
    WAIT_FOR(w->loop, w->has_held);
    say(&c, "Host: x\r\n\r\n");
    assert_int_equal(w->handled, 1);
    assert_int_equal(http_server_active(w->server), 1);
    http_replyf(w->held, 200, "held\n");
    expect(&c, "n=3");
    first = str_find(buf_str(&c.in), STR("held"));
    last = str_find(buf_str(&c.in), STR("n=1"));
    assert_true(first < last);
    assert_true(last < str_find(buf_str(&c.in), STR("n=2|body=abc")));
    assert_int_equal(w->handled, 4);
    /* far more than may wait: the connection is paused, nothing is lost */
    buf_clear(&c.in);
    w->has_held = false;
    buf_init(&many, 1 << 20);
    buf_add_z(&many, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 5000; i++)
        buf_add_z(&many, "GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
    buf_add_z(&many, "GET /show?last HTTP/1.1\r\nHost: x\r\n\r\n");
    stream_write(c.s, buf_str(&many));
    buf_fini(&many);
    WAIT_FOR(w->loop, w->has_held);
    http_replyf(w->held, 200, "held\n");
    expect(&c, "last=");
    assert_int_equal(w->handled, 4 + 1 + 5000 + 1);
    hang_up(&c);
    stop(&w);
}

static void what_is_malformed_is_answered_and_closed(void **state)
{
    static const struct {
        const char *request, *answer;
    } CASES[] = {
        {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
        {"GET /show?a=%zz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 "},
        {"POST /show HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n", "HTTP/1.1 413 "},
        {"POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n", "HTTP/1.1 413 "},
        {"POST /show HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nContent-Length: 1\r\n\r\n",
         "HTTP/1.1 417 "},
        {"GET / HTTP/3.0\r\nHost: x\r\n\r\n", "HTTP/1.1 "},
    };
    struct world *w = start(NULL);
    struct http_stats stats;
    struct caller c;

    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        ask(w, &c, CASES[i].request);
        assert_int_equal(c.why.code, 0);
        if (!str_starts(buf_str(&c.in), str_of(CASES[i].answer)))
            fail_msg("%s got %.*s", CASES[i].request, STR_ARG(buf_str(&c.in)));
        expect(&c, "Connection: close\r\n");
        buf_fini(&c.in);
    }
    assert_int_equal(w->handled, 0);
    http_server_stats(w->server, &stats);
    assert_int_equal(stats.refused, sizeof(CASES) / sizeof(CASES[0]));
    stop(&w);
}

static void a_body_over_its_maximum_in_chunks_is_refused(void **state)
{
    struct world *w = start(NULL);
    struct caller c;
    struct buf b;

    (void)state;
    buf_init(&b, 1 << 23);
    buf_add_z(&b, "POST /show HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n400000\r\n");
    for (int i = 0; i < 0x400000; i++)
        buf_add_char(&b, 'x');
    call(w, &c);
    stream_write(c.s, buf_str(&b)); /* 4 MB: the answer must outlive what nobody reads */
    expect(&c, "HTTP/1.1 413 ");
    WAIT_FOR(w->loop, c.closed);
    assert_int_equal(w->handled, 0);
    buf_fini(&b);
    buf_fini(&c.in);
    stop(&w);
}

static void headers_over_16_kib_are_refused(void **state)
{
    struct world *w = start(NULL);
    struct caller c;
    struct buf b;

    (void)state;
    for (int kib = 15; kib <= 17; kib += 2) {
        buf_init(&b, 1 << 20);
        buf_add_z(&b, "GET /show HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: ");
        while (b.n < (size_t)kib * 1024)
            buf_add_char(&b, 'x');
        buf_add_z(&b, "\r\n\r\n");
        call(w, &c);
        stream_write(c.s, buf_str(&b));
        WAIT_FOR(w->loop, c.closed);
        expect(&c, kib == 15 ? "HTTP/1.1 200 " : "HTTP/1.1 431 ");
        buf_fini(&b);
        buf_fini(&c.in);
    }
    stop(&w);
}

static void a_caller_not_welcome_hears_it_before_the_body(void **state)
{
    struct world *w = start(NULL);
    struct caller c;

    (void)state;
    ask(w, &c, "POST /denied HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"); /* body never
                                                                                          sent */
    expect(&c, "HTTP/1.1 401 Unauthorized\r\n");
    expect(&c, "Connection: close\r\n");
    expect(&c, "no entry\n");
    buf_fini(&c.in);
    call(w, &c); /* without a body there is nothing in the way */
    say(&c, "GET /denied HTTP/1.1\r\nHost: x\r\n\r\nGET /show HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(&c, "GET /show|");
    hang_up(&c);
    stop(&w);
}

static void expect_100_continue_is_answered_before_the_body(void **state)
{
    struct world *w = start(NULL);
    struct caller c;

    (void)state;
    call(w, &c);
    say(&c, "POST /show HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    expect(&c, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_int_equal(w->handled, 0);
    say(&c, "ok");
    expect(&c, "body=ok|");
    hang_up(&c);
    ask(w, &c,
        "POST /show HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2000\r\n\r\n");
    expect(&c, "HTTP/1.1 413 ");
    expect_not(&c, "100 Continue");
    buf_fini(&c.in);
    stop(&w);
}

static void a_slow_header_is_answered_408(void **state)
{
    struct http_options opt = {.header_ms = 300, .body_ms = 300, .idle_ms = 200};
    struct world *w = start(&opt);
    struct http_stats stats;
    struct caller c;

    (void)state;
    ask(w, &c, "GET /show HTTP/1.1\r\nHos");
    expect(&c, "HTTP/1.1 408 Request Timeout\r\n");
    buf_fini(&c.in);
    ask(w, &c, "POST /show HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345");
    expect(&c, "HTTP/1.1 408 ");
    buf_fini(&c.in);
    ask(w, &c, ""); /* nothing at all: closed without a word */
    assert_int_equal(c.in.n, 0);
    buf_fini(&c.in);
    ask(w, &c, "GET /show HTTP/1.1\r\nHost: x\r\n\r\n"); /* idle after an answer: closed without
                                                            another word */
    expect(&c, "HTTP/1.1 200 ");
    expect_not(&c, "408");
    buf_fini(&c.in);
    http_server_stats(w->server, &stats);
    assert_int_equal(stats.timeouts, 2);
    assert_int_equal(stats.requests, 1);
    stop(&w);
}

static void each_request_of_a_connection_has_the_deadline(void **state)
{
    struct http_options opt = {.header_ms = 300, .body_ms = 300, .idle_ms = 60000};
    struct world *w = start(&opt);
    struct caller c;

    (void)state;
    call(w, &c);
    say(&c, "GET /show HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(&c, "HTTP/1.1 200 ");
    say(&c, "GET /show HTTP/1.1\r\n");
    WAIT_FOR(w->loop, c.closed);
    expect(&c, "HTTP/1.1 408 ");
    buf_fini(&c.in);
    stop(&w);
}

struct dripping {
    struct caller *c;
    unsigned sent;
};

static void drip(void *arg)
{
    struct dripping *d = arg;

    if (d->c->s != NULL && d->sent++ > 0)
        stream_write(d->c->s, STR("X"));
}

/* A byte now and then does not extend the deadline. */
static void a_dripping_header_meets_its_deadline(void **state)
{
    struct http_options opt = {.header_ms = 300};
    struct world *w = start(&opt);
    struct caller c;
    struct dripping d = {.c = &c};
    struct loop_timer *t = loop_timer_new(w->loop, drip, &d);

    (void)state;
    call(w, &c);
    say(&c, "GET /show HTTP/1.1\r\nHost: x\r\nX-");
    loop_timer_start(t, 5, 5);
    WAIT_FOR(w->loop, c.closed);
    expect(&c, "HTTP/1.1 408 ");
    assert_true(d.sent > 2);
    buf_fini(&c.in);
    loop_timer_free(&t);
    stop(&w);
}

static void an_answer_given_up_is_seen_to_be_incomplete(void **state)
{
    struct world *w = start(NULL);
    struct caller c;

    (void)state;
    call(w, &c);
    say(&c, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT_FOR(w->loop, w->has_held);
    http_reply_start(w->held, 200, "text/plain");
    http_reply_write(w->held, STR("half"));
    expect(&c, "half");
    http_reply_abort(w->held);
    WAIT_FOR(w->loop, c.closed);
    expect_not(&c, "\r\n0\r\n");
    assert_int_equal(w->aborted_count, 0); /* it was our own doing */
    buf_fini(&c.in);
    stop(&w);
}

static void a_text_is_sent_as_utf_8(void **state)
{
    struct world *w = start(NULL);
    struct caller c;

    (void)state;
    call(w, &c);
    say(&c, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT_FOR(w->loop, w->has_held);
    http_replyf(w->held, 400, "no '%s'\n", "gr\xc3\xbc\xc3");
    expect(&c, "Content-Length: 13\r\n");
    expect(&c, "no 'gr\xc3\xbc\xef\xbf\xbd'\n");
    hang_up(&c);
    buf_fini(&c.in);
    stop(&w);
}

static void bodies_are_charged_to_the_budget(void **state)
{
    struct mem_budget budget = {.name = "bodies", .limit = 1 << 20};
    struct http_options opt = {.budget = &budget};
    struct world *w = start(&opt);
    struct caller c;

    (void)state;
    call(w, &c);
    say(&c, "POST /hold HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345");
    WAIT_FOR(w->loop, w->has_held);
    assert_true(budget.used >= 5);
    http_replyf(w->held, 200, "ok\n");
    expect(&c, "ok\n");
    hang_up(&c);
    assert_int_equal(budget.used, 0);
    budget.limit = 1;
    ask(w, &c, "POST /show HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345");
    expect(&c, "HTTP/1.1 503 ");
    buf_fini(&c.in);
    stop(&w);
}

static void https_serves_too_and_reloads(void **state)
{
    char dir[TMPDIR_PATH_MAX];
    int fd = tmpdir_open(dir);
    struct listener_options lo = {.backlog = 0};
    struct stream_options so = {.tls = NULL};
    struct tls_files sf = {.server = true}, cf = {.server = false};
    struct tls_ctx *server = NULL, *client = NULL;
    struct world *w = mem_new(sizeof(*w));
    struct caller c;
    struct stream_peer peer;
    struct err err;

    (void)state;
    certs_standard(dir);
    certs_issue(dir, "ca", "renewed", "IP:127.0.0.1", 10);
    cf.ca = certs_path(dir, "ca.crt");
    assert_int_equal(tls_ctx_new(&cf, &client, &err), 0);
    assert_int_equal(loop_new(&w->loop, &err), 0);
    for (int renewed = 0; renewed <= 1; renewed++) {
        sf.cert = certs_path(dir, renewed ? "renewed.crt" : "server.crt");
        sf.key = certs_path(dir, renewed ? "renewed.key" : "server.key");
        assert_int_equal(tls_ctx_new(&sf, &server, &err), 0);
        lo.stream.tls = server;
        if (renewed)
            http_server_set_tls(w->server, server);
        else
            assert_int_equal(
                http_server_open(w->loop, "127.0.0.1:0", &lo, NULL, handler, w, &w->server, &err),
                0);
        tls_ctx_unref(&server);
        memset(&c, 0, sizeof(c));
        c.loop = w->loop;
        buf_init(&c.in, 1 << 16);
        so.tls = client;
        assert_int_equal(
            stream_connect(w->loop, http_server_address(w->server), &so, &CALLER, &c, &c.s, &err),
            0);
        WAIT_FOR(w->loop, c.opened);
        stream_peer(c.s, &peer);
        check_str(peer.common_name, renewed ? "renewed" : "server");
        say(&c, "GET /show HTTP/1.1\r\nHost: x\r\n\r\n");
        expect(&c, "GET /show|");
        hang_up(&c);
    }
    tls_ctx_unref(&client);
    stop(&w);
    tmpdir_close(fd);
}

CHECK_MAIN(cmocka_unit_test(a_request_reaches_the_handler_and_the_answer_the_client),
           cmocka_unit_test(a_form_may_be_put_too),
           cmocka_unit_test(a_connection_serves_many_requests),
           cmocka_unit_test(head_gets_the_length_without_the_body),
           cmocka_unit_test(an_answer_in_chunks),
           cmocka_unit_test(pipelined_requests_are_answered_one_at_a_time_in_order),
           cmocka_unit_test(what_is_malformed_is_answered_and_closed),
           cmocka_unit_test(a_body_over_its_maximum_in_chunks_is_refused),
           cmocka_unit_test(headers_over_16_kib_are_refused),
           cmocka_unit_test(a_caller_not_welcome_hears_it_before_the_body),
           cmocka_unit_test(expect_100_continue_is_answered_before_the_body),
           cmocka_unit_test(a_slow_header_is_answered_408),
           cmocka_unit_test(each_request_of_a_connection_has_the_deadline),
           cmocka_unit_test(a_dripping_header_meets_its_deadline),
           cmocka_unit_test(an_answer_given_up_is_seen_to_be_incomplete),
           cmocka_unit_test(a_text_is_sent_as_utf_8),
           cmocka_unit_test(bodies_are_charged_to_the_budget),
           cmocka_unit_test(https_serves_too_and_reloads))
