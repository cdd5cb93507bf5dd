/* Unit tests of TLS over wire/stream, and of wire/tls_ctx: real certificates, real sockets. */
#include "wire/stream.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "tests/lib/certs.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"
#include "tests/lib/wait.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDES = 8, STRIDE = 61 /* one byte in so many is checked */ };

struct side {
    struct stream *s; /* NULL once closed */
    bool opened, closed, has_input;
    struct err why;
    size_t received;
    char last;
    uint64_t sum; /* over what was received: position times byte */
    size_t most_pending;
    bool echo;
    bool pause_at_once; /* at the first piece of data */
    int turn;           /* among all sides, of its first data; from 1 */
    int *turns;         /* NULL: not counted */
};

struct world {
    struct loop *loop;
    char dir[TMPDIR_PATH_MAX];
    int dir_fd;
    struct tls_ctx *server, *client;
    struct listener *listener;
    struct side sides[SIDES];
    unsigned accepted;
    bool echo;
};

static void on_opened(struct stream *s, void *arg)
{
    (void)s;
    ((struct side *)arg)->opened = true;
}

static void on_data(struct stream *s, struct str bytes, void *arg)
{
    struct side *d = arg;

    for (size_t i = (STRIDE - d->received % STRIDE) % STRIDE; i < bytes.n; i += STRIDE)
        d->sum += (d->received + i + 1) * (unsigned char)bytes.p[i];
    d->received += bytes.n;
    d->last = bytes.p[bytes.n - 1];
    if (!d->has_input && d->turns != NULL)
        d->turn = ++*d->turns;
    d->has_input = true;
    if (d->pause_at_once)
        stream_pause(s);
    if (!d->echo)
        return;
    stream_write(s, bytes);
    if (stream_pending(s) > d->most_pending)
        d->most_pending = stream_pending(s);
    if (stream_is_full(s))
        stream_pause(s);
}

static void on_drained(struct stream *s, void *arg)
{
    struct side *d = arg;

    if (d->echo)
        stream_resume(s);
}

static void on_closed(struct stream *s, const struct err *why, void *arg)
{
    struct side *d = arg;

    (void)s;
    d->s = NULL;
    d->closed = true;
    d->why = *why;
}

static const struct stream_handler HANDLER = {
    .opened = on_opened, .data = on_data, .drained = on_drained, .closed = on_closed};

static void on_accept(struct stream *s, void *arg)
{
    struct world *w = arg;
    struct side *d = &w->sides[w->accepted++ % SIDES];

    d->s = s;
    d->echo = w->echo;
    stream_set_handler(s, &HANDLER, d);
}

static struct tls_ctx *context(const struct world *w, bool server, const char *name, const char *ca,
                               bool require)
{
    char cert[96], key[96];
    struct tls_files f = {.server = server, .require_client_cert = require};
    struct tls_ctx *c = NULL;
    struct err err;

    if (name != NULL) {
        (void)snprintf(cert, sizeof(cert), "%s/%s.crt", w->dir, name);
        (void)snprintf(key, sizeof(key), "%s/%s.key", w->dir, name);
        f.cert = cert;
        f.key = key;
    }
    if (ca != NULL)
        f.ca = certs_path(w->dir, ca);
    if (tls_ctx_new(&f, &c, &err) < 0)
        fail_msg("%s", err.text);
    return c;
}

/* A server that wants a client certificate, unless `open`. */
static struct world *start(bool open, const struct stream_options *stream)
{
    struct world *w = mem_new(sizeof(*w));
    struct listener_options opt = {.backlog = 0};
    struct err err;

    w->dir_fd = tmpdir_open(w->dir);
    certs_standard(w->dir);
    assert_int_equal(loop_new(&w->loop, &err), 0);
    w->server = context(w, true, "server", open ? NULL : "ca.crt", !open);
    w->client = context(w, false, "client", "ca.crt", false);
    if (stream != NULL)
        opt.stream = *stream;
    opt.stream.tls = w->server;
    if (listener_open(w->loop, "127.0.0.1:0", &opt, on_accept, w, &w->listener, &err) < 0)
        fail_msg("%s", err.text);
    return w;
}

