/* Unit tests of wire/http: a branch on another loop, and connections that change between the two.
 */
#include "tests/lib/certs.h"
#include "tests/lib/tmpdir.h"
#include "tests/unit/wire/http_world.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define HEAD          " HTTP/1.1\r\nHost: x\r\n"
#define PUSH(n, body) "POST /push" HEAD "Content-Length: " #n "\r\n\r\n" body
#define SHOW          "GET /show" HEAD "\r\n"

enum { BODY_MAX = 4 << 20 };

struct pair {
    struct world w; /* its loop is the test's thread, its server the trunk */
    struct loop *other;
    atomic_uint pushed, here; /* on the branch; pushes on the trunk */
    atomic_uint strangers;    /* who should not be where they are, or not be known */
    atomic_bool holding, lost;
    _Atomic(struct http_exchange *) held;
};

static void on_lost(void *arg)
{
    ((struct pair *)arg)->lost = true;
}

static void answer(struct http_exchange *x, void *arg)
{
    struct pair *p = arg;
    bool branch = !loop_is_current(p->w.loop);
    bool push = str_eq(http_path(x), STR("/push"));
    struct stream_peer peer;

    http_peer(x, &peer);
    if ((branch && !push) || !str_starts(peer.address, STR("127.0.0.1:")))
        p->strangers++;
    if (push)
        (*(branch ? &p->pushed : &p->here))++;
    if (http_param(x, "known", 0).p != NULL)
        http_trust(x);
    if (http_param(x, "hold", 0).p != NULL) {
        http_watch(x, on_lost, NULL, p);
        p->held = x;
        p->holding = true;
        return;
    }
    http_replyf(x, 200, "%s of %zu on the %s\n", push ? "push" : "show", http_body(x).n,
                branch ? "branch" : "trunk");
}

static size_t much(struct http_exchange *x, void *arg)
{
    (void)x;
    (void)arg;
    return BODY_MAX;
}

static struct pair *start_pair(const struct listener_options *lo)
{
    struct pair *p = mem_new(sizeof(*p));
    struct http_options opt = {.body_max = much};
    struct err err;

    assert_int_equal(loop_new(&p->w.loop, &err), 0);
    assert_int_equal(loop_new(&p->other, &err), 0);
    if (http_server_open(p->w.loop, "127.0.0.1:0", lo, &opt, answer, p, &p->w.server, &err) < 0)
        fail_msg("%s", err.text);
    http_server_branch(p->w.server, p->other, "POST /push");
    assert_int_equal(loop_start(p->other, "branch", &err), 0);
    return p;
}

static void cut_branch(struct pair *p)
{
    http_server_cut_branch(p->w.server);
    loop_join(p->other);
    loop_free(&p->other);
}

static void stop_pair(struct pair **pp)
{
    struct pair *p = *pp;

    assert_int_equal(p->strangers, 0);
    if (p->other != NULL)
        cut_branch(p);
    http_server_close(&p->w.server);
    loop_free(&p->w.loop);
    free(p);
    *pp = NULL;
}

static bool is_holding(void *arg)
{
    return ((struct pair *)arg)->holding;
}

static bool is_lost(void *arg)
{
    return ((struct pair *)arg)->lost;
}

static bool is_idle(void *arg)
{
    return http_server_active(((struct pair *)arg)->w.server) == 0;
}

static void each_request_is_handled_where_it_belongs(void **state)
{
    struct pair *p = start_pair(NULL);
    struct http_stats stats;
    struct caller c;

    (void)state;
    call(&p->w, &c);
    for (int i = 0; i < 3; i++) {
        say(&c, PUSH(2, "ab"));
        expect(&c, "push of 2 on the branch\n");
        say(&c, PUSH(3, "abc")); /* it stays there */
        expect(&c, "push of 3 on the branch\n");
        say(&c, SHOW);
        expect(&c, "show of 0 on the trunk\n");
        say(&c, "POST /pushed" HEAD "Content-Length: 1\r\n\r\nx");
        expect(&c, "show of 1 on the trunk\n");
        buf_clear(&c.in);
    }
    assert_int_equal(p->pushed, 6);
    assert_int_equal(p->here, 0);
    wait_check(p->w.loop, is_idle, p, "the last answer to be written");
    http_server_stats(p->w.server, &stats);
    assert_int_equal(stats.requests, 12);
    hang_up(&c);
    stop_pair(&p);
}

static void pipelined_requests_keep_their_order_across_loops(void **state)
{
    struct pair *p = start_pair(NULL);
    struct caller c;
    struct str in;

    (void)state;
    call(&p->w, &c);
    say(&c, PUSH(1, "a") SHOW PUSH(2, "ab") PUSH(3, "abc") SHOW "GET /show?last" HEAD);
    expect(&c, "push of 3 on the branch\n");
    say(&c, "\r\n");
    wait_check(p->w.loop, is_idle, p, "all answers");
    c.wanted = "show of 0 on the trunk\n";
    for (int i = 0; i < 3; i++) { /* three times, in order among the pushes */
        static const char *const BEFORE[] = {"push of 1 ", "push of 3 ", "show of 0 "};
        size_t at, before;

        expect(&c, c.wanted);
        in = buf_str(&c.in);
        at = str_find(in, str_of(c.wanted));
        before = str_find(in, str_of(BEFORE[i]));
        assert_true(i == 2 || before < at);
        buf_drop(&c.in, at + strlen(c.wanted));
    }
    assert_int_equal(p->pushed, 3);
    hang_up(&c);
    stop_pair(&p);
}

