/*
 * storage/store_delete.c - delete requests: made, taken back, listed, and kept in meta.db.
 * Contract: store.h.
 *
 * A request is durable before anybody's snapshot has it, so what was once hidden stays hidden after
 * a crash.  It says "what is stored now" by the seq of the last durable record, not by a time: two
 * records of one instant are told apart.
 */
#include "base/fault.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/hide.h"
#include "storage/scan.h"
#include "storage/segment.h"
#include "storage/store_internal.h"
#include "storage/tombstone.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ACTIVE_MAX = 1000, ALL_MAX = 10000, BODY_MAX = 4 << 20 };

static const char SPACE[] = "storage.tombstone";
static const char LAST_SPACE[] = "storage.tombstone.last"; /* one value, of key "id" */

static struct str key_of(const uint64_t *id_be)
{
    return (struct str){(const char *)id_be, sizeof(*id_be)};
}

/* ---- snapshots ---- */

void store_delete_renew(struct store *s, struct store_tenant *t)
{
    struct tombstone **hiding = mem_new(s->tombstones.n * sizeof(*hiding) + 1);
    size_t n = 0;

    for (size_t i = 0; i < s->tombstones.n; i++) {
        struct tombstone *it = s->tombstones.p[i];
        if (tombstone_tenant(it) == t->id && tombstone_state(it) != STORE_DELETE_PROCESSED)
            hiding[n++] = it;
    }
    hide_unref(&t->hide);
    t->hide = hide_new(&s->opt, str_of(t->name), (struct hide_list){hiding, n},
                       (struct hide_list){NULL, 0});
    t->hide_renewed++;
    free((void *)hiding);
}

struct loader {
    struct store *s;
    struct err *err;
};

static int load_one(void *arg, struct str key, struct str value)
{
    struct loader *ld = arg;
    struct tombstone *t = NULL;
    uint64_t id = 0;
    int r;

    if (key.n != sizeof(id))
        return err_set(ld->err, ERR_CORRUPT, "a delete request has a key of %zu bytes", key.n);
    memcpy(&id, key.p, sizeof(id));
    r = tombstone_get(be64toh(id), value, &t, ld->err);
    if (r == 0) {
        VEC_PUSH(&ld->s->tombstones, t);
        ld->s->last_delete = be64toh(id);
    }
    return r;
}

/* The last number may be that of a request that was cancelled. */
static int load_last(struct store *s, struct err *err)
{
    uint64_t id = 0;
    struct buf b;
    int r;

    buf_init(&b, sizeof(id));
    r = store_kv_get(s, LAST_SPACE, STR("id"), &b, err);
    if (r == 0 && b.n == sizeof(id))
        memcpy(&id, b.p, sizeof(id));
    else if (r == 0)
        r = err_set(err, ERR_CORRUPT, "the last number has %zu bytes", b.n);
    if (r == 0 && be64toh(id) > s->last_delete)
        s->last_delete = be64toh(id);
    buf_fini(&b);
    return r > 0 ? 0 : r; /* none was cancelled yet */
}

/* Where it cannot be kept the number may come again after a restart: no reason not to cancel. */
static void keep_last(struct store *s)
{
    uint64_t id = htobe64(s->last_delete);
    struct err ignored;

    (void)store_kv_put(s, LAST_SPACE, STR("id"), key_of(&id), &ignored);
}

int store_delete_load(struct store *s, struct err *err)
{
    struct loader ld = {s, err};
    struct str name;
    size_t pos = 0;
    void *t;
    int r = store_kv_each(s, SPACE, load_one, &ld, err);

    if (r == 0)
        r = load_last(s, err);
    while (r == 0 && map_next(s->tenants, &pos, &name, &t))
        store_delete_renew(s, t);
    return r < 0 ? err_wrap(err, "load delete requests") : 0;
}

void store_delete_free(struct store *s)
{
    for (size_t i = 0; i < s->tombstones.n; i++)
        tombstone_unref(&s->tombstones.p[i]);
    VEC_FINI(&s->tombstones);
}

