/*
 * storage/flush_days.c - which days of a flush are written, and which records wait.  Contract:
 * flush_internal.h.
 *
 * Invariants
 *   (1) a record goes into a partition only if its position is past the partition's own: what an
 *       interrupted flush committed is not written again;
 *   (2) days are written one after another: one partition is open for writing, however many days
 *       the records are of;
 *   (3) of one tenant and day either all records of the cut are written, or all wait: so one
 *       position says for a day what is where (late.h).
 */
#include "storage/flush_internal.h"

#include "base/fault.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/partition_cache.h"
#include "storage/retain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LABELS_MAX = 1 << 20 };

#define STUCK_FIRST NS_PER_S
#define STUCK_MOST  (60 * NS_PER_S)

/* One record on its way; sorted by day, then in WAL order. */
struct row {
    int32_t day;
    uint32_t item, record;
};

/* The rows of one day: [from, end) of a tenant's. */
struct group {
    int32_t day;
    size_t from, end;
    size_t bytes; /* of lines */
    bool due;
};

/* A record that stays in memory. */
struct waiting {
    uint32_t item, record;
    bool is_stuck;
};

struct writer {
    struct store *s;
    struct flush_cut *c;
    uint64_t tenant_id;
    struct row *rows; /* of that tenant; owned */
    size_t n_rows;
    VEC(struct group) groups;
    VEC(struct waiting) waiting; /* of all tenants */
};

/* ---- rows of one tenant, by day ---- */

static int by_day(const void *a, const void *b)
{
    const struct row *x = a;
    const struct row *y = b;

    if (x->day != y->day)
        return x->day < y->day ? -1 : 1;
    if (x->item != y->item)
        return x->item < y->item ? -1 : 1;
    return x->record < y->record ? -1 : x->record > y->record;
}

static void take_rows(struct writer *w)
{
    const struct flush_cut *c = w->c;
    size_t total = 0;
    bool sorted = true;

    for (size_t i = 0; i < c->n_items; i++)
        if (c->items[i].tenant_id == w->tenant_id)
            total += c->items[i].batch->n_records;
    w->rows = mem_grow(w->rows, total * sizeof(*w->rows));
    w->n_rows = 0;
    for (size_t i = 0; i < c->n_items; i++) {
        const struct batch *b = c->items[i].batch;
        bool one_day = time_day(b->min_ts) == time_day(b->max_ts);
        int32_t day = time_day(b->min_ts);
        if (c->items[i].tenant_id != w->tenant_id)
            continue;
        for (uint32_t k = 0; k < b->n_records; k++) {
            struct row row = {one_day ? day : time_day(b->records[k].ts), (uint32_t)i, k};
            sorted = sorted && (w->n_rows == 0 || w->rows[w->n_rows - 1].day <= row.day);
            w->rows[w->n_rows++] = row;
        }
    }
    if (!sorted) /* mostly all is of one day */
        qsort(w->rows, w->n_rows, sizeof(*w->rows), by_day);
}

static size_t line_bytes(const struct writer *w, size_t from, size_t end)
{
    size_t sum = 0;

    for (size_t i = from; i < end; i++) {
        const struct row *row = &w->rows[i];
        sum += w->c->items[row->item].batch->records[row->record].line.n + 1;
    }
    return sum;
}

static int by_bytes_falling(const void *a, const void *b)
{
    const struct group *const *x = a;
    const struct group *const *y = b;

    return ((*x)->bytes < (*y)->bytes) - ((*x)->bytes > (*y)->bytes);
}

static void choose_due(struct writer *w)
{
    size_t most = w->s->opt.late_partitions;
    struct group **order;

    if (w->c->all || w->groups.n <= most) {
        for (size_t i = 0; i < w->groups.n; i++)
            w->groups.p[i].due = true;
        return;
    }
    order = mem_new(w->groups.n * sizeof(*order));
    for (size_t i = 0; i < w->groups.n; i++) {
        struct group *g = &w->groups.p[i];
        g->bytes = line_bytes(w, g->from, g->end);
        order[i] = g;
    }
    qsort((void *)order, w->groups.n, sizeof(*order), by_bytes_falling);
    for (size_t i = 0; i < most; i++)
        order[i]->due = true;
    free((void *)order);
}

