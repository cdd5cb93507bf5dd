/*
 * storage/ranges.c - sets of stored intervals.  Contract: ranges.h.
 *
 * A sorted array per file and binary search: a file has one interval nearly always, and a few while
 * chunks overtake each other.
 *
 * Invariants
 *   (1) in a set: start < end, and end of one < start of the next (neighbours are united);
 *   (2) `dirty` of the object lists exactly the sets whose own flag is on.
 */
#include "storage/ranges.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/vec.h"
#include "storage/le.h"

#include <stdlib.h>
#include <string.h>

enum { KEY_OVERLAP = 0x8000 }; /* in the length of the peer, which is far below */

struct range_set {
    char *key; /* owned; key_n bytes */
    size_t key_n;
    bool dirty;
    ts_ns touched; /* when something was added last; 0: not known */
    VEC(struct store_range) v;
};

struct ranges {
    unsigned magic;
#define RANGES_MAGIC 0x7a93e5d1u
    struct map *sets; /* owned: key -> struct range_set */
    VEC(struct range_set *) dirty;
    size_t n_overlap; /* intervals of sets of the second kind */
};

bool ranges_key_make(struct str peer, struct str file_id, struct ranges_key *ret)
{
    if (peer.n > RANGES_PEER_MAX || file_id.n > RECORD_FILE_ID_MAX)
        return false;
    le_put16(ret->bytes, (uint16_t)peer.n);
    if (peer.n != 0)
        memcpy(ret->bytes + 2, peer.p, peer.n);
    if (file_id.n != 0)
        memcpy(ret->bytes + 2 + peer.n, file_id.p, file_id.n);
    ret->n = 2 + peer.n + file_id.n;
    return true;
}

bool ranges_key_overlap(struct str peer, struct str file_id, struct ranges_key *ret)
{
    if (!ranges_key_make(peer, file_id, ret))
        return false;
    le_put16(ret->bytes, (uint16_t)(peer.n | KEY_OVERLAP));
    return true;
}

bool ranges_is_overlap(struct str key)
{
    return key.n >= 2 && (le_get16(key.p) & KEY_OVERLAP) != 0;
}

bool ranges_key_split(struct str key, struct str *peer, struct str *file_id)
{
    size_t n = key.n < 2 ? 0 : le_get16(key.p) & ~(unsigned)KEY_OVERLAP;

    if (key.n < 2 || n > key.n - 2)
        return false;
    *peer = (struct str){key.p + 2, n};
    *file_id = str_from(key, 2 + peer->n);
    return peer->n <= RANGES_PEER_MAX && file_id->n <= RECORD_FILE_ID_MAX;
}

static void set_free(void *value)
{
    struct range_set *set = value;

    VEC_FINI(&set->v);
    free(set->key);
    free(set);
}

struct ranges *ranges_new(void)
{
    struct ranges *r = mem_new(sizeof(*r));

    r->magic = RANGES_MAGIC;
    r->sets = map_new(0, set_free); /* ranges_may_add bounds it */
    return r;
}

void ranges_free(struct ranges **pr)
{
    struct ranges *r = *pr;

    if (r == NULL)
        return;
    OBJ_CHECK(r, RANGES_MAGIC);
    VEC_FINI(&r->dirty);
    map_free(&r->sets);
    r->magic = 0;
    free(r);
    *pr = NULL;
}

void ranges_clear(struct ranges *r)
{
    OBJ_CHECK(r, RANGES_MAGIC);
    if (map_count(r->sets) == 0)
        return;
    r->dirty.n = 0;
    map_free(&r->sets);
    r->sets = map_new(0, set_free);
    r->n_overlap = 0;
}

/* A set that had `before` intervals has others now. */
static void recount(struct ranges *r, const struct range_set *set, size_t before)
{
    if (ranges_is_overlap((struct str){set->key, set->key_n}))
        r->n_overlap += set->v.n - before;
}

