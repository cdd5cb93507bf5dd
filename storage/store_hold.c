/*
 * storage/store_hold.c - legal holds: streams and a span of a tenant's time of which nothing is
 * destroyed.  Contract: store.h.
 *
 * A hold is about bytes, by whole days: retention by age and size, a full disk, delete requests and
 * compaction leave alone what it names of a day that it touches.  Such a day stays as a directory;
 * its other streams go by compaction, when they are over.  What readers see stays as it would be
 * without it.  What a hold names is kept and asked as what a delete request names (tombstone.h).
 *
 * Invariant
 *   (1) a hold is in memory before store_hold_add returns, and changes only under flush_mutex: who
 *       destroys looks while holding that.
 */
#include "base/fault.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/catalog.h"
#include "storage/crypt.h"
#include "storage/le.h"
#include "storage/partition_cache.h"
#include "storage/scan.h"
#include "storage/store_internal.h"
#include "storage/tombstone.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { HOLDS_MAX = 1000, TEXT_MAX = 1000, FIXED = 4, BODY_MAX = 4 << 20, SHOWN = 120 };

static const char SPACE[] = "storage.hold";

struct held {
    struct tombstone *what; /* reference */
    char *reason;           /* owned */
};

static struct str key_of(const uint64_t *id)
{
    return (struct str){(const char *)id, sizeof(*id)};
}

static void free_held(struct held **ph)
{
    tombstone_unref(&(*ph)->what);
    free((*ph)->reason);
    free(*ph);
    *ph = NULL;
}

/* Takes the reference. */
static struct held *new_held(struct tombstone *what, struct str reason)
{
    struct held *h = mem_new(sizeof(*h));

    h->what = what;
    h->reason = mem_dup(reason.p, reason.n);
    return h;
}

/* ---- in meta.db ---- */

static void pack(const struct held *h, struct buf *out)
{
    char fixed[FIXED];

    le_put32(fixed, (uint32_t)strlen(h->reason));
    buf_add(out, fixed, sizeof(fixed));
    buf_add_z(out, h->reason);
    tombstone_put(h->what, STORE_DELETE_RECEIVED, out);
}

struct loader {
    struct store *s;
    struct err *err;
};

static int load_one(void *arg, struct str key, struct str value)
{
    struct loader *ld = arg;
    struct tombstone *what = NULL;
    struct str reason;
    uint64_t id = 0;
    int r;

    if (key.n != sizeof(id) || value.n < FIXED || le_get32(value.p) > value.n - FIXED)
        return err_set(ld->err, ERR_CORRUPT, "a hold of %zu bytes makes no sense", value.n);
    memcpy(&id, key.p, sizeof(id));
    reason = str_sub(value, FIXED, le_get32(value.p));
    r = tombstone_get(id, str_from(value, FIXED + reason.n), &what, ld->err);
    if (r == 0)
        VEC_PUSH(&ld->s->holds, new_held(what, reason));
    return r;
}

int store_hold_load(struct store *s, struct err *err)
{
    struct loader ld = {s, err};
    int r = store_kv_each(s, SPACE, load_one, &ld, err);

    return r < 0 ? err_wrap(err, "load holds") : 0;
}

void store_hold_free(struct store *s)
{
    for (size_t i = 0; i < s->holds.n; i++)
        free_held(&s->holds.p[i]);
    VEC_FINI(&s->holds);
}

/* ---- asking ---- */

static bool touches(const struct held *h, uint64_t tenant_id, ts_ns from, ts_ns to)
{
    return tombstone_tenant(h->what) == tenant_id && tombstone_from(h->what) < to &&
           from < tombstone_to(h->what);
}

/* Those that touch [from, to). */
static struct tombstone **take(const struct store *s, uint64_t tenant_id, ts_ns from, ts_ns to,
                               size_t *ret_n)
{
    struct tombstone **v = mem_new(s->holds.n * sizeof(*v) + 1);
    size_t n = 0;

    for (size_t i = 0; i < s->holds.n; i++)
        if (touches(s->holds.p[i], tenant_id, from, to))
            v[n++] = tombstone_ref(s->holds.p[i]->what);
    *ret_n = n;
    return v;
}

