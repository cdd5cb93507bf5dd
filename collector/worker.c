/*
 * collector/worker.c - contract: worker.h.
 *
 * When the parent is gone nobody is left who may open anything: the end, at once, as if killed
 * with it.
 */
#include "collector/worker.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "collector/channel.h"
#include "collector/collector.h"
#include "collector/metrics.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum {
    DRAIN_S = 5,
    LOCK_WAIT_S = 5,
    KEEP_BYTES = 16 << 20,
    REST_MS = 10000, /* after the start; then */
    REST_AGAIN_MS = 60000,
};

struct worker {
    const struct priv_worker *given;
    struct loop *loop;
    struct collector *collector;
    uv_poll_t *orders; /* freed by its close callback */
    struct loop_timer *rest;
    struct str dir; /* of the configuration; owned */
    bool stopping;
};

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

static void stop(struct worker *w, int signal)
{
    log_info("collector.stopping", LOG_I64("signal", signal));
    if (w->stopping) { /* the second time at once */
        loop_stop(w->loop);
        return;
    }
    w->stopping = true;
    collector_drain(w->collector, DRAIN_S * NS_PER_S, stop_loop, w->loop);
}

static void tell_parent(const struct worker *w, enum priv_order_type type)
{
    struct priv_order o = {.type = type};
    struct err err;

    (void)channel_send(w->given->orders, &o, sizeof(o), -1, &err); /* gone: it shows */
}

/* The parent has read it and found nothing wrong with it; what it names may still be. */
static void reload(struct worker *w, int fd)
{
    struct config *config = NULL;
    struct conf_errors errors;
    struct buf text;
    struct err err;
    int r;

    buf_init(&text, CONFIG_FILE_MAX);
    r = lseek(fd, 0, SEEK_SET) < 0 ? err_sys(&err, "rewind") : file_read_fd(fd, &text, &err);
    if (r == 0) {
        r = config_parse(w->given->path, w->dir, buf_str(&text), &config, &errors, &err);
        /* What the parent finds right may ask for what nobody can get any more: a module. */
        for (size_t i = 0; r < 0 && i < errors.n && i < CONF_ERRORS_MAX; i++)
            log_error("config.mistake", LOG_STR("text", errors.v[i]));
        if (r < 0)
            config_free(&config);
    }
    buf_fini(&text);
    if (r == 0) {
        log_set_level((enum log_level)config->log_level);
        r = collector_reload(w->collector, config, &err);
    }
    metric_add(r < 0 ? METRIC_RELOADS_FAILED : METRIC_RELOADS, 1);
    if (r < 0)
        log_error("config.reload_failed", LOG_ERR(&err));
    else
        log_info("config.reloaded", LOG_Z("file", w->given->path));
    tell_parent(w, r < 0 ? PRIV_RELOAD_FAILED : PRIV_RELOADED);
}

static void on_order(uv_poll_t *poll, int status, int events)
{
    struct worker *w = poll->data;
    struct priv_order o;
    struct err err;
    size_t n = 0;
    int fd, r;

    (void)status;
    (void)events;
    r = channel_receive(w->given->orders, &o, sizeof(o), &n, &fd, &err);
    if (r != 0 || n != sizeof(o)) {
        log_error("collector.orphaned", LOG_I64("parent", w->given->parent));
        _exit(EXIT_FAILURE);
    }
    if (o.type == PRIV_STOP)
        stop(w, o.signal);
    else if (o.type == PRIV_RELOAD && !w->stopping)
        reload(w, fd);
    else if (o.type == PRIV_RELOAD_FAILED)
        metric_add(METRIC_RELOADS_FAILED, 1);
    if (o.type == PRIV_JOURNAL && fd >= 0 && !w->stopping) {
        collector_set_journal(w->collector, fd);
        return;
    }
    if (fd >= 0)
        (void)close(fd);
}

static void on_poll_closed(uv_handle_t *handle)
{
    free(handle);
}

static void listen_to_orders(struct worker *w)
{
    w->orders = mem_new(sizeof(*w->orders));
    w->orders->data = w;
    (void)uv_poll_init(loop_uv(w->loop), w->orders, w->given->orders);
    (void)uv_poll_start(w->orders, UV_READABLE, on_order);
    tell_parent(w, PRIV_STARTED);
}

/* What the start needed, and a new connection, is more than what following quiet logs needs. */
static void rest(void *arg)
{
    (void)arg;
    mem_trim();
    mem_forget_code();
}

int worker_run(const struct priv_worker *given)
{
    struct collector_rights rights = {.opener = given->opener,
                                      .state_fd = given->state_fd,
                                      .lock_wait = LOCK_WAIT_S * NS_PER_S,
                                      .pid = given->parent,
                                      .max_fds = given->max_fds,
                                      .go_on = given->restarts > 0,
                                      .metrics_fd = given->metrics_fd,
                                      .forward_fds = given->forward_fds};
    struct worker w = {.given = given};
    struct config *config = given->config;
    struct err err;
    int r;

    w.dir = (struct str){mem_dup(config->dir.p, config->dir.n), config->dir.n};
    metric_add(METRIC_WORKER_RESTARTS, given->restarts);
    mem_keep(KEEP_BYTES);
    r = loop_new(&w.loop, &err);
    if (r < 0)
        config_free(&config);
    else
        r = collector_open(w.loop, &rights, config, &w.collector, &err);
    if (r == 0) {
        log_info("collector.started", LOG_Z("version", LOGQ_VERSION), LOG_Z("config", given->path));
        listen_to_orders(&w);
        w.rest = loop_timer_new(w.loop, rest, &w);
        loop_timer_start(w.rest, REST_MS, REST_AGAIN_MS);
        loop_run(w.loop);
        loop_timer_free(&w.rest);
        (void)uv_poll_stop(w.orders);
        uv_close((uv_handle_t *)w.orders, on_poll_closed);
    } else {
        log_error("collector.failed", LOG_ERR(&err));
    }
    collector_free(&w.collector);
    loop_free(&w.loop);
    free((void *)(uintptr_t)w.dir.p);
    if (r == 0)
        log_info("collector.stopped", LOG_Z("version", LOGQ_VERSION));
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