/* Index of the first interval that ends behind `at`. */
static size_t lower(const struct range_set *set, uint64_t at)
{
    size_t lo = 0;
    size_t hi = set->v.n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (set->v.p[mid].end > at)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

uint64_t ranges_covered(const struct ranges *r, struct str key, uint64_t start, uint64_t end)
{
    const struct range_set *set;
    uint64_t sum = 0;

    OBJ_CHECK(r, RANGES_MAGIC);
    set = map_get(r->sets, key);
    if (set == NULL)
        return 0;
    for (size_t i = lower(set, start); i < set->v.n && set->v.p[i].start < end; i++) {
        uint64_t from = set->v.p[i].start > start ? set->v.p[i].start : start;
        uint64_t to = set->v.p[i].end < end ? set->v.p[i].end : end;
        sum += to - from;
    }
    return sum;
}

/* The first interval that ends behind `at`; NULL: there is none. */
static const struct store_range *first_behind(const struct ranges *r, struct str key, uint64_t at)
{
    const struct range_set *set = map_get(r->sets, key);
    size_t i = set == NULL ? 0 : lower(set, at);

    return set == NULL || i == set->v.n ? NULL : &set->v.p[i];
}

uint64_t ranges_have_until(const struct ranges *r, struct str key, uint64_t at, uint64_t end)
{
    const struct store_range *next;

    OBJ_CHECK(r, RANGES_MAGIC);
    next = first_behind(r, key, at);
    if (next == NULL || next->start > at)
        return at;
    return next->end < end ? next->end : end;
}

uint64_t ranges_lack_until(const struct ranges *r, struct str key, uint64_t at, uint64_t end)
{
    const struct store_range *next;

    OBJ_CHECK(r, RANGES_MAGIC);
    next = first_behind(r, key, at);
    if (next == NULL || next->start > end)
        return end;
    return next->start > at ? next->start : at;
}

int ranges_may_add(const struct ranges *r, struct str key, struct err *err)
{
    const struct range_set *set;

    OBJ_CHECK(r, RANGES_MAGIC);
    set = map_get(r->sets, key);
    if (set == NULL && map_count(r->sets) >= RANGES_FILES_MAX)
        return err_set(err, ERR_LIMIT, "ranges of %d files are remembered, no more fit",
                       RANGES_FILES_MAX);
    if (set != NULL && set->v.n >= RANGES_PER_FILE_MAX)
        return err_set(err, ERR_LIMIT, "a file has %zu separate stored ranges, no more fit",
                       set->v.n);
    return 0;
}

static void mark(struct ranges *r, struct range_set *set)
{
    if (set->dirty)
        return;
    set->dirty = true; /* keeps (2) */
    VEC_PUSH(&r->dirty, set);
}

static struct range_set *need_set(struct ranges *r, struct str key)
{
    struct range_set *set = map_get(r->sets, key);

    if (set != NULL)
        return set;
    set = mem_new(sizeof(*set));
    set->key = mem_dup(key.p, key.n);
    set->key_n = key.n;
    INVARIANT(map_put(r->sets, key, set));
    return set;
}

void ranges_add(struct ranges *r, struct str key, uint64_t start, uint64_t end)
{
    struct range_set *set;
    size_t before;
    size_t at;
    size_t stop;

    OBJ_CHECK(r, RANGES_MAGIC);
    INVARIANT(start < end);
    set = need_set(r, key);
    before = set->v.n;
    at = start == 0 ? 0 : lower(set, start - 1); /* one that ends exactly at start is united too */
    for (stop = at; stop < set->v.n && set->v.p[stop].start <= end; stop++) {
        if (set->v.p[stop].start < start)
            start = set->v.p[stop].start;
        if (set->v.p[stop].end > end)
            end = set->v.p[stop].end;
    }
    if (stop == at) {
        VEC_RESERVE(&set->v, set->v.n + 1);
        memmove(&set->v.p[at + 1], &set->v.p[at], (set->v.n - at) * sizeof(*set->v.p));
        set->v.n++;
    } else {
        memmove(&set->v.p[at + 1], &set->v.p[stop], (set->v.n - stop) * sizeof(*set->v.p));
        set->v.n -= stop - at - 1;
    }
    set->v.p[at] = (struct store_range){start, end}; /* keeps (1) */
    recount(r, set, before);
    mark(r, set);
}

void ranges_merge(struct ranges *r, const struct ranges *from, ts_ns when)
{
    size_t pos = 0;
    struct str key;
    void *value;

    OBJ_CHECK(from, RANGES_MAGIC);
    while (map_next(from->sets, &pos, &key, &value)) {
        const struct range_set *set = value;
        for (size_t i = 0; i < set->v.n; i++)
            ranges_add(r, key, set->v.p[i].start, set->v.p[i].end);
        ranges_touch(r, key, when);
    }
}

size_t ranges_files(const struct ranges *r)
{
    OBJ_CHECK(r, RANGES_MAGIC);
    return map_count(r->sets);
}

size_t ranges_list(const struct ranges *r, struct str key, struct store_range *ret, size_t n)
{
    const struct range_set *set;

    OBJ_CHECK(r, RANGES_MAGIC);
    set = map_get(r->sets, key);
    if (set == NULL)
        return 0;
    for (size_t i = 0; i < n && i < set->v.n; i++)
        ret[i] = set->v.p[i];
    return set->v.n;
}

void ranges_touch(struct ranges *r, struct str key, ts_ns when)
{
    struct range_set *set;

    OBJ_CHECK(r, RANGES_MAGIC);
    set = map_get(r->sets, key);
    if (set == NULL)
        return;
    set->touched = when;
    mark(r, set);
}

static void unmark(struct ranges *r, struct range_set *set)
{
    for (size_t i = 0; set->dirty && i < r->dirty.n; i++) {
        if (r->dirty.p[i] == set) {
            r->dirty.p[i] = r->dirty.p[--r->dirty.n];
            set->dirty = false;
        }
    }
}

size_t ranges_expire(struct ranges *r, size_t keep, ts_ns before, ranges_gone_fn *gone, void *arg)
{
    size_t pos = 0;
    size_t n = 0;
    struct str key;
    void *value;

    OBJ_CHECK(r, RANGES_MAGIC);
    while (map_count(r->sets) > keep && map_next(r->sets, &pos, &key, &value)) {
        struct range_set *set = value;
        if (set->touched == 0 || set->touched >= before)
            continue;
        if (gone != NULL)
            gone(arg, (struct str){set->key, set->key_n});
        unmark(r, set);
        if (ranges_is_overlap(key))
            r->n_overlap -= set->v.n;
        (void)map_remove(r->sets, key); /* it is there: the walk just gave it */
        n++;
    }
    return n;
}

static struct ranges_row row_of(const struct range_set *set)
{
    size_t bytes = set->v.n * 16;
    char *encoded = mem_new(bytes);
    char *key = mem_dup(set->key, set->key_n);

    for (size_t i = 0; i < set->v.n; i++) {
        le_put64(encoded + 16 * i, set->v.p[i].start);
        le_put64(encoded + 16 * i + 8, set->v.p[i].end);
    }
    return (struct ranges_row){
        .key = {key, set->key_n},
        .owned_key = key,
        .owned_encoded = encoded,
        .touched = set->touched,
        .encoded = {encoded, bytes},
    };
}

size_t ranges_overlap_count(const struct ranges *r)
{
    OBJ_CHECK(r, RANGES_MAGIC);
    return r->n_overlap;
}

struct ranges_row *ranges_overlaps(const struct ranges *r, size_t *ret_n)
{
    struct ranges_row *rows;
    size_t pos = 0;
    struct str key;
    void *value;

    OBJ_CHECK(r, RANGES_MAGIC);
    *ret_n = 0;
    while (map_next(r->sets, &pos, &key, &value))
        *ret_n += ranges_is_overlap(key);
    rows = *ret_n == 0 ? NULL : mem_new(*ret_n * sizeof(*rows));
    for (pos = 0, *ret_n = 0; map_next(r->sets, &pos, &key, &value);)
        if (ranges_is_overlap(key))
            rows[(*ret_n)++] = row_of(value);
    return rows;
}

struct store_range ranges_row_at(const struct ranges_row *row, size_t i)
{
    return (struct store_range){le_get64(row->encoded.p + 16 * i),
                                le_get64(row->encoded.p + 16 * i + 8)};
}

struct ranges_row *ranges_take_dirty(struct ranges *r, size_t *ret_n)
{
    struct ranges_row *rows;

    OBJ_CHECK(r, RANGES_MAGIC);
    *ret_n = r->dirty.n;
    rows = r->dirty.n == 0 ? NULL : mem_new(r->dirty.n * sizeof(*rows));
    for (size_t i = 0; i < r->dirty.n; i++) {
        rows[i] = row_of(r->dirty.p[i]);
        r->dirty.p[i]->dirty = false;
    }
    r->dirty.n = 0;
    return rows;
}

void ranges_rows_free(struct ranges_row **rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free((*rows)[i].owned_key);
        free((*rows)[i].owned_encoded);
    }
    free(*rows);
    *rows = NULL;
}

