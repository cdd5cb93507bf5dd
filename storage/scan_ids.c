/*
 * storage/scan_ids.c - which blocks of a segment may hold the ids that the line filters ask for.
 *
 * Asked before a block is as much as listed, so that for an id that is in one of a thousand blocks
 * the others cost nothing.  A text counts from the first ID_RUN bytes in a row that an id may have;
 * of a long one a few keys are enough to be nearly sure.
 */
#include "storage/scan_internal.h"

#include "base/mem.h"
#include "base/regexp.h"
#include "storage/id_filter.h"

#include <stdlib.h>
#include <string.h>

enum { ALTERNATIVES = 64, KEYS = 4 };

struct alternative {
    uint32_t key[KEYS];
    size_t n;
};

/* A line filter: one of the alternatives must be in a line. */
struct asked {
    struct alternative *alternative;
    size_t n;
};

struct scan_ids {
    struct asked *asked;
    size_t n;
};

/* ---- what is asked for ---- */

static struct str text_of(const struct scan_filter *f, size_t i)
{
    return f->op == SCAN_CONTAINS ? f->text[i] : regexp_required(f->re[i]);
}

/* false: the filter says nothing about ids. */
static bool ask_for(const struct scan_filter *f, struct asked *ret)
{
    struct id_keys k;

    if ((f->op != SCAN_CONTAINS && f->op != SCAN_MATCHES) || f->n == 0 || f->n > ALTERNATIVES)
        return false;
    id_keys_init(&k);
    ret->alternative = mem_new(f->n * sizeof(*ret->alternative));
    for (ret->n = 0; ret->n < f->n; ret->n++) {
        struct alternative *a = &ret->alternative[ret->n];
        struct str text = text_of(f, ret->n);
        id_keys_clear(&k);
        id_keys_add(&k, text);
        if (k.n == 0)
            break;
        a->n = k.n < KEYS ? k.n : KEYS;
        memcpy(a->key, k.p, a->n * sizeof(*a->key));
    }
    id_keys_fini(&k);
    if (ret->n == f->n)
        return true;
    free(ret->alternative);
    return false;
}

void scan_ids_init(struct scan *sc)
{
    struct scan_ids *ids = mem_new(sizeof(*ids));

    ids->asked = mem_new(sc->req.n_filters * sizeof(*ids->asked) + 1);
    for (size_t i = 0; i < sc->req.n_filters; i++)
        ids->n += ask_for(&sc->req.filters[i], &ids->asked[ids->n]);
    sc->ids = ids;
    if (ids->n == 0)
        scan_ids_free(sc);
}

void scan_ids_free(struct scan *sc)
{
    for (size_t i = 0; sc->ids != NULL && i < sc->ids->n; i++)
        free(sc->ids->asked[i].alternative);
    if (sc->ids != NULL)
        free(sc->ids->asked);
    free(sc->ids);
    sc->ids = NULL;
}

/* ---- one segment ---- */

struct asking {
    struct scan *sc;
    struct scan_part *part;
    const struct scan_segment *segment;
    const struct id_filter *filter;
    size_t group;
    size_t charged; /* to the query, until the segment was asked */
};

static void free_filter(void *value)
{
    struct id_filter *f = value;

    id_filter_free(&f);
}

/* The index of the segment's filter, from the cache if it is there; without groups: it has none. */
static int get_filter(struct asking *q, struct frame **ret, struct err *err)
{
    struct frame_key key = {.kind = FRAME_IDS};
    struct id_filter *f = NULL;
    struct segment_reader *rd = NULL;
    int r;

    memcpy(key.id, q->segment->uuid, sizeof(key.id));
    *ret = frame_cache_get(q->sc->frames, &key);
    if (*ret != NULL)
        return 0;
    r = scan_reader_get(scan_group_worker(q->sc, 0), q->part, q->segment, &rd, err);
    if (r == 0)
        r = segment_reader_filter(rd, q->sc->req.budget, &q->charged, &f, err);
    if (r < 0)
        return r;
    if (f == NULL)
        f = mem_new(sizeof(*f));
    *ret =
        scan_frame_keep(q->sc->frames, q->part->partition, &key, f, id_filter_held(f), free_filter);
    return 0;
}

/* Add the blocks of the group that may have the key. */
static int ask_key(const struct asking *q, uint32_t key, struct id_blocks *hits, struct err *err)
{
    const struct id_group *g = &q->filter->group[q->group];
    struct scan_worker *w = scan_group_worker(q->sc, 0);
    struct segment_reader *rd = NULL;
    struct str page = STR_NULL;
    uint64_t before;
    uint32_t place;
    uint32_t at;
    int r;

    r = scan_reader_get(w, q->part, q->segment, &rd, err);
    if (r < 0)
        return r;
    before = segment_reader_bytes(rd);
    at = id_filter_page(g, key, &place);
    r = segment_reader_page(rd, q->filter, q->group, at, w->work, &page, err);
    w->stats.stored_bytes_read += segment_reader_bytes(rd) - before;
    return r == 0 ? id_page_ask(page, g->n_blocks, place, hits, err) : r;
}

