/*
 * wire/stream_connect.c - the client's way to an open stream: names, attempts, connections that
 * somebody else has made.  Contracts: stream.h, stream_priv.h.
 */
#include "base/mem.h"
#include "base/obj.h"
#include "wire/stream_priv.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ADDRESSES_MAX = 8 }; /* of a name, tried one after the other */

static void attempt_failed(struct stream *s, int status)
{
    (void)loop_uv_err(&s->why, status, "connect to %s", s->address);
    if (s->next_try >= s->tries_n) {
        stream_destroy(s);
    } else if (s->handle_live) {
        uv_close(&s->uv.handle, stream_on_closed);
    } else {
        stream_connect_next(s);
    }
}

static void on_connect(uv_connect_t *req, int status)
{
    struct stream *s = req->data;

    if (s->state != STATE_CONNECTING)
        return;
    if (status < 0) {
        attempt_failed(s, status);
        return;
    }
    memset(&s->why, 0, sizeof(s->why)); /* of earlier attempts */
    stream_begin(s);
}

void stream_connect_next(struct stream *s)
{
    const union address_socket *a = &s->tries[s->next_try++];
    int r;

    s->state = STATE_CONNECTING;
    r = uv_tcp_init(loop_uv(s->loop), &s->uv.tcp);
    if (r == 0) {
        s->handle_live = true;
        s->uv.handle.data = s;
        s->req.connect.data = s;
        r = uv_tcp_connect(&s->req.connect, &s->uv.tcp, &a->any, on_connect);
    }
    if (r < 0) {
        attempt_failed(s, r);
        return;
    }
    (void)uv_tcp_nodelay(&s->uv.tcp, 1); /* both are tuning: the stream works without */
    (void)uv_tcp_keepalive(&s->uv.tcp, 1, STREAM_KEEPALIVE_S);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct stream *s = req->data;

    s->resolving = false;
    for (struct addrinfo *i = found; i != NULL && s->tries_n < ADDRESSES_MAX; i = i->ai_next)
        if (i->ai_addrlen <= sizeof(s->tries[0]))
            memcpy(&s->tries[s->tries_n++], i->ai_addr, i->ai_addrlen);
    uv_freeaddrinfo(found);
    if (s->state == STATE_ENDED) {
        stream_finish(s);
    } else if (status < 0 || s->tries_n == 0) {
        (void)loop_uv_err(&s->why, status < 0 ? status : UV_EAI_NONAME, "resolve %s", s->address);
        stream_destroy(s);
    } else {
        stream_connect_next(s);
    }
}

static int begin_connect(struct stream *s, const struct address *a, struct err *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    int r;

    if (a->kind == ADDRESS_IP) {
        s->tries[s->tries_n++] = a->socket;
        stream_connect_next(s);
    } else if (a->kind == ADDRESS_NAME) {
        s->req.resolve.data = s;
        r = uv_getaddrinfo(loop_uv(s->loop), &s->req.resolve, on_resolved, a->host, a->port,
                           &hints);
        if (r < 0)
            return loop_uv_err(err, r, "resolve %s", s->address);
        s->resolving = true;
    } else {
        r = uv_pipe_init(loop_uv(s->loop), &s->uv.pipe, 0);
        if (r < 0)
            return loop_uv_err(err, r, "connect to %s", s->address);
        s->handle_live = true;
        s->state = STATE_CONNECTING;
        s->uv.handle.data = s;
        s->req.connect.data = s;
        uv_pipe_connect(&s->req.connect, &s->uv.pipe, a->socket.un.sun_path, on_connect);
    }
    return 0;
}

/* Somebody else has connected: what is left comes from the loop, as ever. */
static void begin_connected(struct stream *s, int fd)
{
    int r = stream_adopt(s, fd, true);

    s->state = STATE_CONNECTING;
    if (r == 0) {
        loop_task_queue(&s->task);
        return;
    }
    (void)close(fd); /* the handle did not take it */
    (void)loop_uv_err(&s->why, r, "connect to %s", s->address);
    stream_destroy(s);
}

int stream_connect(struct loop *l, const char *address, const struct stream_options *opt,
                   const struct stream_handler *h, void *arg, struct stream **ret, struct err *err)
{
    static const struct stream_options NONE = {0};
    struct address a;
    struct stream *s;
    int r = address_parse(address, &a, err);

    if (r < 0)
        return r;
    if (loop_is_closing(l))
        return err_set(err, ERR_CANCELLED, "connect to %s: the program ends", address);
    if (opt == NULL)
        opt = &NONE;
    s = stream_make(l, opt);
    s->h = h;
    s->arg = arg;
    s->tries = mem_new(ADDRESSES_MAX * sizeof(*s->tries));
    (void)str_to_z(str_of(address), s->address, sizeof(s->address));
    if (opt->tls != NULL) {
        const char *name = opt->server_name;
        if (name == NULL)
            name = a.kind == ADDRESS_UNIX ? "localhost" : a.host;
        r = tls_new(opt->tls, name, &s->tls, err);
    }
    stream_enter(s, opt->connect_ms);
    if (r == 0 && opt->connected_fd > 0)
        begin_connected(s, opt->connected_fd);
    else if (r == 0)
        r = begin_connect(s, &a, err);
    if (r < 0) {
        loop_timer_free(&s->deadline);
        loop_item_remove(&s->item);
        stream_release(s);
        return r;
    }
    *ret = s;
    return 0;
}
