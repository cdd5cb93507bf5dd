/*
 * storage/scan_kept.c - rows that were written out, kept for who asks for the same again.
 *
 * A question that expects few rows gets them from many blocks, one from each: then nearly all of
 * its time goes into opening frames of which a single row is used.  The same newest lines, or the
 * same few hits, are asked for again by everybody who looks at them; so each such row is kept.
 */
#include "base/mem.h"
#include "storage/scan_internal.h"

#include <stdlib.h>
#include <string.h>

enum { KEPT_BYTES = 8 << 10 }; /* of a row that is worth it */

struct kept {
    struct str line;
    uint32_t n_attr;
    struct label attr[]; /* then the bytes of all */
};

bool scan_kept_may(const struct scan *sc)
{
    return sc->frames != NULL && sc->req.expect > 0 && sc->req.expect <= SCAN_FEW_ROWS &&
           sc->req.need_line && sc->req.need_attrs && sc->req.parser == SCAN_PARSE_NONE;
}

static size_t bytes_of(const struct record *rec)
{
    size_t n = rec->line.n;

    for (uint32_t i = 0; i < rec->n_attr; i++)
        n += rec->attr[i].name.n + rec->attr[i].value.n;
    return n;
}

static struct str put(char **to, struct str s)
{
    struct str copy = {*to, s.n};

    if (s.n > 0)
        memcpy(*to, s.p, s.n);
    *to += s.n;
    return copy;
}

void scan_kept_put(struct scan_block *b, uint32_t at, const struct record *rec)
{
    struct frame_key key = scan_block_key(b, FRAME_ROW, at);
    size_t head = sizeof(struct kept) + rec->n_attr * sizeof(struct label);
    size_t bytes = bytes_of(rec);
    struct frame *f;
    struct kept *k;
    char *to;

    if (head + bytes > KEPT_BYTES)
        return;
    k = mem_new(head + bytes + 1);
    to = (char *)k + head;
    k->line = put(&to, rec->line);
    k->n_attr = rec->n_attr;
    for (uint32_t i = 0; i < rec->n_attr; i++) {
        k->attr[i].name = put(&to, rec->attr[i].name);
        k->attr[i].value = put(&to, rec->attr[i].value);
    }
    f = scan_frame_keep(b->sc->frames, b->candidate->part->partition, &key, k, head + bytes, free);
    frame_unref(&f);
}

bool scan_kept_take(struct scan_block *b, uint32_t at, struct record *ret)
{
    struct frame_key key = scan_block_key(b, FRAME_ROW, at);
    struct frame *f = frame_cache_get(b->sc->frames, &key);
    const struct kept *k;

    if (f == NULL)
        return false;
    VEC_PUSH(&b->worker->kept, f);
    k = frame_value(f);
    ret->line = k->line;
    ret->attr = k->attr;
    ret->n_attr = k->n_attr;
    return true;
}

void scan_kept_forget(struct scan_worker *w)
{
    for (size_t i = 0; i < w->kept.n; i++)
        frame_unref(&w->kept.p[i]);
    w->kept.n = 0;
}
