/*
 * server/session_forward.c: real sockets with mutual TLS, a real store.
 *
 * One test waits out the five seconds after which a starved connection is cut.
 */
#include "base/fault.h"
#include "server/collectors.h"
#include "server/stream_limit.h"
#include "tests/unit/server/sender.h"

/* ---- what a sender can rely on ---- */

static void an_ack_waits_for_durable(void **state)
{
    struct fixture *f = *state;
    struct peer *one, *two;

    serve(f, false);
    one = connect_peer(f);
    two = connect_peer(f);
    world_shut(f->w, true);
    post(one, part_message(f, "file", 0, 3, "t1"));
    wait_check(f->w->loop, world_is_waiting, f->w, "the chunk to be durable");
    /* Both loops are alive: a heartbeat comes back, the ack still does not. */
    post(two, heartbeat(f, STR("alive")));
    wait_answers(two, 1);
    post(one, heartbeat(f, STR("behind t1")));
    post(two, heartbeat(f, STR("alive too")));
    wait_answers(two, 2);
    assert_int_equal(one->acks, 0);
    world_shut(f->w, false);
    wait_answers(one, 2);
    assert_string_equal(one->answers[0].token, "t1"); /* in order of arrival */
    assert_string_equal(one->answers[1].token, "behind t1");
    feed_check(&f->w->feed, "default", "line 0000\nline 0001\nline 0002\n");
    peer_free(one);
    peer_free(two);
}

static void a_chunk_sent_twice_is_acked_and_stored_once(void **state)
{
    struct fixture *f = *state;
    struct peer *p;

    serve(f, false);
    p = connect_peer(f);
    post(p, part_message(f, "file", 0, 2, "t1"));
    post(p, part_message(f, "file", 0, 2, "t1"));
    post(p, foreign_message(f, STR("of another"), "t2"));
    post(p, foreign_message(f, STR("of another"), "t2"));
    post(p, foreign_message(f, STR("of another"), "t3")); /* not the same chunk */
    wait_answers(p, 5);
    assert_int_equal(p->refusals, 0);
    feed_check(&f->w->feed, "default", "of another\nof another\nline 0000\nline 0001\n");
    peer_free(p);
}

static void a_part_that_overlaps_half_is_refused_for_ever(void **state)
{
    struct fixture *f = *state;
    struct peer *p;

    serve(f, false);
    p = connect_peer(f);
    post(p, part_message(f, "file", 0, 4, "t1"));
    post(p, part_message(f, "file", 2, 6, "t2"));
    post(p, part_message(f, "file", 4, 6, "t3"));
    wait_answers(p, 3);
    assert_int_equal(p->refusals, 1);
    assert_true(p->answers[1].refused);
    assert_string_equal(p->answers[1].token, "t2");
    assert_string_equal(p->answers[1].code, "EXISTS");
    assert_int_equal(metric_get(METRIC_FORWARD_REFUSED), 1);
    feed_check(&f->w->feed, "default",
               "line 0000\nline 0001\nline 0002\nline 0003\nline 0004\nline 0005\n");
    peer_free(p);
}

/* A part of each of `n` files, each a line of a stream of its own, {app=letter}. */
static struct str letters_message(struct fixture *f, const char *letters, unsigned from,
                                  const char *token)
{
    struct label labels[8][1];
    struct forward_part parts[8] = {{.file_id = STR_NULL}};
    struct forward_chunk c = {.tag = STR("logq"), .token = str_of(token), .parts = parts};
    struct buf payload;

    buf_init(&payload, TEXT_MAX);
    for (; letters[c.n_parts] != '\0'; c.n_parts++) {
        struct str letter = {letters + c.n_parts, 1};
        struct label field = {STR("log"), letter};
        labels[c.n_parts][0] = (struct label){STR("app"), letter};
        parts[c.n_parts] = (struct forward_part){.file_id = letter,
                                                 .start = from,
                                                 .end = from + 2,
                                                 .count = 1,
                                                 .labels = {labels[c.n_parts], 1}};
        forward_pack_entry(&payload, FEED_DAY + 1 + from, &field, 1);
    }
    c.payload = buf_str(&payload);
    c.n_entries = c.n_parts;
    buf_clear(&f->message);
    forward_pack_chunk(&f->message, &c);
    buf_fini(&payload);
    return buf_str(&f->message);
}

