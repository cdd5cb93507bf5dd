/*
 * server/server.h - the running server: what its rooms share.
 *
 * One struct, made by server_open, read-only for the rooms afterwards except where a field says
 * otherwise.
 *
 * Threads: `main` loop (signals, timers, HTTPS), one for pushes over HTTPS, `conf.forward.threads`
 * forward loops (TLS and decode), those for handshakes of all, the store's two, the query workers,
 * one alert thread.  Loop threads never block: queries
 * and meta.db go to the workers.
 */
#ifndef LOGQ_SERVER_SERVER_H
#define LOGQ_SERVER_SERVER_H

#include "base/mem.h"
#include "server/retention.h"
#include "server/server_conf.h"
#include "storage/store.h"
#include "wire/loop.h"
#include "wire/tls_ctx.h"

struct api;
struct alerts;
struct auth;
struct collectors;
struct listen_forward;
struct peers;
struct stream_limit;
struct workers;

struct server {
    unsigned magic;
#define SERVER_MAGIC 0x5e27e201u
    struct server_conf conf;
    struct loop *loop;                    /* main loop; owned */
    struct mem_budget memory;             /* everything below is charged to it */
    struct mem_budget answers;            /* of it: those of HTTP that wait for their readers */
    struct stream_limit *streams;         /* owned */
    struct retention retention;           /* the store's rules */
    struct store *store;                  /* owned */
    struct peers *peers;                  /* owned; may be NULL (tests) */
    struct collectors *collectors;        /* owned; may be NULL (tests) */
    struct auth *auth;                    /* owned; swapped whole on reload (api_take_auth) */
    struct workers *workers;              /* owned; threads for blocking work */
    struct query_cache *results;          /* owned; NULL: none are kept */
    struct alerts *alerts;                /* owned */
    struct api *api;                      /* owned; HTTPS */
    struct listen_forward *forward;       /* owned */
    struct listen_forward *forward_local; /* owned; may be NULL */
    unsigned connections;                 /* of each listener; 0: as many as its options say */
    bool dev;                             /* --dev: loopback, no TLS, no login */
    _Atomic bool draining;
};

struct server_options {
    const char *config; /* server.yaml; NULL only under --dev */
    const char *data;   /* --dev --data DIR; NULL: a temporary directory, removed at exit */
    bool dev, recover;
};

/* `logq-server run`: start, serve until SIGTERM or SIGINT, drain, stop.  The exit code: 0 stopped,
 * 1 could not start, 2 configuration. */
int server_run(const struct server_options *opt);
/* `logq-server check`: validate, print the effective configuration.  0, 2, or 1 when stdout does
 * not take it. */
int server_check(const char *config);

#endif