static void group_rows(struct writer *w)
{
    size_t end;

    w->groups.n = 0;
    for (size_t from = 0; from < w->n_rows; from = end) {
        struct group g = {.day = w->rows[from].day, .from = from};
        for (end = from + 1; end < w->n_rows && w->rows[end].day == g.day; end++)
            ;
        g.end = end;
        VEC_PUSH(&w->groups, g);
    }
    choose_due(w);
}

/* ---- writing one day ---- */

/* The labels of a partition that has new streams.  What cannot be read now is not in meta.db: then
 * its catalog is opened for every question. */
static void note_labels(struct flush_cut *c, struct partition *p, struct meta_partition *m)
{
    struct meta_labels l = {.tenant_id = m->tenant_id, .day = m->day};
    uint32_t known = m->summarised;
    struct err ignored;
    struct buf b;

    buf_init(&b, LABELS_MAX);
    if (partition_summary(p, known, &m->summarised, &b, &ignored) < 0) {
        m->summarised = 0;
        buf_clear(&b);
    }
    if (m->summarised != known || known == 0) {
        if (b.n > 0)
            l.sealed = (struct str){mem_dup(b.p, b.n), b.n};
        VEC_PUSH(&c->labels, l);
    }
    buf_fini(&b);
}

/* Under mutex: in a catalog that was begun anew numbers stand for other streams. */
static void forget_summaries(struct store *s)
{
    uint64_t renewed = partition_cache_renewed(s->partitions);
    struct meta_partition *p;

    if (renewed == s->renewed_seen)
        return;
    s->renewed_seen = renewed;
    VEC_EACH(&s->days, p) {
        p->summarised = 0;
    }
}

static void note_day(struct writer *w, struct partition *part, const struct partition_written *sum)
{
    struct store *s = w->s;
    int32_t day = partition_day(part);
    struct meta_partition p = {
        .tenant_id = w->tenant_id,
        .day = day,
        .state = META_LIVE,
        .rows = sum->rows,
        .line_bytes = sum->line_bytes,
        .stored_bytes = sum->stored_bytes,
        .segments = sum->segments,
        .min_ts = sum->min_ts,
        .max_ts = sum->max_ts,
        .newest_received = sum->newest_received,
    };
    bool found;
    size_t at;

    (void)pthread_mutex_lock(&s->mutex);
    forget_summaries(s);
    at = store_tenant_day(s, w->tenant_id, day, &found);
    if (found) {
        p.dropped_pos = s->days.p[at].dropped_pos;
        p.summarised = s->days.p[at].state == META_LIVE ? s->days.p[at].summarised : 0;
    }
    (void)pthread_mutex_unlock(&s->mutex);
    note_labels(w->c, part, &p);
    VEC_PUSH(&w->c->days, p);
}

/* *sum: what the partition holds then. */
static int write_rows(struct writer *w, struct partition *p, const struct group *g,
                      struct partition_written *sum, struct err *err)
{
    const struct flush_cut *c = w->c;
    struct segment_row *out = NULL;
    uint64_t applied = 0;
    size_t kept = 0;
    int r = partition_applied(p, &applied, err);

    if (r == 0 && applied < c->progress.wal_pos) {
        out = mem_new((g->end - g->from) * sizeof(*out));
        for (size_t i = g->from; i < g->end; i++) {
            const struct head_item *it = &c->items[w->rows[i].item];
            if (it->wal_pos > applied) /* keeps (1) */
                out[kept++] = (struct segment_row){it->batch, w->rows[i].record, it->received};
        }
        partition_help(p, c->hurry ? w->s->pool : NULL, w->s->opt.budget);
        r = partition_write(p, out, kept, c->progress.wal_pos, sum, err);
        free(out);
    }
    (void)fault_hit("flush.day"); /* a place to be killed at */
    return r == 0 ? partition_totals(p, sum, err) : r;
}

