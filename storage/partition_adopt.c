/*
 * storage/partition_adopt.c - segment files that the catalog does not know: taken in, or removed.
 *
 * They are what a crash has left, or, when the catalog was lost, all there are.  The rule
 * (docs/formats/catalog.md): for each class, by the span they cover, the longest first among those
 * that start at one position, and of equal ones the one that was written anew most often: rows that
 * were deleted are in the other.  One that starts at or behind what is already covered counts if
 * its span is complete: a flush publishes the classes of a span one after the other, and until the
 * last is there the rows are still in the WAL, so that taking in the first alone would lose the
 * rest.  A span that is known to have counted is complete, too: of its other class nothing is left.
 * All others are leftovers: of attempts that failed, and what a compaction has replaced.
 *
 * Invariants
 *   (1) everything is taken in by one transaction, together with the applied position, so a crash
 *       in the middle finds the same files and the same rule;
 *   (2) nothing is removed before that, nor while a file here cannot be read: it may be the other
 *       copy of what it seems to cover.
 */
#include "base/mem.h"
#include "base/obj.h"
#include "base/vec.h"
#include "storage/catalog.h"
#include "storage/objstore.h"
#include "storage/partition_internal.h"
#include "storage/segment_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum fate { LEFTOVER, TAKEN, INCOMPLETE };

struct unknown {
    uint8_t uuid[SEGMENT_UUID];
    struct catalog_span span;
    uint32_t level;
    unsigned span_classes;
    enum fate fate;
};

struct look {
    struct partition *p;
    bool fresh; /* the catalog is new: what was committed is not known */
    uint64_t applied;
    uint64_t committed; /* spans up to here counted */
    VEC(struct unknown) found;
};

static void note_unreadable(struct partition *p, const struct err *why)
{
    if (p->unreadable++ == 0)
        (void)snprintf(p->unreadable_text, sizeof(p->unreadable_text), "%.199s", why->text);
    atomic_fetch_add(&p->cache->damaged, 1);
}

/* With its streams, so that what was looked into can be taken in. */
static int read_info(struct partition *p, const uint8_t *uuid, struct segment_info **ret,
                     struct err *err)
{
    struct segment_reader *r = NULL;
    int rc = segment_reader_open(p->objects, uuid, p->key, &r, err);

    if (rc == 0)
        rc = segment_reader_info(r, NULL, ret, err);
    segment_reader_free(&r);
    return rc;
}

/* What a segment says of the span it covers; 1: it cannot be read, which is noted. */
static int look_into(struct partition *p, struct unknown *u, struct err *err)
{
    struct segment_info *info = NULL;
    int rc = read_info(p, u->uuid, &info, err);

    if (rc == 0 && (info->tenant_id != p->tenant_id || info->day != p->day))
        rc = err_set(err, ERR_CORRUPT, "a segment of another partition lies here");
    if (rc == 0) {
        u->span = (struct catalog_span){info->class, info->wal_from, info->wal_to};
        u->level = info->level;
        u->span_classes = info->span_classes;
    }
    segment_info_free(&info);
    if (rc != ERR_CORRUPT && rc != ERR_UNSUPPORTED)
        return rc;
    note_unreadable(p, err);
    return 1;
}

static int see_object(void *arg, const char *name, struct err *err)
{
    struct look *l = arg;
    struct unknown u = {.fate = LEFTOVER};
    bool known = false;
    int r;

    if (!segment_uuid_of(name, u.uuid))
        return 0;
    r = catalog_has(l->p->catalog, u.uuid, &known, err);
    if (r == 0 && !known)
        r = catalog_is_leaving(l->p->catalog, u.uuid, &known, err);
    if (r < 0 || known)
        return r;
    r = look_into(l->p, &u, err);
    if (r == 0)
        VEC_PUSH(&l->found, u);
    return r < 0 ? r : 0;
}

static int by_span(const void *a, const void *b)
{
    const struct unknown *x = a;
    const struct unknown *y = b;

    if (x->span.class != y->span.class)
        return x->span.class < y->span.class ? -1 : 1;
    if (x->span.wal_from != y->span.wal_from)
        return x->span.wal_from < y->span.wal_from ? -1 : 1;
    if (x->span.wal_to != y->span.wal_to)
        return x->span.wal_to > y->span.wal_to ? -1 : 1;
    if (x->level != y->level)
        return x->level > y->level ? -1 : 1;
    return memcmp(x->uuid, y->uuid, SEGMENT_UUID);
}

/* A later span starts where `u` ends or behind it, so the catalog had come as far; or meta.db had:
 * `u` counted. */
static bool was_committed(const struct look *l, const struct unknown *u)
{
    const struct unknown *v;

    VEC_EACH(&l->found, v) {
        if (v->span.wal_from >= u->span.wal_to)
            return true;
    }
    return u->span.wal_to <= l->committed;
}

