/*
 * server/listen_forward.c - see listen_forward.h: loops, listeners, and their end.
 *
 * TCP listeners share one address by SO_REUSEPORT, one per loop, so that the kernel spreads
 * connections; a unix socket has one loop.  Opened on the main thread before the loops run, touched
 * by their own thread afterwards.
 *
 * Invariant
 *   (1) a loop outlives the appends of its sessions: it is stopped when its group has no session
 *       left, which store_stop brings about.
 */
#include "server/listen_forward.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "server/metrics.h"
#include "server/session_forward.h"
#include "wire/stream.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    THREADS_MAX = 64,
    CLOSE_POLL_MS = 5,
    ENDING_MAX = 16, /* streams of a loop that end for the sake of others */
};

struct forward_loop {
    struct listen_forward *owner;
    struct loop *loop;
    struct listener *listener;
    struct session_group group;
    struct loop_timer *closing; /* polls (1) */
};

struct listen_forward {
    unsigned magic;
#define LISTEN_FORWARD_MAGIC 0xf0212a2du
    struct server *server;
    char address[128];
    struct forward_loop *loops;
    unsigned n_loops;
    bool started;
    _Atomic unsigned sessions;
};

static void ignore_data(struct stream *s, struct str bytes, void *arg)
{
    (void)s;
    (void)bytes;
    (void)arg;
}

static void ignore_closed(struct stream *s, const struct err *why, void *arg)
{
    (void)s;
    (void)why;
    (void)arg;
}

/* One too many: the sender comes again. */
static void turn_away(struct stream *s)
{
    static const struct stream_handler NOBODY = {.data = ignore_data, .closed = ignore_closed};
    struct err why;

    (void)err_set(&why, ERR_LIMIT, "too many connections");
    stream_set_handler(s, &NOBODY, NULL);
    stream_close(s, &why);
}

static unsigned max_connections(const struct server *s)
{
    unsigned told = (unsigned)s->conf.forward.max_connections;

    return s->connections > 0 && s->connections < told ? s->connections : told;
}

static void on_accept(struct stream *s, void *arg)
{
    struct forward_loop *fl = arg;

    if (fl->owner->sessions >= max_connections(fl->owner->server)) {
        metric_add(METRIC_FORWARD_TURNED_AWAY, 1);
        if (!session_forward_make_room(&fl->group)) {
            turn_away(s);
            return;
        }
    }
    session_forward_new(&fl->group, s);
}

static int make_tls(const struct server *s, struct tls_ctx **ret, struct err *err)
{
    const struct server_conf *c = &s->conf;
    struct arena *a = arena_new(NULL, 64 << 10);
    struct tls_files files = {.cert = server_conf_path(c, c->forward.cert, a),
                              .key = server_conf_path(c, c->forward.key, a),
                              .ca = server_conf_path(c, c->forward.client_ca, a),
                              .server = true,
                              .require_client_cert = true};
    int r = tls_ctx_new(&files, ret, err);

    arena_free(&a);
    return r;
}

static unsigned count_loops(const struct server *s, bool local)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    if (local)
        return 1;
    if (s->conf.forward.threads > 0)
        return (unsigned)s->conf.forward.threads;
    return cpus < 1 ? 1 : cpus > 4 ? 4 : (unsigned)cpus;
}

static int open_loop(struct listen_forward *l, struct forward_loop *fl, struct tls_ctx *tls,
                     bool local, struct err *err)
{
    struct listener_options opt = {.stream = {.tls = tls},
                                   .reuse_port = l->n_loops > 1,
                                   .unix_mode = 0660,
                                   .max_streams = max_connections(l->server) + ENDING_MAX};
    int r = loop_new(&fl->loop, err);

    fl->owner = l;
    fl->group = (struct session_group){
        .server = l->server, .loop = fl->loop, .local = local, .open = &l->sessions};
    session_forward_begin(&fl->group);
    if (r == 0)
        r = listener_open(fl->loop, l->address, &opt, on_accept, fl, &fl->listener, err);
    /* The others follow the first to the port it got. */
    if (r == 0)
        (void)snprintf(l->address, sizeof(l->address), "%s", listener_address(fl->listener));
    return r;
}

