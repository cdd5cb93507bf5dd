/* storage/compact_merge.c - see compact_merge.h. */
#include "storage/compact_merge.h"

#include "base/mem.h"
#include "storage/hide.h"
#include "storage/segment_cursor.h"
#include "storage/segment_reader.h"

#include <stdlib.h>

enum { PACE_ROWS = 512 };

static const uint8_t *input(const struct compact_merge *m, size_t i)
{
    return m->opt.replaces + i * SEGMENT_UUID;
}

static bool is_damage(int code)
{
    return code == ERR_CORRUPT || code == ERR_GONE || code == ERR_UNSUPPORTED;
}

/* ---- copies ---- */

struct copy {
    struct segment_part *parts; /* owned, as are both of each */
    struct segment_reader **readers;
    struct segment_info **infos;
    struct segment_writer *writer;
};

static int open_parts(struct compact_merge *m, struct copy *c, struct err *err)
{
    for (size_t i = 0; i < m->opt.n_replaces; i++) {
        int r = segment_reader_open(m->objects, input(m, i), m->opt.key, &c->readers[i], err);
        if (r == 0)
            r = segment_reader_info(c->readers[i], m->budget, &c->infos[i], err);
        if (r < 0) {
            m->damaged = i;
            return r;
        }
        c->parts[i] = (struct segment_part){c->readers[i], c->infos[i]};
    }
    return 0;
}

static int copy_blocks(struct compact_merge *m, struct copy *c, struct segment_info **ret,
                       struct err *err)
{
    int r =
        segment_writer_open_copy(m->objects, &m->opt, c->parts, m->opt.n_replaces, &c->writer, err);

    while (r == 0) {
        r = m->pace(m->pace_arg, segment_writer_bytes(c->writer), err);
        if (r == 0)
            r = segment_writer_copy(c->writer, err);
        if (is_damage(r))
            m->damaged = segment_writer_copying(c->writer);
    }
    if (r < 0)
        return r;
    r = segment_writer_finish(c->writer, ret, err);
    if (is_damage(r))
        m->damaged = segment_writer_copying(c->writer);
    m->filters_rebuilt = segment_writer_rebuilt(c->writer, &m->rebuilt);
    return r;
}

static int copy_all(struct compact_merge *m, struct segment_info **ret, struct err *err)
{
    size_t n = m->opt.n_replaces;
    struct copy c = {
        .parts = mem_new(n * sizeof(*c.parts)),
        .readers = (struct segment_reader **)mem_new(n * sizeof(struct segment_reader *)),
        .infos = (struct segment_info **)mem_new(n * sizeof(struct segment_info *)),
    };
    int r = open_parts(m, &c, err);

    if (r == 0)
        r = copy_blocks(m, &c, ret, err);
    segment_writer_free(&c.writer);
    for (size_t i = 0; i < n; i++) {
        segment_info_free(&c.infos[i]);
        segment_reader_free(&c.readers[i]);
    }
    free(c.parts);
    free((void *)c.readers);
    free((void *)c.infos);
    return r;
}

/* ---- rows ---- */

struct source {
    struct segment_cursor *cursor; /* owned */
    const struct segment_info *info;
    struct segment_cursor_key key;
    bool is_over;
};

struct merge {
    struct compact_merge *m;
    struct source *sources; /* owned */
    size_t n;
    struct source **same; /* those that stand on the stream being written; owned */
    size_t n_same;
    const struct labels *labels; /* of that stream; of one of them */
    const struct hide_stream *hide;
    struct arena *arena; /* of `hide` */
    struct segment_writer *writer;
    unsigned rows; /* since the last pace */
};

static int look(struct merge *g, struct source *s, struct err *err)
{
    int r = segment_cursor_at(s->cursor, &s->key, err);

    if (r == 0 && s->key.stream >= s->info->n_streams)
        r = err_set(err, ERR_CORRUPT, "a block names streams that its segment does not have");
    if (is_damage(r))
        g->m->damaged = (size_t)(s - g->sources);
    s->is_over = r == 1;
    return r < 0 ? r : 0;
}