static bool has_class(const struct look *l, const struct unknown *u, unsigned class)
{
    const struct unknown *v;

    VEC_EACH(&l->found, v) {
        if ((unsigned)v->span.class == class && v->span.wal_from <= u->span.wal_from &&
            v->span.wal_to >= u->span.wal_to)
            return true;
    }
    return false;
}

static bool is_complete(const struct look *l, const struct unknown *u)
{
    for (unsigned class = 1; class <= SEGMENT_CLASSES; class <<= 1)
        if ((u->span_classes & class) != 0 && (unsigned)u->span.class != class &&
            !has_class(l, u, class))
            return was_committed(l, u);
    return true;
}

/* `found` is sorted. */
static void choose(struct look *l)
{
    enum segment_class class = 0;
    uint64_t covered = 0;
    struct unknown *u;

    VEC_EACH(&l->found, u) {
        if (u->span.class != class) {
            class = u->span.class;
            covered = l->applied;
        }
        if (u->span.wal_from < covered || u->span.wal_to <= covered)
            continue;
        if (!is_complete(l, u)) {
            u->fate = INCOMPLETE;
            continue;
        }
        u->fate = TAKEN;
        covered = u->span.wal_to;
    }
}

static int add_taken(struct look *l, struct err *err)
{
    struct partition *p = l->p;
    const struct unknown *u;
    uint64_t n = 0;
    int r = 0;

    VEC_EACH(&l->found, u) {
        struct segment_info *info = NULL;
        if (u->fate != TAKEN)
            continue;
        r = read_info(p, u->uuid, &info, err);
        if (r == 0)
            r = catalog_add(p->catalog, info, err);
        segment_info_free(&info);
        if (r < 0)
            return r;
        n++;
        if (u->span.wal_to > l->applied)
            l->applied = u->span.wal_to;
    }
    atomic_fetch_add(&p->cache->adopted_segments, n);
    return 0;
}

static int take_in(struct look *l, struct err *err)
{
    const struct unknown *u;
    bool any = false;
    int r;

    VEC_EACH(&l->found, u) {
        any = any || u->fate == TAKEN;
    }
    if (!any)
        return 0;
    r = catalog_begin(l->p->catalog, err);
    if (r < 0)
        return r;
    r = add_taken(l, err);
    return catalog_end(l->p->catalog, r, l->applied, err); /* keeps (1) */
}

static int put_away(struct look *l, const struct unknown *u, struct err *err)
{
    struct partition *p = l->p;
    bool covered = false;
    struct err why;
    int r;

    if (p->unreadable > 0) /* keeps (2) */
        return 0;
    r = catalog_covers(p->catalog, &u->span, &covered, err);
    if (r < 0)
        return r;
    /* With a catalog that was not lost, rows past its position are in the WAL. */
    if (!covered && (u->fate != INCOMPLETE || l->fresh)) {
        (void)err_set(&why, ERR_CORRUPT, "no other segment has the span of this one");
        note_unreadable(p, &why);
        return 0;
    }
    r = partition_discard(p, u->uuid, l->fresh, err);
    if (r == 0)
        atomic_fetch_add(&p->cache->removed_leftovers, 1);
    return r;
}

static int discard_leaving(void *arg, const uint8_t uuid[SEGMENT_UUID], struct err *err)
{
    struct look *l = arg;
    struct unknown u = {.fate = LEFTOVER};

    (void)err;
    memcpy(u.uuid, uuid, SEGMENT_UUID);
    VEC_PUSH(&l->found, u);
    return 0;
}

/* Files whose removal was still to come when a process ended; those that this one has replaced are
 * in the list of the retired. */
static int remove_leaving(struct partition *p, struct err *err)
{
    struct look l = {.p = p};
    int r = catalog_leaving(p->catalog, discard_leaving, &l, err);

    for (size_t i = 0; r == 0 && i < l.found.n; i++)
        r = partition_discard(p, l.found.p[i].uuid, false, err);
    VEC_FINI(&l.found);
    return r;
}

int partition_adopt(struct partition *p, bool fresh, struct err *err)
{
    struct look l = {.p = p, .fresh = fresh};
    int r;

    p->unreadable = 0;
    if (p->cache->position != NULL)
        l.committed = p->cache->position(p->cache->position_arg, p->tenant_id, p->day);
    r = catalog_applied(p->catalog, &l.applied, err);
    if (r == 0)
        r = objstore_list(p->objects, see_object, &l, err);
    if (r == 0 && l.found.n > 1)
        qsort(l.found.p, l.found.n, sizeof(*l.found.p), by_span);
    if (r == 0) {
        choose(&l);
        r = take_in(&l, err);
    }
    for (size_t i = 0; r == 0 && i < l.found.n; i++)
        if (l.found.p[i].fate != TAKEN)
            r = put_away(&l, &l.found.p[i], err);
    VEC_FINI(&l.found);
    return r == 0 ? remove_leaving(p, err) : r;
}
