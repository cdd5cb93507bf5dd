/*
 * collector/fleet.c - contract: fleet.h.
 *
 * A server that was left is not chosen again before it has been there for a while, longer each time
 * that it is left without having acknowledged anything: one that answers but does not store (a full
 * disk) would else get every new file for the failover time.
 */
#include "collector/fleet.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "collector/metrics.h"

#include <stdlib.h>

enum {
    LOOK_MS_MIN = 20,
    LOOK_MS_MAX = 1000,
    DECIDE_MS = 2000, /* so long the first choice is waited for at the start */
};
#define PAUSE_MAX NS_PER_H

struct member {
    struct fleet *fleet;
    size_t index;
    char *address; /* owned */
    struct ship *ship;
    unsigned hellos; /* connections on which we said who we are; all but the first count as two */
    bool is_left;
    dur_ns left_at, pause; /* when, and for how long it is not chosen */
};

struct fleet {
    unsigned magic;
#define FLEET_MAGIC 0xf1ee7a11u
    struct member all[FLEET_MAX];
    size_t n;
    dur_ns failover, started;
    struct fleet_handler handler;
    void *arg;
    struct loop_timer *timer; /* NULL with one server */
};

/* ---- which are there ---- */

static bool is_there(const struct member *m)
{
    return !m->is_left && ship_is_connected(m->ship);
}

int fleet_choose(const struct fleet *f)
{
    bool patient = time_mono() - f->started < DECIDE_MS * NS_PER_MS;

    OBJ_CHECK(f, FLEET_MAGIC);
    if (f->n == 1)
        return 0;
    for (size_t i = 0; i < f->n; i++) {
        if (is_there(&f->all[i]))
            return (int)i;
        if (patient && !ship_is_decided(f->all[i].ship))
            return -1;
    }
    return -1;
}

/* Who takes over from `from`: the next that is there and is not silent itself. */
static struct member *find_successor(struct fleet *f, const struct member *from, dur_ns now)
{
    for (size_t i = 1; i < f->n; i++) {
        struct member *m = &f->all[(from->index + i) % f->n];
        dur_ns since = ship_silent_since(m->ship);
        if (is_there(m) && (since == 0 || now - since < f->failover / 2))
            return m;
    }
    return NULL;
}

static void leave(struct fleet *f, struct member *m, struct member *to, dur_ns now)
{
    m->is_left = true;
    m->left_at = now;
    m->pause = m->pause == 0 ? f->failover : m->pause * 2;
    if (m->pause > PAUSE_MAX)
        m->pause = PAUSE_MAX;
    metric_add(METRIC_FAILOVERS, 1);
    log_error("server.left", LOG_Z("server", m->address), LOG_Z("for", to->address),
              LOG_I64("silent_ms", (now - ship_silent_since(m->ship)) / NS_PER_MS));
    f->handler.left(f->arg, m->index, to->index);
    ship_reconnect(m->ship, "it has not answered for the failover time");
}

static void look(void *arg)
{
    struct fleet *f = arg;
    dur_ns now = time_mono();
    bool back = false;

    for (size_t i = 0; i < f->n; i++) {
        struct member *m = &f->all[i], *to;
        dur_ns since = ship_silent_since(m->ship);
        if (m->is_left) {
            if (now - m->left_at < m->pause || !ship_is_connected(m->ship))
                continue;
            m->is_left = false;
            back = true;
            log_info("server.back", LOG_Z("server", m->address));
        } else if (since != 0 && now - since >= f->failover) {
            to = find_successor(f, m, now);
            if (to != NULL)
                leave(f, m, to, now);
        }
    }
    if (back || (f->n > 1 && now - f->started < 2 * DECIDE_MS * NS_PER_MS))
        f->handler.ship.room(f->arg); /* there may be somebody to choose now */
}

/* ---- what the ships say ---- */

static void on_acked(void *arg, uint64_t no)
{
    struct member *m = arg;

    m->pause = 0;
    m->fleet->handler.ship.acked(m->fleet->arg, no);
}

