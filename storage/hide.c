/* storage/hide.c - see hide.h. */
#include "storage/hide.h"

#include "base/mem.h"
#include "base/obj.h"
#include "storage/segment.h"
#include "storage/tombstone.h"

#include <stdatomic.h>
#include <stdlib.h>

struct hide {
    unsigned magic;
#define HIDE_MAGIC 0x51de00c5u
    _Atomic unsigned refs;
    const struct store_options *opt;
    const struct store_retention_rule **rules; /* owned array: those for this tenant, in order */
    size_t n_rules;
    struct tombstone **tombstones; /* owned arrays, one reference each */
    size_t n;
    struct tombstone **held;
    size_t n_held;
};

/* ---- rules ---- */

static bool speaks_of(const struct store_retention_rule *r, struct str tenant)
{
    return r->tenant.n == 0 || str_eq(r->tenant, tenant);
}

dur_ns hide_period(const struct store_options *opt, struct str tenant, const struct labels *l)
{
    for (size_t i = 0; i < opt->n_retention_rules; i++) {
        const struct store_retention_rule *r = &opt->retention_rules[i];
        if (speaks_of(r, tenant) && matchers_match(r->matchers, r->n_matchers, l))
            return r->period;
    }
    return opt->retention;
}

static void widen(dur_ns period, dur_ns *least, dur_ns *most)
{
    if (period == 0)
        *most = 0;
    else if (*most != 0 && *most < period)
        *most = period;
    if (period != 0 && (*least == 0 || period < *least))
        *least = period;
}

void hide_bounds(const struct store_options *opt, struct str tenant, dur_ns *least, dur_ns *most)
{
    bool rest = true; /* streams that no rule has spoken of yet */

    *least = 0;
    *most = 1;
    for (size_t i = 0; rest && i < opt->n_retention_rules; i++) {
        const struct store_retention_rule *r = &opt->retention_rules[i];
        if (!speaks_of(r, tenant))
            continue;
        widen(r->period, least, most);
        rest = r->n_matchers > 0;
    }
    if (rest)
        widen(opt->retention, least, most);
}

/* ---- snapshots ---- */

static size_t pick_rules(const struct store_options *opt, struct str name,
                         const struct store_retention_rule **ret)
{
    size_t n = 0;

    for (size_t i = 0; i < opt->n_retention_rules; i++)
        if (speaks_of(&opt->retention_rules[i], name))
            ret[n++] = &opt->retention_rules[i];
    return n;
}

static struct tombstone **copy_list(struct hide_list from)
{
    struct tombstone **v = mem_new(from.n * sizeof(*v) + 1);

    for (size_t i = 0; i < from.n; i++)
        v[i] = tombstone_ref(from.v[i]);
    return v;
}

static void free_list(struct tombstone **v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        tombstone_unref(&v[i]);
    free((void *)v);
}

struct hide *hide_new(const struct store_options *opt, struct str name, struct hide_list gone,
                      struct hide_list held)
{
    struct hide *h = mem_new(sizeof(*h));

    h->magic = HIDE_MAGIC;
    atomic_init(&h->refs, 1);
    h->opt = opt;
    h->rules = mem_new(opt->n_retention_rules * sizeof(*h->rules) + 1);
    h->n_rules = pick_rules(opt, name, h->rules);
    h->tombstones = copy_list(gone);
    h->n = gone.n;
    h->held = copy_list(held);
    h->n_held = held.n;
    if (h->n_rules == 0 && h->n == 0 && h->n_held == 0)
        hide_unref(&h);
    return h;
}

struct hide *hide_ref(struct hide *h)
{
    if (h == NULL)
        return NULL;
    OBJ_CHECK(h, HIDE_MAGIC);
    atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed);
    return h;
}

void hide_unref(struct hide **ph)
{
    struct hide *h = *ph;

    *ph = NULL;
    if (h == NULL)
        return;
    OBJ_CHECK(h, HIDE_MAGIC);
    if (atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) != 1)
        return;
    free_list(h->tombstones, h->n);
    free_list(h->held, h->n_held);
    free((void *)h->rules);
    h->magic = 0;
    free(h);
}