static void streams_over_the_limit_are_refused_and_the_rest_is_stored(void **state)
{
    struct fixture *f = *state;
    struct store_range range;
    struct peer *p;

    f->w->server.streams = stream_limit_new(2);
    serve(f, false);
    p = connect_peer(f);
    post(p, letters_message(f, "ab", 0, "t1"));
    post(p, letters_message(f, "acb", 2, "t2"));
    post(p, letters_message(f, "acb", 2, "t2")); /* its ack was lost */
    post(p, letters_message(f, "cd", 4, "t3"));
    wait_answers(p, 4);
    assert_int_equal(p->refusals, 3);
    assert_false(p->answers[0].refused);
    for (unsigned i = 1; i < 3; i++) {
        assert_string_equal(p->answers[i].token, "t2");
        assert_string_equal(p->answers[i].code, "LIMIT");
        assert_true(p->answers[i].has_parts && !p->answers[i].parts[0] && p->answers[i].parts[1] &&
                    !p->answers[i].parts[2]);
    }
    assert_true(p->answers[3].parts[0] && p->answers[3].parts[1]);
    feed_check(&f->w->feed, "default", "a\nb\na\nb\n");
    assert_int_equal(
        store_ranges(f->w->server.store, STR("logq://collector/one"), STR("c"), &range, 1), 0);
    assert_int_equal(metric_get(METRIC_FORWARD_PARTS_REFUSED), 4);
    assert_int_equal(metric_get(METRIC_FORWARD_REFUSED), 0);
    peer_free(p);
    listen_forward_close(&f->l);
    stream_limit_free(&f->w->server.streams);
}

/* The server was started anew and knows less: what is stored was admitted once. */
static void what_is_stored_is_not_refused_when_it_is_sent_again(void **state)
{
    struct fixture *f = *state;
    struct peer *p;

    serve(f, false);
    p = connect_peer(f);
    post(p, letters_message(f, "abc", 0, "t1"));
    wait_answers(p, 1);
    peer_free(p);
    listen_forward_close(&f->l);
    f->w->server.streams = stream_limit_new(1);
    serve(f, false);
    p = connect_peer(f);
    post(p, letters_message(f, "abc", 0, "t1"));
    wait_answers(p, 1);
    assert_int_equal(p->refusals, 0);
    feed_check(&f->w->feed, "default", "a\nb\nc\n");
    peer_free(p);
    listen_forward_close(&f->l);
    stream_limit_free(&f->w->server.streams);
}

static void a_chunk_of_ours_that_cannot_be_read_is_refused_not_cut(void **state)
{
    struct fixture *f = *state;
    struct forward_part part = {.file_id = STR("file"), .start = 0, .end = 10, .count = 7};
    struct forward_chunk c = {.tag = STR("logq"), .token = STR("t1"), .parts = &part, .n_parts = 1};
    struct label field = {STR("log"), STR("one of seven")};
    struct buf payload;
    struct peer *p;

    serve(f, false);
    p = connect_peer(f);
    buf_init(&payload, 4096);
    forward_pack_entry(&payload, FEED_DAY, &field, 1);
    c.payload = buf_str(&payload);
    buf_clear(&f->message);
    forward_pack_chunk(&f->message, &c);
    post(p, buf_str(&f->message));
    post(p, part_message(f, "file", 0, 1, "t2"));
    wait_answers(p, 2);
    assert_true(p->answers[0].refused);
    assert_string_equal(p->answers[0].code, "CORRUPT");
    assert_false(p->answers[1].refused);
    buf_fini(&payload);
    peer_free(p);
}

/* Parts of 120 lines, cut every which way, in any order, twice, over two connections on two loops:
 * whatever was refused on the way, in the end each line is there once. */
