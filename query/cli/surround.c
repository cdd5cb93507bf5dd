/* query/cli/surround.c - see surround.h. */
#include "query/cli/surround.h"

#include "base/vec.h"

#include <stdlib.h>

struct surround {
    struct output *out; /* borrowed */
    uint64_t before, after;
    VEC(struct batch *) batches; /* a reference each; the last ones, in order */
    uint64_t last;               /* seq of the last line that came */
    uint64_t shown;              /* seq of the last line shown; 0: none */
    uint64_t wanted;             /* lines up to this seq belong to a hit */
};

struct surround *surround_new(struct output *out, uint64_t before, uint64_t after)
{
    struct surround *s = mem_new(sizeof(*s));

    s->out = out;
    s->before = before;
    s->after = after;
    return s;
}

void surround_free(struct surround **ps)
{
    struct surround *s = *ps;

    *ps = NULL;
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->batches.n; i++)
        batch_unref(&s->batches.p[i]);
    VEC_FINI(&s->batches);
    free(s);
}

void surround_lines(struct surround *s, struct batch *b)
{
    uint64_t first = b->records[0].seq;

    /* What is kept begins with the batch that has the oldest line a hit in `b` may want. */
    while (s->batches.n > 1 && s->batches.p[1]->records[0].seq + s->before <= first) {
        batch_unref(&s->batches.p[0]);
        VEC_REMOVE(&s->batches, 0);
    }
    VEC_PUSH(&s->batches, batch_ref(b));
    s->last = first + b->n_records - 1;
}

/* The lines [from, to] that have not been shown yet: as they are, and without colours. */
static int show_context(struct surround *s, uint64_t from, uint64_t to, struct err *err)
{
    bool color = s->out->form.color;
    int r = 0;

    s->out->form.color = false;
    for (size_t i = 0; i < s->batches.n; i++) {
        const struct batch *b = s->batches.p[i];
        uint64_t first = b->records[0].seq;

        for (; r == 0 && from <= to && from >= first && from - first < b->n_records; from++) {
            const struct record *rec = &b->records[from - first];
            struct query_entry e = {
                .ts = rec->ts,
                .seq = rec->seq,
                .stream = b->streams[rec->stream],
                .meta = {(struct label *)(uintptr_t)rec->attr, rec->n_attr}, /* read only */
                .line = rec->line,
                .is_context = true};

            r = output_entry(s->out, &e, err);
            s->shown = from;
        }
    }
    s->out->form.color = color;
    return r;
}

int surround_hit(struct surround *s, const struct query_entry *e, struct err *err)
{
    enum format_kind kind = s->out->form.kind;
    uint64_t from = e->seq > s->before ? e->seq - s->before : 1;
    int r = 0;

    if (s->shown > 0) {
        r = show_context(s, s->shown + 1, s->wanted < e->seq ? s->wanted : e->seq - 1, err);
        if (r == 0 && from > s->shown + 1 && (kind == FORMAT_TABLE || kind == FORMAT_RAW))
            r = output_text(s->out, STR("--\n"), err);
        from = from > s->shown ? from : s->shown + 1;
    }
    if (r == 0)
        r = show_context(s, from, e->seq - 1, err);
    if (r == 0)
        r = output_entry(s->out, e, err);
    s->shown = e->seq;
    s->wanted = e->seq + s->after;
    return r;
}

int surround_rest(struct surround *s, struct err *err)
{
    uint64_t to = s->wanted < s->last ? s->wanted : s->last;

    return show_context(s, s->shown + 1, to, err);
}

bool surround_wants_more(const struct surround *s)
{
    return s->wanted > s->last;
}
