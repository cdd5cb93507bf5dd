/* Unit tests of wire/http: clients that go away, servers that stop, readers that do not read. */
#include "wire/http.h"

#include "tests/unit/wire/http_world.h"

static void a_client_that_goes_away_aborts_the_exchange_once(void **state)
{
    struct world *w = start(NULL);
    struct http_stats stats;
    struct caller c;
    struct err cut;

    (void)state;
    (void)err_set(&cut, ERR_CANCELLED, "cut");
    for (int streaming = 0; streaming <= 1; streaming++) {
        w->has_held = w->aborted = false;
        call(w, &c);
        say(&c, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
        WAIT_FOR(w->loop, w->has_held);
        if (streaming == 1) {
            http_reply_start(w->held, 200, "text/plain");
            http_reply_write(w->held, STR("so far"));
            expect(&c, "so far");
        }
        stream_close(c.s, &cut);
        WAIT_FOR(w->loop, w->aborted);
        assert_int_equal(http_server_active(w->server), 0);
        WAIT_FOR(w->loop, c.closed);
        buf_fini(&c.in);
    }
    assert_int_equal(w->aborted_count, 2);
    http_server_stats(w->server, &stats);
    assert_int_equal(stats.aborted, 2);
    stop(&w);
    /* an exchange that ended well is never aborted, whatever its client does */
    w = start(NULL);
    call(w, &c);
    say(&c, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT_FOR(w->loop, w->has_held);
    http_replyf(w->held, 200, "fine\n");
    expect(&c, "fine");
    hang_up(&c);
    http_server_drain(w->server);
    assert_int_equal(w->aborted_count, 0);
    stop(&w);
}

static void an_unwatched_exchange_is_answered_into_the_void(void **state)
{
    struct world *w = start(NULL);
    struct caller c;
    struct err cut;

    (void)state;
    (void)err_set(&cut, ERR_CANCELLED, "cut");
    call(w, &c);
    say(&c, "GET /unwatched HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT_FOR(w->loop, w->has_held);
    stream_close(c.s, &cut);
    while (http_server_active(w->server) > 0)
        (void)uv_run(loop_uv(w->loop), UV_RUN_ONCE);
    check_str(http_path(w->held), "/unwatched");
    assert_false(http_is_full(w->held));
    http_reply_start(w->held, 200, "text/plain");
    http_reply_write(w->held, STR("anybody?"));
    http_reply_end(w->held);
    buf_fini(&c.in);
    stop(&w);
}

static void closing_the_server_aborts_what_is_under_way(void **state)
{
    struct world *w = start(NULL);
    struct caller c;

    (void)state;
    call(w, &c);
    say(&c, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT_FOR(w->loop, w->has_held);
    http_server_close(&w->server);
    assert_null(w->server);
    assert_int_equal(w->aborted_count, 1); /* before it returns */
    WAIT_FOR(w->loop, c.closed);
    assert_int_equal(w->aborted_count, 1);
    buf_fini(&c.in);
    stop(&w);
}

static void a_drained_server_finishes_and_closes(void **state)
{
    struct world *w = start(NULL);
    struct caller busy, idle, late;
    struct err err;

    (void)state;
    call(w, &idle);
    say(&idle, "GET /show HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(&idle, "GET /show|");
    call(w, &busy);
    say(&busy, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT_FOR(w->loop, w->has_held);
    http_server_drain(w->server);
    WAIT_FOR(w->loop, idle.closed);
    assert_false(busy.closed);
    assert_int_equal(http_server_active(w->server), 1);
    memset(&late, 0, sizeof(late));
    buf_init(&late.in, 100);
    assert_int_equal(stream_connect(w->loop, http_server_address(w->server), NULL, &CALLER, &late,
                                    &late.s, &err),
                     0);
    WAIT_FOR(w->loop, late.closed);
    assert_false(late.opened);
    http_replyf(w->held, 200, "last\n");
    assert_int_equal(http_server_active(w->server), 0);
    WAIT_FOR(w->loop, busy.closed);
    expect(&busy, "last");
    expect(&busy, "Connection: close\r\n");
    buf_fini(&busy.in);
    buf_fini(&idle.in);
    stop(&w);
}

static bool is_idle(void *arg)
{
    return http_server_is_idle(((struct world *)arg)->server);
}

/* Closing is for when the last answer is with its client, however slowly that reads. */
static void a_server_is_idle_when_its_answers_are_out(void **state)
{
    enum { ANSWER = 32 << 20 };
    struct world *w = start(NULL);
    char *body = mem_new(ANSWER);
    struct caller c;

    (void)state;
    call(w, &c);
    say(&c, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT_FOR(w->loop, w->has_held);
    assert_false(http_server_is_idle(w->server));
    stream_pause(c.s);
    http_server_drain(w->server);
    http_reply(w->held, 200, "text/plain", (struct str){body, ANSWER});
    assert_int_equal(http_server_active(w->server), 0);
    assert_false(http_server_is_idle(w->server));
    stream_resume(c.s);
    wait_check(w->loop, is_idle, w, "the answer is out");
    http_server_close(&w->server);
    WAIT_FOR(w->loop, c.closed);
    assert_true(c.in.n > ANSWER);
    free(body);
    buf_fini(&c.in);
    stop(&w);
}

static void on_late(void *arg)
{
    *(bool *)arg = true;
}

static void a_streamed_answer_waits_for_its_reader(void **state)
{
    struct http_options opt = {.body_ms = 1500};
    struct world *w = start(&opt);
    struct loop_timer *t;
    bool late = false;
    struct caller c;
    size_t written = 0;
    char *piece = mem_new(1 << 20);

    (void)state;
    call(w, &c);
    say(&c, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT_FOR(w->loop, w->has_held);
    stream_pause(c.s);
    http_reply_start(w->held, 200, "text/plain");
    for (; !http_is_full(w->held); written++) {
        assert_in_range(written, 0, 100);
        http_reply_write(w->held, (struct str){piece, 1 << 20});
    }
    assert_false(w->drained);
    stream_resume(c.s);
    WAIT_FOR(w->loop, w->drained);
    assert_false(http_is_full(w->held));
    t = loop_timer_new(w->loop, on_late, &late);
    loop_timer_start(t, 2000, 0); /* who has read on may be slow later */
    WAIT_FOR(w->loop, late);
    loop_timer_free(&t);
    assert_false(w->aborted);
    http_reply_end(w->held);
    expect(&c, "\r\n0\r\n\r\n");
    assert_true(c.in.n > written << 20);
    free(piece);
    hang_up(&c);
    stop(&w);
}

static void a_reader_that_stops_for_long_is_cut(void **state)
{
    struct http_options opt = {.body_ms = 40};
    struct world *w = start(&opt);
    struct http_stats stats;
    struct caller c;
    char *piece = mem_new(1 << 20);

    (void)state;
    call(w, &c);
    say(&c, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT_FOR(w->loop, w->has_held);
    stream_pause(c.s);
    http_reply_start(w->held, 200, "text/plain");
    while (!http_is_full(w->held))
        http_reply_write(w->held, (struct str){piece, 1 << 20});
    WAIT_FOR(w->loop, w->aborted);
    http_server_stats(w->server, &stats);
    assert_int_equal(stats.timeouts, 1);
    free(piece);
    stream_resume(c.s);
    WAIT_FOR(w->loop, c.closed);
    buf_fini(&c.in);
    stop(&w);
}

struct slow {
    struct caller c;
    size_t seen;
    unsigned turns;
};

/* Reads a piece when asked to. */
static void slow_data(struct stream *s, struct str bytes, void *arg)
{
    struct slow *slow = arg;

    slow->seen += bytes.n;
    if (slow->seen > (size_t)512 << 10) {
        slow->seen = 0;
        stream_pause(s);
    }
}

static void slow_closed(struct stream *s, const struct err *why, void *arg)
{
    struct slow *slow = arg;

    caller_closed(s, why, &slow->c);
}

static void slow_turn(void *arg)
{
    struct slow *slow = arg;

    slow->turns++;
    if (slow->c.s != NULL)
        stream_resume(slow->c.s);
}

/* A whole answer takes many times as long as nobody may stop reading for. */
static void read_slowly(const char *request)
{
    enum { ANSWER = 48 << 20, BODY_MS = 500, TURN_MS = 25 };
    static const struct stream_handler SLOW = {.data = slow_data, .closed = slow_closed};
    struct http_options opt = {.body_ms = BODY_MS};
    struct world *w = start(&opt);
    char *body = mem_new(ANSWER);
    struct http_stats stats;
    struct slow slow = {.seen = 0};
    struct loop_timer *t;
    struct err err;

    t = loop_timer_new(w->loop, slow_turn, &slow);
    assert_int_equal(stream_connect(w->loop, http_server_address(w->server), NULL, &SLOW, &slow,
                                    &slow.c.s, &err),
                     0);
    stream_write(slow.c.s, str_of(request));
    WAIT_FOR(w->loop, w->has_held);
    http_reply(w->held, 200, "text/plain", (struct str){body, ANSWER});
    loop_timer_start(t, TURN_MS, TURN_MS);
    wait_check(w->loop, is_idle, w, "the answer is out");
    assert_true(slow.turns > 2 * BODY_MS / TURN_MS);
    http_server_stats(w->server, &stats);
    assert_int_equal(stats.timeouts, 0);
    free(body);
    if (slow.c.s != NULL)
        stream_close(slow.c.s, NULL);
    WAIT_FOR(w->loop, slow.c.closed);
    loop_timer_free(&t);
    stop(&w);
}

static void a_slow_reader_gets_all_of_an_answer(void **state)
{
    (void)state;
    read_slowly("GET /hold HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n");
    read_slowly("GET /hold HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
}

/* What clients leave unread is memory, of which there is so much. */
static void unread_answers_are_charged_to_the_budget(void **state)
{
    enum { ANSWER = 32 << 20 };
    struct mem_budget budget = {.name = "test", .limit = 48 << 20};
    struct http_options opt = {.answers = &budget};
    struct world *w = start(&opt);
    char *body = mem_new(ANSWER);
    struct caller c, other;

    (void)state;
    call(w, &c);
    say(&c, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT_FOR(w->loop, w->has_held);
    stream_pause(c.s);
    http_reply(w->held, 200, "text/plain", (struct str){body, ANSWER});
    assert_true(budget.used >= ANSWER);
    for (int i = 0; i < 2; i++) {
        w->has_held = false;
        call(w, &other);
        say(&other, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
        WAIT_FOR(w->loop, w->has_held);
        http_reply_header(w->held, "Content-Encoding", STR("gzip"));
        http_reply(w->held, 200, "text/plain", (struct str){body, ANSWER});
        expect(&other, i == 0 ? "503 Service Unavailable" : "200 OK");
        if (i == 0) {
            expect(&other, "no memory for the answer");
            expect_not(&other, "gzip");
            stream_resume(c.s);
            wait_check(w->loop, is_idle, w, "the answer is out");
            assert_true(budget.used < ANSWER);
        }
        hang_up(&other);
    }
    hang_up(&c);
    free(body);
    stop(&w);
    assert_int_equal(budget.used, 0);
}

/* Connections that only wait keep nobody out; those of known clients stay. */
static void strangers_give_way_the_first_first(void **state)
{
    enum { PLACES = 3 };
    struct listener_options lo = {.max_streams = PLACES};
    struct world *w = start_with(&lo, NULL);
    struct caller strangers[PLACES], known[PLACES], late;
    struct http_stats stats;

    (void)state;
    for (size_t i = 0; i < PLACES; i++) {
        call(w, &strangers[i]);
        if (i % 2 == 0)
            say(&strangers[i], "GET /show HTTP/1.1\r\nX-Long: ");
        else
            say(&strangers[i], "GET /show HTTP/1.1\r\nHost: x\r\n\r\n");
        WAIT_FOR(w->loop, strangers[i].opened);
    }
    expect(&strangers[1], "200 OK"); /* having been answered makes nobody known */
    for (size_t i = 0; i < PLACES; i++) {
        call(w, &known[i]);
        say(&known[i], "GET /show HTTP/1.1\r\nHost: x\r\nX-Known: 1\r\n\r\n");
        expect(&known[i], "200 OK");
        WAIT_FOR(w->loop, strangers[i].closed);
        assert_true(i + 1 == PLACES || !strangers[i + 1].closed);
    }
    call(w, &late);
    WAIT_FOR(w->loop, late.closed);
    http_server_stats(w->server, &stats);
    assert_int_equal(stats.connections_refused, PLACES + 1);
    for (size_t i = 0; i < PLACES; i++) {
        buf_clear(&known[i].in);
        say(&known[i], "GET /show HTTP/1.1\r\nHost: x\r\n\r\n");
        expect(&known[i], "200 OK");
        hang_up(&known[i]);
        buf_fini(&strangers[i].in);
    }
    buf_fini(&late.in);
    stop(&w);
}

/* Each of those who come in one round takes the place of another. */
static void newcomers_take_a_place_each(void **state)
{
    enum { PLACES = 6 };
    struct listener_options lo = {.max_streams = PLACES};
    struct http_options opt = {.header_ms = 600 * 1000};
    struct world *w = start_with(&lo, &opt);
    struct caller strangers[PLACES], known[PLACES];

    (void)state;
    for (size_t i = 0; i < PLACES; i++) {
        call(w, &strangers[i]);
        say(&strangers[i], "GET /show HTTP/1.1\r\nHost: x\r\n\r\n");
        expect(&strangers[i], "200 OK");
    }
    for (size_t i = 0; i < PLACES; i++) {
        call(w, &known[i]);
        say(&known[i], "GET /show HTTP/1.1\r\nHost: x\r\nX-Known: 1\r\n\r\n");
    }
    for (size_t i = 0; i < PLACES; i++) {
        expect(&known[i], "200 OK");
        WAIT_FOR(w->loop, strangers[i].closed);
        buf_fini(&strangers[i].in);
        hang_up(&known[i]);
    }
    stop(&w);
}

/* A body that may come and does not makes nobody known. */
static void a_stranger_that_owes_a_body_gives_way(void **state)
{
    struct listener_options lo = {.max_streams = 1};
    struct world *w = start_with(&lo, NULL);
    struct caller stranger, known, late;

    (void)state;
    call(w, &stranger);
    say(&stranger, "POST /show HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
                   "Expect: 100-continue\r\n\r\nbody");
    expect(&stranger, "100 Continue");
    call(w, &known);
    say(&known, "POST /show HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nX-Known: 1\r\n"
                "Expect: 100-continue\r\n\r\nbody");
    expect(&known, "100 Continue");
    WAIT_FOR(w->loop, stranger.closed);
    call(w, &late);
    WAIT_FOR(w->loop, late.closed);
    say(&known, " here");
    expect(&known, "body=body here");
    hang_up(&known);
    buf_fini(&stranger.in);
    buf_fini(&late.in);
    stop(&w);
}

/* That it is the last answer gives nobody more time to take it. */
static void a_last_answer_that_nobody_reads_is_cut(void **state)
{
    enum { ANSWER = 32 << 20 };
    struct mem_budget budget = {.name = "test", .limit = 48 << 20};
    struct http_options opt = {.answers = &budget, .body_ms = 40};
    struct world *w = start(&opt);
    char *body = mem_new(ANSWER);
    struct http_stats stats;
    struct caller c;

    (void)state;
    call(w, &c);
    say(&c, "GET /hold HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    WAIT_FOR(w->loop, w->has_held);
    stream_pause(c.s);
    http_reply(w->held, 200, "text/plain", (struct str){body, ANSWER});
    free(body);
    assert_true(budget.used >= ANSWER);
    wait_check(w->loop, is_idle, w, "the end of the answer");
    http_server_stats(w->server, &stats);
    assert_int_equal(stats.timeouts, 1);
    stream_resume(c.s);
    WAIT_FOR(w->loop, c.closed);
    buf_fini(&c.in);
    stop(&w);
    assert_int_equal(budget.used, 0);
}

enum { BIG_ANSWERS = 40 };

static bool has_all_big(void *arg)
{
    return ((struct caller *)arg)->in.n > (size_t)BIG_ANSWERS << 20;
}

static bool is_handling(void *arg)
{
    return ((struct world *)arg)->handled > 0;
}

static void ask_big_unread(struct world *w, struct caller *c)
{
    call(w, c);
    WAIT_FOR(w->loop, c->opened);
    stream_pause(c->s);
    for (int i = 0; i < BIG_ANSWERS; i++)
        say(c, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_check(w->loop, is_handling, w, "the first request");
}

static void pipelined_answers_wait_for_their_reader(void **state)
{
    struct world *w = start(NULL);
    struct caller c, other;

    (void)state;
    ask_big_unread(w, &c);
    for (int i = 0; i < 3; i++) {
        call(w, &other);
        say(&other, "GET /show HTTP/1.1\r\nHost: x\r\n\r\n");
        expect(&other, "GET /show|");
        hang_up(&other);
    }
    assert_in_range(w->handled, 4, BIG_ANSWERS / 2);
    stream_resume(c.s);
    wait_check(w->loop, has_all_big, &c, "all answers");
    assert_int_equal(w->handled, BIG_ANSWERS + 3);
    hang_up(&c);
    stop(&w);
}

static void pipelined_answers_nobody_reads_are_cut(void **state)
{
    struct http_options opt = {.body_ms = 40};
    struct world *w = start(&opt);
    struct http_stats stats = {0};
    struct caller c;

    (void)state;
    ask_big_unread(w, &c);
    while (stats.timeouts == 0) {
        struct caller other;
        call(w, &other);
        say(&other, "GET /show HTTP/1.1\r\nHost: x\r\n\r\n");
        expect(&other, "GET /show|");
        hang_up(&other);
        http_server_stats(w->server, &stats);
    }
    stream_resume(c.s);
    WAIT_FOR(w->loop, c.closed);
    assert_false(has_all_big(&c));
    buf_fini(&c.in);
    stop(&w);
}

static void an_upgraded_connection_speaks_its_own_protocol(void **state)
{
    struct world *w = start(NULL);
    struct caller c;
    struct err cut;

    (void)state;
    (void)err_set(&cut, ERR_CANCELLED, "cut");
    call(w, &c);
    /* what comes behind the request belongs to the new protocol already */
    say(&c, "GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: parrot\r\n\r\nhi");
    expect(&c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: parrot\r\n"
               "X-Key: lock\r\n\r\n>hi");
    say(&c, "GET /show HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(&c, ">GET /show HTTP/1.1");
    assert_int_equal(http_server_active(w->server), 1);
    say(&c, "bye!");
    WAIT_FOR(w->loop, c.closed);
    expect(&c, ">bye!");
    assert_int_equal(w->aborted_count, 0);
    assert_int_equal(http_server_active(w->server), 0);
    buf_fini(&c.in);

    call(w, &c);
    say(&c, "GET /upgrade HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(&c, "101");
    stream_close(c.s, &cut);
    WAIT_FOR(w->loop, w->aborted);
    WAIT_FOR(w->loop, c.closed);
    assert_int_equal(w->aborted_count, 1);
    buf_fini(&c.in);
    stop(&w);
}

CHECK_MAIN(cmocka_unit_test(an_upgraded_connection_speaks_its_own_protocol),
           cmocka_unit_test(a_client_that_goes_away_aborts_the_exchange_once),
           cmocka_unit_test(an_unwatched_exchange_is_answered_into_the_void),
           cmocka_unit_test(closing_the_server_aborts_what_is_under_way),
           cmocka_unit_test(a_drained_server_finishes_and_closes),
           cmocka_unit_test(a_server_is_idle_when_its_answers_are_out),
           cmocka_unit_test(a_streamed_answer_waits_for_its_reader),
           cmocka_unit_test(a_reader_that_stops_for_long_is_cut),
           cmocka_unit_test(a_slow_reader_gets_all_of_an_answer),
           cmocka_unit_test(unread_answers_are_charged_to_the_budget),
           cmocka_unit_test(a_last_answer_that_nobody_reads_is_cut),
           cmocka_unit_test(strangers_give_way_the_first_first),
           cmocka_unit_test(newcomers_take_a_place_each),
           cmocka_unit_test(a_stranger_that_owes_a_body_gives_way),
           cmocka_unit_test(pipelined_answers_wait_for_their_reader),
           cmocka_unit_test(pipelined_answers_nobody_reads_are_cut))
