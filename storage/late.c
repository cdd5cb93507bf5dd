/* storage/late.c - records that wait.  Contract: late.h. */
#include "storage/late.h"

#include "base/mem.h"
#include "base/obj.h"

#include <stdlib.h>
#include <string.h>

enum { NO_STREAM = 0 };

void late_init(struct late *l)
{
    memset(l, 0, sizeof(*l));
    head_init(&l->list);
    l->min_pos = l->stuck_pos = UINT64_MAX;
}

void late_fini(struct late *l)
{
    head_fini(&l->list);
    VEC_FINI(&l->days);
    VEC_FINI(&l->stuck);
    late_init(l);
}

void late_add(struct late *l, const struct head_item *item, bool is_stuck)
{
    uint64_t *pos = is_stuck ? &l->stuck_pos : &l->min_pos;

    head_put(&l->list, item);
    *pos = item->wal_pos - 1 < *pos ? item->wal_pos - 1 : *pos;
    if (is_stuck) {
        l->stuck_bytes += item->held;
        return;
    }
    l->bytes += item->held;
    if (l->oldest == 0 || item->since < l->oldest)
        l->oldest = item->since;
}

/* The first entry at or behind a day. */
static size_t find_day(const struct late *l, uint64_t tenant_id, int32_t day)
{
    size_t lo = 0;
    size_t hi = l->days.n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct meta_late *d = &l->days.p[mid];
        if (d->tenant_id < tenant_id || (d->tenant_id == tenant_id && d->day < day))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool is_at(const struct late *l, size_t at, uint64_t tenant_id, int32_t day)
{
    return at < l->days.n && l->days.p[at].tenant_id == tenant_id && l->days.p[at].day == day;
}

void late_add_day(struct late *l, uint64_t tenant_id, int32_t day, uint64_t pos)
{
    size_t at = find_day(l, tenant_id, day);

    if (is_at(l, at, tenant_id, day)) {
        if (pos < l->days.p[at].pos)
            l->days.p[at].pos = pos;
        return;
    }
    VEC_RESERVE(&l->days, l->days.n + 1);
    memmove(&l->days.p[at + 1], &l->days.p[at], (l->days.n - at) * sizeof(*l->days.p));
    l->days.p[at] = (struct meta_late){tenant_id, day, pos};
    l->days.n++;
}

uint64_t late_visible(const struct late *l, uint64_t tenant_id, int32_t day, uint64_t visible)
{
    size_t at = find_day(l, tenant_id, day);

    return is_at(l, at, tenant_id, day) && l->days.p[at].pos < visible ? l->days.p[at].pos
                                                                       : visible;
}

uint64_t late_least(const struct late *l, uint64_t tenant_id, uint64_t visible)
{
    for (size_t i = find_day(l, tenant_id, INT32_MIN);
         i < l->days.n && l->days.p[i].tenant_id == tenant_id; i++)
        visible = l->days.p[i].pos < visible ? l->days.p[i].pos : visible;
    return visible;
}

uint64_t late_floor(const struct late *l, uint64_t visible)
{
    const struct meta_late *d;

    VEC_EACH(&l->days, d) {
        visible = d->pos < visible ? d->pos : visible;
    }
    return visible;
}

const struct late_stuck *late_find_stuck(const struct late *l, uint64_t tenant_id, int32_t day)
{
    for (size_t i = 0; i < l->stuck.n; i++)
        if (l->stuck.p[i].tenant_id == tenant_id && l->stuck.p[i].day == day)
            return &l->stuck.p[i];
    return NULL;
}

dur_ns late_retry_at(const struct late *l)
{
    const struct late_stuck *d;
    dur_ns at = INT64_MAX;

    VEC_EACH(&l->stuck, d) {
        at = d->retry_at < at ? d->retry_at : at;
    }
    return at;
}

/* ---- some records of a batch ---- */

static int copy_attrs(struct batch *b, struct record *rec, struct err *err)
{
    struct label *v = arena_alloc(b->arena, rec->n_attr * sizeof(*v) + 1);

    for (uint32_t i = 0; v != NULL && i < rec->n_attr; i++) {
        v[i].name = arena_str(b->arena, rec->attr[i].name);
        v[i].value = arena_str(b->arena, rec->attr[i].value);
        if (v[i].name.p == NULL || v[i].value.p == NULL)
            v = NULL;
    }
    if (v == NULL)
        return arena_err(b->arena, err);
    rec->attr = v;
    return 0;
}

/* What the record before made of the same attributes: many records share theirs. */
struct last {
    const struct label *from, *to;
    uint32_t *stream; /* index of each stream in the copy, plus one */
};

static int copy_record(struct batch *b, const struct batch *from, uint32_t index, struct last *last,
                       struct err *err)
{
    struct record rec = from->records[index];
    uint32_t *stream = &last->stream[rec.stream];
    int r = 0;

    if (*stream == NO_STREAM) {
        r = batch_stream(b, &from->streams[rec.stream], stream, err);
        if (r < 0)
            return r;
        (*stream)++;
    }
    rec.stream = *stream - 1;
    rec.line = arena_str(b->arena, rec.line);
    if (rec.line.p == NULL)
        return arena_err(b->arena, err);
    if (rec.n_attr != 0 && rec.attr == last->from) {
        rec.attr = last->to;
    } else if (rec.n_attr != 0) {
        last->from = rec.attr;
        r = copy_attrs(b, &rec, err);
        last->to = rec.attr;
    }
    return r == 0 ? batch_add(b, &rec, err) : r;
}

int late_extract(struct batch *batch, const uint32_t *index, size_t n, struct mem_budget *budget,
                 struct batch **ret, struct err *err)
{
    struct last last = {NULL, NULL, NULL};
    struct batch *b;
    int r = 0;

    INVARIANT(n > 0);
    if (n == batch->n_records) {
        *ret = batch_ref(batch);
        return 0;
    }
    b = batch_new(budget, 0);
    last.stream = mem_new(batch->n_streams * sizeof(*last.stream));
    for (size_t i = 0; r == 0 && i < n; i++)
        r = copy_record(b, batch, index[i], &last, err);
    free(last.stream);
    if (r < 0)
        batch_unref(&b);
    else
        *ret = b;
    return r;
}
