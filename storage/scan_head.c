/*
 * storage/scan_head.c - a batch in memory.  Its bytes are not copied here: the view holds the batch
 * as long as the scan lives.
 */
#include "base/mem.h"
#include "storage/scan_internal.h"

enum { UNKNOWN, WANTED, UNWANTED };

struct head_streams {
    struct scan_stream *stream;
    uint8_t *state;
    int err; /* < 0: no memory for what is hidden of one */
};

static bool wants_stream(const struct scan *sc, const struct batch *b, struct scan_source *s,
                         struct head_streams *hs, uint32_t i, struct err *err)
{
    const struct store_view *v = s->part->view;

    if (hs->state[i] == UNKNOWN) {
        bool wanted = matchers_match(sc->req.matchers, sc->req.n_matchers, &b->streams[i]);
        hs->state[i] = wanted ? WANTED : UNWANTED;
        hs->stream[i].labels = b->streams[i];
        if (wanted && hs->err == 0)
            hs->err =
                hide_stream(v->hide, &b->streams[i], v->now, s->arena, &hs->stream[i].hide, err);
    }
    return hs->state[i] == WANTED;
}

/* What came into memory is younger than any retention: only delete requests count here. */
static bool is_hidden(const struct scan_stream *st, const struct record *rec)
{
    return st->hide != NULL && hide_row(st->hide, rec->ts, rec->seq, INT64_MAX, rec->line);
}

static int keep_rows(struct scan *sc, const struct batch *b, struct scan_source *s, struct err *err)
{
    struct head_streams hs = {
        .stream = arena_alloc(s->arena, b->n_streams * sizeof(*hs.stream)),
        .state = arena_alloc(s->arena, b->n_streams),
    };
    uint64_t lines = 0;
    uint64_t bytes = 0;

    s->rows = arena_alloc(s->arena, b->n_records * sizeof(*s->rows));
    if (hs.stream == NULL || hs.state == NULL || s->rows == NULL)
        return arena_err(s->arena, err);
    for (uint32_t i = 0; i < b->n_records; i++) {
        const struct record *rec = &b->records[i];
        struct scan_row *row = &s->rows[s->n];
        if (!scan_wants(sc, rec->ts) || !wants_stream(sc, b, s, &hs, rec->stream, err) ||
            is_hidden(&hs.stream[rec->stream], rec))
            continue;
        lines++;
        bytes += sc->req.need_line || sc->req.n_filters > 0 ? rec->line.n : 0;
        if (!scan_filter_line(sc, rec->line))
            continue;
        *row = (struct scan_row){*rec, &hs.stream[rec->stream]};
        if (!sc->req.need_line)
            row->rec.line = STR_NULL;
        if (!sc->req.need_attrs)
            row->rec.n_attr = 0;
        s->n++;
    }
    return hs.err < 0 ? hs.err : scan_count_lines(sc, lines, bytes, err);
}

int scan_head_open(struct scan *sc, struct scan_part *part, const struct scan_candidate *c,
                   struct scan_source **ret, struct err *err)
{
    const struct batch *b = part->view->batch[c->index];
    struct scan_source *s;
    int r = scan_check_cancel(sc, err);

    *ret = NULL;
    if (r < 0)
        return r;
    sc->stats.head_batches++;
    s = scan_source_new(sc, part);
    r = keep_rows(sc, b, s, err);
    if (r < 0 || s->n == 0) {
        scan_source_free(&s);
        return r;
    }
    scan_merge_sort(sc, s->rows, s->n);
    *ret = s;
    return 0;
}
