/*
 * wire/http_move.c - a connection goes to the loop of its server's branch, and back.  Contract:
 * http.h, http_conn.h.
 *
 * A connection changes between the two where a request begins, before any of it is parsed: then
 * nothing is known of it but its stream and these bytes.  They go as a parcel, by loop_post; what
 * stays is freed in the next round of the loop that it left.
 *
 * Invariants
 *   (1) a branch hands on what its path is not for, or ends the connection: the handler meets
 * nothing else there; (2) a parcel is counted in `on_the_way` of the server that it goes to, which
 * stays until it has come.
 */
#include "base/obj.h"
#include "wire/http_conn.h"

#include <stdlib.h>

/* A connection on its way to another server. */
struct http_parcel {
    struct http_server *to;
    struct stream_parcel *stream;
    struct buf bytes; /* of its next request */
    bool is_trusted;
};

/* It has come. */
static void on_parcel(void *arg)
{
    struct http_parcel *p = arg;
    struct http_server *s = p->to;

    OBJ_CHECK(s, HTTP_SERVER_MAGIC);
    if (s->closed) {
        stream_parcel_free(&p->stream);
        buf_fini(&p->bytes);
    } else {
        http_conn_arrive(s, &p->stream, &p->bytes, p->is_trusted);
    }
    free(p);
    http_server_arrived(s); /* only now: until its request is active, this is what counts */
}

/* Who takes a request that begins with `bytes`; NULL: nobody else. */
static struct http_server *other_for(const struct http_server *s, struct str bytes)
{
    const struct http_server *branch = s->trunk != NULL ? s : s->branch;
    struct str line, rest;
    bool fits;

    if (branch == NULL)
        return NULL;
    line = str_of(branch->line);
    rest = str_from(bytes, line.n);
    fits = str_starts(bytes, line) && rest.n > 0 && (rest.p[0] == ' ' || rest.p[0] == '?');
    if (s->trunk != NULL)
        return fits ? NULL : s->trunk;
    return fits ? s->branch : NULL;
}

/* false: it cannot go now. */
static bool move(struct http_conn *c, struct http_server *to, struct str bytes)
{
    struct stream_parcel *stream = http_conn_leave(c);
    struct http_parcel *p;

    if (stream == NULL)
        return false;
    p = mem_new(sizeof(*p));
    p->to = to;
    p->stream = stream;
    p->is_trusted = c->is_trusted;
    buf_init(&p->bytes, HTTP_PIPELINE_MAX);
    buf_add_str(&p->bytes, bytes);
    to->on_the_way++; /* keeps (2) */
    if (!p->bytes.over && loop_post(to->loop, on_parcel, p))
        return true;
    to->on_the_way--;
    stream_parcel_free(&p->stream);
    buf_fini(&p->bytes);
    free(p);
    return true;
}

bool http_move_begin(struct http_conn *c, struct str bytes)
{
    struct http_server *to = other_for(c->server, bytes);

    if (to == NULL)
        return false;
    if (move(c, to, bytes))
        return true;
    if (c->server->trunk == NULL)
        return false;        /* then it is handled here */
    http_conn_shut(c, NULL); /* keeps (1) */
    return true;
}
