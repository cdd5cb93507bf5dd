/*
 * collector/journal_streams.c - contract: journal_streams.h.
 *
 * Invariant
 *   (1) streams are in the map and in the list, or in neither; the list is in the order in which
 *       they were seen.
 */
#include "collector/journal_streams.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/obj.h"

#include <stdlib.h>
#include <string.h>

struct journal_streams {
    unsigned magic;
#define JOURNAL_STREAMS_MAGIC 0x10a157e5u
    size_t max;
    struct map *all; /* owns them */
    struct journal_stream *newest, *oldest;
};

static void stream_free(void *value)
{
    struct journal_stream *v = value;

    free(v->rates.buckets);
    free(v->app);
    free(v->image);
    free(v->image_digest);
    free(v);
}

struct journal_streams *journal_streams_new(size_t max)
{
    struct journal_streams *s = mem_new(sizeof(*s));

    INVARIANT(max > 0);
    s->magic = JOURNAL_STREAMS_MAGIC;
    s->max = max;
    s->all = map_new(max, stream_free);
    return s;
}

void journal_streams_free(struct journal_streams **ps)
{
    struct journal_streams *s = *ps;

    if (s == NULL)
        return;
    OBJ_CHECK(s, JOURNAL_STREAMS_MAGIC);
    map_free(&s->all);
    s->magic = 0;
    free(s);
    *ps = NULL;
}

static void leave(struct journal_streams *s, struct journal_stream *v)
{
    *(v->newer == NULL ? &s->newest : &v->newer->older) = v->older;
    *(v->older == NULL ? &s->oldest : &v->older->newer) = v->newer;
}

static void enter(struct journal_streams *s, struct journal_stream *v)
{
    v->newer = NULL;
    v->older = s->newest;
    *(v->older == NULL ? &s->oldest : &v->older->newer) = v;
    s->newest = v;
}

static void forget(struct journal_streams *s, struct journal_stream *v)
{
    leave(s, v);
    (void)map_remove(s->all, (struct str){v->key, v->key_n}); /* keeps (1): it is there */
}

static void make_room(struct journal_streams *s)
{
    struct journal_stream *v = s->oldest;

    while (v->held != NULL)
        v = v->newer;
    forget(s, v);
}

static struct journal_stream *add(struct journal_streams *s, struct str key)
{
    struct journal_stream *v = mem_new(sizeof(*v));

    INVARIANT(key.n < sizeof(v->key));
    if (key.n > 0)
        memcpy(v->key, key.p, key.n);
    v->key_n = key.n;
    v->in_key = v->maybe = true;
    if (map_count(s->all) == s->max)
        make_room(s);
    INVARIANT(map_put(s->all, key, v));
    return v;
}

struct journal_stream *journal_streams_get(struct journal_streams *s, struct str key)
{
    struct journal_stream *v;

    OBJ_CHECK(s, JOURNAL_STREAMS_MAGIC);
    v = map_get(s->all, key);
    if (v == NULL)
        v = add(s, key);
    else
        leave(s, v);
    enter(s, v);
    return v;
}