static void a_line_that_comes_in_pieces_is_handled_wherever_it_is(void **state)
{
    struct pair *p = start_pair(NULL);
    struct caller c;

    (void)state;
    call(&p->w, &c);
    say(&c, SHOW);
    expect(&c, "show of 0 on the trunk\n");
    say(&c, "POST /pu"); /* may be anything yet */
    WAIT_FOR(p->w.loop, c.opened);
    while (stream_pending(c.s) > 0)
        (void)uv_run(loop_uv(p->w.loop), UV_RUN_ONCE);
    for (int i = 0; i < 10; i++)
        (void)uv_run(loop_uv(p->w.loop), UV_RUN_NOWAIT);
    say(&c, "sh" HEAD "Content-Length: 1\r\n\r\nx");
    expect(&c, "push of 1 on the trunk\n");
    say(&c, PUSH(2, "ab"));
    expect(&c, "push of 2 on the branch\n");
    hang_up(&c);
    stop_pair(&p);
}

/* What TLS holds when the connection goes, and what comes after, is all there. */
static void a_large_body_under_tls_arrives_whole(void **state)
{
    enum { BYTES = 3 << 20 };
    char dir[TMPDIR_PATH_MAX], cert[96], key[96];
    int dir_fd = tmpdir_open(dir);
    struct tls_files mine = {.server = true, .cert = cert, .key = key};
    struct tls_files theirs = {.ca = NULL};
    struct listener_options lo = {.backlog = 0};
    struct stream_options opt = {.tls = NULL};
    struct pair *p;
    struct caller c = {.loop = NULL};
    struct buf body;
    struct err err;

    (void)state;
    certs_standard(dir);
    (void)snprintf(cert, sizeof(cert), "%s/server.crt", dir);
    (void)snprintf(key, sizeof(key), "%s/server.key", dir);
    assert_int_equal(tls_ctx_new(&mine, &lo.stream.tls, &err), 0);
    theirs.ca = certs_path(dir, "ca.crt");
    assert_int_equal(tls_ctx_new(&theirs, &opt.tls, &err), 0);
    p = start_pair(&lo);
    c.loop = p->w.loop;
    buf_init(&c.in, 1 << 20);
    buf_init(&body, BODY_MAX + 4096);
    buf_addf(&body, "POST /push" HEAD "Content-Length: %d\r\n\r\n", BYTES);
    memset(buf_room(&body, BYTES), 'x', BYTES);
    body.n += BYTES;
    buf_add_z(&body, SHOW);
    if (stream_connect(c.loop, http_server_address(p->w.server), &opt, &CALLER, &c, &c.s, &err) < 0)
        fail_msg("%s", err.text);
    for (int i = 0; i < 2; i++) {
        stream_write(c.s, buf_str(&body));
        expect(&c, "push of 3145728 on the branch\n");
        expect(&c, "show of 0 on the trunk\n");
        buf_clear(&c.in);
    }
    hang_up(&c);
    stop_pair(&p);
    buf_fini(&body);
    tls_ctx_unref(&lo.stream.tls);
    tls_ctx_unref(&opt.tls);
    tmpdir_close(dir_fd);
}

static void closing_aborts_what_the_branch_does(void **state)
{
    struct pair *p = start_pair(NULL);
    struct caller c;

    (void)state;
    call(&p->w, &c);
    say(&c, "POST /push?hold" HEAD "Content-Length: 1\r\n\r\nx");
    wait_check(p->w.loop, is_holding, p, "the request");
    assert_int_equal(http_server_active(p->w.server), 1);
    cut_branch(p);
    assert_true(p->lost);
    WAIT_FOR(p->w.loop, c.closed);
    buf_fini(&c.in);
    stop_pair(&p);
}

static void a_client_that_goes_away_is_noticed_on_the_branch(void **state)
{
    struct pair *p = start_pair(NULL);
    struct caller c;

    (void)state;
    call(&p->w, &c);
    say(&c, "POST /push?hold" HEAD "Content-Length: 1\r\n\r\nx");
    wait_check(p->w.loop, is_holding, p, "the request");
    hang_up(&c);
    wait_check(p->w.loop, is_lost, p, "the exchange to hear of it");
    wait_check(p->w.loop, is_idle, p, "nothing under way");
    stop_pair(&p);
}

