/*
 * tests/unit/server/sender.h - senders of Forward on the test's loop, and a server that listens to
 * them: mutual TLS, a real store (world.h).  Header only.
 */
#ifndef LOGQ_TESTS_UNIT_SERVER_SENDER_H
#define LOGQ_TESTS_UNIT_SERVER_SENDER_H

#include "server/listen_forward.h"
#include "tests/unit/server/world.h"
#include "wire/forward_pack.h"
#include "wire/forward_parse.h"
#include "wire/stream.h"

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
        bool has_parts, parts[8]; /* parts: of eight, those refused */
    } answers[ANSWERS_MAX];       /* the first of them */
    size_t want;
    uint64_t known; /* of the last answer that said */
};

struct fixture {
    struct world *w;
    struct listen_forward *l;
    struct tls_ctx *tls; /* of the senders */
    struct buf message;
};

/* ---- senders ---- */

static inline void on_opened(struct stream *s, void *arg)
{
    (void)s;
    ((struct peer *)arg)->opened = true;
}

static inline void keep_answer(struct peer *p, const struct forward_ack *ack)
{
    size_t n = p->acks + p->refusals;

    if (n < ANSWERS_MAX) {
        (void)str_to_z(ack->token, p->answers[n].token, sizeof(p->answers[n].token));
        (void)str_to_z(ack->code, p->answers[n].code, sizeof(p->answers[n].code));
        p->answers[n].refused = ack->refused;
        p->answers[n].has_parts = ack->has_parts;
        forward_ack_parts(ack, 8, p->answers[n].parts);
    }
    if (ack->has_known)
        p->known = ack->known_next;
    if (ack->refused)
        p->refusals++;
    else
        p->acks++;
}

static inline void on_data(struct stream *s, struct str bytes, void *arg)
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

static inline void on_closed(struct stream *s, const struct err *why, void *arg)
{
    struct peer *p = arg;

    (void)s;
    p->s = NULL;
    p->closed = true;
    p->why = *why;
}

static inline struct peer *peer_start(struct fixture *f, const char *address, struct tls_ctx *tls)
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

static inline struct peer *connect_peer(struct fixture *f)
{
    struct peer *p = peer_start(f, listen_forward_address(f->l), f->tls);

    WAIT_FOR(f->w->loop, p->opened);
    return p;
}

static inline void peer_free(struct peer *p)
{
    if (p->s != NULL)
        stream_close(p->s, NULL);
    WAIT_FOR(p->w->loop, p->closed);
    buf_fini(&p->in);
    free(p);
}

static inline bool has_answers(void *arg)
{
    const struct peer *p = arg;

    return p->acks + p->refusals >= p->want || p->closed;
}

static inline void wait_answers(struct peer *p, size_t n)
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

static inline bool metric_is_there(void *arg)
{
    const struct until *u = arg;

    return metric_get(u->metric) >= u->least;
}

static inline void wait_metric(struct world *w, unsigned metric, uint64_t least)
{
    struct until u = {metric, least};

    wait_check(w->loop, metric_is_there, &u, "a metric");
}

/* ---- messages ---- */

/* Lines [from, to) of a file whose line i is "line 0007" and stands at byte i * LINE_BYTES. */
static inline struct str part_message(struct fixture *f, const char *file, unsigned from,
                                      unsigned to, const char *token)
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
static inline struct str foreign_message(struct fixture *f, struct str line, const char *token)
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
static inline struct str heartbeat(struct fixture *f, struct str token)
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

static inline void post(struct peer *p, struct str message)
{
    assert_non_null(p->s);
    stream_write(p->s, message);
}

/* ---- fixture ---- */

static inline struct tls_ctx *client_tls(const char *dir, const char *cert)
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

static inline int setup(void **state)
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

static inline void serve(struct fixture *f, bool local)
{
    struct err err;

    if (listen_forward_open(&f->w->server, local, &f->l, &err) < 0)
        fail_msg("%s", err.text);
}

static inline int teardown(void **state)
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

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