static int open_sources(struct merge *g, struct err *err)
{
    struct compact_merge *m = g->m;

    for (size_t i = 0; i < g->n; i++) {
        struct source *s = &g->sources[i];
        int r =
            segment_cursor_open(m->objects, input(m, i), m->opt.key, m->budget, &s->cursor, err);
        if (is_damage(r))
            m->damaged = i;
        if (r < 0)
            return r;
        s->info = segment_cursor_info(s->cursor);
        r = look(g, s, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static const struct labels *labels_of(const struct source *s)
{
    return &s->info->streams[s->key.stream].labels;
}

/* The next stream by labels, and who stands on it.  false: all are over. */
static bool next_stream(struct merge *g)
{
    g->labels = NULL;
    g->n_same = 0;
    for (size_t i = 0; i < g->n; i++) {
        struct source *s = &g->sources[i];
        int cmp = s->is_over ? 1 : g->labels == NULL ? -1 : labels_cmp(labels_of(s), g->labels);
        if (cmp > 0)
            continue;
        if (cmp < 0) {
            g->labels = labels_of(s);
            g->n_same = 0;
        }
        g->same[g->n_same++] = s;
    }
    return g->labels != NULL;
}

static int put_row(struct merge *g, struct source *s, struct err *err)
{
    struct segment_item it;
    int r = segment_cursor_row(s->cursor, &it, err);

    if (is_damage(r))
        g->m->damaged = (size_t)(s - g->sources);
    if (r < 0)
        return r;
    if (g->hide != NULL && hide_row(g->hide, it.ts, it.seq, it.max_received, it.line))
        g->m->rows_left_out++;
    else
        r = segment_writer_add(g->writer, &it, true, err);
    segment_cursor_step(s->cursor);
    if (r == 0 && ++g->rows >= PACE_ROWS) {
        g->rows = 0;
        r = g->m->pace(g->m->pace_arg, segment_writer_bytes(g->writer), err);
    }
    return r == 0 ? look(g, s, err) : r;
}

/* Rows of `s` while it stays on its stream and no other has a lower seq. */
static int put_run(struct merge *g, struct source *s, uint64_t below, struct err *err)
{
    uint32_t stream = s->key.stream;
    int r = 0;

    while (r == 0 && !s->is_over && s->key.stream == stream && s->key.seq < below)
        r = put_row(g, s, err);
    return r;
}

/* Of g->same: the one with the least seq, its place, and the least of the others. */
static size_t least(const struct merge *g, uint64_t *below)
{
    size_t at = 0;

    *below = UINT64_MAX;
    for (size_t i = 1; i < g->n_same; i++) {
        if (g->same[i]->key.seq < g->same[at]->key.seq) {
            *below = g->same[at]->key.seq;
            at = i;
        } else if (g->same[i]->key.seq < *below) {
            *below = g->same[i]->key.seq;
        }
    }
    return at;
}

static int put_stream(struct merge *g, struct err *err)
{
    int r;

    arena_reset(g->arena);
    r = hide_stream(g->m->hide, g->labels, g->m->now, g->arena, &g->hide, err);
    if (r == 0)
        r = segment_writer_stream(g->writer, g->labels, err);
    while (r == 0 && g->n_same > 0) {
        uint64_t below;
        size_t at = least(g, &below);
        struct source *s = g->same[at];
        uint32_t stream = s->key.stream;
        if (s->key.seq == below)
            return err_set(err, ERR_INVALID, "two records have seq %llu",
                           (unsigned long long)below);
        r = put_run(g, s, below, err);
        if (r == 0 && (s->is_over || s->key.stream != stream))
            g->same[at] = g->same[--g->n_same];
    }
    return r;
}

static int put_all(struct merge *g, struct segment_info **ret, struct err *err)
{
    int r = open_sources(g, err);

    if (r == 0)
        r = segment_writer_open(g->m->objects, &g->m->opt, &g->writer, err);
    while (r == 0 && next_stream(g))
        r = put_stream(g, err);
    return r < 0 ? r : segment_writer_finish(g->writer, ret, err);
}

static int merge_all(struct compact_merge *m, struct segment_info **ret, struct err *err)
{
    struct merge g = {
        .m = m,
        .n = m->opt.n_replaces,
        .sources = mem_new(m->opt.n_replaces * sizeof(*g.sources)),
        .same = (struct source **)mem_new(m->opt.n_replaces * sizeof(struct source *)),
        .arena = arena_new(m->budget, 0),
    };
    int r = put_all(&g, ret, err);

    segment_writer_free(&g.writer);
    for (size_t i = 0; i < g.n; i++)
        segment_cursor_free(&g.sources[i].cursor);
    arena_free(&g.arena);
    free(g.sources);
    free((void *)g.same);
    return r;
}

int compact_merge(struct compact_merge *m, struct segment_info **ret, struct err *err)
{
    m->rows_left_out = 0;
    m->filters_rebuilt = 0;
    m->damaged = SIZE_MAX;
    return m->opt.class == SEGMENT_STRICT ? copy_all(m, ret, err) : merge_all(m, ret, err);
}