/* After each round of the loop once: before, on and after the way there and back. */
static void servers_may_close_while_connections_are_on_their_way(void **state)
{
    (void)state;
    for (int rounds = 0; rounds < 24; rounds++) {
        struct pair *p = start_pair(NULL);
        struct caller c[3];

        for (int i = 0; i < 3; i++) {
            call(&p->w, &c[i]);
            say(&c[i], PUSH(1, "a") SHOW PUSH(1, "b") SHOW);
        }
        for (int i = 0; i < rounds; i++)
            (void)uv_run(loop_uv(p->w.loop), UV_RUN_NOWAIT);
        cut_branch(p);
        http_server_close(&p->w.server);
        for (int i = 0; i < 3; i++) {
            WAIT_FOR(p->w.loop, c[i].closed);
            buf_fini(&c[i].in);
        }
        stop_pair(&p);
    }
}

static void release_held(void *arg)
{
    struct pair *p = arg;

    http_replyf(p->held, 200, "let go\n");
}

static void a_drain_reaches_the_branch(void **state)
{
    struct pair *p = start_pair(NULL);
    struct caller idle, busy;

    (void)state;
    call(&p->w, &idle);
    say(&idle, PUSH(1, "a"));
    expect(&idle, "on the branch\n");
    call(&p->w, &busy);
    say(&busy, "POST /push?hold" HEAD "Content-Length: 1\r\n\r\nx");
    wait_check(p->w.loop, is_holding, p, "the request");
    http_server_drain(p->w.server);
    WAIT_FOR(p->w.loop, idle.closed);
    assert_false(busy.closed);
    assert_true(loop_post(p->other, release_held, p));
    expect(&busy, "Connection: close\r\n");
    expect(&busy, "let go\n");
    WAIT_FOR(p->w.loop, busy.closed);
    wait_check(p->w.loop, is_idle, p, "nothing under way");
    buf_fini(&idle.in);
    buf_fini(&busy.in);
    stop_pair(&p);
}

static void who_went_to_the_branch_counts_as_a_connection(void **state)
{
    struct listener_options lo = {.max_streams = 1};
    struct pair *p = start_pair(&lo);
    struct http_stats stats;
    struct caller c, second;

    (void)state;
    call(&p->w, &c);
    say(&c, "GET /show?known" HEAD "\r\n" PUSH(1, "a")); /* known there, too */
    expect(&c, "on the branch\n");
    ask(&p->w, &second, SHOW);
    assert_int_equal(second.in.n, 0);
    buf_fini(&second.in);
    http_server_stats(p->w.server, &stats);
    assert_int_equal(stats.connections_refused, 1);
    hang_up(&c);
    do { /* until the end of the first has come here */
        call(&p->w, &second);
        say(&second, SHOW);
        while (!second.closed && second.in.n == 0)
            (void)uv_run(loop_uv(p->w.loop), UV_RUN_ONCE);
        if (second.in.n == 0)
            buf_fini(&second.in);
    } while (second.closed);
    expect(&second, "show of 0 on the trunk\n");
    hang_up(&second);
    stop_pair(&p);
}

static void a_stranger_on_the_branch_gives_way(void **state)
{
    struct listener_options lo = {.max_streams = 1};
    struct pair *p = start_pair(&lo);
    struct caller c, second;

    (void)state;
    call(&p->w, &c);
    say(&c, PUSH(1, "a"));
    expect(&c, "on the branch\n");
    call(&p->w, &second);
    say(&second, "POST /push?known" HEAD "Content-Length: 1\r\n\r\nb");
    expect(&second, "on the branch\n");
    WAIT_FOR(p->w.loop, c.closed);
    buf_fini(&c.in);
    hang_up(&second);
    stop_pair(&p);
}

static void without_a_descriptor_the_push_is_handled_here(void **state)
{
    struct pair *p = start_pair(NULL);
    struct rlimit before, none;
    struct caller c;
    int next;

    (void)state;
    call(&p->w, &c);
    say(&c, SHOW);
    expect(&c, "on the trunk\n");
    next = dup(0);
    assert_true(next > 0);
    (void)close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    say(&c, PUSH(5, "abcde"));
    expect(&c, "push of 5 on the trunk\n");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    say(&c, PUSH(6, "abcdef"));
    expect(&c, "push of 6 on the branch\n");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    say(&c, SHOW); /* which the branch does not handle: the connection ends */
    WAIT_FOR(p->w.loop, c.closed);
    assert_int_equal(c.why.code, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    buf_fini(&c.in);
    stop_pair(&p);
}

CHECK_MAIN(cmocka_unit_test(each_request_is_handled_where_it_belongs),
           cmocka_unit_test(pipelined_requests_keep_their_order_across_loops),
           cmocka_unit_test(a_line_that_comes_in_pieces_is_handled_wherever_it_is),
           cmocka_unit_test(a_large_body_under_tls_arrives_whole),
           cmocka_unit_test(closing_aborts_what_the_branch_does),
           cmocka_unit_test(a_client_that_goes_away_is_noticed_on_the_branch),
           cmocka_unit_test(servers_may_close_while_connections_are_on_their_way),
           cmocka_unit_test(a_drain_reaches_the_branch),
           cmocka_unit_test(who_went_to_the_branch_counts_as_a_connection),
           cmocka_unit_test(a_stranger_on_the_branch_gives_way),
           cmocka_unit_test(without_a_descriptor_the_push_is_handled_here))
