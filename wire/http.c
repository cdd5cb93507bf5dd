/*
 * wire/http.c - the HTTP server: where connections come in, who gives way to a new one, its branch
 * on another loop, counts, and its end.  Contract: http.h.  A connection and its requests are
 * http_conn.c, its way to the branch and back is http_move.c.
 *
 * A branch is a server without a listener: it handles what comes for one path, on connections that
 * move to it.  The trunk makes it, drains it and counts it as its own; it closes on its own loop.
 */
#include "wire/http.h"

#include "base/obj.h"
#include "wire/http_conn.h"

#include <stdlib.h>
#include <string.h>

static void on_connection(struct stream *s, void *arg)
{
    http_conn_open(arg, s);
}

static void release_server(struct http_server *s)
{
    s->magic = 0;
    free(s->line);
    free(s);
}

void http_server_arrived(struct http_server *s)
{
    if (--s->on_the_way == 0 && s->closed)
        release_server(s);
}

/* A stranger's that waits, drips a request, or lingers gives way. */
static bool end_stranger(struct http_server *s)
{
    struct err why;

    (void)err_set(&why, ERR_LIMIT, "too many connections");
    for (struct http_conn *c = s->conns.next; c != &s->conns; c = c->next) {
        if (c->is_trusted || c->gives_way || c->state == CONN_BUSY)
            continue;
        c->gives_way = true;
        http_conn_shut(c, &why);
        return true;
    }
    return false;
}

static void end_one(void *arg)
{
    struct http_server *s = arg;

    (void)end_stranger(s);
}

/* On the branch, in a moment. */
static bool make_room(void *arg)
{
    struct http_server *s = arg;

    if (end_stranger(s))
        return true;
    return s->branch != NULL && s->branch->strangers > 0 &&
           loop_post(s->branch->loop, end_one, s->branch);
}

static uint64_t or_ms(uint64_t ms, uint64_t otherwise)
{
    return ms == 0 ? otherwise : ms;
}

int http_server_open(struct loop *l, const char *address, const struct listener_options *lo,
                     const struct http_options *opt, http_handler_fn *fn, void *arg,
                     struct http_server **ret, struct err *err)
{
    struct listener_options own = {.backlog = 0};
    struct http_server *s = mem_new(sizeof(*s));
    int r;

    s->magic = HTTP_SERVER_MAGIC;
    s->loop = l;
    if (opt != NULL)
        s->opt = *opt;
    if (s->opt.header_bytes == 0)
        s->opt.header_bytes = 16 * 1024;
    s->opt.header_ms = or_ms(s->opt.header_ms, 10 * 1000);
    s->opt.body_ms = or_ms(s->opt.body_ms, 60 * 1000);
    s->opt.idle_ms = or_ms(s->opt.idle_ms, 75 * 1000);
    s->fn = fn;
    s->arg = arg;
    s->conns.prev = s->conns.next = &s->conns;
    if (lo != NULL)
        own = *lo;
    own.make_room = make_room;
    r = listener_open(l, address, &own, on_connection, s, &s->listener, err);
    if (r < 0) {
        free(s);
        return r;
    }
    s->address = mem_dup(listener_address(s->listener), strlen(listener_address(s->listener)));
    *ret = s;
    return 0;
}

const char *http_server_address(const struct http_server *s)
{
    OBJ_CHECK(s, HTTP_SERVER_MAGIC);
    return s->address;
}

void http_server_set_tls(struct http_server *s, struct tls_ctx *tls)
{
    OBJ_CHECK(s, HTTP_SERVER_MAGIC);
    if (s->listener != NULL)
        listener_set_tls(s->listener, tls);
}

void http_server_branch(struct http_server *s, struct loop *l, const char *line)
{
    struct http_server *b = mem_new(sizeof(*b));

    OBJ_CHECK(s, HTTP_SERVER_MAGIC);
    INVARIANT(s->branch == NULL && s->trunk == NULL);
    b->magic = HTTP_SERVER_MAGIC;
    b->loop = l;
    b->opt = s->opt;
    b->fn = s->fn;
    b->arg = s->arg;
    b->conns.prev = b->conns.next = &b->conns;
    b->trunk = s;
    b->line = mem_dup(line, strlen(line));
    s->branch = b;
}

static void close_branch(void *arg)
{
    struct http_server *b = arg;
    struct loop *l = b->loop;

    http_server_close(&b);
    loop_stop(l);
}

void http_server_cut_branch(struct http_server *s)
{
    OBJ_CHECK(s, HTTP_SERVER_MAGIC);
    if (s->branch == NULL)
        return;
    INVARIANT(loop_post(s->branch->loop, close_branch, s->branch));
    s->branch = NULL;
}

static void read_listener(struct http_server *s)
{
    if (s->listener == NULL)
        return;
    s->connections_refused = listener_refused(s->listener);
    s->accept_pauses = listener_starved(s->listener);
}

static void add_stats(const struct http_server *s, struct http_stats *ret)
{
    ret->requests += s->requests;
    ret->refused += s->refused;
    ret->timeouts += s->timeouts;
    ret->aborted += s->aborted;
}

void http_server_stats(struct http_server *s, struct http_stats *ret)
{
    OBJ_CHECK(s, HTTP_SERVER_MAGIC);
    read_listener(s);
    *ret = (struct http_stats){.connections_refused = s->connections_refused,
                               .accept_pauses = s->accept_pauses};
    add_stats(s, ret);
    if (s->branch != NULL)
        add_stats(s->branch, ret);
}

static void drain(void *arg)
{
    http_server_drain(arg);
}

void http_server_drain(struct http_server *s)
{
    OBJ_CHECK(s, HTTP_SERVER_MAGIC);
    if (s->draining)
        return;
    s->draining = true;
    if (s->branch != NULL)
        (void)loop_post(s->branch->loop, drain, s->branch); /* accepted: it was not cut */
    read_listener(s);
    listener_close(&s->listener);
    for (struct http_conn *c = s->conns.next; c != &s->conns; c = c->next)
        http_conn_drain(c);
}

size_t http_server_active(const struct http_server *s)
{
    OBJ_CHECK(s, HTTP_SERVER_MAGIC);
    return s->active + s->on_the_way +
           (s->branch == NULL ? 0 : s->branch->active + s->branch->on_the_way);
}

bool http_server_is_idle(const struct http_server *s)
{
    OBJ_CHECK(s, HTTP_SERVER_MAGIC);
    if (http_server_active(s) > 0) /* an ack of a branch is small: it goes out at once */
        return false;
    for (const struct http_conn *c = s->conns.next; c != &s->conns; c = c->next)
        if (c->stream != NULL && stream_pending(c->stream) > 0)
            return false;
    return true;
}

void http_server_close(struct http_server **ps)
{
    struct http_server *s = *ps;
    struct err why;

    if (s == NULL)
        return;
    OBJ_CHECK(s, HTTP_SERVER_MAGIC);
    INVARIANT(s->branch == NULL);
    *ps = NULL;
    listener_close(&s->listener);
    (void)err_set(&why, ERR_CANCELLED, "the server closes");
    while (s->conns.next != &s->conns)
        http_conn_orphan(s->conns.next, &why);
    free(s->address);
    s->address = NULL;
    s->closed = true;
    if (s->on_the_way == 0)
        release_server(s);
}