static bool same_list(struct tombstone *const *a, size_t n_a, struct tombstone *const *b,
                      size_t n_b)
{
    if (n_a != n_b)
        return false;
    for (size_t i = 0; i < n_a; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

bool hide_same(const struct hide *a, const struct hide *b)
{
    static const struct hide NOTHING;

    a = a == NULL ? &NOTHING : a;
    b = b == NULL ? &NOTHING : b;
    return same_list(a->tombstones, a->n, b->tombstones, b->n) &&
           same_list(a->held, a->n_held, b->held, b->n_held);
}

bool hide_spares(const struct hide *h, const struct hide *now)
{
    for (size_t i = 0; i < now->n_held; i++) {
        size_t k = 0;
        while (k < h->n_held && h->held[k] != now->held[i])
            k++;
        if (k == h->n_held)
            return false;
    }
    return true;
}

bool hide_may_expire(const struct hide *h, ts_ns ts, ts_ns now)
{
    dur_ns least = h == NULL ? 0 : h->opt->retention;

    if (h == NULL || h->n_rules == 0)
        return false;
    for (size_t i = 0; i < h->n_rules; i++)
        if (h->rules[i]->period != 0 && (least == 0 || h->rules[i]->period < least))
            least = h->rules[i]->period;
    return least != 0 && (now < INT64_MIN + least || ts <= now - least + NS_PER_DAY);
}

uint64_t hide_newest(const struct hide *h)
{
    uint64_t newest = 0;

    for (size_t i = 0; h != NULL && i < h->n; i++)
        if (tombstone_id(h->tombstones[i]) > newest)
            newest = tombstone_id(h->tombstones[i]);
    return newest;
}

/* ---- streams ---- */

static dur_ns period_of(const struct hide *h, const struct labels *l)
{
    for (size_t i = 0; i < h->n_rules; i++)
        if (matchers_match(h->rules[i]->matchers, h->rules[i]->n_matchers, l))
            return h->rules[i]->period;
    return h->opt->retention;
}

int hide_stream(const struct hide *h, const struct labels *l, ts_ns now, struct arena *a,
                const struct hide_stream **ret, struct err *err)
{
    struct hide_stream hs = {.expired_before = INT64_MIN, .cutoff = INT64_MIN};
    struct hide_stream *own;
    bool strict;
    size_t hits = 0;

    *ret = NULL;
    if (h == NULL)
        return 0;
    OBJ_CHECK(h, HIDE_MAGIC);
    for (size_t i = 0; i < h->n_held; i++)
        if (tombstone_hits_stream(h->held[i], l))
            return 0;
    if (h->n_rules > 0 || h->n_held > 0) {
        dur_ns period = period_of(h, l);
        if (period != 0) {
            hs.cutoff = now < INT64_MIN + period ? INT64_MIN : now - period;
            hs.expired_before = time_day_start(hs.cutoff);
        }
    }
    strict = h->n > 0 && segment_class_of(l) == SEGMENT_STRICT;
    for (size_t i = 0; !strict && i < h->n; i++)
        hits += tombstone_hits_stream(h->tombstones[i], l);
    if (hs.expired_before == INT64_MIN && hits == 0)
        return 0;
    own = arena_alloc(a, sizeof(*own));
    if (own != NULL && hits > 0)
        hs.tombstones = arena_alloc(a, hits * sizeof(*hs.tombstones));
    if (own == NULL || (hits > 0 && hs.tombstones == NULL))
        return arena_err(a, err);
    for (size_t i = 0; hits > 0 && i < h->n; i++)
        if (tombstone_hits_stream(h->tombstones[i], l))
            hs.tombstones[hs.n++] = h->tombstones[i];
    *own = hs;
    *ret = own;
    return 0;
}

enum hide_verdict hide_span(const struct hide_stream *hs, const struct hide_span *span)
{
    enum hide_verdict v = HIDE_NOTHING;

    if (hs == NULL)
        return v;
    if (span->min_ts < hs->expired_before && span->max_received < hs->cutoff)
        v = span->max_ts < hs->expired_before ? HIDE_ALL : HIDE_SOME;
    for (size_t i = 0; v != HIDE_ALL && i < hs->n; i++) {
        const struct tombstone *t = hs->tombstones[i];
        if (span->max_ts < tombstone_from(t) || span->min_ts >= tombstone_to(t) ||
            span->min_seq > tombstone_seq(t))
            continue;
        v = !tombstone_has_filters(t) && span->min_ts >= tombstone_from(t) &&
                    span->max_ts < tombstone_to(t) && span->max_seq <= tombstone_seq(t)
                ? HIDE_ALL
                : HIDE_SOME;
    }
    return v;
}

static bool is_under(const struct tombstone *t, ts_ns ts, uint64_t seq)
{
    return ts >= tombstone_from(t) && ts < tombstone_to(t) && seq <= tombstone_seq(t);
}

bool hide_needs_line(const struct hide_stream *hs, ts_ns ts, uint64_t seq)
{
    for (size_t i = 0; hs != NULL && i < hs->n; i++)
        if (tombstone_has_filters(hs->tombstones[i]) && is_under(hs->tombstones[i], ts, seq))
            return true;
    return false;
}

bool hide_row(const struct hide_stream *hs, ts_ns ts, uint64_t seq, ts_ns received, struct str line)
{
    if (hs == NULL)
        return false;
    if (ts < hs->expired_before && received < hs->cutoff)
        return true;
    for (size_t i = 0; i < hs->n; i++)
        if (is_under(hs->tombstones[i], ts, seq) && (!tombstone_has_filters(hs->tombstones[i]) ||
                                                     tombstone_hits_line(hs->tombstones[i], line)))
            return true;
    return false;
}
