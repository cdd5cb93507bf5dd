/*
 * server/session_forward.c and listen_forward.c: real sockets with mutual TLS, a real store.
 *
 * One test waits out the five seconds after which a starved connection is cut.
 */
#include "server/listen_forward.h"

#include "base/fault.h"
#include "tests/unit/server/world.h"
#include "wire/forward_pack.h"
#include "wire/forward_parse.h"
#include "wire/stream.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>

enum { ANSWERS_MAX = 512, LINE_BYTES = 10, TEXT_MAX = 64 << 20 };

/* A sender and what it was answered. */
struct peer {
    struct world *w;
    struct stream *s; /* NULL once closed */
    bool opened, closed;
    struct err why;
    struct buf in;
    size_t acks, refusals;
    struct {
        char token[64];
        bool refused;
        char code[32];
    } answers[ANSWERS_MAX]; /* the first of them */
    size_t want;
};

struct fixture {
    struct world *w;
    struct listen_forward *l;
    struct tls_ctx *tls; /* of the senders */
    struct buf message;
};

/* ---- senders ---- */

static void on_opened(struct stream *s, void *arg)
{
    (void)s;
    ((struct peer *)arg)->opened = true;
}

static void keep_answer(struct peer *p, const struct forward_ack *ack)
{
    size_t n = p->acks + p->refusals;

    if (n < ANSWERS_MAX) {
        (void)str_to_z(ack->token, p->answers[n].token, sizeof(p->answers[n].token));
        (void)str_to_z(ack->code, p->answers[n].code, sizeof(p->answers[n].code));
        p->answers[n].refused = ack->refused;
    }
    if (ack->refused)
        p->refusals++;
    else
        p->acks++;
}

static void on_data(struct stream *s, struct str bytes, void *arg)
{
    struct peer *p = arg;
    size_t at = 0, n;
    struct err err;
    (void)s;

    buf_add_str(&p->in, bytes);
    assert_false(p->in.over);
    while (at < p->in.n) {
        struct forward_frame frame = {0};
        struct str rest = str_from(buf_str(&p->in), at);
        struct forward_ack ack;
        if (forward_frame_scan(&frame, rest, NULL, &n, &err) != 0 ||
            forward_ack_parse(str_sub(rest, 0, n), &ack, &err) != 0)
            break; /* HELO and PONG are looked at by their test */
        keep_answer(p, &ack);
        at += n;
    }
    buf_drop(&p->in, at);
}

static void on_closed(struct stream *s, const struct err *why, void *arg)
{
    struct peer *p = arg;

    (void)s;
    p->s = NULL;
    p->closed = true;
    p->why = *why;
}

static struct peer *peer_start(struct fixture *f, const char *address, struct tls_ctx *tls)
{
    static const struct stream_handler HANDLER = {
        .opened = on_opened, .data = on_data, .closed = on_closed};
    struct stream_options opt = {.tls = tls};
    struct peer *p = mem_new(sizeof(*p));
    struct err err;

    p->w = f->w;
    buf_init(&p->in, TEXT_MAX);
    assert_int_equal(stream_connect(f->w->loop, address, &opt, &HANDLER, p, &p->s, &err), 0);
    return p;
}

static struct peer *connect_peer(struct fixture *f)
{
    struct peer *p = peer_start(f, listen_forward_address(f->l), f->tls);

    WAIT_FOR(f->w->loop, p->opened);
    return p;
}

static void peer_free(struct peer *p)
{
    if (p->s != NULL)
        stream_close(p->s, NULL);
    WAIT_FOR(p->w->loop, p->closed);
    buf_fini(&p->in);
    free(p);
}

static bool has_answers(void *arg)
{
    const struct peer *p = arg;

    return p->acks + p->refusals >= p->want || p->closed;
}

static void wait_answers(struct peer *p, size_t n)
{
    p->want = n;
    wait_check(p->w->loop, has_answers, p, "answers");
    if (p->closed)
        fail_msg("closed after %zu of %zu answers: %s", p->acks + p->refusals, n, p->why.text);
    assert_int_equal(p->acks + p->refusals, n);
}

struct until {
    unsigned metric;
    uint64_t least;
};

static bool metric_is_there(void *arg)
{
    const struct until *u = arg;

    return metric_get(u->metric) >= u->least;
}

static void wait_metric(struct world *w, unsigned metric, uint64_t least)
{
    struct until u = {metric, least};

    wait_check(w->loop, metric_is_there, &u, "a metric");
}