struct tombstone **store_hold_take(const struct store *s, uint64_t tenant_id, int32_t day,
                                   size_t *ret_n)
{
    ts_ns start = time_of_day(day);

    return take(s, tenant_id, start, start + NS_PER_DAY, ret_n);
}

void store_hold_drop(struct tombstone ***pv, size_t n)
{
    for (size_t i = 0; i < n; i++)
        tombstone_unref(&(*pv)[i]);
    free((void *)*pv);
    *pv = NULL;
}

bool store_hold_has_all(const struct store *s, uint64_t tenant_id, int32_t day)
{
    ts_ns start = time_of_day(day);

    for (size_t i = 0; i < s->holds.n; i++)
        if (touches(s->holds.p[i], tenant_id, start, start + NS_PER_DAY) &&
            !tombstone_has_matchers(s->holds.p[i]->what))
            return true;
    return false;
}

struct look {
    struct tombstone *const *hold;
    size_t n;
    const struct tombstone *also; /* NULL: any stream */
    bool found;
};

static int look_at_stream(void *arg, uint64_t id, const struct labels *l, struct err *err)
{
    struct look *lk = arg;

    (void)id;
    (void)err;
    if (lk->also == NULL || tombstone_hits_stream(lk->also, l))
        for (size_t i = 0; i < lk->n && !lk->found; i++)
            lk->found = tombstone_hits_stream(lk->hold[i], l);
    return lk->found;
}

static int look_at_day(void *arg, struct catalog *c, struct err *err)
{
    return catalog_streams(c, look_at_stream, arg, err);
}

int store_hold_on_day(struct store *s, uint64_t tenant_id, int32_t day,
                      const struct tombstone *also, struct err *err)
{
    struct look lk = {.also = also};
    struct tombstone **hold;
    struct partition *p = NULL;
    int r = 0;

    (void)pthread_mutex_lock(&s->mutex);
    hold = store_hold_take(s, tenant_id, day, &lk.n);
    lk.found = also == NULL && store_hold_has_all(s, tenant_id, day);
    (void)pthread_mutex_unlock(&s->mutex);
    lk.hold = hold;
    if (lk.n > 0 && !lk.found) {
        r = partition_cache_get(s->partitions, tenant_id, day, false, &p, err);
        if (r == 0)
            r = partition_read(p, look_at_day, &lk, err);
        partition_unref(&p);
    }
    store_hold_drop(&hold, lk.n);
    return r < 0 ? r : lk.found;
}

/* ---- delete requests ---- */

struct refusal {
    struct look look;
    uint64_t id; /* of the hold that was found */
    struct buf *labels;
};

static int look_for_refusal(void *arg, const struct labels *l)
{
    struct refusal *rf = arg;

    for (size_t i = 0; i < rf->look.n && !rf->look.found; i++) {
        rf->look.found = tombstone_hits_stream(rf->look.hold[i], l);
        rf->id = tombstone_id(rf->look.hold[i]);
    }
    if (rf->look.found)
        labels_format(rf->labels, l);
    return rf->look.found;
}

int store_hold_refuse(struct store *s, struct str tenant, const struct store_delete *d,
                      struct err *err)
{
    const struct store_tenant *t;
    struct refusal rf = {.id = 0};
    struct tombstone **hold;
    struct buf labels;
    int r = 0;