static void shuffled_parts_over_two_connections_store_each_line_once(void **state)
{
    enum { LINES = 120, PARTS = 200 };
    struct fixture *f = *state;
    struct store_range range;
    struct peer *peers[2];
    uint32_t random = 20260110;
    size_t sent[2] = {0, 0};
    struct buf want;

    serve(f, false);
    peers[0] = connect_peer(f);
    peers[1] = connect_peer(f);
    for (unsigned i = 0; i < PARTS; i++) {
        unsigned from, to;
        random = random * 1664525 + 1013904223;
        from = (random >> 8) % LINES;
        to = from + 1 + (random >> 20) % 5;
        to = to > LINES ? LINES : to;
        post(peers[i % 2], part_message(f, "file", from, to, "any"));
        sent[i % 2]++;
    }
    for (unsigned i = 0; i < LINES; i++) { /* what is missing by now */
        post(peers[i % 2], part_message(f, "file", i, i + 1, "one"));
        sent[i % 2]++;
    }
    wait_answers(peers[0], sent[0]);
    wait_answers(peers[1], sent[1]);
    assert_int_equal(
        store_ranges(f->w->server.store, STR("logq://collector/one"), STR("file"), &range, 1), 1);
    assert_true(range.start == 0 && range.end == LINES * LINE_BYTES);
    buf_init(&want, TEXT_MAX);
    for (unsigned i = 0; i < LINES; i++)
        buf_addf(&want, "line %04u\n", i);
    buf_add_char(&want, '\0');
    feed_check(&f->w->feed, "default", want.p);
    buf_fini(&want);
    peer_free(peers[0]);
    peer_free(peers[1]);
}

static void a_connection_cut_before_the_ack_loses_and_doubles_nothing(void **state)
{
    struct fixture *f = *state;
    struct peer *p;

    serve(f, false);
    p = connect_peer(f);
    world_shut(f->w, true);
    post(p, part_message(f, "file", 0, 2, "t1"));
    post(p, foreign_message(f, STR("of another"), "t2"));
    wait_metric(f->w, METRIC_FORWARD_MESSAGES, 2);
    stream_close(p->s, &(struct err){.code = ERR_CANCELLED});
    peer_free(p);
    world_shut(f->w, false);
    p = connect_peer(f);
    post(p, part_message(f, "file", 0, 2, "t1"));
    post(p, foreign_message(f, STR("of another"), "t2"));
    wait_answers(p, 2);
    assert_int_equal(p->refusals, 0);
    feed_check(&f->w->feed, "default", "of another\nline 0000\nline 0001\n");
    peer_free(p);
}

static void heartbeats_are_answered_and_stored_nowhere(void **state)
{
    struct fixture *f = *state;
    struct peer *p;

    serve(f, false);
    p = connect_peer(f);
    post(p, STR("\xc0")); /* nil: not even answered */
    post(p, heartbeat(f, STR("hb")));
    wait_answers(p, 1);
    assert_string_equal(p->answers[0].token, "hb");
    assert_int_equal(metric_get(METRIC_FORWARD_HEARTBEATS), 2);
    feed_check(&f->w->feed, "default", "");
    peer_free(p);
}

/* ---- who is who ---- */

static void the_certificate_names_the_tenant(void **state)
{
    struct fixture *f = *state;
    struct store_range range;
    struct peer *p;

    serve(f, false);
    tls_ctx_unref(&f->tls);
    f->tls = client_tls(f->w->feed.path, "team");
    p = connect_peer(f);
    post(p, part_message(f, "file", 0, 1, "t1"));
    wait_answers(p, 1);
    peer_free(p);
    feed_check(&f->w->feed, "team", "line 0000\n");
    feed_check(&f->w->feed, "default", "");
    assert_int_equal(store_ranges(f->w->server.store, STR("logq://team/collector/node1"),
                                  STR("file"), &range, 1),
                     1);
    tls_ctx_unref(&f->tls);
    f->tls = client_tls(f->w->feed.path, "unnamed"); /* a common name only */
    p = connect_peer(f);
    post(p, part_message(f, "file", 0, 1, "t1"));
    wait_answers(p, 1);
    peer_free(p);
    feed_check(&f->w->feed, "default", "line 0000\n"); /* another peer: another file */
}

