/*
 * storage/store_hold.c - legal holds: spans of a tenant's time of which nothing is destroyed.
 * Contract: store.h.
 *
 * A hold is about bytes, by whole days: retention by age and size, a full disk, delete requests and
 * compaction leave a day alone that it touches.  What readers see stays as it would be without it.
 *
 * Invariant
 *   (1) a hold is in memory before store_hold_add returns, and changes only under flush_mutex: who
 *       destroys looks while holding that.
 */
#include "base/fault.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/crypt.h"
#include "storage/le.h"
#include "storage/store_internal.h"
#include "storage/tombstone.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOLDS_MAX = 1000, TEXT_MAX = 1000, FIXED = 36 };

static const char SPACE[] = "storage.hold";

struct held {
    uint64_t id, tenant_id;
    ts_ns from, to, created;
    char *user, *reason; /* owned */
};

static struct str key_of(const uint64_t *id)
{
    return (struct str){(const char *)id, sizeof(*id)};
}

static void free_held(struct held **ph)
{
    free((*ph)->user);
    free((*ph)->reason);
    free(*ph);
    *ph = NULL;
}

static struct held *new_held(uint64_t tenant_id, const struct store_hold *from)
{
    struct held *h = mem_new(sizeof(*h));

    h->tenant_id = tenant_id;
    h->from = from->from;
    h->to = from->to;
    h->created = from->created;
    h->user = mem_dup(from->user.p, from->user.n);
    h->reason = mem_dup(from->reason.p, from->reason.n);
    return h;
}

/* ---- in meta.db ---- */

static void pack(const struct held *h, struct buf *out)
{
    char fixed[FIXED];

    le_put64(fixed, h->tenant_id);
    le_put64(fixed + 8, (uint64_t)h->from);
    le_put64(fixed + 16, (uint64_t)h->to);
    le_put64(fixed + 24, (uint64_t)h->created);
    le_put32(fixed + 32, (uint32_t)strlen(h->user));
    buf_add(out, fixed, sizeof(fixed));
    buf_add_z(out, h->user);
    buf_add_z(out, h->reason);
}

struct loader {
    struct store *s;
    struct err *err;
};