static void stop(struct world **pw)
{
    struct world *w = *pw;

    listener_close(&w->listener);
    loop_free(&w->loop);
    tls_ctx_unref(&w->server);
    tls_ctx_unref(&w->client);
    tmpdir_close(w->dir_fd);
    free(w);
    *pw = NULL;
}

static void connect_as(struct world *w, struct tls_ctx *tls, const char *server_name,
                       struct side *d)
{
    struct stream_options opt = {.tls = tls, .server_name = server_name};
    struct err err;

    memset(d, 0, sizeof(*d));
    if (stream_connect(w->loop, listener_address(w->listener), &opt, &HANDLER, d, &d->s, &err) < 0)
        fail_msg("%s", err.text);
}

static void has_text(const struct err *why, const char *text)
{
    if (strstr(why->text, text) == NULL)
        fail_msg("'%s' does not say '%s'", why->text, text);
}

static void both_sides_know_each_other(void **state)
{
    struct world *w = start(false, NULL);
    struct side c;
    struct stream_peer peer;

    (void)state;
    connect_as(w, w->client, NULL, &c);
    WAIT_FOR(w->loop, w->sides[0].opened);
    WAIT_FOR(w->loop, c.opened);
    stream_peer(w->sides[0].s, &peer);
    check_str(peer.identity, "logq://collector/one");
    check_str(peer.common_name, "client");
    assert_true(peer.cert_not_after > time_now() + 19 * NS_PER_DAY);
    assert_true(peer.cert_not_after < time_now() + 21 * NS_PER_DAY);
    stream_peer(c.s, &peer);
    check_str(peer.common_name, "server");
    check_str(peer.identity, "server"); /* no URI: the CN */
    stream_write(c.s, STR("a"));
    WAIT_FOR(w->loop, w->sides[0].has_input);
    stream_close(w->sides[0].s, NULL);
    WAIT_FOR(w->loop, c.closed);
    WAIT_FOR(w->loop, w->sides[0].closed);
    assert_int_equal(c.why.code, 0);
    assert_int_equal(w->sides[0].why.code, 0);
    assert_int_equal(listener_refused(w->listener), 0);
    stop(&w);
}

static void no_client_certificate_is_refused_and_both_are_told(void **state)
{
    struct world *w = start(false, NULL);
    struct tls_ctx *bare = context(w, false, NULL, "ca.crt", false);
    struct side c;

    (void)state;
    connect_as(w, bare, NULL, &c);
    WAIT_FOR(w->loop, w->sides[0].closed);
    WAIT_FOR(w->loop, c.closed);
    assert_false(w->sides[0].opened);
    assert_int_equal(w->sides[0].why.code, ERR_DENIED);
    has_text(&w->sides[0].why, "peer did not present a certificate");
    has_text(&w->sides[0].why, "127.0.0.1:");
    assert_int_equal(c.why.code, ERR_DENIED);
    has_text(&c.why, "peer requires a certificate");
    assert_int_equal(listener_refused(w->listener), 1);
    tls_ctx_unref(&bare);
    stop(&w);
}

static void a_client_of_another_ca_is_refused(void **state)
{
    struct world *w = start(false, NULL);
    struct tls_ctx *stranger = context(w, false, "stranger", "ca.crt", false);
    struct side c;

    (void)state;
    connect_as(w, stranger, NULL, &c);
    WAIT_FOR(w->loop, w->sides[0].closed);
    WAIT_FOR(w->loop, c.closed);
    assert_false(w->sides[0].opened);
    assert_int_equal(w->sides[0].why.code, ERR_DENIED);
    has_text(&w->sides[0].why,
             "peer's certificate was refused: unable to get local issuer certificate");
    has_text(&c.why, "does not know the CA");
    tls_ctx_unref(&stranger);
    stop(&w);
}