static void strangers_do_not_get_in(void **state)
{
    struct fixture *f = *state;
    struct tls_ctx *stranger = client_tls(f->w->feed.path, "stranger");
    struct peer *p;

    serve(f, false);
    p = peer_start(f, listen_forward_address(f->l), stranger);
    wait_metric(f->w, METRIC_FORWARD_TLS_FAILED, 1);
    WAIT_FOR(f->w->loop, p->closed);
    peer_free(p);
    p = peer_start(f, listen_forward_address(f->l), NULL);
    WAIT_FOR(f->w->loop, p->opened);
    post(p, part_message(f, "file", 0, 1, "t1")); /* no TLS at all */
    wait_metric(f->w, METRIC_FORWARD_TLS_FAILED, 2);
    WAIT_FOR(f->w->loop, p->closed);
    peer_free(p);
    assert_int_equal(metric_get(METRIC_FORWARD_MESSAGES), 0);
    tls_ctx_unref(&stranger);
}

/* ---- what is wrong ends the connection, counted ---- */

static void check_rejected(struct fixture *f, struct str message, unsigned metric)
{
    struct peer *p = connect_peer(f);
    uint64_t before = metric_get(metric);

    post(p, message);
    WAIT_FOR(f->w->loop, p->closed);
    assert_int_equal(metric_get(metric), before + 1);
    assert_int_equal(p->acks, 0);
    peer_free(p);
}

static void malformed_messages_close_and_are_counted(void **state)
{
    struct fixture *f = *state;
    struct peer *other;

    f->w->server.conf.forward.max_message_bytes = 65536;
    serve(f, false);
    other = connect_peer(f);
    check_rejected(f, STR("\xc1"), METRIC_FORWARD_REJECT_MALFORMED);
    check_rejected(f, STR("GET / HTTP/1.1\r\n\r\n"), METRIC_FORWARD_REJECT_MALFORMED);
    check_rejected(f, STR("\x93\xa1t\xc4\x02\xc1\xc1\x80"), METRIC_FORWARD_REJECT_MALFORMED);
    check_rejected(f, STR("\x96\xa4PING\xa0\xa0\xa0\xa0\xa0"), METRIC_FORWARD_REJECT_MALFORMED);
    check_rejected(f, STR("\x93\xa1t\xc6\x00\x02\x00\x00"), METRIC_FORWARD_REJECT_LIMIT);
    post(other, heartbeat(f, STR("unharmed")));
    wait_answers(other, 1);
    feed_check(&f->w->feed, "default", "");
    peer_free(other);
}

/* What is not stored must not look stored: to a foreign sender any answer is an ack. */
static void a_refused_chunk_of_somebody_else_gets_no_answer(void **state)
{
    char tenant[155];
    struct fixture *f = *state;

    memset(tenant, 't', sizeof(tenant));
    f->w->server.conf.forward.tenant = (struct str){tenant, sizeof(tenant)}; /* no store takes it */
    serve(f, false);
    check_rejected(f, foreign_message(f, STR("x"), "t1"), METRIC_FORWARD_REJECT_MALFORMED);
    assert_int_equal(metric_get(METRIC_FORWARD_ACKS), 0);
}

/* ---- bounds ---- */

static bool disk_is_full(void *arg)
{
    struct world *w = arg;

    return store_state(w->server.store, NULL, 0) == STORE_FULL;
}

static int setup_full_disk(void **state)
{
    int r = setup(state);
    struct fixture *f = *state;

    store_close(&f->w->feed.s);
    f->w->feed.opt.min_free = 2.0; /* more than all: once full, it stays so */
    feed_open(&f->w->feed);
    f->w->server.store = f->w->feed.s;
    fault_start("wal.write");
    assert_true(fault_next());
    return r;
}

static int teardown_full_disk(void **state)
{
    int r = teardown(state);

    while (fault_next()) /* disarm */
        ;
    return r;
}

