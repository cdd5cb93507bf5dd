/*
 * wire/stream_move.c - an open stream goes to another loop.  Contract: stream.h.
 *
 * A libuv handle stays with its loop, so the socket gets a second descriptor for the other loop's
 * handle; libuv takes the first one out of its epoll before it closes it, else events of the socket
 * would go on coming there.  TLS, and what it holds undecrypted, is handed over as it is.
 */
#include "base/mem.h"
#include "base/obj.h"
#include "wire/stream_priv.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct stream_parcel {
    unsigned magic;
#define STREAM_PARCEL_MAGIC 0x9a2c41f6u
    struct stream *s; /* owned; on no loop yet */
    int fd;           /* owned */
    bool is_unix;
};

/* What describes the connection, and not its place on a loop. */
static void take_over(struct stream *to, struct stream *from)
{
    to->tls = from->tls;
    to->cert = from->cert;
    to->listener = from->listener;
    to->has_uid = from->has_uid;
    to->uid = from->uid;
    to->bytes_in = from->bytes_in;
    to->bytes_out = from->bytes_out;
    memcpy(to->address, from->address, sizeof(to->address));
    from->tls = NULL;
    from->listener = NULL;
    memset(&from->cert, 0, sizeof(from->cert));
}

struct stream_parcel *stream_pack(struct stream *s)
{
    struct stream_options opt = {.high_bytes = s->high, .low_bytes = s->low};
    struct stream_parcel *p;
    uv_os_fd_t fd;
    int copy;

    OBJ_CHECK(s, STREAM_MAGIC);
    if (s->state != STATE_OPEN || s->eof || s->listener == NULL || stream_pending(s) > 0 ||
        uv_fileno(&s->uv.handle, &fd) != 0)
        return NULL;
    copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return NULL;
    if (s->tls != NULL)
        tls_keep(s->tls);
    p = mem_new(sizeof(*p));
    p->magic = STREAM_PARCEL_MAGIC;
    p->fd = copy;
    p->is_unix = s->uv.handle.type == UV_NAMED_PIPE;
    p->s = stream_make(NULL, &opt);
    take_over(p->s, s);
    s->h = NULL; /* nobody hears of its end */
    stream_destroy(s);
    return p;
}

struct stream *stream_unpack(struct loop *l, struct stream_parcel **pp,
                             const struct stream_handler *h, void *arg)
{
    struct stream_parcel *p = *pp;
    struct stream *s = p->s;
    int r;

    OBJ_CHECK(p, STREAM_PARCEL_MAGIC);
    *pp = NULL;
    stream_set_loop(s, l);
    stream_set_handler(s, h, arg);
    stream_enter(s, 0);
    loop_timer_stop(s->deadline);
    r = stream_adopt(s, p->fd, p->is_unix);
    if (r == 0) {
        stream_go_on(s);
    } else {
        (void)close(p->fd); /* the handle did not take it */
        (void)loop_uv_err(&s->why, r, "take over from %s", s->address);
        stream_destroy(s);
    }
    p->magic = 0;
    free(p);
    return s;
}

void stream_parcel_free(struct stream_parcel **pp)
{
    struct stream_parcel *p = *pp;

    if (p == NULL)
        return;
    OBJ_CHECK(p, STREAM_PARCEL_MAGIC);
    *pp = NULL;
    (void)close(p->fd);
    listener_stream_ended(p->s->listener, false);
    stream_release(p->s);
    p->magic = 0;
    free(p);
}