static int load_one(void *arg, struct str key, struct str value)
{
    struct loader *ld = arg;
    struct store_hold d;
    struct held *h;
    uint32_t user;

    if (key.n != sizeof(uint64_t) || value.n < FIXED || value.n - FIXED > 2 * TEXT_MAX ||
        le_get32(value.p + 32) > value.n - FIXED)
        return err_set(ld->err, ERR_CORRUPT, "a hold of %zu bytes makes no sense", value.n);
    user = le_get32(value.p + 32);
    d = (struct store_hold){.from = (ts_ns)le_get64(value.p + 8),
                            .to = (ts_ns)le_get64(value.p + 16),
                            .created = (ts_ns)le_get64(value.p + 24),
                            .user = {value.p + FIXED, user},
                            .reason = {value.p + FIXED + user, value.n - FIXED - user}};
    h = new_held(le_get64(value.p), &d);
    memcpy(&h->id, key.p, sizeof(h->id));
    VEC_PUSH(&ld->s->holds, h);
    return 0;
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

bool store_hold_has(const struct store *s, uint64_t tenant_id, ts_ns from, ts_ns to)
{
    for (size_t i = 0; i < s->holds.n; i++) {
        const struct held *h = s->holds.p[i];
        if (h->tenant_id == tenant_id && h->from < to && from < h->to)
            return true;
    }
    return false;
}

bool store_hold_has_day(const struct store *s, uint64_t tenant_id, int32_t day)
{
    ts_ns start = time_of_day(day);

    return store_hold_has(s, tenant_id, start, start + NS_PER_DAY);
}

/* ---- making and releasing ---- */

static int save(struct store *s, const struct held *h, struct err *err)
{
    struct buf body;
    int r = 0;

    if (fault_hit("hold.save")) {
        errno = EIO;
        return err_sys(err, "keep a hold");
    }
    buf_init(&body, FIXED + 2 * TEXT_MAX);
    pack(h, &body);
    r = buf_err(&body, "a hold", err);
    if (r == 0)
        r = store_kv_put(s, SPACE, key_of(&h->id), buf_str(&body), err);
    buf_fini(&body);
    return r;
}

int store_hold_add(struct store *s, struct str tenant, struct store_hold *d, struct err *err)
{
    const struct store_tenant *t;
    struct held *h = NULL;
    int r = 0;

    OBJ_CHECK(s, STORE_MAGIC);
    if (d->from >= d->to)
        return err_set(err, ERR_INVALID, "the end of a hold is not behind its start");
    if (d->reason.n == 0 || d->reason.n > TEXT_MAX || d->user.n > TEXT_MAX ||
        str_find_char(d->reason, '\0') != SIZE_MAX || str_find_char(d->user, '\0') != SIZE_MAX)
        return err_set(err, ERR_INVALID, "a hold needs a reason, of at most %d bytes", TEXT_MAX);
    d->created = store_receive_time(s);
    (void)pthread_mutex_lock(&s->flush_mutex); /* keeps (1) */
    (void)pthread_mutex_lock(&s->mutex);
    t = store_tenant_find(s, tenant);
    if (t == NULL)
        r = err_set(err, ERR_GONE, "tenant '%.*s' has no records", STR_ARG(tenant));
    else if (s->holds.n >= HOLDS_MAX)
        r = err_set(err, ERR_LIMIT, "there are %zu holds: release some", s->holds.n);
    else
        h = new_held(t->id, d);
    (void)pthread_mutex_unlock(&s->mutex);
    if (r == 0)
        r = crypt_random(&h->id, sizeof(h->id), err);
    if (r == 0)
        r = save(s, h, err);
    if (r == 0) {
        (void)snprintf(d->id, sizeof(d->id), "%016" PRIx64, h->id);
        (void)pthread_mutex_lock(&s->mutex);
        VEC_PUSH(&s->holds, h);
        (void)pthread_mutex_unlock(&s->mutex);
    } else if (h != NULL) {
        free_held(&h);
    }
    (void)pthread_mutex_unlock(&s->flush_mutex);
    return r;
}

/* Under mutex: SIZE_MAX if there is none. */
static size_t find(struct store *s, struct str tenant, struct str id)
{
    const struct store_tenant *t = store_tenant_find(s, tenant);
    char name[STORE_DELETE_ID];

    for (size_t i = 0; t != NULL && i < s->holds.n; i++) {
        (void)snprintf(name, sizeof(name), "%016" PRIx64, s->holds.p[i]->id);
        if (s->holds.p[i]->tenant_id == t->id && str_eq(str_of(name), id))
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
        key = s->holds.p[at]->id;
    (void)pthread_mutex_unlock(&s->mutex);
    if (at == SIZE_MAX)
        r = err_set(err, ERR_GONE, "there is no hold %.*s", (int)(id.n < 32 ? id.n : 32), id.p);
    else
        r = store_kv_delete(s, SPACE, key_of(&key), err);
    if (r == 0) {
        struct meta_partition *p;
        (void)pthread_mutex_lock(&s->mutex);
        for (size_t i = 0; i < s->tombstones.n; i++) /* marks may be gone: all are made again */
            if (tombstone_tenant(s->tombstones.p[i]) == s->holds.p[at]->tenant_id)
                tombstone_set_marked(s->tombstones.p[i], UINT64_MAX);
        free_held(&s->holds.p[at]);
        VEC_REMOVE(&s->holds, at);
        VEC_EACH(&s->days, p) {
            p->thinned = 0; /* what was left alone is looked at again */
            p->longest_known = false;
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
        const struct store_hold d = {.from = h->from,
                                     .to = h->to,
                                     .created = h->created,
                                     .user = str_of(h->user),
                                     .reason = str_of(h->reason)};
        struct held *copy;
        if (h->tenant_id != t->id)
            continue;
        copy = new_held(t->id, &d);
        copy->id = h->id;
        VEC_PUSH(&all, copy);
    }
    (void)pthread_mutex_unlock(&s->mutex);
    for (size_t i = 0; i < all.n; i++) {
        struct store_hold d = {.from = all.p[i]->from,
                               .to = all.p[i]->to,
                               .created = all.p[i]->created,
                               .user = str_of(all.p[i]->user),
                               .reason = str_of(all.p[i]->reason)};
        (void)snprintf(d.id, sizeof(d.id), "%016" PRIx64, all.p[i]->id);
        if (r == 0)
            r = fn(arg, &d);
        free_held(&all.p[i]);
    }
    VEC_FINI(&all);
    return r;
}