void ranges_mark_dirty(struct ranges *r, struct str key)
{
    struct range_set *set;

    OBJ_CHECK(r, RANGES_MAGIC);
    set = map_get(r->sets, key);
    if (set != NULL)
        mark(r, set);
}

/* Interval `i` of an encoded list; false when it does not follow `last`. */
static bool decode(struct str encoded, size_t i, const struct store_range *last,
                   struct store_range *ret)
{
    uint64_t before = last->end; /* ret may be last */

    ret->start = le_get64(encoded.p + 16 * i);
    ret->end = le_get64(encoded.p + 16 * i + 8);
    return ret->start < ret->end && (i == 0 || ret->start > before);
}

int ranges_load(struct ranges *r, const struct ranges_row *row, struct err *err)
{
    struct str peer;
    struct str file;
    struct range_set *set;
    struct store_range it = {0, 0};
    size_t n = row->encoded.n / 16;
    size_t before;

    OBJ_CHECK(r, RANGES_MAGIC);
    if (!ranges_key_split(row->key, &peer, &file))
        return err_set(err, ERR_CORRUPT, "a stored range has no sender");
    if (n == 0 || row->encoded.n % 16 != 0)
        return err_set(err, ERR_CORRUPT, "%zu bytes are no list of ranges", row->encoded.n);
    set = need_set(r, row->key);
    before = set->v.n;
    VEC_RESERVE(&set->v, n);
    for (set->v.n = 0; set->v.n < n; set->v.n++) {
        if (!decode(row->encoded, set->v.n, &it, &it))
            return err_set(err, ERR_CORRUPT, "range %zu of a file is out of order", set->v.n);
        set->v.p[set->v.n] = it;
    }
    set->touched = row->touched;
    recount(r, set, before);
    return 0;
}
