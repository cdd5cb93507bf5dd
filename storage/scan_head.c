/*
 * storage/scan_head.c - a batch in memory.  Its bytes are not copied here: the view holds the batch
 * as long as the scan lives.
 */
#include "storage/scan_internal.h"

enum { UNKNOWN, WANTED, UNWANTED };

int scan_head_streams(const struct scan *sc, struct scan_candidate *c, struct err *err)
{
    const struct store_view *v = c->part->view;
    const struct batch *b = v->batch[c->index];
    int r = 0;

    c->streams = arena_alloc(c->part->arena, b->n_streams * sizeof(*c->streams) + 1);
    if (c->streams == NULL)
        return arena_err(c->part->arena, err);
    for (uint32_t i = 0; r == 0 && v->hide != NULL && i < b->n_streams; i++)
        if (matchers_match(sc->req.matchers, sc->req.n_matchers, &b->streams[i]))
            r = hide_stream(v->hide, &b->streams[i], v->now, c->part->arena, &c->streams[i].hide,
                            err);
    return r;
}

static bool wants_stream(const struct scan *sc, const struct batch *b, struct scan_stream *s,
                         uint32_t i)
{
    if (s[i].wanted == UNKNOWN) {
        bool wanted = matchers_match(sc->req.matchers, sc->req.n_matchers, &b->streams[i]);
        s[i].wanted = wanted ? WANTED : UNWANTED;
        s[i].labels = b->streams[i];
    }
    return s[i].wanted == WANTED;
}

/* What came into memory is younger than any retention: only delete requests count here. */
static bool is_hidden(const struct scan_stream *s, const struct record *rec)
{
    return s->hide != NULL && hide_row(s->hide, rec->ts, rec->seq, INT64_MAX, rec->line);
}

bool scan_head_wants(const struct scan *sc, struct scan_candidate *c, const struct record *rec)
{
    const struct batch *b = c->part->view->batch[c->index];
    ts_ns lo;
    ts_ns hi;

    scan_range(sc, &lo, &hi);
    return rec->ts >= lo && rec->ts <= hi && wants_stream(sc, b, c->streams, rec->stream) &&
           !is_hidden(&c->streams[rec->stream], rec);
}

/* Of the record, what was asked for. */
void scan_head_record(const struct scan *sc, const struct record *rec, struct record *ret)
{
    *ret = *rec;
    if (!sc->req.need_line)
        ret->line = STR_NULL;
    if (!sc->req.need_attrs)
        ret->n_attr = 0;
}

struct taker {
    struct scan *sc;
    struct scan_candidate *candidate;
    struct scan_result *ret;
};

static void take(struct taker *t, const struct record *rec, uint32_t i)
{
    struct scan_stream *stream = &t->candidate->streams[rec->stream];
    struct scan_result *ret = t->ret;

    if (scan_is_ordered(t->sc)) {
        ret->rows.v[ret->rows.n++] =
            (struct scan_row){rec->ts, rec->seq, t->candidate, i, rec->stream};
        return;
    }
    ret->ready[ret->n_ready].stream = stream;
    scan_head_record(t->sc, rec, &ret->ready[ret->n_ready++].rec);
}

static int reserve(struct scan *sc, const struct batch *b, struct scan_result *ret, struct err *err)
{
    if (scan_is_ordered(sc))
        return scan_rows_reserve(sc, &ret->rows, b->n_records, err);
    ret->ready = arena_alloc(ret->arena, b->n_records * sizeof(*ret->ready));
    return ret->ready == NULL ? arena_err(ret->arena, err) : 0;
}

int scan_head_select(struct scan *sc, struct scan_worker *w, struct scan_candidate *c,
                     struct scan_result *ret, struct err *err)
{
    const struct batch *b = c->part->view->batch[c->index];
    struct taker t = {sc, c, ret};
    uint64_t lines = 0;
    uint64_t bytes = 0;
    int r = reserve(sc, b, ret, err);

    if (r < 0)
        return r;
    w->stats.head_batches++;
    for (uint32_t i = 0; i < b->n_records; i++) {
        const struct record *rec = &b->records[i];
        if (!scan_head_wants(sc, c, rec))
            continue;
        lines++;
        bytes += sc->req.need_line || sc->req.n_filters > 0 ? rec->line.n : 0;
        if (scan_filter_line(sc, rec->line))
            take(&t, rec, i);
    }
    return scan_count_lines(sc, w, lines, bytes, err);
}
