/*
 * storage/scan_list.c - the segments and blocks of a day, kept from query to query.
 *
 * A catalog gives some hundred blocks in a millisecond, which is more than the rest of a question
 * whose answer lies in one of them.  So the whole of a day is read at once and kept, as long as the
 * catalog's generation is the same; of a day that is too large for that, what the range needs is
 * read each time, and charged to the query.
 */
#include "base/mem.h"
#include "storage/le.h"
#include "storage/scan_internal.h"

#include <stdlib.h>
#include <string.h>

enum { KEPT_BYTES = 2 << 20 };

struct reading {
    struct scan_list *list;
    struct catalog *catalog;
    const struct catalog_range *range;
};

static void free_list(void *value)
{
    struct scan_list *l = value;

    mem_budget_give(l->budget, l->charged);
    VEC_FINI(&l->segments);
    VEC_FINI(&l->blocks);
    VEC_FINI(&l->streams);
    free(l);
}

static size_t held_by(const struct scan_list *l)
{
    return sizeof(*l) + l->segments.cap * sizeof(*l->segments.p) +
           l->blocks.cap * sizeof(*l->blocks.p) + l->streams.cap;
}

/* What it has grown by. */
static int charge(struct scan_list *l, struct err *err)
{
    size_t more = held_by(l) - l->charged;
    int r = l->budget == NULL || more == 0 ? 0 : mem_budget_take(l->budget, more, err);

    if (r == 0 && l->budget != NULL)
        l->charged += more;
    return r;
}

static int add_block(void *arg, uint32_t index, const struct segment_block *b, struct err *err)
{
    struct reading *rd = arg;
    struct scan_list_block block = {
        .offset = b->offset,
        .stored_bytes = b->stored_bytes,
        .raw_bytes = b->raw_bytes,
        .min_ts = b->min_ts,
        .max_ts = b->max_ts,
        .index = index,
        .rows = b->rows,
        .frames = b->frames,
        .first_stream = b->first_stream,
        .last_stream = b->last_stream,
    };

    VEC_PUSH(&rd->list->blocks, block);
    rd->list->segments.p[rd->list->segments.n - 1].n_blocks++;
    return charge(rd->list, err);
}

static int add_segment(void *arg, const struct catalog_segment *s, struct err *err)
{
    struct reading *rd = arg;
    struct scan_list *l = rd->list;
    struct scan_list_segment segment = {.row = *s, .first_block = l->blocks.n};
    size_t bytes = 4 * (size_t)s->n_streams;
    int r;

    VEC_RESERVE(&l->streams, l->streams.n + bytes);
    if (bytes > 0)
        memcpy(l->streams.p + l->streams.n, s->streams, bytes);
    l->streams.n += bytes;
    VEC_PUSH(&l->segments, segment);
    r = charge(l, err);
    return r < 0 ? r : catalog_blocks(rd->catalog, s->id, rd->range, add_block, rd, err);
}

/* The catalog was checked row by row, so the counts are those of rows that are there. */
static int read_list(struct catalog *c, const struct catalog_range *range,
                     struct mem_budget *budget, struct scan_list **ret, struct err *err)
{
    struct scan_list *l = mem_new(sizeof(*l));
    struct reading rd = {l, c, range};
    size_t at = 0;
    int r;

    l->budget = budget;
    l->generation = catalog_generation(c);
    r = catalog_segments(c, range, add_segment, &rd, err);
    if (r < 0) {
        free_list(l);
        return r;
    }
    for (size_t i = 0; i < l->segments.n; i++) { /* they do not move any more */
        struct catalog_segment *s = &l->segments.p[i].row;
        s->streams = l->streams.p + at;
        at += 4 * (size_t)s->n_streams;
    }
    *ret = l;
    return 0;
}

static struct frame_key key_of(const struct partition *p)
{
    struct frame_key key = {.kind = FRAME_LIST, .block = (uint32_t)partition_day(p)};

    le_put64(key.id, partition_tenant(p));
    return key;
}

static bool is_small(const struct catalog_extent *x)
{
    return x->segments < KEPT_BYTES / sizeof(struct scan_list_segment) &&
           x->blocks < KEPT_BYTES / sizeof(struct scan_list_block) && x->streams < KEPT_BYTES / 4 &&
           x->segments * sizeof(struct scan_list_segment) +
                   x->blocks * sizeof(struct scan_list_block) + x->streams * 4 <
               KEPT_BYTES;
}

int scan_list_get(struct scan *sc, struct partition *p, struct catalog *c,
                  const struct catalog_range *range, struct frame **ret, struct err *err)
{
    static const struct catalog_range all = {INT64_MAX, INT64_MIN, INT64_MAX};
    struct frame_key key = key_of(p);
    struct catalog_extent extent = {.segments = 0};
    struct scan_list *list = NULL;
    struct frame *f = frame_cache_get(sc->frames, &key);
    bool keep;
    int r;

    if (f != NULL) {
        const struct scan_list *known = frame_value(f);
        if (known->generation == catalog_generation(c)) {
            *ret = f;
            return 0;
        }
        frame_unref(&f);
    }
    r = catalog_extent(c, &extent, err);
    keep = r == 0 && sc->frames != NULL && is_small(&extent);
    if (r == 0)
        r = read_list(c, keep ? &all : range, keep ? NULL : sc->req.budget, &list, err);
    if (r < 0)
        return r;
    *ret = keep ? scan_frame_keep(sc->frames, p, &key, list, held_by(list), free_list)
                : frame_cache_put(NULL, &key, &(struct frame_owner){.day = 0}, list, 0, free_list);
    return 0;
}