/* Leave in *hits those that may have all keys of an alternative. */
static int ask_alternative(const struct asking *q, const struct alternative *a,
                           struct id_blocks *hits, struct err *err)
{
    int r = 0;

    memset(hits, 0xff, sizeof(*hits));
    for (size_t i = 0; r == 0 && i < a->n; i++) {
        struct id_blocks one = {{0}};
        uint64_t any = 0;
        r = ask_key(q, a->key[i], &one, err);
        for (size_t k = 0; k < ID_PAGE_BLOCKS / 64; k++)
            any |= hits->bits[k] &= one.bits[k];
        if (any == 0)
            break;
    }
    return r;
}

static int ask_group(const struct asking *q, struct id_blocks *hits, struct err *err)
{
    const struct scan_ids *ids = q->sc->ids;
    int r = 0;

    memset(hits, 0xff, sizeof(*hits));
    for (size_t i = 0; r == 0 && i < ids->n; i++) {
        struct id_blocks any = {{0}};
        for (size_t m = 0; r == 0 && m < ids->asked[i].n; m++) {
            struct id_blocks one;
            r = ask_alternative(q, &ids->asked[i].alternative[m], &one, err);
            for (size_t k = 0; r == 0 && k < ID_PAGE_BLOCKS / 64; k++)
                any.bits[k] |= one.bits[k];
        }
        for (size_t k = 0; k < ID_PAGE_BLOCKS / 64; k++)
            hits->bits[k] &= any.bits[k];
    }
    return r;
}

/* Take blocks [first, first + n) that are covered and not hit out of `may`. */
static void rule_out(const struct id_group *g, const struct id_blocks *hits, uint64_t *may,
                     uint32_t n_blocks)
{
    for (uint32_t i = 0; i < g->n_blocks && g->first_block + i < n_blocks; i++) {
        uint32_t at = g->first_block + i;
        uint64_t out = g->covered.bits[i / 64] & ~hits->bits[i / 64];
        if ((out >> i % 64 & 1) != 0)
            may[at / 64] &= ~(UINT64_C(1) << at % 64);
    }
}

static int ask_segment(struct asking *q, uint64_t *may, uint32_t n_blocks, struct err *err)
{
    struct frame *frame = NULL;
    int r = get_filter(q, &frame, err);

    if (r == ERR_NOMEM)
        return 0; /* the blocks say themselves what they hold */
    if (r < 0)
        return r;
    q->filter = frame_value(frame);
    for (q->group = 0; r == 0 && q->group < q->filter->n_groups; q->group++) {
        struct id_blocks hits;
        r = scan_check_cancel(q->sc, err);
        if (r == 0)
            r = ask_group(q, &hits, err);
        if (r == 0)
            rule_out(&q->filter->group[q->group], &hits, may, n_blocks);
        arena_recycle(scan_group_worker(q->sc, 0)->work, SCAN_WORK_KEPT);
    }
    frame_unref(&frame);
    return r;
}

/* A filter that cannot be read hides nothing, but is damage; a file that is not there is told of by
 * who reads its blocks. */
static int forgive(const struct asking *q, int r, struct err *err)
{
    struct partition *p = q->part->partition;

    if (r != ERR_CORRUPT && r != ERR_IO && r != ERR_GONE && r != ERR_UNSUPPORTED)
        return r;
    if (r != ERR_GONE && !partition_is_dropped(p))
        scan_damage(&q->sc->stats, p, err);
    return 0;
}

int scan_ids_ask(struct scan *sc, struct scan_part *part, const struct scan_segment *segment,
                 uint32_t n_blocks, const uint64_t **ret, struct err *err)
{
    struct asking q = {.sc = sc, .part = part, .segment = segment};
    size_t words = (n_blocks + (size_t)63) / 64;
    uint64_t *may;
    int r;

    *ret = NULL;
    if (sc->ids == NULL)
        return 0;
    may = arena_alloc(part->arena, words * sizeof(*may));
    if (may == NULL)
        return arena_err(part->arena, err);
    memset(may, 0xff, words * sizeof(*may));
    r = ask_segment(&q, may, n_blocks, err);
    mem_budget_give(sc->req.budget, q.charged);
    *ret = may;
    return r < 0 ? forgive(&q, r, err) : 0;
}