/* ---- making one ---- */

int store_delete_streams(struct store *s, struct str tenant, const struct store_delete *d,
                         scan_stream_fn *fn, void *arg, struct err *err)
{
    const struct scan_request req = {.tenants = &tenant,
                                     .n_tenants = 1,
                                     .matchers = d->matchers,
                                     .n_matchers = d->n_matchers,
                                     .from = d->from,
                                     .to = d->to,
                                     .budget = s->opt.budget};

    return scan_streams(s, &req, fn, arg, err);
}

struct strict {
    bool found;
    struct buf *labels;
};

static int look_at_stream(void *arg, const struct labels *l)
{
    struct strict *st = arg;

    if (segment_class_of(l) != SEGMENT_STRICT)
        return 0;
    st->found = true;
    labels_format(st->labels, l);
    return 1;
}

/* ERR_DENIED when it names a stream that is evidence. */
static int refuse_strict(struct store *s, struct str tenant, const struct store_delete *d,
                         struct err *err)
{
    struct strict st = {.found = false};
    struct buf labels;
    int r;

    buf_init(&labels, 1 << 20);
    st.labels = &labels;
    r = store_delete_streams(s, tenant, d, look_at_stream, &st, err);
    if (st.found)
        r = err_set(err, ERR_DENIED,
                    "%.*s is evidence: its records go with their day, when retention is over, and "
                    "not by a delete request; narrow the selector",
                    (int)(labels.n < 120 ? labels.n : 120), labels.p);
    buf_fini(&labels);
    return r < 0 ? r : 0;
}

/* Under mutex. */
static int check_room(const struct store *s, uint64_t tenant_id, struct err *err)
{
    size_t active = 0;

    for (size_t i = 0; i < s->tombstones.n; i++)
        active += tombstone_tenant(s->tombstones.p[i]) == tenant_id &&
                  tombstone_state(s->tombstones.p[i]) != STORE_DELETE_PROCESSED;
    if (active >= ACTIVE_MAX || s->tombstones.n >= ALL_MAX)
        return err_set(err, ERR_LIMIT,
                       "%zu delete requests are waiting: cancel some, or wait until they are done",
                       active);
    return 0;
}

static int save(struct store *s, const struct tombstone *t, enum store_delete_state state,
                struct err *err)
{
    uint64_t id = htobe64(tombstone_id(t));
    struct buf body;
    int r;

    buf_init(&body, BODY_MAX);
    tombstone_put(t, state, &body);
    r = buf_err(&body, "a delete request", err);
    if (r == 0 && fault_hit("delete.save")) {
        errno = EIO;
        r = err_sys(err, "keep a delete request");
    }
    if (r == 0)
        r = store_kv_put(s, SPACE, key_of(&id), buf_str(&body), err);
    buf_fini(&body);
    return r;
}

/* Under delete_mutex. */
static int add(struct store *s, struct str tenant, struct store_delete *d, struct err *err)
{
    struct store_tenant *t;
    struct tombstone *stone = NULL;
    uint64_t tenant_id = 0;
    uint64_t id = 0;
    uint64_t seq = 0;
    int r = 0;

    (void)pthread_mutex_lock(&s->mutex);
    t = store_tenant_find(s, tenant);
    if (t == NULL)
        r = err_set(err, ERR_GONE, "tenant '%.*s' has no records", STR_ARG(tenant));
    if (r == 0) {
        tenant_id = t->id;
        r = check_room(s, tenant_id, err);
        id = s->last_delete + 1;
        seq = s->last_seq;
    }
    (void)pthread_mutex_unlock(&s->mutex);
    if (r == 0)
        r = tombstone_new(id, tenant_id, d, seq, &stone, err);
    if (r == 0)
        r = save(s, stone, STORE_DELETE_RECEIVED, err);
    if (r < 0) {
        tombstone_unref(&stone);
        return r;
    }
    (void)snprintf(d->id, sizeof(d->id), "%016" PRIx64, id);
    (void)pthread_mutex_lock(&s->mutex);
    VEC_PUSH(&s->tombstones, stone);
    s->last_delete = id; /* so that one who cancels twice never meets another's */
    store_delete_renew(s, store_tenant_find(s, tenant));
    (void)pthread_mutex_unlock(&s->mutex);
    store_tenant_forget(s, tenant_id);
    return 0;
}