static void on_refused(void *arg, uint64_t no, struct str message, const struct forward_ack *why)
{
    struct member *m = arg;

    m->pause = 0;
    m->fleet->handler.ship.refused(m->fleet->arg, no, message, why);
}

static void on_room(void *arg)
{
    struct member *m = arg;

    m->fleet->handler.ship.room(m->fleet->arg);
}

static void on_about(void *arg, bool is_hello, struct forward_about *ret)
{
    struct member *m = arg;

    if (is_hello && m->hellos < 2)
        m->hellos++;
    m->fleet->handler.ship.about(m->fleet->arg, is_hello, ret);
}

static void on_known(void *arg, uint64_t incarnation, uint64_t next)
{
    struct member *m = arg;

    if (m->hellos == 1 && m->fleet->handler.ship.known != NULL)
        m->fleet->handler.ship.known(m->fleet->arg, incarnation, next);
}

/* ---- one of them ---- */

bool fleet_has_room(const struct fleet *f, size_t i)
{
    return ship_has_room(f->all[i].ship);
}

size_t fleet_in_flight(const struct fleet *f, size_t i)
{
    return ship_in_flight(f->all[i].ship);
}

void fleet_add(struct fleet *f, size_t i, uint64_t no, const char token[CHUNK_TOKEN_BYTES],
               struct buf *message)
{
    OBJ_CHECK(f, FLEET_MAGIC);
    ship_add(f->all[i].ship, no, token, message);
}

bool fleet_take(struct fleet *f, size_t i, uint64_t *no, struct buf *message,
                char token[CHUNK_TOKEN_BYTES], bool *sent)
{
    return ship_take(f->all[i].ship, no, message, token, sent);
}

/* ---- all of them ---- */

size_t fleet_in_flight_all(const struct fleet *f)
{
    size_t n = 0;

    for (size_t i = 0; i < f->n; i++)
        n += ship_in_flight(f->all[i].ship);
    return n;
}

size_t fleet_connected(const struct fleet *f)
{
    size_t n = 0;

    for (size_t i = 0; i < f->n; i++)
        n += ship_is_connected(f->all[i].ship);
    return n;
}

void fleet_set_tls(struct fleet *f, struct tls_ctx *tls)
{
    for (size_t i = 0; i < f->n; i++)
        if (!ship_has_tls(f->all[i].ship, tls))
            ship_set_tls(f->all[i].ship, tls);
}

struct fleet *fleet_new(struct loop *l, const struct fleet_options *opt,
                        const struct fleet_handler *h, void *arg)
{
    struct fleet *f = mem_new(sizeof(*f));
    struct ship_handler mine = {on_acked, on_refused, on_room,
                                h->ship.about == NULL ? NULL : on_about, on_known};
    uint64_t ms = (uint64_t)(opt->failover / NS_PER_MS / 8);

    INVARIANT(opt->n >= 1 && opt->n <= FLEET_MAX);
    f->magic = FLEET_MAGIC;
    f->n = opt->n;
    f->failover = opt->failover;
    f->started = time_mono();
    f->handler = *h;
    f->arg = arg;
    for (size_t i = 0; i < f->n; i++) {
        struct member *m = &f->all[i];
        struct ship_options so = opt->ship;
        m->fleet = f;
        m->index = i;
        m->address = mem_dup(opt->addresses[i].p, opt->addresses[i].n);
        so.address = m->address;
        m->ship = ship_new(l, &so, &mine, m);
    }
    if (f->n > 1) {
        ms = ms < LOOK_MS_MIN ? LOOK_MS_MIN : ms > LOOK_MS_MAX ? LOOK_MS_MAX : ms;
        f->timer = loop_timer_new(l, look, f);
        loop_timer_start(f->timer, ms, ms);
    }
    return f;
}

void fleet_free(struct fleet **pf)
{
    struct fleet *f = *pf;

    if (f == NULL)
        return;
    OBJ_CHECK(f, FLEET_MAGIC);
    loop_timer_free(&f->timer);
    for (size_t i = 0; i < f->n; i++) {
        ship_free(&f->all[i].ship);
        free(f->all[i].address);
    }
    f->magic = 0;
    free(f);
    *pf = NULL;
}
