/*
 * tests/unit/server/world.h - a server's rooms around a real store, and a loop of the test's own.
 *
 * The store is feed.h's, with the server's own decoder and a gate: while it is shut, what has
 * become durable is told to nobody, so a test can look at the time between taking and
 * acknowledging. Header only.
 */
#ifndef LOGQ_TESTS_UNIT_SERVER_WORLD_H
#define LOGQ_TESTS_UNIT_SERVER_WORLD_H

#include "base/log.h"
#include "server/api.h"
#include "server/auth.h"
#include "server/ingest.h"
#include "server/metrics.h"
#include "server/server.h"
#include "server/workers.h"
#include "tests/lib/certs.h"
#include "tests/lib/feed.h"
#include "tests/lib/wait.h"

struct world {
    struct feed feed;
    struct server server;
    struct loop *loop;
    pthread_mutex_t mutex; /* guards is_shut, waiting */
    pthread_cond_t changed;
    bool is_shut;
    unsigned waiting;
};

/* On the WAL thread, behind the fdatasync and in front of `done`. */
static inline void world_observe(void *arg, struct str tenant, struct batch *b)
{
    struct world *w = arg;

    if (w->server.api != NULL)
        api_observe(w->server.api, tenant, b);
    (void)pthread_mutex_lock(&w->mutex);
    w->waiting++;
    while (w->is_shut)
        (void)pthread_cond_wait(&w->changed, &w->mutex);
    w->waiting--;
    (void)pthread_mutex_unlock(&w->mutex);
}

static inline void world_shut(struct world *w, bool shut)
{
    (void)pthread_mutex_lock(&w->mutex);
    w->is_shut = shut;
    (void)pthread_cond_broadcast(&w->changed);
    (void)pthread_mutex_unlock(&w->mutex);
}

/* Is something durable standing at the gate? */
static inline bool world_is_waiting(void *arg)
{
    struct world *w = arg;
    bool waiting;

    (void)pthread_mutex_lock(&w->mutex);
    waiting = w->waiting > 0;
    (void)pthread_mutex_unlock(&w->mutex);
    return waiting;
}

/* The default configuration in a directory of its own, and a store; no listener yet. */
static inline struct world *world_new(void)
{
    struct world *w = mem_new(sizeof(*w));
    struct err err;

    metrics_setup();
    log_set_level(LOG_LEVEL_ERROR); /* refusals are what tests are about */
    (void)pthread_mutex_init(&w->mutex, NULL);
    (void)pthread_cond_init(&w->changed, NULL);
    feed_init(&w->feed);
    w->server.magic = SERVER_MAGIC;
    w->server.memory = (struct mem_budget){.name = "server", .limit = 256 << 20};
    assert_int_equal(server_conf_dev(w->feed.path, &w->server.conf, &err), 0);
    w->server.conf.http.listen = w->server.conf.forward.listen = STR("127.0.0.1:0");
    w->feed.opt.decode = ingest_decode;
    w->feed.opt.decode_arg = &w->server.memory;
    w->feed.opt.observe = world_observe;
    w->feed.opt.observe_arg = w;
    feed_open(&w->feed);
    w->server.store = w->feed.s;
    assert_int_equal(loop_new(&w->loop, &err), 0);
    w->server.loop = w->loop;
    return w;
}

/* The rooms must be closed by now.  Everything that was charged must have been given back. */
static inline void world_free(struct world *w)
{
    world_shut(w, false);
    workers_free(&w->server.workers);
    auth_free(&w->server.auth);
    loop_free(&w->loop);
    feed_fini(&w->feed);
    server_conf_free(&w->server.conf);
    assert_int_equal(w->server.memory.used, 0);
    (void)pthread_mutex_destroy(&w->mutex);
    (void)pthread_cond_destroy(&w->changed);
    free(w);
}

#endif