static void a_full_disk_stops_reading_of_events_only(void **state)
{
    struct fixture *f = *state;
    struct peer *first, *second, *third;

    serve(f, false);
    first = connect_peer(f);
    second = connect_peer(f);
    third = connect_peer(f);
    post(first, part_message(f, "file", 0, 1, "t1"));
    wait_check(f->w->loop, disk_is_full, f->w, "the disk to be full");
    post(second, part_message(f, "file", 1, 2, "t2"));
    wait_metric(f->w, METRIC_FORWARD_PAUSED, 1);
    post(third, heartbeat(f, STR("alive")));
    wait_answers(third, 1);
    assert_int_equal(first->acks + second->acks, 0);
    assert_int_equal(metric_get(METRIC_FORWARD_MESSAGES), 1); /* the second was not taken */
    store_stop(f->w->server.store);
    WAIT_FOR(f->w->loop, first->closed); /* its chunk has failed: no ack, a resend elsewhere */
    assert_int_equal(first->acks, 0);
    peer_free(first);
    peer_free(second);
    peer_free(third);
}

static void reading_stops_over_the_window_and_goes_on(void **state)
{
    enum { CHUNKS = 100, LINE = 10000 };
    struct fixture *f = *state;
    char *line = malloc(LINE);
    struct peer *p;

    assert_non_null(line);
    memset(line, 'x', LINE);
    f->w->server.conf.forward.window_bytes = 65536;
    serve(f, false);
    p = connect_peer(f);
    world_shut(f->w, true);
    for (int i = 0; i < CHUNKS; i++) {
        char token[16];
        (void)snprintf(token, sizeof(token), "t%d", i);
        post(p, foreign_message(f, (struct str){line, LINE}, token));
    }
    wait_metric(f->w, METRIC_FORWARD_PAUSED, 1);
    assert_true(metric_get(METRIC_FORWARD_MESSAGES) < 10); /* the window, and one more */
    assert_int_equal(p->acks, 0);
    world_shut(f->w, false);
    wait_answers(p, CHUNKS);
    assert_int_equal(p->refusals, 0);
    peer_free(p);
    free(line);
}

/* Its own payload is nearly nothing, yet each message costs: many must fill the window too. */
static void small_messages_fill_the_window_as_well(void **state)
{
    enum { CHUNKS = 2000 };
    struct fixture *f = *state;
    struct peer *p;

    f->w->server.conf.forward.window_bytes = 65536;
    serve(f, false);
    p = connect_peer(f);
    world_shut(f->w, true);
    for (int i = 0; i < CHUNKS; i++) {
        char token[16];
        (void)snprintf(token, sizeof(token), "t%d", i);
        post(p, foreign_message(f, STR("x"), token));
    }
    wait_metric(f->w, METRIC_FORWARD_PAUSED, 1);
    assert_true(metric_get(METRIC_FORWARD_MESSAGES) < 100);
    world_shut(f->w, false);
    wait_answers(p, CHUNKS);
    peer_free(p);
}

static void a_sender_that_does_not_read_its_acks_is_not_read(void **state)
{
    enum { BEATS = 60000, TOKEN = 200 };
    struct fixture *f = *state;
    char token[TOKEN];
    struct peer *p;

    memset(token, 't', sizeof(token));
    serve(f, false);
    p = connect_peer(f);
    stream_pause(p->s);
    for (int i = 0; i < BEATS; i++)
        post(p, heartbeat(f, (struct str){token, TOKEN}));
    wait_metric(f->w, METRIC_FORWARD_PAUSED, 1);
    assert_true(metric_get(METRIC_FORWARD_HEARTBEATS) < BEATS);
    stream_resume(p->s);
    wait_answers(p, BEATS);
    peer_free(p);
}

static void a_large_message_leaves_nothing_charged(void **state)
{
    enum { LINE = 900000, ROUNDS = 3 };
    struct fixture *f = *state;
    char *line = malloc(LINE);
    size_t before, after;
    struct peer *p;
    struct err err;

    assert_non_null(line);
    memset(line, 'x', LINE);
    serve(f, false);
    p = connect_peer(f);
    before = f->w->server.memory.used;
    for (int i = 0; i < ROUNDS; i++) {
        char token[16];
        (void)snprintf(token, sizeof(token), "t%d", i);
        post(p, foreign_message(f, (struct str){line, LINE}, token));
        wait_answers(p, (size_t)i + 1);
    }
    assert_true(f->w->server.memory.peak >= before + LINE);
    assert_int_equal(store_flush(f->w->server.store, &err), 0); /* the records leave memory */
    after = f->w->server.memory.used;
    if (after > before + 1000)
        fail_msg("%zu bytes are charged for an idle connection", after - before);
    peer_free(p);
    free(line);
}