    (void)pthread_mutex_lock(&s->mutex);
    t = store_tenant_find(s, tenant);
    hold = take(s, t == NULL ? 0 : t->id, d->from, d->to, &rf.look.n);
    (void)pthread_mutex_unlock(&s->mutex);
    rf.look.hold = hold;
    rf.labels = &labels;
    buf_init(&labels, 1 << 20);
    for (size_t i = 0; r == 0 && i < rf.look.n; i++)
        if (!tombstone_has_matchers(hold[i]))
            r = err_set(err, ERR_DENIED,
                        "legal hold %016" PRIx64 " is on all records of that span: nothing of it "
                        "may be deleted",
                        tombstone_id(hold[i]));
    if (r == 0 && rf.look.n > 0)
        r = store_delete_streams(s, tenant, d, look_for_refusal, &rf, err);
    if (rf.look.found)
        r = err_set(err, ERR_DENIED,
                    "legal hold %016" PRIx64 " is on %.*s in that span: narrow the selector or the "
                    "span",
                    rf.id, (int)(labels.n < SHOWN ? labels.n : SHOWN), labels.p);
    buf_fini(&labels);
    store_hold_drop(&hold, rf.look.n);
    return r < 0 ? r : 0;
}

/* ---- making and releasing ---- */

static int save(struct store *s, const struct held *h, struct err *err)
{
    uint64_t id = tombstone_id(h->what);
    struct buf body;
    int r = 0;

    if (fault_hit("hold.save")) {
        errno = EIO;
        return err_sys(err, "keep a hold");
    }
    buf_init(&body, BODY_MAX);
    pack(h, &body);
    r = buf_err(&body, "a hold", err);
    if (r == 0)
        r = store_kv_put(s, SPACE, key_of(&id), buf_str(&body), err);
    buf_fini(&body);
    return r;
}

/* What it names, with a number of its own; NULL: *err says why not. */
static struct held *make(uint64_t tenant_id, const struct store_hold *d, struct err *err)
{
    const struct store_delete what = {.query = d->query,
                                      .user = d->user,
                                      .matchers = d->matchers,
                                      .n_matchers = d->n_matchers,
                                      .from = d->from,
                                      .to = d->to,
                                      .created = d->created};
    struct tombstone *t = NULL;
    uint64_t id = 0;
    int r = crypt_random(&id, sizeof(id), err);

    if (r == 0)
        r = tombstone_new(id, tenant_id, &what, 0, &t, err);
    return r < 0 ? NULL : new_held(t, d->reason);
}

/* Under flush_mutex. */
static int add(struct store *s, struct str tenant, struct store_hold *d, struct err *err)
{
    const struct store_tenant *t;
    struct store_delete made;
    struct held *h;
    uint64_t tenant_id = 0;
    int r = 0;

    (void)pthread_mutex_lock(&s->mutex);
    t = store_tenant_find(s, tenant);
    if (t == NULL)
        r = err_set(err, ERR_GONE, "tenant '%.*s' has no records", STR_ARG(tenant));
    else if (s->holds.n >= HOLDS_MAX)
        r = err_set(err, ERR_LIMIT, "there are %zu holds: release some", s->holds.n);
    else
        tenant_id = t->id;
    (void)pthread_mutex_unlock(&s->mutex);
    if (r < 0)
        return r;
    h = make(tenant_id, d, err);
    if (h == NULL)
        return err->code;
    r = save(s, h, err);
    if (r < 0) {
        free_held(&h);
        return r;
    }
    tombstone_describe(h->what, &made);
    memcpy(d->id, made.id, sizeof(d->id));
    (void)pthread_mutex_lock(&s->mutex);
    VEC_PUSH(&s->holds, h);
    (void)pthread_mutex_unlock(&s->mutex);
    return 0;
}

int store_hold_add(struct store *s, struct str tenant, struct store_hold *d, struct err *err)
{
    int r;

    OBJ_CHECK(s, STORE_MAGIC);
    if (d->from >= d->to)
        return err_set(err, ERR_INVALID, "the end of a hold is not behind its start");
    if (d->reason.n == 0 || d->reason.n > TEXT_MAX || d->user.n > TEXT_MAX ||
        str_find_char(d->reason, '\0') != SIZE_MAX || str_find_char(d->user, '\0') != SIZE_MAX)
        return err_set(err, ERR_INVALID, "a hold needs a reason, of at most %d bytes", TEXT_MAX);
    d->created = store_receive_time(s);
    (void)pthread_mutex_lock(&s->flush_mutex); /* keeps (1) */
    r = add(s, tenant, d, err);
    (void)pthread_mutex_unlock(&s->flush_mutex);
    return r;
}