static void an_expired_client_is_refused(void **state)
{
    struct world *w = start(false, NULL);
    struct tls_ctx *old = NULL;
    struct side c;

    (void)state;
    certs_issue(w->dir, "ca", "old", NULL, -3);
    time_set(time_now() - 4 * NS_PER_DAY); /* else it is refused at loading already */
    old = context(w, false, "old", "ca.crt", false);
    time_unset();
    connect_as(w, old, NULL, &c);
    WAIT_FOR(w->loop, w->sides[0].closed);
    WAIT_FOR(w->loop, c.closed);
    has_text(&w->sides[0].why, "certificate has expired");
    has_text(&c.why, "refused our certificate as expired");
    tls_ctx_unref(&old);
    stop(&w);
}

static void a_client_trusts_only_its_ca(void **state)
{
    struct world *w = start(true, NULL);
    struct tls_ctx *other = context(w, false, NULL, "other-ca.crt", false);
    struct side c;

    (void)state;
    connect_as(w, other, NULL, &c);
    WAIT_FOR(w->loop, c.closed);
    WAIT_FOR(w->loop, w->sides[0].closed);
    assert_false(c.opened);
    assert_int_equal(c.why.code, ERR_DENIED);
    has_text(&c.why, "unable to get local issuer certificate");
    has_text(&c.why, listener_address(w->listener));
    assert_false(w->sides[0].opened);
    tls_ctx_unref(&other);
    stop(&w);
}

static void the_name_in_the_certificate_is_checked(void **state)
{
    static const char *const GOOD[] = {NULL, "localhost", "127.0.0.1", "::1"};
    static const char *const BAD[] = {"example.org", "127.0.0.2", "local", "::2"};
    struct world *w = start(true, NULL);
    struct side c;

    (void)state;
    for (int i = 0; i < 4; i++) {
        connect_as(w, w->client, GOOD[i], &c);
        WAIT_FOR(w->loop, c.opened);
        stream_close(c.s, NULL);
        WAIT_FOR(w->loop, c.closed);
        assert_int_equal(c.why.code, 0);
        connect_as(w, w->client, BAD[i], &c);
        WAIT_FOR(w->loop, c.closed);
        assert_false(c.opened);
        assert_int_equal(c.why.code, ERR_DENIED);
        has_text(&c.why, "peer's certificate is not for '");
        has_text(&c.why, BAD[i]);
    }
    stop(&w);
}

static void plain_bytes_are_no_handshake(void **state)
{
    struct world *w = start(true, NULL);
    struct side c;

    (void)state;
    connect_as(w, NULL, NULL, &c);
    stream_write(c.s, STR("\x92\xa5hello forward in the clear"));
    WAIT_FOR(w->loop, w->sides[0].closed);
    WAIT_FOR(w->loop, c.closed);
    has_text(&w->sides[0].why, "peer does not speak TLS");
    connect_as(w, NULL, NULL, &c);
    stream_write(c.s, STR("GET / HTTP/1.1\r\n\r\n"));
    WAIT_FOR(w->loop, w->sides[1].closed);
    has_text(&w->sides[1].why, "peer sent plain HTTP");
    assert_int_equal(listener_refused(w->listener), 2);
    stop(&w);
}

static void a_handshake_has_a_deadline(void **state)
{
    struct stream_options opt = {.handshake_ms = 30};
    struct world *w = start(true, &opt);
    struct side c;

    (void)state;
    connect_as(w, NULL, NULL, &c); /* says nothing */
    WAIT_FOR(w->loop, w->sides[0].closed);
    assert_int_equal(w->sides[0].why.code, ERR_TIMEOUT);
    WAIT_FOR(w->loop, c.closed);
    assert_int_equal(listener_refused(w->listener), 1);
    stop(&w);
}

struct echo {
    struct world *w;
    struct side *c;
    char *chunk;
    size_t chunk_n, sent, total, at_pause, most_pending;
    uint64_t sum;
    unsigned pauses;
    struct loop_timer *t;
};

