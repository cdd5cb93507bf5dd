/*
 * tests/unit/wire/http_world.h - a server on the loopback, and raw bytes from a stream as its
 * client.
 */
#ifndef LOGQ_TESTS_UNIT_WIRE_HTTP_WORLD_H
#define LOGQ_TESTS_UNIT_WIRE_HTTP_WORLD_H

#include "base/buf.h"
#include "tests/lib/check.h"
#include "tests/lib/wait.h"
#include "wire/http.h"

#include <stdlib.h>
#include <string.h>

struct world {
    struct loop *loop;
    struct http_server *server;
    unsigned handled;
    struct http_exchange *held; /* by /hold and /stream */
    bool has_held, aborted, drained;
    unsigned aborted_count;
    uint64_t body_n;                /* of the last request */
    struct http_exchange *upgraded; /* by /upgrade */
    size_t upgraded_n;              /* bytes of its own that came */
};

/* The client's side. */
struct caller {
    struct loop *loop;
    struct stream *s;
    struct buf in;
    bool opened, closed;
    struct err why;
    const char *wanted;
};

static inline void on_aborted(void *arg)
{
    struct world *w = arg;

    w->aborted = true;
    w->aborted_count++;
    w->held = NULL;
}

static inline void on_drained(void *arg)
{
    ((struct world *)arg)->drained = true;
}

static inline void show(struct http_exchange *x)
{
    struct buf b;
    struct str name, value;
    size_t pos = 0;
    struct stream_peer peer;

    buf_init(&b, 1 << 16);
    http_peer(x, &peer);
    buf_addf(&b, "%.*s %.*s|", STR_ARG(http_method(x)), STR_ARG(http_path(x)));
    while (http_param_next(x, &pos, &name, &value))
        buf_addf(&b, "%.*s=%.*s|", STR_ARG(name), STR_ARG(value));
    buf_addf(&b, "body=%.*s|agent=%.*s|peer=%.*s", STR_ARG(http_body(x)),
             STR_ARG(http_header(x, "USER-AGENT")),
             (int)(peer.address.n < 10 ? peer.address.n : 10), peer.address.p);
    http_reply_header(x, "X-Echo", STR("two\r\nSet-Cookie: no"));
    http_reply(x, 200, "text/plain", buf_str(&b));
    buf_fini(&b);
}

/* Says back what it hears behind a `>`; ends at a `!`. */
static inline void upgraded_data(void *arg, struct str bytes)
{
    struct world *w = arg;

    w->upgraded_n += bytes.n;
    http_reply_write(w->upgraded, STR(">"));
    http_reply_write(w->upgraded, bytes);
    if (str_find_char(bytes, '!') != SIZE_MAX)
        http_reply_end(w->upgraded);
}

static inline void handler(struct http_exchange *x, void *arg)
{
    struct world *w = arg;
    struct str path = http_path(x);

    w->handled++;
    w->body_n = http_body(x).n;
    if (str_eq(path, STR("/show"))) {
        show(x);
    } else if (str_eq(path, STR("/hold")) || str_eq(path, STR("/stream"))) {
        http_watch(x, on_aborted, on_drained, w);
        w->held = x;
        w->has_held = true;
    } else if (str_eq(path, STR("/upgrade"))) {
        http_watch(x, on_aborted, on_drained, w);
        w->upgraded = x;
        http_reply_header(x, "X-Key", STR("lock"));
        http_upgrade(x, "parrot", upgraded_data, w);
    } else if (str_eq(path, STR("/unwatched"))) {
        w->held = x;
        w->has_held = true;
    } else if (str_eq(path, STR("/denied"))) {
        http_replyf(x, 401, "no %s\n", "entry");
    } else if (str_eq(path, STR("/none"))) {
        http_reply(x, 204, NULL, STR_NULL);
    } else if (str_eq(path, STR("/big"))) {
        char *body = mem_new(1 << 20);
        http_reply(x, 200, "text/plain", (struct str){body, 1 << 20});
        free(body);
    } else if (str_eq(path, STR("/chunks"))) {
        http_reply_start(x, 200, "application/json");
        http_reply_write(x, STR("[1,"));
        http_reply_write(x, STR_NULL); /* must not end the body */
        http_reply_write(x, STR("2]"));
        http_reply_end(x);
    } else {
        http_replyf(x, 404, "no such path\n");
    }
}

static inline size_t body_max(struct http_exchange *x, void *arg)
{
    (void)arg;
    if (http_header(x, "X-Known").p != NULL)
        http_trust(x);
    if (str_eq(http_path(x), STR("/denied")))
        return SIZE_MAX;
    return str_eq(http_path(x), STR("/none")) ? 0 : 1000;
}

static inline struct world *start_with(const struct listener_options *lo, struct http_options *opt)
{
    struct world *w = mem_new(sizeof(*w));
    struct http_options standard = {.body_max = body_max};
    struct err err;

    assert_int_equal(loop_new(&w->loop, &err), 0);
    if (opt != NULL && opt->body_max == NULL)
        opt->body_max = body_max;
    if (http_server_open(w->loop, "127.0.0.1:0", lo, opt == NULL ? &standard : opt, handler, w,
                         &w->server, &err) < 0)
        fail_msg("%s", err.text);
    return w;
}

static inline struct world *start(struct http_options *opt)
{
    return start_with(NULL, opt);
}

static inline void stop(struct world **pw)
{
    struct world *w = *pw;

    http_server_close(&w->server);
    loop_free(&w->loop);
    free(w);
    *pw = NULL;
}

static inline void caller_opened(struct stream *s, void *arg)
{
    (void)s;
    ((struct caller *)arg)->opened = true;
}

static inline void caller_data(struct stream *s, struct str bytes, void *arg)
{
    (void)s;
    buf_add_str(&((struct caller *)arg)->in, bytes);
}

static inline void caller_closed(struct stream *s, const struct err *why, void *arg)
{
    struct caller *c = arg;

    (void)s;
    c->s = NULL;
    c->closed = true;
    c->why = *why;
}

static const struct stream_handler CALLER = {
    .opened = caller_opened, .data = caller_data, .closed = caller_closed};

static inline void call(struct world *w, struct caller *c)
{
    struct err err;

    memset(c, 0, sizeof(*c));
    c->loop = w->loop;
    buf_init(&c->in, 64 << 20);
    if (stream_connect(w->loop, http_server_address(w->server), NULL, &CALLER, c, &c->s, &err) < 0)
        fail_msg("%s", err.text);
}

static inline bool has_wanted(void *arg)
{
    struct caller *c = arg;

    return str_find(buf_str(&c->in), str_of(c->wanted)) != SIZE_MAX;
}

/* Wait until the answer holds `text`. */
static inline void expect(struct caller *c, const char *text)
{
    c->wanted = text;
    wait_check(c->loop, has_wanted, c, text);
}

static inline void expect_not(struct caller *c, const char *text)
{
    if (str_find(buf_str(&c->in), str_of(text)) != SIZE_MAX)
        fail_msg("'%s' in: %.*s", text, STR_ARG(buf_str(&c->in)));
}

static inline void say(struct caller *c, const char *text)
{
    stream_write(c->s, str_of(text));
}

/* One request on a connection of its own; leaves the whole answer in c->in, its end included. */
static inline void ask(struct world *w, struct caller *c, const char *text)
{
    call(w, c);
    say(c, text);
    WAIT_FOR(w->loop, c->closed);
}

static inline void hang_up(struct caller *c)
{
    if (c->s != NULL)
        stream_close(c->s, NULL);
    WAIT_FOR(c->loop, c->closed);
    buf_fini(&c->in);
}

#endif
