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

struct streams {
    uint64_t state;          /* catalog_streams_state */
    bool has_many;           /* none is here */
    VEC(struct stream) list; /* by id */
    struct arena *arena;
};

static void free_streams(void *value)
{
    struct streams *s = value;

    VEC_FINI(&s->list);
    arena_free(&s->arena);
    free(s);
}

static size_t held_by(const struct streams *s)
{
    return sizeof(*s) + s->list.cap * sizeof(*s->list.p) +
           (s->arena == NULL ? 0 : arena_held(s->arena));
}

static int note(void *arg, uint64_t id, const struct labels *l, struct err *err)
{
    struct streams *s = arg;
    struct stream one = {.id = id};
    struct err full;

    (void)err;
    if (s->list.n == KEPT_STREAMS || labels_copy(s->arena, l, &one.labels, &full) < 0)
        return MANY;
    VEC_PUSH(&s->list, one);
    return 0;
}

/* Ids are not given again, so there may be fewer than it seems; then they are not kept either. */
static int read_streams(struct catalog *c, size_t max_bytes, struct streams *s, struct err *err)
{
    uint32_t end = 0;
    int r = catalog_streams_end(c, &end, err);

    if (r == 0)
        r = end > KEPT_STREAMS ? MANY : catalog_streams(c, note, s, err);
    if (r < 0)
        return r;
    s->has_many = r == MANY || held_by(s) > max_bytes;
    if (s->has_many) {
        VEC_FINI(&s->list);
        arena_free(&s->arena);
    }
    return 0;
}

/* NULL: they are not to be had. */
static struct frame *keep_streams(const struct scan_day *day, const struct frame_key *key)
{
    struct streams *s = mem_new(sizeof(*s));
    struct err err;

    s->state = catalog_streams_state(day->catalog);
    s->arena = arena_new(NULL, KEPT_BYTES);
    if (read_streams(day->catalog, frame_cache_value_max(day->frames), s, &err) < 0) {
        free_streams(s); /* who asks for the one that is damaged hears of it */
        return NULL;
    }
    return scan_frame_keep(day->frames, day->partition, key, s, held_by(s), free_streams);
}

static struct frame *get_streams(const struct scan_day *day)
{
    struct frame_key key = {.kind = FRAME_STREAMS,
                            .block = (uint32_t)partition_day(day->partition)};
    const struct streams *s;
    struct frame *f;

    if (day->frames == NULL)
        return NULL;
    le_put64(key.id, partition_tenant(day->partition));
    f = frame_cache_get(day->frames, &key);
    s = f == NULL ? NULL : frame_value(f);
    if (s != NULL && s->state != catalog_streams_state(day->catalog))
        frame_unref(&f);
    return f != NULL ? f : keep_streams(day, &key);
}

int scan_day_select(const struct scan_day *day, const struct catalog_selector *sel,
                    catalog_stream_fn *fn, void *arg, struct err *err)
{
    struct frame *f = get_streams(day);
    const struct streams *s = f == NULL ? NULL : frame_value(f);
    int r = 0;

    if (s == NULL || s->has_many)
        r = catalog_select(day->catalog, sel, fn, arg, err);
    for (size_t i = 0; r == 0 && s != NULL && i < s->list.n; i++) {
        const struct stream *one = &s->list.p[i];
        if ((sel->within == NULL || idset_has(sel->within, one->id)) &&
            matchers_match(sel->matchers, sel->n_matchers, &one->labels))
            r = fn(arg, one->id, &one->labels, err);
    }
    frame_unref(&f);
    return r;
}