static bool send_more(void *arg)
{
    struct echo *e = arg;

    while (e->sent < e->total && !stream_is_full(e->c->s)) {
        size_t n = e->total - e->sent < e->chunk_n ? e->total - e->sent : e->chunk_n;
        for (size_t i = (STRIDE - e->sent % STRIDE) % STRIDE; i < n; i += STRIDE) {
            e->chunk[i] = (char)((e->sent + i) * 2654435761u >> 13);
            e->sum += (e->sent + i + 1) * (unsigned char)e->chunk[i];
        }
        stream_write(e->c->s, (struct str){e->chunk, n});
        e->sent += n;
        if (stream_pending(e->c->s) > e->most_pending)
            e->most_pending = stream_pending(e->c->s);
    }
    return e->c->received >= e->total;
}

/* Every 3 ms the client stops reading or goes on: nothing may come while it has stopped. */
static void toggle(void *arg)
{
    struct echo *e = arg;

    if (++e->pauses % 2 == 1) {
        stream_pause(e->c->s);
        e->at_pause = e->c->received;
    } else {
        assert_int_equal(e->c->received, e->at_pause);
        stream_resume(e->c->s);
    }
}

/* 50 MB there and back with a reader that stops now and then: all arrives in order, in bounded
 * memory. */
static void fifty_megabytes_echo_with_back_pressure(void **state)
{
    struct stream_options opt = {.high_bytes = 256 << 10, .low_bytes = 64 << 10};
    struct world *w = start(false, &opt);
    struct side c;
    struct echo e = {.w = w, .c = &c, .chunk_n = 100000, .total = 50 * 1000 * 1000};

    (void)state;
    w->echo = true;
    connect_as(w, w->client, NULL, &c);
    WAIT_FOR(w->loop, c.opened);
    e.chunk = mem_new(e.chunk_n);
    e.t = loop_timer_new(w->loop, toggle, &e);
    loop_timer_start(e.t, 3, 3);
    wait_check(w->loop, send_more, &e, "the last byte");
    loop_timer_free(&e.t);
    assert_int_equal(c.received, e.total);
    assert_true(c.sum == e.sum);
    assert_true(e.pauses > 10);
    assert_int_equal(stream_bytes_in(w->sides[0].s), e.total);
    /* the mark plus one write of the sender, one record of the echo, and what records cost */
    assert_in_range(e.most_pending, 0, (1 << 20) + e.chunk_n + 4096);
    assert_in_range(w->sides[0].most_pending, 0, (256 << 10) + (16 << 10) + 4096);
    free(e.chunk);
    stop(&w);
}

/* Four records come in one read; the reader pauses at the first. */
static void what_was_read_already_waits_for_resume(void **state)
{
    struct world *w = start(true, NULL);
    struct side c;
    char *big = mem_new(60000);
    struct side *a = &w->sides[0];
    struct side other;

    (void)state;
    connect_as(w, w->client, NULL, &c);
    WAIT_FOR(w->loop, a->opened);
    WAIT_FOR(w->loop, c.opened);
    connect_as(w, w->client, NULL, &other);
    WAIT_FOR(w->loop, other.opened);
    a->pause_at_once = true;
    stream_write(c.s, (struct str){big, 60000});
    stream_close(c.s, NULL);
    WAIT_FOR(w->loop, a->has_input);
    for (size_t records = 1; a->received < 60000; records++) {
        assert_in_range(a->received, 1, records * 16384);
        stream_write(other.s, STR("through the same buffer"));
        WAIT_FOR(w->loop, w->sides[1].has_input);
        w->sides[1].has_input = a->has_input = false;
        stream_resume(a->s);
        assert_false(a->has_input); /* not from inside the call */
        WAIT_FOR(w->loop, a->has_input);
    }
    assert_false(a->closed);
    stream_resume(a->s);
    WAIT_FOR(w->loop, a->closed);
    assert_int_equal(a->why.code, 0);
    free(big);
    stop(&w);
}