/* A damaged catalog must not stop everybody's flush: it holds nothing that the segments do not, so
 * it is made again and the writing tried once more. */
static int write_group(struct writer *w, const struct group *g, struct err *err)
{
    struct partition *p = NULL;
    struct partition_written sum = {0};
    int r;

    r = retain_finish_day(w->s, w->tenant_id, g->day, err); /* its key would be the new one's */
    if (r == 0)
        r = partition_cache_get(w->s->partitions, w->tenant_id, g->day, true, &p, err);
    if (r == 0) {
        r = write_rows(w, p, g, &sum, err);
        if (r == ERR_CORRUPT || r == ERR_EXISTS) {
            struct err why = *err;
            r = partition_rebuild(p, &why, err);
            if (r == 0)
                r = write_rows(w, p, g, &sum, err);
        }
    }
    if (r == 0)
        note_day(w, p, &sum);
    partition_unref(&p);
    return r < 0 ? err_wrap(err, "flush day %d", (int)g->day) : 0;
}

/* ---- what waits ---- */

static void let_wait(struct writer *w, const struct group *g, bool is_stuck)
{
    for (size_t i = g->from; i < g->end; i++) {
        struct waiting one = {w->rows[i].item, w->rows[i].record, is_stuck};
        VEC_PUSH(&w->waiting, one);
    }
    /* Rows are in WAL order: the first lies lowest. */
    late_add_day(&w->c->late, w->tenant_id, g->day, w->c->items[w->rows[g->from].item].wal_pos - 1);
}

static const struct late_stuck *find_stuck(const struct flush_cut *c, uint64_t tenant_id,
                                           int32_t day)
{
    const struct late_stuck *d;

    VEC_EACH(&c->stuck, d) {
        if (d->tenant_id == tenant_id && d->day == day)
            return d;
    }
    return NULL;
}

/* Is it the partition that fails, and not the disk, the memory, the process? */
static bool is_its_own(const struct err *err)
{
    switch (err->code) {
    case ERR_NOMEM:
    case ERR_CANCELLED:
        return false;
    case ERR_IO:
        return err->sys != ENOSPC && err->sys != EDQUOT && err->sys != EMFILE &&
               err->sys != ENFILE && err->sys != ENOMEM;
    default:
        return true;
    }
}

/* `before`: how it was stuck already, or NULL; `failed`: it was tried just now. */
static void stay_stuck(struct writer *w, const struct group *g, const struct late_stuck *before,
                       bool failed)
{
    struct late_stuck d = {.tenant_id = w->tenant_id, .day = g->day};

    if (before != NULL)
        d = *before;
    if (failed) {
        d.retry_wait = d.retry_wait == 0 ? STUCK_FIRST : 2 * d.retry_wait;
        if (d.retry_wait > STUCK_MOST)
            d.retry_wait = STUCK_MOST;
        d.retry_at = time_mono() + d.retry_wait;
    }
    VEC_PUSH(&w->c->late.stuck, d);
    let_wait(w, g, true);
}

/* Write the group, or find out that it has to wait. */
static int handle_group(struct writer *w, const struct group *g, struct err *err)
{
    const struct late_stuck *before = find_stuck(w->c, w->tenant_id, g->day);
    struct flush_cut *c = w->c;
    struct err why;

    if (before != NULL && !c->again && before->retry_at > time_mono()) {
        stay_stuck(w, g, before, false);
        return 0;
    }
    if (!g->due && before == NULL) {
        let_wait(w, g, false);
        return 0;
    }
    if (write_group(w, g, &why) == 0)
        return 0;
    if (!is_its_own(&why)) {
        *err = why;
        return err->code;
    }
    if (c->stuck_err.code == 0)
        c->stuck_err = why;
    stay_stuck(w, g, before, true);
    return 0;
}

