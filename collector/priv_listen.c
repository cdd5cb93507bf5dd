/* collector/priv_listen.c - contract: priv_listen.h. */
#include "collector/priv_listen.h"

#include "base/log.h"
#include "base/time.h"
#include "collector/sandbox.h"
#include "wire/stream.h"

#include <poll.h>
#include <unistd.h>

enum {
    METRICS_MODE = 0600,
    BIND_WAIT_MS = 5000,
    BIND_RETRY_MS = 50,
};

void priv_listen_init(struct priv_listen *l)
{
    *l = (struct priv_listen){.metrics = {.fd = -1}, .signals = -1};
    for (size_t i = 0; i < CONFIG_LISTEN_MAX; i++)
        l->forward[i].fd = -1;
}

void priv_listen_fini(struct priv_listen *l)
{
    bound_remove(&l->metrics);
    for (size_t i = 0; i < CONFIG_LISTEN_MAX; i++)
        bound_remove(&l->forward[i]);
}

static void close_one(struct bound *b)
{
    if (b->fd >= 0)
        (void)close(b->fd);
    b->fd = -1;
}

void priv_listen_close(struct priv_listen *l)
{
    close_one(&l->metrics);
    for (size_t i = 0; i < CONFIG_LISTEN_MAX; i++)
        close_one(&l->forward[i]);
}

/* At the start the worker of a collector that was killed may still be dying. */
static int bind_patiently(const struct priv_listen *l, const char *address, mode_t mode, int *ret,
                          struct err *err)
{
    dur_ns until = l->had_worker ? 0 : time_mono() + BIND_WAIT_MS * NS_PER_MS;
    struct pollfd signals = {.fd = l->signals, .events = POLLIN};
    int r;

    while ((r = listener_bind_unix(address, mode, ret, err)) == ERR_EXISTS && time_mono() < until)
        if (poll(&signals, 1, BIND_RETRY_MS) > 0)
            break; /* to be stopped */
    return r;
}

/* 1: it was bound now. */
static int bind_unix(const struct priv_listen *l, struct str address, mode_t mode, struct bound *b,
                     struct err *err)
{
    struct str path = str_from(address, sizeof("unix:") - 1);
    int r;

    if (bound_is(b, address))
        return 0;
    bound_remove(b); /* a reload has named another */
    if (!str_starts(address, STR("unix:")))
        return 0;
    r = bind_patiently(l, address.p, mode, &b->fd, err);
    if (r < 0)
        return r;
    (void)str_to_z(path, b->at.sun_path, sizeof(b->at.sun_path));
    return 1;
}

/* What a reload has named may not be there to be bound: all else is collected without it. */
static int do_without(const struct priv_listen *l, const char *what, struct str address,
                      struct err *err)
{
    if (!l->had_worker)
        return err_wrap(err, "%s", what);
    log_error("listen.failed", LOG_Z("option", what), LOG_STR("address", address), LOG_ERR(err));
    return 0;
}

int priv_listen_metrics(struct priv_listen *l, const struct config *c, struct err *err)
{
    int r = bind_unix(l, c->metrics_listen, METRICS_MODE, &l->metrics, err);

    return r < 0 ? do_without(l, "metrics.listen", c->metrics_listen, err) : 0;
}

static int give_to_group(const struct bound *b, mode_t mode, const char *name, struct err *err)
{
    gid_t gid;

    if (!sandbox_find_group(name, &gid))
        return err_set(err, ERR_INVALID, "there is no group '%s'", name);
    return listener_give_unix(b->at.sun_path, mode, gid, err);
}

static struct conf_strs addresses_of(const struct config_source *forward)
{
    return forward == NULL ? (struct conf_strs){NULL, 0} : forward->forward.listen;
}

int priv_listen_forward(struct priv_listen *l, const struct config *c, struct err *err)
{
    const struct config_source *s = config_find_source(c, CONFIG_FORWARD);
    struct conf_strs listen = addresses_of(s);
    int r = 0;

    bound_arrange(l->forward, CONFIG_LISTEN_MAX, listen);
    for (size_t i = 0; s != NULL && r >= 0 && i < listen.n; i++) {
        r = bind_unix(l, listen.v[i], (mode_t)s->forward.mode, &l->forward[i], err);
        if (r == 1 && s->forward.group.n > 0)
            r = give_to_group(&l->forward[i], (mode_t)s->forward.mode, s->forward.group.p, err);
        if (r < 0) {
            bound_remove(&l->forward[i]);
            r = do_without(l, "inputs.listen", listen.v[i], err);
        }
    }
    return r < 0 ? r : 0;
}

static int take(struct bound *b, struct str address)
{
    int fd = b->fd >= 0 ? b->fd : str_starts(address, STR("unix:")) ? -1 : 0;

    b->fd = -1; /* the worker's, and the file is not */
    return fd;
}

void priv_listen_take(struct priv_listen *l, const struct config *c, int *metrics, int *forward)
{
    struct conf_strs listen = addresses_of(config_find_source(c, CONFIG_FORWARD));

    *metrics = take(&l->metrics, c->metrics_listen);
    for (size_t i = 0; i < listen.n; i++)
        forward[i] = take(&l->forward[i], listen.v[i]);
}