static void a_cut_without_close_notify_is_no_orderly_end(void **state)
{
    struct world *w = start(true, NULL);
    struct side c;
    struct err why;

    (void)state;
    connect_as(w, w->client, NULL, &c);
    WAIT_FOR(w->loop, w->sides[0].opened);
    WAIT_FOR(w->loop, c.opened);
    w->sides[0].echo = true;
    stream_write(c.s, STR("x"));
    WAIT_FOR(w->loop, c.has_input); /* and with it all that came before: else it would be a reset */
    (void)err_set(&why, ERR_CANCELLED, "cut");
    stream_close(c.s, &why);
    WAIT_FOR(w->loop, w->sides[0].closed);
    assert_int_equal(w->sides[0].why.code, ERR_IO);
    has_text(&w->sides[0].why, "without TLS close_notify");
    stop(&w);
}

static void a_reload_holds_for_new_connections_only(void **state)
{
    struct world *w = start(true, NULL);
    struct tls_ctx *next;
    struct side first, second;
    struct stream_peer peer;

    (void)state;
    connect_as(w, w->client, NULL, &first);
    WAIT_FOR(w->loop, first.opened);
    certs_issue(w->dir, "ca", "renewed", "DNS:localhost,IP:127.0.0.1", 10);
    next = context(w, true, "renewed", NULL, false);
    assert_true(tls_ctx_not_after(next) < tls_ctx_not_after(w->server));
    listener_set_tls(w->listener, next);
    tls_ctx_unref(&next); /* the listener has its own reference */
    connect_as(w, w->client, NULL, &second);
    WAIT_FOR(w->loop, second.opened);
    stream_peer(second.s, &peer);
    check_str(peer.common_name, "renewed");
    stream_peer(first.s, &peer);
    check_str(peer.common_name, "server");
    stream_write(first.s, STR("still"));
    WAIT_FOR(w->loop, w->sides[0].has_input);
    stop(&w);
}

/* Several loops on threads of their own share one client context; the references are dropped in any
 * order. */
struct crowd {
    struct loop *loop;
    struct side side;
    struct world *w;
    struct tls_ctx *tls;
};

static void crowd_opened(struct stream *s, void *arg)
{
    struct crowd *c = arg;

    c->side.opened = true;
    stream_write(s, STR("x"));
}

static void crowd_data(struct stream *s, struct str bytes, void *arg)
{
    struct crowd *c = arg;

    c->side.received += bytes.n;
    stream_close(s, NULL);
}

static void crowd_closed(struct stream *s, const struct err *why, void *arg)
{
    struct crowd *c = arg;

    (void)s;
    c->side.why = *why;
    loop_stop(c->loop);
}

static const struct stream_handler CROWD = {
    .opened = crowd_opened, .data = crowd_data, .closed = crowd_closed};

static void join_crowd(void *arg)
{
    struct crowd *c = arg;
    struct stream_options opt = {.tls = c->tls};
    struct err err;

    if (stream_connect(c->loop, listener_address(c->w->listener), &opt, &CROWD, c, &c->side.s,
                       &err) < 0)
        abort();
    tls_ctx_unref(&c->tls);
}

static bool crowd_is_gone(void *arg)
{
    const struct world *w = arg;
    unsigned gone = 0;

    for (unsigned i = 0; i < 4; i++)
        gone += w->sides[i].closed;
    return gone == 4;
}

static void loops_on_several_threads_share_a_context(void **state)
{
    struct world *w = start(false, NULL);
    struct crowd crowd[4];
    struct err err;

    (void)state;
    w->echo = true;
    for (int i = 0; i < 4; i++) {
        crowd[i] = (struct crowd){.w = w, .tls = tls_ctx_ref(w->client)};
        assert_int_equal(loop_new(&crowd[i].loop, &err), 0);
        assert_int_equal(loop_start(crowd[i].loop, "crowd", &err), 0);
        assert_true(loop_post(crowd[i].loop, join_crowd, &crowd[i]));
    }
    wait_check(w->loop, crowd_is_gone, w, "all to hang up");
    for (int i = 0; i < 4; i++) {
        loop_join(crowd[i].loop);
        loop_free(&crowd[i].loop);
        assert_int_equal(crowd[i].side.received, 1);
        assert_int_equal(crowd[i].side.why.code, 0);
    }
    stop(&w);
}