/* ---- messages ---- */

/* Lines [from, to) of a file whose line i is "line 0007" and stands at byte i * LINE_BYTES. */
static struct str part_message(struct fixture *f, const char *file, unsigned from, unsigned to,
                               const char *token)
{
    struct label labels[] = {{STR("app"), STR("web")}};
    struct forward_part part = {.file_id = str_of(file),
                                .start = (uint64_t)from * LINE_BYTES,
                                .end = (uint64_t)to * LINE_BYTES,
                                .count = to - from,
                                .labels = {labels, 1}};
    struct forward_chunk c = {
        .tag = STR("logq"), .token = str_of(token), .parts = &part, .n_parts = 1};
    struct buf payload;

    buf_init(&payload, TEXT_MAX);
    for (unsigned i = from; i < to; i++) {
        char line[16];
        struct label fields[] = {{STR("stream"), STR("stdout")}, {STR("log"), STR_NULL}};
        (void)snprintf(line, sizeof(line), "line %04u", i % 10000);
        fields[1].value = str_of(line);
        forward_pack_entry(&payload, FEED_DAY + 1 + i, fields, 2);
    }
    c.payload = buf_str(&payload);
    c.n_entries = to - from;
    buf_clear(&f->message);
    forward_pack_chunk(&f->message, &c);
    buf_fini(&payload);
    return buf_str(&f->message);
}

/* A message of somebody else: one line. */
static struct str foreign_message(struct fixture *f, struct str line, const char *token)
{
    struct label fields[] = {{STR("log"), line}};
    struct forward_chunk c = {.tag = STR("theirs"), .token = str_of(token), .n_entries = 1};
    struct buf payload;

    buf_init(&payload, TEXT_MAX);
    forward_pack_entry(&payload, FEED_DAY, fields, 1);
    c.payload = buf_str(&payload);
    buf_clear(&f->message);
    forward_pack_chunk(&f->message, &c);
    buf_fini(&payload);
    return buf_str(&f->message);
}

/* [tag, [], {chunk: token}] */
static struct str heartbeat(struct fixture *f, struct str token)
{
    buf_clear(&f->message);
    buf_add(&f->message,
            "\x93\xa1t\x90\x81\xa5"
            "chunk\xd9",
            12);
    buf_add_char(&f->message, (char)token.n);
    buf_add_str(&f->message, token);
    return buf_str(&f->message);
}

static void post(struct peer *p, struct str message)
{
    assert_non_null(p->s);
    stream_write(p->s, message);
}

/* ---- fixture ---- */

static struct tls_ctx *client_tls(const char *dir, const char *cert)
{
    char crt[32], key[32];
    struct tls_files files = {.ca = certs_path(dir, "ca.crt")};
    struct tls_ctx *tls = NULL;
    struct err err;

    (void)snprintf(crt, sizeof(crt), "%s.crt", cert);
    (void)snprintf(key, sizeof(key), "%s.key", cert);
    files.cert = certs_path(dir, crt);
    files.key = certs_path(dir, key);
    if (tls_ctx_new(&files, &tls, &err) < 0)
        fail_msg("%s", err.text);
    return tls;
}

static int setup(void **state)
{
    struct fixture *f = mem_new(sizeof(*f));
    struct world *w = world_new();
    const char *dir = w->feed.path;

    f->w = w;
    buf_init(&f->message, TEXT_MAX);
    certs_standard(dir);
    certs_issue(dir, "ca", "team", "URI:logq://team/collector/node1", 30);
    certs_issue(dir, "ca", "unnamed", NULL, 30);
    w->server.conf.forward.cert = STR("server.crt");
    w->server.conf.forward.key = STR("server.key");
    w->server.conf.forward.client_ca = STR("ca.crt");
    w->server.conf.forward.threads = 2;
    f->tls = client_tls(dir, "client");
    *state = f;
    return 0;
}

static void serve(struct fixture *f, bool local)
{
    struct err err;

    if (listen_forward_open(&f->w->server, local, &f->l, &err) < 0)
        fail_msg("%s", err.text);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    world_shut(f->w, false);
    store_stop(f->w->server.store);
    listen_forward_close(&f->l);
    assert_int_equal(metric_get(METRIC_FORWARD_OPEN), 0);
    tls_ctx_unref(&f->tls);
    buf_fini(&f->message);
    world_free(f->w);
    free(f);
    return 0;
}

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
    assert_string_equal(p->answers[1].code, "INVALID");
    assert_int_equal(metric_get(METRIC_FORWARD_REFUSED), 1);
    feed_check(&f->w->feed, "default",
               "line 0000\nline 0001\nline 0002\nline 0003\nline 0004\nline 0005\n");
    peer_free(p);
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

