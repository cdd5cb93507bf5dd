/*
 * server/ingest_forward.c - one Forward message into records.
 *
 * Two kinds of sender.  Our collector names parts (option `lq`): labels and attributes come once
 * per part, an entry is {stream, log} and what little else it has.  Everybody else sends maps
 * (forward_record.h): Docker's own driver is recognised by its keys and gets the labels a container
 * has.
 */
#include "server/ingest_build.h"

#include "server/metrics.h"
#include "wire/forward_record.h"

#include <string.h>

enum { STREAM_NAMES = 3 };

struct forward_ingest {
    struct ingest_build *ib;
    const struct ingest_decided *d;
    struct forward_reader *reader;
    struct label *attr; /* scratch of one record: limits.fields of them, in the arena */
    size_t max_attr;
};

/* ---- our collector ---- */

/* The streams of one part: without a name, stdout, stderr, made when first met. */
struct part_streams {
    const struct forward_part *part;
    bool made[STREAM_NAMES];
    struct ingest_shared shared[STREAM_NAMES];
};

static unsigned stream_slot(struct str name)
{
    if (str_eq(name, STR("stdout")))
        return 1;
    return str_eq(name, STR("stderr")) ? 2 : 0;
}

/* So many labels of a part that `stream`, forced ones and service_name have their place: what is
 * refused for a label is lost. */
static size_t labels_taken(const struct forward_ingest *f, const struct labels *l)
{
    size_t others = f->d->forced.n + 2;
    size_t room = others < RECORD_LABELS_MAX ? RECORD_LABELS_MAX - others : 0;

    if (l->n <= room)
        return l->n;
    metric_add(METRIC_INGEST_TRUNCATED_LABEL, l->n - room);
    return room;
}

static int shared_of(struct forward_ingest *f, struct part_streams *ps, struct str name,
                     struct ingest_shared **ret, struct err *err)
{
    unsigned slot = stream_slot(name);
    const struct labels *l = &ps->part->labels;
    struct label *v;
    size_t n;
    int r;

    *ret = &ps->shared[slot];
    if (ps->made[slot])
        return 0;
    n = labels_taken(f, l);
    v = arena_alloc(f->ib->b->arena, (n + f->d->forced.n + 2) * sizeof(*v));
    if (v == NULL)
        return arena_err(f->ib->b->arena, err);
    if (n > 0)
        memcpy(v, l->v, n * sizeof(*v));
    v[n] = (struct label){STR("stream"), slot == 0 ? STR_NULL : name};
    r = ingest_build_stream(f->ib, v, n + 1, &f->d->forced, &ps->shared[slot].stream, err);
    ps->shared[slot].attr = ps->part->attrs.v;
    ps->shared[slot].n_attr = ps->part->attrs.n;
    ps->made[slot] = r == 0;
    return r;
}

static int add_own_entry(struct forward_ingest *f, struct part_streams *ps,
                         const struct forward_entry *e, struct err *err)
{
    struct ingest_item item = {.ts = e->ts, .attr = f->attr};
    struct ingest_shared *shared;
    struct str stream = STR_NULL;
    int r;

    for (size_t i = 0; i < e->n_fields; i++) {
        const struct forward_field *field = &e->fields[i];
        if (str_eq(field->key, STR("log")))
            item.line = field->text;
        else if (str_eq(field->key, STR("stream")) && stream_slot(field->text) > 0)
            stream = field->text;
        else if (item.n_attr < f->max_attr)
            f->attr[item.n_attr++] = (struct label){field->key, field->text};
    }
    r = shared_of(f, ps, stream, &shared, err);
    return r < 0 ? r : ingest_build_add(f->ib, shared, &item, err);
}

static int add_part(struct forward_ingest *f, const struct forward_part *part, struct err *err)
{
    struct part_streams ps = {.part = part};
    struct record_part rp = {.file_id = part->file_id,
                             .start = part->start,
                             .end = part->end,
                             .first = f->ib->b->n_records,
                             .count = part->count,
                             .maybe_twice = part->maybe_twice};
    struct forward_entry e;

    for (uint32_t i = 0; i < part->count; i++) {
        int r = forward_reader_next(f->reader, &e, err);
        if (r == 1)
            return err_set(err, ERR_CORRUPT, "part '%.*s' counts %u entries, the message has fewer",
                           STR_ARG(part->file_id), part->count);
        if (r == 0)
            r = add_own_entry(f, &ps, &e, err);
        if (r < 0)
            return r;
    }
    return batch_add_part(f->ib->b, &rp, err);
}