/* Under mutex: SIZE_MAX if there is none. */
static size_t find(struct store *s, struct str tenant, struct str id)
{
    const struct store_tenant *t = store_tenant_find(s, tenant);
    struct store_delete d;

    for (size_t i = 0; t != NULL && i < s->holds.n; i++) {
        tombstone_describe(s->holds.p[i]->what, &d);
        if (tombstone_tenant(s->holds.p[i]->what) == t->id && str_eq(str_of(d.id), id))
            return i;
    }
    return SIZE_MAX;
}

int store_hold_release(struct store *s, struct str tenant, struct str id, struct err *err)
{
    uint64_t key = 0;
    size_t at;
    int r;

    OBJ_CHECK(s, STORE_MAGIC);
    (void)pthread_mutex_lock(&s->flush_mutex); /* keeps (1) */
    (void)pthread_mutex_lock(&s->mutex);
    at = find(s, tenant, id);
    if (at != SIZE_MAX)
        key = tombstone_id(s->holds.p[at]->what);
    (void)pthread_mutex_unlock(&s->mutex);
    if (at == SIZE_MAX)
        r = err_set(err, ERR_GONE, "there is no hold %.*s", (int)(id.n < 32 ? id.n : 32), id.p);
    else
        r = store_kv_delete(s, SPACE, key_of(&key), err);
    if (r == 0) {
        struct meta_partition *p;
        (void)pthread_mutex_lock(&s->mutex);
        for (size_t i = 0; i < s->tombstones.n; i++) /* marks may be gone: all are made again */
            if (tombstone_tenant(s->tombstones.p[i]) == tombstone_tenant(s->holds.p[at]->what))
                tombstone_set_marked(s->tombstones.p[i], UINT64_MAX);
        free_held(&s->holds.p[at]);
        VEC_REMOVE(&s->holds, at);
        VEC_EACH(&s->days, p) {
            p->thinned = 0; /* what was left alone is looked at again */
            p->longest_known = p->is_held = p->is_kept = false;
        }
        (void)pthread_mutex_unlock(&s->mutex);
    }
    (void)pthread_mutex_unlock(&s->flush_mutex);
    return r;
}

int store_holds(struct store *s, struct str tenant, store_hold_fn *fn, void *arg)
{
    const struct store_tenant *t;
    VEC(struct held *) all = {0};
    int r = 0;

    OBJ_CHECK(s, STORE_MAGIC);
    (void)pthread_mutex_lock(&s->mutex);
    t = store_tenant_find(s, tenant);
    for (size_t i = 0; t != NULL && i < s->holds.n; i++) {
        const struct held *h = s->holds.p[i];
        if (tombstone_tenant(h->what) == t->id)
            VEC_PUSH(&all, new_held(tombstone_ref(h->what), str_of(h->reason)));
    }
    (void)pthread_mutex_unlock(&s->mutex);
    for (size_t i = 0; i < all.n; i++) {
        struct store_delete what;
        struct store_hold d;
        tombstone_describe(all.p[i]->what, &what);
        d = (struct store_hold){.query = what.query,
                                .matchers = what.matchers,
                                .n_matchers = what.n_matchers,
                                .from = what.from,
                                .to = what.to,
                                .created = what.created,
                                .user = what.user,
                                .reason = str_of(all.p[i]->reason)};
        memcpy(d.id, what.id, sizeof(d.id));
        if (r == 0)
            r = fn(arg, &d);
        free_held(&all.p[i]);
    }
    VEC_FINI(&all);
    return r;
}
