/* server/tail.c - a follower: its life, and what is stored already.  See tail.h. */
#include "server/tail.h"

#include "base/obj.h"
#include "server/metrics.h"
#include "server/tail_priv.h"
#include "server/tenant_limits.h"
#include "server/workers.h"

#include <stdlib.h>

enum { KEY_MAX = 1 << 20 };

/* ---- counting references ---- */

struct tail *tail_ref(struct tail *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

static void free_entries(struct tail *t, struct tail_entries *v)
{
    tail_out_free_entries(t->hub, v);
    VEC_FINI(v);
}

void tail_unref(struct tail *t)
{
    OBJ_CHECK(t, SERVER_TAIL_MAGIC);
    if (atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) > 1)
        return;
    free_entries(t, &t->history);
    free_entries(t, &t->ready);
    free_entries(t, &t->waiting);
    free_entries(t, &t->dropped);
    for (size_t i = 0; i < t->backlog.n; i++)
        tail_hub_release(t->hub, t->backlog.p[i]);
    VEC_FINI(&t->backlog);
    free(t->seen);
    buf_fini(&t->key);
    query_unref(&t->query);
    t->magic = 0;
    free(t);
}

/* ---- history, on a worker ---- */

static int take_stored(void *arg, const struct query_entry *e)
{
    struct tail *t = arg;
    struct tail_entry *copy;
    int r =
        tail_entry_new(e, t->opt.form, t->opt.categorize, &t->hub->budget, &copy, &t->history_err);

    if (r == 0)
        VEC_PUSH(&t->history, copy);
    return r;
}

static void read_history(void *arg)
{
    struct tail *t = arg;
    struct server *s = t->hub->server;
    struct tenant_limits limits;
    struct query_params p = {.tenants = t->tenants,
                             .n_tenants = t->opt.n_tenants,
                             .start = t->opt.start,
                             .end = INT64_MAX,
                             .limit = t->opt.limit,
                             .direction = QUERY_BACKWARD,
                             .budget = &s->memory,
                             .cancel = &t->cancel};
    struct query_stats stats;
    struct err err;

    tenant_limits_of(&s->conf, t->tenants, t->opt.n_tenants, &limits);
    p.limits = limits.query;
    p.limits.length = 0; /* it has no end; how far back it may begin was looked at */
    if (query_run_log(t->query, s->store, &p, take_stored, t, &stats, &err) < 0 &&
        t->history_err.code == 0)
        t->history_err = err;
    tail_hub_push(t->hub, TAIL_ITEM_HISTORY, t);
    tail_unref(t);
}

/* false: too many wait for the workers. */
static bool ask_history(struct tail *t)
{
    struct str lane = t->opt.n_tenants > 0 ? t->tenants[0] : STR_NULL;

    if (workers_run(t->hub->server->workers, lane, read_history, tail_ref(t)))
        return true;
    atomic_fetch_sub_explicit(&t->refs, 1, memory_order_relaxed); /* not the last */
    return false;
}

/* ---- open, close ---- */

/* All that decides what a batch gives. */
static void make_key(struct tail *t)
{
    buf_init(&t->key, KEY_MAX);
    for (size_t i = 0; i < t->opt.n_tenants; i++)
        buf_addf(&t->key, "%s|", t->names[i]);
    buf_addf(&t->key, "%d %d\n", (int)t->opt.form, t->opt.categorize);
    query_print(t->query, &t->key);
    if (t->key.over) { /* too long: it is its own alone */
        buf_clear(&t->key);
        buf_addf(&t->key, "%p", (void *)t);
    }
}

static struct tail *tail_new(struct tail_hub *h, const struct tail_options *opt)
{
    struct tail *t = mem_new(sizeof(*t));
    struct tenant_limits limits;

    tenant_limits_of(&h->server->conf, opt->tenants, opt->n_tenants, &limits);
    t->magic = SERVER_TAIL_MAGIC;
    t->refs = 1;
    t->hub = h;
    t->query = query_ref(opt->query);
    t->opt = *opt;
    t->memory_bytes = limits.query.memory_bytes;
    t->end = &t->waiting_out;
    INVARIANT(opt->n_tenants <= TAIL_TENANTS_MAX);
    for (size_t i = 0; i < opt->n_tenants; i++)
        t->tenants[i] = str_of(str_to_z(opt->tenants[i], t->names[i], sizeof(t->names[i])));
    t->opt.tenants = t->tenants;
    make_key(t);
    return t;
}

int tail_open(struct tail_hub *h, const struct tail_options *opt, struct tail **ret,
              struct err *err)
{
    size_t max = (size_t)h->server->conf.query.tails;
    struct tail *t;

    OBJ_CHECK(h, TAIL_HUB_MAGIC);
    if (h->n_open >= max)
        return err_set(err, ERR_LIMIT,
                       "max concurrent tail requests limit exceeded, count > limit (%zu > %zu, "
                       "query.tails)",
                       h->n_open + 1, max);
    t = tail_new(h, opt);
    h->n_open++; /* from now on batches are queued */
    tail_hub_push(h, TAIL_ITEM_OPEN, t);
    if (opt->limit > 0 && !ask_history(t)) {
        metric_add(METRIC_QUERY_BUSY, 1);
        tail_close(&t);
        return err_set(err, ERR_LIMIT, "too many queries are waiting (query.concurrent)");
    }
    metric_add(METRIC_TAILS, 1);
    metric_set(METRIC_TAILS_OPEN, h->n_open);
    *ret = t;
    return 0;
}

void tail_close(struct tail **pt)
{
    struct tail *t = *pt;

    *pt = NULL;
    if (t == NULL)
        return;
    OBJ_CHECK(t, SERVER_TAIL_MAGIC);
    t->closed = true;
    t->cancel = true;
    tail_out_close(t);
    t->hub->n_open--;
    metric_set(METRIC_TAILS_OPEN, t->hub->n_open);
    tail_hub_push(t->hub, TAIL_ITEM_CLOSE, t);
    tail_unref(t);
}
