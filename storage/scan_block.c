/*
 * storage/scan_block.c - a block on disk: decode what the question needs, filter, keep what passes.
 *
 * Times and streams are decoded first; lines only if rows are left and somebody asks for them or
 * filters by them, and then all of the block's; attributes only for rows that passed every filter.
 * A block that cannot be read is noted and passed over.
 */
#include "base/mem.h"
#include "base/obj.h"
#include "storage/scan_internal.h"

#include <stdlib.h>
#include <string.h>

/* One block on its way. */
struct opened {
    struct segment_reader *reader;
    struct segment_reader_block block;
    size_t n;
    struct block_keys keys;
    struct block_lines lines;
    struct lines *attrs;                        /* NULL: nobody asks, or no row has any */
    struct lines_plan *lines_plan, *attrs_plan; /* owned */
    bool has_lines;
    bool hides_by_line; /* whether a selected row may be shown depends on its line */
    uint64_t *selected; /* bitmap by place in the layout */

    /* Of the data frames being read. */
    struct arena *arena;
    uint32_t first_attrs; /* data frame */
};

void scan_block_close_readers(struct scan *sc, const struct scan_part *part)
{
    for (size_t i = 0; i < SCAN_READERS; i++) {
        struct scan_reader *r = &sc->reader[i];
        if (r->reader == NULL || (part != NULL && r->part != part))
            continue;
        segment_reader_free(&r->reader);
        *r = (struct scan_reader){.used = 0};
    }
}

/* The reader of a segment, opened in place of the one that was not used for the longest. */
static int get_reader(struct scan *sc, struct scan_part *part, const struct scan_segment *segment,
                      struct segment_reader **ret, struct err *err)
{
    struct scan_reader *at = &sc->reader[0];
    struct segment_reader *fresh = NULL;
    int r;

    for (size_t i = 0; i < SCAN_READERS; i++) {
        struct scan_reader *rd = &sc->reader[i];
        if (rd->reader != NULL && rd->segment == segment) {
            rd->used = ++sc->clock;
            *ret = rd->reader;
            return 0;
        }
        if (rd->used < at->used)
            at = rd;
    }
    r = segment_reader_open(partition_objects(part->partition), segment->uuid,
                            partition_key(part->partition), &fresh, err);
    if (r < 0)
        return r;
    segment_reader_free(&at->reader);
    *at = (struct scan_reader){part, segment, fresh, ++sc->clock};
    *ret = fresh;
    return 0;
}

static const struct hide_stream *hide_of(const struct scan_part *part,
                                         const struct scan_segment *segment, const struct opened *o,
                                         size_t i)
{
    return part->streams[segment->stream[o->keys.stream[i]]].hide;
}

/* Must row i not be shown, as far as its line has no say in it? */
static bool is_hidden(const struct scan_part *part, const struct scan_candidate *c,
                      struct opened *o, size_t i)
{
    const struct hide_stream *h = c->hides ? hide_of(part, c->segment, o, i) : NULL;

    if (h == NULL)
        return false;
    if (hide_needs_line(h, o->keys.ts[i], o->keys.seq[i])) {
        o->hides_by_line = true;
        return false;
    }
    return hide_row(h, o->keys.ts[i], o->keys.seq[i], c->segment->max_received, STR_NULL);
}

/* Bits of the rows whose stream and time are asked for; their count. */
static size_t select_rows(const struct scan *sc, const struct scan_part *part,
                          const struct scan_candidate *c, struct opened *o)
{
    const struct scan_segment *segment = c->segment;
    size_t n = 0;

    for (size_t i = 0; i < o->n; i++) {
        uint32_t at = o->keys.layout[i];
        if (!scan_wants(sc, o->keys.ts[i]) || segment->stream[o->keys.stream[i]] == UINT32_MAX ||
            is_hidden(part, c, o, i))
            continue;
        o->selected[at / 64] |= UINT64_C(1) << (at % 64);
        n++;
    }
    return n;
}

static bool is_selected(const struct opened *o, uint32_t at)
{
    return (o->selected[at / 64] >> (at % 64) & 1) != 0;
}