static int by_item(const void *a, const void *b)
{
    const struct waiting *x = a;
    const struct waiting *y = b;

    if (x->item != y->item)
        return x->item < y->item ? -1 : 1;
    if (x->is_stuck != y->is_stuck)
        return x->is_stuck ? 1 : -1;
    return x->record < y->record ? -1 : x->record > y->record;
}

/* The records [from, end) of w->waiting, all of one item, as an item of their own. */
static int keep_item(struct writer *w, size_t from, size_t end, struct err *err)
{
    struct head_item it = w->c->items[w->waiting.p[from].item];
    uint32_t *index = mem_new((end - from) * sizeof(*index));
    int r;

    for (size_t i = from; i < end; i++)
        index[i - from] = w->waiting.p[i].record;
    r = late_extract(it.batch, index, end - from, w->s->opt.budget, &it.batch, err);
    if (r == ERR_NOMEM) /* the head lets go of more than this when the flush is over */
        r = late_extract(it.batch, index, end - from, NULL, &it.batch, err);
    free(index);
    if (r < 0)
        return r;
    it.held = batch_held(it.batch);
    late_add(&w->c->late, &it, w->waiting.p[from].is_stuck);
    return 0;
}

static int keep_waiting(struct writer *w, struct err *err)
{
    const struct waiting *v = w->waiting.p;
    size_t end;
    int r = 0;

    if (w->waiting.n > 1)
        qsort(w->waiting.p, w->waiting.n, sizeof(*v), by_item);
    for (size_t from = 0; r == 0 && from < w->waiting.n; from = end) {
        for (end = from + 1; end < w->waiting.n && v[end].item == v[from].item &&
                             v[end].is_stuck == v[from].is_stuck;
             end++)
            ;
        r = keep_item(w, from, end, err);
    }
    return r;
}

/* ---- all of it ---- */

static int by_id(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* The tenants that have items, each once: malloc'ed. */
static uint64_t *tenants_of(const struct flush_cut *c, size_t *ret_n)
{
    uint64_t *ids = mem_new((c->n_items + 1) * sizeof(*ids));
    size_t n = 0;
    size_t out = 0;

    for (size_t i = 0; i < c->n_items; i++)
        if (i == 0 || c->items[i].tenant_id != c->items[i - 1].tenant_id)
            ids[n++] = c->items[i].tenant_id;
    qsort(ids, n, sizeof(*ids), by_id);
    for (size_t i = 0; i < n; i++)
        if (out == 0 || ids[i] != ids[out - 1])
            ids[out++] = ids[i];
    *ret_n = out;
    return ids;
}

void flush_days_forget(struct flush_cut *c)
{
    const struct meta_labels *l;

    VEC_EACH(&c->labels, l) {
        free((void *)(uintptr_t)l->sealed.p); /* our own copy: see note_labels */
    }
    c->labels.n = 0;
    c->days.n = 0;
}

int flush_days_write(struct store *s, struct flush_cut *c, struct err *err)
{
    struct writer w = {.s = s, .c = c};
    uint64_t *ids;
    size_t n;
    int r = 0;

    flush_days_forget(c);
    c->stuck_err.code = 0;
    late_fini(&c->late);
    ids = tenants_of(c, &n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        w.tenant_id = ids[i];
        take_rows(&w);
        group_rows(&w);
        for (size_t g = 0; r == 0 && g < w.groups.n; g++)
            r = handle_group(&w, &w.groups.p[g], err);
    }
    if (r == 0)
        r = keep_waiting(&w, err);
    if (r == 0 && c->stuck_err.code != 0)
        (void)str_to_z(str_of(c->stuck_err.text), c->late.why, sizeof(c->late.why));
    free(ids);
    free(w.rows);
    VEC_FINI(&w.groups);
    VEC_FINI(&w.waiting);
    return r;
}