static int add_parts(struct forward_ingest *f, const struct forward_message *m, struct err *err)
{
    struct forward_entry e;
    int r = 0;

    for (size_t i = 0; r == 0 && i < m->n_parts; i++)
        r = add_part(f, &m->parts[i], err);
    if (r == 0)
        r = forward_reader_next(f->reader, &e, err);
    if (r == 0)
        return err_set(err, ERR_CORRUPT, "the message has more entries than its parts count");
    return r < 0 ? r : 0;
}

/* ---- everybody else ---- */

/* Five of ours at most, forced ones, service_name. */
struct foreign_labels {
    struct label v[8 + RECORD_LABELS_MAX];
    size_t n;
};

static void add_label(struct foreign_labels *l, struct str name, struct str value)
{
    l->v[l->n++] = (struct label){name, value};
}

static void add_labels(const struct forward_ingest *f, const struct forward_record *rec,
                       struct foreign_labels *l)
{
    add_label(l, STR("host"), f->d->host);
    add_label(l, STR("source"), rec->is_docker ? STR("container") : STR("forward"));
    if (!rec->is_docker)
        return;
    add_label(l, STR("runtime"), STR("docker"));
    add_label(l, STR("stream"), rec->stream);
    add_label(l, STR("container"), rec->container);
}

static int add_foreign(struct forward_ingest *f, const struct forward_message *m, struct err *err)
{
    struct forward_record rec = {.attrs = f->attr, .max_attrs = f->max_attr};
    struct forward_entry e;
    int r;

    while ((r = forward_reader_next(f->reader, &e, err)) == 0) {
        struct foreign_labels labels = {.n = 0};
        struct ingest_item item = {.ts = e.ts, .attr = f->attr};
        struct ingest_shared shared = {0};

        r = forward_record_read(&e, m->tag, f->ib->b->arena, &rec, err);
        if (r < 0)
            return r;
        item.line = rec.line;
        item.n_attr = rec.n_attrs;
        add_labels(f, &rec, &labels);
        r = ingest_build_stream(f->ib, labels.v, labels.n, &f->d->forced, &shared.stream, err);
        if (r == 0)
            r = ingest_build_add(f->ib, &shared, &item, err);
        if (r < 0)
            return r;
    }
    return r < 0 ? r : 0;
}

int ingest_forward(struct ingest_build *ib, const struct store_payload *p,
                   const struct ingest_decided *d, struct err *err)
{
    struct forward_limits limits = {.message_bytes = p->bytes.n, .payload_bytes = d->payload_bytes};
    struct forward_ingest f = {.ib = ib, .d = d, .max_attr = 1000};
    struct forward_message m;
    /* An uncompressed message is copied once, for its lines stay where they are. */
    int r = forward_parse(p->bytes, &limits, ib->b->arena, &m, err);

    if (r == 0) {
        struct str copy = arena_str(ib->b->arena, m.codec == CODEC_NONE ? p->bytes : m.tag);
        if (copy.p == NULL)
            return arena_err(ib->b->arena, err);
        if (m.codec == CODEC_NONE)
            r = forward_parse(copy, &limits, ib->b->arena, &m, err);
        else
            m.tag = copy;
    }
    if (r < 0)
        return r;
    f.attr = arena_alloc(ib->b->arena, (f.max_attr + 1) * sizeof(*f.attr));
    if (f.attr == NULL)
        return arena_err(ib->b->arena, err);
    f.reader = forward_reader_new();
    r = forward_reader_start(f.reader, &m, &limits, p->received, ib->b->arena, err);
    if (r == 0)
        r = d->may_have_parts && m.n_parts > 0 ? add_parts(&f, &m, err) : add_foreign(&f, &m, err);
    metric_add(METRIC_INGEST_SKIPPED, forward_reader_skipped(f.reader));
    forward_reader_free(&f.reader);
    return r;
}