int store_delete_add(struct store *s, struct str tenant, struct store_delete *d, struct err *err)
{
    int r;

    OBJ_CHECK(s, STORE_MAGIC);
    if (d->n_matchers == 0)
        return err_set(err, ERR_INVALID, "a delete request needs a stream selector");
    if (d->from >= d->to)
        return err_set(err, ERR_INVALID, "the end of a delete request is not behind its start");
    r = refuse_strict(s, tenant, d, err);
    if (r == 0)
        r = store_hold_refuse(s, tenant, d, err);
    if (r < 0)
        return r;
    d->created = store_receive_time(s);
    d->state = STORE_DELETE_RECEIVED;
    (void)pthread_mutex_lock(&s->delete_mutex);
    r = add(s, tenant, d, err);
    (void)pthread_mutex_unlock(&s->delete_mutex);
    return r;
}

/* ---- taking one back ---- */

/* The place of a tenant's request, SIZE_MAX if none.  Under mutex. */
static size_t find(struct store *s, struct str tenant, struct str id)
{
    const struct store_tenant *t = store_tenant_find(s, tenant);
    struct store_delete d;

    for (size_t i = 0; t != NULL && i < s->tombstones.n; i++) {
        if (tombstone_tenant(s->tombstones.p[i]) != t->id)
            continue;
        tombstone_describe(s->tombstones.p[i], &d);
        if (str_eq(str_of(d.id), id))
            return i;
    }
    return SIZE_MAX;
}

/* Under delete_mutex. */
static int cancel(struct store *s, struct str tenant, struct str id, bool force, struct err *err)
{
    struct store_delete d = {.created = 0};
    struct tombstone *t;
    uint64_t key = 0;
    size_t at;
    int r;

    (void)pthread_mutex_lock(&s->mutex);
    at = find(s, tenant, id);
    if (at != SIZE_MAX) {
        tombstone_describe(s->tombstones.p[at], &d);
        key = htobe64(tombstone_id(s->tombstones.p[at]));
    }
    (void)pthread_mutex_unlock(&s->mutex);
    if (at == SIZE_MAX)
        return err_set(err, ERR_GONE, "there is no delete request %.*s",
                       (int)(id.n < 32 ? id.n : 32), id.p);
    if (d.state == STORE_DELETE_PROCESSED)
        return err_set(err, ERR_INVALID, "delete request %s is done: its records are gone", d.id);
    if (!force && (d.state == STORE_DELETE_STARTED ||
                   store_receive_time(s) - d.created >= STORE_DELETE_GRACE))
        return err_set(err, ERR_INVALID,
                       "delete request %s is older than 12 h and may be done in part: cancel what "
                       "is left of it with force",
                       d.id);
    if (be64toh(key) == s->last_delete)
        keep_last(s);
    r = store_kv_delete(s, SPACE, key_of(&key), err);
    if (r < 0)
        return r;
    (void)pthread_mutex_lock(&s->mutex);
    t = s->tombstones.p[at]; /* delete_mutex keeps its place */
    VEC_REMOVE(&s->tombstones, at);
    store_delete_renew(s, store_tenant_find(s, tenant));
    (void)pthread_mutex_unlock(&s->mutex);
    store_tenant_forget(s, tombstone_tenant(t));
    tombstone_unref(&t);
    return 0;
}

int store_delete_cancel(struct store *s, struct str tenant, struct str id, bool force,
                        struct err *err)
{
    int r;