static int open_keys(struct scan *sc, struct opened *o, const struct scan_candidate *c,
                     struct err *err)
{
    const struct block_header *h = &o->block.header;
    struct block_shape shape;
    struct str frame = STR_NULL;
    int r = segment_reader_block(o->reader, &c->block, c->index, sc->work, &o->block, err);

    if (r == 0 && h->last_stream >= c->segment->n_streams)
        r = err_set(err, ERR_CORRUPT, "block names streams that its segment does not have");
    if (r == 0)
        r = segment_reader_frame(o->reader, &o->block, BLOCK_KEYS, 0, sc->work, &frame, err);
    if (r == 1)
        r = err_set(err, ERR_CORRUPT, "block without keys");
    if (r < 0)
        return r;
    o->n = h->rows;
    shape = (struct block_shape){h->rows, h->first_stream, h->last_stream};
    o->selected = arena_alloc(sc->work, (o->n + 63) / 64 * sizeof(*o->selected));
    if (o->selected == NULL)
        return arena_err(sc->work, err);
    return block_keys_decode(frame, &shape, BLOCK_WANT_KEYS, sc->work, &o->keys, err);
}

/* Take out the selected rows whose line decides that they must not be shown. */
static void hide_lines(const struct scan_part *part, const struct scan_candidate *c,
                       struct opened *o)
{
    for (size_t i = 0; o->hides_by_line && i < o->n; i++) {
        uint32_t at = o->keys.layout[i];
        const struct hide_stream *h = is_selected(o, at) ? hide_of(part, c->segment, o, i) : NULL;
        if (h != NULL && hide_row(h, o->keys.ts[i], o->keys.seq[i], c->segment->max_received,
                                  block_line(&o->lines, at)))
            o->selected[at / 64] &= ~(UINT64_C(1) << (at % 64));
    }
}

static int read_data(struct opened *o, uint32_t index, struct str *ret, struct err *err)
{
    int r = segment_reader_frame(o->reader, &o->block, BLOCK_DATA, index, o->arena, ret, err);

    return r == 1 ? err_set(err, ERR_CORRUPT, "block without data frame %u", index) : r;
}

static int read_lines(void *arg, uint32_t index, struct str *ret, struct err *err)
{
    return read_data(arg, index, ret, err);
}

static int read_attrs(void *arg, uint32_t index, struct str *ret, struct err *err)
{
    struct opened *o = arg;

    return read_data(o, o->first_attrs + index, ret, err);
}

static int open_plans(struct scan *sc, struct opened *o, struct err *err)
{
    struct block_plans plans = {STR_NULL, STR_NULL};
    struct str frame = STR_NULL;
    int r;

    o->arena = sc->work;
    r = segment_reader_frame(o->reader, &o->block, BLOCK_PLAN, 0, sc->work, &frame, err);
    if (r == 1)
        r = err_set(err, ERR_CORRUPT, "block without a plan");
    if (r == 0)
        r = block_plans_split(frame, &plans, err);
    if (r == 0)
        r = lines_plan_new(plans.lines, o->n, sc->req.budget, &o->lines_plan, err);
    if (r == 0 && plans.attrs.n > 0 && sc->req.need_attrs)
        r = lines_plan_new(plans.attrs, o->n, sc->req.budget, &o->attrs_plan, err);
    if (r == 0)
        o->first_attrs = (uint32_t)o->lines_plan->n_frames;
    return r;
}

static int filter_lines(struct scan *sc, const struct scan_part *part,
                        const struct scan_candidate *c, struct opened *o, size_t *selected,
                        struct err *err)
{
    struct lines *lines = NULL;
    uint64_t bytes = 0;
    int r;

    if (!sc->req.need_line && sc->req.n_filters == 0 && !o->hides_by_line)
        return scan_count_lines(sc, *selected, 0, err);
    r = lines_open(o->lines_plan, read_lines, o, sc->work, &lines, err);
    if (r == 0)
        r = lines_text(lines, &o->lines.text, &o->lines.end, err);
    if (r < 0)
        return r;
    o->has_lines = true;
    for (size_t i = 0; i < o->n; i++)
        if (is_selected(o, (uint32_t)i))
            bytes += block_line(&o->lines, i).n;
    r = scan_count_lines(sc, *selected, bytes, err);
    if (r == 0)
        r = scan_filter_lines(sc, &o->lines, o->n, o->selected, sc->work, err);
    hide_lines(part, c, o);
    *selected = 0;
    for (size_t w = 0; w < (o->n + 63) / 64; w++)
        *selected += (size_t)__builtin_popcountll(o->selected[w]);
    return r;
}

