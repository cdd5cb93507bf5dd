/*
 * wire/tls_shake.c - see tls_shake.h.
 *
 * Invariant
 *   (1) what crosses is ordered by `whose`, not by what libuv's queue happens to lock: each side
 * looks at it before it touches anything and sets it as the last thing it does.
 */
#include "wire/tls_shake.h"

#include "base/mem.h"
#include "base/obj.h"
#include "base/priority.h"

#include <stddef.h>
#include <stdlib.h>
#include <uv.h>

enum whose { THE_LOOPS, THE_THREADS };

struct tls_shake {
    unsigned magic;
#define TLS_SHAKE_MAGIC 0x5ba4e7d2u
    uv_work_t req;
    _Atomic enum whose whose;
    struct tls *tls; /* owned once it is abandoned */
    loop_fn *done;
    void *arg;
    bool over;
    bool abandoned;
    int r;
    struct err err; /* set when r < 0 */
};

static void release(struct tls_shake *s)
{
    if (s->abandoned)
        tls_free(&s->tls);
    s->magic = 0;
    free(s);
}

static struct tls_shake *shake_of(uv_work_t *req)
{
    return (struct tls_shake *)(void *)((char *)req - offsetof(struct tls_shake, req));
}

/* The pool's threads are libuv's: each is told once. */
static void be_bulk(void)
{
    static _Thread_local bool is_set;

    if (!is_set)
        priority_set(PRIORITY_BULK);
    is_set = true;
}

static void work(uv_work_t *req)
{
    struct tls_shake *s = shake_of(req); /* keeps (1): reads nothing, as req->data would */

    INVARIANT(s->whose == THE_THREADS);
    be_bulk();
    s->r = tls_handshake(s->tls, &s->err);
    s->whose = THE_LOOPS;
}

static void on_worked(uv_work_t *req, int status)
{
    struct tls_shake *s = shake_of(req);

    if (status == UV_ECANCELED)
        s->whose = THE_LOOPS; /* it never went */
    INVARIANT(s->whose == THE_LOOPS);
    s->over = true;
    if (s->abandoned)
        release(s);
    else
        s->done(s->arg);
}

struct tls_shake *tls_shake_begin(struct loop *l, struct tls *t, loop_fn *done, void *arg)
{
    struct tls_shake *s = mem_new(sizeof(*s));

    s->magic = TLS_SHAKE_MAGIC;
    s->tls = t;
    s->done = done;
    s->arg = arg;
    s->whose = THE_THREADS;
    INVARIANT(uv_queue_work(loop_uv(l), &s->req, work, on_worked) == 0);
    return s;
}

int tls_shake_end(struct tls_shake **ps, struct err *err)
{
    struct tls_shake *s = *ps;
    int r = s->r;

    OBJ_CHECK(s, TLS_SHAKE_MAGIC);
    INVARIANT(s->over);
    *ps = NULL;
    if (r < 0)
        *err = s->err;
    release(s);
    return r;
}

void tls_shake_abandon(struct tls_shake **ps, struct tls **pt)
{
    struct tls_shake *s = *ps;

    OBJ_CHECK(s, TLS_SHAKE_MAGIC);
    INVARIANT(s->tls == *pt);
    *ps = NULL;
    *pt = NULL;
    s->abandoned = true;
    if (s->over)
        release(s);
    else
        (void)uv_cancel((uv_req_t *)&s->req); /* too late is right too */
}