static void who_is_urgent_is_read_before_those_who_are_patient(void **state)
{
    enum { N = 4 };
    struct world *w = start(false, NULL);
    struct side mine[N];
    int turns = 0;

    (void)state;
    for (int i = 0; i < N; i++) {
        connect_as(w, w->client, NULL, &mine[i]);
        WAIT_FOR(w->loop, w->sides[i].opened);
        w->sides[i].turns = &turns;
        stream_set_patient(w->sides[i].s, true);
    }
    stream_set_patient(w->sides[N - 1].s, false);
    for (int i = 0; i < N; i++)
        stream_write(mine[i].s, STR("me"));
    for (int i = 0; i < N; i++)
        WAIT_FOR(w->loop, w->sides[i].has_input);
    for (int i = 0; i < N; i++)
        assert_int_equal(w->sides[i].turn, i == N - 1 ? 1 : 2 + i);
    stop(&w);
}

/* After each round of the loop once: before, during and after the steps on another thread. */
static void a_stream_may_be_closed_at_any_time_of_its_handshake(void **state)
{
    struct world *w = start(false, NULL);

    (void)state;
    for (int rounds = 0; rounds < 40; rounds++) {
        struct side *mine = &w->sides[SIDES - 1];
        struct side *theirs = &w->sides[0];
        struct err why;

        w->accepted = 0;
        memset(theirs, 0, sizeof(*theirs));
        connect_as(w, w->client, NULL, mine);
        for (int i = 0; i < rounds; i++)
            (void)uv_run(loop_uv(w->loop), UV_RUN_NOWAIT);
        (void)err_set(&why, ERR_CANCELLED, "enough");
        if (theirs->s != NULL)
            stream_close(theirs->s, &why);
        if (mine->s != NULL)
            stream_close(mine->s, &why);
        WAIT_FOR(w->loop, mine->closed);
        if (theirs->s != NULL)
            WAIT_FOR(w->loop, theirs->closed);
    }
    stop(&w);
}

static void a_loop_may_end_in_the_midst_of_handshakes(void **state)
{
    struct world *w = start(false, NULL);
    struct side mine[SIDES];

    (void)state;
    for (int i = 0; i < SIDES; i++)
        connect_as(w, w->client, NULL, &mine[i]);
    while (w->accepted < SIDES)
        (void)uv_run(loop_uv(w->loop), UV_RUN_ONCE);
    stop(&w);
    for (int i = 0; i < SIDES; i++)
        assert_true(mine[i].closed);
}

static int load(const char *cert, const char *key, const char *ca, bool server, struct err *err)
{
    struct tls_files f = {
        .cert = cert, .key = key, .ca = ca, .server = server, .require_client_cert = server};
    struct tls_ctx *c = NULL;
    int r = tls_ctx_new(&f, &c, err);

    tls_ctx_unref(&c);
    return r;
}

