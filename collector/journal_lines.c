/* collector/journal_lines.c - contract: journal_lines.h. */
#include "collector/journal_lines.h"

#include "base/mem.h"
#include "base/obj.h"
#include "base/vec.h"
#include "collector/multiline.h"

#include <stdlib.h>

struct journal_held {
    struct journal_stream *of;
    struct multiline *m;          /* owned; one stream of it is used */
    struct buf head;              /* the first entry as a frame, without its message */
    char end[JOURNAL_CURSOR_MAX]; /* of the first line */
};

struct journal_lines {
    unsigned magic;
#define JOURNAL_LINES_MAGIC 0x10a11e5bu
    struct mem_budget budget;
    struct join_limits limits;
    VEC(struct journal_held *) open; /* the oldest first */
    struct journal_held *told;       /* what was given to the caller last; NULL: nothing */
};

static struct multiline_stream *lines_of(const struct journal_held *h)
{
    return &h->m->s[DECODE_NONE];
}

struct journal_lines *journal_lines_new(size_t max_line)
{
    struct journal_lines *l = mem_new(sizeof(*l));

    l->magic = JOURNAL_LINES_MAGIC;
    l->budget.name = "lines of the journal";
    l->budget.limit = JOURNAL_LINES_BYTES;
    l->limits = (struct join_limits){.max_line = max_line, .budget = &l->budget};
    return l;
}

static void held_free(struct journal_lines *l, struct journal_held **ph)
{
    struct journal_held *h = *ph;

    *ph = NULL;
    if (h == NULL)
        return;
    multiline_free(&h->m, &l->limits);
    buf_fini(&h->head);
    free(h);
}

void journal_lines_free(struct journal_lines **pl)
{
    struct journal_lines *l = *pl;

    if (l == NULL)
        return;
    OBJ_CHECK(l, JOURNAL_LINES_MAGIC);
    for (size_t i = 0; i < l->open.n; i++) {
        l->open.p[i]->of->held = NULL;
        held_free(l, &l->open.p[i]);
    }
    VEC_FINI(&l->open);
    held_free(l, &l->told);
    l->magic = 0;
    free(l);
    *pl = NULL;
}

enum trace_step journal_lines_step(struct journal_lines *l, struct journal_stream *s,
                                   const struct journal_record *rec)
{
    struct multiline_stream none = {.open = false};

    OBJ_CHECK(l, JOURNAL_LINES_MAGIC);
    if (rec->partial || (s->held == NULL && s->trace.format == TRACE_NONE))
        return TRACE_ALONE;
    return multiline_step(s->held != NULL ? lines_of(s->held) : &none, &s->trace, rec->text,
                          &l->limits);
}

static struct journal_held *begin(struct journal_lines *l, struct journal_stream *s,
                                  const struct journal_record *rec, struct str end)
{
    struct journal_held *h = mem_new(sizeof(*h));
    struct journal_frame head = rec->head;

    INVARIANT(l->open.n < JOURNAL_LINES_MAX);
    h->of = s;
    head.v[JOURNAL_MESSAGE] = STR_NULL;
    buf_init(&h->head, JOURNAL_FRAME_MAX);
    journal_frame_put(&h->head, &head);
    h->m = mem_new(sizeof(*h->m));
    (void)str_to_z(end, h->end, sizeof(h->end));
    (void)multiline_step(lines_of(h), &s->trace, rec->text, &l->limits); /* its state */
    VEC_PUSH(&l->open, h);
    s->held = h;
    return h;
}

int journal_lines_hold(struct journal_lines *l, struct journal_stream *s,
                       const struct journal_record *rec, struct str end, dur_ns now)
{
    struct join_record line = {.ts = rec->head.time, .text = rec->text, .total = rec->total};
    struct join_segment nowhere = {.file = NULL};
    struct journal_held *h = s->held;

    OBJ_CHECK(l, JOURNAL_LINES_MAGIC);
    if (h == NULL)
        h = begin(l, s, rec, end);
    return multiline_hold(lines_of(h), &line, &nowhere, NULL, now, &l->limits);
}

void journal_lines_end(struct journal_lines *l, struct journal_stream *s,
                       struct journal_record *ret)
{
    struct journal_held *h = s->held;
    struct join_record rec;
    struct piece p;
    struct err err;
    size_t used, i = 0;

    OBJ_CHECK(l, JOURNAL_LINES_MAGIC);
    INVARIANT(h != NULL);
    while (l->open.p[i] != h)
        i++;
    VEC_REMOVE(&l->open, i);
    s->held = NULL;
    held_free(l, &l->told);
    l->told = h;
    multiline_record(h->m, DECODE_NONE, &rec, &p);
    *ret =
        (struct journal_record){.text = rec.text, .total = rec.total, .lines = lines_of(h)->lines};
    INVARIANT(journal_frame_take(buf_str(&h->head), &ret->head, &used, &err) == 0);
}

struct journal_stream *journal_lines_oldest(const struct journal_lines *l)
{
    OBJ_CHECK(l, JOURNAL_LINES_MAGIC);
    return l->open.n < JOURNAL_LINES_MAX ? NULL : l->open.p[0]->of;
}

struct journal_stream *journal_lines_stale(const struct journal_lines *l, dur_ns before)
{
    OBJ_CHECK(l, JOURNAL_LINES_MAGIC);
    for (size_t i = 0; i < l->open.n; i++)
        if (lines_of(l->open.p[i])->grown <= before)
            return l->open.p[i]->of;
    return NULL;
}

size_t journal_lines_count(const struct journal_lines *l)
{
    OBJ_CHECK(l, JOURNAL_LINES_MAGIC);
    return l->open.n;
}

void journal_lines_at(const struct journal_lines *l, size_t i, struct str *key, struct str *cursor,
                      struct str *end)
{
    const struct journal_held *h;
    struct journal_frame head;
    struct err err;
    size_t used;

    OBJ_CHECK(l, JOURNAL_LINES_MAGIC);
    INVARIANT(i < l->open.n);
    h = l->open.p[i];
    INVARIANT(journal_frame_take(buf_str(&h->head), &head, &used, &err) == 0);
    *key = (struct str){h->of->key, h->of->key_n};
    *cursor = head.v[JOURNAL_CURSOR];
    *end = str_of(h->end);
}
