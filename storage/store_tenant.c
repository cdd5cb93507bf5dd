/* storage/store_tenant.c - which tenants there are, and which days each has.  Contract:
 * store_internal.h. */
#include "base/map.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/store_internal.h"

#include <stdlib.h>

struct store_tenant *store_tenant_find(struct store *s, struct str name)
{
    return map_get(s->tenants, name);
}

struct store_tenant *store_tenant_of(struct store *s, uint64_t id)
{
    size_t pos = 0;
    struct str name;
    void *t;

    while (map_next(s->tenants, &pos, &name, &t))
        if (((const struct store_tenant *)t)->id == id)
            return t;
    return NULL;
}

void store_tenant_forget(struct store *s, uint64_t id)
{
    const struct store_tenant *t;

    if (s->opt.forget == NULL)
        return;
    (void)pthread_mutex_lock(&s->mutex);
    t = store_tenant_of(s, id);
    (void)pthread_mutex_unlock(&s->mutex);
    if (t != NULL) /* none ever goes, nor changes its name */
        s->opt.forget(s->opt.forget_arg, str_of(t->name));
}

static struct store_tenant *add(struct store *s, struct str name, uint64_t id, bool in_meta)
{
    struct store_tenant *t = mem_new(sizeof(*t));

    t->id = id;
    t->name = mem_dup(name.p, name.n);
    t->in_meta = in_meta;
    INVARIANT(map_put(s->tenants, name, t)); /* the callers looked at the bound */
    store_delete_renew(s, t);
    return t;
}

static int check_bounds(struct store *s, struct str name, struct err *err)
{
    if (name.n == 0 || name.n > STORE_TENANT_MAX)
        return err_set(err, ERR_INVALID, "a tenant's name has %zu bytes", name.n);
    if (map_count(s->tenants) >= STORE_TENANTS_MAX)
        return err_set(err, ERR_LIMIT, "there are %d tenants, no more fit", STORE_TENANTS_MAX);
    return 0;
}

int store_tenant_need(struct store *s, struct str name, struct store_tenant **ret, struct err *err)
{
    uint64_t id = 0;
    int r;

    *ret = store_tenant_find(s, name);
    if (*ret != NULL)
        return 0;
    r = check_bounds(s, name, err);
    while (r == 0 && (id == 0 || store_tenant_of(s, id) != NULL))
        r = crypt_random(&id, sizeof(id), err);
    if (r == 0)
        *ret = add(s, name, id, false);
    return r;
}

int store_tenant_add(struct store *s, struct str name, uint64_t id, bool in_meta, struct err *err)
{
    struct store_tenant *t = store_tenant_find(s, name);
    int r;

    if (t != NULL && t->id != id)
        return err_set(err, ERR_CORRUPT, "tenant '%.*s' has two ids", STR_ARG(name));
    if (t != NULL)
        return 0;
    r = check_bounds(s, name, err);
    if (r == 0)
        (void)add(s, name, id, in_meta);
    return r;
}

size_t store_tenant_day(struct store *s, uint64_t tenant_id, int32_t day, bool *found)
{
    size_t lo = 0;
    size_t hi = s->days.n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct meta_partition *p = &s->days.p[mid];
        if (p->tenant_id < tenant_id || (p->tenant_id == tenant_id && p->day < day))
            lo = mid + 1;
        else
            hi = mid;
    }
    *found = lo < s->days.n && s->days.p[lo].tenant_id == tenant_id && s->days.p[lo].day == day;
    return lo;
}

void store_tenant_set_day(struct store *s, const struct meta_partition *p)
{
    bool found;
    size_t at = store_tenant_day(s, p->tenant_id, p->day, &found);

    if (!found) {
        VEC_RESERVE(&s->days, s->days.n + 1);
        memmove(&s->days.p[at + 1], &s->days.p[at], (s->days.n - at) * sizeof(*s->days.p));
        s->days.n++;
    }
    s->days.p[at] = *p;
}

int store_tenants(struct store *s, store_tenant_fn *fn, void *arg)
{
    VEC(const char *) names = {0};
    struct str name;
    size_t pos = 0;
    void *t;
    int r = 0;

    OBJ_CHECK(s, STORE_MAGIC);
    (void)pthread_mutex_lock(&s->mutex);
    while (map_next(s->tenants, &pos, &name, &t))
        VEC_PUSH(&names, ((const struct store_tenant *)t)->name);
    (void)pthread_mutex_unlock(&s->mutex);
    for (size_t i = 0; r == 0 && i < names.n; i++) /* none ever goes, nor changes its name */
        r = fn(arg, str_of(names.p[i]));
    VEC_FINI(&names);
    return r;
}