static void without_memory_reading_stops_and_in_the_end_the_connection_is_cut(void **state)
{
    enum { LINE = 1000000 };
    struct fixture *f = *state;
    char *line = malloc(LINE);
    struct peer *p;

    assert_non_null(line);
    memset(line, 'x', LINE);
    f->w->server.memory.limit = LINE / 2;
    serve(f, false);
    p = connect_peer(f);
    post(p, foreign_message(f, (struct str){line, LINE}, "t1"));
    wait_metric(f->w, METRIC_FORWARD_PAUSED, 1);
    WAIT_FOR(f->w->loop, p->closed); /* after five seconds */
    assert_int_equal(metric_get(METRIC_FORWARD_REJECT_MEMORY), 1);
    assert_int_equal(p->acks, 0);
    peer_free(p);
    f->w->server.memory.limit = 0;
    p = connect_peer(f);
    post(p, foreign_message(f, (struct str){line, LINE}, "t1"));
    wait_answers(p, 1);
    peer_free(p);
    free(line);
}

static void memory_that_comes_back_lets_it_go_on(void **state)
{
    enum { LINE = 1000000 };
    struct fixture *f = *state;
    struct mem_budget *m = &f->w->server.memory;
    char *line = malloc(LINE);
    struct peer *p;
    struct err err;
    size_t taken;

    assert_non_null(line);
    memset(line, 'x', LINE);
    serve(f, false);
    p = connect_peer(f);
    taken = m->limit - m->used - 100000;
    assert_int_equal(mem_budget_take(m, taken, &err), 0); /* by somebody else */
    post(p, foreign_message(f, (struct str){line, LINE}, "t1"));
    wait_metric(f->w, METRIC_FORWARD_PAUSED, 1);
    mem_budget_give(m, taken);
    wait_answers(p, 1);
    assert_int_equal(metric_get(METRIC_FORWARD_REJECT_MEMORY), 0);
    peer_free(p);
    free(line);
}

/* What is here of a message is memory, which others need. */
static void a_message_that_does_not_go_on_ends_its_connection(void **state)
{
    enum { LINE = 500000 };
    struct fixture *f = *state;
    char *line = malloc(LINE);
    size_t before;
    struct peer *p;
    struct str m;

    assert_non_null(line);
    memset(line, 'x', LINE);
    f->w->server.conf.forward.message_time = NS_PER_S;
    serve(f, false);
    p = connect_peer(f);
    before = f->w->server.memory.used;
    m = foreign_message(f, (struct str){line, LINE}, "t1");
    post(p, str_sub(m, 0, 1));
    post(p, str_from(m, 1));
    wait_answers(p, 1);
    post(p, m); /* one that is whole is no reason to wait for more */
    post(p, str_sub(m, 0, m.n - 1));
    WAIT_FOR(f->w->loop, p->closed);
    assert_int_equal(p->acks, 2);
    assert_int_equal(metric_get(METRIC_FORWARD_REJECT_SLOW), 1);
    peer_free(p);
    assert_true(f->w->server.memory.peak >= before + LINE);
    p = connect_peer(f);
    post(p, heartbeat(f, STR("t2")));
    wait_answers(p, 1);
    peer_free(p);
    free(line);
}

struct drip {
    struct peer *p;
    struct str rest;
};

static void drip_some(void *arg)
{
    enum { DROP = 20000 };
    struct drip *d = arg;

    if (d->p->closed || d->rest.n == 0)
        return;
    post(d->p, str_sub(d->rest, 0, DROP));
    d->rest = str_from(d->rest, d->rest.n < DROP ? d->rest.n : DROP);
}