    OBJ_CHECK(s, STORE_MAGIC);
    (void)pthread_mutex_lock(&s->delete_mutex);
    r = cancel(s, tenant, id, force, err);
    (void)pthread_mutex_unlock(&s->delete_mutex);
    return r;
}

/* ---- moving on ---- */

/* Under delete_mutex, which keeps the list as it is. */
static bool is_there(const struct store *s, const struct tombstone *t)
{
    for (size_t i = 0; i < s->tombstones.n; i++)
        if (s->tombstones.p[i] == t)
            return true;
    return false;
}

int store_delete_state(struct store *s, struct tombstone *t, enum store_delete_state state,
                       struct err *err)
{
    struct store_tenant *tenant;
    int r = 0;

    (void)pthread_mutex_lock(&s->delete_mutex);
    if (is_there(s, t)) { /* else it was cancelled meanwhile */
        r = save(s, t, state, err);
        (void)pthread_mutex_lock(&s->mutex);
        tenant = store_tenant_of(s, tombstone_tenant(t));
        if (r == 0)
            tombstone_set_state(t, state);
        if (r == 0 && tenant != NULL)
            store_delete_renew(s, tenant);
        (void)pthread_mutex_unlock(&s->mutex);
        store_tenant_forget(s, tombstone_tenant(t));
    }
    (void)pthread_mutex_unlock(&s->delete_mutex);
    return r;
}

struct hide *store_delete_for_good(struct store *s, uint64_t tenant_id, int32_t day)
{
    const struct store_tenant *tenant;
    struct tombstone **gone;
    struct tombstone **held;
    struct hide *ret = NULL;
    size_t n_held;
    size_t n = 0;

    (void)pthread_mutex_lock(&s->mutex);
    gone = mem_new(s->tombstones.n * sizeof(*gone) + 1);
    for (size_t i = 0; i < s->tombstones.n; i++)
        if (tombstone_tenant(s->tombstones.p[i]) == tenant_id &&
            tombstone_state(s->tombstones.p[i]) == STORE_DELETE_STARTED)
            gone[n++] = s->tombstones.p[i];
    tenant = store_tenant_of(s, tenant_id);
    held = store_hold_take(s, tenant_id, day, &n_held);
    if (tenant != NULL && !store_hold_has_all(s, tenant_id, day))
        ret = hide_new(&s->opt, str_of(tenant->name), (struct hide_list){gone, n},
                       (struct hide_list){held, n_held});
    (void)pthread_mutex_unlock(&s->mutex);
    store_hold_drop(&held, n_held);
    free((void *)gone);
    return ret;
}

/* ---- listing ---- */

/* References on all of a tenant's requests: malloc'ed. */
static struct tombstone **take_all(struct store *s, struct str tenant, size_t *ret_n)
{
    struct tombstone **all;
    const struct store_tenant *t;
    size_t n = 0;

    (void)pthread_mutex_lock(&s->mutex);
    t = store_tenant_find(s, tenant);
    all = mem_new(s->tombstones.n * sizeof(*all) + 1);
    for (size_t i = 0; t != NULL && i < s->tombstones.n; i++)
        if (tombstone_tenant(s->tombstones.p[i]) == t->id)
            all[n++] = tombstone_ref(s->tombstones.p[i]);
    (void)pthread_mutex_unlock(&s->mutex);
    *ret_n = n;
    return all;
}

int store_deletes(struct store *s, struct str tenant, store_delete_fn *fn, void *arg)
{
    struct tombstone **all;
    size_t n;
    int r = 0;

    OBJ_CHECK(s, STORE_MAGIC);
    all = take_all(s, tenant, &n);
    for (size_t i = 0; i < n; i++) {
        struct store_delete d;
        tombstone_describe(all[i], &d);
        if (r == 0)
            r = fn(arg, &d);
        tombstone_unref(&all[i]);
    }
    free((void *)all);
    return r;
}