static void bad_files_are_named_with_the_reason(void **state)
{
    char dir[TMPDIR_PATH_MAX];
    int fd = tmpdir_open(dir);
    struct err err;
    const char *cert, *key, *ca;

    (void)state;
    certs_standard(dir);
    certs_issue(dir, "ca", "old", NULL, -3);
    cert = certs_path(dir, "server.crt");
    key = certs_path(dir, "server.key");
    ca = certs_path(dir, "ca.crt");
    assert_int_equal(load(cert, key, ca, true, &err), 0);
    assert_int_equal(load(certs_path(dir, "none.crt"), key, ca, true, &err), ERR_INVALID);
    has_text(&err, "none.crt");
    has_text(&err, "No such file");
    assert_int_equal(load(cert, certs_path(dir, "client.key"), ca, true, &err), ERR_INVALID);
    has_text(&err, "client.key");
    has_text(&err, "does not fit");
    assert_int_equal(load(certs_path(dir, "old.crt"), certs_path(dir, "old.key"), ca, true, &err),
                     ERR_INVALID);
    has_text(&err, "old.crt");
    has_text(&err, "expired");
    assert_int_equal(load(key, key, ca, true, &err), ERR_INVALID); /* a key is no certificate */
    has_text(&err, "server.key");
    assert_int_equal(load(cert, cert, ca, true, &err), ERR_INVALID);
    assert_int_equal(load(cert, key, key, true, &err), ERR_INVALID);
    assert_int_equal(load(cert, key, NULL, true, &err), ERR_INVALID); /* nobody to trust */
    has_text(&err, "no CA");
    assert_int_equal(load(NULL, NULL, ca, true, &err), ERR_INVALID);
    assert_int_equal(load(cert, NULL, ca, false, &err), ERR_INVALID);
    assert_int_equal(load(NULL, NULL, ca, false, &err), 0);
    assert_int_equal(load(NULL, NULL, NULL, false, &err), 0);
    tmpdir_close(fd);
}

static struct str whole(const char *path, struct buf *b)
{
    struct err err;

    buf_init(b, 1 << 20);
    assert_int_equal(file_read(AT_FDCWD, path, b, &err), 0);
    return buf_str(b);
}

static void bytes_serve_where_files_cannot_be_read(void **state)
{
    char dir[TMPDIR_PATH_MAX];
    int fd = tmpdir_open(dir);
    struct tls_files f = {.cert = "/gone/c", .key = "/gone/k", .ca = "/gone/a", .server = true};
    struct tls_ctx *c = NULL;
    struct buf cert, key, ca;
    struct err err;

    (void)state;
    certs_standard(dir);
    f.cert_pem = whole(certs_path(dir, "server.crt"), &cert);
    f.key_pem = whole(certs_path(dir, "server.key"), &key);
    f.ca_pem = whole(certs_path(dir, "ca.crt"), &ca);
    assert_int_equal(tls_ctx_new(&f, &c, &err), 0);
    assert_true(tls_ctx_not_after(c) > time_now());
    tls_ctx_unref(&c);
    f.key_pem = f.cert_pem; /* an error still has a name */
    assert_int_equal(tls_ctx_new(&f, &c, &err), ERR_INVALID);
    has_text(&err, "/gone/k");
    f.key_pem = buf_str(&key);
    cert.n /= 2;
    f.cert_pem = buf_str(&cert);
    assert_int_equal(tls_ctx_new(&f, &c, &err), ERR_INVALID);
    has_text(&err, "/gone/c");
    buf_fini(&cert);
    buf_fini(&key);
    buf_fini(&ca);
    tmpdir_close(fd);
}

CHECK_MAIN(cmocka_unit_test(both_sides_know_each_other),
           cmocka_unit_test(no_client_certificate_is_refused_and_both_are_told),
           cmocka_unit_test(a_client_of_another_ca_is_refused),
           cmocka_unit_test(an_expired_client_is_refused),
           cmocka_unit_test(a_client_trusts_only_its_ca),
           cmocka_unit_test(the_name_in_the_certificate_is_checked),
           cmocka_unit_test(plain_bytes_are_no_handshake),
           cmocka_unit_test(a_handshake_has_a_deadline),
           cmocka_unit_test(fifty_megabytes_echo_with_back_pressure),
           cmocka_unit_test(what_was_read_already_waits_for_resume),
           cmocka_unit_test(a_cut_without_close_notify_is_no_orderly_end),
           cmocka_unit_test(a_reload_holds_for_new_connections_only),
           cmocka_unit_test(loops_on_several_threads_share_a_context),
           cmocka_unit_test(who_is_urgent_is_read_before_those_who_are_patient),
           cmocka_unit_test(a_stream_may_be_closed_at_any_time_of_its_handshake),
           cmocka_unit_test(a_loop_may_end_in_the_midst_of_handshakes),
           cmocka_unit_test(bad_files_are_named_with_the_reason),
           cmocka_unit_test(bytes_serve_where_files_cannot_be_read))