static int open_attrs(struct scan *sc, struct opened *o, struct err *err)
{
    if (o->attrs_plan == NULL)
        return 0;
    return lines_open(o->attrs_plan, read_attrs, o, sc->work, &o->attrs, err);
}

static int keep_row(struct scan *sc, const struct opened *o, struct scan_source *s, size_t i,
                    struct scan_stream *stream, struct err *err)
{
    struct scan_row *row = &s->rows[s->n++];
    uint32_t at = o->keys.layout[i];

    row->stream = stream;
    row->rec = (struct record){.ts = o->keys.ts[i], .seq = o->keys.seq[i]};
    if (sc->req.need_line && o->has_lines) {
        struct str line = block_line(&o->lines, at);
        char *p = arena_bytes(s->arena, line.n + 1);
        if (p == NULL)
            return arena_err(s->arena, err);
        if (line.n > 0)
            memcpy(p, line.p, line.n);
        row->rec.line = (struct str){p, line.n};
    }
    if (o->attrs == NULL)
        return 0;
    return lines_attrs(o->attrs, at, s->arena, &row->rec.attr, &row->rec.n_attr, err);
}

static int keep_rows(struct scan *sc, const struct opened *o, const struct scan_segment *segment,
                     size_t n, struct scan_source *s, struct err *err)
{
    s->rows = arena_alloc(s->arena, n * sizeof(*s->rows));
    if (s->rows == NULL)
        return arena_err(s->arena, err);
    for (size_t i = 0; i < o->n; i++) {
        struct scan_stream *stream;
        int r;
        if (!is_selected(o, o->keys.layout[i]))
            continue;
        stream = &s->part->streams[segment->stream[o->keys.stream[i]]];
        r = keep_row(sc, o, s, i, stream, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* 0 with *ret == NULL: nothing passed. */
static int open_block(struct scan *sc, struct scan_part *part, const struct scan_candidate *c,
                      struct opened *o, struct scan_source **ret, struct err *err)
{
    struct scan_source *s = NULL;
    size_t n = 0;
    int r = open_keys(sc, o, c, err);

    if (r == 0)
        n = select_rows(sc, part, c, o);
    if (r == 0 && n > 0)
        r = open_plans(sc, o, err);
    if (r == 0 && n > 0)
        r = filter_lines(sc, part, c, o, &n, err);
    if (r < 0 || n == 0)
        return r;
    r = open_attrs(sc, o, err);
    if (r < 0)
        return r;
    s = scan_source_new(sc, part);
    r = keep_rows(sc, o, c->segment, n, s, err);
    if (r < 0) {
        scan_source_free(&s);
        return r;
    }
    scan_merge_sort(sc, s->rows, s->n);
    *ret = s;
    return 0;
}

int scan_block_open(struct scan *sc, struct scan_part *part, const struct scan_candidate *c,
                    struct scan_source **ret, struct err *err)
{
    struct opened o = {.n = 0};
    uint64_t before;
    int r = scan_check_cancel(sc, err);

    *ret = NULL;
    if (r < 0)
        return r;
    r = get_reader(sc, part, c->segment, &o.reader, err);
    if (r == 0) {
        before = segment_reader_bytes(o.reader);
        r = open_block(sc, part, c, &o, ret, err);
        sc->stats.stored_bytes_read += segment_reader_bytes(o.reader) - before;
        sc->stats.blocks_read++;
    }
    lines_plan_free(&o.lines_plan);
    lines_plan_free(&o.attrs_plan);
    arena_reset(sc->work);
    if (r != ERR_CORRUPT && r != ERR_IO && r != ERR_GONE && r != ERR_UNSUPPORTED)
        return r;
    if (!partition_is_dropped(part->partition)) /* else it went while we were on our way to it */
        scan_damage(sc, part, err);
    return 0;
}
