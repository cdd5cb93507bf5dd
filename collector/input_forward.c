/*
 * collector/input_forward.c - where fluent clients connect, and the life of the input.  Contract:
 * input_forward.h; parts and invariants: input_forward_internal.h.
 *
 * An address where we cannot listen yet is tried again with the tick, which also looks at what the
 * listeners refused and whether the spool has room again.
 */
#include "collector/input_forward.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "collector/input_forward_internal.h"
#include "collector/metrics.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    ARENA_BYTES = 128 << 20,
    IDLE_MS = 10000,
    LISTEN_AGAIN_MIN_MS = 500,
    LISTEN_AGAIN_MAX_MS = 30000,
    CLOSING = 64, /* connections that have no seat any more and are not closed yet */
    TICK_MS = 1000,
};

/* ---- listening ---- */

static int open_door(struct forward_door *d, int bound_fd, struct err *err)
{
    struct listener_options listen = {
        .max_streams = SEATS_MAX + CLOSING, .unix_mode = d->in->mode, .bound_fd = bound_fd};
    int r =
        listener_open(d->in->loop, d->address, &listen, input_forward_accept, d, &d->listener, err);

    if (r == 0)
        log_info("forward.listening", LOG_Z("address", listener_address(d->listener)));
    else
        metric_add(METRIC_FORWARD_LISTEN_FAILED, 1);
    return r;
}

static void wait_to_listen(struct input_forward *in)
{
    in->listen_at = time_mono() + (dur_ns)backoff_next_ms(&in->backoff) * NS_PER_MS;
}

static void listen_again(struct input_forward *in)
{
    bool missing = false, changed = false;
    struct err err;

    if (in->listen_at == 0 || time_mono() < in->listen_at)
        return;
    in->listen_at = 0;
    for (size_t i = 0; i < in->n_doors; i++) {
        if (in->doors[i].listener != NULL)
            continue;
        if (open_door(&in->doors[i], 0, &err) == 0)
            changed = true;
        else
            missing = true;
    }
    if (missing)
        wait_to_listen(in);
    if (changed && in->listening != NULL)
        in->listening(in->arg);
}

/* Connections that were closed since the last look, because there were too many. */
static void look_at_door(struct forward_door *d)
{
    uint64_t refused = listener_refused(d->listener) + d->turned_away;

    metric_add(METRIC_FORWARD_REFUSED, refused - d->refused);
    if (refused > d->refused || d->evicted > d->told)
        log_warn("forward.too_many", LOG_Z("address", listener_address(d->listener)),
                 LOG_U64("refused", refused - d->refused),
                 LOG_U64("evicted", d->evicted - d->told));
    d->refused = refused;
    d->told = d->evicted;
}

static int open_listeners(struct input_forward *in, const struct input_forward_options *opt,
                          struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < opt->listen.n && i < INPUT_FORWARD_LISTENERS; i++) {
        int fd = opt->bound_fds == NULL ? 0 : opt->bound_fds[i];
        struct forward_door *d = &in->doors[in->n_doors];
        if (r < 0 || fd < 0) { /* taken all the same */
            if (fd > 0)
                (void)close(fd);
            continue;
        }
        d->in = in;
        d->address = mem_dup(opt->listen.v[i].p, opt->listen.v[i].n);
        in->n_doors++;
        r = open_door(d, fd, err);
        if (r < 0 && opt->go_on) {
            log_error("listen.failed", LOG_Z("option", "inputs.listen"),
                      LOG_Z("address", d->address), LOG_ERR(err));
            wait_to_listen(in);
            r = 0;
        }
        if (r < 0)
            r = err_wrap(err, "inputs.listen");
    }
    return r;
}

/* ---- life ---- */

static void on_tick(void *arg)
{
    struct input_forward *in = arg;

    loop_timer_start(in->tick, TICK_MS, TICK_MS);
    listen_again(in);
    for (size_t i = 0; i < in->n_doors; i++)
        if (in->doors[i].listener != NULL)
            look_at_door(&in->doors[i]);
    input_forward_look_at_spool(in);
    input_forward_go_on(in);
}

void input_forward_soon(struct input_forward *in)
{
    loop_timer_start(in->tick, 0, TICK_MS);
}

int input_forward_open(const struct input_forward_options *opt, struct input_forward **ret,
                       struct err *err)
{
    struct input_forward *in = mem_new(sizeof(*in));
    int r;

    in->magic = INPUT_FORWARD_MAGIC;
    in->loop = opt->loop;
    in->max_line = opt->max_line;
    in->mode = opt->mode;
    in->listening = opt->listening;
    in->arg = opt->arg;
    in->backoff = (struct backoff){.min_ms = LISTEN_AGAIN_MIN_MS, .max_ms = LISTEN_AGAIN_MAX_MS};
    in->idle = (dur_ns)(opt->idle_ms == 0 ? IDLE_MS : opt->idle_ms) * NS_PER_MS;
    in->spool_bytes = opt->spool_bytes;
    in->reader = forward_reader_new();
    in->arena = arena_new(NULL, ARENA_BYTES);
    in->tick = loop_timer_new(opt->loop, on_tick, in);
    r = input_forward_open_spool(in, opt->state_fd, err);
    if (r == 0)
        r = open_listeners(in, opt, err);
    if (r < 0) {
        input_forward_free(&in);
        return r;
    }
    input_forward_soon(in);
    *ret = in;
    return 0;
}

const char *input_forward_address(const struct input_forward *in, size_t i)
{
    OBJ_CHECK(in, INPUT_FORWARD_MAGIC);
    for (size_t k = 0; k < in->n_doors; k++)
        if (in->doors[k].listener != NULL && i-- == 0)
            return listener_address(in->doors[k].listener);
    return NULL;
}

void input_forward_stop(struct input_forward *in)
{
    struct err err;

    OBJ_CHECK(in, INPUT_FORWARD_MAGIC);
    if ((in->held & HOLD_STOPPED) != 0)
        return;
    for (size_t i = 0; i < in->n_doors; i++)
        listener_close(&in->doors[i].listener);
    loop_timer_stop(in->tick);
    input_forward_hold(in, HOLD_STOPPED);
    if (input_forward_sync(in, &err) < 0) {
        log_error("forward.spool_failed", LOG_ERR(&err)); /* not acknowledged: it comes again */
        return;
    }
    input_forward_finish(in);
}

void input_forward_free(struct input_forward **pin)
{
    struct input_forward *in = *pin;

    if (in == NULL)
        return;
    OBJ_CHECK(in, INPUT_FORWARD_MAGIC);
    for (size_t i = 0; i < INPUT_FORWARD_LISTENERS; i++) {
        listener_close(&in->doors[i].listener);
        free(in->doors[i].address);
    }
    input_forward_orphan(in);
    loop_timer_free(&in->tick);
    input_forward_close_spool(in);
    forward_reader_free(&in->reader);
    arena_free(&in->arena);
    in->magic = 0;
    free(in);
    *pin = NULL;
}