/* Over a thin line it goes on, if slowly. */
static void a_message_that_comes_slowly_is_waited_for(void **state)
{
    enum { LINE = 900000, EVERY_MS = 50 };
    struct fixture *f = *state;
    char *line = malloc(LINE);
    struct loop_timer *t;
    struct drip d;

    assert_non_null(line);
    memset(line, 'x', LINE);
    f->w->server.conf.forward.message_time = NS_PER_S;
    serve(f, false);
    d.p = connect_peer(f);
    d.rest = foreign_message(f, (struct str){line, LINE}, "t1");
    t = loop_timer_new(f->w->loop, drip_some, &d);
    loop_timer_start(t, EVERY_MS, EVERY_MS);
    wait_answers(d.p, 1);
    assert_int_equal(metric_get(METRIC_FORWARD_REJECT_SLOW), 0);
    loop_timer_free(&t);
    peer_free(d.p);
    free(line);
}

static void a_hello_is_answered_with_what_was_known(void **state)
{
    static const struct str TENANTS[] = {{"default", 7}};
    struct fixture *f = *state;
    struct forward_about about = {
        .has_hello = true, .hello = {.host = STR("n1"), .incarnation = 5}, .next = 12};
    struct collectors *all = f->w->server.collectors = collectors_new();
    struct buf text;
    struct peer *p;

    serve(f, false);
    buf_init(&text, 1 << 16);
    for (unsigned i = 0; i < 2; i++) {
        p = connect_peer(f);
        buf_clear(&f->message);
        forward_about_pack(&f->message, STR("about"), &about);
        post(p, buf_str(&f->message));
        post(p, part_message(f, "file", i, i + 1, "t1"));
        wait_answers(p, 2);
        assert_string_equal(p->answers[0].token, "about");
        assert_int_equal(p->known, i == 0 ? 0 : 12);
        buf_clear(&f->message);
        about.hello.host = STR("n2"); /* nobody else, on the same connection */
        forward_about_pack(&f->message, STR("again"), &about);
        post(p, buf_str(&f->message));
        wait_answers(p, 3);
        assert_string_equal(p->answers[2].token, "again");
        about.hello.host = STR("n1");
        peer_free(p);
    }
    assert_int_equal(collectors_n(all), 1);
    collectors_print(all, TENANTS, 1, &text);
    buf_add_char(&text, '\0');
    assert_non_null(strstr(text.p, "\"host\":\"n1\""));
    assert_non_null(strstr(text.p, "\"chunks\":2"));
    assert_non_null(strstr(text.p, "\"expires\":\"2"));
    assert_non_null(strstr(text.p, "\"address\":\"127.0.0.1:"));
    buf_fini(&text);
    listen_forward_close(&f->l); /* its sessions are gone with it */
    f->w->server.collectors = NULL;
    collectors_free(&all);
}

CHECK_MAIN(T(an_ack_waits_for_durable), T(a_chunk_sent_twice_is_acked_and_stored_once),
           T(a_part_that_overlaps_half_is_refused_for_ever),
           T(a_chunk_of_ours_that_cannot_be_read_is_refused_not_cut),
           T(streams_over_the_limit_are_refused_and_the_rest_is_stored),
           T(what_is_stored_is_not_refused_when_it_is_sent_again),
           T(shuffled_parts_over_two_connections_store_each_line_once),
           T(a_connection_cut_before_the_ack_loses_and_doubles_nothing),
           T(heartbeats_are_answered_and_stored_nowhere), T(the_certificate_names_the_tenant),
           T(strangers_do_not_get_in), T(malformed_messages_close_and_are_counted),
           T(a_refused_chunk_of_somebody_else_gets_no_answer),
           cmocka_unit_test_setup_teardown(a_full_disk_stops_reading_of_events_only,
                                           setup_full_disk, teardown_full_disk),
           T(reading_stops_over_the_window_and_goes_on), T(small_messages_fill_the_window_as_well),
           T(a_sender_that_does_not_read_its_acks_is_not_read),
           T(a_large_message_leaves_nothing_charged),
           T(a_message_that_does_not_go_on_ends_its_connection),
           T(a_message_that_comes_slowly_is_waited_for), T(a_hello_is_answered_with_what_was_known),
           T(without_memory_reading_stops_and_in_the_end_the_connection_is_cut),
           T(memory_that_comes_back_lets_it_go_on))