static void one_connection_too_many_is_turned_away(void **state)
{
    struct fixture *f = *state;
    struct peer *first, *second;

    f->w->server.conf.forward.max_connections = 1;
    serve(f, false);
    first = connect_peer(f);
    second = peer_start(f, listen_forward_address(f->l), f->tls);
    wait_metric(f->w, METRIC_FORWARD_TURNED_AWAY, 1);
    WAIT_FOR(f->w->loop, second->closed);
    post(first, heartbeat(f, STR("still here")));
    wait_answers(first, 1);
    peer_free(first);
    peer_free(second);
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

/* ---- the listener of this host ---- */

static void a_unix_socket_knows_the_user_and_forces_labels(void **state)
{
    struct fixture *f = *state;
    struct label forced[] = {{STR("site"), STR("lab")}};
    struct store_range range;
    char address[128];
    struct stat st;
    struct peer *p;

    (void)snprintf(address, sizeof(address), "unix:%s/forward.sock", f->w->feed.path);
    f->w->server.conf.forward_local = str_of(address);
    f->w->server.conf.forward_local_labels = (struct labels){forced, 1};
    f->w->server.conf.forward_local_tenant = STR("here");
    serve(f, true);
    assert_int_equal(stat(address + 5, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    p = peer_start(f, address, NULL);
    post(p, part_message(f, "file", 0, 1, "t1")); /* parts of a stranger do not count */
    post(p, part_message(f, "file", 0, 2, "t2"));
    wait_answers(p, 2);
    assert_int_equal(p->refusals, 0);
    assert_int_equal(store_ranges(f->w->server.store, STR("local:uid=0"), STR("file"), &range, 1),
                     0);
    feed_check(&f->w->feed, "here", "line 0000\nline 0000\nline 0001\n");
    peer_free(p);
}

/* hex(SHA-512(salt host nonce key)) as the protocol wants it from a sender. */
static struct str ping(struct fixture *f, struct str helo, const char *key)
{
    enum { NONCE_AT = 16, NONCE = 16, SHA512 = 64 }; /* 92 a4 HELO 83 a5 nonce c4 10 ... */
    unsigned char digest[SHA512];
    struct buf text;
    unsigned n = 0;

    assert_true(helo.n > NONCE_AT + NONCE);
    assert_memory_equal(helo.p, "\x92\xa4HELO\x83\xa5nonce\xc4\x10", NONCE_AT - 1);
    buf_init(&text, 4096);
    buf_add_z(&text, "pepper"
                     "me");
    buf_add(&text, helo.p + NONCE_AT - 1, NONCE);
    buf_add_z(&text, key);
    assert_int_equal(EVP_Digest(text.p, text.n, digest, &n, EVP_sha512(), NULL), 1);
    buf_fini(&text);
    buf_clear(&f->message);
    buf_add_z(&f->message, "\x96\xa4PING\xa2me\xa6pepper\xd9\x80");
    for (unsigned i = 0; i < n; i++)
        buf_addf(&f->message, "%02x", digest[i]);
    buf_add_z(&f->message, "\xa0\xa0");
    return buf_str(&f->message);
}

static bool has_input(void *arg)
{
    return ((struct peer *)arg)->in.n > 0;
}

static struct peer *greeted_peer(struct fixture *f)
{
    struct peer *p = peer_start(f, listen_forward_address(f->l), NULL);

    wait_check(f->w->loop, has_input, p, "HELO");
    return p;
}

static void the_shared_key_opens_and_a_wrong_one_does_not(void **state)
{
    struct fixture *f = *state;
    struct peer *p;

    f->w->server.conf.forward_local = STR("127.0.0.1:0");
    f->w->server.conf.forward_local_shared_key = STR("secret");
    serve(f, true);
    p = greeted_peer(f);
    post(p, ping(f, buf_str(&p->in), "secret"));
    buf_clear(&p->in);
    wait_check(f->w->loop, has_input, p, "PONG");
    assert_true(str_starts(buf_str(&p->in), STR("\x95\xa4PONG\xc3")));
    buf_clear(&p->in);
    post(p, foreign_message(f, STR("let in"), "t1"));
    wait_answers(p, 1);
    peer_free(p);

    p = greeted_peer(f);
    post(p, ping(f, buf_str(&p->in), "wrong"));
    WAIT_FOR(f->w->loop, p->closed);
    assert_int_equal(metric_get(METRIC_FORWARD_TLS_FAILED), 1);
    peer_free(p);

    p = greeted_peer(f);
    post(p, foreign_message(f, STR("pushy"), "t2")); /* without a PING */
    WAIT_FOR(f->w->loop, p->closed);
    assert_int_equal(p->acks, 0);
    peer_free(p);
    feed_check(&f->w->feed, "default", "let in\n");
}

/* ---- the end ---- */

static void a_drain_answers_what_is_under_way_and_then_ends(void **state)
{
    struct fixture *f = *state;
    struct peer *busy, *idle;

    serve(f, false);
    busy = connect_peer(f);
    idle = connect_peer(f);
    world_shut(f->w, true);
    post(busy, part_message(f, "file", 0, 1, "t1"));
    wait_check(f->w->loop, world_is_waiting, f->w, "the chunk to be durable");
    listen_forward_drain(f->l);
    WAIT_FOR(f->w->loop, idle->closed);
    assert_int_equal(idle->why.code, 0);
    assert_false(listen_forward_is_idle(f->l));
    assert_int_equal(busy->acks, 0);
    world_shut(f->w, false);
    WAIT_FOR(f->w->loop, busy->closed);
    assert_int_equal(busy->acks, 1);
    assert_int_equal(busy->why.code, 0);
    peer_free(busy);
    peer_free(idle);
}

static void a_close_with_work_under_way_frees_everything(void **state)
{
    struct fixture *f = *state;
    struct peer *p;

    serve(f, false);
    p = connect_peer(f);
    world_shut(f->w, true);
    for (unsigned i = 0; i < 20; i++)
        post(p, part_message(f, "file", i, i + 1, "t"));
    wait_metric(f->w, METRIC_FORWARD_MESSAGES, 20);
    world_shut(f->w, false);
    store_stop(f->w->server.store); /* some are durable, the rest has failed */
    listen_forward_close(&f->l);
    WAIT_FOR(f->w->loop, p->closed);
    peer_free(p);
}

static void an_address_in_use_is_an_error_not_a_leak(void **state)
{
    struct fixture *f = *state;
    struct listen_forward *second = NULL;
    char address[64];
    struct err err;

    f->w->server.conf.forward.threads = 1; /* with more the kernel would share the port */
    serve(f, false);
    (void)snprintf(address, sizeof(address), "%s", listen_forward_address(f->l));
    f->w->server.conf.forward.listen = str_of(address);
    assert_int_equal(listen_forward_open(&f->w->server, false, &second, &err), ERR_IO);
    assert_non_null(strstr(err.text, "forward.listen"));
    assert_null(second);
    f->w->server.conf.forward.cert = STR("nowhere.crt");
    assert_int_equal(listen_forward_open(&f->w->server, false, &second, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "nowhere.crt"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
CHECK_MAIN(
    T(an_ack_waits_for_durable), T(a_chunk_sent_twice_is_acked_and_stored_once),
    T(a_part_that_overlaps_half_is_refused_for_ever),
    T(a_chunk_of_ours_that_cannot_be_read_is_refused_not_cut),
    T(shuffled_parts_over_two_connections_store_each_line_once),
    T(a_connection_cut_before_the_ack_loses_and_doubles_nothing),
    T(heartbeats_are_answered_and_stored_nowhere), T(the_certificate_names_the_tenant),
    T(strangers_do_not_get_in), T(one_connection_too_many_is_turned_away),
    T(malformed_messages_close_and_are_counted), T(a_refused_chunk_of_somebody_else_gets_no_answer),
    cmocka_unit_test_setup_teardown(a_full_disk_stops_reading_of_events_only, setup_full_disk,
                                    teardown_full_disk),
    T(reading_stops_over_the_window_and_goes_on), T(small_messages_fill_the_window_as_well),
    T(a_sender_that_does_not_read_its_acks_is_not_read), T(a_large_message_leaves_nothing_charged),
    T(without_memory_reading_stops_and_in_the_end_the_connection_is_cut),
    T(memory_that_comes_back_lets_it_go_on), T(a_unix_socket_knows_the_user_and_forces_labels),
    T(the_shared_key_opens_and_a_wrong_one_does_not),
    T(a_drain_answers_what_is_under_way_and_then_ends),
    T(a_close_with_work_under_way_frees_everything), T(an_address_in_use_is_an_error_not_a_leak))
