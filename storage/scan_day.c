/*
 * storage/scan_day.c - the streams of a day with their labels, kept from query to query.
 *
 * A catalog holds labels sealed and compressed: opening some hundred streams takes milliseconds,
 * under the mutex of the day, and a question does so twice.  So all streams of a day are opened at
 * once and kept, as long as no stream comes or goes, which is far rarer than a new segment.  Of a
 * day that has too many, or one that is damaged, the catalog is asked each time: it opens those
 * alone that may match.
 */
#include "base/mem.h"
#include "storage/catalog_index.h"
#include "storage/le.h"
#include "storage/scan_internal.h"

#include <stdlib.h>

enum { KEPT_BYTES = 1 << 20, KEPT_STREAMS = 4096, MANY = 1 };

struct stream {
    uint64_t id;
    struct labels labels; /* in the arena */
};

struct day {
    uint64_t state;          /* catalog_streams_state */
    bool has_many;           /* none is here */
    VEC(struct stream) list; /* by id */
    struct arena *arena;
};

static void free_day(void *value)
{
    struct day *d = value;

    VEC_FINI(&d->list);
    arena_free(&d->arena);
    free(d);
}

static int note(void *arg, uint64_t id, const struct labels *l, struct err *err)
{
    struct day *d = arg;
    struct stream s = {.id = id};

    if (d->list.n == KEPT_STREAMS || labels_copy(d->arena, l, &s.labels, err) < 0)
        return MANY;
    VEC_PUSH(&d->list, s);
    return 0;
}

static int read_day(struct catalog *c, struct day **ret, struct err *err)
{
    struct day *d = mem_new(sizeof(*d));
    int r;

    d->state = catalog_streams_state(c);
    d->arena = arena_new(NULL, KEPT_BYTES);
    r = catalog_streams(c, note, d, err);
    if (r < 0) {
        free_day(d);
        return r;
    }
    d->has_many = r == MANY;
    if (d->has_many) {
        VEC_FINI(&d->list);
        arena_free(&d->arena);
    }
    *ret = d;
    return 0;
}

static size_t held_by(const struct day *d)
{
    size_t n = sizeof(*d) + d->list.cap * sizeof(*d->list.p);

    return d->has_many ? n : n + arena_held(d->arena);
}

/* *ret NULL: it cannot be kept. */
static void get_day(struct frame_cache *frames, struct partition *p, struct catalog *c,
                    struct frame **ret)
{
    struct frame_key key = {.kind = FRAME_STREAMS, .block = (uint32_t)partition_day(p)};
    struct day *d = NULL;
    struct err err;

    *ret = NULL;
    if (frames == NULL)
        return;
    le_put64(key.id, partition_tenant(p));
    *ret = frame_cache_get(frames, &key);
    if (*ret != NULL && ((const struct day *)frame_value(*ret))->state != catalog_streams_state(c))
        frame_unref(ret);
    if (*ret == NULL && read_day(c, &d, &err) == 0) /* else who asks for it hears why */
        *ret = scan_frame_keep(frames, p, &key, d, held_by(d), free_day);
}

int scan_day_select(struct frame_cache *frames, struct partition *p, struct catalog *c,
                    const struct catalog_selector *sel, catalog_stream_fn *fn, void *arg,
                    struct err *err)
{
    const struct day *d = NULL;
    struct frame *f;
    int r = 0;

    get_day(frames, p, c, &f);
    if (f != NULL)
        d = frame_value(f);
    if (d == NULL || d->has_many)
        r = catalog_select(c, sel, fn, arg, err);
    for (size_t i = 0; d != NULL && r == 0 && i < d->list.n; i++) {
        const struct stream *s = &d->list.p[i];
        if ((sel->within == NULL || idset_has(sel->within, s->id)) &&
            matchers_match(sel->matchers, sel->n_matchers, &s->labels))
            r = fn(arg, s->id, &s->labels, err);
    }
    frame_unref(&f);
    return r;
}