int listen_forward_open(struct server *s, bool local, struct listen_forward **ret, struct err *err)
{
    struct listen_forward *l = mem_new(sizeof(*l));
    struct tls_ctx *tls = NULL;
    int r = local || s->dev ? 0 : make_tls(s, &tls, err);

    l->magic = LISTEN_FORWARD_MAGIC;
    l->server = s;
    l->n_loops = count_loops(s, local);
    l->loops = mem_new(l->n_loops * sizeof(*l->loops));
    (void)str_to_z(local ? s->conf.forward_local : s->conf.forward.listen, l->address,
                   sizeof(l->address));
    for (unsigned i = 0; r == 0 && i < l->n_loops; i++)
        r = open_loop(l, &l->loops[i], tls, local, err);
    tls_ctx_unref(&tls);
    l->started = r == 0;
    for (unsigned i = 0; r == 0 && i < l->n_loops; i++) {
        char name[20];
        (void)snprintf(name, sizeof(name), "forward%u", i % 100);
        r = loop_start(l->loops[i].loop, name, err);
    }
    if (r < 0) {
        listen_forward_close(&l);
        return err_wrap(err, local ? "forward_local" : "forward.listen");
    }
    *ret = l;
    return 0;
}

const char *listen_forward_address(const struct listen_forward *l)
{
    return l->address;
}

struct tls_swap {
    struct forward_loop *fl;
    struct tls_ctx *tls;
};

static void swap_tls(void *arg)
{
    struct tls_swap *swap = arg;

    if (swap->fl->listener != NULL)
        listener_set_tls(swap->fl->listener, swap->tls);
    tls_ctx_unref(&swap->tls);
    free(swap);
}

void listen_forward_set_tls(struct listen_forward *l, struct tls_ctx *tls)
{
    OBJ_CHECK(l, LISTEN_FORWARD_MAGIC);
    for (unsigned i = 0; i < l->n_loops; i++) {
        struct tls_swap *swap = mem_new(sizeof(*swap));
        swap->fl = &l->loops[i];
        swap->tls = tls_ctx_ref(tls);
        if (!loop_post(l->loops[i].loop, swap_tls, swap)) {
            tls_ctx_unref(&swap->tls);
            free(swap);
        }
    }
}

static void drain_loop(void *arg)
{
    struct forward_loop *fl = arg;

    if (fl->listener != NULL)
        listener_close(&fl->listener);
    session_forward_drain(&fl->group);
}

void listen_forward_drain(struct listen_forward *l)
{
    OBJ_CHECK(l, LISTEN_FORWARD_MAGIC);
    for (unsigned i = 0; i < l->n_loops; i++)
        (void)loop_post(l->loops[i].loop, drain_loop,
                        &l->loops[i]); /* refused only when stopped: then drained */
}

bool listen_forward_is_idle(const struct listen_forward *l)
{
    return l->sessions == 0;
}

/* keeps (1): once no session of this loop is left, stop it */
static void look_closed(void *arg)
{
    struct forward_loop *fl = arg;

    if (fl->group.first != NULL)
        return;
    loop_timer_free(&fl->closing);
    loop_stop(fl->loop);
}

static void close_loop(void *arg)
{
    struct forward_loop *fl = arg;

    drain_loop(fl);
    session_forward_cut(&fl->group);
    fl->closing = loop_timer_new(fl->loop, look_closed, fl);
    loop_timer_start(fl->closing, 0, CLOSE_POLL_MS);
}

void listen_forward_close(struct listen_forward **pl)
{
    struct listen_forward *l = *pl;

    if (l == NULL)
        return;
    OBJ_CHECK(l, LISTEN_FORWARD_MAGIC);
    for (unsigned i = 0; i < l->n_loops; i++) {
        struct forward_loop *fl = &l->loops[i];
        if (fl->loop == NULL)
            continue;
        if (l->started) {
            (void)loop_post(fl->loop, close_loop, fl);
            loop_join(fl->loop);
        } else if (fl->listener != NULL) {
            listener_close(&fl->listener);
        }
        loop_free(&fl->loop);
    }
    free(l->loops);
    l->magic = 0;
    free(l);
    *pl = NULL;
}
